"""Coincidences, mistyped digits, brackets, priors: the arithmetic of explanations."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from truecount.errors import InvalidArgument, InvalidQuantity, InvalidTime
from truecount.explaining.bracket import Step, steps
from truecount.explaining.coincidence import LISTED_MAX, listed, ways
from truecount.explaining.digits import slipped, swapped
from truecount.explaining.facts import Discrepancy, Evidence
from truecount.explaining.priors import (
    DEFAULTS,
    CauseKind,
    Certainty,
    Priors,
    normalized,
    posterior,
    verdict,
)


ITEMS = [-1, -1, -2, -3, 5, -5, 12, -12, 7]


class TestCoincidence:
    def test_golden_numbers_of_ways(self) -> None:
        """The counts by size are those worked out by hand."""
        assert ways(ITEMS, -6, 4) == (0, 2, 4, 2)
        assert ways(ITEMS, 12, 3) == (1, 1, 1)

    def test_pairs_of_sixty_order_lines_explain_nothing(self) -> None:
        """A typical day has dozens of pairs and hundreds of triples for one small difference."""
        lines = [-1] * 20 + [-2] * 15 + [-3] * 10 + [-4] * 7 + [-5] * 5 + [-6] * 3
        single, pairs, triples = ways(lines, -7, 3)
        assert single == 0
        assert pairs == 20 * 3 + 15 * 5 + 10 * 7
        assert triples > 1_000

    def test_sets_are_listed_up_to_a_limit_and_all_are_counted(self) -> None:
        """A list of twenty says nothing about how many there are."""
        lines = [-1] * 30
        assert len(listed(lines, -2)) == LISTED_MAX == 20
        assert ways(lines, -2) == (0, 435, 0)

    def test_listed_sets_add_up(self) -> None:
        """Each listed set is one of the ways, and none is listed twice."""
        found = listed(ITEMS, -6, 4)
        assert len(set(found)) == len(found) == sum(ways(ITEMS, -6, 4))
        assert all(sum(ITEMS[place] for place in places) == -6 for places in found)

    def test_a_set_of_nothing_is_refused(self) -> None:
        """A size below one has no meaning."""
        with pytest.raises(InvalidArgument, match="size_max 0"):
            ways([1], 1, 0)


class TestDigits:
    def test_golden_swaps(self) -> None:
        """132 may have been 123 or 312."""
        assert {true - 132 for true in swapped(132)} == {-9, 180}

    def test_equal_digits_and_leading_zeros_are_no_swaps(self) -> None:
        """Nothing is seen of 55, and 100 for 010 is a slip."""
        assert swapped(55) == swapped(100) == swapped(7) == []
        assert slipped(100) == [1000, 10]

    def test_every_swap_differs_by_a_multiple_of_nine(self) -> None:
        """The auditors' rule is a consequence, never the evidence."""
        for number in range(10, 2_000):
            assert all((true - number) % 9 == 0 for true in swapped(number))

    def test_slips_differ_by_nine_times_or_nine_tenths(self) -> None:
        """A zero too few or too many."""
        assert [true - 30 for true in slipped(30)] == [9 * 30, -9 * 30 // 10]


DAYS = [datetime(2026, 3, day, tzinfo=UTC) for day in range(1, 8)]


class TestBracket:
    def test_one_change_is_one_bracket(self) -> None:
        """It reaches from the last agreement to the first disagreement."""
        assert steps(zip(DAYS, [0, 0, -5, -5, -5, -5, -5], strict=True)) == [
            Step(DAYS[1], DAYS[2], -5)
        ]

    def test_difference_that_changed_twice_has_two_brackets(self) -> None:
        """Bisection would have found one of them and called it all."""
        assert steps(zip(DAYS, [0, -5, -5, -3, -3, -3, -3], strict=True)) == [
            Step(DAYS[0], DAYS[1], -5),
            Step(DAYS[2], DAYS[3], 2),
        ]

    def test_what_healed_is_not_searched(self) -> None:
        """Only what happened since the last agreement can be the cause."""
        assert steps(zip(DAYS, [-4, 0, 7, 0, 0, 3, 3], strict=True)) == [Step(DAYS[4], DAYS[5], 3)]
        assert steps([]) == steps([(DAYS[0], 0)]) == []

    def test_first_comparison_that_differs_has_no_start(self) -> None:
        """Nobody knows when it began, and order of arrival does not matter."""
        assert steps([(DAYS[2], -5), (DAYS[1], -5)]) == [Step(None, DAYS[1], -5)]

    def test_steps_add_up_to_the_difference(self) -> None:
        """What each step changed is all there is."""
        deltas = [0, 3, 3, -1, 4, 4, 9]
        found = steps(zip(DAYS, deltas, strict=True))
        assert sum(step.delta for step in found) == deltas[-1]
        assert all(a.until <= b.until for a, b in pairwise(found))

    def test_contradicting_comparisons_are_refused(self) -> None:
        """One moment has one difference; a naive moment has none."""
        with pytest.raises(InvalidArgument, match="1 and 2 at"):
            steps([(DAYS[0], 1), (DAYS[0], 2)])
        with pytest.raises(InvalidTime):
            steps([(datetime(2026, 3, 1), 1)])  # noqa: DTZ001 -- that is the point


class TestPriors:
    def test_worked_posterior(self) -> None:
        """The example worked by hand."""
        found = posterior((0.30, 0.05, 0.02, 0.63), (1, 1, 1 / 9, 1 / 201))
        assert [round(p, 6) for p in found] == [0.844223, 0.140704, 0.006254, 0.008820]

    def test_posterior_is_the_softmax_of_costs(self) -> None:
        """Weights are the exponentials of minus costs, so both ways agree."""
        costs = [1.2, 3.4, 0.3]
        weights = [math.exp(-cost) for cost in costs]
        assert normalized(weights) == posterior(weights, [1, 1, 1])

    def test_defaults_name_every_kind(self) -> None:
        """No kind of cause is left without a belief."""
        assert set(DEFAULTS) == set(CauseKind)
        assert Priors().weights == dict(DEFAULTS)

    def test_priors_are_configuration(self) -> None:
        """What is named changes, the rest stays."""
        found = Priors({CauseKind.SIGN: 0.5})
        assert found.weights[CauseKind.SIGN] == 0.5
        assert found.weights[CauseKind.MISSING] == DEFAULTS[CauseKind.MISSING]

    @pytest.mark.parametrize("weight", [-0.1, math.inf, math.nan])
    def test_unusable_weights_are_refused(self, weight: float) -> None:
        """A belief is a finite number from zero up."""
        with pytest.raises(InvalidArgument, match="prior"):
            Priors({CauseKind.SIGN: weight})

    def test_certainty_cannot_be_configured(self) -> None:
        """Without a weight for 'unexplained' every guess would be certain."""
        with pytest.raises(InvalidArgument, match="nothing is explained for certain"):
            Priors({CauseKind.UNEXPLAINED: 0})
        with pytest.raises(InvalidArgument, match="chance"):
            Priors(further=1.0)

    def test_confirmed_cases_move_priors(self) -> None:
        """The mean of the posterior over shares: (strength * share + cases) / all."""
        before = Priors()
        after = before.learned({CauseKind.SIGN: 50}, strength=50)
        total = sum(before.weights.values())
        assert after.weights[CauseKind.SIGN] == pytest.approx((50 * 0.01 / total + 50) / 100)
        assert sum(after.weights.values()) == pytest.approx(1)
        with pytest.raises(InvalidQuantity):
            before.learned({CauseKind.SIGN: -1})

    @pytest.mark.parametrize(
        ("probability", "words", "expected"),
        [
            (0.9, {}, Certainty.CONFIDENT),
            (0.89, {}, Certainty.LIKELY),
            (0.5, {}, Certainty.LIKELY),
            (0.49, {}, Certainty.AMBIGUOUS),
            (0.99, {"partly": True}, Certainty.LIKELY),
            (0.99, {"truncated": True}, Certainty.LIKELY),
        ],
    )
    def test_verdicts(
        self, probability: float, words: dict[str, bool], expected: Certainty
    ) -> None:
        """Nothing partial or cut short is ever confident."""
        assert verdict(probability, explained=True, **words) is expected
        assert verdict(probability, explained=False, **words) is Certainty.UNEXPLAINED


class TestFacts:
    def test_no_difference_is_no_discrepancy(self) -> None:
        """What agrees needs no explanation, so asking for one is a mistake."""
        with pytest.raises(InvalidQuantity, match="delta 0"):
            Discrepancy(sku="MUG", location="berlin", delta=0)

    def test_recipes_and_factors_are_checked(self) -> None:
        """A kit of nothing and a case of one are refused by name."""
        with pytest.raises(InvalidQuantity, match="quantity 0"):
            Evidence(recipes={"SET": {"MUG": 0}})
        with pytest.raises(InvalidArgument, match="factor 1"):
            Evidence(factors={"MUG": [1]})
