"""Cold start: `import truecount` against importing what it cannot do without."""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks.harness import Case, Sizes, main


def _imports_per_second(statement: str, sizes: Sizes) -> float:
    """Return whole starts of Python per second, less an empty start."""
    runs = max(1, sizes.operations)
    return 1 / max(1e-6, _best(statement, runs) - _best("pass", runs))


def _best(statement: str, runs: int) -> float:
    taken = []
    for _ in range(runs):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", statement], check=True)
        taken.append(time.perf_counter() - started)
    return min(taken)


def ours(sizes: Sizes) -> float:
    """Import truecount."""
    return _imports_per_second("import truecount", sizes)


def in_use(sizes: Sizes) -> float:
    """Import truecount and make an inventory, which loads every part of it."""
    return _imports_per_second("import truecount; truecount.Inventory()", sizes)


def dependencies(sizes: Sizes) -> float:
    """Import its two dependencies alone."""
    return _imports_per_second("import attrs, sortedcontainers", sizes)


CASES = [
    Case("import truecount", ours, dependencies, 1 / 3, "import attrs, sortedcontainers"),
    Case("import truecount, make an Inventory", in_use, dependencies, 0.15, "the same imports"),
]

if __name__ == "__main__":
    sys.exit(main(CASES, operations=10))
