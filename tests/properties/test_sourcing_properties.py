"""Sourcing: never more than offered, all there is, and from as few places as can be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from truecount.reservations.sourcing import (
    EXACT_MAX,
    SOURCING,
    Share,
    Sourcing,
    by_priority,
    fewest_locations,
)


SKUS = ("CUP", "MUG", "TEA")

quantities = st.dictionaries(st.sampled_from(SKUS), st.integers(1, 9), min_size=1)
POLICIES = pytest.mark.parametrize("policy", SOURCING.values(), ids=SOURCING.keys())


@st.composite
def networks(
    draw: st.DrawFn, max_places: int = 5
) -> tuple[dict[str, int], dict[str, dict[str, int]], list[str]]:
    """Return what is wanted, what each place offers of that, and all places by priority."""
    wanted = draw(quantities)
    order = [f"place-{number:02}" for number in range(draw(st.integers(0, max_places)))]
    offer = st.dictionaries(st.sampled_from(sorted(wanted)), st.integers(1, 9))
    offered = {place: found for place in order if (found := draw(offer))}
    return wanted, offered, draw(st.permutations(order))


Network = tuple[dict[str, int], dict[str, dict[str, int]], list[str]]


def total(offers: Iterable[Mapping[str, int]]) -> Counter[str]:
    """Return what places offer together."""
    units: Counter[str] = Counter()
    for offer in offers:
        units.update(offer)
    return units


def serves(wanted: Mapping[str, int], offers: Iterable[Mapping[str, int]]) -> bool:
    """Return whether places have all of it together."""
    return all(total(offers)[sku] >= quantity for sku, quantity in wanted.items())


def places_of(shares: Sequence[Share]) -> set[str]:
    """Return where shares come from."""
    return {share.location for share in shares}


@POLICIES
@given(network=networks())
def test_shares_never_exceed_what_is_offered(policy: Sourcing, network: Network) -> None:
    """Nor is anything taken that is not wanted, or nothing at all, or twice from a place."""
    wanted, offered, order = network
    shares = policy(wanted, offered, order)
    assert len({(share.sku, share.location) for share in shares}) == len(shares)
    for share in shares:
        assert share.sku in wanted
        assert 1 <= share.quantity <= offered[share.location][share.sku]


@POLICIES
@given(network=networks(max_places=EXACT_MAX + 4))
def test_shares_add_up_to_what_is_wanted_or_there(policy: Sourcing, network: Network) -> None:
    """The smaller of the two, for every SKU, in networks small and large."""
    wanted, offered, order = network
    taken: Counter[str] = Counter()
    for share in policy(wanted, offered, order):
        taken[share.sku] += share.quantity
    there = total(offered.values())
    assert taken == +Counter({sku: min(units, there[sku]) for sku, units in wanted.items()})


@given(network=networks())
def test_fewest_is_the_smallest_number_there_is(network: Network) -> None:
    """No smaller set of places, tried one by one, would have served."""
    wanted, offered, order = network
    shares = fewest_locations(wanted, offered, order)
    if not serves(wanted, offered.values()):
        assert shares == by_priority(wanted, offered, order)
        return
    used = len(places_of(shares))
    for chosen in combinations(offered.values(), used - 1):
        assert not serves(wanted, chosen)


@given(network=networks())
def test_ties_go_to_the_first_places(network: Network) -> None:
    """Of all smallest sets that serve, it is the first in the order of the places."""
    wanted, offered, order = network
    shares = fewest_locations(wanted, offered, order)
    if serves(wanted, offered.values()):
        useful = [place for place in order if place in offered]
        smallest = (
            set(chosen)
            for chosen in combinations(useful, len(places_of(shares)))
            if serves(wanted, [offered[place] for place in chosen])
        )
        assert places_of(shares) == next(smallest)


@given(network=networks())
def test_policies_change_nothing_they_are_given(network: Network) -> None:
    """They are functions of their arguments: asked again they say the same."""
    wanted, offered, order = network
    for policy in SOURCING.values():
        first = policy(wanted, offered, order)
        assert policy(dict(wanted), {p: dict(o) for p, o in offered.items()}, list(order)) == first
