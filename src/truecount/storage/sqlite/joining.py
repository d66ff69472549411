"""Joining a host's transaction on the same file: nothing of it is ours to begin or to end."""

from __future__ import annotations

import os
import sqlite3

from truecount.errors import InvalidArgument, NotInTransaction
from truecount.storage.sqlite import statements as sql
from truecount.storage.sqlite.connections import Connections, Source
from truecount.storage.sqlite.schema import APPLICATION, SCHEMA
from truecount.storage.sqlite.session import Session, translated


def joined(host: object, connections: Connections) -> Source:
    """Return how a unit joins *host*: it opens nothing, and closes only what it read."""

    def open_() -> Session:
        connections.check()
        connection = _host_connection(host)
        try:
            session = Session(connection, connections.target)
        except sqlite3.Error as error:
            raise translated(error, connections.target) from error
        _check_host(session)
        return session

    def close(session: Session, _failed: bool) -> None:  # noqa: FBT001 -- a Source
        session.finish()

    return Source(open_, close, connections.ended)


def _host_connection(host: object) -> sqlite3.Connection:
    if not isinstance(host, sqlite3.Connection):
        seen = f"of type {type(host).__module__}.{type(host).__qualname__}"
        raise InvalidArgument("host", seen, "an sqlite3.Connection")
    try:
        if not host.in_transaction:
            raise NotInTransaction("execute BEGIN IMMEDIATE first, and commit or roll back after")
    except sqlite3.ProgrammingError as error:
        raise InvalidArgument("host", "that is closed", "an open sqlite3.Connection") from error
    return host


def _check_host(session: Session) -> None:
    """Refuse a connection to another file, and one that changes the values it reads."""
    if not _shows(session, "SELECT 'text'", "text"):
        raise InvalidArgument("host", "with a text_factory", "one that returns text as str")
    file = session.rows("PRAGMA database_list")[0][2]
    if not file or os.path.realpath(file) != session.target:
        raise InvalidArgument(
            "host", f"open on {file or 'a database in memory'!r}", f"one open on {session.target!r}"
        )
    if not _shows(session, sql.META, APPLICATION, SCHEMA):
        raise InvalidArgument(
            "host", "with converters of TEXT or INTEGER", "one that returns them as they are"
        )


def _shows(session: Session, statement: str, *values: object) -> bool:
    """Return whether a statement's one row is *values*, in type as well."""
    row = session.rows(statement)[0]
    return [(type(value), value) for value in row] == [(type(value), value) for value in values]
