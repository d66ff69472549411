"""
What a report says, in the words of a shop: kinds, figures, times, summaries. Pure.

Rules:
1. A figure is shown exactly: an interval as an interval, a sign as a sign, nothing rounded.
2. A time is shown in one stated zone, to the minute, and carries the exact one beside it.
3. Every kind of mismatch and every certainty has its words here; a new one without them is a
   bug a test finds.

Called by every module that draws; calls ``markup``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Final, NamedTuple

from truecount.model.kinds import Kind
from truecount.rendering.markup import Html, element


if TYPE_CHECKING:
    from truecount.model.movements import Movement
    from truecount.reconciliation.report import Reconciliation

MINUS: Final = "−"


class KindWords(NamedTuple):
    """How a kind of mismatch is called, and what it means."""

    label: str
    meaning: str


#: By ``MismatchKind.value``: what the differ calls a kind and what a shop calls it.
KIND_WORDS: Final[Mapping[str, KindWords]] = {
    "oversold": KindWords("Oversold", "More is promised than is there."),
    "phantom": KindWords("Missing on the shelf", "In the book, but not on the shelf."),
    "unrecorded": KindWords("Not in the book", "On the shelf, but not in the book."),
    "reserved_as_available": KindWords(
        "Promised stock on offer", "A channel offers units that are already promised."
    ),
    "stale_sync": KindWords("Out of date", "A channel still shows an earlier level."),
    "bundle": KindWords("Set out of step", "A set's level does not follow from its parts."),
    "foreign_edit": KindWords("Changed elsewhere", "Somebody changed the level over there."),
    "unknown_sku": KindWords("Unknown SKU", "The book has no such SKU."),
    "duplicate_sku": KindWords("Listed twice", "One list has the SKU several times."),
    "unlisted": KindWords("Not listed", "Missing from a list that should have everything."),
    "other": KindWords("Differs", "It differs, and no more is known of it."),
}


#: By ``Certainty.value``: how far an explanation may be trusted.
CERTAINTY_WORDS: Final[Mapping[str, str]] = {
    "confident": "Almost certain",
    "likely": "Probably",
    "ambiguous": "It cannot be told; first look whether",
    "unexplained": "Unexplained",
}


def document(movement: Movement) -> str | None:
    """
    Return the document a movement was made for, None where it names none.

    What a refold names is the record of the count it belongs to: nothing to be read.
    """
    return None if movement.kind is Kind.REFOLD else movement.reference


# --- figures ----------------------------------------------------------------------------


def figure(value: int) -> str:
    """
    Return a whole number as people read it.

    >>> figure(-1234567)
    '−1,234,567'
    """
    return f"{value:,}".replace("-", MINUS)


def signed(value: int) -> str:
    """
    Return a difference with its sign.

    >>> signed(3), signed(-3), signed(0)
    ('+3', '−3', '0')
    """
    return f"+{value:,}" if value > 0 else figure(value)


def span(interval: tuple[int, int], *, is_signed: bool = False) -> str:
    """
    Return an interval, lowest and highest.

    >>> span((5, 5)), span((-2, 1), is_signed=True)
    ('5', '−2 to +1')
    """
    show = signed if is_signed else figure
    low, high = interval
    return show(low) if low == high else f"{show(low)} to {show(high)}"


def several(count: int, one: str, many: str = "") -> str:
    """
    Return how many there are of something.

    >>> several(1, "order"), several(2, "order"), several(2, "is", "are")
    ('1 order', '2 orders', '2 are')
    """
    return f"{figure(count)} {one if count == 1 else many or one + 's'}"


# --- times ------------------------------------------------------------------------------


def clock(moment: datetime, zone: tzinfo = UTC) -> str:
    """
    Return a time in words, to the minute.

    >>> clock(datetime(2026, 3, 1, 9, 5, tzinfo=UTC))
    '1 Mar 2026, 09:05 UTC'
    """
    there = moment.astimezone(zone)
    return f"{there.day} {there:%b %Y, %H:%M} {there.tzname()}"


def clocks(first: datetime, last: datetime, zone: tzinfo = UTC) -> tuple[str, str]:
    """
    Return two times in words, to the second where minutes do not tell them apart.

    >>> moment = datetime(2026, 3, 1, 9, 5, 7, tzinfo=UTC)
    >>> clocks(moment, moment.replace(second=40))
    ('1 Mar 2026, 09:05:07 UTC', '1 Mar 2026, 09:05:40 UTC')
    """
    told = clock(first, zone), clock(last, zone)
    if told[0] != told[1]:
        return told
    there, then = first.astimezone(zone), last.astimezone(zone)
    return _to_the_second(there), _to_the_second(then)


def _to_the_second(there: datetime) -> str:
    return f"{there.day} {there:%b %Y, %H:%M:%S} {there.tzname()}"


def time_of(moment: datetime, zone: tzinfo = UTC) -> Html:
    """Return a time as an element that carries the exact one."""
    exact = moment.astimezone(UTC).isoformat()
    return element("time", clock(moment, zone), datetime=exact)


def times_of(seen_at: tuple[datetime, datetime], zone: tzinfo = UTC) -> Html:
    """Return an interval of time; one that took none as a moment."""
    first, last = seen_at
    if first == last:
        return time_of(first, zone)
    return element("span", time_of(first, zone), " to ", time_of(last, zone))


# --- summaries --------------------------------------------------------------------------


def summary(report: Reconciliation) -> str:
    """
    Return in one sentence what came of a comparison.

    >>> from truecount import Count, Inventory
    >>> inventory = Inventory()
    >>> inventory.locations.add("berlin")
    >>> receipt = inventory.receive("MUG", 5, at="berlin")
    >>> summary(inventory.reconcile([Count("MUG", 3, at="berlin")]))
    'The one quantity that was compared does not match the book; no order is at risk.'
    """
    if not report.compared:
        return "Nothing was compared."
    if report.ok:
        return "Everything matches: " + _all_of(report.compared) + " what the book says."
    parts = [
        f"{several(report.found, 'does', 'do')} not match the book" if report.found else "",
        f"{figure(len(report.undecided))} cannot be judged yet" if report.undecided else "",
    ]
    if report.compared == 1:
        verdict = "does not match the book" if report.found else "cannot be judged yet"
        return f"The one quantity that was compared {verdict}; {_risk(report)}."
    told = " and ".join(filter(None, parts))
    return f"Of {figure(report.compared)} quantities compared, {told}; {_risk(report)}."


def _all_of(compared: int) -> str:
    if compared == 1:
        return "the one quantity that was compared is"
    return f"all {figure(compared)} quantities that were compared are"


def _risk(report: Reconciliation) -> str:
    count = len(report.at_risk)
    return f"{several(count, 'order is', 'orders are')} at risk" if count else "no order is at risk"
