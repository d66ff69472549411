from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from tests.shops import DAY, MINUTE, Shop
from truecount import Adjusted, Inventory, Policy, Reserve, Sold
from truecount.errors import (
    AlreadyReserved,
    HoldExpired,
    InsufficientStock,
    ReservationFinished,
)
from truecount.model.reservation_commands import Expire


@pytest.fixture
def shop() -> Iterator[Shop]:
    """A shop with ten mugs in Berlin; its books are checked afterwards."""
    shop = Shop({"berlin": {"MUG": 10}})
    yield shop
    shop.check()


INSTANT = timedelta(microseconds=1)


def hold(
    shop: Shop, reference: str, quantity: int, minutes: int = 15, key: str | None = None
) -> None:
    """Hold mugs for *reference* for some minutes."""
    shop.inventory.reserve({"MUG": quantity}, reference=reference, ttl=minutes * MINUTE, key=key)


def expiries(shop: Shop) -> list[str]:
    """Return the ids of the movements that gave holds back."""
    return [each.id for each in shop.inventory.feed() if each.kind.value == "expire"]


class TestPredicate:
    def test_expired_hold_blocks_nobody(self, shop: Shop) -> None:
        """At its time, not before, the units may be promised again, though nobody swept."""
        cart = shop.inventory.reserve({"MUG": 10}, reference="cart-1")
        assert cart.expires_at is not None
        shop.clock.tick(cart.expires_at - shop.clock.now - 2 * INSTANT)
        with pytest.raises(InsufficientStock, match="only 0 available"):
            hold(shop, "cart-2", 1)
        shop.clock.tick(2 * INSTANT)
        assert shop.inventory.available("MUG") == 10
        assert shop.inventory.reservation("cart-1").status == "expired"
        hold(shop, "cart-3", 10)
        assert shop.figures() == (0, 10, 0, 0)

    def test_reclaimed_only_where_needed(self, shop: Shop) -> None:
        """While the shelf has enough an expired hold stays, and may be held again."""
        hold(shop, "cart-1", 4)
        shop.clock.tick(16 * MINUTE)
        hold(shop, "cart-2", 6)
        assert expiries(shop) == []
        hold(shop, "cart-3", 1)
        assert expiries(shop) == ["expire/cart-1/1"]
        assert shop.figures() == (3, 7, 0, 0)

    def test_soonest_is_reclaimed_first(self, shop: Shop) -> None:
        """Whoever ran out last keeps the best chance of coming back."""
        for name, minutes in (("cart-1", 12), ("cart-2", 10), ("cart-3", 11)):
            hold(shop, name, 3, minutes)
        shop.clock.tick(16 * MINUTE)
        hold(shop, "cart-4", 5)
        assert expiries(shop) == ["expire/cart-2/1", "expire/cart-3/1"]

    def test_refused_cart_reclaims_nothing(self, shop: Shop) -> None:
        """A refusal writes nothing but its own outcome."""
        hold(shop, "cart-1", 4)
        shop.clock.tick(16 * MINUTE)
        with pytest.raises(InsufficientStock, match="only 10 available"):
            hold(shop, "cart-2", 11)
        assert expiries(shop) == []

    def test_own_expired_hold_is_the_first_to_go(self, shop: Shop) -> None:
        """Reserving anew under the same name gives the old hold back, and no other."""
        hold(shop, "cart-1", 5, 10)
        hold(shop, "cart-2", 5, 12)
        shop.clock.tick(16 * MINUTE)
        hold(shop, "cart-2", 5)
        assert expiries(shop) == ["expire/cart-2/1"]
        assert shop.inventory.confirm("cart-1", on_expired="rehold").status == "confirmed"

    def test_half_expired_reference_is_not_reserved_for(self, shop: Shop) -> None:
        """A confirmed order under the name stands in the way, an expired cart does not."""
        hold(shop, "cart-1", 5)
        shop.inventory.confirm("cart-1")
        shop.clock.tick(DAY)
        with pytest.raises(AlreadyReserved):
            hold(shop, "cart-1", 1)

    def test_sale_reported_beside_a_cart_still_finds_expired_holds(self, shop: Shop) -> None:
        """What a fact takes in the same transaction, an expired hold may make up for."""
        hold(shop, "cart-1", 5)
        shop.clock.tick(16 * MINUTE)
        outcomes = shop.inventory.submit(
            [
                Sold("MUG", 5, at="berlin", key="till-1"),
                Reserve({"MUG": 5}, reference="cart-2"),
            ]
        )
        assert [outcome.granted for outcome in outcomes] == [True, True]
        assert shop.figures() == (0, 5, 0, 0)

    def test_loss_reported_beside_a_cart_still_finds_expired_holds(self, shop: Shop) -> None:
        """Even where the loss took the shelf below zero."""
        for number in range(4):
            hold(shop, f"cart-{number}", 2)
        shop.clock.tick(16 * MINUTE)
        outcomes = shop.inventory.submit(
            [
                Adjusted("MUG", -6, at="berlin", reason="fire"),
                Reserve({"MUG": 4}, reference="cart-9"),
            ]
        )
        assert [outcome.granted for outcome in outcomes] == [True, True]
        assert shop.figures() == (0, 4, 0, 0)


class TestSweep:
    def test_sweep_gives_back_what_ran_out(self, shop: Shop) -> None:
        """Live holds and orders stay; a second sweep finds nothing."""
        hold(shop, "cart-1", 2)
        hold(shop, "cart-2", 3, 60)
        hold(shop, "order-1", 1)
        shop.inventory.confirm("order-1")
        shop.clock.tick(16 * MINUTE)
        assert shop.inventory.sweep() == 1
        assert shop.figures() == (6, 3, 1, 0)
        assert shop.inventory.sweep() == 0
        assert shop.inventory.reservation("cart-1").status == "expired"

    def test_only_holds_that_are_named_are_given_back(self, shop: Shop) -> None:
        """Not another line of the same cart, and none before its time."""
        shop.inventory.receive("TEA", 4, at="berlin")
        shop.inventory.reserve({"MUG": 2, "TEA": 3}, reference="cart-1", ttl=MINUTE)
        hold(shop, "cart-2", 1, minutes=60)
        shop.clock.tick(2 * MINUTE)
        [outcome] = shop.inventory.submit([Expire(holds=(("cart-1", 2), ("cart-2", 1)))])
        assert outcome.result == {"expired": 1}
        assert expiries(shop) == ["expire/cart-1/2"]
        assert shop.inventory.reservation("cart-1").quantity("held") == {"MUG": 2, "TEA": 0}

    def test_sweep_takes_as_many_as_there_are(self, shop: Shop) -> None:
        """More than one transaction's worth."""
        shop.inventory.receive("MUG", 500, at="berlin")
        for number in range(450):
            hold(shop, f"cart-{number}", 1)
        shop.clock.tick(16 * MINUTE)
        assert shop.inventory.sweep() == 450
        assert shop.figures() == (510, 0, 0, 0)

    def test_two_sweepers_reclaim_each_hold_once(self, shop: Shop) -> None:
        """Whoever comes second finds them gone."""
        for number in range(10):
            hold(shop, f"cart-{number}", 1)
        shop.clock.tick(16 * MINUTE)
        with ThreadPoolExecutor(2) as pool:
            swept = list(pool.map(lambda _: shop.inventory.sweep(), range(2)))
        assert sum(swept) == 10
        assert sorted(expiries(shop)) == sorted(f"expire/cart-{n}/1" for n in range(10))

    def test_sweep_forgets_old_refusals(self, shop: Shop) -> None:
        """A refusal is kept for a week; then its key may be decided anew."""
        with pytest.raises(InsufficientStock):
            hold(shop, "cart-1", 11, key="request-1")
        shop.inventory.receive("MUG", 1, at="berlin")
        shop.clock.tick(6 * DAY)
        shop.inventory.sweep()
        with pytest.raises(InsufficientStock):
            hold(shop, "cart-1", 11, key="request-1")
        shop.clock.tick(2 * DAY)
        shop.inventory.sweep()
        hold(shop, "cart-1", 11, key="request-1")

    def test_hold_confirmed_in_time_is_not_swept(self, shop: Shop) -> None:
        """None is taken before its time, nor after it was confirmed, whatever the clock did."""
        hold(shop, "cart-1", 2)
        shop.clock.tick(14 * MINUTE)
        assert shop.inventory.sweep() == 0
        shop.inventory.confirm("cart-1")
        shop.clock.tick(DAY)
        assert shop.inventory.sweep() == 0


class TestHoldAgain:
    def test_expired_hold_is_not_confirmed_unasked(self, shop: Shop) -> None:
        """Swept or not, it says when it ran out and what may be done."""
        hold(shop, "cart-1", 2)
        shop.clock.tick(16 * MINUTE)
        for _ in range(2):
            with pytest.raises(HoldExpired, match=r"2026-03-02T09:15.*rehold"):
                shop.inventory.confirm("cart-1")
            with pytest.raises(HoldExpired):
                shop.inventory.amend("cart-1", {"MUG": 1})
            with pytest.raises(HoldExpired):
                shop.inventory.ship("cart-1")
            shop.inventory.sweep()

    def test_nothing_reclaimed_is_simply_kept(self, shop: Shop) -> None:
        """The same lines, the same units, although the shelf is empty."""
        hold(shop, "cart-1", 10)
        shop.clock.tick(16 * MINUTE)
        found = shop.inventory.confirm("cart-1", on_expired="rehold")
        assert found.status == "confirmed"
        assert len(found.lines) == 1
        assert shop.figures() == (0, 0, 10, 0)

    def test_all_reclaimed_is_granted_anew(self, shop: Shop) -> None:
        """Where the units are there again, on new lines."""
        hold(shop, "cart-1", 4)
        shop.clock.tick(16 * MINUTE)
        shop.inventory.sweep()
        found = shop.inventory.confirm("cart-1", on_expired="rehold")
        assert (found.status, found.round) == ("confirmed", 1)
        assert [(line.expired, line.allocated) for line in found.lines] == [(4, 0), (0, 4)]

    def test_partly_reclaimed_keeps_the_rest(self) -> None:
        """One location's part was needed by somebody else, the other's was not."""
        shop = Shop({"berlin": {"MUG": 3}, "hamburg": {"MUG": 2}})
        hold(shop, "cart-1", 5)
        shop.clock.tick(16 * MINUTE)
        shop.inventory.reserve({"MUG": 3}, reference="cart-2", at="berlin")
        with pytest.raises(InsufficientStock, match="3 of 'MUG' in 2 locations"):
            shop.inventory.confirm("cart-1", on_expired="rehold", key="first")
        assert shop.inventory.reservation("cart-1").quantity("held") == {"MUG": 2}
        shop.inventory.receive("MUG", 3, at="hamburg")
        found = shop.inventory.confirm("cart-1", on_expired="rehold", key="second")
        assert found.quantity("allocated") == {"MUG": 5}
        assert shop.figures(at="hamburg") == (0, 0, 5, 0)
        shop.check()

    def test_lost_competition_is_refused_whole(self, shop: Shop) -> None:
        """Nothing is half confirmed, and the other cart keeps what it has."""
        hold(shop, "cart-1", 6)
        shop.clock.tick(16 * MINUTE)
        hold(shop, "cart-2", 8)
        with pytest.raises(InsufficientStock, match="6 of 'MUG' at 'berlin': only 2 available"):
            shop.inventory.confirm("cart-1", on_expired="rehold")
        assert shop.figures() == (2, 8, 0, 0)

    def test_sale_from_under_an_expired_hold_wins(self, shop: Shop) -> None:
        """Units nobody was promised any more were sold: confirming them would oversell."""
        hold(shop, "cart-1", 6)
        shop.clock.tick(16 * MINUTE)
        shop.inventory.record([Sold("MUG", 10, at="berlin", key="till-1")])
        assert shop.inventory.available("MUG") == 0
        with pytest.raises(InsufficientStock, match="only 0 available"):
            shop.inventory.confirm("cart-1", on_expired="rehold")
        shop.inventory.receive("MUG", 6, at="berlin")
        shop.inventory.confirm("cart-1", on_expired="rehold", key="again")
        assert shop.figures() == (0, 0, 6, 0)

    def test_other_expired_holds_make_room(self, shop: Shop) -> None:
        """Both ran out; the one that is confirmed first may take the other's units."""
        hold(shop, "cart-1", 4)
        shop.clock.tick(16 * MINUTE)
        hold(shop, "cart-2", 10, 5)
        assert expiries(shop) == ["expire/cart-1/1"]
        shop.clock.tick(16 * MINUTE)
        shop.inventory.confirm("cart-1", on_expired="rehold")
        assert expiries(shop)[1:] == ["expire/cart-2/1"]
        assert shop.figures() == (6, 0, 4, 0)

    def test_hold_is_kept_by_reclaiming_others_below_zero(self, shop: Shop) -> None:
        """The shelf is short by three; another expired hold pays for it."""
        hold(shop, "cart-1", 5)
        hold(shop, "cart-2", 5)
        shop.clock.tick(16 * MINUTE)
        shop.inventory.adjust("MUG", -3, at="berlin", reason="fire")
        shop.inventory.confirm("cart-2", on_expired="rehold")
        assert expiries(shop) == ["expire/cart-1/1"]
        assert shop.figures() == (2, 0, 5, 0)
        with pytest.raises(InsufficientStock):
            shop.inventory.confirm("cart-1", on_expired="rehold")

    def test_cart_of_one_location_competes_there(self) -> None:
        """What was to be collected in Hamburg is not taken from Berlin."""
        shop = Shop({"berlin": {"MUG": 5}, "hamburg": {"MUG": 5}})
        shop.inventory.reserve({"MUG": 5}, reference="cart-1", at="hamburg")
        shop.clock.tick(16 * MINUTE)
        shop.inventory.reserve({"MUG": 1}, reference="cart-2", at="hamburg")
        with pytest.raises(InsufficientStock, match="only 4 available") as caught:
            shop.inventory.confirm("cart-1", on_expired="rehold")
        assert caught.value.short[0][3] == "at 'hamburg'"
        shop.check()

    def test_kept_units_are_not_granted_a_second_time(self, shop: Shop) -> None:
        """One line was reclaimed; the other of the same place is no way to make up for it."""
        hold(shop, "cart-1", 6)
        shop.inventory.amend("cart-1", {"MUG": 10})
        shop.clock.tick(16 * MINUTE)
        hold(shop, "cart-2", 5)
        assert expiries(shop) == ["expire/cart-1/1"]
        with pytest.raises(InsufficientStock, match="6 of 'MUG' at 'berlin': only 1 available"):
            shop.inventory.confirm("cart-1", on_expired="rehold")
        assert shop.inventory.reservation("cart-1").quantity("held") == {"MUG": 4}

    def test_own_hold_does_not_hide_those_of_others(self, shop: Shop) -> None:
        """Though it ran out first, the units of somebody who ran out later are found."""
        hold(shop, "cart-1", 4)
        shop.inventory.amend("cart-1", {"MUG": 10})
        shop.clock.tick(16 * MINUTE)
        hold(shop, "cart-2", 4)
        shop.clock.tick(16 * MINUTE)
        shop.inventory.confirm("cart-1", on_expired="rehold")
        assert expiries(shop) == ["expire/cart-1/1", "expire/cart-2/1"]
        assert shop.figures() == (0, 0, 10, 0)

    def test_confirmed_hold_stays_confirmed(self, shop: Shop) -> None:
        """Repeating it changes nothing, and what ran out before does not come back."""
        hold(shop, "cart-1", 2)
        shop.clock.tick(16 * MINUTE)
        shop.inventory.sweep()
        shop.inventory.confirm("cart-1", on_expired="rehold")
        assert shop.inventory.confirm("cart-1", on_expired="rehold").movements == ()
        shop.inventory.release("cart-1")
        assert shop.inventory.reservation("cart-1").status == "released"
        with pytest.raises(ReservationFinished, match="released"):
            shop.inventory.confirm("cart-1", on_expired="rehold")
        assert shop.figures() == (10, 0, 0, 0)

    def test_released_after_it_expired_is_over(self) -> None:
        """Though part had been reclaimed, the customer gave up: it is not held again."""
        shop = Shop({"berlin": {"MUG": 3}, "hamburg": {"MUG": 2}})
        hold(shop, "cart-1", 5)
        shop.clock.tick(16 * MINUTE)
        shop.inventory.reserve({"MUG": 3}, reference="cart-2", at="berlin")
        assert shop.inventory.release("cart-1").status == "released"
        assert shop.inventory.reservation("cart-1").status == "released"
        shop.inventory.release("cart-2")
        for act in (shop.inventory.confirm, shop.inventory.release):
            if act == shop.inventory.confirm:
                with pytest.raises(ReservationFinished):
                    shop.inventory.confirm("cart-1", on_expired="rehold")
            else:
                assert act("cart-1").movements == ()
        shop.check()

    def test_part_sold_meanwhile_the_rest_is_still_expired(self, shop: Shop) -> None:
        """A reported sale under the reference does not make a cart an order."""
        hold(shop, "cart-1", 5)
        shop.inventory.record([Sold("MUG", 2, at="berlin", reference="cart-1", key="till-1")])
        shop.clock.tick(16 * MINUTE)
        with pytest.raises(HoldExpired):
            shop.inventory.confirm("cart-1")
        shop.inventory.sweep()
        assert shop.inventory.reservation("cart-1").status == "expired"
        found = shop.inventory.confirm("cart-1", on_expired="rehold")
        assert found.quantity("allocated") == {"MUG": 3}

    def test_hold_given_back_by_an_undone_sale_runs_out_again(self, shop: Shop) -> None:
        """It has the deadline it had, and its second expiry is a movement of its own."""
        hold(shop, "cart-1", 5)
        [sale] = shop.inventory.record(
            [Sold("MUG", 2, at="berlin", reference="cart-1", key="till-1")]
        )
        shop.clock.tick(16 * MINUTE)
        shop.inventory.sweep()
        shop.inventory.undo(sale.movement_id, reason="another order's")
        assert shop.inventory.available("MUG") == 10
        assert shop.inventory.sweep() == 1
        assert expiries(shop) == ["expire/cart-1/1", "expire/cart-1/1.3"]
        assert shop.figures() == (10, 0, 0, 0)

    def test_safety_stock_counts_when_it_competes(self, shop: Shop) -> None:
        """What must not be promised now must not be promised to a cart that comes late."""
        hold(shop, "cart-1", 10)
        shop.clock.tick(16 * MINUTE)
        shop.inventory.policies.set(Policy(safety_stock=1))
        with pytest.raises(InsufficientStock, match="only 9 available .*safety_stock=1"):
            shop.inventory.confirm("cart-1", on_expired="rehold")

    def test_lot_past_its_date_is_not_kept(self, shop: Shop) -> None:
        """The held units may not be sold any more; others take their place."""
        inventory: Inventory = shop.inventory
        inventory.receive("MILK", 2, at="berlin", lot="old", lot_expires_at=shop.clock.now + DAY)
        inventory.receive("MILK", 2, at="berlin", lot="new")
        cart = inventory.reserve({"MILK": 2}, reference="cart-2")
        assert [line.key.lot for line in cart.lines] == ["old"]
        shop.clock.tick(DAY)
        found = inventory.confirm("cart-2", on_expired="rehold")
        assert [(line.key.lot, line.allocated) for line in found.lines] == [("old", 0), ("new", 2)]
