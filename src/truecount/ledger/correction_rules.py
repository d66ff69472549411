"""
Rules of corrections: taking a movement back, or replacing it, without editing history.

Rules:
1. A movement is reversed at most once; its reversal is a document (space ``reversal``).
2. A correction is one movement: the reversed legs and the right ones, dated as the original,
   guarded (for a command) on the net effect alone.
3. Reservations change through their own commands: what was reserved is released, not undone.
"""

from __future__ import annotations

from typing import Any, Final

import attrs

from truecount.errors import AlreadyReversed, NotCorrectable, TooMany, UnknownMovement
from truecount.model.instants import Instant, to_datetime
from truecount.model.kinds import Kind
from truecount.model.lines import counter
from truecount.model.movements import Body, Draft, Leg, MovementRow, Tally, decode
from truecount.model.operations import (
    Adjusted,
    Correct,
    Counted,
    Damaged,
    Expected,
    Inspected,
    Opened,
    Operation,
    Received,
    Relocate,
    Returned,
    ReturnedToSupplier,
    Scrapped,
    Sold,
    Undo,
)
from truecount.model.places import FREE, State
from truecount.model.settings import Settings
from truecount.protocols.storage import Wants
from truecount.write.book import ORDER, Book, NotLocked, Stage
from truecount.write.intents import Decision, Granted, Rule, Rules, Widen


REVERSAL: Final = "reversal"

#: Kinds whose undoing would reopen or rewrite a reservation: what to do instead.
NOT_UNDONE: Final = {
    Kind.RESERVE: "release the reservation instead",
    Kind.CONFIRM: "release or amend the reservation instead",
    Kind.RELEASE: "a released reservation is never reopened; reserve anew",
    Kind.EXPIRE: "an expired hold is never reopened; reserve anew",
    Kind.AMEND: "amend the reservation again instead",
    Kind.UNDO: "an undo is not undone; do the thing again",
}

#: Kinds that are commands: their correction respects the floors.
COMMANDS: Final = frozenset({Kind.RELOCATE, Kind.TRANSFER_OUT, Kind.ASSEMBLE, Kind.DISASSEMBLE})


def _wants(operation: Correct | Undo, settings: Settings) -> Wants:
    del settings
    return Wants(
        movements={operation.movement_id}, records={(REVERSAL, operation.movement_id)}
    )


def _original(operation: Correct | Undo, book: Book) -> MovementRow:
    row = book.past_movements.get(operation.movement_id)
    if row is None:
        raise UnknownMovement(operation.movement_id)
    return row


def _reversal_of(book: Book, movement_id: str) -> AlreadyReversed | None:
    done = book.document(REVERSAL, movement_id)
    return AlreadyReversed(movement_id, done["by"]) if done else None


def _undo(operation: Undo, book: Book, now: Instant) -> Decision:
    del now
    row = _original(operation, book)
    kind = Kind(row.kind)
    if kind in NOT_UNDONE:
        raise NotCorrectable(row.id, NOT_UNDONE[kind])
    reversed_before = _reversal_of(book, row.id)
    if reversed_before is not None:
        return reversed_before
    body = decode(row.body)
    if row.reference is not None and any(leg.line for leg in body.legs):
        if row.reference not in book.wants.orders:
            return Widen(Wants(orders={row.reference}))
        refusal = _too_late(row, body, book)
        if refusal is not None:
            return refusal
    new_id = f"undo/{row.id}"
    posted = Draft(
        Kind.UNDO,
        tuple(leg.reversed() for leg in reversed(body.legs)),
        row.occurred_at,
        guarded=kind in COMMANDS,
        id=new_id,
        reference=row.reference,
        reason=operation.reason,
        actor=operation.actor,
        origin=operation.origin,
        reverses=row.id,
        tallies=tuple(tally.reversed() for tally in body.tallies),
    )
    return Granted((posted,), documents=((REVERSAL, row.id, {"by": new_id}),))


def _too_late(row: MovementRow, body: Body, book: Book) -> TooMany | None:
    """Return the refusal when the units have moved on since, or came back already."""
    needed: dict[tuple[int, str], int] = {}
    for leg in body.legs:
        if leg.line:
            name = (leg.line, counter(leg.target.name, Kind(row.kind)))
            needed[name] = needed.get(name, 0) + leg.quantity
    lines = {line.number: line for line in book.lines_of(row.reference or "")}
    document = book.document(ORDER, row.reference or "") or {}
    for (number, field), quantity in needed.items():
        line = lines[number]
        left = getattr(line, field)
        if field == "shipped":
            counters = document.get("lines", {}).get(line.key.sku, {})
            shipped = sum(each.shipped for each in lines.values() if each.key.sku == line.key.sku)
            left = min(left, shipped + counters.get("sold", 0) - counters.get("returned", 0))
        if left < quantity:
            return TooMany("undo", "reservation", line.reference, line.key.sku, quantity, max(0, left))
    return None


# --- correct ----------------------------------------------------------------------------


def _correct(operation: Correct, book: Book, now: Instant, rules: Rules) -> Decision:
    """Post the reversal and what should have been written, as one movement."""
    row = _original(operation, book)
    body = decode(row.body)
    original = _as_operation(row, body)
    reversed_before = _reversal_of(book, row.id)
    if reversed_before is not None:
        return reversed_before
    back = Draft(
        Kind.CORRECT,
        tuple(leg.reversed() for leg in body.legs),
        row.occurred_at,
        guarded=False,
        tallies=tuple(tally.reversed() for tally in body.tallies),
        reference=row.reference,
    )
    right = _changed(operation, original, row)
    wider = rules[type(right)].wants(right, book.settings) if right else Wants()
    if not book.wants.covers(wider):
        return Widen(wider)
    stage = Stage(book, now)
    try:
        stage.post(back, "reversal")
    except NotLocked:
        return Widen(stage.missing((back,)))
    decision: Decision = Granted()
    if right is not None:
        decision = rules[type(right)].decide(right, book.after(stage), now)
    if not isinstance(decision, Granted):
        return decision
    return _together(operation, row, back, decision, guarded=not original.is_fact)


def _together(
    operation: Correct, row: MovementRow, back: Draft, decision: Granted, *, guarded: bool
) -> Granted:
    new_id = f"correct/{row.id}"
    again = decision.drafts[-1] if decision.drafts else None
    posted = Draft(
        Kind.CORRECT,
        back.legs + (again.legs if again else ()),
        row.occurred_at,
        guarded=guarded,
        id=new_id,
        reference=row.reference,
        reason=operation.reason,
        actor=operation.actor,
        origin=operation.origin,
        reverses=row.id,
        tallies=_netted(back.tallies + (again.tallies if again else ())),
        expiries=again.expiries if again else (),
        notes=again.notes if again else (),
    )
    return Granted(
        (*decision.drafts[:-1], posted),
        documents=((REVERSAL, row.id, {"by": new_id}),),
        result=decision.result,
    )


def _netted(tallies: tuple[Tally, ...]) -> tuple[Tally, ...]:
    """Return one tally for each counter, the sum of its changes."""
    total: dict[tuple[str, str, str, str], int] = {}
    for tally in tallies:
        total[tally[:4]] = total.get(tally[:4], 0) + tally.change
    return tuple(Tally(*name, change) for name, change in total.items() if change)


def _changed(operation: Correct, original: Operation, row: MovementRow) -> Operation | None:
    """Return the operation as it should have been said, None when it never should have."""
    if operation.quantity == 0:
        return None
    changes: dict[str, Any] = {}
    for name in ("sku", "at", "lot"):
        value = getattr(operation, name)
        if value is None:
            continue
        if not hasattr(original, name):
            raise NotCorrectable(row.id, f"a {row.kind} movement has no {name} to change")
        changes[name] = value
    if operation.quantity is not None:
        if isinstance(original, Adjusted):
            changes["change"] = operation.quantity if original.change > 0 else -operation.quantity
        else:
            changes["quantity"] = operation.quantity
    return attrs.evolve(original, **changes)


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
    Kind.COUNT: Counted,
}


def _as_operation(row: MovementRow, body: Body) -> Operation:
    """
    Return the operation a movement came from, rebuilt from its legs.

    Raises:
        NotCorrectable: It acts on a reservation, on several SKUs, or on a document that
            has its own commands.
    """
    kind = Kind(row.kind)
    make = _SINGLE.get(kind)
    if make is None:
        raise NotCorrectable(row.id, f"a {kind} movement is not a single line; undo it instead")
    if any(leg.line for leg in body.legs):
        raise NotCorrectable(row.id, "it took units of a reservation; undo it instead")
    if not body.legs or len({leg.sku for leg in body.legs}) > 1:
        raise NotCorrectable(row.id, "it does not move one SKU; undo it instead")
    if kind is Kind.COUNT:
        raise NotCorrectable(row.id, "a count is an observation; undo it and count again")
    values: dict[str, Any] = {
        name: getattr(row, name) for name in ("reference", "reason", "actor", "origin")
    }
    values["occurred_at"] = to_datetime(row.occurred_at)
    return make(**values, **_words(kind, body.legs))


def _words(kind: Kind, legs: tuple[Leg, ...]) -> dict[str, Any]:
    """Return the words of an operation that its legs tell."""
    if kind is Kind.RECEIVE:
        return _received_words(legs)
    first = legs[0]
    words: dict[str, Any] = {"sku": first.sku, "quantity": sum(leg.quantity for leg in legs)}
    words["lot"] = first.lot if len(legs) == 1 or kind not in (Kind.SOLD, Kind.RELOCATE) else None
    if kind is Kind.RELOCATE:
        return words | {
            "source": first.source.location,
            "target": first.target.location,
            "state": first.source.name,
        }
    inner = first.source if first.source.is_inside else first.target
    words["at"] = inner.location
    if kind is Kind.EXPECT:
        del words["lot"]
    elif kind is Kind.ADJUST:
        quantity = words.pop("quantity")
        words |= {"change": quantity if first.target.is_inside else -quantity, "state": inner.name}
    elif kind in (Kind.TAKE_BACK, Kind.INSPECT):
        words["into"] = first.target.name
    elif kind in (Kind.OPEN, Kind.DAMAGE, Kind.SCRAP, Kind.RETURN_TO_SUPPLIER):
        words["state"] = inner.name
    return words


def _received_words(legs: tuple[Leg, ...]) -> dict[str, Any]:
    """Tell accepted from rejected units; a lot's units left INCOMING without their lot."""
    arrived = [leg for leg in legs if leg.target.is_inside]
    back = sum(leg.quantity for leg in legs if not leg.target.is_inside)
    lot = arrived[0].lot if arrived else ""
    quantity = sum(leg.quantity for leg in arrived)
    inner = arrived[0].target if arrived else legs[0].source
    return {
        "sku": legs[0].sku,
        "quantity": quantity,
        "at": inner.location,
        "into": inner.name if arrived else State.SELLABLE.value,
        "lot": lot,
        "rejected": max(0, back - quantity) if lot else back,
    }


def correction_rules(rules: Rules) -> Rules:
    """Return the rules of corrections, which decide the right version by *rules*."""
    table: dict[type[Operation], Rule] = {
        Undo: Rule(_wants, _undo),
        Correct: Rule(_wants, lambda operation, book, now: _correct(operation, book, now, rules)),
    }
    return table


__all__ = ["FREE", "REVERSAL", "correction_rules"]
