"""Moving and making: relocation, transfers, kits."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.shops import DAY, MINUTE, START, Shop
from truecount import Arrived, Inventory, Outcome, Policy, State, StockKey, TransferLine
from truecount.errors import (
    DocumentExists,
    InsufficientStock,
    InvalidQuantity,
    TooMany,
    UnknownReference,
    UnknownSku,
)


@pytest.fixture
def shop() -> Shop:
    """Return a shop with ten mugs and five bags of tea in Berlin."""
    return Shop({"berlin": {"MUG": 10, "TEA": 5}, "hamburg": {}})


def dairy(*lots: tuple[str, int]) -> Shop:
    """Return a shop with two bottles of each lot in Berlin, expiring after so many days."""
    shop = Shop({"berlin": {}, "hamburg": {}})
    for lot, days in lots:
        shop.inventory.receive("MILK", 2, at="berlin", lot=lot, lot_expires_at=START + days * DAY)
    return shop


class TestRelocate:
    def test_units_are_somewhere_else_at_once(self, shop: Shop) -> None:
        """In one movement; nothing is on the way."""
        shop.inventory.relocate("MUG", 4, source="berlin", target="hamburg")
        assert (shop.figures(at="berlin")[0], shop.figures(at="hamburg")[0]) == (6, 4)
        assert len(shop.inventory.feed()) == 3
        shop.check()

    @pytest.mark.parametrize("state", [State.QUARANTINE, State.DAMAGED])
    def test_units_stay_in_their_state(self, shop: Shop, state: State) -> None:
        """Broken mugs are broken in Hamburg, too."""
        shop.inventory.open("MUG", 3, at="berlin", state=state)
        shop.inventory.relocate("MUG", 2, source="berlin", target="hamburg", state=state)
        assert shop.inventory.figures("MUG", at="hamburg")[state] == 2
        with pytest.raises(InsufficientStock, match=f"only 1 available .rule: {state.value}"):
            shop.inventory.relocate("MUG", 2, source="berlin", target="hamburg", state=state)
        shop.check()

    def test_promised_units_stay(self, shop: Shop) -> None:
        """Only what is free may be moved, and the refusal says how much that is."""
        shop.inventory.reserve({"MUG": 8}, reference="cart")
        with pytest.raises(InsufficientStock, match="only 2 available"):
            shop.inventory.relocate("MUG", 3, source="berlin", target="hamburg")

    def test_holds_that_ran_out_do_not_stand_in_the_way(self, shop: Shop) -> None:
        """They are reclaimed, but only as far as needed."""
        shop.inventory.reserve({"MUG": 4}, reference="one", ttl=MINUTE)
        shop.inventory.reserve({"MUG": 4}, reference="two", ttl=2 * MINUTE)
        shop.clock.tick(5 * MINUTE)
        shop.inventory.relocate("MUG", 5, source="berlin", target="hamburg")
        assert shop.figures(at="berlin") == (1, 4, 0, 0)
        shop.check()

    def test_a_backorder_limit_promises_it_does_not_move(self, shop: Shop) -> None:
        """What is not there cannot be put on a lorry."""
        shop.inventory.policies.set(Policy(backorder_limit=5))
        with pytest.raises(InsufficientStock):
            shop.inventory.relocate("MUG", 11, source="berlin", target="hamburg")

    def test_safety_stock_may_be_moved(self, shop: Shop) -> None:
        """It is kept from promises, not from its owner."""
        shop.inventory.policies.set(Policy(safety_stock=5))
        shop.inventory.relocate("MUG", 10, source="berlin", target="hamburg")
        assert shop.figures(at="hamburg")[0] == 10

    def test_lots_keep_their_name_and_expiry(self) -> None:
        """The earliest go first; at the other end they expire as they would have."""
        shop = dairy(("B", 3), ("A", 1))
        shop.inventory.relocate("MILK", 3, source="berlin", target="hamburg")
        stock = shop.inventory.stock(sku="MILK", at="hamburg")
        assert {key.lot: found.sellable for key, found in stock.items()} == {"A": 2, "B": 1}
        shop.clock.tick(2 * DAY)
        assert shop.inventory.available("MILK", at="hamburg") == 1
        shop.check()

    def test_an_expired_lot_is_moved_only_by_name(self) -> None:
        """Nobody moves old milk by mistake, but somebody has to move it."""
        shop = dairy(("A", 1))
        shop.clock.tick(2 * DAY)
        with pytest.raises(InsufficientStock):
            shop.inventory.relocate("MILK", 1, source="berlin", target="hamburg")
        shop.inventory.relocate("MILK", 1, source="berlin", target="hamburg", lot="A")
        assert shop.inventory.figures("MILK", at="hamburg").sellable == 1
        assert shop.inventory.available("MILK") == 0
        shop.check()

    def test_a_sku_that_never_moved_is_unknown_not_short(self, shop: Shop) -> None:
        """And the nearest ones are named."""
        with pytest.raises(UnknownSku, match="did you mean 'MUG'"):
            shop.inventory.relocate("MUGG", 1, source="berlin", target="hamburg")
        with pytest.raises(InsufficientStock):
            shop.inventory.relocate("MUG", 1, source="hamburg", target="berlin")


class TestTransfer:
    @pytest.fixture
    def sent(self, shop: Shop) -> Shop:
        """Send ten mugs and two bags of tea on their way."""
        shop.inventory.transfer_out(
            "T-1", {"MUG": 10, "TEA": 2}, source="berlin", target="hamburg", due_at=START + DAY
        )
        return shop

    def line(self, shop: Shop, sku: str = "MUG") -> TransferLine:
        """Return a line of the transfer, whose units are conserved."""
        (found,) = (each for each in shop.inventory.transfer("T-1").lines if each.sku == sku)
        assert found.sent == found.arrived + found.rejected + found.lost + found.on_the_way
        assert shop.inventory.figures(sku, at="hamburg").in_transit == found.on_the_way
        shop.check()
        return found

    def test_ten_sent_seven_accepted_three_rejected(self, sent: Shop) -> None:
        """Nothing stays in transit, nothing is doubled."""
        sent.inventory.arrive("T-1", {"MUG": 7})
        sent.inventory.reject("T-1", {"MUG": 3})
        assert self.line(sent).on_the_way == 0
        found = sent.inventory.figures("MUG", at="hamburg")
        assert (found.sellable, found.quarantine, found.on_hand) == (7, 3, 10)

    def test_all_rejected(self, sent: Shop) -> None:
        """They are in Hamburg, to be inspected."""
        sent.inventory.reject("T-1", {"MUG": 10})
        assert sent.inventory.figures("MUG", at="hamburg").quarantine == 10
        assert self.line(sent).rejected == 10

    def test_lost_on_the_way(self, sent: Shop) -> None:
        """At most what is on the way; each SKU on its own."""
        sent.inventory.arrive("T-1", {"MUG": 9})
        with pytest.raises(TooMany, match="cannot lose 2 of 'MUG' for transfer 'T-1': only 1"):
            sent.inventory.lose("T-1", {"MUG": 2})
        sent.inventory.lose("T-1", {"MUG": 1})
        assert (self.line(sent).lost, self.line(sent, "TEA").on_the_way) == (1, 2)

    def test_more_arrived_than_was_sent(self, sent: Shop) -> None:
        """The surplus is taken in, counted beside the line, and noted."""
        outcome = sent.inventory.arrive("T-1", {"MUG": 12})
        (note,) = sent.inventory.movement(outcome.movement_id).notes
        assert note.startswith("over_arrival: 12 of MUG came out of transfer T-1, 10 were on")
        assert (self.line(sent).arrived, self.line(sent).surplus) == (10, 2)
        assert sent.inventory.figures("MUG", at="hamburg").sellable == 12

    def test_something_that_was_never_sent_arrived(self, sent: Shop) -> None:
        """It is a surplus, whatever it is."""
        sent.inventory.arrive("T-1", {"CUP": 1})
        assert self.line(sent, "CUP").surplus == 1
        assert sent.inventory.available("CUP", at="hamburg") == 1

    def test_what_is_on_the_way_is_nowhere_to_be_sold(self, sent: Shop) -> None:
        """Neither at the source nor at the target."""
        assert sent.inventory.available("MUG") == 0
        assert sent.inventory.figures("MUG").in_transit == 10
        assert sent.inventory.figures("MUG").on_hand == 0

    def test_one_reference_is_one_transfer(self, sent: Shop) -> None:
        """A second one needs another name, and nothing is sent."""
        with pytest.raises(DocumentExists, match="transfer 'T-1'"):
            sent.inventory.transfer_out("T-1", {"TEA": 1}, source="berlin", target="hamburg")
        assert self.line(sent, "TEA").sent == 2

    def test_a_transfer_taken_back_altogether_frees_its_reference(self, shop: Shop) -> None:
        """A mistyped one is undone and said anew, under the number on the paper."""
        shop.inventory.locations.add("kiel")
        out = shop.inventory.transfer_out
        slip = out("T", {"MUG": 3}, source="berlin", target="hamburg", due_at=START + DAY)
        arrived = shop.inventory.arrive("T", {"MUG": 1})
        shop.inventory.undo(arrived.movement_id, reason="x")
        shop.inventory.undo(slip.movement_id, reason="to Kiel, not Hamburg")
        out("T", {"TEA": 2}, source="berlin", target="kiel")
        transfer = shop.inventory.transfer("T")
        assert (transfer.target, transfer.due_at) == ("kiel", None)
        assert {line.sku: line.on_the_way for line in transfer.lines} == {"MUG": 0, "TEA": 2}
        assert shop.inventory.figures("TEA", at="kiel").in_transit == 2
        shop.check()

    def test_a_transfer_says_where_and_when(self, sent: Shop) -> None:
        """From where, to where, due when."""
        transfer = sent.inventory.transfer("T-1")
        assert (transfer.source, transfer.target, transfer.due_at) == (
            "berlin",
            "hamburg",
            START + DAY,
        )

    @pytest.mark.parametrize(
        "do",
        [
            lambda i: i.arrive("T-2", {"MUG": 1}),
            lambda i: i.reject("T-2", {"MUG": 1}),
            lambda i: i.lose("T-2", {"MUG": 1}),
            lambda i: i.transfer("T-2"),
        ],
        ids=["arrive", "reject", "lose", "transfer"],
    )
    def test_an_unknown_transfer_is_unknown(
        self, sent: Shop, do: Callable[[Inventory], object]
    ) -> None:
        """Nobody knows where it was going."""
        with pytest.raises(UnknownReference, match="transfer 'T-2'"):
            do(sent.inventory)

    def test_a_refusal_names_every_short_sku(self, shop: Shop) -> None:
        """And nothing is sent of the others."""
        with pytest.raises(InsufficientStock, match="cannot transfer out") as caught:
            shop.inventory.transfer_out(
                "T-1", {"MUG": 11, "TEA": 6}, source="berlin", target="hamburg"
            )
        assert [(sku, wanted, left) for sku, wanted, left, _, _ in caught.value.short] == [
            ("MUG", 11, 10),
            ("TEA", 6, 5),
        ]
        with pytest.raises(UnknownReference):
            shop.inventory.transfer("T-1")

    def test_lots_arrive_as_the_lots_they_were(self) -> None:
        """With their expiry, in whatever parts."""
        shop = dairy(("A", 1), ("B", 3))
        shop.inventory.transfer_out("T-1", {"MILK": 4}, source="berlin", target="hamburg")
        shop.inventory.arrive("T-1", {"MILK": 3})
        shop.inventory.reject("T-1", {"MILK": 1})
        stock = shop.inventory.stock(sku="MILK", at="hamburg")
        assert stock[StockKey("MILK", "hamburg", "A")].sellable == 2
        assert stock[StockKey("MILK", "hamburg", "B")].quarantine == 1
        shop.clock.tick(2 * DAY)
        assert shop.inventory.available("MILK") == 1
        shop.check()

    def test_arriving_twice_under_one_key_is_once(self, sent: Shop) -> None:
        """The scanner sent its message again."""
        parcel = Arrived({"MUG": 5}, reference="T-1", key="scan-1")
        first, again = (sent.inventory.submit([parcel])[0] for _ in range(2))
        assert (again.movements, again.replayed) == (first.movements, True)
        assert self.line(sent).arrived == 5


class TestKits:
    def make(self, shop: Shop, quantity: int) -> Outcome:
        """Make gift sets of two mugs and a bag of tea."""
        return shop.inventory.assemble(
            "GIFT", quantity, components={"MUG": 2, "TEA": 1}, at="berlin"
        )

    def test_components_become_kits_and_kits_components(self, shop: Shop) -> None:
        """There and back, nothing is left over."""
        self.make(shop, 4)
        assert [shop.inventory.available(sku) for sku in ("MUG", "TEA", "GIFT")] == [2, 1, 4]
        shop.inventory.disassemble("GIFT", 4, components={"MUG": 2, "TEA": 1}, at="berlin")
        assert [shop.inventory.available(sku) for sku in ("MUG", "TEA", "GIFT")] == [10, 5, 0]
        shop.check()

    def test_every_short_component_is_named(self, shop: Shop) -> None:
        """What is needed, what is there."""
        with pytest.raises(InsufficientStock, match="cannot assemble") as caught:
            self.make(shop, 6)
        assert [each[:3] for each in caught.value.short] == [("MUG", 12, 10), ("TEA", 6, 5)]
        assert shop.inventory.figures("GIFT").on_hand == 0

    def test_an_unknown_component_is_unknown(self, shop: Shop) -> None:
        """Not short: nobody ever had it; of several the first is named."""
        components = {"MUG": 1, "RIBBON": 1, "WRAP": 1}
        with pytest.raises(UnknownSku, match="'RIBBON'"):
            shop.inventory.assemble("GIFT", 1, components=components, at="berlin")

    def test_kits_that_are_not_there_cannot_be_taken_apart(self, shop: Shop) -> None:
        """Promised ones neither."""
        self.make(shop, 2)
        shop.inventory.reserve({"GIFT": 1}, reference="cart")
        with pytest.raises(InsufficientStock, match="cannot disassemble 2 of 'GIFT'"):
            shop.inventory.disassemble("GIFT", 2, components={"MUG": 2, "TEA": 1}, at="berlin")

    def test_more_than_int64_is_refused_and_nothing_changes(self, shop: Shop) -> None:
        """Two to the sixty-third mugs come out of no box."""
        self.make(shop, 2)
        before = shop.inventory.stock()
        with pytest.raises(InvalidQuantity, match="figures within"):
            shop.inventory.disassemble("GIFT", 2, components={"MUG": 2**62}, at="berlin")
        assert shop.inventory.stock() == before
