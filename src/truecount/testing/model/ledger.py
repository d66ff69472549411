"""
A naive ledger: every movement in a list, every figure a sum over all of them.

It shares no code with the library's fold, and knows no versions, horizons, lots' expiry or
floors: it is told what was granted, and says what the figures must then be. Slow on purpose.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import TypeAlias

import attrs

from truecount.model.movements import Movement
from truecount.model.places import State


#: A place's figure: SKU, location, lot, state.
Shelf: TypeAlias = tuple[str, str, str, str]


@attrs.frozen
class Told:
    """What one movement said: when it was, when it was told, and what it put where."""

    id: str
    reference: str | None
    occurred_at: datetime
    recorded_at: datetime
    position: int
    #: Changes of shelves, boundaries of the shop left out.
    changes: tuple[tuple[Shelf, int], ...]
    #: Changes of every place, boundaries too, by SKU and lot.
    everywhere: tuple[tuple[tuple[str, str], int], ...]


class NaiveLedger:
    """
    A list of what was told.

    >>> from truecount import Inventory
    >>> inventory = Inventory()
    >>> inventory.locations.add("berlin")
    >>> for _ in range(3):
    ...     receipt = inventory.receive("MUG", 2, at="berlin")
    >>> naive = NaiveLedger(inventory.feed())
    >>> naive.figure(("MUG", "berlin", "", "sellable")), naive.conserves()
    (6, True)
    """

    def __init__(self, movements: Iterable[Movement] = ()) -> None:
        self.told: list[Told] = []
        for movement in movements:
            self.tell(movement)

    def tell(self, movement: Movement) -> None:
        """Write a movement down, leg by leg."""
        changes: list[tuple[Shelf, int]] = []
        everywhere: list[tuple[tuple[str, str], int]] = []
        for leg in movement.legs:
            if leg.quantity <= 0:
                raise AssertionError(f"{movement.id}: expected legs above zero, got {leg}")
            for place, units in ((leg.source, -leg.quantity), (leg.target, leg.quantity)):
                everywhere.append(((leg.sku, leg.lot), units))
                if place.location:
                    changes.append(((leg.sku, place.location, leg.lot, place.name), units))
        self.told.append(
            Told(
                movement.id,
                movement.reference,
                movement.occurred_at,
                movement.recorded_at,
                movement.position or 0,
                tuple(changes),
                tuple(everywhere),
            )
        )

    def totals(
        self,
        *,
        time: datetime | None = None,
        known_at: datetime | None = None,
        position: int | None = None,
        reference: str | None = None,
    ) -> Counter[Shelf]:
        """
        Return every figure: the sum of all changes, or of those up to some moment.

        Args:
            time: Only what had happened by then.
            known_at: Only what was told by then.
            position: Only the movements up to this one.
            reference: Only the movements under this document.
        """
        total: Counter[Shelf] = Counter()
        for each in self.told:
            if time is not None and each.occurred_at > time:
                continue
            if known_at is not None and each.recorded_at > known_at:
                continue
            if position is not None and each.position > position:
                continue
            if reference is not None and each.reference != reference:
                continue
            for shelf, units in each.changes:
                total[shelf] += units
        return total

    def figure(
        self,
        shelf: Shelf,
        *,
        time: datetime | None = None,
        known_at: datetime | None = None,
        position: int | None = None,
    ) -> int:
        """Return the figure of *shelf* by adding up all that was told of it."""
        return self.totals(time=time, known_at=known_at, position=position)[shelf]

    def shelves(self) -> set[tuple[str, str, str]]:
        """Return every SKU, location and lot that was ever named."""
        return {shelf[:3] for each in self.told for shelf, _ in each.changes}

    def figures(
        self,
        sku: str,
        at: str,
        lot: str,
        *,
        time: datetime | None = None,
        known_at: datetime | None = None,
        position: int | None = None,
    ) -> list[int]:
        """Return every state's figure of one key, in the order of the states."""
        totals = self.totals(time=time, known_at=known_at, position=position)
        return [totals[sku, at, lot, state.value] for state in State]

    def conserves(self) -> bool:
        """Return whether no movement made a unit appear or vanish, boundaries included."""
        totals: Counter[tuple[str, str]] = Counter()
        for each in self.told:
            for thing, units in each.everywhere:
                totals[thing] += units
            if any(totals.values()):
                return False
        return True
