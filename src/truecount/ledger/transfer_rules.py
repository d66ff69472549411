"""
Rules of transfers: sent from one location, on the way, arrived, rejected or lost.

The transfer is a document (space ``transfer``, id = its reference) with one line for each
SKU and lot. Invariant of each line:
sent = arrived + rejected + lost + on the way, each >= 0; a surplus counts beside it.
A transfer that was taken back altogether leaves its reference free for the right one.
The IN_TRANSIT figure of a key is the units on their way to its location.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from truecount.errors import DocumentExists, TooMany, UnknownReference
from truecount.ledger.drafts import counted, draft, item
from truecount.ledger.stock_rules import gather
from truecount.ledger.supply import carried, reclaim
from truecount.model.commands import TransferOut
from truecount.model.facts import Arrived, Lost, Rejected
from truecount.model.instants import Instant, to_instant
from truecount.model.kinds import Kind
from truecount.model.movements import Leg, Tally
from truecount.model.operation import Operation
from truecount.model.places import State, adjustment, inside
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
    known = book.document(TRANSFER, operation.reference) or {}
    if any(any(counters.values()) for counters in known.get("lines", {}).values()):
        return DocumentExists("transfer", operation.reference)
    taken = gather(Kind.TRANSFER_OUT, book, now, operation.source, operation.lines)
    if not isinstance(taken, list):
        return taken
    source = inside(operation.source, State.SELLABLE)
    target = inside(operation.target, State.IN_TRANSIT)
    legs = [Leg(key.sku, key.lot, part, source, target) for key, part in taken]
    tallies = [
        Tally(TRANSFER, operation.reference, item(key.sku, key.lot), "sent", part)
        for key, part in taken
    ]
    document: dict[str, Any] = {
        "source": operation.source,
        "target": operation.target,
        "lines": dict(known.get("lines", {})),
    }
    if operation.due_at is not None:
        document["due_at"] = to_instant(operation.due_at)
    posted = draft(
        Kind.TRANSFER_OUT, operation, legs, now, tallies=tallies, expiries=carried(book, taken)
    )
    return Granted(
        (*reclaim(book, now, taken), posted),
        documents=((TRANSFER, operation.reference, document),),
    )


class _Way(NamedTuple):
    """How units come out of transit: the kind, the line's counter, and the state they enter."""

    kind: Kind
    field: str
    into: State


_ARRIVED: Final = _Way(Kind.ARRIVE, "arrived", State.SELLABLE)
_REJECTED: Final = _Way(Kind.REJECT, "rejected", State.QUARANTINE)


def _wants_in(operation: Arrived | Rejected | Lost, settings: Settings) -> Wants:
    del settings
    return Wants(records={(TRANSFER, operation.reference)})


def _arrive(operation: Arrived, book: Book, now: Instant) -> Decision:
    return _come_in(_ARRIVED, operation, book, now)


def _reject(operation: Rejected, book: Book, now: Instant) -> Decision:
    return _come_in(_REJECTED, operation, book, now)


def _come_in(way: _Way, operation: Arrived | Rejected, book: Book, now: Instant) -> Decision:
    """Take units out of transit; more than were sent is recorded as a surplus."""
    document = _existing(book, operation.reference)
    transit = inside(document["target"], State.IN_TRANSIT)
    target = inside(document["target"], way.into)
    legs: list[Leg] = []
    tallies: list[Tally] = []
    notes = []
    for sku, quantity in operation.lines:
        left = quantity
        for line in _on_their_way(document, sku, quantity):
            legs.append(Leg(sku, line.lot, line.units, transit, target))
            tallies.append(_tally(operation, line.name, way.field, line.units))
            left -= line.units
        if left:
            legs.append(Leg(sku, "", left, adjustment(_SURPLUS), target))
            tallies.append(_tally(operation, item(sku, ""), "surplus", left))
            notes.append(
                f"over_arrival: {quantity} of {sku} came out of transfer {operation.reference}, "
                f"{quantity - left} were on the way"
            )
    return Granted((draft(way.kind, operation, legs, now, tallies=tallies, notes=notes),))


def _lose(operation: Lost, book: Book, now: Instant) -> Decision:
    """Write units off that will not arrive; no more can be lost than were on the way."""
    document = _existing(book, operation.reference)
    transit = inside(document["target"], State.IN_TRANSIT)
    legs: list[Leg] = []
    tallies: list[Tally] = []
    for sku, quantity in operation.lines:
        found = 0
        for line in _on_their_way(document, sku, quantity):
            legs.append(Leg(sku, line.lot, line.units, transit, adjustment("lost in transit")))
            tallies.append(_tally(operation, line.name, "lost", line.units))
            found += line.units
        if found < quantity:
            return TooMany("lose", "transfer", operation.reference, sku, quantity, found)
    return Granted((draft(Kind.LOSE, operation, legs, now, tallies=tallies),))


def _tally(operation: Arrived | Rejected | Lost, name: str, field: str, units: int) -> Tally:
    return Tally(TRANSFER, operation.reference, name, field, units)


class _Line(NamedTuple):
    """Units of a transfer's line that are still on the way."""

    name: str
    lot: str
    units: int


def _existing(book: Book, reference: str) -> dict[str, Any]:
    document = book.document(TRANSFER, reference)
    if document is None:
        raise UnknownReference("transfer", reference)
    return document


def _on_their_way(document: dict[str, Any], sku: str, quantity: int) -> Iterable[_Line]:
    """Yield lines of *sku* still on the way, up to *quantity* units."""
    for name in sorted(document.get("lines", {})):
        line_sku, lot = json.loads(name)
        units = min(quantity, on_the_way(document, name)) if line_sku == sku else 0
        if units > 0:
            yield _Line(name, lot, units)
            quantity -= units


def _demand(operation: TransferOut, _book: Book) -> Iterable[tuple[str, int]]:
    return operation.lines


TRANSFER_RULES: Final[dict[type[Operation], Rule]] = {
    TransferOut: Rule(_wants_out, _out, demand=_demand),
    Arrived: Rule(_wants_in, _arrive),
    Rejected: Rule(_wants_in, _reject),
    Lost: Rule(_wants_in, _lose),
}
