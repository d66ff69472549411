"""Orders while the server ends their connections at random: nothing lost, nothing twice."""

from __future__ import annotations

from concurrent.futures import wait

import pytest

from tests.postgres.server import Factory
from tests.postgres.shopping import buy, check_settled, open_shop
from tests.postgres.waiting import DEADLINE, connect, crew


SHOPS = 4
ORDERS = 60

#: One connection of the shops', whatever it does just now.
_END_ONE = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name = %s AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1
"""


@pytest.mark.slow
def test_orders_are_settled_while_connections_are_ended(make_postgres: Factory) -> None:
    """Every caller gets an answer, every answer stands, and each order has one effect."""
    storage = make_postgres()
    inventory = open_shop(storage)
    dsn = storage._connections.dsn
    ended = 0
    with crew(storage) as threads, connect(storage) as connection:
        # Of another name, so that it does not end itself.
        connection.execute("SET application_name = 'the one who ends connections'")
        shops = [threads.start(buy, dsn, storage.schema, shop, ORDERS) for shop in range(SHOPS)]
        while wait(shops, timeout=0.05).not_done:
            ended += len(connection.execute(_END_ONE, (storage.schema,)).fetchall())
    assert ended > SHOPS
    check_settled(inventory, (answer for shop in shops for answer in shop.result(DEADLINE)))
