"""
The kinds of causes, how common each is before anything is looked at, and the verdicts.

Rules:
1. Priors are configuration: relative weights, not truths. The defaults are a start, and
   ``learned`` moves them towards what a shop confirmed.
2. Weights are floats because they are beliefs; quantities never are.

Formulas (Bayes): the weight of one cause at one site is
P(kind) x P(site | kind) x P(evidence | cause) / P(evidence | no cause), and the
probability of a hypothesis is its weight over the weights of all of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

import attrs

from truecount.errors import InvalidArgument
from truecount.model import names, quantities


class CauseKind(StrEnum):
    """What may have gone wrong, in the field's words."""

    MISSING = "missing"
    DUPLICATE = "duplicate"
    IN_FLIGHT = "in_flight"
    STALE_PUSH = "stale_push"
    WRONG_FORMULA = "wrong_formula"
    NOT_PUT_BACK = "not_put_back"
    KIT_NOT_EXPLODED = "kit_not_exploded"
    UNIT = "unit"
    WRONG_SKU = "wrong_sku"
    WRONG_LOCATION = "wrong_location"
    TRANSPOSED = "transposed"
    SIGN = "sign"
    SLIP = "slip"
    HALF_BOOKED = "half_booked"
    HOLD = "hold"
    OLD_BOOK = "old_book"
    LOST_UPDATE = "lost_update"
    UNEXPLAINED = "unexplained"


class Certainty(StrEnum):
    """How far an explanation may be trusted; only CONFIDENT may feed a repair unseen."""

    CONFIDENT = "confident"
    LIKELY = "likely"
    AMBIGUOUS = "ambiguous"
    UNEXPLAINED = "unexplained"


#: Where a shop starts. The last four before UNEXPLAINED are guesses.
DEFAULTS: Final[Mapping[CauseKind, float]] = {
    CauseKind.MISSING: 0.30,
    CauseKind.DUPLICATE: 0.12,
    CauseKind.IN_FLIGHT: 0.15,
    CauseKind.STALE_PUSH: 0.10,
    CauseKind.WRONG_FORMULA: 0.05,
    CauseKind.NOT_PUT_BACK: 0.08,
    CauseKind.KIT_NOT_EXPLODED: 0.05,
    CauseKind.UNIT: 0.04,
    CauseKind.WRONG_SKU: 0.03,
    CauseKind.WRONG_LOCATION: 0.03,
    CauseKind.TRANSPOSED: 0.01,
    CauseKind.SIGN: 0.01,
    CauseKind.SLIP: 0.01,
    CauseKind.HALF_BOOKED: 0.02,
    CauseKind.HOLD: 0.02,
    CauseKind.OLD_BOOK: 0.02,
    CauseKind.LOST_UPDATE: 0.02,
    CauseKind.UNEXPLAINED: 0.02,
}


def _weights(value: Mapping[CauseKind, float]) -> dict[CauseKind, float]:
    """Return the defaults with those of *value* in their place, each a usable weight."""
    found = dict(DEFAULTS)
    for kind, weight in value.items():
        if not 0 <= weight < math.inf:
            raise InvalidArgument("prior", f"{kind} = {names.shown(weight)}", "a number >= 0")
        found[CauseKind(kind)] = float(weight)
    if not found[CauseKind.UNEXPLAINED]:
        raise InvalidArgument("prior", "unexplained = 0", "more: nothing is explained for certain")
    return found


def _chance(value: float) -> float:
    if not 0 < value < 1:
        raise InvalidArgument("chance", names.shown(value), "a number between 0 and 1")
    return value


@attrs.frozen(kw_only=True)
class Priors:
    """
    What is believed before anything is looked at.

    Attributes:
        weights: How common each kind of cause is; kinds not named keep their default.
        further: The chance that a figure with one cause has another, independent one.
        found_if_true: The chance that a look-up finds what a true cause leaves behind.
        found_if_false: The chance that it finds the same although the cause is not true.

    >>> round(Priors({}).odds(found=True), 6), round(Priors({}).odds(found=False), 6)
    (45.0, 0.102041)
    """

    weights: dict[CauseKind, float] = attrs.field(factory=dict, converter=_weights, kw_only=False)
    further: float = attrs.field(default=0.05, converter=_chance)
    found_if_true: float = attrs.field(default=0.9, converter=_chance)
    found_if_false: float = attrs.field(default=0.02, converter=_chance)

    def odds(self, *, found: bool | None) -> float:
        """Return by how much a look-up changes the odds of a cause; 1 when nobody looked."""
        if found is None:
            return 1.0
        if found:
            return self.found_if_true / self.found_if_false
        return (1 - self.found_if_true) / (1 - self.found_if_false)

    def learned(self, confirmed: Mapping[CauseKind, int], *, strength: float = 50.0) -> Priors:
        """
        Return priors moved towards confirmed cases, as the mean of a Dirichlet posterior.

        Args:
            confirmed: How often each kind turned out to be true.
            strength: How many cases the present weights are worth.

        >>> learned = Priors().learned({CauseKind.DUPLICATE: 50})
        >>> learned.weights[CauseKind.DUPLICATE] > 0.5
        True
        """
        total = sum(self.weights.values())
        cases = {
            CauseKind(kind): quantities.natural(times, "confirmed")
            for kind, times in confirmed.items()
        }
        scale = strength + sum(cases.values())
        weights = {
            kind: (strength * weight / total + cases.get(kind, 0)) / scale
            for kind, weight in self.weights.items()
        }
        return attrs.evolve(self, weights=weights)


def posterior(priors: Sequence[float], likelihoods: Sequence[float]) -> list[float]:
    """
    Return the probability of each hypothesis: prior times likelihood, normalized.

    >>> [round(p, 6) for p in posterior((0.30, 0.05, 0.02, 0.63), (1, 1, 1 / 9, 1 / 201))]
    [0.844223, 0.140704, 0.006254, 0.00882]
    """
    return normalized([a * b for a, b in zip(priors, likelihoods, strict=True)])


def normalized(weights: Sequence[float]) -> list[float]:
    """Return weights divided by their sum; the softmax of minus their costs."""
    total = math.fsum(weights)
    return [weight / total for weight in weights]


def verdict(
    probability: float, *, explained: bool, partly: bool = False, truncated: bool = False
) -> Certainty:
    """
    Return what may be said about a best hypothesis.

    Args:
        explained: It names a cause; otherwise nothing does.
        partly: Some of the difference is left without a cause.
        truncated: Not all hypotheses were looked at.

    >>> verdict(0.95, explained=True).value, verdict(0.95, explained=True, truncated=True).value
    ('confident', 'likely')
    """
    if not explained:
        return Certainty.UNEXPLAINED
    if probability >= CONFIDENT_FROM and not truncated and not partly:
        return Certainty.CONFIDENT
    return Certainty.LIKELY if probability >= LIKELY_FROM else Certainty.AMBIGUOUS


#: What a shop believes that says nothing else.
PRIORS: Final = Priors()

CONFIDENT_FROM: Final = 0.9
LIKELY_FROM: Final = 0.5
