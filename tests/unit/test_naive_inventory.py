"""The naive model says what must change, and sees what is wrong."""

from __future__ import annotations

import pytest

from tests.shops import MINUTE, Shop
from truecount import (
    Adjusted,
    Arrived,
    Assemble,
    Correct,
    Damaged,
    DefineBundle,
    DeliveryClosed,
    Disassemble,
    Expected,
    Inspected,
    Lost,
    Opened,
    Operation,
    Received,
    Rejected,
    Relocate,
    Returned,
    ReturnedToSupplier,
    Scrapped,
    Sold,
    State,
    TakeBack,
    TransferOut,
    Undo,
)
from truecount.testing import NaiveBundles, NaiveInventory, NaiveReservations
from truecount.testing.invariants import all_lines


def told(shop: Shop) -> NaiveInventory:
    """Return a naive inventory that was told all a shop was told."""
    naive = NaiveInventory("berlin", "hamburg")
    naive.tell(shop.inventory.feed())
    with shop.inventory.storage.read("main") as reader:
        naive.follow(all_lines(reader))
    return naive


#: What each operation must change in a shop of ten mugs, six teas and a purchase of four.
CASES: dict[Operation, dict[tuple[str, str, str, str], int]] = {
    Opened("MUG", 2, at="berlin"): {("MUG", "berlin", "", "sellable"): 2},
    Expected("MUG", 2, at="berlin", reference="po"): {("MUG", "berlin", "", "incoming"): 2},
    Received("MUG", 3, at="berlin", reference="po", rejected=2): {
        ("MUG", "berlin", "", "sellable"): 3,
        ("MUG", "berlin", "", "incoming"): -4,
    },
    Received("MUG", 3, at="berlin"): {("MUG", "berlin", "", "sellable"): 3},
    DeliveryClosed("MUG", at="berlin", reference="po"): {("MUG", "berlin", "", "incoming"): -4},
    Returned("MUG", 2, at="berlin"): {("MUG", "berlin", "", "quarantine"): 2},
    Inspected("MUG", 2, at="berlin", into=State.DAMAGED): {
        ("MUG", "berlin", "", "quarantine"): -2,
        ("MUG", "berlin", "", "damaged"): 2,
    },
    Damaged("MUG", 2, at="berlin"): {
        ("MUG", "berlin", "", "sellable"): -2,
        ("MUG", "berlin", "", "damaged"): 2,
    },
    Scrapped("MUG", 1, at="berlin", reason="broken"): {("MUG", "berlin", "", "damaged"): -1},
    ReturnedToSupplier("MUG", 1, at="berlin"): {("MUG", "berlin", "", "quarantine"): -1},
    Adjusted("MUG", -3, at="berlin", reason="theft"): {("MUG", "berlin", "", "sellable"): -3},
    Relocate("MUG", 2, source="berlin", target="hamburg"): {
        ("MUG", "berlin", "", "sellable"): -2,
        ("MUG", "hamburg", "", "sellable"): 2,
    },
    TransferOut({"TEA": 2}, source="berlin", target="hamburg", reference="move-2"): {
        ("TEA", "berlin", "", "sellable"): -2,
        ("TEA", "hamburg", "", "in_transit"): 2,
    },
    Arrived({"MUG": 3}, reference="move"): {
        ("MUG", "hamburg", "", "in_transit"): -2,
        ("MUG", "hamburg", "", "sellable"): 3,
    },
    Rejected({"MUG": 1}, reference="move"): {
        ("MUG", "hamburg", "", "in_transit"): -1,
        ("MUG", "hamburg", "", "quarantine"): 1,
    },
    Lost({"MUG": 1}, reference="move"): {("MUG", "hamburg", "", "in_transit"): -1},
    Assemble("SET", 2, {"MUG": 1, "TEA": 2}, at="berlin"): {
        ("SET", "berlin", "", "sellable"): 2,
        ("MUG", "berlin", "", "sellable"): -2,
        ("TEA", "berlin", "", "sellable"): -4,
    },
    Disassemble("BOX", 1, {"MUG": 2}, at="berlin"): {
        ("BOX", "berlin", "", "sellable"): -1,
        ("MUG", "berlin", "", "sellable"): 2,
    },
    Undo(movement_id="main-000005", reason="a mistake"): {("TEA", "berlin", "", "sellable"): -6},
}


@pytest.mark.parametrize("operation", CASES, ids=repr)
def test_what_must_change_is_what_changes(operation: Operation) -> None:
    """The naive expectation is the one written beside it, and the inventory meets it."""
    shop = Shop({"berlin": {"MUG": 12, "TEA": 6, "BOX": 1}, "hamburg": {}})
    inventory = shop.inventory
    inventory.expect("MUG", 4, at="berlin", reference="po")
    inventory.transfer_out("move", {"MUG": 2}, source="berlin", target="hamburg")
    naive = told(shop)
    position = len(inventory.feed())
    assert naive.expected(operation) == CASES[operation]
    inventory.submit([operation])[0].check()
    assert naive.seen(inventory.feed(position)) == CASES[operation]


class TestBalance:
    def test_customers_take_and_bring_back_what_they_say(self) -> None:
        """From whatever lot and promise."""
        naive = NaiveInventory("berlin")
        assert naive.balance(Sold("MUG", 2, at="berlin")) == {"MUG": -2}
        back = TakeBack({"MUG": 1, "TEA": 2}, reference="order", key="rma")
        assert naive.balance(back) == {"MUG": 1, "TEA": 2}

    def test_what_was_a_bundle_is_left_to_the_library(self) -> None:
        """Orders keep the recipes they were made with."""
        naive = NaiveInventory("berlin")
        naive.bundles.define("SET", {"MUG": 2})
        naive.bundles.recipes.clear()
        assert naive.balance(Sold("SET", 1, at="berlin")) is None
        assert naive.balance(Received("MUG", 1, at="berlin")) is None


class TestNoOpinion:
    def test_what_nobody_said_is_not_corrected(self) -> None:
        """Of a movement alone the model cannot tell what should have been said instead."""
        naive = told(Shop({"berlin": {"MUG": 1}}))
        correction = Correct(movement_id="main-000001", quantity=2, reason="a mistake")
        assert naive.expected(correction) is None

    def test_bundle_that_comes_back_to_an_order_is_left_to_the_library(self) -> None:
        """It comes back as it went, which the order knows."""
        naive = NaiveInventory("berlin")
        naive.bundles.define("SET", {"MUG": 2})
        assert naive.expected(Returned("SET", 1, at="berlin", reference="order")) is None

    def test_arrival_of_an_unknown_transfer_has_no_place(self) -> None:
        """Nobody knows where it would arrive."""
        assert NaiveInventory("berlin").expected(Arrived({"MUG": 1}, reference="?")) is None


class TestRecipes:
    def test_circle_may_not_be_granted(self) -> None:
        """A bundle inside itself is an error of whoever granted it."""
        naive = NaiveBundles()
        naive.define("SET", {"MUG": 2})
        naive.define("BOX", {"SET": 1})
        assert naive.closes_circle("SET", {"BOX": 1})
        assert not naive.closes_circle("SET", {"TEA": 1})
        with pytest.raises(AssertionError, match="expected CyclicRecipe"):
            naive.define("SET", {"BOX": 1})

    def test_model_and_library_agree_on_circles(self) -> None:
        """What one refuses the other calls a circle."""
        shop = Shop({"berlin": {"MUG": 1}})
        [first] = shop.inventory.submit([DefineBundle("A", {"MUG": 1})])
        [second] = shop.inventory.submit([DefineBundle("A", {"A": 1, "MUG": 1})])
        assert (first.granted, second.granted) == (True, False)
        assert NaiveBundles().closes_circle("A", {"A": 1, "MUG": 1})


class TestFollowing:
    def test_copy_goes_its_own_way(self) -> None:
        """What a copy is told the original does not know."""
        shop = Shop({"berlin": {"MUG": 1}})
        naive = told(shop)
        other = naive.copy()
        shop.inventory.receive("MUG", 1, at="berlin")
        other.tell(shop.inventory.feed(1))
        assert naive.units("MUG", "berlin", "sellable") == 1
        assert other.units("MUG", "berlin", "sellable") == 2

    def test_lines_and_shelves_are_taken_over(self) -> None:
        """Of trusted owners only what ran out for somebody else."""
        shop = Shop({"berlin": {"MUG": 3}})
        naive = told(shop)
        naive.orders.receive("MUG", "berlin", 3)
        shop.inventory.reserve({"MUG": 2}, reference="mine", ttl=MINUTE)
        naive.orders.reserve(0, "mine", {"MUG": 2}, at=None, ttl=60, partial=False)
        shop.clock.tick(2 * MINUTE)
        shop.inventory.reserve({"MUG": 2}, reference="other", ttl=MINUTE)
        naive.tell(shop.inventory.feed(1))
        with shop.inventory.storage.read("main") as reader:
            naive.follow(all_lines(reader), trusted=["mine"])
        mine, other = naive.orders.lines
        assert (mine.reference, mine.counts["held"], mine.counts["expired"]) == ("mine", 0, 2)
        assert (other.reference, other.counts["held"]) == ("other", 2)
        assert naive.orders.free["MUG", "berlin", ""] == 1

    def test_line_never_gives_more_than_it_has(self) -> None:
        """The model checks itself."""
        naive = NaiveReservations("berlin")
        naive.receive("MUG", "berlin", 1)
        naive.reserve(0, "a", {"MUG": 1}, at=None, ttl=60, partial=False)
        with pytest.raises(AssertionError, match="expected 2 or more held"):
            naive.lines[0].move(2, "held", "released")
