"""
What is said about reservations: hold, confirm, pick, ship, give back, take back.

All are commands but two: what a picker did not find is a fact, and so is that time has passed.
"""

from __future__ import annotations

from datetime import timedelta

import attrs
from attrs.converters import optional

from truecount.model import doors, names
from truecount.model.operation import Operation
from truecount.model.places import State


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
