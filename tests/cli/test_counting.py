"""Counting from the command line: what is due, sheets out as CSV and in again, closing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.running import Line


@pytest.fixture
def line(tmp_path: Path) -> Line:
    """Return a command line on a shop with three shelves, one of them below zero."""
    line = Line(tmp_path)
    line("locations", "add", "berlin", "hamburg")
    rows = ("receive,MUG,10,berlin", "receive,TEA,100,berlin", "receive,CUP,4,hamburg")
    line.csv(*rows, "sold,CUP,5,hamburg")
    assert line("import", line.folder / "may.csv").code == 0
    return line


def filled(line: Line, **counts: str) -> Path:
    """Return a file with counts of SKUs in Berlin."""
    rows = [f"{sku},,{counted},," for sku, counted in counts.items()]
    return line.file("filled.csv", "\n".join(["sku,lot,counted,counted_at,reason", *rows, ""]))


class TestDue:
    def test_what_and_why(self, line: Line) -> None:
        """The shelf that is wrong for certain comes first."""
        answer = line("counts", "due", "--budget", 1)
        assert answer.code == 0
        assert answer.out.splitlines() == [
            "sku  location  lot  class  because",
            "CUP  hamburg        C      negative_book, sold_at_zero",
        ]
        assert line("counts", "due", "--at", "berlin", "--json").data["due"][0]["at"] == "berlin"

    def test_nothing_to_count(self, tmp_path: Path) -> None:
        """A shop that begins."""
        line = Line(tmp_path)
        line("locations", "add", "berlin")
        assert line("counts", "due").out == "there is nothing to count\n"
        assert line("counts", "due", "--at", "atlantis").code == 2


class TestSheet:
    def test_it_is_blind(self, line: Line) -> None:
        """Neither ten nor a hundred is on it."""
        answer = line("counts", "sheet", "aisle-1", "MUG", "TEA", "--at", "berlin")
        assert answer.code == 0
        assert "10" not in answer.out
        assert [each.split()[0] for each in answer.out.splitlines()] == [
            "sheet",
            "sku",
            "MUG",
            "TEA",
        ]
        again = line("counts", "sheet", "aisle-1", "--json").data
        assert [each["sku"] for each in again["lines"]] == ["MUG", "TEA"]

    def test_by_default_it_has_what_is_due(self, line: Line) -> None:
        """Of one location."""
        answer = line("counts", "sheet", "today", "--at", "hamburg", "--json")
        assert [each["sku"] for each in answer.data["lines"]] == ["CUP"]
        answer = line("counts", "sheet", "everywhere")
        assert answer.code == 2
        assert "one location for a sheet: pass --at" in answer.err

    def test_as_a_file_to_fill_in(self, line: Line) -> None:
        """A file that is there is not written over."""
        path = line.folder / "sheet.csv"
        words = ("counts", "sheet", "aisle-1", "MUG", "--at", "berlin", "--csv", path)
        assert line(*words).out == f"sheet aisle-1: 1 to count, in {path}\n"
        assert path.read_text(encoding="utf-8-sig").splitlines() == [
            "sku,lot,counted,counted_at,reason",
            "MUG,,,,",
        ]
        assert line("counts", "sheet", "aisle-1", "--csv", path).code == 2
        answer = line("counts", "sheet", "aisle-1", "--csv", "-")
        assert answer.out == "sku,lot,counted,counted_at,reason\nMUG,,,,\n"


class TestPost:
    @pytest.fixture
    def sheet(self, line: Line) -> Line:
        """Return a command line with an open sheet."""
        line("counts", "sheet", "aisle-1", "MUG", "TEA", "--at", "berlin")
        return line

    def test_from_the_sheet_to_the_book(self, sheet: Line) -> None:
        """Counted, recounted, reported, closed; again, and nothing changes."""
        file = filled(sheet, MUG="9", TEA="100")
        post = ("counts", "post", "aisle-1", file, "--counter")
        answer = sheet(*post, "kim")
        assert (answer.code, answer.out.splitlines()[2]) == (
            1,
            "MUG       kim         yes",
        )
        assert sheet(*post, "kim").code == 1
        assert sheet(*post, "sam").code == 0
        report = sheet("counts", "close", "aisle-1", "--report")
        assert report.code == 1
        assert report.out.splitlines()[2].split() == ["MUG", "10", "9", "-1", "a", "reason"]
        refused = sheet("counts", "close", "aisle-1")
        assert refused.code == 1
        assert refused.err == (
            "truecount: cannot close count sheet 'aisle-1': 'MUG' needs a reason; count them, "
            "say why with --reason SKU=WORDS, or pass --partial\n"
        )
        for _ in range(2):
            closed = sheet("counts", "close", "aisle-1", "--reason", "MUG=broken", "--json")
            assert closed.code == 0
            [mug, tea] = closed.data["lines"]
            assert (mug["variance"], mug["reason"], tea["variance"]) == (-1, "broken", 0)
            assert mug["counts"][1]["counter"] == "sam"
        assert sheet.figures()["MUG", "berlin", ""] == 9
        late = sheet(*post, "ada")
        assert (late.code, "it was closed at" in late.err) == (1, True)

    @pytest.mark.parametrize(
        ("cell", "said"),
        [
            ("nine", "line 2, counted 'nine': expected a whole number"),
            ("-1", "line 2, counted '-1': expected a whole number"),
            ("1.000", "without separators"),
            ("", "no line of it has a count"),
        ],
    )
    def test_a_bad_sheet_is_refused_whole(self, sheet: Line, cell: str, said: str) -> None:
        """Each bad line is named, and nothing is posted."""
        answer = sheet("counts", "post", "aisle-1", filled(sheet, MUG=cell), "--counter", "kim")
        assert answer.code == 2
        assert said in answer.err
        assert sheet("counts", "sheet", "aisle-1", "--json").data["lines"][0]["counted_by"] == []

    def test_a_file_that_is_no_sheet(self, sheet: Line) -> None:
        """A column that is missing is named."""
        file = sheet.file("other.csv", "article,counted\nMUG,9\n")
        answer = sheet("counts", "post", "aisle-1", file, "--counter", "kim")
        assert (answer.code, "it has no column 'sku'" in answer.err) == (2, True)
        assert sheet("counts", "post", "none", filled(sheet, MUG="9"), "--counter", "k").code == 2

    def test_moments_and_bad_reasons(self, sheet: Line) -> None:
        """A count keeps its moment; a reason names its SKU."""
        text = "sku,counted,counted_at,reason\nMUG,10,2020-01-01T10:00:00Z,\n"
        file = sheet.file("old.csv", text)
        assert sheet("counts", "post", "aisle-1", file, "--counter", "kim").code == 1
        line = sheet("counts", "close", "aisle-1", "--report", "--json").data["lines"][0]
        assert line["counts"][0]["counted_at"] == "2020-01-01T10:00:00+00:00"
        assert line["counts"][0]["expected"] == 0
        answer = sheet("counts", "close", "aisle-1", "--reason", "broken")
        assert (answer.code, "expected SKU=WORDS" in answer.err) == (2, True)
