"""
Count sheets as documents: what is to be counted, what was, and when a line is settled. Pure.

A sheet (space ``count-sheet``, id = its reference) is about one location and has one line for
each SKU and lot. Whoever counts sees no figure of the book: what one expects to find, one
finds. Each count keeps its own moment, and is compared with the book as of that moment, so
what moves while an aisle is counted survives.

Rules:
1. A line is *settled* by a count within its tolerance, or by one that agrees with another
   counter's: both differ from the book of their own moments by the same number of units.
2. Nothing at all where the book has some, and some where the book has nothing, is never
   within a tolerance: somebody else looks as well.
3. A recount is another counter's. The same counter saying the same again is a repetition,
   saying something else is refused.
4. A settled line that differs by more than its tolerance is applied with a reason.

The document::

    {"at": ..., "tolerance": preset, "opened_at": ..., "closed_at": ... or absent,
     "lines": {item(sku, lot): {"abc": "A", "random": true, "reasons": [...],
               "counts": [[counter, quantity, counted_at, expected, reason or null], ...],
               "applied": {"expected", "counted", "variance", "reason"}}}}
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeAlias

import attrs

from truecount.counting.accuracy import is_within, tolerances
from truecount.counting.due import Due
from truecount.errors import InvalidArgument
from truecount.ledger.drafts import item
from truecount.model import doors, names
from truecount.model.instants import Instant, optional_datetime, to_datetime, to_instant


SHEET: Final = "count-sheet"
#: Lines of one sheet: one aisle, not the whole warehouse. They are applied in one write.
LINES_MAX: Final = 500


# --- what is said -----------------------------------------------------------------------


def _reason(value: str | None) -> str | None:
    return None if value is None else names.reason(value)


@attrs.frozen
class ShelfCount:
    """
    What one counter found of one SKU and lot.

    Attributes:
        counted_at: When; by default when it is posted.
        reason: The reason code, where the counter knows why it differs.
    """

    sku: str = attrs.field(converter=names.sku)
    quantity: int = attrs.field(converter=doors.quantity)
    lot: str = attrs.field(default="", kw_only=True, converter=names.lot)
    counted_at: datetime | None = attrs.field(
        default=None,
        kw_only=True,
        converter=attrs.converters.optional(doors.counted_at),
    )
    reason: str | None = attrs.field(default=None, kw_only=True, converter=_reason)


#: A count as an operation carries it: sku, lot, quantity, instant or None, reason or None.
Said: TypeAlias = tuple[str, str, int, Instant | None, str | None]


def said(counts: Mapping[str, int] | Iterable[ShelfCount]) -> tuple[Said, ...]:
    """
    Return counts as an operation carries them: a mapping of SKU to quantity, or ShelfCounts.

    Raises:
        InvalidArgument: There are none, one is no count, or two are of the same line.
    """
    if isinstance(counts, Mapping):
        counts = [ShelfCount(sku, quantity) for sku, quantity in counts.items()]
    found: dict[tuple[str, str], Said] = {}
    for each in counts:
        if not isinstance(each, ShelfCount):
            raise InvalidArgument("counts", names.shown(each), "ShelfCount, or a mapping")
        when = None if each.counted_at is None else to_instant(each.counted_at)
        if (each.sku, each.lot) in found:
            raise InvalidArgument("counts", names.shown(each.sku), "each SKU and lot once")
        found[each.sku, each.lot] = (each.sku, each.lot, each.quantity, when, each.reason)
    if not found:
        raise InvalidArgument("counts", "of nothing", "at least one")
    return tuple(found.values())


#: A line of a new sheet: sku, lot, class, reasons.
Asked: TypeAlias = tuple[str, str, str, tuple[str, ...]]


def asked(lines: Iterable[Due | str | tuple[str, str]]) -> tuple[Asked, ...]:
    """
    Return the lines of a new sheet: what is due, SKUs, or pairs of SKU and lot.

    Raises:
        InvalidArgument: There are none, too many, or one twice.
    """
    found: dict[tuple[str, str], Asked] = {}
    if isinstance(lines, str):
        raise InvalidArgument("lines", names.shown(lines), "several: a list of them")
    for line in lines:
        if isinstance(line, Due):
            entry: Asked = (
                line.sku,
                line.lot,
                line.abc,
                tuple(each.value for each in line.reasons),
            )
        else:
            sku, lot = (line, "") if isinstance(line, str) else line
            entry = (names.sku(sku), names.lot(lot), "C", ())
        if entry[:2] in found:
            raise InvalidArgument("lines", names.shown(entry[0]), "each SKU and lot once")
        found[entry[:2]] = entry
    if not 0 < len(found) <= LINES_MAX:
        raise InvalidArgument("lines", f"{len(found)} in number", f"1 to {LINES_MAX}")
    return tuple(found.values())


# --- what a line has come to ------------------------------------------------------------


class TakenCount(NamedTuple):
    """One count of a line, beside what the book expected at its moment."""

    counter: str
    quantity: int
    counted_at: Instant
    expected: int
    reason: str | None

    @property
    def variance(self) -> int:
        """Counted less expected."""
        return self.quantity - self.expected


def counts_of(line: Mapping[str, Any]) -> list[TakenCount]:
    """Return the counts of a stored line, in the order they were posted."""
    return [TakenCount(*each) for each in line["counts"]]


def within(line: Mapping[str, Any], count: TakenCount, tolerance: str) -> bool:
    """Return whether *count* is as good as the book said."""
    return is_within(count.quantity, count.expected, tolerances(tolerance)[line["abc"]])


def settled_by(line: Mapping[str, Any], tolerance: str) -> TakenCount | None:
    """
    Return the count that settles a line, None while somebody else must look.

    >>> line = {"abc": "C", "counts": [["kim", 8, 10, 10, None]]}
    >>> settled_by(line, "exact") is None
    True
    >>> line["counts"].append(["sam", 6, 20, 8, None])  # two were sold in between
    >>> settled_by(line, "exact").counter
    'sam'
    """
    counts = counts_of(line)
    if not counts:
        return None
    last = counts[-1]
    agrees = any(each.variance == last.variance for each in counts if each.counter != last.counter)
    return last if agrees or within(line, last, tolerance) else None


def reason_for(line: Mapping[str, Any], count: TakenCount, given: str | None) -> str | None:
    """Return the reason a settled line is applied with: the one given, or the last one said."""
    if given is not None:
        return given
    said_of = [each.reason for each in counts_of(line) if each.reason is not None]
    return said_of[-1] if said_of else count.reason


def missing_of(line: Mapping[str, Any], tolerance: str, reason: str | None) -> str | None:
    """Return what a line still needs before it can be applied, None when it is ready."""
    settled = settled_by(line, tolerance)
    if settled is None:
        return "a recount by another counter" if line["counts"] else "a count"
    if within(line, settled, tolerance) or reason_for(line, settled, reason):
        return None
    return "a reason"


# --- what people are shown --------------------------------------------------------------


@attrs.frozen(kw_only=True)
class BlindLine:
    """
    A line as its counters see it: without a single figure of the book.

    Attributes:
        counted_by: Who counted it already; a recount must be somebody else's.
        is_done: Whether nobody needs to look any more.
    """

    sku: str
    lot: str
    counted_by: tuple[str, ...]
    is_done: bool


@attrs.frozen(kw_only=True)
class CountSheet:
    """A sheet as its counters see it."""

    reference: str
    at: str
    opened_at: datetime
    closed_at: datetime | None
    lines: tuple[BlindLine, ...]

    @property
    def left(self) -> tuple[BlindLine, ...]:
        """The lines that somebody must still count."""
        return tuple(line for line in self.lines if not line.is_done)


@attrs.frozen(kw_only=True)
class ReportLine:
    """
    A line as whoever answers for the stock sees it.

    Attributes:
        abc: The class of the SKU.
        reasons: Why it was to be counted; "unexpected" for a SKU the sheet did not have.
        counts: Every count: counter, quantity, moment, and what the book expected then.
        expected: What the book expected at the moment of the last count; None without one.
        counted: What the last count found.
        is_within: Whether it is within its tolerance.
        missing: What it still needs, None when it is ready or applied.
        reason: Why it differs.
        is_applied: Whether the book followed it.
    """

    sku: str
    lot: str
    abc: str
    reasons: tuple[str, ...]
    counts: tuple[TakenCount, ...]
    expected: int | None
    counted: int | None
    is_within: bool
    missing: str | None
    reason: str | None
    is_applied: bool

    @property
    def variance(self) -> int | None:
        """Counted less expected, None without a count."""
        if self.counted is None or self.expected is None:
            return None
        return self.counted - self.expected


@attrs.frozen(kw_only=True)
class SheetReport:
    """A sheet with all its figures, before and after it was applied."""

    reference: str
    at: str
    tolerance: str
    opened_at: datetime
    closed_at: datetime | None
    lines: tuple[ReportLine, ...]

    @property
    def is_ready(self) -> bool:
        """Whether every line can be applied."""
        return all(line.missing is None for line in self.lines)


#: The reason of a line that was counted although no sheet asked for it.
UNEXPECTED: Final = "unexpected"


def line_of(abc: str, reasons: Iterable[str]) -> dict[str, Any]:
    """Return a new line as it is stored."""
    return {"abc": abc, "reasons": list(reasons), "counts": []}


def names_of(name: str) -> tuple[str, str]:
    """Return the SKU and lot a line is called by."""
    sku, lot = json.loads(name)
    return sku, lot


def line_name(sku: str, lot: str) -> str:
    """Return what a line is called in its document."""
    return item(sku, lot)


def blind(reference: str, body: Mapping[str, Any]) -> CountSheet:
    """Return a sheet as its counters see it."""
    lines = []
    for name, line in body["lines"].items():
        sku, lot = names_of(name)
        counters = tuple(each.counter for each in counts_of(line))
        done = "applied" in line or settled_by(line, body["tolerance"]) is not None
        lines.append(BlindLine(sku=sku, lot=lot, counted_by=counters, is_done=done))
    return CountSheet(
        reference=reference,
        at=body["at"],
        opened_at=to_datetime(body["opened_at"]),
        closed_at=optional_datetime(body.get("closed_at")),
        lines=tuple(lines),
    )


def reported(reference: str, body: Mapping[str, Any]) -> SheetReport:
    """Return a sheet with all its figures."""
    tolerance = body["tolerance"]
    return SheetReport(
        reference=reference,
        at=body["at"],
        tolerance=tolerance,
        opened_at=to_datetime(body["opened_at"]),
        closed_at=optional_datetime(body.get("closed_at")),
        lines=tuple(_reported(name, line, tolerance) for name, line in body["lines"].items()),
    )


def _reported(name: str, line: Mapping[str, Any], tolerance: str) -> ReportLine:
    sku, lot = names_of(name)
    counts = counts_of(line)
    applied = line.get("applied")
    last = counts[-1] if counts else None
    if last is not None and applied:
        last = last._replace(expected=applied["expected"])
    return ReportLine(
        sku=sku,
        lot=lot,
        abc=line["abc"],
        reasons=tuple(line["reasons"]),
        counts=tuple(counts),
        expected=None if last is None else last.expected,
        counted=None if last is None else last.quantity,
        is_within=last is not None and within(line, last, tolerance),
        missing=None if applied else missing_of(line, tolerance, None),
        reason=applied["reason"] if applied else last and reason_for(line, last, None),
        is_applied=applied is not None,
    )
