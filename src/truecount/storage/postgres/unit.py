"""
The write transactions of the PostgreSQL storage, our own and a host's: lock in order, read, write.

Rules:
1. What is locked exists: missing stock rows and documents are made first, with version 0,
   which no reader shows. Groups in the order of the protocol, each sorted.
2. What is decided on is read by statements that begin after the locks were granted: under
   READ COMMITTED each statement has a snapshot of its own. The stock row is the latch of
   the lines on its key, the order document that of the lines under its reference.
3. ``lock`` is one round trip. Of our own, ``write`` keeps its statements back and the commit
   goes out behind them: one that fails stops it. Each table has one plain statement, however
   many rows. What was recalled is proven and written in one statement (``guess``), or proven
   before whatever else comes first: a question, an error, the end.
4. A taken key, or a document that is not the one before, breaks a constraint, so nothing needs
   to be looked at between a write and its commit.
5. In a host's transaction a taken key must be found without an error of the database, because
   no savepoint is made: outcomes go first, alone, and one of ours is taken back. Anything else
   that fails leaves the transaction aborted, so that the host cannot commit a part.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain, groupby
from typing import Final, NoReturn, Self

from truecount.errors import (
    ConstraintViolated,
    KeyTaken,
    OutcomeUnknown,
    Outdated,
    Retryable,
    StorageError,
    StorageUnavailable,
    TrueCountError,
)
from truecount.model.instants import Instant
from truecount.model.lines import LineRow
from truecount.model.movements import MovementRow
from truecount.model.outcomes import OutcomeRow
from truecount.model.stock import StockKey, made
from truecount.protocols.storage import ORDER, Changes, Locked, Record, Wants
from truecount.storage.postgres import statements as sql
from truecount.storage.postgres.connections import Connections
from truecount.storage.postgres.guess import Guess
from truecount.storage.postgres.memory import Memory
from truecount.storage.postgres.reader import Reader, line_row, stock_row
from truecount.storage.postgres.rows import rows_of
from truecount.storage.postgres.session import IN_WORK, Step
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


class OwnUnit(Unit):
    """A transaction of our own; leaving it ends it."""

    _changes: Changes | None = None
    #: Whether there is anything that a lost reply leaves unknown.
    _has_written = False

    def __init__(self, connections: Connections, tenant: str, memory: Memory) -> None:
        self._connections = connections
        self._tenant = tenant
        self._number = None
        self._memory = memory
        self._wants = Wants()
        #: What was found under the lock.
        self._found: Locked | None = None
        self._guess: Guess | None = None

    def __enter__(self) -> Self:
        """Take a connection; what is asked first begins the transaction."""
        self._session = self._connections.session(self._connections.begins.write)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        """Commit, unless there is an *error*; what was guessed is proven in either case."""
        try:
            if error is None:
                self.commit()
            elif isinstance(error, Outdated):
                self._doubt(error)
            elif isinstance(error, Exception) and not isinstance(error, StorageError | Retryable):
                self._session.confirm()
        except Outdated as outdated:
            self._doubt(outdated)
            raise
        finally:
            self._connections.take_back(self._session)

    def _doubt(self, outdated: Outdated) -> None:
        """Guess stock that was not as it was guessed no more; a row in work is none."""
        cause = getattr(outdated.__cause__, "sqlstate", None)
        if self._guess and (sql.STOCK_CHANGED in outdated.what or cause == IN_WORK):
            self._memory.doubt(self._tenant, self._guess.rows, self._wants)

    def recall(self, wants: Wants) -> Locked | None:
        """Return what is remembered of *wants*; its locks and the proof come before all else."""
        found = self._memory.guess(self._tenant, wants)
        if found is not None:
            self._wants = wants
            self._guess = guess = Guess.of(found, wants)
            self._session.prove(partial(guess.proof, self._tenant))
        return found

    def lock(self, wants: Wants) -> Locked:
        """Lock orders, stock rows, documents, each sorted; then read what hangs on them."""
        # What is there already need not be made first, and mostly it is. Where something was
        # missing after all, the locks are let go and taken again: only we may do that, and
        # only because nothing was read yet that anybody saw.
        found = self._locked(wants, make=False)
        if found is None:
            self._session.again()
            found = self._locked(wants, make=True) or self._fail(_VANISHED)
        self._wants = wants
        self._found = found._replace(rows=dict(found.rows))
        return found

    def write(self, changes: Changes) -> None:
        """Keep *changes* back until the unit is left; nothing can be read any more."""
        self._has_written |= any(changes)
        self._changes = changes
        if self._guess is None or self._session.is_proven:
            self._session.end_with(self._puts(changes))
        elif self._has_written:
            self._session.end_at_once(self._guess.with_changes(self._tenant, changes))

    def forget(self, before: Instant) -> int:
        """Delete refusals whose time has come."""
        self._has_written = True
        return super().forget(before)

    def commit(self) -> None:
        """
        Write what was kept back, and commit it, in one round trip.

        Raises:
            KeyTaken: An outcome is there already; nothing was written.
            ConstraintViolated: The database does not take it; nothing was written.
            OutcomeUnknown: The reply was lost; repeating the first key tells.
        """
        keys = [row.key for row in self._changes.outcomes] if self._changes else []
        try:
            self._session.commit(keys[0] if keys else None)
        except OutcomeUnknown as error:
            if self._has_written:
                raise
            raise StorageUnavailable(self._session.target, error.problem) from error.__cause__
        except ConstraintViolated as error:
            taken = self._taken(self._changes.outcomes) if self._changes else []
            if taken:
                raise KeyTaken(min(taken)) from error
            raise
        self._memory.learn(self._tenant, self._wants, self._found, self._changes or _NO_CHANGES)

    def _taken(self, outcomes: Sequence[OutcomeRow]) -> list[str]:
        """Return the keys that others have taken, as a transaction of its own sees it."""
        if not outcomes:
            return []
        asked = [(row.key, row.decided_at) for row in outcomes]
        self._session.again()
        return [key for (key,) in self._session.rows(sql.TAKEN, self._tenant, asked)]


class JoinedUnit(Unit):
    """A part of a host's transaction."""

    def recall(self, wants: Wants) -> Locked | None:
        """Return None: a guess that is wrong fails, which would be the end of the host's work."""
        return None

    def lock(self, wants: Wants) -> Locked:
        """Lock orders, stock rows, documents, each sorted; then read what hangs on them."""
        return self._locked(wants, make=True) or self._fail(_VANISHED)

    def write(self, changes: Changes) -> None:
        """Write all of *changes*; outcomes first, so that a taken key stops it before it began."""
        if changes.outcomes:
            self._put_outcomes(changes.outcomes)
        others = self._puts(changes._replace(outcomes=()))
        if not others:
            return
        try:
            self._session.together(*others)
        except TrueCountError:
            self._spoil()  # What the driver did not even send has failed nothing there.
            raise

    def _put_outcomes(self, outcomes: Sequence[OutcomeRow]) -> None:
        put = self._session.rows(sql.PUT_UNLESS_TAKEN, self._tenant, list(outcomes))
        taken = {row.key for row in outcomes} - {key for (key,) in put}
        if taken:
            self._session.run(sql.DROP_OUTCOMES, self._tenant, put)
            raise KeyTaken(min(taken))


_NO_CHANGES: Final = Changes((), (), (), {}, (), ())
_VANISHED: Final = "what was locked is not there"
