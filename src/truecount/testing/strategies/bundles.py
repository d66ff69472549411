"""Recipes: nested, with components in common, and, where wanted, in a circle."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st

from truecount.testing.strategies.names import NAMES, Names, quantities


_DEPTH_MAX: Final = 4


@st.composite
def recipes(draw: st.DrawFn, names: Names = NAMES, *, most: int = 3) -> dict[str, dict[str, int]]:
    """
    Return a recipe for some of the bundles, nested and sharing components, never in a circle.

    Each is made of SKUs and of bundles later in ``names.bundles``; the last ones come first,
    so that they can be defined in this order.
    """
    found: dict[str, dict[str, int]] = {}
    chosen = draw(st.sets(st.sampled_from(names.bundles), min_size=1))
    for bundle in reversed([each for each in names.bundles if each in chosen]):
        parts = st.sampled_from((*names.skus, *found))
        found[bundle] = draw(st.dictionaries(parts, quantities(most), min_size=1, max_size=3))
    return found


@st.composite
def cyclic_recipes(draw: st.DrawFn, names: Names = NAMES) -> list[tuple[str, dict[str, int]]]:
    """Return definitions, in order, the last of which would close a circle of any length."""
    length = draw(st.integers(1, _DEPTH_MAX))
    circle = [f"{names.bundles[0]}-{number}" for number in range(length)]
    definitions = [
        (bundle, {circle[number - 1] if number else names.skus[0]: draw(quantities())})
        for number, bundle in enumerate(circle)
    ]
    return [*definitions, (circle[0], {circle[-1]: draw(quantities()), names.skus[0]: 1})]
