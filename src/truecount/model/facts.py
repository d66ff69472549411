"""
Facts of the stock ledger: what happened, in past participles.

A fact is recorded whatever the book says; what the book cannot explain becomes a finding.
``inventory.receive(...)`` is only a shorter way to hand over one ``Received(...)``; lists of
facts go through ``inventory.record``.
"""

from __future__ import annotations

from datetime import datetime

import attrs
from attrs.converters import optional

from truecount.errors import InvalidArgument
from truecount.model import doors, names, quantities
from truecount.model.operation import Explained, Operation, Referenced
from truecount.model.places import ON_HAND, State


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


@attrs.frozen(repr=False)
class Expected(Referenced):
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
class DeliveryClosed(Referenced):
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


@attrs.frozen(repr=False)
class Scrapped(Explained):
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
class Adjusted(Explained):
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
class Arrived(Referenced):
    """Units of transfer *reference* came out of transit, sellable."""

    lines: tuple[tuple[str, int], ...] = attrs.field(converter=doors.lines)


@attrs.frozen(repr=False)
class Rejected(Referenced):
    """Units of transfer *reference* arrived but were not accepted: into quarantine."""

    lines: tuple[tuple[str, int], ...] = attrs.field(converter=doors.lines)


@attrs.frozen(repr=False)
class Lost(Referenced):
    """Units of transfer *reference* will not arrive."""

    lines: tuple[tuple[str, int], ...] = attrs.field(converter=doors.lines)
