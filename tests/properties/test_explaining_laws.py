"""Laws of explanations: counts equal brute force, chances add up, names do not matter."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import combinations, product
from math import prod

import attrs
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tests.planted_causes import LOCATIONS, PLANT, RECIPES, SKUS, Shop, plant
from truecount.explaining.cells import Atom, case_of
from truecount.explaining.coincidence import listed, ways
from truecount.explaining.explain import explain
from truecount.explaining.facts import Discrepancy, Evidence
from truecount.explaining.joint import Joint, solve
from truecount.explaining.pool import Best, Pool, pool_of
from truecount.explaining.priors import CauseKind, Certainty, Priors
from truecount.explaining.results import Explanations
from truecount.model.stock import StockKey


ITEMS = st.lists(st.integers(-12, 12), max_size=12)


@given(ITEMS, st.integers(-20, 20), st.integers(1, 4))
@example([-1, -1, -2, -3, 5, -5, 12, -12, 7], -6, 4)
@example([0, 0, 0], 0, 3)
def test_ways_equal_brute_force(items: list[int], target: int, size_max: int) -> None:
    """The dynamic programme counts what trying every set counts."""
    sets = [
        places
        for size in range(1, size_max + 1)
        for places in combinations(range(len(items)), size)
        if sum(items[place] for place in places) == target
    ]
    counted = ways(items, target, size_max)
    assert list(counted) == [
        sum(len(places) == size for places in sets) for size in range(1, size_max + 1)
    ]
    found = listed(items, target, size_max)
    assert found == sets[:20]


class NoRests:
    """Nothing fits but atoms."""

    def weights(self, left: int) -> Sequence[float]:
        """Return no weights."""
        return ()

    def atom(self, left: int, number: int) -> Atom:
        """Never asked for."""
        raise AssertionError


ATOMS = st.lists(st.tuples(st.integers(-6, 6).filter(bool), st.floats(0.001, 0.5)), max_size=12)


def pool(pairs: list[tuple[int, float]], further: float) -> tuple[Pool, list[Atom]]:
    """Return a pool of atoms that change a figure by these, and the atoms."""
    atoms = [
        Atom(CauseKind.MISSING, str(number), ((0, change),), weight, ())
        for number, (change, weight) in enumerate(pairs)
    ]
    return pool_of(atoms, NoRests(), further), atoms


@given(ATOMS, st.integers(-10, 10).filter(bool), st.sampled_from([0.05, 0.5]))
def test_pool_weighs_and_counts_every_set(
    pairs: list[tuple[int, float]], target: int, further: float
) -> None:
    """Products of power sums are the sum over all sets, and their number."""
    found, atoms = pool(pairs, further)
    sets = [
        chosen
        for size in (1, 2, 3)
        for chosen in combinations(atoms, size)
        if sum(atom.effects[0][1] for atom in chosen) == target
    ]
    answer = found.sum_of(target)
    assert answer.ways == tuple(sum(len(each) == size for each in sets) for size in (1, 2, 3))
    assert answer.ways == ways([change for change, _ in pairs], target, 3)
    weights = [
        further ** (len(chosen) - 1) * prod(atom.weight for atom in chosen) for chosen in sets
    ]
    assert answer.total == pytest.approx(sum(weights))
    if sets:
        assert answer.listed[0].weight == pytest.approx(max(weights))
    for each in answer.listed:
        assert sum(atom.effects[0][1] for atom in each.atoms) == target
    assert not answer.truncated


def test_of_sets_that_weigh_the_same_those_seen_first_are_listed() -> None:
    """Whatever they are called: the order of the evidence decides, and nothing else."""
    atoms = [Atom(CauseKind.MISSING, site, ((0, 1),), 0.5, ()) for site in ("b", "a", "c")]
    best = Best()
    for atom in atoms:
        best.put(atom.weight, (atom,))
    assert [each.atoms for each in best.sorted()] == [(atom,) for atom in atoms]


@pytest.mark.parametrize(("changes", "truncated"), [(199, False), (200, True)])
def test_triples_are_all_looked_at_while_their_pairs_are_within_the_budget(
    changes: int, *, truncated: bool
) -> None:
    """199 changes have 19,701 pairs, 200 too many for one figure: 19,900 and all alike."""
    found, _ = pool([(change, 0.1) for change in range(1, changes + 1)], 0.05)
    assert found.sum_of(6).truncated is truncated


class OneRest:
    """One rest fits everything, with one weight."""

    def __init__(self, cell: int) -> None:
        self.cell = cell

    def weights(self, left: int) -> Sequence[float]:
        """Return its weight."""
        return (0.01,)

    def atom(self, left: int, number: int) -> Atom:
        """Return it."""
        return Atom(CauseKind.UNEXPLAINED, "", ((self.cell, left),), 0.01, ())


CHANGES = st.integers(-4, 4).filter(bool)
WEIGHTS = st.floats(0.05, 0.5)
SINGLES = st.lists(st.tuples(st.integers(0, 1), CHANGES, WEIGHTS), max_size=5)
SPANNING = st.lists(st.tuples(CHANGES, CHANGES, WEIGHTS), max_size=3)


def chances_by_brute_force(
    deltas: tuple[int, int], atoms: list[Atom], further: float
) -> list[dict[frozenset[tuple[str, str]], float]]:
    """Return the chance of each set of causes at both figures, by trying all sets of atoms."""
    found: list[dict[frozenset[tuple[str, str]], float]] = [{}, {}]
    total = 0.0
    for size in range(len(atoms) + 1):
        for chosen in combinations(atoms, size):
            for rests in product((False, True), repeat=2):
                weight = prod(atom.weight for atom in chosen)
                for cell, rest in enumerate(rests):
                    here = [atom for atom in chosen if any(c == cell for c, _ in atom.effects)]
                    spans = sum(len(atom.effects) > 1 for atom in here)
                    left = deltas[cell] - sum(
                        change for atom in here for c, change in atom.effects if c == cell
                    )
                    weight *= further ** max(0, len(here) + rest - 1) * (0.01 if rest else 1)
                    # A rest stands alone or beside one cause of this figure's own.
                    alone = len(here) - spans
                    fits = alone + spans + rest <= 3 and alone + 2 * rest <= 3
                    # Own causes are only looked for where spanning ones leave something.
                    own = sum(
                        change
                        for atom in here
                        for c, change in atom.effects
                        if c == cell and len(atom.effects) == 1
                    )
                    needed = left + own != 0 or alone + rest == 0
                    if (left != 0) != rest or not fits or not needed:
                        weight = 0.0
                total += weight
                for cell, rest in enumerate(rests):
                    names = {
                        (atom.kind.value, atom.site)
                        for atom in chosen
                        if any(c == cell for c, _ in atom.effects)
                    } | ({("unexplained", "")} if rest else set())
                    key = frozenset(names)
                    found[cell][key] = found[cell].get(key, 0.0) + weight
    return [{key: weight / total for key, weight in each.items()} for each in found]


@given(SINGLES, SPANNING, CHANGES, CHANGES)
def test_joint_solution_equals_brute_force(
    singles: list[tuple[int, int, float]],
    spanning: list[tuple[int, int, float]],
    first: int,
    second: int,
) -> None:
    """Two figures and all their causes: every chance is that of trying all sets."""
    own = [
        Atom(CauseKind.DUPLICATE, f"s{n}", ((cell, change),), weight, ())
        for n, (cell, change, weight) in enumerate(singles)
    ]
    shared = [
        Atom(CauseKind.WRONG_SKU, f"x{n}", ((0, one), (1, two)), weight, ())
        for n, (one, two, weight) in enumerate(spanning)
    ]
    case = case_of(
        [
            Discrepancy(sku="A", location="berlin", delta=first),
            Discrepancy(sku="B", location="berlin", delta=second),
        ],
        Evidence(),
        Priors(further=0.5),
    )
    pools = [
        pool_of([atom for atom in own if atom.effects[0][0] == cell], OneRest(cell), 0.5)
        for cell in (0, 1)
    ]
    expected = chances_by_brute_force((first, second), [*own, *shared], 0.5)
    inside = [atom for atom in shared if Joint(case, pools, {}).choice((atom,)).weight >= 0.01]
    # An unlikely one competes at each figure alone; that is an approximation.
    assume(len(inside) == len(shared))
    for cell, solved in enumerate(solve(case, pools, shared)):
        for hypothesis in solved.hypotheses:
            names = frozenset((atom.kind.value, atom.site) for atom in hypothesis.atoms)
            assert hypothesis.probability == pytest.approx(expected[cell][names])


class FaintRest(OneRest):
    """One rest fits everything, and hardly ever does."""

    def weights(self, left: int) -> Sequence[float]:
        """Return its weight."""
        return (1e-7,)


def test_choice_that_is_hardly_possible_hides_none_that_comes_after_it() -> None:
    """That nothing is shared is looked at first, and is a millionth of a millionth of it here."""
    deltas = [
        Discrepancy(sku=sku, location="", delta=delta) for sku, delta in (("A", 3), ("B", -3))
    ]
    case = case_of(deltas, Evidence(), Priors(further=0.5))
    shared = Atom(CauseKind.WRONG_SKU, "x", ((0, 3), (1, -3)), 0.5, ())
    pools = [pool_of([], FaintRest(cell), 0.5) for cell in (0, 1)]
    for solved in solve(case, pools, [shared]):
        assert [each.atoms for each in solved.hypotheses] == [(shared,)]
        assert solved.hypotheses[0].probability == pytest.approx(1)


SEEDS = st.integers(0, 2**32)
KINDS = st.sampled_from(list(PLANT))


def explained(seed: int, *kinds: CauseKind) -> tuple[Shop, Explanations]:
    """Return a shop with planted causes, and its explanations."""
    shop = Shop(random.Random(seed))
    for kind in kinds:
        plant(shop, kind)
    return shop, explain(shop.discrepancies(), shop.evidence())


@given(SEEDS, st.lists(KINDS, max_size=3))
def test_every_hypothesis_makes_up_the_difference_exactly(
    seed: int, kinds: list[CauseKind]
) -> None:
    """No hypothesis is nearly right, and chances never exceed one."""
    shop, found = explained(seed, *kinds)
    assert len(found) == len(shop.deltas())
    for each in found:
        chances = [hypothesis.probability for hypothesis in each.hypotheses]
        assert chances == sorted(chances, reverse=True)
        assert 0 < sum(chances) <= 1 + 1e-9
        for hypothesis in each.hypotheses:
            made_up = sum(
                change
                for cause in hypothesis.causes
                for key, change in cause.effects
                if key == each.discrepancy.key
            )
            assert made_up == each.discrepancy.delta
        if each.verdict is Certainty.CONFIDENT:
            assert each.probability >= 0.9


@given(SEEDS)
def test_without_an_error_there_is_no_explanation(seed: int) -> None:
    """A clean ledger has nothing to explain."""
    shop, found = explained(seed)
    assert shop.deltas() == {}
    assert found == Explanations(explained=())


def renamed(shop: Shop, names: dict[str, str]) -> Explanations:
    """Explain a shop in which every SKU has another name."""
    evidence = shop.evidence()
    candidates = [
        attrs.evolve(
            each,
            effects={key._replace(sku=names[key.sku]): change for key, change in each.effects},
        )
        for each in evidence.candidates
    ]
    found = [attrs.evolve(each, sku=names[each.sku]) for each in shop.discrepancies()]
    return explain(
        found,
        Evidence(
            candidates=candidates,
            recipes={
                kit: {names[sku]: quantity for sku, quantity in parts.items()}
                for kit, parts in RECIPES.items()
            },
            factors={names[sku]: factors for sku, factors in evidence.factors.items()},
            look_alikes={
                names[sku]: [names[other] for other in others]
                for sku, others in evidence.look_alikes.items()
            },
            locations=LOCATIONS,
        ),
    )


@given(SEEDS, st.lists(KINDS, min_size=1, max_size=2), st.permutations(["Z", "A 1", "µ"]))
def test_names_of_skus_do_not_matter(seed: int, kinds: list[CauseKind], names: list[str]) -> None:
    """Relabelling every SKU leaves each probability, count and verdict as it was."""
    shop, before = explained(seed, *kinds)
    after = renamed(shop, dict(zip(SKUS, names, strict=True)))
    for one, other in zip(before, after, strict=True):
        assert one.ways == other.ways
        assert one.verdict is other.verdict
        assert [h.probability for h in one.hypotheses] == pytest.approx(
            [h.probability for h in other.hypotheses]
        )


@given(SEEDS, st.lists(KINDS, min_size=1, max_size=2))
def test_explanations_survive_as_plain_data(seed: int, kinds: list[CauseKind]) -> None:
    """Whatever was found, written and read back it is equal."""
    _, found = explained(seed, *kinds)
    assert Explanations.from_dict(found.to_dict()) == found


@given(SEEDS, KINDS)
def test_repair_by_the_effects_leaves_nothing(seed: int, kind: CauseKind) -> None:
    """Booking what the best hypothesis says makes the figure agree, so nothing is left to ask."""
    shop, found = explained(seed, kind)
    left = dict(shop.deltas())
    for each in found:
        for cause in each.causes:
            for key, change in cause.effects:
                if key == each.discrepancy.key:
                    left[key] -= change
    assert not any(left.values())


def test_worlds_plant_each_cause_where_it_shows() -> None:
    """Each cause makes at least one figure differ, most of the time."""
    for kind in PLANT:
        assert any(explained(seed, kind)[0].deltas() for seed in range(3)), kind
        assert all(isinstance(key, StockKey) for key in explained(1, kind)[0].deltas())
