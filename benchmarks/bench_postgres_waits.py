"""PostgreSQL: how long callers wait who all want one SKU, with group commit and the usual way."""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from benchmarks.by_hand_postgres import Usual, connect, stocked
from truecount import Inventory


#: Reserves one unit under a number.
Reserve = Callable[[int], object]


@contextmanager
def grouped(threads: int) -> Iterator[list[Reserve]]:
    """Yield what each thread calls: one inventory, shared by all."""
    del threads
    with stocked(1) as storage:
        inventory = Inventory(storage)
        yield [
            lambda number: inventory.reserve(
                {"SKU-0": 1}, reference=f"cart-{number}", key=f"key-{number}"
            )
        ]


@contextmanager
def usual(threads: int) -> Iterator[list[Reserve]]:
    """Yield what each thread calls: lock, look, update, insert, commit."""
    with stocked(1) as storage:
        hands = [Usual(connect(), storage.schema) for _ in range(threads)]
        yield [
            partial(lambda hand, number: hand.reserve("SKU-0", 1, f"c-{number}"), hand)
            for hand in hands
        ]
        for hand in hands:
            hand.close()


def waits(reserve: list[Reserve], threads: int, operations: int) -> list[float]:
    """Return how long each call took, in seconds, sorted."""
    found: list[float] = []
    each = max(1, operations // threads)

    def work(own: int) -> None:
        call = reserve[own % len(reserve)]
        for number in range(own * each, (own + 1) * each):
            started = time.perf_counter()
            call(number)
            found.append(time.perf_counter() - started)

    crowd = [threading.Thread(target=work, args=(own,)) for own in range(threads)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    return sorted(found)


def table(threads: tuple[int, ...], operations: int) -> str:
    """Return the waits as a Markdown table."""
    lines = ["| threads | way | p50 | p99 | longest |", "| --- | --- | --- | --- | --- |"]
    for count in threads:
        for way in (grouped, usual):
            with way(count) as reserve:
                found = waits(reserve, count, operations)
            told = [found[len(found) // 2], found[len(found) * 99 // 100], found[-1]]
            cells = " | ".join(f"{1000 * seconds:,.1f} ms" for seconds in told)
            lines.append(f"| {count} | {way.__name__} | {cells} |")
    return "\n".join(lines)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description="How long callers wait for one hot SKU.")
    parser.add_argument("--operations", type=int, default=4_000)
    print(table((1, 8, 32), parser.parse_args().operations))
    return 0


if __name__ == "__main__":
    sys.exit(main())
