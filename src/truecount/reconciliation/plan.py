"""
Plans: what to do about the mismatches of a report, to be looked at, cut down, approved. Pure.

Rules:
1. A plan touches only what differed (I18): each mismatch has one line, or is among what was
   left out, with the reason. What is undecided is never written.
2. A plan is a value: cutting it down makes another plan of the same lines, with an id of its
   own, made of theirs. Approved, it is a record anybody can read back and check.

Who calls whom: ``planning`` makes plans; ``Plan.preview`` asks ``preview``; ``repairing``
writes what is approved.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import attrs

from truecount.errors import InvalidArgument, InvalidData
from truecount.explaining.priors import Certainty
from truecount.model import names, quantities
from truecount.model.instants import iso, moment, to_instant
from truecount.model.movements import encode
from truecount.reconciliation.mismatches import MismatchKind
from truecount.reconciliation.plan_lines import PlanAction, PlanLine
from truecount.reconciliation.preview import Costs, PlanPreview, preview_of


SCHEMA: Final = 1
_DIGEST: Final = 8


class LeftOut(NamedTuple):
    """What a plan has no line for, and why; ``number`` of them alike."""

    sku: str
    at: str
    source: str
    reason: str
    number: int = 1


def _lines(value: Iterable[PlanLine]) -> tuple[PlanLine, ...]:
    lines = tuple(value)
    ids = [line.id for line in lines]
    if len(set(ids)) != len(ids):
        raise InvalidArgument("lines", "with one line twice", "each line once")
    return lines


def _left(value: Iterable[LeftOut]) -> tuple[LeftOut, ...]:
    left = tuple(value)
    for each in left:
        quantities.positive(each.number, "number")
    return left


@attrs.frozen(kw_only=True)
class Plan:
    """
    What to do about the mismatches of one comparison.

    Attributes:
        at: When the book was compared.
        compared: How many observations were; the breaker of ``repair`` looks at the share.
        lines: One for each mismatch, those about one key in the order they are written.
        left: What has no line, and why.
    """

    id: str = attrs.field(init=False)
    at: datetime = attrs.field(converter=moment)
    compared: int = attrs.field(converter=quantities.natural)
    lines: tuple[PlanLine, ...] = attrs.field(converter=_lines)
    left: tuple[LeftOut, ...] = attrs.field(default=(), converter=_left)

    def __attrs_post_init__(self) -> None:
        words = encode(
            (sorted(line.id for line in self.lines), to_instant(self.at), self.compared)
        ).encode()
        id_ = f"plan-{blake2b(words, digest_size=_DIGEST).hexdigest()}"
        object.__setattr__(self, "id", id_)

    @property
    def written(self) -> tuple[PlanLine, ...]:
        """The lines that ``repair`` writes."""
        return tuple(line for line in self.lines if line.is_written)

    @property
    def outside(self) -> tuple[PlanLine, ...]:
        """The lines somebody else must do."""
        return tuple(line for line in self.lines if not line.is_written)

    def only(
        self,
        *,
        kinds: Collection[MismatchKind | str] | None = None,
        actions: Collection[PlanAction | str] | None = None,
        skus: Collection[str] | None = None,
        locations: Collection[str] | None = None,
        sources: Collection[str] | None = None,
        ids: Collection[str] | None = None,
        certainties: Collection[Certainty | str] | None = None,
    ) -> Plan:
        """
        Return the plan of the lines for which all that is given holds.

        >>> from truecount import Count, Inventory
        >>> inventory = Inventory()
        >>> inventory.locations.add("berlin")
        >>> receipt = inventory.receive("MUG", 5, at="berlin")
        >>> plan = inventory.reconcile([Count("MUG", 3, at="berlin")]).plan()
        >>> len(plan.only(kinds={"phantom"}).lines), len(plan.only(skus={"TEA"}).lines)
        (1, 0)

        Args:
            certainties: How far the explanation of a line's mismatch may be trusted; only
                ``"confident"`` lines are for a job that nobody watches. Lines that were
                never explained have none, and are in no such plan.

        Raises:
            InvalidArgument: There is no such kind, action or certainty, or no line with one
                of *ids*.
        """
        known = {line.id for line in self.lines}
        for id_ in ids or ():
            if id_ not in known:
                raise InvalidArgument("id", names.shown(id_), "the id of a line of this plan")
        chosen: list[tuple[str, Collection[str] | None]] = [
            ("kind", _members(MismatchKind, kinds, "kind")),
            ("action", _members(PlanAction, actions, "action")),
            ("sku", _several(skus, "skus")),
            ("at", _several(locations, "locations")),
            ("source", _several(sources, "sources")),
            ("id", _several(ids, "ids")),
            ("certainty", _members(Certainty, certainties, "certainty", "certainties")),
        ]
        tests = [(name, values) for name, values in chosen if values is not None]
        kept = (
            line
            for line in self.lines
            if all(getattr(line, name) in values for name, values in tests)
        )
        return attrs.evolve(self, lines=tuple(kept))

    def preview(self, costs: Costs | None = None) -> PlanPreview:
        """
        Return what writing the plan would change: figures before and after, units, money.

        Args:
            costs: What one unit of each SKU costs: int (minor units) or Decimal.

        Raises:
            InvalidArgument: A cost is neither, or below zero.
        """
        return preview_of(self.id, self.written, costs)

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain data, for JSON; approved, it is a record."""
        return {
            "schema": SCHEMA,
            "id": self.id,
            "at": iso(to_instant(self.at)),
            "compared": self.compared,
            "lines": [line.to_dict() for line in self.lines],
            "left": [list(each) for each in self.left],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Plan:
        """
        Return the plan that ``to_dict`` described, every line checked against its id.

        Raises:
            InvalidData: It is not what ``to_dict`` writes, or was changed since.
        """
        if data.get("schema") != SCHEMA:
            seen = names.shown(data.get("schema"))
            raise InvalidData("a plan", f"its schema is {seen}, this version reads {SCHEMA}")
        try:
            plan = cls(
                at=datetime.fromisoformat(data["at"]),
                compared=data["compared"],
                lines=tuple(map(PlanLine.from_dict, data["lines"])),
                left=tuple(LeftOut(*each) for each in data["left"]),
            )
            stored = data["id"]
        except InvalidData:
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidData("a plan", names.problem_in(error)) from error
        if plan.id != stored:
            problem = f"{names.shown(stored)} was changed: by its content it is {plan.id!r}"
            raise InvalidData("a plan", problem)
        return plan

    def __str__(self) -> str:
        """Say every line, those that are written first, and what was left out."""
        rows = [f"{line.id}  {line.sentence}" for line in (*self.written, *self.outside)]
        rows += [
            f"no line  {each.number} x {each.sku or each.source}: {each.reason}"
            for each in self.left
        ]
        head = f"{self.id}: {len(self.written)} to write, {len(self.outside)} to do outside"
        return "\n".join([head, *rows])


def _several(value: Collection[str] | None, name: str) -> Collection[str] | None:
    """Return names to choose by; a text alone would be searched for its letters."""
    if isinstance(value, str):
        raise InvalidArgument(name, names.shown(value), "a set of texts")
    return None if value is None else frozenset(value)


def _members(
    enum: type[StrEnum], value: Collection[str] | None, name: str, several: str = ""
) -> Collection[str] | None:
    """Return members of *enum* to choose by; *several* is what more than one are called."""
    chosen = _several(value, several or f"{name}s")
    for each in chosen or ():
        if each not in list(enum):
            raise InvalidArgument(name, names.shown(each), f"one of {', '.join(enum)}")
    return chosen
