"""Record accuracy and what a sample proves of it: the golden numbers, and the laws."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from truecount import Counting, Sequential
from truecount.counting.accuracy import PRESETS, accuracy, is_within, tolerated
from truecount.counting.certificate import certify, discovery_size, sample_size
from truecount.errors import InvalidArgument, InvalidQuantity


#: The example of the field notes: five records, their counts and unit costs.
BOOK, COUNT, COST = (100, 100, 50, 0, 10), (95, 105, 50, 2, 10), (1, 1, 10, 5, 100)
EXAMPLE = [
    Counting(book=book, counted=counted, cost=cost)
    for book, counted, cost in zip(BOOK, COUNT, COST, strict=True)
]

countings = st.lists(
    st.builds(
        Counting,
        book=st.integers(-5, 20),
        counted=st.integers(0, 20),
        cost=st.integers(0, 9),
        abc=st.sampled_from("ABC"),
    ),
    max_size=12,
)


class TestAccuracy:
    def test_the_golden_example(self) -> None:
        """Net figures look splendid where two records of five are right."""
        found = accuracy(EXAMPLE, tolerance="retail_1_3_5", population=20)
        assert (found.exact, found.tolerant, found.coverage) == (
            Fraction(2, 5),
            Fraction(4, 5),
            Fraction(1, 4),
        )
        shown = {name: round(value or 0, 6) for name, value in found.to_dict().items()}
        assert shown["unit_net"] == 0.992308
        assert shown["unit_abs"] == 0.953846
        assert shown["value_net"] == 0.994118
        assert shown["value_abs"] == 0.988235

    def test_net_figures_hide_everything(self) -> None:
        """95 and 105 where the book has 100 and 100: no record right, and right on average."""
        found = accuracy([Counting(book=100, counted=95), Counting(book=100, counted=105)])
        assert [found.exact, found.unit_net] == [0, 1]

    def test_nothing_counted_is_neither_right_nor_wrong(self) -> None:
        """Where there is nothing to divide by, nothing is said."""
        assert set(accuracy([]).to_dict().values()) == {0, None}
        empty = accuracy([Counting(book=0, counted=3, cost=1)])
        assert [empty.exact, empty.unit_abs, empty.value_net] == [0, None, None]

    def test_value_needs_every_cost(self) -> None:
        """Half the costs would weigh half the shop."""
        some = [*EXAMPLE, Counting(book=1, counted=1)]
        assert accuracy(some).value_abs is None
        assert accuracy(some).unit_abs is not None

    def test_negative_books_and_bad_classes(self) -> None:
        """Stock below zero is never right; a class nobody knows is refused."""
        assert accuracy([Counting(book=-2, counted=0)]).tolerant == 0
        with pytest.raises(InvalidArgument, match="cannot use abc 'D': expected one of A, B, C"):
            accuracy([Counting(book=1, counted=1, abc="D")])
        with pytest.raises(InvalidArgument, match="cannot use tolerance 'lax'"):
            accuracy([], tolerance="lax")
        with pytest.raises(InvalidQuantity):
            Counting(book=1, counted=-1)
        with pytest.raises(InvalidArgument, match=r"cannot use cost 0.5: expected an int or Frac"):
            Counting(book=1, counted=1, cost=0.5)  # type: ignore[arg-type]  # that is the claim

    @pytest.mark.parametrize(
        ("percent", "book", "units"), [(5, 50, 2), (5, 19, 0), (1, 100, 1), (5, 0, 0), (5, -40, 0)]
    )
    def test_a_tolerance_is_rounded_down(self, percent: int, book: int, units: int) -> None:
        """floor(percent of the book); nothing tolerates nothing."""
        assert tolerated(Fraction(percent), book) == units

    @pytest.mark.parametrize("preset", PRESETS)
    def test_zero_and_unexpected_are_never_within(self, preset: str) -> None:
        """The guard of others passes 100 -> 0."""
        for percent in (*PRESETS[preset].values(), Fraction(100)):
            assert not is_within(0, 100, percent)
            assert not is_within(1, 0, percent)
            assert is_within(0, 0, percent)

    @given(countings)
    def test_forms_agree_with_each_other(self, told: list[Counting]) -> None:
        """Exact <= tolerant, absolute <= net, and all of it right to the unit is 1 everywhere."""
        found = accuracy(told, tolerance="retail_1_3_5")
        assert found.right <= found.within <= found.records
        if found.unit_abs is not None and found.unit_net is not None:
            total = sum(each.book for each in told)
            assert (found.unit_abs <= found.unit_net) == (
                total > 0 or found.unit_abs == found.unit_net
            )
        same = [Counting(book=each.counted, counted=each.counted) for each in told]
        perfect = accuracy(same)
        assert {perfect.exact, perfect.unit_abs, perfect.unit_net} <= {1, None}


@pytest.mark.parametrize(
    ("preset", "units"),
    [
        ("exact", (0, 0, 0)),
        ("retail_1_3_5", (100, 300, 500)),
        ("apics_995", (50, 100, 500)),
        ("textbook_02_1_5", (20, 100, 500)),
    ],
)
def test_presets_tolerate_what_their_names_say(preset: str, units: tuple[int, ...]) -> None:
    """So many of ten thousand, in class A, B and C."""
    assert tuple(tolerated(PRESETS[preset][name], 10_000) for name in "ABC") == units


class TestPlanning:
    def test_sample_sizes(self) -> None:
        """437 for 95 % within 2 points of 10,000; 357 for the published example."""
        assert sample_size(10_000, expected=0.95, margin=0.02) == 437
        assert sample_size(5_000, expected=0.5, margin=0.05) == 357
        assert sample_size(None, expected=0.5, margin=0.05) == 385
        assert sample_size(10, expected=0.5, margin=0.05) == 10

    def test_sample_sizes_are_exact_to_the_record(self) -> None:
        """96.04 of without limit are 49.2 of a hundred; z has six places."""
        assert sample_size(100, expected=0.5, margin=0.1) == 50
        assert sample_size(None, expected=0.5, margin=0.001) == 960_365

    @pytest.mark.parametrize(("required", "size"), [(0.95, 59), (0.97, 99), (0.99, 299)])
    def test_discovery_without_limit(self, required: float, size: int) -> None:
        """So many clean counts prove it."""
        assert discovery_size(None, required=required) == size

    @pytest.mark.parametrize(("population", "size"), [(100, 39), (500, 54), (2000, 57), (1, 1)])
    def test_discovery_in_a_small_shop(self, population: int, size: int) -> None:
        """Fewer are enough where there are few."""
        assert discovery_size(population, required=0.95) == size

    def test_discovery_with_an_error_allowed(self) -> None:
        """One wrong one costs thirty more counts."""
        assert discovery_size(500, required=0.95, errors_allowed=1) == 84

    @pytest.mark.parametrize("value", [0, 1, 1.5, float("nan"), True, "0.5"])
    def test_shares_lie_between_nothing_and_all(self, value: float) -> None:
        """Certainty has no sample."""
        with pytest.raises(InvalidArgument, match="a number between 0 and 1"):
            sample_size(100, expected=value, margin=0.05)


class TestCertificate:
    @pytest.mark.parametrize(
        ("population", "least"), [(100, 97), (200, 188), (500, 465), (1000, 927)]
    )
    def test_ninety_seven_of_a_hundred(self, population: int, least: int) -> None:
        """What they prove depends on how many there are."""
        found = certify(97, 100, population=population)
        assert (found.right_at_least, found.accuracy_at_least) == (
            least,
            Fraction(least, population),
        )

    def test_without_limit_it_is_the_binomial_bound(self) -> None:
        """Clopper-Pearson, one-sided 95 %."""
        assert math.isclose(certify(97, 100).accuracy_at_least, 0.924289, abs_tol=5e-7)
        assert math.isclose(certify(59, 59).accuracy_at_least, 0.950492, abs_tol=5e-7)
        assert certify(0, 5).accuracy_at_least == 0

    def test_a_large_sample_stays_a_number(self) -> None:
        """The ways to draw it alone would not fit into a float."""
        assert 0.89 < certify(4500, 5000).accuracy_at_least < 0.9

    def test_it_says_what_it_proves(self) -> None:
        """In one sentence."""
        assert str(certify(97, 100)) == (
            "97 of 100 counted records were right: with 95 % confidence at least 92.4 % of all are"
        )

    def test_impossible_samples_are_refused(self) -> None:
        """More right than counted, more counted than there are."""
        with pytest.raises(InvalidArgument, match="at most the 5 counted"):
            certify(6, 5)
        with pytest.raises(InvalidArgument, match="at most the 4 records there are"):
            certify(5, 5, population=4)
        with pytest.raises(InvalidQuantity):
            certify(0, 0)

    @given(st.integers(1, 60), st.integers(0, 60), st.integers(0, 200))
    def test_bounds_are_in_order(self, sample: int, wrong: int, more: int) -> None:
        """Finite bounds are sharper, more right ones prove more, all of them prove themselves."""
        assume(wrong <= sample)
        right, population = sample - wrong, sample + more
        found = certify(right, sample, population=population)
        assert float(found.accuracy_at_least) >= certify(right, sample).accuracy_at_least - 1e-9
        if right < sample:
            better = certify(right + 1, sample, population=population)
            assert better.accuracy_at_least >= found.accuracy_at_least
        whole = certify(right, sample, population=sample)
        assert whole.right_at_least == right

    @given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 40))
    def test_the_claim_fails_no_more_often_than_it_says(
        self, sample: int, population: int, good: int
    ) -> None:
        """Over all samples one could draw, the bound exceeds the truth at most 5 % of the time."""
        assume(sample <= population and good <= population)
        bad = population - good
        ways = math.comb(population, sample)
        too_high = sum(
            math.comb(good, right) * math.comb(bad, sample - right)
            for right in range(max(0, sample - bad), min(good, sample) + 1)
            if (certify(right, sample, population=population).right_at_least or 0) > good
        )
        assert Fraction(too_high, ways) <= Fraction(5, 100)


class TestSequential:
    def test_the_golden_lines(self) -> None:
        """p0 = 2 %, p1 = 6 %, risks 5 and 10 %."""
        test = Sequential(good=Fraction(2, 100), bad=Fraction(6, 100))
        assert round(test.slope, 6) == 0.036546
        assert round(test.reject, 6) == 2.534780
        assert round(test.accept, 6) == -1.974324
        clean = [test.verdict(counted, 0) for counted in range(60)]
        assert clean.index("accept") == 55

    def test_it_rejects_what_is_bad_early(self) -> None:
        """Three wrong ones among the first twelve are enough."""
        test = Sequential(good=0.02, bad=0.06)
        assert test.verdict(12, 3) == "reject"
        assert test.verdict(13, 3) == "go on"

    def test_rates_must_differ_and_risks_leave_room(self) -> None:
        """Nothing can be told apart otherwise."""
        with pytest.raises(InvalidArgument, match="more than good"):
            Sequential(good=0.06, bad=0.02)
        with pytest.raises(InvalidArgument, match="less than 1"):
            Sequential(good=0.02, bad=0.06, producer_risk=0.5, consumer_risk=0.5)
        with pytest.raises(InvalidArgument, match="at most the 3 counted"):
            Sequential(good=0.02, bad=0.06).verdict(3, 4)
