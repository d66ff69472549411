"""
Orders that may be anything: bundles and lots in them, recipes and rules changed under them.

The model predicts which carts are granted and which units they get, what a sale takes, and that
whole bundles move by the recipe of their day. Of the rest what is checked is what holds of any
order: nothing lost, nothing below its floor, nothing before its time, every line adding up.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import rule

from truecount.errors import CyclicRecipe, UnknownBundle
from truecount.model.facts import Returned, Sold
from truecount.model.operation import Operation
from truecount.model.policy import Policy
from truecount.model.reservation_commands import (
    Amend,
    Confirm,
    Pick,
    Release,
    Reserve,
    Ship,
    ShortPick,
    TakeBack,
)
from truecount.model.shop_rules import DefineBundle, RemoveBundle
from truecount.testing import strategies as shops
from truecount.testing.claims import expect, expect_raises
from truecount.testing.machine.base import ANY, LOTTED, PLACES, ShopMachine


_ACTS: Final = shops.reservation_acts(ANY)
_orders: Final = st.sampled_from(ANY.orders)
_places: Final = st.sampled_from(PLACES)
_skus: Final = st.sampled_from(ANY.skus)
_some: Final = st.integers(1, 3)
_carts: Final = st.dictionaries(_skus, _some, min_size=1, max_size=3)
_goods: Final = {"sku": _skus, "quantity": _some, "at": _places, "reference": st.none() | _orders}

_RESERVE: Final[st.SearchStrategy[Operation]] = st.builds(
    Reserve,
    lines=_carts,
    reference=_orders,
    at=st.none() | _places,
    ttl=st.sampled_from((None, timedelta(minutes=5))),
    partial=st.booleans(),
    kits_apart=st.booleans(),
)
#: What is done with any order, mostly something that can be done.
ACTS: Final[st.SearchStrategy[Operation]] = st.one_of(
    _RESERVE,
    _RESERVE,
    *_ACTS.values(),
    st.builds(Reserve, lines=st.just({"MILK": 1}), reference=_orders, lot=st.just(LOTTED.lot)),
    st.builds(Sold, **_goods),
    st.builds(Returned, **_goods),
)


class Others(ShopMachine):
    """Orders of bundles and lots; recipes and rules that change meanwhile."""

    @rule(act=ACTS)
    def act(self, act: Operation) -> None:
        """Anything a shop may do with an order, of bundles and of lots."""
        self.do(act)

    @rule(
        reference=_orders,
        cart=_carts,
        acts=st.sets(st.integers(0, 9), min_size=1, max_size=5),
        recipe=st.dictionaries(st.sampled_from(("MUG", "TEA", "MILK")), _some, min_size=1),
    )
    def journey(
        self, reference: str, cart: Mapping[str, int], acts: set[int], recipe: Mapping[str, int]
    ) -> None:
        """An order's way, its recipe redefined on the way."""
        self.do(Reserve(cart, reference=reference, partial=True))
        first = "SET" if "SET" in cart else min(cart)
        way: tuple[Operation, ...] = (
            DefineBundle("SET", recipe),
            Confirm(reference=reference, on_expired="rehold"),
            Amend({first: 2}, reference=reference),
            Pick({first: 1}, reference=reference),
            ShortPick({"MUG": 1}, reference=reference),
            Ship({first: 1}, reference=reference),
            Sold(first, 1, at=PLACES[0], reference=reference),
            Ship(reference=reference),
            TakeBack({first: 1}, reference=reference, at=PLACES[1]),
            Release(reference=reference),
        )
        for number in sorted(acts):
            self.do(way[number])

    @rule(
        sku=st.sampled_from(("SET", "BOX")),
        components=st.dictionaries(_skus, _some, min_size=1, max_size=3),
    )
    def define(self, sku: str, components: Mapping[str, int]) -> None:
        """A recipe, nested or closing a circle; open orders keep theirs."""
        outcome = self.do(DefineBundle(sku, components))
        circle = self.model.bundles.closes_circle(sku, components)
        if isinstance(outcome.error, CyclicRecipe) and not circle:
            raise AssertionError(f"{sku} of {components}: expected a recipe, got CyclicRecipe")

    @rule(sku=st.sampled_from(("SET", "BOX")))
    def remove(self, sku: str) -> None:
        """A bundle goes out of the range, once; open orders keep what they were made of."""
        references = {line.reference for line in self.lines()}
        kept = {name: self.inventory.kits(name) for name in references}
        self.do(RemoveBundle(sku))
        expect_raises(UnknownBundle, lambda: self.inventory.bundles.remove(sku), f"remove {sku}")
        left = {name: self.inventory.kits(name) for name in references}
        expect(left, kept, f"kits of orders after {sku} was removed")

    @rule(lent=st.integers(0, 3), late=st.sampled_from(("refold", "report")))
    def allow(self, lent: int, late: str) -> None:
        """The shop changes its rules for milk."""
        self.inventory.policies.set(Policy(backorder_limit=lent, late=late), sku="MILK")
        self.model.orders.lent["MILK"] = lent

    @rule(cart=_carts, at=st.none() | _places)
    def ask_before(self, cart: Mapping[str, int], at: str | None) -> None:
        """Whoever is told that a cart is possible gets it, and nothing is written by asking."""
        before = self.contents()
        [answer] = self.inventory.submit([Reserve(cart, reference="w-asks", at=at)], preview=True)
        expect(self.contents(), before, "everything after asking")
        if answer.granted:
            outcome = self.do(Reserve(cart, reference="w-asks", at=at))
            expect(outcome.error, None, f"reserve {cart}, which was possible")
            self.do(Release(reference="w-asks"))
