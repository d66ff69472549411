"""
A real shop counted SKU by SKU while it trades, with tills whose clocks are off and late reports.

What was really on the shelf is plain addition over true times, here; the book only gets stamped
and delayed reports. Errors are planted on the shelf alone: the book never hears of them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import accumulate
from pathlib import Path

import attrs
import pytest

from tests.trade.online_retail import (
    SHOP,
    Line,
    as_fact,
    batches,
    openings,
    read_lines,
    replay_clock,
    truth_of,
)
from truecount import Count, Inventory, MismatchKind, Reconciliation, Source
from truecount.model.operation import Operation


#: The first days of December 2010.
FEW = 12_000
SKEW = timedelta(seconds=90)
#: How far each till's clock is off, all within the skew.
TILLS = {
    "till-0": timedelta(seconds=-80),
    "till-1": timedelta(0),
    "till-2": timedelta(seconds=85),
}
SOURCES = [*(Source(name, skew=SKEW) for name in TILLS), Source("shelf", skew=SKEW)]


@attrs.frozen
class Shelf:
    """What was really there: for each code the times it changed, and the figures between."""

    times: dict[str, list[datetime]]
    figures: dict[str, list[int]]

    def at(self, code: str, moment: datetime) -> int:
        """Return what lay there."""
        return self.figures[code][bisect_right(self.times[code], moment)]


@pytest.fixture(scope="module")
def trade(data_path: Callable[[str], Path]) -> list[Line]:
    """The first days of the year."""
    return read_lines(data_path("online_retail_2010_2011.csv.xz").parent)[:FEW]


@pytest.fixture(scope="module")
def opening(trade: list[Line]) -> dict[str, int]:
    """Enough stock for every day, so that a shelf never holds less than nothing."""
    return {code: truth.opening + 50 for code, truth in truth_of(trade).items()}


@pytest.fixture(scope="module")
def shelf(trade: list[Line], opening: dict[str, int]) -> Shelf:
    """The truth, by addition."""
    by_code: dict[str, list[Line]] = defaultdict(list)
    for line in trade:
        by_code[line.code].append(line)
    times = {code: [line.occurred_at for line in lines] for code, lines in by_code.items()}
    figures = {
        code: list(accumulate((line.change for line in lines), initial=opening[code]))
        for code, lines in by_code.items()
    }
    return Shelf(times, figures)


@pytest.fixture(scope="module")
def book(trade: list[Line], opening: dict[str, int]) -> Inventory:
    """What the tills reported: stamped by their own clocks, and in another order."""
    inventory = Inventory(clock=replay_clock)
    inventory.locations.add(SHOP)
    for batch in batches([each] for each in openings(opening)):
        inventory.record(batch)

    def reports() -> Iterator[list[Operation]]:
        for line in sorted(trade, key=lambda each: (each.row // 500, -(each.row % 7), each.row)):
            till = f"till-{line.row % 3}"
            stamped = line.occurred_at + TILLS[till]
            yield [attrs.evolve(as_fact(line), origin=till, occurred_at=stamped)]

    for batch in batches(reports()):
        inventory.record(batch)
    return inventory


def planted(codes: list[str]) -> dict[str, int]:
    """Take units from some shelves, and put some on others."""
    return {code: (-3, 2, -1, 7)[n % 4] for n, code in enumerate(codes[::9])}


def counted(shelf: Shelf, begun: datetime, seconds: float, wrong: dict[str, int]) -> list[Count]:
    """Count every code, one after the other; each takes a minute by the counter's clock."""
    counts = []
    for number, code in enumerate(sorted(shelf.times)):
        moment = begun + timedelta(seconds=seconds * number)
        counts.append(
            Count(
                code,
                shelf.at(code, moment) + wrong.get(code, 0),
                at=SHOP,
                counted_at=moment - timedelta(seconds=40),
                counted_until=moment + timedelta(seconds=20),
                counter="sam",
            )
        )
    return counts


def deltas(report: Reconciliation) -> dict[str, tuple[int, int]]:
    """Return by how much each code differs."""
    return {each.sku: each.delta for each in report.mismatches}


class TestWhileTradeGoesOn:
    #: The third trading day, from the morning on; a count of all codes takes seven hours.
    BEGUN = datetime.fromisoformat("2010-12-03T09:00:00+00:00")

    def test_no_correct_sku_is_ever_called_a_mismatch(self, shelf: Shelf, book: Inventory) -> None:
        """Sales before, during and after each count, from clocks that are off: not one false."""
        counts = counted(shelf, self.BEGUN, 10, {})
        report = book.reconcile(counts, sources=SOURCES)
        assert (report.found, report.compared) == (0, len(counts))
        assert report.matches > 0.9 * len(counts)
        now = {key.sku: figures.on_hand for key, figures in book.stock().items()}
        naive = sum(now[count.sku] != count.quantity for count in counts)
        assert naive > 0.3 * len(counts)

    def test_planted_errors_are_found_with_delta_and_kind(
        self, shelf: Shelf, book: Inventory
    ) -> None:
        """Whatever is decided is exact, and what moved meanwhile is never called a match."""
        wrong = planted(sorted(shelf.times))
        report = book.reconcile(counted(shelf, self.BEGUN, 10, wrong), sources=SOURCES)
        found = deltas(report)
        assert found.keys() <= wrong.keys()
        assert found.keys() | {each.sku for each in report.undecided} >= wrong.keys()
        assert len(found) > 0.8 * len(wrong)
        for each in report.mismatches:
            low, high = each.delta
            assert low <= wrong[each.sku] <= high
            expected = MismatchKind.PHANTOM if wrong[each.sku] < 0 else MismatchKind.UNRECORDED
            assert expected in each.kinds
            assert each.kind is expected or low < 0 < high

    def test_at_night_every_error_is_found_exactly(self, shelf: Shelf, book: Inventory) -> None:
        """Nothing moves while the shop is closed, so everything is decided, to the unit."""
        wrong = planted(sorted(shelf.times))
        night = datetime.fromisoformat("2010-12-03T22:00:00+00:00")
        report = book.reconcile(counted(shelf, night, 5, wrong), sources=SOURCES)
        assert not report.undecided
        assert deltas(report) == {code: (by, by) for code, by in wrong.items()}


class TestRepairs:
    @pytest.mark.parametrize(
        ("begun", "seconds"),
        [("2010-12-03T09:00:00+00:00", 10), ("2010-12-03T22:00:00+00:00", 5)],
        ids=["while trade goes on", "at night"],
    )
    def test_planted_errors_are_repaired_once_and_taken_back(
        self, shelf: Shelf, book: Inventory, begun: str, seconds: float
    ) -> None:
        """The preview predicts zero, repair gives zero, again does nothing, undoing restores."""
        wrong = planted(sorted(shelf.times))
        counts = counted(shelf, datetime.fromisoformat(begun), seconds, wrong)
        before = book.stock()
        report = book.reconcile(counts, sources=SOURCES)
        plan = report.plan()
        preview = plan.preview()
        assert {line.key.sku: line.change for line in preview.lines} == {
            line.sku: wrong[line.sku] for line in plan.written
        }
        assert len(plan.written) > 0.7 * len(wrong)
        assert preview.left == 0

        done = book.repair(plan, approved_by="sam")
        assert (len(done.applied), done.skipped) == (len(plan.written), {})
        after = book.stock()
        for key, figures in before.items():
            change = wrong[key.sku] if key.sku in {line.sku for line in plan.written} else 0
            assert after[key].on_hand == figures.on_hand + change
        again = book.reconcile(counts, sources=SOURCES)
        assert deltas(again).keys() == {line.sku for line in plan.outside}
        assert again.matches == report.matches + len(plan.written)
        assert book.repair(plan, approved_by="sam").replayed
        assert book.stock() == after

        book.undo_repair(plan.id, reason="a drill")
        assert book.stock() == before
        assert deltas(book.reconcile(counts, sources=SOURCES)) == deltas(report)
