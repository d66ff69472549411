"""Making the tables: once, by one of many, printed for others; and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.postgres.server import Factory
from tests.postgres.waiting import connect
from truecount import Inventory
from truecount.errors import ForeignDatabase, InvalidArgument, StorageUnavailable
from truecount.storage.postgres import PostgresStorage, schema_sql
from truecount.storage.postgres.schema import SCHEMA
from truecount.testing.claims import at_once


@pytest.fixture
def schema(postgres_dsn: str) -> Iterator[str]:
    """Return the name of a schema that is not there, and drop it in the end."""
    name = f"t{uuid4().hex[:12]}"
    yield name
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("SET client_min_messages = warning")
        connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE".encode())


@pytest.fixture
def storage(postgres_dsn: str, schema: str) -> Iterator[PostgresStorage]:
    """Return a storage without tables."""
    with closing(PostgresStorage(postgres_dsn, schema=schema)) as storage:
        yield storage


#: All columns, constraints, indexes and triggers of a schema, and its version.
_SHAPE = """
SELECT attrelid::regclass::text || ' ' || attname || ' ' || format_type(atttypid, atttypmod)
FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
WHERE relnamespace = %(s)s::regnamespace AND attnum > 0
UNION ALL SELECT pg_get_constraintdef(oid) FROM pg_constraint
WHERE connamespace = %(s)s::regnamespace
UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = %(s)s::text
UNION ALL SELECT pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid
WHERE relnamespace = %(s)s::regnamespace AND NOT tgisinternal
"""


def shape(storage: PostgresStorage) -> list[str]:
    """Return all that a schema is made of, whatever its name."""
    with connect(storage) as connection:
        rows = connection.execute(_SHAPE, {"s": storage.schema}).fetchall()
    return sorted(text.replace(storage.schema, "s") for (text,) in rows)


class TestMigrate:
    def test_first_call_makes_the_tables_and_the_second_finds_them(
        self, storage: PostgresStorage
    ) -> None:
        """It may be called at every start."""
        assert [storage.migrate(), storage.migrate()] == [True, False]

    def test_programs_that_start_at_once_agree(self, postgres_dsn: str, schema: str) -> None:
        """One of eight makes the tables, no matter where the others meet it."""
        several = [PostgresStorage(postgres_dsn, schema=schema) for _ in range(8)]
        done = at_once(*(storage.migrate for storage in several))
        assert sorted(map(str, done)) == ["False"] * 7 + ["True"]
        for storage in several:
            storage.close()

    def test_storage_without_tables_says_what_to_do(self, storage: PostgresStorage) -> None:
        """Nothing is made by merely using it."""
        with pytest.raises(ForeignDatabase, match=r"without tables.*storage\.migrate\(\)"):
            Inventory(storage).available("MUG")
        with connect(storage) as host:
            host.execute("BEGIN")
            with pytest.raises(ForeignDatabase, match=r"storage\.migrate\(\)"):
                Inventory(storage).within(host).available("MUG")
            assert host.execute("SELECT 1").fetchone() == (1,)

    def test_schema_of_another_program_is_left_alone(self, storage: PostgresStorage) -> None:
        """Tables that we did not make are named, and nothing is made beside them."""
        with connect(storage) as connection:
            connection.execute(f"CREATE SCHEMA {storage.schema}".encode())
            connection.execute(f"CREATE TABLE {storage.schema}.orders (id int)".encode())
        with pytest.raises(ForeignDatabase, match=r"another program \(orders\)"):
            storage.migrate()
        with connect(storage) as connection:
            found = connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = %s", (storage.schema,)
            ).fetchall()
        assert found == [("orders",)]

    @pytest.mark.parametrize(
        ("version", "advice"), [(SCHEMA + 1, "use a newer truecount"), (0, "storage.migrate")]
    )
    def test_other_version_is_refused(
        self, storage: PostgresStorage, version: int, advice: str
    ) -> None:
        """Tables of a newer truecount are not touched, older ones are to be migrated first."""
        storage.migrate()
        with connect(storage) as connection:
            connection.execute(
                f"UPDATE {storage.schema}.meta SET schema_version = {version}".encode()
            )
        with pytest.raises(ForeignDatabase, match=advice):
            Inventory(storage).available("MUG")
        if version > SCHEMA:
            with pytest.raises(ForeignDatabase, match=advice):
                storage.migrate()

    def test_missing_right_is_told(self, storage: PostgresStorage, schema: str) -> None:
        """Who may not make a schema hears that, and who may has to."""
        role = f"role_{schema}"
        with connect(storage) as connection:
            connection.execute(f"CREATE ROLE {role} LOGIN".encode())
        dsn = make_conninfo(storage._connections.dsn, user=role)
        try:
            theirs = PostgresStorage(dsn, schema=schema)
            with closing(theirs), pytest.raises(StorageUnavailable, match="lacks a right"):
                theirs.migrate()
        finally:
            with connect(storage) as connection:
                connection.execute(f"DROP ROLE {role}".encode())


class TestSql:
    def test_printed_sql_makes_what_migrate_makes(
        self, storage: PostgresStorage, make_postgres: Factory
    ) -> None:
        """Alembic and Django may run it; afterwards there is nothing left to migrate."""
        with connect(storage) as connection:
            connection.execute(schema_sql(storage.schema).encode())
        assert not storage.migrate()
        assert shape(storage) == shape(make_postgres())

    @pytest.mark.parametrize("table", ["movement", "entry", "numbering"])
    @pytest.mark.parametrize("act", ["DELETE FROM", "TRUNCATE"])
    def test_history_is_insert_only(self, make_postgres: Factory, table: str, act: str) -> None:
        """Nobody edits what happened, not by another program either."""
        storage = make_postgres()
        with connect(storage) as connection:
            more = " CASCADE" if act == "TRUNCATE" else ""
            with pytest.raises(psycopg.errors.RestrictViolation, match="is insert-only"):
                connection.execute(f"{act} {storage.schema}.{table}{more}".encode())

    @pytest.mark.parametrize("name", ["public", "pg_mine", "Shop", 'a"b', "", None, "ß"])
    def test_schema_that_is_not_ours_is_refused(self, name: str) -> None:
        """The host's own tables are never among ours, and names need no quoting."""
        with pytest.raises(InvalidArgument):
            schema_sql(name)
        with pytest.raises(InvalidArgument):
            PostgresStorage("", schema=name)

    @pytest.mark.parametrize("since", [-1, SCHEMA + 1, True, "1"])
    def test_version_that_never_was_is_refused(self, since: int) -> None:
        """There is nothing to begin from."""
        with pytest.raises(InvalidArgument, match="a version from 0 to"):
            schema_sql(since=since)


class TestArguments:
    def test_text_that_is_no_dsn_is_refused(self) -> None:
        """The message says what libpq says."""
        with pytest.raises(InvalidArgument, match="connection string"):
            PostgresStorage("shop.db")

    @pytest.mark.parametrize("connections", [0, -1, 1001, 2.5, True])
    def test_number_of_connections_is_checked(self, connections: int) -> None:
        """At least one, and not so many that the server cannot have them."""
        with pytest.raises(InvalidArgument, match="connections"):
            PostgresStorage("", connections=connections)
