"""Moving house: a ledger goes from any storage to any other, and nothing tells where it lived."""

from __future__ import annotations

import io
import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import wait
from contextlib import closing, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.broad_day import day, prepare
from tests.cli.running import Line
from tests.postgres.server import Factory, storages, uri_of
from tests.postgres.waiting import connect, crew
from tests.strategies import Step, histories, new_shop, play, spoken
from truecount import Inventory, MemoryStorage, Operation, Outcome, SQLiteStorage
from truecount.errors import InvalidArgument, InvalidData, InvalidRequest, Retryable
from truecount.ledger import importing
from truecount.model.settings import GENERATION, JOURNAL
from truecount.protocols.storage import Reader, Storage
from truecount.storage.postgres import PostgresStorage
from truecount.testing import CountingIds, ManualClock


#: Shrinking through a database takes minutes; the failing history is printed as it is.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
KINDS = ("memory", "SQLite", "PostgreSQL")
tenants = map("tenant-{}".format, itertools.count())


def exported(inventory: Inventory) -> list[str]:
    """Return the lines of an export."""
    file = io.StringIO()
    inventory.export(file)
    return file.getvalue().splitlines(keepends=True)


def told(reader: Reader) -> dict[str, Any]:
    """Return all that a reader tells, but for what a copy counts for itself."""
    movements = reader.feed(limit=10_000)
    references = sorted({row.reference for _, row in movements if row.reference})
    stock = list(reader.stock())
    return {
        "movements": movements,
        "stock": stock,
        "entries": [list(reader.entries(key)) for key, _ in stock],
        "open": [list(reader.open_lines(key)) for key, _ in stock],
        "lines": [reader.lines(reference) for reference in references],
        "under": [list(reader.movements_of(reference)) for reference in references],
        "due": reader.due_holds(2**62),
        "outcomes": reader.outcomes(limit=10_000),
        "documents": [
            (record.space, record.id, record.body)
            for space in reader.spaces()
            for record in reader.records(space, limit=10_000)
            if (space, record.id) not in (GENERATION, JOURNAL)
        ],
    }


def everything(storage: Storage, tenant: str = "main") -> dict[str, Any]:
    """Return all that can be read of a tenant, positions included."""
    with storage.read(tenant) as reader:
        return told(reader)


# --- any history, any storage -----------------------------------------------------------


class Houses:
    """Storages for all examples, two of each kind: each history is a tenant of its own."""

    def __init__(self, folder: Path, make: Factory) -> None:
        self._storages: dict[str, list[Storage]] = {
            "memory": [MemoryStorage(), MemoryStorage()],
            "SQLite": [SQLiteStorage(folder / f"{n}.db", synchronous="OFF") for n in range(2)],
            "PostgreSQL": [make(), make()],
        }

    def along(self, route: list[str]) -> list[Storage]:
        """Return a storage for each kind of *route*, and another one of the first kind."""
        return [*(self._storages[name][0] for name in route), self._storages[route[0]][1]]

    def close(self) -> None:
        """Close the files; the schemas are their factory's."""
        for storage in self._storages["SQLite"]:
            storage.close()


@pytest.fixture(scope="module")
def houses(postgres_dsn: str) -> Iterator[Houses]:
    """Return the storages that histories move between."""
    with (
        storages(postgres_dsn) as make,
        TemporaryDirectory() as folder,
        closing(Houses(Path(folder), make)) as found,
    ):
        yield found


def keyed(inventory: Inventory, steps: list[Step]) -> list[Operation]:
    """Return the operations of a history that have a key."""
    said = [spoken(inventory, step) for step in steps if isinstance(step, (Operation, tuple))]
    return [operation for each in said for operation in each if operation.key is not None]


def replays(inventory: Inventory, operations: list[Operation]) -> list[Outcome | None]:
    """Return what each operation was answered, None if it never was."""
    found: list[Outcome | None] = []
    for operation in operations:
        try:
            [outcome] = inventory.submit([operation], preview=True)
        except InvalidRequest:
            found.append(None)
            continue
        found.append(outcome if outcome.replayed else None)
    return found


@given(histories(8), st.permutations(KINDS), st.sampled_from((1, 3, 1000)))
@settings(max_examples=12, phases=PHASES, suppress_health_check=list(HealthCheck))
def test_every_history_moves_through_every_house(
    houses: Houses, steps: list[Step], route: list[str], chunk: int
) -> None:
    """From the first to the second, the third and back: exports, rows and replays are equal."""
    tenant = next(tenants)
    home, *others = houses.along(route)
    shop = new_shop(home, tenant=tenant)
    play(shop, steps)
    lines, whole = exported(shop.inventory), everything(home, tenant)
    operations = keyed(shop.inventory, steps)
    answers = list(map(repr, replays(shop.inventory, operations)))
    for storage in others:
        copy = Inventory(storage, tenant=tenant, clock=shop.clock, new_id=CountingIds("c"))
        importing.import_lines(copy._engine, lines, chunk=chunk)
        assert everything(storage, tenant) == whole
        assert list(map(repr, replays(copy, operations))) == answers
        lines, before = exported(copy), lines
        assert lines == before


# --- one full day, interrupted ----------------------------------------------------------


class Lived(NamedTuple):
    """A ledger: its export, and all that is to be read."""

    lines: list[str]
    whole: dict[str, Any]


@pytest.fixture(scope="module")
def lived() -> Lived:
    """Return a day in which everything happens."""
    clock = ManualClock()
    inventory = Inventory(clock=clock, new_id=CountingIds())
    prepare(inventory, clock)
    day(inventory, clock)
    return Lived(exported(inventory), everything(inventory.storage))


def _backwards(lines: list[str]) -> int:
    """Return how many movements are told at an earlier time than the one before them."""
    told_at = [
        json.loads(line)["movement"]["recorded_at"]
        for line in lines
        if line.startswith('{"movement"')
    ]
    return sum(later < earlier for earlier, later in itertools.pairwise(told_at))


def test_clock_that_was_set_back_moves_along(make_postgres: Factory) -> None:
    """Positions are those of the file, not those that the times alone would give."""
    shop = new_shop()
    for number in range(4):
        shop.inventory.receive(f"SKU-{number}", 1, at="berlin")
        shop.clock.tick(-timedelta(hours=1))
    lines = exported(shop.inventory)
    assert _backwards(lines) == 3
    storage = make_postgres()
    Inventory(storage).import_lines(lines)
    assert exported(Inventory(storage)) == lines


def killed(storage: PostgresStorage, file: Path, seed: int) -> int:
    """Import *file*, killed until it gets through; return how often."""
    words = (storage._connections.dsn, storage.schema, str(file), str(seed))
    done = subprocess.run(
        [sys.executable, "-m", "tests.postgres.killing", *words],
        check=True,
        capture_output=True,
        encoding="utf-8",
        timeout=240,
    )
    return int(done.stdout)


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 20))]
)
def test_killed_import_is_run_again_until_it_is_done(
    make_postgres: Factory, lived: Lived, tmp_path: Path, seed: int
) -> None:
    """Killed by ``kill -9`` wherever it is, it goes on: nothing is lost and nothing twice."""
    file = tmp_path / "day.jsonl"
    file.write_text("".join(lived.lines), encoding="utf-8")
    storage = make_postgres()
    assert killed(storage, file, seed) > 3
    assert everything(storage) == lived.whole
    copy = Inventory(storage)
    assert exported(copy) == lived.lines
    verification = copy.verify()
    assert verification.ok, verification.problems


#: Connections of the import, whatever they do just now.
_END_ALL = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name = %s AND pid <> pg_backend_pid()
"""


def test_import_gets_through_while_its_connections_are_ended(
    make_postgres: Factory, lived: Lived
) -> None:
    """A chunk is tried again, and what was committed although the reply was lost is not doubled."""
    storage = make_postgres()
    copy = Inventory(storage)
    draw, chunks, ended = Random(1), SimpleQueue[int](), 0

    def progress(done: int, _to_do: int) -> None:
        chunks.put(done)

    with crew(storage) as threads, connect(storage) as connection:
        # Of another name, so that it does not end itself.
        connection.execute("SET application_name = 'the one who ends connections'")
        work = partial(importing.import_lines, copy._engine, chunk=5, progress=progress)
        done = threads.start(work, lived.lines)
        while not done.done():
            with suppress(Empty):
                chunks.get(timeout=0.1)
                wait([done], timeout=draw.uniform(0, 0.02))
                ended += len(connection.execute(_END_ALL, (storage.schema,)).fetchall())
        assert ended > 0
    assert everything(storage) == lived.whole
    assert copy.verify().ok


def test_import_goes_on_after_what_has_no_position_yet(
    make_postgres: Factory, lived: Lived
) -> None:
    """What an interrupted run committed last is numbered first, and passed over."""
    storage = make_postgres()
    copy = Inventory(storage)
    with pytest.raises(InvalidData, match="without its footer"):
        copy.import_lines(lived.lines[:9])
    with connect(storage) as connection:
        waiting = f"SELECT count(*) > 0 FROM {storage.schema}.unnumbered".encode()
        assert connection.execute(waiting).fetchall() == [(True,)]
    assert copy.import_lines(lived.lines).known == 8
    assert everything(storage) == lived.whole


def test_target_whose_movement_has_no_position_yet_is_refused(
    make_postgres: Factory, lived: Lived
) -> None:
    """Two ledgers are never mixed, whether or not anybody has numbered the one that is there."""
    storage = make_postgres()
    target = Inventory(storage)
    target.locations.add("berlin")
    target.receive("JAR", 1, at="berlin")
    with pytest.raises(InvalidData, match=r"at position 1, which is not in the export"):
        target.import_lines(lived.lines)
    assert [key.sku for key, _ in everything(storage)["stock"]] == ["JAR"]


def test_target_that_went_on_is_refused(make_postgres: Factory, lived: Lived) -> None:
    """An import does not put back the documents of a ledger that has gone on since."""
    storage = make_postgres()
    target = Inventory(storage)
    target.import_lines(lived.lines)
    target.receive("JAR", 1, at="berlin")
    before = everything(storage)
    with pytest.raises(InvalidData, match=r"which is not in the export"):
        target.import_lines(lived.lines)
    assert everything(storage) == before


# --- transactions of others -------------------------------------------------------------


def test_import_within_a_transaction_is_refused(make_postgres: Factory, lived: Lived) -> None:
    """It commits chunk by chunk, which a host's transaction cannot."""
    storage = make_postgres()
    with connect(storage) as host, host.transaction():
        joined = Inventory(storage).within(host)
        with pytest.raises(InvalidArgument, match="within a host's transaction"):
            joined.import_lines(lived.lines)
    assert not everything(storage)["movements"]


def test_export_is_whole_or_none(make_postgres: Factory) -> None:
    """What is committed and has no position would be missing, though its figures are there."""
    storage = make_postgres()
    inventory = Inventory(storage)
    inventory.locations.add("berlin")
    inventory.receive("MUG", 5, at="berlin")
    with (
        connect(storage) as host,
        host.transaction(),
        pytest.raises(Retryable, match="somebody wrote as the export began"),
    ):
        exported(inventory.within(host))
    lines = exported(inventory)  # In a read of its own, which numbers first.
    assert sum(line.startswith('{"movement"') for line in lines) == 1


# --- the command line -------------------------------------------------------------------


def test_commands_work_on_a_server_as_on_a_file(make_postgres: Factory, tmp_path: Path) -> None:
    """A CSV goes into tables that are made for it, and the ledger out into a file and back."""
    storage = make_postgres()
    schema = f"{storage.schema}_cli"
    line = Line(tmp_path, uri_of(storage._connections.dsn, schema=schema))
    goods = line.csv("receive,MUG,5,berlin", "sold,MUG,2,berlin")
    try:
        words = ("import", goods, "--create-locations")
        assert line(*words, "--dry-run").out.startswith("2 rows are good")
        assert "locations add" in line("stock").err  # Looking has made no tables.
        assert line(*words).out == "declared berlin\nimported 2 rows\n"
        assert line(*words).out == "imported 0 rows, 2 were there already\n"
        assert line.figures() == {("MUG", "berlin", ""): 3}
        told = line("export", tmp_path / "a.jsonl", "--json").data
        file = Line(tmp_path)
        assert file("restore", tmp_path / "a.jsonl").code == 0
        assert file("export", "-").out == (tmp_path / "a.jsonl").read_text("utf-8")
        seal = f"{told['position']}:{told['digest']}"
        assert line("verify", "--expect", seal).code == file("verify", "--expect", seal).code == 0
    finally:
        with connect(storage) as connection:
            connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE".encode())
