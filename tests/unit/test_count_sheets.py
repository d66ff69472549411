"""Count sheets: blind, recounted by others, closed once, each line at its own moment."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.shops import DAY, MINUTE, START, Shop
from tests.strategies import new_shop
from truecount import (
    CountSheet,
    DueRules,
    Inventory,
    Kind,
    MemoryStorage,
    Reason,
    ShelfCount,
    Sold,
    SQLiteStorage,
)
from truecount.errors import (
    AlreadyCounted,
    DocumentExists,
    IdempotencyConflict,
    InvalidArgument,
    InvalidTime,
    SheetClosed,
    SheetUnfinished,
    UnknownLocation,
    UnknownReference,
)


@pytest.fixture
def shop() -> Shop:
    """Return a shop with an aisle in Berlin, at ten in the morning."""
    shop = Shop({"berlin": {"MUG": 10, "TEA": 100, "CUP": 4}, "hamburg": {"MUG": 5}})
    shop.clock.tick(timedelta(hours=1))
    return shop


def opened(shop: Shop, *skus: str, **words: Any) -> CountSheet:
    """Open the sheet of the aisle."""
    return shop.inventory.counts.sheet("aisle-7", skus or ("MUG", "TEA"), at="berlin", **words)


def on_hand(shop: Shop, sku: str) -> int:
    """Return what Berlin has of a SKU."""
    shop.check()
    return shop.inventory.figures(sku, at="berlin").on_hand


class TestBlind:
    def test_no_figure_of_the_book_is_on_the_sheet(self, shop: Shop) -> None:
        """What one expects to find, one finds: there is not one whole number on it."""
        sheet = opened(shop)
        shop.inventory.counts.post("aisle-7", {"MUG": 9}, counter="kim")
        sheet = shop.inventory.counts.sheet("aisle-7")

        def numbers(value: object) -> bool:
            if isinstance(value, dict):
                value = tuple(value.values())
            if isinstance(value, (tuple, list)):
                return any(map(numbers, value))
            return type(value) is int

        assert not numbers(attrs.asdict(sheet))
        assert [line.sku for line in sheet.left] == ["MUG", "TEA"]
        assert sheet.lines[0].counted_by == ("kim",)

    def test_opening_it_again_is_refused_or_repeated(self, shop: Shop) -> None:
        """One reference, one sheet; the same key, the same call."""
        opened(shop, key="k")
        assert opened(shop, key="k").reference == "aisle-7"
        with pytest.raises(DocumentExists, match="cannot open count sheet 'aisle-7'"):
            opened(shop)

    def test_bad_sheets(self, shop: Shop) -> None:
        """Each says what is wrong with it, and nothing is opened."""
        counts = shop.inventory.counts
        with pytest.raises(InvalidArgument, match="each SKU and lot once"):
            opened(shop, "MUG", "MUG")
        with pytest.raises(InvalidArgument, match="a list of them"):
            counts.sheet("aisle-7", "MUG", at="berlin")
        with pytest.raises(InvalidArgument, match="name at="):
            counts.sheet("aisle-7", ["MUG"])
        with pytest.raises(InvalidArgument, match="one location for a sheet"):
            counts.sheet("aisle-7", counts.due(9))
        with pytest.raises(InvalidArgument, match="1 to 500"):
            counts.sheet("aisle-7", [], at="berlin")
        with pytest.raises(InvalidArgument, match="cannot use tolerance 'lax'"):
            opened(shop, tolerance="lax")
        with pytest.raises(UnknownLocation):
            counts.sheet("aisle-7", ["MUG"], at="atlantis")
        with pytest.raises(UnknownReference, match="cannot find count sheet 'aisle-7'"):
            counts.sheet("aisle-7")


class TestPosting:
    def test_within_the_tolerance_one_count_is_enough(self, shop: Shop) -> None:
        """1 % of a hundred is one; nine mugs where ten are expected are not within."""
        opened(shop, tolerance="textbook_02_1_5")
        left = shop.inventory.counts.post("aisle-7", {"MUG": 9, "TEA": 97}, counter="kim").left
        assert [line.sku for line in left] == ["MUG"]

    def test_another_counter_must_agree(self, shop: Shop) -> None:
        """Or find what the book says."""
        opened(shop, "MUG", "CUP")
        counts = shop.inventory.counts
        counts.post("aisle-7", {"MUG": 9, "CUP": 1}, counter="kim")
        counts.post("aisle-7", {"MUG": 8, "CUP": 4}, counter="sam")
        assert [line.sku for line in counts.sheet("aisle-7").left] == ["MUG"]
        assert counts.post("aisle-7", {"MUG": 9}, counter="ada").left == ()

    def test_agreement_is_about_the_shelf_not_the_number(self, shop: Shop) -> None:
        """Two were sold between nine and seven: both found one missing."""
        opened(shop, "MUG")
        counts = shop.inventory.counts
        counts.post("aisle-7", {"MUG": 9}, counter="kim")
        shop.clock.tick(MINUTE)
        shop.inventory.submit([Sold("MUG", 2, at="berlin")])
        shop.clock.tick(MINUTE)
        assert counts.post("aisle-7", {"MUG": 7}, counter="sam").left == ()
        counts.close("aisle-7", reasons={"MUG": "broken"})
        assert on_hand(shop, "MUG") == 7

    def test_the_same_counter_does_not_recount(self, shop: Shop) -> None:
        """Saying the same again is a repetition, anything else is refused."""
        opened(shop)
        counts = shop.inventory.counts
        first = counts.post("aisle-7", {"MUG": 9}, counter="kim", key="k")
        assert counts.post("aisle-7", {"MUG": 9}, counter="kim") == first
        assert counts.post("aisle-7", {"MUG": 9}, counter="kim", key="k") == first
        with pytest.raises(AlreadyCounted, match="'kim' counted it before"):
            counts.post("aisle-7", {"MUG": 8}, counter="kim")
        with pytest.raises(IdempotencyConflict):
            counts.post("aisle-7", {"MUG": 8}, counter="kim", key="k")
        assert counts.report("aisle-7").lines[0].counted == 9

    @pytest.mark.parametrize(("sku", "quantity"), [("CUP", 0), ("NEW", 3)])
    def test_zero_and_unexpected_need_a_second_look(
        self, shop: Shop, sku: str, quantity: int
    ) -> None:
        """Whatever the tolerance."""
        opened(shop, "CUP", tolerance="retail_1_3_5")
        counts = shop.inventory.counts
        left = counts.post("aisle-7", {sku: quantity}, counter="kim").left
        assert sku in {line.sku for line in left}
        left = counts.post("aisle-7", {sku: quantity}, counter="sam").left
        assert sku not in {line.sku for line in left}
        if sku == "NEW":
            line = counts.report("aisle-7").lines[-1]
            assert (line.reasons, line.missing) == (("unexpected",), "a reason")

    def test_bad_counts(self, shop: Shop) -> None:
        """None, twice the same line, from the future, of a sheet that is not there."""
        opened(shop)
        post = shop.inventory.counts.post
        for counts, said in (
            ([], "at least one"),
            ([ShelfCount("MUG", 1), ShelfCount("MUG", 2)], "each SKU and lot once"),
            (["MUG"], "ShelfCount, or a mapping"),
        ):
            with pytest.raises(InvalidArgument, match=said):
                post("aisle-7", counts, counter="kim")  # type: ignore[arg-type]  # that is the claim
        with pytest.raises(
            InvalidTime, match="counted_at of .MUG.: it is more than 5 minutes after now"
        ):
            post("aisle-7", [ShelfCount("MUG", 1, counted_at=START + DAY)], counter="kim")
        with pytest.raises(UnknownReference):
            post("aisle-8", {"MUG": 1}, counter="kim")
        assert len(shop.inventory.counts.sheet("aisle-7").left) == 2

    def test_lots_are_lines_of_their_own(self, shop: Shop) -> None:
        """A shelf of milk is counted lot by lot."""
        shop.inventory.receive("MILK", 4, at="berlin", lot="A")
        shop.inventory.receive("MILK", 3, at="berlin", lot="B")
        shop.clock.tick(MINUTE)
        counts = shop.inventory.counts
        counts.sheet("cold", [("MILK", "A"), ("MILK", "B")], at="berlin")
        both = [ShelfCount("MILK", 2, lot="A"), ShelfCount("MILK", 3, lot="B")]
        assert [line.lot for line in counts.post("cold", both, counter="kim").left] == ["A"]
        counts.post("cold", both[:1], counter="sam")
        counts.close("cold", reasons={("MILK", "A"): "spoilt"})
        assert shop.inventory.figures("MILK", lot="A").on_hand == 2


class TestClosing:
    def test_what_moved_since_survives(self, shop: Shop) -> None:
        """Counted at ten, sold at eleven, closed at noon: nine less two."""
        opened(shop, "MUG")
        counts = shop.inventory.counts
        counts.post("aisle-7", {"MUG": 9}, counter="kim")
        counts.post("aisle-7", {"MUG": 9}, counter="sam")
        shop.clock.tick(DAY)
        shop.inventory.submit([Sold("MUG", 2, at="berlin")])
        shop.inventory.receive("MUG", 50, at="berlin")
        report = counts.close("aisle-7", reasons={"MUG": "broken"})
        assert on_hand(shop, "MUG") == 57
        [line] = report.lines
        assert (line.expected, line.counted, line.variance, line.reason) == (10, 9, -1, "broken")
        assert line.is_applied
        assert report.closed_at is not None
        assert report.closed_at >= shop.clock()
        movement = shop.inventory.history("MUG", reference="aisle-7")[-1].movement
        assert (movement.kind, movement.actor, movement.reason) == (Kind.COUNT, "sam", "broken")
        assert shop.inventory.counted(movement.id).in_force

    def test_closing_twice_applies_once(self, shop: Shop) -> None:
        """Double click, double finalisation (open-msupply#12641): the second changes nothing."""
        opened(shop, "MUG")
        counts = shop.inventory.counts
        counts.post("aisle-7", {"MUG": 10}, counter="kim")
        first = counts.close("aisle-7")
        shop.inventory.submit([Sold("MUG", 1, at="berlin")])
        assert counts.close("aisle-7") == first
        assert on_hand(shop, "MUG") == 9

    def test_two_sheets_of_one_shelf_do_not_add_up(self, shop: Shop) -> None:
        """10 -> 20 -> 40 where 30 is true (odoo#10682): here the second knows the first."""
        counts = shop.inventory.counts
        for reference in ("one", "two"):
            counts.sheet(reference, ["MUG"], at="berlin")
            for counter in ("kim", "sam"):
                counts.post(reference, {"MUG": 20}, counter=counter)
        for reference in ("one", "two"):
            shop.clock.tick(MINUTE)
            counts.close(reference, reasons={"MUG": "found"})
        assert on_hand(shop, "MUG") == 20

    def test_an_unfinished_sheet_names_each_line(self, shop: Shop) -> None:
        """A count, a recount or a reason; nothing is applied."""
        opened(shop, "MUG", "TEA", "CUP")
        counts = shop.inventory.counts
        counts.post("aisle-7", {"MUG": 9, "TEA": 99}, counter="kim")
        counts.post("aisle-7", {"MUG": 9}, counter="sam")
        with pytest.raises(SheetUnfinished) as caught:
            counts.close("aisle-7")
        assert caught.value.open == (
            ("MUG", "", "a reason"),
            ("TEA", "", "a recount by another counter"),
            ("CUP", "", "a count"),
        )
        assert not counts.report("aisle-7").is_ready
        assert on_hand(shop, "MUG") == 10

    def test_partial_applies_what_is_ready(self, shop: Shop) -> None:
        """The rest is told, and left as it is."""
        opened(shop)
        counts = shop.inventory.counts
        counts.post("aisle-7", {"MUG": 10, "TEA": 90}, counter="kim")
        report = counts.close("aisle-7", partial=True)
        assert [line.is_applied for line in report.lines] == [True, False]
        assert on_hand(shop, "TEA") == 100

    def test_a_shelf_that_got_lots_since_is_counted_by_lot(self, shop: Shop) -> None:
        """A line without a lot cannot say what of them it counted; the others are applied."""
        counts = shop.inventory.counts
        shop.inventory.receive("MILK", 1, at="hamburg", lot="A")
        opened(shop, "MILK", "MUG")
        counts.post("aisle-7", {"MILK": 0, "MUG": 10}, counter="kim")
        shop.inventory.receive("MILK", 3, at="berlin", lot="A")
        with pytest.raises(SheetUnfinished) as caught:
            counts.close("aisle-7")
        needed = "the lot that was counted, one count for each: 'A'"
        assert caught.value.open == (("MILK", "", needed),)
        report = counts.close("aisle-7", partial=True)
        assert [line.is_applied for line in report.lines] == [False, True]

    def test_whoever_is_late_needs_a_new_sheet(self, shop: Shop) -> None:
        """With the moment of the count, which is then compared as if it had been in time."""
        opened(shop, "CUP")
        counts = shop.inventory.counts
        counts.post("aisle-7", {"CUP": 4}, counter="kim")
        counts.close("aisle-7")
        with pytest.raises(
            SheetClosed, match="cannot post on count sheet 'aisle-7': it was closed"
        ):
            counts.post("aisle-7", {"CUP": 3}, counter="sam")

    def test_a_late_fact_after_closing_explains_the_count(self, shop: Shop) -> None:
        """The till of the morning was offline; the count stands and knows why."""
        opened(shop, "MUG")
        counts = shop.inventory.counts
        for counter in ("kim", "sam"):
            counts.post("aisle-7", {"MUG": 8}, counter=counter)
        shop.clock.tick(DAY)
        counts.close("aisle-7", reasons={"MUG": "unknown"})
        shop.inventory.submit([Sold("MUG", 2, at="berlin", occurred_at=START + MINUTE)])
        movement = shop.inventory.history("MUG", at="berlin", reference="aisle-7")[0].movement
        assert shop.inventory.counted(movement.id).variance_now == 0
        assert on_hand(shop, "MUG") == 8

    def test_a_late_fact_before_closing_is_known_by_then(self, shop: Shop) -> None:
        """The variance is taken anew when it is applied, not copied from the posting."""
        opened(shop, "MUG")
        counts = shop.inventory.counts
        for counter in ("kim", "sam"):
            counts.post("aisle-7", {"MUG": 8}, counter=counter)
        shop.clock.tick(DAY)
        shop.inventory.submit([Sold("MUG", 2, at="berlin", occurred_at=START + MINUTE)])
        report = counts.close("aisle-7", reasons={"MUG": "unknown"})
        assert (report.lines[0].variance, report.lines[0].is_within) == (0, True)
        assert on_hand(shop, "MUG") == 8

    @pytest.mark.parametrize("back", [timedelta(), timedelta(minutes=-3)])
    def test_a_variance_nobody_has_seen_is_not_applied(self, shop: Shop, back: timedelta) -> None:
        """A till whose clock is behind sold two after the count, and dates them before it."""
        opened(shop, "MUG")
        counts = shop.inventory.counts
        counts.post("aisle-7", {"MUG": 10}, counter="kim")
        shop.clock.tick(back)
        shop.inventory.record([Sold("MUG", 2, at="berlin", key="till-1")])
        shop.clock.tick(DAY)
        with pytest.raises(SheetUnfinished) as caught:
            counts.close("aisle-7")
        changed = "a reason: what the book expected has changed"
        assert caught.value.open == (("MUG", "", changed),)
        report = counts.close("aisle-7", partial=True)
        assert not report.lines[0].is_applied
        assert on_hand(shop, "MUG") == 8

    def test_a_line_that_has_to_wait_holds_no_other_up(self, shop: Shop) -> None:
        """Every line that waits is named, and what is ready behind it is applied."""
        opened(shop, "MUG", "TEA", "CUP")
        counts = shop.inventory.counts
        counts.post("aisle-7", {"MUG": 10, "TEA": 100, "CUP": 4}, counter="kim")
        shop.inventory.record(
            [
                Sold(sku, 2, at="berlin", key=sku, occurred_at=START + MINUTE)
                for sku in ("MUG", "TEA")
            ]
        )
        shop.clock.tick(DAY)
        with pytest.raises(SheetUnfinished) as caught:
            counts.close("aisle-7")
        assert [sku for sku, *_ in caught.value.open] == ["MUG", "TEA"]
        report = counts.close("aisle-7", partial=True)
        assert [line.is_applied for line in report.lines] == [False, False, True]

    @pytest.mark.parametrize("reason", [None, "broken"])
    def test_a_count_that_is_posted_later_has_its_own_moment(
        self, shop: Shop, reason: str | None
    ) -> None:
        """Counted at ten, typed in at noon: what was sold between is not counted twice."""
        opened(shop, "MUG")
        counts, ten = shop.inventory.counts, shop.clock()
        shop.clock.tick(MINUTE)
        shop.inventory.submit([Sold("MUG", 2, at="berlin")])
        shop.clock.tick(DAY)
        found = ShelfCount("MUG", 9, counted_at=ten, reason=reason)
        for counter in ("kim", "sam"):
            counts.post("aisle-7", [found], counter=counter)
        report = counts.close("aisle-7", reasons={"MUG": "broken"})
        assert (report.lines[0].expected, report.lines[0].variance) == (10, -1)
        assert on_hand(shop, "MUG") == 7

    def test_a_count_posted_with_its_reason_is_one_of_now(self, shop: Shop) -> None:
        """Who knows why it differs need not say when."""
        opened(shop, "MUG")
        counts = shop.inventory.counts
        for counter in ("kim", "sam"):
            counts.post("aisle-7", [ShelfCount("MUG", 9, reason="broken")], counter=counter)
        [line] = counts.close("aisle-7").lines
        assert (line.variance, line.reason) == (-1, "broken")

    @pytest.mark.parametrize(
        ("kim", "sam", "applied"),
        [("broken", "theft", "theft"), ("broken", None, "broken"), (None, "theft", "theft")],
    )
    def test_the_last_reason_that_was_said_is_the_one(
        self, shop: Shop, kim: str | None, sam: str | None, applied: str
    ) -> None:
        """Unless another one is given when it is closed."""
        opened(shop, "MUG", "TEA")
        counts = shop.inventory.counts
        for counter, reason in (("kim", kim), ("sam", sam)):
            found = [ShelfCount(sku, 9, reason=reason) for sku in ("MUG", "TEA")]
            counts.post("aisle-7", found, counter=counter)
        report = counts.close("aisle-7", reasons={"TEA": "found"})
        assert [line.reason for line in report.lines] == [applied, "found"]

    def test_a_sheet_survives_an_export(self, shop: Shop) -> None:
        """It is a document like any other."""
        opened(shop, "MUG")
        shop.inventory.counts.post("aisle-7", {"MUG": 9}, counter="kim")
        file, copy = io.StringIO(), Inventory(MemoryStorage(), clock=shop.clock)
        shop.inventory.export(file)
        copy.import_lines(file.getvalue().splitlines())
        assert copy.counts.post("aisle-7", {"MUG": 9}, counter="sam").left == ()
        copy.counts.close("aisle-7", reasons={"MUG": "broken"})
        assert copy.figures("MUG", at="berlin").on_hand == 9
        assert copy.verify().ok


class TestMeasuring:
    def counted(self, shop: Shop, reference: str, counts: dict[str, int], **rules: Any) -> None:
        """Count what is due, twice, and close."""
        due = shop.inventory.counts.due(9, at="berlin", seed="x", rules=DueRules(**rules))
        shop.inventory.counts.sheet(reference, due)
        for counter in ("kim", "sam"):
            shop.inventory.counts.post(reference, counts, counter=counter)
        reasons: dict[str | tuple[str, str], str] = dict.fromkeys(counts, "unknown")
        shop.inventory.counts.close(reference, reasons=reasons)
        shop.clock.tick(MINUTE)

    def test_accuracy_of_what_was_drawn(self, shop: Shop) -> None:
        """Two of three right, and what that proves of the four records there are."""
        assert shop.inventory.counts.accuracy().certificate is None
        self.counted(shop, "monday", {"MUG": 9, "TEA": 100, "CUP": 4})
        found = shop.inventory.counts.accuracy(costs={"MUG": 2, "TEA": 1, "CUP": 3})
        assert (found.accuracy.right, found.accuracy.records, found.population) == (2, 3, 4)
        assert found.accuracy.value_abs is not None
        assert found.certificate is not None
        assert found.certificate.right_at_least == 2
        assert str(found.certificate).startswith(
            "2 of 3 counted records were right: with 95 % confidence at least 50.0 % of all 4 are"
        )
        assert shop.inventory.counts.accuracy(at="hamburg").accuracy.records == 0
        assert shop.inventory.counts.accuracy(since=shop.clock()).accuracy.records == 0

    def test_what_was_counted_for_a_reason_does_not_measure(self, shop: Shop) -> None:
        """It was wrong for certain, and would make the records look worse than they are."""
        shop.inventory.adjust("MUG", -30, at="berlin", reason="x")
        due = shop.inventory.counts.due(1, at="berlin")
        assert due[0].reasons == (Reason.NEGATIVE_BOOK,)
        shop.inventory.counts.sheet("monday", due)
        for counter in ("kim", "sam"):
            shop.inventory.counts.post("monday", {"MUG": 9}, counter=counter)
        shop.inventory.counts.close("monday", reasons={"MUG": "unknown"})
        assert shop.inventory.counts.accuracy().accuracy.records == 0

    def test_a_shelf_counted_again_is_taken_once(self, shop: Shop) -> None:
        """The last time; a sample drawn without putting back has nothing twice."""
        self.counted(shop, "monday", {"MUG": 9, "TEA": 90, "CUP": 4})
        self.counted(shop, "tuesday", {"MUG": 9, "TEA": 90, "CUP": 4})
        found = shop.inventory.counts.accuracy().accuracy
        assert (found.right, found.records) == (3, 3)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("sold"), st.integers(1, 3)),
            st.tuples(st.just("received"), st.integers(1, 3)),
            st.tuples(st.just("kim"), st.integers(-2, 2)),
            st.tuples(st.just("sam"), st.integers(-2, 2)),
        ),
        max_size=12,
    )
)
def test_the_book_ends_where_the_shelf_is(acts: list[tuple[str, int]]) -> None:
    """
    However trade and counting interleave, a closed sheet leaves the book on the true shelf.

    Each counter counts the shelf as it is, or miscounts it once; the book starts wrong by two.
    """
    shop = new_shop()
    inventory = shop.inventory
    inventory.receive("MUG", 20, at="berlin")
    truth, seen = 18, set()
    inventory.counts.sheet("s", ["MUG"], at="berlin")
    for who, number in [*acts, ("ada", 0), ("bob", 0)]:
        shop.clock.tick(MINUTE)
        if who == "sold":
            inventory.submit([Sold("MUG", number, at="berlin")])
            truth -= number
        elif who == "received":
            inventory.receive("MUG", number, at="berlin")
            truth += number
        elif who not in seen:
            seen.add(who)
            wrong = number if who in {"kim", "sam"} else 0
            inventory.counts.post("s", {"MUG": max(0, truth + wrong)}, counter=who)
    shop.clock.tick(MINUTE)
    inventory.counts.close("s", reasons={"MUG": "unknown"})
    assert inventory.figures("MUG", at="berlin").on_hand == truth
    assert inventory.verify().ok


def test_sheets_on_a_file(tmp_path: Any) -> None:
    """The same on SQLite, with a late fact of each line between posting and closing."""
    with Inventory(SQLiteStorage(tmp_path / "shop.db")) as inventory:
        inventory.locations.add("berlin")
        for sku in ("MUG", "TEA"):
            inventory.receive(sku, 10, at="berlin")
        inventory.counts.sheet("s", ["MUG", "TEA"], at="berlin")
        for counter in ("kim", "sam"):
            inventory.counts.post("s", {"MUG": 9, "TEA": 10}, counter=counter)
        report = inventory.counts.close("s", reasons={"MUG": "broken"})
        assert [line.variance for line in report.lines] == [-1, 0]
        assert inventory.verify().ok
