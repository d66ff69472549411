"""
One PostgreSQL database: writers beside each other, in their own transactions or a host's.

Rules:
1. A write locks rows, in one sorted order, and waits only for writers of the same rows.
   READ COMMITTED suffices: everything decided on is read after the locks, or proven under
   them; stricter levels may be chosen (``beginning``).
2. A read is one snapshot (REPEATABLE READ, read only) and waits for nobody.
3. Movements are numbered after they were committed, by whoever reads the feed: neither
   sequence numbers nor transaction ids nor times are the order of commits.
4. Joined: every statement runs on the host's connection, in its transaction, which is
   never ended, and no savepoint is made.
5. Only a transaction of our own is ever tried again.
6. What was written last is remembered, and proven where it is used (``memory``, ``guess``).

``schema`` has the tables, ``statements``, ``proving`` and ``joining`` the words, the units and
``reader`` what is done with them, ``connections`` the pool.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from truecount.errors import (
    InvalidArgument,
    NotInTransaction,
)
from truecount.model.diagnosis import Diagnosis
from truecount.model.instants import duration
from truecount.protocols import storage as protocol
from truecount.storage.postgres import doctor, migrating
from truecount.storage.postgres.beginning import Isolation, beginnings
from truecount.storage.postgres.connections import Connections, Patience
from truecount.storage.postgres.joined_unit import JoinedUnit
from truecount.storage.postgres.memory import Memory
from truecount.storage.postgres.numbering import number
from truecount.storage.postgres.own_unit import OwnUnit
from truecount.storage.postgres.reader import Reader
from truecount.storage.postgres.schema import quoted
from truecount.storage.postgres.session import Session
from truecount.storage.postgres.texts import Texts
from truecount.storage.postgres.wire import Connection, Lent


#: How many SKUs are remembered where nothing else is said.
REMEMBERED: Final = 10_000
_CONNECTIONS_MAX: Final = 1000
_REMEMBERED_MAX: Final = 10_000_000
_Kind = TypeVar("_Kind", bound=Reader)


class PostgresStorage:
    """
    Keep ledgers in the PostgreSQL database *dsn*, in a schema of their own.

    Safe to share between threads; other processes may use the same database. After a fork
    the child uses connections of its own. ``migrate()`` makes the tables, once::

        storage = PostgresStorage("postgresql:///shop")
        storage.migrate()
        inventory = Inventory(storage)

    >>> PostgresStorage("host=db dbname=shop password=secret").target
    'dbname=shop host=db'

    Args:
        dsn: A connection string or URI of libpq. Nothing is opened before it is needed.
        schema: Where the tables are; never ``public``, whose tables are the host's.
        timeout: How long a call waits for a lock or a free connection, and how long a write
            is tried again after deadlocks and lost connections.
        connections: How many connections this storage uses at most.
        isolation: At which level writes of our own run; all give the same answers, and the
            stricter ones repeat more writes.
        proxied: Whether a proxy between us and the server gives out connections for one
            transaction at a time (PgBouncer's ``pool_mode = transaction``). Then nothing is
            prepared, and each transaction is told its settings.
        remembers: How many SKUs are remembered from write to write, to be proven instead
            of read; 0 for none, and for plain statements only, in a host's transaction too.

    Raises:
        InvalidArgument: An argument cannot be used.
    """

    def __init__(
        self,
        dsn: str,
        *,
        schema: str = "truecount",
        timeout: timedelta = timedelta(seconds=30),
        connections: int = 10,
        isolation: Isolation = "read committed",
        proxied: bool = False,
        remembers: int = REMEMBERED,
    ) -> None:
        if type(remembers) is not int or not 0 <= remembers <= _REMEMBERED_MAX:
            raise InvalidArgument("remembers", repr(remembers), f"0 to {_REMEMBERED_MAX}")
        if type(connections) is not int or not 1 <= connections <= _CONNECTIONS_MAX:
            raise InvalidArgument("connections", repr(connections), f"1 to {_CONNECTIONS_MAX}")
        self._schema = schema
        self._connections = Connections(
            dsn,
            Texts(quoted(schema)),
            begins=beginnings(isolation, duration(timeout, "timeout"), proxied=proxied),
            timeout=timeout.total_seconds(),
            size=connections,
        )
        self._memory = Memory(remembers)
        self._is_plain = not remembers
        self._is_checked = False

    @property
    def target(self) -> str:
        """What the database is called in messages, without a password."""
        return self._connections.target

    @property
    def schema(self) -> str:
        """The schema the tables are in."""
        return self._schema

    def migrate(self) -> bool:
        """
        Make the tables, or bring them to this version; return whether there was work to do.

        May be called at every start, by many programs at once: one does it, the others wait.
        The user needs the right to create the schema, or to create tables in it.

        Raises:
            ForeignDatabase: The schema is another program's, or of a newer truecount; it was
                left as it was.
            StorageUnavailable: The database cannot be reached, or a right is missing.
        """
        with self._connections.alone(self._connections.begins.write) as session:
            return migrating.migrate(session)

    def begin(
        self, tenant: str, host: object | None = None
    ) -> AbstractContextManager[protocol.Unit]:
        """
        Open a write transaction, or join the one open on *host*, a ``psycopg.Connection``.

        If anything but a refusal is raised while joined, the host must roll back.

        Raises:
            NotInTransaction: The host has not begun a transaction.
            ForeignDatabase: The tables are not there, or not of this version.
        """
        if host is None:
            return self._own_unit(tenant)
        return self._joined(partial(JoinedUnit, is_plain=self._is_plain), tenant, host)

    def read(
        self, tenant: str, host: object | None = None
    ) -> AbstractContextManager[protocol.Reader]:
        """Open a read at one instant, or read within the transaction open on *host*."""
        return self._own_read(tenant) if host is None else self._joined(Reader, tenant, host)

    def patience(self) -> Patience:
        """Return how long the failures of one write of our own are borne."""
        return self._connections.patience()

    def doctor(
        self,
        *,
        now: datetime | None = None,
        tenant: str = "main",
        followers: Mapping[str, int] | None = None,
    ) -> Diagnosis:
        """
        Return what is unsafe about the server, the way to it and the tables, and why.

        Writes nothing; uses two connections beside the pool.

        Args:
            now: The time of this program's clock; by default the system's.
            tenant: Whose feed the followers read.
            followers: Positions of the feed that have been dealt with, by who did.

        Raises:
            InvalidArgument: A position is none.
            StorageUnavailable: The database cannot be reached.
        """
        connections = self._connections
        with connections.alone() as session, connections.alone() as other:
            return doctor.diagnosis(
                session, other, connections.begins, now=now, tenant=tenant, positions=followers
            )

    def close(self) -> None:
        """Close the idle connections; those in use are closed when they come back."""
        self._connections.close()

    def _ready(self) -> None:
        self._connections.check()
        if not self._is_checked:
            with self._connections.alone() as session:
                self._check(session)

    def _own_unit(self, tenant: str) -> OwnUnit:
        self._ready()
        return OwnUnit(self._connections, tenant, self._memory)

    @contextmanager
    def _own_read(self, tenant: str) -> Iterator[Reader]:
        self._ready()
        session = self._connections.session(self._connections.begins.read)
        try:
            yield Reader(session, tenant, partial(self._number, session, tenant))
        finally:
            self._connections.take_back(session)

    def _number(self, session: Session, tenant: str) -> None:
        number(session, tenant, self._connections.begins.numbering, self.patience)

    @contextmanager
    def _joined(
        self, kind: Callable[[Session, str], _Kind], tenant: str, host: object
    ) -> Iterator[_Kind]:
        self._connections.check()
        known = self._connections
        session = Session(_usable(host), known.texts, self.target, prepares=known.begins.prepares)
        self._check(session)
        try:
            yield kind(session, tenant)
        finally:
            session.leave()

    def _check(self, session: Session) -> None:
        """Look at the version of the tables, the first time they are used."""
        if not self._is_checked:
            migrating.check(session)
            self._is_checked = True


def _usable(host: object) -> Connection | Lent:
    """Return *host* if a transaction is open on it, and still good."""
    if not isinstance(host, psycopg.Connection | Lent):
        seen = f"of type {type(host).__module__}.{type(host).__qualname__}"
        raise InvalidArgument("host", seen, "a psycopg.Connection")
    if host.closed:
        raise InvalidArgument("host", "that is closed", "an open psycopg.Connection")
    status = _status(host)
    if status == TransactionStatus.IDLE:
        raise NotInTransaction("write `with connection.transaction():` around the call")
    if status != TransactionStatus.INTRANS:
        raise InvalidArgument("host", _STATES[status], "one that is free to run a statement")
    return host


def _status(host: Connection | Lent) -> TransactionStatus:
    if isinstance(host, Lent):
        return host.status
    status = host.info.transaction_status
    in_pipeline = status == TransactionStatus.INTRANS and host.info.pipeline_status
    return TransactionStatus.ACTIVE if in_pipeline else status


_STATES: Final = {
    TransactionStatus.ACTIVE: "in the middle of a statement or a pipeline",
    TransactionStatus.INERROR: "whose transaction has failed; roll back and repeat it",
    TransactionStatus.UNKNOWN: "in an unknown state",
}

if TYPE_CHECKING:
    _conforms: protocol.Storage = PostgresStorage("")
