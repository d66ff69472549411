"""Reservations against a naive model of them, deeper than the machine of everything goes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import settings

from truecount import MemoryStorage
from truecount.testing import inventory_machine
from truecount.testing.machine.base import LOTS, PLACES, TRUSTED, UNITS


SKUS = UNITS

ReservationMachine = inventory_machine(MemoryStorage, subjects=("orders", "keys"))
ReservationMachine.TestCase.settings = settings(
    max_examples=min(100, settings().max_examples), stateful_step_count=30
)
TestReservations = ReservationMachine.TestCase


def walk(machine: Any, random: Random, steps: int) -> None:
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
            random.choice(TRUSTED),
            cart(),
            where(),
            timedelta(minutes=random.choice((3, 10, 15))),
            partial=random.random() < 0.2,
            lot=random.choice((*[None] * 9, *LOTS)),
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
                **line(), place=random.choice(PLACES), reference=random.choice(TRUSTED)
            ),
        ),
        (7, lambda: machine.tick(random.choice((1, 4, 9, 16, -3)))),
        (1, machine.sweep),
        (1, lambda: machine.repeat(random.randrange(999))),
        (1, lambda: machine.reuse(random.randrange(999))),
    ]
    weights = [weight for weight, _ in acts]
    machine.fill(dict.fromkeys(PLACES, 3), more=False)
    for sku in SKUS:
        machine.receive(sku, random.choice(PLACES), 4)
    for _ in range(steps):
        if machine.room() > 0 and random.random() < 0.2:
            machine.receive(**line(), place=random.choice(PLACES))
        random.choices(acts, weights)[0][1]()
        machine.model_agrees()
    machine.everything_agrees()
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
