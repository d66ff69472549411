"""
What is compared after each step: the shop with itself, and with the naive model.

Everything stored is verified; figures, lots, lines, counts and bundles are what the model says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from hypothesis.stateful import invariant

from truecount.model.instants import to_instant
from truecount.model.lines import NEVER, LineRow
from truecount.model.places import State
from truecount.testing.claims import expect
from truecount.testing.invariants import assert_invariants
from truecount.testing.machine.base import ANY, TRUSTED, ShopMachine
from truecount.testing.model import NaiveInventory


class Agreement(ShopMachine):
    """The shop agrees with itself and with the model, whatever has happened."""

    @invariant()
    def everything_agrees(self) -> None:
        """Everything stored agrees with itself and with a second fold; nothing past changed."""
        verification = assert_invariants(self.inventory, expected=self.seal)
        self.seal = (verification.position, verification.digest)

    @invariant()
    def model_agrees(self) -> None:
        """What is free, available and promised is what the model says, lot by lot, line by line."""
        now = to_instant(self.clock.now)
        orders = self.model.orders
        for key, found in self.inventory.stock().items():
            seen = (found.sellable, found.available)
            wanted = (orders.free[key], orders.available(key, now))
            expect(seen, wanted, f"sellable and available of {key}")
        expect(list(_seen(self.lines())), list(_wanted(self.model)), "lines of reservations")
        for reference in TRUSTED:
            if orders.of(reference):
                shown = self.inventory.reservation(reference).status
                expect(shown, orders.status(reference, now), f"status of {reference}")

    @invariant()
    def counts_agree(self) -> None:
        """On every shelf is what facts and counts make in the order of their own times."""
        wanted = self.model.counts.figures()
        for key, found in self.inventory.stock().items():
            if key not in self.model.counts.aside:
                seen = {state.value: found[state] for state in State}
                there = {state.value: wanted[*key, state.value] for state in State}
                expect(seen, there, f"A1: {key}, counts and late facts in their own order")

    @invariant()
    def bundles_agree(self) -> None:
        """As many can be had as can be made, one by one; orders keep the recipes of their day."""
        now = to_instant(self.clock.now)
        for sku, found in self.inventory.availability(ANY.skus).items():
            wanted = self.model.availability(sku, now)
            expect(dict(found.at), wanted.at, f"{sku} that can be had at each place")
            seen = found.available, found.in_network
            expect(seen, (wanted.available, wanted.in_network), f"{sku} that can be had, pooled")
        for reference, round_, sku in self.model.bundles.pinned:
            kits = self.inventory.kits(reference)
            seen_of = {(kit.round, kit.sku): dict(kit.recipe.components) for kit in kits[::-1]}
            made_of = dict(self.model.bundles.pinned[reference, round_, sku][sku])
            expect(seen_of.get((round_, sku)), made_of, f"recipe of {sku} in {reference}")


_COUNTERS: Final = (
    "reserved",
    "held",
    "allocated",
    "picked",
    "shipped",
    "released",
    "expired",
    "short",
)


def _seen(lines: Iterable[LineRow]) -> Iterator[tuple[object, ...]]:
    for line in lines:
        yield line.reference, line.number, line.round, *line.key, line.expires_at, line.counters


def _wanted(model: NaiveInventory) -> Iterator[tuple[object, ...]]:
    for line in sorted(model.orders.lines, key=lambda line: (line.reference, line.number)):
        deadline = NEVER if line.deadline is None else line.deadline
        counters = tuple(line.counts[name] for name in _COUNTERS)
        place = (line.sku, line.place, line.lot)
        yield line.reference, line.number, line.round, *place, deadline, counters
