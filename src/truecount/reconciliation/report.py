"""
What came of a comparison: what does not match, what is not decided yet, and how much did. Pure.

Rules:
1. Every observation is exactly one of match, mismatch, undecided; so is every SKU missing from
   a complete list that should have shown something.
2. Nothing is left out silently: of rows the book knows nothing about, the first ``LISTED_MAX``
   of each kind are listed and all are counted.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TextIO

import attrs

from truecount.errors import InvalidData
from truecount.explaining.results import CommonCause
from truecount.model.instants import iso, to_instant
from truecount.reconciliation.mismatches import Mismatch, MismatchKind
from truecount.reconciliation.observations import Count, Level
from truecount.reconciliation.plan import Plan
from truecount.reconciliation.planning import plan_of
from truecount.reconciliation.tries import TRIES


if TYPE_CHECKING:
    from truecount.rendering.plans import PlanTable
    from truecount.rendering.timeline import Timeline

SCHEMA: Final = 1

#: Listed mismatches of a kind that is about rows the book has not got.
LISTED_MAX: Final = 10_000
#: Levels that match and are kept of a source, an even number, and how many must differ for it.
AGREEING_MAX: Final = 2_000
AGREEING_FROM: Final = 5
LIMITED: Final = frozenset(
    {MismatchKind.UNKNOWN_SKU, MismatchKind.DUPLICATE_SKU, MismatchKind.UNLISTED}
)

#: The columns of the CSV form.
COLUMNS: Final = (
    "result",
    "kind",
    "sku",
    "location",
    "lot",
    "source",
    "observed",
    "expected_low",
    "expected_high",
    "delta_low",
    "delta_high",
    "seen_from",
    "seen_until",
    "decidable_at",
    "at_risk",
    "sentence",
    "counter",
    "covers",
    "cause",
    "certainty",
    "explanation",
)


@attrs.frozen(kw_only=True)
class Undecided:
    """
    An observation nobody can judge yet.

    Attributes:
        decidable_at: When the reports that may explain it must have come; None when the
            figure moved while it was observed: observe it again when it is quiet.
        tries: Observations in a row that were left open because the figure moved, as far
            as the reports before told.
        lasting: What a difference that was there all that time can be, lowest and highest;
            None where no try has told yet.
    """

    sku: str
    at: str
    lot: str
    source: str
    observed: int
    expected: tuple[int, int]
    delta: tuple[int, int]
    seen_at: tuple[datetime, datetime]
    decidable_at: datetime | None
    tries: int = 0
    lasting: tuple[int, int] | None = None

    @property
    def is_provisional(self) -> bool:
        """Whether it is taken as a match until seen otherwise: three tries contradict nothing."""
        return self.tries >= TRIES

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, for JSON."""
        until = self.decidable_at
        return attrs.asdict(self, recurse=False) | {
            "expected": list(self.expected),
            "delta": list(self.delta),
            "lasting": self.lasting and list(self.lasting),
            "seen_at": [iso(to_instant(each)) for each in self.seen_at],
            "decidable_at": None if until is None else iso(to_instant(until)),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Undecided:
        """Return what ``to_dict`` described; a report reads its own."""
        until = data["decidable_at"]
        first, last = data["seen_at"]
        return cls(
            **dict(data)
            | {
                "expected": tuple(data["expected"]),
                "delta": tuple(data["delta"]),
                "lasting": data.get("lasting") and tuple(data["lasting"]),
                "seen_at": (datetime.fromisoformat(first), datetime.fromisoformat(last)),
                "decidable_at": None if until is None else datetime.fromisoformat(until),
            }
        )


class Agreeing(NamedTuple):
    """A level that is what the book says; ``locations`` names none for all."""

    source: str
    sku: str
    locations: tuple[str, ...]
    quantity: int

    def to_list(self) -> list[Any]:
        """Return it as plain data, for JSON."""
        return [self.source, self.sku, list(self.locations), self.quantity]

    @classmethod
    def from_list(cls, data: Sequence[Any]) -> Agreeing:
        """Return what ``to_list`` described; a report reads its own."""
        source, sku, locations, quantity = data
        return cls(source, sku, tuple(locations), quantity)


@attrs.define
class Sample:
    """
    At most ``AGREEING_MAX`` of any number of levels, spread evenly over them.

    Every ``step``-th is kept; when there are too many of these, every second of them goes.
    """

    kept: list[Level] = attrs.field(factory=list)
    step: int = 1
    seen: int = 0

    def add(self, value: Level) -> None:
        """Add a value. O(1) on average."""
        if self.seen % self.step == 0:
            if len(self.kept) == AGREEING_MAX:
                self.kept = self.kept[::2]
                self.step *= 2
            self.kept.append(value)
        self.seen += 1


@attrs.frozen(kw_only=True)
class Reconciliation:
    """
    The report of a comparison.

    Attributes:
        at: When the book was read.
        mismatches: What the book cannot explain, by kind in the order of the table, then by
            SKU, location and lot.
        undecided: What cannot be judged yet, by SKU.
        matches: Observations that agree.
        kinds: Mismatches of each kind, those not listed included.
        locations: Mismatches at each location, "" for those about several.
        agreeing: Levels that match, of sources with several that do not: a cause common to
            many of these must contradict none of those. At most ``AGREEING_MAX`` of each
            source, spread evenly.
        common: Causes behind most mismatches of a source; none until ``explain`` was asked.
    """

    at: datetime
    mismatches: tuple[Mismatch, ...]
    undecided: tuple[Undecided, ...]
    matches: int
    kinds: Mapping[MismatchKind, int]
    locations: Mapping[str, int]
    agreeing: tuple[Agreeing, ...] = ()
    common: tuple[CommonCause, ...] = ()

    @property
    def found(self) -> int:
        """How many mismatches there are, those not listed included."""
        return sum(self.kinds.values())

    @property
    def standing(self) -> tuple[Mismatch, ...]:
        """The mismatches listed that nothing newer has superseded."""
        return tuple(each for each in self.mismatches if each.superseded_at is None)

    @property
    def provisional(self) -> tuple[Undecided, ...]:
        """What is taken as a match until seen otherwise; it counts as undecided."""
        return tuple(each for each in self.undecided if each.is_provisional)

    @property
    def compared(self) -> int:
        """How many observations were judged: matches, mismatches and undecided ones."""
        return self.matches + self.found + len(self.undecided)

    @property
    def ok(self) -> bool:
        """Whether everything that was observed matches: nothing differs, all is decided."""
        return not self.found and not self.undecided

    @property
    def decidable_at(self) -> datetime | None:
        """When everything that waiting can decide is decidable; None when nothing waits."""
        return max(
            (each.decidable_at for each in self.undecided if each.decidable_at), default=None
        )

    @property
    def at_risk(self) -> tuple[str, ...]:
        """References whose promises the mismatches put at risk, each once."""
        return tuple(dict.fromkeys(ref for each in self.mismatches for ref in each.at_risk))

    def plan(self, *, follow: Iterable[str] = ()) -> Plan:
        """
        Return what to do about the mismatches: what ``repair`` can write, and what it cannot.

        >>> from truecount import Count, Inventory
        >>> inventory = Inventory()
        >>> inventory.locations.add("berlin")
        >>> receipt = inventory.receive("MUG", 5, at="berlin")
        >>> plan = inventory.reconcile([Count("MUG", 3, at="berlin")]).plan()
        >>> [(line.action.value, line.sku, line.delta[0]) for line in plan.lines]
        [('count', 'MUG', -2)]

        Args:
            follow: Sources whose levels are right, so that the book is adjusted to them.

        Complexity: O(mismatches * log(mismatches)).
        """
        return plan_of(self, follow)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data, for JSON."""
        return {
            "schema": SCHEMA,
            "at": iso(to_instant(self.at)),
            "matches": self.matches,
            "found": self.found,
            "kinds": {kind.value: count for kind, count in self.kinds.items()},
            "locations": dict(self.locations),
            "mismatches": [each.to_dict() for each in self.mismatches],
            "undecided": [each.to_dict() for each in self.undecided],
            "agreeing": [each.to_list() for each in self.agreeing],
            "common": [each.to_dict() for each in self.common],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Reconciliation:
        """
        Return the report that ``to_dict`` described.

        Raises:
            InvalidData: It is not what ``to_dict`` writes.
        """
        if data.get("schema") != SCHEMA:
            raise InvalidData("a report", f"schema {data.get('schema')!r}, expected {SCHEMA}")
        try:
            return cls(
                at=datetime.fromisoformat(data["at"]),
                mismatches=tuple(map(Mismatch.from_dict, data["mismatches"])),
                undecided=tuple(map(Undecided.from_dict, data["undecided"])),
                matches=data["matches"],
                kinds={MismatchKind(kind): count for kind, count in data["kinds"].items()},
                locations=dict(data["locations"]),
                agreeing=tuple(map(Agreeing.from_list, data["agreeing"])),
                common=tuple(map(CommonCause.from_dict, data["common"])),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InvalidData("a report", f"{type(error).__name__} {error}") from error

    def to_csv(self, stream: TextIO, *, for_spreadsheet: bool = True) -> None:
        """
        Write one row for each mismatch and each undecided observation, under ``COLUMNS``.

        Open the file with ``encoding="utf-8", newline=""``. A text that a spreadsheet would
        run as a formula, a SKU ``=1+1`` for example, gets an apostrophe before it and every
        text is quoted; without *for_spreadsheet* the apostrophe is left out, for programs.
        """
        from truecount.rendering.cells import harmless

        writer = csv.writer(stream, quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(COLUMNS)
        for row in self._rows():
            writer.writerow(map(harmless, row) if for_spreadsheet else row)

    def _rows(self) -> Iterable[list[object]]:
        for each in self.mismatches:
            told = ["", " ".join(each.at_risk), each.sentence]
            yield ["mismatch", each.kind.value, *_cells(each), *told, *_why(each)]
        for one in self.undecided:
            until = "" if one.decidable_at is None else iso(to_instant(one.decidable_at))
            yield ["undecided", "", *_cells(one), until, *[""] * 7]

    def to_html(
        self,
        *,
        timelines: Iterable[Timeline] = (),
        plan: PlanTable | None = None,
        title: str = "Stock compared with the book",
        zone: tzinfo = UTC,
    ) -> str:
        """
        Return the report as one page for a browser, which needs no network and no second file.

        Write it with ``encoding="utf-8"``. The same report gives the same page.

        >>> from truecount import Count, Inventory
        >>> inventory = Inventory()
        >>> inventory.locations.add("berlin")
        >>> receipt = inventory.receive("<b>MUG</b>", 5, at="berlin")
        >>> page = inventory.reconcile([Count("<b>MUG</b>", 3, at="berlin")]).to_html()
        >>> "&lt;b&gt;MUG" in page, "<b>MUG" in page
        (True, False)

        Args:
            timelines: What ``timeline_of`` returns, one for each SKU to be drawn.
            plan: What would be done about it.
            title: The heading of the page.
            zone: The zone in which times are shown.

        Complexity: O(rows + steps of the timelines).
        """
        from truecount.rendering.page import report_html

        return report_html(self, timelines=timelines, plan=plan, title=title, zone=zone)

    def _repr_html_(self) -> str:
        """Return what a notebook shows of the report."""
        from truecount.rendering.page import notebook_html

        return notebook_html(self)


def _cells(each: Mismatch | Undecided) -> list[object]:
    observed = "" if each.observed is None else each.observed
    times = [iso(to_instant(moment)) for moment in each.seen_at]
    where = [each.sku, each.at, each.lot, each.source]
    return [*where, observed, *each.expected, *each.delta, *times]


def _why(each: Mismatch) -> list[object]:
    """Return who counted what, and why it may differ: the last columns."""
    counted = [each.counter or "", " ".join(sorted(each.covers or ()))]
    if each.explanation is None:
        return [*counted, "", "", ""]
    kinds = " ".join(cause.kind for cause in each.explanation.causes)
    return [*counted, kinds, each.explanation.verdict.value, each.explanation.sentence]


@attrs.define
class Tally:
    """Collects the results of a comparison."""

    matches: int = 0
    mismatches: list[Mismatch] = attrs.field(factory=list)
    undecided: list[Undecided] = attrs.field(factory=list)
    kinds: Counter[MismatchKind] = attrs.field(factory=Counter)
    locations: Counter[str] = attrs.field(factory=Counter)
    agreeing: dict[str, Sample] = attrs.field(factory=lambda: defaultdict(Sample))

    def match(self, seen: Count | Level, *, is_listed: bool) -> None:
        """Count an observation that agrees, if there was one, and keep some levels."""
        self.matches += is_listed
        if isinstance(seen, Level):
            self.agreeing[seen.source].add(seen)

    def is_full(self, kinds: Iterable[MismatchKind]) -> bool:
        """Return whether another mismatch of these kinds is only counted."""
        return all(kind in LIMITED and self.kinds[kind] >= LISTED_MAX for kind in kinds)

    def count(self, kind: MismatchKind, at: str) -> None:
        """Count a mismatch."""
        self.kinds[kind] += 1
        self.locations[at] += 1

    def report(self, at: datetime) -> Reconciliation:
        """Return what was collected, in order."""
        order = {kind: number for number, kind in enumerate(MismatchKind)}
        differing = Counter(each.source for each in self.mismatches)
        return Reconciliation(
            at=at,
            mismatches=tuple(
                sorted(self.mismatches, key=lambda e: (order[e.kind], e.sku, e.at, e.lot, e.source))
            ),
            undecided=tuple(sorted(self.undecided, key=lambda e: (e.sku, e.at, e.lot, e.source))),
            matches=self.matches,
            kinds={kind: self.kinds[kind] for kind in MismatchKind if self.kinds[kind]},
            locations=dict(sorted(self.locations.items())),
            agreeing=tuple(
                Agreeing(source, each.sku, tuple(sorted(each.at or ())), each.quantity)
                for source, sample in sorted(self.agreeing.items())
                if differing[source] >= AGREEING_FROM
                for each in sample.kept
            ),
        )
