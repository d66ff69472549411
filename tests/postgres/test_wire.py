"""Statements sent together: what is prepared, what is read, and what a failure leaves."""

from __future__ import annotations

import re
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.errors import DivisionByZero, UndefinedTable

from tests.postgres.server import Factory
from truecount import Inventory
from truecount.storage.postgres import joining, proving
from truecount.storage.postgres import statements as sql
from truecount.storage.postgres.schema import MIGRATIONS
from truecount.storage.postgres.texts import Texts
from truecount.storage.postgres.wire import Wire


PREPARED = b"SELECT count(*) FROM pg_prepared_statements"


@pytest.fixture
def connection(postgres_dsn: str) -> Iterator[psycopg.Connection]:
    """Return a connection that commits every statement."""
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture
def wire(connection: psycopg.Connection) -> Wire:
    """Return a wire that prepares statements."""
    return Wire(connection, prepares=True, lent=False)


def test_statement_is_prepared_once(wire: Wire) -> None:
    """Also where one round trip has it twice, and whatever the size of its values."""
    one, other = b"SELECT $1::bigint + 1", b"SELECT $1::text"
    for number in (1, 2**40, -5):
        first, second, third = wire.exchange([(one, [number]), (other, ["é"]), (one, [number])])
        assert first.rows == third.rows == [(number + 1,)]
        assert second.rows == [("é",)]
    [[count]] = wire.exchange([(PREPARED, [])])[0].rows
    assert count == 3  # Those, and the one that asks.


def test_what_was_prepared_before_a_failure_is_used_after_it(wire: Wire) -> None:
    """A name is remembered when the server has taken it, and what it skipped is sent again."""
    good, bad, skipped = b"SELECT 1", b"SELECT 1 / $1::int", b"SELECT 2"
    for _ in range(3):
        with pytest.raises(DivisionByZero):
            wire.exchange([(good, []), (bad, [0]), (skipped, [])])
    answers = wire.exchange([(skipped, []), (bad, [1]), (good, [])])
    assert [answer.rows for answer in answers] == [[(2,)], [(1,)], [(1,)]]


def test_first_failure_is_told(wire: Wire) -> None:
    """What the server skipped because of it is not the reason."""
    with pytest.raises(UndefinedTable, match="no_such"):
        wire.exchange([(b"SELECT 1", []), (b"SELECT FROM no_such", []), (b"SELECT 1 / 0", [])])


def test_nothing_is_prepared_where_it_must_not_be(connection: psycopg.Connection) -> None:
    """Behind a proxy that gives each transaction another connection."""
    wire = Wire.of(connection, prepares=False)
    wire.exchange([(b"SELECT $1::text", ["a"]), (b"SELECT 1", [])])
    assert connection.execute(PREPARED).fetchone() == (0,)


def test_what_was_prepared_on_a_connection_of_others_is_asked_for(
    connection: psycopg.Connection,
) -> None:
    """It is used again while it is there, and prepared again when they dropped it."""
    for _ in range(3):
        wire = Wire.of(connection, prepares=True)
        for _ in range(2):
            assert wire.exchange([(b"SELECT $1::text", ["a"])])[0].rows == [("a",)]
        assert connection.execute(PREPARED).fetchone() == (1,)
    connection.execute("DEALLOCATE ALL")
    wire = Wire.of(connection, prepares=True)
    assert wire.exchange([(b"SELECT $1::text", ["b"])])[0].rows == [("b",)]


def test_both_sides_may_have_much_to_say(wire: Wire) -> None:
    """Neither waits for the other to read first: more goes each way than any buffer holds."""
    text = "x" * 3_000_000
    answers = wire.exchange([(b"SELECT $1::text", [text])] * 6)
    assert [answer.rows for answer in answers] == [[(text,)]] * 6


def test_text_with_a_nul_is_refused(wire: Wire) -> None:
    """It would be cut there on its way, and another name stored."""
    with pytest.raises(psycopg.DataError, match="NUL"):
        wire.exchange([(b"SELECT $1::text", ["MUG\0BLUE"])])


def test_client_without_pipeline_mode_gets_the_same(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Statements then go one by one, and after one that fails none is sent."""
    monkeypatch.setattr(psycopg.Pipeline, "is_supported", lambda: False)
    answers = wire.exchange([(b"SELECT $1::text", ["a"]), (b"SELECT NULL::bigint", [])])
    assert [answer.rows for answer in answers] == [[("a",)], [(None,)]]
    with pytest.raises(DivisionByZero):
        wire.exchange([(b"SELECT 1", []), (b"SELECT 1 / $1::int", [0]), (b"SELECT no_such", [])])
    assert wire.exchange([(b"SELECT 1 / $1::int", [1])])[0].rows == [(1,)]


def test_reading_depends_on_nothing_the_host_has_set(connection: psycopg.Connection) -> None:
    """Its loaders and its encoding are its own affair."""
    connection.execute("SET client_encoding = 'LATIN1'")
    connection.adapters.register_loader("int8", psycopg.types.string.TextLoader)
    wire = Wire.of(connection, prepares=True)
    answers = wire.exchange([(b"SELECT $1::text, 5::bigint", ["Käse"])])
    assert answers[0].rows == [("Käse", 5)]


def _statements() -> dict[str, str]:
    named = vars(sql) | vars(proving) | vars(joining)
    named = {name: value for name, value in named.items() if name[0].isupper()}
    texts = {name: value for name, value in named.items() if isinstance(value, str)}
    texts = {name: text for name, text in texts.items() if "{s}" in text}
    texts |= {f"PUT {table}": text for table, text in sql.PUT.items()}
    return texts | {
        "at once": proving.at_once(
            tuple(proving.PUT_PROVEN), proving.Asked(orders=True, lines=True, answers=True)
        ),
        "if all free": joining.if_all_free(tuple(joining.PUT_IF_FREE)),
    }


@pytest.mark.parametrize("rows", [1, 2], ids=["one", "many"])
def test_no_statement_looks_for_rows_one_by_one(make_postgres: Factory, rows: int) -> None:
    """Not even one that was planned while its table was small."""
    storage = make_postgres()
    inventory = Inventory(storage)
    inventory.locations.add("berlin")
    inventory.receive("MUG", 5, at="berlin")
    inventory.reserve({"MUG": 1}, reference="cart-1")
    texts = Texts(f'"{storage.schema}"')
    connection = storage._connections.take()
    for table in re.findall(r"CREATE TABLE \{s\}\.(\w+)", "".join(MIGRATIONS[0])):
        connection.execute(f"VACUUM ANALYZE {storage.schema}.{table}".encode())
    for name, statement in _statements().items():
        told = [
            "" if slot == "%s" else [("",) * (slot.count(",") + 1)] * rows
            for slot in re.findall(r"%s|\[\[.*?\]\]", statement)
        ]
        text, _ = texts.sent(statement, ["main", *told])
        explained = connection.execute(b"EXPLAIN (GENERIC_PLAN, COSTS off) " + text)
        plan = "\n".join([name, *(line for (line,) in explained)])
        assert not re.search("Join Filter|Hash Join|Merge Join", plan), plan
        assert not re.search("Seq Scan on (?!meta)", plan), plan
    storage._connections.give_back(connection)
