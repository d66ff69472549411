"""Taking movements back and replacing them, without editing history."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import pytest

from tests.shops import DAY, MINUTE, START, Shop
from truecount import (
    Adjusted,
    Correct,
    Damaged,
    Expected,
    Inspected,
    Inventory,
    Kind,
    Movement,
    Opened,
    Operation,
    Outcome,
    Received,
    Relocate,
    Returned,
    ReturnedToSupplier,
    Scrapped,
    Sold,
    State,
    StockKey,
    Undo,
)
from truecount.errors import (
    AlreadyReversed,
    InsufficientStock,
    NotCorrectable,
    ReservationFinished,
    TooMany,
    TrueCountError,
    UnknownLocation,
    UnknownMovement,
    UnknownSku,
)


@pytest.fixture
def shop() -> Shop:
    """Return a shop with ten mugs and five bags of tea in Berlin."""
    return Shop({"berlin": {"MUG": 10, "TEA": 5}, "hamburg": {}})


def wrote(outcome: Outcome) -> str:
    """Return the id of what was written."""
    return outcome.check().movement_id


def said(shop: Shop, operation: Operation) -> str:
    """Run one operation and return the id of its movement."""
    return wrote(shop.inventory.submit([operation])[0])


def seen(shop: Shop) -> dict[StockKey, dict[str, int]]:
    """Return every figure that is not zero, after proving that everything agrees."""
    shop.check()
    return {
        key: figures
        for key, found in shop.inventory.stock().items()
        if (figures := {name: value for name, value in found.to_dict().items() if value})
    }


def ago(shop: Shop, operation: Operation) -> str:
    """Run an operation, then let a day pass."""
    id_ = said(shop, operation)
    shop.clock.tick(DAY)
    return id_


#: Slips of every kind that can be corrected: what was said, and what should have been.
SLIPS: dict[str, tuple[Operation, Operation]] = {
    "open": (Opened("MUG", 7, at="berlin"), Opened("MUG", 3, at="berlin")),
    "receive": (
        Received("MUG", 7, at="berlin", into=State.QUARANTINE),
        Received("MUG", 3, at="berlin", into=State.QUARANTINE),
    ),
    "sold": (Sold("MUG", 7, at="berlin"), Sold("MUG", 3, at="berlin")),
    "returned": (Returned("MUG", 7, at="berlin"), Returned("MUG", 3, at="berlin")),
    "inspected": (
        Inspected("MUG", 2, at="berlin", into=State.DAMAGED),
        Inspected("MUG", 3, at="berlin", into=State.DAMAGED),
    ),
    "damaged": (Damaged("MUG", 7, at="berlin"), Damaged("MUG", 3, at="berlin")),
    "scrapped": (
        Scrapped("MUG", 7, at="berlin", reason="mould", state=State.SELLABLE),
        Scrapped("MUG", 3, at="berlin", reason="mould", state=State.SELLABLE),
    ),
    "sent back": (
        ReturnedToSupplier("MUG", 7, at="berlin"),
        ReturnedToSupplier("MUG", 3, at="berlin"),
    ),
    "gained": (
        Adjusted("MUG", 7, at="berlin", reason="found"),
        Adjusted("MUG", 3, at="berlin", reason="found"),
    ),
    "lost": (
        Adjusted("MUG", -7, at="berlin", reason="theft", state=State.QUARANTINE),
        Adjusted("MUG", -3, at="berlin", reason="theft", state=State.QUARANTINE),
    ),
    "relocate": (
        Relocate("MUG", 7, source="berlin", target="hamburg"),
        Relocate("MUG", 3, source="berlin", target="hamburg"),
    ),
    "expected": (
        Expected("MUG", 7, at="berlin", reference="PO-1"),
        Expected("MUG", 3, at="berlin", reference="PO-1"),
    ),
}


class TestCorrect:
    @pytest.mark.parametrize("slip", SLIPS)
    def test_the_figures_are_those_of_the_right_one(self, slip: str) -> None:
        """As if it had been said right the first time, now and as of any moment since."""
        wrong, right = SLIPS[slip]
        shops = [Shop({"berlin": {"MUG": 10}, "hamburg": {}}) for _ in range(2)]
        for shop, operation in zip(shops, (wrong, right), strict=True):
            said(shop, Opened("MUG", 5, at="berlin", state=State.QUARANTINE))
            shop.clock.tick(MINUTE)
            ago(shop, operation)
        slipped, never = shops
        id_ = slipped.inventory.feed()[-1].id
        quantity = abs(right.change) if isinstance(right, Adjusted) else right.quantity  # type: ignore[attr-defined]  # all of them have one
        wrote(slipped.inventory.correct(id_, quantity=quantity, reason="typed wrong"))
        assert seen(slipped) == seen(never)
        for when in (START, START + 2 * MINUTE, START + 2 * DAY):
            for at in ("berlin", "hamburg"):
                assert slipped.inventory.as_of("MUG", when, at=at) == never.inventory.as_of(
                    "MUG", when, at=at
                )

    def test_the_correction_says_what_it_is(self, shop: Shop) -> None:
        """Dated as the original, recorded now, pointing at it, with who and why."""
        slip = ago(shop, Received("MUG", 500, at="berlin", reference="box-1"))
        id_ = wrote(shop.inventory.correct(slip, quantity=50, reason="typed 500", actor="kim"))
        movement, original = shop.inventory.movement(id_), shop.inventory.movement(slip)
        assert (movement.kind, movement.reverses) == (Kind.CORRECT, slip)
        assert movement.occurred_at == original.occurred_at
        assert movement.recorded_at > original.recorded_at
        assert (movement.reason, movement.actor, movement.reference) == (
            "typed 500",
            "kim",
            "box-1",
        )

    def test_sku_location_and_lot_can_be_wrong(self, shop: Shop) -> None:
        """All at once."""
        slip = ago(shop, Received("MUG", 4, at="berlin", lot="A", lot_expires_at=START + 9 * DAY))
        before = shop.inventory.available("MUG")
        wrote(shop.inventory.correct(slip, sku="TEA", at="hamburg", lot="B", reason="mixed up"))
        assert shop.inventory.available("MUG") == before - 4
        key = StockKey("TEA", "hamburg", "B")
        assert seen(shop)[key]["sellable"] == 4
        shop.clock.tick(9 * DAY)
        assert shop.inventory.available("TEA", at="hamburg") == 0

    def test_it_was_not_at_all(self, shop: Shop) -> None:
        """A quantity of nothing leaves only the reversal."""
        before = seen(shop)
        slip = ago(shop, Received("MUG", 4, at="berlin"))
        wrote(shop.inventory.correct(slip, quantity=0, reason="other shop"))
        assert seen(shop) == before

    def test_a_delivery_is_shared_out_anew(self, shop: Shop) -> None:
        """The order is restored and the right delivery uses it up, rejected units included."""
        said(shop, Expected("MUG", 10, at="berlin", reference="PO-1"))
        slip = ago(shop, Received("MUG", 8, at="berlin", reference="PO-1", rejected=4, lot="A"))
        wrote(shop.inventory.correct(slip, quantity=5, reason="typed 8"))
        (line,) = shop.inventory.delivery("PO-1")
        assert (line.received, line.rejected, line.outstanding, line.surplus) == (5, 4, 1, 0)
        assert shop.inventory.figures("MUG").incoming == 1
        shop.check()

    def test_a_corrected_surplus_is_noted_anew(self, shop: Shop) -> None:
        """Twelve of ten are two too many, also when eight was typed."""
        said(shop, Expected("MUG", 10, at="berlin", reference="PO-1"))
        slip = ago(shop, Received("MUG", 8, at="berlin", reference="PO-1"))
        id_ = wrote(shop.inventory.correct(slip, quantity=12, reason="typed 8"))
        (line,) = shop.inventory.delivery("PO-1")
        assert (line.received, line.surplus, line.outstanding) == (10, 2, 0)
        assert shop.inventory.movement(id_).notes[0].startswith("over_delivery: 12 of MUG")
        shop.check()

    def test_a_delivery_of_which_nothing_was_accepted_keeps_its_lot(self, shop: Shop) -> None:
        """All was said to be sent back; some of it is on the shelf, in the lot it was said of."""
        shop.inventory.expect("MUG", 5, at="berlin", reference="PO-1")
        slip = ago(shop, Received("MUG", 0, at="berlin", reference="PO-1", rejected=5, lot="A"))
        shop.inventory.correct(slip, quantity=2, reason="two are fine")
        assert shop.inventory.figures("MUG", at="berlin", lot="A").on_hand == 2
        shop.check()

    def test_an_order_line_keeps_its_date(self, shop: Shop) -> None:
        """Of the wrong SKU or of the right one, it is due when it is due."""
        slip = ago(shop, Expected("MUG", 10, at="berlin", reference="PO-1", due_at=START + 5 * DAY))
        wrote(shop.inventory.correct(slip, sku="CUP", reason="mixed up"))
        lines = {line.sku: line for line in shop.inventory.delivery("PO-1")}
        assert (lines["CUP"].outstanding, lines["CUP"].due_at) == (10, START + 5 * DAY)
        assert lines["MUG"].ordered == 0
        shop.check()

    def test_an_order_taken_back_leaves_no_date(self, shop: Shop) -> None:
        """Ordered anew without one, it is due at no time; its own date is kept when it grows."""
        due = START + DAY
        slip = said(shop, Expected("CUP", 10, at="berlin", reference="PO-1", due_at=due))
        shop.inventory.undo(slip, reason="no date was agreed")
        said(shop, Expected("CUP", 10, at="berlin", reference="PO-1"))
        assert shop.inventory.delivery("PO-1")[0].due_at is None
        said(shop, Expected("CUP", 1, at="berlin", reference="PO-1", due_at=due))
        said(shop, Expected("CUP", 1, at="berlin", reference="PO-1"))
        assert shop.inventory.delivery("PO-1")[0].due_at == due
        shop.check()

    def test_a_till_sale_stays_off_a_reservation_made_since(self, shop: Shop) -> None:
        """The reference was used again; its promise is not what was sold then."""
        slip = ago(shop, Sold("MUG", 2, at="berlin", reference="kim"))
        shop.inventory.reserve({"MUG": 3}, reference="kim")
        wrote(shop.inventory.correct(slip, quantity=4, reason="typed 2"))
        assert shop.figures() == (3, 3, 0, 0)
        shop.inventory.take_back("kim", {"MUG": 4}, key="rma", at="berlin")
        shop.check()

    def test_a_sale_cannot_shrink_below_what_came_back(self, shop: Shop) -> None:
        """Two of three were returned, so at least two were sold."""
        slip = ago(shop, Sold("MUG", 3, at="berlin", reference="etsy-1"))
        shop.inventory.take_back("etsy-1", {"MUG": 2}, key="rma", at="berlin")
        before = seen(shop)
        with pytest.raises(TooMany, match="cannot correct 2 of 'MUG' for order 'etsy-1': only 1"):
            shop.inventory.correct(slip, quantity=1, reason="typed 3")
        assert seen(shop) == before
        wrote(shop.inventory.correct(slip, quantity=2, reason="typed 3"))

    def test_more_sold_is_taken_where_it_is(self) -> None:
        """The lot that was empty is not made emptier while another has stock."""
        shop = Shop({"berlin": {}})
        for lot, days in (("A", 9), ("B", 19)):
            said(
                shop,
                Received("MILK", 2, at="berlin", lot=lot, lot_expires_at=START + days * DAY),
            )
        slip = ago(shop, Sold("MILK", 2, at="berlin"))
        wrote(shop.inventory.correct(slip, quantity=3, reason="typed 2"))
        stock = {key.lot: found.sellable for key, found in shop.inventory.stock().items()}
        assert stock == {"A": 0, "B": 1}
        wrote(shop.inventory.undo(shop.inventory.feed()[-1].id, reason="no"))
        wrote(shop.inventory.correct(slip, quantity=3, lot="A", reason="typed 2"))
        stock = {key.lot: found.sellable for key, found in shop.inventory.stock().items()}
        assert stock == {"A": -1, "B": 2}

    def test_a_command_is_guarded_on_its_net_effect(self, shop: Shop) -> None:
        """Eight relocated, seven of them sold: it can become nine, not six."""
        slip = ago(shop, Relocate("MUG", 8, source="berlin", target="hamburg"))
        said(shop, Sold("MUG", 7, at="hamburg"))
        before = seen(shop)
        with pytest.raises(InsufficientStock, match="cannot correct 2 of 'MUG'"):
            shop.inventory.correct(slip, quantity=6, reason="typed 8")
        with pytest.raises(InsufficientStock, match="relocate 3 of 'MUG' at 'berlin': only 2"):
            shop.inventory.correct(slip, quantity=11, reason="typed 8")
        assert seen(shop) == before
        wrote(shop.inventory.correct(slip, quantity=9, reason="typed 8"))
        assert shop.figures(at="berlin")[0] == 1

    def test_an_expired_hold_does_not_stand_in_its_way(self, shop: Shop) -> None:
        """It is reclaimed, as it would be for the relocation itself."""
        slip = said(shop, Relocate("MUG", 2, source="berlin", target="hamburg"))
        shop.inventory.reserve({"MUG": 8}, reference="cart", ttl=MINUTE)
        shop.clock.tick(DAY)
        wrote(shop.inventory.correct(slip, quantity=6, reason="typed 2"))
        assert shop.figures(at="berlin") == (4, 0, 0, 0)
        shop.check()

    def test_an_expired_hold_does_not_keep_what_comes_back(self, shop: Shop) -> None:
        """Where the relocated units went they are free again, so they can be taken back."""
        slip = said(shop, Relocate("MUG", 8, source="berlin", target="hamburg"))
        shop.inventory.reserve({"MUG": 8}, reference="cart", at="hamburg", ttl=MINUTE)
        shop.clock.tick(DAY)
        wrote(shop.inventory.correct(slip, quantity=2, reason="typed 8"))
        assert shop.figures(at="hamburg") == (2, 0, 0, 0)
        shop.check()

    @pytest.mark.parametrize(
        ("quantity", "left"),
        [(2, {"A": 0, "B": 2, "NEW": 9}), (5, {"A": 0, "B": 1, "NEW": 7})],
        ids=["fewer", "more"],
    )
    @pytest.mark.parametrize("kind", ["sold", "relocated"])
    def test_only_the_number_changes(self, kind: str, quantity: int, left: dict[str, int]) -> None:
        """Units stay those of the lots they were taken from, whatever came in since."""
        shop = Shop({"berlin": {}, "hamburg": {}})
        for lot, days in (("A", 9), ("B", 19)):
            expires = START + days * DAY
            said(shop, Received("MILK", 2, at="berlin", lot=lot, lot_expires_at=expires))
        operation: Operation = Sold("MILK", 3, at="berlin")
        if kind == "relocated":
            operation = Relocate("MILK", 3, source="berlin", target="hamburg")
        slip = ago(shop, operation)
        soon = START + 5 * DAY
        said(shop, Received("MILK", 9, at="berlin", lot="NEW", lot_expires_at=soon))
        wrote(shop.inventory.correct(slip, quantity=quantity, reason="typed 3"))
        stock = shop.inventory.stock(at="berlin").items()
        assert {key.lot: found.sellable for key, found in stock} == left
        shop.check()

    def test_a_sale_of_an_expired_lot_is_noted_anew(self) -> None:
        """The part that stands was sold out of date as well."""
        shop = Shop({"berlin": {}})
        said(shop, Received("MILK", 9, at="berlin", lot="A", lot_expires_at=START + DAY))
        shop.clock.tick(2 * DAY)
        slip = ago(shop, Sold("MILK", 3, at="berlin"))
        id_ = wrote(shop.inventory.correct(slip, quantity=2, reason="typed 3"))
        (note,) = shop.inventory.movement(id_).notes
        assert note.startswith("expired_lot: 2 of MILK were sold from lot A")

    def test_a_receipt_stays_off_an_order_made_since(self, shop: Shop) -> None:
        """It came under the reference, but nothing was ordered under it then."""
        slip = ago(shop, Received("CUP", 5, at="berlin", reference="PO-1"))
        said(shop, Expected("CUP", 10, at="berlin", reference="PO-1"))
        wrote(shop.inventory.correct(slip, quantity=6, reason="typed 5"))
        (line,) = shop.inventory.delivery("PO-1")
        assert (line.received, line.surplus, line.outstanding) == (0, 0, 10)
        assert shop.inventory.figures("CUP").incoming == 10
        shop.check()

    def test_there_was_no_lot_at_all(self, shop: Shop) -> None:
        """What is without a lot does not expire."""
        slip = ago(shop, Received("CUP", 4, at="berlin", lot="A", lot_expires_at=START + 2 * DAY))
        wrote(shop.inventory.correct(slip, lot="", reason="read the wrong label"))
        shop.clock.tick(9 * DAY)
        assert seen(shop)[StockKey("CUP", "berlin")]["available"] == 4

    def test_a_fact_is_corrected_whatever_the_book_says(self, shop: Shop) -> None:
        """Fifty were typed, five came, seven were sold: oversold, and known to be."""
        slip = ago(shop, Received("CUP", 50, at="berlin"))
        said(shop, Sold("CUP", 7, at="berlin"))
        wrote(shop.inventory.correct(slip, quantity=5, reason="typed 50"))
        assert shop.inventory.available("CUP") == -2
        shop.check()

    @pytest.mark.parametrize(
        ("make", "rule"),
        [
            (lambda i: i.count("MUG", 8, at="berlin"), "count again"),
            (lambda i: i.count("MUG", 10, at="berlin"), "count again"),
            (lambda i: i.receive("MUG", 0, at="berlin", rejected=1), "does not move one SKU"),
            (
                lambda i: i.transfer_out("T", {"MUG": 1}, source="berlin", target="hamburg"),
                "not a single line; undo it",
            ),
            (
                lambda i: i.assemble("GIFT", 1, components={"MUG": 1}, at="berlin"),
                "not a single line; undo it",
            ),
            (lambda i: i.reserve({"MUG": 1}, reference="cart"), "release the reservation instead"),
        ],
        ids=["count", "agreeing count", "nothing came", "transfer", "kit", "reservation"],
    )
    def test_what_is_no_single_line_is_undone_instead(
        self, shop: Shop, make: Callable[[Any], object], rule: str
    ) -> None:
        """The message says what to do, and only what can be done."""
        make(shop.inventory)
        id_ = shop.inventory.feed()[-1].id
        with pytest.raises(NotCorrectable, match=rule):
            shop.inventory.correct(id_, quantity=1, reason="x")

    def test_a_sale_out_of_a_reservation_is_undone_instead(self, shop: Shop) -> None:
        """Its units belong to somebody's line."""
        shop.inventory.reserve({"MUG": 2}, reference="cart")
        id_ = said(shop, Sold("MUG", 2, at="berlin", reference="cart"))
        with pytest.raises(NotCorrectable, match="units of a reservation"):
            shop.inventory.correct(id_, quantity=1, reason="x")

    def test_units_returned_to_several_lots_are_undone_instead(self) -> None:
        """Which of them was wrong, nobody said."""
        shop = Shop({"berlin": {}})
        for lot in "AB":
            said(shop, Received("MILK", 1, at="berlin", lot=lot))
        shop.inventory.reserve({"MILK": 2}, reference="cart")
        shop.inventory.confirm("cart")
        shop.inventory.ship("cart")
        id_ = wrote(shop.inventory.take_back("cart", {"MILK": 2}, key="rma"))
        with pytest.raises(NotCorrectable, match="several lots"):
            shop.inventory.correct(id_, quantity=1, reason="x")

    @pytest.mark.parametrize(
        ("change", "error"),
        [
            ({"at": "hamburk"}, UnknownLocation),
            ({"at": "hamburg"}, NotCorrectable),
        ],
        ids=["unknown location", "a relocation has two"],
    )
    def test_a_wrong_correction_writes_nothing(
        self, shop: Shop, change: dict[str, Any], error: type[TrueCountError]
    ) -> None:
        """It is corrected, and said again."""
        receipt = said(shop, Received("MUG", 1, at="berlin"))
        move = said(shop, Relocate("MUG", 1, source="berlin", target="hamburg"))
        before = len(shop.inventory.feed())
        with pytest.raises(error):
            shop.inventory.correct(
                receipt if error is UnknownLocation else move, reason="x", **change
            )
        assert len(shop.inventory.feed()) == before

    def test_what_never_was_is_unknown(self, shop: Shop) -> None:
        """Neither corrected nor undone."""
        with pytest.raises(UnknownMovement, match="'m-0'"):
            shop.inventory.correct("m-0", quantity=1, reason="x")
        with pytest.raises(UnknownMovement, match="'m-0'"):
            shop.inventory.undo("m-0", reason="x")

    def test_a_catalog_is_asked_for_a_corrected_sku_too(self) -> None:
        """Otherwise a correction would create what a receipt may not."""
        inventory = Inventory(catalog={"MUG"})
        inventory.locations.add("berlin")
        slip = wrote(inventory.receive("MUG", 1, at="berlin"))
        with pytest.raises(UnknownSku, match="did you mean 'MUG'"):
            inventory.correct(slip, sku="MUGG", reason="x")


class TestUndo:
    def test_once(self, shop: Shop) -> None:
        """A second undo and a later correction are refused, naming the first."""
        id_ = said(shop, Received("MUG", 3, at="berlin"))
        undone = wrote(shop.inventory.undo(id_, reason="x"))
        for again in (
            Undo(movement_id=id_, reason="y"),
            Correct(movement_id=id_, quantity=1, reason="y"),
        ):
            with pytest.raises(AlreadyReversed) as caught:
                said(shop, again)
            assert caught.value.by == undone
        with pytest.raises(NotCorrectable, match="do the thing again"):
            shop.inventory.undo(undone, reason="z")
        with pytest.raises(NotCorrectable, match="do the thing again"):
            shop.inventory.correct(undone, quantity=1, reason="z")

    def test_an_undone_correction_puts_the_original_in_force(self, shop: Shop) -> None:
        """So a slip in a correction is no dead end: undo it, and correct anew."""
        slip = ago(shop, Received("MUG", 500, at="berlin"))
        wrong = wrote(shop.inventory.correct(slip, quantity=60, reason="typed 500"))
        with pytest.raises(AlreadyReversed, match="undo a correction that was wrong"):
            shop.inventory.correct(slip, quantity=50, reason="typed 60")
        with pytest.raises(NotCorrectable, match="undo this correction, then"):
            shop.inventory.correct(wrong, quantity=50, reason="typed 60")
        shop.inventory.undo(wrong, reason="typed 60")
        assert shop.figures()[0] == 510
        right = wrote(shop.inventory.correct(slip, quantity=50, reason="typed 60"))
        assert shop.figures()[0] == 60
        assert right != wrong
        shop.check()
        shop.inventory.undo(right, reason="not at all")
        shop.inventory.undo(slip, reason="not at all")
        assert shop.figures()[0] == 10
        shop.check()

    def test_an_undone_correction_receives_no_more_than_was_ordered(self, shop: Shop) -> None:
        """Eight became five, and five more came: that it was eight cannot be true again."""
        said(shop, Expected("CUP", 10, at="berlin", reference="PO"))
        slip = ago(shop, Received("CUP", 8, at="berlin", reference="PO"))
        fix = wrote(shop.inventory.correct(slip, quantity=5, reason="typed 8"))
        rest = said(shop, Received("CUP", 5, at="berlin", reference="PO"))
        before = seen(shop)
        with pytest.raises(
            TooMany, match="cannot undo 3 of 'CUP' for purchase order 'PO': only 0 left"
        ):
            shop.inventory.undo(fix, reason="x")
        assert seen(shop) == before
        shop.inventory.undo(rest, reason="x")
        shop.inventory.undo(fix, reason="x")
        (line,) = shop.inventory.delivery("PO")
        assert (line.received, line.outstanding) == (8, 2)
        assert shop.inventory.figures("CUP").incoming == 2
        shop.check()

    def test_an_undone_correction_returns_no_more_than_was_sold(self, shop: Shop) -> None:
        """Each unit comes back once, in whatever order it is said."""
        said(shop, Sold("MUG", 3, at="berlin", reference="kim"))
        slip = ago(shop, Returned("MUG", 3, at="berlin", reference="kim"))
        fix = wrote(shop.inventory.correct(slip, quantity=1, reason="typed 3"))
        shop.inventory.take_back("kim", {"MUG": 2}, key="rma", at="berlin")
        with pytest.raises(TooMany, match="cannot undo 2 of 'MUG' for order 'kim': only 0 left"):
            shop.inventory.undo(fix, reason="x")
        shop.check()

    def test_a_corrected_command_is_undone_only_while_its_units_are_there(self, shop: Shop) -> None:
        """Undoing the correction is guarded as the command itself."""
        slip = ago(shop, Relocate("MUG", 2, source="berlin", target="hamburg"))
        fix = wrote(shop.inventory.correct(slip, quantity=8, reason="typed 2"))
        said(shop, Sold("MUG", 5, at="hamburg"))
        with pytest.raises(InsufficientStock, match="cannot undo 6 of 'MUG' at 'hamburg': only 3"):
            shop.inventory.undo(fix, reason="x")
        shop.check()

    @pytest.mark.parametrize("units", [1, 4])
    def test_an_expired_hold_does_not_keep_what_is_taken_back(self, shop: Shop, units: int) -> None:
        """It is reclaimed, as it would be for relocating the units back."""
        id_ = said(shop, Relocate("MUG", units, source="berlin", target="hamburg"))
        shop.inventory.reserve({"MUG": units}, reference="cart", at="hamburg", ttl=MINUTE)
        shop.clock.tick(DAY)
        done = shop.inventory.undo(id_, reason="x")
        assert len(done.movements) == 2
        assert shop.inventory.movement(done.movement_id).kind is Kind.UNDO
        assert shop.figures() == (10, 0, 0, 0)
        assert shop.inventory.reservation("cart").status == "expired"
        shop.check()

    @pytest.mark.parametrize("known", [START + 9 * DAY, None])
    @pytest.mark.parametrize("kind", [Received, Opened])
    def test_a_misread_label_spoils_the_lot_only_until_it_is_undone(
        self, shop: Shop, known: datetime | None, kind: type[Received | Opened]
    ) -> None:
        """The lot expires again when it did before, or not at all."""
        said(shop, kind("MILK", 4, at="berlin", lot="A", lot_expires_at=known))
        slip = said(shop, kind("MILK", 1, at="berlin", lot="A", lot_expires_at=START))
        assert shop.inventory.available("MILK") == 0
        shop.inventory.undo(slip, reason="misread the label")
        assert shop.inventory.available("MILK") == 4
        shop.clock.tick(9 * DAY)
        assert shop.inventory.available("MILK") == (4 if known is None else 0)
        shop.check()

    def test_a_misread_label_keeps_no_lot_alive(self, shop: Shop) -> None:
        """Read as nine days later than it is, and taken back: the lot expires as it did."""
        said(shop, Received("MILK", 4, at="berlin", lot="A", lot_expires_at=START + DAY))
        later = START + 9 * DAY
        slip = said(shop, Received("MILK", 1, at="berlin", lot="A", lot_expires_at=later))
        shop.inventory.undo(slip, reason="misread the label")
        assert shop.inventory.available("MILK") == 4
        shop.clock.tick(DAY)
        assert shop.inventory.available("MILK") == 0
        shop.check()

    def test_an_expiry_said_since_is_not_undone(self, shop: Shop) -> None:
        """The next delivery had read the label right."""
        slip = said(shop, Received("MILK", 1, at="berlin", lot="A", lot_expires_at=START))
        right = START + 9 * DAY
        said(shop, Received("MILK", 4, at="berlin", lot="A", lot_expires_at=right))
        shop.inventory.undo(slip, reason="never came")
        assert shop.inventory.available("MILK") == 4
        shop.clock.tick(9 * DAY)
        assert shop.inventory.available("MILK") == 0
        shop.check()

    def test_a_corrected_lot_leaves_no_expiry_behind(self, shop: Shop) -> None:
        """Lot A was not on the box at all; undoing the correction puts its label back."""
        said(shop, Received("MILK", 4, at="berlin", lot="A"))
        slip = said(shop, Received("MILK", 1, at="berlin", lot="A", lot_expires_at=START))
        fix = wrote(shop.inventory.correct(slip, lot="B", reason="misread the label"))
        assert shop.inventory.available("MILK") == 4
        assert shop.inventory.figures("MILK", lot="B").available == 0
        shop.inventory.undo(fix, reason="it was lot A")
        assert shop.inventory.available("MILK") == 0
        shop.check()

    def test_undo_and_correct_in_one_step(self, shop: Shop) -> None:
        """All or nothing, without the wrong figures in between."""
        slip = ago(shop, Received("MUG", 500, at="berlin"))
        wrong = wrote(shop.inventory.correct(slip, quantity=60, reason="typed 500"))
        shop.inventory.submit(
            [
                Undo(movement_id=wrong, reason="typed 60"),
                Correct(movement_id=slip, quantity=50, reason="typed 500"),
            ],
            together=True,
        )
        assert shop.figures()[0] == 60
        shop.check()

    def test_an_agreeing_count_can_be_undone(self, shop: Shop) -> None:
        """Nothing moved, and the history says who took it back."""
        id_ = wrote(shop.inventory.count("MUG", 10, at="berlin"))
        shop.inventory.undo(id_, reason="wrong shelf")
        assert [entry.movement.kind for entry in shop.inventory.history("MUG")][-2:] == [
            Kind.COUNT,
            Kind.UNDO,
        ]
        shop.check()

    def test_a_command_is_undone_only_while_its_units_are_there(self, shop: Shop) -> None:
        """Relocated and sold cannot come back."""
        id_ = said(shop, Relocate("MUG", 4, source="berlin", target="hamburg"))
        said(shop, Sold("MUG", 1, at="hamburg"))
        with pytest.raises(InsufficientStock, match="only 3 available"):
            shop.inventory.undo(id_, reason="x")

    def test_a_transfer_is_undone_only_while_all_of_it_is_on_the_way(self, shop: Shop) -> None:
        """Otherwise more would have arrived than was sent."""
        out = wrote(shop.inventory.transfer_out("T", {"MUG": 4}, source="berlin", target="hamburg"))
        arrived = wrote(shop.inventory.arrive("T", {"MUG": 3}))
        with pytest.raises(TooMany, match="cannot undo 4 of 'MUG' for transfer 'T': only 1"):
            shop.inventory.undo(out, reason="x")
        shop.inventory.undo(arrived, reason="x")
        shop.inventory.undo(out, reason="x")
        assert shop.figures(at="berlin")[0] == 10
        assert shop.inventory.figures("MUG").in_transit == 0
        shop.check()

    def test_an_order_is_undone_only_while_all_of_it_is_open(self, shop: Shop) -> None:
        """Received, rejected and closed units were ordered."""
        ordered = said(shop, Expected("CUP", 5, at="berlin", reference="PO"))
        received = said(shop, Received("CUP", 2, at="berlin", reference="PO", rejected=1))
        closed = wrote(shop.inventory.close_delivery("CUP", at="berlin", reference="PO"))
        for id_ in (closed, received):
            with pytest.raises(TooMany, match="cannot undo 5 of 'CUP' for purchase order 'PO'"):
                shop.inventory.undo(ordered, reason="x")
            shop.inventory.undo(id_, reason="x")
        shop.inventory.undo(ordered, reason="x")
        assert seen(shop).get(StockKey("CUP", "berlin")) is None
        assert shop.inventory.delivery("PO")[0].outstanding == 0

    @pytest.mark.parametrize("reserved", [True, False])
    def test_a_sale_that_came_back_cannot_be_undone(self, shop: Shop, *, reserved: bool) -> None:
        """First the return, then the sale; out of a reservation or off the shelf."""
        if reserved:
            shop.inventory.reserve({"MUG": 2}, reference="kim")
        sale = said(shop, Sold("MUG", 2, at="berlin", reference="kim"))
        back = wrote(shop.inventory.take_back("kim", {"MUG": 1}, key="rma", at="berlin"))
        with pytest.raises(TooMany, match="cannot undo 2 of 'MUG' for order 'kim'"):
            shop.inventory.undo(sale, reason="x")
        shop.inventory.undo(back, reason="x")
        shop.inventory.undo(sale, reason="x")
        assert shop.figures() == ((8, 2, 0, 0) if reserved else (10, 0, 0, 0))
        shop.check()

    def test_a_shipment_of_several_lots_is_one_account(self, shop: Shop) -> None:
        """Two went out of two lots, and one came back: neither both nor one lot were never sent."""
        for lot in ("A", "B"):
            shop.inventory.receive("MILK", 1, at="berlin", lot=lot)
        shop.inventory.reserve({"MILK": 2}, reference="order")
        shop.inventory.confirm("order")
        shipped = shop.inventory.ship("order").movements[-1]
        said(shop, Returned("MILK", 1, at="berlin", reference="order"))
        with pytest.raises(TooMany, match="cannot undo 2 of 'MILK' for order 'order': only 1 left"):
            shop.inventory.undo(shipped, reason="x")

    def test_what_came_back_beyond_an_order_leaves_nothing_of_it(self, shop: Shop) -> None:
        """Not less than nothing."""
        sale = said(shop, Sold("MUG", 2, at="berlin", reference="etsy-1"))
        said(shop, Returned("MUG", 3, at="berlin", reference="etsy-1"))
        with pytest.raises(TooMany, match="cannot undo 2 of 'MUG' for order 'etsy-1': only 0 left"):
            shop.inventory.undo(sale, reason="x")

    def test_a_shipment_is_undone_to_where_it_was(self, shop: Shop) -> None:
        """Picked units are picked again, allocated ones allocated."""
        shop.inventory.reserve({"MUG": 5}, reference="cart")
        shop.inventory.confirm("cart")
        shop.inventory.pick("cart", {"MUG": 2}, key="p")
        before = seen(shop)
        shipped = shop.inventory.ship("cart").movements[-1]
        shop.inventory.undo(shipped, reason="still in the hall")
        assert seen(shop) == before
        assert shop.inventory.reservation("cart").status == "confirmed"

    def test_a_pick_is_undone_before_anything_was_shipped(self, shop: Shop) -> None:
        """It takes nothing from anybody: the units are on their shelf again, still promised."""
        shop.inventory.reserve({"MUG": 3}, reference="order")
        shop.inventory.confirm("order")
        pick = shop.inventory.pick("order", {"MUG": 2}, key="p-1").movements[-1]
        wrote(shop.inventory.undo(pick, reason="the wrong trolley"))
        assert shop.figures() == (7, 0, 3, 0)
        shop.check()

    def test_a_pick_is_undone_only_while_the_units_are_picked(self, shop: Shop) -> None:
        """Once shipped they are with the customer."""
        shop.inventory.reserve({"MUG": 5}, reference="cart")
        shop.inventory.confirm("cart")
        picked = shop.inventory.pick("cart").movements[-1]
        shop.inventory.ship("cart", {"MUG": 1}, key="parcel")
        with pytest.raises(TooMany, match="cannot undo 5 of 'MUG' for reservation 'cart': only 4"):
            shop.inventory.undo(picked, reason="x")

    def test_an_earlier_reservation_is_not_reopened_under_a_later_one(self, shop: Shop) -> None:
        """Its units would belong to a reservation nobody can act on."""
        shop.inventory.reserve({"MUG": 2}, reference="kim")
        shop.inventory.confirm("kim")
        shipped = shop.inventory.ship("kim").movements[-1]
        shop.inventory.reserve({"MUG": 3}, reference="kim")
        with pytest.raises(ReservationFinished, match="cannot undo 'kim'"):
            shop.inventory.undo(shipped, reason="x")
        shop.check()

    def test_a_sale_that_used_up_a_hold_gives_the_hold_back(self, shop: Shop) -> None:
        """With the deadline it had."""
        shop.inventory.reserve({"MUG": 4}, reference="cart", ttl=10 * MINUTE)
        until = shop.inventory.reservation("cart").expires_at
        sale = said(shop, Sold("MUG", 4, at="berlin", reference="cart"))
        shop.inventory.undo(sale, reason="x")
        again = shop.inventory.reservation("cart")
        assert (again.status, again.expires_at) == ("held", until)
        shop.clock.tick(DAY)
        assert shop.inventory.available("MUG") == 10
        shop.check()

    @pytest.mark.parametrize(
        ("act", "instead"),
        [
            (lambda i: i.reserve({"MUG": 1}, reference="b"), "release"),
            (lambda i: i.confirm("a"), "release or amend"),
            (lambda i: i.release("a"), "never reopened"),
            (lambda i: i.amend("a", {"MUG": 3}), "amend the reservation again"),
        ],
        ids=["reserve", "confirm", "release", "amend"],
    )
    def test_reservations_change_through_their_own_commands(
        self, shop: Shop, act: Callable[[Any], Any], instead: str
    ) -> None:
        """The message names the one to use."""
        shop.inventory.reserve({"MUG": 2}, reference="a")
        id_ = act(shop.inventory).movements[-1]
        with pytest.raises(NotCorrectable, match=instead):
            shop.inventory.undo(id_, reason="x")

    def test_an_expired_hold_is_not_reopened(self, shop: Shop) -> None:
        """Somebody else may have the units by now."""
        shop.inventory.reserve({"MUG": 2}, reference="a", ttl=MINUTE)
        shop.clock.tick(DAY)
        shop.inventory.sweep()
        with pytest.raises(NotCorrectable, match="reserve anew"):
            shop.inventory.undo(shop.inventory.feed()[-1].id, reason="x")

    def test_a_movement_that_reclaimed_a_hold_leaves_it_reclaimed(self, shop: Shop) -> None:
        """The reclaiming is a movement of its own, and was right."""
        shop.inventory.reserve({"MUG": 8}, reference="a", ttl=MINUTE)
        shop.clock.tick(DAY)
        id_ = said(shop, Relocate("MUG", 9, source="berlin", target="hamburg"))
        shop.inventory.undo(id_, reason="x")
        assert shop.figures(at="berlin") == (10, 0, 0, 0)
        shop.check()

    def test_an_undo_is_dated_as_what_it_undoes(self, shop: Shop) -> None:
        """So no past moment shows what never was; what was known then stays known."""
        shop.clock.tick(MINUTE)
        id_ = ago(shop, Received("MUG", 5, at="berlin"))
        known = shop.clock.now
        shop.clock.tick(MINUTE)
        shop.inventory.undo(id_, reason="x")
        then = START + 2 * MINUTE
        assert shop.inventory.as_of("MUG", then).on_hand == 10
        assert shop.inventory.as_of("MUG", then, known_at=known).on_hand == 15


def chain(movements: Iterable[Movement], id_: str) -> list[str]:
    """Return what was made of a movement, one reversal after the other."""
    return [movement.id for movement in movements if movement.reverses == id_]


def test_history_keeps_every_version_of_the_truth(shop: Shop) -> None:
    """The slip, its corrections and their undoing are all there, in order."""
    slip = said(shop, Received("MUG", 40, at="berlin"))
    wrong = wrote(shop.inventory.correct(slip, quantity=5, reason="typed 40"))
    undone = wrote(shop.inventory.undo(wrong, reason="other shelf"))
    right = wrote(shop.inventory.correct(slip, quantity=4, reason="typed 40"))
    movements = shop.inventory.feed()
    assert (chain(movements, slip), chain(movements, wrong)) == ([wrong, right], [undone])
    assert [entry.after.on_hand for entry in shop.inventory.history("MUG")] == [10, 50, 15, 50, 14]
