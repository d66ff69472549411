"""Where bundles meet what knows nothing of them: policies, amendments, single sales, returns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pytest

from tests.shops import MINUTE, Shop
from truecount import BundleIndex, Movement, Policy, Recipe, Returned, Sold, State
from truecount.bundles.netting import limited_by
from truecount.errors import (
    InsufficientStock,
    InvalidArgument,
    InvalidQuantity,
    TooMany,
    UnknownLocation,
)
from truecount.ledger.bundle_checks import check_kits
from truecount.model.recipes import bill_of
from truecount.model.settings import RECIPE, RECIPE_HISTORY, past_recipe
from truecount.protocols.storage import Changes, Record, Wants
from truecount.reservations.sourcing import Share


GIFT = {"MUG": 2, "TEA": 1}


def gift_shop(**stock: dict[str, int]) -> Shop:
    """Return a shop that sells a set of two mugs and a tea."""
    shop = Shop(stock or {"berlin": {"MUG": 9, "TEA": 4}})
    shop.inventory.bundles.define("GIFT", GIFT)
    return shop


def ordered(shop: Shop, **lines: int) -> None:
    """Place an order."""
    shop.inventory.reserve(lines, reference="o")
    shop.inventory.confirm("o")


def sell(shop: Shop, sku: str, quantity: int, *, reference: str | None = None) -> Movement:
    """Record a sale in Berlin; return what it was booked as."""
    [outcome] = shop.inventory.record(
        [Sold(sku, quantity, at="berlin", reference=reference, key="sale")]
    )
    return shop.inventory.movement(outcome.movement_id)


def in_lots(*lots: str) -> Shop:
    """Return a shop whose tea is in lots, one of each."""
    shop = Shop({"berlin": {"MUG": 9}})
    for lot in lots:
        shop.inventory.receive("TEA", 1, at="berlin", lot=lot)
    shop.inventory.bundles.define("GIFT", GIFT)
    return shop


def by_lot(shop: Shop, sku: str) -> dict[str, int]:
    """Return the sellable units of each lot."""
    stock = shop.inventory.stock()
    return {key.lot: figures.sellable for key, figures in stock.items() if key.sku == sku}


def only_berlin(
    wanted: Mapping[str, int], offered: Mapping[str, Mapping[str, int]], order: Sequence[str]
) -> list[Share]:
    """Leave what lies elsewhere where it is, as a shop's own policy may."""
    first = order[0]
    here = offered.get(first, {})
    return [Share(sku, first, min(n, here[sku])) for sku, n in wanted.items() if sku in here]


class TestPoliciesThatLeaveUnits:
    def test_bundle_a_policy_gives_half_of_is_not_granted(self) -> None:
        """Two mugs without their tea are no gift: the cart is refused, nothing is held."""
        shop = Shop(
            {"berlin": {"MUG": 4}, "hamburg": {"TEA": 4, "MUG": 1}}, sourcing={"here": only_berlin}
        )
        shop.inventory.bundles.define("GIFT", GIFT)
        shop.inventory.policies.set(Policy(sourcing="here"))
        with pytest.raises(InsufficientStock) as caught:
            shop.inventory.reserve({"GIFT": 1}, reference="o", kits_apart=True)
        assert [each[0] for each in caught.value.short] == ["GIFT", "TEA"]
        assert caught.value.short[1][-1] == "sourcing=here, needed for 'GIFT'"
        assert shop.inventory.figures("MUG").held == 0
        shop.check()

    def test_as_many_as_a_policy_gives_are_granted_in_part(self) -> None:
        """What is held makes whole bundles, and no unit beside them."""
        shop = Shop(
            {"berlin": {"MUG": 5, "TEA": 1}, "hamburg": {"TEA": 4}}, sourcing={"here": only_berlin}
        )
        shop.inventory.bundles.define("GIFT", GIFT)
        shop.inventory.policies.set(Policy(sourcing="here"))
        cart = shop.inventory.reserve({"GIFT": 2}, reference="o", kits_apart=True, partial=True)
        assert (cart.quantity("held"), cart.short) == ({"MUG": 2, "TEA": 1}, {"GIFT": 1})
        assert [kit.open for kit in shop.inventory.kits("o")] == [1]
        shop.check()

    def test_bundle_a_policy_gives_nothing_of_names_the_policy(self) -> None:
        """Hamburg has all of it and may not give: no component is short, the policy is named."""
        shop = Shop(
            {"berlin": {"MUG": 1}, "hamburg": {"TEA": 4, "MUG": 8}}, sourcing={"here": only_berlin}
        )
        shop.inventory.bundles.define("GIFT", GIFT)
        shop.inventory.policies.set(Policy(sourcing="here"))
        with pytest.raises(InsufficientStock) as caught:
            shop.inventory.reserve({"GIFT": 1, "MUG": 2}, reference="o")
        where = "in 2 locations together"
        assert caught.value.short == (
            ("GIFT", 1, 0, where, "sourcing=here"),
            ("MUG", 2, 1, where, "sourcing=here"),
        )
        assert shop.inventory.figures("MUG").held == 0

    def test_bundle_that_is_nowhere_names_its_components_whatever_the_policy(self) -> None:
        """Where the stock would not do either, what is missing of it is what is said."""
        shop = Shop(
            {"berlin": {"MUG": 4}, "hamburg": {"TEA": 1, "MUG": 2}}, sourcing={"here": only_berlin}
        )
        shop.inventory.bundles.define("GIFT", GIFT)
        shop.inventory.policies.set(Policy(sourcing="here"))
        with pytest.raises(InsufficientStock) as caught:
            shop.inventory.reserve({"GIFT": 2}, reference="o")
        rules = [(sku, rule) for sku, *_, rule in caught.value.short]
        assert [sku for sku, _ in rules] == ["GIFT", "MUG", "TEA"]
        assert rules[0][1] == "bundle: MUG, TEA"


class TestAmending:
    def test_what_an_order_gives_back_it_may_take_again(self) -> None:
        """Its own hold never stands in its way: a gift becomes the mugs it was made of, and back."""
        shop = gift_shop(berlin={"MUG": 2, "TEA": 1})
        shop.inventory.reserve({"GIFT": 1}, reference="o")
        singles = shop.inventory.amend("o", {"GIFT": 0, "MUG": 2}, key="a-1")
        assert singles.quantity("held") == {"MUG": 2, "TEA": 0}
        again = shop.inventory.amend("o", {"GIFT": 1, "MUG": 0}, key="a-2")
        assert again.quantity("held") == {"MUG": 2, "TEA": 1}
        assert [kit.open for kit in shop.inventory.kits("o")] == [1]
        shop.check()

    def test_what_is_given_back_is_not_enough_for_more(self) -> None:
        """Refused as a whole, and the order stays as it was."""
        shop = gift_shop(berlin={"MUG": 2, "TEA": 1})
        before = shop.inventory.reserve({"GIFT": 1}, reference="o").quantity("held")
        with pytest.raises(InsufficientStock):
            shop.inventory.amend("o", {"GIFT": 0, "MUG": 3}, key="a-1")
        assert shop.inventory.reservation("o").quantity("held") == before
        shop.check()

    @pytest.mark.parametrize("apart", [True, False])
    def test_more_bundles_may_come_apart_where_the_cart_said_so(self, *, apart: bool) -> None:
        """What was said of places when it was reserved holds for what is added."""
        shop = gift_shop(berlin={"MUG": 4, "TEA": 1}, hamburg={"TEA": 9})
        shop.inventory.reserve({"GIFT": 1}, reference="o", kits_apart=apart)
        if apart:
            more = shop.inventory.amend("o", {"GIFT": 2})
            assert {line.location for line in more.lines} == {"berlin", "hamburg"}
        else:
            with pytest.raises(InsufficientStock):
                shop.inventory.amend("o", {"GIFT": 2})
        shop.check()

    def test_bundles_that_left_count_towards_the_number_asked_for(self) -> None:
        """Three of which one is shipped: three changes nothing, two gives one back."""
        shop = gift_shop()
        ordered(shop, GIFT=3)
        shop.inventory.ship("o", {"GIFT": 1}, key="parcel-1")
        for target, allocated in ((3, 4), (2, 2), (4, 6)):
            shop.inventory.amend("o", {"GIFT": target}, key=f"a-{target}")
            assert shop.inventory.reservation("o").quantity("allocated")["MUG"] == allocated
        shop.check()

    def test_what_was_reserved_as_single_units_stays_so(self) -> None:
        """More of the packed ones the order has are packed ones, though it is a bundle by now."""
        shop = Shop({"berlin": {"GIFT": 2, "MUG": 9, "TEA": 4}})
        ordered(shop, GIFT=1)
        shop.inventory.bundles.define("GIFT", GIFT)
        shop.inventory.amend("o", {"GIFT": 2}, key="a-1")
        assert (shop.inventory.kits("o"), shop.figures("GIFT")) == ((), (0, 0, 2, 0))
        with pytest.raises(InsufficientStock):
            shop.inventory.amend("o", {"GIFT": 3}, key="a-2")
        shop.check()

    def test_more_of_what_is_no_bundle_any_more_reclaims_holds_that_ran_out(self) -> None:
        """The order keeps its recipe, and so what it needs of the shelf."""
        shop = gift_shop(berlin={"MUG": 4, "TEA": 2})
        ordered(shop, GIFT=1)
        shop.inventory.bundles.remove("GIFT")
        shop.inventory.reserve({"MUG": 2}, reference="cart-2", ttl=MINUTE)
        shop.clock.tick(2 * MINUTE)
        more = shop.inventory.amend("o", {"GIFT": 2}, key="a-1")
        assert more.quantity("allocated") == {"MUG": 4, "TEA": 2}
        shop.check()


class TestGivingUp:
    def test_rest_of_an_order_given_up_leaves_what_shipped_its_bundle(self) -> None:
        """The order still knows its bundles and its account: what left comes back as one."""
        shop = gift_shop()
        ordered(shop, GIFT=2)
        shop.inventory.ship("o", {"GIFT": 1}, key="parcel-1")
        shop.inventory.release("o")
        [kit] = shop.inventory.kits("o")
        assert (kit.sku, kit.shipped) == ("GIFT", 1)
        shop.inventory.take_back("o", {"GIFT": 1}, key="rma-1", into=State.SELLABLE)
        assert shop.figures() == (9, 0, 0, 0)
        with pytest.raises(TooMany):
            shop.inventory.take_back("o", {"GIFT": 1}, key="rma-2")
        shop.check()


class TestHoldingAgain:
    def test_bundle_that_lost_nothing_keeps_its_lines(self) -> None:
        """The same units on the same lines, of the same bundle, though its recipe has changed."""
        shop = gift_shop(berlin={"MUG": 9, "TEA": 4})
        cart = shop.inventory.reserve({"GIFT": 1, "TEA": 1}, reference="o", ttl=MINUTE)
        shop.inventory.bundles.define("GIFT", {"MUG": 1})
        shop.clock.tick(2 * MINUTE)
        again = shop.inventory.confirm("o", on_expired="rehold")
        assert [(line.number, line.allocated) for line in again.lines] == [
            (line.number, line.held) for line in cart.lines
        ]
        assert [movement.kind.value for movement in shop.inventory.feed()][-1] == "confirm"
        assert [kit.sku for kit in shop.inventory.kits("o")] == ["GIFT"]
        shop.check()

    def test_units_that_make_no_bundle_are_held_again_as_such(self) -> None:
        """One mug was given back; the other and the tea ran out, and are promised again."""
        shop = gift_shop()
        shop.inventory.reserve({"GIFT": 1}, reference="o", ttl=MINUTE)
        shop.inventory.release("o", {"MUG": 1}, key="r-1")
        shop.clock.tick(2 * MINUTE)
        shop.inventory.sweep()
        again = shop.inventory.confirm("o", on_expired="rehold")
        assert again.quantity("allocated") == {"MUG": 1, "TEA": 1}
        shop.check()

    def test_packed_one_that_is_gone_is_made_from_holds_that_ran_out(self) -> None:
        """Its parts are held by a cart whose time is up: they are reclaimed for it."""
        shop = gift_shop(berlin={"MUG": 2, "TEA": 1})
        shop.inventory.assemble("GIFT", 1, at="berlin")
        for sku, quantity in GIFT.items():
            shop.inventory.receive(sku, quantity, at="berlin")
        shop.inventory.reserve({"GIFT": 1}, reference="o", ttl=MINUTE)
        shop.clock.tick(2 * MINUTE)
        shop.inventory.scrap("GIFT", 1, at="berlin", state=State.SELLABLE, reason="broken")
        shop.inventory.reserve({"MUG": 2}, reference="cart-2", ttl=MINUTE)
        shop.clock.tick(2 * MINUTE)
        again = shop.inventory.confirm("o", on_expired="rehold")
        assert again.quantity("allocated") == {"GIFT": 0, "MUG": 2, "TEA": 1}
        shop.check()


class TestSales:
    @pytest.mark.parametrize("later", [False, True])
    def test_single_unit_sold_leaves_the_bundles_of_its_order_whole(self, *, later: bool) -> None:
        """The mug bought beside the gift goes first, whenever it joined the order."""
        shop = gift_shop()
        ordered(shop, **({"GIFT": 1} if later else {"GIFT": 1, "MUG": 1}))
        if later:
            shop.inventory.amend("o", {"MUG": 1}, key="a-1")
        shop.inventory.record([Sold("MUG", 1, at="berlin", reference="o", key="etsy-1")])
        [kit] = shop.inventory.kits("o")
        assert (kit.open, kit.shipped) == (1, 0)
        shop.inventory.record([Sold("MUG", 1, at="berlin", reference="o", key="etsy-2")])
        [kit] = shop.inventory.kits("o")
        assert (kit.open, kit.shipped) == (0, 0), "then one of the gift's"
        shop.check()

    def test_sale_of_a_nested_bundle_takes_stocked_sets_inside(self) -> None:
        """A box sold takes the packed set, and makes nothing that is there."""
        shop = gift_shop()
        shop.inventory.bundles.define("BOX", {"GIFT": 2, "MUG": 1})
        shop.inventory.assemble("GIFT", 1, at="berlin")
        [outcome] = shop.inventory.record([Sold("BOX", 1, at="berlin", key="till-1")])
        legs = shop.inventory.movement(outcome.movement_id).legs
        assert {leg.sku: leg.quantity for leg in legs} == {"GIFT": 1, "MUG": 3, "TEA": 1}
        shop.check()

    def test_expired_holds_of_components_give_what_was_sold(self) -> None:
        """Two carts that ran out held the mugs: both are reclaimed, and nothing is short."""
        shop = gift_shop(berlin={"MUG": 4, "TEA": 4})
        for cart in ("cart-1", "cart-2"):
            shop.inventory.reserve({"MUG": 2}, reference=cart, ttl=MINUTE)
        shop.clock.tick(2 * MINUTE)
        sell(shop, "GIFT", 2)
        assert shop.figures("MUG") == (0, 0, 0, 0)
        shop.check()

    def test_what_is_not_there_in_any_lot_is_short_without_one(self) -> None:
        """Lots are never oversold: the key without a lot is, though it never held a unit."""
        shop = in_lots("L-1")
        sell(shop, "GIFT", 2)
        assert by_lot(shop, "TEA") == {"": -1, "L-1": 0}
        shop.check()

    def test_pinned_bundle_that_is_none_any_more_is_taken_from_every_lot(self) -> None:
        """Beyond its reservation it is still what the order says, lot by lot."""
        shop = in_lots("L-1", "L-2")
        ordered(shop, GIFT=1)
        shop.inventory.bundles.remove("GIFT")
        sell(shop, "GIFT", 2, reference="o")
        assert by_lot(shop, "TEA") == {"L-1": 0, "L-2": 0}
        shop.check()

    def test_expired_hold_of_the_order_itself_is_taken_once(self) -> None:
        """Its units are sold; what goes beyond them is short, and not taken from them again."""
        shop = gift_shop(berlin={"MUG": 2, "TEA": 1})
        shop.inventory.reserve({"GIFT": 1}, reference="o", ttl=MINUTE)
        shop.clock.tick(2 * MINUTE)
        sell(shop, "GIFT", 2, reference="o")
        assert shop.figures("MUG") == (-2, 0, 0, 0)
        assert shop.figures("TEA") == (-1, 0, 0, 0)
        shop.check()

    def test_units_reserved_before_it_was_a_bundle_are_sold_first(self) -> None:
        """The packed one the order holds leaves; what goes beyond it is made, and noted."""
        shop = Shop({"berlin": {"GIFT": 1, "MUG": 9, "TEA": 4}})
        ordered(shop, GIFT=1)
        shop.inventory.bundles.define("GIFT", GIFT)
        movement = sell(shop, "GIFT", 2, reference="o")
        assert shop.inventory.reservation("o").quantity("shipped") == {"GIFT": 1}
        assert {leg.sku: leg.quantity for leg in movement.legs} == {"GIFT": 1, "MUG": 2, "TEA": 1}
        assert movement.notes[0].startswith("beyond_reservation: 2 of GIFT were sold under o, its")
        shop.check()

    def test_sale_at_another_place_leaves_the_reservation_as_it_is(self) -> None:
        """What Hamburg holds for the order is still there; Berlin's shelf gave the units."""
        shop = gift_shop(hamburg={"MUG": 2, "TEA": 1}, berlin={"MUG": 9, "TEA": 9})
        shop.inventory.reserve({"GIFT": 1}, reference="o", at="hamburg")
        sell(shop, "GIFT", 1, reference="o")
        assert next(kit.open for kit in shop.inventory.kits("o")) == 1
        assert shop.figures("MUG", "berlin")[0] == 7
        shop.check()

    def test_packed_one_past_its_date_that_was_sold_is_what_left(self) -> None:
        """A fact: it is booked from the expired lot, and noted, though none would be granted."""
        shop = gift_shop()
        until = shop.clock.now + MINUTE
        shop.inventory.receive("GIFT", 1, at="berlin", lot="L-1", lot_expires_at=until)
        shop.clock.tick(2 * MINUTE)
        movement = sell(shop, "GIFT", 1)
        assert [(leg.sku, leg.lot) for leg in movement.legs] == [("GIFT", "L-1")]
        assert movement.notes[0].startswith("expired_lot: 1 of GIFT")

    def test_packed_ones_short_without_a_lot_leave_those_of_a_lot_alone(self) -> None:
        """One key below zero does not hide what another has."""
        shop = gift_shop()
        shop.inventory.record([Sold("GIFT", 1, at="berlin", lot="", key="till-0")])
        shop.inventory.receive("GIFT", 1, at="berlin", lot="L-1")
        movement = sell(shop, "GIFT", 1)
        assert [(leg.sku, leg.lot) for leg in movement.legs] == [("GIFT", "L-1")]


class TestAvailability:
    def test_place_below_zero_takes_nothing_from_another(self) -> None:
        """Oversold mugs in Hamburg lower neither what Berlin has, nor what both make together."""
        shop = gift_shop(berlin={"MUG": 6, "TEA": 1}, hamburg={"MUG": 1, "TEA": 5})
        shop.inventory.record([Sold("MUG", 4, at="hamburg", key="till-1")])
        found = shop.inventory.availability(["MUG", "GIFT"])
        assert (found["MUG"].available, found["MUG"].at) == (6, {"berlin": 6, "hamburg": -3})
        assert (found["GIFT"].available, found["GIFT"].in_network) == (1, 3)

    def test_what_limits_is_told_of_the_first_place_of_those_that_have_most(self) -> None:
        """Between equals it is the one with priority, not the one first in the alphabet."""
        shop = gift_shop(zagreb={"MUG": 2, "TEA": 9}, aachen={"MUG": 9, "TEA": 1})
        assert shop.inventory.availability(["GIFT"])["GIFT"].limited_by == "MUG"

    def test_shelf_below_zero_has_as_little_as_an_empty_one(self) -> None:
        """Of components that are not there at all the first by name is told."""
        bill = bill_of("GIFT", {"GIFT": Recipe("GIFT", 1, tuple(GIFT.items()))})
        assert limited_by(bill, {"MUG": 0, "TEA": -4}) == "MUG"

    def test_figure_that_moved_twice_is_compared_with_the_one_last_told(self) -> None:
        """What had limited a bundle at the last look is looked at again, however it got there."""
        bill = bill_of("GIFT", {"GIFT": Recipe("GIFT", 1, tuple(GIFT.items()))})
        index = BundleIndex([bill], {"MUG": 2, "TEA": 9})
        index.move("MUG", 18)
        index.move("MUG", 16)
        assert index.refresh() == {"GIFT": 8}


class TestDefining:
    def test_what_cannot_be_counted_with_is_refused_before_it_is_kept(self) -> None:
        """Too many levels, or more units than a figure holds: no version is made of it."""
        shop = gift_shop()
        bundles = shop.inventory.bundles
        bundles.define("L-1", {"MUG": 1})
        for level in range(2, 65):
            bundles.define(f"L-{level}", {f"L-{level - 1}": 1})
        with pytest.raises(InvalidArgument, match="65 levels"):
            bundles.define("L-65", {"L-64": 1})
        bundles.define("MANY", {"MUG": 2**62})
        with pytest.raises(InvalidQuantity, match="'MUG' in 'MORE'"):
            bundles.define("MORE", {"MANY": 2})
        assert not {"L-65", "MORE"} & set(bundles)


class TestPlaces:
    def test_each_place_gives_what_is_asked_of_it_and_no_more(self) -> None:
        """Four gifts from two places that have five: eight mugs and four teas are held."""
        shop = gift_shop(berlin={"MUG": 4, "TEA": 2}, hamburg={"MUG": 6, "TEA": 3})
        cart = shop.inventory.reserve({"GIFT": 4}, reference="o")
        assert cart.quantity("held") == {"MUG": 8, "TEA": 4}
        assert [kit.open for kit in shop.inventory.kits("o")] == [4]
        shop.check()

    def test_place_that_keeps_its_safety_stock_costs_the_others_nothing(self) -> None:
        """What Hamburg is below its own floor is not taken off what Berlin may give."""
        shop = gift_shop(berlin={"MUG": 2}, hamburg={"MUG": 1, "TEA": 5})
        shop.inventory.policies.set(Policy(safety_stock=4), location="hamburg")
        cart = shop.inventory.reserve({"GIFT": 1}, reference="o", kits_apart=True)
        assert cart.quantity("held") == {"MUG": 2, "TEA": 1}

    def test_refusal_names_what_is_lacking_where_most_could_be_had(self) -> None:
        """Berlin had two gifts and too few mugs; that Hamburg has no tea would not help."""
        shop = gift_shop(hamburg={"MUG": 9}, berlin={"MUG": 5, "TEA": 9})
        with pytest.raises(InsufficientStock) as caught:
            shop.inventory.reserve({"GIFT": 9}, reference="o")
        gift, mug = caught.value.short
        assert gift[:3] == ("GIFT", 9, 2)
        assert mug[:4] == ("MUG", 18, 5, "at 'berlin'")

    def test_bundle_put_together_from_two_places_is_shipped_as_one(self) -> None:
        """Mugs from Berlin and tea from Hamburg are the one gift the order has."""
        shop = gift_shop(berlin={"MUG": 2}, hamburg={"TEA": 1})
        shop.inventory.reserve({"GIFT": 1}, reference="o", kits_apart=True)
        shop.inventory.confirm("o")
        shop.inventory.ship("o", {"GIFT": 1}, key="parcel-1")
        assert [kit.shipped for kit in shop.inventory.kits("o")] == [1]
        shop.check()


class TestAccounts:
    def test_next_round_from_another_place_keeps_the_account(self) -> None:
        """Bundles and units that shipped before can still come back, and are still told."""
        shop = gift_shop()
        ordered(shop, GIFT=1, MUG=1)
        shop.inventory.ship("o")
        shop.inventory.reserve({"MUG": 1}, reference="o", at="berlin")
        [kit] = shop.inventory.kits("o")
        assert (kit.sku, kit.round, kit.shipped) == ("GIFT", 1, 1)
        shop.inventory.take_back("o", {"GIFT": 1, "MUG": 1}, key="rma-1")
        with pytest.raises(TooMany):
            shop.inventory.take_back("o", {"MUG": 1}, key="rma-2")
        shop.check()

    def test_bundles_sold_by_two_recipes_are_two_of_the_order(self) -> None:
        """Each comes back as what it was made of when it was sold."""
        shop = gift_shop(berlin={"MUG": 9, "TEA": 9})

        def sell(key: str) -> None:
            shop.inventory.record([Sold("GIFT", 1, at="berlin", reference="o", key=key)])

        sell("etsy-1")
        sell("etsy-2")
        shop.inventory.bundles.define("GIFT", {"TEA": 1})
        sell("etsy-3")
        kits = shop.inventory.kits("o")
        assert [(kit.recipe.version, kit.shipped) for kit in kits] == [(1, 2), (2, 1)]
        shop.inventory.take_back("o", {"GIFT": 3}, at="berlin", key="rma-1")
        assert shop.inventory.figures("MUG").quarantine == 4
        assert shop.inventory.figures("TEA").quarantine == 3
        shop.check()

    @pytest.mark.parametrize("act", ["ship", "take_back"])
    def test_bundles_that_are_named_are_taken_before_single_units(self, act: str) -> None:
        """A mug and a pair: the mug is one of the quad's, or there would be no pair left."""
        shop = Shop({"berlin": {"MUG": 9}})
        shop.inventory.bundles.define("PAIR", {"MUG": 2})
        shop.inventory.bundles.define("QUAD", {"MUG": 4})
        ordered(shop, PAIR=1, QUAD=1)
        if act == "take_back":
            shop.inventory.ship("o")
        getattr(shop.inventory, act)("o", {"MUG": 1, "PAIR": 1}, key="act-1")
        pair, quad = shop.inventory.kits("o")
        assert (pair.open, pair.delivered) == ((0, 1) if act == "ship" else (0, 0))
        assert (quad.open, quad.delivered) == (0, 0), "it lost a mug"
        shop.check()

    @pytest.mark.parametrize("lines", [{"GIFT": 1}, {"MUG": 2, "TEA": 1}], ids=["whole", "parts"])
    def test_each_return_goes_where_its_units_came_from(self, lines: dict[str, int]) -> None:
        """One gift left Berlin and one Hamburg; so they come back, one after the other."""
        shop = gift_shop(berlin={"MUG": 2, "TEA": 1}, hamburg={"MUG": 2, "TEA": 1})
        ordered(shop, GIFT=2)
        shop.inventory.ship("o")
        for number, place in enumerate(("berlin", "hamburg")):
            shop.inventory.take_back("o", lines, key=f"rma-{number}")
            assert shop.inventory.figures("MUG", at=place).quarantine == 2
            assert shop.inventory.figures("TEA", at=place).quarantine == 1
        shop.check()

    def test_return_reported_beyond_what_is_out_says_how_many_were(self) -> None:
        """Three came back of two: the third is booked as what the order says a gift is."""
        shop = gift_shop()
        ordered(shop, GIFT=2)
        shop.inventory.ship("o")
        shop.inventory.bundles.define("GIFT", {"TEA": 5})
        [outcome] = shop.inventory.record(
            [Returned("GIFT", 3, at="berlin", reference="o", key="back-1")]
        )
        movement = shop.inventory.movement(outcome.movement_id)
        assert {leg.sku: leg.quantity for leg in movement.legs} == {"MUG": 6, "TEA": 3}
        [note] = movement.notes
        assert note == "over_return: 3 of GIFT came back for o, which had 2 out"
        shop.check()

    def test_return_beyond_two_recipes_is_of_the_later_one(self) -> None:
        """What nobody sold is taken for what was sold last."""
        shop = gift_shop()
        sell(shop, "GIFT", 1, reference="o")
        shop.inventory.bundles.define("GIFT", {"TEA": 1})
        shop.inventory.record([Sold("GIFT", 1, at="berlin", reference="o", key="sale-2")])
        back = Returned("GIFT", 3, at="berlin", reference="o", key="back-1")
        [outcome] = shop.inventory.record([back])
        legs = shop.inventory.movement(outcome.movement_id).legs
        assert {leg.sku: leg.quantity for leg in legs} == {"MUG": 2, "TEA": 3}
        shop.check()

    def test_return_beyond_one_bundle_of_two_is_of_that_one(self) -> None:
        """What the other one is made of did not come back."""
        shop = gift_shop()
        shop.inventory.bundles.define("SET", {"TEA": 1})
        ordered(shop, GIFT=1, SET=1)
        shop.inventory.ship("o")
        back = Returned("GIFT", 2, at="berlin", reference="o", key="back-1")
        [outcome] = shop.inventory.record([back])
        legs = shop.inventory.movement(outcome.movement_id).legs
        assert {leg.sku: leg.quantity for leg in legs} == {"MUG": 4, "TEA": 2}
        shop.check()

    def test_return_to_a_place_nobody_declared_is_refused(self) -> None:
        """Bundles of an order are held to it as single units are."""
        shop = gift_shop()
        ordered(shop, GIFT=1)
        shop.inventory.ship("o")
        with pytest.raises(UnknownLocation):
            shop.inventory.take_back("o", {"GIFT": 1}, at="berlni", key="rma-1")


class TestChecks:
    @pytest.mark.parametrize(
        ("counters", "expected"),
        [
            ({"MUG": {"sold": 2, "sold/1": 3}}, "at most 3 of 'MUG' sold"),
            ({"MUG": {"returned": 2, "returned/1": 3}}, "at most 3 of 'MUG' returned"),
            ({"CUP": {"sold": 1, "sold/1": 1}}, "'CUP' to be in bundle 'GIFT'"),
        ],
        ids=["sold", "returned", "stranger"],
    )
    def test_bundle_that_counts_what_is_not_its_is_found(
        self, counters: dict[str, dict[str, int]], expected: str
    ) -> None:
        """Of the whole order went fewer, or the recipe has nothing of it."""
        recipe = Recipe("GIFT", 1, tuple(GIFT.items())).to_dict()
        kit = {"sku": "GIFT", "round": 0, "lines": [], "recipes": {"GIFT": recipe}}
        sound = {"MUG": {"sold": 3, "sold/1": 3, "returned": 3, "returned/1": 3}}
        assert not list(check_kits("o", {"kits": [kit], "lines": sound}, {}))
        [problem] = check_kits("o", {"kits": [kit], "lines": counters}, {})
        assert problem.expected == expected

    def test_line_that_is_no_bundles_own_is_found(self) -> None:
        """One that is not there, and one that two bundles count from."""
        shop = gift_shop()
        ordered(shop, GIFT=1)
        with shop.inventory.storage.read("main") as reader:
            record = reader.record("order", "o")
            lines = {line.number: line for line in reader.lines("o")}
        body = json.loads(record.body) if record else {}
        assert not list(check_kits("o", body, lines))
        [problem] = check_kits("o", body, {2: lines[2]})
        assert (problem.expected, problem.found) == (
            "line 1 to be of bundle 1 alone",
            "no line",
        )
        twice = {**body, "kits": [*body["kits"], *body["kits"]]}
        [problem] = check_kits("o", twice, lines)
        assert (problem.expected, problem.found) == (
            "line 1 to be of bundle 2 alone",
            "bundle 1, too",
        )
        assert not list(check_kits("o", [], lines)), "what is no order at all, others tell"

    def test_version_missing_in_the_middle_is_found(self) -> None:
        """The last one is there as it should be; the first nobody can read any more."""
        shop = gift_shop()
        last = json.dumps({"version": 2, "components": [["MUG", 1]], "defined_at": 0})
        names = ((RECIPE, "BOX"), (RECIPE_HISTORY, past_recipe("BOX", 2)))
        with shop.inventory.storage.begin("main") as unit:
            unit.lock(Wants(records=set(names)))
            records = [Record(space, id_, 1, last) for space, id_ in names]
            unit.write(Changes([], [], [], {}, [], records))
        [problem] = shop.inventory.verify().problems
        assert (problem.expected, problem.found) == (
            "its versions 1 to 2, the last as it is",
            "[2]",
        )
