"""What a client in a process of its own does on one PostgreSQL storage."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial

from tests.postgres.processes import meet
from truecount import Inventory, Received, Release, Reserve
from truecount.errors import InsufficientStock
from truecount.storage.postgres import PostgresStorage
from truecount.testing import Event, History
from truecount.testing.claims import patiently


SHOP = "berlin"
SKUS = tuple(f"SKU-{number}" for number in range(12))

#: Opens a storage in another process.
Open = Callable[[], PostgresStorage]


def opening(storage: PostgresStorage) -> Open:
    """Return what opens *storage* in another process, with connections of its own."""
    return partial(PostgresStorage, storage._connections.dsn, schema=storage.schema)


def take_last(open_: Open, number: int, rounds: int) -> list[bool]:
    """Try to get the one unit of each round; say which rounds were won."""
    with closing(open_()) as storage:
        shop = Inventory(storage)
        won = []
        for turn in range(rounds):
            meet()
            won.append(wins(shop, f"LAST-{turn}", f"cart-{number}-{turn}"))
        return won


def wins(shop: Inventory, sku: str, cart: str) -> bool:
    """Return whether a unit was to be had."""
    try:
        shop.reserve({sku: 1}, reference=cart, key=cart)
    except InsufficientStock:
        return False
    return True


def buy(open_: Open, number: int, carts: int) -> int:
    """Order many SKUs at once, forwards or backwards; a deadlock would be repeated inside."""
    draw = random.Random(number)
    with closing(open_()) as storage:
        shop = Inventory(storage)
        meet()
        for turn in range(carts):
            some = draw.sample(SKUS, 6)
            cart = dict.fromkeys(sorted(some, reverse=bool(number % 2)), 1)
            shop.reserve(cart, reference=f"cart-{number}-{turn}", key=f"{number}-{turn}")
    return carts


def trade(open_: Open, number: int, turns: int) -> list[Event]:
    """Reserve one or two SKUs, release, take in and look, as one of several clients."""
    luck = random.Random(number)
    history = History(time.monotonic_ns)  # One clock for all processes of a machine.
    carts: list[str] = []
    with closing(open_()) as storage:
        shop = Inventory(storage)
        meet()
        for turn in range(turns):
            name, act = f"{number}-{turn}", luck.random()
            sku = luck.choice(("MUG", "TEA"))
            if act < 0.5:
                wanted = {one: luck.randint(1, 2) for one in luck.sample(("TEA", "MUG"), 2)}
                cart = Reserve(wanted, reference=name, key=name)
                if patiently(partial(history.submit, shop, cart)).granted:
                    carts.append(name)
            elif act < 0.7 and carts:
                release = Release(reference=carts.pop(), key=name)
                patiently(partial(history.submit, shop, release))
            elif act < 0.8:
                patiently(partial(history.submit, shop, Received(sku, 1, at=SHOP, key=name)))
            else:
                history.figures(shop, sku, at=SHOP)
    return history.events
