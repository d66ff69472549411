"""
One psycopg connection in use: statements run, several in one round trip, errors in our words.

Rules:
1. What the driver raises leaves as an error of ours, its cause chained.
2. Statements that need nothing of each other's results go out together (pipeline mode, where
   the client library has it) and come back together.
3. A transaction of our own begins with its first statement, in the same round trip. Until
   that has come back nothing was read or decided, so a connection found dead then is
   replaced, once, and nobody notices.
4. Nothing depends on the row factory, cursors or loaders a host has set on its connection.
5. After a statement of a round trip has failed, psycopg takes those behind it for prepared
   although the server skipped them. So a connection of ours is closed after such a failure,
   and on a host's nothing is prepared in a shared round trip.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from typing import Any, Final, TypeAlias

import psycopg
from psycopg import errors
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row
from psycopg.types.numeric import IntLoader
from psycopg.types.string import TextLoader

from truecount.errors import (
    ConstraintViolated,
    OutcomeUnknown,
    Retryable,
    StorageUnavailable,
    TrueCountError,
)


Row: TypeAlias = tuple[Any, ...]
Connection: TypeAlias = psycopg.Connection[Any]
#: A statement, and its values.
Step: TypeAlias = tuple[str, Sequence[object]]

#: Serialization failure, deadlock: whoever began the transaction may repeat it at once.
PASSING: Final = frozenset({"40001", "40P01"})
#: Those, and a lock that was not to be had in time, or a statement that took too long.
_BUSY: Final = PASSING | {"55P03", "57014"}
#: What a statement said about its data; the second half of a class is left out.
_CONSTRAINTS: Final = ("21", "22", "23")
_ADVICE: Final = {
    "42P01": "the tables are not there; call storage.migrate(), or run what schema_sql() returns",
    "3F000": "the schema is not there; call storage.migrate(), or run what schema_sql() returns",
    "25006": "this server only reads (a replica?); connect to the primary",
    "42501": "the user lacks a right on the schema; grant it, or let its owner call migrate()",
}
#: What the driver raises; also texts that have no encoding.
_RAISED: Final = (psycopg.Error, UnicodeError)

_OPEN: Final = frozenset({TransactionStatus.INTRANS, TransactionStatus.INERROR})
_OVER: Final = "the transaction is over; read what you need before it ends"
_LOADERS: Final = (("text", TextLoader), ("int4", IntLoader), ("int8", IntLoader))


class Texts(dict[str, bytes]):
    """Statements with the name of the schema put in, each once."""

    def __init__(self, schema: str) -> None:
        super().__init__()
        self._schema = schema

    def __missing__(self, statement: str) -> bytes:
        """Put the name in, and remember."""
        text = self[statement] = statement.replace("{s}", self._schema).encode()
        return text


def translated(error: Exception, target: str) -> TrueCountError:
    """Return what the driver raised as an error of ours."""
    text = str(error).partition("\n")[0] or type(error).__name__
    state = getattr(error, "sqlstate", None) or ""
    if state in _BUSY:
        return Retryable(text)
    if state[:2] in _CONSTRAINTS or isinstance(error, (errors.DataError, UnicodeError)):
        return ConstraintViolated(text)
    return StorageUnavailable(target, _ADVICE.get(state, text))


def is_lost(error: BaseException | None) -> bool:
    """Return whether *error* says that a connection ended, or could not be made."""
    if not isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
        return False
    state = error.sqlstate or ""
    return not state or state.startswith("08") or state in {"57P01", "57P02", "57P03", "57P05"}


class Session:
    """One connection in use, for the time of one transaction."""

    def __init__(
        self,
        connection: Connection,
        texts: Texts,
        target: str,
        *,
        begin: str = "",
        renewed: Callable[[Connection], Connection] | None = None,
    ) -> None:
        self.connection = connection
        self.target = target
        #: Whether nothing was sent yet: the first statement is the beginning.
        self.is_fresh = True
        #: Whether this transaction is a host's.
        self.joined = renewed is None
        self._texts = texts
        self._begin = begin
        self._renewed = renewed
        self._is_over = False
        self._is_doomed = False
        #: Whether the driver may be wrong about what is prepared.
        self._is_spoiled = False

    def rows(self, statement: str, *values: object) -> list[Row]:
        """Run a statement and return all its rows."""
        return self.together((statement, values))[0].fetchall()

    def run(self, statement: str, *values: object) -> int:
        """Run a statement and return how many rows it changed."""
        return self.together((statement, values))[0].rowcount

    def together(self, *steps: Step) -> list[psycopg.Cursor[Row]]:
        """Run statements in order, in one round trip; return a cursor for each."""
        if self._is_over:
            raise StorageUnavailable(self.target, _OVER)
        first = self.is_fresh
        try:
            return self._sent(steps)
        except _RAISED as error:
            if not (first and self._renewed is not None and is_lost(error)):
                raise translated(error, self.target) from error
            self.connection = self._renewed(self.connection)
        try:
            return self._sent(steps)
        except _RAISED as error:
            raise translated(error, self.target) from error

    def _sent(self, steps: Sequence[Step]) -> list[psycopg.Cursor[Row]]:
        begins = self.is_fresh and bool(self._begin)
        if begins:
            steps = ((self._begin, ()), *steps)
        found = self._exchanged(steps)
        self.is_fresh = False
        return found[1:] if begins else found

    def _exchanged(self, steps: Sequence[Step]) -> list[psycopg.Cursor[Row]]:
        cursors = [self._cursor() for _ in steps]
        many = len(steps) > 1 and psycopg.Pipeline.is_supported()
        prepare = False if self._is_spoiled or (many and self.joined) else None
        try:
            with self.connection.pipeline() if many else nullcontext():
                for cursor, (statement, values) in zip(cursors, steps, strict=True):
                    cursor.execute(self._texts[statement], values or None, prepare=prepare)
        except BaseException:
            self._is_spoiled |= many
            raise
        return cursors

    def _cursor(self) -> psycopg.Cursor[Row]:
        cursor = psycopg.Cursor(self.connection, row_factory=tuple_row)
        if self.joined:
            for name, loader in _LOADERS:
                cursor.adapters.register_loader(name, loader)
        return cursor

    def apart(self, *steps: Step) -> list[psycopg.Cursor[Row]]:
        """Run statements in a transaction of their own, before this one has begun."""
        begin, self._begin = self._begin, ""
        try:
            return self.together(*steps)
        finally:
            self._begin = begin
            self.is_fresh = True

    def again(self) -> None:
        """Let go of all locks and begin anew."""
        self.together(("ROLLBACK", ()))
        self.is_fresh = True

    def doom(self) -> None:
        """See to it that what was written will not be committed: neither by us nor by a host."""
        self._is_doomed = True

    def commit(self, key: str | None) -> None:
        """
        Commit what was begun.

        Raises:
            OutcomeUnknown: The reply was lost; repeating *key* tells.
        """
        if self._is_doomed:
            self.roll_back()
            return
        if self.is_fresh:
            self._is_over = True
            return
        try:
            [cursor] = self.together(("COMMIT", ()))
        except StorageUnavailable as error:
            if self.connection.closed:
                raise OutcomeUnknown(key or "(without a key)", error.problem) from error.__cause__
            raise
        finally:
            self._is_over = True
        if cursor.statusmessage != "COMMIT":
            raise StorageUnavailable(self.target, "the server rolled back instead of committing")

    def roll_back(self) -> None:
        """Undo what is still open; a connection that cannot even do that is closed."""
        info = self.connection.info
        if info.transaction_status in _OPEN:
            with suppress(TrueCountError):
                self._is_over = False
                self.together(("ROLLBACK", ()))
        self._is_over = True
        if self._is_spoiled or info.transaction_status != TransactionStatus.IDLE:
            self.connection.close()

    def leave(self) -> None:
        """End a read of ours, or leave a host's transaction to the host."""
        # Not by ROLLBACK: after one the driver forgets every statement it had prepared.
        if not (self.joined or self._is_over or self.is_fresh):
            with suppress(TrueCountError):
                self.together(("COMMIT", ()))
        self._is_over = True
