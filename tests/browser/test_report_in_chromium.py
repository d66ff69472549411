"""The page of a report in a real browser: it draws, fits, follows the scheme, fetches nothing."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from tests.browser.browser import WIDTHS, Visit, visit
from tests.reports import HOSTILE, Told, told
from truecount.model.names import NAME_LENGTH_MAX
from truecount.rendering.style import PALETTES


#: Column of the mismatch table that holds the difference.
DIFFERENCE = 5


#: As long as a name may be, and nowhere to break it.
LONG = "W" * NAME_LENGTH_MAX


def with_long_names(each: Told) -> Told:
    """Give one mismatch, its place and what it puts at risk the longest names there can be."""
    *others, last = each.report.mismatches
    long = attrs.evolve(last, sku=LONG, at=LONG, lot=LONG, source=LONG, at_risk=(LONG,))
    report = attrs.evolve(
        each.report,
        mismatches=(*others, attrs.evolve(long, sentence=f"{LONG} at {LONG}")),
        locations={"berlin": 8, LONG: 1},
    )
    return attrs.evolve(each, report=report, plan=report.plan())


@pytest.fixture(scope="module", params=["light", "dark"])
def drawn(
    request: pytest.FixtureRequest, chromium: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Visit]:
    """A report with one of nearly everything, drawn at every width, light and dark."""
    folder = tmp_path_factory.mktemp("page")
    seen = visit(
        chromium,
        with_long_names(told()).page(),
        folder,
        is_dark=request.param == "dark",
        find="counted 4",
        column=DIFFERENCE,
    )
    return request.param, seen


class TestPage:
    def test_console_is_silent_and_nothing_is_fetched(self, drawn: tuple[str, Visit]) -> None:
        """No error, no warning, no refused script, not one request; a hostile SKU did nothing."""
        _, seen = drawn
        assert seen.console == []
        assert seen.asked == []
        assert not any(frame["alerted"] for frame in seen.frames)

    def test_page_fits_every_width(self, drawn: tuple[str, Visit]) -> None:
        """Nobody scrolls sideways, and nothing is cut off at the edge."""
        _, seen = drawn
        for width, frame in zip(WIDTHS, seen.frames, strict=True):
            assert (frame["width"], frame["scrolls"], frame["wide"]) == (width, width, [])
            assert all(width * 0.75 < chart < width for chart in frame["charts"])
            assert frame["charts"]

    def test_page_follows_the_scheme(self, drawn: tuple[str, Visit]) -> None:
        """Light by day and dark by night, as the reader's device says."""
        scheme, seen = drawn
        colour = PALETTES[scheme]["page"]
        red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
        assert {frame["ground"] for frame in seen.frames} == {f"rgb({red}, {green}, {blue})"}

    def test_list_can_be_searched_and_sorted(self, drawn: tuple[str, Visit]) -> None:
        """By words, and by a column up and down; figures by their value, not their letters."""
        _, seen = drawn
        for frame in seen.frames:
            assert frame["focused"]
            assert frame["found"] == ["VASE"]
            assert frame["before"][:3] == ["MUG", "VASE", HOSTILE]
            assert frame["sorted"][0] == "MUG"  # -28: it is missing from a list.
            assert frame["sorted"][-1] == "TEA"  # +7
            assert frame["reversed"][0] == "TEA"
            assert frame["direction"] == "descending"
            assert sorted(frame["sorted"]) == sorted(frame["before"])


def test_browser_sees_what_is_wrong(chromium: str, tmp_path: Path) -> None:
    """The looks above can fail: at a wide element, a request, an error, a script that runs."""
    crooked = (
        "<!DOCTYPE html><title>x</title><body><div style='width:2000px'>wide</div>"
        "<img src='http://example.org/spy.png'><script>alerted = true; console.error('oh')</script>"
    )
    seen = visit(chromium, crooked, tmp_path, is_dark=False)
    assert len(seen.console) >= len(WIDTHS)
    assert "example.org/spy.png" in seen.asked
    for width, frame in zip(WIDTHS, seen.frames, strict=True):
        assert frame["scrolls"] > width
        assert frame["wide"]
        assert frame["alerted"]
