"""The kit's checks of joining, its state machine, and races, with the hosts being frameworks'."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from django.db import connections, transaction
from sqlalchemy import Engine, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.util import greenlet_spawn

from tests.hosts.shops import (
    DATABASES,
    FRAMEWORKS,
    Base,
    ConnectionShop,
    DjangoShop,
    Shop,
    by_asyncpg,
    dsn_of,
    opened,
)
from tests.machines import run
from tests.postgres.server import Factory
from truecount import SQLiteStorage
from truecount.errors import InsufficientStock, Retryable
from truecount.protocols.storage import Storage
from truecount.testing import Capabilities, inventory_machine
from truecount.testing.reaching import NEEDS, CapabilityCheck


class SessionHost:
    """A session, its transaction begun and ended by hand."""

    def __init__(self, engine: Engine) -> None:
        self.connection = Session(engine)

    def begin(self) -> None:
        """Begin, if the session has not."""
        if not self.connection.in_transaction():
            self.connection.begin()

    def write(self) -> None:
        """Write an order of any name."""
        self.begin()
        named = "INSERT INTO orders SELECT CAST(count(*) AS varchar(9)) FROM orders"
        self.connection.execute(text(named))

    def count(self) -> int:
        """Count the orders."""
        self.begin()
        return int(self.connection.scalar(text("SELECT count(*) FROM orders")) or 0)

    def commit(self) -> None:
        """Commit."""
        self.connection.commit()

    def roll_back(self) -> None:
        """Roll back."""
        self.connection.rollback()

    def close(self) -> None:
        """Give the connection back."""
        self.connection.close()


class DjangoHost:
    """Django's connection, a block entered and left by hand."""

    def __init__(self, shop: DjangoShop) -> None:
        self.shop = shop
        self.connection: Any = connections[shop.alias]
        self.block = ExitStack()

    def begin(self) -> None:
        """Enter a block, unless there is one."""
        if not self.connection.in_atomic_block:
            self.block.enter_context(self.shop.begun())

    def write(self) -> None:
        """Write an order of any name."""
        self.begin()
        self.shop.order(self.connection, str(self.count()))

    def count(self) -> int:
        """Count the orders."""
        self.begin()
        return len(self.shop.orders())

    def commit(self) -> None:
        """Leave the block."""
        self.block.close()

    def roll_back(self) -> None:
        """Leave the block as after an error."""
        if self.connection.in_atomic_block:
            transaction.set_rollback(True, using=self.shop.alias)
        self.block.close()

    def close(self) -> None:
        """Leave nothing open."""
        self.roll_back()


@contextmanager
def session_host(storage: Any) -> Iterator[SessionHost]:
    """Open a session on the storage's database."""
    shop = ConnectionShop(storage)
    host = SessionHost(shop.engine)
    host.begin()
    yield host
    host.close()
    shop.close()


@contextmanager
def django_host(storage: Any) -> Iterator[DjangoHost]:
    """Open a block on the storage's database."""
    shop = DjangoShop(storage)
    host = DjangoHost(shop)
    host.begin()
    yield host
    host.close()
    shop.close()


CHECKS: Final = [check for check, needed in NEEDS.items() if needed == ("open_host",)]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("open_host", [session_host, django_host], ids=["sqlalchemy", "django"])
@pytest.mark.parametrize("database", DATABASES)
def test_framework_is_joined_like_any_host(
    request: pytest.FixtureRequest,
    database: str,
    open_host: Callable[[Any], Any],
    check: CapabilityCheck,
) -> None:
    """What the kit asks of a driver's connection holds for a framework's."""
    check(lambda: DATABASES[database](request), Capabilities(open_host=open_host))


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_anything_may_happen_in_a_framework(framework: str, tmp_path: Path) -> None:
    """The machine of a whole shop, each host's transaction being one of a framework's."""
    numbers = itertools.count()

    def make() -> SQLiteStorage:
        return SQLiteStorage(tmp_path / f"{next(numbers)}.db", beside=True, synchronous="OFF")

    @contextmanager
    def join(storage: Storage) -> Iterator[object]:
        shop = FRAMEWORKS[framework](storage)
        try:
            with shop.begun() as host:
                yield host
        finally:
            shop.close()

    run(inventory_machine(make, join=join), examples=8, steps=20)


def buy(shop: Shop, name: str) -> str:
    """Take an order for one mug, repeating what is retryable; it stays only if one is left."""
    while True:
        try:
            with shop.begun() as host:
                shop.order(host, name)
                shop.inventory.within(host).reserve({"MUG": 1}, reference=name, key=name)
        except InsufficientStock:
            return "short"
        except Retryable:
            continue
        finally:
            if isinstance(shop, DjangoShop):
                connections[shop.alias].close()
        return "sold"


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("database", DATABASES)
def test_last_mugs_are_sold_once(
    request: pytest.FixtureRequest, database: str, framework: str
) -> None:
    """Four threads, twelve orders, five mugs: as many orders as mugs."""
    with opened(framework, DATABASES[database](request)) as shop:
        with ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(lambda n: buy(shop, f"A-{n}"), range(12)))
        assert (answers.count("sold"), answers.count("short")) == (5, 7)
        assert len(shop.orders()) == 5
        assert shop.inventory.available("MUG") == 0
        assert shop.inventory.verify().problems == ()


@contextmanager
def asyncpg_engine(storage: Any) -> Iterator[Engine]:
    """Yield an engine on asyncpg, for use inside the greenlet that lets it wait."""
    dsn = dsn_of(storage)
    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: by_asyncpg(dsn))
    Base.metadata.create_all(engine.sync_engine)
    try:
        yield engine.sync_engine
    finally:
        engine.sync_engine.dispose()


@contextmanager
def asyncpg_host(storage: Any) -> Iterator[SessionHost]:
    """Open a session on asyncpg."""
    with asyncpg_engine(storage) as engine:
        host = SessionHost(engine)
        host.begin()
        yield host
        host.close()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_asyncpg_is_joined_like_any_host(make_postgres: Factory, check: CapabilityCheck) -> None:
    """Inside ``run_sync``; here the whole check is."""
    capabilities = Capabilities(open_host=asyncpg_host)
    asyncio.run(greenlet_spawn(check, make_postgres, capabilities))


@pytest.mark.slow
def test_anything_may_happen_on_asyncpg(make_postgres: Factory) -> None:
    """The machine of a whole shop: every statement, with every kind of value."""

    @contextmanager
    def join(storage: Storage) -> Iterator[object]:
        with asyncpg_engine(storage) as engine, engine.begin() as connection:
            yield connection

    machine = inventory_machine(make_postgres, join=join)
    asyncio.run(greenlet_spawn(run, machine, examples=3, steps=20))
