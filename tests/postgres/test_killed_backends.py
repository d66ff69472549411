"""Orders while the server ends their connections at random: nothing lost, nothing twice."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import wait

import pytest

from tests.postgres.server import Factory
from tests.postgres.waiting import DEADLINE, connect, crew
from truecount import Inventory, Outcome, Reserve
from truecount.storage.postgres import PostgresStorage


SKUS = [f"SKU-{number}" for number in range(6)]
STOCK = 150
SHOPS = 4
ORDERS = 60

#: One connection of the shops', whatever it does just now.
_END_ONE = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name = %s AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1
"""


def orders(shop: int) -> Iterator[Reserve]:
    """Yield orders of one shop: several SKUs in any order, some of them asked for again."""
    draw = random.Random(shop)
    made: list[Reserve] = []
    for number in range(ORDERS):
        if made and draw.random() < 0.15:
            yield draw.choice(made)
            continue
        cart = {sku: draw.randint(1, 2) for sku in draw.sample(SKUS, draw.randint(1, 4))}
        name = f"order-{shop}-{number}"
        made.append(Reserve(cart, reference=name, key=name))
        yield made[-1]


def buy(storage: PostgresStorage, shop: int) -> list[tuple[Reserve, Outcome]]:
    """Place the orders of one shop over connections of its own."""
    own = PostgresStorage(storage._connections.dsn, schema=storage.schema)
    inventory = Inventory(own)
    answers = [(order, inventory.submit([order])[0]) for order in orders(shop)]
    own.close()
    return answers


@pytest.mark.slow
def test_orders_are_settled_while_connections_are_ended(make_postgres: Factory) -> None:
    """Every caller gets an answer, every answer stands, and each order has one effect."""
    storage = make_postgres()
    inventory = Inventory(storage)
    inventory.locations.add("berlin")
    for sku in SKUS:
        inventory.receive(sku, STOCK, at="berlin")
    ended = 0
    with crew(storage) as threads, connect(storage) as connection:
        # Of another name, so that it does not end itself.
        connection.execute("SET application_name = 'the one who ends connections'")
        shops = [threads.start(buy, storage, number) for number in range(SHOPS)]
        while wait(shops, timeout=0.05).not_done:
            ended += len(connection.execute(_END_ONE, (storage.schema,)).fetchall())
    answers = [answer for shop in shops for answer in shop.result(DEADLINE)]
    assert ended > SHOPS
    by_key: dict[str | None, set[tuple[bool, tuple[str, ...]]]] = {}
    for order, outcome in answers:
        by_key.setdefault(order.key, set()).add((outcome.granted, outcome.movements))
    assert {len(told) for told in by_key.values()} == {1}
    granted = {order.key: order for order, outcome in answers if outcome.granted}
    wanted = {sku: sum(dict(o.lines).get(sku, 0) for o in granted.values()) for sku in SKUS}
    assert {sku: inventory.figures(sku).held for sku in SKUS} == wanted
    assert len(granted) < len(by_key), "nothing was ever sold out"
    verification = inventory.verify()
    assert verification.ok, verification.problems
