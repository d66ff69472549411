"""
The book: what was locked for one write, changed in memory as its members are decided.

Rules:
1. Members decide in order and each sees the earlier ones; a refused member leaves no trace.
2. Each row is written once, folded, however many members touched it.
3. Floors are checked here and only here, when a guarded draft lowers SELLABLE or takes
   physical stock away; facts pass. HELD, ALLOCATED and PICKED never go negative at all.

Invariants: I1, I2, I3, I4, I9 of the design hold for every draft that is posted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from typing import Any, Final, NamedTuple

from truecount.errors import InsufficientStock, InternalError, NotLocked, Refused
from truecount.model.instants import Instant
from truecount.model.lines import LineRow, moved
from truecount.model.movements import (
    Draft,
    MovementRow,
    Opening,
    Tally,
    body_of,
    changes_of,
    encode,
    sealed,
)
from truecount.model.outcomes import OutcomeRow
from truecount.model.places import INDEX, STATES
from truecount.model.settings import GENERATION, Settings
from truecount.model.stock import (
    EMPTY_ROW,
    Amounts,
    EntryRow,
    StockKey,
    StockRow,
    extend,
    lot_expiry,
    made,
)
from truecount.protocols.storage import ORDER, Changes, Locked, Record, Wants


_ON_HAND: Final = 6
_WAITING: Final = (INDEX["quarantine"], INDEX["damaged"])
#: Documents shown to a decision at a time.
PAGE: Final = 8
#: A document space the write itself knows: what a fact left open. ``ORDER`` is what a
#: reference shipped.
FINDING: Final = "finding"


class Page(NamedTuple):
    """Documents of a space, (id, body), by id; the last of them, or there are more."""

    documents: list[tuple[str, dict[str, Any]]]
    is_last: bool


class Book:
    """Locked rows, lines and documents of one write, and what the write adds to them."""

    def __init__(self, locked: Locked, settings: Settings, wants: Wants) -> None:
        self.settings = settings
        self.wants = wants
        self.past_movements = locked.movements
        self.rows: dict[StockKey, StockRow] = locked.rows
        self.lines: dict[tuple[str, int], LineRow] = {}
        self.outcomes: dict[str, OutcomeRow] = locked.outcomes
        self.movements: list[MovementRow] = []
        self.entries: list[EntryRow] = []
        self.new_outcomes: list[OutcomeRow] = []
        self.changed_rows: dict[StockKey, StockRow] = {}
        self.changed_lines: dict[tuple[str, int], LineRow] = {}
        self.changed_documents: dict[tuple[str, str], dict[str, Any]] = {}
        self.moments: dict[tuple[StockKey, Instant], Amounts] = {}
        self.newer: dict[tuple[StockKey, int], list[tuple[EntryRow, MovementRow]]] = {}
        self._pages: dict[tuple[str, str], Page] = {}
        self._firsts: dict[StockKey, MovementRow] = {}
        self._records = locked.records
        self._documents: dict[tuple[str, str], dict[str, Any]] = {}
        self._numbers: dict[str, list[int]] = {}
        self._due: dict[StockKey, list[tuple[str, int]]] = {}
        #: Keys of each SKU at each location, and of each SKU anywhere: (sku, "").
        self._keys: dict[tuple[str, str], list[StockKey]] = {}
        self._known: set[str] = set()
        for key in sorted(locked.rows):
            self._keys.setdefault((key.sku, ""), []).append(key)
            self._keys.setdefault((key.sku, key.location), []).append(key)
            if locked.rows[key].version:
                self._known.add(key.sku)
        for line in locked.lines:
            self._own(line)

    # --- what rules read ---------------------------------------------------------------

    def row(self, key: StockKey) -> StockRow:
        """Return the figures of *key*, an empty row when it never moved."""
        return self.rows.get(key, EMPTY_ROW)

    def keys_of(self, sku: str, location: str = "", lot: str | None = None) -> Sequence[StockKey]:
        """Return the locked keys of *sku*, at *location* and of *lot* if given."""
        keys = self._keys.get((sku, location), ())
        return keys if lot is None else [key for key in keys if key.lot == lot]

    def saw(self, sku: str, location: str = "") -> bool:
        """Return whether every key of *sku* (at *location*) is locked."""
        return (sku, "") in self.wants.scopes or (sku, location) in self.wants.scopes

    def knows(self, sku: str) -> bool:
        """Return whether a locked key of *sku* ever moved."""
        return sku in self._known

    def lines_of(self, reference: str) -> list[LineRow]:
        """Return the lines of a locked order, by number."""
        return [self.lines[reference, number] for number in self._numbers.get(reference, ())]

    def document(self, space: str, id_: str) -> dict[str, Any] | None:
        """Return the body of a locked document; do not change it, put a new one."""
        found = self._documents.get((space, id_))
        if found is None:
            record = self._records.get((space, id_))
            if record is None:
                return None
            found = self._documents[space, id_] = json.loads(record.body)
        return found

    def version_of(self, space: str, id_: str) -> int:
        """Return the version a locked document has stored, 0 when it was never stored."""
        record = self._records.get((space, id_))
        return 0 if record is None else record.version

    def page(self, space: str, after: str) -> Page | None:
        """Return the stored documents of *space* above *after*, None until they were shown."""
        return self._pages.get((space, after))

    def first(self, key: StockKey) -> MovementRow | None:
        """
        Return the first movement *key* ever had, None until it was shown.

        Complexity: O(movements of this write) once for each key.
        """
        if key not in self._firsts:
            ids = [entry.movement_id for entry in self.entries if entry[:2] == (key, 1)]
            self._firsts.update((key, row) for row in self.movements if row.id in ids)
        return self._firsts.get(key)

    def due(self, key: StockKey) -> list[LineRow]:
        """Return the expired holds read for *key* that still hold units, soonest first."""
        names = self._due.get(key)
        if not names:
            return []
        return [line for name in names if (line := self.lines[name]).held]

    def after(self, stage: Stage) -> Book:
        """Return a book in which *stage* has happened; this one stays as it is."""
        return self._with(
            rows=self.rows | stage.rows,
            lines=self.lines | stage.lines,
            _documents=self._documents | stage.documents,
        )

    def without_due(self, reference: str) -> Book:
        """Return a book in which the expired holds of *reference* are not on offer."""
        due = {
            key: [name for name in names if name[0] != reference]
            for key, names in self._due.items()
        }
        return self._with(_due=due)

    def _with(self, **changed: object) -> Book:
        other = copy(self)
        vars(other).update(changed)
        return other

    # --- what apply adds ---------------------------------------------------------------

    def show(self, space: str, after: str, records: Sequence[Record]) -> None:
        """Take in a page of documents that only whoever holds rows of this write may change."""
        if (space, after) in self._pages:
            raise InternalError(f"a decision asked twice for the {space} documents after {after}")
        documents = [(record.id, json.loads(record.body)) for record in records]
        self._pages[space, after] = Page(documents, len(documents) < PAGE)

    def show_first(self, key: StockKey, row: MovementRow) -> None:
        """Take in the first movement of a locked key."""
        if key in self._firsts:
            raise InternalError(f"a decision asked twice for the first movement of {key}")
        self._firsts[key] = row

    def add_due(self, lines: Iterable[LineRow]) -> None:
        """Take in expired holds that were read under the lock of their keys."""
        for line in lines:
            name = (line.reference, line.number)
            self.lines.setdefault(name, line)
            self._due.setdefault(line.key, []).append(name)

    def _own(self, line: LineRow) -> None:
        self.lines[line.reference, line.number] = line
        self._numbers.setdefault(line.reference, []).append(line.number)

    def accept(self, stage: Stage) -> None:
        """Make a member's staged changes part of the book."""
        for key in stage.rows:
            self._known.add(key.sku)
        self.rows.update(stage.rows)
        self.changed_rows.update(stage.rows)
        for name, line in stage.lines.items():
            if name not in self.lines:
                self._numbers.setdefault(line.reference, []).append(line.number)
            if line.has_expired(stage.now) and name not in self._due.get(line.key, ()):
                self._due.setdefault(line.key, []).append(name)  # An undo gave units back to it.
        self.lines.update(stage.lines)
        self.changed_lines.update(stage.lines)
        self._documents.update(stage.documents)
        self.changed_documents.update(stage.documents)
        if GENERATION in stage.documents:  # Members after it go by the rules it has made.
            mark = (self.version_of(*GENERATION) + 1, encode(stage.documents[GENERATION]))
            self.settings = self.settings.changed(mark, stage.documents)
        self.movements += stage.movements
        self.entries += stage.entries

    def changes(self) -> Changes:
        """Return everything to be written, each row once."""
        records = []
        for name, body in self.changed_documents.items():
            record = self._records.get(name)
            version = record.version + 1 if record else 1
            records.append(Record(*name, version, encode(body)))
        return Changes(
            self.new_outcomes,
            self.movements,
            self.entries,
            self.changed_rows,
            [*self.changed_lines.values()],
            records,
        )


_FLOOR: Final = "floor"


def _broken(row: StockRow, change: list[int], floor: int | None) -> tuple[int, int, str] | None:
    """
    Return what a command would break: (wanted, available, rule), None for nothing.

    SELLABLE keeps its floor, and neither physical stock nor what waits in quarantine or is
    damaged goes below zero.
    """
    amounts = row.amounts
    if floor is not None and amounts[0] + change[0] < floor:
        return -change[0], amounts[0] - floor, _FLOOR
    gone = -sum(change[:_ON_HAND])
    if gone > 0 and row.on_hand < gone:
        return gone, row.on_hand, "on hand"
    for index in _WAITING:
        if change[index] < 0 and amounts[index] + change[index] < 0:
            return -change[index], amounts[index], STATES[index].value
    return None


class Stage:
    """One member's changes, thrown away when it is refused."""

    def __init__(self, book: Book, now: Instant) -> None:
        self.book = book
        self.now = now
        self.rows: dict[StockKey, StockRow] = {}
        self.lines: dict[tuple[str, int], LineRow] = {}
        self.documents: dict[tuple[str, str], dict[str, Any]] = {}
        self.movements: list[MovementRow] = []
        self.entries: list[EntryRow] = []

    def row(self, key: StockKey) -> StockRow:
        """Return the figures of *key* as this member sees them; raise NotLocked."""
        found = self.rows.get(key) or self.book.rows.get(key)
        if found is None:
            raise NotLocked(str(key))
        return found

    def line(self, name: tuple[str, int]) -> LineRow:
        """Return a line as this member sees it."""
        return self.lines.get(name) or self.book.lines[name]

    def add_lines(self, lines: Iterable[LineRow]) -> None:
        """Open lines for the drafts that follow."""
        for line in lines:
            self.lines[line.reference, line.number] = line

    def put(self, documents: Iterable[tuple[str, str, Mapping[str, Any]]]) -> None:
        """Store documents."""
        for space, id_, body in documents:
            self.documents[space, id_] = dict(body)

    def missing(self, drafts: Iterable[Draft]) -> Wants:
        """Return what *drafts* touch that was not locked."""
        wants = Wants()
        for draft in drafts:
            for sku, lot, _, source, target, _ in draft.legs:
                wants.keys |= {
                    StockKey(sku, place.location, lot)
                    for place in (source, target)
                    if place.location
                }
            wants.keys |= set(draft.touches)
            for tally in draft.tallies:
                if tally.space == ORDER:
                    wants.orders.add(tally.id)
                else:
                    wants.records.add((tally.space, tally.id))
        wants.keys -= self.book.rows.keys()
        wants.orders -= self.book.wants.orders
        wants.records -= self.book.wants.records
        return wants

    def _is_locked(self, tally: Tally) -> bool:
        if tally.space == ORDER:
            return tally.id in self.book.wants.orders
        return (tally.space, tally.id) in self.book.wants.records

    def post(self, draft: Draft, movement_id: str) -> Refused | None:
        """
        Fold *draft* into this member's figures, or return the floor that refuses it.

        Raises:
            NotLocked: It touches rows or documents that were not locked for it.
        """
        extends: list[tuple[StockKey, int]] = []
        floors: list[int | None] = []
        opened = self._move_lines(draft)
        for key, change in sorted(changes_of(draft.kind, draft.legs, draft.touches).items()):
            row = self.row(key)
            floor = None
            if draft.guarded:
                floor = self._floor(key, change)
                broken = _broken(row, change, floor)
                if broken is not None:
                    return self._refusal(draft, key, broken)
            after, entry = extend(row, key, change, movement_id, draft.occurred_at, self.now, floor)
            if min(after.amounts[1:4]) < 0:  # promised; the slice, for this is the hot path
                raise InternalError(f"{key} would have {after}")
            self.rows[key] = after
            self.entries.append(entry)
            extends.append((key, entry.version))
            floors.append(floor)
        if draft.expiries:
            for key, _ in extends:
                expires_at = lot_expiry(draft.expiries, key)
                if expires_at is not None:
                    self.rows[key] = self.rows[key]._replace(lot_expires_at=expires_at)
        for tally in draft.tallies:
            self._count(tally)
        if draft.notes:
            body = {"movement": movement_id, "kind": draft.kind, "notes": draft.notes}
            self.documents[FINDING, f"fact/{movement_id}"] = body
        self._write_down(draft, movement_id, body_of(draft, extends, floors, opened))
        return None

    def _move_lines(self, draft: Draft) -> list[Opening]:
        """Let the legs move their lines; return the lines they are the first to enter."""
        opened: list[Opening] = []
        for leg in draft.legs:
            if leg.line:
                name = (draft.reference or "", leg.line)
                line = self.line(name)
                if not line.reserved:
                    opened.append(Opening(line.number, line.round, line.expires_at))
                self.lines[name] = moved(line, leg, draft.kind)
        return opened

    def _write_down(self, draft: Draft, movement_id: str, body: str) -> None:
        words = (
            movement_id,
            draft.kind.value,
            draft.occurred_at,
            self.now,
            len(self.book.movements) + len(self.movements),
            draft.reference,
            draft.reason,
            draft.actor,
            draft.origin,
            draft.reverses,
            body,
        )
        self.movements.append(sealed(words))

    def _floor(self, key: StockKey, change: list[int]) -> int | None:
        """Return the floor of a command that lowers SELLABLE; lots and keys never lend."""
        if change[0] >= 0:
            return None
        floor = self.book.settings.floor(key.sku, key.location)
        return min(floor, 0) if not key.lot else 0

    def _refusal(self, draft: Draft, key: StockKey, broken: tuple[int, int, str]) -> Refused:
        wanted, available, rule = broken
        where = f"at {key.location!r}" + (f" lot {key.lot!r}" if key.lot else "")
        if rule == _FLOOR:
            rule = self.book.settings.floor_rule(key.sku, key.location)
        short = (key.sku, wanted, max(0, available), where, rule)
        return InsufficientStock(draft.kind.value, (short,))

    def _count(self, tally: Tally) -> None:
        """Change one counter of a document; below zero is a bug of the rule that asked."""
        if not self._is_locked(tally):
            raise NotLocked(str(tally))
        name = (tally.space, tally.id)
        body = self.documents.get(name)
        if body is None:
            current = self.book.document(*name) or {}
            body = self.documents[name] = {**current, "lines": dict(current.get("lines", {}))}
        if add_up(body, tally) < 0:
            raise InternalError(f"{tally} leaves less than nothing")


def add_up(document: dict[str, Any], tally: Tally) -> int:
    """
    Change the counter of *document* that *tally* names; return what it is then.

    Its ``lines`` are changed, the counters of a line replaced: an earlier state of the
    document may share them.
    """
    lines = document.setdefault("lines", {})
    counters = lines.get(tally.item, {})
    value: int = counters.get(tally.field, 0) + tally.change
    lines[tally.item] = {**counters, tally.field: value}
    return value


def snapshot(lines: Iterable[LineRow]) -> list[list[Any]]:
    """Return lines as plain data for an outcome."""
    return [[*line[:3], *line.key, *line[4:]] for line in lines]


def line_from(values: list[Any]) -> LineRow:
    """Return a line from what ``snapshot`` wrote."""
    reference, number, round_, sku, location, lot, *counters = values
    return made(
        LineRow, (reference, number, round_, made(StockKey, (sku, location, lot)), *counters)
    )
