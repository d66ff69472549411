"""
Proof after a test: everything the shop has written still holds together.

Three readings of the same ledger must agree, each by a way of its own: ``verify`` folds the
stored rows, the legs of all movements are added up here without any of its code, and the
findings name what is oversold.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Final

from truecount.inventory import Inventory
from truecount.model.movements import Movement
from truecount.model.places import STATES, State
from truecount.model.stock import Figures, StockKey
from truecount.reconciliation.findings import FindingKind
from truecount.testing.claims import expect


#: Movements read at a time.
PAGE: Final = 1000
#: Problems an error shows.
SHOWN: Final = 5


def assert_invariants(inventory: Inventory) -> None:
    """
    Say so if what is stored contradicts itself; return nothing if all is well.

    Nobody else may write meanwhile. It writes nothing, and works inside a host's
    transaction as well (``inventory.within(connection)``).

    >>> inventory = Inventory()
    >>> inventory.locations.add("berlin")
    >>> receipt = inventory.receive("MUG", 5, at="berlin")
    >>> assert_invariants(inventory)

    Raises:
        AssertionError: Something is wrong: what was expected, and what is there.

    Complexity: O(movements + stock keys + open findings).
    """
    _check_verified(inventory)
    _check_figures(inventory)
    _check_findings(inventory)


def _check_verified(inventory: Inventory) -> None:
    """Everything stored agrees with everything else that is stored (``verify``)."""
    verification = inventory.verify(limit=SHOWN)
    if verification.ok:
        return
    listed = "".join(f"\n  {problem}" for problem in verification.problems)
    more = verification.found - len(verification.problems)
    rest = f"\n  and {more} more" if more else ""
    raise AssertionError(f"verify: expected no problem, got {verification.found}:{listed}{rest}")


def _check_figures(inventory: Inventory) -> None:
    """What the shop is told is what the legs of all movements add up to (I1, I2)."""
    told = {key: _stored(figures) for key, figures in inventory.stock().items()}
    added: defaultdict[StockKey, dict[State, int]] = defaultdict(lambda: dict.fromkeys(STATES, 0))
    versions: Counter[StockKey] = Counter()
    ids: set[str] = set()
    for number, movement in enumerate(_movements(inventory), 1):
        expect(movement.position, number, f"the position of movement {movement.id!r}")
        if movement.id in ids:
            raise AssertionError(f"movement {movement.id!r}: expected once in the feed, got twice")
        ids.add(movement.id)
        for key, version in movement.versions:
            versions[key] += 1
            expect(version, versions[key], f"the version movement {movement.id!r} gave {key}")
            added[key]  # It has a stock row, also where nothing moved: an agreeing count.
        for leg in movement.legs:
            for place, change in ((leg.source, -leg.quantity), (leg.target, leg.quantity)):
                if place.is_inside:
                    key = StockKey(leg.sku, place.location, leg.lot)
                    added[key][STATES[_NUMBER[place.name]]] += change
    expect(sorted(told), sorted(added), "stock keys that have figures")
    for key, figures in told.items():
        expect(figures, added[key], f"the figures of {key}")


_NUMBER: Final = {state.value: number for number, state in enumerate(STATES)}


def _stored(figures: Figures) -> dict[State, int]:
    return {state: figures[state] for state in STATES}


def _movements(inventory: Inventory) -> Iterator[Movement]:
    after = 0
    while page := inventory.feed(after, PAGE):
        yield from page
        after += len(page)


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
