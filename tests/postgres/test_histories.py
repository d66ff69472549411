"""The same histories on memory, SQLite and PostgreSQL: bundles, much counted, all kinds of trade."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.bundle_histories import SKUS, bundle_histories, bundle_shop
from tests.postgres.server import storages
from tests.strategies import ORDERS, START, Shop, Step, counted_histories, histories, new_shop, play
from truecount import MemoryStorage, Outcome, SQLiteStorage
from truecount.errors import InvalidRequest
from truecount.model.instants import to_instant
from truecount.protocols.storage import Reader, Storage
from truecount.testing.samples import dump


#: Instants asked about: before, in and after what histories tell.
MOMENTS = [to_instant(START + timedelta(hours=hours)) for hours in (-80, -36, -3, 0, 1, 40)]
#: Shrinking through a database takes minutes; the failing history is printed as it is.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)

MakeShop = Callable[[Storage], Shop]


#: Makes an empty storage to be compared with one in memory.
Makers = list[Callable[[], Storage]]


@pytest.fixture(scope="module")
def makers(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Makers]:
    """Return factories of storages for all examples."""
    folder, numbers = tmp_path_factory.mktemp("histories"), itertools.count()

    def sqlite() -> Storage:
        return SQLiteStorage(folder / f"{next(numbers)}.db", synchronous="OFF")

    with storages(postgres_dsn) as make:
        yield [sqlite, make]


def told(make_shop: MakeShop, storage: Storage, history: list[Step]) -> Iterator[object]:
    """Yield what every step was answered, and in the end all that can be read."""
    shop = make_shop(storage)
    for step in history:
        yield from map(_comparable, play(shop, [step]))
        # Only memory numbers as it writes. Movements numbered together are ordered by time,
        # and the clock of a history may go back.
        shop.inventory.feed(0, 1)
    yield shop.inventory.sweep()
    shop.inventory.feed(0, 1)
    yield shop.inventory.stock()
    yield [shop.inventory.history(sku, last=None) for sku in SKUS]
    yield [shop.inventory.history(reference=order) for order in ORDERS]
    with storage.read("main") as reader:
        yield list(_figures_of_the_past(reader))
    yield from dump(storage, ORDERS).items()


def _comparable(answer: Outcome | InvalidRequest) -> object:
    if isinstance(answer, InvalidRequest):
        return answer.to_dict()
    problem = answer.error and answer.error.to_dict()
    return answer.key, answer.replayed, answer.decided_at, answer.movements, answer.result, problem


def _figures_of_the_past(reader: Reader) -> Iterator[object]:
    for key, row in reader.stock():
        for moment in MOMENTS:
            for version in (None, 0, 1, row.version // 2, row.version, row.version + 1):
                yield key, moment, version, reader.as_of(key, moment, version)


def check(make_shop: MakeShop, makers: Makers, history: list[Step]) -> None:
    """Compare what is told, one answer after the other."""
    with closing(MemoryStorage()) as memory:
        wanted = list(told(make_shop, memory, history))
    for make in makers:
        with closing(make()) as other:
            for seen, expected in zip(told(make_shop, other, history), wanted, strict=True):
                assert seen == expected, type(other).__name__


def examples(number: int) -> settings:
    """Return how often a history is made up."""
    return settings(
        max_examples=number, phases=PHASES, suppress_health_check=[HealthCheck.data_too_large]
    )


@given(bundle_histories(4))
@examples(8)
def test_bundles_are_told_the_same(makers: Makers, history: list[Step]) -> None:
    """Nested bundles, recipes that change under open orders, kits in stock."""
    check(bundle_shop, makers, history)


@given(histories(5))
@examples(8)
def test_trade_is_told_the_same(makers: Makers, history: list[Step]) -> None:
    """Orders, transfers, deliveries, corrections, repeated requests."""
    check(new_shop, makers, history)


@given(counted_histories)
@examples(8)
def test_counts_and_late_facts_are_told_the_same(makers: Makers, history: list[Step]) -> None:
    """Figures of the past, too, are the same as of every moment and version."""
    check(new_shop, makers, history)


@pytest.mark.slow
@given(st.one_of(histories(), counted_histories))
@examples(150)
def test_trade_is_told_the_same_at_length(makers: Makers, history: list[Step]) -> None:
    """The same for many long histories, counted and uncounted."""
    check(new_shop, makers, history)


@pytest.mark.slow
@given(bundle_histories())
@examples(100)
def test_bundles_are_told_the_same_at_length(makers: Makers, history: list[Step]) -> None:
    """The same for many long histories of bundles."""
    check(bundle_shop, makers, history)
