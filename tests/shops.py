"""Small shops for tests of reservations: a clock moved by hand, and stock where it is said."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from truecount import Inventory
from truecount.protocols.storage import Storage
from truecount.reservations.sourcing import Sourcing
from truecount.testing import CountingIds, ManualClock


START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


class Shop:
    """An inventory in memory, its clock, and short ways to fill and to look at shelves."""

    def __init__(
        self,
        stock: Mapping[str, Mapping[str, int]],
        *,
        tenant: str = "main",
        storage: Storage | None = None,
        sourcing: Mapping[str, Sourcing] | None = None,
    ) -> None:
        """Open a shop with *stock*: for each location, units of each SKU."""
        self.clock = ManualClock(START)
        self.inventory = Inventory(
            storage,
            tenant=tenant,
            clock=self.clock,
            new_id=CountingIds(tenant),
            sourcing=sourcing,
        )
        self.inventory.locations.add(*stock)
        for location, units in stock.items():
            for sku, quantity in units.items():
                self.inventory.receive(sku, quantity, at=location)

    def figures(self, sku: str = "MUG", at: str | None = None) -> tuple[int, int, int, int]:
        """Return what is sellable, held, allocated and picked of *sku*."""
        found = self.inventory.figures(sku, at=at)
        return found.sellable, found.held, found.allocated, found.picked

    def movements(self) -> list[str]:
        """Return the kinds of all movements, in order."""
        return [movement.kind.value for movement in self.inventory.feed()]

    def check(self) -> None:
        """Prove that everything stored agrees with everything else."""
        assert self.inventory.verify().problems == ()
