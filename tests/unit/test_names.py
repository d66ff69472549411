from __future__ import annotations

import unicodedata
from collections.abc import Callable
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from truecount.errors import InvalidText
from truecount.model import names


class Shade(StrEnum):
    """Text by inheritance only."""

    BLUE = "MUG"


#: Every door and what its errors call the argument.
DOORS: dict[str, Callable[[str], str]] = {
    "sku": names.sku,
    "location": names.location,
    "lot": names.lot,
    "tenant": names.tenant,
    "reference": names.reference,
    "movement_id": names.movement_id,
    "key": names.key,
    "reason": names.reason,
    "actor": names.actor,
    "origin": names.origin,
    "unit": names.unit,
}

#: What no door lets through, and a word of the rule it breaks.
DIRTY = {
    "padded left": (" MUG", "padded"),
    "padded right": ("MUG\t", "padded"),
    "no-break space": ("MUG\u00a0", "padded"),
    "newline": ("MU\nG", "control"),
    "nul": ("MU\0G", "control"),
    "delete": ("MU\x7fG", "control"),
    "c1 control": ("MÜ\x85G", "control"),
    "line separator": ("MÜ\u2028G", "line separator"),
    "lone surrogate": ("MU\ud800G", "lone surrogate"),
    "zero-width space": ("MU\u200bG", "invisible"),
    "right-to-left override": ("MU\u202eG", "invisible"),
    "soft hyphen": ("MU\u00adG", "invisible"),
    "byte order mark": ("\ufeffMUG", "utf-8-sig"),
    "decomposed": (unicodedata.normalize("NFD", "Müg"), "NFC"),
    "ten thousand characters": ("x" * 10_000, "at most"),
}

#: Text that looks like an attack, and is none.
HOSTILE = (
    "'; DROP TABLE movements; --",
    "../../etc/passwd",
    "%s%n{0}${jndi:ldap://x}",
    "<script>alert(1)</script>",
    "=cmd|' /C calc'!A0",
    "☕🧉",
    "👩\u200d🚀",
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "\uff2d\uff35\uff27",
    "مگ",
    "a/b:c|d",
    "null",
    "-1",
)


@pytest.mark.parametrize("name", DOORS)
@pytest.mark.parametrize("dirt", DIRTY)
def test_dirty_text_is_refused_by_name(name: str, dirt: str) -> None:
    """Each door names its argument and the rule that was broken."""
    text, rule = DIRTY[dirt]
    with pytest.raises(InvalidText, match=rule) as caught:
        DOORS[name](text)
    assert caught.value.name == name
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("name", sorted(set(DOORS) - {"lot"}))
def test_empty_text_is_refused(name: str) -> None:
    """Nothing is not a name."""
    with pytest.raises(InvalidText, match="it is empty"):
        DOORS[name]("")


def test_no_lot_is_the_empty_text() -> None:
    """Stock without lots has the lot ""."""
    assert names.lot("") == ""


@pytest.mark.parametrize("name", DOORS)
@pytest.mark.parametrize("value", [None, 7, 1.5, True, b"MUG", ["MUG"], Shade.BLUE], ids=repr)
def test_only_text_is_text(name: str, value: object) -> None:
    """Numbers, bytes, lists and subclasses of text are refused, naming their type."""
    with pytest.raises(InvalidText, match=type(value).__name__):
        DOORS[name](value)  # type: ignore[arg-type]  # the point of the test


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_only_text(text: str) -> None:
    """It passes every door unchanged."""
    assert {door(text) for door in DOORS.values()} == {text}


@pytest.mark.parametrize(
    ("name", "longest"),
    [("sku", 200), ("key", 200), ("reason", 500), ("movement_id", 400)],
)
def test_length_is_limited(name: str, longest: int) -> None:
    """The last allowed length passes, the next one does not."""
    assert DOORS[name]("x" * longest) == "x" * longest
    with pytest.raises(InvalidText, match=f"{longest + 1} characters, at most {longest}"):
        DOORS[name]("x" * (longest + 1))


@given(st.text(max_size=30))
def test_what_passes_is_unchanged_and_clean(text: str) -> None:
    """A door either returns its text as it is or refuses it; it never repairs."""
    problem = names.problem_with(text, names.NAME_LENGTH_MAX)
    if problem is None:
        assert names.sku(text) == text == text.strip() == unicodedata.normalize("NFC", text)
        assert "\n" not in text
    else:
        with pytest.raises(InvalidText):
            names.sku(text)


class TestShown:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ("MUG", "'MUG'"),
            ("it's", '"it\'s"'),
            (3, "3"),
            (None, "None"),
            ("x" * 60, f"'{'x' * 60}'"),
            (10**59, f"1{'0' * 59}"),
        ],
    )
    def test_short_values_are_shown_whole(self, value: object, text: str) -> None:
        """A short value is its repr."""
        assert names.shown(value) == text

    @pytest.mark.parametrize("value", ["x" * 10_000, list(range(10_000)), "\0" * 10_000])
    def test_long_values_are_cut_and_measured(self, value: object) -> None:
        """A message never grows with what a caller passed."""
        text = names.shown(value)
        assert len(text) < 300
        assert text.endswith("characters)")
