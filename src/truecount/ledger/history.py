"""
Reading the ledger: figures now and then, histories, documents. Functions over a Reader.

As-of reads never look at the present: the figures at a version are what the entry of that
version says, and those at a time are that plus the late entries (see ``Reader.as_of``).
``available`` of a past moment counts sellable units only: which holds had run out by then
is a question about the clock, not about the ledger.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from operator import add
from typing import NamedTuple

import attrs

from truecount.errors import InvalidArgument, UnknownMovement, UnknownReference
from truecount.ledger.delivery_rules import PURCHASE, outstanding
from truecount.ledger.transfer_rules import TRANSFER, on_the_way
from truecount.model import instants, quantities
from truecount.model.instants import Instant, optional_datetime, to_instant
from truecount.model.movements import Movement, MovementRow, movement_of
from truecount.model.stock import (
    NOTHING,
    Amounts,
    EntryRow,
    Figures,
    StockKey,
    figures,
    never_netted,
)
from truecount.protocols.storage import Reader
from truecount.write.figures import available_at


# --- now --------------------------------------------------------------------------------


def stock_of(
    reader: Reader, sku: str | None, location: str | None, now: Instant
) -> Iterator[tuple[StockKey, Figures]]:
    """Yield the figures of every key."""
    for key, row in reader.stock(sku, location):
        yield key, figures(row.amounts, available_at(reader, key, row, now))


def figures_of(
    reader: Reader, sku: str, location: str | None, lot: str | None, now: Instant
) -> Figures:
    """Return the figures of a SKU added up over its keys."""
    return added_up(
        (row.amounts, available_at(reader, key, row, now))
        for key, row in reader.stock(sku, location)
        if lot is None or key.lot == lot
    )


def added_up(parts: Iterator[tuple[Amounts, int]]) -> Figures:
    """Return figures added up; what may be promised is never netted."""
    total: Amounts = NOTHING
    promisable = []
    for amounts, available in parts:
        total = tuple(map(add, total, amounts))  # Of many keys: it may well leave int64.
        promisable.append(available)
    return figures(total, never_netted(promisable))


# --- then -------------------------------------------------------------------------------


class Moment(NamedTuple):
    """Which past is meant: a time (as known when), a version, or a position."""

    time: datetime | None = None
    known_at: datetime | None = None
    version: int | None = None
    position: int | None = None


def figures_as_of(
    reader: Reader, moment: Moment, sku: str, location: str | None, lot: str | None
) -> Figures:
    """
    Return the figures of a SKU at a past moment.

    Raises:
        InvalidArgument: Not exactly one moment is named, or one that is yet to come.
    """
    named = [moment.time, moment.version, moment.position]
    if sum(value is not None for value in named) != 1:
        raise InvalidArgument("moment", repr(moment), "exactly one of time, version and position")
    if moment.known_at is not None and moment.time is None:
        raise InvalidArgument("known_at", repr(moment.known_at), "a time= to ask about as well")
    if moment.position and not reader.feed(quantities.natural(moment.position, "position") - 1, 1):
        raise InvalidArgument("position", str(moment.position), "at most the newest of the feed")
    keys = [key for key, _ in reader.stock(sku, location) if lot is None or key.lot == lot]
    if moment.version is not None and len(keys) > 1:
        raise InvalidArgument("version", repr(moment.version), "one key: name at= and lot=")
    amounts = (amounts_as_of(reader, key, moment) for key in keys)
    return added_up((each, each[0]) for each in amounts)


def amounts_as_of(reader: Reader, key: StockKey, moment: Moment) -> Amounts:
    """Return the figures of one key at a past moment."""
    if moment.time is not None:
        instants.moment(moment.time, "time")
        known = None
        if moment.known_at is not None:
            limit = to_instant(instants.moment(moment.known_at, "known_at"))
            known = last_version(reader, key, lambda entry: entry.recorded_at <= limit)
        return reader.as_of(key, to_instant(moment.time), known)
    if moment.version is not None:
        return _at_version(reader, key, quantities.natural(moment.version, "version"))
    position = quantities.natural(moment.position or 0, "position")
    return _at_version(reader, key, _version_at_position(reader, key, position))


def _at_version(reader: Reader, key: StockKey, version: int) -> Amounts:
    if version == 0:
        return NOTHING
    entry = next(reader.entries(key, version - 1), None)
    if entry is None:
        newest = last_version(reader, key, lambda _entry: True)
        raise InvalidArgument("version", str(version), f"at most {newest}, the newest")
    return entry.after


def _version_at_position(reader: Reader, key: StockKey, position: int) -> int:
    def numbered(entry: EntryRow) -> bool:
        found = next(reader.movements([entry.movement_id]))[0]
        return found is not None and found <= position

    return last_version(reader, key, numbered)


def last_version(reader: Reader, key: StockKey, holds: Callable[[EntryRow], bool]) -> int:
    """Return the last version whose entry *holds*, true for a prefix. O(log n) probes."""
    low, high = 0, 1
    while (entry := next(reader.entries(key, high - 1), None)) is not None and holds(entry):
        low, high = high, high * 2
    while low + 1 < high:
        middle = (low + high) // 2
        entry = next(reader.entries(key, middle - 1), None)
        if entry is not None and holds(entry):
            low = middle
        else:
            high = middle
    return low


# --- histories --------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class HistoryEntry:
    """
    What one movement did to one stock key, and the figures after it.

    Attributes:
        movement: What happened, with kind, reference, reason, actor and origin.
        key: SKU, location, lot.
        version: The entry's number on this key, from 1 without a gap.
        change: The change of each figure.
        after: The running figures.
    """

    movement: Movement
    key: StockKey
    version: int
    change: Figures
    after: Figures


def history_of(
    reader: Reader,
    sku: str | None,
    location: str | None,
    reference: str | None,
    last: int | None,
) -> list[HistoryEntry]:
    """Return entries in the order they were recorded; the newest *last* of them."""
    if sku is None and location is None and reference is None:
        raise InvalidArgument("history", "of nothing", "a SKU, a location (at=) or a reference")
    if last is not None:
        quantities.natural(last, "last")
    if reference is not None:
        return _newest(list(_under_reference(reader, reference, sku, location)), last)
    keys = [(key, row.version) for key, row in reader.stock(sku, location)]
    streams = (
        reader.entries(key, 0 if last is None else max(0, version - last)) for key, version in keys
    )
    rows = list(heapq.merge(*streams, key=lambda entry: entry.recorded_at))
    if last and len(rows) > last:
        # What one write recorded is cut apart only when its own order is known.
        since = rows[-last].recorded_at
        rows = [row for row in rows if row.recorded_at >= since]
    found = sorted(_with_order(reader, row) for row in rows)
    return _newest([_entry_of(movement_of(*stored), row) for _, row, stored in found], last)


def _newest(entries: list[HistoryEntry], last: int | None) -> list[HistoryEntry]:
    return entries if last is None else entries[-last:] if last else []


class _Ordered(NamedTuple):
    """An entry with what puts it in the order of the ledger, and its movement as stored."""

    order: tuple[Instant, int, str, StockKey]
    entry: EntryRow
    stored: tuple[MovementRow, int | None]


def _with_order(reader: Reader, entry: EntryRow) -> _Ordered:
    position, row = next(reader.movements([entry.movement_id]))
    return _Ordered((row.recorded_at, row.ordinal, row.id, entry.key), entry, (row, position))


def _under_reference(
    reader: Reader, reference: str, sku: str | None, location: str | None
) -> Iterator[HistoryEntry]:
    for position, row in reader.movements_of(reference):
        movement = movement_of(row, position)
        for key, version in movement.versions:
            if sku in {None, key.sku} and location in {None, key.location}:
                entry = next(reader.entries(key, version - 1))
                yield _entry_of(movement, entry)


def _entry_of(movement: Movement, row: EntryRow) -> HistoryEntry:
    return HistoryEntry(
        movement=movement,
        key=row.key,
        version=row.version,
        change=figures(row.change, row.change[0]),
        after=figures(row.after, row.after[0]),
    )


def movement_by_id(reader: Reader, movement_id: str) -> Movement:
    """Return one movement; raise UnknownMovement."""
    for position, row in reader.movements([movement_id]):
        return movement_of(row, position)
    raise UnknownMovement(movement_id)


def feed_of(reader: Reader, after: int, limit: int) -> list[Movement]:
    """Return the next movements by position."""
    return [movement_of(row, position) for position, row in reader.feed(after, limit)]


# --- documents --------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class DeliveryLine:
    """One line of a purchase order; ordered = received + rejected + closed + outstanding."""

    sku: str
    at: str
    ordered: int
    received: int
    rejected: int
    closed: int
    surplus: int
    outstanding: int
    due_at: datetime | None


def delivery_of(reader: Reader, reference: str) -> list[DeliveryLine]:
    """Return the lines of a purchase order; raise UnknownReference."""
    record = reader.record(PURCHASE, reference)
    if record is None:
        raise UnknownReference("purchase order", reference)
    document = json.loads(record.body)
    lines = []
    for name in sorted(document["lines"]):
        at, sku = json.loads(name)
        counters = document["lines"][name]
        lines.append(
            DeliveryLine(
                sku=sku,
                at=at,
                **{
                    field: counters.get(field, 0)
                    for field in ("ordered", "received", "rejected", "closed", "surplus")
                },
                outstanding=outstanding(document, name),
                due_at=optional_datetime(document.get("due", {}).get(name)),
            )
        )
    return lines


@attrs.frozen(kw_only=True)
class TransferLine:
    """One SKU and lot of a transfer; sent = arrived + rejected + lost + on_the_way."""

    sku: str
    lot: str
    sent: int
    arrived: int
    rejected: int
    lost: int
    surplus: int
    on_the_way: int


@attrs.frozen(kw_only=True)
class Transfer:
    """A transfer between two locations."""

    reference: str
    source: str
    target: str
    due_at: datetime | None
    lines: tuple[TransferLine, ...]


def transfer_of(reader: Reader, reference: str) -> Transfer:
    """Return a transfer; raise UnknownReference."""
    record = reader.record(TRANSFER, reference)
    if record is None:
        raise UnknownReference("transfer", reference)
    document = json.loads(record.body)
    lines = []
    for name in sorted(document["lines"]):
        sku, lot = json.loads(name)
        counters = document["lines"][name]
        lines.append(
            TransferLine(
                sku=sku,
                lot=lot,
                **{
                    field: counters.get(field, 0)
                    for field in ("sent", "arrived", "rejected", "lost", "surplus")
                },
                on_the_way=on_the_way(document, name),
            )
        )
    return Transfer(
        reference=reference,
        source=document["source"],
        target=document["target"],
        due_at=optional_datetime(document.get("due_at")),
        lines=tuple(lines),
    )
