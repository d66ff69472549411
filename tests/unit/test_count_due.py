"""What is due, and why: each reason, the order, the budget, and a lot that is fair."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.shops import DAY, MINUTE, Shop
from truecount import Due, DueRules, Economics, Reason, Sold, StockKey
from truecount.counting.due import (
    ShelfFacts,
    due,
    movements_until,
    reasons_of,
    still_right,
)
from truecount.errors import InvalidArgument, InvalidQuantity, InvalidTime, UnknownLocation
from truecount.model.instants import Instant, microseconds


NOW: Instant = microseconds(400 * DAY)


def shelf(sku: str = "MUG", **words: Any) -> ShelfFacts:
    """Return a shelf that nothing is wrong with, counted a minute ago, but for *words*."""
    plain: dict[str, Any] = {
        "key": StockKey(sku, "berlin"),
        "on_hand": 9,
        "incoming": 0,
        "since": NOW - microseconds(MINUTE),
        "movements": 1,
    }
    return ShelfFacts(**plain | words)


class TestReasons:
    @pytest.mark.parametrize(
        ("words", "reason"),
        [
            ({"on_hand": -1}, Reason.NEGATIVE_BOOK),
            ({"sold_at_zero": 1}, Reason.SOLD_AT_ZERO),
            ({"short_picks": 2}, Reason.SHORT_PICK),
            ({"movements": 50}, Reason.MANY_MOVEMENTS),
            ({"since": NOW - microseconds(30 * DAY)}, Reason.INTERVAL),
            ({"on_hand": 2, "incoming": 5}, Reason.LOW_POINT),
        ],
    )
    def test_each_has_its_own(self, words: dict[str, Any], reason: Reason) -> None:
        """And none without it."""
        rules = DueRules(classes={"MUG": "A"})
        assert reasons_of(shelf(**words), rules, NOW) == (reason,)
        assert reasons_of(shelf(), rules, NOW) == ()

    @pytest.mark.parametrize(
        ("words", "is_quick"),
        [
            ({"on_hand": 2, "incoming": 1, "movements": 1}, True),
            ({"on_hand": 3, "incoming": 1, "movements": 1}, False),
            ({"on_hand": 2, "incoming": 0, "movements": 1}, False),
            ({"on_hand": 2, "incoming": 1, "movements": 0}, False),
        ],
        ids=["few, and more to come", "one more", "nothing to come", "counted and not moved since"],
    )
    def test_a_low_point_is_few_left_and_moved_and_more_to_come(
        self, words: dict[str, Any], *, is_quick: bool
    ) -> None:
        """A count is quick then, and the one before it may be wrong by now."""
        assert reasons_of(shelf(**words), DueRules(), NOW) == (Reason.LOW_POINT,) * is_quick

    @pytest.mark.parametrize(
        ("classes", "days"),
        [({"MUG": "A"}, 30), ({"MUG": "B"}, 91), ({"MUG": "C"}, 365), ({"TEA": "A"}, 365)],
        ids=["A", "B", "C", "not named"],
    )
    def test_each_class_has_its_interval(self, classes: dict[str, str], days: int) -> None:
        """Due on the day, not a microsecond before; who is in no class is C."""
        rules, since = DueRules(classes=classes), NOW - microseconds(days * DAY)
        assert reasons_of(shelf(since=since + 1), rules, NOW) == ()
        assert reasons_of(shelf(since=since), rules, NOW) == (Reason.INTERVAL,)

    def test_economics_are_due_to_the_microsecond(self) -> None:
        """C = 2, h = 1/4, w = 1: every four days."""
        costs = Economics(count=2, errors_per_day=Fraction(1, 4), error_per_day=1)
        rules, since = DueRules(economics={"MUG": costs}), NOW - microseconds(4 * DAY)
        assert reasons_of(shelf(since=since + 1), rules, NOW) == ()
        assert reasons_of(shelf(since=since), rules, NOW) == (Reason.ECONOMICS,)

    @pytest.mark.parametrize(("days", "is_due"), [(10, False), (11, True)])
    def test_economics_say_when(self, days: int, is_due: bool) -> None:  # noqa: FBT001 -- a case
        """C = 3, h = 1 %, w = 5: every 10.9545 days, at 0.547723 a day."""
        costs = Economics(count=3, errors_per_day=Fraction(1, 100), error_per_day=5)
        assert round(costs.interval / DAY, 4) == 10.9545
        assert round(costs.cost_per_day, 6) == 0.547723
        rules = DueRules(economics={"MUG": costs})
        found = reasons_of(shelf(since=NOW - microseconds(days * DAY)), rules, NOW)
        assert found == ((Reason.ECONOMICS,) if is_due else ())

    def test_records_wear_out(self) -> None:
        """P(right) = (1 - p)^n."""
        assert round(float(still_right(0.005, 50)), 6) == 0.778313
        assert round(float(still_right(0.005, 100)), 6) == 0.605770
        assert movements_until(0.005, 0.75) == 58
        assert still_right(0.005, 58) < Fraction(3, 4) <= still_right(0.005, 57)

    def test_rules_are_checked_at_the_door(self) -> None:
        """Costs are exact and positive, classes are A, B and C, each has an interval."""
        with pytest.raises(InvalidArgument, match="cannot use cost 0.5"):
            Economics(count=0.5, errors_per_day=1, error_per_day=1)  # type: ignore[arg-type]  # that is the claim
        with pytest.raises(InvalidArgument, match="class of MUG"):
            DueRules(classes={"MUG": "D"})
        with pytest.raises(InvalidArgument, match="one for each of A, B, C"):
            DueRules(intervals={"A": DAY})
        with pytest.raises(InvalidTime):
            DueRules(intervals={"A": -DAY, "B": DAY, "C": DAY})
        with pytest.raises(InvalidArgument, match="random_share"):
            DueRules(random_share=2)
        with pytest.raises(InvalidQuantity, match="budget"):
            due([shelf()], DueRules(), budget=0, seed="x", now=NOW)


#: A shop of a hundred shelves, thirty of them wrong for certain.
HUNDRED = [shelf(f"S{number:02}", on_hand=-1 if number < 30 else 9) for number in range(100)]


class TestBudget:
    def test_the_most_urgent_come_first(self) -> None:
        """In the order of the table; who was not counted for longest before the others."""
        shelves = [
            shelf("A", short_picks=1),
            shelf("B", on_hand=-1),
            shelf("C", short_picks=1, since=NOW - microseconds(DAY)),
            shelf("D"),
        ]
        found = due(shelves, DueRules(), budget=3, seed="monday", now=NOW)
        assert [each.sku for each in found] == ["B", "C", "A"]

    def test_a_fifth_is_drawn(self) -> None:
        """From all shelves, however many are wrong for certain."""
        found = due(HUNDRED, DueRules(), budget=20, seed="monday", now=NOW)
        assert len(found) == 20
        assert sum(each.is_random for each in found) == 4
        assert found == due(reversed(HUNDRED), DueRules(), budget=20, seed="monday", now=NOW)
        assert found != due(HUNDRED, DueRules(), budget=20, seed="tuesday", now=NOW)

    def test_what_nothing_claims_is_drawn_as_well(self) -> None:
        """A quiet day measures more."""
        found = due(HUNDRED[30:], DueRules(), budget=20, seed="monday", now=NOW)
        assert all(each.reasons == (Reason.RANDOM,) for each in found)

    def test_the_lot_falls_on_claimed_shelves_too(self) -> None:
        """
        Those drawn are as often wrong as all are, whatever the reasons claim.

        Over 400 days, with a budget that leaves room: 30 % of the drawn ones, where a lot among
        the unclaimed alone would have had none.
        """
        drawn: list[Due] = []
        for day in range(400):
            found = due(HUNDRED, DueRules(), budget=50, seed=f"day-{day}", now=NOW)
            drawn += [each for each in found if each.is_random]
        wrong = sum(Reason.NEGATIVE_BOOK in each.reasons for each in drawn)
        assert 0.27 < wrong / len(drawn) < 0.33

    @given(
        st.lists(st.tuples(st.integers(-1, 3), st.integers(0, 80)), max_size=15),
        st.integers(1, 20),
        st.text(max_size=3),
    )
    def test_never_more_than_the_budget_and_nothing_twice(
        self, drawn: list[tuple[int, int]], budget: int, seed: str
    ) -> None:
        """And every place is used while there are shelves, the certain ones first."""
        shelves = [
            shelf(f"S{number}", on_hand=on_hand, movements=movements)
            for number, (on_hand, movements) in enumerate(drawn)
        ]
        found = due(shelves, DueRules(), budget=budget, seed=seed, now=NOW)
        assert len({each.sku for each in found}) == len(found) == min(budget, len(shelves))
        assert all(each.reasons for each in found)
        taken = {each.sku for each in found}
        left = {each.key.sku: each for each in shelves if each.key.sku not in taken}
        certain = [each for each in left.values() if each.on_hand < 0]
        if certain:
            chosen = [each for each in found if not each.is_random]
            assert all(Reason.NEGATIVE_BOOK in each.reasons for each in chosen)


class TestFromTheBook:
    @pytest.fixture
    def shop(self) -> Shop:
        """Return a shop with a few shelves."""
        return Shop({"berlin": {"MUG": 3, "TEA": 5, "CUP": 4}, "hamburg": {"MUG": 2}})

    def reasons(self, shop: Shop, sku: str, at: str = "berlin") -> list[str]:
        """Return why a shelf is due, the lot left out."""
        for each in shop.inventory.counts.due(99, seed="x"):
            if (each.sku, each.at) == (sku, at):
                return [reason.value for reason in each.reasons if reason is not Reason.RANDOM]
        raise AssertionError

    def test_a_sale_beyond_the_book(self, shop: Shop) -> None:
        """It is negative now, and was sold at zero for ever, until it is counted."""
        shop.inventory.submit([Sold("MUG", 5, at="berlin")])
        assert self.reasons(shop, "MUG") == ["negative_book", "sold_at_zero"]
        shop.inventory.receive("MUG", 9, at="berlin")
        assert self.reasons(shop, "MUG") == ["sold_at_zero"]
        shop.clock.tick(MINUTE)
        shop.inventory.count("MUG", 7, at="berlin")
        assert self.reasons(shop, "MUG") == []
        assert self.reasons(shop, "MUG", "hamburg") == []

    def test_taking_the_last_one_is_no_reason(self, shop: Shop) -> None:
        """Sold, picked and shipped down to nothing, and never more than the book had."""
        shop.inventory.submit([Sold("MUG", 3, at="berlin")])
        shop.inventory.reserve({"TEA": 5}, reference="o", at="berlin")
        shop.inventory.confirm("o")
        shop.inventory.pick("o")
        shop.inventory.ship("o")
        assert self.reasons(shop, "MUG") == []
        assert self.reasons(shop, "TEA") == []

    def test_a_short_pick(self, shop: Shop) -> None:
        """The picker was there and it was not."""
        shop.inventory.reserve({"TEA": 2}, reference="o", at="berlin")
        shop.inventory.confirm("o")
        shop.inventory.short_pick("o", {"TEA": 1}, key="k")
        assert self.reasons(shop, "TEA") == ["short_pick"]

    def test_a_low_point_before_a_receipt(self, shop: Shop) -> None:
        """Two left and fifty on their way: now it takes a minute."""
        shop.inventory.expect("CUP", 50, at="berlin", reference="PO-1")
        assert self.reasons(shop, "CUP") == []
        shop.inventory.adjust("CUP", -2, at="berlin", reason="x")
        assert self.reasons(shop, "CUP") == ["low_point"]

    def test_intervals_start_anew_with_each_count(self, shop: Shop) -> None:
        """Until the count is undone, when it is as if nobody had counted."""
        shop.clock.tick(timedelta(days=366))
        assert self.reasons(shop, "CUP") == ["interval"]
        count = shop.inventory.count("CUP", 4, at="berlin").movement_id
        assert self.reasons(shop, "CUP") == []
        shop.inventory.undo(count, reason="the wrong shelf")
        assert self.reasons(shop, "CUP") == ["interval"]

    def test_one_location(self, shop: Shop) -> None:
        """A counter is in one place at a time."""
        found = shop.inventory.counts.due(9, at="hamburg")
        assert [(each.sku, each.at) for each in found] == [("MUG", "hamburg")]
        with pytest.raises(UnknownLocation):
            shop.inventory.counts.due(9, at="atlantis")
