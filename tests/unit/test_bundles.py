"""Bundles: what they are made of, selling them, shipping them, taking them back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from tests.shops import MINUTE, START, Shop
from truecount import (
    DefineBundle,
    Inventory,
    MemoryStorage,
    Policy,
    Recipe,
    Reserve,
    Returned,
    Sold,
    SQLiteStorage,
    State,
    errors,
)
from truecount.bundles.availability import of_bundle
from truecount.bundles.carts import serve
from truecount.bundles.netting import capacity, limited_by, net
from truecount.model.quantities import QUANTITY_MAX
from truecount.model.recipes import bill_of, check_bill
from truecount.model.settings import GENERATION, RECIPE, journal_after, settings_from
from truecount.protocols.storage import Changes, Wants
from truecount.write import rules


GIFT = {"MUG": 2, "TEA": 1}


def gift_shop(**stock: dict[str, int]) -> Shop:
    """Return a shop that sells a set of two mugs and a tea."""
    shop = Shop(stock or {"berlin": {"MUG": 9, "TEA": 4}})
    shop.inventory.bundles.define("GIFT", GIFT)
    return shop


@pytest.fixture
def shop() -> Iterator[Shop]:
    """Return the shop; whatever a test did to it, everything stored agrees afterwards."""
    shop = gift_shop()
    yield shop
    shop.check()


class TestDefining:
    def test_each_definition_is_the_next_version(self, shop: Shop) -> None:
        """Old versions stay readable, with when and why; saying the same again is none."""
        bundles = shop.inventory.bundles
        shop.clock.tick(MINUTE)
        assert bundles.define("GIFT", {"TEA": 2}, reason="cheaper", actor="sam").version == 2
        assert bundles.define("GIFT", {"TEA": 2}).version == 2
        assert bundles.recipe("GIFT").quantities == {"TEA": 2}
        assert bundles.recipe("GIFT", 1).quantities == GIFT
        first, second = bundles.history("GIFT")
        assert (first.defined_at < START + MINUTE, first.reason) == (True, None)
        assert second.defined_at >= START + MINUTE
        assert (second.reason, second.actor, second.origin) == ("cheaper", "sam", None)

    def test_removed_bundle_is_a_plain_sku_again(self, shop: Shop) -> None:
        """Its history ends with a version that is made of nothing; defining goes on from there."""
        bundles = shop.inventory.bundles
        bundles.remove("GIFT", reason="season is over")
        assert (list(bundles), "GIFT" in bundles, len(bundles)) == ([], False, 0)
        assert bundles.history("GIFT")[-1].recipe.is_removed
        with pytest.raises(errors.UnknownBundle):
            bundles.recipe("GIFT")
        with pytest.raises(errors.UnknownSku):
            shop.inventory.reserve({"GIFT": 1}, reference="cart-1")
        assert bundles.define("GIFT", GIFT).version == 3

    def test_cycle_is_refused_with_its_path(self, shop: Shop) -> None:
        """At any depth, and of itself; nothing is written."""
        bundles = shop.inventory.bundles
        bundles.define("BOX", {"GIFT": 1})
        bundles.define("PALLET", {"BOX": 12})
        with pytest.raises(errors.CyclicRecipe) as caught:
            bundles.define("GIFT", {"PALLET": 1})
        assert caught.value.path == ("GIFT", "PALLET", "BOX", "GIFT")
        assert "'GIFT' -> 'PALLET' -> 'BOX' -> 'GIFT'" in str(caught.value)
        with pytest.raises(errors.CyclicRecipe) as caught:
            bundles.define("NEW", {"NEW": 1})
        assert caught.value.path == ("NEW", "NEW")
        assert bundles.recipe("GIFT").version == 1

    def test_two_definitions_of_one_batch_cannot_close_a_circle(self, shop: Shop) -> None:
        """Each member sees the recipes of those before it."""
        first, second = shop.inventory.submit(
            [DefineBundle("A", {"MUG": 1}), DefineBundle("B", {"A": 1})]
        )
        assert first.granted
        assert second.granted
        _, third = shop.inventory.submit([DefineBundle("C", {"B": 1}), DefineBundle("A", {"C": 1})])
        assert isinstance(third.error, errors.CyclicRecipe)

    @pytest.mark.parametrize(
        ("components", "error"),
        [
            ({}, errors.InvalidArgument),
            ({"MUG": 0}, errors.InvalidQuantity),
            ({"MUG": -1}, errors.InvalidQuantity),
            ({"MUG": 1.5}, errors.InvalidQuantity),
            ({"MUG": True}, errors.InvalidQuantity),
            ({"MUG ": 1}, errors.InvalidText),
            ({"MUGG": 1}, errors.UnknownSku),
            ({"TEAA": 1}, errors.UnknownSku),
            ({"MUG": 1, "TEAA": 1}, errors.UnknownSku),
        ],
    )
    def test_bad_recipes_are_refused(
        self, shop: Shop, components: dict[str, int], error: type[Exception]
    ) -> None:
        """No components, none of one, parts of one, or what nobody ever saw."""
        with pytest.raises(error):
            shop.inventory.bundles.define("NEW", components)
        assert list(shop.inventory.bundles) == ["GIFT"]

    def test_equal_components_add_up(self, shop: Shop) -> None:
        """Named twice is twice as many."""
        recipe = shop.inventory.bundles.define("PAIR", [("MUG", 1), ("MUG", 1)])
        assert recipe.quantities == {"MUG": 2}

    def test_too_deep_and_too_many_are_refused(self) -> None:
        """Sixty-four levels are enough, and what they add up to fits a figure."""
        made = {f"K{n}": Recipe(f"K{n}", 1, ((f"K{n + 1}", 2),)) for n in range(70)}
        with pytest.raises(errors.InvalidArgument, match="70 levels: expected at most 64"):
            check_bill(bill_of("K0", made))
        with pytest.raises(errors.InvalidQuantity, match=r"'K69' in 'K6'"):
            check_bill(bill_of("K6", made))
        assert check_bill(bill_of("K10", made)).gross(1)["K70"] == 2**60

    def test_as_many_units_as_a_figure_holds_are_not_too_many(self) -> None:
        """One more is."""
        most = Recipe("K", 1, (("X", QUANTITY_MAX),))
        assert check_bill(bill_of("K", {"K": most})).gross(1)["X"] == QUANTITY_MAX
        more = {"K": most, "BOX": Recipe("BOX", 1, (("K", 1), ("X", 1)))}
        with pytest.raises(errors.InvalidQuantity, match=f"{QUANTITY_MAX + 1}"):
            check_bill(bill_of("BOX", more))

    def test_part_that_is_in_many_is_taken_apart_once(self) -> None:
        """Forty levels of two parts, each in both above it, have 2**40 ways down."""
        made = {
            f"{side}{level}": Recipe(
                f"{side}{level}", 1, ((f"L{level + 1}", 1), (f"R{level + 1}", 1))
            )
            for level in range(40)
            for side in "LR"
        }
        bill = bill_of("L0", made)
        assert (len(bill.family), bill.depth) == (81, 40)
        assert bill.leaves == (("L40", 2**39), ("R40", 2**39))

    def test_an_unknown_bundle_names_the_two_nearest(self, shop: Shop) -> None:
        """Never a long list, whoever asks."""
        bundles = shop.inventory.bundles
        for number in (1, 2, 3):
            bundles.define(f"BOX-{number}", {"MUG": 1})
        for call in (bundles.recipe, bundles.remove, bundles.history):
            with pytest.raises(errors.UnknownBundle) as caught:
                call("BOX-9")
            assert len(caught.value.nearest) == 2
            assert set(caught.value.nearest) < {"BOX-1", "BOX-2", "BOX-3"}

    def test_unknown_bundles_and_versions_are_named(self, shop: Shop) -> None:
        """With the nearest one, and with the last version there is."""
        bundles = shop.inventory.bundles
        with pytest.raises(errors.UnknownBundle, match="did you mean 'GIFT'"):
            bundles.recipe("GIFTS")
        with pytest.raises(errors.UnknownBundle, match="did you mean 'GIFT'"):
            bundles.remove("GIFTS")
        with pytest.raises(errors.UnknownBundle):
            bundles.history("MUG")
        with pytest.raises(errors.InvalidArgument, match="at most 1, the last one"):
            bundles.recipe("GIFT", 2)

    def test_catalog_must_list_the_bundle(self) -> None:
        """A bundle is a SKU that its definition is the first to name."""
        inventory = Inventory(catalog={"MUG", "GIFT"})
        inventory.locations.add("berlin")
        inventory.receive("MUG", 1, at="berlin")
        inventory.bundles.define("GIFT", {"MUG": 1})
        with pytest.raises(errors.UnknownSku):
            inventory.bundles.define("GFIT", {"MUG": 1})


class TestNetting:
    MADE: Final = {"K": Recipe("K", 1, (("S", 1), ("X", 1))), "S": Recipe("S", 1, (("X", 2),))}

    @pytest.mark.parametrize(
        ("shelf", "most"),
        [
            ({"S": 3, "X": 5}, 3),
            ({"X": 10}, 3),
            ({"S": 3, "X": 5, "K": 2}, 5),
            ({}, 0),
            ({"S": -4, "X": 3}, 1),
            ({"K": -1, "S": 1, "X": -1}, 0),
            ({"S": 10**15, "X": 10**15}, 10**15),
        ],
    )
    def test_golden_capacities(self, shelf: dict[str, int], most: int) -> None:
        """A stocked sub-assembly and its parts are netted, not the least of them taken."""
        assert capacity(bill_of("K", self.MADE), shelf) == most

    def test_same_component_twice_and_by_way_of_another(self) -> None:
        """Flatten, add up, then divide: 10 and 12 elsewhere, the truth is 5 and 9."""
        twice = {"K": Recipe("K", 1, (("A", 2),))}
        assert capacity(bill_of("K", twice), {"A": 10}) == 5
        shared = {"K": Recipe("K", 1, (("A", 1), ("S", 1))), "S": Recipe("S", 1, (("A", 3),))}
        assert capacity(bill_of("K", shared), {"A": 36}) == 9

    def test_golden_cart(self) -> None:
        """Alone 7 and 4; five and three would take eleven of A; four and three leave none."""
        made = {
            "b1": Recipe("b1", 1, (("A", 1), ("B", 1))),
            "b2": Recipe("b2", 1, (("A", 2), ("C", 1))),
        }
        bills = {sku: bill_of(sku, made) for sku in made}
        stock = {"A": 10, "B": 7, "C": 4}
        assert [capacity(bills[sku], stock) for sku in made] == [7, 4]
        assert serve({"b1": 5, "b2": 3}, bills, stock).short == {"b2": {"A": (6, 5)}}
        assert serve({"b2": 2}, bills, {"C": 1}).short == {"b2": {"A": (4, 0), "C": (2, 1)}}
        together = serve({"b1": 4, "b2": 3}, bills, stock)
        assert not together.short
        assert capacity(bills["b1"], together.left) == 0

    def test_shelf_below_zero_serves_nothing_of_a_line(self) -> None:
        """Nor less than nothing: what is missing is all that was wanted."""
        served = serve({"A": 2, "B": 1}, {}, {"A": -3, "B": 1})
        assert (served.lines, served.left) == ({"B": 1}, {"A": -3, "B": 0})
        assert served.short == {"A": {"A": (2, 0)}}

    def test_what_limits_is_named(self) -> None:
        """The component there is least of; ties go by name."""
        bill = bill_of("K", self.MADE)
        assert limited_by(bill, {"S": 3, "X": 5}) == "X"
        made = {"SET": Recipe("SET", 1, (("A", 1), ("B", 1)))}
        assert limited_by(bill_of("SET", made), {}) == "A"

    def test_floors_are_never_rounded_up(self) -> None:
        """Two thirds of a bundle is none, and a third three times is one."""
        bill = bill_of("K", {"K": Recipe("K", 1, (("A", 3),))})
        assert [capacity(bill, {"A": units}) for units in (2, 3, 5, 9)] == [0, 1, 1, 3]
        assert net(bill, 10**18, {"A": 3 * 10**18}).short == {}


class TestAvailability:
    def test_singles_and_bundles_at_once(self, shop: Shop) -> None:
        """Each with what limits it; a SKU nobody ever saw is there zero times."""
        found = shop.inventory.availability(["MUG", "GIFT", "CUP"])
        assert (found["MUG"].available, found["MUG"].limited_by) == (9, None)
        assert (found["GIFT"].available, found["GIFT"].limited_by) == (4, "MUG")
        assert (found["CUP"].available, found["CUP"].from_one_place, found["CUP"].at) == (0, 0, {})
        nowhere = of_bundle(bill_of("SET", {"SET": Recipe("SET", 1, (("CUP", 1),))}), {})
        assert (nowhere.available, nowhere.from_one_place, nowhere.in_network) == (0, 0, 0)
        with pytest.raises(errors.InvalidArgument, match="a list of SKUs"):
            shop.inventory.availability("GIFT")

    def test_one_place_and_network_are_two_answers(self) -> None:
        """Mugs here and tea there make no set, unless components may lie apart."""
        shop = gift_shop(berlin={"MUG": 8, "TEA": 1}, hamburg={"TEA": 5, "MUG": 2}, kiel={"TEA": 9})
        found = shop.inventory.availability(["GIFT"])["GIFT"]
        assert found.at == {"berlin": 1, "hamburg": 1, "kiel": 0}
        assert (found.available, found.from_one_place, found.in_network) == (2, 1, 5)
        assert found.limited_by == "TEA"

    @pytest.mark.parametrize(
        ("shelves", "sets", "mugs"),
        [
            ({"berlin": {"MUG": 5, "TEA": 2}}, 2, 5),
            ({"berlin": {"MUG": 4, "TEA": 1}, "kiel": {"MUG": 1, "TEA": 1}}, 2, 5),
            ({"berlin": {"MUG": 1, "TEA": 1}, "kiel": {"TEA": 1}}, 0, 1),
        ],
    )
    def test_network_gives_what_all_units_together_make(
        self, shelves: dict[str, dict[str, int]], sets: int, mugs: int
    ) -> None:
        """Not one more; of a SKU that is no bundle it is what there is of it."""
        found = gift_shop(**shelves).inventory.availability(["GIFT", "MUG"])
        assert (found["GIFT"].is_bundle, found["GIFT"].in_network) == (True, sets)
        assert (found["MUG"].is_bundle, found["MUG"].in_network) == (False, mugs)

    def test_component_below_zero_is_none(self, shop: Shop) -> None:
        """Oversold components make no bundle, and stocked bundles still count."""
        shop.inventory.adjust("TEA", -6, at="berlin", reason="gone")
        for packed in (0, 2):
            if packed:
                shop.inventory.receive("GIFT", packed, at="berlin")
            found = shop.inventory.availability(["GIFT"])["GIFT"]
            assert (found.available, found.from_one_place, found.in_network) == (packed,) * 3

    def test_expired_holds_are_available(self, shop: Shop) -> None:
        """The same figure as a component alone has."""
        shop.inventory.reserve({"TEA": 4}, reference="cart-1", ttl=MINUTE)
        assert shop.inventory.availability(["GIFT"])["GIFT"].available == 0
        shop.clock.tick(2 * MINUTE)
        assert shop.inventory.availability(["GIFT"])["GIFT"].available == 4

    def test_containing_finds_every_depth(self, shop: Shop) -> None:
        """Directly, and by way of another bundle."""
        shop.inventory.bundles.define("BOX", {"GIFT": 1})
        assert shop.inventory.bundles.containing("TEA") == ["BOX", "GIFT"]
        assert shop.inventory.bundles.containing("GIFT") == ["BOX"]


class TestReserving:
    def test_lines_that_share_components_are_added_up(self, shop: Shop) -> None:
        """Four sets and a mug are nine mugs; four sets and two are one too many."""
        fine = shop.inventory.check({"GIFT": 4, "MUG": 1})
        assert (fine.possible, {key.sku: n for key, n in fine.parts.items()}) == (
            True,
            {"MUG": 9, "TEA": 4},
        )
        refused = shop.inventory.check({"GIFT": 4, "MUG": 2})
        assert not refused.possible
        assert refused.short == (("MUG", 2, 1, "at 'berlin'", "backorder_limit=0"),)
        assert shop.movements() == ["receive", "receive"]

    def test_refusal_names_the_bundle_and_the_component(self, shop: Shop) -> None:
        """What was wanted, what could be had, and which component is in the way."""
        with pytest.raises(errors.InsufficientStock) as caught:
            shop.inventory.reserve({"GIFT": 5}, reference="cart-1")
        assert caught.value.short == (
            ("GIFT", 5, 4, "at 'berlin'", "bundle: MUG, TEA"),
            ("MUG", 10, 9, "at 'berlin'", "backorder_limit=0, needed for 'GIFT'"),
            ("TEA", 5, 4, "at 'berlin'", "backorder_limit=0, needed for 'GIFT'"),
        )

    def test_stocked_bundles_go_first(self, shop: Shop) -> None:
        """What is packed is sold before something is packed anew."""
        shop.inventory.assemble("GIFT", 1, at="berlin")
        cart = shop.inventory.reserve({"GIFT": 2}, reference="cart-1")
        assert cart.quantity("held") == {"GIFT": 1, "MUG": 2, "TEA": 1}

    def test_each_bundle_comes_from_one_place(self) -> None:
        """Two from here and one from there, but none of both, unless the cart allows it."""
        shop = gift_shop(berlin={"MUG": 5, "TEA": 9}, hamburg={"MUG": 2, "TEA": 1}, kiel={"MUG": 9})
        cart = shop.inventory.reserve({"GIFT": 3}, reference="cart-1")
        assert {(line.sku, line.location, line.held) for line in cart.lines} == {
            ("MUG", "berlin", 4),
            ("TEA", "berlin", 2),
            ("MUG", "hamburg", 2),
            ("TEA", "hamburg", 1),
        }
        with pytest.raises(errors.InsufficientStock) as caught:
            shop.inventory.reserve({"GIFT": 1}, reference="cart-2")
        assert caught.value.short[0][4] == "kits_apart=False: MUG"
        apart = shop.inventory.reserve({"GIFT": 5}, reference="cart-3", kits_apart=True)
        assert apart.quantity("held") == {"MUG": 10, "TEA": 5}
        shop.check()

    def test_line_that_has_one_place_only_goes_first(self) -> None:
        """Where the cart's order would leave a line short, another order is tried."""
        shop = Shop({"berlin": {"A": 1, "B": 1, "C": 1}, "hamburg": {"A": 1, "B": 1}})
        shop.inventory.bundles.define("ANY", {"A": 1, "B": 1})
        shop.inventory.bundles.define("ONLY", {"A": 1, "C": 1})
        cart = shop.inventory.reserve({"ANY": 1, "ONLY": 1}, reference="cart-1")
        assert {(line.sku, line.location) for line in cart.lines} == {
            ("A", "berlin"),
            ("C", "berlin"),
            ("A", "hamburg"),
            ("B", "hamburg"),
        }

    def test_whole_cart_from_one_place_when_one_has_it(self) -> None:
        """Ship complete first, as for articles."""
        shop = gift_shop(berlin={"MUG": 3, "TEA": 9}, hamburg={"MUG": 9, "TEA": 9})
        cart = shop.inventory.reserve({"GIFT": 2, "MUG": 1}, reference="cart-1")
        assert {line.location for line in cart.lines} == {"hamburg"}

    def test_partial_grant_is_of_whole_bundles(self, shop: Shop) -> None:
        """Nine mugs are four sets; the fifth is short as a set."""
        cart = shop.inventory.reserve({"GIFT": 6}, reference="cart-1", partial=True)
        assert (cart.quantity("held"), cart.short) == ({"MUG": 8, "TEA": 4}, {"GIFT": 2})

    def test_backorders_are_of_components_only(self, shop: Shop) -> None:
        """A bundle is never promised ahead as such: its components are, as far as they may."""
        shop.inventory.policies.set(Policy(backorder_limit=3))
        shop.inventory.receive("GIFT", 1, at="berlin")
        cart = shop.inventory.reserve({"GIFT": 7}, reference="cart-1")
        assert cart.quantity("held") == {"GIFT": 1, "MUG": 12, "TEA": 6}
        assert shop.inventory.figures("GIFT").sellable == 0
        assert shop.inventory.figures("TEA").sellable == -2

    def test_safety_stock_of_a_component_is_kept(self, shop: Shop) -> None:
        """And named when it is what refuses."""
        shop.inventory.policies.set(Policy(safety_stock=2), sku="TEA")
        refused = shop.inventory.check({"GIFT": 3})
        assert refused.short[1] == (
            "TEA",
            3,
            2,
            "at 'berlin'",
            "safety_stock=2, needed for 'GIFT'",
        )

    def test_bundles_reclaim_no_more_than_they_need(self) -> None:
        """One is packed, so the mugs on the shelf suffice for the other and the single ones."""
        shop = gift_shop(berlin={"MUG": 7, "TEA": 2, "GIFT": 1})
        shop.inventory.reserve({"MUG": 4}, reference="old", ttl=MINUTE)
        shop.clock.tick(2 * MINUTE)
        shop.inventory.reserve({"GIFT": 2, "MUG": 1}, reference="cart-1")
        assert shop.inventory.reservation("old").quantity("held") == {"MUG": 4}
        shop.inventory.amend("cart-1", {"MUG": 2})
        assert shop.inventory.reservation("old").quantity("held") == {"MUG": 0}
        shop.check()

    def test_expired_holds_of_components_are_reclaimed(self, shop: Shop) -> None:
        """A bundle competes for them as a unit does."""
        shop.inventory.reserve({"TEA": 4}, reference="cart-1", ttl=MINUTE)
        shop.clock.tick(2 * MINUTE)
        assert shop.inventory.reserve({"GIFT": 4}, reference="cart-2").status == "held"
        assert shop.movements()[-2:] == ["expire", "reserve"]

    def test_holds_are_reclaimed_for_all_lines_together(self, shop: Shop) -> None:
        """A set and single mugs that need the same two holds reclaim each of them once."""
        shop.inventory.reserve({"MUG": 5}, reference="cart-1", ttl=MINUTE)
        shop.inventory.reserve({"MUG": 3}, reference="cart-2", ttl=MINUTE)
        shop.clock.tick(2 * MINUTE)
        cart = shop.inventory.reserve({"GIFT": 2, "MUG": 4}, reference="cart-3")
        assert cart.quantity("held") == {"MUG": 8, "TEA": 2}
        assert shop.movements()[-3:] == ["expire", "expire", "reserve"]

    def test_lot_that_is_named_means_the_sku_itself(self, shop: Shop) -> None:
        """A lot of packed sets is sold as such; nothing is taken apart for it."""
        shop.inventory.receive("GIFT", 2, at="berlin", lot="L-1")
        cart = shop.inventory.reserve({"GIFT": 2}, reference="cart-1", lot="L-1")
        assert cart.quantity("held") == {"GIFT": 2}
        with pytest.raises(errors.InsufficientStock):
            shop.inventory.reserve({"GIFT": 1}, reference="cart-2", lot="L-1")

    def test_components_in_lots_go_first_expiry_first(self, shop: Shop) -> None:
        """One line for each lot, all of them the bundle's."""
        soon = START + timedelta(days=3)
        shop.inventory.receive("TEA", 2, at="berlin", lot="L-1", lot_expires_at=soon)
        cart = shop.inventory.reserve({"GIFT": 3}, reference="cart-1")
        assert [(line.sku, line.key.lot, line.held) for line in cart.lines] == [
            ("MUG", "", 6),
            ("TEA", "L-1", 2),
            ("TEA", "", 1),
        ]
        assert shop.inventory.kits("cart-1")[0].lines == (1, 2, 3)

    def test_unknown_sku_beside_a_bundle_is_named(self, shop: Shop) -> None:
        """A misspelt line is not a shortfall."""
        with pytest.raises(errors.UnknownSku, match="MUGG"):
            shop.inventory.check({"GIFT": 1, "MUGG": 1})


class TestOrders:
    def test_recipe_is_pinned(self, shop: Shop) -> None:
        """What was ordered is what is shipped, whatever the bundle is by now."""
        inventory = shop.inventory
        inventory.reserve({"GIFT": 2}, reference="order-1")
        inventory.bundles.define("GIFT", {"TEA": 1})
        inventory.confirm("order-1")
        inventory.amend("order-1", {"GIFT": 3})
        assert inventory.ship("order-1", {"GIFT": 3}, key="p-1").quantity("shipped") == {
            "MUG": 6,
            "TEA": 3,
        }
        inventory.reserve({"GIFT": 1}, reference="order-2")
        assert [kit.recipe.version for kit in inventory.kits("order-2")] == [2]

    def test_parcels_name_bundles_or_components(self, shop: Shop) -> None:
        """Delivered bundles are counted from what left, however it was said."""
        inventory = shop.inventory
        inventory.reserve({"GIFT": 2, "MUG": 1}, reference="order-1")
        inventory.confirm("order-1")
        inventory.ship("order-1", {"MUG": 3}, key="p-1")  # the single one, and two of a set
        assert inventory.kits("order-1")[0].shipped == 0
        inventory.ship("order-1", {"TEA": 1}, key="p-2")
        assert inventory.kits("order-1")[0].shipped == 1
        with pytest.raises(errors.TooMany) as caught:
            inventory.ship("order-1", {"GIFT": 2}, key="p-3")
        assert (caught.value.sku, caught.value.wanted, caught.value.left) == ("GIFT", 2, 1)
        inventory.ship("order-1", {"GIFT": 1}, key="p-4")
        assert inventory.reservation("order-1").status == "shipped"
        assert inventory.kits("order-1")[0].delivered == 2

    def test_picking_and_missing_components(self, shop: Shop) -> None:
        """A missing tea leaves a bundle that cannot be shipped as one; its mugs can be released."""
        inventory = shop.inventory
        inventory.reserve({"GIFT": 2}, reference="order-1")
        inventory.confirm("order-1")
        inventory.pick("order-1", {"GIFT": 1}, key="k-1")
        inventory.short_pick("order-1", {"TEA": 1}, key="k-2")
        assert inventory.kits("order-1")[0].open == 1
        with pytest.raises(errors.TooMany):
            inventory.pick("order-1", {"GIFT": 1}, key="k-3")
        inventory.release("order-1", {"MUG": 2}, key="k-4")
        inventory.ship("order-1")
        assert inventory.kits("order-1")[0].delivered == 1

    def test_bundles_are_shipped_whole_from_where_they_are(self) -> None:
        """Those picked as a whole first; else those of a place that has all of one."""
        shop = gift_shop(berlin={"MUG": 2, "TEA": 1}, hamburg={"MUG": 4, "TEA": 2})
        inventory = shop.inventory
        inventory.reserve({"GIFT": 3}, reference="order-1")
        inventory.confirm("order-1")
        inventory.pick("order-1", {"GIFT": 1}, at="hamburg", key="k-1")
        inventory.ship("order-1", {"GIFT": 1}, key="p-1")
        assert inventory.figures("MUG", at="hamburg").on_hand == 2
        inventory.short_pick("order-1", {"TEA": 1}, at="berlin", key="k-2")
        inventory.ship("order-1", {"GIFT": 1}, key="p-2")
        assert inventory.figures("MUG", at="hamburg").on_hand == 0
        assert inventory.figures("MUG", at="berlin").allocated == 2
        shop.check()

    def test_amending_sets_the_number_of_bundles(self, shop: Shop) -> None:
        """More, fewer, none; and units of a component as such are another line."""
        inventory = shop.inventory
        inventory.reserve({"GIFT": 1, "MUG": 1}, reference="order-1")
        inventory.amend("order-1", {"GIFT": 3})
        assert inventory.reservation("order-1").quantity("held") == {"MUG": 7, "TEA": 3}
        inventory.amend("order-1", {"MUG": 0})
        assert inventory.reservation("order-1").quantity("held")["MUG"] == 6
        inventory.amend("order-1", {"GIFT": 0, "MUG": 2})
        assert inventory.figures("TEA").sellable == 4
        assert inventory.kits("order-1")[0].open == 0

    def test_bundle_can_join_an_order_later(self, shop: Shop) -> None:
        """By the recipe in force then."""
        shop.inventory.reserve({"MUG": 1}, reference="order-1")
        shop.inventory.amend("order-1", {"GIFT": 2})
        assert [(kit.sku, kit.open) for kit in shop.inventory.kits("order-1")] == [("GIFT", 2)]

    def test_bundle_that_lost_a_part_competes_as_a_whole(self, shop: Shop) -> None:
        """An expired hold that is confirmed holds whole bundles of one place, or none."""
        inventory = shop.inventory
        inventory.reserve({"GIFT": 3}, reference="cart-1", ttl=MINUTE)
        shop.clock.tick(2 * MINUTE)
        inventory.reserve({"TEA": 2}, reference="cart-2", ttl=10 * MINUTE)
        with pytest.raises(errors.InsufficientStock) as caught:
            inventory.confirm("cart-1", on_expired="rehold")
        assert caught.value.short[0][:3] == ("GIFT", 3, 2)
        inventory.receive("TEA", 1, at="berlin")
        again = inventory.confirm("cart-1", on_expired="rehold", key="again")
        assert again.quantity("allocated") == {"MUG": 6, "TEA": 3}
        assert inventory.kits("cart-1")[0].open == 3

    def test_returns_name_bundles_or_components(self, shop: Shop) -> None:
        """Each unit that left comes back once; a component is a single one's first."""
        inventory = shop.inventory
        inventory.reserve({"GIFT": 2, "MUG": 1}, reference="order-1")
        inventory.confirm("order-1")
        inventory.ship("order-1")
        inventory.take_back("order-1", {"MUG": 1}, key="r-1")
        assert inventory.kits("order-1")[0].delivered == 2
        inventory.take_back("order-1", {"GIFT": 1}, key="r-2", into=State.SELLABLE)
        assert inventory.kits("order-1")[0].delivered == 1
        assert inventory.kits("order-1")[0].returned == 1
        inventory.take_back("order-1", {"TEA": 1}, key="r-3")
        assert (inventory.kits("order-1")[0].delivered, inventory.kits("order-1")[0].returned) == (
            0,
            2,
        )
        with pytest.raises(errors.TooMany):
            inventory.take_back("order-1", {"GIFT": 1}, key="r-4")
        inventory.take_back("order-1", {"MUG": 2}, key="r-5")
        with pytest.raises(errors.TooMany):
            inventory.take_back("order-1", {"MUG": 1}, key="r-6")

    def test_stocked_bundle_comes_back_as_it_went(self, shop: Shop) -> None:
        """A packed set returns as a packed set, a made one as its components."""
        inventory = shop.inventory
        inventory.assemble("GIFT", 1, at="berlin")
        inventory.reserve({"GIFT": 2}, reference="order-1")
        inventory.confirm("order-1")
        inventory.ship("order-1")
        inventory.take_back("order-1", {"GIFT": 1}, key="r-1")
        assert inventory.figures("GIFT").quarantine == 1
        inventory.take_back("order-1", {"GIFT": 1}, key="r-2")
        assert (inventory.figures("MUG").quarantine, inventory.figures("TEA").quarantine) == (2, 1)

    def test_orders_without_bundles_have_none(self, shop: Shop) -> None:
        """And an order nobody made is unknown."""
        shop.inventory.reserve({"MUG": 1}, reference="order-1")
        assert shop.inventory.kits("order-1") == ()
        with pytest.raises(errors.UnknownReference):
            shop.inventory.kits("order-2")


class TestFacts:
    def test_sale_takes_stocked_ones_then_components_then_what_is_not_there(
        self, shop: Shop
    ) -> None:
        """Recorded whatever the book says; what is short is the component, and is found."""
        shop.inventory.assemble("GIFT", 1, at="berlin")
        shop.inventory.record([Sold("GIFT", 6, at="berlin", key="etsy-1")])
        assert shop.inventory.figures("GIFT").on_hand == 0
        assert shop.inventory.figures("MUG").sellable == 7 - 10
        assert shop.inventory.figures("TEA").sellable == 3 - 5
        kinds = {finding.sku for finding in shop.inventory.findings().open}
        assert {"MUG", "TEA"} <= kinds

    def test_sale_takes_its_own_reservation_first(self, shop: Shop) -> None:
        """What the reservation lacks is taken from the shelf, and told."""
        inventory = shop.inventory
        inventory.reserve({"GIFT": 2}, reference="order-1")
        inventory.record([Sold("GIFT", 3, at="berlin", reference="order-1", key="s-1")])
        assert inventory.reservation("order-1").quantity("shipped") == {"MUG": 4, "TEA": 2}
        assert inventory.figures("MUG").on_hand == 3
        note = inventory.history(reference="order-1")[-1].movement.notes[0]
        assert note.startswith("beyond_reservation: 3 of GIFT")
        assert [kit.delivered for kit in inventory.kits("order-1")] == [2, 1]

    def test_what_is_sold_beyond_an_order_is_what_the_bundle_is_now(self, shop: Shop) -> None:
        """The order's own by the recipe it pinned, the rest by the one in force."""
        inventory = shop.inventory
        inventory.reserve({"GIFT": 1}, reference="order-1")
        inventory.bundles.define("GIFT", {"TEA": 1})
        inventory.record([Sold("GIFT", 2, at="berlin", reference="order-1", key="s-1")])
        assert (inventory.figures("MUG").on_hand, inventory.figures("TEA").on_hand) == (7, 2)
        assert [kit.recipe.version for kit in inventory.kits("order-1")] == [1, 2]

    def test_return_of_a_bundle_nobody_ordered_is_its_components(self, shop: Shop) -> None:
        """The order tells nothing, so the recipe does."""
        shop.inventory.record([Returned("GIFT", 2, at="berlin", key="r-1")])
        assert shop.inventory.figures("MUG").quarantine == 4
        shop.inventory.record([Returned("GIFT", 1, at="berlin", reference="order-9", key="r-2")])
        note = shop.inventory.history(reference="order-9")[-1].movement.notes[0]
        assert note == "over_return: 1 of GIFT came back for order-9, which had 0 out"

    def test_undoing_a_sale_restores_every_figure(self, shop: Shop) -> None:
        """Of every component, and of what the order has delivered."""
        before = shop.inventory.stock()
        [outcome] = shop.inventory.record(
            [Sold("GIFT", 2, at="berlin", reference="order-1", key="s-1")]
        )
        assert shop.inventory.kits("order-1")[0].delivered == 2
        shop.inventory.undo(outcome.movement_id, reason="wrong shop")
        assert shop.inventory.stock() == before
        assert shop.inventory.kits("order-1")[0].delivered == 0

    def test_undone_sale_lets_nothing_come_back_twice(self, shop: Shop) -> None:
        """What came back of a sale that is undone was another one's, whoever it was said of."""
        inventory = shop.inventory
        plain, _ = inventory.record(
            [
                Sold("MUG", 2, at="berlin", reference="order-1", key="s-1"),
                Sold("GIFT", 1, at="berlin", reference="order-1", key="s-2"),
            ]
        )
        inventory.take_back("order-1", {"MUG": 2}, at="berlin", key="r-1")
        inventory.undo(plain.movement_id, reason="wrong order")
        with pytest.raises(errors.TooMany) as caught:
            inventory.take_back("order-1", {"GIFT": 1}, at="berlin", key="r-2")
        assert (caught.value.sku, caught.value.left) == ("GIFT", 0)
        inventory.take_back("order-1", {"TEA": 1}, at="berlin", key="r-3")

    def test_sale_beyond_an_empty_reservation_is_noted(self, shop: Shop) -> None:
        """A bundle the order had, and has no more of."""
        inventory = shop.inventory
        inventory.reserve({"GIFT": 1}, reference="order-1")
        inventory.release("order-1")
        inventory.record([Sold("GIFT", 1, at="berlin", reference="order-1", key="s-1")])
        note = inventory.history(reference="order-1")[-1].movement.notes[0]
        assert note == (
            "beyond_reservation: 1 of GIFT were sold under order-1, "
            "its reservation still had 0 there"
        )

    def test_sale_of_what_became_a_bundle_is_not_corrected(self, shop: Shop) -> None:
        """What was one movement of one SKU would be another thing now; undoing says so."""
        shop.inventory.receive("CUP", 5, at="berlin")
        [outcome] = shop.inventory.record([Sold("CUP", 2, at="berlin", key="s-1")])
        shop.inventory.bundles.define("CUP", {"MUG": 1})
        with pytest.raises(errors.NotCorrectable, match="'CUP' is a bundle; undo it"):
            shop.inventory.correct(outcome.movement_id, quantity=1, reason="typed 2")
        shop.inventory.undo(outcome.movement_id, reason="typed 2")
        assert shop.inventory.figures("CUP").sellable == 5

    def test_sale_of_an_orders_bundle_of_one_component_is_not_corrected(self, shop: Shop) -> None:
        """A number of its units need be no number of bundles, and the order counts bundles."""
        inventory = shop.inventory
        inventory.bundles.define("SIXPACK", {"MUG": 6})
        sale = Sold("SIXPACK", 1, at="berlin", reference="order-1", key="s-1")
        [sold] = inventory.record([sale])
        back = inventory.take_back("order-1", {"SIXPACK": 1}, key="r-1", at="berlin")
        for movement_id in (back.movement_id, sold.movement_id):
            with pytest.raises(errors.NotCorrectable, match="bundles of an order; undo it and say"):
                inventory.correct(movement_id, quantity=7, reason="typed 1")
            inventory.undo(movement_id, reason="typed 1")
        shop.check()

    def test_assembling_by_the_recipe(self, shop: Shop) -> None:
        """Components need not be said; without a recipe they must be."""
        shop.inventory.assemble("GIFT", 2, at="berlin")
        assert shop.inventory.figures("MUG").on_hand == 5
        shop.inventory.disassemble("GIFT", 1, at="berlin")
        assert shop.inventory.figures("MUG").on_hand == 7
        with pytest.raises(errors.InvalidArgument, match="which has no recipe"):
            shop.inventory.assemble("BOX", 1, at="berlin")


class TestGenerations:
    def test_a_change_is_read_without_reading_every_recipe(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever knows the generation before reads what has changed, and nothing else."""
        storage = MemoryStorage()
        one, other = Inventory(storage), Inventory(storage)
        one.locations.add("berlin")
        one.receive("MUG", 9, at="berlin")
        for number in range(20):
            one.bundles.define(f"SET-{number}", {"MUG": number + 1})
        assert len(other.bundles) == 20
        seen: list[object] = []
        monkeypatch.setattr(rules, "settings_from", lambda *_: seen.append("everything"))
        one.bundles.define("SET-3", {"MUG": 9})
        other.reserve({"SET-3": 1}, reference="cart-1")
        assert other.figures("MUG").held == 9
        assert seen == []

    def test_who_missed_too_much_reads_everything(self) -> None:
        """The journal is bounded; a bulk import does not stay in it, and nothing is missed."""
        storage = MemoryStorage()
        one, other = Inventory(storage), Inventory(storage)
        one.locations.add("berlin")
        one.receive("MUG", 9, at="berlin")
        assert list(other.bundles) == []
        for start in (0, 700):
            one.submit([DefineBundle(f"S{start + n}", {"MUG": 1}) for n in range(700)])
        for number in range(18):
            one.bundles.define("LAST", {"MUG": number + 1})
        assert len(other.bundles) == 1401
        assert other.bundles.recipe("LAST").quantities == {"MUG": 18}

    def test_generation_that_no_journal_tells_is_read_whole(self) -> None:
        """An import makes generations of its own."""
        storage = MemoryStorage()
        inventory = Inventory(storage)
        inventory.locations.add("berlin")
        inventory.receive("MUG", 9, at="berlin")
        inventory.bundles.define("SET", {"MUG": 1})
        assert list(inventory.bundles) == ["SET"]  # It knows the generation that is stored.
        with storage.begin("main") as unit:
            locked = unit.lock(Wants(records={GENERATION, (RECIPE, "SET")})).records
            known = locked[RECIPE, "SET"]
            body = json.dumps({"version": 1, "components": [["MUG", 5]]})
            generation = locked[GENERATION]
            unit.write(
                Changes(
                    [],
                    [],
                    [],
                    {},
                    [],
                    [
                        known._replace(version=known.version + 1, body=body),
                        generation._replace(version=generation.version + 1),
                    ],
                )
            )
        assert inventory.bundles.recipe("SET").quantities == {"MUG": 5}

    def test_reader_of_an_earlier_instant_has_the_rules_it_sees(self, tmp_path: Path) -> None:
        """Whoever knows newer ones does not take them for those."""
        with Inventory(SQLiteStorage(tmp_path / "shop.db")) as inventory:
            inventory.locations.add("berlin")
            inventory.receive("MUG", 9, at="berlin")
            inventory.bundles.define("SET", {"MUG": 1})
            with inventory.storage.read("main") as earlier:
                mark = rules.mark_of(earlier.record(*GENERATION))
                inventory.bundles.define("PAIR", {"MUG": 2})
                with inventory.storage.read("main") as reader:
                    newest = rules.mark_of(reader.record(*GENERATION))
                    known = rules.read_settings(reader, newest, settings_from((-1, ""), {}))
                assert set(known.recipes) == set(inventory.bundles) == {"SET", "PAIR"}
                for found in (
                    rules.read_settings(earlier, mark, known),
                    inventory.bundles._engine.settings_in(earlier),
                ):
                    assert (set(found.recipes), found.mark) == ({"SET"}, mark)
            assert list(inventory.bundles) == ["PAIR", "SET"]

    def test_journal_forgets_the_oldest_generations(self) -> None:
        """It keeps sixteen, and at most a thousand names."""
        body = None
        for generation in range(1, 30):
            body = journal_after(body, generation, [("recipe", f"SET-{generation}")])
        assert body is not None
        assert (body["since"], len(body["changed"])) == (13, 16)
        body = journal_after(body, 30, [("recipe", f"S{number}") for number in range(1000)])
        assert (body["since"], len(body["changed"])) == (29, 1000)

    def test_rolled_back_definition_of_a_host_is_forgotten(self, tmp_path: Path) -> None:
        """What the host does not commit is no rule of anybody's."""
        with Inventory(SQLiteStorage(tmp_path / "shop.db")) as inventory:
            inventory.locations.add("berlin")
            inventory.receive("MUG", 9, at="berlin")
            host = sqlite3.connect(tmp_path / "shop.db", isolation_level=None)
            host.execute("BEGIN IMMEDIATE")
            joined = inventory.within(host)
            joined.bundles.define("SET", {"MUG": 3})
            joined.reserve({"SET": 3}, reference="cart-1")
            host.execute("ROLLBACK")
            host.close()
            assert list(inventory.bundles) == []
            assert inventory.figures("MUG").held == 0


class TestVerify:
    def _broken(self, shop: Shop, space: str, id_: str, body: object) -> str:
        """Return what verify says once a document has been tampered with."""
        storage = shop.inventory.storage
        with storage.begin("main") as unit:
            wants = Wants(orders={id_}) if space == "order" else Wants(records={(space, id_)})
            record = unit.lock(wants).records[space, id_]
            changed = record._replace(version=record.version + 1, body=json.dumps(body))
            unit.write(Changes([], [], [], {}, [], [changed]))
        [problem] = shop.inventory.verify().problems
        return str(problem)

    def _order(self, shop: Shop) -> dict[str, object]:
        shop.inventory.reserve({"GIFT": 1, "MUG": 1}, reference="order-1")
        with shop.inventory.storage.read("main") as reader:
            record = reader.record("order", "order-1")
        assert record is not None
        body: dict[str, object] = json.loads(record.body)
        return body

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ({"lines": [2, 3, 4]}, "line 4 to be of bundle 1 alone"),
            ({"lines": [1, 1]}, "line 1 to be of bundle 1 alone"),
            ({"round": 2}, "line 2 to be one of 'GIFT', round 2"),
            ({"recipes": {}}, "bundles with recipes that can be read"),
        ],
    )
    def test_bundle_that_owns_what_is_not_its_is_found(
        self, change: dict[str, object], expected: str
    ) -> None:
        """Lines nobody has, twice, or of another round; recipes that are not there."""
        shop = gift_shop()
        body = self._order(shop)
        kits = body["kits"]
        assert isinstance(kits, list)
        if change == {"recipes": {}}:
            change = {"recipes": {"GIFT": {}}}
        body["kits"] = [kits[0] | change]
        assert expected in self._broken(shop, "order", "order-1", body)

    def test_recipe_without_its_history_is_found(self) -> None:
        """A version that nobody wrote down."""
        shop = gift_shop()
        body = {"version": 2, "components": [["MUG", 1]]}
        assert "its versions 1 to 2" in self._broken(shop, RECIPE, "GIFT", body)

    def test_recipe_that_closes_a_circle_is_found(self) -> None:
        """Whoever wrote it past the rules."""
        shop = gift_shop()
        body = {"version": 1, "components": [["GIFT", 1]]}
        assert "versions" in self._broken(shop, RECIPE, "GIFT", body)


@pytest.mark.parametrize("first", [True, False])
def test_outcomes_are_replayed_not_decided_anew(shop: Shop, first: bool) -> None:  # noqa: FBT001 -- the parameter of a test
    """The same key after a redefinition is the same answer, granted or refused."""
    wanted = 2 if first else 9
    [before] = shop.inventory.submit([Reserve({"GIFT": wanted}, reference="cart-1", key="k")])
    shop.inventory.bundles.define("GIFT", {"TEA": 1})
    [after] = shop.inventory.submit([Reserve({"GIFT": wanted}, reference="cart-1", key="k")])
    assert after.replayed
    assert after.result == before.result
    assert str(after.error) == str(before.error)
