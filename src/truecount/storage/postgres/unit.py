"""
The write transaction of the PostgreSQL storage: lock in order, read, write.

Rules:
1. What is locked exists: missing stock rows and documents are made first, with version 0,
   which no reader shows. Groups in the order of the protocol, each sorted.
2. What is decided on is read by statements that begin after the locks were granted: under
   READ COMMITTED each statement has a snapshot of its own. The stock row is the latch of
   the lines on its key, the order document that of the lines under its reference.
3. ``lock`` is one round trip, ``write`` is one statement, the commit is one.
4. A taken key is found without an error of the database, so no savepoint is needed; anything
   else that fails leaves a host's transaction aborted, so that the host cannot commit a part.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
_text: Final[Callable[[object], str]] = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), check_circular=False
).encode

_Name = tuple[str, str]


class Unit(Reader):
    """One write transaction."""

    #: What to ask about when the reply to a commit is lost.
    first_key: str | None = None
    #: Whether there is anything that a lost reply leaves unknown.
    has_written = False

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
            "early": self._lock_records(early, frozenset(), make=make),
            "stock": self._lock_stock(wants, references, make=make),
            "shared": self._lock_records(late, wants.shared, make=make),
            "read": [self._read(early | (late - wants.shared), references, wants)],
            "movements": [],
        }
        if wants.movements:
            ids = sql.array(sorted(wants.movements))
            steps["movements"] = [(sql.MOVEMENTS_OF_IDS, (ids, tenant))]
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

    def _read(self, names: Iterable[_Name], references: str, wants: Wants) -> Step:
        """Read what hangs on what was locked, in a statement that begins after all locks."""
        keys = sql.array(wants.keys_of_requests)
        named = sql.columns(sorted(names), 2)
        tenant = self._tenant
        return sql.READ_LOCKED, (*named, tenant, tenant, references, tenant, keys)

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
            if not is_shared:
                steps.append((sql.LOCK_RECORDS, (self._tenant, *named)))
                continue
            if make:
                steps.append((sql.MAKE_RECORDS, (self._tenant, *named)))
            steps.append((sql.SHARE_RECORDS, (*named, self._tenant)))
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

    def due(self, enough: Mapping[StockKey, int], now: Instant) -> list[LineRow]:
        """Return expired holds of each key until they hold enough."""
        wanted = [(*key, quantity) for key, quantity in sorted(enough.items())]
        rows = self._session.rows(sql.DUE, *sql.columns(wanted, 4), self._tenant, now)
        return list(map(line_row, rows))

    # --- write --------------------------------------------------------------------------

    def write(self, changes: Changes) -> None:
        """Write all of *changes*; outcomes first, so that a taken key stops it before it began."""
        self.has_written |= any(changes)
        if changes.outcomes:
            self.first_key = changes.outcomes[0].key
        try:
            self._write(changes)
        except TrueCountError:
            self._session.doom()
            raise

    def _write(self, changes: Changes) -> None:
        rows: dict[str, list[Sequence[object]]] = {
            "movement": list(changes.movements),
            "unnumbered": [(m.recorded_at, m.ordinal, m.id) for m in changes.movements],
            "entry": [(*e.key, e.version, *e.change, *e.after, *e[4:]) for e in changes.entries],
            "stock": [(*k, *r.amounts, *r[1:]) for k, r in changes.rows.items()],
            "line": [(*n[:3], *n.key, *n[4:]) for n in changes.lines],
        }
        tenant = self._tenant
        put = self._session.rows(
            sql.WRITE,
            *(tenant, _text(changes.outcomes), len(changes.outcomes)),
            *chain.from_iterable((tenant, _text(rows[table])) for table in sql.TABLES),
            *(tenant, _text(changes.records), tenant),
        )
        keys = {name for what, name, _ in put if what == "outcome"}
        taken = {row.key for row in changes.outcomes} - keys
        if taken:
            # No savepoint to go back to: what was put before the taken key is taken out.
            self._session.run(sql.DROP_OUTCOMES, tenant, sql.array(sorted(keys)))
            raise KeyTaken(min(taken))
        if changes.records:
            documents = {(space, id_) for what, space, id_ in put if what == "record"}
            for record in changes.records:
                if (record.space, record.id) not in documents:
                    self._fail(f"record {record.space}/{record.id} has changed")

    def _fail(self, problem: str) -> NoReturn:
        """Fail in the database as well, so that a host cannot commit what was written."""
        with suppress(ConstraintViolated):
            self._session.run(sql.FAIL)
        raise ConstraintViolated(problem)

    def forget(self, before: Instant) -> int:
        """Delete refusals whose time has come."""
        self.has_written = True
        return self._session.run(sql.FORGET, self._tenant, before)


def _rows(cursor: psycopg.Cursor[Row]) -> Iterator[Row]:
    """Yield the rows of a statement, none of one that has no result."""
    yield from cursor if cursor.description else ()
