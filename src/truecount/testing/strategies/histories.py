"""
Whole histories of a shop: what usually follows what, and anything else in between.

A history begins with some stock, so that commands may be granted. Valid and invalid calls are
mixed, facts are dated before and after, movements are undone and corrected, clocks are set
back. :func:`deliveries` says operations the way a network does: twice, and out of order.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from hypothesis import strategies as st

from truecount.model.commands import TransferOut
from truecount.model.facts import (
    Arrived,
    Counted,
    Damaged,
    DeliveryClosed,
    Expected,
    Lost,
    Received,
    Rejected,
    Returned,
    Sold,
)
from truecount.model.operation import Operation
from truecount.model.places import State
from truecount.model.reservation_commands import (
    Amend,
    Confirm,
    Pick,
    Release,
    Reserve,
    Ship,
    ShortPick,
    TakeBack,
)
from truecount.testing.playing import Again, Step, Tick
from truecount.testing.strategies.names import NAMES, Names, carts, locations, quantities, skus
from truecount.testing.strategies.operations import facts, operations


def ticks() -> st.SearchStrategy[Tick]:
    """Return steps of a clock: forward mostly; clocks are also set back."""
    return st.sampled_from((1, 60, 360, 3600, 86_400, -600)).map(
        lambda seconds: Tick(timedelta(seconds=seconds))
    )


def mistakes(names: Names = NAMES) -> st.SearchStrategy[Again]:
    """Return movements to be undone or corrected, of the newest ones."""
    back = st.integers(0, 5)
    return st.one_of(
        st.builds(Again, back=back, quantity=st.none() | st.integers(0, 6)),
        st.builds(
            Again,
            back=back,
            quantity=st.none() | st.integers(1, 6),
            sku=st.none() | skus(names),
            at=st.none() | locations(names),
            lot=st.none() | st.sampled_from(("", names.lot)),
        ),
    )


def steps(names: Names = NAMES) -> st.SearchStrategy[Step]:
    """Return single steps: an operation, several in one transaction, a tick, a mistake mended."""
    said = operations(names)
    stocking = facts(names)
    return st.one_of(
        said,
        st.one_of(stocking["received"], stocking["received_lot"]),
        st.lists(said, min_size=2, max_size=5).map(tuple),
        ticks(),
        mistakes(names),
    )


# --- journeys -----------------------------------------------------------------------------


@st.composite
def orders(draw: st.DrawFn, names: Names = NAMES) -> list[Step]:
    """Return an order's way from the cart to the customer and back, with detours."""
    reference = draw(st.sampled_from(names.orders))
    wanted = draw(carts(names))
    at = draw(st.sampled_from((None, *names.locations)))
    number = draw(st.integers(0, 10_000))
    first, last = names.skus[0], names.skus[-1]
    acts: tuple[Operation, ...] = (
        Confirm(reference=reference, on_expired="rehold"),
        Amend(wanted, reference=reference),
        Pick(wanted, reference=reference, key=f"pick-{number}"),
        Pick(reference=reference),
        ShortPick({first: 1}, reference=reference, key=f"short-{number}"),
        Ship(reference=reference),
        Sold(first, 1, at=names.locations[0], reference=reference),
        Ship({last: 1}, reference=reference, key=f"parcel-{number}"),
        TakeBack({first: 1}, reference=reference, key=f"rma-{number}"),
        Release(reference=reference),
    )
    chosen = sorted(draw(st.sets(st.integers(0, len(acts) - 1), max_size=6)))
    way: list[Step] = [Reserve(wanted, reference=reference, at=at, partial=draw(st.booleans()))]
    for index in chosen:
        way.append(acts[index])
        if draw(st.integers(0, 5)) == 0:
            way.append(draw(st.one_of(ticks(), mistakes(names))))
    return way


@st.composite
def transfers(draw: st.DrawFn, names: Names = NAMES) -> list[Step]:
    """Return a transfer and what came of it."""
    reference, sent = draw(st.sampled_from(names.transfers)), draw(carts(names))
    source, target, *_ = draw(st.permutations(names.locations))
    ends = (
        Arrived(sent, reference=reference),
        Rejected({names.skus[0]: 1}, reference=reference),
        Lost({names.skus[-1]: 1}, reference=reference),
    )
    out = TransferOut(sent, source=source, target=target, reference=reference)
    came = draw(st.lists(st.sampled_from(ends), max_size=3))
    return [out, *came, *draw(st.lists(mistakes(names), max_size=1))]


@st.composite
def purchases(draw: st.DrawFn, names: Names = NAMES) -> list[Step]:
    """Return a purchase order and its deliveries."""
    reference, sku = draw(st.sampled_from(names.purchases)), draw(skus(names))
    at = draw(st.sampled_from(names.locations))
    ends = (
        Received(sku, draw(quantities(9)), at=at, reference=reference),
        Received(sku, 2, at=at, reference=reference, rejected=1, lot=names.lot),
        DeliveryClosed(sku, at=at, reference=reference),
    )
    ordered = Expected(sku, draw(quantities(9)), at=at, reference=reference)
    came = draw(st.lists(st.sampled_from(ends), max_size=3))
    return [ordered, *came, *draw(st.lists(mistakes(names), max_size=1))]


def histories(names: Names = NAMES, *, parts: int = 12) -> st.SearchStrategy[list[Step]]:
    """
    Return lists of steps: journeys of orders, transfers and deliveries, and anything else.

    *parts* bounds how many journeys follow the first stock.
    """
    first, last = names.skus[0], names.skus[-1]
    stocked: st.SearchStrategy[list[Step]] = st.tuples(
        st.builds(
            Received, sku=st.just(first), quantity=quantities(9), at=st.just(names.locations[0])
        ),
        st.builds(
            Received, sku=st.just(last), quantity=quantities(9), at=st.just(names.locations[-1])
        ),
    ).map(list)
    alone: st.SearchStrategy[list[Step]] = st.lists(steps(names), min_size=1, max_size=3)
    journeys = st.lists(
        st.one_of(orders(names), orders(names), transfers(names), purchases(names), alone),
        max_size=parts,
    )
    return st.builds(
        lambda first, rest: [*first, *(step for part in rest for step in part)], stocked, journeys
    )


# --- much counted, much told late -----------------------------------------------------------

_COVERS: Final = (
    Counted("MUG", 0, at="berlin").covers,
    frozenset(State) - {State.IN_TRANSIT, State.INCOMING},
    frozenset({State.SELLABLE}),
    frozenset({State.SELLABLE, State.QUARANTINE}),
)


def counted_histories(names: Names = NAMES) -> st.SearchStrategy[list[Step]]:
    """Return histories of few moments and one shelf: much counted, told late, and taken back."""
    hours = st.integers(-6, 0).map(lambda hours: names.start + timedelta(hours=hours))
    shelf: dict[str, st.SearchStrategy[Any]] = {
        "sku": st.just(names.skus[0]),
        "at": st.just(names.locations[0]),
        "lot": st.sampled_from(("", "", "", names.lot)),
    }
    told = {"quantity": quantities(), "occurred_at": hours, **shelf}
    late: st.SearchStrategy[Operation] = st.one_of(
        st.builds(Received, **told),
        st.builds(Sold, **told),
        st.builds(Returned, into=st.just("quarantine"), **told),
        st.builds(Damaged, **told),
    )
    counts = st.builds(
        Counted,
        quantity=st.integers(0, 9),
        covers=st.sampled_from(_COVERS),
        counted_at=st.none() | hours,
        **shelf,
    )
    # Mapped, because a choice among choices would be one among all of them, with few counts.
    late = late.map(lambda fact: fact)
    others = operations(names).map(lambda operation: operation)
    return st.lists(
        st.one_of(
            counts,
            late,
            st.builds(Again, back=st.integers(0, 5)),
            mistakes(names).map(lambda taken: taken),
            others,
            st.just(Tick(timedelta(hours=1))),
            st.lists(st.one_of(counts, late, others), min_size=2, max_size=4).map(tuple),
        ),
        min_size=5,
        max_size=20,
    )


# --- as a network delivers -------------------------------------------------------------------


@st.composite
def deliveries(
    draw: st.DrawFn, said: st.SearchStrategy[Sequence[Operation]]
) -> tuple[list[Operation], list[Operation]]:
    """
    Return operations as they were said, and as they came: some twice or more, in any order.

    Each has a key of its own, so that what came may be compared with what was said.
    """
    sent = [each.with_key(f"once-{number}") for number, each in enumerate(draw(said))]
    copies = draw(st.lists(st.integers(1, 3), min_size=len(sent), max_size=len(sent)))
    came = [each for each, often in zip(sent, copies, strict=True) for _ in range(often)]
    return sent, draw(st.permutations(came))
