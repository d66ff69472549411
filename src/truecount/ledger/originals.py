"""
Reading a stored movement as the operation that made it, so that it can be said again, right.

Only what moves one SKU and no reservation can be; of the rest the module says what to do.
"""

from __future__ import annotations

from typing import Any, Final

from truecount.bundles.pinned import is_of_kit
from truecount.errors import NotCorrectable
from truecount.ledger.delivery_rules import REJECTED, REJECTED_BEYOND
from truecount.model.commands import Relocate
from truecount.model.facts import (
    Adjusted,
    Damaged,
    Expected,
    Inspected,
    Opened,
    Received,
    Returned,
    ReturnedToSupplier,
    Scrapped,
    Sold,
)
from truecount.model.instants import optional_datetime, to_datetime
from truecount.model.kinds import Kind
from truecount.model.movements import Body, MovementRow
from truecount.model.operation import Operation
from truecount.model.places import State


#: How a movement of each kind reads as the operation that made it.
_SINGLE: Final[dict[Kind, type[Operation]]] = {
    Kind.OPEN: Opened,
    Kind.EXPECT: Expected,
    Kind.RECEIVE: Received,
    Kind.SOLD: Sold,
    Kind.TAKE_BACK: Returned,
    Kind.INSPECT: Inspected,
    Kind.DAMAGE: Damaged,
    Kind.SCRAP: Scrapped,
    Kind.RETURN_TO_SUPPLIER: ReturnedToSupplier,
    Kind.RELOCATE: Relocate,
    Kind.ADJUST: Adjusted,
}
#: Kinds whose undoing would reopen or rewrite a reservation: what to do instead.
NOT_UNDONE: Final = {
    Kind.RESERVE: "release the reservation instead",
    Kind.CONFIRM: "release or amend the reservation instead",
    Kind.RELEASE: "a released reservation is never reopened; reserve anew",
    Kind.EXPIRE: "an expired hold is never reopened; reserve anew",
    Kind.AMEND: "amend the reservation again instead",
    Kind.REFOLD: "undo the late fact, or the count, instead",
    Kind.UNDO: "an undo is not undone; do the thing again",
}
#: What to do instead of correcting it, where it is not "undo it".
_INSTEAD: Final = NOT_UNDONE | {
    Kind.COUNT: "a count is an observation; undo it and count again",
    Kind.CORRECT: "undo this correction, then correct the original again",
    Kind.UNDO: "an undo is not corrected; do the thing again",
}


def as_operation(row: MovementRow, body: Body) -> Operation:
    """
    Return the operation a movement came from, rebuilt from what it says.

    Raises:
        NotCorrectable: It acts on a reservation, on several SKUs, lots or locations, or on a
            document that has its own commands.
    """
    kind = Kind(row.kind)
    make = _SINGLE.get(kind)
    if make is None:
        rule = _INSTEAD.get(kind, f"{kind}: it is not a single line; undo it instead")
        raise NotCorrectable(row.id, rule)
    if any(leg.line for leg in body.legs):
        raise NotCorrectable(row.id, "it took units of a reservation; undo it instead")
    if len({leg.sku for leg in body.legs}) != 1:
        raise NotCorrectable(row.id, "it does not move one SKU; undo it instead")
    if any(is_of_kit(tally.field) for tally in body.tallies):
        raise NotCorrectable(row.id, "it moved bundles of an order; undo it and say it again")
    if kind is Kind.TAKE_BACK and len({(leg.lot, leg.target) for leg in body.legs}) > 1:
        raise NotCorrectable(row.id, "it came back to several lots or locations; undo it instead")
    return make(
        reference=row.reference,
        reason=row.reason,
        actor=row.actor,
        origin=row.origin,
        occurred_at=to_datetime(row.occurred_at),
        **_words(kind, body),
    )


def _words(kind: Kind, body: Body) -> dict[str, Any]:
    """Return the words of an operation that its movement tells."""
    legs, first = body.legs, body.legs[0]
    if kind is Kind.RECEIVE:
        return _received(body)
    words: dict[str, Any] = {"sku": first.sku, "quantity": sum(leg.quantity for leg in legs)}
    if kind is Kind.RELOCATE:
        return words | {
            "source": first.source.location,
            "target": first.target.location,
            "state": first.source.name,
        }
    inner = first.source if first.source.is_inside else first.target
    words["at"] = inner.location
    if kind is Kind.EXPECT:
        return words
    if kind is not Kind.SOLD:
        words["lot"] = first.lot  # Of a sale nobody knows whether a lot was named.
    if kind is Kind.ADJUST:
        quantity = words.pop("quantity")
        words["change"] = quantity if first.target.is_inside else -quantity
    if kind in {Kind.TAKE_BACK, Kind.INSPECT}:
        words["into"] = first.target.name
    elif kind is not Kind.SOLD:
        words["state"] = inner.name
    if kind is Kind.OPEN:
        words["lot_expires_at"] = _expiry(body)
    return words


def _received(body: Body) -> dict[str, Any]:
    """Tell accepted from rejected units; a lot's units left INCOMING without their lot."""
    arrived = [leg for leg in body.legs if leg.target.is_inside]
    inner = arrived[0].target if arrived else body.legs[0].source
    rejected = {REJECTED, REJECTED_BEYOND}
    return {
        "sku": body.legs[0].sku,
        "quantity": sum(leg.quantity for leg in arrived),
        "at": inner.location,
        "into": inner.name if arrived else State.SELLABLE,
        "lot": arrived[0].lot if arrived else body.touches[0].lot,
        "lot_expires_at": _expiry(body),
        "rejected": sum(tally.change for tally in body.tallies if tally.field in rejected),
    }


def _expiry(body: Body) -> Any:
    return optional_datetime(body.expiries[-1][2]) if body.expiries else None
