"""
A whole report on one page that needs nothing else: no network, no script, no second file. Pure.

Rules:
1. The most important thing comes first: one sentence, four numbers, orders at risk, causes
   behind many mismatches; then what differs, what to do about it, and every single row.
2. The page forbids itself everything it does not hold, by a security policy that knows the
   digest of the one script; so even a mistake here could not fetch or run anything.
3. The same report gives the same page, byte by byte.

``Reconciliation.to_html`` and ``_repr_html_`` call this module; it calls every other here.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from truecount.rendering import causes, lists
from truecount.rendering.markup import Html, document, each, element, embedded, joined
from truecount.rendering.plans import PlanTable, plan_section
from truecount.rendering.style import SCRIPT, STYLE
from truecount.rendering.timeline import Timeline
from truecount.rendering.timeline_page import section
from truecount.rendering.words import figure, several, summary, time_of


if TYPE_CHECKING:
    from truecount.reconciliation.report import Reconciliation

#: Rows a notebook shows; the page has the rest.
NOTEBOOK_ROWS_MAX: Final = 20
#: The least width of a part of the bar, in thousandths: one mismatch in a million is seen.
_PART_MIN: Final = 6


def report_html(
    report: Reconciliation,
    *,
    timelines: Iterable[Timeline] = (),
    plan: PlanTable | None = None,
    title: str = "Stock compared with the book",
    zone: tzinfo = UTC,
) -> str:
    """
    Return a report as one page; see ``Reconciliation.to_html``.

    Complexity: O(rows + steps of the timelines).
    """
    head = joined(
        element("h1", title),
        element("p", summary(report), class_="lead"),
        element("p", "As of ", time_of(report.at, zone), class_="quiet"),
        _tiles(report),
        _bar(report),
    )
    parts = [
        _orders(report),
        _common(report),
        _differences(report, zone),
        _undecided(report, zone),
        _timelines(tuple(timelines), zone),
        None if plan is None else plan_section(plan),
    ]
    return _page(title, head, each(parts), report.at, zone)


def timeline_html(timeline: Timeline, *, title: str | None = None, zone: tzinfo = UTC) -> str:
    """
    Return the timeline of one SKU as one page of its own.

    >>> from truecount import Inventory, timeline_of
    >>> inventory = Inventory()
    >>> inventory.locations.add("berlin")
    >>> receipt = inventory.receive("MUG", 5, at="berlin")
    >>> page = timeline_html(timeline_of(inventory.history("MUG", at="berlin")))
    >>> page[:15], "<svg" in page
    ('<!DOCTYPE html>', True)

    Args:
        title: The heading of the page.
        zone: The zone in which times are shown.

    Complexity: O(steps + counts).
    """
    named = title or f"{timeline.sku} at {timeline.at}"
    head = joined(element("h1", named))
    moments = [timeline.steps[-1].at, *(one.seen_at[1] for one in timeline.sightings)]
    return _page(named, head, section(timeline, "timeline-1", zone), max(moments), zone)


def _page(title: str, head: Html, body: Html, at: datetime, zone: tzinfo) -> str:
    script = embedded("script", SCRIPT)
    meta = joined(
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy()),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", title),
        embedded("style", STYLE),
    )
    foot = element(
        "p",
        "Made by truecount from the book as of ",
        time_of(at, zone),
        ". A difference is seen less book; an interval is what the figure may have been while"
        " it was observed.",
    )
    return document(
        element("head", meta),
        element(
            "body",
            element("header", head),
            element("main", body),
            element("footer", foot),
            script,
        ),
    )


def _policy() -> str:
    digest = b64encode(sha256(SCRIPT.encode()).digest()).decode()
    allowed = f"script-src 'sha256-{digest}'; style-src 'unsafe-inline'"
    return f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"


# --- at a glance ------------------------------------------------------------------------


def _tiles(report: Reconciliation) -> Html:
    numbers = (
        ("match", report.matches, "good"),
        ("do not match", report.found, "bad"),
        ("not decided yet", len(report.undecided), "warn"),
        ("orders at risk", len(report.at_risk), "bad"),
    )
    return element(
        "dl",
        *(
            element(
                "div",
                element("dt", words),
                element("dd", figure(count)),
                class_=class_ if count else None,
            )
            for words, count, class_ in numbers
        ),
        class_="tiles",
    )


def _bar(report: Reconciliation) -> Html | None:
    """Return how the parts compare, side by side; the numbers are in the tiles."""
    total = report.compared
    if not total:
        return None
    parts = [
        (class_, max(_PART_MIN, count * 1000 // total))
        for class_, count in (
            ("good", report.matches),
            ("bad", report.found),
            ("warn", len(report.undecided)),
        )
        if count
    ]
    width = sum(size for _, size in parts)
    bars, at = list[Html](), 0
    for class_, size in parts:
        bars.append(element("rect", x=at, width=size, height=8, class_=class_))
        at += size
    return element(
        "svg",
        *bars,
        viewBox=f"0 0 {width} 8",
        preserveAspectRatio="none",
        width="100%",
        height=8,
        class_="bar",
        aria_hidden="true",
    )


# --- sections ---------------------------------------------------------------------------


def _section(name: str, heading: str, *parts: Html | str | None) -> Html:
    return element("section", element("h2", heading, id=name), *parts, aria_labelledby=name)


def _orders(report: Reconciliation) -> Html | None:
    if not report.at_risk:
        return None
    words = "These were promised units that may not be there. Look at them first."
    return _section("orders", "Orders at risk", element("p", words), lists.orders(report))


def _common(report: Reconciliation) -> Html | None:
    if not report.common:
        return None
    words = "Put these right first: each is behind most mismatches of a source."
    return _section(
        "common", "One cause for many", element("p", words), causes.common(report.common)
    )


def _differences(report: Reconciliation, zone: tzinfo) -> Html | None:
    if not report.found:
        return None
    sums = element(
        "div",
        element("div", lists.kinds(report)),
        element("div", lists.locations(report)),
        element("div", lists.skus(report)),
        class_="sums",
    )
    every = lists.mismatches(report, zone)
    unlisted = report.found - len(report.mismatches)
    note = None
    if unlisted:
        note = element(
            "p", f"{several(unlisted, 'more is', 'more are')} counted, not listed.", class_="quiet"
        )
    return _section(
        "differences", "What differs", sums, element("h3", "Every mismatch"), every, note
    )


def _undecided(report: Reconciliation, zone: tzinfo) -> Html | None:
    if not report.undecided:
        return None
    words = (
        "Reports that may explain these can still come, or the figure moved while it was"
        " observed. They are no mismatches, and no matches."
    )
    return _section(
        "undecided", "Not decided yet", element("p", words), lists.undecided(report, zone)
    )


def _timelines(timelines: tuple[Timeline, ...], zone: tzinfo) -> Html | None:
    if not timelines:
        return None
    parts = [
        section(timeline, f"timeline-{number}", zone)
        for number, timeline in enumerate(timelines, 1)
    ]
    return _section("timelines", "Over time", *parts)


# --- notebooks --------------------------------------------------------------------------


def notebook_html(report: Reconciliation) -> str:
    """Return a report as a notebook shows it: the sentence, and the first rows."""
    rows = [
        element(
            "tr",
            element("th", one.sku, scope="row"),
            element("td", lists.label_of(one)),
            element("td", one.sentence, causes.short(one)),
        )
        for one in report.mismatches[:NOTEBOOK_ROWS_MAX]
    ]
    rest = report.found + len(report.undecided) - len(rows)
    more = f"and {figure(rest)} more that do not match or are not decided; to_html() has them"
    headings = [element("th", name, scope="col") for name in ("SKU", "What", "In a sentence")]
    body = element(
        "table",
        element("caption", "Mismatches"),
        element("thead", element("tr", *headings)),
        element("tbody", *rows),
    )
    parts = (
        element("p", element("b", summary(report))),
        causes.common(report.common) if report.common else None,
        body if rows else None,
        element("p", more) if rest else None,
    )
    return str(element("div", *parts))
