"""Memory: reserve and confirm against the same records and fingerprints in plain dicts."""

from __future__ import annotations

import sys

from benchmarks.by_hand_memory import PlainDicts
from benchmarks.harness import Case, Sizes, main, timed
from truecount import Inventory, MemoryStorage, Received


SKUS = 1000
PLENTY = 10**9


def ours(sizes: Sizes) -> float:
    """Reserve and confirm one by one, by the public methods."""
    inventory = Inventory(MemoryStorage())
    inventory.locations.add("berlin")
    inventory.record(Received(f"SKU-{n}", PLENTY, at="berlin", key=f"in-{n}") for n in range(SKUS))
    with timed(sizes.operations) as rate:
        for number in range(sizes.operations):
            reference = f"cart-{number}"
            inventory.reserve(
                {f"SKU-{number % SKUS}": 1}, reference=reference, key=f"reserve-{number}"
            )
            inventory.confirm(reference, key=f"confirm-{number}")
    assert inventory.figures("SKU-0").allocated == -(-sizes.operations // SKUS)
    return rate()


def by_hand(sizes: Sizes) -> float:
    """Reserve and confirm in plain dicts."""
    plain = PlainDicts()
    for number in range(SKUS):
        plain.receive(f"SKU-{number}", "berlin", PLENTY)
    with timed(sizes.operations) as rate:
        for number in range(sizes.operations):
            reference = f"cart-{number}"
            plain.reserve(f"SKU-{number % SKUS}", "berlin", 1, reference, f"reserve-{number}")
            plain.confirm(reference, f"confirm-{number}")
    assert plain.stock["SKU-0", "berlin"][2] == -(-sizes.operations // SKUS)
    return rate()


CASES = [Case("memory, reserve + confirm", ours, by_hand, 0.30, "plain dicts")]

if __name__ == "__main__":
    sys.exit(main(CASES, operations=5_000))
