"""
The shop rules of one tenant in one piece: locations in order, policies, recipes, sources.

Kept as documents (spaces ``location``, ``policy``, ``recipe`` and ``source``) under one
generation, the document ("settings", "generation"). Every write reads it inside its own
transaction; whoever holds other settings reads anew what has changed since, so no decision is
ever made on rules that had changed. What has changed is told by a second document, the
journal: it is looked at only then, so it costs a write nothing.

A generation is known by its number and by a digest of all that led to it. The number alone
would not do: a host may roll back the change that made it, and another change then makes
another generation of the same number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from hashlib import blake2b
from typing import Any, Final, TypeAlias

import attrs

from truecount.errors import UnknownLocation
from truecount.model.instants import Instant, microseconds
from truecount.model.movements import encode
from truecount.model.policy import BUILT_IN, Policy
from truecount.model.recipes import Bill, Recipe, bill_of
from truecount.model.sources import ANYBODY, LEDGER, Source


GENERATION: Final = ("settings", "generation")
JOURNAL: Final = ("settings", "journal")
LOCATION: Final = "location"
POLICY: Final = "policy"
#: The recipe in force of each bundle; its older versions, which nothing decides on, beside it.
RECIPE: Final = "recipe"
RECIPE_HISTORY: Final = "recipe_history"
#: What is said of each source now; what was said before, beside it.
SOURCE: Final = "source"
SOURCE_HISTORY: Final = "source_history"
#: Documents that are shop rules: to change one is to begin a new generation.
RULE_SPACES: Final = (LOCATION, POLICY, RECIPE, SOURCE)
#: Names of changed documents the journal keeps: as many as one call can change.
JOURNAL_MAX: Final = 1000
_DIGEST: Final = 16
#: Generations it keeps them for: a bulk import is not carried along for ever.
JOURNAL_GENERATIONS: Final = 16


#: What a generation is known by: the version of its document, and the text of that.
Mark: TypeAlias = tuple[int, str]
#: Before any rule was made.
NO_RULES: Final[Mark] = (0, "")


@attrs.define(eq=False)
class Settings:
    """Locations by name with their priority (lower first), policies by scope, and the rest."""

    mark: Mark
    locations: dict[str, int]
    policies: dict[str, Policy]
    #: Recipes in force, by bundle.
    recipes: dict[str, Recipe] = attrs.field(factory=dict)
    #: How far whom can be trusted, by name.
    sources: dict[str, Source] = attrs.field(factory=dict)
    _bills: dict[str, Bill] = attrs.field(factory=dict, init=False)
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

    def bill(self, sku: str) -> Bill | None:
        """
        Return the bill of a bundle, None when *sku* is none.

        Complexity: O(1) once it was asked for under this generation.
        """
        if sku not in self.recipes:
            return None
        found = self._bills.get(sku)
        if found is None:
            found = self._bills[sku] = bill_of(sku, self.recipes)
        return found

    @property
    def generation(self) -> int:
        """Which generation of the rules they are."""
        return self.mark[0]

    def skew(self, origin: str | None) -> Instant:
        """Return how far the clock of who reports as *origin* may be off; the ledger's for None."""
        source = self.sources.get(origin or LEDGER) or self.sources.get(ANYBODY)
        return 0 if source is None else microseconds(source.skew)

    def changed(
        self, mark: Mark, documents: Mapping[tuple[str, str], Mapping[str, Any] | None]
    ) -> Settings:
        """
        Return these settings with *documents* replaced; these stay as they are.

        Complexity: O(locations, policies, recipes or sources, whichever are among the
        documents).
        """
        kept: dict[str, dict[str, Any]] = {
            LOCATION: self.locations,
            POLICY: self.policies,
            RECIPE: self.recipes,
            SOURCE: self.sources,
        }
        for space in {space for space, _ in documents} & kept.keys():
            kept[space] = dict(kept[space])
        for (space, name), body in documents.items():
            if space in kept:
                _READ[space](kept[space], name, body)
        return Settings(mark, *(kept[space] for space in RULE_SPACES))

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


def past_recipe(sku: str, version: int) -> str:
    """
    Return the document id of one version of a recipe: exact, whatever the SKU contains.

    >>> past_recipe("GIFT-SET", 2)
    '["GIFT-SET",2]'
    """
    return encode((sku, version))


def past_source(name: str, version: int) -> str:
    """
    Return the document id of one version of what was said of a source.

    >>> past_source("etsy", 2)
    '["etsy",2]'
    """
    return encode((name, version))


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


def _read_location(into: dict[str, Any], name: str, body: Mapping[str, Any] | None) -> None:
    if body is not None:
        into[name] = int(body["priority"])


def _read_policy(into: dict[str, Any], name: str, body: Mapping[str, Any] | None) -> None:
    if body is not None:
        into[name] = Policy.from_dict(body)


def _read_recipe(into: dict[str, Any], name: str, body: Mapping[str, Any] | None) -> None:
    recipe = Recipe.from_dict(name, body) if body is not None else None
    if recipe is not None and not recipe.is_removed:
        into[name] = recipe
    else:
        into.pop(name, None)


def _read_source(into: dict[str, Any], name: str, body: Mapping[str, Any] | None) -> None:
    if body is not None and body["said"] is not None:
        into[name] = Source.from_dict(name, body["said"])
    else:
        into.pop(name, None)


_READ: Final = {
    LOCATION: _read_location,
    POLICY: _read_policy,
    RECIPE: _read_recipe,
    SOURCE: _read_source,
}


def settings_from(
    mark: Mark, documents: Mapping[tuple[str, str], Mapping[str, Any] | None]
) -> Settings:
    """Return the settings that stored documents (space, id) describe."""
    return Settings(mark, {}, {}).changed(mark, documents)


def generation_after(
    body: Mapping[str, Any] | None, documents: Iterable[tuple[str, str, Mapping[str, Any]]]
) -> dict[str, Any]:
    """
    Return the document of the generation that *documents* make of the one before.

    >>> one = generation_after(None, [("location", "berlin", {"priority": 0})])
    >>> one == generation_after(None, [("location", "hamburg", {"priority": 0})])
    False
    """
    before = "" if body is None else body.get("digest", "")
    made = encode((before, sorted((space, id_, encode(new)) for space, id_, new in documents)))
    return {"digest": blake2b(made.encode(), digest_size=_DIGEST).hexdigest()}


# --- what has changed since -------------------------------------------------------------


def journal_after(
    body: Mapping[str, Any] | None, generation: int, names: Iterable[tuple[str, str]]
) -> dict[str, Any]:
    """
    Return the journal once the documents *names* have changed in *generation*.

    A journal that does not lead up to that generation is begun anew: an import of rules
    makes a generation, and tells no journal.

    >>> first = journal_after(None, 8, [("recipe", "SET")])
    >>> first
    {'generation': 8, 'since': 7, 'changed': [[8, 'recipe', 'SET']]}
    >>> changed_since(first, 7, 8), changed_since(first, 6, 8)
    ([('recipe', 'SET')], None)
    """
    since, changed = generation - 1, []
    if body is not None and body["generation"] >= generation - 1:
        since, changed = body["since"], list(body["changed"])
    changed += [[generation, *name] for name in names]
    oldest = generation - JOURNAL_GENERATIONS
    if len(changed) > JOURNAL_MAX:
        oldest = max(oldest, changed[-JOURNAL_MAX - 1][0])
    if oldest > since:
        since = oldest
        changed = [entry for entry in changed if entry[0] > since]
    return {"generation": generation, "since": since, "changed": changed}


def changed_since(
    body: Mapping[str, Any] | None, known: int, generation: int
) -> list[tuple[str, str]] | None:
    """Return the documents changed between two generations, None when *body* cannot tell."""
    if body is None or body["generation"] != generation or known < body["since"]:
        return None
    names = {(space, id_): None for when, space, id_ in body["changed"] if when > known}
    return list(names)
