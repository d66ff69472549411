"""
Bundles kept up as components move, against counting all of them anew.

100,000 bundles over 20,000 components, two to eight components each, drawn with a seed. A
component moves; then one bundle it is in is read, or the whole set is brought up to date.
Every figure is compared with a full recompute after the clock has stopped.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from functools import cache
from pathlib import Path
from typing import NamedTuple

from truecount import Bill, BundleIndex, Recipe
from truecount.bundles.netting import capacity
from truecount.model.recipes import bill_of


#: What the order asks for.
READ_US_MAX = 10.0
REFRESH_SHARE_MAX = 1 / 1000


class Shop(NamedTuple):
    """Bundles, and a shelf of their components."""

    bills: tuple[Bill, ...]
    shelf: dict[str, int]


@cache
def workload(bundles: int, components: int, seed: int = 1) -> Shop:
    """Return that many bundles over that many components."""
    rng = random.Random(seed)
    made = {}
    for number in range(bundles):
        parts = rng.sample(range(components), min(components, rng.randint(2, 8)))
        recipe = tuple(sorted((f"C{part}", rng.randint(1, 4)) for part in parts))
        made[f"B{number}"] = Recipe(f"B{number}", 1, recipe)
    shelf = {f"C{number}": rng.randint(0, 500) for number in range(components)}
    return Shop(tuple([bill_of(sku, made) for sku in made]), shelf)


class Measured(NamedTuple):
    """Seconds: medians of many moves, and of whole recomputes."""

    bundles: int
    components: int
    read: float
    refresh: float
    full: float
    #: Bundles a component is in, the median and the most.
    within: float
    hub: int

    @property
    def share(self) -> float:
        """What bringing the set up to date costs, of counting all of it."""
        return self.refresh / self.full


def measure(bundles: int, components: int, moves: int, repeat: int) -> Measured:
    """Move components one by one, read and refresh, and count everything anew in between."""
    bills, start = workload(bundles, components)
    shelf = dict(start)
    index = BundleIndex(bills, shelf)
    rng = random.Random(2)
    reads, refreshes, fulls = [], [], []
    for _ in range(repeat):
        for _ in range(moves):
            sku = f"C{rng.randrange(components)}"
            units = shelf[sku] = rng.randint(0, 500)
            index.move(sku, units)
            inside = index.within(sku)
            if inside:
                bundle = rng.choice(inside)
                started = time.perf_counter()
                index.capacity(bundle)
                reads.append(time.perf_counter() - started)
            started = time.perf_counter()
            index.refresh()
            refreshes.append(time.perf_counter() - started)
        started = time.perf_counter()
        fresh = {bill.sku: capacity(bill, shelf) for bill in bills}
        fulls.append(time.perf_counter() - started)
        if dict(index.capacities) != fresh:
            raise AssertionError("the maintained set is not what a full recompute says")
    sizes = [len(index.within(sku)) for sku in shelf]
    return Measured(
        bundles,
        components,
        statistics.median(reads),
        statistics.median(refreshes),
        statistics.median(fulls),
        statistics.median(sizes),
        max(sizes),
    )


def table(found: Measured) -> str:
    """Return the figures as a Markdown table."""
    return "\n".join(
        [
            "| what | measured | goal |",
            "|---|---|---|",
            f"| bundles, components | {found.bundles:,}, {found.components:,} | |",
            f"| bundles a component is in (median, most) | {found.within:.0f}, {found.hub} | |",
            f"| one bundle read anew | {found.read * 1e6:.1f} µs | {READ_US_MAX:.0f} µs |",
            f"| whole set after a change | {found.refresh * 1e6:.0f} µs | |",
            f"| all of it counted anew | {found.full * 1e3:.0f} ms | |",
            f"| the one of the other | 1/{1 / found.share:,.0f} | 1/1,000 |",
        ]
    )


def main() -> int:
    """Measure at the sizes given, print a table, and fail when a goal is missed."""
    parser = argparse.ArgumentParser(description="Bundles kept up against counted anew.")
    parser.add_argument("--bundles", type=int, default=100_000)
    parser.add_argument("--components", type=int, default=20_000)
    parser.add_argument("--moves", type=int, default=500)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the results there, too")
    options = parser.parse_args()
    found = measure(options.bundles, options.components, options.moves, options.repeat)
    print(table(found))
    if options.json:
        options.json.write_text(json.dumps(found._asdict() | {"share": found.share}, indent=1))
    return 0 if found.read * 1e6 <= READ_US_MAX and found.share <= REFRESH_SHARE_MAX else 1


if __name__ == "__main__":
    sys.exit(main())
