"""An opening says what another book had: what is told later about the time before is a finding."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.shops import DAY, START
from truecount import (
    Adjusted,
    Counted,
    Damaged,
    Finding,
    FindingKind,
    Inventory,
    MemoryStorage,
    Opened,
    Policy,
    Received,
    Relocate,
    Sold,
    SQLiteStorage,
    State,
)
from truecount.model.operation import Operation
from truecount.testing import CountingIds, ManualClock


#: The shelf was opened with ten mugs at START; it is the evening of that day.
EARLIER = START - timedelta(hours=1)
LATER = START + timedelta(hours=1)


@pytest.fixture(params=["memory", "SQLite"])
def inventory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Inventory]:
    """Return a shop whose shelf in Berlin was opened with ten mugs."""
    storage = MemoryStorage() if request.param == "memory" else SQLiteStorage(tmp_path / "shop.db")
    clock = ManualClock(START + DAY / 2)
    with closing(Inventory(storage, clock=clock, new_id=CountingIds())) as inventory:
        inventory.locations.add("berlin", "hamburg")
        inventory.open("MUG", 10, at="berlin", occurred_at=START)
        yield inventory


def tell(inventory: Inventory, *facts: Operation) -> list[Finding]:
    """Record *facts* in one write; return what is to be looked at."""
    for outcome in inventory.submit(facts):
        outcome.check()
    assert inventory.verify().problems == ()
    return [f for f in inventory.findings().open if f.kind is FindingKind.BEFORE_OPENING]


def sold(when: datetime, quantity: int = 2) -> Sold:
    """Return a sale in Berlin."""
    return Sold("MUG", quantity, at="berlin", occurred_at=when)


def test_a_sale_from_before_the_opening_is_recorded_and_found(inventory: Inventory) -> None:
    """It is booked as it was told, and the finding says what may be counted twice."""
    [finding] = tell(inventory, sold(EARLIER))
    assert inventory.figures("MUG").on_hand == 8
    assert "-2 of MUG at berlin (sold) occurred at 2026-03-02T08:00" in finding.sentence
    assert "before it was opened as of 2026-03-02T09:00" in finding.sentence
    assert finding.advice.startswith("The opening figure may have it already")


def test_undoing_it_puts_the_opening_figure_back_and_closes_the_finding(
    inventory: Inventory,
) -> None:
    """That is the cure when the other book knew of it; undoing is no finding itself."""
    [outcome] = inventory.submit([sold(EARLIER)])
    assert tell(inventory) != []
    inventory.undo(outcome.movement_id, reason="the opening had it")
    assert tell(inventory) == []
    assert inventory.figures("MUG").on_hand == 10


@pytest.mark.parametrize(
    "fact",
    [
        sold(START),
        sold(LATER),
        Sold("MUG", 2, at="berlin"),
        Damaged("MUG", 1, at="berlin", occurred_at=EARLIER),
        Opened("MUG", 3, at="berlin", occurred_at=EARLIER, state=State.DAMAGED),
        Received("MUG", 2, at="hamburg", occurred_at=EARLIER),
    ],
    ids=["its moment", "after", "now", "within", "opening", "elsewhere"],
)
def test_what_the_opening_cannot_have_is_no_finding(inventory: Inventory, fact: Operation) -> None:
    """From its moment on, or without a change of what is on hand, nothing is in doubt."""
    assert tell(inventory, fact) == []


def test_a_late_fact_is_of_the_time_since_the_opening_all_the_same(inventory: Inventory) -> None:
    """What was told after a newer one, but happened on the opened shelf, is in no doubt."""
    assert tell(inventory, sold(LATER), sold(START + timedelta(minutes=1)), sold(START)) == []


def test_a_key_that_was_received_first_has_no_opening(inventory: Inventory) -> None:
    """Then a late fact is just late: nobody took a figure over from elsewhere."""
    tea = Received("TEA", 5, at="berlin", occurred_at=START)
    assert tell(inventory, tea, Opened("TEA", 5, at="berlin", occurred_at=LATER)) == []
    assert tell(inventory, Sold("TEA", 1, at="berlin", occurred_at=EARLIER)) == []


def test_opening_and_fact_may_be_told_in_one_write(inventory: Inventory) -> None:
    """As in a file that has both; the opening is looked for among what is being written."""
    pot = Opened("POT", 5, at="berlin", occurred_at=START)
    early = [Adjusted("POT", n, at="berlin", reason="found", occurred_at=EARLIER) for n in (1, 2)]
    assert len(tell(inventory, pot, *early)) == 2
    assert inventory.figures("POT").on_hand == 8


def test_a_count_after_the_opening_settles_it(inventory: Inventory) -> None:
    """Somebody looked: the count takes the sale up, and stands."""
    inventory.count("MUG", 9, at="berlin", counted_at=LATER)
    assert tell(inventory, sold(EARLIER)) == []
    assert inventory.figures("MUG").on_hand == 9


def test_a_count_that_is_only_reported_leaves_the_doubt(inventory: Inventory) -> None:
    """Under ``late="report"`` nothing takes it up."""
    inventory.policies.set(Policy(late="report"))
    inventory.count("MUG", 9, at="berlin", counted_at=LATER)
    assert len(tell(inventory, sold(EARLIER))) == 1
    assert inventory.figures("MUG").on_hand == 7


def test_a_count_from_before_the_opening_is_found(inventory: Inventory) -> None:
    """What was counted then and what was opened later would add up."""
    early = Counted("MUG", 4, at="berlin", counted_at=EARLIER)
    [finding] = tell(inventory, early)
    assert "+4 of MUG at berlin (count)" in finding.sentence


def test_each_key_that_was_opened_is_told_apart(inventory: Inventory) -> None:
    """A move before the opening left one shelf and reached another, opened or not."""
    move = Relocate("MUG", 1, source="berlin", target="hamburg", occurred_at=EARLIER)
    [finding] = tell(inventory, move)
    assert "-1 of MUG at berlin" in finding.sentence
