"""PostgreSQL: one reservation per commit, a hot SKU, sold out or not, a host, bytes."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import partial
from itertools import count, islice

from benchmarks.by_hand_postgres import LOCATION, ByHand, Combiner, Usual, connect, stocked
from benchmarks.harness import Case, Sizes, main, timed
from truecount import Inventory, Received, Sold
from truecount.errors import InsufficientStock


SKUS = 1000
THREADS = 32
CONNECTIONS = 8
BUYERS = 16
BYTES_MAX = 1_500
WARM_UP = 50


def one_by_one(sizes: Sizes, *, durable: bool) -> float:
    """truecount: one reservation per commit, one connection."""
    with stocked(SKUS, durable=durable) as storage:
        inventory = Inventory(storage)

        def reserve(number: int) -> None:
            inventory.reserve(
                {f"SKU-{number % SKUS}": 1}, reference=f"cart-{number}", key=f"key-{number}"
            )

        return _steadily(sizes.operations, reserve)


def one_by_one_by_hand(sizes: Sizes, *, durable: bool) -> float:
    """By hand: one statement per reservation, one connection."""
    with stocked(SKUS) as storage, connect(durable=durable) as connection:
        hand = ByHand(connection, storage.schema)

        def reserve(number: int) -> None:
            assert hand.reserve(f"SKU-{number % SKUS}", 1, f"cart-{number}", f"key-{number}")

        return _steadily(sizes.operations, reserve)


def _steadily(operations: int, reserve: Callable[[int], None]) -> float:
    """Return the rate of *reserve* once its statements are planned, which both do once."""
    for number in range(WARM_UP):
        reserve(number)
    with timed(operations) as rate:
        for number in range(WARM_UP, WARM_UP + operations):
            reserve(number)
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


def hot(sizes: Sizes, *, threads: int, sold_out: int = 0) -> float:
    """truecount: threads share one inventory; *sold_out* percent of them want what is gone."""
    with stocked(1) as storage:
        inventory = Inventory(storage)
        inventory.record([Received("GONE", 1, at=LOCATION, key="in-gone")])
        inventory.record([Sold("GONE", 1, at=LOCATION, key="out-gone")])
        refused = []

        def work(part: range) -> None:
            for number in part:
                # Whoever is refused is spread evenly over time and threads.
                sku = "GONE" if number * 61 % 100 < sold_out else "SKU-0"
                try:
                    inventory.reserve({sku: 1}, reference=f"cart-{number}", key=f"key-{number}")
                except InsufficientStock:
                    refused.append(number)

        rate = _crowd(threads, sizes.operations, work)
        assert bool(refused) == bool(sold_out)
        return rate


def hot_combined_by_hand(sizes: Sizes, *, threads: int) -> float:
    """By hand: one thread writes for all that wait, one statement for each batch."""
    with stocked(1) as storage, connect() as connection:
        combiner = Combiner(connection, storage.schema, "SKU-0")

        def work(part: range) -> None:
            for number in part:
                assert combiner.reserve(1, f"cart-{number}", f"key-{number}")

        rate = _crowd(threads, sizes.operations, work)
        combiner.close()
        return rate


def spread(sizes: Sizes, *, threads: int) -> float:
    """truecount: threads share one inventory of a thousand SKUs."""
    with stocked(SKUS) as storage:
        inventory = Inventory(storage)

        def work(part: range) -> None:
            for number in part:
                inventory.reserve(
                    {f"SKU-{number % SKUS}": 1}, reference=f"cart-{number}", key=f"key-{number}"
                )

        return _crowd(threads, sizes.operations, work)


def spread_by_hand(sizes: Sizes, *, threads: int) -> float:
    """By hand: as many threads with a connection each, every one with SKUs of its own."""
    with stocked(SKUS) as storage:
        hands = [ByHand(connect(), storage.schema) for _ in range(threads)]

        def work(part: range) -> None:
            own = part.start // max(1, len(part))
            hand, each = hands[own], SKUS // threads
            for number in part:
                sku = f"SKU-{own * each + number % each}"
                assert hand.reserve(sku, 1, f"cart-{number}", f"key-{number}")

        rate = _crowd(threads, sizes.operations, work)
        for hand in hands:
            hand.close()
        return rate


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


def checkout(sizes: Sizes, *, way: str) -> float:
    """Orders of one hot SKU, each with 5 ms of other work in the host's transaction."""
    with stocked(1, connections=BUYERS) as storage, connect() as connection:
        connection.execute(f"CREATE TABLE {storage.schema}.orders (id text PRIMARY KEY)".encode())
        inventory = Inventory(storage)
        hosts = [connect() for _ in range(BUYERS)]
        order = f"INSERT INTO {storage.schema}.orders SELECT %s FROM pg_sleep(0.005)".encode()

        def work(part: range) -> None:
            host = hosts[part.start // max(1, len(part))]
            for number in part:
                name = f"order-{number}"
                if way == "hold first":
                    inventory.reserve({"SKU-0": 1}, reference=name, key=f"{name}/hold")
                with host.transaction():
                    stock = inventory.within(host)
                    if way == "reserve first":
                        stock.reserve({"SKU-0": 1}, reference=name, key=f"{name}/hold")
                    host.execute(order, (name,))
                    if way == "reserve last":
                        stock.reserve({"SKU-0": 1}, reference=name, key=f"{name}/hold")
                    if way == "hold first":
                        stock.confirm(name, key=f"{name}/confirm")

        rate = _crowd(BUYERS, sizes.operations, work)
        for host in hosts:
            host.close()
        return rate


def small(sizes: Sizes) -> float:
    """Reservations in a million bytes of tables and indexes, one SKU in a thousand each."""
    with stocked(SKUS, durable=False) as storage:
        inventory = Inventory(storage)

        def reserve(numbers: range) -> None:
            for number in numbers:
                order = f"order-{number:07}"
                inventory.reserve({f"SKU-{number % SKUS}": 1}, reference=order, key=f"{order}/hold")

        # What the first of them leave behind is used by the next, as after every autovacuum.
        reserve(range(sizes.operations))
        with connect() as connection:
            connection.execute(f"VACUUM {storage.schema}.record".encode())
        before = _size(storage.schema)
        reserve(range(sizes.operations, 2 * sizes.operations))
        return sizes.operations * 1_000_000 / max(1, _size(storage.schema) - before)


def _size(schema: str) -> int:
    with connect() as connection:
        found = connection.execute(
            "SELECT sum(pg_relation_size(oid))::bigint FROM pg_class"
            " WHERE relnamespace = %s::regnamespace AND relkind IN ('r', 'i')",
            (schema,),
        ).fetchone()
        assert found is not None
        return int(found[0])


def _scaled(contender: Callable[[Sizes], float], factor: int) -> Callable[[Sizes], float]:
    return lambda sizes: contender(sizes._replace(operations=sizes.operations * factor))


_HOT = _scaled(partial(hot, threads=THREADS), 4)

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
        "PostgreSQL, 8 threads over 1,000 SKUs",
        _scaled(partial(spread, threads=CONNECTIONS), 2),
        _scaled(partial(spread_by_hand, threads=CONNECTIONS), 2),
        0.65,
        "8 connections by hand",
    ),
    Case(
        "PostgreSQL, one hot SKU, 32 threads with group commit",
        _HOT,
        partial(hot_the_usual_way, threads=THREADS),
        8.0,
        "lock, look, update, insert, commit",
    ),
    Case(
        "PostgreSQL, one hot SKU, 32 threads, against a combiner",
        _HOT,
        _scaled(partial(hot_combined_by_hand, threads=THREADS), 4),
        0.35,
        "combined by hand",
    ),
    *(
        Case(
            f"PostgreSQL, one hot SKU, 32 threads, {share} % sold out",
            _scaled(partial(hot, threads=THREADS, sold_out=share), 4),
            _HOT,
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
    *(
        Case(
            f"PostgreSQL, checkouts of one hot SKU by 16 threads, {way}",
            partial(checkout, way=way),
            partial(checkout, way="reserve first"),
            2.0,
            "reserve first, then 5 ms of work",
        )
        for way in ("reserve last", "hold first")
    ),
    Case(
        "PostgreSQL, reservations in a million bytes",
        _scaled(small, 5),
        lambda _: 1_000_000 / BYTES_MAX,
        1.0,
        "promised",
    ),
]

if __name__ == "__main__":
    sys.exit(main(CASES, operations=1_000))
