"""The same histories on memory and on SQLite: the same answers, and the same rows."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import (
    LOCATIONS,
    ORDERS,
    SKUS,
    START,
    Step,
    counted_histories,
    histories,
    new_shop,
    play,
)
from truecount import MemoryStorage, Outcome, SQLiteStorage
from truecount.errors import InvalidRequest
from truecount.model.instants import to_instant
from truecount.protocols.storage import Reader, Storage
from truecount.testing.samples import dump


#: Instants asked about: before, in and after what histories tell.
MOMENTS = [to_instant(START + timedelta(hours=hours)) for hours in (-80, -72, -36, -1, 0, 1, 40)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return one folder for the files of all examples."""
    return tmp_path_factory.mktemp("examples")


numbers = itertools.count()


def told(storage: Storage, history: list[Step]) -> Iterator[object]:
    """Yield what every operation was answered, and then all that can be read."""
    shop = new_shop(storage)
    yield from (_comparable(answer) for answer in play(shop, history))
    yield shop.inventory.sweep()
    yield shop.inventory.stock()
    yield [shop.inventory.history(sku, last=None) for sku in SKUS]
    yield [shop.inventory.history(reference=order) for order in ORDERS]
    with storage.read("main") as reader:
        yield list(_figures_of_the_past(reader))
        yield [list(reader.stock(sku, at)) for sku in SKUS for at in LOCATIONS]
        yield [list(reader.stock(None, at)) for at in LOCATIONS]
        yield [list(reader.movements_of(order)) for order in ORDERS]
    yield from dump(storage, ORDERS).items()


def _comparable(answer: Outcome | InvalidRequest) -> object:
    if isinstance(answer, InvalidRequest):
        return answer.to_dict()
    problem = answer.error and answer.error.to_dict()
    return (
        answer.key,
        answer.replayed,
        answer.decided_at,
        answer.movements,
        answer.result,
        problem,
    )


def _figures_of_the_past(reader: Reader) -> Iterator[object]:
    for key, row in reader.stock():
        for moment in MOMENTS:
            for version in (None, 0, 1, row.version // 2, row.version, row.version + 1):
                yield key, moment, version, reader.as_of(key, moment, version)


@given(st.one_of(histories(), counted_histories))
@settings(max_examples=60)
def test_memory_and_sqlite_tell_the_same(folder: Path, history: list[Step]) -> None:
    """Outcomes, errors, figures now and then, entries, lines, documents, feed are equal."""
    with closing(MemoryStorage()) as memory:
        wanted = list(told(memory, history))
    file = folder / f"{next(numbers)}.db"
    with closing(SQLiteStorage(file, synchronous="OFF")) as sqlite:
        for seen, expected in zip(told(sqlite, history), wanted, strict=True):
            assert seen == expected
