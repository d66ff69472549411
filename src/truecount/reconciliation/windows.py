"""
The book's side of a comparison: which values a figure may have had while it was observed.

Rules:
1. An event was certainly seen when its latest possible time is not after the earliest moment
   of the observation, certainly not when its earliest possible time is after the latest
   moment. What lies between is in the window; the rest is in the base, or left out.
2. A source's order is that of its own stamps. What the ledger itself stamped has the
   ledger's clock. What nobody signed, or was stamped only when a late report came in, has no
   order: each such event is a source of its own.
3. One movement is one event, whatever keys of the figure it touches; what corrects it or
   takes it back is part of that event, with the clock of whoever reported it first.
4. A recorded count is no event: its variance is what the book had not heard of, and arose
   before. Inside the window it is in the base, so what was recorded from an observation
   agrees with that observation. What is refolded at a count is placed by the count's moment
   and the ledger's clock alone, whoever was late: in or out with it, or it would be missing.
5. A key that has not moved since the window began is answered from its stock row alone.

Invariants:
I19 The reach holds every value the figure can have had, while the bounds hold.

``promisable`` adds what is no plain sum: holds and lots that run out without a write.

Complexity of a figure: O(1) for each quiet key; else O(entries of the key since the window
began).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

import attrs

from truecount.ledger.anchors import moment_of
from truecount.model.instants import Instant, microseconds
from truecount.model.kinds import Kind
from truecount.model.movements import MovementRow, decode
from truecount.model.places import ON_HAND, RESERVED, STATES, State
from truecount.model.stock import Amounts, EntryRow, StockKey, StockRow, plus
from truecount.protocols.storage import Reader
from truecount.reconciliation import reach
from truecount.reconciliation.observations import ANYBODY, LEDGER, Formula, Shown, Source
from truecount.reconciliation.reach import Change, Reach
from truecount.reconciliation.view import newest_first


#: How each state counts towards a figure that is a plain sum.
Weights: TypeAlias = tuple[int, ...]
Rows: TypeAlias = Sequence[tuple[StockKey, StockRow]]


def weights_of(states: Iterable[State]) -> Weights:
    """
    Return how each state counts towards the sum of *states*.

    >>> weights_of([State.SELLABLE, State.DAMAGED])
    (1, 0, 0, 0, 0, 1, 0, 0)
    """
    counted = frozenset(states)
    return tuple(int(state in counted) for state in STATES)


#: Figures that are sums; ``available`` is not, because nothing of it is netted.
SUMS: Final[Mapping[Shown, Weights]] = {
    Shown.ON_HAND: weights_of(ON_HAND),
    Shown.UNRESERVED: weights_of(ON_HAND - RESERVED),
    Shown.PROSPECTIVE: weights_of((ON_HAND - RESERVED) | {State.INCOMING}),
}


class Bounds(NamedTuple):
    """How far the stamps of a source may be off, and its reports be late: microseconds."""

    skew: Instant
    late: Instant


_EXACT: Final = Bounds(0, 0)
_SHOWN_AS_IS: Final = Formula()


@attrs.frozen
class Clocks:
    """The bounds of every source that was described."""

    sources: Mapping[str, Source]
    bounds: Mapping[str, Bounds] = attrs.field(init=False)
    #: Those of a source that was not described by name.
    otherwise: Bounds = attrs.field(init=False)
    #: The greatest skew and lateness of any source that stamps events.
    worst: Bounds = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        bounds = {
            name: Bounds(microseconds(source.skew), microseconds(source.late))
            for name, source in self.sources.items()
        }
        otherwise = bounds.get(ANYBODY, _EXACT)
        # What the ledger decides happens when it is recorded: it is late by its own word only.
        bounds.setdefault(LEDGER, otherwise._replace(late=0))
        worst = Bounds(
            max(each.skew for each in bounds.values()), max(each.late for each in bounds.values())
        )
        object.__setattr__(self, "bounds", bounds)
        object.__setattr__(self, "otherwise", otherwise)
        object.__setattr__(self, "worst", worst)

    def of(self, source: str) -> Bounds:
        """Return the bounds of a source; one that nobody described is exact."""
        return self.bounds.get(source, self.otherwise)

    def described(self, source: str) -> Source | None:
        """Return who a source is, if it was described."""
        return self.sources.get(source) or self.sources.get(ANYBODY)

    def formula(self, source: str) -> Formula:
        """Return how a source makes the level it shows."""
        described = self.described(source)
        return _SHOWN_AS_IS if described is None else described.formula

    def drawn_on(self, source: str) -> frozenset[str] | None:
        """Return the locations a source draws on, None for all."""
        described = self.described(source)
        return None if described is None else described.at

    def span(self, source: str, since: Instant, until: Instant) -> Span:
        """Return when what *source* observed from *since* to *until* may really have been."""
        skew = self.of(source).skew
        return Span(since - skew, until + skew)

    def decidable_at(self, span: Span) -> Instant:
        """Return when the ledger's clock shows that all reports about *span* have come."""
        return span.until + self.worst.late + self.of(LEDGER).skew


class Span(NamedTuple):
    """True times between which an observation was made, both included."""

    since: Instant
    until: Instant


class Event(NamedTuple):
    """
    An event that may or may not have been seen: whose, its stamp, what it changed.

    ``row`` is the movement that reported it first, ``ids`` those that make it up here.
    """

    source: tuple[str, bool]
    stamp: Instant
    changes: tuple[tuple[StockKey, Amounts], ...]
    row: MovementRow
    ids: frozenset[str]


@attrs.frozen
class Past:
    """
    The keys of a figure around the time they were observed.

    Attributes:
        base: What each key had before every event of the window.
        events: The events that may or may not have been seen.
        later: Every entry that is not in the base, late ones of the window included.
        retold: Keys whose lot was given another expiry since.
    """

    span: Span
    base: Mapping[StockKey, Amounts]
    events: Sequence[Event]
    later: Mapping[StockKey, Sequence[EntryRow]]
    retold: frozenset[StockKey] = frozenset()


def past_of(reader: Reader, clocks: Clocks, rows: Rows, span: Span) -> Past:
    """Return the *rows* of a figure as they may have been within *span*."""
    earliest = span.since - clocks.worst.skew
    base: dict[StockKey, Amounts] = {}
    later: dict[StockKey, Sequence[EntryRow]] = {}
    for key, row in rows:
        base[key], entries = _before(reader, key, row, earliest)
        if entries:
            later[key] = entries
    if not later:
        return Past(span, base, (), later)
    events: list[Event] = []
    retold: set[StockKey] = set()
    left: dict[StockKey, list[EntryRow]] = {key: [] for key in later}
    for event, movements, entries in _events(reader, later):
        placed = _placed(clocks, event, span)
        for movement in movements:
            retold.update(_retold(movement, event.changes))
        if placed == _SEEN:
            for key, change in event.changes:
                base[key] = plus(base[key], change)
            continue
        for entry in entries:
            left[entry.key].append(entry)
        if placed == _PERHAPS:
            events.append(event)
    return Past(span, base, events, left, frozenset(retold))


def _before(
    reader: Reader, key: StockKey, row: StockRow, instant: Instant
) -> tuple[Amounts, list[EntryRow]]:
    """Return the figures of a key as of *instant*, and the entries that occurred after it."""
    if row.horizon <= instant:
        return row.amounts, []
    amounts: Amounts = (0, 0, 0, 0, 0, 0, 0, 0)
    newer: list[EntryRow] = []
    for entry in newest_first(reader, key, row.version):
        if entry.horizon <= instant:
            amounts = entry.after
            break
        newer.append(entry)
    after = []
    for entry in reversed(newer):
        if entry.occurred_at <= instant:
            amounts = plus(amounts, entry.change)
        else:
            after.append(entry)
    return amounts, after


def _events(
    reader: Reader, later: Mapping[StockKey, Sequence[EntryRow]]
) -> Iterator[tuple[Event, list[MovementRow], list[EntryRow]]]:
    """Yield what happened by *later* entries: each event with its movements and entries here."""
    entries: dict[str, list[EntryRow]] = defaultdict(list)
    for several in later.values():
        for entry in several:
            entries[entry.movement_id].append(entry)
    rows = {row.id: row for _, row in reader.movements(list(entries))}
    originals = _originals(reader, rows)
    together: dict[str, list[MovementRow]] = defaultdict(list)
    for row in rows.values():
        together[originals[row.id].id].append(row)
    for several_rows in together.values():
        first = originals[several_rows[0].id]
        here = [entry for row in several_rows for entry in entries[row.id]]
        changes: dict[StockKey, Amounts] = {}
        for entry in here:
            known = changes.get(entry.key)
            changes[entry.key] = entry.change if known is None else plus(known, entry.change)
        stamped_here = first.occurred_at == first.recorded_at
        yield (
            Event(
                (first.origin or "", stamped_here),
                first.occurred_at,
                tuple(changes.items()),
                first,
                frozenset(row.id for row in several_rows),
            ),
            several_rows,
            here,
        )


def _originals(reader: Reader, rows: Mapping[str, MovementRow]) -> dict[str, MovementRow]:
    """Return for each of *rows* the movement it corrects or takes back in the end, or itself."""
    known = dict(rows)
    while missing := {row.reverses for row in known.values() if row.reverses} - known.keys():
        known.update((row.id, row) for _, row in reader.movements(sorted(missing)))
    found = {}
    for id_, row in rows.items():
        while row.reverses:
            row = known[row.reverses]  # noqa: PLW2901 -- back to the first, step by step
        found[id_] = row
    return found


def _retold(row: MovementRow, changes: Iterable[tuple[StockKey, Amounts]]) -> Iterator[StockKey]:
    """Yield the keys whose lot a movement gave another expiry than it had."""
    if '"expiries"' not in row.body:
        return
    told: dict[tuple[str, str], set[Instant]] = defaultdict(set)
    for sku, lot, instant in decode(row.body).expiries:
        told[sku, lot].add(instant)
    for key, _ in changes:
        if len(told[key.sku, key.lot]) > 1:
            yield key


#: Movements that put the book right and say nothing of what happened at their time.
CORRECTIONS: Final = frozenset({Kind.COUNT.value, Kind.REFOLD.value})

_SEEN: Final = "seen"
_PERHAPS: Final = "perhaps"
_NOT_YET: Final = "not yet"


def _placed(clocks: Clocks, event: Event, span: Span) -> str:
    """Return whether an event was seen, perhaps seen, or not yet there."""
    if event.row.kind in CORRECTIONS:
        is_seen = moment_of(event.row) - clocks.of(LEDGER).skew <= span.until
        return _SEEN if is_seen else _NOT_YET
    origin, stamped_here = event.source
    skew, late = clocks.of(origin or LEDGER)
    earliest = event.stamp - skew
    if stamped_here:
        # The ledger's clock, when the report came in: it happened up to its lateness before.
        skew = clocks.of(LEDGER).skew
        earliest = event.stamp - skew - late
    if earliest > span.until:
        return _NOT_YET
    return _SEEN if event.stamp + skew <= span.since else _PERHAPS


def _line_of(clocks: Clocks, event: Event) -> tuple[str, str]:
    """Return the name of the source whose order an event has; its own where it has none."""
    origin, stamped_here = event.source
    unordered = clocks.of(origin or LEDGER).late > 0 if stamped_here else not origin
    return (origin, event.row.id if unordered else str(stamped_here))


# --- figures ----------------------------------------------------------------------------


def sum_reach(clocks: Clocks, past: Past, weights: Weights) -> Reach:
    """Return what the weighted sum of all states of all keys may have been."""
    base = sum(_weighed(amounts, weights) for amounts in past.base.values())
    changes = (
        (event, sum(_weighed(change, weights) for _, change in event.changes))
        for event in past.events
    )
    return reach.reached(base, by_source(clocks, changes))


def _weighed(amounts: Amounts, weights: Weights) -> int:
    return sum(amount * weight for amount, weight in zip(amounts, weights, strict=True))


def by_source(clocks: Clocks, changes: Iterable[tuple[Event, int]]) -> list[list[Change]]:
    """Return what events changed as one list for each order there is: a source's, or its own."""
    sources: dict[tuple[str, str], list[Change]] = defaultdict(list)
    for event, change in changes:
        if change:
            sources[_line_of(clocks, event)].append((event.stamp, change))
    return list(sources.values())
