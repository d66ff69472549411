"""
Findings: what somebody in the shop should look at, as the book alone shows it.

Rules:
1. A finding has an identity. It keeps its id while it is open, however its figures change,
   and gets a new one when it opens again.
2. A finding is a sentence and an advice a shop owner understands, with the evidence to
   check it: the movements it came from, and the orders and carts it puts at risk.
3. Nothing in a finding depends on when it was looked at, so looking twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import attrs

from truecount.errors import InvalidData
from truecount.model.instants import Instant, iso, to_datetime, to_instant
from truecount.model.movements import encode


SCHEMA: Final = 1


class FindingKind(StrEnum):
    """What is wrong, in the field's words."""

    OVERSOLD = "oversold"
    ON_HAND_BELOW_ZERO = "on_hand_below_zero"
    EXPIRED_LOT = "expired_lot"
    BEYOND_RESERVATION = "beyond_reservation"
    LATE_ORDER = "late_order"
    OVERDUE_TRANSFER = "overdue_transfer"
    OVERDUE_DELIVERY = "overdue_delivery"
    RETURN_UNDECIDED = "return_undecided"
    OVER_RETURN = "over_return"
    OVER_ARRIVAL = "over_arrival"
    OVER_DELIVERY = "over_delivery"
    BEFORE_COUNT = "before_count"
    DURING_COUNT = "during_count"
    BEFORE_OPENING = "before_opening"
    LOW_STOCK = "low_stock"
    QUARANTINE_WAITING = "quarantine_waiting"
    NOTED = "noted"
    FUTURE_TIME = "future_time"
    STALE_HOLD = "stale_hold"
    LOOK_ALIKE_SKU = "look_alike_sku"


class KindRule(NamedTuple):
    """How urgent a kind is (100 is now), and what to do."""

    urgency: int
    advice: str


KINDS: Final[Mapping[FindingKind, KindRule]] = {
    FindingKind.OVERSOLD: KindRule(
        100, "Get stock in or tell the customers at risk, then count the shelf."
    ),
    FindingKind.ON_HAND_BELOW_ZERO: KindRule(
        90, "No shelf holds less than nothing: count it and look for the receipt not recorded."
    ),
    FindingKind.EXPIRED_LOT: KindRule(
        80, "Take the units off the shelf (scrap or return them) and serve the orders otherwise."
    ),
    FindingKind.BEYOND_RESERVATION: KindRule(
        70, "Check whether the sale was reported twice, then undo it or dismiss this."
    ),
    FindingKind.LATE_ORDER: KindRule(65, "Ship the order, or release it so that others can buy."),
    FindingKind.OVERDUE_TRANSFER: KindRule(
        60, "Ask both ends for the parcel, then record it as arrived, rejected or lost."
    ),
    FindingKind.OVERDUE_DELIVERY: KindRule(
        55, "Ask the supplier, then set a new date, receive the goods or close the delivery."
    ),
    FindingKind.RETURN_UNDECIDED: KindRule(
        50, "Inspect the return and decide: back on the shelf or damaged."
    ),
    FindingKind.OVER_RETURN: KindRule(
        45, "Check whether the return was recorded twice, then undo it or dismiss this."
    ),
    FindingKind.OVER_ARRIVAL: KindRule(
        40, "Count what arrived and what was sent, then correct one or dismiss this."
    ),
    FindingKind.OVER_DELIVERY: KindRule(
        38, "Compare the delivery note with the order, then correct one or dismiss this."
    ),
    FindingKind.BEFORE_COUNT: KindRule(
        37, "The count did not know of it: count again, or undo what was recorded twice."
    ),
    FindingKind.DURING_COUNT: KindRule(
        36, "The count may have seen it or not: count again, then dismiss this."
    ),
    FindingKind.BEFORE_OPENING: KindRule(
        36, "The opening figure may have it already: undo it if so, or count the shelf."
    ),
    FindingKind.LOW_STOCK: KindRule(35, "Order more, or lower the reorder point."),
    FindingKind.QUARANTINE_WAITING: KindRule(
        30, "Inspect the units and decide: back on the shelf, damaged or back to the supplier."
    ),
    FindingKind.NOTED: KindRule(25, "Read the movement and dismiss this when it is right."),
    FindingKind.FUTURE_TIME: KindRule(
        20, "Set the clock of the system that reported it, then dismiss this."
    ),
    FindingKind.STALE_HOLD: KindRule(15, "Call inventory.sweep() from a timer."),
    FindingKind.LOOK_ALIKE_SKU: KindRule(
        10, "If they are one product, move the stock to one SKU; if not, dismiss this."
    ),
}

#: Findings that come from what a fact could not explain, by the first word of its note.
FACTS: Final[Mapping[str, FindingKind]] = {
    kind.value: kind
    for kind in (
        FindingKind.BEYOND_RESERVATION,
        FindingKind.OVER_RETURN,
        FindingKind.OVER_ARRIVAL,
        FindingKind.OVER_DELIVERY,
        FindingKind.BEFORE_COUNT,
        FindingKind.DURING_COUNT,
        FindingKind.BEFORE_OPENING,
        FindingKind.FUTURE_TIME,
    )
}

#: Notes that are no findings of their own: the figure below zero is, with the same evidence.
SHOWN_BY_FIGURES: Final = frozenset({"not_there"})

#: Kinds that can be dismissed; the others close when their cause is gone, and only then.
DISMISSIBLE: Final = frozenset({*FACTS.values(), FindingKind.NOTED, FindingKind.LOOK_ALIKE_SKU})


@attrs.frozen(kw_only=True)
class Finding:
    """
    Something to look at.

    Attributes:
        id: Stays while the finding is open; a new one when it opens again.
        kind: What is wrong.
        urgency: 100 is now, 10 is when there is time.
        sku: The SKU, "" when it is about several.
        at: The location, "" when it is about several.
        lot: The lot, "" for none.
        reference: The order, cart, transfer or purchase order, if it is about one.
        quantity: Units concerned: short, late, missing, waiting.
        since: When it began.
        opened_at: When it was first found.
        closed_at: When it was found to be over, None while it is open.
        evidence: Ids of the movements it came from: the first, then the latest.
        at_risk: References whose promises it puts at risk, the most endangered first.
        sentence: What is wrong, in one sentence.
        advice: What to do, in one sentence.
    """

    id: str
    kind: FindingKind
    urgency: int
    sku: str
    at: str
    lot: str
    reference: str | None
    quantity: int
    since: datetime
    opened_at: datetime
    closed_at: datetime | None = None
    evidence: tuple[str, ...]
    at_risk: tuple[str, ...]
    sentence: str
    advice: str

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as plain data, for JSON."""
        data = attrs.asdict(self, recurse=False)
        for name in _TIMES:
            value = data[name]
            data[name] = None if value is None else iso(to_instant(value))
        return {
            "schema": SCHEMA,
            **data,
            "kind": self.kind.value,
            "evidence": list(self.evidence),
            "at_risk": list(self.at_risk),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Finding:
        """
        Return the finding that ``to_dict`` described.

        Raises:
            InvalidData: It is not what ``to_dict`` writes.
        """
        if data.get("schema") != SCHEMA:
            raise InvalidData("a finding", f"schema {data.get('schema')!r}, expected {SCHEMA}")
        values = {name: value for name, value in data.items() if name != "schema"}
        try:
            for name in _TIMES:
                value = values[name]
                values[name] = None if value is None else datetime.fromisoformat(value)
            for name in ("evidence", "at_risk"):
                values[name] = tuple(values[name])
            return cls(**(values | {"kind": FindingKind(values["kind"])}))
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidData("a finding", f"{type(error).__name__} {error}") from error


_TIMES: Final = ("since", "opened_at", "closed_at")


@attrs.frozen(kw_only=True)
class FindingsReport:
    """
    What is open, and what has closed.

    Attributes:
        open: Findings, most urgent first: all open ones, or those opened after ``since``.
        closed: Findings closed after ``since``; none without it.
        cursor: Pass it as ``since`` next time to hear only what is new.
    """

    open: tuple[Finding, ...]
    closed: tuple[Finding, ...]
    cursor: int

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data, for JSON."""
        return {
            "schema": SCHEMA,
            "open": [finding.to_dict() for finding in self.open],
            "closed": [finding.to_dict() for finding in self.closed],
            "cursor": self.cursor,
        }


class Condition(NamedTuple):
    """
    Something that is wrong now.

    ``began`` and ``mark`` are numbers of one order (instants): where the condition began,
    and the latest point up to which this was seen. A condition that began no later than
    the mark of the finding known for its subject is that finding, continued.
    """

    kind: FindingKind
    #: What it is about: with the kind, its name in the register.
    subject: tuple[str, ...]
    began: int
    mark: int
    sku: str
    at: str
    lot: str
    reference: str | None
    quantity: int
    since: Instant
    evidence: tuple[str, ...]
    at_risk: tuple[str, ...]
    sentence: str

    @property
    def stem(self) -> str:
        """The part of a finding's id that names kind and subject."""
        return stem_of(self.kind, self.subject)


class Known(NamedTuple):
    """An open finding as the register keeps it."""

    finding: Finding
    #: As in the condition it was last seen as.
    began: int
    mark: int
    #: The greatest ``began`` of all findings of this subject, and how many there were.
    highest: int
    rounds: int
    #: The register's cursor when it opened.
    opened: int


def stem_of(kind: FindingKind, subject: Sequence[str]) -> str:
    """
    Return the name of a subject in the register.

    >>> stem_of(FindingKind.OVERSOLD, ("MUG", "berlin", ""))
    'oversold-0efe5a57388621ed'
    """
    return f"{kind.value}-{_digest(subject, 8)}"


def id_of(stem: str, began: int, again: int) -> str:
    """
    Return a finding's id: its stem, where it began, and how often that was so before.

    >>> id_of("oversold-0efe5a57388621ed", 1, 0)
    'oversold-0efe5a57388621ed-609c35e9c958'
    """
    return f"{stem}-{_digest((stem, began, again), 6)}"


def _digest(words: Sequence[object], size: int) -> str:
    return blake2b(encode(words).encode(), digest_size=size).hexdigest()


def finding_of(condition: Condition, id_: str, opened_at: Instant) -> Finding:
    """Return a condition as callers see it."""
    rule = KINDS[condition.kind]
    return Finding(
        id=id_,
        kind=condition.kind,
        urgency=rule.urgency,
        sku=condition.sku,
        at=condition.at,
        lot=condition.lot,
        reference=condition.reference,
        quantity=condition.quantity,
        since=to_datetime(condition.since),
        opened_at=to_datetime(opened_at),
        evidence=condition.evidence,
        at_risk=condition.at_risk,
        sentence=condition.sentence,
        advice=rule.advice,
    )


def most_urgent_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return *findings* by urgency, then quantity, then age."""
    return tuple(
        sorted(findings, key=lambda each: (-each.urgency, -each.quantity, each.since, each.id))
    )


# --- words of sentences -----------------------------------------------------------------

#: Names spelled out in a sentence; the rest are counted.
NAMED_MAX: Final = 3


def named(names: Sequence[str]) -> str:
    """
    Return names as a sentence lists them.

    >>> named(["a", "b"]), named(["a", "b", "c", "d", "e"])
    ('a and b', 'a, b, c and 2 more')
    """
    if len(names) > NAMED_MAX:
        return f"{', '.join(names[:NAMED_MAX])} and {len(names) - NAMED_MAX} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def when(instant: Instant) -> str:
    """
    Return an instant in words, to the minute.

    >>> when(0)
    '1970-01-01 00:00 UTC'
    """
    return f"{to_datetime(instant):%Y-%m-%d %H:%M} UTC"


def risk(at_risk: Sequence[str]) -> str:
    """Return the part of a sentence that names what is at risk."""
    return f"; at risk: {named(at_risk)}" if at_risk else ""
