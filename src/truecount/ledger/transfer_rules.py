"""
Rules of transfers: sent from one location, on the way, arrived, rejected or lost.

The transfer is a document (space ``transfer``, id = its reference) with one line for each
SKU and lot. Invariant of each line:
sent = arrived + rejected + lost + on the way, each >= 0; a surplus counts beside it.
The IN_TRANSIT figure of a key is the units on their way to its location.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from truecount.errors import (
    DocumentExists,
    InvalidArgument,
    TooMany,
    UnknownReference,
)
from truecount.ledger.drafts import counted, draft, item, short_or_unknown
from truecount.ledger.stock_rules import carried
from truecount.ledger.supply import Part, reclaim, take
from truecount.model.instants import Instant, to_instant
from truecount.model.kinds import Kind
from truecount.model.movements import Leg, Tally
from truecount.model.operations import Arrived, Lost, Operation, Rejected, TransferOut
from truecount.model.places import Place, State, adjustment, inside
from truecount.model.settings import Settings
from truecount.model.stock import StockKey
from truecount.protocols.storage import Wants
from truecount.write.book import Book
from truecount.write.intents import Decision, Granted, Rule


TRANSFER: Final = "transfer"
_SURPLUS: Final = "transfer surplus"


def on_the_way(document: dict[str, Any] | None, name: str) -> int:
    """
    Return how many units of a transfer line have not come out of transit.

    >>> on_the_way({"lines": {"x": {"sent": 10, "arrived": 7, "lost": 1}}}, "x")
    2
    """
    out = sum(counted(document, name, field) for field in ("arrived", "rejected", "lost"))
    return counted(document, name, "sent") - out


def _wants_out(operation: TransferOut, settings: Settings) -> Wants:
    del settings
    return Wants(
        records={(TRANSFER, operation.reference)},
        scopes={(sku, operation.source) for sku, _ in operation.lines},
        keys={StockKey(sku, operation.target, "") for sku, _ in operation.lines},
    )


def _out(operation: TransferOut, book: Book, now: Instant) -> Decision:
    for location in (operation.source, operation.target):
        book.settings.check(location)
    if operation.source == operation.target:
        raise InvalidArgument("target", repr(operation.target), "another location than the source")
    if book.document(TRANSFER, operation.reference) is not None:
        return DocumentExists("transfer", operation.reference)
    taken: list[Part] = []
    for sku, quantity in operation.lines:
        parts = take(book, now, sku, operation.source, quantity)
        found = sum(part.quantity for part in parts)
        if found < quantity:
            return short_or_unknown(
                book, Kind.TRANSFER_OUT, sku, quantity, found, operation.source, "sellable"
            )
        taken += parts
    source = inside(operation.source, State.SELLABLE)
    target = inside(operation.target, State.IN_TRANSIT)
    legs = [Leg(key.sku, key.lot, part, source, target) for key, part in taken]
    tallies = [
        Tally(TRANSFER, operation.reference, item(key.sku, key.lot), "sent", part)
        for key, part in taken
    ]
    document = {"source": operation.source, "target": operation.target}
    if operation.due_at is not None:
        document["due_at"] = to_instant(operation.due_at)  # type: ignore[assignment]  # a JSON document
    posted = draft(
        Kind.TRANSFER_OUT, operation, legs, now, tallies=tallies, expiries=carried(book, taken)
    )
    return Granted(
        (*reclaim(book, now, taken), posted),
        documents=((TRANSFER, operation.reference, document),),
    )


def _wants_in(operation: Any, settings: Settings) -> Wants:
    del settings
    return Wants(records={(TRANSFER, operation.reference)})


def _arrive(operation: Arrived, book: Book, now: Instant) -> Decision:
    return _come_in(Kind.ARRIVE, "arrived", State.SELLABLE, operation, book, now)


def _reject(operation: Rejected, book: Book, now: Instant) -> Decision:
    return _come_in(Kind.REJECT, "rejected", State.QUARANTINE, operation, book, now)


def _come_in(
    kind: Kind, field: str, into: State, operation: Any, book: Book, now: Instant
) -> Decision:
    """Units came out of transit; more than were sent is recorded as a surplus."""
    document = _existing(book, operation.reference)
    target = inside(document["target"], into)
    legs: list[Leg] = []
    tallies: list[Tally] = []
    notes = []
    for sku, quantity in operation.lines:
        left = quantity
        for name, lot, part in _parts(document, sku, quantity):
            _out_of_transit(operation, document, legs, tallies, (name, sku, lot, part), field, target)
            left -= part
        if left:
            legs.append(Leg(sku, "", left, adjustment(_SURPLUS), target))
            tallies.append(Tally(TRANSFER, operation.reference, item(sku, ""), "surplus", left))
            notes.append(
                f"over_arrival: {quantity} of {sku} came out of transfer {operation.reference}, "
                f"{quantity - left} were on the way"
            )
    return Granted((draft(kind, operation, legs, now, tallies=tallies, notes=notes),))


def _lose(operation: Lost, book: Book, now: Instant) -> Decision:
    """Units will not arrive; no more can be lost than were on the way."""
    document = _existing(book, operation.reference)
    legs: list[Leg] = []
    tallies: list[Tally] = []
    boundary = adjustment("lost in transit")
    for sku, quantity in operation.lines:
        parts = list(_parts(document, sku, quantity))
        found = sum(part for _, _, part in parts)
        if found < quantity:
            return TooMany("lose", "transfer", operation.reference, sku, quantity, found)
        for name, lot, part in parts:
            _out_of_transit(operation, document, legs, tallies, (name, sku, lot, part), "lost", boundary)
    return Granted((draft(Kind.LOSE, operation, legs, now, tallies=tallies),))


def _out_of_transit(
    operation: Any,
    document: dict[str, Any],
    legs: list[Leg],
    tallies: list[Tally],
    what: tuple[str, str, str, int],
    field: str,
    target: Place,
) -> None:
    name, sku, lot, quantity = what
    legs.append(Leg(sku, lot, quantity, inside(document["target"], State.IN_TRANSIT), target))
    tallies.append(Tally(TRANSFER, operation.reference, name, field, quantity))


def _existing(book: Book, reference: str) -> dict[str, Any]:
    document = book.document(TRANSFER, reference)
    if document is None:
        raise UnknownReference("transfer", reference)
    return document


def _parts(document: dict[str, Any], sku: str, quantity: int) -> Iterable[tuple[str, str, int]]:
    """Yield (line name, lot, units) of *sku* still on the way, up to *quantity*."""
    for name in sorted(document.get("lines", {})):
        line_sku, lot = json.loads(name)
        part = min(quantity, on_the_way(document, name)) if line_sku == sku else 0
        if part > 0:
            yield name, lot, part
            quantity -= part


def _demand(operation: TransferOut, _book: Book) -> Iterable[tuple[str, int]]:
    return operation.lines


TRANSFER_RULES: Final[dict[type[Operation], Rule]] = {
    TransferOut: Rule(_wants_out, _out, demand=_demand),
    Arrived: Rule(_wants_in, _arrive),
    Rejected: Rule(_wants_in, _reject),
    Lost: Rule(_wants_in, _lose),
}
