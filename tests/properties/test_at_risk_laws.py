"""The laws of promises at risk: give up those that are named and all else can be served."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.shops import MINUTE, START
from truecount import Formula, Inventory, Level, Sold, Source, SQLiteStorage
from truecount.errors import InsufficientStock
from truecount.protocols.storage import Storage
from truecount.testing import ManualClock


PLACES = ("berlin", "hamburg")
#: Orders of one to four, then sales by a till that nothing stops: where, and how many.
ORDERS = st.lists(st.tuples(st.sampled_from(PLACES), st.integers(1, 4)), min_size=1, max_size=7)
SALES = st.lists(st.tuples(st.sampled_from(PLACES), st.integers(-9, -1)), max_size=2)
DEEDS = st.tuples(ORDERS, SALES).map(lambda both: [*both[0], *both[1]])
STOCK = st.fixed_dictionaries(dict.fromkeys(PLACES, st.integers(0, 15)))

#: A promise, oldest first: its order, where it is, units.
Promise = tuple[str, str, int]


def lived(
    stock: dict[str, int], deeds: list[tuple[str, int]], storage: Storage | None = None
) -> tuple[Inventory, list[Promise]]:
    """Return the book after *deeds*, and the orders that were granted."""
    clock = ManualClock(START)
    inventory = Inventory(storage, clock=clock)
    inventory.locations.add(*PLACES)
    for at, units in stock.items():
        if units:
            inventory.receive("MUG", units, at=at)
    promises: list[Promise] = []
    for number, (at, units) in enumerate(deeds):
        clock.tick(MINUTE)
        order = f"order-{number}"
        if units < 0:
            inventory.record([Sold("MUG", -units, at=at, key=order)])
            continue
        try:
            inventory.reserve({"MUG": units}, reference=order, at=at)
        except InsufficientStock:
            continue
        promises.append((order, at, units))
    clock.tick(MINUTE)
    return inventory, promises


def lacking(free: dict[str, int], promises: list[Promise], offer: int) -> dict[str, int]:
    """Return what is free where each place has given up *promises*, and what is on offer."""
    left = dict(free)
    for _, at, units in promises:
        left[at] += units
    offered = offer - sum(max(0, units) for units in left.values())
    return {at: max(0, -units) for at, units in left.items()} | {"on offer": max(0, offered)}


@given(STOCK, DEEDS, st.integers(0, 15), st.integers(1, 2), st.integers(0, 2))
@settings(max_examples=150)
def test_without_those_named_all_else_can_be_served(
    stock: dict[str, int], deeds: list[tuple[str, int]], shown: int, pack: int, safety: int
) -> None:
    """And the last of them is needed; promises are named newest first, and nobody else is."""
    assume(any(stock.values()))
    inventory, promises = lived(stock, deeds)
    free = {at: inventory.figures("MUG", at=at).available for at in PLACES}
    formula = Formula(pack=pack, safety=safety)
    report = inventory.reconcile(
        [Level("etsy", "MUG", shown)], sources=[Source("etsy", formula=formula)]
    )
    assume(report.mismatches)
    [found] = report.mismatches
    offer = shown * pack if found.delta[0] > 0 else 0
    named = [promise for promise in promises if promise[0] in found.at_risk]
    assert [order for order, *_ in reversed(named)] == list(found.at_risk)
    lacks = lacking(free, named, offer)
    for order, at, _ in promises:
        if order not in found.at_risk:
            assert not lacks[at], "a place that lacks units has a promise that is not named"
            assert not lacks["on offer"], "what is on offer is not covered, a promise not named"
    if named:
        assert lacking(free, named[1:], offer) != lacks, "the oldest named was not needed"


@given(stock=STOCK, deeds=DEEDS, shown=st.integers(0, 30))
@settings(max_examples=15)
def test_memory_and_sqlite_name_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    stock: dict[str, int],
    deeds: list[tuple[str, int]],
    shown: int,
) -> None:
    """I20: the same promises are at risk on both storages."""
    assume(any(stock.values()))
    file = tmp_path_factory.mktemp("risk") / "shop.db"
    with closing(SQLiteStorage(Path(file), synchronous="OFF")) as storage:
        books = [lived(stock, deeds)[0], lived(stock, deeds, storage)[0]]
        level = Level("etsy", "MUG", shown)
        reports = [book.reconcile([level]) for book in books]
        assert reports[0].at_risk == reports[1].at_risk
