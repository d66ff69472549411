"""
Wrong ways to compute a level that is shown: a table, one formula each.

A channel should show what may be promised. Often it shows another figure instead, and then
the same wrong formula fits many SKUs. x is the level that was expected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from truecount.explaining.facts import Evidence
from truecount.model.stock import Figures, StockKey


class Shown(NamedTuple):
    """What one formula makes of one SKU."""

    name: str
    level: int


class View:
    """The book's figures and units by SKU."""

    def __init__(self, evidence: Evidence) -> None:
        self._by_sku: dict[str, list[tuple[StockKey, Figures]]] = {}
        for key, figures in evidence.figures.items():
            self._by_sku.setdefault(key.sku, []).append((key, figures))
        self.factors = evidence.factors
        self.locations = sorted({key.location for key in evidence.figures})

    def of(self, key: StockKey) -> list[Figures]:
        """Return the figures that a level at *key* is about."""
        return [
            figures
            for place, figures in self._by_sku.get(key.sku, ())
            if key.location in {"", place.location} and key.lot in {"", place.lot}
        ]


#: What a formula makes of the figures a level is about, and of the expected level.
_Formula = Callable[[list[Figures], int], int]

_FORMULAS: Final[Mapping[str, _Formula]] = {
    "on hand": lambda figures, _: sum(each.on_hand for each in figures),
    "on hand less reserved": lambda figures, _: sum(
        each.on_hand - each.reserved for each in figures
    ),
    "available and incoming": lambda figures, x: x + sum(each.incoming for each in figures),
    "on hand and incoming": lambda figures, _: sum(
        each.on_hand + each.incoming for each in figures
    ),
}

#: Formulas of the expected level alone.
_BARE: Final[Mapping[str, Callable[[int], int]]] = {"never below zero": lambda x: max(0, x)}


def formulas(view: View, key: StockKey, expected: int) -> Iterator[Shown]:
    """Yield what each wrong formula makes of the SKU at *key*. O(its figures)."""
    figures = view.of(key)
    if figures:
        for name, formula in _FORMULAS.items():
            yield Shown(name, formula(figures, expected))
    for name, bare in _BARE.items():
        yield Shown(name, bare(expected))
    yield from _places(view, key)
    for factor in view.factors.get(key.sku, ()):
        yield Shown("in units of a pack", expected // factor)
        yield Shown("each unit counted as a pack", expected * factor)


def _places(view: View, key: StockKey) -> Iterator[Shown]:
    """Yield levels of other sets of locations than the one that is meant."""
    if len(view.locations) > 1:
        if key.location:
            everywhere = view.of(StockKey(key.sku, "", ""))
            yield Shown("all locations", sum(each.available for each in everywhere))
        for location in view.locations:
            if location != key.location:
                there = view.of(StockKey(key.sku, location, ""))
                yield Shown(f"{location} only", sum(each.available for each in there))
