"""Laws of bundles, on generated recipes, shelves, carts and histories."""

from __future__ import annotations

import io
import itertools
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bundle_histories import BOX, SET, SKUS, bundle_histories, bundle_shop
from tests.strategies import ORDERS, Step, play
from truecount import (
    BundleIndex,
    Confirm,
    DefineBundle,
    Inventory,
    KitLine,
    Operation,
    Outcome,
    Recipe,
    Release,
    Reserve,
    Ship,
    SQLiteStorage,
)
from truecount.bundles.carts import serve
from truecount.bundles.netting import capacity, limited_by, net
from truecount.errors import InvalidRequest, TrueCountError, UnknownReference
from truecount.model.recipes import Bill, bill_of
from truecount.testing.samples import dump


#: Names in an order in which each may be made of those after it.
NAMES = ("K1", "K2", "K3", "K4", "A", "B", "C")
BUNDLES = NAMES[:4]


@st.composite
def catalogues(draw: st.DrawFn) -> dict[str, Recipe]:
    """Draw recipes of nested bundles that share components."""
    made = {}
    for place, sku in enumerate(BUNDLES):
        others = st.sampled_from(NAMES[place + 1 :])
        parts = draw(st.dictionaries(others, st.integers(1, 3), min_size=1, max_size=3))
        made[sku] = Recipe(sku, 1, tuple(sorted(parts.items())))
    return made


shelves = st.dictionaries(st.sampled_from(NAMES), st.integers(-2, 12))
carts = st.dictionaries(st.sampled_from(NAMES), st.integers(1, 4), min_size=1, max_size=4)


def bills_of(made: dict[str, Recipe]) -> dict[str, Bill]:
    """Return the bill of every bundle."""
    return {sku: bill_of(sku, made) for sku in made}


def can_make(wanted: dict[str, int], made: dict[str, Recipe], shelf: dict[str, int]) -> bool:
    """
    Return whether a shelf can serve a cart, tried in every way: each unit taken or made.

    Independent of the library's netting: it tries making a bundle although one is in stock.
    """
    name = next((sku for sku, units in wanted.items() if units), None)
    if name is None:
        return True
    rest = wanted | {name: wanted[name] - 1}
    if shelf.get(name, 0) > 0 and can_make(rest, made, shelf | {name: shelf[name] - 1}):
        return True
    if name not in made:
        return False
    for component, each in made[name].components:
        rest = rest | {component: rest.get(component, 0) + each}
    return can_make(rest, made, shelf)


small = st.dictionaries(st.sampled_from(("K3", "K4", "A", "B", "C")), st.integers(0, 4))


class TestNetting:
    @given(catalogues(), small, st.sampled_from(("K3", "K4")))
    @settings(max_examples=50)
    def test_capacity_is_the_most_that_can_be_made(
        self, made: dict[str, Recipe], shelf: dict[str, int], sku: str
    ) -> None:
        """Exhaustive search finds a way to have that many bundles, and none to have one more."""
        most = capacity(bill_of(sku, made), shelf)
        if most <= 3:  # The search is exponential.
            assert can_make({sku: most}, made, shelf)
            assert not can_make({sku: most + 1}, made, shelf)

    @given(catalogues(), small, st.dictionaries(st.sampled_from(("K3", "K4", "A")), st.just(1)))
    @settings(max_examples=50)
    def test_cart_is_served_exactly_when_there_is_a_way(
        self, made: dict[str, Recipe], shelf: dict[str, int], wanted: dict[str, int]
    ) -> None:
        """The joint check refuses no cart that some choice of stock and making could serve."""
        served = serve(wanted, bills_of(made), shelf)
        assert (not served.short) is can_make(wanted, made, shelf)

    @given(catalogues(), shelves, st.integers(0, 5))
    @settings(max_examples=50)
    def test_what_is_taken_makes_what_is_wanted(
        self, made: dict[str, Recipe], shelf: dict[str, int], quantity: int
    ) -> None:
        """Units taken are there, and taken and short together make exactly that many."""
        bill = bill_of("K1", made)
        netting = net(bill, quantity, shelf)
        assert all(shelf.get(sku, 0) >= units > 0 for sku, units in netting.taken.items())
        both = netting.taken | {
            sku: netting.taken.get(sku, 0) + units for sku, units in netting.short.items()
        }
        assert net(bill, quantity, both).taken == {k: v for k, v in both.items() if v}
        assert quantity == 0 or capacity(bill, both) == quantity

    @given(catalogues(), shelves)
    @settings(max_examples=50)
    def test_what_limits_is_what_is_missing(
        self, made: dict[str, Recipe], shelf: dict[str, int]
    ) -> None:
        """Enough of every other component does not make one bundle more."""
        bill = bill_of("K1", made)
        limit = limited_by(bill, shelf)
        plenty = {sku: 10**6 for sku, _ in bill.leaves}
        inner = {sku: shelf.get(sku, 0) for sku in bill.recipes}
        assert capacity(bill, inner | plenty | {limit: shelf.get(limit, 0)}) <= 10**6
        assert net(bill, capacity(bill, shelf) + 1, shelf).short[limit] > 0

    @given(catalogues(), shelves, carts)
    @settings(max_examples=50)
    def test_order_of_lines_does_not_matter_when_all_are_served(
        self, made: dict[str, Recipe], shelf: dict[str, int], wanted: dict[str, int]
    ) -> None:
        """Whichever line comes first, the same is left on the shelf."""
        left = []
        for order in itertools.islice(itertools.permutations(wanted), 6):
            served = serve({sku: wanted[sku] for sku in order}, bills_of(made), shelf)
            left.append(None if served.short else served.left)
        assert all(each == left[0] for each in left)


class TestIndex:
    @given(
        catalogues(),
        shelves,
        st.lists(
            st.lists(st.tuples(st.sampled_from(NAMES), st.integers(-2, 12)), max_size=4),
            max_size=6,
        ),
    )
    @settings(max_examples=50)
    def test_maintained_set_equals_full_recompute(
        self,
        made: dict[str, Recipe],
        shelf: dict[str, int],
        rounds: list[list[tuple[str, int]]],
    ) -> None:
        """After any moves every capacity is the one counted anew, and only changes are told."""
        bills = bills_of(made)
        index = BundleIndex(bills.values(), shelf)
        for moves in rounds:
            before = dict(index.capacities)
            for sku, units in moves:
                index.move(sku, units)
                shelf = shelf | {sku: units}
            fresh = {sku: capacity(bill, shelf) for sku, bill in bills.items()}
            assert {sku: index.capacity(sku) for sku in bills} == fresh
            changed = index.refresh()
            assert dict(index.capacities) == fresh
            assert changed == {sku: n for sku, n in fresh.items() if n != before[sku]}


class TestHistories:
    @given(bundle_histories())
    @settings(max_examples=20)
    def test_everything_stored_agrees(self, history: list[Step]) -> None:
        """Lines, counters, recipes and figures verify after any history, and after a copy of it."""
        shop = bundle_shop()
        play(shop, history)
        assert shop.inventory.verify().problems == ()
        file, copy = io.StringIO(), Inventory(clock=shop.clock)
        shop.inventory.export(file)
        copy.import_lines(file.getvalue().split("\n")[:-1])
        assert copy.verify().problems == ()
        assert copy.stock() == shop.inventory.stock()
        assert list(copy.bundles) == list(shop.inventory.bundles)
        assert copy.availability(SKUS) == shop.inventory.availability(SKUS)
        for order in ORDERS:
            assert _kits(copy, order) == _kits(shop.inventory, order)

    @given(bundle_histories(parts=4))
    @settings(max_examples=15)
    def test_bundles_of_an_order_add_up(self, history: list[Step]) -> None:
        """Bundles never make more units than their lines and counters have, and none is negative."""
        shop = bundle_shop()
        play(shop, history)
        for order in ORDERS:
            for kit in _kits(shop.inventory, order):
                assert kit.open >= 0
                assert 0 <= kit.delivered <= kit.shipped
                assert kit.returned >= 0

    @given(history=bundle_histories(parts=5))
    @settings(max_examples=15)
    def test_memory_and_sqlite_tell_the_same(
        self, tmp_path_factory: pytest.TempPathFactory, history: list[Step]
    ) -> None:
        """Answers, figures, lines and documents are equal on both storages."""
        memory = bundle_shop()
        wanted = [_comparable(each) for each in play(memory, history)]
        file = tmp_path_factory.mktemp("bundles") / "shop.db"
        with closing(SQLiteStorage(Path(file), synchronous="OFF")) as storage:
            sqlite = bundle_shop(storage)
            assert [_comparable(each) for each in play(sqlite, history)] == wanted
            assert sqlite.inventory.availability(SKUS) == memory.inventory.availability(SKUS)
            assert dump(storage, ORDERS) == dump(memory.inventory.storage, ORDERS)

    @given(bundle_histories(parts=4))
    @settings(max_examples=15)
    def test_batch_answers_as_its_members_would_one_by_one(self, history: list[Step]) -> None:
        """A recipe defined in a batch is the one that members after it are decided by."""
        alone, together = bundle_shop(), bundle_shop()
        flat = [step for step in history if isinstance(step, Operation)]
        single = [_short(each) for each in play(alone, flat)]
        answers = play(together, [tuple(flat)] if flat else [])
        assert [_short(each) for each in answers] == single


def _kits(inventory: Inventory, order: str) -> tuple[KitLine, ...]:
    try:
        return inventory.kits(order)
    except UnknownReference:
        return ()


def _comparable(answer: Outcome | InvalidRequest) -> object:
    if isinstance(answer, InvalidRequest):
        return answer.to_dict()
    return answer.key, answer.replayed, answer.result, answer.error and answer.error.to_dict()


def _short(answer: Outcome | InvalidRequest) -> object:
    error = answer if isinstance(answer, InvalidRequest) else answer.error
    return None if error is None else type(error).__name__


class TestExploded:
    """I17: reserving a bundle is reserving what it is made of."""

    @given(
        st.dictionaries(st.sampled_from(SKUS), st.integers(1, 4), min_size=1),
        st.integers(0, 3),
        st.sampled_from(("release", "ship", "expire")),
    )
    @settings(max_examples=40)
    def test_reserving_bundles_is_reserving_their_components(
        self, cart: dict[str, int], stocked: int, end: str
    ) -> None:
        """Granted or refused alike, with equal figures at every step, nested and shared ones too."""
        bundles, parts = bundle_shop(), bundle_shop()
        for shop in (bundles, parts):
            if stocked:
                shop.inventory.assemble(SET, stocked, at="berlin")
        made = {sku: bundles.inventory.bundles.recipe(sku) for sku in (SET, BOX)}
        endless = {"MUG": 10**6, "TEA": 10**6, SET: stocked}
        exploded: dict[str, int] = {}
        for taken in serve(cart, bills_of(made), endless).taken.values():
            for component, units in taken.items():
                exploded[component] = exploded.get(component, 0) + units
        [first] = bundles.inventory.submit([Reserve(cart, reference="o", at="berlin")])
        for sku in made:
            parts.inventory.bundles.remove(sku)
        [second] = parts.inventory.submit([Reserve(exploded, reference="o", at="berlin")])
        assert first.granted is second.granted
        acts: dict[str, list[Operation]] = {"release": [Release(reference="o")], "expire": []}
        acts["ship"] = [Confirm(reference="o"), Ship(reference="o")]
        answers = [
            [each.granted for each in shop.inventory.submit(acts[end])] for shop in (bundles, parts)
        ]
        assert answers[0] == answers[1]
        assert bundles.inventory.stock() == parts.inventory.stock()

    @given(
        st.integers(1, 3),
        st.dictionaries(st.sampled_from(("MUG", "TEA")), st.integers(1, 3), min_size=1),
        st.lists(st.sampled_from(("ship", "amend", "short", "back", "release")), max_size=6),
    )
    @settings(max_examples=25)
    def test_defining_a_bundle_anew_changes_nothing_for_orders(
        self, quantity: int, recipe: dict[str, int], acts: list[str]
    ) -> None:
        """Whatever is done with the order afterwards is decided by the recipe it was made with."""
        told = []
        for changes in (False, True):
            shop = bundle_shop()
            inventory = shop.inventory
            inventory.submit([Reserve({SET: quantity}, reference="o"), Confirm(reference="o")])
            if changes:
                inventory.bundles.define(SET, recipe)
            answers: list[object] = []
            for number, act in enumerate(acts):
                try:
                    _ACTS[act](inventory, f"key-{number}")
                    answers.append("done")
                except TrueCountError as error:
                    answers.append(str(error))
            told.append((answers, inventory.stock(), inventory.kits("o")))
        assert told[0] == told[1]


_ACTS = {
    "ship": lambda inventory, key: inventory.ship("o", {SET: 1}, key=key),
    "amend": lambda inventory, key: inventory.amend("o", {SET: 3}, key=key),
    "short": lambda inventory, key: inventory.short_pick("o", {"MUG": 1}, key=key),
    "back": lambda inventory, key: inventory.take_back("o", {SET: 1}, key=key),
    "release": lambda inventory, key: inventory.release("o", {SET: 1}, key=key),
}


def test_definition_and_cart_in_one_batch_use_the_new_recipe() -> None:
    """A write never decides on an old recipe, not even its own members."""
    shop = bundle_shop()
    outcomes = shop.inventory.submit(
        [
            DefineBundle(SET, {"TEA": 1}),
            Reserve({SET: 6}, reference="o", at="berlin"),
            Confirm(reference="o"),
            Ship(reference="o"),
        ]
    )
    assert [outcome.granted for outcome in outcomes] == [True] * 4
    assert shop.inventory.figures("MUG", at="berlin").on_hand == 9
    assert shop.inventory.figures("TEA", at="berlin").on_hand == 0
