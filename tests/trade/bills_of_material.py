"""
Real bills of material, read from the data: LEGO sets, and a bicycle factory's.

The readers know nothing of the library's own exploding: they return direct components, and
beside them what independent arithmetic says.
"""

from __future__ import annotations

import csv
import lzma
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path

from truecount import Recipe


def _rows(path: Path) -> Iterator[list[str]]:
    with lzma.open(path, "rt", encoding="utf-8", newline="") as file:
        if path.name.endswith(".tsv.xz"):
            yield from csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            return
        reader = csv.reader(file)
        next(reader)
        yield from reader


@cache
def lego(folder: Path) -> dict[str, Recipe]:
    """
    Return the recipe of every LEGO set: its newest inventory, spare parts left out.

    A part is a part number in a colour; sets inside sets are components like any other.
    """
    newest: dict[str, tuple[int, str]] = {}
    for inventory, version, name in _rows(folder / "inventories.csv.xz"):
        newest[name] = max(newest.get(name, (0, "")), (int(version), inventory))
    owner = {inventory: name for name, (_, inventory) in newest.items()}
    parts: dict[str, dict[str, int]] = {}
    for inventory, part, colour, quantity, spare in _rows(folder / "inventory_parts.csv.xz"):
        if inventory in owner and spare == "f":
            mine = parts.setdefault(owner[inventory], {})
            mine[f"{part}|{colour}"] = mine.get(f"{part}|{colour}", 0) + int(quantity)
    for inventory, child, quantity in _rows(folder / "inventory_sets.csv.xz"):
        if inventory in owner:
            mine = parts.setdefault(owner[inventory], {})
            mine[child] = mine.get(child, 0) + int(quantity)
    return {name: Recipe(name, 1, tuple(sorted(mine.items()))) for name, mine in parts.items()}


@cache
def lego_years(folder: Path) -> dict[str, int]:
    """Return the year of each set."""
    return {row[0]: int(row[2]) for row in _rows(folder / "sets.csv.xz")}


def lego_names(folder: Path) -> list[str]:
    """Return the sets that have an inventory, sorted."""
    return sorted({row[2] for row in _rows(folder / "inventories.csv.xz")})


@cache
def bicycles(folder: Path) -> dict[str, dict[str, int]]:
    """Return what each product of the factory is made of today; inches and ounces whole."""
    made: dict[str, dict[str, int]] = {}
    for row in _rows(folder / "BillOfMaterials.tsv.xz"):
        _, assembly, component, _, ended, _, _, quantity, _ = row
        if assembly and not ended:
            units = Fraction(quantity)
            assert units.denominator == 1
            made.setdefault(assembly, {})[component] = int(units)
    return made


@cache
def bicycle_stock(folder: Path) -> dict[str, dict[str, int]]:
    """Return the stock of each product at each of the factory's locations."""
    stock: dict[str, dict[str, int]] = {}
    for product, location, _, _, quantity, *_ in _rows(folder / "ProductInventory.tsv.xz"):
        stock.setdefault(f"location {location}", {})[product] = int(quantity)
    return stock
