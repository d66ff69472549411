"""
Parcels: which units of which lines an act means that names SKUs. Pure.

Rules:
1. A bundle of the order means its own lines, taken as bundles are: stocked ones first, then
   components; those picked as a whole before others, those of one place before those of
   several.
2. Any other SKU means units of plain lines, then of bundles, in the order of the lines.
3. What bundles are is what the order pinned, whatever they are by now.

Who calls whom: ``fulfilment``, ``confirming`` and ``amending`` ask;
:func:`truecount.bundles.netting.net` says what a bundle takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from truecount.bundles.netting import capacity, net
from truecount.bundles.pinned import KITS, Kit, added_up, kits_of, of_round, split, with_kits
from truecount.bundles.pinned import pinned as pinned_in
from truecount.model.lines import LineRow
from truecount.model.places import State
from truecount.model.recipes import Bill
from truecount.model.settings import Settings
from truecount.reservations.lines import taken


class Portion(NamedTuple):
    """Units of a line in one state."""

    line: LineRow
    state: State
    quantity: int


class Missing(NamedTuple):
    """What an act named and the lines do not have."""

    sku: str
    quantity: int
    left: int


NO_KITS: Final[Mapping[str, Kit]] = {}


def kits_in(order: Mapping[str, Any] | None, lines: Sequence[LineRow]) -> Mapping[str, Kit]:
    """Return the bundles of the round of *lines*, by SKU."""
    if not order or KITS not in order or not lines:
        return NO_KITS
    return of_round(kits_of(order), lines[-1].round)


def bills_in_force(wanted: Iterable[str], settings: Settings, lot: str | None) -> dict[str, Bill]:
    """
    Return the bills of those SKUs that are bundles now.

    A lot that is named is a lot of the bundle itself, kept in stock: nothing is taken apart.
    """
    if not settings.recipes or lot is not None:
        return {}
    return {sku: bill for sku in wanted if (bill := settings.bill(sku)) is not None}


def inside(wanted: Iterable[str], settings: Settings) -> dict[str, None]:
    """Return *wanted* and every SKU that is in one of them."""
    skus = dict.fromkeys(wanted)
    if settings.recipes:
        for sku in tuple(skus):
            bill = settings.bill(sku)
            if bill is not None:
                skus |= dict.fromkeys(bill.family)
    return skus


def with_lines(
    order: Mapping[str, Any] | None,
    bills: Mapping[str, Bill],
    owners: Sequence[str],
    opened: Sequence[LineRow],
) -> dict[str, Any]:
    """Return an order's document with the lines just *opened* for bundles, recipes pinned."""
    kits = kits_of(order)
    for sku in dict.fromkeys(owners):
        if sku:
            theirs = [
                line.number for line, owner in zip(opened, owners, strict=True) if owner == sku
            ]
            kits, _ = pinned_in(kits, sku, opened[0].round, bills[sku], theirs)
    return with_kits(order, kits)


def portions(
    lines: Sequence[LineRow],
    kits: Mapping[str, Kit],
    wanted: Mapping[str, int],
    states: tuple[State, ...],
) -> list[Portion] | Missing:
    """
    Return which units of *lines* in *states* are meant, or the first SKU there is too little of.

    Complexity: O(lines x states), for bundles times log of the quantity.
    """
    if not kits:
        return _plainly(lines, wanted, states)
    pile = _Pile(lines, kits, states)
    found: list[Portion] = []
    for sku in sorted(wanted, key=lambda sku: sku not in kits):
        quantity = wanted[sku]
        kit = kits.get(sku)
        had = pile.bundles(kit, quantity) if kit else pile.units(sku, quantity)
        if isinstance(had, Missing):
            return had
        found += had
    return found


def _plainly(
    lines: Sequence[LineRow], wanted: Mapping[str, int], states: tuple[State, ...]
) -> list[Portion] | Missing:
    found: list[Portion] = []
    for sku, quantity in wanted.items():
        here = [Portion(*each) for each in taken(lines, sku, quantity, states)]
        had = sum(portion.quantity for portion in here)
        if had < quantity:
            return Missing(sku, quantity, had)
        found += here
    return found


class _Pile:
    """The units an act may still take, used up as it names them."""

    def __init__(
        self, lines: Sequence[LineRow], kits: Mapping[str, Kit], states: tuple[State, ...]
    ) -> None:
        self.plain, owned = split(lines, kits.values())
        self.owned = {sku: owned.get(kit.number, []) for sku, kit in kits.items()}
        self.states = states
        self.left = {(line.number, state): _in(line, state) for line in lines for state in states}

    def bundles(self, kit: Kit, quantity: int) -> list[Portion] | Missing:
        """Take whole bundles, state by state and place by place, then those of several places."""
        lines, left = self.owned[kit.sku], quantity
        found: list[Portion] = []
        for here, states in self._piles(lines):
            shelf = self._shelf(here, states)
            whole = min(left, capacity(kit.bill, shelf))
            for sku, units in net(kit.bill, whole, shelf).taken.items():
                found += self._take(here, sku, units, states)
            left -= whole
        return Missing(kit.sku, quantity, quantity - left) if left else found

    def _piles(
        self, lines: Sequence[LineRow]
    ) -> Iterator[tuple[Sequence[LineRow], tuple[State, ...]]]:
        """Yield where bundles are looked for, in order: lines, and states of their units."""
        places = dict.fromkeys(line.key.location for line in lines)
        for number in range(1, len(self.states) + 1):
            for place in places:
                yield [line for line in lines if line.key.location == place], self.states[:number]
        yield lines, self.states

    def units(self, sku: str, quantity: int) -> list[Portion] | Missing:
        """Take units of a component: plain ones first, then those of bundles."""
        lines = [*self.plain, *(line for mine in self.owned.values() for line in mine)]
        found = list(self._take(lines, sku, quantity, self.states))
        had = sum(portion.quantity for portion in found)
        return Missing(sku, quantity, had) if had < quantity else found

    def _shelf(self, lines: Iterable[LineRow], states: tuple[State, ...]) -> dict[str, int]:
        shelf: dict[str, int] = {}
        for line in lines:
            units = sum([self.left[line.number, state] for state in states])
            shelf[line.key.sku] = shelf.get(line.key.sku, 0) + units
        return shelf

    def _take(
        self, lines: Iterable[LineRow], sku: str, quantity: int, states: tuple[State, ...]
    ) -> Iterator[Portion]:
        mine = [line for line in lines if line.key.sku == sku]
        for state in states:
            for line in mine:
                part = min(quantity, self.left[line.number, state])
                if part:
                    self.left[line.number, state] -= part
                    quantity -= part
                    yield Portion(line, state, part)


def _in(line: LineRow, state: State) -> int:
    units: int = getattr(line, state.value)
    return units


def whole_bundles(kit: Kit, lines: Iterable[LineRow], *counters: str) -> int:
    """Return how many bundles the units of its *lines* in *counters* make."""
    return capacity(kit.bill, added_up(lines, *counters))
