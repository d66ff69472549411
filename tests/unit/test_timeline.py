"""The timeline of one SKU: its line, its counts, and where book and shelf parted."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.shops import MINUTE, START, Shop
from truecount import Count, Kind, Level, Sold, Source, State, Timeline, timeline_of
from truecount.errors import InvalidArgument
from truecount.model.places import ON_HAND
from truecount.reconciliation.verdicts import Decision


HOUR = timedelta(hours=1)


def line_of(shop: Shop, *counts: Count, sku: str = "MUG") -> Timeline:
    """Return the timeline of a SKU in Berlin with counts nobody has compared."""
    return timeline_of(shop.inventory.history(sku, at="berlin", last=None), counts=counts)


class TestLine:
    def test_back_dated_movement_stands_where_it_happened(self) -> None:
        """The line is what was there at each time, whenever it was told."""
        shop = Shop({"berlin": {"MUG": 5}})
        noon = shop.clock.tick(HOUR)
        shop.clock.tick(HOUR)
        shop.inventory.receive("MUG", 3, at="berlin")
        shop.inventory.adjust("MUG", -2, at="berlin", reason="broken", occurred_at=noon)
        line = line_of(shop)
        assert [(step.change, step.after) for step in line.steps] == [(5, 5), (-2, 3), (3, 6)]
        assert [line.value_at(noon + n * HOUR) for n in (-2, -1, 0, 1)] == [0, 5, 3, 6]

    def test_line_is_what_a_count_covers(self) -> None:
        """Picked units have left the shelf; they are still on hand."""
        shop = Shop({"berlin": {"MUG": 5}})
        shop.inventory.reserve({"MUG": 2}, reference="order-1")
        shop.inventory.confirm("order-1")
        shop.inventory.pick("order-1")
        entries = shop.inventory.history("MUG", at="berlin")
        assert timeline_of(entries).steps[-1].after == 3
        assert timeline_of(entries, covers=ON_HAND).steps[-1].after == 5
        assert timeline_of(entries, covers={State.SELLABLE}).steps[-1].after == 3

    def test_what_came_before_is_in_the_first_figure(self) -> None:
        """A part of a history begins where the rest ended, lots added up."""
        shop = Shop({"berlin": {"MUG": 5}})
        shop.inventory.receive("MUG", 4, at="berlin", lot="L1")
        shop.inventory.receive("MUG", 1, at="berlin")
        shop.inventory.receive("MUG", 2, at="berlin", lot="L1")
        line = timeline_of(shop.inventory.history("MUG", at="berlin", last=2))
        assert (line.first, line.steps[-1].after) == (9, 12)

    def test_entries_of_several_keys_are_refused(self) -> None:
        """One picture shows one SKU at one location, and something."""
        shop = Shop({"berlin": {"MUG": 5}, "hamburg": {"MUG": 5}})
        with pytest.raises(InvalidArgument, match="of 2 keys"):
            timeline_of(shop.inventory.history("MUG"))
        with pytest.raises(InvalidArgument, match="of nothing"):
            timeline_of(shop.inventory.history("TEA"))


class TestSightings:
    def test_recorded_count_differs_and_the_book_follows(self) -> None:
        """It shows the shelf, and by how much the book was off before."""
        shop = Shop({"berlin": {"MUG": 5}})
        at = shop.clock.tick(HOUR)
        shop.inventory.count("MUG", 3, at="berlin", actor="sam")
        shop.clock.tick(HOUR)
        shop.inventory.count("MUG", 3, at="berlin")
        first, second = line_of(shop).sightings
        assert (first.seen_at, first.quantity, first.delta, first.who) == (
            (at, at),
            3,
            (-2, -2),
            "sam",
        )
        assert first.is_recorded
        assert (first.decision, second.decision) == (Decision.MISMATCH, Decision.MATCH)

    def test_late_fact_before_a_count_explains_a_part_of_it(self) -> None:
        """The refold is on the line at the count; what is left of the difference is the count's."""
        shop = Shop({"berlin": {"MUG": 5}})
        before = shop.clock.tick(HOUR)
        at = shop.clock.tick(HOUR)
        shop.inventory.count("MUG", 3, at="berlin", actor="sam")
        shop.clock.tick(HOUR)
        late = Sold("MUG", 1, at="berlin", key="late", occurred_at=before)
        shop.inventory.record([late])
        line = line_of(shop)
        told = [(step.entry.movement.kind, step.at, step.change, step.after) for step in line.steps]
        assert told == [
            (Kind.RECEIVE, START, 5, 5),
            (Kind.SOLD, before, -1, 4),
            (Kind.COUNT, at, -2, 2),
            (Kind.REFOLD, at, 1, 3),
        ]
        [seen] = line.sightings
        assert (seen.quantity, seen.delta, seen.who) == (3, (-1, -1), "sam")
        assert [each.delta for each in line.divergences] == [(-1, -1)]
        [again] = line_of(shop, Count("MUG", 3, at="berlin", counted_at=at)).sightings[1:]
        assert again.decision is Decision.MATCH

    def test_late_fact_that_explains_all_leaves_an_agreeing_count(self) -> None:
        """The shelf was right, and the book is by now: nothing ever parted."""
        shop = Shop({"berlin": {"MUG": 5}})
        before = shop.clock.tick(HOUR)
        shop.clock.tick(HOUR)
        shop.inventory.count("MUG", 3, at="berlin")
        late = Sold("MUG", 2, at="berlin", key="late", occurred_at=before)
        shop.inventory.record([late])
        line = line_of(shop)
        assert [(seen.decision, seen.quantity) for seen in line.sightings] == [(Decision.MATCH, 3)]
        assert line.divergences == ()

    def test_count_taken_back_is_no_sighting(self) -> None:
        """What was undone was not seen."""
        shop = Shop({"berlin": {"MUG": 5}})
        shop.clock.tick(HOUR)
        outcome = shop.inventory.count("MUG", 3, at="berlin")
        shop.inventory.undo(outcome.movements[0], reason="wrong shelf")
        assert not line_of(shop).sightings

    def test_count_of_another_key_lot_or_state_is_left_out(self) -> None:
        """It says nothing of this line."""
        shop = Shop({"berlin": {"MUG": 5}, "hamburg": {"MUG": 5}})
        shop.inventory.receive("MUG", 1, at="berlin", lot="L1")
        at = shop.clock.tick(HOUR)
        others = (
            Count("TEA", 1, at="berlin", counted_at=at),
            Count("MUG", 1, at="hamburg", counted_at=at),
            Count("MUG", 1, at="berlin", lot="L1", counted_at=at),
            Count("MUG", 1, at="berlin", lot="", counted_at=at),
            Count("MUG", 1, at="berlin", covers={State.SELLABLE}, counted_at=at),
        )
        assert not line_of(shop, *others).sightings
        assert line_of(shop, Count("MUG", 6, at="berlin", counted_at=at)).sightings

    def test_report_decides_what_a_count_is(self) -> None:
        """A mismatch differs, an undecided one says nothing, the rest agreed."""
        shop = Shop({"berlin": {"MUG": 5}})
        early, late = shop.clock.tick(HOUR), shop.clock.tick(HOUR)
        counts = [
            Count("MUG", 5, at="berlin", counted_at=early),
            Count("MUG", 4, at="berlin", counted_at=early, counter="bo"),
            Count("MUG", 3, at="berlin", counted_at=late, counter="ida"),
        ]
        report = shop.inventory.reconcile(counts, sources=[Source("till", late=MINUTE)])
        line = timeline_of(shop.inventory.history("MUG", at="berlin"), counts=counts, report=report)
        assert {one.quantity: one.decision for one in line.sightings} == {
            3: Decision.UNDECIDED,
            4: Decision.MISMATCH,
            5: Decision.MATCH,
        }

    def test_count_without_a_time_needs_the_report(self) -> None:
        """It was made at the moment of the comparison, and only the report knows when."""
        shop = Shop({"berlin": {"MUG": 5}})
        count = Count("MUG", 5, at="berlin")
        with pytest.raises(InvalidArgument, match="with counted_at"):
            line_of(shop, count)
        at = shop.clock.tick(HOUR)
        report = shop.inventory.reconcile([count])
        [seen] = timeline_of(
            shop.inventory.history("MUG", at="berlin"), counts=[count], report=report
        ).sightings
        assert seen.seen_at == (at, at)

    def test_level_of_a_channel_is_no_count(self) -> None:
        """It shows another figure; only what a shelf held is drawn."""
        shop = Shop({"berlin": {"MUG": 5}})
        shop.clock.tick(HOUR)
        report = shop.inventory.reconcile([Level("etsy", "MUG", 3, at="berlin")])
        assert report.mismatches
        assert not timeline_of(shop.inventory.history("MUG", at="berlin"), report=report).sightings

    def test_count_while_trade_goes_on_may_have_seen_any_figure(self) -> None:
        """Without a report it is compared with all values the line had meanwhile."""
        shop = Shop({"berlin": {"MUG": 5}})
        since = shop.clock.tick(HOUR)
        shop.clock.tick(MINUTE)
        shop.inventory.receive("MUG", 3, at="berlin")
        until = shop.clock.tick(MINUTE)
        deltas = [
            line_of(
                shop, Count("MUG", n, at="berlin", counted_at=since, counted_until=until)
            ).sightings[0]
            for n in (4, 5, 6, 8, 9)
        ]
        assert [(one.delta, one.decision) for one in deltas] == [
            ((-4, -1), Decision.MISMATCH),
            ((-3, 0), Decision.UNDECIDED),
            ((-2, 1), Decision.MISMATCH),  # Between two values it had, and neither.
            ((0, 3), Decision.UNDECIDED),
            ((1, 4), Decision.MISMATCH),
        ]


class TestPartings:
    def counted(self, *quantities: int) -> Timeline:
        """Count five mugs every hour."""
        shop = Shop({"berlin": {"MUG": 5}})
        counts = [
            Count("MUG", n, at="berlin", counted_at=shop.clock.tick(HOUR)) for n in quantities
        ]
        return line_of(shop, *counts)

    def hours(self, line: Timeline) -> list[tuple[int, int, int]]:
        """Return after and by which hour they parted, and by how much."""
        return [
            ((one.after - START) // HOUR, (one.by - START) // HOUR, one.delta[0])
            for one in line.divergences
        ]

    def test_they_parted_between_agreement_and_difference(self) -> None:
        """The last count that agreed, and the first that did not."""
        assert self.hours(self.counted(5, 5, 3, 3)) == [(2, 3, -2)]

    def test_never_counted_before_means_since_the_beginning(self) -> None:
        """Nobody knows of an agreement, so it may be as old as the book."""
        assert self.hours(self.counted(3)) == [(0, 1, -2)]

    def test_difference_that_changes_is_another_parting(self) -> None:
        """Something else happened between the two."""
        assert self.hours(self.counted(5, 3, 2, 5, 4)) == [(1, 2, -2), (2, 3, -3), (4, 5, -1)]

    def test_agreement_is_none(self) -> None:
        """Nothing parted."""
        assert self.hours(self.counted(5, 5)) == []

    def test_book_that_followed_begins_anew(self) -> None:
        """After a recorded count the same difference is another one."""
        shop = Shop({"berlin": {"MUG": 5}})
        for quantity in (3, 1):
            shop.clock.tick(HOUR)
            shop.inventory.count("MUG", quantity, at="berlin")
        assert self.hours(line_of(shop)) == [(0, 1, -2), (1, 2, -2)]
