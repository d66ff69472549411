"""A shop in which much differs, and what its reports say: for tests of pages and pictures."""

from __future__ import annotations

from datetime import timedelta

import attrs

from tests.shops import MINUTE, Shop
from truecount import Count, Reconciliation, Snapshot, Sold, Source, Timeline, timeline_of
from truecount.explaining.priors import CauseKind
from truecount.explaining.results import CommonCause
from truecount.rendering.plans import PlanTable


HOSTILE = "<script>alert(1)</script>"
HOUR = timedelta(hours=1)


#: A cause of many, as it would be found in a larger shop.
OLD_PUSH = CommonCause(
    kind=CauseKind.STALE_PUSH,
    source="etsy",
    detail="2026-03-02 09:00 UTC",
    fixed=9,
    mismatches=9,
    probability=0.999,
    rivals=0,
    sentence=f"{HOSTILE} does not show what changed since 2026-03-02 09:00 UTC",
)


@attrs.frozen
class Line:
    """A line of a plan, as far as it is drawn: one that says anything."""

    id: str
    action: str
    sku: str
    at: str
    delta: tuple[int, int]
    at_risk: tuple[str, ...]
    is_written: bool
    sentence: str


@attrs.frozen
class Left:
    """What a plan has no line for."""

    sku: str
    source: str
    reason: str
    number: int


@attrs.frozen
class Plan:
    """A plan, as far as it is drawn."""

    id: str
    lines: tuple[Line, ...]
    left: tuple[Left, ...]


@attrs.frozen
class Told:
    """A report with all that can be drawn with it."""

    shop: Shop
    report: Reconciliation
    timeline: Timeline
    plan: PlanTable

    def page(self) -> str:
        """Return the whole page."""
        return self.report.to_html(timelines=[self.timeline], plan=self.plan)


def told() -> Told:
    """Return a report of a week in which two shelves, a channel and a list went wrong."""
    shop = Shop({"berlin": {"MUG": 40, HOSTILE: 9, "TEA": 120, "VASE": 6}, "hamburg": {"BOWL": 30}})
    inventory = shop.inventory
    inventory.count("MUG", 40, at="berlin", actor="sam")
    _trade(shop)
    good = Count("MUG", 34, at="berlin", counter="bo", counted_at=shop.clock.tick(MINUTE))
    _trade(shop)
    inventory.reserve({"VASE": 5}, reference="order-7", at="berlin")
    inventory.confirm("order-7")
    inventory.published("etsy", {"TEA": 120})
    shop.clock.tick(HOUR)
    inventory.record([Sold("TEA", 7, at="berlin", origin="till", key="tea-1")])
    since, until = shop.clock.tick(HOUR), shop.clock.tick(5 * MINUTE)
    now = shop.clock.tick(5 * MINUTE)
    counts = [
        Count("MUG", 25, at="berlin", counter="sam", counted_at=since, counted_until=until),
        Count("VASE", 4, at="berlin", counter="sam", counted_at=since),
        Count(HOSTILE, 11, at="berlin", counter="sam", counted_at=since),
        good,
    ]
    shown = [("TEA", 120), ("OLD", 2), ("OLD", 4), ("mug", 3)]
    report = inventory.reconcile(
        [
            *counts,
            Snapshot.of("etsy", shown, complete=True, at=["berlin"], seen_at=since),
            Snapshot.of("ebay", {"BOWL": 30}, seen_at=now),
        ],
        sources=[Source("ebay", late=timedelta(minutes=2))],
    )
    report = attrs.evolve(inventory.explain(report), common=(OLD_PUSH,))
    line = timeline_of(inventory.history("MUG", at="berlin"), counts=counts, report=report)
    return Told(shop, report, line, report.plan())


def _trade(shop: Shop) -> None:
    for _ in range(6):
        at = shop.clock.tick(HOUR)
        sale = Sold("MUG", 1, at="berlin", origin="till", key=f"mug-{at:%d-%H-%M}")
        shop.inventory.record([sale])
