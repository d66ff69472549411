"""
Strategies for histories of a shop that sells bundles, nested and kept in stock among them.

Two components, a set of them, a box with a set inside; recipes change while orders are open.
Steps are those of ``tests.strategies`` and are played by its ``play``.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from hypothesis import strategies as st

from tests.strategies import LOCATIONS, ORDERS, Shop, Step, again, moments, new_shop, ticks
from truecount import (
    Amend,
    Assemble,
    Confirm,
    DefineBundle,
    Disassemble,
    Operation,
    Pick,
    Received,
    Release,
    RemoveBundle,
    Reserve,
    Returned,
    Ship,
    ShortPick,
    Sold,
    TakeBack,
)
from truecount.protocols.storage import Storage


COMPONENTS: Final = ("MUG", "TEA")
SET: Final = "GIFT"
BOX: Final = "BOX"
SKUS: Final = (*COMPONENTS, SET, BOX)

skus = st.sampled_from((*COMPONENTS, SET, SET, BOX))
quantities = st.integers(1, 3)
locations = st.sampled_from(LOCATIONS)
orders = st.sampled_from(ORDERS)
lines = st.dictionaries(skus, quantities, min_size=1, max_size=3)
keys = st.integers(0, 100_000).map("key-{}".format)
recipes = st.fixed_dictionaries({}, optional={"MUG": quantities, "TEA": quantities}).filter(bool)


def bundle_shop(storage: Storage | None = None) -> Shop:
    """Return a shop with stock of the components, and with both bundles defined."""
    shop = new_shop(storage)
    for sku, quantity in (("MUG", 9), ("TEA", 6)):
        for at in LOCATIONS:
            shop.inventory.receive(sku, quantity, at=at)
    shop.inventory.bundles.define(SET, {"MUG": 2, "TEA": 1})
    shop.inventory.bundles.define(BOX, {SET: 1, "MUG": 1})
    return shop


def _keyed(kind: type[Operation], **words: st.SearchStrategy[Any]) -> st.SearchStrategy[Operation]:
    return st.builds(kind, key=keys, **words)


_some_lines = st.none() | lines
_parts = st.sampled_from((None, {"MUG": 1, "TEA": 1}))

ACTS: Final = st.one_of(
    _keyed(Received, sku=skus, quantity=quantities, at=locations),
    _keyed(DefineBundle, sku=st.just(SET), components=recipes),
    _keyed(DefineBundle, sku=st.sampled_from((SET, BOX)), components=lines),
    _keyed(RemoveBundle, sku=st.sampled_from((SET, BOX))),
    _keyed(Assemble, sku=st.just(SET), quantity=quantities, components=_parts, at=locations),
    _keyed(Disassemble, sku=st.just(SET), quantity=quantities, components=_parts, at=locations),
    _keyed(
        Sold,
        sku=skus,
        quantity=quantities,
        at=locations,
        reference=st.none() | orders,
        occurred_at=moments,
    ),
    _keyed(Returned, sku=skus, quantity=quantities, at=locations, reference=st.none() | orders),
    _keyed(
        Reserve,
        lines=lines,
        reference=orders,
        at=st.none() | locations,
        ttl=st.sampled_from((None, timedelta(minutes=5))),
        partial=st.booleans(),
        kits_apart=st.booleans(),
    ),
    _keyed(Confirm, reference=orders, on_expired=st.sampled_from(("refuse", "rehold"))),
    _keyed(Amend, reference=orders, lines=st.dictionaries(skus, st.integers(0, 4), min_size=1)),
    _keyed(Release, reference=orders, lines=_some_lines),
    _keyed(Pick, reference=orders, lines=_some_lines, at=st.none() | locations),
    _keyed(ShortPick, reference=orders, lines=lines),
    _keyed(Ship, reference=orders, lines=_some_lines),
    _keyed(TakeBack, reference=orders, lines=lines, at=locations),
)


@st.composite
def journeys(draw: st.DrawFn) -> list[Step]:
    """Return an order's way, its recipe changed on the way, and back."""
    reference = draw(orders)
    wanted = {draw(st.sampled_from((SET, BOX))): draw(quantities)} | draw(lines)
    number = draw(st.integers(0, 10_000))
    acts: tuple[Operation, ...] = (
        DefineBundle(SET, draw(recipes)),
        Confirm(reference=reference, on_expired="rehold"),
        DefineBundle(BOX, {SET: draw(quantities)}),
        Amend({SET: draw(st.integers(0, 4))}, reference=reference),
        Pick({SET: 1}, reference=reference, key=f"pick-{number}"),
        ShortPick({"MUG": 1}, reference=reference, key=f"short-{number}"),
        Ship({SET: 1}, reference=reference, key=f"parcel-{number}"),
        Sold(SET, 1, at="berlin", reference=reference),
        Ship(reference=reference),
        TakeBack({SET: 1}, reference=reference, key=f"rma-{number}", at="berlin"),
        Returned(BOX, 1, at="berlin", reference=reference),
        Release(reference=reference),
    )
    chosen = sorted(draw(st.sets(st.integers(0, len(acts) - 1), max_size=8)))
    way: list[Step] = [
        Reserve(wanted, reference=reference, kits_apart=draw(st.booleans()), partial=True)
    ]
    for index in chosen:
        way.append(acts[index])
        if draw(st.integers(0, 4)) == 0:
            way.append(draw(st.one_of(ticks, again)))
    return way


_alone: Final[st.SearchStrategy[list[Step]]] = st.lists(
    st.one_of(ACTS, ACTS, st.lists(ACTS, min_size=2, max_size=4).map(tuple), ticks, again),
    min_size=1,
    max_size=4,
)


def bundle_histories(parts: int = 8) -> st.SearchStrategy[list[Step]]:
    """Return lists of steps; *parts* bounds how many journeys and loose steps they have."""
    return st.lists(st.one_of(journeys(), _alone), min_size=1, max_size=parts).map(
        lambda found: [step for part in found for step in part]
    )
