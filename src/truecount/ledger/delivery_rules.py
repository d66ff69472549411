"""
Rules of deliveries: what was ordered from a supplier, and what came of it.

The purchase order is a document (space ``purchase``, id = its reference) with one line for
each location and SKU. Invariant of each line:
ordered = received + rejected + closed + outstanding, each >= 0; surplus counts beside it.
The INCOMING figure of a key is the outstanding units of all orders.
"""

from __future__ import annotations

from typing import Any, Final

from truecount.errors import UnknownReference
from truecount.ledger.drafts import counted, draft, item
from truecount.ledger.stock_rules import expiries_of
from truecount.model.instants import Instant, to_instant
from truecount.model.kinds import Kind
from truecount.model.movements import Leg, Tally
from truecount.model.operations import DeliveryClosed, Expected, Operation, Received
from truecount.model.places import SUPPLIER, State, inside
from truecount.model.settings import Settings
from truecount.model.stock import StockKey
from truecount.protocols.storage import Wants
from truecount.write.book import Book
from truecount.write.intents import Decision, Granted, Rule


PURCHASE: Final = "purchase"


def outstanding(document: dict[str, Any] | None, name: str) -> int:
    """
    Return how many units of an order line are still to come.

    >>> outstanding({"lines": {"x": {"ordered": 10, "received": 4, "rejected": 1}}}, "x")
    5
    """
    gone = sum(counted(document, name, field) for field in ("received", "rejected", "closed"))
    return counted(document, name, "ordered") - gone


def _wants(operation: Any, settings: Settings) -> Wants:
    del settings
    wants = Wants(keys={StockKey(operation.sku, operation.at, "")})
    if getattr(operation, "lot", ""):
        wants.keys.add(StockKey(operation.sku, operation.at, operation.lot))
    if operation.reference is not None:
        wants.records.add((PURCHASE, operation.reference))
    return wants


def _expect(operation: Expected, book: Book, now: Instant) -> Decision:
    book.settings.check(operation.at)
    name = item(operation.at, operation.sku)
    leg = Leg(operation.sku, "", operation.quantity, SUPPLIER, inside(operation.at, State.INCOMING))
    tally = Tally(PURCHASE, operation.reference, name, "ordered", operation.quantity)
    known = book.document(PURCHASE, operation.reference) or {}
    due = dict(known.get("due", {}))
    if operation.due_at is not None:
        due[name] = to_instant(operation.due_at)
    document = (PURCHASE, operation.reference, known | {"due": due})
    return Granted((draft(Kind.EXPECT, operation, (leg,), now, tallies=(tally,)),), documents=(document,))


def _receive(operation: Received, book: Book, now: Instant) -> Decision:
    """Accepted and rejected units use up the order line; what is over is noted."""
    book.settings.check(operation.at)
    name = item(operation.at, operation.sku)
    document = book.document(PURCHASE, operation.reference) if operation.reference else None
    left = outstanding(document, name)
    from_order = min(left, operation.quantity)
    sent_back = min(left - from_order, operation.rejected)
    surplus = operation.quantity - from_order
    notes = []
    if surplus and document is not None:
        notes.append(
            f"over_delivery: {operation.quantity} of {operation.sku} came for "
            f"{operation.reference}, {left} were still expected"
        )
    tallies = (
        [
            Tally(PURCHASE, operation.reference, name, field, quantity)
            for field, quantity in (
                ("received", from_order),
                ("surplus", surplus),
                ("rejected", sent_back),
            )
            if quantity
        ]
        if document is not None and operation.reference is not None
        else []
    )
    legs = _received_legs(operation, from_order, surplus, sent_back)
    posted = draft(
        Kind.RECEIVE, operation, legs, now, tallies=tallies, notes=notes, expiries=expiries_of(operation)
    )
    result = {"from_order": from_order, "surplus": surplus, "rejected": operation.rejected}
    return Granted((posted,), result=result)


def _received_legs(operation: Received, from_order: int, surplus: int, sent_back: int) -> list[Leg]:
    """A lot is known only on arrival, so its units leave INCOMING and come in under the lot."""
    incoming = inside(operation.at, State.INCOMING)
    target = inside(operation.at, operation.into)
    legs = []
    if operation.lot:
        sent_back, from_order, surplus = sent_back + from_order, 0, from_order + surplus
    if from_order:
        legs.append(Leg(operation.sku, "", from_order, incoming, target))
    if surplus:
        legs.append(Leg(operation.sku, operation.lot, surplus, SUPPLIER, target))
    if sent_back:
        legs.append(Leg(operation.sku, "", sent_back, incoming, SUPPLIER))
    return legs


def _close(operation: DeliveryClosed, book: Book, now: Instant) -> Decision:
    """Nothing more will come; closing what is complete changes nothing."""
    book.settings.check(operation.at)
    document = book.document(PURCHASE, operation.reference)
    name = item(operation.at, operation.sku)
    if counted(document, name, "ordered") == 0:
        raise UnknownReference(f"order of {operation.sku} at {operation.at}", operation.reference)
    left = outstanding(document, name)
    if not left:
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
