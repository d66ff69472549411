"""
What must be so of any inventory at any time, said once for tests of every kind.

Nothing here needs a test runner or Hypothesis, and nothing is an ``assert`` statement, so it
holds under ``python -O``. Figures are added up anew by :class:`NaiveLedger`, which shares no
code with the library's own fold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from truecount.inventory import Inventory
from truecount.ledger.verify import Verification
from truecount.model.lines import LineRow
from truecount.model.movements import Movement
from truecount.model.places import State
from truecount.model.stock import StockKey
from truecount.protocols.storage import Reader
from truecount.reconciliation.findings import FindingKind
from truecount.testing.claims import expect
from truecount.testing.model.ledger import NaiveLedger


_PAGE: Final = 1000
#: Problems an error shows.
_SHOWN: Final = 5
_PROMISED: Final = (State.HELD, State.ALLOCATED, State.PICKED)


def assert_invariants(
    inventory: Inventory, *, expected: tuple[int, str] | None = None
) -> Verification:
    """
    Prove that everything *inventory* keeps agrees with everything else.

    Call it at the end of a test, or after each of its steps: ``verify()`` finds nothing
    (I1 I2 I3 I4 I5 I9), no unit appeared or vanished (I1), figures are sums over the movements
    by a second, naive fold (I2), positions have no gap (I15), what is promised is what open
    reservations have (I9), and findings name exactly the keys that are oversold. With
    *expected*, the position and digest of an earlier answer, nothing up to there has changed
    (I5).

    >>> inventory = Inventory()
    >>> inventory.locations.add("berlin")
    >>> receipt = inventory.receive("MUG", 5, at="berlin")
    >>> seal = assert_invariants(inventory)
    >>> receipt = inventory.damage("MUG", 1, at="berlin")
    >>> assert_invariants(inventory, expected=(seal.position, seal.digest)).ok
    True

    Raises:
        AssertionError: Something does not agree; it says what, with both values.

    Complexity: O(rows), all movements in memory.
    """
    verification = inventory.verify(expected=expected)
    if not verification.ok:
        raise AssertionError(_problems(verification))
    movements = list(all_movements(inventory))
    naive = NaiveLedger(movements)
    numbers = [movement.position for movement in movements]
    expect(numbers, list(range(1, len(numbers) + 1)), "I15: positions of the feed")
    if not naive.conserves():
        raise AssertionError(
            "I1: a movement: expected as many units after it as before, got others"
        )
    _check_figures(inventory, naive)
    _check_promises(inventory)
    _check_findings(inventory)
    return verification


def _problems(verification: Verification) -> str:
    """Return the first problems, each on a line of its own."""
    listed = "".join(f"\n  {problem}" for problem in verification.problems[:_SHOWN])
    more = verification.found - len(verification.problems[:_SHOWN])
    rest = f"\n  and {more} more" if more else ""
    return f"verify(): expected no problem, got {verification.found}:{listed}{rest}"


def all_movements(inventory: Inventory) -> Iterator[Movement]:
    """Yield every movement, in the order of their positions."""
    after = 0
    while page := inventory.feed(after, _PAGE):
        yield from page
        after = page[-1].position or 0


def all_lines(reader: Reader) -> Iterator[LineRow]:
    """Yield the lines of every reservation a movement was ever written for."""
    after, known = 0, set[str]()
    while page := reader.feed(after, _PAGE):
        known.update(row.reference for _, row in page if row.reference is not None)
        after = page[-1][0]
    for reference in sorted(known):
        yield from reader.lines(reference)


def _check_figures(inventory: Inventory, naive: NaiveLedger) -> None:
    totals = naive.totals()
    stock = inventory.stock()
    unknown = {shelf[:3] for shelf in totals} - {tuple(key) for key in stock}
    expect(sorted(unknown), [], "I2: keys that moved and have no figures")
    for key, found in stock.items():
        seen = {state.value: found[state] for state in State}
        wanted = {state.value: totals[(*key, state.value)] for state in State}
        expect(seen, wanted, f"I2: figures of {key}")


def _check_promises(inventory: Inventory) -> None:
    promised: Counter[tuple[StockKey, State]] = Counter()
    with inventory._engine.read() as reader:  # noqa: SLF001 -- lines have no public reader
        for line in all_lines(reader):
            expect([n for n in line.counters if n < 0], [], f"I9: counters below zero of {line}")
            expect(sum(line.counters[1:]), line.reserved, f"I9: units of {line}")
            for state in _PROMISED:
                promised[line.key, state] += getattr(line, state.value)
    for key, found in inventory.stock().items():
        for state in _PROMISED:
            expect(found[state], promised[key, state], f"I9: {state} of {key} and of its lines")


def _check_findings(inventory: Inventory) -> None:
    """Findings have one id each, and exactly the keys that are oversold are said to be."""
    before = _oversold(inventory)
    found = inventory.findings(read_only=True).open
    after = _oversold(inventory)  # Holds may run out meanwhile, which only frees units.
    ids = Counter(finding.id for finding in found)
    expect([id_ for id_, times in ids.items() if times > 1], [], "ids of several open findings")
    named = {
        StockKey(finding.sku, finding.at, finding.lot)
        for finding in found
        if finding.kind is FindingKind.OVERSOLD
    }
    expect(sorted(named - before), [], "keys that only the findings call oversold")
    expect(sorted(after - named), [], "oversold keys that no finding names")


def _oversold(inventory: Inventory) -> set[StockKey]:
    return {
        key
        for key, figures in inventory.stock().items()
        if figures.available < -_backorders(inventory, key)
    }


def _backorders(inventory: Inventory, key: StockKey) -> int:
    """Return how many units of a key may be promised before they are there."""
    policy = inventory.policies.of(key.sku, location=key.location)
    return 0 if key.lot else policy.backorder_limit or 0
