"""The write transaction of the PostgreSQL storage: lock in order, read, write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import chain, groupby
from typing import NoReturn

from tests.postgres.reader import Reader, columns, key_and_row, line_of
from tests.postgres.statements import (
    DUE,
    ENTRY,
    LINE,
    LOCK_STOCK,
    MAKE_RECORDS,
    MOVEMENT,
    ORDER,
    OUTCOME,
    PUT_OUTCOMES,
    REPLACE_RECORDS,
    STOCK,
)
from truecount.errors import ConstraintViolated, KeyTaken
from truecount.model.instants import Instant
from truecount.model.lines import LineRow
from truecount.model.outcomes import OutcomeRow
from truecount.model.stock import StockKey, StockRow
from truecount.protocols.storage import Changes, Locked, Record, Wants


class Unit(Reader):
    """One write transaction."""

    #: What to ask about when the reply to a commit is lost.
    first_key: str | None = None

    def lock(self, wants: Wants) -> Locked:
        """Lock orders, stock rows, documents, each sorted; then read what hangs on them."""
        orders = {(ORDER, reference) for reference in wants.orders}
        others = wants.records - orders
        early = orders | {name for name in others if name[0] == ORDER}
        records = self._lock_records(early, frozenset())
        rows = self._lock_stock(wants)
        records |= self._lock_records(others - early, wants.shared)
        lines = self._lines("reference = ANY(%s) ORDER BY reference, number", list(wants.orders))
        outcomes = self._rows(
            f"SELECT {OUTCOME} FROM {{s}}.outcome WHERE tenant = %s AND key = ANY(%s)",
            *(self._tenant, wants.keys_of_requests),
        )
        movements = {row.id: row for _, row in self.movements(wants.movements)}
        return Locked(
            rows, lines, records, {row[0]: OutcomeRow(*row) for row in outcomes}, movements
        )

    def _lock_records(
        self, names: set[tuple[str, str]], shared: Iterable[tuple[str, str]]
    ) -> dict[tuple[str, str], Record]:
        """Make and lock documents in one sorted order, exclusive and shared ones in turns."""
        found: dict[tuple[str, str], Record] = {}
        for is_shared, run in groupby(sorted(names), lambda name: name in shared):
            named = columns(run, 2)
            self._rows_made("record (tenant, space, id, version, body)", "w.a, w.b, 0, ''", named)
            strength = "SHARE" if is_shared else "NO KEY UPDATE"
            rows = self._rows(
                "SELECT r.space, r.id, r.version, r.body"
                " FROM unnest(%s::text[], %s::text[]) AS w(a, b)"
                " JOIN {s}.record r ON r.tenant = %s AND r.space = w.a AND r.id = w.b"
                f" ORDER BY r.space, r.id FOR {strength} OF r",
                *(*named, self._tenant),
            )
            found |= {(row[0], row[1]): Record(*row) for row in rows if row[2]}
        return found

    def _lock_stock(self, wants: Wants) -> dict[StockKey, StockRow]:
        """Make the wanted keys, then lock them with those of scopes and orders, sorted."""
        keys = columns(wants.keys, 3)
        self._rows_made("stock (tenant, sku, location, lot)", "w.a, w.b, w.c", keys)
        rows = self._rows(
            LOCK_STOCK,
            *(*keys, *columns(wants.scopes, 2), self._tenant),
            *(self._tenant, list(wants.orders), self._tenant),
        )
        return dict(map(key_and_row, rows))

    def _rows_made(self, table: str, values: str, named: list[list[object]]) -> None:
        """Insert rows that are missing, in the order given."""
        if not named[0]:
            return
        names = "abc"[: len(named)]
        arrays = ", ".join("%s::text[]" for _ in named)
        self._session.run(
            f"INSERT INTO {{s}}.{table} SELECT %s, {values} FROM unnest({arrays})"
            f" WITH ORDINALITY AS w({', '.join(names)}, n) ORDER BY w.n ON CONFLICT DO NOTHING",
            *(self._tenant, *named),
        )

    def due(self, enough: Mapping[StockKey, int], now: Instant) -> list[LineRow]:
        """Return expired holds of each key until they hold enough."""
        wanted = [(*key, quantity) for key, quantity in enough.items()]
        rows = self._rows(DUE, *columns(wanted, 4), self._tenant, now)
        return [line_of(row) for row in rows]

    def write(self, changes: Changes) -> None:
        """Write outcomes, then everything else; constraints are the database's."""
        self._write_outcomes(changes.outcomes)
        tenant = self._tenant
        self._insert("movement", MOVEMENT, [(tenant, *row) for row in changes.movements])
        self._insert(
            "entry",
            ENTRY,
            [
                (tenant, *e.key, e.version, list(e.change), list(e.after), *e[4:])
                for e in changes.entries
            ],
        )
        rows = sorted(changes.rows.items())
        self._upsert(
            "stock", STOCK, 3, [(tenant, *key, list(row.amounts), *row[1:]) for key, row in rows]
        )
        lines = sorted(changes.lines)
        self._upsert("line", LINE, 2, [(tenant, *n[:3], *n.key, *n[4:]) for n in lines])
        self._write_records(changes.records)

    def _write_outcomes(self, outcomes: Sequence[OutcomeRow]) -> None:
        if not outcomes:
            return
        taken = self._rows(PUT_OUTCOMES, self._tenant, *columns(outcomes, 5))
        stored = [row[0] for row in taken]
        missing = sorted({row.key for row in outcomes} - set(stored))
        if missing:
            # No savepoint to go back to: what was stored before the taken key is taken out.
            delete = "DELETE FROM {s}.outcome WHERE tenant = %s AND key = ANY(%s)"
            self._session.run(delete, self._tenant, stored)
            raise KeyTaken(missing[0])
        self.first_key = outcomes[0].key

    def _write_records(self, records: Sequence[Record]) -> None:
        if not records:
            return
        first = [record for record in records if record.version == 1]
        later = [record for record in records if record.version > 1]
        written = self._rows(MAKE_RECORDS, self._tenant, *columns(first, 4))
        written += self._rows(REPLACE_RECORDS, *columns(later, 4), self._tenant)
        for record in records:
            if (record.space, record.id) not in written:
                self._abort(f"record {record.space}/{record.id} has changed")

    def _abort(self, problem: str) -> NoReturn:
        """Fail in the database as well, so that a host cannot commit what was written."""
        with suppress(ConstraintViolated):
            self._session.run("DO $$ BEGIN RAISE integrity_constraint_violation; END $$")
        raise ConstraintViolated(problem)

    def _insert(self, table: str, names: str, rows: Sequence[Sequence[object]]) -> None:
        self._session.many(f"INSERT INTO {{s}}.{table} (tenant, {names}) {values(names)}", rows)

    def _upsert(self, table: str, names: str, key: int, rows: Sequence[Sequence[object]]) -> None:
        every = names.split(", ")
        updates = ", ".join(f"{name} = excluded.{name}" for name in every[key:])
        self._session.many(
            f"INSERT INTO {{s}}.{table} (tenant, {names}) {values(names)}"
            f" ON CONFLICT (tenant, {', '.join(every[:key])}) DO UPDATE SET {updates}",
            rows,
        )

    def forget(self, before: Instant) -> int:
        """Delete refusals whose time has come."""
        statement = "DELETE FROM {s}.outcome WHERE tenant = %s AND forget_at <= %s"
        return self._session.run(statement, self._tenant, before).rowcount


def values(names: str) -> str:
    """Return the VALUES clause for the tenant and *names*."""
    marks = ", ".join(chain(["%s"], ("%s" for _ in names.split(","))))
    return f"VALUES ({marks})"
