"""A count stands: what is recorded later about the time before it moves only the time before."""

from __future__ import annotations

from datetime import datetime, timedelta

import attrs
import pytest

from tests.shops import DAY, MINUTE, START, Shop
from truecount import (
    Adjusted,
    Counted,
    Damaged,
    FindingKind,
    Inventory,
    Kind,
    MemoryStorage,
    Policy,
    Received,
    Returned,
    Scrapped,
    Sold,
    Source,
    State,
    StockKey,
)
from truecount.errors import (
    AlreadyReversed,
    InsufficientStock,
    InvalidArgument,
    NotCorrectable,
    UnknownMovement,
    UnknownReference,
)
from truecount.ledger.anchors import ANCHOR, LAST, anchor_id
from truecount.model.operation import Operation


#: Nine o'clock is START: ten mugs. The shelf is counted at noon, and it is evening.
NOON = START + timedelta(hours=3)
TEN = START + timedelta(hours=1)
ELEVEN = START + timedelta(hours=2)
ONE = START + timedelta(hours=4)


@pytest.fixture
def shop() -> Shop:
    """Return a shop with ten mugs in Berlin, in the evening."""
    shop = Shop({"berlin": {"MUG": 10}, "hamburg": {}})
    shop.clock.tick(DAY)
    return shop


def late(shop: Shop, fact: Operation) -> Operation:
    """Record a fact that nobody had told."""
    shop.inventory.submit([fact])[0].check()
    return fact


def on_hand(shop: Shop, when: datetime | None = None) -> int:
    """Return the mugs in Berlin, now or then."""
    if when is None:
        return shop.inventory.figures("MUG", at="berlin").on_hand
    return shop.inventory.as_of("MUG", when, at="berlin").on_hand


def count(shop: Shop, quantity: int, when: datetime = NOON, **words: object) -> str:
    """Count the mugs in Berlin; return the movement's id."""
    outcome = shop.inventory.count("MUG", quantity, at="berlin", counted_at=when, **words)  # type: ignore[arg-type]  # words of a count
    return outcome.movement_id


class TestLateFacts:
    def test_on_hand_before_the_count_shows_it_and_after_it_stands(self, shop: Shop) -> None:
        """The count saw a shelf from which two had been sold; now it is known why."""
        counted = count(shop, 8)
        late(shop, Sold("MUG", 2, at="berlin", occurred_at=TEN))
        assert (on_hand(shop, START), on_hand(shop, ELEVEN), on_hand(shop, NOON)) == (10, 8, 8)
        assert on_hand(shop) == 8
        told = shop.inventory.counted(counted)
        assert (told.variance, told.variance_now, told.refolded) == (-2, 0, 2)
        assert (told.expected, told.expected_now, told.counted) == (10, 8, 8)
        shop.check()

    def test_a_count_that_agreed_stands_too(self, shop: Shop) -> None:
        """Unchanged lines anchor (frappe#32635): ten were there, whatever is said later."""
        counted = count(shop, 10)
        late(shop, Received("MUG", 42, at="berlin", occurred_at=TEN))
        assert (on_hand(shop, ELEVEN), on_hand(shop)) == (52, 10)
        told = shop.inventory.counted(counted)
        assert (told.counted, told.expected_now, told.variance_now) == (10, 52, -42)
        shop.check()

    def test_what_came_after_the_count_counts(self, shop: Shop) -> None:
        """Told late or not, it happened to the shelf that was counted."""
        count(shop, 10)
        late(shop, Sold("MUG", 2, at="berlin", occurred_at=ONE))
        late(shop, Sold("MUG", 1, at="berlin"))
        assert (on_hand(shop, NOON), on_hand(shop)) == (10, 7)
        shop.check()

    def test_a_fact_of_the_very_moment_was_counted(self, shop: Shop) -> None:
        """The book as of a moment has what occurred at it, so the count has, too."""
        count(shop, 10)
        late(shop, Sold("MUG", 2, at="berlin", occurred_at=NOON))
        assert (on_hand(shop, NOON), on_hand(shop)) == (10, 10)

    def test_a_count_may_be_the_first_that_is_heard_of_a_shelf(self, shop: Shop) -> None:
        """It stands against what occurred before it, and at its very moment."""
        shop.inventory.count("CUP", 4, at="berlin", counted_at=NOON)
        for when in (NOON, TEN):
            late(shop, Received("CUP", 3, at="berlin", occurred_at=when))
        assert shop.inventory.figures("CUP").on_hand == 4
        shop.check()

    def test_the_opposite_is_a_movement_of_its_own(self, shop: Shop) -> None:
        """Dated at the count, named in the outcome, in the history under the count's reason."""
        count(shop, 8, reason="spring count")
        [outcome] = shop.inventory.submit([Sold("MUG", 2, at="berlin", occurred_at=TEN)])
        refold = shop.inventory.movement(outcome.movements[0])
        assert (refold.kind, refold.occurred_at) == (Kind.REFOLD, NOON)
        assert [str(leg) for leg in refold.legs] == [
            "2 MUG: adjustment:spring count -> sellable@berlin"
        ]
        assert shop.inventory.movement(outcome.movement_id).kind is Kind.SOLD
        assert outcome.result["refolded"] == [["MUG", "berlin", "", 2]]

    @pytest.mark.parametrize(
        ("fact", "refolded"),
        [
            (Received("MUG", 5, at="berlin", occurred_at=TEN), -5),
            (Returned("MUG", 1, at="berlin", occurred_at=TEN), -1),
            (Scrapped("MUG", 1, at="berlin", state="sellable", reason="x", occurred_at=TEN), 1),
            (Adjusted("MUG", -3, at="berlin", reason="x", occurred_at=TEN), 3),
            (Damaged("MUG", 1, at="berlin", occurred_at=TEN), 0),
        ],
        ids=["received", "returned", "scrapped", "adjusted", "damaged"],
    )
    def test_what_the_count_covers_decides(
        self, shop: Shop, fact: Operation, refolded: int
    ) -> None:
        """A unit that only changes its state within what was counted is no news to the count."""
        counted = count(shop, 10)
        late(shop, fact)
        assert shop.inventory.counted(counted).refolded == refolded
        assert on_hand(shop) == 10
        shop.check()

    @pytest.mark.parametrize(
        ("operation", "kind"),
        [
            (Sold("MUG", 2, at="berlin", occurred_at=TEN, key="k"), Kind.SOLD),
            (Received("MUG", 5, at="berlin", occurred_at=TEN, key="k"), Kind.RECEIVE),
            (Adjusted("MUG", 3, at="berlin", reason="x", occurred_at=TEN, key="k"), Kind.ADJUST),
            (Counted("MUG", 7, at="berlin", counted_at=TEN, key="k"), Kind.COUNT),
        ],
        ids=["sold", "received", "adjusted", "counted"],
    )
    def test_movement_of_a_late_fact_is_its_own(
        self, shop: Shop, operation: Operation, kind: Kind
    ) -> None:
        """What it was refolded by stands before it; told again it is the same, and can be undone."""
        count(shop, 10)
        [outcome], [again] = shop.inventory.submit([operation]), shop.inventory.submit([operation])
        kinds = [shop.inventory.movement(id_).kind for id_ in outcome.movements]
        assert kinds == [Kind.REFOLD, kind]
        assert outcome.movement_id == again.movement_id == outcome.movements[-1]
        undone = shop.inventory.undo(outcome.movement_id, reason="typed twice")
        assert shop.inventory.movement(undone.movement_id).reverses == outcome.movement_id
        assert on_hand(shop) == 10
        shop.check()

    def test_picked_units_were_not_on_the_counted_shelf(self, shop: Shop) -> None:
        """Picked before the count, told after it: the shelf had one more than was known."""
        shop.inventory.reserve({"MUG": 4}, reference="cart")
        shop.inventory.confirm("cart")
        counted = count(shop, 10)
        shop.inventory.pick("cart", {"MUG": 1}, key="p", occurred_at=TEN)
        assert shop.inventory.counted(counted).variance_now == 1
        assert on_hand(shop) == 11
        shop.check()

    def test_another_key_has_other_counts(self, shop: Shop) -> None:
        """Neither another location nor a lot is what was counted."""
        count(shop, 10)
        late(shop, Received("MUG", 5, at="hamburg", occurred_at=TEN))
        late(shop, Received("MUG", 3, at="berlin", lot="L", occurred_at=TEN))
        assert shop.inventory.figures("MUG").on_hand == 18
        shop.inventory.count("MUG", 2, at="berlin", lot="L", counted_at=NOON)
        late(shop, Received("MUG", 9, at="berlin", lot="L", occurred_at=TEN))
        assert shop.inventory.figures("MUG", lot="L").on_hand == 2
        shop.check()

    def test_a_batch_meets_the_count_of_its_own_write(self, shop: Shop) -> None:
        """Members see what those before them did, and whatever came before in time is late."""
        shop.inventory.submit(
            [
                Counted("MUG", 9, at="berlin", counted_at=NOON),
                Sold("MUG", 2, at="berlin", occurred_at=TEN),
                Sold("MUG", 1, at="berlin", occurred_at=TEN),
                Sold("MUG", 1, at="berlin"),
            ],
            together=True,
        )
        assert (on_hand(shop, ELEVEN), on_hand(shop, NOON), on_hand(shop)) == (7, 9, 8)
        shop.check()

    def test_a_command_can_be_late_as_well(self, shop: Shop) -> None:
        """Moved before the count, told after it."""
        count(shop, 6)
        shop.inventory.relocate("MUG", 4, source="berlin", target="hamburg", occurred_at=TEN)
        assert (on_hand(shop), shop.inventory.figures("MUG", at="hamburg").on_hand) == (6, 4)
        shop.check()

    def test_a_late_command_is_refused_what_the_count_says_is_not_there(self, shop: Shop) -> None:
        """A unit put aside before a count of none would leave less than nothing to sell."""
        count(shop, 0)
        aside = Adjusted(
            "MUG",
            1,
            at="berlin",
            state=State.QUARANTINE,
            reason="found",
            refuse_below=0,
            occurred_at=TEN,
        )
        [outcome] = shop.inventory.submit([aside])
        assert isinstance(outcome.error, InsufficientStock)
        assert outcome.error.short == (("MUG", 1, 0, "at 'berlin'", "a later count stands"),)
        assert shop.inventory.figures("MUG", at="berlin").quarantine == 0
        late(shop, attrs.evolve(aside, refuse_below=None))  # As a fact it is recorded, and found.
        assert shop.inventory.figures("MUG", at="berlin").sellable == -1
        assert shop.inventory.verify().ok

    def test_a_late_command_takes_units_back_from_carts_that_ran_out(self, shop: Shop) -> None:
        """Nobody swept: the units of a hold past its time are there for the count to take."""
        count(shop, 1)
        shop.inventory.reserve({"MUG": 1}, reference="cart", ttl=MINUTE)
        shop.clock.tick(DAY)
        shop.inventory.adjust(
            "MUG",
            1,
            at="berlin",
            state=State.QUARANTINE,
            reason="found",
            refuse_below=0,
            occurred_at=TEN,
        )
        found = shop.inventory.figures("MUG", at="berlin")
        assert (found.sellable, found.held, found.quarantine) == (0, 0, 1)
        assert shop.inventory.verify().ok

    def test_a_count_from_a_fast_clock_takes_nothing_back(self, shop: Shop) -> None:
        """Dated ahead of its recording it vouches for that moment, not for sales after it."""
        count(shop, 10, START + DAY + 3 * MINUTE)
        shop.inventory.submit([Sold("MUG", 2, at="berlin")])
        assert on_hand(shop) == 8


class TestSeveralCounts:
    def test_the_next_one_after_the_fact_takes_it(self, shop: Shop) -> None:
        """The later counts have nothing left to explain."""
        first, second = count(shop, 9, TEN), count(shop, 8, NOON)
        late(shop, Sold("MUG", 1, at="berlin", occurred_at=START + MINUTE))
        refolded = [shop.inventory.counted(each).refolded for each in (first, second)]
        assert refolded == [1, 0]
        late(shop, Sold("MUG", 1, at="berlin", occurred_at=ELEVEN))
        refolded = [shop.inventory.counted(each).refolded for each in (first, second)]
        assert refolded == [1, 1]
        assert [on_hand(shop, when) for when in (TEN, ELEVEN, NOON)] == [9, 8, 8]
        shop.check()

    def test_a_count_recorded_late_is_a_late_fact(self, shop: Shop) -> None:
        """The sheet of ten o'clock turned up: the count of noon stands."""
        noon = count(shop, 8)
        count(shop, 9, TEN)
        assert (on_hand(shop, TEN), on_hand(shop)) == (9, 8)
        assert shop.inventory.counted(noon).variance_now == -1
        shop.check()

    def test_the_last_count_of_one_moment_stands(self, shop: Shop) -> None:
        """Two people counted the same shelf at the same time: the later word holds."""
        first, second = count(shop, 12), count(shop, 13)
        late(shop, Sold("MUG", 1, at="berlin", occurred_at=TEN))
        assert on_hand(shop) == 13
        shop.inventory.undo(second, reason="the wrong shelf")
        assert (on_hand(shop, NOON), on_hand(shop)) == (12, 12)
        shop.inventory.undo(first, reason="the wrong shelf as well")
        assert on_hand(shop) == 9
        shop.check()

    def test_counts_of_different_states_each_stand(self, shop: Shop) -> None:
        """What the narrow one does not see passes through it to the wide one."""
        narrow = count(shop, 10, ELEVEN, covers=frozenset({State.SELLABLE}))
        wide = count(shop, 10, NOON)
        late(shop, Returned("MUG", 2, at="berlin", occurred_at=TEN))
        refolded = [shop.inventory.counted(each).refolded for each in (narrow, wide)]
        assert refolded == [0, -2]
        assert on_hand(shop, NOON) == 10
        shop.check()

    def test_a_count_answers_for_what_it_covers_and_the_next_one_for_the_rest(
        self, shop: Shop
    ) -> None:
        """Damaged before both: the narrow count still saw ten good ones, the wide one ten."""
        narrow = count(shop, 10, ELEVEN, covers=frozenset({State.SELLABLE}))
        wide = count(shop, 10, NOON)
        late(shop, Damaged("MUG", 1, at="berlin", occurred_at=TEN))
        refolded = [shop.inventory.counted(each).refolded for each in (narrow, wide)]
        assert refolded == [1, -1]
        assert shop.inventory.as_of("MUG", ELEVEN, at="berlin").sellable == 10
        assert (on_hand(shop, ELEVEN), on_hand(shop, NOON)) == (11, 10)
        shop.check()

    def test_more_counts_than_one_page(self, shop: Shop) -> None:
        """However many counts of the key lie ahead, the next one is met."""
        ids = [count(shop, 10, TEN + number * MINUTE) for number in range(20)]
        late(shop, Sold("MUG", 2, at="berlin", occurred_at=START + MINUTE))
        assert shop.inventory.counted(ids[0]).refolded == 2
        assert sum(shop.inventory.counted(each).refolded for each in ids) == 2


class TestTakingBack:
    def test_a_late_fact_that_is_undone_leaves_no_trace_in_figures(self, shop: Shop) -> None:
        """Its undoing is as late as it was."""
        counted = count(shop, 8)
        [sale] = shop.inventory.submit([Sold("MUG", 2, at="berlin", occurred_at=TEN)])
        shop.inventory.undo(sale.movement_id, reason="told twice")
        assert (on_hand(shop, ELEVEN), on_hand(shop)) == (10, 8)
        assert shop.inventory.counted(counted).variance_now == -2
        shop.check()

    def test_a_late_fact_that_is_corrected(self, shop: Shop) -> None:
        """The net of it is late."""
        counted = count(shop, 8)
        [sale] = shop.inventory.submit([Sold("MUG", 20, at="berlin", occurred_at=TEN)])
        shop.inventory.correct(sale.movement_id, quantity=2, reason="typed 20")
        assert (on_hand(shop, ELEVEN), on_hand(shop)) == (8, 8)
        assert shop.inventory.counted(counted).variance_now == 0
        shop.check()

    def test_a_fact_the_count_knew_is_late_when_it_is_undone(self, shop: Shop) -> None:
        """Never received, says the undo; but ten were there at noon, says the count."""
        receipt = shop.inventory.receive("MUG", 5, at="berlin", occurred_at=TEN).movement_id
        counted = count(shop, 15)
        shop.inventory.undo(receipt, reason="it was tea")
        assert (on_hand(shop, ELEVEN), on_hand(shop)) == (10, 15)
        assert shop.inventory.counted(counted).variance_now == 5
        shop.check()

    @pytest.mark.parametrize("sign", [1, -1], ids=["count_first", "receipt_first"])
    def test_what_one_write_recorded_beside_a_count_is_taken_back_as_it_came(
        self, shop: Shop, sign: int
    ) -> None:
        """After the count it happened to the counted shelf, and so does its undoing."""
        members = [Counted("MUG", 8, at="berlin"), Received("MUG", 3, at="berlin")]
        outcomes = shop.inventory.submit(members[::sign])
        received = outcomes[::sign][1].movements[-1]
        shop.clock.tick(MINUTE)
        shop.inventory.correct(received, quantity=2, reason="one was broken")
        assert shop.figures()[0] == (10 if sign > 0 else 8)
        shop.inventory.undo(f"correct/{received}", reason="it was not")
        assert shop.figures()[0] == (11 if sign > 0 else 8)
        shop.inventory.undo(received, reason="somebody else's")
        assert shop.figures()[0] == 8
        shop.check()

    def test_undoing_the_count_frees_what_came_late(self, shop: Shop) -> None:
        """Then the book is what the facts say."""
        counted = count(shop, 3)
        late(shop, Sold("MUG", 2, at="berlin", occurred_at=TEN))
        shop.inventory.undo(counted, reason="the wrong shelf")
        assert (on_hand(shop, ELEVEN), on_hand(shop)) == (8, 8)
        told = shop.inventory.counted(counted)
        assert (told.in_force, told.refolded, told.variance) == (False, 0, -7)
        late(shop, Sold("MUG", 1, at="berlin", occurred_at=TEN))
        assert on_hand(shop) == 7
        shop.check()
        with pytest.raises(AlreadyReversed):
            shop.inventory.undo(counted, reason="again")

    def test_undoing_a_count_leaves_the_later_one_standing(self, shop: Shop) -> None:
        """What it explained moves to the next count."""
        first, second = count(shop, 7, TEN), count(shop, 6, NOON)
        late(shop, Sold("MUG", 2, at="berlin", occurred_at=START + MINUTE))
        shop.inventory.undo(first, reason="the wrong shelf")
        assert [on_hand(shop, when) for when in (TEN, NOON)] == [8, 6]
        assert shop.inventory.counted(second).variance_now == -2
        shop.check()

    def test_a_refold_is_not_undone_by_itself(self, shop: Shop) -> None:
        """It follows from the late fact and the count; one of them was wrong."""
        count(shop, 8)
        [sale] = shop.inventory.submit([Sold("MUG", 2, at="berlin", occurred_at=TEN)])
        with pytest.raises(NotCorrectable, match="undo the late fact, or the count"):
            shop.inventory.undo(sale.movements[0], reason="x")
        with pytest.raises(NotCorrectable, match="undo the late fact, or the count"):
            shop.inventory.correct(sale.movements[0], quantity=1, reason="x")

    def test_a_count_is_not_corrected(self, shop: Shop) -> None:
        """It is an observation: it is undone, and made again."""
        with pytest.raises(NotCorrectable, match="undo it and count again"):
            shop.inventory.correct(count(shop, 8), quantity=9, reason="typed 8")


class TestIntervals:
    def test_within_the_interval_it_is_reported_and_not_refolded(self, shop: Shop) -> None:
        """Whether the counter saw the mugs leave, nobody knows."""
        counted = count(shop, 10, counted_from=TEN)
        [sale] = shop.inventory.submit([Sold("MUG", 2, at="berlin", occurred_at=ELEVEN)])
        assert on_hand(shop) == 8
        assert shop.inventory.counted(counted).refolded == 0
        [finding] = shop.inventory.findings().open
        assert (finding.kind, finding.evidence) == (FindingKind.DURING_COUNT, sale.movements)
        assert "while it was counted" in shop.inventory.movement(sale.movement_id).notes[0]
        shop.check()

    @pytest.mark.parametrize(("when", "left"), [(TEN, 10), (START + MINUTE, 10), (ONE, 8)])
    def test_outside_of_it_nothing_is_in_doubt(self, shop: Shop, when: datetime, left: int) -> None:
        """Before it began the fact is refolded, after it ended it simply happened."""
        count(shop, 10, counted_from=TEN)
        late(shop, Sold("MUG", 2, at="berlin", occurred_at=when))
        assert on_hand(shop) == left
        assert shop.inventory.findings().open == ()

    def test_a_later_count_knew(self, shop: Shop) -> None:
        """Doubted at the first, refolded at the second."""
        first = count(shop, 10, ELEVEN, counted_from=START + MINUTE)
        second = count(shop, 10, NOON)
        late(shop, Sold("MUG", 2, at="berlin", occurred_at=TEN))
        refolded = [shop.inventory.counted(each).refolded for each in (first, second)]
        assert refolded == [0, 2]
        assert on_hand(shop) == 10
        shop.check()

    @pytest.mark.parametrize("seconds", [-3, 0, 3])
    def test_a_clock_that_may_be_off_leaves_a_fact_near_the_count_in_doubt(
        self, shop: Shop, seconds: int
    ) -> None:
        """It may have been on either side; it is told as it was said, and somebody looks."""
        shop.inventory.sources.set(Source("etsy", skew=timedelta(seconds=4)))
        count(shop, 10)
        near = NOON + timedelta(seconds=seconds)
        late(shop, Sold("MUG", 1, at="berlin", origin="etsy", occurred_at=near, key="etsy-1"))
        assert on_hand(shop) == 9
        [finding] = shop.inventory.findings().open
        assert finding.kind is FindingKind.DURING_COUNT
        assert "by a clock that may be 4 seconds off" in finding.sentence
        shop.check()

    def test_how_far_a_clock_may_be_off_is_said_to_the_second(self, shop: Shop) -> None:
        """A till that was set by hand may be off by a day and a second."""
        shop.inventory.sources.set(Source("till", skew=DAY + timedelta(seconds=1)))
        count(shop, 10)
        [sale] = shop.inventory.submit(
            [Sold("MUG", 1, at="berlin", origin="till", occurred_at=ONE, key="till-1")]
        )
        [note] = shop.inventory.movement(sale.movement_id).notes
        assert "by a clock that may be 86401 seconds off" in note

    @pytest.mark.parametrize(("seconds", "left"), [(-4, 10), (5, 9)])
    @pytest.mark.parametrize("origin", ["etsy", "till"])
    def test_further_from_the_count_than_any_clock_is_off_nothing_is_in_doubt(
        self, shop: Shop, seconds: int, left: int, origin: str
    ) -> None:
        """And who stamps exactly is taken at their word."""
        shop.inventory.sources.set(Source("etsy", skew=timedelta(seconds=4)))
        count(shop, 10)
        moment = NOON + timedelta(seconds=seconds)
        late(shop, Sold("MUG", 1, at="berlin", origin=origin, occurred_at=moment, key="etsy-1"))
        assert on_hand(shop) == left
        assert shop.inventory.findings().open == ()

    def test_what_takes_a_fact_in_doubt_back_is_in_doubt_as_well(self, shop: Shop) -> None:
        """By the clock of who told it first, whoever corrects it."""
        shop.inventory.sources.set(Source("etsy", skew=timedelta(seconds=4)))
        count(shop, 10)
        near = NOON - timedelta(seconds=1)
        fact = Sold("MUG", 1, at="berlin", origin="etsy", occurred_at=near, key="etsy-1")
        [sale] = shop.inventory.record([fact])
        corrected = shop.inventory.correct(sale.movement_id, quantity=3, reason="typed 1")
        assert on_hand(shop) == 7
        shop.inventory.undo(corrected.movement_id, reason="it was 1")
        assert on_hand(shop) == 9
        shop.inventory.undo(sale.movement_id, reason="a test order")
        assert on_hand(shop) == 10
        shop.check()

    def test_what_was_refolded_is_refolded_back_whatever_is_said_of_clocks_since(
        self, shop: Shop
    ) -> None:
        """A bound that is stated later does not change what was done."""
        count(shop, 10)
        near = NOON - timedelta(seconds=1)
        fact = Sold("MUG", 1, at="berlin", origin="etsy", occurred_at=near, key="etsy-1")
        [sale] = shop.inventory.record([fact])
        assert on_hand(shop) == 10
        shop.inventory.sources.set(Source("etsy", skew=timedelta(seconds=4)))
        shop.inventory.undo(sale.movement_id, reason="a test order")
        assert (on_hand(shop), on_hand(shop, near)) == (10, 10)
        shop.check()

    def test_a_reversed_interval_is_refused(self, shop: Shop) -> None:
        """At the door where both ends are named, under the locks where one is now."""
        with pytest.raises(InvalidArgument, match="cannot use counted_from"):
            Counted("MUG", 1, at="berlin", counted_at=TEN, counted_from=NOON)
        with pytest.raises(InvalidArgument, match="a moment before now"):
            shop.inventory.count("MUG", 1, at="berlin", counted_from=START + 2 * DAY)


class TestPolicy:
    def test_report_lets_the_fact_through_and_says_so(self, shop: Shop) -> None:
        """For shops that would rather look into each case."""
        shop.inventory.policies.set(Policy(late="report"), sku="MUG")
        counted = count(shop, 8)
        late(shop, Sold("MUG", 2, at="berlin", occurred_at=TEN))
        assert on_hand(shop) == 6
        assert shop.inventory.counted(counted).refolded == 0
        [finding] = shop.inventory.findings().open
        assert finding.kind is FindingKind.BEFORE_COUNT
        assert finding.advice.startswith("The count did not know of it")

    def test_no_other_word_is_taken(self) -> None:
        """A policy that is misspelt would be none at all."""
        with pytest.raises(InvalidArgument, match="cannot use late 'forget': expected 'refold'"):
            Policy(late="forget")


class TestAsking:
    def test_what_is_no_count_cannot_be_asked_as_one(self, shop: Shop) -> None:
        """Nor what is not there."""
        with pytest.raises(UnknownMovement):
            shop.inventory.counted("nothing")
        [first] = shop.inventory.feed(limit=1)
        made = shop.inventory.assemble("GIFT", 1, components={"MUG": 2}, at="berlin")
        for id_ in (first.id, made.movement_id):
            with pytest.raises(UnknownReference, match="cannot find count"):
                shop.inventory.counted(id_)

    def test_anchors_sort_as_moments_and_versions_do(self) -> None:
        """What comes after a moment is above all of its versions, whatever numbers they have."""
        key = StockKey("MUG", "berlin")
        versions = (0, 1, 9, 10, 250, 2**63 - 1, LAST)
        moments = (-(2**63), -1, 0, 5, 2**63 - 1)
        ids = [anchor_id(key, at, version) for at in moments for version in versions]
        assert ids == sorted(ids)
        assert len(set(map(len, ids))) == 1

    def test_an_anchor_that_vanished_or_changed_is_found(self, shop: Shop) -> None:
        """Verification compares it with its count and with what was refolded there."""
        count(shop, 8)
        late(shop, Sold("MUG", 2, at="berlin", occurred_at=TEN))
        storage = shop.inventory.storage
        assert isinstance(storage, MemoryStorage)
        anchors = storage._tenants["main"].records[ANCHOR]
        [(id_, record)] = anchors.items()
        anchors[id_] = record._replace(body=record.body.replace('"gained":2', '"gained":3'))
        [problem] = shop.inventory.verify().problems
        assert "'gained': 2" in problem.expected
        anchors[id_] = record._replace(id=id_.replace("MUG", "TEA"))
        assert shop.inventory.verify().problems[0].expected.startswith("a count of 2026-03-02T12")
        del anchors[id_]
        problem = shop.inventory.verify().problems[0]
        assert problem.expected.startswith("its document anchor")

    def test_a_copy_of_the_ledger_counts_on(self, shop: Shop) -> None:
        """Anchors travel with an export: a late fact meets the count in the copy, too."""
        import io

        counted = count(shop, 8)
        late(shop, Sold("MUG", 2, at="berlin", occurred_at=TEN))
        file, copy = io.StringIO(), Inventory(MemoryStorage(), clock=shop.clock)
        shop.inventory.export(file)
        copy.import_lines(file.getvalue().splitlines())
        assert copy.counted(counted) == shop.inventory.counted(counted)
        copy.submit([Sold("MUG", 1, at="berlin", occurred_at=TEN)])
        assert copy.figures("MUG").on_hand == 8
        assert copy.counted(counted).refolded == 3
        assert copy.verify().ok
