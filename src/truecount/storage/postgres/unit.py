"""
What the write transactions of the PostgreSQL storage have in common: lock in order, read.

Rules:
1. What is locked exists: missing stock rows and documents are made first, with version 0,
   which no reader shows. Groups in the order of the protocol, each sorted.
2. What is read is read by statements that begin after the locks were granted: under READ
   COMMITTED each statement has a snapshot of its own. The stock row is the latch of the lines
   on its key, the order document that of the lines under its reference.
3. ``lock`` is one round trip, and each table has one plain statement, however many rows.
4. A document that is not the one before breaks a constraint, and so does a taken key, but in a
   host's transaction; so nothing needs to be looked at between a write and its commit.

``own_unit`` is a transaction of our own, ``joined_unit`` a part of a host's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import chain, groupby
from typing import Final, NoReturn

from truecount.errors import (
    ConstraintViolated,
    TrueCountError,
)
from truecount.model.instants import Instant
from truecount.model.lines import LineRow
from truecount.model.movements import MovementRow
from truecount.model.outcomes import OutcomeRow
from truecount.model.stock import StockKey, made
from truecount.protocols.storage import ORDER, Changes, Locked, Record, Wants
from truecount.storage.postgres import statements as sql
from truecount.storage.postgres.reader import Reader
from truecount.storage.postgres.rows import line_row, rows_of, stock_row
from truecount.storage.postgres.session import Step
from truecount.storage.postgres.texts import text_of
from truecount.storage.postgres.wire import Row


_Name = tuple[str, str]


class Unit(Reader):
    """One write transaction, whoever began it: lock and read."""

    def _locked(self, wants: Wants, *, make: bool) -> Locked | None:
        """Lock and read in one round trip; None when something to be locked is missing."""
        orders = {(ORDER, reference) for reference in wants.orders}
        early = orders | {name for name in wants.records if name[0] == ORDER}
        late = wants.records - early
        references = [(reference,) for reference in sorted(wants.orders)]
        steps: dict[str, list[Step]] = {
            "early": self._lock_records(early, frozenset(), make=make),
            "stock": self._lock_stock(wants, references, make=make),
            "shared": self._lock_records(late, wants.shared, make=make),
            "read": [self._read(early | (late - wants.shared), references, wants)],
            "movements": [],
        }
        if wants.movements:
            ids = text_of(sorted(wants.movements))
            steps["movements"] = [(sql.MOVEMENTS_OF_IDS, (self._tenant, ids))]
        found = self._exchange(steps)
        rows = dict(map(stock_row, found["stock"]))
        if not wants.keys <= rows.keys() or len(found["shared"]) < len(late & wants.shared):
            return None
        [texts] = found["read"]
        records, lines, outcomes = (json.loads(text) if text else () for text in texts)
        shared = [row for row in found["shared"] if row[2]]
        return Locked(
            rows,
            list(map(line_row, lines)),
            {(row[0], row[1]): Record._make(row) for row in (*records, *shared)},
            {row[0]: OutcomeRow._make(row) for row in outcomes},
            {row[1]: made(MovementRow, row[1:]) for row in found["movements"]},
        )

    def _read(self, names: Iterable[_Name], references: list[tuple[str]], wants: Wants) -> Step:
        """Read what hangs on what was locked, in a statement that begins after all locks."""
        keys = [(key,) for key in wants.keys_of_requests]
        return sql.READ_LOCKED, (self._tenant, sorted(names), references, keys)

    def _exchange(self, steps: Mapping[str, Sequence[Step]]) -> dict[str, list[Row]]:
        """Run all steps in one round trip; return the rows of each group."""
        answers = iter(self._session.together(*chain.from_iterable(steps.values())))
        return {
            name: [row for _ in group for row in next(answers).rows]
            for name, group in steps.items()
        }

    def _lock_records(
        self, names: Iterable[_Name], shared: frozenset[_Name] | set[_Name], *, make: bool
    ) -> list[Step]:
        """Lock documents in one sorted order, exclusive and shared ones in turns."""
        steps: list[Step] = []
        for is_shared, run in groupby(sorted(names), lambda name: name in shared):
            values = self._tenant, list(run)
            if not is_shared:
                steps.append((sql.LOCK_RECORDS, values))
                continue
            if make:
                steps.append((sql.MAKE_RECORDS, values))
            steps.append((sql.SHARE_RECORDS, values))
        return steps

    def _lock_stock(self, wants: Wants, references: list[tuple[str]], *, make: bool) -> list[Step]:
        """Lock the wanted keys with those of scopes and orders, sorted."""
        if not (wants.keys or wants.scopes or wants.orders):
            return []
        tenant, keys = self._tenant, sorted(wants.keys)
        steps: list[Step] = []
        if make and wants.keys:
            steps.append((sql.MAKE_STOCK, (tenant, keys)))
        if not (wants.scopes or wants.orders):
            return [*steps, (sql.LOCK_KEYS, (tenant, keys))]
        scopes = sorted(wants.scopes)
        return [*steps, (sql.LOCK_STOCK, (tenant, keys, scopes, references))]

    def due(self, enough: Mapping[StockKey, int], now: Instant) -> list[LineRow]:
        """Return expired holds of each key until they hold enough."""
        wanted = [(*key, quantity) for key, quantity in sorted(enough.items())]
        rows = self._session.rows(sql.DUE, self._tenant, wanted, now)
        return list(map(line_row, rows))

    # --- write --------------------------------------------------------------------------

    def _puts(self, changes: Changes) -> list[Step]:
        """Return what puts rows into each table, outcomes first, nothing that is empty."""
        return [
            (sql.PUT[table], (self._tenant, rows))
            for table, rows in rows_of(changes).items()
            if rows
        ]

    def forget(self, before: Instant) -> int:
        """Delete refusals whose time has come."""
        return self._session.run(sql.FORGET, self._tenant, before)

    def _fail(self, problem: str) -> NoReturn:
        self._spoil()
        raise ConstraintViolated(problem)

    def _spoil(self) -> None:
        """Fail in the database as well, so that a host cannot commit what was written."""
        with suppress(TrueCountError):
            self._session.run(sql.FAIL)


#: What a lock that made all it wanted has not found.
VANISHED: Final = "what was locked is not there"
