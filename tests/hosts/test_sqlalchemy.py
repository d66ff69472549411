"""SQLAlchemy: what is flushed, begun and refused, savepoints on SQLite, and the asynchronous way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from tests.hosts.shops import (
    ASYNCHRONOUS,
    DATABASES,
    Base,
    Order,
    SessionShop,
    dsn_of,
    engine_of,
    opened,
)
from tests.postgres.server import Factory
from truecount import Inventory
from truecount.errors import InsufficientStock, InvalidArgument, NotInTransaction, Retryable
from truecount.hosts.drivers import Doubts
from truecount.hosts.drivers import opened as driver_opened
from truecount.hosts.sqlalchemy import begin_explicitly
from truecount.storage.postgres import PostgresStorage


@pytest.fixture(params=DATABASES)
def shop(request: pytest.FixtureRequest) -> Iterator[SessionShop]:
    """Return a shop of SQLAlchemy's with five mugs."""
    with opened("session", DATABASES[request.param](request)) as shop:
        assert isinstance(shop, SessionShop)
        yield shop


@pytest.fixture
def file_shop(request: pytest.FixtureRequest) -> Iterator[SessionShop]:
    """Return the same in a file."""
    with opened("session", DATABASES["sqlite"](request)) as shop:
        assert isinstance(shop, SessionShop)
        yield shop


@pytest.fixture
def plain(file_shop: SessionShop) -> Iterator[Engine]:
    """Return an engine on the shop's file that begins when its driver does."""
    engine = engine_of(file_shop.storage, explicitly=False, connect_args={"timeout": 0})
    yield engine
    engine.dispose()


class TestFlush:
    def test_constraints_of_the_shop_speak_first(self, shop: SessionShop) -> None:
        """An order that cannot be written locks no stock and reserves none."""

        def sell() -> None:
            with Session(shop.engine) as session, session.begin():
                session.add(Order(id="A-1"))
                shop.inventory.within(session).reserve({"MUG": 1}, reference="A-1", key="k")

        sell()
        with pytest.raises(IntegrityError):
            sell()
        assert shop.inventory.available("MUG") == 4

    @pytest.mark.parametrize("autoflush", [True, False])
    def test_session_is_flushed_as_before_a_query(
        self, shop: SessionShop, *, autoflush: bool
    ) -> None:
        """Unless it is told not to flush by itself."""
        with Session(shop.engine, autoflush=autoflush) as session, session.begin():
            session.add(Order(id="A-1"))
            shop.inventory.within(session).available("MUG")
            assert bool(session.new) is not autoflush
        assert shop.orders() == ["A-1"]


class TestRefused:
    def test_connection_that_commits_every_statement(self, shop: SessionShop) -> None:
        """SQLAlchemy calls it a transaction; the database does not."""
        engine = engine_of(shop.storage, explicitly=False, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection, connection.begin():
            joined = shop.inventory.within(connection)
            with pytest.raises(NotInTransaction, match="isolation level is AUTOCOMMIT"):
                joined.receive("MUG", 1, at="berlin")
        engine.dispose()
        assert shop.inventory.available("MUG") == 5

    def test_session_whose_flush_has_failed(self, shop: SessionShop) -> None:
        """The message says what to do before SQLAlchemy's would."""
        with Session(shop.engine) as session:
            session.add(Order(id="A-1"))
            session.flush()
            session.expunge_all()
            session.add(Order(id="A-1"))
            with pytest.raises(IntegrityError):
                session.flush()
            with pytest.raises(InvalidArgument, match="transaction has failed; roll back"):
                shop.inventory.within(session).available("MUG")

    def test_closed_connection(self, shop: SessionShop) -> None:
        """There is nothing left to join."""
        with shop.engine.connect() as connection:
            pass
        with pytest.raises(InvalidArgument, match="closed"):
            shop.inventory.within(connection).available("MUG")

    def test_session_of_several_databases(self, shop: SessionShop) -> None:
        """Which of them has the stock, only the host knows."""
        with Session(binds={Order: shop.engine}) as session, session.begin():
            with pytest.raises(InvalidArgument, match="bind_arguments"):
                shop.inventory.within(session).available("MUG")
            connection = session.connection(bind_arguments={"mapper": Order})
            assert shop.inventory.within(connection).available("MUG") == 5

    def test_engine_is_no_host(self, shop: SessionShop) -> None:
        """It would lend another connection than the order's."""
        with pytest.raises(
            InvalidArgument, match="of type Engine: expected a Session or a Connection"
        ):
            shop.inventory.within(shop.engine).available("MUG")

    def test_other_drivers(self) -> None:
        """The message names the package seen, and the drivers to use."""
        doubts = Doubts(autocommit="")
        with pytest.raises(InvalidArgument, match="driver fractions.*psycopg 3 or sqlite3"):
            driver_opened(Fraction(1), doubts, lambda found: found)


def test_scoped_session_is_welcome(shop: SessionShop) -> None:
    """The session of this thread is joined."""
    session = scoped_session(sessionmaker(shop.engine))
    with session.begin():
        session.add(Order(id="A-1"))
        shop.inventory.within(session).reserve({"MUG": 1}, reference="A-1")
    session.remove()
    assert (shop.orders(), shop.inventory.available("MUG")) == (["A-1"], 4)


@pytest.mark.parametrize("level", ["READ COMMITTED", "SERIALIZABLE"])
def test_isolation_level_is_the_hosts(make_postgres: Factory, level: str) -> None:
    """Also where our statement is the first of the transaction."""
    with opened("session", make_postgres()) as shop:
        assert isinstance(shop, SessionShop)
        engine = shop.engine.execution_options(isolation_level=level)
        with engine.begin() as connection:
            assert shop.inventory.within(connection).available("MUG") == 5
            shown = connection.scalar(text("SHOW transaction_isolation"))
            assert shown == level.lower()


def test_test_suites_recipe_takes_everything_back(shop: SessionShop) -> None:
    """A session over an outer transaction: its commits are savepoints, and the outer one goes."""
    with shop.engine.connect() as connection:
        outer = connection.begin()
        with Session(connection, join_transaction_mode="create_savepoint") as session:
            session.add(Order(id="A-1"))
            shop.inventory.within(session).reserve({"MUG": 1}, reference="A-1")
            session.commit()
            session.add(Order(id="A-2"))
            shop.inventory.within(session).reserve({"MUG": 1}, reference="A-2")
            session.rollback()
            assert shop.inventory.within(connection).available("MUG") == 4
        outer.rollback()
    assert (shop.orders(), shop.inventory.available("MUG")) == ([], 5)


class TestSQLite:
    """Its driver sends BEGIN before the first statement that writes, and never for SAVEPOINT."""

    @pytest.mark.parametrize("commits", [True, False])
    def test_engine_as_it_comes_is_joined(
        self, file_shop: SessionShop, plain: Engine, *, commits: bool
    ) -> None:
        """A transaction the driver has not begun is begun, and ends with SQLAlchemy's."""
        with plain.connect() as connection:
            connection.execute(text("SELECT count(*) FROM orders"))
            file_shop.inventory.receive("MUG", 1, at="berlin")
            file_shop.inventory.within(connection).reserve({"MUG": 2}, reference="A-1")
            connection.execute(text("INSERT INTO orders VALUES ('A-1')"))
            getattr(connection, "commit" if commits else "rollback")()
        wanted = (["A-1"], 4) if commits else ([], 6)
        assert (file_shop.orders(), file_shop.inventory.available("MUG")) == wanted

    def test_savepoint_that_may_be_the_transaction_is_refused(
        self, file_shop: SessionShop, plain: Engine
    ) -> None:
        """Releasing it would commit, and the host's rollback would come too late."""
        with plain.connect() as connection, connection.begin(), connection.begin_nested():
            joined = file_shop.inventory.within(connection)
            with pytest.raises(InvalidArgument, match=r"begin_explicitly\(engine\)"):
                joined.reserve({"MUG": 2}, reference="A-1")
        assert file_shop.inventory.available("MUG") == 5

    def test_file_being_written_is_retryable(self, file_shop: SessionShop, plain: Engine) -> None:
        """The host waits as long as it told its driver; here not at all."""
        with file_shop.begun() as other, plain.connect() as connection, connection.begin():
            other.connection()
            joined = file_shop.inventory.within(connection)
            with pytest.raises(Retryable, match="locked"):
                joined.available("MUG")

    def test_session_that_cannot_begin_is_retryable(
        self, file_shop: SessionShop, plain: Engine
    ) -> None:
        """Also where it has something to flush: BEGIN is sent before that."""
        begin_explicitly(plain)
        with file_shop.begun() as other:
            other.connection()
            with Session(plain) as session:
                session.add(Order(id="A-1"))
                with pytest.raises(Retryable, match="locked"):
                    file_shop.inventory.within(session).reserve({"MUG": 1}, reference="A-1")
        assert file_shop.orders() == []

    def test_deferred_transaction_that_has_read_must_be_repeated(
        self, file_shop: SessionShop, plain: Engine
    ) -> None:
        """Where others wrote after it had read; it could only decide on what is old."""
        begin_explicitly(plain, "DEFERRED")
        with plain.connect() as connection, connection.begin():
            assert file_shop.inventory.within(connection).available("MUG") == 5
            file_shop.inventory.reserve({"MUG": 5}, reference="other")
            with pytest.raises(Retryable, match="BEGIN IMMEDIATE"):
                file_shop.inventory.within(connection).reserve({"MUG": 1}, reference="mine")

    def test_calling_twice_is_calling_once(self, plain: Engine) -> None:
        """The second BEGIN finds a transaction."""
        begin_explicitly(plain)
        begin_explicitly(plain)
        with plain.begin() as connection:
            assert connection.scalar(text("SELECT 1")) == 1

    @pytest.mark.parametrize(
        ("url", "mode", "told"),
        [
            ("postgresql+psycopg://", "IMMEDIATE", "an Engine of an SQLite file"),
            ("sqlite://", "LATER", "one of"),
        ],
    )
    def test_what_cannot_begin_explicitly(self, url: str, mode: str, told: str) -> None:
        """Other databases have no such trap, and SQLite no such mode."""
        with pytest.raises(InvalidArgument, match=told):
            begin_explicitly(create_engine(url), mode)


# --- asynchronous ---------------------------------------------------------------------------


class AsyncShop:
    """A shop on PostgreSQL whose handlers are coroutines."""

    def __init__(self, storage: PostgresStorage, driver: str) -> None:
        self.inventory = Inventory(storage)
        dsn = dsn_of(storage)
        self.engine: AsyncEngine = create_async_engine(
            f"postgresql+{driver}://", async_creator=lambda: ASYNCHRONOUS[driver](dsn), pool_size=20
        )

    async def sell(self, name: str, quantity: int = 1) -> str:
        """Take an order: sold, or else remembered as refused."""
        async with AsyncSession(self.engine) as session, session.begin():
            session.add(Order(id=name))
            try:
                await session.run_sync(
                    lambda s: self.inventory.within(s).reserve(
                        {"MUG": quantity}, reference=name, key=name
                    )
                )
            except InsufficientStock:
                session.add(Order(id=f"{name}, refused"))
                return "refused"
        return "sold"

    async def orders(self) -> list[str]:
        """Return the orders that were committed."""
        async with self.engine.connect() as connection:
            return list(await connection.scalars(text("SELECT id FROM orders ORDER BY id")))


Run = Callable[[Callable[[AsyncShop], Any]], Any]


def run_on(storage: PostgresStorage, driver: str, act: Callable[[AsyncShop], Any]) -> Any:
    """Run a coroutine of a shop with five mugs."""

    async def main() -> Any:
        shop = AsyncShop(storage, driver)
        shop.inventory.locations.add("berlin")
        shop.inventory.receive("MUG", 5, at="berlin")
        async with shop.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        try:
            found = await act(shop)
            assert shop.inventory.verify().problems == ()
            return found
        finally:
            await shop.engine.dispose()

    return asyncio.run(main())


@pytest.fixture(params=ASYNCHRONOUS)
def run(request: pytest.FixtureRequest, make_postgres: Factory) -> Run:
    """Return what runs a coroutine of a shop, by each driver."""
    return partial(run_on, make_postgres(), request.param)


class TestAsynchronous:
    def test_order_and_reservation_commit_together(self, run: Run) -> None:
        """A refusal leaves the session usable, a replay counts once."""

        async def act(shop: AsyncShop) -> None:
            assert await shop.sell("A-1", 2) == "sold"
            assert await shop.sell("A-2", 9) == "refused"
            assert await shop.orders() == ["A-1", "A-2", "A-2, refused"]
            assert shop.inventory.available("MUG") == 3

        run(act)

    def test_order_and_reservation_leave_together(self, run: Run) -> None:
        """Also what a nested transaction kept."""

        async def act(shop: AsyncShop) -> None:
            async with AsyncSession(shop.engine) as session:
                await session.begin()
                async with session.begin_nested():
                    await session.run_sync(
                        lambda s: shop.inventory.within(s).reserve({"MUG": 2}, reference="A-1")
                    )
                session.add(Order(id="A-1"))
                await session.flush()
                await session.rollback()
            assert await shop.orders() == []
            assert shop.inventory.available("MUG") == 5

        run(act)

    def test_tasks_that_want_the_same_mug_wait_without_stopping_the_loop(self, run: Run) -> None:
        """Whoever holds the row must be able to commit: twelve orders, five mugs."""

        async def act(shop: AsyncShop) -> None:
            answers = await asyncio.gather(*(shop.sell(f"A-{number}") for number in range(12)))
            assert (answers.count("sold"), answers.count("refused")) == (5, 7)
            assert len(await shop.orders()) == 12 + 7
            assert shop.inventory.available("MUG") == 0

        run(act)

    def test_what_the_host_set_on_psycopgs_connection_stays(self, make_postgres: Factory) -> None:
        """Notices still reach it, and its prepared statements still work."""

        async def act(shop: AsyncShop) -> None:
            heard: list[str | None] = []

            def put_back(connection: Connection) -> None:
                shop.inventory.within(connection).reserve({"MUG": 1}, reference="A")
                shop.inventory.within(connection).release("A")

            async with shop.engine.connect() as connection:
                raw = await connection.get_raw_connection()
                driver: Any = raw.driver_connection
                driver.prepare_threshold = 0
                driver.add_notice_handler(lambda notice: heard.append(notice.message_primary))
                for turn in range(3):
                    await connection.execute(text("INSERT INTO orders VALUES (:n)"), {"n": turn})
                    await connection.run_sync(put_back)
                await connection.execute(text("SET LOCAL client_min_messages = notice"))
                await connection.execute(text("DO $$ BEGIN RAISE NOTICE 'hello'; END $$"))
                await connection.commit()
            assert heard == ["hello"]

        run_on(make_postgres(), "psycopg", act)

    def test_cancelled_task_leaves_nothing(self, run: Run) -> None:
        """A handler that is given up while it waits for a row takes its order with it."""

        async def act(shop: AsyncShop) -> None:
            async with AsyncSession(shop.engine) as session, session.begin():
                await session.run_sync(
                    lambda s: shop.inventory.within(s).reserve({"MUG": 1}, reference="A-1")
                )
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(shop.sell("A-2"), 0.1)
            assert await shop.orders() == []
            assert await shop.sell("A-2") == "sold"
            assert shop.inventory.available("MUG") == 3

        run(act)

    def test_isolation_level_is_the_hosts(self, run: Run) -> None:
        """Also where our statement is the first of the transaction."""

        async def act(shop: AsyncShop) -> None:
            engine = shop.engine.execution_options(isolation_level="SERIALIZABLE")
            async with engine.begin() as connection:
                await connection.run_sync(lambda c: shop.inventory.within(c).available("MUG"))
                shown = await connection.scalar(text("SHOW transaction_isolation"))
                assert shown == "serializable"

        run(act)

    def test_autocommit_is_refused(self, run: Run) -> None:
        """As it is for synchronous connections."""

        async def act(shop: AsyncShop) -> None:
            engine = shop.engine.execution_options(isolation_level="AUTOCOMMIT")
            async with engine.begin() as connection:
                with pytest.raises(NotInTransaction, match="AUTOCOMMIT"):
                    await connection.run_sync(lambda c: shop.inventory.within(c).available("MUG"))

        run(act)

    def test_transaction_that_has_failed(self, run: Run) -> None:
        """The message says what to do; after a savepoint's end there is nothing to be done."""

        async def act(shop: AsyncShop) -> None:
            async with shop.engine.connect() as connection:
                with pytest.raises(DBAPIError):
                    await connection.execute(text("SELECT 1 / 0"))
                with pytest.raises(InvalidArgument, match="transaction has failed; roll back"):
                    await connection.run_sync(lambda c: shop.inventory.within(c).available("MUG"))
                await connection.rollback()
                async with connection.begin():
                    with suppress(DBAPIError):
                        async with connection.begin_nested():
                            await connection.execute(text("SELECT 1 / 0"))
                    found = await connection.run_sync(
                        lambda c: shop.inventory.within(c).available("MUG")
                    )
                assert found == 5

        run(act)

    def test_asynchronous_session_itself_is_refused(self, run: Run) -> None:
        """The message says how its synchronous one is had."""

        async def act(shop: AsyncShop) -> None:
            async with AsyncSession(shop.engine) as session, session.begin():
                with pytest.raises(InvalidArgument, match="run_sync"):
                    shop.inventory.within(session).available("MUG")

        run(act)
