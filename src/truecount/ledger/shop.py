"""Locations and policies: the shells that declare the shop rules."""

from __future__ import annotations

from collections.abc import Iterator

from truecount.errors import InvalidArgument
from truecount.model import names, quantities
from truecount.model.policy import Policy
from truecount.model.settings import LOCATION, POLICY, scope_of
from truecount.model.shop_rules import Put
from truecount.write.engine import Engine


class Locations:
    """
    The places that keep stock. Every operation names declared ones.

    >>> from truecount import Inventory
    >>> inventory = Inventory()
    >>> inventory.locations.add("berlin", "hamburg")
    >>> list(inventory.locations)
    ['berlin', 'hamburg']
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, *locations: str, priority: int | None = None) -> None:
        """
        Declare locations; those declared before stay as they are unless *priority* is given.

        Sourcing asks lower priorities first. Without one, a new location comes last.

        Raises:
            InvalidText: A name is not clean text.
        """
        if not locations:
            raise InvalidArgument("locations", "nothing", "at least one name")
        known = self._engine.settings().locations
        last = max(known.values(), default=-1)
        documents = []
        for number, location in enumerate(map(names.location, locations), 1):
            if priority is not None:
                rank = quantities.natural(priority, "priority")
            else:
                rank = known.get(location, last + number)
            documents.append((LOCATION, location, {"priority": rank}))
        self._engine.one(Put(documents=tuple(documents)))

    def __iter__(self) -> Iterator[str]:
        """Yield the declared locations, by priority."""
        return iter(self._engine.settings().in_order)

    def __contains__(self, location: object) -> bool:
        """Return whether *location* was declared."""
        return location in self._engine.settings().locations


class Policies:
    """
    The shop rules: for everything, for a location, for a SKU; the nearest wins.

    >>> from truecount import Inventory, Policy
    >>> inventory = Inventory()
    >>> inventory.policies.set(Policy(safety_stock=2))
    >>> inventory.policies.set(Policy(safety_stock=0), sku="MUG")
    >>> inventory.policies.of("MUG").safety_stock, inventory.policies.of("TEA").safety_stock
    (0, 2)
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def set(self, policy: Policy, *, sku: str = "", location: str = "") -> None:
        """
        Set the rules of one scope, replacing what that scope had.

        Raises:
            InvalidArgument: Both a SKU and a location are named.
            UnknownLocation: The location was not declared.
        """
        if not isinstance(policy, Policy):
            raise InvalidArgument("policy", names.shown(policy), "a Policy")
        if sku and location:
            raise InvalidArgument("scope", "both a SKU and a location", "one of them")
        if sku:
            names.sku(sku)
        if location:
            self._engine.settings().check(location)
        scope = scope_of(sku=sku, location=location)
        self._engine.one(Put(documents=((POLICY, scope, policy.to_dict()),)))

    def of(self, sku: str = "", *, location: str = "") -> Policy:
        """Return the rules in force for *sku* at *location*."""
        return self._engine.settings().policy(sku, location)
