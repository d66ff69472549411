"""Clocks, pasts and lists: when things happened, what was known when, and reading it back."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.shops import DAY, MINUTE, START, Shop
from truecount import (
    Adjusted,
    Inventory,
    Kind,
    Opened,
    Outcome,
    Policy,
    Received,
    Relocate,
    Returned,
    Sold,
    StockKey,
)
from truecount.errors import (
    InsufficientStock,
    InvalidArgument,
    InvalidQuantity,
    InvalidTime,
    TrueCountError,
    UnknownLocation,
    UnknownMovement,
    UnknownSku,
)
from truecount.model.quantities import QUANTITY_MAX


@pytest.fixture
def shop() -> Shop:
    """Return a shop with ten mugs in Berlin."""
    return Shop({"berlin": {"MUG": 10}, "hamburg": {}})


def record(shop: Shop, *operations: Any) -> list[Outcome]:
    """Run operations in one batch and prove that everything still agrees."""
    outcomes = shop.inventory.submit(operations)
    shop.check()
    return outcomes


class TestClocks:
    @pytest.mark.parametrize("ahead", [timedelta(minutes=5), timedelta(0), -DAY])
    def test_a_little_ahead_is_believed(self, shop: Shop, ahead: timedelta) -> None:
        """Clocks differ by minutes; what happened keeps its time."""
        shop.clock.tick(DAY)
        then = shop.clock.now + ahead
        (outcome,) = record(
            shop, Relocate("MUG", 1, source="berlin", target="hamburg", occurred_at=then)
        )
        assert shop.inventory.movement(outcome.movement_id).occurred_at == then

    def test_a_command_from_the_future_is_refused(self, shop: Shop) -> None:
        """Somebody's clock is wrong, and nothing has happened yet."""
        then = START + timedelta(minutes=6)
        with pytest.raises(InvalidTime, match="more than 5 minutes after now"):
            shop.inventory.relocate("MUG", 1, source="berlin", target="hamburg", occurred_at=then)

    def test_a_fact_from_the_future_happened_now(self, shop: Shop) -> None:
        """With a note of what was said, whatever year it was."""
        last = datetime.max.replace(tzinfo=START.tzinfo)
        (outcome,) = record(shop, Sold("MUG", 1, at="berlin", occurred_at=last))
        movement = shop.inventory.movement(outcome.movement_id)
        assert movement.occurred_at == movement.recorded_at
        assert movement.notes == (
            "future_time: said to have occurred at 9999-12-31T23:59:59.999999+00:00",
        )

    def test_the_distant_past_is_a_time(self, shop: Shop) -> None:
        """Opening stock of the year 1 is in the book as of then."""
        first = datetime.min.replace(tzinfo=START.tzinfo)
        record(shop, Opened("MUG", 5, at="berlin", occurred_at=first))
        assert shop.inventory.as_of("MUG", first).on_hand == 5

    def test_a_clock_set_back_does_not_turn_the_book_back(self, shop: Shop) -> None:
        """What was recorded later was recorded later, on every key."""
        for minutes in (10, -30, 5, -60):
            shop.clock.tick(minutes * MINUTE)
            record(shop, Received("MUG", 1, at="berlin"))
        times = [entry.movement.recorded_at for entry in shop.inventory.history("MUG")]
        assert times == sorted(set(times))
        assert len(times) == 5


class TestAsOf:
    @pytest.fixture
    def late(self, shop: Shop) -> Shop:
        """Tell on day three what happened on day one, and on day four about day two."""
        for day, operation in (
            (1, Sold("MUG", 1, at="berlin", occurred_at=START + 1 * DAY)),
            (3, Sold("MUG", 3, at="berlin", occurred_at=START + 1.5 * DAY)),
            (4, Received("MUG", 20, at="berlin", occurred_at=START + 2 * DAY)),
        ):
            shop.clock.tick(START + day * DAY - shop.clock.now)
            record(shop, operation)
        return shop

    @pytest.mark.parametrize(
        ("day", "on_hand"), [(-1, 0), (0, 10), (1, 9), (1.4, 9), (1.5, 6), (2, 26), (99, 26)]
    )
    def test_by_time_late_reports_count(self, late: Shop, day: float, on_hand: int) -> None:
        """What happened until then, whenever it was told; of the very instant, too."""
        assert late.inventory.as_of("MUG", START + day * DAY).on_hand == on_hand

    @pytest.mark.parametrize(("known", "on_hand"), [(0.5, 10), (2, 9), (3.5, 6), (5, 26)])
    def test_by_what_was_known(self, late: Shop, known: float, on_hand: int) -> None:
        """What we knew then about day two."""
        found = late.inventory.as_of("MUG", START + 2 * DAY, known_at=START + known * DAY)
        assert found.on_hand == on_hand

    @pytest.mark.parametrize(("version", "on_hand"), [(0, 0), (1, 10), (2, 9), (3, 6), (4, 26)])
    def test_by_version_in_the_order_of_the_book(
        self, late: Shop, version: int, on_hand: int
    ) -> None:
        """One key, one number for each entry."""
        found = late.inventory.as_of("MUG", version=version, at="berlin")
        assert found.on_hand == on_hand

    def test_by_position_of_the_whole_ledger(self, shop: Shop) -> None:
        """A state of all keys that existed."""
        record(shop, Received("TEA", 1, at="hamburg"), Received("MUG", 1, at="hamburg"))
        assert [shop.inventory.as_of("MUG", position=n).on_hand for n in range(4)] == [
            0,
            10,
            10,
            11,
        ]

    def test_nothing_told_later_changes_an_answer(self, late: Shop) -> None:
        """What was known is known for ever (I14)."""
        known = late.clock.now
        questions = [(START + n * DAY / 2, known) for n in range(-1, 9)]
        before = [late.inventory.as_of("MUG", t, known_at=k) for t, k in questions]
        late.clock.tick(DAY)
        for days in (0.5, 1, 3):
            record(late, Sold("MUG", 1, at="berlin", occurred_at=START + days * DAY))
        assert [late.inventory.as_of("MUG", t, known_at=k) for t, k in questions] == before

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ({}, "exactly one of"),
            ({"time": START, "version": 1}, "exactly one of"),
            ({"version": 1, "position": 1}, "exactly one of"),
            ({"version": 1, "known_at": START}, "a time= to ask about"),
            ({"version": 9, "at": "berlin"}, "at most 1, the newest"),
            ({"position": 99}, "at most the newest"),
        ],
    )
    def test_a_question_without_an_answer_is_refused(
        self, shop: Shop, words: dict[str, Any], message: str
    ) -> None:
        """A version yet to come would have another answer later."""
        with pytest.raises(InvalidArgument, match=message):
            shop.inventory.as_of("MUG", **words)

    @pytest.mark.parametrize(
        "words", [{"version": -1, "at": "berlin"}, {"position": True}, {"version": 1.0}], ids=repr
    )
    def test_numbers_are_whole(self, shop: Shop, words: dict[str, Any]) -> None:
        """Neither negative, nor true, nor rounded."""
        with pytest.raises(InvalidQuantity):
            shop.inventory.as_of("MUG", **words)

    def test_a_version_is_of_one_key(self, shop: Shop) -> None:
        """Two locations count their entries apart."""
        record(shop, Received("MUG", 1, at="hamburg"))
        with pytest.raises(InvalidArgument, match="name at= and lot="):
            shop.inventory.as_of("MUG", version=1)
        assert shop.inventory.as_of("MUG", version=1, at="hamburg").on_hand == 1

    def test_naive_times_are_refused(self, shop: Shop) -> None:
        """Both of them."""
        naive = START.replace(tzinfo=None)
        with pytest.raises(InvalidTime, match="as time"):
            shop.inventory.as_of("MUG", naive)
        with pytest.raises(InvalidTime, match="as known_at"):
            shop.inventory.as_of("MUG", START, known_at=naive)


class TestReading:
    def test_history_is_in_the_order_of_the_ledger(self, shop: Shop) -> None:
        """Also within one batch, over locations."""
        record(
            shop,
            Received("MUG", 1, at="hamburg"),
            Sold("MUG", 2, at="berlin"),
            Relocate("MUG", 3, source="berlin", target="hamburg"),
            Sold("MUG", 4, at="hamburg"),
        )
        entries = shop.inventory.history("MUG")
        assert [(e.movement.kind, e.key.location) for e in entries] == [
            (Kind.RECEIVE, "berlin"),
            (Kind.RECEIVE, "hamburg"),
            (Kind.SOLD, "berlin"),
            (Kind.RELOCATE, "berlin"),
            (Kind.RELOCATE, "hamburg"),
            (Kind.SOLD, "hamburg"),
        ]
        assert [e.movement.position for e in entries] == [1, 2, 3, 4, 4, 5]

    @pytest.mark.parametrize("last", range(8))
    def test_the_newest_are_the_end_of_it_all(self, shop: Shop, last: int) -> None:
        """Cut within a batch or between two."""
        record(shop, Received("MUG", 1, at="hamburg"), Sold("MUG", 2, at="berlin"))
        record(shop, Relocate("MUG", 3, source="berlin", target="hamburg"))
        everything = shop.inventory.history("MUG", last=None)
        assert len(everything) == 5
        newest = everything[-last:] if last else []
        assert shop.inventory.history("MUG", last=last) == newest
        assert shop.inventory.history(reference="none", last=last) == []

    def test_history_of_a_reference_and_of_a_location(self, shop: Shop) -> None:
        """Filters can be combined."""
        record(
            shop,
            Sold("MUG", 1, at="berlin", reference="a"),
            Received("TEA", 1, at="berlin", reference="a"),
            Received("TEA", 1, at="hamburg", reference="b"),
        )
        keys = [entry.key for entry in shop.inventory.history(reference="a")]
        assert keys == [StockKey("MUG", "berlin"), StockKey("TEA", "berlin")]
        assert len(shop.inventory.history("TEA", reference="a")) == 1
        assert len(shop.inventory.history(at="hamburg")) == 1
        assert shop.inventory.history("CUP") == []

    def test_running_figures_are_those_after_each_entry(self, shop: Shop) -> None:
        """And the change between them."""
        record(shop, Sold("MUG", 3, at="berlin"), Returned("MUG", 1, at="berlin"))
        assert [
            (entry.change.sellable, entry.change.quarantine, entry.after.on_hand)
            for entry in shop.inventory.history("MUG")
        ] == [(10, 0, 10), (-3, 0, 7), (0, 1, 8)]

    @pytest.mark.parametrize("words", [{}, {"last": 3}])
    def test_history_of_nothing_is_refused(self, shop: Shop, words: dict[str, Any]) -> None:
        """All of it is the feed."""
        with pytest.raises(InvalidArgument, match="of nothing"):
            shop.inventory.history(**words)

    @pytest.mark.parametrize("last", [-1, True, 1.0, "3"])
    def test_how_many_is_a_number(self, shop: Shop, last: Any) -> None:
        """Of entries there are none, or some."""
        with pytest.raises(InvalidQuantity, match="use last"):
            shop.inventory.history("MUG", last=last)

    def test_the_feed_has_every_movement_once(self, shop: Shop) -> None:
        """By position, page by page, without a gap (I15)."""
        record(shop, *(Received("MUG", 1, at="hamburg") for _ in range(6)))
        seen, after = [], 0
        while page := shop.inventory.feed(after, 2):
            seen += page
            after = page[-1].position or 0
        assert [movement.position for movement in seen] == list(range(1, 8))
        assert len({movement.id for movement in seen}) == 7

    def test_an_unknown_movement_is_unknown(self, shop: Shop) -> None:
        """It says which."""
        with pytest.raises(UnknownMovement, match="'no such'"):
            shop.inventory.movement("no such")

    def test_a_sku_that_never_moved_has_nothing(self, shop: Shop) -> None:
        """Now and ever."""
        assert shop.inventory.figures("CUP").to_dict() == dict.fromkeys(
            shop.inventory.figures("MUG").to_dict(), 0
        )
        assert shop.inventory.as_of("CUP", START).on_hand == 0


class TestLimits:
    """Figures are int64, in every storage."""

    def test_a_figure_that_would_overflow_is_refused_and_nothing_changes(self, shop: Shop) -> None:
        """Facts are facts, but this one cannot be written down."""
        before = shop.inventory.stock(), shop.inventory.feed()
        with pytest.raises(InvalidQuantity, match="figures within"):
            shop.inventory.receive("MUG", QUANTITY_MAX, at="berlin")
        assert (shop.inventory.stock(), shop.inventory.feed()) == before
        shop.inventory.receive("MUG", QUANTITY_MAX - 10, at="berlin")
        assert shop.inventory.available("MUG") == QUANTITY_MAX
        shop.check()

    def test_downwards_too(self, shop: Shop) -> None:
        """There is a lowest figure."""
        record(shop, Sold("CUP", QUANTITY_MAX, at="berlin"))
        with pytest.raises(InvalidQuantity, match="figures within"):
            shop.inventory.submit([Sold("CUP", 1, at="berlin")])[0].check()

    def test_a_change_from_the_lowest_to_the_highest_is_refused(self, shop: Shop) -> None:
        """The figure would fit, the way to it would not."""
        record(shop, Sold("CUP", QUANTITY_MAX, at="berlin"))
        with pytest.raises(InvalidQuantity):
            shop.inventory.count("CUP", QUANTITY_MAX, at="berlin")
        assert shop.inventory.figures("CUP").sellable == -QUANTITY_MAX
        shop.check()

    def test_figures_of_many_keys_are_added_up_all_the_same(self, shop: Shop) -> None:
        """Each location is within int64; together they may be beyond."""
        for at in ("berlin", "hamburg"):
            shop.inventory.receive("CUP", QUANTITY_MAX, at=at)
        assert shop.inventory.available("CUP") == 2 * QUANTITY_MAX
        assert shop.inventory.as_of("CUP", START + DAY).on_hand == 2 * QUANTITY_MAX


class TestPolicies:
    @pytest.mark.parametrize(
        ("policy", "scope", "granted", "rule"),
        [
            (Policy(), {}, 10, "backorder_limit=0"),
            (Policy(safety_stock=4), {}, 6, "safety_stock=4"),
            (Policy(backorder_limit=3), {}, 13, "backorder_limit=3"),
            (Policy(safety_stock=4), {"location": "berlin"}, 6, "safety_stock=4"),
            (Policy(safety_stock=4), {"location": "hamburg"}, 10, "backorder_limit=0"),
            (Policy(safety_stock=4), {"sku": "MUG"}, 6, "safety_stock=4"),
            (Policy(safety_stock=4), {"sku": "TEA"}, 10, "backorder_limit=0"),
        ],
    )
    def test_the_floor_is_the_policys(
        self, shop: Shop, policy: Policy, scope: dict[str, str], granted: int, rule: str
    ) -> None:
        """One more than it allows is refused, and the refusal names the rule."""
        shop.inventory.policies.set(policy, **scope)
        with pytest.raises(InsufficientStock) as caught:
            shop.inventory.reserve({"MUG": granted + 1}, reference="c", at="berlin")
        assert caught.value.short == (("MUG", granted + 1, granted, "at 'berlin'", rule),)
        shop.inventory.reserve({"MUG": granted}, reference="c", at="berlin")
        shop.check()

    def test_the_nearest_policy_wins(self, shop: Shop) -> None:
        """The SKU's over the location's over everything's, field by field."""
        shop.inventory.policies.set(Policy(safety_stock=9, reorder_point=2))
        shop.inventory.policies.set(Policy(safety_stock=5), location="berlin")
        shop.inventory.policies.set(Policy(safety_stock=1), sku="MUG")
        assert shop.inventory.policies.of("MUG", location="berlin").safety_stock == 1
        assert shop.inventory.policies.of("TEA", location="berlin").safety_stock == 5
        assert shop.inventory.policies.of("TEA", location="hamburg").safety_stock == 9
        assert shop.inventory.policies.of("MUG", location="berlin").reorder_point == 2

    def test_a_policy_stops_promises_not_facts(self, shop: Shop) -> None:
        """The till sold what was kept back."""
        shop.inventory.policies.set(Policy(safety_stock=10))
        record(shop, Sold("MUG", 3, at="berlin"))
        assert shop.figures()[0] == 7

    def test_a_policy_holds_from_the_next_command_on(self, shop: Shop) -> None:
        """Also in another process over the same storage."""
        other = Inventory(shop.inventory.storage, clock=shop.clock, new_id=lambda: "other")
        other.available("MUG")
        shop.inventory.policies.set(Policy(safety_stock=9))
        with pytest.raises(InsufficientStock, match="safety_stock=9"):
            other.reserve({"MUG": 2}, reference="c")

    def test_a_lot_never_goes_below_zero_for_a_command(self, shop: Shop) -> None:
        """A backorder is a promise of no lot."""
        shop.inventory.policies.set(Policy(backorder_limit=5))
        shop.inventory.receive("MILK", 2, at="berlin", lot="A")
        with pytest.raises(InsufficientStock):
            shop.inventory.reserve({"MILK": 3}, reference="c", at="berlin", lot="A")
        shop.inventory.reserve({"MILK": 7}, reference="c", at="berlin")
        assert shop.inventory.figures("MILK", lot="A").sellable == 0
        assert shop.inventory.figures("MILK", lot="").sellable == -5
        shop.check()


class TestBatches:
    def test_a_refused_member_does_not_disturb_its_neighbours(self, shop: Shop) -> None:
        """Each has its own outcome."""
        outcomes = record(
            shop,
            Relocate("MUG", 6, source="berlin", target="hamburg"),
            Relocate("MUG", 6, source="berlin", target="hamburg"),
            Relocate("CUP", 1, source="berlin", target="hamburg"),
            Received("MUG", 1, at="nowhere"),
            Relocate("MUG", 4, source="berlin", target="hamburg"),
        )
        assert [type(each.error) for each in outcomes] == [
            type(None),
            InsufficientStock,
            UnknownSku,
            UnknownLocation,
            type(None),
        ]
        assert shop.figures(at="hamburg")[0] == 10

    @pytest.mark.parametrize(
        "bad",
        [
            Relocate("MUG", 99, source="berlin", target="hamburg"),
            Received("MUG", 1, at="nowhere"),
            Received("MUG", QUANTITY_MAX, at="berlin"),
            Adjusted("MUG", -99, at="berlin", reason="x", refuse_below=0),
        ],
        ids=repr,
    )
    def test_together_is_all_or_nothing(self, shop: Shop, bad: Any) -> None:
        """The first error is raised, saying whose it is, and nothing is written."""
        before = shop.inventory.feed()
        with pytest.raises(TrueCountError) as caught:
            shop.inventory.submit([Sold("MUG", 1, at="berlin"), bad], together=True)
        assert caught.value.__notes__ == ["request 2 of 2"]
        assert shop.inventory.feed() == before
        assert shop.figures()[0] == 10

    def test_a_preview_shows_before_and_after_and_writes_nothing(self, shop: Shop) -> None:
        """Each member sees what the earlier ones would have done."""
        first, second = shop.inventory.submit(
            [Sold("MUG", 3, at="berlin", key="a"), Sold("MUG", 4, at="berlin", key="b")],
            preview=True,
        )
        shown = [
            (before.sellable, after.sellable)
            for outcome in (first, second)
            for before, after in (outcome.changes or {}).values()
        ]
        assert shown == [(10, 7), (7, 3)]
        assert shop.figures()[0] == 10
        assert not shop.inventory.submit([Sold("MUG", 3, at="berlin", key="a")])[0].replayed
