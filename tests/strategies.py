"""
The kit's strategies as our own tests use them: about one small shop, as constants.

    @given(histories())
    def test_something(steps: list[Step]) -> None:
        shop = new_shop()
        play(shop, steps)
"""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st

from truecount import Inventory, Operation, Policy
from truecount.protocols.storage import Storage
from truecount.testing import CountingIds, ManualClock
from truecount.testing import strategies as kit
from truecount.testing.playing import Again, Shop, Step, Tick, play, spoken
from truecount.testing.strategies import NAMES


START: Final = NAMES.start
SKUS: Final = NAMES.skus
KIT: Final = NAMES.kit
LOCATIONS: Final = NAMES.locations
LOT: Final = NAMES.lot
ORDERS: Final = NAMES.orders
PURCHASES: Final = NAMES.purchases
TRANSFERS: Final = NAMES.transfers

FACTS: Final = kit.facts()
COMMANDS: Final = kit.commands()
RESERVATIONS: Final = kit.reservation_acts()

skus: Final = kit.skus()
moments: Final = kit.moments()
operations: Final[st.SearchStrategy[Operation]] = kit.operations()
ticks: Final[st.SearchStrategy[Tick]] = kit.ticks()
again: Final[st.SearchStrategy[Again]] = kit.mistakes()
counted_histories: Final[st.SearchStrategy[list[Step]]] = kit.counted_histories()


def histories(parts: int = 12) -> st.SearchStrategy[list[Step]]:
    """Return lists of steps; *parts* bounds how many journeys they have."""
    return kit.histories(parts=parts)


def new_shop(storage: Storage | None = None, *, tenant: str = "main") -> Shop:
    """Return a shop with two locations, whose tea may be promised before it is there."""
    clock = ManualClock(START)
    inventory = Inventory(storage, tenant=tenant, clock=clock, new_id=CountingIds())
    inventory.locations.add(*LOCATIONS)
    inventory.policies.set(Policy(backorder_limit=2), sku="TEA")
    return Shop(inventory, clock)


__all__ = [
    "COMMANDS",
    "FACTS",
    "KIT",
    "LOCATIONS",
    "LOT",
    "NAMES",
    "ORDERS",
    "PURCHASES",
    "RESERVATIONS",
    "SKUS",
    "START",
    "TRANSFERS",
    "Again",
    "Shop",
    "Step",
    "Tick",
    "again",
    "counted_histories",
    "histories",
    "moments",
    "new_shop",
    "operations",
    "play",
    "skus",
    "spoken",
    "ticks",
]
