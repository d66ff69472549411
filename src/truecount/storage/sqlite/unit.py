"""The write transaction of the SQLite storage: it has the file's lock, reads and writes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from truecount.errors import ConstraintViolated, KeyTaken
from truecount.model.instants import Instant
from truecount.model.lines import LineRow
from truecount.model.movements import MovementRow
from truecount.model.outcomes import OutcomeRow
from truecount.model.stock import EMPTY_ROW, EntryRow, StockKey, StockRow, made
from truecount.protocols.storage import ORDER, Changes, Locked, Record, Wants
from truecount.storage.sqlite import statements as sql
from truecount.storage.sqlite.reader import ONE_BY_ONE, Reader, line_row, stock_row, text
from truecount.storage.sqlite.session import Row


class Unit(Reader):
    """One write transaction, which has the file's write lock."""

    #: Outcomes as they were found under the lock, None where there was none.
    _looked_up: Mapping[str, OutcomeRow | None] = MappingProxyType({})

    def recall(self, wants: Wants) -> Locked | None:
        """Return None: the file is here, and a look costs no round trip."""
        return None

    def lock(self, wants: Wants) -> Locked:
        """Return what *wants* names; the file is locked already."""
        lines = [line_row(row) for row in self._some(sql.LINES, sql.LINES_OF, wants.orders)]
        rows = self._stock_rows(wants, lines)
        names = wants.records | {(ORDER, reference) for reference in wants.orders}
        records = self._some(sql.RECORD_ONE, sql.RECORD_SOME, names)
        outcomes = {row.key: row for row in self._outcomes(wants.keys_of_requests)}
        self._looked_up = dict.fromkeys(wants.keys_of_requests) | outcomes
        movements = self._some(sql.MOVEMENT_ID, sql.MOVEMENT_IDS, wants.movements)
        return Locked(
            rows,
            lines,
            {row[:2]: Record._make(row) for row in records},
            outcomes,
            {row[1]: MovementRow._make(row[1:]) for row in movements},
        )

    def _stock_rows(self, wants: Wants, lines: Iterable[LineRow]) -> dict[StockKey, StockRow]:
        skus = [sku for sku, location in wants.scopes if not location]
        places = [scope for scope in wants.scopes if scope[1]]
        found = self._some(sql.STOCK_SKU, sql.STOCK_SKUS, skus)
        found += self._some(sql.STOCK_PLACE, sql.STOCK_PLACES, places)
        rows = dict(map(stock_row, found))
        missing = {line.key for line in lines} | wants.keys
        missing -= rows.keys()
        if missing:
            rows.update(map(stock_row, self._some(sql.STOCK_KEY, sql.STOCK_KEYS, missing)))
            for key in missing - rows.keys():
                rows[key] = EMPTY_ROW
        return rows

    def _some(self, one: str, some: str, names: Collection[Any]) -> list[Row]:
        """Return the rows of *names*, each a text or a tuple of texts."""
        found: list[Row] = []
        if len(names) > ONE_BY_ONE:
            return self._session.rows(some, (text(list(names)), self._tenant))
        for name in names:
            key = (self._tenant, name) if type(name) is str else (self._tenant, *name)
            found += self._session.rows(one, key)
        return found

    def due(self, enough: Mapping[StockKey, int], now: Instant) -> list[LineRow]:
        """Return expired holds of each key until they hold enough."""
        found = []
        for key, quantity in enough.items():
            missing = quantity
            expired = self._session.iterate(sql.EXPIRED, (self._tenant, *key, now))
            while missing > 0 and (row := next(expired, None)) is not None:
                line = line_row(row)
                found.append(line)
                missing -= line.held
        return found

    def write(self, changes: Changes) -> None:
        """Write all of *changes*; outcomes first, so that a key taken stops it before it began."""
        self._put_outcomes(changes.outcomes)
        tenant = self._tenant
        positions = self._add_movements(changes.movements)
        if changes.entries:
            self._each(sql.ADD_ENTRY, [self._entry(entry, positions) for entry in changes.entries])
        stock = [(tenant, *key, *row.amounts, *row[1:]) for key, row in changes.rows.items()]
        self._each(sql.PUT_STOCK, stock)
        self._each(sql.PUT_LINE, [(tenant, *r[:3], *r.key, *r[4:]) for r in changes.lines])
        self._put_records(changes.records)

    def forget(self, before: Instant) -> int:
        """Delete refusals whose time has come."""
        return self._session.run(sql.FORGET, (self._tenant, before))

    def _each(self, statement: str, rows: Sequence[Sequence[Any]]) -> int:
        """Run a statement for each row; return how many rows were changed."""
        if len(rows) == 1:
            return self._session.run(statement, rows[0])
        return self._session.many(statement, rows) if rows else 0

    def _put_outcomes(self, outcomes: Sequence[OutcomeRow]) -> None:
        if not outcomes:
            return
        self._session.key = outcomes[0].key
        if len(outcomes) > 1:
            self._check_keys(outcomes)
        rows = [(self._tenant, *outcome) for outcome in outcomes]
        if self._each(sql.PUT_OUTCOME, rows) < len(rows):
            raise KeyTaken(outcomes[0].key)

    def _check_keys(self, outcomes: Sequence[OutcomeRow]) -> None:
        """Look before writing: of several keys the second may be taken."""
        decided = {outcome.key: outcome.decided_at for outcome in outcomes}
        if len(decided) < len(outcomes):
            raise ConstraintViolated("an outcome's key is not unique")
        unseen = self._outcomes([key for key in decided if key not in self._looked_up])
        for known in (*self._looked_up.values(), *unseen):
            if known is None or known.key not in decided:
                continue
            if known.forget_at is None or known.forget_at > decided[known.key]:
                raise KeyTaken(known.key)

    def _outcomes(self, keys: Collection[str]) -> list[OutcomeRow]:
        found = self._some(sql.OUTCOME_ONE, sql.OUTCOME_SOME, keys)
        return [made(OutcomeRow, row) for row in found]

    def _add_movements(self, movements: Sequence[MovementRow]) -> dict[str, int]:
        """Insert *movements*, numbered on; return their positions by id."""
        if not movements:
            return {}
        tenant = self._tenant
        last: int = self._session.rows(sql.LAST_POSITION, (tenant,))[0][0] or 0
        numbered = list(enumerate(movements, last + 1))
        self._each(sql.ADD_MOVEMENT, [(tenant, position, *row) for position, row in numbered])
        return {row.id: position for position, row in numbered}

    def _entry(self, entry: EntryRow, positions: Mapping[str, int]) -> Row:
        key, version, change, after, movement_id, *times, floor = entry
        position = positions.get(movement_id)
        if position is None:
            position = self._position(movement_id)
        return (self._tenant, *key, version, *change, *after, position, *times, floor)

    def _position(self, movement_id: str) -> int:
        for position, _ in self.movements((movement_id,)):
            if position is not None:
                return position
        raise ConstraintViolated(f"an entry names movement {movement_id!r}, which is not there")

    def _put_records(self, records: Sequence[Record]) -> None:
        if not records:
            return
        new = [(self._tenant, *row) for row in records if row.version == 1]
        changed = [
            (row.version, row.body, self._tenant, row.space, row.id, row.version - 1)
            for row in records
            if row.version != 1
        ]
        self._each(sql.ADD_RECORD, new)
        if self._each(sql.NEXT_RECORD, changed) < len(changed):
            names = ", ".join(f"{row.space}/{row.id}" for row in records if row.version != 1)
            raise ConstraintViolated(f"a record has changed: one of {names}")


class JoinedUnit(Unit):
    """A unit in a host's transaction, which may only have read so far."""

    def lock(self, wants: Wants) -> Locked:
        """Take the file's write lock, waiting as long as the host's connection waits."""
        self._session.run(sql.TAKE_LOCK)
        return super().lock(wants)
