"""
Rules of plain stock: opening, quality, adjustments, counts, relocation, kits, shop rules.

Each operation has a ``decide`` function; the table at the end pairs it with the stock keys
it wants. Facts always post; commands take from :mod:`truecount.ledger.supply` or refuse.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, Final

from truecount.errors import InsufficientStock, InvalidArgument
from truecount.ledger.bundle_sales import SALE_RULES
from truecount.ledger.drafts import Short, draft, one_key, quantity_demand, shortage
from truecount.ledger.supply import (
    Part,
    carried,
    is_expired,
    keys_first_expiry_first,
    reclaim,
    take,
)
from truecount.model.commands import Assemble, Disassemble, Relocate
from truecount.model.facts import (
    Adjusted,
    Counted,
    Damaged,
    Inspected,
    Opened,
    Received,
    ReturnedToSupplier,
    Scrapped,
)
from truecount.model.instants import Instant, to_instant
from truecount.model.kinds import Kind
from truecount.model.lines import NEVER
from truecount.model.movements import Leg
from truecount.model.operation import Operation
from truecount.model.places import (
    ASSEMBLY,
    INDEX,
    OPENING,
    STATES,
    SUPPLIER,
    Place,
    State,
    adjustment,
    inside,
)
from truecount.model.quantities import QUANTITY_MAX
from truecount.model.settings import GENERATION, JOURNAL, RULE_SPACES, Settings
from truecount.model.shop_rules import Put
from truecount.model.stock import Amounts, StockKey, plus
from truecount.protocols.storage import Wants
from truecount.write.book import Book
from truecount.write.intents import Decision, Granted, Rule, Widen
from truecount.write.rules import next_generation


# --- opening ----------------------------------------------------------------------------


def expiries_of(operation: Opened | Received, book: Book) -> tuple[tuple[str, str, Instant], ...]:
    """Return the lot expiry an operation names, as a draft carries it: what it was before, too."""
    if operation.lot_expires_at is None:
        return ()
    sku, lot = operation.sku, operation.lot
    before = book.row(StockKey(sku, operation.at, lot)).lot_expires_at
    named = to_instant(operation.lot_expires_at)
    return ((sku, lot, NEVER if before is None else before), (sku, lot, named))


def _open(operation: Opened, book: Book, now: Instant) -> Decision:
    book.settings.check(operation.at)
    target = inside(operation.at, operation.state)
    leg = Leg(operation.sku, operation.lot, operation.quantity, OPENING, target)
    expiries = expiries_of(operation, book)
    return Granted((draft(Kind.OPEN, operation, (leg,), now, expiries=expiries),))


# --- quality ----------------------------------------------------------------------------


def _leaves(kind: Kind, operation: Any, book: Book, now: Instant, target: Place) -> Granted:
    """
    Post that units left their state, whatever the book says.

    SELLABLE below zero speaks for itself; that QUARANTINE or DAMAGED did not have the units
    is noted in the history, because somebody named a state that was wrong.
    """
    book.settings.check(operation.at)
    state = getattr(operation, "state", State.QUARANTINE)
    key = StockKey(operation.sku, operation.at, operation.lot)
    there = book.row(key).amounts[INDEX[state]]
    notes = []
    if state is not State.SELLABLE and there < operation.quantity:
        notes.append(
            f"not_there: {operation.quantity} of {operation.sku} left {state} at "
            f"{operation.at}, the book had {there} there"
        )
    source = inside(operation.at, state)
    leg = Leg(operation.sku, operation.lot, operation.quantity, source, target)
    return Granted((draft(kind, operation, (leg,), now, notes=notes),))


def _unfit_demand(operation: Any, book: Book) -> Iterable[tuple[str, int]]:
    """Return what leaves SELLABLE when that is the state named."""
    return quantity_demand(operation, book) if operation.state is State.SELLABLE else ()


def _inspect(operation: Inspected, book: Book, now: Instant) -> Decision:
    target = inside(operation.at, operation.into)
    return _leaves(Kind.INSPECT, operation, book, now, target)


def _damage(operation: Damaged, book: Book, now: Instant) -> Decision:
    target = inside(operation.at, State.DAMAGED)
    return _leaves(Kind.DAMAGE, operation, book, now, target)


def _scrap(operation: Scrapped, book: Book, now: Instant) -> Decision:
    return _leaves(Kind.SCRAP, operation, book, now, adjustment(operation.reason))


def _return_to_supplier(operation: ReturnedToSupplier, book: Book, now: Instant) -> Decision:
    return _leaves(Kind.RETURN_TO_SUPPLIER, operation, book, now, SUPPLIER)


# --- adjustments and counts -------------------------------------------------------------


def _adjust(operation: Adjusted, book: Book, now: Instant) -> Decision:
    book.settings.check(operation.at)
    key = StockKey(operation.sku, operation.at, operation.lot)
    before = book.row(key).amounts[INDEX[operation.state]]
    lowest = operation.refuse_below
    if lowest is not None and operation.change < 0 and before + operation.change < lowest:
        short = Short(operation.sku, -operation.change, before - lowest)
        return shortage(book, Kind.ADJUST, operation.at, [short], f"refuse_below={lowest}")
    leg = _gain_or_loss(operation, operation.change, operation.state, operation.reason)
    return Granted((draft(Kind.ADJUST, operation, (leg,), now),))


def _adjusted_demand(operation: Adjusted, _book: Book) -> Iterable[tuple[str, int]]:
    if operation.state is State.SELLABLE and operation.change < 0:
        yield operation.sku, -operation.change


def _gain_or_loss(operation: Adjusted | Counted, change: int, state: State, reason: str) -> Leg:
    place, boundary = inside(operation.at, state), adjustment(reason)
    source, target = (boundary, place) if change > 0 else (place, boundary)
    return Leg(operation.sku, operation.lot, abs(change), source, target)


def _wants_count(operation: Counted, settings: Settings) -> Wants:
    wants = one_key(operation, settings)
    if not operation.lot:
        wants.scopes.add((operation.sku, operation.at))
    return wants


def _counted_at(operation: Counted) -> Instant | None:
    when = operation.counted_at or operation.occurred_at
    return None if when is None else to_instant(when)


def _counted_demand(operation: Counted, _book: Book) -> Iterable[tuple[str, int]]:
    """Yield what a count may take: its variance is not known before the members ahead of it."""
    yield operation.sku, QUANTITY_MAX


def _counted_moments(operation: Counted, _book: Book) -> Iterable[tuple[StockKey, Instant]]:
    when = _counted_at(operation)
    if when is not None:
        yield StockKey(operation.sku, operation.at, operation.lot), when


def _count(operation: Counted, book: Book, now: Instant) -> Decision:
    """
    Take the variance of a count against the book as of the moment it was taken.

    An agreeing count is recorded, too: it stands in the history of its key.
    """
    book.settings.check(operation.at)
    key = StockKey(operation.sku, operation.at, operation.lot)
    _check_lot(operation, book, key)
    when = _counted_at(operation)
    if operation.counted_from is not None and to_instant(operation.counted_from) > (when or now):
        seen = str(operation.counted_from)
        raise InvalidArgument("counted_from", seen, "a moment before now, or counted_at= as well")
    amounts = book.row(key).amounts if when is None else _as_of(book, key, when)
    expected = sum(amounts[INDEX[state]] for state in STATES if state in operation.covers)
    variance = operation.quantity - expected
    posted = draft(
        Kind.COUNT,
        operation,
        [_gain_or_loss(operation, variance, State.SELLABLE, operation.reason or "count")]
        if variance
        else [],
        now,
        occurred_at=now if when is None else when,
        touches=() if variance else (key,),
    )
    result = {"expected": expected, "counted": operation.quantity, "variance": variance}
    return Granted((posted,), result=result)


def _as_of(book: Book, key: StockKey, when: Instant) -> Amounts:
    """Return the figures of *key* as of *when*, what this very write has done included."""
    amounts = book.moments[key, when]
    for entry in book.entries:
        if entry.key == key and entry.occurred_at <= when:
            amounts = plus(amounts, entry.change)
    return amounts


def _check_lot(operation: Counted, book: Book, key: StockKey) -> None:
    """Refuse a count of no lot where all there is lies in lots: it would be counted twice."""
    if operation.lot or book.row(key).version:
        return
    lots = [
        each.lot for each in book.keys_of(operation.sku, operation.at) if book.row(each).on_hand
    ]
    if lots:
        known = ", ".join(repr(lot) for lot in lots)
        raise InvalidArgument("lot", "''", f"the lot that was counted, one count for each: {known}")


# --- moving and making ------------------------------------------------------------------


def _wants_relocate(operation: Relocate, settings: Settings) -> Wants:
    del settings
    return Wants(
        scopes={(operation.sku, operation.source)},
        keys={StockKey(operation.sku, operation.target, operation.lot or "")},
    )


def _relocate(operation: Relocate, book: Book, now: Instant) -> Decision:
    for location in (operation.source, operation.target):
        book.settings.check(location)
    taken = _movable(operation, book, now)
    found = sum(part.quantity for part in taken)
    if found < operation.quantity:
        short = Short(operation.sku, operation.quantity, found)
        return shortage(book, Kind.RELOCATE, operation.source, [short], operation.state.value)
    source, target = (
        inside(location, operation.state) for location in (operation.source, operation.target)
    )
    legs = [Leg(operation.sku, key.lot, quantity, source, target) for key, quantity in taken]
    posted = draft(Kind.RELOCATE, operation, legs, now, expiries=carried(book, taken))
    return Granted((*reclaim(book, now, taken), posted))


def _movable(operation: Relocate, book: Book, now: Instant) -> list[Part]:
    """Return parts to be moved; of an expired lot only when it is the one named."""
    sku, lot, left = operation.sku, operation.lot, operation.quantity
    keys = keys_first_expiry_first(book, sku, operation.source, lot)
    named_and_expired = lot and any(is_expired(book.row(key), now) for key in keys)
    if operation.state is State.SELLABLE and not named_and_expired:
        return take(book, now, sku, operation.source, left, lot=lot)
    parts = []
    for key in keys:
        taken = min(left, max(0, book.row(key).amounts[INDEX[operation.state]]))
        if taken:
            parts.append(Part(key, taken))
            left -= taken
    return parts


def gather(
    kind: Kind, book: Book, now: Instant, location: str, needs: Iterable[tuple[str, int]]
) -> list[Part] | Widen | InsufficientStock:
    """Return free parts at *location* for all *needs*, or the refusal that names what is short."""
    parts: list[Part] = []
    short = []
    for sku, quantity in needs:
        taken = take(book, now, sku, location, quantity)
        found = sum(part.quantity for part in taken)
        if found < quantity:
            short.append(Short(sku, quantity, found))
        parts += taken
    return shortage(book, kind, location, short, State.SELLABLE.value) if short else parts


def _made_of(
    operation: Assemble | Disassemble, settings: Settings
) -> tuple[tuple[str, int], ...] | None:
    """Return the components of one kit: those named, or those of its recipe, if it has one."""
    if operation.components is not None:
        return operation.components
    recipe = settings.recipes.get(operation.sku)
    return None if recipe is None else recipe.components


def _wants_kit(operation: Assemble | Disassemble, settings: Settings) -> Wants:
    skus = {operation.sku, *(sku for sku, _ in _made_of(operation, settings) or ())}
    return Wants(
        scopes={(sku, operation.at) for sku in skus},
        keys={StockKey(sku, operation.at, "") for sku in skus},
    )


def _demand_kit(operation: Assemble | Disassemble, book: Book) -> Iterable[tuple[str, int]]:
    for sku, each in _made_of(operation, book.settings) or ():
        yield sku, each * operation.quantity


def _convert(kind: Kind, operation: Assemble | Disassemble, book: Book, now: Instant) -> Decision:
    """Turn components into kits, or kits into components, through the assembly boundary."""
    book.settings.check(operation.at)
    components = _made_of(operation, book.settings)
    if components is None:
        raise InvalidArgument(
            "components", "None", f"those of one {operation.sku!r}, which has no recipe"
        )
    wants = _wants_kit(operation, book.settings)
    if not book.wants.covers(wants):
        return Widen(wants)  # Its recipe is not the one it was locked for.
    kits = [(operation.sku, operation.quantity)]
    parts = [(sku, each * operation.quantity) for sku, each in components]
    needs, gives = (parts, kits) if kind is Kind.ASSEMBLE else (kits, parts)
    taken = gather(kind, book, now, operation.at, needs)
    if not isinstance(taken, list):
        return taken
    shelf = inside(operation.at, State.SELLABLE)
    legs = [Leg(key.sku, key.lot, part, shelf, ASSEMBLY) for key, part in taken]
    legs += [Leg(sku, "", quantity, ASSEMBLY, shelf) for sku, quantity in gives]
    return Granted((*reclaim(book, now, taken), draft(kind, operation, legs, now)))


# --- shop rules -------------------------------------------------------------------------


def _wants_put(operation: Put, settings: Settings) -> Wants:
    del settings
    wants = Wants(records={(space, id_) for space, id_, _ in operation.documents})
    if any(space in RULE_SPACES for space, _, _ in operation.documents):
        wants.records |= {GENERATION, JOURNAL}
    return wants


def _put(operation: Put, book: Book, now: Instant) -> Decision:
    """Store documents; a change of the shop rules is a new generation of them."""
    del now
    documents: list[tuple[str, str, dict[str, Any]]] = [
        (space, id_, body)
        for space, id_, body in operation.documents
        if book.document(space, id_) != body
    ]
    rules = [each for each in documents if each[0] in RULE_SPACES]
    if rules:
        documents += next_generation(book, rules)
    return Granted(documents=tuple(documents))


STOCK_RULES: Final[dict[type[Operation], Rule]] = {
    **SALE_RULES,
    Opened: Rule(one_key, _open),
    Inspected: Rule(one_key, _inspect),
    Damaged: Rule(one_key, _damage, demand=_unfit_demand),
    Scrapped: Rule(one_key, _scrap, demand=_unfit_demand),
    ReturnedToSupplier: Rule(one_key, _return_to_supplier, demand=_unfit_demand),
    Adjusted: Rule(one_key, _adjust, demand=_adjusted_demand),
    Counted: Rule(_wants_count, _count, demand=_counted_demand, moments=_counted_moments),
    Relocate: Rule(_wants_relocate, _relocate, demand=quantity_demand),
    Assemble: Rule(_wants_kit, partial(_convert, Kind.ASSEMBLE), demand=_demand_kit),
    Disassemble: Rule(_wants_kit, partial(_convert, Kind.DISASSEMBLE), demand=quantity_demand),
    Put: Rule(_wants_put, _put),
}
