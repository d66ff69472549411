"""The strategies of the kit: they mean what they say, speak of your goods, and shrink well."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from tests.contracts.broken import Broken, as_of_last, write_without
from tests.strategies import NAMES, START, Shop, Step, new_shop, play
from truecount import (
    Count,
    Inventory,
    Level,
    Opened,
    Operation,
    Received,
    State,
)
from truecount.errors import CyclicRecipe, InvalidQuantity, InvalidRequest, InvalidTime
from truecount.protocols.storage import Storage
from truecount.testing import CountingIds, ManualClock, NaiveLedger, Tick, assert_invariants
from truecount.testing import strategies as kit
from truecount.testing.strategies import Names, PlantedError, PlantedWorld


@pytest.fixture(scope="module")
def shirts() -> Names:
    """Return the words of another shop."""
    return Names(
        skus=("SHIRT", "SOCKS", "SHOES"),
        kit="OUTFIT",
        locations=("kiel", "bremen", "jena"),
        nowhere=None,
        orders=("web-1",),
        purchases=("buy-1",),
        transfers=("van-1",),
    )


class TestWords:
    @given(kit.edge_quantities())
    def test_edges_are_quantities(self, quantity: int) -> None:
        """The largest one is taken at the door."""
        assert Received("MUG", quantity, at="berlin").quantity == quantity

    @given(kit.wrong_quantities())
    def test_wrong_quantities_are_refused(self, quantity: object) -> None:
        """None of them gets past the door."""
        with pytest.raises(InvalidQuantity):
            Opened("MUG", quantity, at="berlin")  # type: ignore[arg-type]  # wrong on purpose

    @settings(max_examples=10)
    @given(st.data())
    def test_histories_speak_of_the_names_they_were_given(
        self, shirts: Names, data: st.DataObject
    ) -> None:
        """No SKU, location or reference of ours slips in."""
        steps = data.draw(kit.histories(shirts, parts=4) | kit.counted_histories(shirts))
        words = {word for step in flat(steps) for word in said(step)}
        assert not words & {*NAMES.skus, NAMES.kit, *NAMES.locations, NAMES.nowhere, *NAMES.orders}
        assert {"SHIRT", "SOCKS", "SHOES"} & words

    @given(kit.levels())
    def test_levels_are_of_one_source(self, levels: list[Level]) -> None:
        """Each SKU is seen once, within an interval."""
        assert len({level.sku for level in levels}) == len(levels)
        assert all(level.seen_until for level in levels)


def flat(steps: Sequence[Step]) -> list[Operation]:
    """Return the operations of a history."""
    found: list[Operation] = []
    for step in steps:
        found += step if isinstance(step, tuple) else [step] if isinstance(step, Operation) else []
    return found


def said(operation: Operation) -> list[str]:
    """Return every word of an operation."""
    words: list[str] = []
    for value in operation.to_dict().values():
        parts = value if isinstance(value, (list, tuple)) else [value]
        for part in parts:
            words += [
                each
                for each in (part if isinstance(part, tuple) else (part,))
                if isinstance(each, str)
            ]
    return words


class TestRecipes:
    @given(kit.recipes())
    def test_recipes_can_be_defined_in_their_order(
        self, recipes: dict[str, dict[str, int]]
    ) -> None:
        """Components come before the bundles they are in."""
        shop = stocked()
        for bundle, components in recipes.items():
            shop.inventory.bundles.define(bundle, components)
        assert list(shop.inventory.bundles) == sorted(recipes)

    @given(kit.cyclic_recipes())
    def test_last_of_a_circle_is_refused(self, made: list[tuple[str, dict[str, int]]]) -> None:
        """Whatever its length, and nothing before it."""
        shop = stocked()
        *fine, (bundle, components) = made
        for name, parts in fine:
            shop.inventory.bundles.define(name, parts)
        with pytest.raises((CyclicRecipe, InvalidRequest)):
            shop.inventory.bundles.define(bundle, components)


def stocked() -> Shop:
    """Return a shop that knows its SKUs."""
    shop = new_shop()
    play(shop, [Received(sku, 1, at="berlin") for sku in NAMES.skus])
    return shop


facts = st.lists(st.one_of(kit.facts()["received"], kit.facts()["sold"]), max_size=6)


class TestDeliveries:
    @given(kit.deliveries(facts))
    def test_twice_and_out_of_order_is_as_once(
        self, delivered: tuple[list[Operation], list[Operation]]
    ) -> None:
        """What came in any order, some of it twice, leaves what was said (I6)."""
        once, network = new_shop(), new_shop()
        sent, came = delivered
        assert {each.key for each in came} == {each.key for each in sent}
        sent, came = [[e for e in part if not e.reference] for part in (sent, came)]
        play(once, sent)
        play(network, came)
        totals = [NaiveLedger(s.inventory.feed()).totals() for s in (once, network)]
        units = [{s: sum(n for k, n in t.items() if k[0] == s) for s in NAMES.skus} for t in totals]
        assert units[0] == units[1]
        assert_invariants(network.inventory)


class TestObservations:
    @settings(max_examples=25)
    @given(kit.histories(parts=3), kit.counts())
    def test_counts_can_be_compared_with_any_history(
        self, steps: list[Step], counts: list[Count]
    ) -> None:
        """They are valid, unless they are of the future; the report names none that was not seen."""
        shop = new_shop()
        play(shop, steps)
        try:
            report = shop.inventory.reconcile(counts)
        except InvalidTime:
            return
        seen = {(each.sku, each.at) for each in counts}
        assert {(each.sku, each.at) for each in report.mismatches} <= seen


class TestPlanted:
    @given(kit.planted_worlds())
    def test_planted_error_is_found_where_it_is_and_repaired(self, world: PlantedWorld) -> None:
        """Counting every shelf finds the difference that was planted, and no other (I18, I19)."""
        clock = ManualClock(START)
        inventory = Inventory(clock=clock, new_id=CountingIds())
        inventory.locations.add(*NAMES.locations)
        inventory.record(world.booked)
        report = inventory.reconcile(world.counts())
        found = {(each.sku, each.at): each.delta for each in report.mismatches}
        assert {key: (low, high) for key, (low, high) in found.items()} == {
            key: (units, units) for key, units in world.wrong.items()
        }
        inventory.repair(report.plan(), approved_by="sam", breaker=None)
        there = {(key.sku, key.location): f.on_hand for key, f in inventory.stock().items()}
        assert {**dict.fromkeys(there, 0), **world.truth} == there

    @pytest.mark.parametrize("error", PlantedError)
    def test_every_error_can_be_planted(self, error: PlantedError) -> None:
        """One of its kind is generated when no other is allowed; most differ somewhere."""
        world = find(
            kit.planted_worlds(errors=(error,)),
            lambda world: bool(world.wrong) or error is PlantedError.NOTHING,
            settings=settings(phases=[Phase.generate], database=None, derandomize=True),
        )
        assert world.error is error


class TestShrinking:
    """A bug in a storage shrinks to the two first deliveries and what shows it."""

    @pytest.mark.slow
    def test_forgotten_lines_shrink_to_one_reservation(self) -> None:
        """A storage that writes no reservation lines."""
        steps = smallest(kit.histories(), lambda: Broken(**write_without("lines")))
        assert [type(step).__name__ for step in steps] == ["Received", "Received", "Reserve"]

    @pytest.mark.slow
    def test_forgotten_lateness_shrinks_to_one_late_fact(self) -> None:
        """A storage whose past does not know what was told late."""
        steps = smallest(kit.counted_histories(), lambda: Broken(as_of=as_of_last), past=True)
        assert len([step for step in steps if not isinstance(step, Tick)]) <= 6


def smallest(
    histories: st.SearchStrategy[list[Step]], make: Callable[[], Storage], *, past: bool = False
) -> list[Step]:
    """Return the smallest history that breaks a shop over such a storage."""

    def breaks(steps: list[Step]) -> bool:
        shop = new_shop(make())
        try:
            play(shop, steps)
            assert_invariants(shop.inventory)
        except Exception:  # noqa: BLE001 -- whatever a broken storage makes of it
            return True
        return past and any(wrong_past(shop.inventory))

    return find(
        histories, breaks, settings=settings(max_examples=2000, database=None, derandomize=True)
    )


def wrong_past(inventory: Inventory) -> list[bool]:
    """Return whether the figures of each key as of each moment are not the sums up to it."""
    naive = NaiveLedger(inventory.feed())
    return [
        [inventory.as_of(k.sku, told.occurred_at, at=k.location, lot=k.lot)[s] for s in State]
        != naive.figures(*k, time=told.occurred_at)
        for told in naive.told
        for k in inventory.stock()
    ]
