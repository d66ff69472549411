"""
What a ledger knows about mismatches, read from a storage's reader as facts.

The one module of this package that meets a reader; it only reads. ``evidence_of`` collects
what one call of ``explain`` needs, the functions below it are its parts. What a ledger
cannot know (recipes of another system, what was pushed, what a channel's log says, SKUs
that people mix up) is added with ``attrs.evolve``; ``alike`` proposes the last.

Compared is one figure, ``on_hand`` or ``available``: an effect is what a movement did to
that. A reservation does nothing to what is on hand, and takes from what is available.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

from truecount.errors import InvalidArgument
from truecount.explaining.facts import (
    SLACK,
    Candidate,
    Discrepancy,
    Evidence,
    Hold,
    OpenTransfer,
)
from truecount.ledger.history import last_version
from truecount.ledger.scan import records_of
from truecount.ledger.transfer_rules import TRANSFER, on_the_way
from truecount.model.instants import SKEW_MAX, Instant, microseconds, to_datetime, to_instant
from truecount.model.kinds import Kind
from truecount.model.movements import MovementRow
from truecount.model.places import INDEX, ON_HAND, State
from truecount.model.settings import LOCATION
from truecount.model.stock import Amounts, EntryRow, Figures, StockKey, figures
from truecount.protocols.storage import Reader
from truecount.write.figures import available_at


#: The figure that was compared.
Compared: TypeAlias = Literal["on_hand", "available"]

_SEES: Final[dict[str, frozenset[int]]] = {
    "on_hand": frozenset(INDEX[state] for state in ON_HAND),
    "available": frozenset({INDEX[State.SELLABLE]}),
}


def typed_by_hand(row: MovementRow) -> bool:
    """Return whether no system reported a movement, so that a person typed it."""
    return row.origin is None


def evidence_of(
    reader: Reader,
    discrepancies: Iterable[Discrepancy],
    *,
    now: datetime,
    compared: Compared = "on_hand",
    slack: timedelta = SLACK,
    keyed: Callable[[MovementRow], bool] = typed_by_hand,
) -> Evidence:
    """
    Return what the ledger knows about *discrepancies*, as of the reader's instant.

    Args:
        now: Which holds have run out.
        compared: The figure that was compared with the other side.
        keyed: Tells which movements somebody typed.

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
    found = list(discrepancies)
    skus = {each.sku for each in found}
    keys = [key for sku in sorted(skus) for key, _ in reader.stock(sku)]
    asked = {each.key for each in found}
    wanted = [key for key in keys if key in asked or StockKey(key.sku, "", "") in asked]
    return Evidence(
        candidates=_candidates(reader, wanted, found, compared=compared, slack=slack, keyed=keyed),
        holds=[hold for key in wanted for hold in holds_of(reader, key)],
        transfers=list(open_transfers(reader, skus)),
        figures=_figures(reader, keys, to_instant(now)),
        locations=[record.id for record in records_of(reader, LOCATION)],
        slack=slack,
    )


def _figures(reader: Reader, keys: Iterable[StockKey], now: Instant) -> dict[StockKey, Figures]:
    return {
        key: figures(row.amounts, available_at(reader, key, row, now))
        for wanted in keys
        for key, row in reader.stock(wanted.sku, wanted.location)
        if key == wanted
    }


# --- movements ----------------------------------------------------------------------------


def _candidates(
    reader: Reader,
    keys: Iterable[StockKey],
    discrepancies: list[Discrepancy],
    *,
    compared: Compared,
    slack: timedelta,
    keyed: Callable[[MovementRow], bool],
) -> list[Candidate]:
    """Return the movements of all *keys*, each once with all its effects on them."""
    effects: dict[str, dict[StockKey, int]] = defaultdict(dict)
    by_key: dict[StockKey, list[Discrepancy]] = defaultdict(list)
    for each in discrepancies:
        by_key[each.key].append(each)
    for key in keys:
        asked = by_key[key] + by_key[StockKey(key.sku, "", "")]
        after = _earliest([each.after for each in asked])
        until = _latest([each.observed_at for each in asked])
        for entry in entries_within(reader, key, after, until, slack):
            change = _change(entry.change, compared)
            if change:
                effects[entry.movement_id][key] = change
    rows = [row for _, row in reader.movements(effects)]
    undone = _undone(rows)
    return [candidate_of(row, effects[row.id], keyed(row)) for row in rows if row.id not in undone]


def _earliest(moments: list[datetime | None]) -> datetime | None:
    known = [moment for moment in moments if moment is not None]
    return min(known) if len(known) == len(moments) and known else None


def _latest(moments: list[datetime | None]) -> datetime | None:
    known = [moment for moment in moments if moment is not None]
    return max(known) if len(known) == len(moments) and known else None


def _change(change: Amounts, compared: Compared) -> int:
    seen = _SEES.get(compared)
    if seen is None:
        raise InvalidArgument("compared", repr(compared), "'on_hand' or 'available'")
    return sum(change[place] for place in seen)


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
