"""Laws of anchors, on generated histories: what was counted stays what was there."""

from __future__ import annotations

import json
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import START, Step, counted_histories, histories, new_shop, play
from truecount import Counted, Inventory, Kind, Policy, Sold, State
from truecount.ledger.anchors import ANCHOR, Anchor, anchor_of
from truecount.ledger.scan import records_of
from truecount.model.instants import to_datetime
from truecount.protocols.storage import Record
from truecount.testing.model import NaiveLedger


def anchors(inventory: Inventory) -> list[Anchor]:
    """Return the counts in force, the last of each moment."""
    with inventory.storage.read("main") as reader:
        records: list[Record] = list(records_of(reader, ANCHOR))
    last: dict[tuple[object, ...], Anchor] = {}
    for record in records:
        anchor = anchor_of(record.id, json.loads(record.body))
        if not anchor.body.get("freed"):
            last[anchor.key, anchor.at] = anchor
    return list(last.values())


def broken(inventory: Inventory) -> list[str]:
    """
    Return the counts that no longer hold: as of their moment something else was there.

    Members of the count's own write that came after it and are dated the same moment are not
    late: they happened to the counted shelf.
    """
    found = []
    for anchor in anchors(inventory):
        sku, at, lot = anchor.key
        then = inventory.as_of(sku, to_datetime(anchor.at), at=at, lot=lot)
        there = sum(then[State(state)] for state in anchor.body["covers"])
        history = [e for e in inventory.history(sku, at=at, last=None) if e.key == anchor.key]
        own = history[anchor.version - 1].movement
        for entry in history[anchor.version :]:
            same = entry.movement.occurred_at == to_datetime(anchor.at)
            same = same and entry.movement.kind is not Kind.REFOLD
            if same and entry.movement.recorded_at == own.recorded_at:
                there -= sum(entry.change[State(state)] for state in anchor.body["covers"])
        if there != anchor.body["counted"]:
            found.append(f"{anchor} has {there}")
    return found


@given(st.one_of(counted_histories, histories()))
def test_what_was_counted_stays_what_was_there(steps: list[Step]) -> None:
    """
    As of its moment each count in force holds, whatever was told, undone or corrected later.

    After every transaction (A1), and with everything the ledger proves of itself.
    """
    shop = new_shop()
    for step in steps:
        play(shop, [step])
    assert broken(shop.inventory) == []
    verification = shop.inventory.verify()
    assert verification.ok, verification.problems
    assert NaiveLedger(shop.inventory.feed(limit=10_000)).conserves()


@given(counted_histories)
def test_with_report_nothing_is_refolded(steps: list[Step]) -> None:
    """A shop that looks into each case gets notes instead of movements."""
    shop = new_shop()
    shop.inventory.policies.set(Policy(late="report"))
    play(shop, steps)
    assert {m.kind.value for m in shop.inventory.feed(limit=10_000)}.isdisjoint({"refold"})
    assert shop.inventory.verify().ok


def test_the_laws_can_fail() -> None:
    """A count that was only told about a late fact is seen to hold no longer."""
    shop = new_shop()
    shop.inventory.policies.set(Policy(late="report"))
    sale = Sold("MUG", 1, at="berlin", occurred_at=START - timedelta(hours=1))
    play(shop, [Counted("MUG", 3, at="berlin"), sale])
    assert len(broken(shop.inventory)) == 1
