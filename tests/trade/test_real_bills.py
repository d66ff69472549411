"""Real bills of material: every figure equals what others computed, and changes stay small."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.trade.bills_of_material import bicycle_stock, bicycles, lego, lego_names, lego_years
from truecount import BundleIndex, DefineBundle, Inventory, Opened, Recipe, Reserve, errors
from truecount.bundles.netting import capacity
from truecount.model.recipes import Bill, bill_of


@pytest.fixture(scope="module")
def folder(data_path: Callable[[str], Path]) -> Path:
    """Return where the LEGO sets are."""
    return data_path("rebrickable_2017")


@pytest.fixture(scope="module")
def truth(folder: Path) -> Any:
    """Return what independent code computed of them."""
    path = folder.parent / "truth_rebrickable_2017.json"
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def bills(folder: Path) -> dict[str, Bill]:
    """Return the bill of every set that has something in it."""
    made = lego(folder)
    return {name: bill_of(name, made) for name in made}


def filled(bills: Mapping[str, Bill], name: str) -> list[tuple[str, int]]:
    """Return the parts of a set; a set in it without an inventory of its own is no part."""
    bill = bills.get(name)
    return [] if bill is None else [leaf for leaf in bill.leaves if "|" in leaf[0]]


def digest(figures: Mapping[str, int]) -> str:
    """Return the digest the truth has of figures by set."""
    text = "".join(f"{name}\t{figures[name]}\n" for name in sorted(figures))
    return sha256(text.encode()).hexdigest()


@pytest.fixture(scope="module")
def pool(folder: Path, bills: dict[str, Bill]) -> dict[str, int]:
    """Return the stated stock: the parts of one of each set of 2016."""
    total: dict[str, int] = {}
    for name, year in lego_years(folder).items():
        for part, units in filled(bills, name) if year == 2016 else ():
            total[part] = total.get(part, 0) + units
    return total


class TestLego:
    def test_exploded_units_and_leaves_of_all_sets(
        self, folder: Path, truth: Any, bills: dict[str, Bill]
    ) -> None:
        """Each set's parts, counted at all levels, equal the truth; so do its levels."""
        names = lego_names(folder)
        units = {name: sum(each for _, each in filled(bills, name)) for name in names}
        leaves = {name: len(filled(bills, name)) for name in names}
        per_set = truth["per_set"]
        assert {n: v for n, v in units.items() if v} == {
            n: v[2] for n, v in per_set.items() if v[2]
        }
        assert {n: v for n, v in leaves.items() if v} == {
            n: v[1] for n, v in per_set.items() if v[1]
        }
        assert sum(units.values()) == truth["units_per_set_exploded"]["total"]
        wanted = truth["sha256_sorted_set_TAB_exploded_units"]
        assert digest({name: units[name] for name in per_set}) == wanted
        wanted = truth["sha256_sorted_set_TAB_distinct_leaf_part_colors"]
        assert digest({name: leaves[name] for name in per_set}) == wanted

    def test_buildable_counts_of_all_sets(
        self, truth: Any, bills: dict[str, Bill], pool: dict[str, int]
    ) -> None:
        """How many of each set the stock of 2016 gives, for each set alone."""
        stated = truth["buildable"]
        assert (sum(pool.values()), len(pool)) == (stated["stock_units"], stated["stock_keys"])
        whole = {name: bill for name, bill in bills.items() if filled(bills, name)}
        counts = {name: capacity(bill, pool) for name, bill in whole.items()}
        assert len(counts) == stated["sets_evaluated"]
        assert (sum(counts.values()), max(counts.values())) == (stated["total_sum"], stated["max"])
        assert digest(counts) == stated["sha256_sorted_set_TAB_buildable"]

    def test_one_part_re_evaluates_only_the_sets_it_is_in(
        self, bills: dict[str, Bill], pool: dict[str, int]
    ) -> None:
        """The index finds exactly those sets, and ends where a full recompute does."""
        index = BundleIndex(bills.values(), pool)
        for part in ("2780|0", "3004|15", "973c02|0"):
            inside = {name for name, bill in bills.items() if part in bill.family}
            assert set(index.within(part)) == inside
            for units in (0, 1, 10**6):
                before = dict(index.capacities)
                index.move(part, units)
                pool = pool | {part: units}
                assert set(index.refresh()) <= inside
                fresh = dict(before)
                fresh |= {name: capacity(bills[name], pool) for name in inside}
                assert dict(index.capacities) == fresh
        assert dict(index.capacities) == {n: capacity(bill, pool) for n, bill in bills.items()}

    @pytest.mark.slow
    def test_all_sets_in_a_shop(
        self, truth: Any, bills: dict[str, Bill], pool: dict[str, int]
    ) -> None:
        """Defined through the public interface, and asked for all at once, they say the same."""
        inventory = Inventory()
        inventory.locations.add("shed")
        skus = {sku for bill in bills.values() for sku in bill.family if sku not in bills}
        _in_chunks(
            inventory,
            [Opened(sku, pool.get(sku, 0) + 1, at="shed") for sku in sorted(skus)],
        )
        deepest_last = sorted(bills.values(), key=lambda bill: (bill.depth, bill.sku))
        _in_chunks(
            inventory,
            [DefineBundle(b.sku, b.recipes[b.sku].components) for b in deepest_last],
        )
        assert len(inventory.bundles) == len(bills)
        found = inventory.availability(bills)
        more = {sku: pool.get(sku, 0) + 1 for sku in skus}
        assert {n: each.available for n, each in found.items()} == {
            n: capacity(bill, more) for n, bill in bills.items()
        }


def _in_chunks(inventory: Inventory, operations: list[Any]) -> None:
    for start in range(0, len(operations), 1000):
        inventory.submit(operations[start : start + 1000], together=True)


@pytest.fixture(scope="module")
def factory(data_path: Callable[[str], Path]) -> Inventory:
    """Return the factory: 14 locations, stocked sub-assemblies, four levels."""
    stock = bicycle_stock(data_path("adventureworks"))
    inventory = Inventory()
    inventory.locations.add(*sorted(stock))
    opened = [
        Opened(sku, quantity or 1, at=at)
        for at, units in stock.items()
        for sku, quantity in units.items()
    ]
    _in_chunks(inventory, opened)
    made = bicycles(data_path("adventureworks"))
    recipes = {sku: Recipe(sku, 1, tuple(sorted(parts.items()))) for sku, parts in made.items()}
    bottom_up = sorted(made, key=lambda sku: (bill_of(sku, recipes).depth, sku))
    for sku in bottom_up:
        known = dict(made[sku])
        for part in known:
            if part not in made and not inventory.stock(sku=part):
                inventory.open(part, 1, at="location 1")
        inventory.bundles.define(sku, known)
    return inventory


class TestBicycles:
    def test_four_levels_deep(self, factory: Inventory) -> None:
        """A bicycle's wheels, hubs and shells are taken apart down to the metal."""
        assert max(bill.depth for bill in factory.bundles.bills()) == 4
        assert len(list(factory.locations)) == 14

    def test_availability_is_what_netting_by_hand_says(self, factory: Inventory) -> None:
        """Each location alone, all together, and the network, for every product."""
        made = {sku: dict(factory.bundles.recipe(sku).components) for sku in factory.bundles}
        found = factory.availability(made)
        shelves: dict[str, dict[str, int]] = {}
        for key, figures in factory.stock().items():
            shelves.setdefault(key.location, {})[key.sku] = figures.available
        pool: dict[str, int] = {}
        for shelf in shelves.values():
            for sku, units in shelf.items():
                pool[sku] = pool.get(sku, 0) + units
        for sku, each in found.items():
            assert each.in_network == by_hand(sku, made, pool)
            counts = {at: by_hand(sku, made, shelf) for at, shelf in shelves.items()}
            assert each.available == sum(counts.values())
            assert each.from_one_place == max(counts.values())
            assert all(counts[at] == n for at, n in each.at.items())

    def test_what_is_available_apart_can_be_reserved_and_one_more_cannot(
        self, factory: Inventory
    ) -> None:
        """The answer for the network is exactly what a cart gets when components may lie apart."""
        found = factory.availability(factory.bundles)
        tried = 0
        for sku, each in found.items():
            if 0 < each.in_network < 10**6 and tried < 12:
                tried += 1
                assert factory.check({sku: each.in_network}, kits_apart=True).possible
                assert not factory.check({sku: each.in_network + 1}, kits_apart=True).possible
            if each.available:
                assert factory.check({sku: each.available}).possible
        assert tried

    def test_factory_refuses_a_wheel_made_of_bicycles(self, factory: Inventory) -> None:
        """A recipe that closes a circle is refused with the way round."""
        bicycle = max(factory.bundles.bills(), key=lambda bill: (bill.depth, bill.sku))
        part = bicycle.inner[-1]
        parts = dict(factory.bundles.recipe(part).components) | {bicycle.sku: 1}
        with pytest.raises(errors.CyclicRecipe) as caught:
            factory.bundles.define(part, parts)
        assert caught.value.path[0] == caught.value.path[-1]
        assert {part, bicycle.sku} <= set(caught.value.path)


def by_hand(sku: str, made: Mapping[str, Mapping[str, int]], shelf: Mapping[str, int]) -> int:
    """Return how many of *sku* can be had: taken one by one, each from stock or made."""
    left = dict(shelf)
    low, high = 0, 1
    while _take(sku, high, made, dict(left)):
        low, high = high, high * 2
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (middle, high) if _take(sku, middle, made, dict(left)) else (low, middle)
    return low


def _take(sku: str, n: int, made: Mapping[str, Mapping[str, int]], left: dict[str, int]) -> bool:
    part = min(n, max(0, left.get(sku, 0)))
    left[sku] = left.get(sku, 0) - part
    if part == n:
        return True
    if sku not in made:
        return False
    return all(_take(each, units * (n - part), made, left) for each, units in made[sku].items())


def test_reserving_a_real_set_takes_its_parts(folder: Path, bills: dict[str, Bill]) -> None:
    """Two of a set that has sets in it hold twice each of its parts, under the shop's rules."""
    bill = next(bill for _, bill in sorted(bills.items()) if bill.depth == 3)
    inventory = Inventory()
    inventory.locations.add("shed")
    for sku, each in bill.leaves:
        inventory.open(sku, each * 2, at="shed")
    for sku in reversed(bill.family):
        if sku in bill.recipes:
            inventory.bundles.define(sku, bill.recipes[sku].components)
    [outcome] = inventory.submit([Reserve({bill.sku: 2}, reference="order-1")])
    assert outcome.granted
    held = inventory.reservation("order-1").quantity("held")
    assert held == {sku: each * 2 for sku, each in bill.leaves}
    assert inventory.availability([bill.sku])[bill.sku].available == 0
