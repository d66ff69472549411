"""What a member of a write takes from SELLABLE, as the members after it find the shelf."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.shops import DAY, MINUTE, START
from truecount import (
    Adjusted,
    Assemble,
    Correct,
    Counted,
    Damaged,
    Inventory,
    MemoryStorage,
    Operation,
    Policy,
    Received,
    Relocate,
    Reserve,
    ReturnedToSupplier,
    Scrapped,
    Sold,
    SQLiteStorage,
    State,
    TransferOut,
    Undo,
)
from truecount.testing import CountingIds, ManualClock


class Bench:
    """Ten mugs in Berlin, five of them held for a cart that nobody swept when its time ran out."""

    def __init__(self, storage: MemoryStorage | SQLiteStorage) -> None:
        self.clock = ManualClock(START)
        self.inventory = Inventory(storage, clock=self.clock, new_id=CountingIds())
        self.inventory.locations.add("berlin", "hamburg")
        self.inventory.receive("MUG", 5, at="berlin")
        self.inventory.reserve({"MUG": 5}, reference="old", ttl=MINUTE)
        self.receipt = self.said(Received("MUG", 5, at="berlin"))
        self.clock.tick(DAY)

    def said(self, operation: Operation) -> str:
        """Run one operation and return the id of its movement."""
        return self.inventory.submit([operation])[0].check().movement_id


@pytest.fixture(params=["memory", "sqlite"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """A shop over each storage."""
    storage = (
        MemoryStorage()
        if request.param == "memory"
        else SQLiteStorage(tmp_path / "shop.db", synchronous="OFF")
    )
    bench = Bench(storage)
    yield bench
    assert bench.inventory.verify().problems == ()
    bench.inventory.close()


#: Each takes all five free mugs, so that only those of the expired hold are left.
TAKING: dict[str, Callable[[Bench], Operation]] = {
    "undo": lambda bench: Undo(movement_id=bench.receipt, reason="x"),
    "correct": lambda bench: Correct(movement_id=bench.receipt, quantity=0, reason="x"),
    "correct to another SKU": lambda bench: Correct(
        movement_id=bench.receipt, sku="CUP", reason="x"
    ),
    "adjust": lambda _: Adjusted("MUG", -5, at="berlin", reason="theft"),
    "count": lambda _: Counted("MUG", 5, at="berlin"),
    "damage": lambda _: Damaged("MUG", 5, at="berlin"),
    "scrap": lambda _: Scrapped("MUG", 5, at="berlin", state=State.SELLABLE, reason="x"),
    "send back": lambda _: ReturnedToSupplier("MUG", 5, at="berlin", state=State.SELLABLE),
    "sell": lambda _: Sold("MUG", 5, at="berlin"),
    "relocate": lambda _: Relocate("MUG", 5, source="berlin", target="hamburg"),
}


@pytest.mark.parametrize("taking", TAKING)
def test_a_cart_after_it_finds_the_expired_hold(bench: Bench, taking: str) -> None:
    """What is left is what nobody holds any more: enough, in one write as in two."""
    cart = Reserve({"MUG": 5}, reference="new", at="berlin")
    first, second = bench.inventory.submit([TAKING[taking](bench), cart])
    assert first.granted
    assert second.granted, second.error
    assert bench.inventory.reservation("old").status == "expired"
    assert bench.inventory.available("MUG", at="berlin") == 0


@pytest.mark.parametrize(
    "move",
    [
        Relocate("MUG", 7, source="berlin", target="hamburg"),
        TransferOut({"MUG": 7}, reference="T", source="berlin", target="hamburg"),
        Assemble("GIFT", 7, components={"MUG": 1}, at="berlin"),
        Reserve({"MUG": 7}, reference="new", at="berlin"),
    ],
    ids=["relocate", "transfer out", "assemble", "reserve"],
)
def test_units_that_are_there_come_before_a_backorder(bench: Bench, move: Operation) -> None:
    """A limit that only promises may use hides no expired hold; nothing goes below zero."""
    bench.inventory.policies.set(Policy(backorder_limit=9), sku="MUG")
    bench.said(move)
    found = bench.inventory.figures("MUG", at="berlin")
    assert found.sellable == 3
    assert bench.inventory.reservation("old").status == "expired"


def test_a_corrected_sale_takes_what_the_right_one_takes(bench: Bench) -> None:
    """Three more, and the cart after it gets the rest."""
    slip = bench.said(Sold("MUG", 2, at="berlin"))
    first, second = bench.inventory.submit(
        [
            Correct(movement_id=slip, quantity=5, reason="typed 2"),
            Reserve({"MUG": 5}, reference="new", at="berlin"),
        ]
    )
    assert first.granted
    assert second.granted, second.error


def test_a_hold_that_an_undo_filled_again_is_on_offer(bench: Bench) -> None:
    """The cart had bought, the sale is taken back, and by now its time has run out."""
    bench.said(Relocate("MUG", 5, source="berlin", target="hamburg"))
    sale = bench.said(Sold("MUG", 5, at="berlin", reference="old"))
    first, second = bench.inventory.submit(
        [
            Undo(movement_id=sale, reason="x"),
            Reserve({"MUG": 5}, reference="new", at="berlin"),
        ]
    )
    assert first.granted
    assert second.granted, second.error


def test_what_it_did_not_take_is_left_to_the_hold(bench: Bench) -> None:
    """Holds are reclaimed where they are needed, however much was feared beforehand."""
    first, second = bench.inventory.submit(
        [
            Counted("MUG", 10, at="berlin"),
            Reserve({"MUG": 5}, reference="new", at="berlin"),
        ]
    )
    assert first.granted
    assert second.granted
    assert bench.inventory.figures("MUG").held == 10


def test_a_gain_after_it_hides_no_hold_from_a_cart(bench: Bench) -> None:
    """What is found later in the same write is not there yet when the cart is decided."""
    first, second = bench.inventory.submit(
        [
            Reserve({"MUG": 10}, reference="new", at="berlin"),
            Adjusted("MUG", 10, at="berlin", reason="found"),
        ]
    )
    assert first.granted, first.error
    assert second.granted
    assert bench.inventory.figures("MUG").held == 10
