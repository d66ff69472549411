"""Findings from the book alone: what opens them, what closes them, who hears of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest

from truecount import (
    Dismiss,
    Finding,
    FindingKind,
    FindingsReport,
    Inventory,
    Kind,
    MemoryStorage,
    Opened,
    Policy,
    Returned,
    Sold,
    SQLiteStorage,
    State,
    StockKey,
    errors,
)
from truecount.model.movements import Draft, Leg
from truecount.model.places import OPENING, inside
from truecount.protocols.storage import Record, Wants
from truecount.reconciliation.register import FINDING_RULES, REGISTER, BookFindings
from truecount.testing import ManualClock
from truecount.write.engine import Engine
from truecount.write.intents import Granted, Rule, Rules


START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class Shop:
    """An inventory with a clock to move, two locations, and a short way to its findings."""

    def __init__(self) -> None:
        self.clock = ManualClock(START)
        self.inventory = Inventory(clock=self.clock)
        self.inventory.locations.add("berlin", "hamburg")

    def sold(self, sku: str, quantity: int, key: str, *, at: str = "berlin") -> str:
        """Report a sale that happened, and return its movement."""
        return self.inventory.record([Sold(sku, quantity, at=at, key=key)])[0].movement_id

    def ordered(self, reference: str, quantity: int, sku: str = "MUG") -> None:
        """Place an order, a minute after whatever came before."""
        self.clock.tick(timedelta(minutes=1))
        self.inventory.reserve({sku: quantity}, reference=reference)
        self.inventory.confirm(reference)

    def open(self, *kinds: FindingKind) -> list[Finding]:
        """Return the open findings, of *kinds* if any are named."""
        found = self.inventory.findings().open
        return [each for each in found if not kinds or each.kind in kinds]

    def one(self, kind: FindingKind) -> Finding:
        """Return the only open finding of a kind."""
        [finding] = self.open(kind)
        return finding

    def kinds(self) -> list[str]:
        """Return the kinds of the open findings, the most urgent first."""
        return [each.kind.value for each in self.open()]

    def written(self) -> Sequence[Record]:
        """Return all documents of the register, to see whether anything was written."""
        with self.inventory.storage.read("main") as reader:
            return reader.records(REGISTER)


@pytest.fixture
def shop() -> Iterator[Shop]:
    """A shop of its own for each test."""
    shop = Shop()
    yield shop
    shop.inventory.close()


class TestHealthyBook:
    def test_everyday_trade_finds_nothing_and_writes_nothing(self, shop: Shop) -> None:
        """Receipts, carts, orders, parcels and returns in time are nobody's problem."""
        inventory = shop.inventory
        inventory.receive("MUG", 10, at="berlin", reference="PO-1")
        shop.ordered("order-1", 3)
        inventory.ship("order-1")
        inventory.take_back("order-1", {"MUG": 1}, key="rma-1")
        inventory.reserve({"MUG": 2}, reference="cart-1")
        inventory.expect("MUG", 5, at="berlin", reference="PO-2", due_at=START + timedelta(days=3))
        inventory.transfer_out(
            "T-1", {"MUG": 1}, source="berlin", target="hamburg", due_at=START + timedelta(days=1)
        )
        assert inventory.findings() == FindingsReport(open=(), closed=(), cursor=0)
        assert shop.written() == []

    def test_empty_book_has_no_findings(self, shop: Shop) -> None:
        """A shop that has not begun has nothing to find."""
        assert shop.inventory.findings(since=0).open == ()


class TestOversold:
    def test_sentence_names_goods_place_number_and_the_newest_orders(self, shop: Shop) -> None:
        """Two units too few endanger the newest order, and the sentence says all of it."""
        shop.inventory.receive("MUG", 6, at="berlin")
        for number, quantity in enumerate((3, 1, 2), 1):
            shop.ordered(f"order-{number}", quantity)
        shop.clock.tick()
        sale = shop.sold("MUG", 2, "till-1")
        finding = shop.one(FindingKind.OVERSOLD)
        assert finding.sentence == (
            "MUG at berlin is oversold by 2, since 2026-03-02 09:03 UTC; at risk: order-3"
        )
        assert (finding.sku, finding.at, finding.lot, finding.quantity) == ("MUG", "berlin", "", 2)
        assert finding.evidence == (sale,)
        assert finding.at_risk == ("order-3",)
        assert finding.urgency == 100
        assert finding.since == shop.clock.now
        assert finding.advice.startswith("Get stock in")

    def test_more_missing_than_promised_endangers_everybody(self, shop: Shop) -> None:
        """All open promises are named, newest first, and what left the shelf is not."""
        shop.inventory.receive("MUG", 4, at="berlin")
        for number in (1, 2, 3):
            shop.ordered(f"order-{number}", 1)
        shop.inventory.pick("order-2")
        shop.sold("MUG", 9, "till-1")
        assert shop.one(FindingKind.OVERSOLD).at_risk == ("order-3", "order-1")

    def test_an_empty_shelf_oversold_is_one_thing(self, shop: Shop) -> None:
        """That less than nothing is on hand follows, and is told in the same sentence."""
        shop.inventory.receive("MUG", 1, at="berlin")
        shop.ordered("order-1", 1)
        sale = shop.sold("MUG", 3, "till-1")
        [finding] = shop.open()
        assert (finding.kind, finding.quantity) == (FindingKind.OVERSOLD, 3)
        assert finding.evidence == (sale,)
        assert finding.sentence == (
            "MUG at berlin is oversold by 3, since 2026-03-02 09:01 UTC; the book says -2 on hand"
            "; at risk: order-1"
        )
        shop.inventory.receive("MUG", 2, at="berlin")
        assert "on hand" not in shop.one(FindingKind.OVERSOLD).sentence

    def test_what_else_is_below_zero_on_an_oversold_shelf_is_another(self, shop: Shop) -> None:
        """Nothing sold explains why fewer than none are in quarantine."""
        shop.sold("MUG", 3, "till-1")
        wrong = shop.inventory.inspect("MUG", 2, at="berlin", into=State.DAMAGED).movement_id
        below = shop.one(FindingKind.ON_HAND_BELOW_ZERO)
        assert below.sentence.startswith("The book says -2 in quarantine of MUG at berlin, since")
        assert (below.quantity, below.evidence) == (2, (wrong,))
        assert shop.one(FindingKind.OVERSOLD).quantity == 3

    def test_hold_that_ran_out_pays_for_the_sale(self, shop: Shop) -> None:
        """Units of an expired cart are promised to nobody, so nothing is oversold."""
        shop.inventory.receive("MUG", 2, at="berlin")
        shop.inventory.reserve({"MUG": 2}, reference="cart-1", ttl=timedelta(minutes=15))
        shop.sold("MUG", 2, "till-1")
        assert shop.one(FindingKind.OVERSOLD).at_risk == ("cart-1",)
        shop.clock.tick(timedelta(minutes=15, seconds=1))
        assert shop.kinds() == []

    def test_hold_that_ran_out_pays_for_the_sale_of_an_expired_lot_too(self, shop: Shop) -> None:
        """Nothing of the lot can be promised any more, but nothing of it is missing either."""
        shop.inventory.receive(
            "TEA", 2, at="berlin", lot="L1", lot_expires_at=START + timedelta(minutes=30)
        )
        shop.inventory.reserve({"TEA": 2}, reference="cart-1", ttl=timedelta(minutes=15))
        shop.inventory.record([Sold("TEA", 1, at="berlin", lot="L1", key="till-1")])
        shop.clock.tick(timedelta(minutes=40))
        assert shop.inventory.figures("TEA").oversold == 0
        assert shop.kinds() == ["expired_lot"]

    def test_backorder_is_found_only_beyond_its_limit(self, shop: Shop) -> None:
        """What the policy allows to be promised ahead is not oversold."""
        shop.inventory.policies.set(Policy(backorder_limit=3), sku="MUG")
        shop.inventory.receive("MUG", 1, at="berlin")
        shop.ordered("order-1", 4)
        assert shop.kinds() == []
        shop.sold("MUG", 2, "till-1")
        finding = shop.one(FindingKind.OVERSOLD)
        assert finding.quantity == 2
        assert "oversold by 5, 2 beyond the 3 allowed" in finding.sentence

    def test_lots_do_not_use_the_backorder_limit(self, shop: Shop) -> None:
        """Only the key without a lot may be promised ahead."""
        shop.inventory.policies.set(Policy(backorder_limit=3), sku="TEA")
        shop.inventory.receive("TEA", 1, at="berlin", lot="L1")
        shop.inventory.record([Sold("TEA", 2, at="berlin", lot="L1", key="till-1")])
        assert "TEA (lot L1) at berlin is oversold by 1" in shop.one(FindingKind.OVERSOLD).sentence

    def test_exactly_the_codes_with_an_oversold_key_are_found(self, shop: Shop) -> None:
        """Stock elsewhere does not hide a key that is short, and nobody else is accused."""
        for sku in ("A", "B", "C"):
            shop.inventory.receive(sku, 5, at="hamburg")
        shop.sold("A", 1, "1")
        shop.sold("B", 5, "2", at="hamburg")
        shop.sold("C", 6, "3", at="hamburg")
        found = {(each.sku, each.at) for each in shop.open(FindingKind.OVERSOLD)}
        assert found == {("A", "berlin"), ("C", "hamburg")}


class TestIdentity:
    def test_id_stays_while_the_finding_grows(self, shop: Shop) -> None:
        """More of the same is the same finding, with the evidence added."""
        first = shop.sold("MUG", 1, "till-1")
        before = shop.one(FindingKind.OVERSOLD)
        shop.clock.tick(timedelta(hours=1))
        second = shop.sold("MUG", 2, "till-2")
        after = shop.one(FindingKind.OVERSOLD)
        assert (after.id, after.since, after.opened_at) == (before.id, START, START)
        assert after.quantity == 3
        assert after.evidence == (first, second)

    def test_evidence_is_bounded_and_keeps_the_first_movement(self, shop: Shop) -> None:
        """A key nobody ever receives names the sale that began it and the latest ones."""
        sales = [shop.sold("MUG", 1, f"till-{number}") for number in range(20)]
        early = shop.one(FindingKind.OVERSOLD)
        assert early.evidence == (sales[0], *sales[-9:])
        sales += [shop.sold("MUG", 1, f"till-{number}") for number in range(20, 23)]
        assert shop.one(FindingKind.OVERSOLD).evidence == (sales[0], *sales[-9:])

    def test_cured_finding_closes_and_a_relapse_has_a_new_id(self, shop: Shop) -> None:
        """Stock that comes closes it; being short again is another finding."""
        shop.sold("MUG", 1, "till-1")
        first = shop.one(FindingKind.OVERSOLD)
        cursor = shop.inventory.findings().cursor
        shop.clock.tick(timedelta(hours=1))
        shop.inventory.receive("MUG", 1, at="berlin")
        report = shop.inventory.findings(since=cursor)
        assert report.open == ()
        closed = next(each for each in report.closed if each.kind is FindingKind.OVERSOLD)
        assert closed == attrs.evolve(first, closed_at=START + timedelta(hours=1))
        shop.sold("MUG", 1, "till-2")
        assert shop.one(FindingKind.OVERSOLD).id != first.id

    def test_relapse_that_nobody_saw_cured_is_another_finding(self, shop: Shop) -> None:
        """Cured and short again between two looks: one closed, one opened."""
        shop.sold("MUG", 1, "till-1")
        before = shop.inventory.findings()
        shop.inventory.receive("MUG", 1, at="berlin")
        relapse = shop.sold("MUG", 4, "till-2")
        report = shop.inventory.findings(since=before.cursor)
        assert {each.id for each in report.closed} == {each.id for each in before.open}
        assert {each.evidence for each in report.open} == {(relapse,)}

    def test_cure_and_relapse_in_one_write_is_the_same_finding(self, shop: Shop) -> None:
        """Nobody ever saw the figures between two movements of one write."""
        shop.sold("MUG", 1, "till-1")
        before = shop.one(FindingKind.OVERSOLD)
        shop.inventory.record(
            [
                Opened("MUG", 5, at="berlin", key="open-1"),
                Sold("MUG", 6, at="berlin", key="till-2"),
            ]
        )
        after = shop.one(FindingKind.OVERSOLD)
        assert (after.id, after.quantity) == (before.id, 2)

    def test_another_policy_reopens_under_a_new_id(self, shop: Shop) -> None:
        """The same figures under a rule that came, went and came back are three states."""
        shop.sold("MUG", 1, "till-1")
        ids = {shop.one(FindingKind.OVERSOLD).id}
        for _ in range(2):
            shop.inventory.policies.set(Policy(backorder_limit=5))
            assert shop.open(FindingKind.OVERSOLD) == []
            shop.clock.tick(timedelta(hours=1))
            closed_at = shop.clock.now - timedelta(hours=1)
            shop.inventory.policies.set(Policy(backorder_limit=0))
            finding = shop.one(FindingKind.OVERSOLD)
            assert finding.since == closed_at
            ids.add(finding.id)
        assert len(ids) == 3

    def test_another_limit_keeps_the_finding_that_holds_under_both(self, shop: Shop) -> None:
        """A rule that changes what began when does not announce the same shortage again."""
        shop.inventory.policies.set(Policy(reorder_point=5))
        shop.inventory.receive("MUG", 8, at="berlin")
        shop.sold("MUG", 4, "till-1")
        before = shop.one(FindingKind.LOW_STOCK)
        shop.inventory.policies.set(Policy(reorder_point=20))
        after = shop.one(FindingKind.LOW_STOCK)
        assert (after.id, before.quantity, after.quantity) == (before.id, 1, 16)

    def test_walk_back_ends_where_the_finding_was_seen_last(self, shop: Shop) -> None:
        """What is known of an open finding is not worked out anew under a narrower rule."""
        shop.inventory.policies.set(Policy(reorder_point=20))
        shop.inventory.receive("MUG", 8, at="berlin")
        before = shop.one(FindingKind.LOW_STOCK)
        shop.clock.tick(timedelta(hours=1))
        shop.sold("MUG", 4, "till-1")
        assert shop.one(FindingKind.LOW_STOCK).id == before.id
        shop.inventory.policies.set(Policy(reorder_point=5))
        after = shop.one(FindingKind.LOW_STOCK)
        assert (after.id, after.since) == (before.id, before.since)
        shop.clock.tick(timedelta(hours=1))
        shop.inventory.receive("MUG", 4, at="berlin")
        shop.sold("MUG", 4, "till-2")
        assert shop.one(FindingKind.LOW_STOCK).id != before.id

    def test_ids_are_the_same_in_two_books_with_the_same_history(self) -> None:
        """An id comes from the book, not from chance, so a read-only copy agrees."""
        ids = []
        for _ in range(2):
            shop = Shop()
            shop.sold("MUG", 1, "till-1")
            ids.append([each.id for each in shop.open()])
        assert ids[0] == ids[1]


class TestOtherKinds:
    def test_less_than_nothing_on_the_shelf(self, shop: Shop) -> None:
        """A shelf that may be promised ahead is not oversold, but holds no less than nothing."""
        shop.inventory.policies.set(Policy(backorder_limit=5), sku="MUG")
        shop.inventory.receive("MUG", 1, at="berlin")
        sale = shop.sold("MUG", 3, "till-1")
        finding = shop.one(FindingKind.ON_HAND_BELOW_ZERO)
        assert finding.sentence.startswith("The book says -2 on hand of MUG at berlin, since")
        assert (finding.quantity, finding.evidence) == (2, (sale,))
        shop.inventory.count("MUG", 0, at="berlin")
        assert shop.kinds() == []

    def test_damaged_units_are_on_hand_like_others(self, shop: Shop) -> None:
        """Two are sold that are not there, two lie broken: nobody has less than nothing."""
        shop.inventory.policies.set(Policy(backorder_limit=5), sku="MUG")
        shop.inventory.open("MUG", 2, at="berlin", state=State.DAMAGED)
        shop.sold("MUG", 2, "till-1")
        assert shop.kinds() == []

    def test_less_than_nothing_in_quarantine(self, shop: Shop) -> None:
        """More inspected than came in is one finding, though the shelf as a whole has units."""
        shop.inventory.receive("MUG", 5, at="berlin")
        wrong = shop.inventory.inspect("MUG", 2, at="berlin", into=State.DAMAGED).movement_id
        [finding] = shop.open()
        assert finding.kind is FindingKind.ON_HAND_BELOW_ZERO
        assert "-2 in quarantine of MUG at berlin" in finding.sentence
        assert finding.evidence == (wrong,)
        shop.inventory.open("MUG", 2, at="berlin", state=State.QUARANTINE)
        assert shop.kinds() == []

    def test_hold_nobody_sweeps(self, shop: Shop) -> None:
        """An hour after its expiry a hold that is still held means no sweeper runs."""
        shop.inventory.receive("MUG", 9, at="berlin")
        for name, quantity in (("cart-1", 1), ("cart-2", 2)):
            shop.clock.tick()
            shop.inventory.reserve({"MUG": quantity}, reference=name, ttl=timedelta(minutes=30))
            shop.clock.tick(timedelta(minutes=10))
        shop.clock.tick(timedelta(minutes=69, seconds=50))
        assert shop.kinds() == []
        shop.clock.tick(timedelta(minutes=1))
        first = shop.one(FindingKind.STALE_HOLD)
        assert first.sentence == (
            "1 of MUG at berlin are still held for 1 cart whose time ran out, the first (cart-1) "
            "at 2026-03-02 09:30 UTC"
        )
        shop.clock.tick(timedelta(minutes=10))
        both = shop.one(FindingKind.STALE_HOLD)
        assert (both.id, both.quantity, both.reference) == (first.id, 3, "cart-1")
        assert len(both.evidence) == 2
        assert shop.inventory.sweep() == 2
        assert shop.kinds() == []

    def test_evidence_of_a_stale_hold_is_what_held_its_line(self, shop: Shop) -> None:
        """The tea came into the cart later than the mug, by another movement."""
        for sku in ("MUG", "TEA"):
            shop.inventory.receive(sku, 9, at="berlin")
        first = shop.inventory.reserve({"MUG": 1}, reference="cart-1", ttl=timedelta(minutes=30))
        second = shop.inventory.amend("cart-1", {"TEA": 1}, key="more")
        shop.clock.tick(timedelta(hours=2))
        assert {each.sku: each.evidence for each in shop.open()} == {
            "MUG": first.movements,
            "TEA": second.movements,
        }

    def test_new_stale_holds_after_a_sweep_are_another_finding(self, shop: Shop) -> None:
        """The sweeper ran once and stopped again, between two looks."""
        shop.inventory.receive("MUG", 9, at="berlin")
        ids = []
        for name in ("cart-1", "cart-2"):
            shop.inventory.sweep()
            shop.inventory.reserve({"MUG": 1}, reference=name, ttl=timedelta(minutes=30))
            shop.clock.tick(timedelta(hours=2))
            ids.append(shop.one(FindingKind.STALE_HOLD).id)
        assert ids[0] != ids[1]

    def test_order_that_waits_too_long(self, shop: Shop) -> None:
        """Fourteen days after it was placed an order not shipped is late, as one finding."""
        shop.inventory.receive("MUG", 5, at="berlin")
        shop.inventory.receive("TEA", 5, at="berlin")
        shop.inventory.reserve({"MUG": 2, "TEA": 1}, reference="order-1")
        shop.clock.tick()
        confirmed = shop.inventory.confirm("order-1").movements
        shop.inventory.pick("order-1", {"TEA": 1}, key="pick-1")
        shop.clock.tick(timedelta(days=13, hours=23))
        assert shop.kinds() == []
        shop.clock.tick(timedelta(hours=1))
        finding = shop.one(FindingKind.LATE_ORDER)
        assert finding.sentence == (
            "Order order-1 has waited since 2026-03-02 09:00 UTC, longer than 14 days, to ship "
            "2 of MUG at berlin and 1 of TEA at berlin"
        )
        assert (finding.reference, finding.quantity, finding.sku) == ("order-1", 3, "")
        assert (finding.evidence, finding.at_risk) == (confirmed, ("order-1",))
        shop.inventory.ship("order-1", {"MUG": 2}, key="parcel-1")
        rest = shop.one(FindingKind.LATE_ORDER)
        assert (rest.id, rest.quantity, rest.sku) == (finding.id, 1, "TEA")
        shop.inventory.ship("order-1")
        assert shop.kinds() == []

    def test_order_is_late_by_the_policy_of_its_sku(self, shop: Shop) -> None:
        """A line whose SKU has more patience does not make the order late."""
        shop.inventory.policies.set(Policy(allocated_after=timedelta(days=1)), sku="MUG")
        shop.inventory.receive("MUG", 5, at="berlin")
        shop.inventory.receive("TEA", 5, at="berlin")
        shop.ordered("order-1", 1, "TEA")
        shop.ordered("order-2", 1, "MUG")
        shop.clock.tick(timedelta(days=2))
        finding = shop.one(FindingKind.LATE_ORDER)
        assert (finding.reference, finding.sku) == ("order-2", "MUG")
        assert "longer than 1 day," in finding.sentence

    def test_quarantine_and_returns_wait_by_the_movement_they_came_with(self, shop: Shop) -> None:
        """A return is a customer's, a delivery is not; units leave in the order they came."""
        inventory = shop.inventory
        delivery = inventory.receive(
            "MUG", 3, at="berlin", into=State.QUARANTINE, reference="PO-1"
        ).movement_id
        shop.clock.tick(timedelta(days=1))
        back = inventory.record([Returned("MUG", 2, at="berlin", key="rma-1")])[0].movement_id
        shop.clock.tick(timedelta(days=7))
        inventory.receive("MUG", 4, at="berlin", into=State.QUARANTINE)
        returned, waiting = shop.open()
        assert (returned.kind, returned.quantity, returned.evidence) == (
            FindingKind.RETURN_UNDECIDED,
            2,
            (back,),
        )
        assert (waiting.kind, waiting.quantity, waiting.evidence, waiting.reference) == (
            FindingKind.QUARANTINE_WAITING,
            3,
            (delivery,),
            "PO-1",
        )
        assert waiting.sentence == (
            "3 of MUG at berlin were put in quarantine on 2026-03-02 09:00 UTC (PO-1) and have "
            "waited longer than 7 days to be inspected"
        )
        inventory.inspect("MUG", 4, at="berlin", into=State.SELLABLE)
        [left] = shop.open()
        assert (left.id, left.quantity) == (returned.id, 1)
        inventory.inspect("MUG", 1, at="berlin", into=State.DAMAGED)
        assert shop.kinds() == []

    def test_transfer_that_did_not_arrive(self, shop: Shop) -> None:
        """What is still on the way after its day names both ends and the units."""
        shop.inventory.receive("MUG", 9, at="berlin")
        due = START + timedelta(days=2)
        sent = shop.inventory.transfer_out(
            "T-1", {"MUG": 5}, source="berlin", target="hamburg", due_at=due
        ).movement_id
        shop.inventory.arrive("T-1", {"MUG": 3})
        shop.clock.tick(timedelta(days=2))
        assert shop.kinds() == []
        shop.clock.tick(timedelta(minutes=1))
        finding = shop.one(FindingKind.OVERDUE_TRANSFER)
        assert finding.sentence == (
            "Transfer T-1 from berlin was due on 2026-03-04 09:00 UTC and has not brought "
            "2 of MUG at hamburg"
        )
        assert (finding.reference, finding.quantity, finding.since) == ("T-1", 2, due)
        assert finding.evidence == (sent,)
        shop.inventory.lose("T-1", {"MUG": 2})
        assert shop.kinds() == []

    def test_delivery_that_did_not_come_names_who_waits_for_it(self, shop: Shop) -> None:
        """Back-ordered promises depend on the delivery, so they are at risk."""
        shop.inventory.policies.set(Policy(backorder_limit=10))
        ordered = shop.inventory.expect(
            "MUG", 8, at="berlin", reference="PO-1", due_at=START + timedelta(days=1)
        ).movement_id
        shop.inventory.receive("MUG", 3, at="berlin", reference="PO-1")
        shop.ordered("order-1", 4)
        shop.clock.tick(timedelta(days=2))
        finding = shop.one(FindingKind.OVERDUE_DELIVERY)
        assert finding.sentence == (
            "5 of MUG at berlin ordered under PO-1 were due on 2026-03-03 09:00 UTC and have "
            "not come; at risk: order-1"
        )
        assert (finding.evidence, finding.at_risk) == ((ordered,), ("order-1",))
        shop.inventory.close_delivery("MUG", at="berlin", reference="PO-1")
        assert shop.kinds() == []

    def test_what_came_in_full_is_not_overdue_beside_what_did_not(self, shop: Shop) -> None:
        """Of two deliveries and two transfers one of each is still waited for."""
        due_at = START + timedelta(days=1)
        shop.inventory.receive("MUG", 9, at="berlin")
        for number in (1, 2):
            shop.inventory.expect("TEA", 2, at="berlin", reference=f"PO-{number}", due_at=due_at)
            shop.inventory.transfer_out(
                f"T-{number}", {"MUG": 2}, source="berlin", target="hamburg", due_at=due_at
            )
        shop.inventory.receive("TEA", 2, at="berlin", reference="PO-1")
        shop.inventory.arrive("T-1", {"MUG": 2})
        shop.clock.tick(timedelta(days=2))
        assert {each.reference for each in shop.open()} == {"PO-2", "T-2"}

    def test_low_stock_adds_the_lots_of_a_location_up(self, shop: Shop) -> None:
        """The reorder point is compared with what a location can still promise."""
        shop.inventory.policies.set(Policy(reorder_point=4), sku="TEA")
        for lot in ("L1", "L2"):
            shop.inventory.receive("TEA", 3, at="berlin", lot=lot)
            shop.clock.tick(timedelta(hours=1))
        shop.inventory.receive("MUG", 1, at="berlin")
        assert shop.kinds() == []
        sale = shop.sold("TEA", 2, "till-1")
        finding = shop.one(FindingKind.LOW_STOCK)
        assert finding.sentence == (
            "4 of TEA at berlin can still be promised, the reorder point is 4, "
            "since 2026-03-02 11:00 UTC"
        )
        assert (finding.quantity, finding.evidence) == (0, (sale,))
        shop.sold("TEA", 3, "till-2")
        assert shop.one(FindingKind.LOW_STOCK).id == finding.id
        shop.inventory.receive("TEA", 9, at="berlin", lot="L3")
        assert shop.kinds() == []

    def test_low_stock_counts_holds_that_ran_out_and_not_lots_that_did(self, shop: Shop) -> None:
        """What may be promised is what a cart could get now."""
        shop.inventory.policies.set(Policy(reorder_point=4), sku="TEA")
        shop.inventory.receive(
            "TEA", 6, at="berlin", lot="L1", lot_expires_at=START + timedelta(days=9)
        )
        shop.inventory.reserve({"TEA": 2}, reference="cart-1", ttl=timedelta(minutes=30))
        assert shop.kinds() == ["low_stock"]
        shop.clock.tick(timedelta(minutes=31))
        assert shop.kinds() == []
        shop.clock.tick(timedelta(days=9))
        assert "0 of TEA at berlin can" in shop.one(FindingKind.LOW_STOCK).sentence

    def test_expired_lot_still_on_the_shelf(self, shop: Shop) -> None:
        """Units past their date are found, free or promised, until they are off the shelf."""
        expires_at = START + timedelta(days=3)
        receipt = shop.inventory.receive(
            "TEA", 5, at="berlin", lot="L1", lot_expires_at=expires_at
        ).movement_id
        shop.ordered("order-1", 2, "TEA")
        assert shop.kinds() == []
        shop.clock.tick(timedelta(days=3))
        finding = shop.one(FindingKind.EXPIRED_LOT)
        assert finding.sentence == (
            "TEA (lot L1) at berlin expired on 2026-03-05 09:00 UTC: 3 still on the shelf, "
            "2 promised; at risk: order-1"
        )
        assert (finding.quantity, finding.evidence, finding.since) == (5, (receipt,), expires_at)
        shop.inventory.scrap("TEA", 3, at="berlin", lot="L1", state=State.SELLABLE, reason="old")
        assert shop.one(FindingKind.EXPIRED_LOT).quantity == 2
        shop.inventory.release("order-1")
        shop.inventory.scrap("TEA", 2, at="berlin", lot="L1", state=State.SELLABLE, reason="old")
        assert shop.kinds() == []

    def test_skus_that_look_alike(self, shop: Shop) -> None:
        """Two spellings of one SKU with stock are found, wherever the stock is."""
        first = shop.inventory.receive("85123A", 7, at="berlin").movement_id
        assert shop.kinds() == []
        shop.clock.tick(timedelta(hours=1))
        second = shop.inventory.receive("085123a", 2, at="hamburg").movement_id
        finding = shop.one(FindingKind.LOOK_ALIKE_SKU)
        assert finding.sentence == (
            "The SKUs '085123a' and '85123A' differ only by case, spaces or leading zeros: there "
            "are 2 of 085123a at hamburg and 7 of 85123A at berlin"
        )
        assert (finding.sku, finding.quantity) == ("085123a", 2)
        assert finding.evidence == (first, second)
        shop.inventory.adjust("085123a", -2, at="hamburg", reason="it was 85123A")
        shop.inventory.adjust("85123A", 2, at="hamburg", reason="booked as 085123a")
        assert shop.kinds() == []

    def test_findings_come_most_urgent_first(self, shop: Shop) -> None:
        """Urgency by kind, then the larger quantity."""
        shop.inventory.policies.set(Policy(reorder_point=1))
        shop.sold("MUG", 1, "till-1")
        shop.sold("TEA", 5, "till-2")
        assert [(each.kind.value, each.sku) for each in shop.open()] == [
            ("oversold", "TEA"),
            ("oversold", "MUG"),
            ("low_stock", "TEA"),
            ("low_stock", "MUG"),
        ]


def over_return(shop: Shop) -> str:
    """Take back more than was sold."""
    shop.inventory.receive("MUG", 5, at="berlin")
    shop.inventory.record([Sold("MUG", 1, at="berlin", reference="order-1", key="till-1")])
    back = Returned("MUG", 3, at="berlin", reference="order-1", key="rma-1")
    return shop.inventory.record([back])[0].movement_id


def beyond_reservation(shop: Shop) -> str:
    """Report a sale of more than its reservation has."""
    shop.inventory.receive("MUG", 5, at="berlin")
    shop.ordered("order-1", 2)
    sale = Sold("MUG", 3, at="berlin", reference="order-1", key="etsy-1")
    return shop.inventory.record([sale])[0].movement_id


def over_delivery(shop: Shop) -> str:
    """Receive more than was ordered."""
    shop.inventory.expect("MUG", 2, at="berlin", reference="PO-1")
    return shop.inventory.receive("MUG", 3, at="berlin", reference="PO-1").movement_id


def over_arrival(shop: Shop) -> str:
    """Let more arrive than was sent."""
    shop.inventory.receive("MUG", 5, at="hamburg")
    shop.inventory.transfer_out("T-1", {"MUG": 2}, source="hamburg", target="berlin")
    return shop.inventory.arrive("T-1", {"MUG": 3}).movement_id


def future_time(shop: Shop) -> str:
    """Report a sale from tomorrow."""
    shop.inventory.receive("MUG", 5, at="berlin")
    tomorrow = START + timedelta(days=1)
    sale = Sold("MUG", 3, at="berlin", occurred_at=tomorrow, key="etsy-1")
    return shop.inventory.record([sale])[0].movement_id


FACTS = {
    FindingKind.OVER_RETURN: (over_return, "3 of MUG came back for order-1, which shipped 1"),
    FindingKind.BEYOND_RESERVATION: (
        beyond_reservation,
        "3 of MUG were sold under order-1, its reservation still had 2 there",
    ),
    FindingKind.OVER_DELIVERY: (over_delivery, "3 of MUG came for PO-1, 2 were still expected"),
    FindingKind.OVER_ARRIVAL: (
        over_arrival,
        "3 of MUG came out of transfer T-1, 2 were on the way",
    ),
    FindingKind.FUTURE_TIME: (
        future_time,
        "3 of MUG (sold): said to have occurred at 2026-03-03T09:00:00+00:00",
    ),
}


class TestFacts:
    @pytest.mark.parametrize("kind", FACTS, ids=str)
    def test_contradiction_stays_open_until_dismissed(self, shop: Shop, kind: FindingKind) -> None:
        """The sentence says what was reported and what the book knew; time does not heal it."""
        report, words = FACTS[kind]
        movement_id = report(shop)
        finding = shop.one(kind)
        assert f"At berlin, {words}; recorded at 2026-03-02 09:" in finding.sentence
        assert (finding.sku, finding.at, finding.quantity) == ("MUG", "berlin", 3)
        assert finding.evidence == (movement_id,)
        shop.clock.tick(timedelta(days=3))
        assert shop.one(kind) == finding
        outcome = shop.inventory.dismiss(finding.id, actor="sam", note="called them")
        assert outcome.result == {"dismissed": True}
        assert shop.open(kind) == []
        assert shop.open(kind) == []

    def test_contradiction_closes_when_its_movement_is_undone(self, shop: Shop) -> None:
        """What was never said needs no explanation."""
        movement_id = over_return(shop)
        cursor = shop.inventory.findings().cursor
        shop.inventory.undo(movement_id, reason="typed twice")
        report = shop.inventory.findings(since=cursor)
        assert report.open == ()
        assert [each.kind for each in report.closed] == [FindingKind.OVER_RETURN]
        assert shop.kinds() == []

    def test_contradiction_undone_before_anybody_looked_never_opens(self, shop: Shop) -> None:
        """A mistake put right at once bothers nobody."""
        shop.inventory.undo(over_delivery(shop), reason="typed twice")
        assert shop.inventory.findings(since=0) == FindingsReport(open=(), closed=(), cursor=0)

    def test_contradiction_in_force_again_is_found_again(self, shop: Shop) -> None:
        """The correction that had cured it is undone: it is open anew, under another id."""
        slip = over_delivery(shop)
        first = shop.one(FindingKind.OVER_DELIVERY)
        fix = shop.inventory.correct(slip, quantity=1, reason="typed wrong").movement_id
        assert shop.kinds() == []
        shop.inventory.undo(fix, reason="it had been right")
        again = shop.one(FindingKind.OVER_DELIVERY)
        assert (again.sentence, again.evidence) == (first.sentence, (slip,))
        assert again.id != first.id

    def test_dismissed_contradiction_in_force_again_stays_dismissed(self, shop: Shop) -> None:
        """Somebody has seen to it, and nothing about it is new."""
        slip = over_delivery(shop)
        finding = shop.one(FindingKind.OVER_DELIVERY)
        shop.inventory.dismiss(finding.id, actor="sam", note="a gift")
        fix = shop.inventory.correct(slip, quantity=1, reason="typed wrong").movement_id
        shop.inventory.undo(fix, reason="it had been right")
        assert shop.kinds() == []

    def test_each_note_of_a_movement_is_a_finding_of_its_own(self, shop: Shop) -> None:
        """A return of too many from tomorrow is two contradictions, dismissed one by one."""
        back = Returned(
            "MUG",
            1,
            at="berlin",
            reference="order-1",
            key="rma-1",
            occurred_at=START + timedelta(days=1),
        )
        shop.inventory.record([back])
        assert shop.kinds() == ["over_return", "future_time"]
        shop.inventory.dismiss(shop.open()[0].id, actor="sam", note="known")
        assert shop.kinds() == ["future_time"]

    def test_note_without_a_kind_of_its_own_is_still_found(self, shop: Shop) -> None:
        """Nothing a fact left open is dropped because its word is new."""
        storage = MemoryStorage()

        def noting(operation: Opened, _book: object, now: int) -> Granted:
            leg = Leg("MUG", "", 4, OPENING, inside("berlin", State.SELLABLE))
            return Granted((Draft(Kind.OPEN, (leg,), now, guarded=False, notes=("odd: so",)),))

        key = StockKey("MUG", "berlin")
        rules: Rules = {Opened: Rule(lambda _operation, _settings: Wants(keys={key}), noting)}
        engine = Engine(
            storage, {**FINDING_RULES, **rules}, clock=shop.clock, new_id=iter("abcdef").__next__
        )
        engine.one(Opened("MUG", 4, at="berlin"))
        [finding] = BookFindings(engine).findings().open
        assert finding.kind is FindingKind.NOTED
        assert "At berlin, 4 of MUG (open): odd: so" in finding.sentence


class TestRegister:
    def test_open_findings_are_kept_in_parts_by_their_subject(self, shop: Shop) -> None:
        """Two digits of it name the document: a look writes few, and none grows with the shop."""
        shop.sold("MUG", 3, "till-1")
        shop.sold("TEA", 3, "till-2")
        stems = [each.id.rpartition("-")[0] for each in shop.open()]
        parts = {f"open/{stem.rpartition('-')[2][:2]}" for stem in stems}
        assert {record.id for record in shop.written()} == {"cursor", *parts}


class TestDismissing:
    def test_dismissing_twice_changes_nothing(self, shop: Shop) -> None:
        """Two people may press the button."""
        over_return(shop)
        finding = shop.one(FindingKind.OVER_RETURN)
        shop.inventory.dismiss(finding.id, actor="sam", note="known")
        written = shop.written()
        again = shop.inventory.dismiss(finding.id, actor="kim", note="me too")
        assert again.granted
        assert again.result == {"dismissed": False}
        assert shop.written() == written

    def test_condition_that_holds_is_not_dismissed(self, shop: Shop) -> None:
        """The refusal names the finding, says what is wrong and what to do."""
        shop.sold("MUG", 3, "till-1")
        finding = shop.one(FindingKind.OVERSOLD)
        with pytest.raises(errors.FindingHolds) as caught:
            shop.inventory.dismiss(finding.id, actor="sam", note="never mind")
        assert str(caught.value) == (
            f"cannot dismiss finding {finding.id!r}: it still holds (MUG at berlin is oversold "
            "by 3, since 2026-03-02 09:00 UTC; the book says -3 on hand); fix the cause, then it "
            "closes by itself. Get stock in or tell the customers at risk, then count the shelf."
        )
        assert shop.one(FindingKind.OVERSOLD) == finding

    def test_condition_that_was_cured_since_needs_no_dismissal(self, shop: Shop) -> None:
        """The book is looked at before anything is refused."""
        shop.sold("MUG", 3, "till-1")
        finding = shop.one(FindingKind.OVERSOLD)
        shop.inventory.receive("MUG", 3, at="berlin")
        assert shop.inventory.dismiss(finding.id, actor="sam", note="ok").granted

    def test_unknown_finding_is_named(self, shop: Shop) -> None:
        """An id that is none, or nobody's, is the caller's mistake."""
        for finding_id in ("nonsense", "over_return-0123456789abcdef-012345678901"):
            with pytest.raises(errors.UnknownReference, match=finding_id):
                shop.inventory.dismiss(finding_id, actor="sam", note="what")

    def test_id_from_a_read_only_look_can_be_dismissed(self, shop: Shop) -> None:
        """The ids of a preview are the real ones."""
        over_return(shop)
        [finding] = shop.inventory.findings(read_only=True).open
        assert shop.inventory.dismiss(finding.id, actor="sam", note="ok").result["dismissed"]
        assert shop.kinds() == []

    def test_dismissal_is_an_operation_among_others(self, shop: Shop) -> None:
        """It can be submitted, previewed and repeated under its key."""
        over_return(shop)
        finding = shop.one(FindingKind.OVER_RETURN)
        operation = Dismiss(finding_id=finding.id, actor="sam", reason="ok", key="click-1")
        assert Dismiss.from_dict(operation.to_dict()) == operation
        [preview] = shop.inventory.submit([operation], preview=True)
        assert preview.granted
        assert shop.one(FindingKind.OVER_RETURN) == finding
        first = shop.inventory.submit([operation])[0]
        again = shop.inventory.submit([operation])[0]
        assert (first.replayed, again.replayed) == (False, True)
        assert first.result == again.result == {"dismissed": True}

    def test_dismissed_look_alikes_stay_away_until_another_one_comes(self, shop: Shop) -> None:
        """The shop really sells both; a third spelling is a new question."""
        shop.inventory.receive("mug", 1, at="berlin")
        shop.inventory.receive("MUG", 1, at="berlin")
        finding = shop.one(FindingKind.LOOK_ALIKE_SKU)
        shop.inventory.dismiss(finding.id, actor="sam", note="two products")
        shop.sold("MUG", 1, "till-1")
        assert shop.kinds() == []
        shop.inventory.receive("MUG", 1, at="berlin")
        assert shop.kinds() == []
        shop.inventory.receive("Mug", 1, at="berlin")
        assert shop.one(FindingKind.LOOK_ALIKE_SKU).id != finding.id


class TestReport:
    def test_since_tells_each_thing_once(self, shop: Shop) -> None:
        """A host that keeps the cursor mails what is new and nothing twice."""
        shop.sold("MUG", 1, "till-1")
        first = shop.inventory.findings(since=0)
        assert len(first.open) == 1
        assert shop.inventory.findings(since=first.cursor).open == ()
        shop.sold("TEA", 1, "till-2")
        shop.inventory.receive("MUG", 1, at="berlin")
        second = shop.inventory.findings(since=first.cursor)
        assert {each.sku for each in second.open} == {"TEA"}
        assert {each.id for each in second.closed} == {each.id for each in first.open}
        nothing = FindingsReport(open=(), closed=(), cursor=second.cursor)
        assert shop.inventory.findings(since=second.cursor) == nothing

    def test_closing_is_told_though_somebody_else_looked_first(self, shop: Shop) -> None:
        """What another caller wrote down is still news to this one."""
        shop.sold("MUG", 1, "till-1")
        cursor = shop.inventory.findings().cursor
        shop.inventory.receive("MUG", 1, at="berlin")
        shop.inventory.findings()
        shop.sold("MUG", 1, "till-2")
        shop.inventory.findings()
        report = shop.inventory.findings(since=cursor)
        assert (len(report.open), len(report.closed)) == (1, 1)

    @pytest.mark.parametrize("since", [7, -1, True, "1"])
    def test_cursor_of_no_report_is_refused(self, shop: Shop, since: int) -> None:
        """A cursor from another book would hide findings."""
        with pytest.raises(errors.InvalidRequest, match="since"):
            shop.inventory.findings(since=since)

    def test_looking_at_an_unchanged_book_writes_nothing(self, shop: Shop) -> None:
        """Looking is free: the second look leaves every document as it was."""
        shop.sold("MUG", 9, "till-0")
        over_return(shop)
        first = shop.inventory.findings()
        written = shop.written()
        shop.clock.tick(timedelta(minutes=5))
        assert shop.inventory.findings() == first
        assert shop.written() == written

    def test_read_only_look_writes_nothing_and_agrees_with_a_written_one(self, shop: Shop) -> None:
        """A preview has the findings and ids that a write would have."""
        shop.sold("MUG", 1, "till-1")
        shop.inventory.findings()
        shop.inventory.receive("MUG", 1, at="berlin")
        shop.sold("TEA", 1, "till-2")
        written = shop.written()
        looked = shop.inventory.findings(since=1, read_only=True)
        assert shop.written() == written
        assert looked.cursor == 1
        real = shop.inventory.findings(since=1)
        assert (looked.open, looked.closed) == (real.open, real.closed)

    def test_finding_survives_a_journey_as_data(self, shop: Shop) -> None:
        """What to_dict writes from_dict reads, closed or not; anything else is refused."""
        shop.inventory.receive("MUG", 1, at="berlin")
        shop.ordered("order-1", 1)
        shop.sold("MUG", 1, "till-1")
        finding = shop.one(FindingKind.OVERSOLD)
        assert Finding.from_dict(finding.to_dict()) == finding
        closed = attrs.evolve(finding, closed_at=START)
        assert Finding.from_dict(closed.to_dict()) == closed
        assert shop.inventory.findings().to_dict()["open"][0] == finding.to_dict()
        for wrong in (
            {"schema": 2},
            finding.to_dict() | {"kind": "gossip"},
            finding.to_dict() | {"since": "yesterday"},
            finding.to_dict() | {"more": 1},
        ):
            with pytest.raises(errors.InvalidData, match="cannot read a finding"):
                Finding.from_dict(wrong)

    def test_tenants_have_registers_of_their_own(self) -> None:
        """What is wrong in one shop is no news in another."""
        storage = MemoryStorage()
        shops = [Inventory(storage, tenant=name) for name in ("a", "b")]
        for shop in shops:
            shop.locations.add("berlin")
        shops[0].record([Sold("MUG", 1, at="berlin", key="till-1")])
        assert [len(shop.findings().open) for shop in shops] == [1, 0]


class TestManyCallers:
    @pytest.mark.parametrize("kind", ["one storage", "a connection each"])
    def test_every_watcher_hears_everything_once(self, kind: str, tmp_path: Path) -> None:
        """Watchers and trade in parallel: no id comes twice, and in the end all know the same."""
        memory = MemoryStorage()
        shared = kind == "one storage"
        shops = [
            Inventory(memory if shared else SQLiteStorage(tmp_path / "shop.db")) for _ in range(4)
        ]
        shops[0].locations.add("berlin")
        heard: list[list[str]] = [[] for _ in shops]
        gone: list[list[str]] = [[] for _ in shops]
        cursors = [0] * len(shops)
        stop = threading.Event()
        failures: list[BaseException] = []

        def look(number: int) -> None:
            report = shops[number].findings(since=cursors[number])
            cursors[number] = report.cursor
            heard[number] += [each.id for each in report.open]
            gone[number] += [each.id for each in report.closed]

        def watch(number: int) -> None:
            try:
                while not stop.is_set():
                    look(number)
            except BaseException as error:  # noqa: BLE001 -- it is raised again below
                failures.append(error)

        watchers = [threading.Thread(target=watch, args=(n,)) for n in range(len(shops))]
        for watcher in watchers:
            watcher.start()
        for round_ in range(25 if shared else 5):
            for sku in ("MUG", "TEA"):
                shops[0].record([Sold(sku, 1, at="berlin", key=f"{sku}-{round_}")])
                shops[0].receive(sku, 1 + round_ % 2, at="berlin")
        shops[0].record([Sold("MUG", 99, at="berlin", key="last")])
        stop.set()
        for watcher in watchers:
            watcher.join()
        assert failures == []
        for number in range(len(shops)):
            look(number)
        still_open = {each.id for each in shops[0].findings().open}
        assert len(still_open) == 1
        for opened, closed in zip(heard, gone, strict=True):
            assert len(opened) == len(set(opened))
            assert len(closed) == len(set(closed))
            assert set(opened) - set(closed) == still_open
            assert set(opened) | set(closed) == set(heard[0]) | set(gone[0])
        for shop in shops:
            shop.close()
