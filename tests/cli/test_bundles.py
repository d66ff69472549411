"""The command line of bundles: define, list, show, availability."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.running import Line


@pytest.fixture
def line(tmp_path: Path) -> Line:
    """The command line, with stock of two components in two places."""
    line = Line(tmp_path)
    text = (
        "kind,sku,quantity,location\n"
        "open,MUG,9,berlin\nopen,TEA,4,berlin\nopen,TEA,7,hamburg\nopen,MUG,2,hamburg\n"
    )
    assert line("import", line.file("in.csv", text), "--create-locations").code == 0
    return line


def test_defining_says_the_version(line: Line) -> None:
    """A second definition is the next version, with its reason in the history."""
    assert line("bundles", "define", "GIFT", "MUG=2", "TEA=1").out == (
        "GIFT, version 1: 2 MUG, 1 TEA\n"
    )
    again = line("bundles", "define", "GIFT", "TEA=1", "--reason", "cheaper", "--json")
    assert again.data == {"sku": "GIFT", "version": 2, "components": {"TEA": 1}}
    table = line("bundles", "show", "GIFT").out.splitlines()
    assert [row.split("Z  ")[-1] for row in table[1:]] == ["2 MUG, 1 TEA", "1 TEA         cheaper"]
    versions = line("bundles", "show", "GIFT", "--json").data["versions"]
    assert [(each["version"], each["reason"]) for each in versions] == [(1, None), (2, "cheaper")]


def test_list_and_availability(line: Line) -> None:
    """Tables in plain text, one JSON document with --json; nothing defined says so."""
    assert line("bundles", "list").out == "no bundle has a recipe yet\n"
    assert line("bundles", "availability").out == "no bundle has a recipe yet\n"
    line("bundles", "define", "GIFT", "MUG=2", "TEA=1")
    assert line("bundles", "list").out.splitlines() == [
        "bundle  version  made of",
        "GIFT          1  2 MUG, 1 TEA",
    ]
    assert line("bundles", "availability", "GIFT", "MUG").out.splitlines() == [
        "sku   available  from one place  in the network  limited by  at",
        "GIFT          5               4               5  MUG         berlin 4, hamburg 1",
        "MUG          11               9              11              berlin 9, hamburg 2",
    ]
    [found] = line("bundles", "availability", "--json").data["availability"]
    assert (found["available"], found["at"]) == (5, {"berlin": 4, "hamburg": 1})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("define", "GIFT", "MUG"), "cannot use COMPONENT 'MUG': expected SKU=QUANTITY"),
        (("define", "GIFT", "MUG=1.5"), "cannot use COMPONENT 'MUG=1.5'"),
        (("define", "GIFT", "MUG=0"), "cannot use quantity 0 of 'MUG': only whole"),
        (("define", "GIFT", "MUGG=1"), "did you mean 'MUG'?"),
        (("define", "GIFT", "GIFT=1"), "'GIFT' -> 'GIFT'"),
        (("show", "GIFT"), "define it with `truecount bundles define`"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(line: Line, words: tuple[str, ...], said: str) -> None:
    """Nothing is written, and the exit code says that the call was wrong."""
    answer = line("bundles", *words)
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err
    assert answer.err.count("\n") == 1
    assert line("bundles", "list").out == "no bundle has a recipe yet\n"
