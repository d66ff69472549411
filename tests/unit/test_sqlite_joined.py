"""Writing inside a host's SQLite transaction: the host commits, the library never does."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from truecount import Inventory, Policy, SQLiteStorage
from truecount.errors import (
    InsufficientStock,
    InvalidArgument,
    KeyTaken,
    NotInTransaction,
    Retryable,
    StorageUnavailable,
    TrueCountError,
)
from truecount.protocols.storage import Changes, Wants
from truecount.testing.samples import MUG, dump, outcome, writing


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the database of a shop that has a table of orders."""
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE orders (id TEXT PRIMARY KEY)")
    return path


@pytest.fixture
def inventory(path: Path) -> Iterator[Inventory]:
    """Return an inventory in the shop's database, with five mugs."""
    with Inventory(SQLiteStorage(path, beside=True, synchronous="OFF")) as inventory:
        inventory.locations.add("berlin")
        inventory.receive("MUG", 5, at="berlin")
        yield inventory


@pytest.fixture
def host(path: Path, inventory: Inventory) -> Iterator[sqlite3.Connection]:
    """Return the shop's own connection, as Python opens it by default."""
    with closing(sqlite3.connect(path, timeout=0)) as host:
        yield host


def order(host: sqlite3.Connection, name: str) -> None:
    """Let the shop write an order; Python begins a transaction before it."""
    host.execute("INSERT INTO orders VALUES (?)", (name,))


def orders(host: sqlite3.Connection) -> list[str]:
    """Return the shop's orders."""
    return [name for (name,) in host.execute("SELECT id FROM orders ORDER BY id")]


class TestTogether:
    def test_order_and_reservation_commit_together(
        self, inventory: Inventory, host: sqlite3.Connection
    ) -> None:
        """Nobody sees the reservation before the host commits; then both are there."""
        order(host, "A-1")
        joined = inventory.within(host)
        joined.reserve({"MUG": 2}, reference="A-1", key="k")
        assert (joined.available("MUG"), inventory.available("MUG")) == (3, 5)
        host.commit()
        assert (inventory.available("MUG"), orders(host)) == (3, ["A-1"])
        assert inventory.verify().problems == ()

    def test_rollback_leaves_nothing(self, inventory: Inventory, host: sqlite3.Connection) -> None:
        """What the host takes back never happened, and its key is free again."""
        before = dump(inventory.storage, ["A-1"])
        order(host, "A-1")
        inventory.within(host).reserve({"MUG": 2}, reference="A-1", key="k")
        inventory.within(host).receive("MUG", 7, at="berlin")
        host.rollback()
        assert dump(inventory.storage, ["A-1"]) == before
        assert orders(host) == []
        assert not inventory.reserve({"MUG": 2}, reference="A-1", key="k").replayed

    def test_crash_of_the_host_leaves_nothing(self, inventory: Inventory, path: Path) -> None:
        """A host that dies before it commits has written neither order nor reservation."""
        program = (
            "import os, sqlite3, sys\n"
            "from truecount import Inventory, SQLiteStorage\n"
            "inventory = Inventory(SQLiteStorage(sys.argv[1]))\n"
            "host = sqlite3.connect(sys.argv[1])\n"
            "host.execute(\"INSERT INTO orders VALUES ('A-1')\")\n"
            "inventory.within(host).reserve({'MUG': 2}, reference='A-1')\n"
            "os._exit(0)\n"
        )
        before = dump(inventory.storage)
        subprocess.run([sys.executable, "-c", program, str(path)], check=True)
        assert dump(inventory.storage) == before

    def test_refusal_leaves_the_transaction_usable(
        self, inventory: Inventory, host: sqlite3.Connection
    ) -> None:
        """A refusal is an answer: the host goes on, and it lasts if the host commits."""
        order(host, "A-1")
        with pytest.raises(InsufficientStock):
            inventory.within(host).reserve({"MUG": 9}, reference="A-1", key="k")
        order(host, "A-2")
        inventory.within(host).reserve({"MUG": 1}, reference="A-2")
        host.commit()
        assert (inventory.available("MUG"), orders(host)) == (4, ["A-1", "A-2"])
        inventory.receive("MUG", 9, at="berlin")
        with pytest.raises(InsufficientStock):
            inventory.reserve({"MUG": 9}, reference="A-1", key="k")

    def test_several_calls_share_the_transaction(
        self, inventory: Inventory, host: sqlite3.Connection
    ) -> None:
        """Later calls in one transaction see the earlier ones."""
        host.execute("BEGIN IMMEDIATE")
        joined = inventory.within(host)
        for number in range(5):
            joined.reserve({"MUG": 1}, reference=f"A-{number}")
        with pytest.raises(InsufficientStock):
            joined.reserve({"MUG": 1}, reference="A-5")
        joined.confirm("A-0")
        joined.ship("A-0")
        host.commit()
        assert inventory.figures("MUG").on_hand == 4
        assert [movement.position for movement in inventory.feed()] == list(range(1, 9))

    def test_own_writes_and_joined_ones_take_turns(
        self, inventory: Inventory, host: sqlite3.Connection
    ) -> None:
        """Versions and positions go on without a gap, whoever writes."""
        for number in range(4):
            inventory.reserve({"MUG": 1}, reference=f"own-{number}")
            inventory.release(f"own-{number}")
            host.execute("BEGIN IMMEDIATE")
            inventory.within(host).reserve({"MUG": 1}, reference=f"joined-{number}")
            host.commit()
        assert inventory.available("MUG") == 1
        assert inventory.verify().problems == ()

    def test_storage_opened_for_reading_joins_no_write(
        self, inventory: Inventory, host: sqlite3.Connection, path: Path
    ) -> None:
        """Whoever may not write may not write through others."""
        host.execute("BEGIN")
        with closing(SQLiteStorage(path, read_only=True)) as storage:
            with storage.read("main", host) as reader:
                assert len(reader.feed()) == 1
            with pytest.raises(StorageUnavailable, match="read_only"):
                storage.begin("main", host)

    def test_closed_storage_joins_nothing(
        self, inventory: Inventory, host: sqlite3.Connection
    ) -> None:
        """After closing, a host's connection is of no use either."""
        host.execute("BEGIN")
        inventory.close()
        with pytest.raises(StorageUnavailable, match="closed"):
            inventory.within(host).available("MUG")


class TestManners:
    """Nothing of the host's is changed, and nothing of the host's is relied on."""

    def test_no_statement_ends_or_nests_the_transaction(
        self, inventory: Inventory, host: sqlite3.Connection
    ) -> None:
        """No BEGIN, COMMIT, ROLLBACK or SAVEPOINT is sent, and no setting changed."""
        order(host, "A-1")
        sent: list[str] = []
        host.set_trace_callback(sent.append)
        inventory.within(host).reserve({"MUG": 2}, reference="A-1")
        with pytest.raises(InsufficientStock):
            inventory.within(host).reserve({"MUG": 9}, reference="A-2")
        host.set_trace_callback(None)
        words = {text.split()[0].upper() for text in sent}
        assert words == {"SELECT", "INSERT", "UPDATE", "PRAGMA"}
        assert {text for text in sent if "PRAGMA" in text} == {"PRAGMA database_list"}
        assert host.in_transaction

    def test_hosts_row_factory_is_kept_and_not_used(
        self, inventory: Inventory, host: sqlite3.Connection
    ) -> None:
        """Rows arrive as the library needs them, and as the host wants them."""
        host.row_factory = sqlite3.Row
        order(host, "A-1")
        inventory.within(host).reserve({"MUG": 2}, reference="A-1")
        assert inventory.within(host).available("MUG") == 3
        assert host.row_factory is sqlite3.Row
        assert host.execute("SELECT id FROM orders").fetchone()["id"] == "A-1"

    @pytest.mark.parametrize("level", [None, "", "IMMEDIATE", "EXCLUSIVE"])
    def test_any_isolation_level_will_do(
        self, inventory: Inventory, host: sqlite3.Connection, level: str | None
    ) -> None:
        """How Python begins the host's transactions is the host's affair."""
        host.isolation_level = level  # type: ignore[assignment]  # narrower in the stubs
        if level is None:
            host.execute("BEGIN")
        order(host, "A-1")
        inventory.within(host).reserve({"MUG": 2}, reference="A-1")
        assert host.in_transaction
        host.commit()
        assert inventory.available("MUG") == 3

    @pytest.mark.parametrize(
        "pragma",
        [
            "foreign_keys",
            "recursive_triggers",
            "reverse_unordered_selects",
            "case_sensitive_like",
            "cache_size",
            "synchronous",
            "cell_size_check",
        ],
    )
    def test_hosts_settings_change_nothing(
        self, inventory: Inventory, host: sqlite3.Connection, pragma: str
    ) -> None:
        """The answers are the same whatever the host has set on its connection."""
        host.execute(f"PRAGMA {pragma} = 1")
        host.execute("BEGIN IMMEDIATE")
        joined = inventory.within(host)
        for number in range(3):
            joined.reserve({"MUG": 1}, reference=f"A-{number}")
        assert [movement.kind for movement in joined.feed()] == ["receive"] + ["reserve"] * 3
        host.commit()
        assert inventory.verify().problems == ()

    def test_subclass_of_connection_is_welcome(self, inventory: Inventory, path: Path) -> None:
        """Frameworks subclass the connection; their cursors and methods are not used."""

        class Loud(sqlite3.Connection):
            def cursor(self, *_: object) -> Any:
                raise AssertionError

        with closing(sqlite3.connect(path, factory=Loud)) as host:
            sqlite3.Cursor(host).execute("BEGIN")
            inventory.within(host).reserve({"MUG": 2}, reference="A-1")
            host.commit()
        assert inventory.available("MUG") == 3

    def test_link_to_the_file_is_the_file(self, inventory: Inventory, path: Path) -> None:
        """A host that opened the file by another name joins all the same."""
        link = path.with_name("link.db")
        link.symlink_to(path)
        with closing(sqlite3.connect(link)) as host:
            host.execute("BEGIN")
            inventory.within(host).reserve({"MUG": 1}, reference="A-1")
            host.commit()
        assert inventory.available("MUG") == 4

    def test_taken_key_leaves_nothing_a_host_could_commit(
        self, inventory: Inventory, host: sqlite3.Connection
    ) -> None:
        """With the second of two keys taken, the first is not written either."""
        storage = inventory.storage
        with storage.begin("main") as unit:
            unit.write(Changes([outcome("taken")], [], [], {}, [], []))
        before = dump(storage)
        host.execute("BEGIN")
        with storage.begin("main", host) as unit:
            unit.lock(Wants())
            with pytest.raises(KeyTaken, match="taken"):
                unit.write(Changes([outcome("free"), outcome("taken")], [], [], {}, [], []))
        host.commit()
        assert dump(storage) == before


class TestWhoMayJoin:
    def _refuse(self, inventory: Inventory, host: object, match: str) -> None:
        """Reading and writing are refused alike, with the same words."""
        joined = inventory.within(host)
        before = dump(inventory.storage)
        acts: tuple[Callable[[], object], ...] = (
            lambda: joined.receive("MUG", 1, at="berlin"),
            lambda: joined.available("MUG"),
        )
        for act in acts:
            with pytest.raises((InvalidArgument, NotInTransaction), match=match):
                act()
        assert dump(inventory.storage) == before

    def test_connection_without_a_transaction_is_refused(
        self, inventory: Inventory, host: sqlite3.Connection
    ) -> None:
        """There is nothing to join; the error says how to begin."""
        self._refuse(inventory, host, "no open transaction; execute BEGIN IMMEDIATE first")
        host.isolation_level = None
        self._refuse(inventory, host, "no open transaction; execute BEGIN IMMEDIATE first")
        assert not host.in_transaction

    @pytest.mark.parametrize("other", ["shop.db", 7, object()])
    def test_what_is_no_connection_is_refused(self, inventory: Inventory, other: object) -> None:
        """Only a connection of Python's own driver can be joined."""
        self._refuse(inventory, other, "expected an sqlite3.Connection")

    def test_closed_connection_is_refused(
        self, inventory: Inventory, host: sqlite3.Connection
    ) -> None:
        """A connection that was closed is named as that."""
        host.close()
        self._refuse(inventory, host, "that is closed")

    @pytest.mark.parametrize("name", ["other.db", ":memory:"])
    def test_connection_to_another_database_is_refused(
        self, inventory: Inventory, tmp_path: Path, name: str
    ) -> None:
        """Two files cannot commit together, so a host must have opened the same one."""
        file = name if name == ":memory:" else str(tmp_path / name)
        with closing(sqlite3.connect(file)) as host:
            host.execute("BEGIN")
            seen = "a database in memory" if name == ":memory:" else name
            self._refuse(inventory, host, f"open on .*{seen}.*shop.db")

    def test_hard_link_to_the_file_is_refused(self, inventory: Inventory, path: Path) -> None:
        """SQLite would keep another log beside the other name, and damage the file."""
        link = path.with_name("link.db")
        link.hardlink_to(path)
        with closing(sqlite3.connect(link)) as host:
            host.execute("BEGIN")
            self._refuse(inventory, host, "open on .*link.db")

    def test_same_file_attached_to_another_is_refused(
        self, inventory: Inventory, path: Path, tmp_path: Path
    ) -> None:
        """Attached databases do not commit atomically with the main one."""
        with closing(sqlite3.connect(tmp_path / "other.db")) as host:
            host.execute("ATTACH ? AS stock", (str(path),))
            host.execute("BEGIN")
            self._refuse(inventory, host, "open on .*other.db")

    @pytest.mark.parametrize("factory", [bytes, lambda raw: raw.decode().lower()[::-1]])
    def test_text_factory_is_refused(
        self, inventory: Inventory, host: sqlite3.Connection, factory: Callable[[bytes], Any]
    ) -> None:
        """A connection that does not read text as it was written cannot be trusted with names."""
        host.execute("BEGIN")
        host.text_factory = factory
        self._refuse(inventory, host, "with a text_factory")

    def test_converters_of_our_columns_are_refused(self, inventory: Inventory, path: Path) -> None:
        """Neither can one that converts every TEXT or INTEGER column into something else."""
        program = (
            "import sqlite3, sys\n"
            "from truecount import Inventory, SQLiteStorage, errors\n"
            "sqlite3.register_converter('INTEGER', float)\n"
            "inventory = Inventory(SQLiteStorage(sys.argv[1]))\n"
            "host = sqlite3.connect(sys.argv[1], detect_types=sqlite3.PARSE_DECLTYPES)\n"
            "host.execute('BEGIN')\n"
            "try:\n"
            "    inventory.within(host).available('MUG')\n"
            "except errors.InvalidArgument as error:\n"
            "    print(error)\n"
        )
        shown = subprocess.run(
            [sys.executable, "-c", program, str(path)], check=True, capture_output=True, text=True
        )
        assert "with converters" in shown.stdout

    def test_connection_of_another_thread_is_refused(
        self, inventory: Inventory, host: sqlite3.Connection
    ) -> None:
        """What Python says of a connection used in a wrong thread arrives as an error of ours."""
        host.execute("BEGIN")
        problems: list[BaseException] = []

        def use() -> None:
            try:
                inventory.within(host).available("MUG")
            except TrueCountError as error:
                problems.append(error)

        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
        assert [type(problem) for problem in problems] == [StorageUnavailable]
        assert isinstance(problems[0].__cause__, sqlite3.ProgrammingError)


class TestOthersWrite:
    def test_host_that_read_before_others_wrote_must_begin_again(
        self, inventory: Inventory, host: sqlite3.Connection
    ) -> None:
        """Its snapshot is old, so it is told at once; repeated, the transaction succeeds."""
        host.execute("BEGIN")
        assert orders(host) == []
        inventory.receive("MUG", 1, at="berlin")
        with pytest.raises(Retryable, match="after this one had read; begin with BEGIN IMMEDIATE"):
            inventory.within(host).reserve({"MUG": 6}, reference="A-1", key="k")
        host.rollback()
        host.execute("BEGIN IMMEDIATE")
        assert orders(host) == []
        inventory.within(host).reserve({"MUG": 6}, reference="A-1", key="k")
        host.commit()
        assert inventory.available("MUG") == 0

    def test_host_waits_as_long_as_its_connection_does(
        self, inventory: Inventory, host: sqlite3.Connection
    ) -> None:
        """While another writes, a host with no time-out is told at once, and can go on after."""
        with writing(inventory.storage, MUG) as sheet:
            sheet.move("other", MUG, sellable=1)
            host.execute("BEGIN")
            with pytest.raises(Retryable, match="locked"):
                inventory.within(host).reserve({"MUG": 1}, reference="A-1")
            host.rollback()
        host.execute("BEGIN")
        inventory.within(host).reserve({"MUG": 1}, reference="A-1")
        host.commit()
        assert inventory.available("MUG") == 5

    def test_others_wait_for_the_host(self, inventory: Inventory, host: sqlite3.Connection) -> None:
        """From its first call on, a host keeps everybody else from writing until it ends."""
        host.execute("BEGIN")
        inventory.within(host).reserve({"MUG": 1}, reference="A-1")
        hasty = SQLiteStorage(
            inventory.storage.path,  # type: ignore[attr-defined]  # it is ours
            timeout=timedelta(milliseconds=10),
        )
        with closing(hasty), pytest.raises(Retryable, match="locked"), hasty.begin("main"):
            pass
        host.commit()

    def test_half_read_result_keeps_no_host_from_ending(
        self, inventory: Inventory, host: sqlite3.Connection
    ) -> None:
        """Results that were not read to their end are let go with the unit."""
        host.execute("BEGIN")
        with inventory.storage.read("main", host) as reader:
            half = reader.stock()
            next(half)
        host.rollback()
        host.execute("VACUUM")
        with pytest.raises(StorageUnavailable):
            next(half)


class TestShopRules:
    @pytest.fixture
    def host(self, path: Path, inventory: Inventory) -> Iterator[sqlite3.Connection]:
        """Return the shop's own connection; it says itself when a transaction begins."""
        with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as host:
            yield host

    def test_rules_of_a_host_that_rolled_back_are_nobodys(
        self, inventory: Inventory, host: sqlite3.Connection
    ) -> None:
        """Read and written under by the host meanwhile, they are forgotten by everybody."""
        host.execute("BEGIN IMMEDIATE")
        joined = inventory.within(host)
        joined.policies.set(Policy(backorder_limit=100))
        assert joined.policies.of("MUG").backorder_limit == 100
        joined.reserve({"MUG": 50}, reference="cart-1")
        host.execute("ROLLBACK")
        assert inventory.policies.of("MUG").backorder_limit == 0
        with pytest.raises(InsufficientStock):
            inventory.reserve({"MUG": 6}, reference="cart-2")

    @pytest.mark.parametrize("look", ["read", "write"])
    def test_another_change_of_the_same_number_is_not_taken_for_it(
        self, inventory: Inventory, host: sqlite3.Connection, look: str
    ) -> None:
        """The next change makes a generation of the number that was rolled back."""
        host.execute("BEGIN IMMEDIATE")
        joined = inventory.within(host)
        joined.policies.set(Policy(backorder_limit=100))
        if look == "read":
            assert joined.policies.of("MUG").backorder_limit == 100
        else:
            joined.reserve({"MUG": 50}, reference="cart-1")
        host.execute("ROLLBACK")
        inventory.policies.set(Policy(safety_stock=1))
        host.execute("BEGIN IMMEDIATE")
        assert joined.policies.of("MUG") == inventory.policies.of("MUG")
        with pytest.raises(InsufficientStock, match="safety_stock=1"):
            joined.reserve({"MUG": 5}, reference="cart-2")
        host.execute("ROLLBACK")

    def test_what_was_missed_is_told_from_what_was_committed(
        self, inventory: Inventory, host: sqlite3.Connection, path: Path
    ) -> None:
        """The journal leads on from rules that stood, not from those that were rolled back."""
        assert list(inventory.locations) == ["berlin"]
        host.execute("BEGIN IMMEDIATE")
        joined = inventory.within(host)
        joined.locations.add("paris")
        assert "paris" in joined.locations
        host.execute("ROLLBACK")
        with Inventory(SQLiteStorage(path, beside=True)) as other:
            other.locations.add("hamburg")
            other.locations.add("munich")
        assert list(inventory.locations) == ["berlin", "hamburg", "munich"]
        host.execute("BEGIN IMMEDIATE")
        assert list(joined.locations) == ["berlin", "hamburg", "munich"]
        host.execute("ROLLBACK")

    def test_rules_a_host_committed_are_everybodys(
        self, inventory: Inventory, host: sqlite3.Connection
    ) -> None:
        """From its commit on, and not before."""
        host.execute("BEGIN IMMEDIATE")
        inventory.within(host).policies.set(Policy(backorder_limit=100))
        assert inventory.policies.of("MUG").backorder_limit == 0
        host.execute("COMMIT")
        inventory.reserve({"MUG": 50}, reference="cart-1")
        assert inventory.available("MUG") == -45
