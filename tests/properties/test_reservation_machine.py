"""Reservations against a naive model of them, through generated histories."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.shops import MINUTE, START
from truecount import (
    Amend,
    Confirm,
    Inventory,
    MemoryStorage,
    Operation,
    Outcome,
    Pick,
    Received,
    Release,
    Reserve,
    Ship,
    ShortPick,
    Sold,
    State,
    StockKey,
    TakeBack,
)
from truecount.errors import IdempotencyConflict, InvalidRequest
from truecount.model.instants import microseconds, to_instant
from truecount.model.lines import NEVER
from truecount.testing import CountingIds, ManualClock
from truecount.testing.model import NaiveReservations


PLACES = ("berlin", "hamburg", "kiel")
SKUS = ("MUG", "TEA")
#: Deliveries stop here, so that stock stays short and something is refused.
ROOM = 15
STATES = ("held", "allocated", "picked")

skus = st.sampled_from(SKUS)
places = st.sampled_from(PLACES)
REFERENCES = ("a", "b", "c", "d")
references = st.sampled_from(REFERENCES)
some = st.integers(1, 5)
which = st.integers(0, 999)
carts = st.dictionaries(skus, some, min_size=1)
maybe_cart = st.none() | carts
#: Mostly whatever round is current, now and then a named one.
rounds = st.none() | st.none() | st.integers(1, 3)
anywhere = st.none() | st.none() | places


class ReservationMachine(RuleBasedStateMachine):
    """Every act on both; outcomes, lines and figures must agree after each."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock(START)
        self.inventory = Inventory(MemoryStorage(), clock=self.clock, new_id=CountingIds())
        self.inventory.locations.add(*PLACES)
        self.naive = NaiveReservations(*PLACES)
        self.asked: list[tuple[Operation, Outcome]] = []
        self.number = 0

    def run(self, operation: Operation) -> tuple[int, str]:
        """Run an operation under a key of its own; return when it was decided, and how."""
        self.number += 1
        operation = operation.with_key(f"request-{self.number}")
        before = self.sellable()
        [outcome] = self.inventory.submit([operation])
        if not isinstance(outcome.error, InvalidRequest):
            self.asked.append((operation, outcome))
        if not operation.is_fact:
            lowered = {key for key, units in self.sellable().items() if units < before.get(key, 0)}
            assert all(self.sellable()[key] >= 0 for key in lowered), "I11: promised what is not"
        error = "" if outcome.error is None else type(outcome.error).__name__
        return to_instant(outcome.decided_at), error

    def pick_one(self, which: int, *liked: str) -> str:
        """Return a reservation, of one of the *liked* statuses if there is one."""
        now = to_instant(self.clock.now)
        known = [name for name in REFERENCES if self.naive.of(name)]
        fitting = [name for name in known if self.naive.status(name, now) in liked]
        chosen = fitting or known or REFERENCES
        return chosen[which % len(chosen)]

    def sellable(self) -> dict[StockKey, int]:
        """Return what is free at each key."""
        return {key: figures.sellable for key, figures in self.inventory.stock().items()}

    # --- facts -------------------------------------------------------------------------

    @initialize(stock=st.fixed_dictionaries({name: st.integers(1, 6) for name in PLACES}))
    def fill(self, stock: dict[str, int]) -> None:
        """Begin with something on the shelves; TEA is unknown until some is received."""
        for place, quantity in stock.items():
            self.receive("MUG", place, quantity)

    @precondition(lambda self: self.naive.free.total() < ROOM)
    @rule(sku=skus, place=places, quantity=some)
    def receive(self, sku: str, place: str, quantity: int) -> None:
        """A delivery."""
        assert self.run(Received(sku, quantity, at=place))[1] == ""
        self.naive.receive(sku, place, quantity)

    @rule(sku=skus, place=places, quantity=some, reference=st.none() | references)
    def sell(self, sku: str, place: str, quantity: int, reference: str | None) -> None:
        """A sale reported, for a reservation or for none."""
        now, error = self.run(Sold(sku, quantity, at=place, reference=reference))
        assert error == ""
        self.naive.sell(now, sku, place, quantity, reference)

    @rule(minutes=st.sampled_from((1, 4, 9, 16, 16, -3)))
    def tick(self, minutes: int) -> None:
        """Time passes; now and then the clock is set back."""
        self.clock.tick(minutes * MINUTE)

    @rule()
    def sweep(self) -> None:
        """Somebody gives back what ran out."""
        assert self.inventory.sweep() == self.naive.sweep(to_instant(self.clock.now))

    # --- commands ----------------------------------------------------------------------

    @rule(
        reference=references,
        cart=carts,
        at=anywhere,
        minutes=st.sampled_from((3, 10, 15)),
        partial=st.booleans(),
    )
    def reserve(
        self,
        reference: str,
        cart: Mapping[str, int],
        at: str | None,
        minutes: int,
        *,
        partial: bool,
    ) -> None:
        """A cart."""
        ttl = timedelta(minutes=minutes)
        operation = Reserve(cart, reference=reference, at=at, ttl=ttl, partial=partial)
        now, error = self.run(operation)
        wanted = dict(sorted(cart.items()))
        expected = self.naive.reserve(
            now, reference, wanted, at=at, ttl=microseconds(ttl), partial=partial
        )
        assert error == expected

    @precondition(lambda self: self.naive.lines)
    @rule(which=which, round_=rounds, rehold=st.booleans())
    def confirm(self, which: int, round_: int | None, *, rehold: bool) -> None:
        """The cart becomes an order."""
        reference = self.pick_one(which, "held", "expired")
        on_expired = "rehold" if rehold else "refuse"
        now, error = self.run(Confirm(reference=reference, round=round_, on_expired=on_expired))
        assert error == self.naive.confirm(now, reference, round_, rehold=rehold)

    @precondition(lambda self: self.naive.lines)
    @rule(
        which=which,
        round_=rounds,
        quantities=st.dictionaries(skus, st.integers(0, 6), min_size=1),
        at=anywhere,
    )
    def amend(
        self,
        which: int,
        round_: int | None,
        quantities: Mapping[str, int],
        at: str | None,
    ) -> None:
        """The customer thinks again."""
        reference = self.pick_one(which, "held", "confirmed", "picked")
        now, error = self.run(Amend(quantities, reference=reference, round=round_, at=at))
        wanted = dict(sorted(quantities.items()))
        assert error == self.naive.amend(now, reference, round_, wanted, at=at)

    @precondition(lambda self: self.naive.lines)
    @rule(which=which, round_=rounds, lines=maybe_cart)
    def release(self, which: int, round_: int | None, lines: Mapping[str, int] | None) -> None:
        """The customer gives up, on all of it or a part."""
        reference = self.pick_one(which, "held", "expired", "confirmed")
        now, error = self.run(Release(lines, reference=reference, round=round_))
        assert error == self.naive.release(now, reference, round_, lines)

    @precondition(lambda self: self.naive.lines)
    @rule(which=which, round_=rounds, lines=maybe_cart)
    def pick(self, which: int, round_: int | None, lines: Mapping[str, int] | None) -> None:
        """Units come off the shelf."""
        reference = self.pick_one(which, "confirmed")
        now, error = self.run(Pick(lines, reference=reference, round=round_))
        expected = self.naive.take(
            now, reference, round_, lines, states=("allocated",), target="picked"
        )
        assert error == expected

    @precondition(lambda self: self.naive.lines)
    @rule(which=which, round_=rounds, lines=carts)
    def short_pick(self, which: int, round_: int | None, lines: Mapping[str, int]) -> None:
        """Units are missing on the shelf."""
        reference = self.pick_one(which, "confirmed", "picked")
        now, error = self.run(ShortPick(lines, reference=reference, round=round_))
        expected = self.naive.take(
            now, reference, round_, lines, states=("allocated", "picked"), target="short"
        )
        assert error == expected

    @precondition(lambda self: self.naive.lines)
    @rule(which=which, round_=rounds, lines=maybe_cart)
    def ship(self, which: int, round_: int | None, lines: Mapping[str, int] | None) -> None:
        """A parcel, or all that is left; what is physically not there cannot leave."""
        reference = self.pick_one(which, "confirmed", "picked")
        now, error = self.run(Ship(lines, reference=reference, round=round_))
        expected = self.naive.take(
            now, reference, round_, lines, states=("picked", "allocated"), target="shipped"
        )
        assert error == expected

    @precondition(lambda self: self.naive.lines)
    @rule(which=which, sku=skus, quantity=some, at=places)
    def take_back(self, which: int, sku: str, quantity: int, at: str) -> None:
        """A return, straight back onto a shelf."""
        reference = self.pick_one(which, "shipped")
        lines = {sku: quantity}
        operation = TakeBack(lines, reference=reference, at=at, into=State.SELLABLE)
        _, error = self.run(operation)
        assert error == self.naive.take_back(reference, sku, quantity, at=at)

    # --- keys --------------------------------------------------------------------------

    @precondition(lambda self: bool(self.asked))
    @rule(which=which)
    def repeat(self, which: int) -> None:
        """An old request comes again: the old answer, and no effect."""
        operation, first = self.asked[which % len(self.asked)]
        [again] = self.inventory.submit([operation])
        assert again.replayed
        assert (again.movements, again.decided_at) == (first.movements, first.decided_at)
        assert again.result == first.result
        assert repr(again.error) == repr(first.error)

    @precondition(lambda self: bool(self.asked))
    @rule(which=which)
    def reuse(self, which: int) -> None:
        """An old key names another request: refused, and no effect."""
        operation, _ = self.asked[which % len(self.asked)]
        other = Received("MUG", 99, at="berlin", key=operation.key)
        [outcome] = self.inventory.submit([other])
        assert isinstance(outcome.error, IdempotencyConflict)

    # --- after each step ---------------------------------------------------------------

    @invariant()
    def figures_agree(self) -> None:
        """What is free and available at each place, and I9: promises equal the lines."""
        now = to_instant(self.clock.now)
        stock = self.inventory.stock()
        for sku in SKUS:
            for place in PLACES:
                figures = stock.get(StockKey(sku, place))
                mine = [x for x in self.naive.lines if (x.sku, x.place) == (sku, place)]
                wanted = [self.naive.free[sku, place], self.naive.available(sku, place, now)]
                wanted += [sum(line.counts[state] for line in mine) for state in STATES]
                seen = [0] * 5
                if figures is not None:
                    seen = [figures.sellable, figures.available]
                    seen += [figures.held, figures.allocated, figures.picked]
                assert seen == wanted, (sku, place, seen, wanted)

    @invariant()
    def lines_agree(self) -> None:
        """Each line counts the same, adds up to what it reserved, and none is below zero."""
        with self.inventory.storage.read("main") as reader:
            lines = [line for name in REFERENCES for line in reader.lines(name)]
        for line in lines:
            assert min(line.counters) >= 0
            assert sum(line.counters[1:]) == line.reserved
        seen: list[Any] = [
            (x.reference, x.number, x.round, x.key.sku, x.key.location, x.expires_at, x.counters)
            for x in lines
        ]
        counters = ("reserved", *STATES, "shipped", "released", "expired", "short")
        wanted = [
            (
                x.reference,
                x.number,
                x.round,
                x.sku,
                x.place,
                NEVER if x.deadline is None else x.deadline,
                tuple(x.counts[name] for name in counters),
            )
            for x in sorted(self.naive.lines, key=lambda x: (x.reference, x.number))
        ]
        assert seen == wanted

    @invariant()
    def statuses_agree(self) -> None:
        """What is shown of each reservation is what it is."""
        now = to_instant(self.clock.now)
        for reference in REFERENCES:
            if self.naive.of(reference):
                shown = self.inventory.reservation(reference)
                assert shown.status == self.naive.status(reference, now)

    def teardown(self) -> None:
        """Prove that everything stored agrees, and that none expired before its time."""
        assert self.inventory.verify().problems == ()
        for movement in self.inventory.feed(limit=10_000):
            if movement.kind.value == "expire":
                assert movement.recorded_at > START


ReservationMachine.TestCase.settings = settings(
    max_examples=min(500, settings().max_examples), stateful_step_count=40
)
TestReservations = ReservationMachine.TestCase


def walk(machine: ReservationMachine, random: Random, steps: int) -> None:
    """Take random steps through the rules of *machine*, checking after each."""

    def cart() -> dict[str, int]:
        return {sku: random.randint(1, 4) for sku in random.sample(SKUS, random.randint(1, 2))}

    def owner() -> dict[str, Any]:
        return {"which": random.randrange(999), "round_": random.choice((None,) * 9 + (1,))}

    def line() -> dict[str, Any]:
        return {"sku": random.choice(SKUS), "quantity": random.randint(1, 3)}

    def where() -> str | None:
        return random.choice((None, None, *PLACES))

    def reserve() -> None:
        machine.reserve(
            random.choice(REFERENCES),
            cart(),
            where(),
            random.choice((3, 10, 15)),
            partial=random.random() < 0.2,
        )

    def quantities() -> dict[str, int]:
        return {sku: random.randint(0, 5) for sku in cart()}

    acts: list[tuple[int, Callable[[], None]]] = [
        (9, reserve),
        (6, lambda: machine.confirm(**owner(), rehold=random.random() < 0.7)),
        (3, lambda: machine.amend(**owner(), quantities=quantities(), at=where())),
        (2, lambda: machine.release(**owner(), lines=random.choice((None, cart())))),
        (3, lambda: machine.pick(**owner(), lines=random.choice((None, cart())))),
        (1, lambda: machine.short_pick(**owner(), lines=cart())),
        (4, lambda: machine.ship(**owner(), lines=random.choice((None, cart())))),
        (1, lambda: machine.take_back(random.randrange(999), **line(), at=random.choice(PLACES))),
        (2, lambda: machine.sell(**line(), place=random.choice(PLACES), reference=None)),
        (
            1,
            lambda: machine.sell(
                **line(), place=random.choice(PLACES), reference=random.choice(REFERENCES)
            ),
        ),
        (7, lambda: machine.tick(random.choice((1, 4, 9, 16, -3)))),
        (1, machine.sweep),
        (1, lambda: machine.repeat(random.randrange(999))),
        (1, lambda: machine.reuse(random.randrange(999))),
    ]
    weights = [weight for weight, _ in acts]
    machine.fill(dict.fromkeys(PLACES, 3))
    for sku in SKUS:
        machine.receive(sku, random.choice(PLACES), 4)
    for _ in range(steps):
        if machine.naive.free.total() < ROOM and random.random() < 0.2:
            machine.receive(**line(), place=random.choice(PLACES))
        random.choices(acts, weights)[0][1]()
        machine.figures_agree()
        machine.lines_agree()
        machine.statuses_agree()
    machine.teardown()


@pytest.mark.parametrize("seed", range(20))
def test_long_walks_agree(seed: int) -> None:
    """Hundreds of steps in one history reach rounds, returns and expiries on top of each other."""
    walk(ReservationMachine(), Random(seed), 200)


@pytest.mark.slow
def test_very_long_walks_agree() -> None:
    """The same, for as long as one can wait."""
    for seed in range(100, 150):
        walk(ReservationMachine(), Random(seed), 400)
