"""Where bundles meet what knows nothing of them: policies, amendments, single sales, returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from tests.shops import Shop
from truecount import Policy, Sold
from truecount.errors import InsufficientStock
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
