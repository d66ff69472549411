"""
What may have been promisable while it was observed: ``available``, which is no plain sum.

Rules:
1. Holds run out without a write. One that had run out before the window counts as sellable
   throughout; one that runs out inside it may count with any number of units it held
   meanwhile, or with none; one that runs out later counts with none.
2. A lot runs out the same way, and takes all that was sellable of it with it. What is below
   zero stays: it is owed, not spoilt.
3. Keys are not netted: what one lacks, another does not make up for.

Complexity of a key: O(1) when it is quiet; else O(entries since the window began), and the
movements of the holds among them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from truecount.ledger.supply import is_expired
from truecount.model.instants import Instant
from truecount.model.lines import NEVER, LineRow
from truecount.model.movements import Body, decode
from truecount.model.stock import EntryRow, StockKey, StockRow
from truecount.protocols.storage import Reader
from truecount.reconciliation import reach
from truecount.reconciliation.observations import LEDGER
from truecount.reconciliation.reach import Reach
from truecount.reconciliation.view import HELD, SELLABLE
from truecount.reconciliation.windows import Clocks, Past, Rows, by_source


def available_reach(reader: Reader, clocks: Clocks, past: Past, rows: Rows) -> Reach:
    """Return what may have been promisable of all keys together; nothing is netted."""
    return reach.never_netted([_available(reader, clocks, past, key, row) for key, row in rows])


def _available(reader: Reader, clocks: Clocks, past: Past, key: StockKey, row: StockRow) -> Reach:
    """Return what may have been promisable of one key."""
    base = past.base[key][SELLABLE]
    later = past.later.get(key, ())
    if not later and row.lot_expires_at is None and not past.base[key][HELD]:
        return reach.point(base)
    skew = clocks.of(LEDGER).skew
    changes = {
        event.row.id: change[SELLABLE]
        for event in past.events
        for touched, change in event.changes
        if touched == key
    }
    running_out: list[Reach] = []
    for hold in _holds_around(reader, past, key, row, later):
        if hold.expires_at + skew <= past.span.since:
            base += hold.before
            for id_, by in hold.inside.items():
                changes[id_] += by
        elif hold.expires_at <= past.span.until + skew:
            while_held = _reached(clocks, past, hold.before, hold.inside)
            running_out.append(reach.either(reach.point(0), while_held))
    found = _reached(clocks, past, base, changes)
    for each in running_out:
        found = reach.plus(found, each)
    return _unless_spoilt(found, past, key, row, skew)


def _reached(clocks: Clocks, past: Past, base: int, changes: Mapping[str, int]) -> Reach:
    """Return what *base* may have become by *changes*, each named by the event it is part of."""
    of_events = ((event, changes.get(event.row.id, 0)) for event in past.events)
    return reach.reached(base, by_source(clocks, of_events))


def _unless_spoilt(found: Reach, past: Past, key: StockKey, row: StockRow, skew: Instant) -> Reach:
    """Return what was *found*, unless the lot had run out; both where nobody can tell."""
    spoilt = found.mapped(lambda units: min(0, units))
    if key in past.retold:
        return reach.either(found, spoilt)
    if not is_expired(row, past.span.until + skew):
        return found
    return spoilt if is_expired(row, past.span.since - skew) else reach.either(found, spoilt)


class _HoldAround(NamedTuple):
    """What a line held before every event of the window, and what each event changed of it."""

    expires_at: Instant
    before: int
    inside: Mapping[str, int]


def _holds_around(
    reader: Reader, past: Past, key: StockKey, row: StockRow, later: Iterable[EntryRow]
) -> Iterator[_HoldAround]:
    """Yield the holds of a key at some time of the window, by the events of the window."""
    if not (past.base[key][HELD] or any(entry.change[HELD] for entry in later)):
        return
    event_of = {id_: event.row.id for event in past.events for id_ in event.ids}
    for hold in _holds(reader, key, row, later):
        inside: dict[str, int] = defaultdict(int)
        for id_, by in hold.changes.items():
            if id_ in event_of:
                inside[event_of[id_]] += by
        yield _HoldAround(hold.expires_at, hold.units - sum(hold.changes.values()), inside)


class _Hold(NamedTuple):
    """A reservation line that held units of a key at some time since the window began."""

    expires_at: Instant
    #: What it holds now, and what each later movement changed of that.
    units: int
    changes: Mapping[str, int]


def _holds(
    reader: Reader, key: StockKey, row: StockRow, later: Iterable[EntryRow]
) -> Iterator[_Hold]:
    """Yield the lines that hold units of a key now, or held some before a later entry."""
    changes: dict[tuple[str, int], dict[str, int]] = defaultdict(dict)
    acting = [entry.movement_id for entry in later if entry.change[HELD]]
    for _, movement in reader.movements(acting):
        if movement.reference is not None:
            for number, by in _held_by_line(decode(movement.body), key).items():
                changes[movement.reference, number][movement.id] = by
    lines = {
        (line.reference, line.number): line
        for line in (reader.open_lines(key) if row.held else ())
        if line.held
    }
    for reference in sorted({reference for reference, _ in changes}):
        for line in reader.lines(reference):
            if (reference, line.number) in changes:
                lines[reference, line.number] = line
    for name, line in lines.items():
        yield _Hold(_expiry(reader, line), line.held, changes.get(name, {}))


def _held_by_line(body: Body, key: StockKey) -> dict[int, int]:
    """Return by how much a movement changed what each of its lines holds of *key*."""
    held: dict[int, int] = defaultdict(int)
    for leg in body.legs:
        for place, sign in ((leg.source, -1), (leg.target, 1)):
            if place.name == "held" and (leg.sku, place.location, leg.lot) == key and leg.line:
                held[leg.line] += sign * leg.quantity
    return {number: by for number, by in held.items() if by}


def _expiry(reader: Reader, line: LineRow) -> Instant:
    """Return when a hold ran out or will; a line that was confirmed has forgotten it."""
    if line.expires_at != NEVER:
        return line.expires_at
    for _, movement in reader.movements_of(line.reference):
        for opening in decode(movement.body).opened:
            if opening.number == line.number:
                return opening.expires_at
    return NEVER
