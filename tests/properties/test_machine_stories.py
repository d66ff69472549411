"""Histories the state machine stumbled over once, told again by its own rules."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from truecount import (
    Assemble,
    Count,
    Counted,
    DefineBundle,
    MemoryStorage,
    Policy,
    Received,
    RemoveBundle,
    Reserve,
    Scrapped,
    Sold,
    Source,
    State,
    Undo,
)
from truecount.errors import InsufficientStock
from truecount.model.places import ON_HAND
from truecount.model.stock import StockKey
from truecount.testing import inventory_machine
from truecount.testing.machine.base import START


#: What a count of a shelf sees.
COVERS = ON_HAND - {State.PICKED}


@pytest.fixture
def machine() -> Iterator[Any]:
    """Return a machine of everything, its shop filled."""
    shop: Any = inventory_machine(MemoryStorage)()
    shop.fill({"berlin": 6, "hamburg": 5, "kiel": 4}, more=False)
    yield shop
    for check in (
        shop.everything_agrees,
        shop.model_agrees,
        shop.counts_agree,
        shop.bundles_agree,
    ):
        check()
    shop.teardown()


@pytest.mark.parametrize("partial", [True, False])
def test_settled_line_is_not_applied_when_the_book_of_its_moment_changed(
    machine: Any, *, partial: bool
) -> None:
    """Tea came before it was counted as none, and was told before the sheet was closed."""
    found = [(("TEA", ""), 0), (("MUG", ""), 0)]
    said = {"hours": None, "came": 0, "reasons": False, "closes": False}
    machine.walk(at="berlin", found=found, off={}, **said)
    machine.do(Received("TEA", 1, at="berlin", occurred_at=START))
    machine.close(which=0, reasons=False, partial=partial)
    lines = machine.inventory.counts.report("sheet-0").lines
    assert [line.sku for line in lines if line.is_applied] == ["MUG"] * partial


def test_receipt_of_the_same_write_as_a_count_is_undone(machine: Any) -> None:
    """It came after the count, so nothing is left of it."""
    batch = [Counted("MUG", 4, at="berlin"), Received("MUG", 3, at="berlin")]
    machine.in_one([machine.keyed(each) for each in batch])
    machine.do(Undo(movement_id=machine.inventory.feed(limit=1000)[-1].id, reason="a drill"))
    assert machine.inventory.figures("MUG", at="berlin").on_hand == 4


def test_kit_is_not_made_of_what_is_physically_not_there(machine: Any) -> None:
    """More was scrapped out of quarantine than ever was in it."""
    gone = machine.inventory.figures("MUG", at="kiel").on_hand
    machine.do(Scrapped("MUG", gone, at="kiel", state=State.QUARANTINE, reason="broken"))
    made = machine.do(Assemble("SET", 1, {"MUG": 1}, at="kiel"))
    assert type(made.error) is InsufficientStock


def test_order_sells_more_of_a_bundle_that_is_none_any_more(machine: Any) -> None:
    """It goes by the recipe the order has."""
    machine.do(DefineBundle("SET", {"MUG": 2}))
    machine.do(Reserve({"SET": 1}, reference="w-1", at="berlin"))
    machine.do(RemoveBundle("SET"))
    machine.do(Sold("SET", 2, at="berlin", reference="w-1"))
    assert machine.inventory.figures("MUG", at="berlin").on_hand == 2


@pytest.mark.parametrize("reasons", [True, False])
def test_line_whose_shelf_is_looked_into_is_not_left_out(machine: Any, *, reasons: bool) -> None:
    """Late facts are only reported, so a count of the past asks what its shelf began with."""
    shelf = StockKey("MILK", "kiel", "L-1")
    found = [(("MILK", "L-1"), 0), (("MUG", ""), 0)]
    machine.walk(at="kiel", found=found, off={}, hours=None, came=2, reasons=False, closes=False)
    machine.count_and_hear(shelf=shelf, covers=COVERS, quantity=0, late=[Received], undoes=False)
    machine.set_policy(policy=Policy(late="report"), scope={})
    machine.close(which=0, reasons=reasons, partial=False)
    applied = [line.is_applied for line in machine.inventory.counts.report("sheet-0").lines]
    assert applied == [reasons] * 2


def test_shelf_counted_twice_within_a_clocks_doubt_is_as_the_later_count_says(machine: Any) -> None:
    """What it found missing may have been missing when the first one was made."""
    there = machine.inventory.figures("MUG", at="berlin").on_hand
    machine.tick(minutes=1)
    machine.compare(hours=None, seen={("MUG", "berlin"): there - 1})
    machine.repair(which=0)
    machine.describe(said=("*", Source("*", skew=timedelta(minutes=10))))
    machine.tick(minutes=1440)
    machine.audit(hours=0)
    earlier = Count("MUG", there, at="berlin", counted_at=START)
    [mismatch] = machine.inventory.reconcile([earlier]).mismatches
    assert mismatch.superseded_at == START + timedelta(minutes=1)


def test_late_sale_takes_a_lot_that_had_not_expired_by_then(machine: Any) -> None:
    """What expires first goes first, and when the milk was sold it was still good."""
    machine.do(Received("MILK", 2, at="kiel", lot="L-1"))
    machine.receive_lot(place="kiel", lot="L-2", quantity=1, lasts=timedelta(hours=-1))
    machine.do(Sold("MILK", 1, at="kiel", occurred_at=START - timedelta(hours=2)))
    machine.do(Received("MILK", 1, at="kiel", lot="L-2"))
    machine.do(Sold("MILK", 1, at="kiel"))
    left = {key.lot: each.on_hand for key, each in machine.inventory.stock(sku="MILK").items()}
    assert left["L-2"] == 1
