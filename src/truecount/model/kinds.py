"""
The kinds of movement and what each may do: one table, checked for every leg posted.

Rules:
1. A *command* may be refused and may not break a floor; a *fact* is recorded whatever the
   book says. One kind can come both ways (a shipment asked for, a shipment reported).
2. A leg's ends must be allowed for its kind (``TABLE``); anything else is a bug of ours.
"""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

from truecount.model.places import FREE, ON_HAND, RESERVED, State


class Kind(StrEnum):
    """What happened, in the field's words."""

    OPEN = "open"
    EXPECT = "expect"
    RECEIVE = "receive"
    CLOSE_DELIVERY = "close_delivery"
    RESERVE = "reserve"
    CONFIRM = "confirm"
    RELEASE = "release"
    EXPIRE = "expire"
    AMEND = "amend"
    PICK = "pick"
    SHORT_PICK = "short_pick"
    SHIP = "ship"
    SOLD = "sold"
    TAKE_BACK = "take_back"
    INSPECT = "inspect"
    DAMAGE = "damage"
    SCRAP = "scrap"
    RETURN_TO_SUPPLIER = "return_to_supplier"
    RELOCATE = "relocate"
    TRANSFER_OUT = "transfer_out"
    ARRIVE = "arrive"
    REJECT = "reject"
    LOSE = "lose"
    ADJUST = "adjust"
    COUNT = "count"
    REFOLD = "refold"
    ASSEMBLE = "assemble"
    DISASSEMBLE = "disassemble"
    CORRECT = "correct"
    UNDO = "undo"


class Rule(NamedTuple):
    """Which ends a leg of one kind may have: pairs of (source names, target names)."""

    flows: tuple[tuple[frozenset[str], frozenset[str]], ...]
    meaning: str


def _names(*places: str | frozenset[State]) -> frozenset[str]:
    names: set[str] = set()
    for place in places:
        names |= {place} if isinstance(place, str) else {state.value for state in place}
    return frozenset(names)


_SUPPLIER, _CUSTOMER = _names("supplier"), _names("customer")
_ASSEMBLY, _ADJUSTMENT = _names("assembly"), _names("adjustment")
_FREE, _ON_HAND, _RESERVED = _names(FREE), _names(ON_HAND), _names(RESERVED)
_SELLABLE, _HELD = _names("sellable"), _names("held")
_ALLOCATED, _PICKED = _names("allocated"), _names("picked")
_INCOMING, _IN_TRANSIT = _names("incoming"), _names("in_transit")
_QUARANTINE, _DAMAGED = _names("quarantine"), _names("damaged")

TABLE: Final[dict[Kind, Rule]] = {
    Kind.OPEN: Rule(((_names("opening"), _FREE),), "opening stock, when the book begins"),
    Kind.EXPECT: Rule(((_SUPPLIER, _INCOMING),), "ordered from a supplier, not here yet"),
    Kind.RECEIVE: Rule(
        ((_INCOMING | _SUPPLIER, _SELLABLE | _QUARANTINE), (_INCOMING, _SUPPLIER)),
        "goods arrived; the rejected ones go back",
    ),
    Kind.CLOSE_DELIVERY: Rule(((_INCOMING, _SUPPLIER),), "the rest will not come"),
    Kind.RESERVE: Rule(((_SELLABLE, _HELD),), "held for a cart, expires"),
    Kind.CONFIRM: Rule(
        ((_HELD, _ALLOCATED), (_SELLABLE, _ALLOCATED)),
        "an order was placed; what had expired competed again",
    ),
    Kind.RELEASE: Rule(((_HELD | _ALLOCATED, _SELLABLE),), "given back before shipping"),
    Kind.EXPIRE: Rule(((_HELD, _SELLABLE),), "a hold ran out and was reclaimed"),
    Kind.AMEND: Rule(
        ((_SELLABLE, _HELD | _ALLOCATED), (_HELD | _ALLOCATED, _SELLABLE)),
        "a reservation changed in one step",
    ),
    Kind.PICK: Rule(((_ALLOCATED, _PICKED),), "taken off the shelf for an order"),
    Kind.SHORT_PICK: Rule(
        ((_ALLOCATED | _PICKED, _ADJUSTMENT | _DAMAGED | _QUARANTINE),),
        "an order's unit was missing or unfit",
    ),
    Kind.SHIP: Rule(((_PICKED | _ALLOCATED, _CUSTOMER),), "left the building for a customer"),
    Kind.SOLD: Rule(((_SELLABLE | _RESERVED, _CUSTOMER),), "a till or a channel reports a sale"),
    Kind.TAKE_BACK: Rule(((_CUSTOMER, _FREE),), "a customer's return"),
    Kind.INSPECT: Rule(((_QUARANTINE, _SELLABLE | _DAMAGED),), "a quarantined unit was judged"),
    Kind.DAMAGE: Rule(((_FREE, _DAMAGED),), "found damaged"),
    Kind.SCRAP: Rule(((_FREE, _ADJUSTMENT),), "thrown away"),
    Kind.RETURN_TO_SUPPLIER: Rule(((_FREE, _SUPPLIER),), "sent back to the supplier"),
    Kind.RELOCATE: Rule(((_FREE, _FREE),), "moved to another location in one step"),
    Kind.TRANSFER_OUT: Rule(((_SELLABLE, _IN_TRANSIT),), "sent on its way to another location"),
    Kind.ARRIVE: Rule(((_IN_TRANSIT | _ADJUSTMENT, _SELLABLE),), "came out of transit, sellable"),
    Kind.REJECT: Rule(
        ((_IN_TRANSIT | _ADJUSTMENT, _QUARANTINE),), "came out of transit, to be inspected"
    ),
    Kind.LOSE: Rule(((_IN_TRANSIT, _ADJUSTMENT),), "lost in transit"),
    Kind.ADJUST: Rule(((_FREE, _ADJUSTMENT), (_ADJUSTMENT, _FREE)), "a correction with its reason"),
    Kind.COUNT: Rule(((_FREE, _ADJUSTMENT), (_ADJUSTMENT, _FREE)), "the shelf was counted"),
    Kind.REFOLD: Rule(
        ((_SELLABLE, _ADJUSTMENT), (_ADJUSTMENT, _SELLABLE)),
        "a fact from before a count came late; the count stands",
    ),
    Kind.ASSEMBLE: Rule(
        ((_SELLABLE, _ASSEMBLY), (_ASSEMBLY, _SELLABLE)), "components became a stocked kit"
    ),
    Kind.DISASSEMBLE: Rule(
        ((_SELLABLE, _ASSEMBLY), (_ASSEMBLY, _SELLABLE)), "a stocked kit became components"
    ),
}

#: What happened, as one thing in a sentence.
NOUNS: Final[dict[Kind, str]] = {
    Kind.OPEN: "an opening",
    Kind.EXPECT: "an order from a supplier",
    Kind.RECEIVE: "a receipt",
    Kind.CLOSE_DELIVERY: "a short delivery",
    Kind.RESERVE: "a hold",
    Kind.CONFIRM: "a confirmation",
    Kind.RELEASE: "a release",
    Kind.EXPIRE: "an expiry",
    Kind.AMEND: "an amendment",
    Kind.PICK: "a pick",
    Kind.SHORT_PICK: "a short pick",
    Kind.SHIP: "a parcel",
    Kind.SOLD: "a sale",
    Kind.TAKE_BACK: "a return",
    Kind.INSPECT: "an inspection",
    Kind.DAMAGE: "a damage",
    Kind.SCRAP: "a write-off",
    Kind.RETURN_TO_SUPPLIER: "a return to a supplier",
    Kind.RELOCATE: "a relocation",
    Kind.TRANSFER_OUT: "a transfer",
    Kind.ARRIVE: "an arrival",
    Kind.REJECT: "a rejection",
    Kind.LOSE: "a loss in transit",
    Kind.ADJUST: "an adjustment",
    Kind.COUNT: "a count",
    Kind.REFOLD: "a refold",
    Kind.ASSEMBLE: "an assembly",
    Kind.DISASSEMBLE: "a disassembly",
    Kind.CORRECT: "a correction",
    Kind.UNDO: "an undo",
}


@lru_cache(maxsize=4096)  # Reasons are part of the names, and there is no end to reasons.
def allows(kind: Kind, source: str, target: str) -> bool:
    """
    Return whether a leg of *kind* may go from *source* to *target* (place names).

    A correction or an undo turns legs round, so it may do whatever some kind may do in
    either direction.

    >>> allows(Kind.SHIP, "picked", "customer"), allows(Kind.SHIP, "customer", "picked")
    (True, False)
    """
    source, target = source.partition(":")[0], target.partition(":")[0]
    if kind in (Kind.CORRECT, Kind.UNDO):
        return any(
            (source in starts and target in ends) or (target in starts and source in ends)
            for rule in TABLE.values()
            for starts, ends in rule.flows
        )
    return any(source in starts and target in ends for starts, ends in TABLE[kind].flows)
