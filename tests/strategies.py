"""
Strategies for whole histories: operations, valid and not, with time passing in between.

Few names on purpose, so that they meet: two SKUs and a kit, two locations (and one that was
never declared), a lot, a handful of references and keys. ``play`` runs a history.

    @given(histories())
    def test_something(steps: list[Step]) -> None:
        shop = new_shop()
        play(shop, steps)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

import attrs
from hypothesis import strategies as st

from truecount import (
    Adjusted,
    Amend,
    Arrived,
    Assemble,
    Confirm,
    Correct,
    Counted,
    Damaged,
    DeliveryClosed,
    Disassemble,
    Expected,
    Inspected,
    Inventory,
    Lost,
    Opened,
    Operation,
    Outcome,
    Pick,
    Policy,
    Received,
    Rejected,
    Release,
    Relocate,
    Reserve,
    Returned,
    ReturnedToSupplier,
    Scrapped,
    Ship,
    ShortPick,
    Sold,
    State,
    TakeBack,
    TransferOut,
    Undo,
)
from truecount.errors import InvalidRequest
from truecount.model.reservation_commands import Expire
from truecount.model.shop_rules import Put
from truecount.protocols.storage import Storage
from truecount.testing import CountingIds, ManualClock


START: Final = datetime(2026, 3, 1, 9, tzinfo=UTC)
SKUS: Final = ("MUG", "TEA")
KIT: Final = "GIFT"
LOCATIONS: Final = ("berlin", "hamburg")
LOT: Final = "L-1"
ORDERS: Final = ("order-1", "order-2")
PURCHASES: Final = ("po-1", "po-2")
TRANSFERS: Final = ("move-1", "move-2")


@attrs.frozen
class Tick:
    """Time passes."""

    by: timedelta


@attrs.frozen
class Again:
    """A movement of the history, counted from the newest, is undone or corrected."""

    back: int
    #: What should have been said; nothing at all to undo it.
    quantity: int | None = None
    sku: str | None = None
    at: str | None = None
    lot: str | None = None


#: One transaction, or time passing.
Step: TypeAlias = Operation | tuple[Operation, ...] | Tick | Again


@attrs.frozen
class Shop:
    """An inventory with its clock, moved by hand."""

    inventory: Inventory
    clock: ManualClock


def new_shop(storage: Storage | None = None) -> Shop:
    """Return a shop with two locations, whose tea may be promised before it is there."""
    clock = ManualClock(START)
    inventory = Inventory(storage, clock=clock, new_id=CountingIds())
    inventory.locations.add(*LOCATIONS)
    inventory.policies.set(Policy(backorder_limit=2), sku="TEA")
    return Shop(inventory, clock)


def play(shop: Shop, steps: Iterable[Step]) -> list[Outcome | InvalidRequest]:
    """Run a history; return what became of each operation, or why its call was wrong."""
    answers: list[Outcome | InvalidRequest] = []
    for step in steps:
        if isinstance(step, Tick):
            shop.clock.tick(step.by)
            continue
        try:
            answers += shop.inventory.submit(spoken(shop.inventory, step))
        except InvalidRequest as error:
            answers.append(error)
    return answers


def spoken(
    inventory: Inventory, step: Operation | tuple[Operation, ...] | Again
) -> Sequence[Operation]:
    """Return the operations of a step, in the words of one inventory."""
    if isinstance(step, Operation):
        return (step,)
    if isinstance(step, tuple):
        return step
    movements = inventory.feed(limit=10_000)
    if not movements:
        return ()
    id_ = movements[-1 - step.back % len(movements)].id
    said = attrs.asdict(
        step, filter=lambda field, value: field.name != "back" and value is not None
    )
    if not said:
        return (Undo(movement_id=id_, reason="a mistake"),)
    return (Correct(movement_id=id_, reason="a mistake", **said),)


# --- words ------------------------------------------------------------------------------

skus = st.sampled_from(SKUS)
quantities = st.integers(1, 4)
locations = st.sampled_from((*LOCATIONS * 8, "atlantis"))
lots = st.sampled_from(("", "", LOT))
orders = st.sampled_from(ORDERS)
#: Before the history begins, within it, and further ahead than any clock may be.
moments = st.none() | st.integers(-72, 6).map(lambda hours: START + timedelta(hours=hours))
keys = st.none() | st.integers(0, 300).map("key-{}".format)
lines = st.dictionaries(skus, quantities, min_size=1, max_size=2)
_free = st.sampled_from((State.SELLABLE, State.QUARANTINE, State.DAMAGED))


def _said(kind: type[Operation], **words: st.SearchStrategy[Any]) -> st.SearchStrategy[Operation]:
    """Return operations of *kind*, with the words all of them share."""
    return st.builds(kind, key=keys, occurred_at=moments, **words)


def _moved(
    kind: Callable[..., Operation], **words: st.SearchStrategy[Any]
) -> st.SearchStrategy[Operation]:
    """Return operations of *kind* from one location to the other."""
    routes = st.permutations(LOCATIONS)
    return st.builds(
        lambda route, **said: kind(source=route[0], target=route[1], **said),
        routes,
        key=keys,
        occurred_at=moments,
        **words,
    )


_delivered = st.sampled_from((*PURCHASES, None))
_expiry = st.just(START + timedelta(days=30))
_reasons = st.just("broken")

#: Facts of the stock ledger, one strategy for each.
FACTS: Final[dict[str, st.SearchStrategy[Operation]]] = {
    "opened": _said(Opened, sku=skus, quantity=quantities, at=locations, lot=lots),
    "expected": _said(
        Expected,
        sku=skus,
        quantity=quantities,
        at=locations,
        reference=st.sampled_from(PURCHASES),
    ),
    "received": _said(
        Received,
        sku=skus,
        quantity=st.integers(1, 9),
        at=locations,
        reference=_delivered,
        rejected=st.integers(0, 1),
    ),
    "received_lot": _said(
        Received,
        sku=skus,
        quantity=quantities,
        at=locations,
        reference=_delivered,
        lot=st.just(LOT),
        lot_expires_at=st.none() | _expiry,
    ),
    "closed": _said(DeliveryClosed, sku=skus, at=locations, reference=st.sampled_from(PURCHASES)),
    "sold": _said(
        Sold,
        sku=skus,
        quantity=quantities,
        at=locations,
        reference=st.none() | orders,
        lot=st.none() | lots,
    ),
    "returned": _said(
        Returned, sku=skus, quantity=quantities, at=locations, reference=st.none() | orders
    ),
    "inspected": _said(
        Inspected,
        sku=skus,
        quantity=quantities,
        at=locations,
        into=st.sampled_from((State.SELLABLE, State.DAMAGED)),
    ),
    "damaged": _said(
        Damaged,
        sku=skus,
        quantity=quantities,
        at=locations,
        state=st.sampled_from((State.SELLABLE, State.QUARANTINE)),
        lot=lots,
    ),
    "scrapped": _said(
        Scrapped, sku=skus, quantity=quantities, at=locations, state=_free, reason=_reasons
    ),
    "sent_back": _said(
        ReturnedToSupplier, sku=skus, quantity=quantities, at=locations, state=_free
    ),
    "adjusted": _said(
        Adjusted,
        sku=skus,
        change=st.integers(-3, 3).filter(bool),
        at=locations,
        state=_free,
        lot=lots,
        reason=_reasons,
        refuse_below=st.sampled_from((None, None, 0)),
    ),
    "counted": st.builds(
        Counted,
        key=keys,
        sku=skus,
        quantity=st.integers(0, 9),
        at=locations,
        lot=lots,
        counted_at=moments,
    ),
    "arrived": _said(Arrived, lines=lines, reference=st.sampled_from(TRANSFERS)),
    "rejected": _said(Rejected, lines=lines, reference=st.sampled_from(TRANSFERS)),
    "lost": _said(Lost, lines=lines, reference=st.sampled_from(TRANSFERS)),
}

_parts = st.fixed_dictionaries({"MUG": st.integers(1, 2), "TEA": st.just(1)})

#: Commands of the stock ledger.
COMMANDS: Final[dict[str, st.SearchStrategy[Operation]]] = {
    "relocate": _moved(Relocate, sku=skus, quantity=quantities, state=_free, lot=st.none() | lots),
    "transfer_out": _moved(TransferOut, lines=lines, reference=st.sampled_from(TRANSFERS)),
    "assemble": _said(
        Assemble, sku=st.just(KIT), quantity=st.integers(1, 2), components=_parts, at=locations
    ),
    "disassemble": _said(
        Disassemble, sku=st.just(KIT), quantity=st.integers(1, 2), components=_parts, at=locations
    ),
    "put": st.builds(
        Put,
        key=keys,
        documents=st.integers(0, 3).map(lambda n: (("note", f"note-{n % 2}", {"text": n}),)),
    ),
}

_some_lines = st.none() | lines

#: Commands and facts of reservations; holds are short, so that they run out.
RESERVATIONS: Final[dict[str, st.SearchStrategy[Operation]]] = {
    "reserve": _said(
        Reserve,
        lines=lines,
        reference=orders,
        at=st.none() | locations,
        ttl=st.sampled_from((None, timedelta(minutes=5))),
        partial=st.booleans(),
    ),
    "confirm": _said(Confirm, reference=orders, on_expired=st.sampled_from(("refuse", "rehold"))),
    "release": _said(Release, reference=orders, lines=_some_lines),
    "amend": _said(
        Amend, reference=orders, lines=st.dictionaries(skus, st.integers(0, 5), min_size=1)
    ),
    "pick": _said(Pick, reference=orders, lines=_some_lines),
    "short_pick": _said(
        ShortPick,
        reference=orders,
        lines=lines,
        into=st.sampled_from((None, State.DAMAGED, State.QUARANTINE)),
    ),
    "ship": _said(Ship, reference=orders, lines=_some_lines),
    "take_back": _said(TakeBack, reference=orders, lines=lines, at=st.none() | locations),
    "expire": st.builds(
        Expire,
        key=keys,
        holds=st.lists(st.tuples(orders, st.integers(1, 3)), min_size=1, max_size=3).map(tuple),
    ),
}

operations: Final = st.one_of(*FACTS.values(), *COMMANDS.values(), *RESERVATIONS.values())

_stocking: Final = st.one_of(FACTS["received"], FACTS["received_lot"])
#: Forward mostly; clocks are also set back.
ticks: Final = st.sampled_from((1, 60, 360, 3600, 86_400, -600)).map(
    lambda seconds: Tick(timedelta(seconds=seconds))
)

again: Final[st.SearchStrategy[Again]] = st.one_of(
    st.builds(Again, back=st.integers(0, 5), quantity=st.none() | st.integers(0, 6)),
    st.builds(
        Again,
        back=st.integers(0, 5),
        quantity=st.none() | st.integers(1, 6),
        sku=st.none() | skus,
        at=st.none() | locations,
        lot=st.none() | lots,
    ),
)

steps: Final[st.SearchStrategy[Step]] = st.one_of(
    operations,
    _stocking,
    st.lists(operations, min_size=2, max_size=5).map(tuple),
    ticks,
    again,
)


# --- journeys: what usually follows what --------------------------------------------------


@st.composite
def _order(draw: st.DrawFn) -> list[Step]:
    """Return an order's way from the cart to the customer and back, with detours."""
    reference = draw(orders)
    wanted = draw(lines)
    at = draw(st.sampled_from((None, *LOCATIONS)))
    number = draw(st.integers(0, 10_000))
    acts: tuple[Operation, ...] = (
        Confirm(reference=reference, on_expired="rehold"),
        Amend(wanted, reference=reference),
        Pick(wanted, reference=reference, key=f"pick-{number}"),
        Pick(reference=reference),
        ShortPick({"MUG": 1}, reference=reference, key=f"short-{number}"),
        Ship(reference=reference),
        Sold("MUG", 1, at="berlin", reference=reference),
        Ship({"TEA": 1}, reference=reference, key=f"parcel-{number}"),
        TakeBack({"MUG": 1}, reference=reference, key=f"rma-{number}"),
        Release(reference=reference),
    )
    chosen = sorted(draw(st.sets(st.integers(0, len(acts) - 1), max_size=6)))
    way: list[Step] = [Reserve(wanted, reference=reference, at=at, partial=draw(st.booleans()))]
    for index in chosen:
        way.append(acts[index])
        if draw(st.integers(0, 5)) == 0:
            way.append(draw(st.one_of(ticks, again)))
    return way


@st.composite
def _transfer(draw: st.DrawFn) -> list[Step]:
    """Return a transfer and what came of it."""
    reference, sent = draw(st.sampled_from(TRANSFERS)), draw(lines)
    source, target = draw(st.permutations(LOCATIONS))
    ends = (
        Arrived(sent, reference=reference),
        Rejected({"MUG": 1}, reference=reference),
        Lost({"TEA": 1}, reference=reference),
    )
    out = TransferOut(sent, source=source, target=target, reference=reference)
    return [out, *draw(st.lists(st.sampled_from(ends), max_size=3)), *draw(_maybe_again)]


@st.composite
def _purchase(draw: st.DrawFn) -> list[Step]:
    """Return a purchase order and its deliveries."""
    reference, sku, at = (
        draw(st.sampled_from(PURCHASES)),
        draw(skus),
        draw(st.sampled_from(LOCATIONS)),
    )
    ends = (
        Received(sku, draw(st.integers(1, 9)), at=at, reference=reference),
        Received(sku, 2, at=at, reference=reference, rejected=1, lot=LOT),
        DeliveryClosed(sku, at=at, reference=reference),
    )
    ordered = Expected(sku, draw(st.integers(1, 9)), at=at, reference=reference)
    return [ordered, *draw(st.lists(st.sampled_from(ends), max_size=3)), *draw(_maybe_again)]


_maybe_again: Final = st.lists(again, max_size=1)
_alone: Final[st.SearchStrategy[list[Step]]] = st.lists(steps, min_size=1, max_size=3)


def histories(parts: int = 12) -> st.SearchStrategy[list[Step]]:
    """
    Return lists of steps: journeys of orders, transfers and deliveries, and anything else.

    They begin with some stock, so that commands may be granted; *parts* bounds how many
    journeys follow.
    """
    stocked: st.SearchStrategy[list[Step]] = st.tuples(
        st.builds(Received, sku=st.just("MUG"), quantity=st.integers(1, 9), at=st.just("berlin")),
        st.builds(Received, sku=st.just("TEA"), quantity=st.integers(1, 9), at=st.just("hamburg")),
    ).map(list)
    journeys = st.lists(
        st.one_of(_order(), _order(), _transfer(), _purchase(), _alone), max_size=parts
    )
    return st.builds(
        lambda first, rest: [*first, *(step for part in rest for step in part)], stocked, journeys
    )


# --- much counted, much told late ---------------------------------------------------------

_COVERS: Final = (
    Counted("MUG", 0, at="berlin").covers,
    frozenset(State) - {State.IN_TRANSIT, State.INCOMING},
    frozenset({State.SELLABLE}),
    frozenset({State.SELLABLE, State.QUARANTINE}),
)

#: Few moments and one shelf (with a lot beside it), so that they meet.
_hours: Final = st.integers(-6, 0).map(lambda hours: START + timedelta(hours=hours))
_shelf: Final[dict[str, st.SearchStrategy[Any]]] = {
    "sku": st.just("MUG"),
    "at": st.just("berlin"),
    "lot": st.sampled_from(("", "", "", LOT)),
}
_told_late: Final[st.SearchStrategy[Operation]] = st.one_of(
    st.builds(Received, quantity=quantities, occurred_at=_hours, **_shelf),
    st.builds(Sold, quantity=quantities, occurred_at=_hours, **_shelf),
    st.builds(
        Returned, quantity=quantities, occurred_at=_hours, into=st.just("quarantine"), **_shelf
    ),
    st.builds(Damaged, quantity=quantities, occurred_at=_hours, **_shelf),
)
_counts: Final = st.builds(
    Counted,
    quantity=st.integers(0, 9),
    covers=st.sampled_from(_COVERS),
    counted_at=st.none() | _hours,
    **_shelf,
)
#: Mapped, because a choice among choices would be one among all of them, with few counts.
_late: Final = _told_late.map(lambda fact: fact)
_others: Final = operations.map(lambda operation: operation)
_taken_back: Final = st.builds(Again, back=st.integers(0, 5))

#: Histories in which much is counted, told late, and taken back.
counted_histories: Final[st.SearchStrategy[list[Step]]] = st.lists(
    st.one_of(
        _counts,
        _late,
        _taken_back,
        again.map(lambda taken: taken),
        _others,
        st.just(Tick(timedelta(hours=1))),
        st.lists(st.one_of(_counts, _late, _others), min_size=2, max_size=4).map(tuple),
    ),
    min_size=5,
    max_size=20,
)
