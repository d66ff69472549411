"""Laws of openings, on generated histories: nothing moves an opening figure unseen."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from tests.shops import DAY, START
from truecount import Adjusted, FindingKind, Inventory, Opened
from truecount.testing import ManualClock


facts = st.builds(
    lambda change, minutes: Adjusted(
        "MUG", change, at="berlin", reason="told", occurred_at=START + timedelta(minutes=minutes)
    ),
    change=st.integers(-9, 9).filter(bool),
    minutes=st.integers(-3, 3),
)


@given(st.integers(1, 50), st.lists(facts, max_size=8), st.data())
def test_what_changes_an_opening_figure_is_found_and_can_be_taken_back(
    quantity: int, told: list[Adjusted], data: st.DataObject
) -> None:
    """Told in any order and in any writes, each fact from before is one finding, and no other."""
    inventory = Inventory(clock=ManualClock(START + DAY))
    inventory.locations.add("berlin")
    opening = Opened("MUG", quantity, at="berlin", occurred_at=START)
    pending = [opening, *told]
    movements = {}
    while pending:
        size = data.draw(st.integers(1, len(pending)), label="facts of a write")
        batch, pending = pending[:size], pending[size:]
        for fact, outcome in zip(batch, inventory.submit(batch), strict=True):
            movements[outcome.check().movement_id] = fact
    early = {
        id_
        for id_, fact in movements.items()
        if fact is not opening and fact.occurred_at is not None and fact.occurred_at < START
    }
    open_ = inventory.findings().open
    found = [f for f in open_ if f.kind is FindingKind.BEFORE_OPENING]
    assert {id_ for finding in found for id_ in finding.evidence} == early
    assert len(found) == len(early)
    for id_ in early:
        inventory.undo(id_, reason="the opening had it")
    after = [
        fact.change
        for id_, fact in movements.items()
        if id_ not in early and isinstance(fact, Adjusted)
    ]
    assert inventory.figures("MUG").on_hand == quantity + sum(after)
    assert FindingKind.BEFORE_OPENING not in {f.kind for f in inventory.findings().open}
    assert inventory.verify().ok
