"""The laws of pages: text is never markup, the line is the ledger's, the chart holds it all."""

from __future__ import annotations

import csv
import io
import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.pages import parsed, shape
from tests.reports import HOSTILE, Left, Line, Plan, Told, told
from tests.strategies import LOCATIONS, SKUS, Step, histories, new_shop, play
from truecount import Explanation, timeline_html, timeline_of
from truecount.errors import InvalidArgument
from truecount.model.places import ON_HAND
from truecount.reconciliation.report import COLUMNS
from truecount.rendering.chart import BOTTOM, LEFT, RIGHT, TOP, frame_of, tick_step
from truecount.rendering.markup import element, text
from truecount.rendering.timeline import SHELF


#: Anything at all, and what has been used to break out of a page.
ANYTHING = st.one_of(
    st.text(st.characters(), max_size=40),
    st.sampled_from(
        [
            HOSTILE,
            '"><img src=x onerror=alert(1)>',
            "</td></table></style></script><!--",
            "' onmouseover='alert(1)",
            "&lt;b&gt;",
            "<![CDATA[<x>]]>",
            "javascript:alert(1)",
            "\x00<\u2028b>\u202e",
        ]
    ),
)


@pytest.fixture(scope="module")
def everything() -> Told:
    """A report with one of nearly everything."""
    return told()


class TestText:
    @given(ANYTHING)
    @example("a\r\nb")
    def test_text_of_an_element_is_read_back_as_it_was(self, value: str) -> None:
        """A parser finds one element and no other; the text is whole, or spelled out."""
        page = parsed(str(element("p", value, title=value)))
        assert shape(page) == ["", "p"]
        found = page.one("p")
        assert found.attributes.keys() == {"title"}
        spelled = re.sub(r"\\x([0-9a-f]{2})|\\u([0-9a-f]{4})", _unspelled, found.text)
        assert spelled == re.sub(r"\\x([0-9a-f]{2})|\\u([0-9a-f]{4})", _unspelled, value)
        assert found.attributes["title"] == found.text

    @given(st.lists(ANYTHING.filter(bool), min_size=6, max_size=6))
    @settings(max_examples=15)
    def test_no_text_of_a_shop_makes_an_element(self, everything: Told, words: list[str]) -> None:
        """Whatever SKUs, places, sources and references are, the page has the same elements."""
        plain = parsed(_renamed(everything, [f"w{words.index(word)}" for word in words]))
        hostile = parsed(_renamed(everything, words))
        assert shape(hostile) == shape(plain)
        for one, other in zip(plain.walk(), hostile.walk(), strict=True):
            assert one.attributes.keys() == other.attributes.keys()

    @given(ANYTHING, ANYTHING)
    @settings(max_examples=30)
    def test_no_text_makes_a_cell_of_a_file(self, everything: Told, sku: str, words: str) -> None:
        """A CSV row has its columns whatever stands in them, and no cell begins a formula."""
        one = attrs.evolve(everything.report.mismatches[0], sku=sku, sentence=words)
        report = attrs.evolve(everything.report, mismatches=(one,), undecided=())
        stream = io.StringIO()
        report.to_csv(stream)
        [_, row] = csv.reader(io.StringIO(stream.getvalue(), newline=""))
        assert len(row) == len(COLUMNS) == 21
        for cell in row[2:6] + row[COLUMNS.index("sentence") :]:
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


def _unspelled(match: re.Match[str]) -> str:
    return chr(int(match[1] or match[2], 16))


def _retold(explanation: Explanation | None, words: str, id_: str) -> Explanation | None:
    """Return an explanation of which every sentence is *words* and every movement *id_*."""
    if explanation is None:
        return None
    hypotheses = [
        attrs.evolve(
            each,
            causes=tuple(
                attrs.evolve(cause, sentence=words, evidence=(id_,) if cause.evidence else ())
                for cause in each.causes
            ),
        )
        for each in explanation.hypotheses
    ]
    return attrs.evolve(explanation, hypotheses=tuple(hypotheses), sentence=words)


def _renamed(everything: Told, words: list[str]) -> str:
    """Return the page of a report and a plan with every word of the shop's replaced."""
    sku, at, lot, source, reference, sentence = words
    names: dict[str, Any] = {"sku": sku, "at": at, "lot": lot, "source": source}
    report = everything.report
    listed = [
        attrs.evolve(
            each,
            **names,
            at_risk=(reference,) if each.at_risk else (),
            sentence=sentence,
            advice=sentence,
            counter=source if each.counter else None,
            explanation=_retold(each.explanation, sentence, reference),
        )
        for each in report.mismatches
    ]
    renamed = attrs.evolve(
        report,
        mismatches=tuple(listed),
        common=tuple(attrs.evolve(each, sentence=sentence) for each in report.common),
        undecided=tuple(attrs.evolve(each, **names) for each in report.undecided),
        locations={at: len(listed)},
    )
    line = Line(
        sentence, reference, sku, at, (1, 2), (reference,), is_written=True, sentence=sentence
    )
    plan = Plan(reference, (line,), (Left(sku, source, sentence, 1),))
    counted = attrs.evolve(
        everything.timeline,
        sku=sku,
        at=at,
        sightings=tuple(one._replace(who=source) for one in everything.timeline.sightings),
    )
    return renamed.to_html(timelines=[counted], plan=plan, title=sentence)


class TestTimeline:
    @given(histories(6), st.sampled_from(SKUS), st.sampled_from(LOCATIONS))
    @settings(max_examples=60)
    def test_line_is_the_figure_as_of_each_time(self, steps: list[Step], sku: str, at: str) -> None:
        """Whatever was told when, the line says what the ledger says was there."""
        shop = new_shop()
        play(shop, steps)
        inventory = shop.inventory
        with suppress(InvalidArgument):
            entries = inventory.history(sku, at=at, last=None)
            for covers in (SHELF, ON_HAND):
                line = timeline_of(entries, covers=covers)
                assert line.first == 0
                for step in line.steps:
                    figures = inventory.as_of(sku, step.at, at=at)
                    assert line.value_at(step.at) == sum(figures[state] for state in covers)
                assert timeline_html(line) == timeline_html(line)

    @given(histories(6), st.sampled_from(SKUS))
    @settings(max_examples=40)
    def test_everything_is_inside_the_chart(self, steps: list[Step], sku: str) -> None:
        """No figure and no time is drawn outside, 0 is on the axis, ticks are few."""
        shop = new_shop()
        play(shop, steps)
        entries = shop.inventory.history(sku, at="berlin", last=None)
        if not entries:
            return
        line = timeline_of(entries)
        frame = frame_of(line)
        assert frame.low <= 0 < frame.high
        ticks = range(frame.low, frame.high + 1, frame.step)
        assert {0, frame.low, frame.high} <= {*ticks}
        assert len(ticks) <= 7
        for one in line.steps:
            assert LEFT <= frame.x(one.at) <= RIGHT
            assert TOP <= frame.y(one.after) <= BOTTOM


@given(st.integers(-(2**63), 2**63), st.integers(0, 2**63))
def test_ticks_are_as_fine_as_they_may_be(low: int, size: int) -> None:
    """The next finer step would be too many."""
    step = tick_step(low, low + size)
    assert size <= 4 * step
    assert step == 1 or size > 4 * (step // 2 if str(step)[0] in "12" else step * 2 // 5)


@given(st.datetimes(timezones=st.just(UTC)))
def test_time_of_a_page_is_exact(moment: datetime) -> None:
    """What is shown to the minute carries the whole."""
    from truecount.rendering.words import time_of

    found = parsed(str(time_of(moment))).one("time").attributes["datetime"]
    assert datetime.fromisoformat(found) == moment


def test_text_is_escaped_once() -> None:
    """A name with an entity in it is not turned into what the entity stands for."""
    assert parsed(str(text("&lt;"))).text == "&lt;"
