"""
Rules of corrections: taking a movement back, or replacing it, without editing history.

Rules:
1. A movement is reversed at most once at a time; its reversal is a document (space
   ``reversal``). Undoing a correction puts the original in force again, and only then can it
   be corrected or undone anew.
2. A correction is one movement: the reversed legs and the right ones, dated as the original,
   guarded (for a command) on the net effect alone.
3. Reservations change through their own commands: what was reserved is released, not undone.
4. No document is left having given more than it has: an order that returned what it never
   sold, a delivery that received what was never ordered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import deepcopy
from typing import Any, Final

import attrs

from truecount.errors import (
    AlreadyReversed,
    InvalidRequest,
    NotCorrectable,
    Refused,
    ReservationFinished,
    TooMany,
    UnknownMovement,
)
from truecount.ledger.accounts import overdrawn
from truecount.ledger.delivery_rules import PURCHASE
from truecount.ledger.drafts import item
from truecount.ledger.originals import NOT_UNDONE, as_operation
from truecount.ledger.sale_rules import expired_lots
from truecount.ledger.supply import Part, reclaim, restored
from truecount.model.commands import Correct, Relocate, Undo
from truecount.model.facts import Adjusted, Expected, Opened, Received, Returned, Sold
from truecount.model.instants import Instant
from truecount.model.kinds import Kind
from truecount.model.lines import counter
from truecount.model.movements import Body, Draft, MovementRow, Tally, changes_of, decode
from truecount.model.operation import Operation
from truecount.model.places import State
from truecount.model.settings import Settings
from truecount.model.stock import StockKey
from truecount.protocols.storage import ORDER, Wants
from truecount.write.book import Book, Stage
from truecount.write.intents import Decision, Granted, Rule, Rules, Widen


REVERSAL: Final = "reversal"

#: Kinds that are commands: their undoing respects the floors.
COMMANDS: Final = frozenset({Kind.RELOCATE, Kind.TRANSFER_OUT, Kind.ASSEMBLE, Kind.DISASSEMBLE})


def _wants(operation: Correct | Undo, settings: Settings) -> Wants:
    del settings
    return Wants(movements={operation.movement_id}, records={(REVERSAL, operation.movement_id)})


def _original(operation: Correct | Undo, book: Book) -> MovementRow:
    row = book.past_movements.get(operation.movement_id)
    if row is None:
        raise UnknownMovement(operation.movement_id)
    return row


def reversed_by(document: dict[str, Any] | None) -> str | None:
    """Return the id of the movement a reversal document names, None when it stands again."""
    by: str | None = (document or {}).get("by")
    return by


def _reversal_of(book: Book, movement_id: str) -> AlreadyReversed | None:
    by = reversed_by(book.document(REVERSAL, movement_id))
    return AlreadyReversed(movement_id, by) if by is not None else None


# --- undo -------------------------------------------------------------------------------


def _undo(operation: Undo, book: Book, now: Instant) -> Decision:
    row = _original(operation, book)
    kind = Kind(row.kind)
    if kind in NOT_UNDONE:
        raise NotCorrectable(row.id, NOT_UNDONE[kind])
    refusal: Refused | None = _reversal_of(book, row.id)
    if refusal is not None:
        return refusal
    body = decode(row.body)
    back = _back(Kind.UNDO, row, body, book)
    wider = _wider(Stage(book, now), row, back)
    if not book.wants.covers(wider):
        return Widen(wider)
    refusal = _moved_on(row, body, book) or overdrawn("undo", book, back)
    if refusal is not None:
        return refusal
    posted = back._replace(
        id=f"undo/{row.id}",
        guarded=_was_a_command(row, book),
        reason=operation.reason,
        actor=operation.actor,
        origin=operation.origin,
    )
    documents: list[tuple[str, str, dict[str, Any]]] = [(REVERSAL, row.id, {"by": posted.id})]
    if kind is Kind.CORRECT and row.reverses is not None:
        documents.append((REVERSAL, row.reverses, _in_force_again(book, row.reverses)))
    return Granted((*_reclaimed(book, now, posted), posted), documents=tuple(documents))


def _was_a_command(row: MovementRow, book: Book) -> bool:
    """Return whether floors hold for taking *row* back; a correction is as its original was."""
    if row.kind == Kind.CORRECT and row.reverses is not None:
        row = book.past_movements[row.reverses]
    return Kind(row.kind) in COMMANDS


def _reclaimed(book: Book, now: Instant, posted: Draft) -> Iterator[Draft]:
    """Yield the expiry of holds without which a command could not have its net effect."""
    if posted.guarded:
        changes = changes_of(posted.kind, posted.legs)
        losses = [Part(key, -change[0]) for key, change in changes.items() if change[0] < 0]
        yield from reclaim(book, now, losses)


def _back(kind: Kind, row: MovementRow, body: Body, book: Book) -> Draft:
    """Return the movement that takes *row* back: the same legs the other way round."""
    return Draft(
        kind,
        tuple(leg.reversed() for leg in reversed(body.legs)),
        row.occurred_at,
        guarded=False,
        reference=row.reference,
        reverses=row.id,
        tallies=tuple(tally.reversed() for tally in body.tallies),
        expiries=tuple(restored(book, body)),
        touches=body.touches,
    )


def _wider(stage: Stage, row: MovementRow, back: Draft) -> Wants:
    """Return what taking *row* back must have locked."""
    wants = stage.missing((back,))
    if row.reference is not None and any(leg.line for leg in back.legs):
        wants.orders.add(row.reference)
    if row.kind == Kind.CORRECT and row.reverses is not None:
        wants.records.add((REVERSAL, row.reverses))
        wants.movements.add(row.reverses)
    return wants


def _in_force_again(book: Book, movement_id: str) -> dict[str, Any]:
    """Return the reversal document of a movement whose correction is undone."""
    times = (book.document(REVERSAL, movement_id) or {}).get("times", 0)
    return {"by": None, "times": times + 1}


def _moved_on(row: MovementRow, body: Body, book: Book) -> Refused | None:
    """Return the refusal when a reservation's units are no longer where *row* put them."""
    needed: dict[tuple[int, str], int] = {}
    for leg in body.legs:
        if leg.line:
            name = (leg.line, counter(leg.target.name, Kind(row.kind)))
            needed[name] = needed.get(name, 0) + leg.quantity
    lines = book.lines_of(row.reference or "")
    by_number = {line.number: line for line in lines}
    for (number, field), quantity in needed.items():
        line = by_number[number]
        if line.round != lines[-1].round:
            return ReservationFinished("undo", line.reference, "an earlier one")
        left = getattr(line, field)
        if left < quantity:
            sku = line.key.sku
            return TooMany("undo", "reservation", line.reference, sku, quantity, left)
    return None


# --- correct ----------------------------------------------------------------------------


def _correct(operation: Correct, book: Book, now: Instant, rules: Rules) -> Decision:
    """Post the reversal and what should have been written, as one movement."""
    row = _original(operation, book)
    body = decode(row.body)
    original = as_operation(row, body)
    refusal: Refused | None = _reversal_of(book, row.id)
    if refusal is not None:
        return refusal
    right = _changed(operation, original, row)
    if isinstance(right, (Sold, Returned)) and right.sku in book.settings.recipes:
        raise NotCorrectable(row.id, f"{right.sku!r} is a bundle; undo it and say it again")
    back, missing = _back(Kind.CORRECT, row, body, book), right
    if isinstance(right, (Sold, Relocate)) and _is_number_alone(operation):
        back, missing = _standing(back, body, right, book, now)
    stage = Stage(book, now)
    wider = _wider(stage, row, back)
    if missing is not None:
        wider.add(rules[type(missing)].wants(missing, book.settings))
    if not book.wants.covers(wider):
        return Widen(wider)
    stage.post(back, "reversal")
    decision: Decision = Granted()
    if missing is not None:
        decision = _decided(missing, body, book.after(stage), now, rules)
    if not isinstance(decision, Granted):
        return decision
    posted = _net(operation, back, decision)
    refusal = overdrawn("correct", book, posted)
    if refusal is not None:
        return refusal
    times = (book.document(REVERSAL, row.id) or {}).get("times", 0)
    new_id = f"correct/{row.id}" + (f".{times + 1}" if times else "")
    posted = posted._replace(id=new_id, guarded=original.is_command)
    taken_back = {"by": new_id} | ({"times": times} if times else {})
    reclaimed = _reclaimed(book, now, posted) if posted.guarded else decision.drafts[:-1]
    return Granted(
        (*reclaimed, posted),
        documents=((REVERSAL, row.id, taken_back), *_due(book, original, right)),
        result=decision.result,
    )


def _is_number_alone(operation: Correct) -> bool:
    """Return whether nothing but the quantity was mistyped."""
    return (operation.sku, operation.at, operation.lot) == (None, None, None)


def _standing(
    back: Draft, body: Body, right: Sold | Relocate, book: Book, now: Instant
) -> tuple[Draft, Sold | Relocate | None]:
    """
    Let what was right stand: the same units of the same lots, as far as the quantity goes.

    Return the reversal with them put back, and the operation that takes what is missing.
    """
    left = right.quantity
    legs = []
    for leg in body.legs:
        part = min(left, leg.quantity)
        if part:
            legs.append(leg._replace(quantity=part))
            left -= part
    notes: list[str] = []
    if isinstance(right, Sold):
        parts = [Part(StockKey(leg.sku, right.at, leg.lot), leg.quantity) for leg in legs]
        notes = expired_lots(right, book, now, parts)
    standing = back._replace(
        legs=(*back.legs, *legs),
        tallies=(
            *back.tallies,
            *(tally._replace(change=right.quantity - left) for tally in body.tallies),
        ),
        notes=tuple(notes),
    )
    return standing, attrs.evolve(right, quantity=left, lot=None) if left else None


def _decided(right: Operation, body: Body, book: Book, now: Instant, rules: Rules) -> Decision:
    """
    Decide what should have been said, of the document it was said of.

    A sale that was not a reservation's stays off the reservation its reference may have by
    now; it still counts as sold under it. A receipt that was no order's stays off the order
    its reference may name by now.
    """
    decide = rules[type(right)].decide
    stays_off = isinstance(right, Sold) or (isinstance(right, Received) and not body.tallies)
    if right.reference is None or not stays_off:
        return decide(right, book, now)
    decision = decide(attrs.evolve(right, reference=None), book, now)
    if not isinstance(decision, Granted) or not isinstance(right, Sold):
        return decision
    tally = Tally(ORDER, right.reference, right.sku, "sold", right.quantity)
    posted = decision.drafts[-1]._replace(tallies=(tally,))
    return decision._replace(drafts=(*decision.drafts[:-1], posted))


def _net(operation: Correct, back: Draft, decision: Granted) -> Draft:
    """Return reversal and replacement as one movement."""
    again = decision.drafts[-1] if decision.drafts else Draft(Kind.CORRECT, (), 0, guarded=False)
    return back._replace(
        legs=back.legs + again.legs,
        reason=operation.reason,
        actor=operation.actor,
        origin=operation.origin,
        tallies=_netted(back.tallies + again.tallies),
        expiries=back.expiries + again.expiries,
        notes=back.notes + again.notes,
        touches=tuple(dict.fromkeys(back.touches + again.touches)),
    )


def _netted(tallies: Iterable[Tally]) -> tuple[Tally, ...]:
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
    if isinstance(original, (Sold, Relocate)) and not _is_number_alone(operation):
        changes.setdefault("lot", None)  # Elsewhere it need not be the lot they came from.
    if isinstance(original, (Opened, Received)) and operation.lot == "":
        changes["lot_expires_at"] = None
    return attrs.evolve(original, **changes)


def _due(
    book: Book, original: Operation, right: Operation | None
) -> Iterable[tuple[str, str, dict[str, Any]]]:
    """Yield the purchase order with a corrected line still due when the mistyped one was."""
    if not isinstance(original, Expected) or not isinstance(right, Expected):
        return
    mistyped, line = item(original.at, original.sku), item(right.at, right.sku)
    document = book.document(PURCHASE, right.reference) or {}
    due = dict(document.get("due", {}))
    if line != mistyped and mistyped in due:
        due[line] = due[mistyped]
        yield PURCHASE, right.reference, deepcopy(document) | {"due": due}


# --- what they may take -----------------------------------------------------------------


def _undone_demand(operation: Undo, book: Book) -> Iterator[tuple[str, int]]:
    """Yield what taking a movement back takes from SELLABLE: what it put there."""
    row = book.past_movements.get(operation.movement_id)
    for leg in decode(row.body).legs if row is not None else ():
        if leg.target.name == State.SELLABLE:
            yield leg.sku, leg.quantity


def _corrected_demand(operation: Correct, book: Book, rules: Rules) -> Iterator[tuple[str, int]]:
    """Yield what reversal and replacement may take; nothing when it cannot be corrected."""
    row = book.past_movements.get(operation.movement_id)
    if row is None:
        return
    body = decode(row.body)
    for leg in body.legs:
        if leg.target.name == State.SELLABLE:
            yield leg.sku, leg.quantity
    try:
        right = _changed(operation, as_operation(row, body), row)
    except InvalidRequest:
        return  # Deciding will say so.
    demand = None if right is None else rules[type(right)].demand
    if demand is not None:
        yield from demand(right, book)


def correction_rules(rules: Rules) -> Rules:
    """Return the rules of corrections, which decide the right version by *rules*."""
    table: dict[type[Operation], Rule] = {
        Undo: Rule(_wants, _undo, demand=_undone_demand),
        Correct: Rule(
            _wants,
            lambda operation, book, now: _correct(operation, book, now, rules),
            demand=lambda operation, book: _corrected_demand(operation, book, rules),
        ),
    }
    return table
