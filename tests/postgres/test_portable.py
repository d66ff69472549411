"""
Rules that a database must keep to be split by tenant over several nodes, read off a real one.

The catalogue of a migrated schema, the statements that a day really sends, their plans, and
the locks they hold. Each rule is also broken once, and seen to be.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import pytest

from tests.broad_day import HOUR, day, prepare
from tests.postgres.failing import Failing
from tests.postgres.server import Factory
from tests.postgres.waiting import DEADLINE, connect, crew, hosted
from truecount import Inventory
from truecount.storage.postgres import PostgresStorage
from truecount.storage.postgres import statements as sql
from truecount.storage.postgres.session import Session
from truecount.storage.postgres.wire import Answer, Sent, Wire
from truecount.testing import ManualClock


TENANT = "tenant"
#: Whose tables these are: of no tenant, and read before there is one.
BESIDES = {"meta"}


@pytest.fixture
def storage(make_postgres: Factory) -> PostgresStorage:
    """Return an empty storage."""
    return make_postgres()


def asked(storage: PostgresStorage, query: str) -> list[Any]:
    """Return what the catalogue says of a storage's schema."""
    with connect(storage) as connection:
        return connection.execute(query.encode(), {"s": storage.schema}).fetchall()


def changed(storage: PostgresStorage, *statements: str) -> None:
    """Change the schema of *storage*, as nobody should."""
    with connect(storage) as connection:
        connection.execute(f"SET search_path = {storage.schema}".encode())
        for statement in statements:
            connection.execute(statement.encode())


# --- the catalogue ----------------------------------------------------------------------

#: Of each key (both ends of a foreign one) and each index its table and its first column.
_KEYS = """
SELECT c.conname, c.conrelid::regclass::text, a.attname FROM pg_constraint c
JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
WHERE c.contype IN ('p', 'u', 'f', 'x') AND c.connamespace = %(s)s::regnamespace
UNION ALL
SELECT c.conname, c.confrelid::regclass::text, a.attname FROM pg_constraint c
JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = c.confkey[1]
WHERE c.contype = 'f' AND c.connamespace = %(s)s::regnamespace
UNION ALL
SELECT i.indexrelid::regclass::text, i.indrelid::regclass::text, coalesce(a.attname, '(an expression)')
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
WHERE c.relnamespace = %(s)s::regnamespace
"""


def keys_led_by_others(storage: PostgresStorage) -> list[str]:
    """Return the keys and indexes that do not begin with the tenant."""
    found = asked(storage, _KEYS)
    assert len(found) > 25, "the catalogue was not read"
    return [
        name
        for name, table, column in found
        if column != TENANT and table.rpartition(".")[2] not in BESIDES
    ]


def test_tenant_leads_every_key(storage: PostgresStorage) -> None:
    """Primary, unique and foreign keys, and the indexes rows are found by."""
    assert keys_led_by_others(storage) == []


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        ("ALTER TABLE movement ADD CONSTRAINT bad UNIQUE (id)", {"bad"}),
        ("CREATE UNIQUE INDEX bad ON outcome (key, tenant)", {"bad"}),
        ("CREATE INDEX bad ON entry (lower(tenant))", {"bad"}),
        ("ALTER TABLE line ADD CONSTRAINT bad EXCLUDE (reference WITH =)", {"bad"}),
    ],
)
def test_key_led_by_another_column_is_seen(
    storage: PostgresStorage, change: str, seen: set[str]
) -> None:
    """The rule can be broken, and is seen to be."""
    changed(storage, change)
    assert {name.rpartition(".")[2] for name in keys_led_by_others(storage)} == seen


#: What a database of several nodes lacks, or pays for with every node.
_OBJECTS = """
SELECT 'sequence ' || relname FROM pg_class
WHERE relkind = 'S' AND relnamespace = %(s)s::regnamespace
UNION ALL SELECT 'generated ' || attname FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid
WHERE relnamespace = %(s)s::regnamespace AND (attidentity <> '' OR attgenerated <> '')
UNION ALL SELECT 'default ' || pg_get_expr(adbin, adrelid) FROM pg_attrdef d
JOIN pg_class c ON c.oid = adrelid
WHERE relnamespace = %(s)s::regnamespace AND pg_get_expr(adbin, adrelid) !~ '^[0-9]+$'
UNION ALL SELECT 'trigger ' || tgname || ' on ' || relname FROM pg_trigger
JOIN pg_class c ON c.oid = tgrelid
WHERE relnamespace = %(s)s::regnamespace AND NOT tgisinternal AND tgname <> 'insert_only'
UNION ALL SELECT 'function ' || proname || ': ' || prosrc FROM pg_proc
WHERE pronamespace = %(s)s::regnamespace AND proname <> 'insert_only'
UNION ALL SELECT 'rule ' || rulename FROM pg_rules WHERE schemaname = %(s)s::text
UNION ALL SELECT 'type ' || typname FROM pg_type
WHERE typnamespace = %(s)s::regnamespace AND typtype NOT IN ('c', 'b')
"""


def strange_objects(storage: PostgresStorage) -> list[str]:
    """Return what the schema has besides tables, constraints, indexes, and what keeps history."""
    return [name for (name,) in asked(storage, _OBJECTS)]


def test_schema_is_tables_and_one_guard(storage: PostgresStorage) -> None:
    """No sequences, no generated values, no functions but the one that keeps history."""
    assert strange_objects(storage) == []
    bodies = asked(storage, "SELECT prosrc FROM pg_proc WHERE pronamespace = %(s)s::regnamespace")
    assert [forbidden(body) for (body,) in bodies] == [[]]


@pytest.mark.parametrize(
    "change",
    [
        "CREATE SEQUENCE bad",
        "ALTER TABLE movement ADD bad bigint GENERATED ALWAYS AS IDENTITY",
        "ALTER TABLE movement ADD bad timestamptz DEFAULT now()",
        "CREATE FUNCTION bad() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TYPE bad AS ENUM ('a')",
    ],
)
def test_strange_object_is_seen(storage: PostgresStorage, change: str) -> None:
    """The rule can be broken, and is seen to be."""
    changed(storage, change)
    assert strange_objects(storage)


# --- the statements ---------------------------------------------------------------------

#: Words for what is not needed: messages between sessions, locks of more than rows, and the
#: server's own counters, places and clocks as an order of events.
_FORBIDDEN = re.compile(
    r"\b(notify|pg_notify|listen|\w*advisory\w*|lock\s+table|nextval|currval|xmin|xmax|ctid"
    r"|txid\w*|pg_current_xact\w*|pg_snapshot\w*|now\(\)|clock_timestamp|random\(\))",
    re.IGNORECASE,
)


#: What not every database has: a write within a query.
_WRITES_WITHIN = re.compile(r"\bas\s*\(\s*(?:insert|update|delete)", re.IGNORECASE)


def forbidden(text: str) -> list[str]:
    """Return the forbidden words of a statement."""
    return _FORBIDDEN.findall(text)


class Spy:
    """Remembers what was sent over all connections, and in which transaction."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []

    def listen(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Hear every exchange from now on; it happens all the same."""
        exchange = Wire.exchange

        def heard(wire: Wire, steps: Sequence[Sent]) -> list[Answer]:
            self.sent += steps
            return exchange(wire, steps)

        monkeypatch.setattr(Wire, "exchange", heard)

    def transactions(self) -> Iterator[list[Sent]]:
        """Yield the statements of each transaction; those outside of one are one each."""
        current: list[Sent] | None = None
        for text, values in self.sent:
            if text.startswith(b"BEGIN"):
                current = []
            elif text in {b"COMMIT", b"ROLLBACK"}:
                yield current or []
                current = None
            elif current is None:
                yield [(text, values)]
            else:
                current.append((text, values))


@pytest.fixture
def spy(storage: PostgresStorage, monkeypatch: pytest.MonkeyPatch) -> Spy:
    """Return what a broad day of one tenant and a short one of another sent, reads included."""
    spy = Spy()
    spy.listen(monkeypatch)
    clock = ManualClock()
    inventory = Inventory(storage, clock=clock, tenant="one")
    prepare(inventory, clock)
    day(inventory, clock)
    inventory.feed()
    inventory.verify()
    inventory.as_of("MUG", clock.now - HOUR)
    other = Inventory(storage, clock=clock, tenant="two")
    other.locations.add("berlin")
    other.receive("MUG", 1, at="berlin")
    other.feed()
    return spy


def of_tenants(spy: Spy, storage: PostgresStorage) -> Iterator[list[Sent]]:
    """Yield the transactions, reduced to the statements that touch tables of tenants."""
    meta = f'"{storage.schema}".meta'.encode()
    ours = f'"{storage.schema}".'.encode()
    for transaction in spy.transactions():
        touching = [each for each in transaction if ours in each[0] and meta not in each[0]]
        if touching:
            yield touching


class TestStatements:
    def test_no_statement_needs_more_than_rows(self, spy: Spy) -> None:
        """Neither messages, nor table or advisory locks, nor counters of the server."""
        assert len({text for text, _ in spy.sent}) > 25, "hardly anything was sent"
        assert [forbidden(text.decode()) for text, _ in spy.sent if forbidden(text.decode())] == []

    def test_writes_are_plain_where_nothing_is_remembered(
        self, make_postgres: Factory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is guessed is one statement with its proof, and a host's write with its keys."""
        within = {}
        for remembers in (0, 100):
            spy = Spy()
            with monkeypatch.context() as patch:
                spy.listen(patch)
                clock = ManualClock()
                storage = make_postgres(remembers=remembers)
                inventory = Inventory(storage, clock=clock)
                prepare(inventory, clock)
                day(inventory, clock)
                with hosted(storage) as host:
                    inventory.within(host).receive("PAN", 5, at="berlin")
                    host.commit()
            texts = [text.decode() for text, _ in spy.sent]
            within[remembers] = [text for text in texts if _WRITES_WITHIN.search(text)]
        assert within[0] == []
        heads = {"opened", "proven", "put_outcome"}
        assert {text.split()[1] for text in within[100]} <= heads
        assert any(text.startswith("WITH put_outcome") for text in within[100])

    def test_written_statements_do_not_either(self) -> None:
        """Those that this day did not send."""
        texts = [value for value in vars(sql).values() if isinstance(value, str)]
        assert len(texts) > 40
        assert [forbidden(text) for text in texts if forbidden(text)] == []

    @pytest.mark.parametrize(
        "text",
        [
            "NOTIFY stock",
            "SELECT pg_advisory_xact_lock(1)",
            "LOCK TABLE stock IN EXCLUSIVE MODE",
            "SELECT nextval('s')",
            "SELECT xmin FROM stock",
            "SELECT pg_current_xact_id()",
        ],
    )
    def test_forbidden_word_is_seen(self, text: str) -> None:
        """The rule can be broken, and is seen to be."""
        assert forbidden(text)

    def test_each_transaction_is_of_one_tenant(self, spy: Spy, storage: PostgresStorage) -> None:
        """Every statement on tables of tenants begins its values with the same one."""
        found = [{values[0] for _, values in each} for each in of_tenants(spy, storage)]
        assert {len(tenants) for tenants in found} == {1}
        assert {tenant for tenants in found for tenant in tenants} == {"one", "two"}

    def test_every_row_is_found_by_its_tenant(self, spy: Spy, storage: PostgresStorage) -> None:
        """In the plan of each statement, each table is read with the tenant given."""
        texts = {text for each in of_tenants(spy, storage) for text, _ in each}
        assert {text: found for text in texts if (found := loose(storage, text))} == {}

    def test_row_found_without_its_tenant_is_seen(self, storage: PostgresStorage) -> None:
        """The rule can be broken, and is seen to be."""
        text = f'SELECT FROM "{storage.schema}".stock WHERE sku = $1'
        assert loose(storage, text.encode()) == ["stock"]


def loose(storage: PostgresStorage, text: bytes) -> list[str]:
    """Return the tables that the plan of a statement reads without saying whose rows."""
    with connect(storage) as connection, connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        pgconn: Any = connection.pgconn
        result = pgconn.exec_(b"EXPLAIN (GENERIC_PLAN, FORMAT JSON) " + text)
        if result.error_message:
            raise AssertionError(f"no plan of {text!r}: {result.error_message!r}")
        [told] = json.loads(result.get_value(0, 0))
    return [
        node["Relation Name"]
        for node in nodes(told["Plan"])
        if node["Node Type"].endswith("Scan")
        and "Relation Name" in node
        and not any(re.search(r"\btenant = ", node.get(name, "")) for name in _CONDITIONS)
    ]


_CONDITIONS = ("Index Cond", "Recheck Cond", "Filter")


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a plan and all its parts."""
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


# --- the locks --------------------------------------------------------------------------

#: What any statement that reads, locks or writes rows takes on a table.
ROW_MODES = {"AccessShareLock", "RowShareLock", "RowExclusiveLock"}

_LOCKS = """
SELECT DISTINCT locktype, mode FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE application_name = %(s)s AND pid <> pg_backend_pid()
"""


class Held(NamedTuple):
    """Locks of more than rows: their kind and mode."""

    kind: str
    mode: str


def wide_locks(storage: PostgresStorage) -> set[Held]:
    """Return what is locked of *storage* beyond rows and a transaction's own id."""
    found = {Held(*row) for row in asked(storage, _LOCKS)}
    assert found, "nobody holds a lock"
    own = {"virtualxid", "transactionid", "tuple"}
    return {
        held
        for held in found
        if held.kind not in own and not (held.kind == "relation" and held.mode in ROW_MODES)
    }


class TestLocks:
    def test_write_locks_rows_only(self, make_postgres: Factory) -> None:
        """Looked at from beside, when all is locked and nothing committed."""
        failing = Failing(make_postgres("read committed", remembers=0))
        clock = ManualClock()
        inventory = Inventory(failing, clock=clock)
        seen: list[set[Held]] = []

        def look() -> None:
            seen.append(wide_locks(failing.postgres))

        failing.before("commit", *[look] * 100)
        prepare(inventory, clock)
        day(inventory, clock)
        assert len(seen) > 30
        assert set().union(*seen) == set()

    def test_guess_locks_rows_only(self, make_postgres: Factory) -> None:
        """Looked at from beside, when it has begun and waits for a row."""
        storage = make_postgres("read committed")
        inventory = Inventory(storage)
        inventory.locations.add("berlin")
        inventory.receive("MUG", 9, at="berlin")
        inventory.reserve({"MUG": 1}, reference="cart-1")
        with crew(storage) as threads, hosted(storage) as host:
            inventory.within(host).receive("MUG", 1, at="berlin")
            cart = threads.start_blocked(partial(inventory.reserve, {"MUG": 1}, reference="cart-2"))
            assert wide_locks(storage) == set()
            host.rollback()
            assert cart.result(DEADLINE).status == "held"

    def test_numbering_locks_rows_only(self, storage: PostgresStorage) -> None:
        """One row of a tenant is the lock of who numbers."""
        inventory = Inventory(storage)
        inventory.locations.add("berlin")
        inventory.receive("MUG", 1, at="berlin")
        with hosted(storage) as host:
            session = Session(host, storage._connections.texts, "host")
            for statement in (sql.MAKE_HEAD, sql.LOCK_HEAD, sql.NUMBER, sql.DEQUEUE, sql.MOVE_HEAD):
                session.run(statement, "main")
            assert wide_locks(storage) == set()

    @pytest.mark.parametrize(
        ("statement", "seen"),
        [
            ("SELECT pg_advisory_xact_lock(1)", Held("advisory", "ExclusiveLock")),
            ("LOCK TABLE {s}.stock IN SHARE MODE", Held("relation", "ShareLock")),
        ],
    )
    def test_wide_lock_is_seen(self, storage: PostgresStorage, statement: str, seen: Held) -> None:
        """The rule can be broken, and is seen to be."""
        with hosted(storage) as host:
            host.execute(statement.replace("{s}", storage.schema).encode())
            assert wide_locks(storage) == {seen}
