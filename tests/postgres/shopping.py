"""Shops that order at once from one stock, and what must be true of all their answers."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

from truecount import Inventory, Outcome, Reserve
from truecount.storage.postgres import PostgresStorage


SKUS = [f"SKU-{number}" for number in range(6)]
STOCK = 150

Answers = list[tuple[Reserve, Outcome]]


def open_shop(storage: PostgresStorage, stock: int = STOCK) -> Inventory:
    """Take in *stock* of each SKU."""
    inventory = Inventory(storage)
    inventory.locations.add("berlin")
    for sku in SKUS:
        inventory.receive(sku, stock, at="berlin")
    return inventory


def orders(shop: int, count: int) -> Iterator[Reserve]:
    """Yield orders of one shop: several SKUs in any order, some of them asked for again."""
    draw = random.Random(shop)
    made: list[Reserve] = []
    for number in range(count):
        if made and draw.random() < 0.15:
            yield draw.choice(made)
            continue
        cart = {sku: draw.randint(1, 2) for sku in draw.sample(SKUS, draw.randint(1, 4))}
        name = f"order-{shop}-{number}"
        made.append(Reserve(cart, reference=name, key=name))
        yield made[-1]


def buy(dsn: str, schema: str, shop: int, count: int) -> Answers:
    """Place the orders of one shop over connections of its own."""
    own = PostgresStorage(dsn, schema=schema)
    inventory = Inventory(own)
    answers = [(order, inventory.submit([order])[0]) for order in orders(shop, count)]
    own.close()
    return answers


def check_settled(inventory: Inventory, answers: Iterable[tuple[Reserve, Outcome]]) -> None:
    """Check that every answer stands, that each order has one effect, and that some were refused."""
    by_key: dict[str | None, set[tuple[bool, tuple[str, ...]]]] = {}
    granted: dict[str | None, Reserve] = {}
    for order, outcome in answers:
        by_key.setdefault(order.key, set()).add((outcome.granted, outcome.movements))
        if outcome.granted:
            granted[order.key] = order
    assert {len(told) for told in by_key.values()} == {1}
    wanted = {sku: sum(dict(o.lines).get(sku, 0) for o in granted.values()) for sku in SKUS}
    assert {sku: inventory.figures(sku).held for sku in SKUS} == wanted
    assert len(granted) < len(by_key), "nothing was ever sold out"
    verification = inventory.verify()
    assert verification.ok, verification.problems
