"""
Explaining mismatches: how many in a second, against the two seconds a thousand may take.

The other contender is a promise, not a program, so there is nothing to run in turn with:
processor time is measured, which a busy machine stretches far less than time on the wall.
"""

from __future__ import annotations

import gc
import random
import sys
import time
from datetime import UTC, datetime, timedelta

from benchmarks.harness import Case, Sizes, main
from truecount import Candidate, Discrepancy, Evidence, Kind, StockKey, explain
from truecount.explaining.evidence import alike


ENTRIES = 25
OPENED = datetime(2026, 3, 1, tzinfo=UTC)
OBSERVED = OPENED + timedelta(days=7)
LOCATIONS = ("berlin", "hamburg")
SYLLABLES = ("ba", "ke", "lo", "mi", "nu", "ra", "se", "to")


def shop(mismatches: int, seed: int = 7) -> tuple[list[Discrepancy], Evidence]:
    """Return *mismatches* keys of 25 entries each; one entry is missing from each, or twice."""
    luck = random.Random(seed)
    keys = [StockKey(_sku(number // 2), LOCATIONS[number % 2]) for number in range(mismatches)]
    candidates: list[Candidate] = []
    found = []
    for key in keys:
        sizes = [_size(luck) for _ in range(ENTRIES)]
        found.append(
            Discrepancy(
                sku=key.sku,
                location=key.location,
                delta=_size(luck) if luck.random() < 0.5 else -luck.choice(sizes),
                after=OPENED,
                observed_at=OBSERVED,
            )
        )
        candidates += [_candidate(luck, key, size) for size in sizes]
    skus = {key.sku for key in keys}
    return found, Evidence(
        candidates=candidates,
        factors=dict.fromkeys(skus, (6, 12)),
        look_alikes=alike(skus),
        locations=LOCATIONS,
    )


def _sku(number: int) -> str:
    """Return a name as catalogues have them: eight variants that are one character apart."""
    stem = "".join(SYLLABLES[number // 8**place % 8] for place in range(1, 4))
    return f"{stem}-{number % 8}".upper()


def _size(luck: random.Random) -> int:
    if luck.random() < 0.7:
        return -min(9, 1 + int(luck.expovariate(0.6)))
    return luck.choice((6, 12, 24, 36, 48, 60, 72, 120))


def _candidate(luck: random.Random, key: StockKey, size: int) -> Candidate:
    at = OPENED + timedelta(seconds=luck.randrange(7 * 86_400))
    return Candidate(
        id=f"m{luck.getrandbits(64):016x}",
        kind=Kind.SOLD if size < 0 else Kind.RECEIVE,
        effects={key: size},
        occurred_at=at,
        recorded_at=at,
        keyed=size > 0,
    )


def ours(sizes: Sizes) -> float:
    """Explain all mismatches of a shop in one call."""
    found, evidence = shop(sizes.operations)
    gc.collect()
    gc.disable()
    started = time.process_time()
    answers = explain(found, evidence)
    taken = time.process_time() - started
    gc.enable()
    assert len(answers) == len(found)
    assert all(0 < each.probability <= 1 for each in answers)
    return len(found) / taken


def promised(sizes: Sizes) -> float:
    """Return the rate that was promised: a thousand in two seconds."""
    del sizes
    return 500.0


CASES = [Case("explain 1,000 mismatches", ours, promised, 1.0, "promised")]

if __name__ == "__main__":
    sys.exit(main(CASES, operations=1_000))
