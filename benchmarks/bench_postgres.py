"""PostgreSQL: one reservation per commit, a hot SKU, sold-out batches, a host's transaction."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import partial
from itertools import count, islice

from benchmarks.by_hand_postgres import LOCATION, ByHand, Usual, connect, stocked
from benchmarks.harness import Case, Sizes, main, timed
from truecount import Inventory, Operation, Received, Reserve, Sold


SKUS = 1000
BATCH = 50


def one_by_one(sizes: Sizes, *, durable: bool) -> float:
    """truecount: one reservation per commit, one connection."""
    with stocked(SKUS, durable=durable) as storage:
        inventory = Inventory(storage)
        with timed(sizes.operations) as rate:
            for number in range(sizes.operations):
                inventory.reserve(
                    {f"SKU-{number % SKUS}": 1}, reference=f"cart-{number}", key=f"key-{number}"
                )
        return rate()


def one_by_one_by_hand(sizes: Sizes, *, durable: bool) -> float:
    """By hand: one statement per reservation, one connection."""
    with stocked(SKUS) as storage, connect(durable=durable) as connection:
        hand = ByHand(connection, storage.schema)
        with timed(sizes.operations) as rate:
            for number in range(sizes.operations):
                assert hand.reserve(f"SKU-{number % SKUS}", 1, f"cart-{number}", f"key-{number}")
        return rate()


def _crowd(threads: int, operations: int, work: Callable[[range], None]) -> float:
    """Return the rate of *threads* that share *operations* in equal parts."""
    each = max(1, operations // threads)
    parts = [range(number * each, (number + 1) * each) for number in range(threads)]
    workers = [threading.Thread(target=work, args=(part,)) for part in parts]
    with timed(each * threads) as rate:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    return rate()


def hot(sizes: Sizes, *, threads: int) -> float:
    """truecount: threads that share one inventory after one SKU, group commit."""
    with stocked(1) as storage:
        inventory = Inventory(storage)

        def work(part: range) -> None:
            for number in part:
                inventory.reserve({"SKU-0": 1}, reference=f"cart-{number}", key=f"key-{number}")

        return _crowd(threads, sizes.operations, work)


def hot_the_usual_way(sizes: Sizes, *, threads: int) -> float:
    """By hand: as many threads with a connection each, lock, look, update, insert, commit."""
    with stocked(1) as storage:
        numbers = count()
        hands = [Usual(connect(), storage.schema) for _ in range(threads)]

        def work(part: range) -> None:
            hand = hands[part.start // max(1, len(part))]
            for number in islice(numbers, len(part)):
                assert hand.reserve("SKU-0", 1, f"cart-{number}")

        found = _crowd(threads, sizes.operations, work)
        for hand in hands:
            hand.close()
        return found


def sell_out(sizes: Sizes, *, share: int) -> float:
    """truecount: batches of 50 on one hot SKU, *share* percent of them for a sold-out one."""
    with stocked(1) as storage:
        inventory = Inventory(storage)
        inventory.record([Received("GONE", 1, at=LOCATION, key="in-gone")])
        inventory.record([Sold("GONE", 1, at=LOCATION, key="out-gone")])
        batches = max(1, sizes.operations // BATCH)

        def batch(number: int) -> list[Operation]:
            first = number * BATCH
            return [
                Reserve(
                    {("GONE" if n * share % 100 < share else "SKU-0"): 1},
                    reference=f"cart-{n}",
                    key=f"key-{n}",
                )
                for n in range(first, first + BATCH)
            ]

        work = [batch(number) for number in range(batches)]
        with timed(batches * BATCH) as rate:
            refused = sum(not found.granted for each in work for found in inventory.submit(each))
        assert refused or not share
        return rate()


def within(sizes: Sizes, *, by_hand: bool) -> float:
    """Reservations in a host's transaction, which writes an order of its own before."""
    with stocked(SKUS) as storage, connect() as host:
        host.execute(f"CREATE TABLE {storage.schema}.orders (id text PRIMARY KEY)".encode())
        order = f"INSERT INTO {storage.schema}.orders VALUES (%s)".encode()
        inventory, hand = Inventory(storage), ByHand(host, storage.schema)
        with timed(sizes.operations) as rate:
            for number in range(sizes.operations):
                sku, name, key = f"SKU-{number % SKUS}", f"cart-{number}", f"key-{number}"
                with host.transaction():
                    host.execute(order, (name,))
                    if by_hand:
                        assert hand.reserve(sku, 1, name, key)
                    else:
                        inventory.within(host).reserve({sku: 1}, reference=name, key=key)
        return rate()


def _scaled(contender: Callable[[Sizes], float], factor: int) -> Callable[[Sizes], float]:
    return lambda sizes: contender(sizes._replace(operations=sizes.operations * factor))


CASES = [
    Case(
        "PostgreSQL, one durable reservation per commit",
        partial(one_by_one, durable=True),
        partial(one_by_one_by_hand, durable=True),
        0.65,
        "one statement by hand",
    ),
    Case(
        "PostgreSQL, the same with synchronous_commit=off on both",
        partial(one_by_one, durable=False),
        partial(one_by_one_by_hand, durable=False),
        0.30,
        "one statement by hand",
    ),
    Case(
        "PostgreSQL, one hot SKU, 32 threads with group commit",
        _scaled(partial(hot, threads=32), 4),
        partial(hot_the_usual_way, threads=32),
        8.0,
        "lock, look, update, insert, commit",
    ),
    *(
        Case(
            f"PostgreSQL, batches with {share} % sold out",
            _scaled(partial(sell_out, share=share), 2),
            _scaled(partial(sell_out, share=0), 2),
            0.5,
            "truecount with plenty",
        )
        for share in (2, 50, 100)
    ),
    Case(
        "PostgreSQL, order and reservation in a host's transaction",
        partial(within, by_hand=False),
        partial(within, by_hand=True),
        0.50,
        "order and one statement by hand",
    ),
]

if __name__ == "__main__":
    sys.exit(main(CASES, operations=1_000))
