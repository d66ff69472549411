"""SQLite: one reservation per commit, threads sharing commits, sold-out batches, imports."""

from __future__ import annotations

import sys
import threading
import uuid
from collections.abc import Callable
from functools import partial
from itertools import count, islice
from pathlib import Path

from benchmarks.by_hand_sqlite import LOCATION, ByHand, connect, stocked
from benchmarks.harness import Case, Contender, Sizes, main, timed
from truecount import Inventory, Operation, Received, Reserve, Sold


SKUS = 1000
THREADS = 8
BATCH = 50
IMPORT = 1000


def _file(sizes: Sizes) -> Path:
    return sizes.folder / f"{uuid.uuid4().hex}.db"


def one_by_one(sizes: Sizes, synchronous: str) -> float:
    """truecount: one reservation per commit."""
    inventory = Inventory(stocked(_file(sizes), SKUS, synchronous=synchronous))
    with inventory, timed(sizes.operations) as rate:
        for number in range(sizes.operations):
            inventory.reserve(
                {f"SKU-{number % SKUS}": 1}, reference=f"cart-{number}", key=f"key-{number}"
            )
    return rate()


def one_by_one_by_hand(sizes: Sizes, synchronous: str) -> float:
    """By hand: one reservation per commit."""
    path = _file(sizes)
    stocked(path, SKUS).close()
    connection = connect(path, synchronous)
    hand = ByHand(connection)
    with timed(sizes.operations) as rate:
        for number in range(sizes.operations):
            assert hand.reserve(f"SKU-{number % SKUS}", 1, f"cart-{number}", f"key-{number}")
    connection.close()
    return rate()


def threads_together(sizes: Sizes) -> float:
    """truecount: eight threads, group commit, carts numbered as they come, as by hand."""
    inventory = Inventory(stocked(_file(sizes), SKUS))
    each = max(1, sizes.operations // THREADS)
    numbers = count()

    def work() -> None:
        for number in islice(numbers, each):
            inventory.reserve(
                {f"SKU-{number % SKUS}": 1}, reference=f"cart-{number}", key=f"key-{number}"
            )

    workers = [threading.Thread(target=work) for _ in range(THREADS)]
    with inventory, timed(each * THREADS) as rate:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    return rate()


def sell_out(sizes: Sizes, *, share: int) -> float:
    """truecount: batches of 50 on one hot SKU, *share* percent of them for a sold-out one."""
    inventory = Inventory(stocked(_file(sizes), 1))
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
    refused = 0
    with inventory, timed(batches * BATCH) as rate:
        for each in work:
            refused += sum(not outcome.granted for outcome in inventory.submit(each))
    assert refused or not share
    return rate()


def import_facts(sizes: Sizes) -> float:
    """truecount: sales recorded in chunks of 1,000 facts."""
    inventory = Inventory(stocked(_file(sizes), SKUS))
    chunks = max(1, sizes.operations // IMPORT)
    with inventory, timed(chunks * IMPORT) as rate:
        for chunk in range(chunks):
            inventory.record(
                Sold(f"SKU-{n % SKUS}", 1, at=LOCATION, key=f"{chunk}-{n}") for n in range(IMPORT)
            )
    return rate()


def import_by_hand(sizes: Sizes) -> float:
    """By hand: the same rows, 1,000 per transaction."""
    path = _file(sizes)
    stocked(path, SKUS).close()
    connection = connect(path)
    hand = ByHand(connection)
    chunks = max(1, sizes.operations // IMPORT)
    with timed(chunks * IMPORT) as rate:
        for chunk in range(chunks):
            hand.sell_many([(f"SKU-{n % SKUS}", 1, f"{chunk}-{n}") for n in range(IMPORT)])
    connection.close()
    return rate()


def _scaled(contender: Callable[[Sizes], float], factor: int) -> Contender:
    return lambda sizes: contender(sizes._replace(operations=sizes.operations * factor))


PLENTY = partial(sell_out, share=0)
DURABLE_BY_HAND = partial(one_by_one_by_hand, synchronous="FULL")

CASES = [
    Case(
        "SQLite, one durable reservation per commit",
        partial(one_by_one, synchronous="FULL"),
        DURABLE_BY_HAND,
        0.70,
    ),
    Case(
        "SQLite, the same with synchronous=OFF on both",
        partial(one_by_one, synchronous="OFF"),
        partial(one_by_one_by_hand, synchronous="OFF"),
        0.35,
    ),
    Case(
        "SQLite, 8 threads with group commit",
        _scaled(threads_together, 4),
        DURABLE_BY_HAND,
        2.0,
        "one writer by hand",
    ),
    *(
        Case(
            f"SQLite, batches with {share} % sold out",
            _scaled(partial(sell_out, share=share), 2),
            _scaled(PLENTY, 2),
            0.5,
            "truecount with plenty",
        )
        for share in (2, 50, 100)
    ),
    Case(
        "SQLite, import in batches of 1,000",
        _scaled(import_facts, 4),
        _scaled(import_by_hand, 4),
        0.40,
    ),
]

if __name__ == "__main__":
    sys.exit(main(CASES, operations=2_000))
