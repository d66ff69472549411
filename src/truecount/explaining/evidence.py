"""
What a ledger knows about mismatches, read from a storage's reader as facts.

The one module of this package that meets a reader; it only reads. ``evidence_of`` collects
what one call of ``explain`` needs, the functions below it are its parts. What a ledger
cannot know (recipes of another system, what was pushed, what a channel's log says, SKUs
that people mix up) is added with ``attrs.evolve``; ``alike`` proposes the last.

Rules:
1. Compared is one figure, ``on_hand``, ``available`` or the sum of some states: an effect is
   what a movement did to that. A reservation does nothing to what is on hand, and takes from
   what is available.
2. Nothing is known that the book did not know when it was compared: what was recorded since
   (``known_at``) is left out, of candidates and of figures.
3. A figure is as of the latest observation of it. Of holds, those still open count as run
   out if they had by then; what was held then and is released since counts as held.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise, takewhile
from typing import Final, Literal, NamedTuple, TypeAlias

from truecount.errors import InvalidArgument
from truecount.explaining.facts import (
    SLACK,
    Candidate,
    Discrepancy,
    Evidence,
    Hold,
    OpenTransfer,
    wholes,
)
from truecount.ledger.history import last_version
from truecount.ledger.scan import last_position, records_of
from truecount.ledger.transfer_rules import TRANSFER, on_the_way
from truecount.model.instants import SKEW_MAX, Instant, microseconds, to_datetime, to_instant
from truecount.model.kinds import Kind
from truecount.model.movements import MovementRow, changes_of, decode
from truecount.model.places import INDEX, ON_HAND, State
from truecount.model.settings import LOCATION
from truecount.model.stock import EntryRow, Figures, StockKey, StockRow, figures
from truecount.protocols.storage import Reader
from truecount.write.figures import available_at


#: Movements of the whole shop that are looked at to see what sizes are usual.
USUAL_MAX: Final = 500

#: The figure that was compared: one of two by name, or the sum of some states.
Compared: TypeAlias = Literal["on_hand", "available"] | frozenset[State]

_SEES: Final[dict[str, frozenset[int]]] = {
    "on_hand": frozenset(INDEX[state] for state in ON_HAND),
    "available": frozenset({INDEX[State.SELLABLE]}),
}


def typed_by_hand(row: MovementRow) -> bool:
    """Return whether no system reported a movement, so that a person typed it."""
    return row.origin is None


class Bracket(NamedTuple):
    """A figure, the last time both sides agreed on it, and when it was observed."""

    key: StockKey
    after: datetime | None
    until: datetime | None


def evidence_of(
    reader: Reader,
    discrepancies: Iterable[Discrepancy | Bracket],
    *,
    now: datetime,
    compared: Compared = "on_hand",
    slack: timedelta = SLACK,
    keyed: Callable[[MovementRow], bool] = typed_by_hand,
    known_at: datetime | None = None,
    locations: Collection[str] = (),
) -> Evidence:
    """
    Return what the ledger knows about *discrepancies*, as of when each was observed.

    Args:
        discrepancies: Figures that differ; a :class:`Bracket` for one that agrees and is
            compared with them.
        now: When those were observed that do not say so; which holds have run out.
        compared: The figure that was compared with the other side.
        keyed: Tells which movements somebody typed.
        known_at: When the book was compared, if it was not just now.
        locations: Those a figure without a location is about; none named for all.

    >>> from datetime import UTC
    >>> from truecount import Inventory, explain
    >>> from truecount.explaining.evidence import evidence_of
    >>> inventory = Inventory()
    >>> inventory.locations.add("berlin")
    >>> receipt = inventory.receive("MUG", 132, at="berlin", reference="PO-1")
    >>> counted = [Discrepancy(sku="MUG", location="berlin", delta=-9)]
    >>> with inventory.storage.read("main") as reader:
    ...     known = evidence_of(reader, counted, now=datetime.now(UTC))
    >>> explain(counted, known)[0].best.sentence
    'receive PO-1 is booked as +132 but was +123: two digits are swapped'

    Complexity: O(log n + entries of the brackets) for each discrepancy, and the documents of
    all transfers once.
    """
    asked = _asked(discrepancies)
    skus = {key.sku for key in asked}
    stock = {key: row for sku in sorted(skus) for key, row in reader.stock(sku)}
    seen = {key: _seen(key, asked, locations) for key in stock}
    limit = None if known_at is None else to_instant(known_at)
    compares = [key for key, brackets in seen.items() if brackets]
    candidates = _candidates(reader, seen, compared=compared, slack=slack, keyed=keyed, limit=limit)
    return Evidence(
        candidates=candidates,
        holds=[hold for key in compares for hold in holds_of(reader, key)],
        transfers=list(open_transfers(reader, skus)),
        figures={
            key: _figures(reader, key, row, _latest(seen[key]) or now, limit)
            for key, row in stock.items()
            if not locations or key.location in locations
        },
        locations=[record.id for record in records_of(reader, LOCATION)],
        usual=_usual(reader, {each.id for each in candidates}, compared, limit),
        slack=slack,
    )


def _asked(found: Iterable[Discrepancy | Bracket]) -> dict[StockKey, list[Bracket]]:
    """Return the brackets of each figure that was asked about."""
    asked: dict[StockKey, list[Bracket]] = defaultdict(list)
    for each in found:
        bracket = (
            Bracket(each.key, each.after, each.observed_at)
            if isinstance(each, Discrepancy)
            else each
        )
        asked[bracket.key].append(bracket)
    return dict(asked)


def _seen(
    key: StockKey, asked: Mapping[StockKey, list[Bracket]], locations: Collection[str]
) -> list[Bracket]:
    """Return the brackets of all figures that a stock key is part of."""
    return [
        bracket
        for whole in wholes(key)
        for bracket in asked.get(whole, ())
        if whole.location or not locations or key.location in locations
    ]


def _figures(
    reader: Reader, key: StockKey, row: StockRow, at: datetime, limit: Instant | None
) -> Figures:
    """Return the figures of a stock key as of a moment, as the book knew them."""
    instant = to_instant(at)
    is_since = limit is not None and row.recorded_at > limit
    if row.horizon > instant or is_since:
        known = (
            last_version(reader, key, lambda entry: entry.recorded_at <= limit)
            if limit is not None and is_since
            else row.version
        )
        row = row._replace(amounts=reader.as_of(key, instant, known))
    return figures(row.amounts, available_at(reader, key, row, instant))


# --- movements ----------------------------------------------------------------------------


def _candidates(
    reader: Reader,
    seen: Mapping[StockKey, list[Bracket]],
    *,
    compared: Compared,
    slack: timedelta,
    keyed: Callable[[MovementRow], bool],
    limit: Instant | None,
) -> list[Candidate]:
    """Return the movements of all keys *seen*, each once with all its effects on them."""
    places = _places(compared)
    changes: dict[StockKey, list[_Change]] = {}
    for key, brackets in seen.items():
        if brackets:
            entries = entries_within(reader, key, _earliest(brackets), _latest(brackets), slack)
            known = takewhile(lambda entry: limit is None or entry.recorded_at <= limit, entries)
            moved = (_Change(entry, sum(entry.change[at] for at in places)) for entry in known)
            changes[key] = [change for change in moved if change.units]
    ids = dict.fromkeys(each.entry.movement_id for found in changes.values() for each in found)
    rows = [row for _, row in reader.movements(ids)]
    refolds = {row.id for row in rows if row.kind == Kind.REFOLD}
    effects: dict[str, dict[StockKey, int]] = defaultdict(dict)
    for key, found in changes.items():
        for entry, units in _unsettled(found, refolds, _latest(seen[key])):
            effects[entry.movement_id][key] = units
    undone = _undone(rows)
    return [
        candidate_of(row, effects[row.id], keyed(row))
        for row in rows
        if row.id in effects and row.id not in undone
    ]


class _Change(NamedTuple):
    """By how much an entry moved the compared figure."""

    entry: EntryRow
    units: int


def _unsettled(
    found: Sequence[_Change], refolds: Collection[str], until: datetime | None
) -> Iterator[_Change]:
    """
    Return the changes of one key that were not settled by a count.

    What is recorded late about the time before a count is refolded there, as the entry just
    before it: between them they move nothing that was seen after the count, so neither can
    be why it differs.
    """
    last = None if until is None else to_instant(until)
    settled: set[int] = set()
    for refold, late in pairwise(found):
        is_settled = (
            refold.entry.movement_id in refolds
            and refold.entry.version + 1 == late.entry.version
            and refold.units == -late.units
            and (last is None or refold.entry.occurred_at <= last)
        )
        if is_settled:
            settled |= {late.entry.version, refold.entry.version}
    return (change for change in found if change.entry.version not in settled)


def _earliest(brackets: Iterable[Bracket]) -> datetime | None:
    moments = [bracket.after for bracket in brackets]
    known = [moment for moment in moments if moment is not None]
    return min(known) if len(known) == len(moments) and known else None


def _latest(brackets: Iterable[Bracket]) -> datetime | None:
    moments = [bracket.until for bracket in brackets]
    known = [moment for moment in moments if moment is not None]
    return max(known) if len(known) == len(moments) and known else None


def _places(compared: Compared) -> frozenset[int]:
    """Return where the amounts of the compared figure stand."""
    if isinstance(compared, frozenset):
        return frozenset(INDEX[State(state)] for state in compared)
    seen = _SEES.get(compared)
    if seen is None:
        raise InvalidArgument("compared", repr(compared), "'on_hand', 'available' or states")
    return seen


def _undone(rows: Iterable[MovementRow]) -> set[str]:
    """Return movements that were taken back whole, and what took them back."""
    found = set()
    for row in rows:
        if row.kind == Kind.UNDO and row.reverses is not None:
            found |= {row.id, row.reverses}
    return found


def candidate_of(
    row: MovementRow,
    effects: dict[StockKey, int],
    keyed: bool,  # noqa: FBT001 -- as stored
) -> Candidate:
    """Return a stored movement with its *effects* on the compared figure."""
    return Candidate(
        id=row.id,
        kind=Kind(row.kind),
        effects=effects,
        occurred_at=to_datetime(row.occurred_at),
        recorded_at=to_datetime(row.recorded_at),
        origin=row.origin,
        reference=row.reference,
        keyed=keyed,
    )


def entries_within(
    reader: Reader,
    key: StockKey,
    after: datetime | None,
    until: datetime | None,
    slack: timedelta = SLACK,
) -> Iterator[EntryRow]:
    """
    Yield the entries of *key* that occurred or were recorded in (after, until].

    Both ends are widened by *slack*. An entry cannot occur later than it is recorded but by
    the skew of clocks, so those recorded before are found by bisection and left out.
    O(log n + entries since *after*).
    """
    width = microseconds(slack)
    first = None if after is None else to_instant(after) - width
    last = None if until is None else to_instant(until) + width
    start = 0
    if first is not None:
        limit = first - SKEW_MAX
        start = last_version(reader, key, lambda entry: entry.recorded_at <= limit)
    for entry in reader.entries(key, start):
        if any(
            (first is None or at > first) and (last is None or at <= last)
            for at in (entry.occurred_at, entry.recorded_at)
        ):
            yield entry


def _usual(
    reader: Reader, known: Collection[str], compared: Compared, limit: Instant | None
) -> Iterator[int]:
    """Yield what the newest movements of the shop but those *known* changed. O(USUAL_MAX)."""
    places = _places(compared)
    for _, row in reader.feed(max(0, last_position(reader) - USUAL_MAX), USUAL_MAX):
        if row.id not in known and (limit is None or row.recorded_at <= limit):
            for amounts in changes_of(Kind(row.kind), decode(row.body).legs).values():
                if change := sum(amounts[place] for place in places):
                    yield change


# --- documents ----------------------------------------------------------------------------


def holds_of(reader: Reader, key: StockKey) -> Iterator[Hold]:
    """Yield the promises of *key* that are open. O(open lines)."""
    for line in reader.open_lines(key):
        yield Hold(reference=line.reference, key=key, quantity=line.open)


def open_transfers(reader: Reader, skus: set[str]) -> Iterator[OpenTransfer]:
    """Yield the lines of transfers of *skus* with units on the way. O(transfers)."""
    for record in records_of(reader, TRANSFER):
        document = json.loads(record.body)
        for name in document.get("lines", {}):
            sku, lot = json.loads(name)
            units = on_the_way(document, name)
            if sku in skus and units > 0:
                yield OpenTransfer(
                    reference=record.id,
                    source=StockKey(sku, document["source"], lot),
                    target=StockKey(sku, document["target"], lot),
                    on_the_way=units,
                )


# --- names --------------------------------------------------------------------------------


def alike(skus: Iterable[str]) -> dict[str, frozenset[str]]:
    """
    Return SKUs that one slip of a finger turns into each other.

    One character more, less or other, or two neighbours swapped. O(n * length).

    >>> {sku: sorted(others) for sku, others in alike(["MUG-1", "MUG-2", "TEA"]).items()}
    {'MUG-1': ['MUG-2'], 'MUG-2': ['MUG-1']}
    """
    known = sorted(set(skus))
    patterns: dict[tuple[str, str], set[str]] = defaultdict(set)
    for sku in known:
        for place in range(len(sku)):
            # Equal with this character hidden: another character stands there.
            patterns["other", f"{sku[:place]}\0{sku[place + 1 :]}"].add(sku)
    found: dict[str, set[str]] = defaultdict(set)
    for same in patterns.values():
        for sku in same:
            found[sku] |= same - {sku}
    names = set(known)
    for sku in known:
        for other in _edits(sku) & names - {sku}:
            found[sku].add(other)
            found[other].add(sku)
    return {sku: frozenset(others) for sku, others in found.items() if others}


def _edits(sku: str) -> set[str]:
    """Return *sku* with one character left out, or two neighbours swapped."""
    shorter = {sku[:place] + sku[place + 1 :] for place in range(len(sku))}
    return shorter | {
        sku[:place] + sku[place + 1] + sku[place] + sku[place + 2 :]
        for place in range(len(sku) - 1)
    }
