"""
Sources: who stamps events and shows levels, and how far they can be trusted. Pure.

Rules:
1. A source states its bounds: how far its clock may be off, how late its reports may come.
   A source nobody described, by name or as ``"*"``, stamps exactly and reports at once.
2. How it makes the level it shows is a formula over one figure of the book.

Who calls whom: ``settings`` keeps those the shop described; ``inventory.sources`` sets them,
``reconcile`` goes by them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import attrs
from attrs.converters import optional

from truecount.errors import InvalidData
from truecount.model import doors, instants, names


#: Whose clock stamps what the ledger records itself; describe it like any other source.
LEDGER: Final = "ledger"
#: Everybody who is not described by name.
ANYBODY: Final = "*"
#: Whose clock counts are taken by, unless they say another.
SHELF: Final = "shelf"

_NONE: Final = timedelta(0)


class Shown(StrEnum):
    """Which figure of the book a system shows."""

    AVAILABLE = "available"
    ON_HAND = "on_hand"
    UNRESERVED = "unreserved"
    PROSPECTIVE = "prospective"


@attrs.frozen
class Formula:
    """
    How a system makes the level it shows out of a figure of the book.

    In this order: take away ``safety`` units, sell in packs of ``pack`` (rounded down), show
    at most ``cap``, never less than ``lowest`` (None: as it comes). Each step never falls
    when the figure rises, so intervals stay intervals.

    With ``kits_apart`` the components of one kit may come from several locations; by default
    each kit it shows is whole at one of them, as carts are by default.

    >>> Formula(safety=2, pack=6, cap=10)(45), Formula()(-3)
    (7, 0)
    """

    shows: Shown = attrs.field(default=Shown.AVAILABLE, converter=Shown)
    safety: int = attrs.field(default=0, kw_only=True, converter=doors.safety)
    pack: int = attrs.field(default=1, kw_only=True, converter=doors.pack)
    cap: int | None = attrs.field(
        default=None,
        kw_only=True,
        converter=optional(doors.cap),
    )
    lowest: int | None = attrs.field(default=0, kw_only=True, converter=optional(doors.lowest))
    kits_apart: bool = attrs.field(default=False, kw_only=True, converter=doors.kits_apart)

    def to_dict(self) -> dict[str, Any]:
        """Return the formula as plain data, for JSON."""
        return attrs.asdict(self, recurse=False) | {"shows": self.shows.value}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Formula:
        """Return the formula that ``to_dict`` described; a mismatch reads its own."""
        return cls(**data)

    def __call__(self, units: int) -> int:
        """Return the level shown for *units* of the figure."""
        shown = (units - self.safety) // self.pack
        if self.cap is not None:
            shown = min(shown, self.cap)
        return shown if self.lowest is None else max(shown, self.lowest)


@attrs.frozen
class Source:
    """
    A system or person that stamps events or shows levels, and how far it can be trusted.

    Attributes:
        name: What events call ``origin`` and observations ``source``; ``"ledger"`` is the
            clock of the ledger itself, ``"shelf"`` that of counts, ``"*"`` is everybody who
            is not described by name.
        skew: How far any of its stamps may be from the true time, either way.
        late: How long after it happened an event of it may be recorded.
        formula: How it makes the level it shows.
        at: The locations it draws on; None for all.
    """

    name: str = attrs.field(converter=names.origin)
    skew: timedelta = attrs.field(default=_NONE, kw_only=True, converter=doors.skew)
    late: timedelta = attrs.field(default=_NONE, kw_only=True, converter=doors.late)
    formula: Formula = attrs.field(default=Formula(), kw_only=True)
    at: frozenset[str] | None = attrs.field(default=None, kw_only=True, converter=doors.places)

    def to_dict(self) -> dict[str, Any]:
        """
        Return what is said of the source as plain data, for JSON; durations as microseconds.

        >>> Source("etsy", skew=timedelta(seconds=2)).to_dict()["skew"]
        2000000
        """
        return {
            "skew": instants.microseconds(self.skew),
            "late": instants.microseconds(self.late),
            "formula": self.formula.to_dict(),
            "at": None if self.at is None else sorted(self.at),
        }

    @classmethod
    def from_dict(cls, name: str, data: Mapping[str, Any]) -> Source:
        """
        Return the source *name* that ``to_dict`` described, checked anew.

        >>> etsy = Source("etsy", formula=Formula("on_hand", cap=9), at="berlin")
        >>> Source.from_dict("etsy", etsy.to_dict()) == etsy
        True

        Raises:
            InvalidData: It is not what ``to_dict`` writes.
        """
        try:
            return cls(
                name,
                skew=timedelta(microseconds=data["skew"]),
                late=timedelta(microseconds=data["late"]),
                formula=Formula.from_dict(data["formula"]),
                at=data["at"],
            )
        except (KeyError, OverflowError, TypeError, ValueError) as error:
            raise InvalidData("a source", f"{type(error).__name__} {error}") from error


@attrs.frozen(kw_only=True)
class SourceVersion:
    """
    What was said of a source from some time on.

    Attributes:
        version: 1 for the first one, without gaps.
        source: What was said; None when the shop took it back.
        set_at: When it was said.
    """

    version: int
    source: Source | None
    set_at: datetime
    reason: str | None = None
    actor: str | None = None
    origin: str | None = None
