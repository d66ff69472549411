"""
What a repair of one difference rests on, and is guarded by. A reader inside.

Where it is written, as of when, and what must not have changed since.

Rules:
1. A repair is dated at the latest moment that is certainly before the observation, so that
   whoever judges the same observation again has certainly seen it.
2. It rests on the states that were seen, of every lot that was seen, and on nothing else:
   a sale after the count does not disturb it.
3. Only a difference known to the unit has one. Where several lots hold units, or what is
   shown does not follow the units one for one, nobody knows what to write.

Who calls whom: ``comparing`` asks for it through ``book_side``; ``planning`` makes lines of
it, ``repairing`` holds them to it under the locks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import takewhile
from typing import Any, Final, NamedTuple, TypeAlias

import attrs

from truecount.model.instants import Instant, iso, optional_datetime, to_datetime, to_instant
from truecount.model.kinds import Kind
from truecount.model.movements import MovementRow
from truecount.model.places import ON_HAND, RESERVED, STATES, State
from truecount.model.stock import EMPTY_ROW, Amounts, EntryRow
from truecount.protocols.storage import Reader
from truecount.reconciliation.observations import LEDGER, Count, Formula, Level, Shown
from truecount.reconciliation.reach import Reach
from truecount.reconciliation.view import newest_first
from truecount.reconciliation.windows import Clocks, Rows, Span


#: An entry of a key, and the movement that made it.
Written: TypeAlias = tuple[EntryRow, MovementRow]

#: The states whose units a level is made of.
SEEN_IN: Final[Mapping[Shown, frozenset[State]]] = {
    Shown.AVAILABLE: frozenset({State.SELLABLE}),
    Shown.ON_HAND: ON_HAND,
    Shown.UNRESERVED: ON_HAND - RESERVED,
    Shown.PROSPECTIVE: (ON_HAND - RESERVED) | {State.INCOMING},
}


@attrs.frozen(kw_only=True)
class Basis:
    """
    What a repair is written to and guarded by.

    Attributes:
        lot: The lot it is written to, "" for what has none.
        covers: The states whose units were seen.
        as_of: When it is dated: before the observation, for certain.
        until: The last time at which something dated may have been seen.
        is_exact: Whether the ledger's figure as of then is the one compared with; else only
            the difference can be written, not the quantity.
        versions: Each lot seen, and the version its key had when the book was read.
        all_lots: Whether every lot at the location was seen.
        recounted_at: When a newer count that stands was taken; None for none.
        denied_at: When somebody else counted what the book could not show after the repair;
            None for never.
        on_hand: Units of the lot that were physically there when the book was read.
        sellable: Units of it that were sellable.
    """

    lot: str
    covers: frozenset[State]
    as_of: datetime
    until: datetime
    is_exact: bool
    versions: tuple[tuple[str, int], ...]
    all_lots: bool
    recounted_at: datetime | None
    denied_at: datetime | None = None
    on_hand: int
    sellable: int

    def covered(self, change: Iterable[int]) -> int:
        """Return by how much *change*, a number for each state, moves what was seen."""
        return _covered(self.covers, change)

    def with_others(self, others: Iterable[Other], at: str, delta: int) -> Basis:
        """
        Return it knowing the counts of the same comparison that its repair would contradict.

        Args:
            others: What else was counted of the SKU, and did not differ.
            at: The location of the repair.
            delta: By how much it changes the book.
        """
        denied = [
            other.until
            for other in others
            if other.seen.at == at
            and (self.all_lots or other.seen.lot in {None, self.lot})
            and to_instant(self.as_of) <= other.until
            and not other.reach.holds(other.seen.quantity - delta)
        ]
        return attrs.evolve(self, denied_at=optional_datetime(max(denied, default=None)))

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, for JSON."""
        return attrs.asdict(self, recurse=False) | {
            "covers": sorted(self.covers),
            "versions": [list(each) for each in self.versions],
            **{name: None if at is None else iso(to_instant(at)) for name, at in _times(self)},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Basis:
        """Return what ``to_dict`` described; a mismatch and a plan line read their own."""
        return cls(
            **dict(data)
            | {
                "covers": frozenset(map(State, data["covers"])),
                "versions": tuple((str(lot), int(version)) for lot, version in data["versions"]),
                **{n: data[n] and datetime.fromisoformat(data[n]) for n in _TIMES},
            }
        )


_TIMES: Final = ("as_of", "until", "recounted_at", "denied_at")


def _times(basis: Basis) -> Iterator[tuple[str, datetime | None]]:
    for name in _TIMES:
        yield name, getattr(basis, name)


class Other(NamedTuple):
    """A count that did not differ: what was seen, until when, and what the book may have had."""

    seen: Count
    until: Instant
    reach: Reach


def basis_of(
    reader: Reader, clocks: Clocks, seen: Count | Level, rows: Rows, span: Span, *, expected: int
) -> Basis | None:
    """
    Return what a repair of *seen* against *expected* rests on; None where none can be written.

    Complexity: O(entries since the observation) of the keys seen, as finding the difference.
    """
    if isinstance(seen, Level) and not _follows_units(clocks.formula(seen.source), seen, expected):
        return None
    shows = clocks.formula(seen.source).shows
    covers = seen.covers if isinstance(seen, Count) else SEEN_IN[shows]
    as_of = span.since - clocks.of(LEDGER).skew
    past = {key.lot: reader.as_of(key, as_of) for key, _ in rows}
    lot = _written_to(seen.lot if isinstance(seen, Count) else None, rows, past)
    if lot is None:
        return None
    row = {key.lot: each for key, each in rows}.get(lot, EMPTY_ROW)
    if not lot and not row.version and _lies_in_lots(reader, seen):
        return None
    newer = recounted_at(reader, clocks, rows, span)
    return Basis(
        lot=lot,
        covers=covers,
        as_of=to_datetime(as_of),
        until=to_datetime(seen_until(clocks, span)),
        is_exact=sum(_covered(covers, amounts) for amounts in past.values()) == expected,
        versions=tuple((key.lot, each.version) for key, each in rows),
        all_lots=not isinstance(seen, Count) or seen.lot is None,
        recounted_at=optional_datetime(newer),
        on_hand=row.on_hand,
        sellable=row.sellable,
    )


def recounted_at(reader: Reader, clocks: Clocks, rows: Rows, span: Span) -> Instant | None:
    """Return when a count that stands was taken after what was seen in *span*, if one was."""
    as_of = span.since - clocks.of(LEDGER).skew
    return newest_count(_since(reader, rows, as_of), as_of)


def seen_until(clocks: Clocks, span: Span) -> Instant:
    """Return the last time at which something the ledger dates may have been seen in *span*."""
    return span.until + clocks.of(LEDGER).skew


def _covered(covers: frozenset[State], change: Iterable[int]) -> int:
    return sum(units for state, units in zip(STATES, change, strict=True) if state in covers)


def _follows_units(formula: Formula, level: Level, expected: int) -> bool:
    """Return whether one unit more at one location is shown as one more, at both values."""
    lowest = min(level.quantity, expected)
    return (
        level.at is not None
        and len(level.at) == 1
        and formula.pack == 1
        and formula.cap is None
        and (formula.lowest is None or (expected > formula.lowest <= lowest))
    )


def _written_to(lot: str | None, rows: Rows, past: Mapping[str, Amounts]) -> str | None:
    """Return the lot whose units were seen, None when they may be of several."""
    if lot is not None:
        return lot
    lots = [key.lot for key, row in rows if any(row.amounts) or any(past[key.lot])]
    known = lots or [key.lot for key, _ in rows]
    if len(known) > 1:
        return "" if not lots and "" in known else None
    return known[0] if known else ""


def _lies_in_lots(reader: Reader, seen: Count | Level) -> bool:
    """Return whether all there is lies in lots, so that units of none were of one of them."""
    places = {seen.at} if isinstance(seen, Count) else seen.at or frozenset()
    return any(key.location in places and row.on_hand for key, row in reader.stock(seen.sku))


def _since(reader: Reader, rows: Rows, instant: Instant) -> Iterator[Written]:
    """Yield what occurred after *instant* on the keys *rows*."""
    for key, row in rows:
        recent = takewhile(
            lambda entry: entry.horizon > instant, newest_first(reader, key, row.version)
        )
        yield from written(reader, (entry for entry in recent if entry.occurred_at > instant))


def written(reader: Reader, entries: Iterable[EntryRow]) -> Iterator[Written]:
    """Yield each of *entries*, of one key, with the movement that made it."""
    by_movement = {entry.movement_id: entry for entry in entries}
    for _, row in reader.movements(list(by_movement)):
        yield by_movement[row.id], row


def newest_count(changes: Iterable[Written], instant: Instant) -> Instant | None:
    """Return when the newest count after *instant* among *changes* was taken, if one stands."""
    counts: dict[str, Instant] = {}
    undone: set[str | None] = set()
    for entry, row in changes:
        undone.add(row.reverses)
        if row.kind == Kind.COUNT and entry.occurred_at > instant:
            counts[row.id] = entry.occurred_at
    return max((at for id_, at in counts.items() if id_ not in undone), default=None)
