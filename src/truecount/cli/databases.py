"""
Which database a command works on: an SQLite file, or a schema of a PostgreSQL server.

``--db`` names either. A server is named by a URI of libpq; two parameters of it are ours and
are taken out before libpq sees the rest: ``schema``, and ``proxied=yes`` where a proxy gives
out server connections for one transaction at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from truecount.errors import InvalidArgument, StorageUnavailable
from truecount.storage.sqlite import SQLiteStorage


if TYPE_CHECKING:
    from truecount.storage.postgres import PostgresStorage

#: A storage that a command may work on.
Database: TypeAlias = "SQLiteStorage | PostgresStorage"

_SCHEMES: Final = ("postgresql://", "postgres://")
_SCHEMA: Final = "truecount"
_DRIVERS: Final = frozenset({"psycopg", "psycopg_pool"})


def named(db: str | None) -> str:
    """Return *db*, or raise when nothing was named."""
    if db is None or db in {"", "."}:
        raise InvalidArgument(
            "database",
            "without a name",
            "--db FILE or --db postgresql://..., or the environment variable TRUECOUNT_DB",
        )
    return db


def is_server(db: str) -> bool:
    """
    Return whether *db* names a server; everything else is a file.

    >>> is_server("postgresql://shop@db/shop?schema=stock"), is_server("shop.db")
    (True, False)
    """
    return db.startswith(_SCHEMES)


def is_there(db: str) -> bool:
    """Return whether a database may be there; an empty file is none, and is left empty."""
    if is_server(db):
        return True
    path = Path(db)
    return path.exists() and (not path.is_file() or path.stat().st_size > 0)


@contextmanager
def opened(db: str | None, *, read_only: bool = False, create: bool = False) -> Iterator[Database]:
    """
    Open the database *db*; only with *create* is one made that is missing.

    Raises:
        InvalidArgument: None was named, or it cannot be read what is.
        StorageUnavailable: There is none, or it cannot be opened.
    """
    name = named(db)
    with closing(
        _server(name, create=create)
        if is_server(name)
        else _file(name, read_only=read_only, create=create)
    ) as storage:
        yield storage


def _file(path: str, *, read_only: bool, create: bool) -> SQLiteStorage:
    if not create and not is_there(path):
        raise StorageUnavailable(path, "there is no such file; name another with --db")
    return SQLiteStorage(path, read_only=read_only)


def _server(uri: str, *, create: bool) -> PostgresStorage:
    try:
        from truecount.storage.postgres import PostgresStorage
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _DRIVERS:
            raise
        raise InvalidArgument(
            "a PostgreSQL server",
            "here",
            "psycopg to be installed; pip install 'truecount[postgres]'",
        ) from error
    dsn, schema, proxied = parted(uri)
    storage = PostgresStorage(dsn, schema=schema, proxied=proxied)
    if create:
        storage.migrate()
    return storage


def parted(uri: str) -> tuple[str, str, bool]:
    """
    Return what libpq is to be told, the schema, and whether there is a proxy between.

    >>> parted("postgresql://db/shop?schema=stock&connect_timeout=5&proxied=yes")
    ('postgresql://db/shop?connect_timeout=5', 'stock', True)
    >>> parted("postgresql:///shop")
    ('postgresql:///shop', 'truecount', False)

    Raises:
        InvalidArgument: ``proxied`` is neither yes nor no.
    """
    base, _, query = uri.partition("?")
    ours = {"schema": _SCHEMA, "proxied": "no"}
    rest = []
    for part in filter(None, query.split("&")):
        name, _, value = part.partition("=")
        if name in ours:
            ours[name] = value
        else:
            rest.append(part)
    if ours["proxied"] not in {"yes", "no"}:
        raise InvalidArgument("proxied", repr(ours["proxied"]), "yes or no")
    dsn = f"{base}?{'&'.join(rest)}" if rest else base
    return dsn, ours["schema"], ours["proxied"] == "yes"
