"""
What ``reconcile`` leaves behind for others: a table, a plan to approve, a page to look at.

Rules:
1. A file is only ever new. All names are looked at before anything is compared.
2. The page shows what the plan file says, so whoever approves has seen it.
3. Drawn over time are the first shelves that differ; the newest ``ENTRIES_MAX`` entries of
   each say how it came to that.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Final

import attrs

from truecount.cli.new_file import check_new, new_file
from truecount.inventory import Inventory
from truecount.reconciliation.mismatches import MismatchKind
from truecount.reconciliation.observations import Count
from truecount.reconciliation.plan import Plan
from truecount.reconciliation.report import Reconciliation
from truecount.rendering.timeline import Timeline, timeline_of


#: Shelves drawn over time unless another number is asked for.
TIMELINES: Final = 5
#: Entries of one shelf that are drawn.
ENTRIES_MAX: Final = 1000


@attrs.frozen(kw_only=True)
class ReportFiles:
    """
    Where a report goes besides the screen; None for nowhere.

    Attributes:
        csv: All that is open, as a table.
        plan: What to do about it, as ``truecount repair`` reads it.
        html: The report, the plan, and shelves over time, as a page.
        timelines: How many shelves are drawn.
        zone: The zone of times on the page.
    """

    csv: Path | None
    plan: Path | None
    html: Path | None
    timelines: int = TIMELINES
    zone: tzinfo = UTC

    def check(self) -> None:
        """Raise :class:`InvalidArgument` if one of the files is there already."""
        check_new(csv=self.csv, plan=self.plan, html=self.html)

    @property
    def need_plan(self) -> bool:
        """Whether one of the files says what to do."""
        return self.plan is not None or self.html is not None

    def write(
        self,
        inventory: Inventory,
        report: Reconciliation,
        plan: Plan | None,
        counts: Iterable[Count],
    ) -> None:
        """Write every file that was asked for."""
        if self.csv is not None:
            with new_file("--csv", self.csv, encoding="utf-8-sig") as stream:
                report.to_csv(stream)
        if self.plan is not None and plan is not None:
            with new_file("--plan", self.plan) as stream:
                stream.write(json.dumps(plan.to_dict(), indent=1) + "\n")
        if self.html is not None:
            drawn = timelines_of(inventory, report, counts, self.timelines)
            page = report.to_html(plan=plan, timelines=drawn, zone=self.zone)
            with new_file("--html", self.html) as stream:
                stream.write(page)


def timelines_of(
    inventory: Inventory, report: Reconciliation, counts: Iterable[Count], limit: int
) -> list[Timeline]:
    """
    Return the first *limit* shelves that differ, over time.

    Complexity: O(mismatches + counts), and O(n log n) in the entries of each shelf drawn.
    """
    chosen = dict.fromkeys(_shelves(report))
    of_shelf = defaultdict(list)
    for count in counts:
        of_shelf[count.sku, count.at].append(count)
    found: list[Timeline] = []
    for sku, at in chosen:
        if len(found) >= limit:
            break
        entries = inventory.history(sku, at=at, last=ENTRIES_MAX)
        if entries:
            found.append(timeline_of(entries, counts=of_shelf[sku, at], report=report))
    return found


def _shelves(report: Reconciliation) -> Iterator[tuple[str, str]]:
    """Yield the shelves of mismatches that the book has a history of."""
    for each in report.mismatches:
        if each.at and MismatchKind.UNKNOWN_SKU not in each.kinds:
            yield each.sku, each.at
