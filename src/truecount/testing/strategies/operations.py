"""One strategy for each kind of operation: facts, commands, and what is done with reservations."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, TypeAlias

from hypothesis import strategies as st

from truecount.model.commands import Assemble, Disassemble, Relocate, TransferOut
from truecount.model.facts import (
    Adjusted,
    Arrived,
    Counted,
    Damaged,
    DeliveryClosed,
    Expected,
    Inspected,
    Lost,
    Opened,
    Received,
    Rejected,
    Returned,
    ReturnedToSupplier,
    Scrapped,
    Sold,
)
from truecount.model.operation import Operation
from truecount.model.places import State
from truecount.model.reservation_commands import (
    Amend,
    Confirm,
    Expire,
    Pick,
    Release,
    Reserve,
    Ship,
    ShortPick,
    TakeBack,
)
from truecount.model.shop_rules import Put
from truecount.testing.strategies.names import (
    NAMES,
    Names,
    carts,
    keys,
    locations,
    lots,
    moments,
    quantities,
    skus,
)


#: Strategies by the name of what they generate.
Table: TypeAlias = dict[str, st.SearchStrategy[Operation]]

_FREE: Final = st.sampled_from((State.SELLABLE, State.QUARANTINE, State.DAMAGED))
_REASONS: Final = st.just("broken")


class _Speaker:
    """Builds operations with the words all of them share."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.words = {"key": keys(), "occurred_at": moments(names)}
        #: A SKU, how many, and where.
        self.goods = {"sku": skus(names), "quantity": quantities(), "at": locations(names)}
        self.lot = lots(names)
        self.lines = carts(names)
        self.orders = st.sampled_from(names.orders)
        self.purchases = st.sampled_from(names.purchases)
        self.transfers = st.sampled_from(names.transfers)

    def said(self, kind: type[Operation], **words: Any) -> st.SearchStrategy[Operation]:
        """Return operations of *kind*."""
        return st.builds(kind, **self.words, **words)

    def moved(self, kind: Callable[..., Operation], **words: Any) -> st.SearchStrategy[Operation]:
        """Return operations of *kind* from one location to another."""
        return st.builds(
            lambda route, **said: kind(source=route[0], target=route[1], **said),
            st.permutations(self.names.locations),
            **self.words,
            **words,
        )


def facts(names: Names = NAMES) -> Table:
    """Return a strategy for each kind of fact, by name: what is recorded whatever the book says."""
    say = _Speaker(names)
    return _goods_in(say) | _quality(say) | _counts(say) | _arrivals(say)


def _goods_in(say: _Speaker) -> Table:
    delivered = st.none() | say.purchases
    expiry = st.none() | st.just(say.names.start + timedelta(days=30))
    received = say.goods | {"quantity": quantities(9)}
    return {
        "opened": say.said(Opened, **say.goods, lot=say.lot),
        "expected": say.said(Expected, **say.goods, reference=say.purchases),
        "received": say.said(Received, **received, reference=delivered, rejected=st.integers(0, 1)),
        "received_lot": say.said(
            Received,
            **say.goods,
            reference=delivered,
            lot=st.just(say.names.lot),
            lot_expires_at=expiry,
        ),
        "closed": say.said(
            DeliveryClosed, sku=skus(say.names), at=locations(say.names), reference=say.purchases
        ),
    }


def _quality(say: _Speaker) -> Table:
    reference = st.none() | say.orders
    fit = st.sampled_from((State.SELLABLE, State.DAMAGED))
    whole = st.sampled_from((State.SELLABLE, State.QUARANTINE))
    return {
        "sold": say.said(Sold, **say.goods, reference=reference, lot=st.none() | say.lot),
        "returned": say.said(Returned, **say.goods, reference=reference),
        "inspected": say.said(Inspected, **say.goods, into=fit),
        "damaged": say.said(Damaged, **say.goods, state=whole, lot=say.lot),
        "scrapped": say.said(Scrapped, **say.goods, state=_FREE, reason=_REASONS),
        "sent_back": say.said(ReturnedToSupplier, **say.goods, state=_FREE),
    }


def _counts(say: _Speaker) -> Table:
    shelf = {"sku": skus(say.names), "at": locations(say.names), "lot": say.lot}
    return {
        "adjusted": say.said(
            Adjusted,
            **shelf,
            change=st.integers(-3, 3).filter(bool),
            state=_FREE,
            reason=_REASONS,
            refuse_below=st.sampled_from((None, None, 0)),
        ),
        "counted": st.builds(
            Counted,
            key=keys(),
            **shelf,
            quantity=st.integers(0, 9),
            counted_at=moments(say.names),
        ),
    }


def _arrivals(say: _Speaker) -> Table:
    kinds = {"arrived": Arrived, "rejected": Rejected, "lost": Lost}
    return {
        name: say.said(kind, lines=say.lines, reference=say.transfers)
        for name, kind in kinds.items()
    }


def commands(names: Names = NAMES) -> Table:
    """Return a strategy for each command of the stock ledger: granted or refused."""
    say = _Speaker(names)
    parts = st.fixed_dictionaries(
        {sku: st.integers(1, 2) if number == 0 else st.just(1) for number, sku in _first_two(names)}
    )
    made = {"sku": st.just(names.kit), "quantity": st.integers(1, 2), "components": parts}
    notes = st.integers(0, 3).map(lambda n: (("note", f"note-{n % 2}", {"text": n}),))
    return {
        "relocate": say.moved(
            Relocate, sku=skus(names), quantity=quantities(), state=_FREE, lot=st.none() | say.lot
        ),
        "transfer_out": say.moved(TransferOut, lines=say.lines, reference=say.transfers),
        "assemble": say.said(Assemble, **made, at=locations(names)),
        "disassemble": say.said(Disassemble, **made, at=locations(names)),
        "put": st.builds(Put, key=keys(), documents=notes),
    }


def _first_two(names: Names) -> list[tuple[int, str]]:
    return list(enumerate(names.skus[:2]))


def reservation_acts(names: Names = NAMES) -> Table:
    """Return a strategy for each act on reservations; holds are short, so that they run out."""
    say = _Speaker(names)
    some = st.none() | say.lines
    at = st.none() | locations(names)
    targets = st.dictionaries(skus(names), st.integers(0, 5), min_size=1)
    unfit = st.sampled_from((None, State.DAMAGED, State.QUARANTINE))
    own = {"reference": say.orders}
    holds = st.lists(st.tuples(say.orders, st.integers(1, 3)), min_size=1, max_size=3).map(tuple)
    return {
        "reserve": say.said(
            Reserve,
            **own,
            lines=say.lines,
            at=at,
            ttl=st.sampled_from((None, timedelta(minutes=5))),
            partial=st.booleans(),
        ),
        "confirm": say.said(Confirm, **own, on_expired=st.sampled_from(("refuse", "rehold"))),
        "release": say.said(Release, **own, lines=some),
        "amend": say.said(Amend, **own, lines=targets),
        "pick": say.said(Pick, **own, lines=some),
        "short_pick": say.said(ShortPick, **own, lines=say.lines, into=unfit),
        "ship": say.said(Ship, **own, lines=some),
        "take_back": say.said(TakeBack, **own, lines=say.lines, at=at),
        "expire": st.builds(Expire, key=keys(), holds=holds),
    }


def operations(names: Names = NAMES) -> st.SearchStrategy[Operation]:
    """Return operations of any kind, valid and not, each kind as often as every other."""
    return st.one_of(
        *facts(names).values(), *commands(names).values(), *reservation_acts(names).values()
    )
