"""
Everything a caller can say to the ledger: facts (past participles) and commands (verbs).

An operation is a frozen value, checked completely when it is made; nothing behind it
checks again. ``inventory.receive(...)`` is only a shorter way to hand over one
``Received(...)``; lists of them go through ``inventory.record`` and ``inventory.submit``.

Rules:
1. A *fact* is recorded whatever the book says; what the book cannot explain becomes a
   finding. A *command* is granted or refused.
2. ``key`` names one attempt; ``reference`` names the document and may be reused.
3. The fingerprint of an operation is what the caller asked: all of it except the key, and
   except the round, which only a ``Reservation`` handed over in place of its reference adds.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import attrs
from attrs.converters import optional

from truecount.errors import InvalidArgument
from truecount.model import doors, names, quantities
from truecount.model.doors import Document
from truecount.model.operation import Operation
from truecount.model.places import ON_HAND, State


# --- Facts of the stock ledger ----------------------------------------------------------


@attrs.frozen(repr=False)
class Opened(Operation):
    """Opening stock: what was there when the book began."""

    sku: str = attrs.field(converter=names.sku)
    quantity: int = attrs.field(converter=quantities.positive)
    at: str = attrs.field(kw_only=True, converter=names.location)
    state: State = attrs.field(default=State.SELLABLE, kw_only=True, converter=doors.free_state)
    lot: str = attrs.field(default="", kw_only=True, converter=names.lot)
    lot_expires_at: datetime | None = attrs.field(
        default=None, kw_only=True, converter=optional(doors.lot_expires_at)
    )

    def __attrs_post_init__(self) -> None:
        _check_expiry(self)


def _check_expiry(operation: Opened | Received) -> None:
    if operation.lot_expires_at is not None and not operation.lot:
        raise InvalidArgument("lot_expires_at", "without a lot", "lot= as well")


def _check_route(operation: Relocate | TransferOut) -> None:
    if operation.source == operation.target:
        raise InvalidArgument("target", repr(operation.target), "another location than the source")


def _check_recipe(operation: Assemble | Disassemble) -> None:
    if any(sku == operation.sku for sku, _ in operation.components or ()):
        seen = repr(operation.sku)
        raise InvalidArgument("components", seen, "components other than the kit itself")


@attrs.frozen(repr=False, kw_only=True)
class _Delivered(Operation):
    reference: str = attrs.field(converter=names.reference)


@attrs.frozen(repr=False)
class Expected(_Delivered):
    """Ordered from a supplier under *reference*; due at *due_at*."""

    sku: str = attrs.field(converter=names.sku)
    quantity: int = attrs.field(converter=quantities.positive)
    at: str = attrs.field(kw_only=True, converter=names.location)
    due_at: datetime | None = attrs.field(
        default=None, kw_only=True, converter=optional(doors.due_at)
    )


@attrs.frozen(repr=False)
class Received(Operation):
    """
    A delivery: *quantity* accepted, *rejected* sent straight back.

    With a *reference* of an expected order it uses up that order's line first; the surplus
    comes from the supplier directly and is noted.
    """

    sku: str = attrs.field(converter=names.sku)
    quantity: int = attrs.field(converter=doors.quantity)
    at: str = attrs.field(kw_only=True, converter=names.location)
    into: State = attrs.field(default=State.SELLABLE, kw_only=True, converter=doors.received_into)
    lot: str = attrs.field(default="", kw_only=True, converter=names.lot)
    lot_expires_at: datetime | None = attrs.field(
        default=None, kw_only=True, converter=optional(doors.lot_expires_at)
    )
    rejected: int = attrs.field(default=0, kw_only=True, converter=doors.rejected)

    def __attrs_post_init__(self) -> None:
        quantities.positive(self.quantity + self.rejected, "quantity and rejected together")
        _check_expiry(self)


@attrs.frozen(repr=False)
class DeliveryClosed(_Delivered):
    """The rest of an expected order line will not come."""

    sku: str = attrs.field(converter=names.sku)
    at: str = attrs.field(kw_only=True, converter=names.location)


@attrs.frozen(repr=False)
class Sold(Operation):
    """
    A sale that already happened: a till, a channel.

    With the *reference* of a reservation it takes what that still has, then from the
    shelf. Lots not named go earliest expiry first.
    """

    sku: str = attrs.field(converter=names.sku)
    quantity: int = attrs.field(converter=quantities.positive)
    at: str = attrs.field(kw_only=True, converter=names.location)
    lot: str | None = attrs.field(default=None, kw_only=True, converter=optional(names.lot))


@attrs.frozen(repr=False)
class Returned(Operation):
    """A customer's return that already happened, whatever its order says."""

    sku: str = attrs.field(converter=names.sku)
    quantity: int = attrs.field(converter=quantities.positive)
    at: str = attrs.field(kw_only=True, converter=names.location)
    into: State = attrs.field(default=State.QUARANTINE, kw_only=True, converter=doors.into)
    lot: str = attrs.field(default="", kw_only=True, converter=names.lot)


@attrs.frozen(repr=False)
class Inspected(Operation):
    """Quarantined units were judged fit (SELLABLE) or unfit (DAMAGED)."""

    sku: str = attrs.field(converter=names.sku)
    quantity: int = attrs.field(converter=quantities.positive)
    at: str = attrs.field(kw_only=True, converter=names.location)
    into: State = attrs.field(kw_only=True, converter=doors.inspected_into)
    lot: str = attrs.field(default="", kw_only=True, converter=names.lot)


@attrs.frozen(repr=False)
class Damaged(Operation):
    """Units were found damaged."""

    sku: str = attrs.field(converter=names.sku)
    quantity: int = attrs.field(converter=quantities.positive)
    at: str = attrs.field(kw_only=True, converter=names.location)
    state: State = attrs.field(default=State.SELLABLE, kw_only=True, converter=doors.free_state)
    lot: str = attrs.field(default="", kw_only=True, converter=names.lot)

    def __attrs_post_init__(self) -> None:
        if self.state is State.DAMAGED:
            raise InvalidArgument("state", "DAMAGED", "one of SELLABLE, QUARANTINE")


@attrs.frozen(repr=False, kw_only=True)
class _Explained(Operation):
    reason: str = attrs.field(converter=names.reason)


@attrs.frozen(repr=False)
class Scrapped(_Explained):
    """Units were thrown away, for *reason*."""

    sku: str = attrs.field(converter=names.sku)
    quantity: int = attrs.field(converter=quantities.positive)
    at: str = attrs.field(kw_only=True, converter=names.location)
    state: State = attrs.field(default=State.DAMAGED, kw_only=True, converter=doors.free_state)
    lot: str = attrs.field(default="", kw_only=True, converter=names.lot)


@attrs.frozen(repr=False)
class ReturnedToSupplier(Operation):
    """Units went back to their supplier."""

    sku: str = attrs.field(converter=names.sku)
    quantity: int = attrs.field(converter=quantities.positive)
    at: str = attrs.field(kw_only=True, converter=names.location)
    state: State = attrs.field(default=State.QUARANTINE, kw_only=True, converter=doors.free_state)
    lot: str = attrs.field(default="", kw_only=True, converter=names.lot)


@attrs.frozen(repr=False)
class Adjusted(_Explained):
    """
    A correction of *change* units for *reason*.

    With *refuse_below* it is a command: refused when it would leave less than that.
    """

    sku: str = attrs.field(converter=names.sku)
    change: int = attrs.field(converter=doors.change)
    at: str = attrs.field(kw_only=True, converter=names.location)
    state: State = attrs.field(default=State.SELLABLE, kw_only=True, converter=doors.free_state)
    lot: str = attrs.field(default="", kw_only=True, converter=names.lot)
    refuse_below: int | None = attrs.field(
        default=None, kw_only=True, converter=optional(doors.refuse_below)
    )

    @property
    def is_command(self) -> bool:
        """Whether *refuse_below* makes it one."""
        return self.refuse_below is not None


@attrs.frozen(repr=False)
class Counted(Operation):
    """
    The shelf held *quantity* of the states it *covers* at *counted_at* (default: now).

    The variance is taken against the book as of that moment, so later movements survive.
    Counting that took a while began at *counted_from*: a fact from in between that is
    recorded later may have been seen or not, and becomes a finding.
    """

    sku: str = attrs.field(converter=names.sku)
    quantity: int = attrs.field(converter=doors.quantity)
    at: str = attrs.field(kw_only=True, converter=names.location)
    counted_at: datetime | None = attrs.field(
        default=None, kw_only=True, converter=optional(doors.counted_at)
    )
    counted_from: datetime | None = attrs.field(
        default=None, kw_only=True, converter=optional(doors.counted_from)
    )
    covers: frozenset[State] = attrs.field(
        default=ON_HAND - {State.PICKED}, kw_only=True, converter=doors.covers
    )
    lot: str = attrs.field(default="", kw_only=True, converter=names.lot)

    def __attrs_post_init__(self) -> None:
        both = self.counted_at is not None and self.occurred_at is not None
        if both and self.counted_at != self.occurred_at:
            raise InvalidArgument(
                "occurred_at",
                repr(self.occurred_at),
                "none beside counted_at: a count happened then",
            )
        when = self.counted_at or self.occurred_at
        if self.counted_from is not None and when is not None and when < self.counted_from:
            raise InvalidArgument(
                "counted_from", repr(self.counted_from), f"at most counted_at, {when!r}"
            )


@attrs.frozen(repr=False)
class Arrived(_Delivered):
    """Units of transfer *reference* came out of transit, sellable."""

    lines: tuple[tuple[str, int], ...] = attrs.field(converter=doors.lines)


@attrs.frozen(repr=False)
class Rejected(_Delivered):
    """Units of transfer *reference* arrived but were not accepted: into quarantine."""

    lines: tuple[tuple[str, int], ...] = attrs.field(converter=doors.lines)


@attrs.frozen(repr=False)
class Lost(_Delivered):
    """Units of transfer *reference* will not arrive."""

    lines: tuple[tuple[str, int], ...] = attrs.field(converter=doors.lines)


# --- Commands of the stock ledger -------------------------------------------------------


@attrs.frozen(repr=False)
class Relocate(Operation):
    """Move free units from one location to another in one step."""

    is_fact = False
    sku: str = attrs.field(converter=names.sku)
    quantity: int = attrs.field(converter=quantities.positive)
    source: str = attrs.field(kw_only=True, converter=names.location)
    target: str = attrs.field(kw_only=True, converter=names.location)
    state: State = attrs.field(default=State.SELLABLE, kw_only=True, converter=doors.free_state)
    lot: str | None = attrs.field(default=None, kw_only=True, converter=optional(names.lot))

    def __attrs_post_init__(self) -> None:
        _check_route(self)


@attrs.frozen(repr=False)
class TransferOut(_Delivered):
    """Send units on their way to another location, under one transfer *reference*."""

    is_fact = False
    lines: tuple[tuple[str, int], ...] = attrs.field(converter=doors.lines)
    source: str = attrs.field(kw_only=True, converter=names.location)
    target: str = attrs.field(kw_only=True, converter=names.location)
    due_at: datetime | None = attrs.field(
        default=None, kw_only=True, converter=optional(doors.due_at)
    )

    def __attrs_post_init__(self) -> None:
        _check_route(self)


@attrs.frozen(repr=False)
class Assemble(Operation):
    """Make *quantity* stocked kits out of *components* (for one kit; default: its recipe)."""

    is_fact = False
    sku: str = attrs.field(converter=names.sku)
    quantity: int = attrs.field(converter=quantities.positive)
    components: tuple[tuple[str, int], ...] | None = attrs.field(
        default=None, converter=doors.optional_lines
    )
    at: str = attrs.field(kw_only=True, converter=names.location)

    def __attrs_post_init__(self) -> None:
        _check_recipe(self)


@attrs.frozen(repr=False)
class Disassemble(Operation):
    """Take *quantity* stocked kits apart into *components* (for one kit; default: its recipe)."""

    is_fact = False
    sku: str = attrs.field(converter=names.sku)
    quantity: int = attrs.field(converter=quantities.positive)
    components: tuple[tuple[str, int], ...] | None = attrs.field(
        default=None, converter=doors.optional_lines
    )
    at: str = attrs.field(kw_only=True, converter=names.location)

    def __attrs_post_init__(self) -> None:
        _check_recipe(self)


@attrs.frozen(repr=False)
class Correct(_Explained):
    """
    Replace a mistyped movement: its reversal and the right one, in one movement.

    Only what is named changes; ``quantity=0`` takes the movement back altogether.
    """

    is_fact = False
    movement_id: str = attrs.field(converter=names.movement_id)
    quantity: int | None = attrs.field(
        default=None, kw_only=True, converter=optional(doors.quantity)
    )
    sku: str | None = attrs.field(default=None, kw_only=True, converter=optional(names.sku))
    at: str | None = attrs.field(default=None, kw_only=True, converter=optional(names.location))
    lot: str | None = attrs.field(default=None, kw_only=True, converter=optional(names.lot))

    def __attrs_post_init__(self) -> None:
        if self.quantity is None and self.sku is None and self.at is None and self.lot is None:
            raise InvalidArgument("correction", "of nothing", "quantity, sku, at or lot to change")


@attrs.frozen(repr=False)
class Undo(_Explained):
    """Take a whole movement back: the same legs the other way round."""

    is_fact = False
    movement_id: str = attrs.field(converter=names.movement_id)


# --- Reservations -----------------------------------------------------------------------


@attrs.frozen(repr=False, kw_only=True)
class _Owned(Operation):
    is_fact = False
    reference: str = attrs.field(converter=names.reference)


@attrs.frozen(repr=False, kw_only=True)
class _Act(_Owned):
    """An act on a reservation; with *round* on that one alone, not on a later one."""

    round: int | None = attrs.field(default=None, converter=optional(doors.quantity))


@attrs.frozen(repr=False, kw_only=True)
class _PartAct(_Act):
    """An act on all of a reservation (safe to repeat) or on the lines named."""

    @property
    def needs_key(self) -> bool:
        """Whether lines are named: a second "ship one" is another one."""
        return getattr(self, "lines", None) is not None


@attrs.frozen(repr=False)
class Reserve(_Owned):
    """
    Hold units for *reference* until *ttl* has passed.

    All lines or nothing unless *partial*; from *at* only, or from wherever the sourcing
    policy says.
    """

    lines: tuple[tuple[str, int], ...] = attrs.field(converter=doors.lines)
    at: str | None = attrs.field(default=None, kw_only=True, converter=optional(names.location))
    lot: str | None = attrs.field(default=None, kw_only=True, converter=optional(names.lot))
    ttl: timedelta | None = attrs.field(default=None, kw_only=True, converter=optional(doors.ttl))
    partial: bool = attrs.field(default=False, kw_only=True, converter=doors.partial)
    #: Whether one bundle may be put together from several locations.
    kits_apart: bool = attrs.field(default=False, kw_only=True, converter=doors.kits_apart)


@attrs.frozen(repr=False)
class Confirm(_Act):
    """The cart became an order: its holds no longer expire."""

    on_expired: str = attrs.field(default="refuse", kw_only=True, converter=doors.on_expired)


@attrs.frozen(repr=False)
class Release(_PartAct):
    """Give units back before they are picked; all of them when no lines are named."""

    lines: tuple[tuple[str, int], ...] | None = attrs.field(
        default=None, converter=doors.optional_lines
    )


@attrs.frozen(repr=False)
class Amend(_Act):
    """Set how many units of each named SKU the reservation has, in one step."""

    lines: tuple[tuple[str, int], ...] = attrs.field(converter=doors.targets)
    at: str | None = attrs.field(default=None, kw_only=True, converter=optional(names.location))


@attrs.frozen(repr=False)
class Pick(_PartAct):
    """Take allocated units off the shelf; all of them when no lines are named."""

    lines: tuple[tuple[str, int], ...] | None = attrs.field(
        default=None, converter=doors.optional_lines
    )
    at: str | None = attrs.field(default=None, kw_only=True, converter=optional(names.location))


@attrs.frozen(repr=False)
class ShortPick(_PartAct):
    """The picker found units missing (default) or unfit (*into* DAMAGED or QUARANTINE)."""

    is_fact = True
    lines: tuple[tuple[str, int], ...] = attrs.field(converter=doors.lines)
    at: str | None = attrs.field(default=None, kw_only=True, converter=optional(names.location))
    into: State | None = attrs.field(default=None, kw_only=True, converter=doors.short_into)


@attrs.frozen(repr=False)
class Ship(_PartAct):
    """Units leave for the customer, picked ones first; all when no lines are named."""

    lines: tuple[tuple[str, int], ...] | None = attrs.field(
        default=None, converter=doors.optional_lines
    )
    at: str | None = attrs.field(default=None, kw_only=True, converter=optional(names.location))


@attrs.frozen(repr=False)
class TakeBack(_Owned):
    """Take a customer's return, at most what the reference shipped and did not return yet."""

    @property
    def needs_key(self) -> bool:
        """Whether a caller's key is needed: a second "one came back" is another one."""
        return True

    lines: tuple[tuple[str, int], ...] = attrs.field(converter=doors.lines)
    at: str | None = attrs.field(default=None, kw_only=True, converter=optional(names.location))
    into: State = attrs.field(default=State.QUARANTINE, kw_only=True, converter=doors.into)


@attrs.frozen(repr=False)
class Expire(Operation):
    """Reclaim holds that have run out: pairs of reference and line number."""

    holds: tuple[tuple[str, int], ...] = attrs.field(converter=doors.holds)


# --- Shop rules -------------------------------------------------------------------------


@attrs.frozen(repr=False)
class Put(Operation):
    """Store documents (space, id, body), replacing what is there: locations, policies."""

    documents: tuple[Document, ...] = attrs.field(converter=doors.documents)


@attrs.frozen(repr=False)
class DefineBundle(Operation):
    """Say what one unit of a bundle is made of, from now on; made before, as its next version."""

    is_fact = False
    sku: str = attrs.field(converter=names.sku)
    components: tuple[tuple[str, int], ...] = attrs.field(converter=doors.lines)


@attrs.frozen(repr=False)
class RemoveBundle(Operation):
    """Take a bundle out of the range: from now on its SKU is a plain one."""

    is_fact = False
    sku: str = attrs.field(converter=names.sku)
