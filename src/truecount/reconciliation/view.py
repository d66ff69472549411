"""
One reading of the book, as the rules of findings see it.

What is on each shelf, where a condition on its figures began, whose promises it puts at risk.

Rules:
1. What may be promised counts holds that have run out, as reservations do; holds of the
   past are counted as they stood.
2. Where a condition on figures began is found by walking the entries of its keys back, from
   the newest until it did not hold, in growing windows; or only to where the register saw
   it last. Only keys with the condition are walked.
3. The newest promise is the first at risk: the oldest is served first.
"""

from __future__ import annotations

import heapq
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from operator import sub
from typing import Final, NamedTuple, TypeAlias

import attrs

from truecount.ledger.supply import is_expired
from truecount.model.instants import Instant, to_instant
from truecount.model.lines import LineRow
from truecount.model.movements import MovementRow
from truecount.model.places import INDEX, State
from truecount.model.settings import Settings
from truecount.model.stock import Amounts, EntryRow, StockKey, StockRow
from truecount.protocols.storage import Reader, Record
from truecount.reconciliation.findings import Condition, FindingKind, Known


#: Movement ids kept as evidence: the first one and the latest.
EVIDENCE_MAX: Final = 10

_FIRST_WINDOW: Final = 16
_LAST_WINDOW: Final = 4096
SELLABLE: Final = INDEX[State.SELLABLE]
HELD: Final = INDEX[State.HELD]
ALLOCATED: Final = INDEX[State.ALLOCATED]
QUARANTINE: Final = INDEX[State.QUARANTINE]
DAMAGED: Final = INDEX[State.DAMAGED]
IN_TRANSIT: Final = INDEX[State.IN_TRANSIT]
INCOMING: Final = INDEX[State.INCOMING]

Figures: TypeAlias = dict[StockKey, Amounts]


class Shelf(NamedTuple):
    """A stock key that is worth a look, with its open reservation lines."""

    key: StockKey
    row: StockRow
    lines: list[LineRow]
    #: Units of holds that have run out.
    expired: int

    @property
    def free(self) -> int:
        """Sellable units and those of holds that have run out, whatever the lot's expiry."""
        return self.row.sellable + self.expired


@attrs.define(eq=False)
class View:
    """One reading of the book."""

    reader: Reader
    settings: Settings
    now: Instant
    #: Open findings of the register by stem, and the stems of facts that were dismissed.
    known: Mapping[str, Known]
    done: frozenset[str]
    #: Up to where the last finding of a stem was seen, and when it closed; None without one.
    closed: Callable[[str], tuple[int, Instant] | None]
    shelves: dict[StockKey, Shelf] = attrs.field(factory=dict)
    #: Stock rows of a SKU at a location that may be down to its reorder point.
    low: list[list[tuple[StockKey, StockRow]]] = attrs.field(factory=list)
    #: SKUs with any figure, by what is left when case, spaces and leading zeros are not.
    spellings: dict[str, list[str]] = attrs.field(factory=dict)
    #: Which states have units anywhere: only then their documents are read.
    states: set[int] = attrs.field(factory=set)


# --- one pass over the stock -------------------------------------------------------------


def look(view: View) -> None:
    """Read every stock row once; keep those a rule will look at."""
    kept: list[tuple[StockKey, StockRow]] = []
    reorders = any(p.reorder_point is not None for p in view.settings.policies.values())
    for sku, group in groupby(view.reader.stock(), key=lambda item: item[0].sku):
        rows = list(group)
        kept += [(key, row) for key, row in rows if _worth_a_look(row, view.now)]
        for index in (IN_TRANSIT, INCOMING):
            if any(row.amounts[index] for _, row in rows):
                view.states.add(index)
        if any(any(row.amounts) for _, row in rows):
            view.spellings.setdefault(folded(sku), []).append(sku)
        for location, here in groupby(rows if reorders else (), lambda item: item[0].location):
            if view.settings.policy(sku, location).reorder_point is not None:
                view.low.append(list(here))
    for key, row in kept:
        lines = list(view.reader.open_lines(key)) if any(row.promised) else []
        expired = sum(line.held for line in lines if line.has_expired(view.now))
        view.shelves[key] = Shelf(key, row, lines, expired)


def _worth_a_look(row: StockRow, now: Instant) -> bool:
    amounts = row.amounts
    return (
        any(row.promised)
        or min(amounts) < 0
        or row.on_hand < 0
        or amounts[QUARANTINE] > 0
        or (is_expired(row, now) and any(amounts))
    )


def folded(sku: str) -> str:
    """
    Return what is left of a SKU without case, spaces and leading zeros.

    >>> folded("00 Mug-7") == folded("MUG-7"), folded("000")
    (True, '0')
    """
    bare = "".join(unicodedata.normalize("NFKC", sku).casefold().split())
    return bare.lstrip("0") or "0"


def pages(reader: Reader, space: str, prefix: str = "", *, after: str = "") -> Iterator[Record]:
    """Yield the documents of a space whose id begins with *prefix*, those above *after*."""
    after = after or prefix
    while page := reader.records(space, after):
        for record in page:
            if not record.id.startswith(prefix):
                return
            yield record
        after = page[-1].id


# --- where a condition began -------------------------------------------------------------


class Origin(NamedTuple):
    """Where a condition on figures began, and the movements that made it so."""

    began: int
    mark: int
    since: Instant
    evidence: tuple[str, ...]


def newest_first(reader: Reader, key: StockKey, version: int) -> Iterator[EntryRow]:
    """Yield the entries of *key* from *version* back to the first, in growing windows."""
    window = _FIRST_WINDOW
    while version > 0:
        after = max(0, version - window)
        yield from reversed(list(islice(reader.entries(key, after), version - after)))
        version, window = after, min(window * 4, _LAST_WINDOW)


def origin(
    view: View,
    stem: str,
    rows: Mapping[StockKey, StockRow],
    holds: Callable[[Figures], bool],
    worsens: Callable[[Amounts], bool],
) -> Origin:
    """
    Return where a condition on the figures of *rows*, which holds now, began.

    Entries of one write are taken together: nobody ever saw the figures between them. What
    was found to be over in between (another policy, a hold that ran out) began again then.

    Complexity: O(entries since it began), or since the register saw it last.
    """
    known = view.known.get(stem)
    mark = max(row.recorded_at for row in rows.values())
    figures: Figures = {key: row.amounts for key, row in rows.items()}
    streams = [newest_first(view.reader, key, row.version) for key, row in rows.items()]
    merged = heapq.merge(*streams, key=lambda entry: entry.recorded_at, reverse=True)
    began, since, first = mark, mark, ""
    latest: list[str] = []
    for recorded_at, group in groupby(merged, key=lambda entry: entry.recorded_at):
        if known is not None and recorded_at <= known.mark:
            first, *rest = known.finding.evidence or ("",)
            since = to_instant(known.finding.since)
            return Origin(known.began, mark, since, _evidence(first, [*rest, *latest[::-1]]))
        entries = list(group)
        for entry in entries:
            figures[entry.key] = tuple(map(sub, figures[entry.key], entry.change))
        worse = [entry for entry in entries if worsens(entry.change)]
        latest += [entry.movement_id for entry in worse[: EVIDENCE_MAX - len(latest)]]
        began, cause = recorded_at, (worse or entries)[-1]
        since, first = cause.occurred_at, cause.movement_id
        if not holds(figures):
            break
    closed = None if known is not None else view.closed(stem)
    if closed is not None and began <= closed[0]:
        since = max(since, closed[1])
    return Origin(began, mark, since, _evidence(first, latest[::-1]))


def _evidence(first: str, later: Iterable[str]) -> tuple[str, ...]:
    """Return the first movement and the latest ones, each once, in order."""
    rest = [id_ for id_ in dict.fromkeys(later) if id_ != first]
    return (first, *rest[-(EVIDENCE_MAX - 1) :]) if first else tuple(rest)


def at_risk(view: View, shelf: Shelf, shortage: int) -> tuple[str, ...]:
    """
    Return the references whose promises *shortage* units cannot keep, the newest first.

    Picked units have left the shelf and are safe; holds that have run out promise nothing.

    Complexity: O(entries since the oldest promise named).
    """
    return endangered(view, {shelf.key: shortage}, [shelf])


def endangered(
    view: View, shortages: Mapping[StockKey, int], shelves: Sequence[Shelf], anywhere: int = 0
) -> tuple[str, ...]:
    """
    Return the references whose promises cannot be kept, the newest first.

    Args:
        shortages: Units that are missing at each of *shelves*.
        anywhere: Units more that are missing at one or the other of them.

    Complexity: O(entries since the oldest promise named).
    """
    short = {key: max(0, units) for key, units in shortages.items()}
    anywhere = max(0, anywhere)
    waiting = {shelf.key: _waiting(view, shelf) for shelf in shelves}
    streams = [
        newest_first(view.reader, shelf.key, shelf.row.version)
        for shelf in shelves
        if waiting[shelf.key]
    ]
    found: dict[str, None] = {}
    for entry in heapq.merge(*streams, key=lambda entry: entry.recorded_at, reverse=True):
        if not any(left and short.get(key, 0) + anywhere > 0 for key, left in waiting.items()):
            break
        here = short.get(entry.key, 0)
        if here + anywhere > 0 and _promises(entry):
            reference = movement(view, entry.movement_id).reference or ""
            if units := waiting[entry.key].pop(reference, 0):
                found[reference] = None
                short[entry.key] = max(0, here - units)
                anywhere = max(0, anywhere - max(0, units - here))
    return tuple(found)


def _promises(entry: EntryRow) -> bool:
    return entry.change[SELLABLE] < 0 < entry.change[HELD] + entry.change[ALLOCATED]


def _waiting(view: View, shelf: Shelf) -> dict[str, int]:
    """Return the units of a shelf promised under each reference and not taken off it yet."""
    waiting: dict[str, int] = {}
    for line in shelf.lines:
        held = 0 if line.has_expired(view.now) else line.held
        if held + line.allocated:
            waiting[line.reference] = waiting.get(line.reference, 0) + held + line.allocated
    return waiting


def movement(view: View, id_: str) -> MovementRow:
    """Return one movement of the ledger."""
    return next(view.reader.movements([id_]))[1]


def only(values: Iterable[str]) -> str:
    """Return what all *values* are, "" when they differ."""
    different = set(values)
    return different.pop() if len(different) == 1 else ""


def condition_of(
    kind: FindingKind,
    key: StockKey,
    start: Origin,
    quantity: int,
    sentence: str,
    *,
    endangered: tuple[str, ...] = (),
    reference: str | None = None,
    subject: tuple[str, ...] | None = None,
) -> Condition:
    """Return a condition of one stock key."""
    return Condition(
        kind=kind,
        subject=tuple(key) if subject is None else subject,
        began=start.began,
        mark=start.mark,
        sku=key.sku,
        at=key.location,
        lot=key.lot,
        reference=reference,
        quantity=quantity,
        since=start.since,
        evidence=start.evidence,
        at_risk=endangered,
        sentence=sentence,
    )
