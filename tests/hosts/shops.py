"""Shops behind SQLAlchemy and Django, with a table of orders, on SQLite and on PostgreSQL."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import asyncpg
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from tests.hosts import django_site
from tests.postgres.server import Factory
from truecount import Inventory, SQLiteStorage
from truecount.hosts.sqlalchemy import begin_explicitly
from truecount.protocols.storage import Storage
from truecount.storage.postgres import PostgresStorage


class Base(DeclarativeBase):
    """The shop's own tables."""


class Order(Base):
    """An order of the shop's."""

    __tablename__ = "orders"

    id: Mapped[str] = mapped_column(primary_key=True)


def dsn_of(storage: PostgresStorage) -> str:
    """Return how a host connects, its own tables being in the storage's schema."""
    dsn = storage._connections.dsn
    options = f"{conninfo_to_dict(dsn)['options']} -c search_path={storage.schema}"
    return make_conninfo(dsn, options=options)


def engine_of(storage: Storage, *, explicitly: bool = True, **more: Any) -> Engine:
    """Return an engine on the database of a storage."""
    if isinstance(storage, SQLiteStorage):
        engine = create_engine(f"sqlite:///{storage.path}", **more)
        if explicitly:
            begin_explicitly(engine)
        return engine
    assert isinstance(storage, PostgresStorage)
    dsn = dsn_of(storage)
    return create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(dsn), **more)


class Shop(ABC):
    """What the tests ask of a framework."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.told: list[object] = []
        self.inventory = Inventory(storage, observer=self.told.append)

    @abstractmethod
    def begun(self) -> AbstractContextManager[Any]:
        """Open a transaction and yield the host; leaving commits, an exception rolls back."""

    @abstractmethod
    def idle(self) -> AbstractContextManager[Any]:
        """Yield a host that has no transaction open."""

    @abstractmethod
    def savepoint(self, host: Any) -> AbstractContextManager[object]:
        """Open a savepoint; leaving releases it, an exception rolls back to it."""

    @abstractmethod
    def order(self, host: Any, name: str) -> None:
        """Write an order."""

    @abstractmethod
    def orders(self) -> list[str]:
        """Return the orders that were committed."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the framework's connections."""


class SessionShop(Shop):
    """A shop of SQLAlchemy's ORM."""

    def __init__(self, storage: Storage) -> None:
        super().__init__(storage)
        self.engine = engine_of(storage)
        Base.metadata.create_all(self.engine)

    @contextmanager
    def begun(self) -> Iterator[Any]:
        """Open a session's transaction."""
        with Session(self.engine) as session, session.begin():
            yield session

    @contextmanager
    def idle(self) -> Iterator[Any]:
        """Open a session that did nothing yet."""
        with Session(self.engine) as session:
            yield session

    def savepoint(self, host: Any) -> AbstractContextManager[object]:
        """Open a nested transaction, as SQLAlchemy calls it."""
        nested: AbstractContextManager[object] = host.begin_nested()
        return nested

    def order(self, host: Any, name: str) -> None:
        """Add an object; the session writes it when it flushes."""
        host.add(Order(id=name))

    def orders(self) -> list[str]:
        """Read on a connection of its own."""
        with self.engine.connect() as connection:
            return list(connection.scalars(text("SELECT id FROM orders ORDER BY id")))

    def close(self) -> None:
        """Close the pool."""
        self.engine.dispose()


class ConnectionShop(SessionShop):
    """A shop of SQLAlchemy's Core."""

    @contextmanager
    def begun(self) -> Iterator[Connection]:
        """Open a connection's transaction."""
        with self.engine.begin() as connection:
            yield connection

    @contextmanager
    def idle(self) -> Iterator[Connection]:
        """Open a connection that did nothing yet."""
        with self.engine.connect() as connection:
            yield connection

    def order(self, host: Any, name: str) -> None:
        """Insert a row."""
        host.execute(text("INSERT INTO orders VALUES (:name)"), {"name": name})


class DjangoShop(Shop):
    """A shop of Django's."""

    def __init__(self, storage: Storage) -> None:
        super().__init__(storage)
        if isinstance(storage, SQLiteStorage):
            self.alias = django_site.add_sqlite(storage.path)
        else:
            assert isinstance(storage, PostgresStorage)
            self.alias = django_site.add_postgres(dsn_of(storage))
        django_site.create_tables(self.alias)

    @contextmanager
    def begun(self) -> Iterator[Any]:
        """Open an atomic block."""
        with django_site.atomic(self.alias):
            yield django_site.connection(self.alias)

    @contextmanager
    def idle(self) -> Iterator[Any]:
        """Yield the connection outside of any block."""
        yield django_site.connection(self.alias)

    def savepoint(self, host: Any) -> AbstractContextManager[object]:
        """Open a block in a block."""
        block: AbstractContextManager[object] = django_site.atomic(self.alias)
        return block

    def order(self, host: Any, name: str) -> None:
        """Create an object."""
        django_site.create_order(self.alias, name)

    def orders(self) -> list[str]:
        """Read outside of any block."""
        return django_site.orders(self.alias)

    def close(self) -> None:
        """Close the connection and forget the alias."""
        django_site.remove(self.alias)


def on_sqlite(request: Any) -> Storage:
    """Return a storage in a file of its own."""
    folder: Path = request.getfixturevalue("tmp_path")
    return SQLiteStorage(folder / "shop.db", beside=True, synchronous="OFF")


def on_postgres(request: Any) -> Storage:
    """Return a storage in a schema of its own."""
    factory: Factory = request.getfixturevalue("make_postgres")
    return factory()


async def by_psycopg(dsn: str) -> Any:
    """Connect by psycopg."""
    return await psycopg.AsyncConnection.connect(dsn)


async def by_asyncpg(dsn: str) -> Any:
    """Connect by asyncpg, which has other words for some things."""
    told: dict[str, Any] = dict(conninfo_to_dict(dsn))
    words = {"dbname": "database", "host": "host", "port": "port", "user": "user"}
    words["password"] = "password"  # noqa: S105 -- the name of an argument
    settings = {name: told[name] for name in ("options", "application_name")}
    named = {word: told[name] for name, word in words.items() if name in told}
    return await asyncpg.connect(**named, server_settings=settings)


ASYNCHRONOUS: Final[dict[str, Callable[[str], Awaitable[Any]]]] = {
    "psycopg": by_psycopg,
    "asyncpg": by_asyncpg,
}


FRAMEWORKS: Final[dict[str, Callable[[Storage], Shop]]] = {
    "session": SessionShop,
    "connection": ConnectionShop,
    "django": DjangoShop,
}
DATABASES: Final[dict[str, Callable[[Any], Storage]]] = {
    "sqlite": on_sqlite,
    "postgres": on_postgres,
}


@contextmanager
def opened(framework: str, storage: Storage) -> Iterator[Shop]:
    """Open a shop with five mugs in it; it is closed in the end."""
    shop = FRAMEWORKS[framework](storage)
    try:
        shop.inventory.locations.add("berlin")
        shop.inventory.receive("MUG", 5, at="berlin")
        yield shop
    finally:
        shop.close()
        shop.inventory.close()


class Stop(Exception):
    """What a host's transaction fails with."""


@contextmanager
def taken_back(block: AbstractContextManager[Any]) -> Iterator[Any]:
    """Run in *block* what is done inside, and leave it by an exception of the host's."""
    with suppress(Stop), block as host:
        yield host
        raise Stop
