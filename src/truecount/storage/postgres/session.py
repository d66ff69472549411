"""
One connection in use: a transaction's statements, its end, errors in our words.

Rules:
1. What the driver raises leaves as an error of ours, its cause chained.
2. A transaction of our own begins with its first statement, in the same round trip. Until
   that has come back nothing was read or decided, so a connection found dead then is
   replaced, once, and nobody notices.
3. What was guessed is proven by whatever is asked first, and by the end at the latest; until
   then a constraint that is broken says that the guess was wrong. Where the end is all there
   is, a connection that has something to say unasked is begun on before: it may have died.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final, TypeAlias

import psycopg
from psycopg import errors
from psycopg.pq import TransactionStatus

from truecount.errors import (
    ConstraintViolated,
    OutcomeUnknown,
    Outdated,
    Retryable,
    StorageUnavailable,
    TrueCountError,
)
from truecount.storage.postgres.texts import Texts
from truecount.storage.postgres.wire import (
    Answer,
    Connection,
    Exchange,
    Lent,
    OwnConnection,
    Row,
    Wire,
)


#: A statement, and its values.
Step: TypeAlias = tuple[str, Sequence[object]]

#: Serialization failure, deadlock: whoever began the transaction may repeat it at once.
PASSING: Final = frozenset({"40001", "40P01"})
#: A lock that was not to be had, in time or at once.
IN_WORK: Final = "55P03"
#: Those, or a statement that took too long.
_BUSY: Final = PASSING | {IN_WORK, "57014"}
#: What a database of several nodes says when it does not know whether it has committed.
_COMPLETION_UNKNOWN: Final = "40003"
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
_OVER: Final = "the transaction is over, or was written; read what you need before you write"


def translated(error: Exception, target: str) -> TrueCountError:
    """Return what the driver raised as an error of ours."""
    text = str(error).partition("\n")[0] or type(error).__name__
    state = getattr(error, "sqlstate", None) or ""
    if state in _BUSY:
        return Retryable(text)
    if state[:2] in _CONSTRAINTS or isinstance(error, (errors.DataError, UnicodeError)):
        detail = getattr(getattr(error, "diag", None), "message_detail", None)
        return ConstraintViolated(f"{text}: {detail.rstrip('.')}" if detail else text)
    return StorageUnavailable(target, _ADVICE.get(state, text))


def is_lost(error: BaseException | None) -> bool:
    """Return whether *error* says that a connection ended, or could not be made."""
    if not isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
        return False
    state = error.sqlstate or ""
    return not state or state.startswith("08") or state in {"57P01", "57P02", "57P03", "57P05"}


def _is_unsettled(error: BaseException | None) -> bool:
    """Return whether *error*, the answer to a commit, leaves open what became of it."""
    # A proxy tells of a server that it lost, and a cluster of a node, on a connection that lives.
    return is_lost(error) or getattr(error, "sqlstate", None) == _COMPLETION_UNKNOWN


_COMMIT: Final[tuple[Step, ...]] = (("COMMIT", ()),)


class Session:
    """One connection in use, for the time of one transaction."""

    #: The connection, unless it was lent by a host that has another driver.
    connection: Connection
    #: Whether nothing was sent yet: the first statement is the beginning.
    is_fresh = True
    _is_over = False
    #: Says what comes right after the beginning: locks, with the proof of a guess.
    _proof: Callable[[], Sequence[Step]] | None = None
    _last: Sequence[Step] = ()
    #: Whether the last statement is all there is, the proof as well.
    _is_whole = False

    def __init__(
        self,
        connection: Connection | Lent,
        texts: Texts,
        target: str,
        *,
        begin: Sequence[str] = (),
        renewed: Callable[[Connection], Connection] | None = None,
        prepares: bool = False,
        commits_alone: bool = False,
    ) -> None:
        self._prepares = prepares
        self._use(connection)
        self.target = target
        self._texts = texts
        self._begin = begin
        self._renewed = renewed
        #: Whether a statement alone is a transaction that begins as it should.
        self._commits_alone = commits_alone

    def rows(self, statement: str, *values: object) -> list[Row]:
        """Run a statement and return all its rows."""
        return self.together((statement, values))[0].rows

    def run(self, statement: str, *values: object) -> int:
        """Run a statement and return how many rows it changed."""
        return self.together((statement, values))[0].changed

    def together(self, *steps: Step) -> list[Answer]:
        """Run statements in order, in one round trip; return the answer to each."""
        if self._is_over:
            raise StorageUnavailable(self.target, _OVER)
        first = self.is_fresh
        try:
            return self._sent(steps)
        except _RAISED as error:
            if not (first and self._renewed is not None and is_lost(error)):
                raise self._failed(error) from error
            proof, self._proof = self._proof, None  # Whoever gets no other connection owes none.
            self._use(self._renewed(self.connection))
            self._proof = proof
        return self._run(steps)

    def _run(self, steps: Sequence[Step]) -> list[Answer]:
        try:
            return self._sent(steps)
        except _RAISED as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> TrueCountError:
        """Return what the driver raised in our words: of a guess, that it was wrong."""
        problem = translated(error, self.target)
        was_proven, self._proof = self.is_proven, None
        if was_proven:
            return problem
        if isinstance(problem, ConstraintViolated):
            return Outdated(problem.problem)
        if isinstance(problem, Retryable) and getattr(error, "sqlstate", None) == IN_WORK:
            return Outdated(problem.reason)
        return problem

    def _use(self, connection: Connection | Lent) -> None:
        if isinstance(connection, OwnConnection):
            self.connection = connection
            self._wire: Exchange = connection.wire
            return
        if not isinstance(connection, Lent):
            self.connection = connection
        self._wire = Wire.of(connection, prepares=self._prepares)

    def _sent(self, steps: Sequence[Step]) -> list[Answer]:
        first: list[Step] = []
        if self.is_fresh:
            first += [(statement, ()) for statement in self._begin]
        if self._proof is not None and not self._is_whole:
            first += self._proof()
        found = self._wire.exchange([self._texts.sent(*step) for step in (*first, *steps)])
        self.is_fresh = False
        self._proof = None
        return found[len(first) :]

    def prove(self, proof: Callable[[], Sequence[Step]]) -> None:
        """Let *proof* come before whatever is asked first; a step that fails is ``Outdated``."""
        self._proof = proof

    @property
    def is_proven(self) -> bool:
        """Whether nothing is left to be proven."""
        return self._proof is None

    @contextmanager
    def apart(self, begin: Sequence[str] = ()) -> Iterator[None]:
        """Run what is asked meanwhile in transactions that begin with *begin*, before this one."""
        own, self._begin = self._begin, begin
        self.is_fresh = True
        try:
            yield
        finally:
            self._begin = own
            self.is_fresh = True

    def again(self) -> None:
        """Let go of all locks and begin anew."""
        self._proof = None
        self.is_fresh = False
        self._is_over = False
        self.together(("ROLLBACK", ()))
        self.is_fresh = True

    def end_with(self, steps: Iterable[Step]) -> None:
        """Keep back the last statements, which go out with the commit; ask nothing after them."""
        if self._is_over:
            raise StorageUnavailable(self.target, _OVER)
        self._last = tuple(steps)
        if self._last and self.is_fresh:
            self.together()  # Only a beginning that did nothing else may be sent twice.
        self._is_over = True

    def end_at_once(self, step: Step) -> None:
        """Keep back one statement that proves what was guessed, and is all of the transaction."""
        self._last = (step,)
        self._is_whole = self._is_over = True

    def commit(self, key: str | None) -> None:
        """
        Run what was kept back and commit what was begun, in one round trip.

        Raises:
            OutcomeUnknown: The reply was lost; repeating *key* tells.
        """
        self._is_over = True
        if self.is_fresh and self.is_proven:
            return
        was_fresh, end = self.is_fresh, _COMMIT
        if was_fresh and self._wire.has_news:
            self._begun()
        elif self._is_whole and self._commits_alone:
            self._begin, end = (), ()
        try:
            *_, answer = self._run((*self._last, *end))
        except StorageUnavailable as error:
            if not (self.connection.closed or _is_unsettled(error.__cause__)):
                raise
            raise OutcomeUnknown(key or "(without a key)", error.problem) from error.__cause__
        if end and answer.done != b"COMMIT":
            raise StorageUnavailable(self.target, "the server rolled back instead of committing")

    def _begun(self) -> None:
        """Begin, on a connection that has something to say: maybe that it has died."""
        proof, self._proof, self._is_over = self._proof, None, False
        self.together()
        self._proof, self._is_over = proof, True

    def confirm(self) -> None:
        """Prove what is left to be proven."""
        if not self.is_proven:
            self._is_over = self._is_whole = False
            self.together()

    def roll_back(self) -> None:
        """Undo what is still open; a connection that cannot even do that is closed."""
        pgconn = self.connection.pgconn
        if pgconn.transaction_status in _OPEN:
            with suppress(TrueCountError):
                self._is_over = self.is_fresh = False
                self._proof = None
                self.together(("ROLLBACK", ()))
        self._is_over = True
        if pgconn.transaction_status != TransactionStatus.IDLE or pgconn.pipeline_status:
            self.connection.close()

    def leave(self) -> None:
        """Leave a host's transaction to the host."""
        self._is_over = True
