"""
Counting as daily work: the shell. What is due, sheets out, counts in, how good the records are.

Methods read, or make an operation and run it; rules live in ``due``, ``sheets`` and
``sheet_rules``, formulas in ``accuracy`` and ``certificate``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from fractions import Fraction
from typing import Any

import attrs

from truecount.counting import sheets
from truecount.counting.accuracy import Accuracy, Counting, accuracy, tolerances
from truecount.counting.certificate import CONFIDENCE, Certificate, Share, certify
from truecount.counting.due import (
    Due,
    DueRules,
    Reason,
    ShelfFacts,
    due,
    not_found,
    taken_at_zero,
)
from truecount.counting.sheet_rules import CloseSheet, OpenSheet, PostCounts
from truecount.counting.sheets import SHEET, CountSheet, SheetReport, ShelfCount
from truecount.errors import InvalidArgument, UnknownReference
from truecount.ledger.anchors import ANCHOR, Anchor, anchor_of
from truecount.ledger.scan import PAGE, records_of
from truecount.model import instants, names
from truecount.model.instants import Instant, to_datetime, to_instant
from truecount.model.places import INDEX, State
from truecount.model.stock import EntryRow, StockKey, StockRow
from truecount.protocols.storage import Reader
from truecount.write.engine import Engine


_COMING = (INDEX[State.IN_TRANSIT], INDEX[State.INCOMING])


@attrs.frozen(kw_only=True)
class Measured:
    """
    How good the records are, by the counts that were drawn by lot.

    Attributes:
        accuracy: Record accuracy in every form.
        certificate: What the sample proves of all records; None without a count.
        population: Records there are.
        since: From when on sheets were closed; None for all of them.
    """

    accuracy: Accuracy
    certificate: Certificate | None
    population: int
    since: datetime | None


class Counts:
    """
    Cycle counting: a few shelves every day instead of all of them once a year.

    >>> from truecount import Inventory
    >>> inventory = Inventory()
    >>> inventory.locations.add("berlin")
    >>> for sku, units in {"MUG": 5, "TEA": 3}.items():
    ...     receipt = inventory.receive(sku, units, at="berlin")
    >>> theft = inventory.adjust("MUG", -7, at="berlin", reason="theft")
    >>> [(each.sku, each.reasons[0].value) for each in inventory.counts.due(1)]
    [('MUG', 'negative_book')]
    >>> inventory.counts.sheet("aisle-1", ["MUG"], at="berlin").left[0].sku
    'MUG'
    >>> inventory.counts.post("aisle-1", {"MUG": 4}, counter="kim").left[0].counted_by
    ('kim',)
    >>> inventory.counts.post("aisle-1", {"MUG": 4}, counter="sam").left
    ()
    >>> report = inventory.counts.close("aisle-1", reasons={"MUG": "miscounted"})
    >>> report.lines[0].variance, inventory.figures("MUG").on_hand
    (6, 4)
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # --- what to count ------------------------------------------------------------------

    def due(
        self,
        budget: int,
        *,
        at: str | None = None,
        seed: str | None = None,
        rules: DueRules | None = None,
    ) -> list[Due]:
        """
        Return the shelves to count today, at most *budget*, the most urgent first.

        Args:
            at: Only this location.
            seed: A word for the lot; by default today's date (UTC), so that a day has one.
            rules: When a shelf is due; ``DueRules()`` by default.

        Raises:
            UnknownLocation: The location was not declared.

        Complexity: O(keys + applied counts + entries since each key's last count).
        """
        now = self._engine.now()
        word = f"{to_datetime(now):%Y-%m-%d}" if seed is None else names.reference(seed)
        with self._engine.read() as reader:
            if at is not None:
                self._engine.settings_in(reader).check(at)
            shelves = list(_shelves(reader, at))
        return due(shelves, rules or DueRules(), budget=budget, seed=word, now=now)

    # --- sheets -------------------------------------------------------------------------

    def sheet(
        self,
        reference: str,
        lines: Iterable[Due | str | tuple[str, str]] | None = None,
        *,
        at: str | None = None,
        tolerance: str = "exact",
        key: str | None = None,
        actor: str | None = None,
    ) -> CountSheet:
        """
        Open a blind sheet, or return the one there is: SKUs and lots, no figure of the book.

        Args:
            lines: What to count: what ``due`` returned, SKUs, or pairs of SKU and lot. None
                returns the sheet that was opened under *reference*.
            at: The location; that of the lines when they are what is due.
            tolerance: The name of a preset: ``exact``, ``retail_1_3_5``, ``apics_995``,
                ``textbook_02_1_5``.

        Raises:
            DocumentExists: Another sheet has this reference.
            UnknownReference: There is none to return.
            InvalidArgument: No line, one twice, or lines of several locations.
        """
        if lines is None:
            with self._engine.read() as reader:
                return sheets.blind(reference, _body(reader, reference))
        if isinstance(lines, str):
            raise InvalidArgument("lines", names.shown(lines), "several: a list of them")
        told = list(lines)
        places = {line.at for line in told if isinstance(line, Due)} | ({at} if at else set())
        if len(places) != 1:
            seen = ", ".join(sorted(places)) or "no location"
            raise InvalidArgument("at", seen, "one location for a sheet: name at=")
        operation = OpenSheet(
            lines=sheets.asked(told),
            reference=reference,
            at=places.pop(),
            tolerance=tolerance,
            key=key,
            actor=actor,
        )
        self._engine.one(operation)
        return self.sheet(reference)

    def post(
        self,
        reference: str,
        counts: Mapping[str, int] | Iterable[ShelfCount],
        *,
        counter: str,
        key: str | None = None,
    ) -> CountSheet:
        """
        Take what *counter* found; return what is left to count.

        A SKU the sheet does not have is taken as well, and needs another counter. Posting
        the same again changes nothing.

        Raises:
            AlreadyCounted: The counter said something else of a line before.
            SheetClosed: It comes too late; a new sheet takes it, with its own moment.
            UnknownReference: There is no such sheet.
        """
        operation = PostCounts(
            counts=sheets.said(counts), reference=reference, actor=counter, key=key
        )
        self._engine.one(operation)
        return self.sheet(reference)

    def report(self, reference: str) -> SheetReport:
        """
        Return a sheet with all its figures: expected, counted, what each line still needs.

        Raises:
            UnknownReference: There is no such sheet.
        """
        with self._engine.read() as reader:
            return sheets.reported(reference, _body(reader, reference))

    def close(
        self,
        reference: str,
        *,
        reasons: Mapping[str | tuple[str, str], str] | None = None,
        partial: bool = False,
        key: str | None = None,
        actor: str | None = None,
    ) -> SheetReport:
        """
        Apply every settled line, each at the moment it was counted, and close the sheet.

        All in one transaction. Closing a closed sheet changes nothing.

        Args:
            reasons: Why lines differ, by SKU or by SKU and lot.
            partial: Leave lines that are not ready as they are.

        Raises:
            SheetUnfinished: A line needs a count, a recount or a reason; nothing was applied.
        """
        given = []
        for name, reason in (reasons or {}).items():
            sku, lot = (name, "") if isinstance(name, str) else name
            given.append((names.sku(sku), names.lot(lot), names.reason(reason)))
        operation = CloseSheet(
            reasons=tuple(given), partial=partial, reference=reference, key=key, actor=actor
        )
        self._engine.one(operation)
        return self.report(reference)

    # --- how good the records are --------------------------------------------------------

    def accuracy(
        self,
        *,
        at: str | None = None,
        tolerance: str = "exact",
        since: datetime | None = None,
        costs: Mapping[str, int | Fraction] | None = None,
        confidence: Share = CONFIDENCE,
    ) -> Measured:
        """
        Return record accuracy, from lines drawn by lot on closed sheets, and what it proves.

        Of a shelf counted several times the last one is taken. What was counted because it
        looked wrong is not in it: that would make the records look worse than they are.

        Args:
            at: Only this location.
            since: Only sheets closed from then on.
            costs: What a unit of each SKU costs; without all of them no value is told.

        Complexity: O(sheets + keys).
        """
        tolerances(tolerance)
        earliest = None if since is None else to_instant(instants.moment(since, "since"))
        with self._engine.read() as reader:
            if at is not None:
                self._engine.settings_in(reader).check(at)
            counted = _drawn(reader, at, earliest, costs or {})
            there = sum(1 for _ in reader.stock(None, at))
        found = accuracy(counted, tolerance=tolerance, population=there)
        certificate = None
        if counted:
            certificate = certify(
                found.within, found.records, population=there, confidence=confidence
            )
        return Measured(accuracy=found, certificate=certificate, population=there, since=since)


# --- reading ----------------------------------------------------------------------------


def _body(reader: Reader, reference: str) -> dict[str, Any]:
    record = reader.record(SHEET, reference)
    if record is None:
        raise UnknownReference("count sheet", reference)
    body: dict[str, Any] = json.loads(record.body)
    return body


def _shelves(reader: Reader, at: str | None) -> Iterator[ShelfFacts]:
    """Yield what the book knows of each shelf."""
    last: dict[StockKey, Anchor] = {}
    for record in records_of(reader, ANCHOR):
        anchor = anchor_of(record.id, json.loads(record.body))
        if not anchor.body.get("freed"):
            last[anchor.key] = anchor
    for key, row in reader.stock(None, at):
        yield _facts(reader, key, row, last.get(key))


def _facts(reader: Reader, key: StockKey, row: StockRow, last: Anchor | None) -> ShelfFacts:
    counted = 0 if last is None else last.version
    short_picks = at_zero = 0
    for entry, kind in _telling(reader, key, counted):
        short_picks += not_found(entry, kind)
        at_zero += taken_at_zero(entry, kind)
    return ShelfFacts(
        key=key,
        on_hand=row.on_hand,
        incoming=sum(row.amounts[index] for index in _COMING),
        since=row.opened_at if last is None else last.at,
        movements=row.version - counted,
        short_picks=short_picks,
        sold_at_zero=at_zero,
    )


def _telling(reader: Reader, key: StockKey, after: int) -> Iterator[tuple[EntryRow, str]]:
    """Yield the entries since a count that took units somewhere, with what made them."""
    page: list[EntryRow] = []
    for entry in reader.entries(key, after):
        if min(entry.change) < 0:
            page.append(entry)
        if len(page) == PAGE:
            yield from _with_kinds(reader, page)
            page = []
    yield from _with_kinds(reader, page)


def _with_kinds(reader: Reader, page: list[EntryRow]) -> Iterator[tuple[EntryRow, str]]:
    kinds = {row.id: row.kind for _, row in reader.movements([e.movement_id for e in page])}
    for entry in page:
        yield entry, kinds.get(entry.movement_id, "")


def _drawn(
    reader: Reader,
    at: str | None,
    earliest: Instant | None,
    costs: Mapping[str, int | Fraction],
) -> list[Counting]:
    """Return the applied lines that were drawn by lot, the last one of each shelf."""
    found: dict[StockKey, tuple[Instant, Counting]] = {}
    for record in records_of(reader, SHEET):
        body = json.loads(record.body)
        closed_at = body.get("closed_at")
        if closed_at is None or at not in {None, body["at"]} or closed_at < (earliest or closed_at):
            continue
        for name, line in body["lines"].items():
            if "applied" not in line or Reason.RANDOM.value not in line["reasons"]:
                continue
            sku, lot = sheets.names_of(name)
            key, applied = StockKey(sku, body["at"], lot), line["applied"]
            counting = Counting(
                book=applied["expected"],
                counted=applied["counted"],
                cost=costs.get(sku),
                abc=line["abc"],
            )
            if key not in found or found[key][0] <= closed_at:
                found[key] = (closed_at, counting)
    return [counting for _, counting in found.values()]
