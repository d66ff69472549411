"""
What a report lists: mismatches, what is not decided, orders at risk, and how many of which. Pure.

Rules:
1. A list longer than ``ROWS_MAX`` is cut, and says so with both numbers; the counts above it
   are of everything.
2. The order is the report's own: kinds in the order of their table, then by SKU.

Called by ``page``; calls ``causes``, ``tables`` and ``words``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, tzinfo
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeVar

from truecount.model.instants import to_instant
from truecount.model.places import STATES
from truecount.reconciliation.mismatches import KINDS, MismatchKind
from truecount.rendering import causes
from truecount.rendering.markup import Html, each, element, joined
from truecount.rendering.tables import Cell, Column, Row, named, number, own, table
from truecount.rendering.timeline import SHELF
from truecount.rendering.words import KIND_WORDS, figure, several, span, time_of, times_of


if TYPE_CHECKING:
    from truecount.reconciliation.mismatches import Mismatch
    from truecount.reconciliation.report import Reconciliation, Undecided

#: Rows of a list; a browser on a phone draws that many at once.
ROWS_MAX: Final = 1_000
#: SKUs in the list of those with the most mismatches.
SKUS_MAX: Final = 20

SEVERAL: Final = "several places"
_Item = TypeVar("_Item")


def cut(rows: Sequence[_Item]) -> tuple[Sequence[_Item], Html | None]:
    """Return the first rows, and a note of how many there are when that is not all."""
    if len(rows) <= ROWS_MAX:
        return rows, None
    note = f"The first {figure(ROWS_MAX)} of {figure(len(rows))}; the CSV of the report has all."
    return rows[:ROWS_MAX], element("p", note, class_="quiet")


# --- every one --------------------------------------------------------------------------


_MISMATCHES: Final = (
    Column("SKU", is_heading=True),
    Column("What"),
    Column("Where"),
    Column("Seen", is_number=True),
    Column("Book", is_number=True),
    Column("Difference", is_number=True),
    Column("Observed"),
    Column("Orders at risk"),
)


def mismatches(report: Reconciliation, zone: tzinfo) -> Html:
    """Return every mismatch, with what it is, where, by how much, and why."""
    listed, note = cut(report.mismatches)
    rows = (
        Row(
            (
                _goods(each_.sku, each_.lot),
                Cell(_what(each_, zone), label_of(each_)),
                named(each_.at, missing=SEVERAL),
                _seen(each_),
                Cell(span(each_.expected), each_.expected[0]),
                Cell(_difference(each_), each_.delta[0]),
                _observed(each_.source, each_.seen_at, zone, each_.counter),
                references(each_.at_risk),
            ),
            group=label_of(each_),
            place=each_.at or SEVERAL,
        )
        for each_ in listed
    )
    return joined(
        table(
            "Every mismatch", _MISMATCHES, rows, is_sortable=True, has_cards=True, is_headed=True
        ),
        note,
    )


def label_of(mismatch: Mismatch) -> str:
    """Return what a shop calls the kind of a mismatch."""
    return KIND_WORDS[mismatch.kind.value].label


def _goods(sku: str, lot: str) -> Cell:
    apart = element("span", "lot ", own(lot), class_="quiet") if lot else None
    return Cell(joined(own(sku), " " if lot else None, apart), sku)


def _seen(mismatch: Mismatch) -> Cell:
    if mismatch.observed is None:
        words = "not listed" if MismatchKind.UNLISTED in mismatch.kinds else "several figures"
        return Cell(element("span", words, class_="quiet"), "")
    return number(mismatch.observed)


def _difference(mismatch: Mismatch) -> Html | str:
    if mismatch.observed is None:
        return element("span", "not known", class_="quiet")
    return element("strong", span(mismatch.delta, is_signed=True))


def _what(mismatch: Mismatch, zone: tzinfo) -> Html:
    first, *others = (KIND_WORDS[kind.value].label for kind in mismatch.kinds)
    also = element("div", f"also: {', '.join(others).lower()}", class_="quiet") if others else None
    since = None
    if mismatch.since is not None:
        since = element("div", "since ", time_of(mismatch.since, zone), class_="quiet")
    explanation = mismatch.explanation
    why = element(
        "details",
        element("summary", "Why, and what to do"),
        element("p", mismatch.sentence),
        element("p", mismatch.advice),
        None if explanation is None else causes.rivals(explanation),
        _covers(mismatch),
    )
    cause = None if explanation is None else causes.cause(explanation)
    return joined(element("span", first, class_="kind"), also, since, cause, why)


def _covers(mismatch: Mismatch) -> Html | None:
    """Return which states were counted, when they are not what is counted mostly."""
    if mismatch.covers is None or mismatch.covers == SHELF:
        return None
    named = ", ".join(state.value.replace("_", " ") for state in STATES if state in mismatch.covers)
    return element("p", f"Counted was what is {named}.")


def _observed(
    source: str, seen_at: tuple[datetime, datetime], zone: tzinfo, who: str | None = None
) -> Cell:
    by = None if who is None else joined(" by ", own(who))
    when = element("div", times_of(seen_at, zone), class_="quiet")
    return Cell(joined(own(source), by, when), to_instant(seen_at[0]))


def references(names: Sequence[str]) -> Cell:
    """Return a cell of references, sorted by how many there are."""
    if not names:
        return Cell(element("span", "none", class_="quiet"), 0)
    return Cell(_listed(names), len(names))


def _listed(names: Iterable[str]) -> Html:
    """Return names one after another, with commas between them."""
    return each(_with_commas(names))


def _with_commas(names: Iterable[str]) -> Iterator[Html | str]:
    for number_, name in enumerate(names):
        if number_:
            yield ", "
        yield own(name)


# --- not decided ------------------------------------------------------------------------


_UNDECIDED: Final = (
    Column("SKU", is_heading=True),
    Column("Where"),
    Column("Seen", is_number=True),
    Column("Book", is_number=True),
    Column("Observed"),
    Column("Can be judged"),
)


def undecided(report: Reconciliation, zone: tzinfo) -> Html:
    """Return what cannot be judged yet, and until when."""
    listed, note = cut(report.undecided)
    rows = (
        Row(
            (
                _goods(one.sku, one.lot),
                named(one.at, missing=SEVERAL),
                number(one.observed),
                Cell(span(one.expected), one.expected[0]),
                _observed(one.source, one.seen_at, zone),
                _until(one, zone),
            )
        )
        for one in listed
    )
    return joined(
        table(
            "Not decided yet", _UNDECIDED, rows, is_sortable=True, has_cards=True, is_headed=True
        ),
        note,
    )


def _until(one: Undecided, zone: tzinfo) -> Cell:
    if one.decidable_at is None:
        return Cell("not by waiting: it moved meanwhile, look again when it is quiet", "")
    return Cell(joined("from ", time_of(one.decidable_at, zone)), to_instant(one.decidable_at))


# --- how many of which ------------------------------------------------------------------


def kinds(report: Reconciliation) -> Html:
    """Return how many mismatches there are of each kind, and what to do about each."""
    columns = (
        Column("What", is_heading=True),
        Column("Mismatches", is_number=True),
        Column("What to do"),
    )
    rows = (
        Row(
            (
                Cell(
                    joined(
                        element("span", KIND_WORDS[kind.value].label, class_="kind"),
                        element("div", KIND_WORDS[kind.value].meaning, class_="quiet"),
                    )
                ),
                number(count),
                Cell(KINDS[kind].advice),
            )
        )
        for kind, count in report.kinds.items()
    )
    return table("By kind", columns, rows, has_cards=True)


def locations(report: Reconciliation) -> Html:
    """Return how many mismatches there are at each location, the most first."""
    columns = (Column("Where", is_heading=True), Column("Mismatches", is_number=True))
    counted = sorted(report.locations.items(), key=lambda item: (-item[1], item[0]))
    rows = [Row((named(at, missing=SEVERAL), number(count))) for at, count in counted]
    return table("By location", columns, rows)


def skus(report: Reconciliation) -> Html:
    """Return the SKUs with the most mismatches, at most ``SKUS_MAX``."""
    counted = Counter(each_.sku for each_ in report.mismatches)
    columns = (Column("SKU", is_heading=True), Column("Mismatches", is_number=True))
    most = islice(sorted(counted.items(), key=lambda item: (-item[1], item[0])), SKUS_MAX)
    rest = len(counted) - SKUS_MAX
    note = element("p", f"and {several(rest, 'other SKU')}", class_="quiet") if rest > 0 else None
    rows = [Row((named(sku), number(count))) for sku, count in most]
    return joined(table("By SKU", columns, rows), note)


def orders(report: Reconciliation) -> Html:
    """Return the orders at risk, and the SKUs that endanger each."""
    because: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for mismatch in report.mismatches:
        for reference in mismatch.at_risk:
            because[reference][mismatch.sku] = None
    columns = (Column("Order or cart", is_heading=True), Column("Because of"))
    listed, note = cut(list(because.items()))
    rows = (Row((named(reference), Cell(_listed(found)))) for reference, found in listed)
    return joined(table("Orders at risk", columns, rows, is_headed=True), note)
