"""
Checks of bundles: what orders pinned of them, and recipes with their histories (I2).

How many bundles left is counted from components and stored nowhere, so there is no such
figure to check; what is checked is that every line and counter it is counted from is owned
once, by a bundle whose recipe has the SKU.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from truecount.bundles.pinned import KITS, Kit, kits_of
from truecount.errors import CyclicRecipe, InvalidRequest
from truecount.ledger.problems import Problem
from truecount.ledger.scan import UNREADABLE
from truecount.model.lines import LineRow
from truecount.model.recipes import Recipe, bill_of
from truecount.model.settings import RECIPE, RECIPE_HISTORY, past_recipe
from truecount.protocols.storage import ORDER, Reader, Record


def check_kits(reference: str, body: Any, lines: Mapping[int, LineRow]) -> Iterator[Problem]:
    """Yield the first thing wrong with the bundles of an order."""
    if not isinstance(body, dict) or not body.get(KITS):
        return
    try:
        found = _problem_of(kits_of(body), body, lines)
    except (*UNREADABLE, CyclicRecipe) as error:
        found = ("bundles with recipes that can be read", repr(error))
    if found is not None:
        yield _problem(f"the bundles of document {ORDER} {reference!r}", *found)


def _problem_of(
    kits: list[Kit], body: Mapping[str, Any], lines: Mapping[int, LineRow]
) -> tuple[str, str] | None:
    """Return what was expected of *kits*, and found, or None."""
    owners: dict[int, Kit] = {}
    for kit in kits:
        for number in kit.lines:
            line = lines.get(number)
            if number in owners or line is None:
                where = "no line" if line is None else f"bundle {owners[number].number}, too"
                return f"line {number} to be of bundle {kit.number} alone", where
            owners[number] = kit
            if line.round != kit.round or line.key.sku not in kit.bill.family:
                return f"line {number} to be one of {kit.sku!r}, round {kit.round}", f"{line.key}"
    for sku, counters in body.get("lines", {}).items():
        for whole in ("sold", "returned"):
            parts = {kit.number: counters.get(f"{whole}/{kit.number}", 0) for kit in kits}
            strange = [kit.sku for kit in kits if parts[kit.number] and sku not in kit.bill.family]
            if strange:
                return f"{sku!r} to be in bundle {strange[0]!r}", "a recipe without it"
            if sum(parts.values()) > counters.get(whole, 0):
                return f"at most {sum(parts.values())} of {sku!r} {whole}", f"{counters}"
    return None


def check_recipe(reader: Reader, record: Record, body: Any) -> Iterator[Problem]:
    """Yield the first thing wrong with a recipe: its versions, and what is inside it."""
    where = f"document {record.space} {record.id!r}"
    try:
        recipe = Recipe.from_dict(record.id, body)
        past = [_past(reader, record.id, number) for number in range(1, recipe.version + 1)]
        if past[-1:] != [recipe] or None in past:
            known = [each.version for each in past if each is not None]
            yield _problem(
                where, f"its versions 1 to {recipe.version}, the last as it is", f"{known}"
            )
        elif not recipe.is_removed:
            bill_of(record.id, _Stored(reader))
    except (*UNREADABLE, InvalidRequest) as error:
        yield _problem(where, "a recipe that can be made", str(error))


def _past(reader: Reader, sku: str, version: int) -> Recipe | None:
    record = reader.record(RECIPE_HISTORY, past_recipe(sku, version))
    return None if record is None else Recipe.from_dict(sku, json.loads(record.body))


class _Stored(dict[str, Recipe]):
    """Recipes in force, read when they are asked for."""

    def __init__(self, reader: Reader) -> None:
        super().__init__()
        self._reader = reader

    def get(self, sku: str, default: Any = None) -> Any:
        """Return the recipe of *sku*, if it has one in force."""
        record = self._reader.record(RECIPE, sku)
        if record is None:
            return default
        recipe = Recipe.from_dict(sku, json.loads(record.body))
        return default if recipe.is_removed else recipe

    def __contains__(self, sku: object) -> bool:
        return self.get(str(sku)) is not None

    def __getitem__(self, sku: str) -> Recipe:
        recipe: Recipe = self.get(sku)
        return recipe


def _problem(where: str, expected: str, found: str) -> Problem:
    return Problem(invariant="I2", where=where, expected=expected, found=found)
