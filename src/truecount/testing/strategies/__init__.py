"""
Hypothesis strategies for everything a shop may say, from a quantity to a whole history.

They need the extra ``testing``. Import the package and draw from it::

    from hypothesis import given
    from truecount.testing import strategies as shops

    @given(shops.histories())
    def test_my_shop(steps): ...

All of them take ``names=``, a :class:`Names`, so that they speak of your own goods. What they
generate is plain and small: a failure shrinks to a few steps.
"""

from __future__ import annotations

from truecount.testing.strategies.bundles import cyclic_recipes, recipes
from truecount.testing.strategies.histories import (
    counted_histories,
    deliveries,
    histories,
    mistakes,
    orders,
    purchases,
    steps,
    ticks,
    transfers,
)
from truecount.testing.strategies.names import (
    NAMES,
    Names,
    carts,
    edge_quantities,
    keys,
    locations,
    lots,
    moments,
    quantities,
    skus,
    wrong_quantities,
)
from truecount.testing.strategies.observations import counts, levels
from truecount.testing.strategies.operations import (
    commands,
    facts,
    operations,
    reservation_acts,
)
from truecount.testing.strategies.planted import PlantedError, PlantedWorld, planted_worlds


__all__ = [
    "NAMES",
    "Names",
    "PlantedError",
    "PlantedWorld",
    "carts",
    "commands",
    "counted_histories",
    "counts",
    "cyclic_recipes",
    "deliveries",
    "edge_quantities",
    "facts",
    "histories",
    "keys",
    "levels",
    "locations",
    "lots",
    "mistakes",
    "moments",
    "operations",
    "orders",
    "planted_worlds",
    "purchases",
    "quantities",
    "recipes",
    "reservation_acts",
    "skus",
    "steps",
    "ticks",
    "transfers",
    "wrong_quantities",
]
