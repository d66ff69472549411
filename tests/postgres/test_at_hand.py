"""The connection at hand: nobody waits for the pool while it is here, and it goes back there."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta

import pytest

from tests.postgres.server import Factory
from tests.postgres.waiting import DEADLINE
from truecount.storage.postgres import PostgresStorage, at_hand
from truecount.storage.postgres.connections import Connections
from truecount.storage.postgres.wire import OwnConnection


def _asked(connections: Connections, stat: str = "requests_num") -> int:
    """Return how often the pool was asked, or another of its figures."""
    return connections._opened().get_stats().get(stat, 0)


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < end


@pytest.fixture
def connections(make_postgres: Factory) -> Connections:
    """Return the connections of a storage."""
    return make_postgres()._connections


def test_one_thread_has_the_same_connection_again(connections: Connections) -> None:
    """The pool is asked once."""
    found = set()
    for _ in range(5):
        connection = connections.take()
        found.add(connection)
        connections.give_back(connection)
    assert len(found) == 1
    assert _asked(connections) == 1


def test_second_one_goes_to_the_pool(connections: Connections) -> None:
    """What is at hand is one, so that the pool knows how many are idle."""
    first, second = connections.take(), connections.take()
    connections.give_back(first)
    connections.give_back(second)
    assert connections.take() is first
    assert _asked(connections, "pool_available") == 1


def test_pool_sees_a_connection_after_its_time(
    connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it is put back, and when it has been idle."""
    connections.give_back(connections.take())
    monkeypatch.setattr(at_hand, "KEPT_SECONDS", -1.0)
    connection = connections.take()
    assert _asked(connections) == 2
    connections.give_back(connection)
    assert _asked(connections, "pool_available") == 1


def test_whoever_waits_for_the_pool_gets_what_is_put_back(make_postgres: Factory) -> None:
    """Not the one who comes next, while the other waits for its time to be over."""
    storage = make_postgres()
    with _small(storage) as small, ThreadPoolExecutor(1) as pool:
        connections = small._connections
        taken = connections.take()
        waits: Future[OwnConnection] = pool.submit(connections.take)
        _until(lambda: _asked(connections, "requests_waiting") == 1)
        connections.give_back(taken)
        assert waits.result(DEADLINE) is taken
        connections.give_back(taken)


def test_no_thread_waits_though_a_connection_is_at_hand(make_postgres: Factory) -> None:
    """However takers and givers meet."""
    storage = make_postgres()
    turns, threads = 2_000, 6
    with _small(storage) as small, ThreadPoolExecutor(threads) as pool:
        connections = small._connections

        def work() -> None:
            for _ in range(turns):
                connections.give_back(connections.take())

        for each in [pool.submit(work) for _ in range(threads)]:
            each.result(DEADLINE)


def test_who_is_about_to_wait_looks_once_more(connections: Connections) -> None:
    """Between the first look and the wait one may have come, from somebody who saw none wait."""
    mine, connection = at_hand.AtHand(), connections.take()
    assert mine.take() is None
    assert mine.keep(connection) is None
    with mine.waiting() as come:
        assert come is connection
    connections.give_back(connection)


def test_connection_that_comes_back_after_the_end_is_closed(make_postgres: Factory) -> None:
    """As is the one at hand at the end."""
    storage = make_postgres()
    with _small(storage, connections=2) as small:
        connections = small._connections
        used, idle = connections.take(), connections.take()
        connections.give_back(idle)
        small.close()
        assert idle.closed
        connections.give_back(used)
        assert used.closed


def _small(storage: PostgresStorage, connections: int = 1) -> closing[PostgresStorage]:
    """Return another storage of few connections over the same tables."""
    return closing(
        PostgresStorage(
            storage._connections.dsn,
            schema=storage.schema,
            connections=connections,
            timeout=timedelta(seconds=DEADLINE),
        )
    )
