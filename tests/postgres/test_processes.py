"""Processes of their own on one PostgreSQL server: the last unit, opposite carts, one order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from functools import partial

import pytest

from tests.postgres.apart import database_apart, deadlocks
from tests.postgres.clients import SHOP, SKUS, buy, opening, take_last, trade
from tests.postgres.processes import at_once_in_processes
from tests.postgres.server import Factory
from truecount import Inventory, Received
from truecount.storage.postgres import PostgresStorage
from truecount.testing import History, assert_invariants, check_history
from truecount.testing.histories import movements_in


def shop_of(storage: PostgresStorage, **stock: int) -> Inventory:
    """Return a shop with some stock."""
    inventory = Inventory(storage)
    inventory.locations.add(SHOP)
    inventory.record([Received(sku, n, at=SHOP, key=f"stock-{sku}") for sku, n in stock.items()])
    return inventory


# --- the last unit -----------------------------------------------------------------------


@pytest.mark.parametrize("rounds", [15, pytest.param(400, marks=pytest.mark.slow)])
def test_last_unit_is_sold_once_however_many_processes_want_it(
    make_postgres: Factory, rounds: int
) -> None:
    """Of eight processes that race for the last unit exactly one gets it, every time."""
    storage = make_postgres()
    shop = shop_of(storage, **{f"LAST-{turn}": 1 for turn in range(rounds)})
    open_ = opening(storage)
    won = at_once_in_processes(*(partial(take_last, open_, n, rounds) for n in range(8)))
    assert [sum(each) for each in zip(*won, strict=True)] == [1] * rounds
    assert sum(any(each) for each in won) > 1, "one process was always first: nothing raced"
    assert_invariants(shop)


# --- opposite carts ----------------------------------------------------------------------


@pytest.fixture
def own_database(postgres_dsn: str) -> Iterator[str]:
    """Return a database whose deadlocks nobody else makes."""
    with database_apart(postgres_dsn) as dsn:
        yield dsn


@pytest.mark.parametrize("carts", [20, pytest.param(400, marks=pytest.mark.slow)])
def test_opposite_carts_of_processes_never_deadlock(own_database: str, carts: int) -> None:
    """The server counts no deadlock while carts name SKUs forwards and backwards."""
    with closing(PostgresStorage(own_database)) as storage:
        storage.migrate()
        shop = shop_of(storage, **dict.fromkeys(SKUS, 10_000))
        calls = [partial(buy, opening(storage), number, carts) for number in range(6)]
        assert at_once_in_processes(*calls) == [carts] * 6
        promised = sum(shop.figures(sku).held for sku in SKUS)
        assert promised == 6 * 6 * carts
    assert deadlocks(own_database) == 0


# --- one order for each key --------------------------------------------------------------


@pytest.mark.parametrize("turns", [30, pytest.param(500, marks=pytest.mark.slow)])
def test_processes_see_one_order_of_each_key(make_postgres: Factory, turns: int) -> None:
    """Grants, refusals and figures of six processes are explained by one order, in real time."""
    storage = make_postgres()
    shop = shop_of(storage, MUG=6, TEA=6)
    before = movements_in(storage)
    calls = [partial(trade, opening(storage), number, turns) for number in range(6)]
    history = History()
    history.events = [event for events in at_once_in_processes(*calls) for event in events]
    check_history(history, storage, before)
    told = Counter(event.call.split()[0] for event in history.events)
    assert told.keys() == {"Reserve", "Release", "Received", "figures"}
    assert any(event.short for event in history.events), "nothing was ever sold out"
    assert_invariants(shop)
