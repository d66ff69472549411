"""
Explanations are as sure as they are right: causes are planted and looked for, many times.

Causes are drawn as often as the priors say, sites evenly, and a hit is the exact cause at
the exact site. The injector (``tests.planted_causes``) knows the causes by definition only.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

import pytest

from tests.planted_causes import Planted, Shop, drawn, plant
from truecount.explaining.explain import explain
from truecount.explaining.priors import DEFAULTS, CauseKind, Certainty


class Trial(NamedTuple):
    """One planted cause: how sure the answer was, and whether it was right."""

    probability: float
    verdict: Certainty
    #: Whether the planted cause is the first, or among the first three.
    first: bool
    third: bool


def trials(number: int, seed: int, *, looked_up: bool) -> list[Trial]:
    """Return what became of *number* planted causes, with one noisy bit per site or none."""
    luck = random.Random(seed)
    found: list[Trial] = []
    while len(found) < number:
        shop = Shop(luck)
        planted = plant(shop, drawn(luck, DEFAULTS))
        if not shop.deltas():
            continue
        signs = shop.noisy_signs(planted) if looked_up else None
        answer = explain(shop.discrepancies(), shop.evidence(signs))[0]
        hits = [
            {(cause.kind, cause.site) for cause in hypothesis.causes}
            == {(planted.kind, planted.site)}
            for hypothesis in answer.hypotheses
        ]
        found.append(Trial(answer.probability, answer.verdict, hits[0], any(hits[:3])))
    return found


def share(hits: Sequence[bool]) -> float:
    """Return how many of *hits* there are."""
    return sum(hits) / len(hits)


def gap(found: Sequence[Trial]) -> float:
    """Return the mean distance between stated and true chances, over ten bins of chances."""
    bins: dict[int, list[Trial]] = {}
    for each in found:
        bins.setdefault(min(9, int(10 * each.probability)), []).append(each)
    distances = [
        abs(sum(each.probability for each in bin_) - sum(each.first for each in bin_))
        for bin_ in bins.values()
    ]
    return sum(distances) / len(found)


def precision(found: Sequence[Trial]) -> float:
    """Return how often a confident answer is right."""
    return share([each.first for each in found if each.verdict is Certainty.CONFIDENT])


#: What sampling adds to the gap of some hundred trials; thousands must do without.
NOISE = 0.04


def check_ledger_alone(found: Sequence[Trial], noise: float = 0.0) -> None:
    """Hold what is promised without any look-up: few answers are sure, and those are right."""
    assert precision(found) >= 0.97
    assert gap(found) <= 0.05 + noise
    assert share([each.first for each in found]) >= 0.6
    assert share([each.third for each in found]) >= 0.7


def check_looked_up(found: Sequence[Trial], noise: float = 0.0) -> None:
    """Hold what is promised with one noisy bit for each site."""
    assert precision(found) >= 0.97
    assert gap(found) <= 0.05 + noise
    assert share([each.first for each in found]) >= 0.85
    assert share([each.third for each in found]) >= 0.93
    assert share([each.verdict is Certainty.CONFIDENT for each in found]) >= 0.7


def test_ledger_alone_is_as_sure_as_it_is_right() -> None:
    """Two hundred causes, and nothing but the book to go by."""
    check_ledger_alone(trials(200, 7, looked_up=False), NOISE)


def test_with_a_noisy_look_up_the_cause_is_found() -> None:
    """Two hundred causes, each site looked up by a test that errs in both directions."""
    check_looked_up(trials(200, 8, looked_up=True), NOISE)


@pytest.mark.slow
def test_ledger_alone_over_thousands_of_causes() -> None:
    """Six thousand causes, and the share of confident answers."""
    found = trials(6_000, 11, looked_up=False)
    check_ledger_alone(found)
    assert share([each.verdict is Certainty.CONFIDENT for each in found]) >= 0.35


@pytest.mark.slow
def test_with_a_noisy_look_up_over_thousands_of_causes() -> None:
    """Six thousand causes with one noisy bit for each site."""
    check_looked_up(trials(6_000, 12, looked_up=True))


def both_named(number: int, seed: int) -> float:
    """Return how often two causes with a site, looked up and found, are both named."""
    luck = random.Random(seed)
    seen = [kind for kind in DEFAULTS if kind not in {CauseKind.MISSING, CauseKind.UNEXPLAINED}]
    weights = {kind: DEFAULTS[kind] if kind in seen else 0.0 for kind in CauseKind}
    hits: list[bool] = []
    while len(hits) < number:
        shop = Shop(luck)
        one, two = (plant(shop, drawn(luck, weights)) for _ in range(2))
        if one.kind is two.kind:
            continue
        found = explain(shop.discrepancies(), shop.evidence(shop.noisy_signs(one, two, hit=1.0)))
        named = {Planted(cause.kind, cause.site) for each in found for cause in each.causes}
        hits.append({one, two} <= named)
    return share(hits)


def test_two_causes_at_once_are_both_named() -> None:
    """Two things went wrong in one week; the best hypotheses name both."""
    assert both_named(60, 13) >= 0.85


@pytest.mark.slow
def test_two_causes_at_once_are_both_named_over_thousands() -> None:
    """The same, often enough to trust the share."""
    assert both_named(2_000, 14) >= 0.88
