"""
A write transaction of the PostgreSQL storage's own: guess or lock, write, commit.

Rules:
1. ``write`` keeps its statements back and the commit goes out behind them: one that fails
   stops it.
2. What was recalled is proven and written in one statement (``guess``), or proven before
   whatever else comes first: a question, an error, the end.
3. What a committed write has seen and made is remembered (``memory``).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final, Self

from truecount.errors import (
    ConstraintViolated,
    KeyTaken,
    OutcomeUnknown,
    Outdated,
    Retryable,
    StorageError,
    StorageUnavailable,
)
from truecount.model.instants import Instant
from truecount.model.outcomes import OutcomeRow
from truecount.protocols.storage import Changes, Locked, Wants
from truecount.storage.postgres import statements as sql
from truecount.storage.postgres.connections import Connections
from truecount.storage.postgres.guess import Guess
from truecount.storage.postgres.memory import Memory
from truecount.storage.postgres.proving import STOCK_CHANGED
from truecount.storage.postgres.session import IN_WORK
from truecount.storage.postgres.unit import VANISHED, Unit


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
        self._wants = _NOTHING_WANTED
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
        """Guess stock less that was not as it was guessed, or that somebody had in work."""
        cause = getattr(outdated.__cause__, "sqlstate", None)
        if self._guess and (STOCK_CHANGED in outdated.what or cause == IN_WORK):
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
            found = self._locked(wants, make=True) or self._fail(VANISHED)
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


_NOTHING_WANTED: Final = Wants()
_NO_CHANGES: Final = Changes((), (), (), {}, (), ())
