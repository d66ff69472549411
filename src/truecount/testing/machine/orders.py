"""
Carts and orders of single units, every answer predicted: who gets the last unit, and who not.

Orders of other owners take from the same shelves (see ``others``), so their holds stand in the
way of these, and run out for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from truecount.model.instants import Instant, microseconds, to_instant
from truecount.model.operation import Operation
from truecount.model.places import State
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
from truecount.testing.claims import expect
from truecount.testing.machine.base import LOTS, PLACES, TRUSTED, UNITS, ShopMachine


_skus: Final = st.sampled_from(UNITS)
#: Mostly whatever lot goes first, now and then a named one.
_lots: Final = st.none() | st.none() | st.none() | st.sampled_from(LOTS)
_some: Final = st.integers(1, 5)
_which: Final = st.integers(0, 999)
_carts: Final = st.dictionaries(_skus, _some, min_size=1)
_maybe_cart: Final = st.none() | _carts
#: Mostly whatever round is current, now and then a named one.
_rounds: Final = st.none() | st.none() | st.integers(1, 3)
_anywhere: Final = st.none() | st.none() | st.sampled_from(PLACES)
_durations: Final = st.sampled_from((3, 10, 15)).map(lambda n: timedelta(minutes=n))


def _any_order(machine: ShopMachine) -> bool:
    return any(machine.model.orders.of(reference) for reference in TRUSTED)


class Orders(ShopMachine):
    """Reserve, confirm, amend, release, pick, find missing, ship, take back."""

    def ask(self, operation: Operation) -> tuple[Instant, str]:
        """Say *operation*; return when it was decided, and the name of its error."""
        outcome = self.say(operation)
        error = "" if outcome.error is None else type(outcome.error).__name__
        return outcome.decided_instant, error

    def pick_one(self, which: int, *liked: str) -> str:
        """Return an order, of one of the *liked* statuses if there is one."""
        now, orders = to_instant(self.clock.now), self.model.orders
        known = [name for name in TRUSTED if orders.of(name)]
        fitting = [name for name in known if orders.status(name, now) in liked]
        chosen = fitting or known or TRUSTED
        return chosen[which % len(chosen)]

    @rule(
        reference=st.sampled_from(TRUSTED),
        cart=_carts,
        at=_anywhere,
        ttl=_durations,
        partial=st.booleans(),
        lot=_lots,
    )
    def reserve(
        self,
        reference: str,
        cart: Mapping[str, int],
        at: str | None,
        ttl: timedelta,
        *,
        partial: bool,
        lot: str | None = None,
    ) -> None:
        """A cart."""
        said = Reserve(cart, reference=reference, at=at, ttl=ttl, partial=partial, lot=lot)
        now, error = self.ask(said)
        wanted = dict(sorted(cart.items()))
        expected = self.model.orders.reserve(
            now, reference, wanted, at=at, ttl=microseconds(ttl), partial=partial, lot=lot
        )
        expect(error, expected, f"reserve {cart} for {reference}")

    @precondition(_any_order)
    @rule(which=_which, round_=_rounds, rehold=st.booleans())
    def confirm(self, which: int, round_: int | None, *, rehold: bool) -> None:
        """The cart becomes an order."""
        reference = self.pick_one(which, "held", "expired")
        on_expired = "rehold" if rehold else "refuse"
        now, error = self.ask(Confirm(reference=reference, round=round_, on_expired=on_expired))
        expected = self.model.orders.confirm(now, reference, round_, rehold=rehold)
        expect(error, expected, f"confirm {reference}")

    @precondition(_any_order)
    @rule(
        which=_which,
        round_=_rounds,
        quantities=st.dictionaries(_skus, st.integers(0, 6), min_size=1),
        at=_anywhere,
    )
    def amend(
        self, which: int, round_: int | None, quantities: Mapping[str, int], at: str | None
    ) -> None:
        """The customer thinks again."""
        reference = self.pick_one(which, "held", "confirmed", "picked")
        now, error = self.ask(Amend(quantities, reference=reference, round=round_, at=at))
        wanted = dict(sorted(quantities.items()))
        expected = self.model.orders.amend(now, reference, round_, wanted, at=at)
        expect(error, expected, f"amend {reference} to {quantities}")

    @precondition(_any_order)
    @rule(which=_which, round_=_rounds, lines=_maybe_cart)
    def release(self, which: int, round_: int | None, lines: Mapping[str, int] | None) -> None:
        """The customer gives up, on all of it or a part."""
        reference = self.pick_one(which, "held", "expired", "confirmed")
        now, error = self.ask(Release(lines, reference=reference, round=round_))
        expected = self.model.orders.release(now, reference, round_, lines)
        expect(error, expected, f"release {lines} of {reference}")

    @precondition(_any_order)
    @rule(which=_which, round_=_rounds, lines=_maybe_cart)
    def pick(self, which: int, round_: int | None, lines: Mapping[str, int] | None) -> None:
        """Units come off the shelf."""
        reference = self.pick_one(which, "confirmed")
        now, error = self.ask(Pick(lines, reference=reference, round=round_))
        expected = self.model.orders.take(
            now, reference, round_, lines, states=("allocated",), target="picked"
        )
        expect(error, expected, f"pick {lines} of {reference}")

    @precondition(_any_order)
    @rule(which=_which, round_=_rounds, lines=_carts)
    def short_pick(self, which: int, round_: int | None, lines: Mapping[str, int]) -> None:
        """Units are missing on the shelf."""
        reference = self.pick_one(which, "confirmed", "picked")
        now, error = self.ask(ShortPick(lines, reference=reference, round=round_))
        expected = self.model.orders.take(
            now, reference, round_, lines, states=("allocated", "picked"), target="short"
        )
        expect(error, expected, f"short pick {lines} of {reference}")

    @precondition(_any_order)
    @rule(which=_which, round_=_rounds, lines=_maybe_cart)
    def ship(self, which: int, round_: int | None, lines: Mapping[str, int] | None) -> None:
        """A parcel, or all that is left; what is physically not there cannot leave."""
        reference = self.pick_one(which, "confirmed", "picked")
        now, error = self.ask(Ship(lines, reference=reference, round=round_))
        expected = self.model.orders.take(
            now, reference, round_, lines, states=("picked", "allocated"), target="shipped"
        )
        expect(error, expected, f"ship {lines} of {reference}")

    @precondition(_any_order)
    @rule(which=_which, sku=_skus, quantity=_some, at=st.sampled_from(PLACES))
    def take_back(self, which: int, sku: str, quantity: int, at: str) -> None:
        """A return, straight back onto a shelf."""
        reference = self.pick_one(which, "shipped")
        operation = TakeBack({sku: quantity}, reference=reference, at=at, into=State.SELLABLE)
        _, error = self.ask(operation)
        expected = self.model.orders.take_back(reference, sku, quantity, at=at)
        expect(error, expected, f"take back {quantity} {sku} of {reference}")
