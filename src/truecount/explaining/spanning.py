"""
Causes that move several figures at once: wrong SKU, wrong location, a kit not exploded.

Rules:
1. Every figure such a cause moves must differ: one that was compared and agrees rules it out.
2. An opposite pair among thirty differences is found by chance half of the time. So a wrong
   SKU needs SKUs that are easily taken for each other, and must settle all its figures
   alone, unless a look-up speaks for it.
3. A kit needs one number n with difference = -n * quantity for its components (a rank-1
   fit), at most half of them disturbed by something else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from truecount.explaining.cells import Atom, Case, Cell, Entry
from truecount.explaining.priors import CauseKind
from truecount.model.stock import StockKey


def spanning_atoms(case: Case) -> list[Atom]:
    """Return every cause that moves more than one cell. O(entries * look-alikes)."""
    return [*_misplaced(case), *_kits(case)]


# --- one entry at the wrong key -----------------------------------------------------------


def _misplaced(case: Case) -> Iterator[Atom]:
    looked = {kind for (kind, _, _), found in case.signs.items() if found}
    for kind, others in (
        (CauseKind.WRONG_SKU, _other_skus),
        (CauseKind.WRONG_LOCATION, _other_locations),
    ):
        keys = {cell.index: others(case, cell) for cell in case.cells}
        sites = {cell.index: len(cell.entries) * len(keys[cell.index]) for cell in case.cells}
        for cell in case.cells:
            for key in keys[cell.index]:
                other = case.neighbour(cell, key)
                if other is not None and (kind in looked or _is_opposite(cell, other)):
                    places = sites[cell.index] + sites[other.index]
                    yield from _between(case, kind, cell, other, places)


def _is_opposite(cell: Cell, other: Cell) -> bool:
    return cell.discrepancy.delta == -other.discrepancy.delta


def _other_skus(case: Case, cell: Cell) -> list[StockKey]:
    others = case.evidence.look_alikes.get(cell.key.sku, frozenset())
    return [cell.key._replace(sku=sku) for sku in sorted(others)]


def _other_locations(case: Case, cell: Cell) -> list[StockKey]:
    if not cell.key.location:
        return []
    others = case.evidence.locations - {cell.key.location}
    return [cell.key._replace(location=location) for location in sorted(others)]


def _between(case: Case, kind: CauseKind, cell: Cell, other: Cell, sites: int) -> Iterator[Atom]:
    """Yield each entry of *cell* that may belong to *other*, one of *sites* places."""
    opposite = _is_opposite(cell, other)
    for entry in cell.entries:
        settles = opposite and cell.discrepancy.delta == -entry.change
        if settles or case.is_found(kind, entry.candidate.id):
            weight = case.weight(kind, entry.candidate.id, sites)
            effects = ((cell.index, -entry.change), (other.index, entry.change))
            if weight:
                yield Atom(kind, entry.candidate.id, effects, weight, (entry.candidate.id,))


# --- kits ---------------------------------------------------------------------------------


def _kits(case: Case) -> Iterator[Atom]:
    """Yield kits that may have been sold, or come back, without their components moving."""
    if not case.evidence.recipes:
        return
    uses = Counter(part for parts in case.evidence.recipes.values() for part in parts)
    differing = {cell.key.sku for cell in case.cells}
    shelves: dict[tuple[str, str], dict[str, Cell]] = {}
    for cell in case.cells:
        if not cell.key.lot:
            shelf = shelves.setdefault((cell.discrepancy.channel, cell.key.location), {})
            shelf.setdefault(cell.key.sku, cell)
    for kit, recipe in case.evidence.recipes.items():
        if differing.issuperset(recipe):
            for shelf in shelves.values():
                if all(part in shelf for part in recipe):
                    parts = [shelf[part] for part in recipe]
                    yield from _fits(case, kit, recipe, parts, max(uses[part] for part in recipe))


def _fits(
    case: Case, kit: str, recipe: Mapping[str, int], parts: Sequence[Cell], sites: int
) -> Iterator[Atom]:
    """Yield a kit once for each number of it that fits at least half of its components."""
    numbers = Counter(
        Fraction(cell.discrepancy.delta, quantity)
        for cell, quantity in zip(parts, recipe.values(), strict=True)
    )
    own = case.neighbour(parts[0], parts[0].key._replace(sku=kit))
    for number, fitting in numbers.items():
        if number.denominator != 1 or 2 * fitting < len(parts):
            continue
        effects = [
            (cell.index, int(number) * quantity)
            for cell, quantity in zip(parts, recipe.values(), strict=True)
        ]
        weight = case.weight(CauseKind.KIT_NOT_EXPLODED, kit, sites)
        booked = _booked_on(own, -int(number))
        if own is not None and own.discrepancy.delta == -number:
            effects.append((own.index, -int(number)))
        weight *= case.sizes.chance(parts[0].index, int(number)) if not booked else 1.0
        if weight:
            ids = tuple(entry.candidate.id for entry in booked)
            note = (abs(int(number)),)
            yield Atom(CauseKind.KIT_NOT_EXPLODED, kit, tuple(effects), weight, ids, note)


def _booked_on(own: Cell | None, change: int) -> list[Entry]:
    """Return the entries by which the kit itself was moved instead of its components."""
    if own is None:
        return []
    return [entry for entry in own.entries if entry.change == -change]
