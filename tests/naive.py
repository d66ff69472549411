"""
A naive ledger: every movement in a list, every figure a sum over all of them.

It shares no code with the library's fold, and knows no versions, horizons, lots' expiry or
floors: it is told what was granted, and says what the figures must then be. Slow on purpose.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TypeAlias

import attrs

from truecount import Movement, State


#: A place's figure: SKU, location, lot, state.
Shelf: TypeAlias = tuple[str, str, str, str]


@attrs.frozen
class Told:
    """What one movement said: when it was, when it was told, and what it put where."""

    id: str
    occurred_at: datetime
    recorded_at: datetime
    position: int
    #: Changes of shelves, boundaries of the shop left out.
    changes: tuple[tuple[Shelf, int], ...]
    #: Changes of every place, boundaries too, by SKU and lot.
    everywhere: tuple[tuple[tuple[str, str], int], ...]


class NaiveLedger:
    """A list of what was told."""

    def __init__(self, movements: Iterable[Movement] = ()) -> None:
        self.told: list[Told] = []
        for movement in movements:
            self.tell(movement)

    def tell(self, movement: Movement) -> None:
        """Write a movement down, leg by leg."""
        changes: list[tuple[Shelf, int]] = []
        everywhere: list[tuple[tuple[str, str], int]] = []
        for leg in movement.legs:
            assert leg.quantity > 0
            for place, units in ((leg.source, -leg.quantity), (leg.target, leg.quantity)):
                everywhere.append(((leg.sku, leg.lot), units))
                if place.location:
                    changes.append(((leg.sku, place.location, leg.lot, place.name), units))
        self.told.append(
            Told(
                movement.id,
                movement.occurred_at,
                movement.recorded_at,
                movement.position or 0,
                tuple(changes),
                tuple(everywhere),
            )
        )

    def figure(
        self,
        shelf: Shelf,
        *,
        time: datetime | None = None,
        known_at: datetime | None = None,
        position: int | None = None,
    ) -> int:
        """Return the figure of *shelf* by adding up all that was told of it."""
        total = 0
        for each in self.told:
            if time is not None and each.occurred_at > time:
                continue
            if known_at is not None and each.recorded_at > known_at:
                continue
            if position is not None and each.position > position:
                continue
            total += sum(units for where, units in each.changes if where == shelf)
        return total

    def shelves(self) -> set[tuple[str, str, str]]:
        """Return every SKU, location and lot that was ever named."""
        return {shelf[:3] for each in self.told for shelf, _ in each.changes}

    def figures(self, sku: str, at: str, lot: str, **moment: datetime | int | None) -> list[int]:
        """Return every state's figure of one key, in the order of the states."""
        return [
            self.figure((sku, at, lot, state.value), **moment)  # type: ignore[arg-type]  # each moment has its own type
            for state in State
        ]

    def conserves(self) -> bool:
        """Return whether no movement made a unit appear or vanish, boundaries included."""
        totals: dict[tuple[str, str], int] = {}
        for each in self.told:
            for thing, units in each.everywhere:
                totals[thing] = totals.get(thing, 0) + units
            if any(totals.values()):
                return False
        return True
