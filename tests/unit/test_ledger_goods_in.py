"""What comes in: opening stock, orders from suppliers, deliveries, lots."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.shops import DAY, START, Shop
from truecount import DeliveryLine, Kind, Received, State, StockKey
from truecount.errors import UnknownLocation, UnknownReference


@pytest.fixture
def shop() -> Shop:
    """Return two empty locations."""
    return Shop({"berlin": {}, "hamburg": {}})


def line(shop: Shop, reference: str = "PO-1") -> DeliveryLine:
    """Return the only line of a purchase order."""
    (found,) = shop.inventory.delivery(reference)
    assert found.ordered == found.received + found.rejected + found.closed + found.outstanding
    assert shop.inventory.figures(found.sku, at=found.at).incoming == found.outstanding
    shop.check()
    return found


class TestOpening:
    @pytest.mark.parametrize("state", [State.SELLABLE, State.QUARANTINE, State.DAMAGED])
    def test_what_was_there_enters_its_state(self, shop: Shop, state: State) -> None:
        """A book may begin with broken goods on the shelf."""
        shop.inventory.open("MUG", 5, at="berlin", state=state)
        found = shop.inventory.figures("MUG", at="berlin")
        assert (found[state], found.on_hand) == (5, 5)
        assert shop.inventory.feed()[0].kind is Kind.OPEN

    def test_opening_twice_adds_up(self, shop: Shop) -> None:
        """Two shelves of one location are two openings."""
        for quantity in (3, 4):
            shop.inventory.open("MUG", quantity, at="berlin")
        assert shop.inventory.available("MUG") == 7
        shop.check()

    def test_an_unknown_location_is_refused_although_it_is_a_fact(self, shop: Shop) -> None:
        """Stock that is nowhere could never be found."""
        with pytest.raises(UnknownLocation, match="did you mean 'berlin'"):
            shop.inventory.open("MUG", 1, at="brlin")
        assert shop.inventory.feed() == []


class TestDelivery:
    @pytest.mark.parametrize(
        ("accepted", "rejected", "left"),
        [(4, 0, 6), (10, 0, 0), (6, 4, 0), (0, 3, 7), (9, 3, 0), (0, 15, 0)],
    )
    def test_accepted_and_rejected_units_use_up_the_order(
        self, shop: Shop, accepted: int, rejected: int, left: int
    ) -> None:
        """What was sent back is not expected any more."""
        shop.inventory.expect("MUG", 10, at="berlin", reference="PO-1")
        outcome = shop.inventory.receive(
            "MUG", accepted, at="berlin", reference="PO-1", rejected=rejected
        )
        assert outcome.result == {"from_order": accepted, "surplus": 0, "rejected": rejected}
        assert (line(shop).outstanding, line(shop).received) == (left, accepted)
        assert shop.inventory.figures("MUG").on_hand == accepted

    def test_more_than_ordered_is_taken_in_and_noted(self, shop: Shop) -> None:
        """Reality is not refused; the surplus comes from the supplier and is a finding."""
        shop.inventory.expect("MUG", 10, at="berlin", reference="PO-1")
        outcome = shop.inventory.receive("MUG", 13, at="berlin", reference="PO-1")
        assert outcome.result["surplus"] == 3
        assert (line(shop).received, line(shop).surplus) == (10, 3)
        (note,) = shop.inventory.movement(outcome.movement_id).notes
        assert note.startswith("over_delivery: 13 of MUG came for PO-1, 10 were still expected")

    def test_deliveries_in_parts_and_at_another_location(self, shop: Shop) -> None:
        """Each location has a line of its own; elsewhere the goods are a surplus."""
        shop.inventory.expect("MUG", 10, at="berlin", reference="PO-1")
        shop.inventory.receive("MUG", 4, at="berlin", reference="PO-1")
        shop.inventory.receive("MUG", 2, at="hamburg", reference="PO-1")
        shop.inventory.receive("MUG", 5, at="berlin", reference="PO-1")
        lines = {each.at: each for each in shop.inventory.delivery("PO-1")}
        assert (lines["berlin"].outstanding, lines["hamburg"].surplus) == (1, 2)
        shop.check()

    def test_a_delivery_nobody_expected_is_only_a_delivery(self, shop: Shop) -> None:
        """Its reference is kept, no order is made up, nothing is noted."""
        outcome = shop.inventory.receive("MUG", 3, at="berlin", reference="box-7", rejected=1)
        movement = shop.inventory.movement(outcome.movement_id)
        assert (movement.reference, movement.tallies, movement.notes) == ("box-7", (), ())
        with pytest.raises(UnknownReference, match="purchase order 'box-7'"):
            shop.inventory.delivery("box-7")

    def test_a_delivery_sent_back_whole_is_in_the_history(self, shop: Shop) -> None:
        """Nothing moved, yet somebody was there."""
        shop.inventory.receive("MUG", 0, at="berlin", rejected=4)
        (entry,) = shop.inventory.history("MUG")
        assert (entry.movement.kind, entry.version, entry.after.on_hand) == (Kind.RECEIVE, 1, 0)
        shop.check()

    def test_goods_may_have_to_be_inspected_first(self, shop: Shop) -> None:
        """In quarantine nothing is available."""
        shop.inventory.receive("MUG", 3, at="berlin", into=State.QUARANTINE)
        assert shop.inventory.figures("MUG").quarantine == 3
        assert shop.inventory.available("MUG") == 0

    def test_ordering_again_adds_and_moves_the_date(self, shop: Shop) -> None:
        """One line for each location and SKU."""
        for days in (1, 9):
            shop.inventory.expect(
                "MUG", 5, at="berlin", reference="PO-1", due_at=START + days * DAY
            )
        assert (line(shop).ordered, line(shop).due_at) == (10, START + 9 * DAY)


class TestClosing:
    def test_the_rest_will_not_come(self, shop: Shop) -> None:
        """What is closed is not incoming any more; a late box is then a surplus."""
        shop.inventory.expect("MUG", 10, at="berlin", reference="PO-1")
        shop.inventory.receive("MUG", 4, at="berlin", reference="PO-1")
        outcome = shop.inventory.close_delivery("MUG", at="berlin", reference="PO-1")
        assert (outcome.result, line(shop).closed) == ({"closed": 6}, 6)
        late = shop.inventory.receive("MUG", 2, at="berlin", reference="PO-1")
        assert late.result == {"from_order": 0, "surplus": 2, "rejected": 0}
        assert line(shop).surplus == 2

    def test_closing_what_is_complete_changes_nothing(self, shop: Shop) -> None:
        """Closing is safe to repeat."""
        shop.inventory.expect("MUG", 10, at="berlin", reference="PO-1")
        shop.inventory.close_delivery("MUG", at="berlin", reference="PO-1")
        again = shop.inventory.close_delivery("MUG", at="berlin", reference="PO-1")
        assert (again.result, again.movements) == ({"closed": 0}, ())

    @pytest.mark.parametrize(("sku", "at"), [("TEA", "berlin"), ("MUG", "hamburg")])
    def test_a_line_nobody_ordered_is_unknown(self, shop: Shop, sku: str, at: str) -> None:
        """Neither the SKU nor the location is guessed."""
        shop.inventory.expect("MUG", 10, at="berlin", reference="PO-1")
        with pytest.raises(UnknownReference, match=f"order of {sku} at {at}"):
            shop.inventory.close_delivery(sku, at=at, reference="PO-1")


class TestLots:
    def test_a_lot_is_known_on_arrival_only(self, shop: Shop) -> None:
        """What is incoming has no lot; what arrived has."""
        shop.inventory.expect("MILK", 10, at="berlin", reference="PO-1")
        outcome = shop.inventory.receive(
            "MILK", 8, at="berlin", reference="PO-1", lot="A", rejected=1
        )
        assert outcome.result == {"from_order": 8, "surplus": 0, "rejected": 1}
        stock = shop.inventory.stock(sku="MILK")
        assert stock[StockKey("MILK", "berlin", "A")].sellable == 8
        assert stock[StockKey("MILK", "berlin", "")].incoming == 1
        assert line(shop).outstanding == 1

    def test_an_expired_lot_is_there_but_not_available(self, shop: Shop) -> None:
        """From its very instant on."""
        shop.inventory.receive("MILK", 4, at="berlin", lot="A", lot_expires_at=START + DAY)
        shop.clock.tick(DAY - timedelta(microseconds=1))
        assert shop.inventory.available("MILK") == 4
        shop.clock.tick(timedelta(microseconds=1))
        assert shop.inventory.available("MILK") == 0
        assert shop.inventory.figures("MILK").on_hand == 4

    def test_an_expiry_said_later_counts_from_then_on(self, shop: Shop) -> None:
        """A misprint is put right by the next delivery of the lot."""
        shop.inventory.receive("MILK", 4, at="berlin", lot="A", lot_expires_at=START)
        shop.inventory.receive("MILK", 1, at="berlin", lot="A", lot_expires_at=START + DAY)
        assert shop.inventory.available("MILK") == 5
        shop.check()

    def test_lots_of_two_skus_do_not_meet(self, shop: Shop) -> None:
        """A lot is a lot of its SKU."""
        shop.inventory.receive("MILK", 4, at="berlin", lot="A", lot_expires_at=START)
        shop.inventory.receive("TEA", 4, at="berlin", lot="A")
        assert (shop.inventory.available("MILK"), shop.inventory.available("TEA")) == (0, 4)


def test_whatever_came_in_left_a_supplier_or_the_opening(shop: Shop) -> None:
    """Nothing appears from nowhere (I1)."""
    shop.inventory.submit([Received("MUG", 2, at="berlin"), Received("MUG", 3, at="hamburg")])
    shop.inventory.open("MUG", 1, at="berlin")
    sources = [leg.source.name for each in shop.inventory.feed() for leg in each.legs]
    assert sources == ["supplier", "supplier", "opening"]
