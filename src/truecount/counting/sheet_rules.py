"""
Rules of count sheets: opened, posted, closed. Closing applies every settled line at once.

Rules:
1. A count is compared with the book as of its own moment, under the lock of its key.
2. Posting twice is posting once: the same counter saying the same again changes nothing.
3. Closing writes the sheet and all its counts in one transaction, or refuses and names each
   line that is not ready. Closing a closed sheet answers what it answered.
4. No line is applied with a variance outside its tolerance that nobody has seen or given a
   reason for: what the book expected may have changed since it was posted.
5. Two sheets may have the same SKU at the same time: each applies what it saw, at the moment
   it saw it, so they never add up.

Who calls whom: the lines are applied by the rule of :class:`Counted` (which makes each an
anchor); nothing of it is said twice here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from truecount.counting import sheets
from truecount.counting.accuracy import tolerances
from truecount.counting.sheets import SHEET, Asked, Said
from truecount.errors import (
    AlreadyCounted,
    DocumentExists,
    InvalidArgument,
    InvalidTime,
    SheetClosed,
    SheetUnfinished,
    UnknownReference,
)
from truecount.model import names
from truecount.model.facts import Counted
from truecount.model.instants import SKEW_MAX, Instant, iso, to_datetime
from truecount.model.movements import Draft
from truecount.model.operation import Operation
from truecount.model.settings import Settings
from truecount.model.stock import StockKey
from truecount.protocols.storage import Wants
from truecount.write.book import Book
from truecount.write.intents import Decision, Granted, Look, Rule, Rules, Widen


# --- operations -------------------------------------------------------------------------


def _tolerance(value: str) -> str:
    tolerances(value)
    return value


@attrs.frozen(repr=False, kw_only=True)
class _OfASheet(Operation):
    is_fact = False
    reference: str = attrs.field(converter=names.reference)


@attrs.frozen(repr=False)
class OpenSheet(_OfASheet):
    """Open a sheet for one location: its lines, each (sku, lot, class, reasons)."""

    lines: tuple[Asked, ...] = attrs.field()
    at: str = attrs.field(kw_only=True, converter=names.location)
    tolerance: str = attrs.field(default="exact", kw_only=True, converter=_tolerance)


@attrs.frozen(repr=False)
class PostCounts(_OfASheet):
    """Somebody counted lines of a sheet: each (sku, lot, quantity, instant, reason)."""

    counts: tuple[Said, ...] = attrs.field()
    actor: str = attrs.field(kw_only=True, converter=names.actor)


def _flag(value: bool) -> bool:  # noqa: FBT001 -- the only argument of a converter
    if type(value) is not bool:
        raise InvalidArgument("partial", names.shown(value), "True or False")
    return value


@attrs.frozen(repr=False)
class CloseSheet(_OfASheet):
    """Apply what is settled: ``reasons`` has (sku, lot, reason) for lines that differ."""

    reasons: tuple[tuple[str, str, str], ...] = attrs.field(default=(), kw_only=True)
    partial: bool = attrs.field(default=False, kw_only=True, converter=_flag)


# --- open -------------------------------------------------------------------------------


def _wants_sheet(operation: _OfASheet, settings: Settings) -> Wants:
    del settings
    return Wants(records={(SHEET, operation.reference)})


def _open(operation: OpenSheet, book: Book, now: Instant) -> Decision:
    book.settings.check(operation.at)
    if book.document(SHEET, operation.reference) is not None:
        return DocumentExists("count sheet", operation.reference)
    body = {
        "at": operation.at,
        "tolerance": operation.tolerance,
        "opened_at": now,
        "lines": {
            sheets.line_name(sku, lot): sheets.line_of(abc, reasons)
            for sku, lot, abc, reasons in operation.lines
        },
    }
    return Granted(documents=((SHEET, operation.reference, body),))


# --- post -------------------------------------------------------------------------------


def _count(said: Said, at: str, **words: Any) -> Counted:
    """Return what was said of a line as the fact it will be."""
    sku, lot, quantity, when, reason = said
    counted_at = None if when is None else to_datetime(when)
    return Counted(sku, quantity, at=at, lot=lot, counted_at=counted_at, reason=reason, **words)


def _stored(book: Book, reference: str) -> dict[str, Any]:
    body = book.document(SHEET, reference)
    if body is None:
        raise UnknownReference("count sheet", reference)
    return body


def _moments(operation: PostCounts, book: Book) -> Iterator[tuple[StockKey, Instant]]:
    body = book.document(SHEET, operation.reference)
    for sku, lot, _, when, _ in operation.counts if body is not None else ():
        key = StockKey(sku, body["at"] if body else "", lot)
        if when is not None and key in book.rows:
            yield key, when


def _post(operation: PostCounts, book: Book, now: Instant, rules: Rules) -> Decision:
    body = _stored(book, operation.reference)
    if "closed_at" in body:
        return SheetClosed(operation.reference, iso(body["closed_at"]))
    counted = rules[Counted]
    counts = [_count(each, body["at"]) for each in operation.counts]
    wants = Wants()
    for count in counts:
        wants.add(counted.wants(count, book.settings))
    if not book.wants.covers(wants):
        return Widen(wants)
    lines = dict(body["lines"])
    results = []
    for said, count in zip(operation.counts, counts, strict=True):
        _check_past(said, now)
        name = sheets.line_name(count.sku, count.lot)
        line = lines.get(name) or sheets.line_of("C", (sheets.UNEXPECTED,))
        before = [each for each in sheets.counts_of(line) if each.counter == operation.actor]
        if before:
            if not _repeats(before[-1], said):
                return AlreadyCounted(operation.reference, count.sku, operation.actor)
        else:
            # What the count would find is asked of its own rule; nothing of it is posted.
            found = counted.decide(count, book, now)
            if not isinstance(found, Granted):
                return found
            expected = (found.result or {})["expected"]
            when = now if said[3] is None else min(said[3], now)
            entry = [operation.actor, count.quantity, when, expected, count.reason]
            line = {**line, "counts": [*line["counts"], entry]}
            lines[name] = line
        done = sheets.settled_by(line, body["tolerance"]) is not None
        results.append([count.sku, count.lot, "done" if done else "recount"])
    documents = (
        () if lines == body["lines"] else ((SHEET, operation.reference, {**body, "lines": lines}),)
    )
    return Granted(documents=documents, result={"lines": results})


def _check_past(said: Said, now: Instant) -> None:
    when = said[3]
    if when is not None and when > now + SKEW_MAX:
        raise InvalidTime(
            f"counted_at of {names.shown(said[0])}",
            iso(when),
            f"it is more than 5 minutes after now ({iso(now)}); check the clocks",
        )


def _repeats(before: sheets.TakenCount, said: Said) -> bool:
    """Return whether a counter says again what was said before."""
    _, _, quantity, when, _ = said
    return before.quantity == quantity and when in (None, before.counted_at)


# --- close ------------------------------------------------------------------------------


def _ready(operation: CloseSheet, body: dict[str, Any]) -> Iterator[tuple[str, Counted]]:
    """Yield each line that can be applied, by its name, as the fact it becomes."""
    given = {(sku, lot): reason for sku, lot, reason in operation.reasons}
    for name, line in body["lines"].items():
        sku, lot = sheets.names_of(name)
        settled = sheets.settled_by(line, body["tolerance"])
        if settled is None or sheets.missing_of(line, body["tolerance"], given.get((sku, lot))):
            continue
        said = (
            sku,
            lot,
            settled.quantity,
            settled.counted_at,
            sheets.reason_for(line, settled, given.get((sku, lot))),
        )
        yield (
            name,
            _count(said, body["at"], reference=operation.reference, actor=settled.counter),
        )


def _applied(operation: CloseSheet, book: Book) -> list[tuple[str, Counted]]:
    body = book.document(SHEET, operation.reference)
    return [] if body is None or "closed_at" in body else list(_ready(operation, body))


def _close_moments(operation: CloseSheet, book: Book) -> Iterator[tuple[StockKey, Instant]]:
    for name, count in _applied(operation, book):
        line = (book.document(SHEET, operation.reference) or {})["lines"][name]
        key = StockKey(count.sku, count.at, count.lot)
        if key in book.rows:
            yield key, sheets.counts_of(line)[-1].counted_at


def _close(operation: CloseSheet, book: Book, now: Instant, rules: Rules) -> Decision:
    """Apply every settled line, each at its own moment, and close the sheet."""
    body = _stored(book, operation.reference)
    if "closed_at" in body:
        return Granted(result=_summary(body))
    unready = list(_unready(operation, body))
    if unready and not operation.partial:
        return SheetUnfinished(operation.reference, tuple(unready))
    ready = list(_ready(operation, body))
    wants = Wants()
    for _, count in ready:
        wants.add(rules[Counted].wants(count, book.settings))
    if not book.wants.covers(wants):
        return Widen(wants)
    drafts: list[Draft] = []
    documents: list[tuple[str, str, Any]] = []
    lines = dict(body["lines"])
    look = Look()
    for name, count in ready:
        try:
            decision = rules[Counted].decide(count, book, now)
        except InvalidArgument as error:  # Lots have come since to a shelf that had none.
            unready.append((count.sku, count.lot, error.allowed))
            continue
        if isinstance(decision, Look):
            look = look.joined(decision)
            continue
        if not isinstance(decision, Granted):
            return decision
        if count.reason is None and _has_changed(lines[name], decision, body["tolerance"]):
            unready.append((count.sku, count.lot, "a reason: what the book expected has changed"))
            continue
        drafts += decision.drafts
        documents += decision.documents
        lines[name] = {
            **lines[name],
            "applied": {**(decision.result or {}), "reason": count.reason},
        }
    if look != Look():
        return look
    if unready and not operation.partial:
        return SheetUnfinished(operation.reference, tuple(unready))
    closed = {**body, "lines": lines, "closed_at": now}
    return Granted(
        tuple(drafts),
        documents=(*documents, (SHEET, operation.reference, closed)),
        result=_summary(closed),
    )


def _has_changed(line: Mapping[str, Any], decision: Granted, tolerance: str) -> bool:
    """Return whether a settled line would be applied with a variance nobody has seen."""
    expected = (decision.result or {})["expected"]
    settled = sheets.counts_of(line)[-1]
    return expected != settled.expected and not sheets.within(
        line, settled._replace(expected=expected), tolerance
    )


def _unready(operation: CloseSheet, body: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    given = {(sku, lot): reason for sku, lot, reason in operation.reasons}
    for name, line in body["lines"].items():
        sku, lot = sheets.names_of(name)
        missing = sheets.missing_of(line, body["tolerance"], given.get((sku, lot)))
        if missing is not None:
            yield sku, lot, missing


def _summary(body: dict[str, Any]) -> dict[str, int]:
    applied = [line["applied"] for line in body["lines"].values() if "applied" in line]
    return {
        "applied": len(applied),
        "differed": sum(each["variance"] != 0 for each in applied),
        "left": len(body["lines"]) - len(applied),
    }


def _close_demand(operation: CloseSheet, book: Book, rules: Rules) -> Iterator[tuple[str, int]]:
    demand = rules[Counted].demand
    for _, count in _applied(operation, book) if demand is not None else ():
        yield from demand(count, book) if demand is not None else ()


def sheet_rules(rules: Rules) -> Rules:
    """Return the rules of count sheets, which compare and apply counts by *rules*."""

    def post(operation: PostCounts, book: Book, now: Instant) -> Decision:
        return _post(operation, book, now, rules)

    def close(operation: CloseSheet, book: Book, now: Instant) -> Decision:
        return _close(operation, book, now, rules)

    def demand(operation: CloseSheet, book: Book) -> Iterable[tuple[str, int]]:
        return _close_demand(operation, book, rules)

    return {
        OpenSheet: Rule(_wants_sheet, _open),
        PostCounts: Rule(_wants_sheet, post, moments=_moments),
        CloseSheet: Rule(_wants_sheet, close, demand=demand, moments=_close_moments),
    }
