"""
Certificates: what a random sample of counts proves about all records, and how many it takes.

Records are right or wrong; a sample is drawn without putting back, so what it says is
hypergeometric: exact for a finite number of records, and sharper than the binomial bound
(which is its limit for infinitely many). All of it is exact arithmetic in short loops; where
a number is irrational by nature (a Clopper-Pearson bound, a logarithm) it is a float and
says so, because no quantity of goods is computed from it.

Sources: hypergeometric bound by inverting the exact test (Clopper & Pearson 1934,
doi 10.1093/biomet/26.4.404, for the limit); sample size with the finite population
correction (Cochran, Sampling Techniques, 1977, 4.1); the sequential test is Wald's
(Sequential Analysis, 1947).
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Final, TypeAlias

import attrs

from truecount.errors import InvalidArgument
from truecount.model import names, quantities


#: A share or a probability; floats are taken at their decimal face value: 0.95 is 95/100.
Share: TypeAlias = Fraction | float | int

CONFIDENCE: Final = Fraction(95, 100)
#: Two-sided 95 %: the quantile of the normal distribution at 0.975.
_Z: Final = Fraction(1959964, 1_000_000)
#: Halvings of an interval: below the resolution of a float.
_HALVINGS: Final = 80


def share(value: Share, name: str) -> Fraction:
    """
    Return *value* as an exact share between 0 and 1, both excluded.

    >>> share(0.95, "confidence")
    Fraction(19, 20)
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, Fraction)):
        raise InvalidArgument(name, names.shown(value), "a number between 0 and 1")
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidArgument(name, names.shown(value), "a number between 0 and 1")
    exact = Fraction(str(value)) if isinstance(value, float) else Fraction(value)
    if not 0 < exact < 1:
        raise InvalidArgument(name, names.shown(value), "a number between 0 and 1")
    return exact


# --- planning ---------------------------------------------------------------------------


def sample_size(population: int | None, *, expected: Share, margin: Share) -> int:
    """
    Return how many records to count to know the accuracy to within *margin* (95 %, two-sided).

    n0 = z^2 p (1 - p) / e^2, then n = n0 / (1 + (n0 - 1) / N), rounded up.

    >>> sample_size(10_000, expected=0.95, margin=0.02)
    437

    Args:
        population: Records there are, None for without limit.
        expected: The accuracy one expects; 0.5 when nothing is known.
    """
    p, e = share(expected, "expected"), share(margin, "margin")
    size = _Z**2 * p * (1 - p) / e**2
    if population is not None:
        quantities.positive(population, "population")
        size = min(Fraction(population), size / (1 + (size - 1) / population))
    return math.ceil(size)


def discovery_size(
    population: int | None,
    *,
    required: Share,
    errors_allowed: int = 0,
    confidence: Share = CONFIDENCE,
) -> int:
    """
    Return how many records to count to prove that at least *required* of all are right.

    The proof stands if at most *errors_allowed* of them turn out wrong (discovery sampling).

    >>> discovery_size(None, required=0.95), discovery_size(500, required=0.95)
    (59, 54)

    Complexity: O(n) in the answer, each step O(errors allowed).
    """
    r, risk = share(required, "required"), 1 - share(confidence, "confidence")
    quantities.natural(errors_allowed, "errors_allowed")
    size = errors_allowed + 1
    if population is None:
        while _binomial_at_most(errors_allowed, size, 1 - r) > risk:
            size += 1
        return size
    quantities.positive(population, "population")
    # The fewest wrong records that break the claim.
    wrong = population - math.ceil(r * population) + 1
    while (
        size < population
        and _hypergeometric_at_most(errors_allowed, size, wrong, population) > risk
    ):
        size += 1
    return min(size, population)


def _binomial_at_most(wrong: int, size: int, rate: Fraction) -> Fraction:
    right = 1 - rate
    return sum(
        (math.comb(size, k) * rate**k * right ** (size - k) for k in range(wrong + 1)),
        Fraction(0),
    )


def _hypergeometric_at_most(wrong: int, size: int, bad: int, population: int) -> Fraction:
    """Return P(at most *wrong* bad ones among *size* drawn of *population* with *bad*)."""
    good = population - bad
    ways = sum(math.comb(bad, k) * math.comb(good, size - k) for k in range(wrong + 1))
    return Fraction(ways, math.comb(population, size))


# --- the certificate --------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Certificate:
    """
    What a random sample proves, at a stated confidence.

    Attributes:
        right: Records of the sample that were right.
        sample: Records counted.
        population: Records there are, None for without limit.
        confidence: How sure the claim is, one-sided.
        right_at_least: Of all records, this many are right at least; None without a limit.
        accuracy_at_least: The same as a share: a Fraction, a float without a limit.
    """

    right: int
    sample: int
    population: int | None
    confidence: Fraction
    right_at_least: int | None
    accuracy_at_least: Fraction | float

    def __str__(self) -> str:
        """
        Say it in one sentence.

        >>> print(certify(97, 100, population=500))
        97 of 100 counted records were right: with 95 % confidence at least 93.0 % of all 500 are
        """
        of_all = "" if self.population is None else f" {self.population}"
        return (
            f"{self.right} of {self.sample} counted records were right: with "
            f"{float(self.confidence * 100):g} % confidence at least "
            f"{float(self.accuracy_at_least) * 100:.1f} % of all{of_all} are"
        )


def certify(
    right: int, sample: int, *, population: int | None = None, confidence: Share = CONFIDENCE
) -> Certificate:
    """
    Return the exact one-sided lower bound of record accuracy that a random sample proves.

    The fewest right records among *population* under which a sample as good as this one is
    still likelier than 1 - confidence.

    >>> certify(97, 100, population=200).right_at_least
    188

    Raises:
        InvalidArgument: More are right than were counted, or counted than there are.

    Complexity: O(wrong in the sample x log population).
    """
    exact = share(confidence, "confidence")
    quantities.natural(right, "right")
    quantities.positive(sample, "sample")
    if right > sample:
        raise InvalidArgument("right", str(right), f"at most the {sample} counted")
    least: int | None
    bound: Fraction | float
    if population is None:
        least, bound = None, _clopper_pearson(right, sample, 1 - exact)
    elif sample > quantities.positive(population, "population"):
        raise InvalidArgument("sample", str(sample), f"at most the {population} records there are")
    else:
        least = _fewest_right(right, sample, population, 1 - exact)
        bound = Fraction(least, population)
    return Certificate(
        right=right,
        sample=sample,
        population=population,
        confidence=exact,
        right_at_least=least,
        accuracy_at_least=bound,
    )


def _fewest_right(right: int, sample: int, population: int, risk: Fraction) -> int:
    """Return the fewest right records under which as many right ones in the sample are likely."""
    wrong = sample - right
    low, high = right, population - wrong
    while low < high:
        middle = (low + high) // 2
        # More right records make a sample this good likelier: a bisection.
        if _hypergeometric_at_most(wrong, sample, population - middle, population) > risk:
            high = middle
        else:
            low = middle + 1
    return low


def _clopper_pearson(right: int, sample: int, risk: Fraction) -> float:
    """Return the accuracy at which *right* or more of *sample* have just the chance *risk*."""
    if right == 0:
        return 0.0
    wrong, low, high = sample - right, 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        chance = math.fsum(_binomial(k, sample, middle) for k in range(wrong + 1))
        low, high = (middle, high) if chance < risk else (low, middle)
    return low


def _binomial(wrong: int, sample: int, accuracy: float) -> float:
    """Return P(*wrong* of *sample*), by logarithms: the ways alone would leave a float."""
    ways = math.lgamma(sample + 1) - math.lgamma(wrong + 1) - math.lgamma(sample - wrong + 1)
    chance = wrong * math.log1p(-accuracy) + (sample - wrong) * math.log(accuracy)
    return math.exp(ways + chance)


# --- stopping early ---------------------------------------------------------------------


def _rate(value: Share) -> Fraction:
    return share(value, "rate")


@attrs.frozen(kw_only=True)
class Sequential:
    """
    Wald's sequential test of an error rate: count on until one of two lines is crossed.

    After n counts with d wrong ones: accept when d <= slope n + accept, reject when
    d >= slope n + reject. Floats: they are logarithms.

    >>> test = Sequential(good=0.02, bad=0.06)
    >>> test.verdict(54, 0), test.verdict(55, 0), test.verdict(20, 4)
    ('go on', 'accept', 'reject')

    Attributes:
        good: The error rate one can live with.
        bad: The error rate one cannot.
        producer_risk: The chance to reject records that are good.
        consumer_risk: The chance to accept records that are bad.
    """

    good: Fraction = attrs.field(converter=_rate)
    bad: Fraction = attrs.field(converter=_rate)
    producer_risk: Fraction = attrs.field(default=Fraction(5, 100), converter=_rate)
    consumer_risk: Fraction = attrs.field(default=Fraction(10, 100), converter=_rate)

    def __attrs_post_init__(self) -> None:
        if not self.good < self.bad:
            raise InvalidArgument("bad", names.shown(self.bad), f"more than good={self.good}")
        if not self.producer_risk + self.consumer_risk < 1:
            seen = names.shown(self.consumer_risk)
            raise InvalidArgument("consumer_risk", seen, "less than 1 with producer_risk")

    @property
    def _scale(self) -> float:
        """Return by how much one wrong count moves the logarithm of the likelihood ratio."""
        return math.log(self.bad * (1 - self.good) / (self.good * (1 - self.bad)))

    @property
    def slope(self) -> float:
        """How many wrong ones per count neither line minds."""
        return math.log((1 - self.good) / (1 - self.bad)) / self._scale

    @property
    def reject(self) -> float:
        """Where the upper line begins."""
        return math.log((1 - self.consumer_risk) / self.producer_risk) / self._scale

    @property
    def accept(self) -> float:
        """Where the lower line begins; below zero."""
        return math.log(self.consumer_risk / (1 - self.producer_risk)) / self._scale

    def verdict(self, counted: int, wrong: int) -> str:
        """
        Return "accept", "reject" or "go on" after *counted* records with *wrong* ones.

        Raises:
            InvalidArgument: More are wrong than were counted.
        """
        if quantities.natural(wrong, "wrong") > quantities.natural(counted, "counted"):
            raise InvalidArgument("wrong", str(wrong), f"at most the {counted} counted")
        line = self.slope * counted
        if wrong >= line + self.reject:
            return "reject"
        return "accept" if wrong <= line + self.accept else "go on"
