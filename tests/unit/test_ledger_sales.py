"""What customers take and bring back: sales reported, returns reported and asked for."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.shops import DAY, MINUTE, START, Shop
from truecount import Kind, Outcome, Returned, Sold, State, StockKey
from truecount.errors import InvalidArgument, KeyRequired, TooMany, UnknownReference


@pytest.fixture
def shop() -> Shop:
    """Return a shop with ten mugs in Berlin."""
    return Shop({"berlin": {"MUG": 10}, "hamburg": {}})


def sold(shop: Shop, sale: Sold) -> Outcome:
    """Record a sale and prove that everything still agrees."""
    (outcome,) = shop.inventory.submit([sale])
    shop.check()
    return outcome.check()


def notes(shop: Shop, outcome: Outcome) -> list[str]:
    """Return the first word of each note of what was written."""
    return [note.partition(":")[0] for note in shop.inventory.movement(outcome.movement_id).notes]


class TestSold:
    def test_a_sale_beyond_the_book_is_recorded(self, shop: Shop) -> None:
        """Clamping at zero would lose the evidence."""
        sold(shop, Sold("MUG", 13, at="berlin"))
        assert shop.inventory.figures("MUG").oversold == 3
        assert shop.inventory.figures("MUG").on_hand == -3

    def test_a_sku_nobody_heard_of_is_recorded(self, shop: Shop) -> None:
        """The till knows what it sold."""
        sold(shop, Sold("CUP", 2, at="berlin"))
        assert shop.inventory.available("CUP") == -2

    def test_its_own_reservation_is_used_first(self, shop: Shop) -> None:
        """Picked before allocated before held, then the shelf, which is noted."""
        shop.inventory.reserve({"MUG": 6}, reference="cart")
        shop.inventory.confirm("cart")
        shop.inventory.pick("cart", {"MUG": 2}, key="p-1")
        sold(shop, Sold("MUG", 3, at="berlin", reference="cart"))
        assert shop.figures() == (4, 0, 3, 0)
        outcome = sold(shop, Sold("MUG", 5, at="berlin", reference="cart"))
        assert shop.figures() == (2, 0, 0, 0)
        assert notes(shop, outcome) == ["beyond_reservation"]
        [note] = shop.inventory.movement(outcome.movement_id).notes
        assert note.endswith("5 of MUG were sold under cart, its reservation still had 3 there")
        assert shop.inventory.reservation("cart").status == "shipped"

    @pytest.mark.parametrize(("here", "there"), [("hamburg", "berlin"), ("berlin", "hamburg")])
    def test_a_reservation_elsewhere_is_left_alone(self, shop: Shop, here: str, there: str) -> None:
        """Units that left the shelf in Hamburg were not those promised in Berlin."""
        shop.inventory.receive("MUG", 10, at="hamburg")
        shop.inventory.reserve({"MUG": 4}, reference="cart", at=there)
        outcome = sold(shop, Sold("MUG", 1, at=here, reference="cart"))
        assert shop.figures(at=here) == (9, 0, 0, 0)
        assert shop.figures(at=there) == (6, 4, 0, 0)
        assert notes(shop, outcome) == ["beyond_reservation"]

    @pytest.mark.parametrize("other", ["CUP", "TEA"])
    def test_other_goods_of_the_reservation_are_left_alone(self, shop: Shop, other: str) -> None:
        """One mug too many came out of the shelf, not out of what else was reserved."""
        shop.inventory.receive(other, 3, at="berlin")
        shop.inventory.reserve({"MUG": 4, other: 3}, reference="cart")
        outcome = sold(shop, Sold("MUG", 5, at="berlin", reference="cart"))
        assert shop.figures() == (5, 0, 0, 0)
        assert shop.inventory.figures(other).held == 3
        assert notes(shop, outcome) == ["beyond_reservation"]

    def test_other_peoples_promises_are_not_taken(self, shop: Shop) -> None:
        """The shelf goes below zero instead, and the promises at risk are found."""
        shop.inventory.reserve({"MUG": 8}, reference="cart")
        sold(shop, Sold("MUG", 5, at="berlin"))
        assert shop.figures() == (-3, 8, 0, 0)
        (finding,) = shop.inventory.findings().open
        assert (finding.quantity, finding.at_risk) == (3, ("cart",))

    def test_holds_that_ran_out_are_reclaimed_before_the_shelf_is_short(self, shop: Shop) -> None:
        """An expired hold blocks nobody, not even a fact."""
        shop.inventory.reserve({"MUG": 8}, reference="cart", ttl=MINUTE)
        shop.clock.tick(2 * MINUTE)
        outcome = sold(shop, Sold("MUG", 5, at="berlin"))
        assert shop.figures() == (5, 0, 0, 0)
        assert shop.movements()[-2:] == ["expire", "sold"]
        assert outcome.movement_id == shop.inventory.feed()[-1].id

    def test_its_own_expired_hold_is_used_not_reclaimed(self, shop: Shop) -> None:
        """The units went to the one who had held them."""
        shop.inventory.reserve({"MUG": 10}, reference="cart", ttl=MINUTE)
        shop.clock.tick(2 * MINUTE)
        sold(shop, Sold("MUG", 11, at="berlin", reference="cart"))
        assert shop.figures() == (-1, 0, 0, 0)
        assert "expire" not in shop.movements()
        assert shop.inventory.reservation("cart").lines[0].shipped == 10


class TestLots:
    @pytest.fixture
    def dairy(self) -> Shop:
        """Return a shop with lots expiring after one, three and five days, and some without."""
        shop = Shop({"berlin": {"MILK": 2}})
        for lot, days in (("B", 3), ("A", 1), ("C", 5)):
            shop.inventory.receive(
                "MILK", 2, at="berlin", lot=lot, lot_expires_at=START + days * DAY
            )
        return shop

    def left(self, shop: Shop) -> dict[str, int]:
        """Return the sellable units of each lot."""
        return {key.lot: found.sellable for key, found in shop.inventory.stock(sku="MILK").items()}

    def test_earliest_expiry_goes_first(self, dairy: Shop) -> None:
        """Those without an expiry last."""
        sold(dairy, Sold("MILK", 3, at="berlin"))
        assert self.left(dairy) == {"A": 0, "B": 1, "C": 2, "": 2}

    def test_expired_lots_go_last_and_are_noted(self, dairy: Shop) -> None:
        """Nobody hands out old milk while there is fresh; if somebody did, it is told."""
        dairy.clock.tick(2 * DAY)
        first = sold(dairy, Sold("MILK", 3, at="berlin"))
        assert self.left(dairy) == {"A": 2, "B": 0, "C": 1, "": 2}
        assert notes(dairy, first) == []
        second = sold(dairy, Sold("MILK", 4, at="berlin"))
        assert self.left(dairy) == {"A": 1, "B": 0, "C": 0, "": 0}
        assert notes(dairy, second) == ["expired_lot"]

    def test_a_sale_before_the_expiry_is_no_sale_of_expired_goods(self, dairy: Shop) -> None:
        """What matters is when it was sold, not when it was reported."""
        dairy.clock.tick(2 * DAY)
        outcome = sold(dairy, Sold("MILK", 1, at="berlin", occurred_at=START + DAY / 2))
        assert self.left(dairy)["A"] == 1
        assert notes(dairy, outcome) == []

    def test_a_lot_that_is_named_is_the_one(self, dairy: Shop) -> None:
        """Also below zero: lots never net against each other."""
        sold(dairy, Sold("MILK", 3, at="berlin", lot="C"))
        assert self.left(dairy) == {"A": 2, "B": 2, "C": -1, "": 2}
        assert dairy.inventory.available("MILK") == 6

    def test_what_is_in_no_lot_is_missing_without_a_lot(self, dairy: Shop) -> None:
        """Nobody knows of which lot the units were that the book does not have."""
        sold(dairy, Sold("MILK", 10, at="berlin"))
        assert self.left(dairy) == {"A": 0, "B": 0, "C": 0, "": -2}

    def test_an_expired_hold_in_a_lot_is_taken_before_the_book_is_short(self) -> None:
        """Otherwise the same units would be promised again."""
        shop = Shop({"berlin": {}})
        shop.inventory.receive("MILK", 2, at="berlin", lot="A", lot_expires_at=START + DAY)
        shop.inventory.reserve({"MILK": 2}, reference="cart", ttl=MINUTE)
        shop.clock.tick(2 * MINUTE)
        sold(shop, Sold("MILK", 1, at="berlin"))
        assert self.left(shop) == {"A": 1}
        assert shop.inventory.available("MILK") == 1


class TestTakeBack:
    def test_each_unit_comes_back_once(self, shop: Shop) -> None:
        """Shipped three: three may come back, in any parts, and not one more."""
        shop.inventory.reserve({"MUG": 3}, reference="cart")
        shop.inventory.confirm("cart")
        shop.inventory.ship("cart")
        shop.inventory.take_back("cart", {"MUG": 2}, key="rma-1")
        with pytest.raises(TooMany, match=r"take back 2 of 'MUG'.*only 1 left"):
            shop.inventory.take_back("cart", {"MUG": 2}, key="rma-2")
        shop.inventory.take_back("cart", {"MUG": 1}, key="rma-3", into=State.SELLABLE)
        found = shop.inventory.figures("MUG")
        assert (found.quarantine, found.sellable) == (2, 8)
        shop.check()

    def test_the_same_return_asked_twice_is_one_return(self, shop: Shop) -> None:
        """That is what its key is for; without one it is refused."""
        sold(shop, Sold("MUG", 3, at="berlin", reference="etsy-1"))
        for _ in range(2):
            shop.inventory.take_back("etsy-1", {"MUG": 1}, key="rma-1", at="berlin")
        assert shop.inventory.figures("MUG").quarantine == 1
        with pytest.raises(KeyRequired):
            shop.inventory.take_back("etsy-1", {"MUG": 1}, key=None, at="berlin")  # type: ignore[arg-type]  # the point of the test

    def test_units_go_back_to_the_lot_and_location_they_came_from(self) -> None:
        """Line by line, in the order they were shipped."""
        shop = Shop({"berlin": {}, "hamburg": {}})
        came_from = [("A", "berlin"), ("B", "berlin"), ("A", "hamburg")]
        for days, (lot, at) in enumerate(came_from, 1):
            shop.inventory.receive("MILK", 1, at=at, lot=lot, lot_expires_at=START + days * DAY)
        shop.inventory.reserve({"MILK": 3}, reference="cart")
        shop.inventory.confirm("cart")
        shop.inventory.ship("cart")
        for number, (lot, at) in enumerate(came_from):
            outcome = shop.inventory.take_back("cart", {"MILK": 1}, key=f"rma-{number}")
            (leg,) = shop.inventory.movement(outcome.movement_id).legs
            assert (leg.lot, leg.target.location) == (lot, at)
        shop.check()

    def test_a_lot_returned_elsewhere_keeps_its_expiry(self) -> None:
        """Old milk does not become fresh by travelling."""
        shop = Shop({"berlin": {}, "hamburg": {}})
        shop.inventory.receive("MILK", 2, at="berlin", lot="A", lot_expires_at=START + DAY)
        shop.inventory.reserve({"MILK": 1}, reference="cart")
        shop.inventory.confirm("cart")
        shop.inventory.ship("cart")
        shop.inventory.take_back("cart", {"MILK": 1}, key="rma", at="hamburg", into=State.SELLABLE)
        assert shop.inventory.available("MILK", at="hamburg") == 1
        shop.clock.tick(DAY)
        assert shop.inventory.available("MILK", at="hamburg") == 0

    def test_a_till_sale_comes_back_to_a_location_that_is_said(self, shop: Shop) -> None:
        """The book does not know whose shelf it was."""
        sold(shop, Sold("MUG", 3, at="berlin", reference="etsy-1"))
        with pytest.raises(InvalidArgument, match="the location the returned units went to"):
            shop.inventory.take_back("etsy-1", {"MUG": 1}, key="rma-1")
        shop.inventory.take_back("etsy-1", {"MUG": 1}, key="rma-2", at="hamburg")
        assert shop.inventory.figures("MUG", at="hamburg").quarantine == 1

    def test_a_reference_that_never_shipped_is_unknown(self, shop: Shop) -> None:
        """Nothing can come back of it."""
        with pytest.raises(UnknownReference, match="order 'cart'"):
            shop.inventory.take_back("cart", {"MUG": 1}, key="rma")
        shop.inventory.reserve({"MUG": 1}, reference="cart")
        with pytest.raises(TooMany, match="only 0 left"):
            shop.inventory.take_back("cart", {"MUG": 1}, key="rma-2")


class TestReturned:
    def test_a_fact_is_booked_however_many_came_back(self, shop: Shop) -> None:
        """What nobody shipped is noted, and leaves nothing to ask for."""
        sold(shop, Sold("MUG", 2, at="berlin", reference="etsy-1"))
        back = Returned("MUG", 3, at="berlin", reference="etsy-1", into=State.DAMAGED)
        (outcome,) = shop.inventory.submit([back])
        assert notes(shop, outcome) == ["over_return"]
        assert shop.inventory.figures("MUG").damaged == 3
        with pytest.raises(TooMany, match="only 0 left"):
            shop.inventory.take_back("etsy-1", {"MUG": 1}, key="rma", at="berlin")
        shop.check()

    def test_what_was_shipped_may_come_back_to_the_last_unit(self, shop: Shop) -> None:
        """Less than was shipped is no finding, nor is all of it; one more is."""
        sold(shop, Sold("MUG", 3, at="berlin", reference="etsy-1"))
        one = Returned("MUG", 1, at="berlin", reference="etsy-1")
        outcomes = shop.inventory.submit([one] * 4)
        assert [notes(shop, each) for each in outcomes] == [[], [], [], ["over_return"]]

    def test_without_a_reference_there_is_no_account(self, shop: Shop) -> None:
        """Somebody put a mug on the counter and left."""
        (outcome,) = shop.inventory.submit([Returned("MUG", 1, at="berlin")])
        assert notes(shop, outcome) == []
        assert shop.inventory.figures("MUG").quarantine == 1

    def test_facts_and_commands_share_one_account(self, shop: Shop) -> None:
        """What a fact brought back cannot be asked for again."""
        sold(shop, Sold("MUG", 3, at="berlin", reference="etsy-1"))
        shop.inventory.submit([Returned("MUG", 2, at="berlin", reference="etsy-1")])
        with pytest.raises(TooMany, match="only 1 left"):
            shop.inventory.take_back("etsy-1", {"MUG": 2}, key="rma", at="berlin")


def test_a_sale_keeps_who_where_and_when(shop: Shop) -> None:
    """Reference, origin, actor and time are in the history."""
    then = START - timedelta(hours=3)
    shop.clock.tick(MINUTE)
    sold(
        shop,
        Sold("MUG", 1, at="berlin", reference="r", origin="etsy", actor="kim", occurred_at=then),
    )
    entry = shop.inventory.history("MUG", last=1)[0]
    movement = entry.movement
    assert (movement.kind, movement.reference, movement.origin) == (Kind.SOLD, "r", "etsy")
    assert (movement.actor, movement.occurred_at, movement.recorded_at) == (
        "kim",
        then,
        START + MINUTE,
    )
    assert entry.key == StockKey("MUG", "berlin")
