"""
One libpq connection: statements sent together, answers read together.

psycopg's cursors find out about each statement what a storage knows beforehand, and took most
of the time of a write. So this speaks to the connection below them. It waits as the connection
waits (``connection.wait``), so one that belongs to an event loop keeps that loop running.

Rules:
1. Statements go out together and come back together (pipeline mode, where the client library
   has it); after one that fails the server skips the rest.
2. Values go out as text, their types known from the statement: it is the same one, and
   prepared once, however large its numbers are.
3. Each statement is prepared when it is first used, under a name made of its text, which is
   remembered once the server has said that it is. A host, its framework or its driver may drop
   all that was prepared on its connection, so there the server is asked first, each time the
   connection is lent. A statement that comes alone may be a transaction of its own, so it is
   prepared before: behind others a commit that fails is not told with its statement.
4. What is read depends on nothing a host has set on its connection, or in psycopg.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from functools import cache, partial
from hashlib import blake2b
from select import select
from typing import Any, Final, NamedTuple, TypeAlias

import psycopg
from psycopg import generators
from psycopg.adapt import AdaptersMap, PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.types.numeric import Int8Dumper, IntLoader
from psycopg.types.string import StrDumper, TextLoader
from psycopg_pool import ConnectionPool


Row: TypeAlias = tuple[Any, ...]
Connection: TypeAlias = psycopg.Connection[Any]
#: What a statement is told: texts and whole numbers, which go out as text.
Value: TypeAlias = str | int | None
#: A statement as it is sent, and its values.
Sent: TypeAlias = tuple[bytes, Sequence[Value]]

_Results: TypeAlias = list[list[Any]]
_ADAPTERS: Final = AdaptersMap(psycopg.adapters)
for _name, _loader in (("text", TextLoader), ("int4", IntLoader), ("int8", IntLoader)):
    _ADAPTERS.register_loader(_name, _loader)
for _type, _dumper in ((str, StrDumper), (int, Int8Dumper)):
    _ADAPTERS.register_dumper(_type, _dumper)


class Answer:
    """What a statement gave."""

    __slots__ = ("_result", "rows")

    def __init__(self, rows: list[Row], result: Any) -> None:
        self.rows = rows
        self._result = result

    @property
    def changed(self) -> int:
        """How many rows were changed or returned."""
        count: int | None = self._result.command_tuples
        return count or 0

    @property
    def done(self) -> bytes | None:
        """What the server says it did: ``COMMIT``, or ``ROLLBACK`` instead."""
        done: bytes | None = self._result.command_status
        return done


class _Context(NamedTuple):
    """What psycopg needs to know to tell values and read rows."""

    adapters: AdaptersMap
    connection: Connection


class _Call(NamedTuple):
    """Something to be sent that has one result."""

    send: Callable[[], None]
    #: The name a statement is being prepared under.
    prepares: bytes | None = None


_RECALL: Final = b"SELECT name FROM pg_prepared_statements WHERE starts_with(name, 'truecount_')"


@cache
def _name_of(text: bytes) -> bytes:
    """Return what a statement is called once it is prepared: the same in every program."""
    return b"truecount_" + blake2b(text, digest_size=16).hexdigest().encode()


class Exchange(ABC):
    """The way of statements to a server, and of its answers back."""

    @property
    def has_news(self) -> bool:
        """Whether the server has said something unasked: mostly that it is gone."""
        return True

    @abstractmethod
    def exchange(self, steps: Sequence[Sent]) -> list[Answer]:
        """
        Run statements in order, in one round trip where that can be.

        Raises:
            psycopg.Error: Why the first one that failed did.
            UnicodeError: A text has no encoding.
        """


class Lent(ABC):
    """A connection of another driver than psycopg, lent by a host with a wire of its own."""

    wire: Exchange

    @property
    @abstractmethod
    def closed(self) -> bool:
        """Whether it was closed."""

    @property
    @abstractmethod
    def status(self) -> TransactionStatus:
        """Whether a transaction is open on it."""


class OwnConnection(psycopg.Connection[Any]):
    """A connection of ours, which knows what was prepared on it, and where it belongs."""

    wire: Wire
    pool: ConnectionPool[OwnConnection]
    #: When it came out of the pool, by ``time.monotonic``.
    taken_at: float
    #: Whether somebody has it.
    is_taken = False


class Wire(Exchange):
    """
    A connection, for as long as it lives or a host lends it.

    Args:
        prepares: Whether statements are prepared.
        lent: Whether others use the connection before and after.
    """

    def __init__(self, connection: Connection, *, prepares: bool, lent: bool = True) -> None:
        self._connection = connection
        self._pgconn: Any = connection.pgconn
        self._prepares = prepares
        self._lent = lent
        self._encoding = connection.info.encoding
        self._adapter = Transformer(_Context(_ADAPTERS, connection))
        #: Names the server knows; None before it was asked.
        self._prepared: set[bytes] | None = None if lent and prepares else set()

    @classmethod
    def of(cls, connection: Connection | Lent, *, prepares: bool) -> Exchange:
        """Return the wire of a connection: its own, or a new one to a host's."""
        if isinstance(connection, OwnConnection | Lent):
            return connection.wire
        return cls(connection, prepares=prepares)

    @property
    def has_news(self) -> bool:
        """Whether there is something to read, or that cannot be told."""
        try:
            return bool(select([self._pgconn.socket], (), (), 0)[0])
        except (OSError, ValueError, psycopg.Error):
            return True

    def exchange(self, steps: Sequence[Sent]) -> list[Answer]:
        """Run statements in order, in one round trip."""
        if self._prepared is None:
            [known] = self._sent([self._call(_RECALL, ())], set())
            self._prepared = {name.encode() for (name,) in known.rows}
        calls = self._calls(steps, self._prepared)
        if len(steps) == 1 and len(calls) > 1 and not self._lent:
            self._sent(calls[:1], self._prepared)
            calls = calls[1:]
        return self._sent(calls, self._prepared)

    def _sent(self, calls: Sequence[_Call], prepared: set[bytes]) -> list[Answer]:
        with self._connection.lock:
            found = self._connection.wait(_exchanged(self._pgconn, calls))
        answers, problem = [], None
        # Without pipeline mode what comes after a failure was not sent.
        for call, results in zip(calls, found, strict=False):
            result = results[-1]
            if result.status in _BAD:
                problem = problem or result
            elif call.prepares:
                prepared.add(call.prepares)
            else:
                answers.append(self._answer(result))
        if problem is not None:
            raise error_from_result(problem, encoding=self._encoding)
        return answers

    def _calls(self, steps: Sequence[Sent], prepared: set[bytes]) -> list[_Call]:
        if not self._prepares:
            return [self._call(text, values) for text, values in steps]
        calls: list[_Call] = []
        fresh: set[bytes] = set()
        for text, values in steps:
            name = _name_of(text)
            if name not in prepared and name not in fresh:
                fresh.add(name)
                calls.append(_Call(partial(self._pgconn.send_prepare, name, text), name))
            calls.append(self._call(text, values, name))
        return calls

    def _call(self, text: bytes, values: Sequence[Value], name: bytes | None = None) -> _Call:
        told = self._told(values)
        if name is None:
            return _Call(partial(self._pgconn.send_query_params, text, told))
        return _Call(partial(self._pgconn.send_query_prepared, name, told))

    def _told(self, values: Sequence[Value]) -> Sequence[Any]:
        return self._adapter.dump_sequence(values, [PyFormat.TEXT] * len(values))

    def _answer(self, result: Any) -> Answer:
        rows: list[Row] = []
        if result.ntuples:
            self._adapter.set_pgresult(result)
            rows = self._adapter.load_rows(0, result.ntuples, tuple)
        return Answer(rows, result)


_BAD: Final = frozenset({ExecStatus.FATAL_ERROR, ExecStatus.PIPELINE_ABORTED})


def _exchanged(pgconn: Any, calls: Sequence[_Call]) -> Generator[Any, Any, _Results]:
    """Send calls and return the results of each, waiting as whoever runs this waits."""
    if len(calls) > 1 and psycopg.Pipeline.is_supported():
        return (yield from _pipelined(pgconn, calls))
    found: _Results = []
    for call in calls:
        call.send()
        found.append(_given((yield from generators.execute(pgconn))))
        if found[-1][-1].status in _BAD:
            break
    return found


def _pipelined(pgconn: Any, calls: Sequence[_Call]) -> Generator[Any, Any, _Results]:
    pgconn.enter_pipeline_mode()
    try:
        for call in calls:
            call.send()
        pgconn.pipeline_sync()
        # Reads as well, or both sides could wait for the other to do so.
        yield from generators.send(pgconn)
        found: _Results = []
        while len(found) <= len(calls):
            found.append(_given((yield from generators.fetch_many(pgconn))))
    finally:
        # Fails after an interruption or a lost connection, which is of no use any more.
        with suppress(psycopg.OperationalError):
            pgconn.exit_pipeline_mode()
    return found[:-1]


def _given(results: list[Any]) -> list[Any]:
    if not results:
        raise psycopg.OperationalError("the connection was lost before the server answered")
    return results
