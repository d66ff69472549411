"""
The shop rules of one tenant in one piece: locations in their order, and policies.

Kept as documents (spaces ``location`` and ``policy``) under one generation, the version of
the document ("settings", "generation"). Every write reads that version inside its own
transaction; whoever holds older settings reads them anew, so no decision is ever made on
rules that had changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final

import attrs

from truecount.errors import UnknownLocation
from truecount.model.policy import BUILT_IN, Policy


GENERATION: Final = ("settings", "generation")
LOCATION: Final = "location"
POLICY: Final = "policy"


@attrs.define(eq=False)
class Settings:
    """Locations by name with their priority (lower first), and policies by scope."""

    generation: int
    locations: dict[str, int]
    policies: dict[str, Policy]
    #: Policies in force, and the floors they set, by SKU and location.
    _resolved: dict[tuple[str, str], tuple[Policy, int]] = attrs.field(factory=dict, init=False)
    _in_order: tuple[str, ...] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._in_order = tuple(sorted(self.locations, key=lambda n: (self.locations[n], n)))

    def check(self, location: str) -> str:
        """Return *location* if it was declared; raise UnknownLocation otherwise."""
        if location not in self.locations:
            near = get_close_matches(location, self.locations, n=2)
            raise UnknownLocation(location, tuple(near))
        return location

    @property
    def in_order(self) -> tuple[str, ...]:
        """Locations by priority, then by name."""
        return self._in_order

    def policy(self, sku: str = "", location: str = "") -> Policy:
        """Return the rules in force for *sku* at *location*."""
        return (self._resolved.get((sku, location)) or self._resolve(sku, location))[0]

    def floor(self, sku: str, location: str) -> int:
        """Return the lowest SELLABLE figure a command may leave."""
        return (self._resolved.get((sku, location)) or self._resolve(sku, location))[1]

    def _resolve(self, sku: str, location: str) -> tuple[Policy, int]:
        policy = BUILT_IN
        for scope in (DEFAULT_SCOPE, scope_of(location=location), scope_of(sku=sku)):
            if scope in self.policies:
                policy = self.policies[scope].over(policy)
        if len(self._resolved) > 100_000:  # noqa: PLR2004 -- a bound on memory, not a rule
            self._resolved.clear()
        found = (policy, (policy.safety_stock or 0) - (policy.backorder_limit or 0))
        self._resolved[sku, location] = found
        return found

    def floor_rule(self, sku: str, location: str) -> str:
        """Return which rule sets that floor."""
        policy = self.policy(sku, location)
        if policy.safety_stock:
            return f"safety_stock={policy.safety_stock}"
        return f"backorder_limit={policy.backorder_limit or 0}"


#: The scope of the policy that holds everywhere.
DEFAULT_SCOPE: Final = "default"


def scope_of(*, sku: str = "", location: str = "") -> str:
    """
    Return the document id of a policy's scope.

    >>> scope_of(sku="MUG"), scope_of(location="berlin"), scope_of()
    ('sku:MUG', 'location:berlin', 'default')
    """
    if sku:
        return f"sku:{sku}"
    return f"location:{location}" if location else DEFAULT_SCOPE


def settings_from(generation: int, documents: Mapping[tuple[str, str], dict[str, Any]]) -> Settings:
    """Return the settings that stored documents (space, id) describe."""
    locations = {n: int(body["priority"]) for (s, n), body in documents.items() if s == LOCATION}
    policies = {n: Policy.from_dict(body) for (s, n), body in documents.items() if s == POLICY}
    return Settings(generation, locations, policies)
