"""
A throw-away storage over PostgreSQL.

It proves that the protocol fits a database whose writers do not wait for each other. Plain
SQL, psycopg 3, READ COMMITTED, no care for speed: whole results are fetched at once.

Rules:
1. What is locked exists: missing stock rows and documents are made first, with version 0,
   which no reader shows. Groups in the order of the protocol, each sorted.
2. What is decided on is read by statements that start after the locks were granted. The
   stock row is the latch of the lines on its key, the order document that of the lines
   under its reference.
3. Movements are numbered after they were committed, by whoever reads the feed, in one
   transaction per pass under the tenant's row of ``numbering``.
4. Joined: every statement runs on the host's connection, in its transaction. No savepoint:
   a refused or repeated key is found without an error of the database, anything else that
   fails leaves the host's transaction aborted, so that the host cannot commit a part of it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from tests.postgres.reader import Reader
from tests.postgres.schema import SCHEMA
from tests.postgres.session import Session, translated
from tests.postgres.statements import NUMBER
from tests.postgres.unit import Unit
from truecount.errors import (
    InvalidArgument,
    NotInTransaction,
    OutcomeUnknown,
    StorageUnavailable,
    TrueCountError,
)
from truecount.protocols.storage import Storage


_Kind = TypeVar("_Kind", bound=Reader)


class PostgresStorage:
    """Ledgers in one schema, which is made when it is not there."""

    def __init__(self, dsn: str, schema: str) -> None:
        self.dsn = dsn
        self.schema = schema
        self._mutex = threading.Lock()
        self._idle: list[psycopg.Connection[Any]] = []
        self._closed = False
        with self._session() as session:
            for statement in SCHEMA:
                session.run(statement)

    def connect(self) -> psycopg.Connection[Any]:
        """Open a connection like the storage's own; hosts in tests use it as well."""
        return psycopg.connect(
            self.dsn,
            autocommit=True,
            application_name=self.schema,
            options="-c lock_timeout=20s -c deadlock_timeout=200ms",
        )

    def begin(self, tenant: str, host: object | None = None) -> AbstractContextManager[Unit]:
        """Open a write transaction, or join the open one of a psycopg connection."""
        return self._own_unit(tenant) if host is None else self._joined(Unit, tenant, host)

    def read(self, tenant: str, host: object | None = None) -> AbstractContextManager[Reader]:
        """Open a read at one instant, or read through the host's transaction."""
        return self._own_read(tenant) if host is None else self._joined(Reader, tenant, host)

    def close(self) -> None:
        """Close the idle connections; those in use are closed when they come back."""
        with self._mutex:
            self._closed = True
            while self._idle:
                self._idle.pop().close()

    @contextmanager
    def _session(self) -> Iterator[Session]:
        connection = self._take()
        try:
            yield Session(connection, self.schema)
        finally:
            self._give_back(connection)

    def _take(self) -> psycopg.Connection[Any]:
        with self._mutex:
            if self._closed:
                raise StorageUnavailable(self.schema, "it was closed")
            if self._idle:
                return self._idle.pop()
        try:
            return self.connect()
        except psycopg.Error as error:
            raise translated(error, self.schema) from error

    def _give_back(self, connection: psycopg.Connection[Any]) -> None:
        idle = connection.info.transaction_status == TransactionStatus.IDLE
        with self._mutex:
            if idle and not self._closed:
                self._idle.append(connection)
                return
        connection.close()

    @contextmanager
    def _own_unit(self, tenant: str) -> Iterator[Unit]:
        with self._session() as session:
            session.run("BEGIN ISOLATION LEVEL READ COMMITTED")
            unit = Unit(session, tenant)
            try:
                yield unit
            except BaseException:
                with suppress(TrueCountError):
                    session.run("ROLLBACK")
                raise
            try:
                session.run("COMMIT")
            except StorageUnavailable as error:
                if unit.first_key is None:
                    raise
                raise OutcomeUnknown(unit.first_key, error.problem) from error

    @contextmanager
    def _own_read(self, tenant: str) -> Iterator[Reader]:
        with self._session() as session:
            session.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            try:
                yield Reader(session, tenant, lambda: self.number(tenant))
            finally:
                with suppress(TrueCountError):
                    session.run("ROLLBACK")

    @contextmanager
    def _joined(self, kind: type[_Kind], tenant: str, host: object) -> Iterator[_Kind]:
        if not isinstance(host, psycopg.Connection):
            raise InvalidArgument("host", type(host).__name__, "an open psycopg.Connection")
        if host.info.transaction_status != TransactionStatus.INTRANS:
            raise NotInTransaction("write `with connection.transaction():` around the call")
        yield kind(Session(host, self.schema), tenant)

    def number(self, tenant: str) -> None:
        """Give positions to the movements that were committed and have none."""
        with self._session() as session:
            session.run("BEGIN ISOLATION LEVEL READ COMMITTED")
            try:
                session.run(
                    "INSERT INTO {s}.numbering VALUES (%s, 0) ON CONFLICT DO NOTHING", tenant
                )
                session.run("SELECT 1 FROM {s}.numbering WHERE tenant = %s FOR UPDATE", tenant)
                session.run(NUMBER, tenant, tenant)
                session.run("COMMIT")
            except BaseException:
                with suppress(TrueCountError):
                    session.run("ROLLBACK")
                raise


if TYPE_CHECKING:
    _conforms: Storage = PostgresStorage("", "")
