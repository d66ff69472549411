"""
The words of a generated shop: few names on purpose, so that they meet, and edges of numbers.

Every strategy of the kit takes ``names=``, so that histories can speak of your own SKUs,
locations and orders.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import attrs
from hypothesis import strategies as st

from truecount.model.quantities import QUANTITY_MAX


@attrs.frozen(kw_only=True)
class Names:
    """
    What the things of a generated shop are called.

    >>> Names(skus=("SHIRT", "SOCKS")).locations
    ('berlin', 'hamburg')

    Attributes:
        skus: What is bought and sold.
        kit: The SKU that is assembled from the first ones of *skus*.
        bundles: Bundles, each made of *skus* or of those after it.
        locations: Locations that are declared, in this order.
        nowhere: One that is not, None to name none.
        lot: The one lot there is beside goods without one.
        orders, purchases, transfers: References of each kind of document.
        start: The moment histories begin at; facts are dated around it.
    """

    skus: tuple[str, ...] = ("MUG", "TEA")
    kit: str = "GIFT"
    bundles: tuple[str, ...] = ("BOX", "SET")
    locations: tuple[str, ...] = ("berlin", "hamburg")
    nowhere: str | None = "atlantis"
    lot: str = "L-1"
    orders: tuple[str, ...] = ("order-1", "order-2")
    purchases: tuple[str, ...] = ("po-1", "po-2")
    transfers: tuple[str, ...] = ("move-1", "move-2")
    start: datetime = datetime(2026, 3, 1, 9, tzinfo=UTC)


#: What strategies speak of by default.
NAMES: Final = Names()


def skus(names: Names = NAMES) -> st.SearchStrategy[str]:
    """Return SKUs of the shop."""
    return st.sampled_from(names.skus)


def locations(names: Names = NAMES) -> st.SearchStrategy[str]:
    """Return locations, now and then one that was never declared."""
    strange = () if names.nowhere is None else (names.nowhere,)
    return st.sampled_from((*names.locations * 8, *strange))


def lots(names: Names = NAMES) -> st.SearchStrategy[str]:
    """Return lots, mostly none."""
    return st.sampled_from(("", "", names.lot))


def quantities(most: int = 4) -> st.SearchStrategy[int]:
    """Return small quantities, from one to *most*: they run out and meet."""
    return st.integers(1, most)


def edge_quantities() -> st.SearchStrategy[int]:
    """Return quantities at the edges: one, two, and around the largest the ledger takes."""
    return st.sampled_from((1, 2, QUANTITY_MAX - 1, QUANTITY_MAX))


def wrong_quantities() -> st.SearchStrategy[object]:
    """Return what is no quantity: zero, negative, too large, a fraction, a flag, text."""
    return st.sampled_from((0, -1, QUANTITY_MAX + 1, 2**63, 1.0, 0.5, True, "1", None))


def moments(names: Names = NAMES) -> st.SearchStrategy[datetime | None]:
    """Return no moment, one before the history, within it, or too far ahead of any clock."""
    return st.none() | st.integers(-72, 6).map(lambda hours: names.start + timedelta(hours=hours))


def keys(most: int = 300) -> st.SearchStrategy[str | None]:
    """Return idempotency keys, now and then the same one; None for a minted one."""
    return st.none() | st.integers(0, most).map("key-{}".format)


def carts(names: Names = NAMES, most: int = 4) -> st.SearchStrategy[dict[str, int]]:
    """Return lines: SKUs of the shop and how many of each."""
    return st.dictionaries(
        skus(names), quantities(most), min_size=1, max_size=min(2, len(names.skus))
    )
