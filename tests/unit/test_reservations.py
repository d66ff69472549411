from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.shops import MINUTE, Shop
from truecount import Policy, Reservation, Sold, State
from truecount.errors import (
    AlreadyReserved,
    InsufficientStock,
    InvalidArgument,
    InvalidTime,
    NotConfirmed,
    ReservationFinished,
    TooMany,
    UnknownLocation,
    UnknownReference,
    UnknownSku,
)


@pytest.fixture
def shop() -> Iterator[Shop]:
    """A shop with ten mugs and four teas in Berlin; its books are checked afterwards."""
    shop = Shop({"berlin": {"MUG": 10, "TEA": 4}})
    yield shop
    shop.check()


def placed(shop: Shop, **lines: int) -> Reservation:
    """Reserve and confirm *lines* for order-1."""
    shop.inventory.reserve(lines, reference="order-1")
    return shop.inventory.confirm("order-1")


class TestLifeOfAReservation:
    def test_each_act_moves_the_units_one_state_on(self, shop: Shop) -> None:
        """Held, allocated, picked and gone: nothing is available in between or afterwards."""
        inventory = shop.inventory
        assert inventory.reserve({"MUG": 3}, reference="order-1").status == "held"
        assert shop.figures() == (7, 3, 0, 0)
        assert inventory.confirm("order-1").status == "confirmed"
        assert shop.figures() == (7, 0, 3, 0)
        assert inventory.pick("order-1").status == "picked"
        assert shop.figures() == (7, 0, 0, 3)
        assert inventory.ship("order-1").status == "shipped"
        assert shop.figures() == (7, 0, 0, 0)
        assert inventory.figures("MUG").on_hand == 7

    def test_an_order_ships_in_parcels(self, shop: Shop) -> None:
        """Each parcel takes its part; what is left stays allocated."""
        placed(shop, MUG=3, TEA=2)
        first = shop.inventory.ship("order-1", {"MUG": 2}, key="parcel-1")
        assert first.status == "confirmed"
        assert first.quantity("shipped") == {"MUG": 2, "TEA": 0}
        second = shop.inventory.ship("order-1", {"MUG": 1, "TEA": 2}, key="parcel-2")
        assert second.status == "shipped"
        assert shop.movements()[-2:] == ["ship", "ship"]

    def test_shipping_takes_picked_units_first(self, shop: Shop) -> None:
        """What is off the shelf already goes before what is still on it."""
        placed(shop, MUG=3)
        shop.inventory.pick("order-1", {"MUG": 2}, key="pick-1")
        shop.inventory.ship("order-1", {"MUG": 2}, key="parcel-1")
        assert shop.figures() == (7, 0, 1, 0)
        shop.inventory.ship("order-1")
        assert shop.figures() == (7, 0, 0, 0)

    def test_parcels_of_one_location_leave_the_others(self) -> None:
        """Picking and shipping at a location touches the lines there only."""
        shop = Shop({"berlin": {"MUG": 2}, "hamburg": {"TEA": 2}})
        placed(shop, MUG=2, TEA=2)
        shop.inventory.pick("order-1", at="hamburg")
        assert shop.figures("TEA") == (0, 0, 0, 2)
        assert shop.figures("MUG") == (0, 0, 2, 0)
        assert shop.inventory.ship("order-1", at="hamburg").status == "confirmed"
        with pytest.raises(ReservationFinished, match="shipped at 'hamburg'"):
            shop.inventory.ship("order-1", at="hamburg")
        assert shop.inventory.ship("order-1").status == "shipped"
        shop.check()

    def test_act_at_a_location_without_lines_is_refused(self, shop: Shop) -> None:
        """The message tells where the reservation is."""
        shop.inventory.locations.add("hamburg")
        placed(shop, MUG=1)
        with pytest.raises(InvalidArgument, match=r"'hamburg'.*\['berlin'\]"):
            shop.inventory.ship("order-1", at="hamburg")
        with pytest.raises(UnknownLocation):
            shop.inventory.pick("order-1", at="hamborg")

    def test_equal_skus_of_a_cart_are_added_up(self, shop: Shop) -> None:
        """Pairs may repeat a SKU; they are one wish, so they cannot pass one by one."""
        cart = shop.inventory.reserve([("MUG", 2), ("MUG", 3)], reference="cart-1")
        assert cart.quantity() == {"MUG": 5}
        with pytest.raises(InsufficientStock):
            shop.inventory.reserve([("MUG", 3), ("MUG", 3)], reference="cart-2")

    def test_duration_comes_from_the_call_or_the_policy(self, shop: Shop) -> None:
        """Without ttl the shortest hold time among the cart's SKUs counts."""
        shop.inventory.policies.set(Policy(hold_ttl=timedelta(hours=2)))
        shop.inventory.policies.set(Policy(hold_ttl=timedelta(hours=1)), sku="TEA")
        for number, (lines, ttl, hours) in enumerate(
            [
                ({"MUG": 1}, None, 2),
                ({"MUG": 1, "TEA": 1}, None, 1),
                ({"MUG": 1}, timedelta(hours=5), 5),
            ]
        ):
            cart = shop.inventory.reserve(lines, reference=f"cart-{number}", ttl=ttl)
            assert cart.expires_at == cart.decided_at + timedelta(hours=hours)

    @pytest.mark.parametrize(
        "ttl", [timedelta(0), -MINUTE, timedelta(days=4000), 900], ids=["0", "-1", "11y", "int"]
    )
    def test_impossible_durations_are_refused(self, shop: Shop, ttl: timedelta) -> None:
        """A hold lasts more than no time and less than ten years, and is a timedelta."""
        with pytest.raises(InvalidTime, match="ttl"):
            shop.inventory.reserve({"MUG": 1}, reference="cart-1", ttl=ttl)

    def test_unknown_names_are_refused(self, shop: Shop) -> None:
        """A SKU that never moved, a place never declared, a reservation never made."""
        inventory = shop.inventory
        with pytest.raises(UnknownSku, match="did you mean 'MUG'"):
            inventory.reserve({"MUGG": 1}, reference="cart-1")
        with pytest.raises(UnknownLocation, match="berlin"):
            inventory.reserve({"MUG": 1}, reference="cart-1", at="berln")
        for act in (inventory.confirm, inventory.release, inventory.pick, inventory.ship):
            with pytest.raises(UnknownReference, match="'cart-1'"):
                act("cart-1")
        with pytest.raises(UnknownReference):
            inventory.reservation("cart-1")
        with pytest.raises(UnknownReference):
            inventory.amend("cart-1", {"MUG": 1})

    def test_a_live_reservation_is_not_reserved_for_twice(self, shop: Shop) -> None:
        """A second cart under the same name would hide the first."""
        shop.inventory.reserve({"MUG": 1}, reference="cart-1")
        with pytest.raises(AlreadyReserved, match="amend it"):
            shop.inventory.reserve({"TEA": 1}, reference="cart-1")
        shop.inventory.confirm("cart-1")
        with pytest.raises(AlreadyReserved):
            shop.inventory.reserve({"TEA": 1}, reference="cart-1")


class TestConfirm:
    def test_confirming_again_changes_nothing(self, shop: Shop) -> None:
        """At every later stage a second confirmation is a success without a movement."""
        inventory = shop.inventory
        placed(shop, MUG=2)
        for act in (inventory.pick, inventory.ship):
            again = inventory.confirm("order-1")
            assert again.movements == ()
            act("order-1")
        assert inventory.confirm("order-1").status == "shipped"
        assert shop.movements() == ["receive", "receive", "reserve", "confirm", "pick", "ship"]

    def test_a_released_hold_cannot_be_confirmed(self, shop: Shop) -> None:
        """The customer gave it back; there is nothing to place."""
        shop.inventory.reserve({"MUG": 2}, reference="order-1")
        shop.inventory.release("order-1")
        with pytest.raises(ReservationFinished, match="released"):
            shop.inventory.confirm("order-1")

    def test_confirming_never_fails_for_stock(self, shop: Shop) -> None:
        """The hold was granted; that the shelf was emptied since is a finding, not a refusal."""
        shop.inventory.reserve({"MUG": 10}, reference="order-1")
        shop.inventory.adjust("MUG", -8, at="berlin", reason="fire")
        assert shop.inventory.confirm("order-1").status == "confirmed"
        with pytest.raises(InsufficientStock, match="on hand"):
            shop.inventory.ship("order-1")


class TestRelease:
    @pytest.mark.parametrize("confirmed", [False, True])
    def test_full_release_restores_every_figure(self, shop: Shop, *, confirmed: bool) -> None:
        """Held or allocated, all of it is available again."""
        before = shop.inventory.figures("MUG"), shop.inventory.figures("TEA")
        shop.inventory.reserve({"MUG": 3, "TEA": 1}, reference="order-1")
        if confirmed:
            shop.inventory.confirm("order-1")
        assert shop.inventory.release("order-1").status == "released"
        assert (shop.inventory.figures("MUG"), shop.inventory.figures("TEA")) == before

    def test_full_release_may_be_repeated(self, shop: Shop) -> None:
        """The second one is a success without a movement, also after a parcel had left."""
        shop.inventory.reserve({"MUG": 3}, reference="cart-1")
        shop.inventory.release("cart-1")
        assert shop.inventory.release("cart-1").movements == ()
        placed(shop, MUG=3)
        shop.inventory.ship("order-1", {"MUG": 1}, key="parcel-1")
        assert shop.inventory.release("order-1").status == "shipped"
        assert shop.inventory.release("order-1").movements == ()

    def test_what_was_shipped_cannot_be_released(self, shop: Shop) -> None:
        """A cancellation after the parcel left must not look like a success."""
        placed(shop, MUG=3)
        shop.inventory.amend("order-1", {"MUG": 2})
        shop.inventory.ship("order-1")
        with pytest.raises(ReservationFinished, match="shipped"):
            shop.inventory.release("order-1")

    def test_part_of_it_can_be_released(self, shop: Shop) -> None:
        """The rest goes on as before."""
        placed(shop, MUG=3, TEA=2)
        part = shop.inventory.release("order-1", {"MUG": 2, "TEA": 2}, key="change-1")
        assert part.quantity("allocated") == {"MUG": 1, "TEA": 0}
        assert part.quantity("released") == {"MUG": 2, "TEA": 2}
        assert shop.figures() == (9, 0, 1, 0)

    def test_more_than_there_is_cannot_be_released(self, shop: Shop) -> None:
        """It is refused, never clamped, and nothing of the request is done."""
        placed(shop, MUG=3, TEA=2)
        with pytest.raises(TooMany, match="only 3 left to release") as caught:
            shop.inventory.release("order-1", {"MUG": 4}, key="change-1")
        assert (caught.value.wanted, caught.value.left) == (4, 3)
        with pytest.raises(TooMany):
            shop.inventory.release("order-1", {"MUG": 1, "TEA": 3}, key="change-2")
        assert shop.figures() == (7, 0, 3, 0)

    def test_picked_units_cannot_be_released(self, shop: Shop) -> None:
        """They are in somebody's hands: undo the pick, or ship them."""
        placed(shop, MUG=3)
        picked = shop.inventory.pick("order-1", {"MUG": 2}, key="pick-1")
        with pytest.raises(TooMany, match="only 1 left"):
            shop.inventory.release("order-1")
        shop.inventory.undo(picked.movements[-1], reason="put back")
        assert shop.inventory.release("order-1").status == "released"


class TestPick:
    def test_only_confirmed_units_are_picked(self, shop: Shop) -> None:
        """A cart is not an order."""
        shop.inventory.reserve({"MUG": 1}, reference="order-1")
        with pytest.raises(NotConfirmed, match="confirm it first"):
            shop.inventory.pick("order-1")
        with pytest.raises(NotConfirmed):
            shop.inventory.pick("order-1", {"MUG": 1}, key="pick-1")

    def test_full_pick_may_be_repeated(self, shop: Shop) -> None:
        """Everything asked for is off the shelf already."""
        placed(shop, MUG=2)
        shop.inventory.pick("order-1")
        assert shop.inventory.pick("order-1").movements == ()
        shop.inventory.ship("order-1")
        with pytest.raises(ReservationFinished, match="pick"):
            shop.inventory.pick("order-1")

    def test_more_than_allocated_cannot_be_picked(self, shop: Shop) -> None:
        """The second picker of the same list is told."""
        placed(shop, MUG=2)
        shop.inventory.pick("order-1", {"MUG": 1}, key="pick-1")
        with pytest.raises(TooMany, match="only 1 left to pick"):
            shop.inventory.pick("order-1", {"MUG": 2}, key="pick-2")

    def test_missing_units_leave_the_order_and_the_book(self, shop: Shop) -> None:
        """A short pick is a fact: the unit is gone, and the order ships without it."""
        placed(shop, MUG=3)
        short = shop.inventory.short_pick("order-1", {"MUG": 1}, key="short-1")
        assert short.quantity("short") == {"MUG": 1}
        assert shop.inventory.figures("MUG").on_hand == 9
        assert shop.inventory.ship("order-1").quantity("shipped") == {"MUG": 2}
        leg = shop.inventory.movement(short.movements[-1]).legs[0]
        assert str(leg.target) == "adjustment:short_pick"

    def test_unfit_units_go_where_the_picker_says(self, shop: Shop) -> None:
        """Damaged in the picker's hand: still on hand, no longer promised."""
        placed(shop, MUG=3)
        shop.inventory.pick("order-1")
        shop.inventory.short_pick("order-1", {"MUG": 1}, into=State.DAMAGED, key="short-1")
        figures = shop.inventory.figures("MUG")
        assert (figures.picked, figures.damaged, figures.on_hand) == (2, 1, 10)

    def test_more_than_the_order_has_cannot_be_short(self, shop: Shop) -> None:
        """What an order does not have cannot be missing from it."""
        placed(shop, MUG=3)
        with pytest.raises(TooMany, match="short pick"):
            shop.inventory.short_pick("order-1", {"MUG": 4}, key="short-1")


class TestShip:
    def test_nothing_ships_before_it_is_confirmed(self, shop: Shop) -> None:
        """Neither all of it nor a part."""
        shop.inventory.reserve({"MUG": 1}, reference="order-1")
        with pytest.raises(NotConfirmed):
            shop.inventory.ship("order-1")
        with pytest.raises(NotConfirmed):
            shop.inventory.ship("order-1", {"MUG": 1}, key="parcel-1")

    def test_nothing_ships_twice(self, shop: Shop) -> None:
        """A second full shipment is refused; the same parcel under its key is only repeated."""
        placed(shop, MUG=3)
        first = shop.inventory.ship("order-1", {"MUG": 1}, key="parcel-1")
        again = shop.inventory.ship("order-1", {"MUG": 1}, key="parcel-1")
        assert again.replayed
        assert (again.movements, again.lines) == (first.movements, first.lines)
        shop.inventory.ship("order-1")
        with pytest.raises(ReservationFinished, match="shipped"):
            shop.inventory.ship("order-1")
        with pytest.raises(ReservationFinished):
            shop.inventory.ship("order-1", {"MUG": 1}, key="parcel-2")
        assert shop.inventory.figures("MUG").on_hand == 7

    def test_more_than_the_order_has_cannot_ship(self, shop: Shop) -> None:
        """Over-shipping is refused whole, with what is left."""
        placed(shop, MUG=3, TEA=1)
        with pytest.raises(TooMany, match="only 3 left to ship"):
            shop.inventory.ship("order-1", {"TEA": 1, "MUG": 4}, key="parcel-1")
        assert shop.figures("TEA") == (3, 0, 1, 0)

    def test_nothing_ships_after_release(self, shop: Shop) -> None:
        """Released units may be somebody else's by now."""
        placed(shop, MUG=3)
        shop.inventory.release("order-1")
        with pytest.raises(ReservationFinished, match="released"):
            shop.inventory.ship("order-1")

    def test_same_thing_reported_as_a_fact_is_booked_and_found(self, shop: Shop) -> None:
        """The parcel did leave: the book follows, and says what was wrong."""
        placed(shop, MUG=3)
        shop.inventory.ship("order-1")
        fact = Sold("MUG", 2, at="berlin", reference="order-1", key="till-1")
        [outcome] = shop.inventory.record([fact])
        assert "still had 0" in shop.inventory.movement(outcome.movement_id).notes[0]
        assert shop.inventory.figures("MUG").on_hand == 5

    def test_reported_sale_takes_what_the_reservation_has(self, shop: Shop) -> None:
        """First the reservation's own units, then the shelf."""
        shop.inventory.reserve({"MUG": 3}, reference="order-1")
        shop.inventory.record([Sold("MUG", 4, at="berlin", reference="order-1", key="till-1")])
        assert shop.figures() == (6, 0, 0, 0)
        found = shop.inventory.reservation("order-1")
        assert (found.status, found.quantity("shipped")) == ("shipped", {"MUG": 3})
        assert shop.inventory.confirm("order-1").movements == ()


class TestTakeBack:
    def test_each_unit_comes_back_once(self, shop: Shop) -> None:
        """Into quarantine unless said otherwise, and never more than was shipped."""
        placed(shop, MUG=3)
        shop.inventory.ship("order-1")
        shop.inventory.take_back("order-1", {"MUG": 2}, key="rma-1")
        assert shop.inventory.figures("MUG").quarantine == 2
        with pytest.raises(TooMany, match="only 1 left"):
            shop.inventory.take_back("order-1", {"MUG": 2}, key="rma-2")
        shop.inventory.take_back("order-1", {"MUG": 1}, into=State.SELLABLE, key="rma-3")
        assert shop.figures() == (8, 0, 0, 0)

    def test_nothing_comes_back_that_never_left(self, shop: Shop) -> None:
        """A reservation that did not ship has nothing to return."""
        placed(shop, MUG=3)
        with pytest.raises(TooMany):
            shop.inventory.take_back("order-1", {"MUG": 1}, key="rma-1")
        with pytest.raises(UnknownReference):
            shop.inventory.take_back("order-2", {"MUG": 1}, key="rma-2")


class TestAmend:
    @pytest.mark.parametrize("confirmed", [False, True])
    def test_quantities_are_set_in_one_step(self, shop: Shop, *, confirmed: bool) -> None:
        """More, less, none and a new SKU: one movement, and the others stay as they are."""
        state = "allocated" if confirmed else "held"
        shop.inventory.receive("CUP", 5, at="berlin")
        shop.inventory.reserve({"MUG": 3, "TEA": 2}, reference="order-1")
        if confirmed:
            shop.inventory.confirm("order-1")
        changed = shop.inventory.amend("order-1", {"MUG": 5, "TEA": 0, "CUP": 1})
        assert changed.quantity(state) == {"MUG": 5, "TEA": 0, "CUP": 1}
        assert len(changed.movements) == 1
        assert shop.inventory.amend("order-1", {"MUG": 1}).quantity(state)["MUG"] == 1
        assert shop.inventory.available("TEA") == 4

    def test_amending_to_the_same_changes_nothing(self, shop: Shop) -> None:
        """Repeating an amendment is a success without a movement."""
        placed(shop, MUG=3)
        assert shop.inventory.amend("order-1", {"MUG": 3, "TEA": 0}).movements == ()

    def test_own_units_never_stand_in_the_way(self, shop: Shop) -> None:
        """A cart of all ten may shrink and grow back, but not beyond what there is."""
        shop.inventory.reserve({"MUG": 9}, reference="cart-1")
        assert shop.inventory.amend("cart-1", {"MUG": 10}).quantity("held") == {"MUG": 10}
        with pytest.raises(InsufficientStock, match="1 of 'MUG'"):
            shop.inventory.amend("cart-1", {"MUG": 11, "TEA": 1})
        assert shop.figures("TEA") == (4, 0, 0, 0)

    def test_hold_keeps_its_deadline(self, shop: Shop) -> None:
        """Adding to a cart does not keep all of it longer."""
        cart = shop.inventory.reserve({"MUG": 1}, reference="cart-1", ttl=5 * MINUTE)
        shop.clock.tick(4 * MINUTE)
        assert shop.inventory.amend("cart-1", {"TEA": 1}).expires_at == cart.expires_at
        shop.clock.tick(2 * MINUTE)
        assert shop.inventory.available("TEA") == 4

    def test_what_left_the_shelf_cannot_be_taken_out(self, shop: Shop) -> None:
        """Picked and shipped units count as had; fewer than those is refused."""
        placed(shop, MUG=5)
        shop.inventory.ship("order-1", {"MUG": 2}, key="parcel-1")
        shop.inventory.pick("order-1", {"MUG": 1}, key="pick-1")
        with pytest.raises(TooMany, match="only 2 left to amend"):
            shop.inventory.amend("order-1", {"MUG": 2})
        assert shop.inventory.amend("order-1", {"MUG": 3}).quantity("released") == {"MUG": 2}

    def test_increase_may_come_from_another_location(self) -> None:
        """The line that is there stays; the new one is where the caller says."""
        shop = Shop({"berlin": {"MUG": 5}, "hamburg": {"MUG": 5}})
        shop.inventory.reserve({"MUG": 2}, reference="cart-1")
        shop.inventory.amend("cart-1", {"MUG": 5}, at="hamburg")
        assert shop.figures(at="berlin")[1] == 2
        assert shop.figures(at="hamburg")[1] == 3
        shop.check()

    def test_newest_lines_are_given_back_first(self) -> None:
        """What was added last goes first: the place that served the cart keeps serving it."""
        shop = Shop({"berlin": {"MUG": 5}, "hamburg": {"MUG": 5}})
        shop.inventory.reserve({"MUG": 2}, reference="cart-1")
        shop.inventory.amend("cart-1", {"MUG": 5}, at="hamburg")
        shop.inventory.amend("cart-1", {"MUG": 3})
        assert (shop.figures(at="berlin")[1], shop.figures(at="hamburg")[1]) == (2, 1)
        shop.inventory.release("cart-1", {"MUG": 2}, key="change-1")
        assert (shop.figures(at="berlin")[1], shop.figures(at="hamburg")[1]) == (1, 0)
        shop.check()

    def test_cart_of_one_location_grows_there(self) -> None:
        """A cart for collection in Hamburg is not filled up from Berlin."""
        shop = Shop({"berlin": {"MUG": 5}, "hamburg": {"MUG": 5}})
        shop.inventory.reserve({"MUG": 2}, reference="cart-1", at="hamburg")
        shop.inventory.amend("cart-1", {"MUG": 5})
        assert shop.figures(at="hamburg")[1] == 5
        with pytest.raises(InsufficientStock, match="at 'hamburg'"):
            shop.inventory.amend("cart-1", {"MUG": 6})
        shop.check()

    def test_finished_reservation_is_not_amended(self, shop: Shop) -> None:
        """There is nothing to change any more."""
        placed(shop, MUG=1)
        shop.inventory.ship("order-1")
        with pytest.raises(ReservationFinished, match="amend"):
            shop.inventory.amend("order-1", {"MUG": 2})
