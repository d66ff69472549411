"""
Rules of deliveries: what was ordered from a supplier, and what came of it.

The purchase order is a document (space ``purchase``, id = its reference) with one line for
each location and SKU. Invariant of each line:
ordered = received + rejected + closed + outstanding, each >= 0; surplus counts beside it.
The INCOMING figure of a key is the outstanding units of all orders.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from truecount.errors import UnknownReference
from truecount.ledger.drafts import counted, draft, item
from truecount.ledger.stock_rules import expiries_of
from truecount.model.facts import DeliveryClosed, Expected, Received
from truecount.model.instants import Instant, to_instant
from truecount.model.kinds import Kind
from truecount.model.movements import Leg, Tally
from truecount.model.operation import Operation
from truecount.model.places import SUPPLIER, State, inside
from truecount.model.settings import Settings
from truecount.model.stock import StockKey
from truecount.protocols.storage import Wants
from truecount.write.book import Book
from truecount.write.intents import Decision, Granted, Rule


PURCHASE: Final = "purchase"
#: Counters of an order line for units sent straight back: expected ones, and those beyond.
REJECTED: Final = "rejected"
REJECTED_BEYOND: Final = "rejected_beyond"


def outstanding(document: dict[str, Any] | None, name: str) -> int:
    """
    Return how many units of an order line are still to come.

    >>> outstanding({"lines": {"x": {"ordered": 10, "received": 4, "rejected": 1}}}, "x")
    5
    """
    gone = sum(counted(document, name, field) for field in ("received", "rejected", "closed"))
    return counted(document, name, "ordered") - gone


def _wants(operation: Expected | Received | DeliveryClosed, settings: Settings) -> Wants:
    del settings
    wants = Wants(keys={StockKey(operation.sku, operation.at, "")})
    if isinstance(operation, Received) and operation.lot:
        wants.keys.add(StockKey(operation.sku, operation.at, operation.lot))
    if operation.reference is not None:
        wants.records.add((PURCHASE, operation.reference))
    return wants


def _expect(operation: Expected, book: Book, now: Instant) -> Decision:
    book.settings.check(operation.at)
    name = item(operation.at, operation.sku)
    leg = Leg(operation.sku, "", operation.quantity, SUPPLIER, inside(operation.at, State.INCOMING))
    tally = Tally(PURCHASE, operation.reference, name, "ordered", operation.quantity)
    document = dict(book.document(PURCHASE, operation.reference) or {})
    document["due"] = dict(document.get("due", {}))
    document["lines"] = {line: dict(fields) for line, fields in document.get("lines", {}).items()}
    if operation.due_at is not None:
        document["due"][name] = to_instant(operation.due_at)
    elif not counted(document, name, "ordered"):
        document["due"].pop(name, None)  # Of an order that was taken back.
    return Granted(
        (draft(Kind.EXPECT, operation, (leg,), now, tallies=(tally,)),),
        documents=((PURCHASE, operation.reference, document),),
    )


class _Split(NamedTuple):
    """How a delivery shares out over the order line it is for."""

    from_order: int
    surplus: int
    #: Rejected units that the order was still waiting for, and those beyond it.
    rejected: int
    rejected_beyond: int


def _receive(operation: Received, book: Book, now: Instant) -> Decision:
    """Use up the order line by what was accepted and rejected; note what is over."""
    book.settings.check(operation.at)
    document = book.document(PURCHASE, operation.reference) if operation.reference else None
    left = max(0, outstanding(document, item(operation.at, operation.sku)))
    from_order = min(left, operation.quantity)
    rejected = min(left - from_order, operation.rejected)
    split = _Split(
        from_order, operation.quantity - from_order, rejected, operation.rejected - rejected
    )
    notes = []
    if split.surplus and document is not None:
        notes.append(
            f"over_delivery: {operation.quantity} of {operation.sku} came for "
            f"{operation.reference}, {left} were still expected"
        )
    legs = _received_legs(operation, split)
    posted = draft(
        Kind.RECEIVE,
        operation,
        legs,
        now,
        tallies=_received_tallies(operation, split) if document is not None else (),
        notes=notes,
        expiries=expiries_of(operation, book),
        # Where nothing arrived no leg tells of which lot it should have been.
        touches=()
        if operation.quantity
        else (StockKey(operation.sku, operation.at, operation.lot),),
    )
    result = {
        "from_order": split.from_order,
        "surplus": split.surplus,
        "rejected": operation.rejected,
    }
    return Granted((posted,), result=result)


def _received_tallies(operation: Received, split: _Split) -> list[Tally]:
    name = item(operation.at, operation.sku)
    counters = {
        "received": split.from_order,
        "surplus": split.surplus,
        REJECTED: split.rejected,
        REJECTED_BEYOND: split.rejected_beyond,
    }
    return [
        Tally(PURCHASE, operation.reference or "", name, field, quantity)
        for field, quantity in counters.items()
        if quantity
    ]


def _received_legs(operation: Received, split: _Split) -> list[Leg]:
    """Return the legs; a lot is known only on arrival, so its units leave INCOMING without."""
    incoming = inside(operation.at, State.INCOMING)
    target = inside(operation.at, operation.into)
    arrived, from_supplier, back = split.from_order, split.surplus, split.rejected
    if operation.lot:
        arrived, from_supplier, back = 0, operation.quantity, back + arrived
    legs = [
        Leg(operation.sku, "", arrived, incoming, target),
        Leg(operation.sku, operation.lot, from_supplier, SUPPLIER, target),
        Leg(operation.sku, "", back, incoming, SUPPLIER),
    ]
    return [leg for leg in legs if leg.quantity]


def _close(operation: DeliveryClosed, book: Book, now: Instant) -> Decision:
    """Expect nothing more; closing what is complete changes nothing."""
    book.settings.check(operation.at)
    document = book.document(PURCHASE, operation.reference)
    name = item(operation.at, operation.sku)
    if counted(document, name, "ordered") == 0:
        raise UnknownReference(f"order of {operation.sku} at {operation.at}", operation.reference)
    left = outstanding(document, name)
    if left <= 0:
        return Granted(result={"closed": 0})
    leg = Leg(operation.sku, "", left, inside(operation.at, State.INCOMING), SUPPLIER)
    tally = Tally(PURCHASE, operation.reference, name, "closed", left)
    posted = draft(Kind.CLOSE_DELIVERY, operation, (leg,), now, tallies=(tally,))
    return Granted((posted,), result={"closed": left})


DELIVERY_RULES: Final[dict[type[Operation], Rule]] = {
    Expected: Rule(_wants, _expect),
    Received: Rule(_wants, _receive),
    DeliveryClosed: Rule(_wants, _close),
}
