"""One connection in use: pages, ends, limits, and databases that are not ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.postgres.server import Factory
from truecount import Inventory, Received
from truecount.errors import (
    ConstraintViolated,
    ForeignDatabase,
    InsufficientStock,
    KeyTaken,
    Retryable,
    StorageUnavailable,
)
from truecount.model.outcomes import OutcomeRow
from truecount.model.stock import StockKey
from truecount.protocols.storage import Record, Wants
from truecount.storage.postgres import PostgresStorage, reader
from truecount.testing.samples import MUG, SECOND, START, Sheet, outcome


@pytest.fixture
def storage(make_postgres: Factory) -> PostgresStorage:
    """Return an empty storage."""
    return make_postgres()


class TestPages:
    @pytest.fixture(autouse=True)
    def small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let pages be small."""
        monkeypatch.setattr(reader, "PAGE", 3)

    def test_long_results_are_read_whole_and_in_order(self, storage: PostgresStorage) -> None:
        """Each page goes on after the last row of the one before."""
        inventory = Inventory(storage)
        inventory.locations.add("berlin", "hamburg")
        places = ("berlin", "hamburg")
        facts = [
            Received(f"SKU-{n}", 9, at=at, reference="po", key=f"{n}-{at}")
            for n in range(5)
            for at in places
        ]
        inventory.record(facts)
        for number in range(7):
            inventory.reserve({"SKU-0": 1}, reference=f"cart-{number}", at="berlin")
        key = StockKey("SKU-0", "berlin")
        with storage.read("main") as found:
            keys = [each for each, _ in found.stock()]
            assert keys == sorted(keys)
            assert len(keys) == 10
            assert len(list(found.stock("SKU-1"))) == 2
            assert len(list(found.stock(None, "berlin"))) == 5
            assert [entry.version for entry in found.entries(key)] == list(range(1, 9))
            assert [entry.version for entry in found.entries(key, 5)] == [6, 7, 8]
            told = [row for _, row in found.movements_of("po")]
            assert len(told) == 10
            assert [row for _, row in found.movements([row.id for row in told])] == told
            lines = list(found.open_lines(key))
            assert [line.reference for line in lines] == [f"cart-{n}" for n in range(7)]

    def test_pages_of_one_read_are_of_one_instant(self, storage: PostgresStorage) -> None:
        """What is written between two pages is not seen by the second."""
        inventory = Inventory(storage)
        inventory.locations.add("berlin")
        inventory.record([Received(f"SKU-{n}", 1, at="berlin", key=f"{n}") for n in range(5)])
        with storage.read("main") as found:
            rows = found.stock()
            first = next(rows)[0]
            inventory.record([Received(f"SKU-{n}", 1, at="berlin", key=f"{n}") for n in range(9)])
            assert [first.sku, *(key.sku for key, _ in rows)] == [f"SKU-{n}" for n in range(5)]


class TestEnd:
    def test_reading_after_the_end_is_refused(self, storage: PostgresStorage) -> None:
        """A result that outlives its transaction would be of another instant."""
        with storage.read("main") as found:
            rows = found.stock()
        with storage.begin("main") as unit:
            pass
        for call in (lambda: next(rows), found.spaces, unit.spaces):
            with pytest.raises(StorageUnavailable, match="the transaction is over"):
                call()

    def test_failed_write_is_told_when_the_unit_is_left(self, storage: PostgresStorage) -> None:
        """A write goes out with its commit: what breaks a constraint is told there, and undone."""

        def skip_versions() -> None:
            with storage.begin("main") as unit:
                sheet = Sheet(unit.lock(Wants(keys={MUG}, records={("recipe", "SET")})))
                sheet.move("m1", MUG, sellable=5)
                sheet.records.append(Record("recipe", "SET", 7, "{}"))
                unit.write(sheet.changes())

        with pytest.raises(ConstraintViolated, match=r"follows the one before.*recipe, SET"):
            skip_versions()
        with storage.read("main") as found:
            assert list(found.stock()) == []

    def test_nothing_is_read_after_the_write(self, storage: PostgresStorage) -> None:
        """What was kept back for the commit would not be there."""
        with storage.begin("main") as unit:
            sheet = Sheet(unit.lock(Wants(keys={MUG})))
            sheet.move("m1", MUG, sellable=5)
            unit.write(sheet.changes())
            with pytest.raises(StorageUnavailable, match="read what you need before"):
                unit.spaces()
        with storage.read("main") as found:
            assert [key for key, _ in found.stock()] == [MUG]

    def test_taken_key_is_told_though_everything_else_is_there_too(
        self, storage: PostgresStorage
    ) -> None:
        """A write that comes twice is one that is known, not one that breaks constraints."""

        def write() -> None:
            with storage.begin("main") as unit:
                sheet = Sheet(unit.lock(Wants()))
                sheet.move("m1", MUG, sellable=5)
                sheet.outcomes += [outcome("k1"), outcome("k2")]
                unit.write(sheet.changes())

        write()
        with pytest.raises(KeyTaken) as caught:
            write()
        assert caught.value.key == "k1"
        with storage.read("main") as found:
            assert [entry.version for entry in found.entries(MUG)] == [1]

    def test_taken_key_is_told_by_the_time_of_its_own_request(
        self, storage: PostgresStorage
    ) -> None:
        """What one request would be late enough to replace, another one of the batch is not."""

        def write(*outcomes: OutcomeRow) -> None:
            with storage.begin("main") as unit:
                sheet = Sheet(unit.lock(Wants()))
                sheet.outcomes += outcomes
                unit.write(sheet.changes())

        refused = outcome("refused", forget_at=START + SECOND)
        write(refused)
        with pytest.raises(KeyTaken) as caught:
            write(refused, outcome("later", decided_at=START + 2 * SECOND))
        assert caught.value.key == "refused"

    def test_a_unit_writes_once(self, storage: PostgresStorage) -> None:
        """A second write would have to take the place of the first, or come too late."""
        with storage.begin("main") as unit:
            sheet = Sheet(unit.lock(Wants(keys={MUG})))
            sheet.move("m1", MUG, sellable=5)
            unit.write(sheet.changes())
            with pytest.raises(StorageUnavailable, match="was written"):
                unit.write(sheet.changes())
        with storage.read("main") as found:
            assert [entry.version for entry in found.entries(MUG)] == [1]

    def test_refusals_do_not_cost_a_connection(self, storage: PostgresStorage) -> None:
        """A refusal, a replay and a preview end their transactions in good order."""
        inventory = Inventory(storage)
        inventory.locations.add("berlin")
        inventory.receive("MUG", 1, at="berlin", key="asn-1")
        with closing(PostgresStorage(storage._connections.dsn, schema=storage.schema)) as other:
            again = Inventory(other)
            for _ in range(5):
                assert again.receive("MUG", 1, at="berlin", key="asn-1").replayed
                again.receive("MUG", 1, at="berlin", preview=True)
                with pytest.raises(InsufficientStock):
                    again.reserve({"MUG": 9}, reference="cart-1", key="cart-1")
            pool = other._connections._pool
            assert pool is not None
            assert pool.get_stats()["connections_num"] == 1


class TestLimits:
    def test_call_that_finds_no_free_connection_is_retryable(
        self, storage: PostgresStorage
    ) -> None:
        """All were in use for as long as it may wait."""
        small = PostgresStorage(
            storage._connections.dsn,
            schema=storage.schema,
            connections=1,
            timeout=timedelta(milliseconds=100),
        )
        with closing(small), small.read("main") as found:
            found.spaces()
            with pytest.raises(Retryable, match="all 1 connections were in use"):
                Inventory(small).available("MUG")

    def test_text_without_an_encoding_is_refused(self, storage: PostgresStorage) -> None:
        """A lone surrogate is nothing that can be stored, and nothing was."""

        def lock() -> None:
            with storage.begin("main") as unit:
                unit.lock(Wants(orders={"\ud800"}))

        with pytest.raises(ConstraintViolated, match="surrogates"):
            lock()


@pytest.fixture
def latin(postgres_dsn: str) -> Iterator[str]:
    """Name a database whose texts are not UTF-8."""
    name = f"latin_{uuid4().hex[:12]}"
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        made = f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'"
        connection.execute(made.encode())
        yield make_conninfo(postgres_dsn, dbname=name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def test_database_of_another_encoding_is_refused(latin: str) -> None:
    """Names that cannot be stored there would be lost or confused."""
    storage = PostgresStorage(latin)
    with closing(storage), pytest.raises(ForeignDatabase, match="encoded in LATIN1"):
        storage.migrate()
