"""What only the SQLite storage promises: files, processes, threads, disks, constraints."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

import pytest

from truecount import Inventory, Received, Reserve, SQLiteStorage, StockKey
from truecount.errors import (
    ConstraintViolated,
    ForeignDatabase,
    InternalError,
    InvalidArgument,
    InvalidTime,
    KeyTaken,
    Retryable,
    StorageUnavailable,
    TrueCountError,
)
from truecount.model.outcomes import OutcomeRow
from truecount.model.stock import NOTHING
from truecount.protocols.storage import Changes, Record
from truecount.storage.sqlite import connections
from truecount.storage.sqlite import statements as sql
from truecount.storage.sqlite.schema import TABLES
from truecount.testing.claims import at_once
from truecount.testing.samples import MUG, SECOND, START, TEA, Sheet, dump, line, outcome, writing


SOON: Final = timedelta(milliseconds=20)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a new database may be made."""
    return tmp_path / "shop.db"


@pytest.fixture
def storage(path: Path) -> Iterator[SQLiteStorage]:
    """Return an open storage on a new file."""
    with closing(SQLiteStorage(path, synchronous="OFF", timeout=SOON)) as storage:
        yield storage


def foreign(path: Path, *statements: str) -> Path:
    """Make a database of another program at *path*."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements or (
            "CREATE TABLE orders (id)",
            "INSERT INTO orders VALUES (7)",
        ):
            connection.execute(statement)
    return path


def run(program: str, *arguments: object) -> str:
    """Run a program in a new interpreter and return what it printed."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def child(program: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a program in a new interpreter; its output is read line by line."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def stream(pipe: IO[str] | None) -> IO[str]:
    """Return a pipe that was asked for."""
    assert pipe is not None
    return pipe


class TestFiles:
    def test_everything_is_there_after_reopening(self, path: Path) -> None:
        """What was written by one storage is read by the next, row for row."""
        with closing(SQLiteStorage(path)) as storage:
            _fill(storage)
            wanted = dump(storage, ["cart-1"])
        with closing(SQLiteStorage(path)) as storage:
            assert dump(storage, ["cart-1"]) == wanted

    def test_empty_file_is_taken(self, path: Path) -> None:
        """A file of no bytes, as made by tempfile, becomes a database."""
        path.touch()
        SQLiteStorage(path).close()
        assert path.read_bytes().startswith(b"SQLite format 3\0")

    def test_path_is_absolute(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A later change of the working directory does not lead to another file."""
        monkeypatch.chdir(path.parent)
        with closing(SQLiteStorage(path.name)) as storage:
            monkeypatch.chdir("/")
            _fill(storage)
            assert Path(storage.path).samefile(path)

    @pytest.mark.parametrize("name", ["50% off?.db", "a#b.db", "ä ö.db", "file:x.db"])
    def test_any_file_name_is_only_a_name(self, tmp_path: Path, name: str) -> None:
        """Names that mean something in a URI are file names here."""
        SQLiteStorage(tmp_path / name).close()
        assert [found.name for found in tmp_path.iterdir()] == [name]

    @pytest.mark.parametrize("name", ["", ":memory:", b"shop.db", 7, None, "a\0b"])
    def test_what_is_no_file_name_is_refused(self, name: Any) -> None:
        """A database without a file cannot be shared by connections."""
        with pytest.raises(InvalidArgument, match="use MemoryStorage"):
            SQLiteStorage(name)

    def test_unknown_setting_is_refused(self, path: Path) -> None:
        """Settings are checked before the file is made."""
        with pytest.raises(InvalidArgument, match="one of"):
            SQLiteStorage(path, synchronous="full")
        with pytest.raises(InvalidTime, match="timeout"):
            SQLiteStorage(path, timeout=timedelta(0))
        assert not path.exists()

    def test_directory_is_refused(self, tmp_path: Path) -> None:
        """A directory is named as what it is."""
        with pytest.raises(StorageUnavailable, match="it is a directory; name a file in it"):
            SQLiteStorage(tmp_path)

    def test_missing_folder_is_refused(self, tmp_path: Path) -> None:
        """Folders are not made silently: a typing error would hide the data."""
        with pytest.raises(StorageUnavailable, match="does not exist; create it first"):
            SQLiteStorage(tmp_path / "shp" / "shop.db")
        assert list(tmp_path.iterdir()) == []

    def test_old_sqlite_is_refused(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A library too old for the tables says so before it fails at one of them."""
        monkeypatch.setattr(connections, "SQLITE_MIN", (99, 0, 0))
        with pytest.raises(StorageUnavailable, match="too old"):
            SQLiteStorage(path)

    def test_closing_twice_is_closing_once(self, storage: SQLiteStorage) -> None:
        """After closing, every use is refused and closing again is not."""
        storage.close()
        storage.close()
        with pytest.raises(StorageUnavailable, match="closed"), storage.begin("main"):
            pass
        with pytest.raises(StorageUnavailable, match="closed"), storage.read("main"):
            pass

    def test_nothing_lies_around_after_closing(self, path: Path) -> None:
        """The write-ahead log is folded into the one file that remains."""
        with closing(SQLiteStorage(path)) as storage:
            _fill(storage)
        assert [found.name for found in path.parent.iterdir()] == [path.name]

    def test_closing_waits_for_readers(self, path: Path) -> None:
        """A reader that is open while the storage is closed reads to its end."""
        storage = SQLiteStorage(path)
        _fill(storage)
        with storage.read("main") as reader:
            found = reader.stock()
            next(found)
            storage.close()
            assert [key for key, _ in found] == [TEA]
        assert [found.name for found in path.parent.iterdir()] == [path.name]

    def test_closing_waits_for_the_own_transaction(self, path: Path) -> None:
        """A transaction that closes its storage still commits, and then lets go of the file."""
        storage = SQLiteStorage(path)
        with writing(storage, MUG) as sheet:
            storage.close()
            sheet.move("last", MUG, sellable=1)
        assert [found.name for found in path.parent.iterdir()] == [path.name]
        with closing(SQLiteStorage(path)) as storage:
            assert len(dump(storage)["feed"]) == 1


class TestForeignFiles:
    @pytest.fixture(autouse=True)
    def _nothing_is_changed(self, path: Path) -> Iterator[None]:
        """After each of these tests the refused file is what it was."""
        yield
        assert path.read_bytes() == self.before

    before: bytes

    def _refuse(self, path: Path, match: str, *, beside: bool = False) -> None:
        self.before = path.read_bytes()
        for _ in range(2):
            with pytest.raises(ForeignDatabase, match=match):
                SQLiteStorage(path, beside=beside)

    def test_text_file_is_refused(self, path: Path) -> None:
        """A file that is no database is not made one."""
        path.write_text("sku,quantity\nMUG,5\n")
        self._refuse(path, "it is not an SQLite database")

    def test_database_of_another_program_is_refused(self, path: Path) -> None:
        """Its tables are named, and what to pass if both should live in one file."""
        foreign(path)
        self._refuse(path, r"another program \(orders\).*beside=True")

    def test_write_ahead_log_of_another_program_is_left_alone(self, path: Path) -> None:
        """Looking does not even fold the log of a crashed program into its file."""
        run(
            "import os, sqlite3, sys\n"
            "other = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
            "other.execute('PRAGMA journal_mode = WAL')\n"
            "other.execute('CREATE TABLE orders (id)')\n"
            "os._exit(0)\n",
            path,
        )
        log = path.with_name("shop.db-wal").read_bytes()
        self._refuse(path, "another program")
        assert path.with_name("shop.db-wal").read_bytes() == log

    def test_newer_schema_is_refused(self, path: Path) -> None:
        """A database of a later version is not written by an earlier one."""
        SQLiteStorage(path).close()
        foreign(path, "UPDATE truecount_meta SET schema_version = 99")
        self._refuse(
            path, "truecount with schema 99, expected .* with schema 1; use .* or a newer one"
        )

    def test_damaged_table_of_contents_is_refused(self, path: Path) -> None:
        """Names that are no text are the file's fault, not an error of ours."""
        SQLiteStorage(path).close()
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        whole = path.read_bytes().replace(b"INDEX truecount_line_due", b"INDXX truecount_line_due")
        self.before = whole.replace(b"truecount_line_due", b"truecount_\xff\xfe\xff\xfe_due")
        path.write_bytes(self.before)
        with pytest.raises(StorageUnavailable) as caught:
            SQLiteStorage(path)
        assert str(path) in str(caught.value)

    def test_other_meaning_of_our_name_is_refused(self, path: Path) -> None:
        """A table of our name with other columns is another program's."""
        foreign(path, "CREATE TABLE truecount_meta (votes)")
        self._refuse(path, "another program's truecount_meta", beside=True)

    def test_database_with_a_table_missing_is_refused(self, path: Path) -> None:
        """A damaged database is not used, and not mended silently."""
        SQLiteStorage(path).close()
        foreign(path, "DROP TABLE truecount_line")
        self._refuse(path, "without truecount_line")

    def test_other_text_encoding_is_refused(self, path: Path) -> None:
        """In UTF-16 text would sort in another order than ours."""
        foreign(path, "PRAGMA encoding = 'UTF-16le'", "CREATE TABLE orders (id)")
        self._refuse(path, "encoded in UTF-16le", beside=True)

    def test_damaged_file_is_unavailable(self, path: Path) -> None:
        """What the driver says of garbage behind a good header arrives as an error of ours."""
        path.write_bytes(foreign(path).read_bytes()[:100] + b"garbage " * 1000)
        self.before = path.read_bytes()
        with pytest.raises(StorageUnavailable) as caught:
            SQLiteStorage(path)
        assert isinstance(caught.value.__cause__, sqlite3.DatabaseError)

    def test_damaged_pages_are_told_with_what_may_have_happened(self, path: Path) -> None:
        """Most files like that were copied without what was written last."""
        SQLiteStorage(path).close()
        whole = path.read_bytes()
        path.write_bytes(whole[:8192] + b"\xff" * (len(whole) - 8192))
        self.before = path.read_bytes()
        with pytest.raises(StorageUnavailable, match="malformed; it is .* without its -wal file"):
            Inventory(SQLiteStorage(path)).verify()


class TestBeside:
    def test_tables_live_beside_those_of_a_host(self, path: Path) -> None:
        """Asked to, a storage adds tables of its own prefix and changes no other."""
        foreign(path)
        with closing(SQLiteStorage(path, beside=True)) as storage:
            _fill(storage)
        with closing(sqlite3.connect(path)) as host:
            assert host.execute("SELECT id FROM orders").fetchall() == [(7,)]
            names = {name for (name,) in host.execute("SELECT name FROM sqlite_master")}
        ours = {name for name in names if name != "orders" and "autoindex" not in name}
        assert all(name.startswith("truecount_") for name in ours)
        assert ours >= TABLES.keys()

    def test_beside_is_only_needed_once(self, path: Path) -> None:
        """A database that has our tables is ours to open."""
        SQLiteStorage(foreign(path), beside=True).close()
        SQLiteStorage(path).close()

    def test_journal_of_a_crashed_host_is_rolled_back(self, path: Path) -> None:
        """A host that died in the middle of a transaction can be joined all the same."""
        foreign(path)
        run(
            "import os, sqlite3, sys\n"
            "host = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
            "host.execute('PRAGMA cache_size = 1')\n"
            "host.execute('BEGIN')\n"
            "row = ('x' * 9000,)\n"
            "host.executemany('INSERT INTO orders VALUES (?)', [row] * 100)\n"
            "os._exit(0)\n",
            path,
        )
        assert path.with_name("shop.db-journal").stat().st_size > 0
        SQLiteStorage(path, beside=True).close()
        with closing(sqlite3.connect(path)) as host:
            assert host.execute("SELECT count(*) FROM orders").fetchall() == [(1,)]


class TestReading:
    def test_read_only_storage_reads_and_refuses_to_write(self, path: Path) -> None:
        """Opened for reading it shows everything, and says why it does not write."""
        with closing(SQLiteStorage(path)) as storage:
            _fill(storage)
            wanted = dump(storage)
        with closing(SQLiteStorage(path, read_only=True)) as storage:
            assert dump(storage) == wanted
            with pytest.raises(StorageUnavailable, match="read_only=True"):
                storage.begin("main")

    @pytest.mark.parametrize("make", [Path.touch, foreign, str])
    def test_nothing_is_made_for_reading(self, path: Path, make: Callable[[Path], Any]) -> None:
        """What is missing, empty or foreign cannot be read, and stays what it is."""
        make(path)
        before = path.exists() and path.read_bytes()
        with pytest.raises((StorageUnavailable, ForeignDatabase)):
            SQLiteStorage(path, read_only=True)
        assert (path.exists() and path.read_bytes()) == before

    def test_read_only_file_is_refused_for_writing(self) -> None:
        """A file without permission to write says so at once, and can be opened for reading."""
        with tempfile.TemporaryDirectory() as name, _nobody(Path(name)) as folder:
            path = folder / "shop.db"
            SQLiteStorage(path).close()
            path.chmod(stat.S_IRUSR)
            with pytest.raises(StorageUnavailable, match="read-only; to read it pass"):
                SQLiteStorage(path)
            with closing(SQLiteStorage(path, read_only=True)) as storage:
                assert dump(storage)["feed"] == []
            path.chmod(0)
            with pytest.raises(StorageUnavailable, match="may not be read"):
                SQLiteStorage(path, read_only=True)

    def test_folder_that_cannot_be_written_is_told_from_a_bad_file(self) -> None:
        """A database with a write-ahead log cannot even be read there; the way out is said."""
        with tempfile.TemporaryDirectory() as name, _nobody(Path(name)) as folder:
            path = folder / "shop.db"
            SQLiteStorage(path).close()
            folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
            with pytest.raises(StorageUnavailable, match="copy the database to a folder"):
                SQLiteStorage(path, read_only=True)
            folder.chmod(stat.S_IRWXU)
            SQLiteStorage(path, read_only=True).close()

    def test_read_is_one_snapshot(self, storage: SQLiteStorage) -> None:
        """What is written while a read is open is not seen by it, and does not wait for it."""
        _fill(storage)
        with storage.read("main") as reader:
            before = [row for _, row in reader.stock()]
            with writing(storage, MUG) as sheet:
                sheet.move("later", MUG, sellable=1)
            assert [row for _, row in reader.stock()] == before
            assert list(reader.movements(["later"])) == []
        assert len(dump(storage)["feed"]) == 3

    def test_half_read_result_does_not_hold_the_next_reader_back(
        self, storage: SQLiteStorage
    ) -> None:
        """A reader after an abandoned one sees the present, not the other's past."""
        _fill(storage)
        with storage.read("main") as reader:
            abandoned = reader.stock()
            next(abandoned)
        with writing(storage, MUG) as sheet:
            sheet.move("later", MUG, sellable=1)
        with storage.read("main") as reader:
            assert len(reader.feed()) == 3
        with pytest.raises(StorageUnavailable):
            next(abandoned)

    def test_reader_is_of_no_use_after_its_end(self, storage: SQLiteStorage) -> None:
        """What is asked too late is refused, also of a result nobody began to read."""
        _fill(storage)
        with storage.read("main") as reader:
            late = reader.stock()
            lines = reader.open_lines(MUG)
        for act in (lambda: next(late), lambda: next(lines), reader.feed, reader.spaces):
            with pytest.raises(StorageUnavailable, match="transaction is over"):
                act()

    def test_unit_is_of_no_use_after_its_end(self, storage: SQLiteStorage) -> None:
        """Nothing is written outside a transaction."""
        with storage.begin("main") as unit:
            pass
        with pytest.raises(StorageUnavailable, match="transaction is over"):
            unit.write(Changes([outcome("k")], [], [], {}, [], []))
        with pytest.raises(StorageUnavailable, match="transaction is over"):
            unit.forget(0)

    def test_hostile_names_are_only_names(self, storage: SQLiteStorage) -> None:
        """Quotes, SQL, wildcards, emoji and JSON are stored and found as given, also in lists."""
        names = ["'; DROP TABLE truecount_stock; --", '["a"]', "%", "🫖", 'a"b\\c', "null", "7"]
        keys = [StockKey(name, name, name) for name in names]
        with writing(storage, *keys, records=[(name, name) for name in names]) as sheet:
            sheet.move("all", *keys, sellable=1)
            sheet.records += [Record(name, name, 1, "{}") for name in names]
        with writing(storage, *keys, records=[(name, name) for name in names]) as sheet:
            assert sorted(sheet.locked.rows) == sorted(keys)
            assert {row.version for row in sheet.locked.rows.values()} == {1}
            assert len(sheet.locked.records) == len(names)
        with storage.read("main") as reader:
            assert [key.sku for key, _ in reader.stock()] == sorted(names)
            assert reader.spaces() == sorted(names)

    def test_no_statement_scans_a_table(self, storage: SQLiteStorage) -> None:
        """Every statement finds its rows by a key that the tenant leads."""
        statements = [
            text
            for name, text in vars(sql).items()
            if name.isupper() and re.match(r"\s*(SELECT|WITH|UPDATE|DELETE)", str(text))
        ]
        assert len(statements) > 20
        with closing(sqlite3.connect(storage.path)) as connection:
            for text in statements:
                if "truecount_meta" in text:
                    continue
                wanted = [None] * text.count("?")
                plan = connection.execute(f"EXPLAIN QUERY PLAN {text}", wanted)
                tables = [row[3] for row in plan if re.search(r"\b(SEARCH|SCAN)\b", row[3])]
                for step in tables:
                    assert "SEARCH" in step or re.search(
                        r"wanted|search|class|known|CONSTANT", step
                    )
                    assert "SEARCH" not in step or "tenant=?" in step, (text, step)


class TestAsOf:
    @pytest.mark.parametrize("spread", [0, 3])
    def test_cost_grows_with_the_logarithm(self, storage: SQLiteStorage, spread: int) -> None:
        """With 32 times the history, as-of takes a few steps of the engine more."""
        steps = []
        for sku, entries in (("FEW", 128), ("MANY", 4096)):
            key = StockKey(sku, "berlin")
            _history(storage, key, entries, spread)
            steps.append(_steps(storage, key, START + entries // 2 * SECOND))
        assert steps[1] < 2.5 * steps[0], steps

    def test_late_entries_cost_what_they_are(self, storage: SQLiteStorage) -> None:
        """Entries late by little are not read for an instant long past them."""
        key = StockKey("MUG", "berlin")
        _history(storage, key, 4096, 3)
        early, much = (_steps(storage, key, START + at * SECOND) for at in (8, 4000))
        assert much < 3 * early


class TestConstraints:
    """The second line of defence: the tables themselves refuse what no rule may write."""

    @pytest.fixture
    def filled(self, storage: SQLiteStorage) -> SQLiteStorage:
        """Return a storage with two movements, a line, a document and an outcome."""
        _fill(storage)
        return storage

    def _refuse(
        self, storage: SQLiteStorage, match: str, spoil: Callable[[Sheet], object]
    ) -> TrueCountError:
        before = dump(storage, ["cart-1"])

        def write() -> None:
            with writing(storage, MUG, orders=["cart-1"]) as sheet:
                sheet.outcomes.append(outcome("new"))
                sheet.move("new", MUG, sellable=1)
                spoil(sheet)

        with pytest.raises((ConstraintViolated, KeyTaken), match=match) as caught:
            write()
        assert dump(storage, ["cart-1"]) == before
        return caught.value

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda sheet: sheet.move("bad", MUG, held=-9),
            lambda sheet: sheet.move("bad", MUG, allocated=-9),
            lambda sheet: sheet.move("bad", MUG, picked=-9),
        ],
        ids=["held", "allocated", "picked"],
    )
    def test_promises_are_never_negative(
        self, filled: SQLiteStorage, spoil: Callable[[Sheet], object]
    ) -> None:
        """A figure of promised units below zero is refused."""
        self._refuse(filled, "promises are never negative", spoil)

    @pytest.mark.parametrize("counter", ["held", "shipped", "released", "expired", "short"])
    def test_counters_are_never_negative(self, filled: SQLiteStorage, counter: str) -> None:
        """A line's counter below zero is refused."""
        bad = line("cart-2", 1, MUG, **{"allocated": 3, counter: -1})
        self._refuse(filled, "counters are never negative", lambda s: s.lines.append(bad))

    def test_counters_add_up(self, filled: SQLiteStorage) -> None:
        """A line that lost a unit is refused."""
        bad = line("cart-2", 1, MUG, held=3)._replace(held=2)
        self._refuse(filled, "counters add up to reserved", lambda s: s.lines.append(bad))

    def test_floor_is_kept(self, filled: SQLiteStorage) -> None:
        """A command's entry below the floor it was granted under is refused."""
        self._refuse(
            filled, "at or above its floor", lambda s: s.move("bad", MUG, sellable=-99, floor=0)
        )

    def test_version_is_unique(self, filled: SQLiteStorage) -> None:
        """A second entry of one version, a lost update, is refused."""
        self._refuse(
            filled,
            "UNIQUE constraint failed: truecount_entry",
            lambda s: s.entries.append(s.entries[-1]),
        )

    def test_movement_id_is_unique(self, filled: SQLiteStorage) -> None:
        """A movement is written once, whatever it says."""
        self._refuse(
            filled, "UNIQUE constraint failed: truecount_movement", lambda s: s.move("first", MUG)
        )

    def test_entry_has_a_movement(self, filled: SQLiteStorage) -> None:
        """An entry of a movement that is not there is refused."""
        self._refuse(
            filled,
            "names movement 'nobody'",
            lambda s: s.entries.append(s.entries[-1]._replace(movement_id="nobody", version=9)),
        )

    @pytest.mark.parametrize("version", [1, 3])
    def test_document_replaces_the_version_before(
        self, filled: SQLiteStorage, version: int
    ) -> None:
        """A document is replaced by the next version of it, by no other."""
        stale = Record("note", "one", version, "{}")
        self._refuse(
            filled, "truecount_record|a record has changed", lambda s: s.records.append(stale)
        )

    @pytest.mark.parametrize("figure", [2**63, -(2**63) - 1, -(2**63)])
    def test_figures_are_within_int64(self, filled: SQLiteStorage, figure: int) -> None:
        """A figure that does not fit is refused, not wrapped."""

        def spoil(sheet: Sheet) -> None:
            row = sheet.rows[MUG]
            sheet.rows[MUG] = row._replace(amounts=(figure, *row.amounts[1:]))

        self._refuse(filled, "64 bits|within bounds", spoil)

    @pytest.mark.parametrize("others", [[], ["other"], ["other", "third", "fourth"]])
    def test_taken_key_stops_everything(self, filled: SQLiteStorage, others: list[str]) -> None:
        """A key that is there already is named, alone or among others."""

        def spoil(sheet: Sheet) -> None:
            sheet.outcomes[:] = [outcome(key) for key in (*others, "k-1")]

        problem = self._refuse(filled, "'k-1'", spoil)
        assert problem.to_dict() == {"error": "KeyTaken", "key": "k-1"}

    def test_key_twice_in_one_write_is_refused(self, filled: SQLiteStorage) -> None:
        """One write has one outcome for a key."""
        self._refuse(filled, "not unique", lambda s: s.outcomes.append(s.outcomes[0]))

    def test_forgotten_refusal_gives_way(self, storage: SQLiteStorage) -> None:
        """A refusal past its time is replaced, alone and in a batch; before it, it is kept."""
        past, now = START, START + SECOND
        for keys in (["a"], ["b", "c", "d"]):
            for when, expected in ((past, None), (past, KeyTaken), (now, None)):
                rows = [outcome(key, decided_at=when, forget_at=when + SECOND) for key in keys]
                assert _written(storage, rows) is expected

    @pytest.mark.parametrize("table", ["truecount_movement", "truecount_entry"])
    @pytest.mark.parametrize("act", ["DELETE FROM {}", "UPDATE {} SET recorded_at = 1"])
    def test_history_is_never_edited(self, filled: SQLiteStorage, table: str, act: str) -> None:
        """Not even by hand are movements and entries changed or deleted."""
        with (
            closing(sqlite3.connect(filled.path)) as hand,
            pytest.raises(sqlite3.IntegrityError, match="insert-only"),
        ):
            hand.execute(act.format(table))


class TestThreads:
    def test_writers_take_turns(self, path: Path) -> None:
        """Eight threads that lock, read and write lose no update."""
        with closing(SQLiteStorage(path, synchronous="OFF")) as storage:

            def add(thread: int) -> None:
                for number in range(10):
                    with writing(storage, MUG) as sheet:
                        sheet.move(f"{thread}-{number}", MUG, sellable=1)

            at_once(*(lambda thread=thread: add(thread) for thread in range(8)))
            with storage.read("main") as reader:
                [(_, row)] = reader.stock()
                versions = [entry.version for entry in reader.entries(MUG)]
                positions = [position for position, _ in reader.feed()]
        assert row.sellable == row.version == 80
        assert versions == positions == list(range(1, 81))

    def test_more_readers_than_are_kept(self, storage: SQLiteStorage) -> None:
        """Many readers at a time each have a snapshot; few connections stay open."""
        _fill(storage)
        readers = [storage.read("main") for _ in range(20)]
        opened = [reader.__enter__() for reader in readers]
        assert {len(reader.feed()) for reader in opened} == {2}
        for reader in readers:
            reader.__exit__(None, None, None)
        assert len(storage._connections._idle) == connections._IDLE_MAX

    def test_writer_waits_no_longer_than_it_was_told(self, storage: SQLiteStorage) -> None:
        """A thread that waits for another gives up with ``Retryable``."""
        problems: list[TrueCountError] = []

        def wait() -> None:
            try:
                with storage.begin("main"):
                    pass
            except TrueCountError as error:
                problems.append(error)

        with storage.begin("main"):
            thread = threading.Thread(target=wait)
            thread.start()
            thread.join()
        assert [type(problem) for problem in problems] == [Retryable]

    def test_transaction_in_a_transaction_is_refused(self, storage: SQLiteStorage) -> None:
        """A thread that would wait for itself is told; its transaction stays usable."""
        with writing(storage, MUG) as sheet:
            with pytest.raises(InternalError, match="open already"), storage.begin("main"):
                pass
            sheet.move("one", MUG, sellable=1)
        assert len(dump(storage)["feed"]) == 1

    def test_failed_transaction_leaves_the_next_one_alone(self, storage: SQLiteStorage) -> None:
        """An exception rolls everything back, and the storage works on."""

        def fail() -> None:
            with storage.begin("main") as unit:
                unit.write(Changes([outcome("k")], [], [], {}, [], []))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        assert dump(storage)["outcomes"] == []
        _fill(storage)


class TestProcesses:
    def test_locked_by_another_process(self, path: Path) -> None:
        """A file that another program keeps locked is ``Retryable``, at opening and at writing."""
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(Retryable, match="locked"):
                SQLiteStorage(path, timeout=SOON)
            other.execute("ROLLBACK")
            with closing(SQLiteStorage(path, timeout=SOON)) as storage:
                _fill(storage)
                other.execute("BEGIN IMMEDIATE")
                with pytest.raises(Retryable, match="locked"), storage.begin("main"):
                    pass
                assert len(dump(storage)["feed"]) == 2
                SQLiteStorage(path, timeout=SOON).close()
                other.execute("ROLLBACK")
                with writing(storage, MUG) as sheet:
                    sheet.move("after", MUG, sellable=1)

    def test_many_make_one_database(self, path: Path) -> None:
        """Storages opened at the same time on a missing file all get the one that is made."""
        opened: list[SQLiteStorage] = []
        at_once(*[lambda: opened.append(SQLiteStorage(path, synchronous="OFF"))] * 4)
        for storage in opened:
            storage.close()
        with closing(sqlite3.connect(path)) as connection:
            rows = connection.execute("SELECT * FROM truecount_meta").fetchall()
        assert (len(opened), rows) == (4, [("truecount", 1)])

    def test_last_units_are_sold_once(self, path: Path) -> None:
        """Three processes that compete for 30 units get 30 together."""
        with Inventory(SQLiteStorage(path, synchronous="OFF")) as inventory:
            inventory.locations.add("berlin")
            inventory.receive("MUG", 30, at="berlin")
            program = (
                "import sys\n"
                "from truecount import Inventory, SQLiteStorage, errors\n"
                "inventory = Inventory(SQLiteStorage(sys.argv[1], synchronous='OFF'))\n"
                "print('ready', flush=True)\n"
                "sys.stdin.readline()\n"
                "granted = 0\n"
                "for number in range(20):\n"
                "    name = f'{sys.argv[2]}-{number}'\n"
                "    try:\n"
                "        inventory.reserve({'MUG': 1}, reference=name, key=name)\n"
                "        granted += 1\n"
                "    except errors.InsufficientStock:\n"
                "        pass\n"
                "print(granted)\n"
            )
            children = [child(program, path, number) for number in range(3)]
            for each in children:
                assert stream(each.stdout).readline() == "ready\n"
            for each in children:
                stream(each.stdin).write("go\n")
                stream(each.stdin).flush()
            granted = [int(each.communicate()[0]) for each in children]
            assert sum(granted) == 30
            assert inventory.available("MUG") == 0
            assert inventory.verify().problems == ()

    def test_killed_in_the_middle_of_writing(self, path: Path) -> None:
        """After ``kill -9`` every acknowledged batch is whole, and no other is there in part."""
        program = (
            "import sys\n"
            "from truecount import Inventory, Received, SQLiteStorage\n"
            "inventory = Inventory(SQLiteStorage(sys.argv[1], synchronous='OFF'))\n"
            "inventory.locations.add('berlin')\n"
            "for batch in range(10_000):\n"
            "    inventory.record(\n"
            "        Received(f'SKU-{n}', 1, at='berlin', key=f'{batch}/{n}') for n in range(20)\n"
            "    )\n"
            "    print(batch, flush=True)\n"
        )
        with child(program, path) as writer:
            lines = stream(writer.stdout)
            while int(lines.readline()) < 15:
                pass
            writer.kill()
            acknowledged = max([15, *(int(text) for text in lines if text.endswith("\n"))])
        with Inventory(SQLiteStorage(path)) as inventory:
            units = {figures.on_hand for figures in inventory.stock().values()}
            assert len(units) == 1
            assert units <= {acknowledged + 1, acknowledged + 2}
            assert inventory.verify().problems == ()
            again = [Received("SKU-0", 1, at="berlin", key=f"{acknowledged}/0")]
            assert inventory.record(again)[0].replayed
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
    def test_fork_gives_the_child_connections_of_its_own(self, path: Path) -> None:
        """Parent and child go on writing and reading; nothing opened before is used after."""
        program = (
            "import os, sys\n"
            "from truecount import Inventory, SQLiteStorage\n"
            "inventory = Inventory(SQLiteStorage(sys.argv[1], synchronous='OFF'))\n"
            "inventory.locations.add('berlin')\n"
            "inventory.receive('MUG', 1, at='berlin')\n"
            "inventory.available('MUG')\n"
            "child = os.fork()\n"
            "for number in range(50):\n"
            "    inventory.receive('MUG', 1, at='berlin')\n"
            "    assert inventory.available('MUG') > number\n"
            "if child:\n"
            "    assert os.waitpid(child, 0)[1] == 0\n"
            "    print(inventory.available('MUG'), len(inventory.verify().problems))\n"
        )
        assert run(program, path) == "101 0\n"

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
    def test_fork_waits_for_transactions_of_other_threads(self, path: Path) -> None:
        """While other threads read and write, children get a storage they can use."""
        program = (
            "import os, sys, threading, warnings\n"
            "from truecount import SQLiteStorage\n"
            "from truecount.storage.sqlite import connections\n"
            "from truecount.testing.samples import MUG, dump, writing\n"
            "warnings.simplefilter('ignore', DeprecationWarning)  # Of forking with threads.\n"
            "connections._FORK_WAIT = 60.0  # However busy the machine is.\n"
            "storage = SQLiteStorage(sys.argv[1], synchronous='OFF')\n"
            "def add(name):\n"
            "    with writing(storage, MUG) as sheet:\n"
            "        sheet.move(name, MUG, sellable=1)\n"
            "add('first')\n"
            "done = threading.Event()\n"
            "def work(name, number=0):\n"
            "    while not done.is_set():\n"
            "        dump(storage)\n"
            "        number += 1\n"
            "        add(f'{name}-{number}')\n"
            "threads = [threading.Thread(target=work, args=(name,)) for name in 'ab']\n"
            "for thread in threads:\n"
            "    thread.start()\n"
            "for number in range(5):\n"
            "    child = os.fork()\n"
            "    if not child:\n"
            "        add(f'child-{number}')\n"
            "        os._exit(0)\n"
            "    assert os.waitpid(child, 0)[1] == 0\n"
            "done.set()\n"
            "for thread in threads:\n"
            "    thread.join()\n"
            "names = [row.id for _, row in dump(storage)['feed']]\n"
            "print(sum(name.startswith('child') for name in names))\n"
        )
        assert run(program, path) == "5\n"

    @pytest.mark.slow
    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
    def test_no_child_of_many_readers_hangs(self, path: Path) -> None:
        """A reader counts as reading until it is out of SQLite, whose locks a child inherits."""
        program = (
            "import os, signal, sys, threading, warnings\n"
            "from truecount import SQLiteStorage\n"
            "warnings.simplefilter('ignore', DeprecationWarning)  # Of forking with threads.\n"
            "storage = SQLiteStorage(sys.argv[1], synchronous='OFF')\n"
            "done = threading.Event()\n"
            "def read():\n"
            "    with storage.read('main') as reader:\n"
            "        reader.feed()\n"
            "def work():\n"
            "    while not done.is_set():\n"
            "        read()\n"
            "threads = [threading.Thread(target=work) for _ in range(4)]\n"
            "for thread in threads:\n"
            "    thread.start()\n"
            "for number in range(400):\n"
            "    child = os.fork()\n"
            "    if not child:\n"
            "        signal.alarm(20)\n"
            "        read()\n"
            "        os._exit(0)\n"
            "    assert os.waitpid(child, 0)[1] == 0\n"
            "done.set()\n"
            "for thread in threads:\n"
            "    thread.join()\n"
            "print(number)\n"
        )
        assert run(program, path) == "399\n"

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
    def test_fork_while_another_thread_is_inside_sqlite_does_not_hang(self, path: Path) -> None:
        """The child touches nothing of a statement that runs: its locks are held for ever."""
        program = (
            "import os, sys, threading, warnings\n"
            "from truecount import SQLiteStorage, errors\n"
            "from truecount.storage.sqlite import connections\n"
            "warnings.simplefilter('ignore', DeprecationWarning)  # Of forking with threads.\n"
            "connections._FORK_WAIT = 0.1\n"
            "storage = SQLiteStorage(sys.argv[1], synchronous='OFF')\n"
            "slow = 'WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n)'\n"
            "reading = threading.Event()\n"
            "def read():\n"
            "    with storage.read('main') as reader:\n"
            "        reading.set()\n"
            "        try:\n"
            "            reader._session.rows(f'{slow} SELECT max(n) FROM n')\n"
            "        except errors.StorageUnavailable as error:\n"
            "            assert 'interrupted' in str(error), error\n"
            "thread = threading.Thread(target=read)\n"
            "thread.start()\n"
            "reading.wait()\n"
            "[(session, _)] = storage._connections._reading\n"
            "child = os.fork()\n"
            "if not child:\n"
            "    try:\n"
            "        storage.read('main').__enter__()\n"
            "    except errors.StorageUnavailable as error:\n"
            "        # At once: what else ends with a process may use SQLite, as coverage does.\n"
            "        os._exit(0 if 'forked' in str(error) else 4)\n"
            "    os._exit(3)\n"
            "status = os.waitpid(child, 0)[1]\n"
            "session.connection.interrupt()\n"
            "thread.join()\n"
            "print(status)\n"
        )
        assert run(program, path) == "0\n"

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
    def test_fork_in_a_transaction_leaves_it_to_the_parent(self, path: Path) -> None:
        """In the child it is over, and so is the storage: SQLite cannot be used there safely."""
        program = (
            "import os, sys\n"
            "from truecount import SQLiteStorage, StockKey, errors\n"
            "from truecount.testing.samples import MUG, dump, writing\n"
            "storage = SQLiteStorage(sys.argv[1], synchronous='OFF')\n"
            "child = 0\n"
            "try:\n"
            "    with storage.read('main') as reader, writing(storage, MUG) as sheet:\n"
            "        sheet.move('parent', MUG, sellable=1)\n"
            "        child = os.fork()\n"
            "        if not child:\n"
            "            try:\n"
            "                reader.feed()\n"
            "            except errors.StorageUnavailable as error:\n"
            "                assert 'forked' in str(error), error\n"
            "            else:\n"
            "                os._exit(3)\n"
            "    assert child\n"
            "except errors.StorageUnavailable as error:\n"
            "    assert not child and 'forked' in str(error), error\n"
            "if child:\n"
            "    assert os.waitpid(child, 0)[1] == 0\n"
            "    print([row.id for _, row in dump(storage)['feed']])\n"
            "    storage.close()\n"
            "else:\n"
            "    try:\n"
            "        storage.read('main').__enter__()\n"
            "    except errors.StorageUnavailable as error:\n"
            "        assert 'forked' in str(error), error\n"
            "    else:\n"
            "        sys.exit(4)\n"
        )
        assert run(program, path) == "['parent']\n"


class TestDisk:
    def test_full_disk_writes_nothing(self, storage: SQLiteStorage) -> None:
        """When the disk is full the write is refused whole; with room again it succeeds."""
        _fill(storage)
        before = dump(storage)
        writer = storage._connections._writer
        assert writer is not None
        writer.rows("PRAGMA max_page_count = 1")
        for number in range(3):
            with pytest.raises(StorageUnavailable, match="full"), writing(storage, MUG) as sheet:
                sheet.records += [Record("note", f"{number}/{n}", 1, "x" * 4000) for n in range(9)]
        assert dump(storage) == before
        writer.rows("PRAGMA max_page_count = 1000000")
        with writing(storage, MUG) as sheet:
            sheet.records.append(Record("note", "two", 1, "x" * 4000))
        assert len(dump(storage)["records"][0]) == 2

    @pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
    def test_failing_disk_leaves_the_outcome_to_the_key(self, path: Path) -> None:
        """If the log cannot be written the outcome is unknown; repeated it happens once."""
        program = (
            "import os, resource, sys\n"
            "from truecount import Inventory, SQLiteStorage, errors\n"
            "path = sys.argv[1]\n"
            "inventory = Inventory(SQLiteStorage(path))\n"
            "inventory.locations.add('berlin')\n"
            "before = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
            "size = os.path.getsize(path + '-wal')\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))\n"
            "try:\n"
            "    inventory.receive('MUG', 1, at='berlin', key='in-1')\n"
            "except errors.OutcomeUnknown as error:\n"
            "    print(error.key, type(error.__cause__.__cause__).__name__)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, before)\n"
            "inventory.receive('MUG', 1, at='berlin', key='in-1')\n"
            "inventory.receive('MUG', 1, at='berlin', key='in-1')\n"
            "print(inventory.available('MUG'), len(inventory.verify().problems))\n"
        )
        assert run(program, path) == "in-1 OperationalError\n1 0\n"

    @pytest.mark.parametrize(
        ("make", "number"),
        [
            (SQLiteStorage, 2),
            (partial(SQLiteStorage, synchronous="NORMAL"), 1),
            (partial(SQLiteStorage, synchronous="OFF"), 0),
        ],
        ids=["default", "NORMAL", "OFF"],
    )
    def test_setting_reaches_the_writer(
        self, path: Path, make: Callable[[Path], SQLiteStorage], number: int
    ) -> None:
        """The durability asked for is the one the writing connection has; FULL by default."""
        with closing(make(path)) as storage:
            _fill(storage)
            writer = storage._connections._writer
            assert writer is not None
            assert writer.rows("PRAGMA synchronous") == [(number,)]
            assert writer.rows("PRAGMA journal_mode") == [("wal",)]

    def test_batch_costs_less_than_its_members(self, path: Path) -> None:
        """A batch is written with as many statements as a single request, not as many times."""
        counts = []
        with Inventory(SQLiteStorage(path, synchronous="OFF")) as inventory:
            inventory.locations.add("berlin")
            inventory.receive("MUG", 1000, at="berlin")
            writer = inventory.storage._connections._writer  # type: ignore[attr-defined]  # it is ours
            for size in (20, 200):
                wanted = [Reserve({"MUG": 1}, reference=f"{size}/{n}") for n in range(size)]
                begun: list[str] = []
                writer.connection.set_trace_callback(begun.append)
                inventory.submit(wanted)
                writer.connection.set_trace_callback(None)
                counts.append(sum(1 for text in begun if text.lstrip().startswith("SELECT")))
        assert counts[0] == counts[1]


def _fill(storage: SQLiteStorage) -> None:
    """Write a little of everything."""
    with writing(storage, MUG, TEA, orders=["cart-1"]) as sheet:
        sheet.move("first", MUG, TEA, sellable=5, reference="po-1")
        sheet.move("second", MUG, sellable=-2, held=2, reference="cart-1", floor=0)
        sheet.lines.append(line("cart-1", 1, MUG, held=2, expires_at=START + 60 * SECOND))
        sheet.records.append(Record("note", "one", 1, json.dumps({"text": "tea"})))
        sheet.outcomes.append(outcome("k-1"))


def _history(storage: SQLiteStorage, key: StockKey, entries: int, late: int) -> None:
    """Write *entries*, one a second; every fourth occurred *late* seconds before."""
    with writing(storage, key) as sheet:
        for number in range(entries):
            delay = late if number % 4 == 3 else 0
            occurred_at = START + (number - delay) * SECOND
            sheet.move(f"{key.sku}-{number}", key, sellable=1, occurred_at=occurred_at)


def _steps(storage: SQLiteStorage, key: StockKey, instant: int) -> int:
    """Return how many steps SQLite's engine takes to answer as of *instant*."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    with closing(sqlite3.connect(storage.path, isolation_level=None)) as host:
        host.execute("BEGIN")
        with storage.read("main", host) as reader:
            entries = list(reader.entries(key))
            wanted = sum(1 for entry in entries if entry.occurred_at <= instant)
            host.set_progress_handler(count, 1)
            assert reader.as_of(key, instant) == (wanted, *NOTHING[1:])
            host.set_progress_handler(None, 1)
    return steps


def _written(storage: SQLiteStorage, rows: list[OutcomeRow]) -> type[TrueCountError] | None:
    """Write outcomes in a transaction of their own; return what stopped it."""
    try:
        with storage.begin("main") as unit:
            unit.write(Changes(rows, [], [], {}, [], []))
    except TrueCountError as error:
        return type(error)
    return None


@contextmanager
def _nobody(folder: Path) -> Iterator[Path]:
    """Be a user whom file permissions stop, should this be the one whom they do not."""
    if os.name != "posix" or os.geteuid() != 0:
        yield folder
        return
    os.chown(folder, 65534, 65534)
    os.seteuid(65534)
    try:
        yield folder
    finally:
        os.seteuid(0)
