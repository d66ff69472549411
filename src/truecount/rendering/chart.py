"""
A timeline as a step chart: SVG that keeps its text readable at any width. Pure.

Rules:
1. Across, everything is placed in thousandths of the width; down, in pixels. So a phone and a
   desk draw one picture, and neither text nor marks are stretched.
2. Coordinates are whole numbers made of whole numbers; the value axis has 0 in it, so that a
   step looks as large as it is.
3. No meaning by colour alone: a count that agrees is a disc, one that differs a diamond with
   a line to what the book said, an undecided one a ring. The words are in ``desc`` as well.
4. Movements closer together than a thousandth of the width are one stroke from their lowest
   to their highest figure: a chart of a million movements is as large as one of a thousand.

Called by ``timeline_page``; calls ``markup`` and ``words``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, NamedTuple

from truecount.model.instants import Instant, microseconds, to_datetime, to_instant
from truecount.reconciliation.verdicts import Decision
from truecount.rendering.markup import Html, each, element
from truecount.rendering.timeline import Divergence, Sighting, Timeline
from truecount.rendering.words import MINUS, span


WIDTH: Final = 1000
LEFT: Final = 100
RIGHT: Final = 975
HEIGHT: Final = 250
TOP: Final = 34
BOTTOM: Final = 212
TICKS_MAX: Final = 5
#: Where a chart of one moment begins before it, and ends after it.
_ALONE: Final[Instant] = microseconds(timedelta(hours=1))
#: From this span on the time axis has dates, below it times; short enough for a phone.
_DATED: Final[Instant] = microseconds(timedelta(days=3))
_SCALES: Final = ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k"))


class Frame(NamedTuple):
    """What the chart shows: from when to when, around what happened, and which figures."""

    since: Instant
    until: Instant
    first: Instant
    last: Instant
    low: int
    high: int
    #: From one tick of the value axis to the next; both ends and 0 are ticks.
    step: int

    def x(self, moment: datetime) -> int:
        """Return the place of a time, in thousandths of the width."""
        passed = to_instant(moment) - self.since
        return LEFT + (RIGHT - LEFT) * passed // (self.until - self.since)

    def y(self, value: int) -> int:
        """Return the place of a figure, in pixels from the top."""
        return BOTTOM - (BOTTOM - TOP) * (value - self.low) // (self.high - self.low)


def frame_of(timeline: Timeline) -> Frame:
    """Return the frame that everything in *timeline* fits into."""
    moments = [to_instant(step.at) for step in timeline.steps]
    values = [0, timeline.first, *(step.after for step in timeline.steps)]
    for sighting in timeline.sightings:
        moments += map(to_instant, sighting.seen_at)
        values += [sighting.quantity, _expected(sighting)]
    first, last = min(moments), max(moments)
    pad = (last - first) // 25 or _ALONE
    low, high = min(values), max(values)
    step = tick_step(low, high)
    return Frame(
        since=first - pad,
        until=last + pad,
        first=first,
        last=last,
        low=low // step * step,
        high=max(1, -(-high // step)) * step,
        step=step,
    )


def tick_step(low: int, high: int) -> int:
    """
    Return the least of 1, 2, 5, 10, 20, ... that makes few enough ticks.

    >>> tick_step(0, 4), tick_step(-3, 12), tick_step(0, 4_000)
    (1, 5, 1000)
    """
    step, factors = 1, (2, 5, 10)
    power = 1
    while (high - low) > step * (TICKS_MAX - 1):
        for factor in factors:
            step = power * factor
            if (high - low) <= step * (TICKS_MAX - 1):
                return step
        power *= 10
    return step


def short(value: int) -> str:
    """
    Return a round number so short that it fits beside an axis; never another number.

    >>> short(-2_000), short(1_500), short(7)
    ('−2k', '1500', '7')
    """
    for scale, letter in _SCALES:
        if value and value % scale == 0:
            return f"{value // scale}{letter}".replace("-", MINUS)
    return str(value).replace("-", MINUS)


def percent(thousandths: int) -> str:
    """
    Return thousandths as per cent.

    >>> percent(110), percent(-5)
    ('11.0%', '-0.5%')
    """
    sign, size = ("-" if thousandths < 0 else ""), abs(thousandths)
    return f"{sign}{size // 10}.{size % 10}%"


# --- the picture ------------------------------------------------------------------------


def chart(timeline: Timeline, title: str, words: str, name: str, zone: tzinfo = UTC) -> Html:
    """
    Return the step chart of a timeline.

    Args:
        title: What it is, for those who do not see it.
        words: What it shows, in a sentence.
        name: Tells its parts from those of other charts of the page.

    Complexity: O(steps + counts), its size O(min(steps, 1,000) + counts).
    """
    frame = frame_of(timeline)
    newest = timeline.divergences[-1:]
    return element(
        "svg",
        element("title", title, id=f"{name}-title"),
        element("desc", words, id=f"{name}-desc"),
        each(_band(frame, one) for one in timeline.divergences),
        each(_grid(frame)),
        _line(frame, timeline),
        each(_sighting(frame, one) for one in timeline.sightings),
        each(_times(frame, zone)),
        each(_parted(frame, one) for one in newest),
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
        width="100%",
        height=HEIGHT,
    )


def _grid(frame: Frame) -> Iterator[Html]:
    for value in range(frame.low, frame.high + 1, frame.step):
        y = frame.y(value)
        class_ = "zero" if value == 0 else "grid"
        yield element("line", x1=percent(LEFT), x2=percent(RIGHT), y1=y, y2=y, class_=class_)
        yield element(
            "text", short(value), x=percent(LEFT - 12), y=y + 4, text_anchor="end", class_="tick"
        )


def _times(frame: Frame, zone: tzinfo) -> Iterator[Html]:
    is_long = frame.last - frame.first >= _DATED
    marks = [(frame.first, "start"), (frame.last, "end")]
    for instant, anchor in marks if frame.first < frame.last else marks[:1]:
        there = to_datetime(instant).astimezone(zone)
        words = f"{there.day} {there:%b %Y}" if is_long else f"{there.day} {there:%b, %H:%M}"
        x = percent(frame.x(there))
        yield element("text", words, x=x, y=HEIGHT - 14, text_anchor=anchor, class_="tick")


def _line(frame: Frame, timeline: Timeline) -> Html:
    path = "".join(_path(frame, timeline))
    ground = frame.y(0)
    return element(
        "svg",
        element("path", d=f"{path}V{ground}H{LEFT}Z", class_="area"),
        element("path", d=path, class_="line", vector_effect="non-scaling-stroke"),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        preserveAspectRatio="none",
        width="100%",
        height=HEIGHT,
    )


def _path(frame: Frame, timeline: Timeline) -> Iterator[str]:
    yield f"M{LEFT} {frame.y(timeline.first)}"
    at = LEFT
    column: list[int] = []
    for step in timeline.steps:
        x = frame.x(step.at)
        if x != at:
            yield _stroke(column)
            yield f"H{x}"
            at, column = x, []
        column.append(frame.y(step.after))
    yield _stroke(column)
    yield f"H{RIGHT}"


def _stroke(column: list[int]) -> str:
    """Return what the movements of one place draw: to the extremes, then to the last."""
    if not column:
        return ""
    low, high, last = min(column), max(column), column[-1]
    return f"V{last}" if low == high else f"V{low}V{high}V{last}"


# --- counts and partings ----------------------------------------------------------------


_DISC: Final = "M-5 0A5 5 0 1 1 5 0A5 5 0 1 1-5 0Z"
#: What is known of a count: the class of its mark, and the mark around its own origin.
_MARKS: Final[Mapping[Decision, tuple[str, str]]] = {
    Decision.MATCH: ("agrees", _DISC),
    Decision.MISMATCH: ("differs", "M0-7L7 0L0 7L-7 0Z"),
    Decision.UNDECIDED: ("undecided", _DISC),
}


def mark(decision: Decision) -> Html:
    """Return the mark of a count, around its own origin."""
    name, path = _MARKS[decision]
    return element("path", d=path, class_=f"mark {name}")


def _expected(sighting: Sighting) -> int:
    """Return the value of the book that is closest to what was counted."""
    low, high = sighting.delta
    return sighting.quantity - (low if low > 0 else min(high, 0))


def _sighting(frame: Frame, sighting: Sighting) -> Html:
    first, last = sighting.seen_at
    x, y = frame.x(last), frame.y(sighting.quantity)
    gap = element(
        "line", x1=percent(x), x2=percent(x), y1=frame.y(_expected(sighting)), y2=y, class_="gap"
    )
    took = element("line", x1=percent(frame.x(first)), x2=percent(x), y1=y, y2=y, class_="took")
    where = element("svg", mark(sighting.decision), x=percent(x), y=y, overflow="visible")
    return each(
        [
            gap if sighting.decision is Decision.MISMATCH else None,
            took if first != last else None,
            where,
        ]
    )


def _band(frame: Frame, divergence: Divergence) -> Html:
    first, last = frame.x(divergence.after), frame.x(divergence.by)
    return element(
        "rect",
        x=percent(first),
        width=percent(max(last - first, 4)),  # A moment is drawn as a hair, or nobody sees it.
        y=TOP - 12,
        height=BOTTOM - TOP + 12,
        class_="band",
    )


def _parted(frame: Frame, divergence: Divergence) -> Html:
    middle = (frame.x(divergence.after) + frame.x(divergence.by)) // 2
    x, anchor = middle, "middle"
    if middle < WIDTH * 3 // 10:
        x, anchor = LEFT, "start"
    elif middle > WIDTH * 7 // 10:
        x, anchor = RIGHT, "end"
    words = f"parted here: {span(divergence.delta, is_signed=True)}"
    return element("text", words, x=percent(x), y=14, text_anchor=anchor, class_="parted")
