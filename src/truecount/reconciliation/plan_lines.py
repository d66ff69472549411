"""
Plan lines: what is done about one mismatch, by whom, and what it rests on. Pure.

=========  ==============================================================  =============
action     what is done                                                    by whom
=========  ==============================================================  =============
count      the book follows a count, as of the time it was taken           ``repair``
adjust     the book changes by a difference, as of when it was seen        ``repair``
publish    the level is published to the channel again                     somebody
list       the SKU is listed over there                                    somebody
look       somebody finds out first; the line says why                     somebody
=========  ==============================================================  =============

Rules:
1. An id is made of everything its line says is to be done, so the same line has the same id
   in every plan, and a line that was changed by hand is found out. Why it differs is no part
   of that: a line that was explained is still the same line, and is written once.
2. A line that is written names one key, one difference and one moment; it is checked when it
   is made, also when it is read back.

Who calls whom: ``planning`` makes lines, ``plan`` keeps them, ``preview`` looks ahead,
``repairing`` writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from hashlib import blake2b
from typing import Any, Final

import attrs
from attrs.converters import optional

from truecount.errors import InvalidArgument, InvalidData
from truecount.explaining.priors import Certainty
from truecount.model import names, quantities
from truecount.model.instants import iso, moment, to_instant
from truecount.model.movements import encode
from truecount.model.stock import StockKey, goods
from truecount.reconciliation.basis import Basis
from truecount.reconciliation.findings import named, risk, when
from truecount.reconciliation.mismatches import KINDS, MismatchKind


_DIGEST: Final = 8
#: What the id of a line is not made of.
_UNNAMED: Final = frozenset({"id", "certainty", "cause"})


class PlanAction(StrEnum):
    """What is done about a mismatch."""

    COUNT = "count"
    ADJUST = "adjust"
    PUBLISH = "publish"
    LIST = "list"
    LOOK = "look"


#: What ``repair`` writes; the rest is done outside.
WRITTEN: Final = frozenset({PlanAction.COUNT, PlanAction.ADJUST})


def _interval(value: Iterable[int]) -> tuple[int, int]:
    low, high = value
    if type(low) is not int or type(high) is not int or low > high:
        raise InvalidArgument("interval", names.shown((low, high)), "two ints, the lower first")
    return low, high


def _moments(value: Iterable[datetime]) -> tuple[datetime, datetime]:
    first, last = value
    return moment(first, "seen_at"), moment(last, "seen_at")


def _place(value: str) -> str:
    return value if value == "" else names.location(value)


def _texts(value: Iterable[str]) -> tuple[str, ...]:
    return tuple(map(names.movement_id, value))


@attrs.frozen(kw_only=True)
class PlanLine:
    """
    What is done about one mismatch.

    Attributes:
        id: The same for the same content, in every plan.
        action: What is done; ``is_written`` tells whether by ``repair``.
        kind: What the mismatch is.
        observed: The quantity seen; None where there was none, or several.
        expected, delta: What the book may have shown, and observed minus that: intervals.
        seen_at: When it was observed.
        at_risk: References whose promises the mismatch puts at risk.
        why: For a line somebody must look at: why nothing is written.
        basis: For a written line: where, as of when, and what it is guarded by.
        after: Lines about the same key that are written before it, when they are approved.
        certainty: How far the explanation of its mismatch may be trusted; None without one.
            A line that is written is never confident of a cause that writing it does not
            put right.
        cause: What is behind the mismatch, in words, when that is certain.
    """

    id: str = attrs.field(init=False)
    action: PlanAction = attrs.field(converter=PlanAction)
    kind: MismatchKind = attrs.field(converter=MismatchKind)
    sku: str = attrs.field(converter=names.sku)
    at: str = attrs.field(converter=_place)
    source: str = attrs.field(converter=names.origin)
    observed: int | None
    expected: tuple[int, int] = attrs.field(converter=_interval)
    delta: tuple[int, int] = attrs.field(converter=_interval)
    seen_at: tuple[datetime, datetime] = attrs.field(converter=_moments)
    at_risk: tuple[str, ...] = attrs.field(default=(), converter=_texts)
    why: str = ""
    basis: Basis | None = None
    after: tuple[str, ...] = attrs.field(default=(), converter=_texts)
    certainty: Certainty | None = attrs.field(default=None, converter=optional(Certainty))
    cause: str = ""

    def __attrs_post_init__(self) -> None:
        if self.is_written:
            _check_written(self)
        words = {name: value for name, value in _plain(self).items() if name not in _UNNAMED}
        content = blake2b(encode(words).encode(), digest_size=_DIGEST).hexdigest()
        object.__setattr__(self, "id", f"{self.action}-{content}")

    @property
    def is_written(self) -> bool:
        """Whether ``repair`` writes it."""
        return self.action in WRITTEN

    @property
    def key(self) -> StockKey:
        """The stock key it is about; without a location when it is about several."""
        return StockKey(self.sku, self.at, self.basis.lot if self.basis else "")

    @property
    def guard(self) -> str:
        """What must still be so when it is written, in words; "" when nothing is written."""
        if self.basis is None:
            return ""
        until = when(to_instant(self.basis.as_of))
        known = named([f"{lot or 'no lot'} v{n}" for lot, n in self.basis.versions]) or "nothing"
        return f"nothing it rests on was reported of {until} since {known}; no newer count"

    @property
    def sentence(self) -> str:
        """What is done, in one sentence."""
        what = goods(self.key) if self.at else self.sku
        cause = f"; because {self.cause}" if self.cause else ""
        return f"{what}: {_SAYS[self.action](self)}{cause}{risk(self.at_risk)}"

    @property
    def advice(self) -> str:
        """What to do about the cause."""
        return KINDS[self.kind].advice

    def to_dict(self) -> dict[str, Any]:
        """Return the line as plain data, for JSON."""
        return _plain(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PlanLine:
        """
        Return the line that ``to_dict`` described, checked anew.

        Raises:
            InvalidData: It is not what ``to_dict`` writes, or was changed since.
        """
        try:
            lacking = _NEEDED - data.keys()
            if lacking:
                raise InvalidData("a plan", f"a line of it has no {min(lacking)!r}")
            words = {name: value for name, value in data.items() if name != "id"}
            words["seen_at"] = [datetime.fromisoformat(each) for each in words["seen_at"]]
            words["basis"] = words["basis"] and Basis.from_dict(words["basis"])
            line = cls(**words)
            if line.id != data["id"]:
                problem = f"line {names.shown(data['id'])} was changed: by its content, {line.id!r}"
                raise InvalidData("a plan", problem)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, InvalidData):
                raise
            raise InvalidData("a plan", names.problem_in(error)) from error
        return line


#: What every line has; the other fields came later, or have a default.
_NEEDED: Final = frozenset(
    field.name for field in attrs.fields(PlanLine) if field.default is attrs.NOTHING
)


def _plain(line: PlanLine) -> dict[str, Any]:
    fields = (f.name for f in attrs.fields(PlanLine) if hasattr(line, f.name))
    lists = {name: list(getattr(line, name)) for name in ("expected", "delta", "at_risk", "after")}
    return {name: getattr(line, name) for name in fields} | {
        **lists,
        "action": line.action.value,
        "kind": line.kind.value,
        "certainty": None if line.certainty is None else line.certainty.value,
        "seen_at": [iso(to_instant(each)) for each in line.seen_at],
        "basis": None if line.basis is None else line.basis.to_dict(),
    }


def _check_written(line: PlanLine) -> None:
    """Refuse a line to be written that does not say what, where, or as of when."""
    names.location(line.at)
    quantities.signed(line.delta[0], "delta")
    if line.basis is None or line.delta[0] != line.delta[1]:
        raise InvalidArgument("line", f"{line.action} of {line.sku}", "a basis and one delta")
    names.lot(line.basis.lot)
    moment(line.basis.as_of, "as_of")
    for _, version in line.basis.versions:
        quantities.natural(version, "version")
    if line.action is PlanAction.COUNT:
        quantities.natural(-1 if line.observed is None else line.observed, "observed")


def _as_of(line: PlanLine) -> str:
    return "" if line.basis is None else when(to_instant(line.basis.as_of))


_SAYS: Final[Mapping[PlanAction, Callable[[PlanLine], str]]] = {
    PlanAction.COUNT: lambda line: (
        f"the book follows the count of {line.observed} as of {_as_of(line)} ({line.delta[0]:+d})"
    ),
    PlanAction.ADJUST: lambda line: (
        f"the book changes by {line.delta[0]:+d} as of {_as_of(line)}, "
        f"{line.source} had {line.observed}"
    ),
    PlanAction.PUBLISH: lambda line: (
        f"publish its level to {line.source} again, it shows {line.observed}"
    ),
    PlanAction.LIST: lambda line: f"list it at {line.source}",
    PlanAction.LOOK: lambda line: (
        f"look at it ({line.kind.value.replace('_', ' ')})" + f": {line.why}" * bool(line.why)
    ),
}
