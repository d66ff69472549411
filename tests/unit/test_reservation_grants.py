from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from tests.shops import DAY, MINUTE, Shop
from truecount import Policy, Reserve, State
from truecount.errors import InsufficientStock, InvalidArgument, Refused, UnknownSku
from truecount.reservations.sourcing import Share, by_priority


NORTH = {"berlin": {"MUG": 3, "TEA": 1}, "hamburg": {"MUG": 5, "CUP": 2}, "kiel": {"TEA": 4}}


def parts(shop: Shop, lines: Mapping[str, int], **words: str) -> list[tuple[str, str, int]]:
    """Reserve *lines* for a new cart; return (SKU, location, units) of each line."""
    reference = f"order-{len(shop.inventory.feed())}"
    cart = shop.inventory.reserve(lines, reference=reference, **words)  # type: ignore[arg-type]  # at and lot are text
    return [(line.sku, line.location, line.held) for line in cart.lines]


class TestRefusal:
    def test_each_short_sku_is_named(self) -> None:
        """Wanted, available, where and the rule, for those that are short and no others."""
        shop = Shop(NORTH)
        shop.inventory.policies.set(Policy(safety_stock=1), sku="TEA")
        with pytest.raises(InsufficientStock) as caught:
            shop.inventory.reserve({"MUG": 9, "TEA": 4, "CUP": 1}, reference="cart-1")
        assert caught.value.operation == "reserve"
        assert caught.value.short == (
            ("MUG", 9, 8, "in 3 locations together", "backorder_limit=0"),
            ("TEA", 4, 3, "in 3 locations together", "safety_stock=1"),
        )
        assert "9 of 'MUG' in 3 locations together: only 8 available" in str(caught.value)

    def test_place_and_lot_asked_for_are_named(self) -> None:
        """The refusal is about what was asked, not about what there is elsewhere."""
        shop = Shop(NORTH)
        with pytest.raises(InsufficientStock, match="5 of 'MUG' at 'berlin': only 3"):
            shop.inventory.reserve({"MUG": 5}, reference="cart-1", at="berlin")
        with pytest.raises(InsufficientStock, match="at 'kiel': only 0 available"):
            shop.inventory.reserve({"MUG": 1}, reference="cart-1", at="kiel", key="k2")
        with pytest.raises(InsufficientStock, match="3 locations together lot 'A': only 0"):
            shop.inventory.reserve({"MUG": 1}, reference="cart-1", lot="A", key="k3")
        with pytest.raises(InsufficientStock, match="at 'berlin' without a lot: only 3"):
            shop.inventory.reserve({"MUG": 4}, reference="cart-1", lot="", at="berlin", key="k4")

    def test_refused_cart_leaves_no_trace(self) -> None:
        """One short SKU refuses all of it; nothing is held and no line is there."""
        shop = Shop(NORTH)
        before = shop.inventory.stock(), shop.movements()
        with pytest.raises(InsufficientStock):
            shop.inventory.reserve({"MUG": 1, "CUP": 3}, reference="cart-1")
        assert (shop.inventory.stock(), shop.movements()) == before
        shop.check()

    def test_refused_cart_succeeds_after_a_delivery(self) -> None:
        """Same reference, new key; under the old key the refusal stands."""
        shop = Shop({"berlin": {"MUG": 1}})
        for _ in range(2):
            with pytest.raises(InsufficientStock, match="only 1 available"):
                shop.inventory.reserve({"MUG": 3}, reference="cart-1", key="first")
            shop.inventory.receive("MUG", 1, at="berlin")
        cart = shop.inventory.reserve({"MUG": 3}, reference="cart-1", key="second")
        assert (cart.status, cart.round) == ("held", 1)
        shop.check()

    def test_unknown_sku_is_not_a_shortfall(self) -> None:
        """Neither alone, nor among others, nor in a partial grant, nor on backorder."""
        shop = Shop(NORTH)
        shop.inventory.policies.set(Policy(backorder_limit=10))
        for lines in ({"MUGG": 1}, {"MUG": 1, "MUGG": 1}):
            for partial in (False, True):
                for at in (None, "berlin"):
                    with pytest.raises(UnknownSku, match="MUGG"):
                        shop.inventory.reserve(lines, reference="cart-1", partial=partial, at=at)

    def test_sku_of_another_location_is_known(self) -> None:
        """Nothing of it here is a shortfall; nothing of it anywhere is a mistyped name."""
        shop = Shop(NORTH)
        with pytest.raises(Refused):
            shop.inventory.reserve({"CUP": 1}, reference="cart-1", at="berlin")


class TestPartial:
    def test_what_is_there_is_held(self) -> None:
        """The cart tells what could not be held; a repetition tells the same."""
        shop = Shop(NORTH)
        cart = shop.inventory.reserve(
            {"MUG": 9, "TEA": 2, "CUP": 5}, reference="cart-1", partial=True, key="k"
        )
        assert cart.quantity("held") == {"MUG": 8, "TEA": 2, "CUP": 2}
        assert cart.short == {"MUG": 1, "CUP": 3}
        again = shop.inventory.reserve(
            {"MUG": 9, "TEA": 2, "CUP": 5}, reference="cart-1", partial=True, key="k"
        )
        assert again.short == cart.short
        shop.check()

    def test_nothing_there_is_refused(self) -> None:
        """A reservation of nothing would hide that there is nothing."""
        shop = Shop(NORTH)
        with pytest.raises(InsufficientStock):
            shop.inventory.reserve({"CUP": 1}, reference="cart-1", at="kiel", partial=True)

    def test_complete_grant_has_nothing_short(self) -> None:
        """Partial is a permission, not a wish."""
        shop = Shop(NORTH)
        cart = shop.inventory.reserve({"MUG": 8}, reference="cart-1", partial=True)
        assert cart.short == {}


class TestSourcing:
    def test_complete_from_one_place_comes_first(self) -> None:
        """Though the first location has some of it, the second has all of it."""
        assert parts(Shop(NORTH), {"MUG": 4}) == [("MUG", "hamburg", 4)]
        assert parts(Shop(NORTH), {"MUG": 3}) == [("MUG", "berlin", 3)]

    def test_fewest_places_serve_what_no_single_one_can(self) -> None:
        """Two of three, and of the pairs that do the one with the higher priority."""
        shop = Shop(
            {"a": {"MUG": 1}, "b": {"MUG": 2}, "c": {"MUG": 3, "TEA": 2}, "d": {"MUG": 4, "TEA": 2}}
        )
        assert parts(shop, {"MUG": 5, "TEA": 1}) == [
            ("MUG", "a", 1),
            ("MUG", "d", 4),
            ("TEA", "d", 1),
        ]

    def test_two_skus_may_come_from_two_places(self) -> None:
        """Where no place has both."""
        assert parts(Shop(NORTH), {"CUP": 1, "TEA": 2}) == [
            ("CUP", "hamburg", 1),
            ("TEA", "kiel", 2),
        ]

    def test_priority_is_the_order_of_asking(self) -> None:
        """Ties go to the location declared first, or given the lower number."""
        shop = Shop({"berlin": {"MUG": 5}, "hamburg": {"MUG": 5}})
        assert parts(shop, {"MUG": 1}) == [("MUG", "berlin", 1)]
        shop.inventory.locations.add("hamburg", priority=0)
        shop.inventory.locations.add("berlin", priority=1)
        assert parts(shop, {"MUG": 1}) == [("MUG", "hamburg", 1)]

    def test_priority_policy_splits_without_regret(self) -> None:
        """The named policy takes what the first place has, then goes on."""
        shop = Shop(NORTH)
        shop.inventory.policies.set(Policy(sourcing="priority"))
        assert parts(shop, {"MUG": 4}) == [("MUG", "berlin", 3), ("MUG", "hamburg", 1)]

    def test_each_sku_follows_its_own_policy(self) -> None:
        """A cart may hold SKUs of both kinds."""
        shop = Shop(NORTH)
        shop.inventory.policies.set(Policy(sourcing="priority"), sku="TEA")
        assert parts(shop, {"MUG": 4, "TEA": 3}) == [
            ("MUG", "hamburg", 4),
            ("TEA", "berlin", 1),
            ("TEA", "kiel", 2),
        ]

    def test_expired_holds_count_as_offers(self) -> None:
        """A place is not passed over because of a cart nobody came back for."""
        shop = Shop(NORTH)
        shop.inventory.reserve({"MUG": 3}, reference="old", at="berlin", ttl=MINUTE)
        shop.clock.tick(2 * MINUTE)
        assert parts(shop, {"MUG": 3}) == [("MUG", "berlin", 3)]

    def test_neighbours_in_a_batch_do_not_change_the_answer(self) -> None:
        """What another member had locked is no reason to split or to go elsewhere."""
        shop = Shop({"a": {"MUG": 1}, "b": {"MUG": 6}, "c": {"MUG": 9}})
        first, second = shop.inventory.submit(
            [
                Reserve({"MUG": 2}, reference="cart-1", at="c"),
                Reserve({"MUG": 5}, reference="cart-2"),
            ]
        )
        assert first.granted
        assert second.granted
        [line] = shop.inventory.reservation("cart-2").lines
        assert line.location == "b"


class TestOwnPolicy:
    def test_it_is_asked_by_name_with_all_there_is(self) -> None:
        """Even where the first place could serve everything."""
        seen: list[Mapping[str, Mapping[str, int]]] = []

        def last_first(
            wanted: Mapping[str, int],
            offered: Mapping[str, Mapping[str, int]],
            order: Sequence[str],
        ) -> list[Share]:
            seen.append(offered)
            return by_priority(wanted, offered, order[::-1])

        shop = Shop(NORTH, sourcing={"last_first": last_first})
        shop.inventory.policies.set(Policy(sourcing="last_first"))
        assert parts(shop, {"MUG": 2}) == [("MUG", "hamburg", 2)]
        assert seen == [{"berlin": {"MUG": 3}, "hamburg": {"MUG": 5}}]

    def test_unknown_name_is_the_shops_mistake(self) -> None:
        """The message has the name and the ones there are; other carts are not disturbed."""
        shop = Shop(NORTH)
        shop.inventory.policies.set(Policy(sourcing="nearest"), sku="MUG")
        mug, tea = shop.inventory.submit(
            [Reserve({"MUG": 1}, reference="cart-1"), Reserve({"TEA": 1}, reference="cart-2")]
        )
        assert isinstance(mug.error, InvalidArgument)
        assert "'nearest': expected one of ['fewest_locations', 'priority']" in str(mug.error)
        assert tea.granted

    def test_it_may_decline(self) -> None:
        """A shop that never splits is told that its policy stood in the way, not the stock."""

        def never_split(
            wanted: Mapping[str, int],
            offered: Mapping[str, Mapping[str, int]],
            order: Sequence[str],
        ) -> list[Share]:
            return []

        shop = Shop(NORTH, sourcing={"never": never_split})
        shop.inventory.policies.set(Policy(sourcing="never"))
        with pytest.raises(InsufficientStock, match="only 8 available .rule: sourcing=never"):
            shop.inventory.reserve({"MUG": 4}, reference="cart-1")

    @pytest.mark.parametrize(
        "shares",
        [
            [Share("MUG", "berlin", 4)],
            [Share("MUG", "berlin", 3), Share("MUG", "hamburg", 2)],
            [Share("MUG", "berlin", 2), Share("MUG", "berlin", 2)],
            [Share("MUG", "kiel", 1)],
            [Share("TEA", "kiel", 1)],
            [Share("MUG", "berlin", 0)],
            [Share("MUG", "berlin", -1)],
            [("MUG", "berlin")],
            None,
        ],
    )
    def test_impossible_answer_is_one_carts_failure(self, shares: list[Share]) -> None:
        """More than offered or wanted, elsewhere, something else, nothing, nonsense."""

        def wrong(
            wanted: Mapping[str, int],
            offered: Mapping[str, Mapping[str, int]],
            order: Sequence[str],
        ) -> list[Share]:
            return shares

        shop = Shop(NORTH, sourcing={"wrong": wrong})
        shop.inventory.policies.set(Policy(sourcing="wrong"), sku="MUG")
        mug, tea = shop.inventory.submit(
            [Reserve({"MUG": 4}, reference="cart-1"), Reserve({"TEA": 1}, reference="cart-2")]
        )
        assert isinstance(mug.error, InvalidArgument)
        assert "'wrong', which failed" in str(mug.error)
        assert tea.granted
        shop.check()

    def test_equal_shares_are_one(self) -> None:
        """A policy may name a place twice; it is one line."""

        def by_ones(
            wanted: Mapping[str, int],
            offered: Mapping[str, Mapping[str, int]],
            order: Sequence[str],
        ) -> list[Share]:
            return [Share("MUG", "berlin", 1)] * wanted["MUG"]

        shop = Shop(NORTH, sourcing={"by_ones": by_ones})
        shop.inventory.policies.set(Policy(sourcing="by_ones"))
        assert parts(shop, {"MUG": 3}) == [("MUG", "berlin", 3)]


class TestFloors:
    def test_safety_stock_is_never_promised(self) -> None:
        """Neither in one cart nor in several; facts may still take it."""
        shop = Shop({"berlin": {"MUG": 10}})
        shop.inventory.policies.set(Policy(safety_stock=4))
        shop.inventory.reserve({"MUG": 5}, reference="cart-1")
        with pytest.raises(InsufficientStock, match=r"only 1 available \(rule: safety_stock=4\)"):
            shop.inventory.reserve({"MUG": 2}, reference="cart-2")
        shop.inventory.adjust("MUG", -5, at="berlin", reason="fire")
        shop.check()

    def test_safety_stock_is_kept_by_the_place_not_by_the_lot(self) -> None:
        """A lot that is named may be emptied while others keep the place above it."""
        shop = Shop({"berlin": {}})
        for lot in ("A", "B"):
            shop.inventory.receive("MUG", 5, at="berlin", lot=lot)
        shop.inventory.policies.set(Policy(safety_stock=3))
        assert parts(shop, {"MUG": 5}, lot="A") == [("MUG", "berlin", 5)]
        with pytest.raises(InsufficientStock, match="only 2 available"):
            shop.inventory.reserve({"MUG": 3}, reference="cart-2", lot="B")

    def test_backorders_end_at_their_limit(self) -> None:
        """At each place so many beyond what is there, and no more."""
        shop = Shop({"berlin": {"MUG": 2}, "hamburg": {"TEA": 1}})
        shop.inventory.policies.set(Policy(backorder_limit=3), sku="MUG")
        assert parts(shop, {"MUG": 5}) == [("MUG", "berlin", 5)]
        assert shop.inventory.figures("MUG", at="berlin").available == -3
        assert parts(shop, {"MUG": 2}) == [("MUG", "hamburg", 2)]
        with pytest.raises(InsufficientStock, match=r"only 1 available \(rule: backorder_limit=3"):
            shop.inventory.reserve({"MUG": 2}, reference="cart-9")
        shop.check()

    def test_backorder_comes_after_what_is_there(self) -> None:
        """Lots and expired holds are used before anything is promised that is not there."""
        shop = Shop({"berlin": {"MUG": 2}})
        shop.inventory.receive("MUG", 2, at="berlin", lot="A")
        shop.inventory.policies.set(Policy(backorder_limit=5))
        shop.inventory.reserve({"MUG": 2}, reference="old", lot="A", ttl=MINUTE)
        shop.clock.tick(2 * MINUTE)
        cart = shop.inventory.reserve({"MUG": 6}, reference="cart-1")
        assert [(line.key.lot, line.held) for line in cart.lines] == [("A", 2), ("", 4)]
        shop.check()

    def test_expired_hold_of_a_lot_is_found_behind_a_spent_backorder(self) -> None:
        """The limit of the key without a lot says nothing about what a lot needs."""
        shop = Shop({"berlin": {"MUG": 1}})
        shop.inventory.receive("MUG", 5, at="berlin", lot="A")
        shop.inventory.policies.set(Policy(backorder_limit=9))
        shop.inventory.reserve({"MUG": 5}, reference="old", lot="A", ttl=MINUTE)
        shop.inventory.reserve({"MUG": 10}, reference="cart-1")
        shop.clock.tick(2 * MINUTE)
        cart = shop.inventory.reserve({"MUG": 5}, reference="cart-2")
        assert [(line.key.lot, line.held) for line in cart.lines] == [("A", 5)]
        shop.check()

    def test_facts_below_the_floor_stop_commands_only(self) -> None:
        """Oversold by three: nothing can be promised until more than three arrive."""
        shop = Shop({"berlin": {"MUG": 2}})
        shop.inventory.adjust("MUG", -5, at="berlin", reason="count")
        shop.inventory.receive("MUG", 3, at="berlin")
        with pytest.raises(InsufficientStock, match="only 0 available"):
            shop.inventory.reserve({"MUG": 1}, reference="cart-1")
        shop.inventory.receive("MUG", 1, at="berlin")
        assert parts(shop, {"MUG": 1}) == [("MUG", "berlin", 1)]

    def test_only_sellable_units_are_promised(self) -> None:
        """Quarantine and damage are on hand and not for sale."""
        shop = Shop({"berlin": {"MUG": 2}})
        shop.inventory.receive("MUG", 5, at="berlin", into=State.QUARANTINE)
        shop.inventory.damage("MUG", 1, at="berlin")
        with pytest.raises(InsufficientStock, match="only 1 available"):
            shop.inventory.reserve({"MUG": 2}, reference="cart-1")


class TestLots:
    @pytest.fixture
    def dairy(self) -> Shop:
        """Milk in four lots: without a date, and good for three, one and two days."""
        shop = Shop({"berlin": {}})
        for lot, days in (("none", 0), ("three", 3), ("one", 1), ("two", 2)):
            until = shop.clock.now + days * DAY if days else None
            shop.inventory.receive("MILK", 2, at="berlin", lot=lot, lot_expires_at=until)
        return shop

    def lots(self, shop: Shop, quantity: int) -> list[tuple[str, int]]:
        """Reserve milk; return the lots it came from."""
        cart = shop.inventory.reserve({"MILK": quantity}, reference="cart-1")
        return [(line.key.lot, line.held) for line in cart.lines]

    def test_earliest_date_goes_first(self, dairy: Shop) -> None:
        """Lots without a date come last."""
        assert self.lots(dairy, 7) == [("one", 2), ("two", 2), ("three", 2), ("none", 1)]
        dairy.check()

    def test_lot_past_its_date_is_not_available(self, dairy: Shop) -> None:
        """From its date on, neither by itself nor when it is named."""
        dairy.clock.tick(DAY)
        assert dairy.inventory.available("MILK") == 6
        with pytest.raises(InsufficientStock, match="lot 'one': only 0"):
            dairy.inventory.reserve({"MILK": 1}, reference="cart-1", lot="one")
        assert self.lots(dairy, 3) == [("two", 2), ("three", 1)]
        with pytest.raises(InsufficientStock, match="only 3 available"):
            dairy.inventory.reserve({"MILK": 4}, reference="cart-2")

    def test_named_lot_is_the_only_one(self, dairy: Shop) -> None:
        """It is taken though others are more urgent, and not made up from them."""
        assert parts(dairy, {"MILK": 2}, lot="three") == [("MILK", "berlin", 2)]
        with pytest.raises(InsufficientStock, match="lot 'two': only 2"):
            dairy.inventory.reserve({"MILK": 3}, reference="cart-9", lot="two")

    def test_equal_dates_go_by_receipt(self) -> None:
        """The oldest receipt first."""
        shop = Shop({"berlin": {}})
        for lot in ("B", "A"):
            shop.inventory.receive("MUG", 1, at="berlin", lot=lot)
            shop.clock.tick(MINUTE)
        cart = shop.inventory.reserve({"MUG": 1}, reference="cart-1")
        assert cart.lines[0].key.lot == "B"

    def test_lots_never_pay_for_each_other(self) -> None:
        """One lot below zero takes nothing from another."""
        shop = Shop({"berlin": {}})
        shop.inventory.receive("MUG", 4, at="berlin", lot="A")
        shop.inventory.receive("MUG", 1, at="berlin", lot="B")
        shop.inventory.adjust("MUG", -3, at="berlin", lot="B", reason="count")
        assert parts(shop, {"MUG": 4}) == [("MUG", "berlin", 4)]
