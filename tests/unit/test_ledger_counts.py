"""Quality, adjustments and counts: what somebody found on the shelf."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.shops import DAY, MINUTE, START, Shop
from truecount import Adjusted, Counted, Inventory, Kind, Outcome, Received, Sold, State
from truecount.errors import InsufficientStock, InvalidArgument, InvalidTime


@pytest.fixture
def shop() -> Shop:
    """Return a shop with ten mugs in Berlin."""
    return Shop({"berlin": {"MUG": 10}, "hamburg": {}})


def moved(shop: Shop) -> dict[str, int]:
    """Return what is where of the mugs in Berlin, zeros left out."""
    shop.check()
    found = shop.inventory.figures("MUG", at="berlin")
    return {state.value: found[state] for state in State if found[state]}


#: What is done to ten sellable, three quarantined and two damaged mugs, and what is then where.
ACTS: dict[str, tuple[Callable[[Inventory], Outcome], dict[str, int]]] = {
    "fit": (
        lambda i: i.inspect("MUG", 2, at="berlin", into=State.SELLABLE),
        {"sellable": 12, "quarantine": 1, "damaged": 2},
    ),
    "unfit": (
        lambda i: i.inspect("MUG", 3, at="berlin", into=State.DAMAGED),
        {"sellable": 10, "damaged": 5},
    ),
    "broken on the shelf": (
        lambda i: i.damage("MUG", 4, at="berlin"),
        {"sellable": 6, "quarantine": 3, "damaged": 6},
    ),
    "broken in quarantine": (
        lambda i: i.damage("MUG", 1, at="berlin", state=State.QUARANTINE),
        {"sellable": 10, "quarantine": 2, "damaged": 3},
    ),
    "scrapped": (
        lambda i: i.scrap("MUG", 2, at="berlin", reason="mould"),
        {"sellable": 10, "quarantine": 3},
    ),
    "scrapped off the shelf": (
        lambda i: i.scrap("MUG", 2, at="berlin", reason="mould", state=State.SELLABLE),
        {"sellable": 8, "quarantine": 3, "damaged": 2},
    ),
    "sent back": (
        lambda i: i.return_to_supplier("MUG", 3, at="berlin"),
        {"sellable": 10, "damaged": 2},
    ),
    "found": (
        lambda i: i.adjust("MUG", 5, at="berlin", reason="behind the shelf"),
        {"sellable": 15, "quarantine": 3, "damaged": 2},
    ),
    "lost in quarantine": (
        lambda i: i.adjust("MUG", -3, at="berlin", reason="gone", state=State.QUARANTINE),
        {"sellable": 10, "damaged": 2},
    ),
}


@pytest.mark.parametrize("act", ACTS)
def test_units_go_where_the_act_says(shop: Shop, act: str) -> None:
    """From the state it names, to the state or the boundary it names."""
    shop.inventory.open("MUG", 3, at="berlin", state=State.QUARANTINE)
    shop.inventory.open("MUG", 2, at="berlin", state=State.DAMAGED)
    do, expected = ACTS[act]
    outcome = do(shop.inventory)
    assert moved(shop) == expected
    assert shop.inventory.movement(outcome.movement_id).notes == ()


class TestImpossible:
    @pytest.mark.parametrize(
        "do",
        [
            lambda i: i.inspect("MUG", 2, at="berlin", into=State.SELLABLE),
            lambda i: i.scrap("MUG", 2, at="berlin", reason="mould"),
            lambda i: i.return_to_supplier("MUG", 2, at="berlin"),
            lambda i: i.damage("MUG", 2, at="berlin", state=State.QUARANTINE),
        ],
        ids=["inspect", "scrap", "return to supplier", "damage"],
    )
    def test_a_state_that_had_too_few_is_noted(
        self, shop: Shop, do: Callable[[Inventory], Outcome]
    ) -> None:
        """Booked all the same, but nobody may overlook it."""
        shop.inventory.open("MUG", 1, at="berlin", state=State.QUARANTINE)
        shop.inventory.open("MUG", 1, at="berlin", state=State.DAMAGED)
        (note,) = shop.inventory.movement(do(shop.inventory).movement_id).notes
        assert note.startswith("not_there: 2 of MUG left ")
        assert note.endswith("at berlin, the book had 1 there")
        assert -1 in moved(shop).values()

    def test_a_shelf_below_zero_speaks_for_itself(self, shop: Shop) -> None:
        """It is oversold, which is found without a note."""
        outcome = shop.inventory.damage("MUG", 12, at="berlin")
        assert shop.inventory.movement(outcome.movement_id).notes == ()
        assert shop.inventory.available("MUG") == -2


class TestAdjusting:
    def test_it_is_a_fact(self, shop: Shop) -> None:
        """It may take the shelf below zero, and that is found."""
        shop.inventory.adjust("MUG", -12, at="berlin", reason="theft")
        assert moved(shop) == {"sellable": -2}

    @pytest.mark.parametrize(("change", "limit", "left"), [(-8, 2, 2), (-10, 0, 0), (5, 99, 15)])
    def test_with_a_limit_it_is_granted_down_to_it(
        self, shop: Shop, change: int, limit: int, left: int
    ) -> None:
        """An increase never breaks one."""
        shop.inventory.adjust("MUG", change, at="berlin", reason="x", refuse_below=limit)
        assert moved(shop) == ({"sellable": left} if left else {})

    def test_with_a_limit_it_is_refused_below_it(self, shop: Shop) -> None:
        """The refusal names what may still be taken, and the rule."""
        with pytest.raises(InsufficientStock, match="only 8 available") as caught:
            shop.inventory.adjust("MUG", -9, at="berlin", reason="x", refuse_below=2)
        assert caught.value.short[0][-1] == "refuse_below=2"
        assert moved(shop) == {"sellable": 10}

    def test_with_a_limit_it_comes_from_no_future(self, shop: Shop) -> None:
        """Commands are not recorded with a doubt, they are refused."""
        words: dict[str, Any] = {"at": "berlin", "reason": "x", "occurred_at": START + DAY}
        with pytest.raises(InvalidTime, match="more than 5 minutes after now"):
            shop.inventory.adjust("MUG", -1, refuse_below=0, **words)
        shop.inventory.adjust("MUG", -1, **words)
        assert moved(shop) == {"sellable": 9}

    def test_the_reason_is_where_the_units_went(self, shop: Shop) -> None:
        """Losses can be added up by reason."""
        outcome = shop.inventory.adjust("MUG", -1, at="berlin", reason="theft: night")
        (leg,) = shop.inventory.movement(outcome.movement_id).legs
        assert str(leg.target) == "adjustment:theft: night"


class TestCounting:
    @pytest.mark.parametrize(("counted", "variance"), [(12, 2), (7, -3), (0, -10)])
    def test_the_book_follows_the_shelf(self, shop: Shop, counted: int, variance: int) -> None:
        """By the difference, which is kept."""
        outcome = shop.inventory.count("MUG", counted, at="berlin", actor="kim")
        assert outcome.result == {"expected": 10, "counted": counted, "variance": variance}
        assert shop.inventory.figures("MUG").on_hand == counted
        shop.check()

    def test_a_count_that_agrees_is_in_the_history(self, shop: Shop) -> None:
        """Somebody looked, and that is worth knowing."""
        shop.clock.tick(MINUTE)
        shop.inventory.count("MUG", 10, at="berlin", actor="kim")
        entry = shop.inventory.history("MUG")[-1]
        assert (entry.movement.kind, entry.movement.actor) == (Kind.COUNT, "kim")
        assert (entry.version, entry.change.on_hand, entry.after.on_hand) == (2, 0, 10)
        shop.check()

    def test_what_moved_since_survives(self, shop: Shop) -> None:
        """Counted at ten, sold at eleven, posted at noon: the sale is not counted away."""
        shop.clock.tick(DAY)
        ten, eleven = START + 10 * MINUTE, START + 11 * MINUTE
        shop.inventory.submit([Sold("MUG", 2, at="berlin", occurred_at=eleven)])
        outcome = shop.inventory.count("MUG", 9, at="berlin", counted_at=ten)
        assert outcome.result["expected"] == 10
        assert moved(shop) == {"sellable": 7}
        assert shop.inventory.as_of("MUG", ten).on_hand == 9

    def test_a_sale_reported_late_was_before_the_count(self, shop: Shop) -> None:
        """The book as of the count knew it by then."""
        shop.clock.tick(DAY)
        shop.inventory.submit([Sold("MUG", 2, at="berlin", occurred_at=START + MINUTE)])
        outcome = shop.inventory.count("MUG", 8, at="berlin", counted_at=START + 2 * MINUTE)
        assert outcome.result["variance"] == 0

    def test_two_counts_do_not_add_up(self, shop: Shop) -> None:
        """Two people counted the same shelf at the same time; it holds twelve, not fourteen."""
        shop.clock.tick(DAY)
        for _ in range(2):
            shop.inventory.count("MUG", 12, at="berlin", counted_at=START + MINUTE)
        assert moved(shop) == {"sellable": 12}

    @pytest.mark.parametrize("together", [True, False])
    def test_counts_of_one_batch_see_each_other(self, shop: Shop, *, together: bool) -> None:
        """And what came before them in it."""
        shop.clock.tick(DAY)
        when = START + 9 * MINUTE
        outcomes = shop.inventory.submit(
            [
                Received("MUG", 5, at="berlin", occurred_at=START + MINUTE),
                Counted("MUG", 12, at="berlin", counted_at=when),
                Counted("MUG", 12, at="berlin", counted_at=when),
                Received("MUG", 1, at="berlin", occurred_at=START + DAY),
                Counted("MUG", 13, at="berlin", counted_at=when),
            ],
            together=together,
        )
        variances = [each.result.get("variance") for each in outcomes]
        assert [v for v in variances if v is not None][-3:] == [-3, 0, 1]
        assert moved(shop) == {"sellable": 14}

    def test_a_count_dated_by_its_occurrence(self, shop: Shop) -> None:
        """When it occurred is when it was counted."""
        shop.clock.tick(DAY)
        shop.inventory.submit([Sold("MUG", 2, at="berlin")])
        shop.inventory.count("MUG", 9, at="berlin", occurred_at=START + MINUTE)
        assert moved(shop) == {"sellable": 7}
        assert shop.inventory.feed()[-1].occurred_at == START + MINUTE

    def test_picked_units_are_not_on_the_shelf(self, shop: Shop) -> None:
        """A shelf count does not see them; one that covers them does."""
        shop.inventory.reserve({"MUG": 6}, reference="cart")
        shop.inventory.confirm("cart")
        shop.inventory.pick("cart", {"MUG": 4}, key="p")
        assert shop.inventory.count("MUG", 6, at="berlin").result["variance"] == 0
        everything = frozenset({State.SELLABLE, State.ALLOCATED, State.PICKED})
        assert shop.inventory.count("MUG", 9, at="berlin", covers=everything).result == {
            "expected": 10,
            "counted": 9,
            "variance": -1,
        }
        assert shop.figures() == (3, 0, 2, 4)
        shop.check()

    def test_promises_are_not_touched(self, shop: Shop) -> None:
        """Fewer than promised: the shelf goes below zero and the promises stand."""
        shop.inventory.reserve({"MUG": 8}, reference="cart")
        shop.inventory.count("MUG", 5, at="berlin")
        assert shop.figures() == (-3, 8, 0, 0)
        shop.check()

    def test_each_lot_is_counted_on_its_own(self, shop: Shop) -> None:
        """A count of no lot, where all there is lies in lots, would double it."""
        shop.inventory.receive("MILK", 4, at="berlin", lot="A")
        shop.inventory.receive("MILK", 3, at="berlin", lot="B")
        with pytest.raises(InvalidArgument, match="one count for each: 'A', 'B'"):
            shop.inventory.count("MILK", 7, at="berlin")
        shop.inventory.count("MILK", 2, at="berlin", lot="A")
        assert shop.inventory.figures("MILK").on_hand == 5
        assert shop.inventory.count("MILK", 1, at="hamburg").result["variance"] == 1

    def test_a_sku_that_was_never_there_can_be_found(self, shop: Shop) -> None:
        """Unrecorded stock is stock."""
        shop.inventory.count("CUP", 3, at="hamburg")
        assert shop.inventory.available("CUP") == 3

    def test_a_count_from_the_future_is_a_count_of_now(self, shop: Shop) -> None:
        """Some clock is wrong; the shelf is not."""
        ahead = START + timedelta(hours=2)
        outcome = shop.inventory.count("MUG", 8, at="berlin", counted_at=ahead)
        movement = shop.inventory.movement(outcome.movement_id)
        assert movement.occurred_at == movement.recorded_at
        assert movement.notes[0].startswith("future_time: said to have occurred at")
        assert moved(shop) == {"sellable": 8}

    def test_the_same_count_sent_twice_is_one(self, shop: Shop) -> None:
        """Posting is once; a sale in between stays sold."""
        count = Counted("MUG", 8, at="berlin", key="count-7")
        shop.inventory.submit([count])
        shop.inventory.submit([Sold("MUG", 1, at="berlin")])
        (again,) = shop.inventory.submit([count])
        assert again.replayed
        assert moved(shop) == {"sellable": 7}


def test_adjustments_of_a_batch_see_each_other(shop: Shop) -> None:
    """The limit holds for the second as the first left it."""
    first, second = shop.inventory.submit(
        [Adjusted("MUG", -6, at="berlin", reason="x", refuse_below=0) for _ in range(2)]
    )
    assert first.granted
    assert isinstance(second.error, InsufficientStock)
    assert moved(shop) == {"sellable": 4}
