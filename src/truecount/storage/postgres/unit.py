"""
The write transaction of the PostgreSQL storage: lock in order, read, write.

Rules:
1. What is locked exists: missing stock rows and documents are made first, with version 0,
   which no reader shows. Groups in the order of the protocol, each sorted.
2. What is decided on is read by statements that begin after the locks were granted: under
   READ COMMITTED each statement has a snapshot of its own. The stock row is the latch of
   the lines on its key, the order document that of the lines under its reference.
3. ``lock`` is one round trip, ``write`` is one (joined: two), the commit is one.
4. Joined, a taken key is found without an error of the database, so no savepoint is needed;
   anything else that fails leaves the host's transaction aborted, so that the host cannot
   commit a part of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain, groupby
from typing import Final, NoReturn

import psycopg

from truecount.errors import ConstraintViolated, KeyTaken, TrueCountError
from truecount.model.instants import Instant
from truecount.model.lines import LineRow
from truecount.model.movements import MovementRow
from truecount.model.outcomes import OutcomeRow
from truecount.model.stock import StockKey, made
from truecount.protocols.storage import Changes, Locked, Record, Wants
from truecount.storage.postgres import statements as sql
from truecount.storage.postgres.reader import Reader, line_row, stock_row
from truecount.storage.postgres.session import Row, Step


_ORDER: Final = "order"
#: What PUT_OUTCOMES_OR_FAIL fails with.
_DIVISION_BY_ZERO: Final = "22012"

_Name = tuple[str, str]


class Unit(Reader):
    """One write transaction."""

    #: What to ask about when the reply to a commit is lost.
    first_key: str | None = None

    # --- lock ---------------------------------------------------------------------------

    def lock(self, wants: Wants) -> Locked:
        """Lock orders, stock rows, documents, each sorted; then read what hangs on them."""
        # What is there already need not be made first, and mostly it is. Where something was
        # missing after all, the locks are let go and taken again: only we may do that, and
        # only because nothing was read yet that anybody saw.
        if not self._session.joined:
            found = self._locked(wants, make=False)
            if found is not None:
                return found
            self._session.again()
        return self._locked(wants, make=True) or self._fail("what was locked is not there")

    def _locked(self, wants: Wants, *, make: bool) -> Locked | None:
        """Lock and read in one round trip; None when something to be locked is missing."""
        tenant = self._tenant
        orders = {(_ORDER, reference) for reference in wants.orders}
        early = orders | {name for name in wants.records if name[0] == _ORDER}
        late = wants.records - early
        references = sql.array(sorted(wants.orders))
        steps: dict[str, list[Step]] = {
            "early": self._lock_records(early, frozenset(), make=True),
            "stock": self._lock_stock(wants, references, make=make),
            "late": self._lock_records(late, wants.shared, make=make),
            "lines": [(sql.LINES_OF, (tenant, references))] if wants.orders else [],
            "outcomes": self._named(sql.OUTCOMES_OF, wants.keys_of_requests),
            "movements": [],
        }
        if wants.movements:
            ids = sql.array(sorted(wants.movements))
            steps["movements"] = [(sql.MOVEMENTS_OF_IDS, (ids, tenant))]
        found = self._exchange(steps)
        rows = dict(map(stock_row, found["stock"]))
        if not wants.keys <= rows.keys() or len(found["late"]) < len(late):
            return None
        records = [Record._make(row) for row in (*found["early"], *found["late"]) if row[2]]
        return Locked(
            rows,
            list(map(line_row, found["lines"])),
            {record[:2]: record for record in records},
            {row[0]: made(OutcomeRow, row) for row in found["outcomes"]},
            {row[1]: made(MovementRow, row[1:]) for row in found["movements"]},
        )

    def _exchange(self, steps: Mapping[str, Sequence[Step]]) -> dict[str, list[Row]]:
        """Run all steps in one round trip; return the rows of each group."""
        cursors = iter(self._session.together(*chain.from_iterable(steps.values())))
        return {
            name: [row for _ in group for row in _rows(next(cursors))]
            for name, group in steps.items()
        }

    def _lock_records(
        self, names: Iterable[_Name], shared: frozenset[_Name] | set[_Name], *, make: bool
    ) -> list[Step]:
        """Lock documents in one sorted order, exclusive and shared ones in turns."""
        steps: list[Step] = []
        for is_shared, run in groupby(sorted(names), lambda name: name in shared):
            named = sql.columns(list(run), 2)
            if make:
                steps.append((sql.MAKE_RECORDS, (self._tenant, *named)))
            statement = sql.SHARE_RECORDS if is_shared else sql.LOCK_RECORDS
            steps.append((statement, (*named, self._tenant)))
        return steps

    def _lock_stock(self, wants: Wants, references: str, *, make: bool) -> list[Step]:
        """Lock the wanted keys with those of scopes and orders, sorted."""
        if not (wants.keys or wants.scopes or wants.orders):
            return []
        keys = sql.columns(sorted(wants.keys), 3)
        scopes = sql.columns(sorted(wants.scopes), 2)
        tenant = self._tenant
        steps: list[Step] = []
        if make and wants.keys:
            steps.append((sql.MAKE_STOCK, (tenant, *keys)))
        if not (wants.scopes or wants.orders):
            return [*steps, (sql.LOCK_KEYS, (*keys, tenant))]
        steps.append((sql.LOCK_STOCK, (*keys, *scopes, tenant, tenant, references, tenant)))
        return steps

    def _named(self, statement: str, names: Sequence[str]) -> list[Step]:
        return [(statement, (self._tenant, sql.array(names)))] if names else []

    def due(self, enough: Mapping[StockKey, int], now: Instant) -> list[LineRow]:
        """Return expired holds of each key until they hold enough."""
        wanted = [(*key, quantity) for key, quantity in sorted(enough.items())]
        rows = self._session.rows(sql.DUE, *sql.columns(wanted, 4), self._tenant, now)
        return list(map(line_row, rows))

    # --- write --------------------------------------------------------------------------

    def write(self, changes: Changes) -> None:
        """Write all of *changes*; outcomes first, so that a taken key stops it before it began."""
        if changes.outcomes:
            self.first_key = changes.outcomes[0].key
        try:
            self._write(changes)
        except TrueCountError:
            self._session.doom()
            raise

    def _write(self, changes: Changes) -> None:
        steps = self._rows_of(changes)
        if changes.records:
            named = sql.columns(changes.records, 4)
            steps.append((sql.PUT_RECORDS, (self._tenant, *named, self._tenant)))
        if changes.outcomes and self._session.joined:
            self._put_outcomes(changes.outcomes)
        elif changes.outcomes:
            steps.insert(0, self._outcomes_or_fail(changes.outcomes))
        cursors = self._sent(steps, changes.outcomes)
        replaced = set(cursors[-1]) if changes.records else ()
        for record in changes.records:
            if (record.space, record.id) not in replaced:
                self._fail(f"record {record.space}/{record.id} has changed")

    def _sent(
        self, steps: Sequence[Step], outcomes: Sequence[OutcomeRow]
    ) -> list[psycopg.Cursor[Row]]:
        if not steps:
            return []
        try:
            return self._session.together(*steps)
        except ConstraintViolated as error:
            cause = error.__cause__
            if isinstance(cause, psycopg.Error) and cause.sqlstate == _DIVISION_BY_ZERO:
                self._session.again()
                raise KeyTaken(self._taken(outcomes)) from None
            raise

    def _rows_of(self, changes: Changes) -> list[Step]:
        """Return the steps that write movements, entries, stock rows and lines."""
        tables: tuple[tuple[str, int, Iterable[Sequence[object]]], ...] = (
            (sql.ADD_MOVEMENTS, 12, changes.movements),
            (sql.ADD_UNNUMBERED, 3, ((m.recorded_at, m.ordinal, m.id) for m in changes.movements)),
            (
                sql.ADD_ENTRIES,
                26,
                ((*e.key, e.version, *e.change, *e.after, *e[4:]) for e in changes.entries),
            ),
            (
                sql.PUT_STOCK,
                16,
                ((*k, *r.amounts, *r[1:]) for k, r in sorted(changes.rows.items())),
            ),
            (sql.PUT_LINES, 15, ((*n[:3], *n.key, *n[4:]) for n in sorted(changes.lines))),
        )
        listed = ((statement, width, list(rows)) for statement, width, rows in tables)
        return [
            (statement, (self._tenant, *sql.columns(rows, width)))
            for statement, width, rows in listed
            if rows
        ]

    def _outcomes_or_fail(self, outcomes: Sequence[OutcomeRow]) -> Step:
        values = (self._tenant, *sql.columns(outcomes, 5), len(outcomes))
        return sql.PUT_OUTCOMES_OR_FAIL, values

    def _put_outcomes(self, outcomes: Sequence[OutcomeRow]) -> None:
        """Write outcomes into a host's transaction, which must stay usable."""
        put = self._session.rows(sql.PUT_OUTCOMES, self._tenant, *sql.columns(outcomes, 5))
        stored = {row[0] for row in put}
        missing = sorted({row.key for row in outcomes} - stored)
        if missing:
            # No savepoint to go back to: what was stored before the taken key is taken out.
            self._session.run(sql.DROP_OUTCOMES, self._tenant, sql.array(sorted(stored)))
            raise KeyTaken(missing[0])

    def _taken(self, outcomes: Sequence[OutcomeRow]) -> str:
        """Return the first key that stopped a write; it is committed by now."""
        decided = {row.key: row.decided_at for row in outcomes}
        names = sql.array(sorted(decided))
        for row in sorted(self._session.rows(sql.OUTCOMES_OF, self._tenant, names)):
            if row[3] is None or row[3] > decided[row[0]]:
                return str(row[0])
        return outcomes[0].key

    def _fail(self, problem: str) -> NoReturn:
        """Fail in the database as well, so that a host cannot commit what was written."""
        with suppress(ConstraintViolated):
            self._session.run(sql.FAIL)
        raise ConstraintViolated(problem)

    def forget(self, before: Instant) -> int:
        """Delete refusals whose time has come."""
        return self._session.run(sql.FORGET, self._tenant, before)


def _rows(cursor: psycopg.Cursor[Row]) -> Iterator[Row]:
    """Yield the rows of a statement, none of one that has no result."""
    yield from cursor if cursor.description else ()
