"""
What the second act of ``truecount demo`` is played with: the shop, the world, and what is found.

What the shop does, it does in the book and in the world; what is found is told from the report
and the plan alone, never from what the world knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import attrs

from truecount.cli.demo_shop import BERLIN, Shop, amount
from truecount.cli.demo_world import (
    BUNDLE,
    OVERSELLING,
    PHANTOM,
    RESERVED,
    UNRECORDED,
    Planted,
    World,
)
from truecount.model.facts import Sold
from truecount.reconciliation.mismatches import Mismatch, MismatchKind
from truecount.reconciliation.observations import Count, Observation, Snapshot, Source
from truecount.reconciliation.plan import Plan
from truecount.reconciliation.preview import PlanPreview
from truecount.reconciliation.repairs import Repaired
from truecount.reconciliation.report import Reconciliation
from truecount.rendering.timeline import Timeline, timeline_of


ETSY: Final = "etsy"
EBAY: Final = "ebay"

#: How far clocks may be off, and how late reports may come; both channels draw on Berlin.
SOURCES: Final = (
    Source(ETSY, at=BERLIN, skew=timedelta(seconds=2), late=timedelta(minutes=10)),
    Source(EBAY, at=BERLIN),
    Source("shelf", skew=timedelta(seconds=30)),
)

#: The five mismatches, by what the library calls them.
FIVE: Final = {
    MismatchKind.OVERSOLD: OVERSELLING,
    MismatchKind.PHANTOM: PHANTOM,
    MismatchKind.UNRECORDED: UNRECORDED,
    MismatchKind.RESERVED_AS_AVAILABLE: RESERVED,
    MismatchKind.BUNDLE: BUNDLE,
}
_ON_A_SHELF: Final = frozenset({MismatchKind.PHANTOM, MismatchKind.UNRECORDED})

#: What needs no explanation, because the comparison itself shows it: in a word, in words.
_SEEN: Final = {
    MismatchKind.OVERSOLD: ("promised twice", "more is promised than is there"),
    MismatchKind.BUNDLE: ("not its parts", "its components agree and do not make that many"),
}


class Told(NamedTuple):
    """A mismatch in one row: what, where, by how much, why, whom it endangers, what is done."""

    mismatch: str
    sku: str
    place: str
    off_by: int
    cause: str
    certainty: str
    at_risk: int
    repair: str


@attrs.define(eq=False)
class Act:
    """The shop and the world around it; what came of comparing them is filled in by chapters."""

    shop: Shop
    world: World
    begun: datetime
    counts: list[Count] = attrs.field(init=False)
    planted: tuple[Planted, ...] = attrs.field(init=False)
    found: Reconciliation = attrs.field(init=False)
    timelines: list[Timeline] = attrs.field(init=False)
    plan: Plan = attrs.field(init=False)
    preview: PlanPreview = attrs.field(init=False)
    repaired: Repaired = attrs.field(init=False)
    again: Reconciliation = attrs.field(init=False)

    @classmethod
    def begin(cls, shop: Shop) -> Act:
        """Begin with a world that is as the book says, for the last time."""
        shelves: dict[tuple[str, str], int] = {}
        aside: dict[tuple[str, str], int] = {}
        for key, figures in shop.inventory.stock().items():
            shelf = key.sku, key.location
            shelves[shelf] = shelves.get(shelf, 0) + figures.sellable
            aside[shelf] = aside.get(shelf, 0) + figures.on_hand - figures.sellable
        return cls(shop, World(shelves, aside), shop.clock.now)

    # --- in the shop and in the world ----------------------------------------------------

    def receive(self, sku: str, units: int, reference: str, *, typed: int | None = None) -> None:
        """Put units on a shelf in Berlin; *typed* is what the book is told, if not that."""
        booked = units if typed is None else typed
        self.shop.inventory.receive(sku, booked, at=BERLIN, reference=reference, actor="kim")
        self.world.comes_in(sku, units, BERLIN, booked=typed)

    def order(self, reference: str, sku: str, units: int) -> None:
        """Place an order."""
        self.shop.inventory.reserve({sku: units}, reference=reference, at=BERLIN)
        self.shop.inventory.confirm(reference)
        self.world.is_promised({sku: units}, BERLIN)

    def sell(self, origin: str, sku: str, units: int) -> None:
        """Sell at the till or on a channel, which lowers what it shows by itself."""
        sale = Sold(sku, units, at=BERLIN, origin=origin, key=f"{origin}-{sku.lower()}")
        self.shop.inventory.record([sale])
        if origin in self.world.channels:
            self.world.channel_sells(origin, sku, units)
        else:
            self.world.is_sold(sku, units, BERLIN)

    def publish(self, channel: str, *skus: str) -> None:
        """Tell a channel what Berlin can sell, and write down what it was told."""
        found = self.shop.inventory.availability(skus)
        levels = {sku: max(0, each.at.get(BERLIN, 0)) for sku, each in found.items()}
        self.shop.inventory.published(channel, levels)
        self.world.lists(channel, levels, at=BERLIN)

    # --- looking -------------------------------------------------------------------------

    def counted(self, minutes: int = 0) -> list[Count]:
        """Return what is counted on every shelf, by a walk that begins now."""
        begun = self.shop.clock.now
        ended = begun + timedelta(minutes=minutes)
        return [
            Count(sku, self.world.seen(sku, at), at=at, counted_at=begun, counted_until=ended)
            for sku, at in sorted(self.world.shelves)
        ]

    def shown(self) -> list[Snapshot]:
        """Return what the channels show now."""
        now = self.shop.clock.now
        return [
            Snapshot.of(channel, levels, at=BERLIN, seen_at=now)
            for channel, levels in sorted(self.world.channels.items())
        ]

    def observed(self) -> list[Observation]:
        """Return the last counts, and what the channels show now."""
        return [*self.counts, *self.shown()]

    def compared(self, observations: Sequence[Observation]) -> Reconciliation:
        """Compare what was seen with the book."""
        return self.shop.inventory.reconcile(observations, sources=SOURCES)

    def find(self, observations: Sequence[Observation]) -> None:
        """Keep what a comparison finds, explained, with how the shelves came to differ."""
        self.found = self.shop.inventory.explain(self.compared(observations))
        shelves = [each for each in self.found.mismatches if each.kind in _ON_A_SHELF]
        self.timelines = [self._timeline(each) for each in shelves]

    def _timeline(self, each: Mismatch) -> Timeline:
        """Return a shelf since the act began: what came before it has no part in it."""
        history = self.shop.inventory.history(each.sku, at=each.at)
        entries = [entry for entry in history if entry.movement.occurred_at >= self.begun]
        counts = [count for count in self.counts if (count.sku, count.at) == (each.sku, each.at)]
        return timeline_of(entries, counts=counts, report=self.found)

    # --- telling -------------------------------------------------------------------------

    def told(self) -> list[Told]:
        """Return the rows of the closing table."""
        actions = {(line.sku, line.source): line.action for line in self.plan.lines}
        return [
            Told(
                FIVE[each.kind],
                each.sku,
                place(each),
                each.delta[0],
                cause_in_a_word(each),
                certainty(each),
                len(each.at_risk),
                actions[each.sku, each.source].value,
            )
            for each in self.found.mismatches
        ]

    def page(self) -> str:
        """Return what was found as a page for a browser."""
        return self.found.to_html(
            title="The five mismatches", timelines=self.timelines, plan=self.plan
        )

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain data, for JSON."""
        return {
            "planted": [each._asdict() for each in self.planted],
            "told": [each._asdict() for each in self.told()],
            "report": self.found.to_dict(),
            "plan": self.plan.to_dict(),
            "preview": self.preview.to_dict(),
            "repaired": self.repaired.to_dict(),
            "again": self.again.to_dict(),
        }


def place(each: Mismatch) -> str:
    """Return where a mismatch is: at a location, or on a channel."""
    return each.at if each.kind in _ON_A_SHELF else each.source


def sentence(each: Mismatch) -> str:
    """Return kind, place, difference, cause, certainty and orders at risk, in one sentence."""
    at_risk = amount(len(each.at_risk), "order") if each.at_risk else "no order"
    return (
        f"{FIVE[each.kind].capitalize()}: {each.sku} at {place(each)} is off by "
        f"{each.delta[0]:+d}; {cause(each)} ({certainty(each)}); {at_risk} at risk"
    )


def cause(each: Mismatch) -> str:
    """Return the most probable cause, or what the comparison itself has seen."""
    if each.explanation is None:
        return _SEEN[each.kind][1]
    return each.explanation.best.sentence


def cause_in_a_word(each: Mismatch) -> str:
    """Return the kinds of the most probable causes."""
    if each.explanation is None:
        return _SEEN[each.kind][0]
    kinds = (one.kind.value.replace("_", " ") for one in each.explanation.causes)
    return " and ".join(kinds)


def certainty(each: Mismatch) -> str:
    """Return how certain the cause is; what was seen needs no guess."""
    return "seen" if each.explanation is None else each.explanation.verdict.value
