"""The naive list of facts and counts: what comes late is swallowed, what cannot be said set aside."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.shops import MINUTE, Shop
from truecount import Counted, Kind, Operation, Received, Sold, State
from truecount.model.instants import to_instant
from truecount.testing import NaiveCounts
from truecount.testing.model.counts import Seen


HOUR = timedelta(hours=1)
SHELF = ("MUG", "berlin", "")


def told(
    shop: Shop, *, naive: NaiveCounts | None = None, reports: bool = False, seen: bool = True
) -> NaiveCounts:
    """Return a list that was told all a shop was told, with what its counts found."""
    naive = NaiveCounts() if naive is None else naive
    for movement in shop.inventory.feed():
        found = None
        if movement.kind is Kind.COUNT and seen:
            count = shop.inventory.counted(movement.id)
            found = Seen(count.counted, count.covers)
        naive.tell(movement, found, reports=reports)
    return naive


def a_day() -> Shop:
    """Return a shop of ten mugs that were counted as eight an hour later."""
    shop = Shop({"berlin": {"MUG": 10}})
    shop.clock.tick(HOUR)
    shop.inventory.count("MUG", 8, at="berlin")
    shop.clock.tick(HOUR)
    return shop


def late(shop: Shop, ago: timedelta = HOUR + MINUTE) -> Operation:
    """Return a sale from before the count."""
    return Sold("MUG", 1, at="berlin", occurred_at=shop.clock.now - ago)


def on_hand(naive: NaiveCounts, time: int | None = None) -> int:
    """Return the mugs that can be sold."""
    return naive.figure(SHELF, (State.SELLABLE,), time)


def test_late_fact_is_swallowed_by_the_next_count() -> None:
    """Before the count it shows, after it the count stands."""
    shop = a_day()
    shop.inventory.submit([late(shop)])
    before = to_instant(shop.clock.now - HOUR - MINUTE)
    naive = told(shop)
    assert (on_hand(naive, before), on_hand(naive), naive.aside) == (9, 8, set())


def test_undone_count_swallows_nothing() -> None:
    """It is taken out of the list."""
    shop = a_day()
    count = shop.inventory.feed()[-1].id
    shop.inventory.submit([late(shop)])
    shop.inventory.undo(count, reason="of the wrong shelf")
    assert on_hand(told(shop)) == 9


def test_what_was_told_in_its_own_moment_comes_after_a_count_of_it() -> None:
    """Members of one batch share a moment, and happened one after the other."""
    shop = a_day()
    shop.inventory.submit([Counted("MUG", 5, at="berlin"), Received("MUG", 2, at="berlin")])
    assert on_hand(told(shop)) == 7


@pytest.mark.parametrize("why", ["reported", "near", "ahead", "unknown"])
def test_what_the_list_cannot_say_is_set_aside(why: str) -> None:
    """A fact that is only reported, or near a count, or ahead of its clock; a count untold."""
    shop = a_day()
    naive = NaiveCounts()
    assert told(shop).aside == set()
    ago = {"near": HOUR + MINUTE, "ahead": -MINUTE}.get(why, HOUR + MINUTE)
    shop.inventory.submit([late(shop, ago)])
    naive.doubt = 5 * MINUTE if why == "near" else timedelta(0)
    found = told(shop, naive=naive, reports=why == "reported", seen=why != "unknown")
    assert found.aside == {SHELF}
