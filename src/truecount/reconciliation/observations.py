"""
What others saw: counts of a shelf, levels of other systems.

Rules:
1. An observation was true at some moment of its interval; nobody knows which. Without an
   interval it is made at the moment of the comparison.
2. How far who stamped it can be trusted is said of its source (:mod:`truecount.model.sources`).
3. Checked at the door: a reversed interval, a naive time, a fraction is refused here; what
   needs the book (a future count, an unknown location) is refused by the comparison.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, TypeAlias, TypeVar

import attrs
from attrs.converters import optional

from truecount.errors import InvalidArgument, InvalidData, InvalidTime
from truecount.model import doors, names, quantities
from truecount.model.instants import iso, to_instant
from truecount.model.places import ON_HAND, State
from truecount.model.sources import ANYBODY, LEDGER, SHELF, Formula, Shown, Source


__all__ = [
    "ANYBODY",
    "LEDGER",
    "SHELF",
    "Count",
    "Formula",
    "Level",
    "Observation",
    "Shown",
    "Snapshot",
    "Source",
    "observation_from",
]

SCHEMA: Final = 1


def _ordered(first: datetime | None, last: datetime | None, names_of: tuple[str, str]) -> None:
    since, until = names_of
    if last is not None and (first is None or last < first):
        rule = f"it lies before {since} {first}" if first else f"it needs {since} as well"
        raise InvalidTime(until, names.shown(last), rule)


# --- observations -----------------------------------------------------------------------


@attrs.frozen
class Count:
    """
    A shelf held *quantity* of the states it *covers*, as somebody counted it.

    >>> Count("MUG", 3, at="berlin").covers == ON_HAND - {State.PICKED}
    True

    Attributes:
        lot: The lot counted; None for all there is, whatever its lot; "" for what has none.
        counted_at: When the counting of this SKU began; None for the moment of comparison.
        counted_until: When it ended; by default it took no time.
        counter: Who counted; the same one cannot count a key twice in one comparison.
        source: Whose clock was looked at.
    """

    sku: str = attrs.field(converter=names.sku)
    quantity: int = attrs.field(converter=quantities.natural)
    at: str = attrs.field(kw_only=True, converter=names.location)
    lot: str | None = attrs.field(default=None, kw_only=True, converter=optional(names.lot))
    covers: frozenset[State] = attrs.field(
        default=ON_HAND - {State.PICKED}, kw_only=True, converter=doors.covers
    )
    counted_at: datetime | None = attrs.field(
        default=None, kw_only=True, converter=optional(doors.counted_at)
    )
    counted_until: datetime | None = attrs.field(
        default=None, kw_only=True, converter=optional(doors.counted_until)
    )
    counter: str | None = attrs.field(default=None, kw_only=True, converter=optional(names.actor))
    source: str = attrs.field(default=SHELF, kw_only=True, converter=names.origin)

    def __attrs_post_init__(self) -> None:
        _ordered(self.counted_at, self.counted_until, ("counted_at", "counted_until"))

    @property
    def interval(self) -> tuple[datetime | None, datetime | None]:
        """From when to when it may have been true."""
        return self.counted_at, self.counted_until or self.counted_at

    def to_dict(self) -> dict[str, Any]:
        """Return the count as plain data, for JSON."""
        return _plain(self, {"covers": sorted(self.covers)})


@attrs.frozen
class Level:
    """
    Another system showed *quantity* of *sku* at some moment of an interval.

    Attributes:
        at: The locations it speaks of; None for those its source draws on.
        seen_at: When reading it began; None for the moment of comparison.
        seen_until: When it had been read; by default it took no time.
    """

    source: str = attrs.field(converter=names.origin)
    sku: str = attrs.field(converter=names.sku)
    quantity: int = attrs.field(converter=doors.level)
    at: frozenset[str] | None = attrs.field(default=None, kw_only=True, converter=doors.places)
    seen_at: datetime | None = attrs.field(
        default=None, kw_only=True, converter=optional(doors.seen_at)
    )
    seen_until: datetime | None = attrs.field(
        default=None, kw_only=True, converter=optional(doors.seen_until)
    )

    def __attrs_post_init__(self) -> None:
        _ordered(self.seen_at, self.seen_until, ("seen_at", "seen_until"))

    @property
    def interval(self) -> tuple[datetime | None, datetime | None]:
        """From when to when it may have been true."""
        return self.seen_at, self.seen_until or self.seen_at

    def to_dict(self) -> dict[str, Any]:
        """Return the level as plain data, for JSON."""
        return _plain(self, {"at": None if self.at is None else sorted(self.at)})


def _levels(value: Iterable[Level]) -> tuple[Level, ...]:
    levels: tuple[object, ...] = tuple(value)
    for level in levels:
        if not isinstance(level, Level):
            raise InvalidArgument("levels", names.shown(level), "levels; see Snapshot.of")
    return levels  # type: ignore[return-value]  # each was looked at


@attrs.frozen
class Snapshot:
    """
    Levels of one system, read together: a file, or the pages of a listing.

    Each level keeps its own interval, so pages read one after another are told apart. Only
    a *complete* one says something about SKUs that are missing from it: they are then
    judged as if it showed nothing of them, over the time of all its levels.
    """

    source: str = attrs.field(converter=names.origin)
    levels: tuple[Level, ...] = attrs.field(converter=_levels)
    complete: bool = attrs.field(default=False, kw_only=True, converter=doors.complete)

    def __attrs_post_init__(self) -> None:
        for level in self.levels:
            if level.source != self.source:
                allowed = f"levels of {self.source!r} only"
                raise InvalidArgument("levels", f"with one of {level.source!r}", allowed)

    @classmethod
    def of(
        cls,
        source: str,
        quantities_shown: Mapping[str, int] | Iterable[tuple[str, int]],
        *,
        complete: bool = False,
        at: str | Iterable[str] | None = None,
        seen_at: datetime | None = None,
        seen_until: datetime | None = None,
    ) -> Snapshot:
        """
        Return a snapshot whose levels were all read in one interval.

        >>> Snapshot.of("etsy", {"MUG": 3, "TEA": 0}, complete=True).levels[0].quantity
        3

        Args:
            quantities_shown: SKU to quantity; pairs may name a SKU twice, which is found.
        """
        pairs = (
            quantities_shown.items() if isinstance(quantities_shown, Mapping) else quantities_shown
        )
        where = doors.places(at)
        levels = [
            Level(source, sku, quantity, at=where, seen_at=seen_at, seen_until=seen_until)
            for sku, quantity in pairs
        ]
        return cls(source, levels, complete=complete)

    def to_dict(self) -> dict[str, Any]:
        """Return the snapshot as plain data, for JSON."""
        return {
            "type": "Snapshot",
            "schema": SCHEMA,
            "source": self.source,
            "complete": self.complete,
            "levels": [level.to_dict() for level in self.levels],
        }


#: What can be compared with the book.
Observation: TypeAlias = Count | Level | Snapshot

_Seen = TypeVar("_Seen", Count, Level)


def _plain(seen: Count | Level, words: Mapping[str, object]) -> dict[str, Any]:
    data: dict[str, Any] = {"type": type(seen).__name__, "schema": SCHEMA}
    for field in attrs.fields(type(seen)):
        value = words.get(field.name, getattr(seen, field.name))
        data[field.name] = iso(to_instant(value)) if isinstance(value, datetime) else value
    return data


def observation_from(data: Mapping[str, Any]) -> Observation:
    """
    Return the observation that ``to_dict`` described, checked anew.

    >>> observation_from(Count("MUG", 3, at="berlin").to_dict()) == Count("MUG", 3, at="berlin")
    True

    Raises:
        InvalidData: It is not what ``to_dict`` writes.
    """
    if data.get("schema") != SCHEMA:
        raise InvalidData("an observation", f"{names.shown(data)} has no schema {SCHEMA}")
    try:
        if data["type"] == "Count":
            return _revived(Count, data)
        if data["type"] == "Level":
            return _revived(Level, data)
        levels = [_revived(Level, level) for level in data["levels"]]
        return Snapshot(data["source"], levels, complete=data["complete"])
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidData("an observation", f"{type(error).__name__} {error}") from error


def _revived(kind: type[_Seen], data: Mapping[str, Any]) -> _Seen:
    words = {name: value for name, value in data.items() if name not in {"type", "schema"}}
    for name in ("counted_at", "counted_until", "seen_at", "seen_until"):
        if isinstance(words.get(name), str):
            words[name] = datetime.fromisoformat(words[name])
    return kind(**words)
