"""`truecount reconcile`: files as people have them, compared; named rows, and an exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import attrs
import pytest

from tests.cli.running import Line
from tests.reports import told
from truecount import (
    Certainty,
    Formula,
    Inventory,
    Reconciliation,
    Shown,
    Source,
    SQLiteStorage,
)
from truecount.cli import reconciling
from truecount.cli.output import Screen
from truecount.cli.report_telling import tell_report


@pytest.fixture
def line(tmp_path: Path) -> Line:
    """A ledger with mugs and tea in Berlin, written on the first of March."""
    line = Line(tmp_path)
    line("locations", "add", "berlin", "hamburg")
    opened = "2026-03-01T09:00:00Z"
    line.file(
        "may.csv",
        "kind,sku,quantity,location,occurred_at,lot\n"
        f"receive,MUG,50,berlin,{opened},\nreceive,TEA,8,berlin,{opened},L1\n"
        "sold,MUG,3,berlin,2026-03-02T10:00:00Z,\n",
    )
    line("import", tmp_path / "may.csv")
    return line


def counts(line: Line, *rows: str, header: str = "sku,quantity,location") -> Path:
    """Put a file of counts into the folder."""
    return line.file("counts.csv", "\n".join([header, *rows, ""]))


class TestCounts:
    def test_matching_counts_leave_with_zero(self, line: Line) -> None:
        """All is well, in one line."""
        answer = line("reconcile", "--counts", counts(line, "MUG,47,berlin", "TEA,8,berlin"))
        assert (answer.code, answer.err) == (0, "")
        assert answer.out == "2 compared: 2 match, 0 do not, 0 undecided\n"

    def test_mismatch_is_a_table_a_sentence_and_an_exit_code(self, line: Line) -> None:
        """Whoever reads it sees what, where, by how much and what to do."""
        answer = line("reconcile", "--counts", counts(line, "MUG,45,berlin"))
        assert answer.code == 1
        assert "phantom  MUG  berlin         shelf     45    47      -2" in answer.out
        assert "MUG at berlin: counted 45, the book says 47: 2 in the book" in answer.out
        assert "1 compared: 0 match, 1 do not, 0 undecided" in answer.out

    def test_each_row_is_compared_as_of_its_own_time(self, line: Line) -> None:
        """A count of last week is no mismatch because of this week's sales."""
        file = counts(
            line, "MUG,50,berlin,2026-03-02T09:00:00Z", header="sku,quantity,location,occurred_at"
        )
        assert line("reconcile", "--counts", file).code == 0
        file = counts(line, "MUG,50,berlin")
        assert line("reconcile", "--counts", file, "--as-of", "2026-03-01T12:00:00Z").code == 0
        assert line("reconcile", "--counts", file, "--as-of", "2026-03-03T12:00:00Z").code == 1

    def test_interval_with_a_sale_inside_is_undecided(self, line: Line) -> None:
        """Counted at some time of the day: 50 and 47 were both right."""
        file = counts(line, "MUG,50,berlin")
        day = ("--as-of", "2026-03-02T09:00:00Z", "--until", "2026-03-02T18:00:00Z")
        answer = line("reconcile", "--counts", file, *day)
        assert answer.code == 1
        assert "the book says 47 to 50; it moved while it was seen" in answer.out

    def test_late_reports_leave_a_fresh_count_undecided(self, line: Line) -> None:
        """Until the last report must have come, nobody knows."""
        file = counts(line, "MUG,47,berlin")
        answer = line("reconcile", "--counts", file, "--late", 600, "--skew", 5, "--json")
        assert answer.code == 1
        assert answer.data["undecided"][0]["decidable_at"] is not None
        assert "decidable at 20" in line("reconcile", "--counts", file, "--late", 600).out

    def test_file_of_counts_can_also_be_imported(self, line: Line) -> None:
        """Look first, record afterwards: the same file, and then nothing differs."""
        file = counts(line, "MUG,45,berlin", "TEA,8,berlin")
        assert line("reconcile", "--counts", file).code == 1
        line.file("tea.csv", "sku,quantity,location,lot\nMUG,45,berlin,\nTEA,8,berlin,L1\n")
        assert line("import", line.folder / "tea.csv", "--kind", "count").code == 0
        assert line("reconcile", "--counts", file).code == 0

    def test_nothing_is_written(self, line: Line) -> None:
        """Comparing opens the ledger to read it."""
        before = line("verify", "--json").data
        line("reconcile", "--counts", counts(line, "MUG,45,berlin", "X,1,berlin"))
        assert line("verify", "--json").data == before

    def test_json_is_the_report(self, line: Line) -> None:
        """A script reads what a program would get."""
        answer = line("reconcile", "--json", "--counts", counts(line, "MUG,45,berlin"))
        report = Reconciliation.from_dict(answer.data)
        assert [(each.kind.value, each.delta) for each in report.mismatches] == [
            ("phantom", (-2, -2))
        ]

    def test_limit_says_how_many_are_not_listed(self, line: Line) -> None:
        """A short list is never taken for all of it."""
        file = counts(line, *(f"X-{n},1,berlin" for n in range(5)))
        answer = line("reconcile", "--counts", file, "--limit", 2)
        assert "2 of 5 mismatches are listed above" in answer.out
        assert answer.out.count("has no such SKU") == 2

    def test_csv_of_what_is_open_is_written_once(self, line: Line) -> None:
        """A file that is there is not replaced."""
        file, out = counts(line, "MUG,45,berlin"), line.folder / "open.csv"
        assert line("reconcile", "--counts", file, "--csv", out).code == 1
        assert (
            out.read_text("utf-8-sig")
            .splitlines()[1]
            .startswith('"mismatch","phantom","MUG","berlin"')
        )
        answer = line("reconcile", "--counts", file, "--csv", out)
        assert (answer.code, "not there yet" in answer.err) == (2, True)


class TestExplained:
    def test_each_mismatch_says_what_may_be_behind_it(self, line: Line) -> None:
        """After its advice: how far it may be trusted, what, and how probable it is."""
        answer = line("reconcile", "--counts", counts(line, "MUG,45,berlin", "X,1,berlin"))
        said = "     Almost certain: something that took 2 units out was never booked (9"
        assert answer.out.count(said) == 1
        assert answer.out.count("Almost certain") == 1  # Of an unknown SKU there is no book.

    def test_nobody_has_to_hear_it(self, line: Line) -> None:
        """What was not looked for is not in the report, either."""
        file = counts(line, "MUG,45,berlin")
        assert line("reconcile", "--counts", file, "--json").data["mismatches"][0]["explanation"]
        words = ("reconcile", "--counts", file, "--no-explain")
        assert "never booked" not in line(*words).out
        assert line(*words, "--json").data["mismatches"][0]["explanation"] is None

    def test_so_many_that_it_takes_a_while_are_explained_when_asked(
        self, line: Line, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is said that nobody looked."""
        monkeypatch.setattr(reconciling, "EXPLAINED_MAX", 1)
        strangers = counts(line, *(f"X-{number},1,berlin" for number in range(3)))
        assert "takes a while" not in line("reconcile", "--counts", strangers).out
        words = ("reconcile", "--counts", counts(line, "MUG,45,berlin", "TEA,7,berlin"))
        answer = line(*words)
        assert (
            "what may be behind so many mismatches takes a while: --explain says it" in answer.out
        )
        assert "never booked" not in answer.out
        asked = line(*words, "--explain").out
        assert asked.count("never booked") == 2
        assert "takes a while" not in asked

    def test_cause_of_many_and_of_none_are_said(self, capsys: pytest.CaptureFixture[str]) -> None:
        """One sentence for many; where nothing fits, that, and rivals where several do."""
        report = told().report
        one = next(each for each in report.mismatches if each.explanation is not None)
        assert one.explanation is not None
        verdicts = (("unexplained", 0), ("ambiguous", 1), ("ambiguous", 2))
        mismatches = tuple(
            attrs.evolve(
                one,
                explanation=attrs.evolve(
                    one.explanation, verdict=Certainty(verdict), rivals=rivals
                ),
            )
            for verdict, rivals in verdicts
        )
        tell_report(Screen(), attrs.evolve(report, mismatches=mismatches), 50)
        said = capsys.readouterr().out
        assert "Unexplained: no cause that is known of explains it; count again\n" in said
        assert "It cannot be told; first look whether: " in said
        assert "; 1 other set of causes fits as exactly\n" in said
        assert "; 2 other sets of causes fit as exactly\n" in said
        assert f"many at once: {report.common[0].sentence}\n" in said


class TestLevels:
    def test_levels_of_another_system_need_no_location(self, line: Line) -> None:
        """Without one they are about every location together."""
        file = line.file("etsy.csv", "SKU;quantity\nMUG;47\nTEA;9\n")
        answer = line("reconcile", "--levels", file, "--source", "etsy")
        assert answer.code == 1
        assert "TEA: etsy shows 9, the book says 8" in answer.out

    def test_complete_list_is_held_to_what_it_lacks(self, line: Line) -> None:
        """A missing SKU is named; one there twice is, too."""
        file = line.file("etsy.csv", "sku,quantity\nMUG,47\nMUG,46\n")
        answer = line("reconcile", "--levels", file, "--source", "etsy", "--complete", "--json")
        found = {each["sku"]: each["kind"] for each in answer.data["mismatches"]}
        assert found == {"MUG": "duplicate_sku", "TEA": "unlisted"}

    def test_figure_the_system_shows_is_chosen(self, line: Line) -> None:
        """What a warehouse system shows is on hand, not what may be promised."""
        with Inventory(SQLiteStorage(line.db)) as inventory:
            inventory.reserve({"MUG": 7}, reference="order-1")
            inventory.confirm("order-1")
        file = line.file("wms.csv", "sku,quantity,location\nMUG,47,berlin\n")
        assert line("reconcile", "--levels", file, "--shows", "on_hand").code == 0
        answer = line("reconcile", "--levels", file)
        assert "reserved_as_available" in answer.out

    def test_what_the_shop_says_of_its_sources_holds_unless_stated(self, line: Line) -> None:
        """Formula and bounds are kept with the ledger; a word of the call replaces its own."""
        with Inventory(SQLiteStorage(line.db)) as inventory:
            inventory.reserve({"MUG": 7}, reference="order-1", ttl=timedelta(hours=1))
            inventory.sources.set(Source("wms", formula=Formula(Shown.ON_HAND)))
        file = line.file("wms.csv", "sku,quantity,location\nMUG,47,berlin\n")
        asked = ("reconcile", "--levels", file, "--source", "wms")
        assert line(*asked).code == 0
        assert "reserved_as_available" in line(*asked, "--shows", "available").out
        assert "decidable at" in line(*asked, "--late", 600).out
        with Inventory(SQLiteStorage(line.db)) as inventory:
            inventory.sources.set(Source("*", late=timedelta(hours=1)))
        assert "decidable at" in line(*asked).out
        assert line(*asked, "--late", 0).code == 0


BAD_CALLS = {
    "no file named": ([], "expected one file to compare with"),
    "both kinds of file": (["--counts", "a.csv", "--levels", "b.csv"], "both --counts and"),
    "until without a beginning": (["--counts", "good.csv", "--until", "2026-03-01T09:00:00Z"], "--as-of as well"),
    "interval reversed": (
        ["--counts", "good.csv", "--as-of", "2026-03-02T09:00:00Z", "--until", "2026-03-01T09:00:00Z"],
        "a time not before --as-of",
    ),
    "naive time": (["--counts", "good.csv", "--as-of", "2026-03-02T09:00:00"], "it has no time zone"),
    "future": (["--counts", "good.csv", "--as-of", "2999-03-02T09:00:00Z"], "it is in the future"),
    "unknown figure": (["--levels", "good.csv", "--shows", "all"], "one of available, on_hand"),
    "missing column": (["--counts", "short.csv"], "it has no column location"),
    "missing file": (["--counts", "none.csv"], "No such file"),
    "other encoding": (["--counts", "latin.csv"], "latin.csv, line 3: it is not UTF-8"),
}  # fmt: skip


class TestBadInput:
    @pytest.mark.parametrize("name", BAD_CALLS)
    def test_wrong_call_is_one_line_and_code_two(
        self, line: Line, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is wrong is said once, and nothing is compared."""
        monkeypatch.chdir(line.folder)
        line.file("good.csv", "sku,quantity,location\nMUG,47,berlin\n")
        line.file("short.csv", "sku,quantity\nMUG,47\n")
        line.file(
            "latin.csv", "sku,quantity,location\nMUG,1,berlin\nMÜG,1,berlin\n", encoding="cp1252"
        )
        words, says = BAD_CALLS[name]
        answer = line("reconcile", *words)
        assert (answer.code, answer.out) == (2, "")
        assert says in answer.err
        assert answer.err.count("\n") == 1

    def test_bad_rows_are_named_and_nothing_is_compared(self, line: Line) -> None:
        """Separators, misspelt places, padded SKUs and second counts each name their line."""
        file = counts(
            line,
            'MUG,"1,000",berlin',
            "MUG,1,berlni",
            "TEA ,1,berlin",
            "TEA,1,berlin",
            "TEA,2,berlin",
            "TEA,1.5,berlin",
            "TEA,-1,berlin",
        )
        answer = line("reconcile", "--counts", file)
        assert answer.code == 2
        assert answer.out.splitlines() == [
            (
                "line 2, quantity '1,000': expected a whole number in digits only, for example 12000; "
                "drop the separators"
            ),
            "line 3, location 'berlni': this location was never declared; did you mean 'berlin'?",
            "line 4, sku 'TEA ': it is padded with white space; take it away, or pass --strip",
            (
                "line 6, sku 'TEA': counted on line 5 already; leave one, or name another actor for a "
                "recount"
            ),
            "line 7, quantity '1.5': expected a whole number, for example 12",
            "line 8, quantity '-1': expected whole numbers from 0 to 9223372036854775807",
            "6 of 7 rows are bad; nothing was compared",
        ]

    def test_thousand_blank_skus_are_counted_and_the_first_named(self, line: Line) -> None:
        """The report stays readable, and says how much it leaves out."""
        answer = line("reconcile", "--counts", counts(line, *[",1,berlin"] * 1000), "--json")
        assert answer.code == 2
        assert (answer.data["bad"], len(answer.data["problems"])) == (1000, 20)
        shown = line("reconcile", "--counts", line.folder / "counts.csv").out
        assert "and 980 more" in shown

    def test_recount_by_another_is_a_second_opinion(self, line: Line) -> None:
        """Each counter is judged; the same one twice is a bad row."""
        rows = ("MUG,47,berlin,sam", "MUG,45,berlin,kim")
        file = counts(line, *rows, header="sku,quantity,location,actor")
        answer = line("reconcile", "--counts", file)
        assert answer.code == 1
        assert "counted 45 by kim" in answer.out

    @pytest.mark.slow
    def test_file_of_another_shop_is_counted_whole_and_listed_in_part(self, line: Line) -> None:
        """A million unknown SKUs are mismatches like others, in the memory of their rows."""
        file = line.folder / "other.csv"
        with file.open("w") as stream:
            stream.write("sku,quantity\n")
            stream.writelines(f"X-{number:07},1\n" for number in range(1_000_000))
        words = ("reconcile", "--levels", file, "--source", "etsy", "--db", line.db, "--json")
        told = subprocess.run(
            [sys.executable, "-c", MEASURED, *map(str, words)],
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        assert told.returncode == 1
        report = json.loads(told.stdout)
        assert report["kinds"] == {"unknown_sku": 1_000_000}
        assert len(report["mismatches"]) == 10_000
        assert int(told.stderr) < 1_000_000  # KiB, at the most.


class TestKits:
    def test_bundles_are_judged_by_the_shops_recipes_unless_told_otherwise(
        self, line: Line
    ) -> None:
        """A file of a channel needs no recipes; one without bundles says so."""
        line("bundles", "define", "PAIR", "MUG=2")
        both = line.file("both.csv", "sku,quantity\nMUG,47\nTEA,8\nPAIR,23\n")
        singles = line.file("singles.csv", "sku,quantity\nMUG,47\nTEA,8\n")
        words = ("--source", "etsy", "--complete")
        assert line("reconcile", "--levels", both, *words).code == 0
        missing = line("reconcile", "--levels", singles, *words)
        assert (missing.code, "unlisted  PAIR" in missing.out) == (1, True)
        assert line("reconcile", "--levels", singles, *words, "--no-kits").code == 0
        assert line("reconcile", "--levels", both, *words, "--no-kits").code == 1
        assert line("reconcile", "--levels", singles, *words, "--shows", "on_hand").code == 0


#: Runs the command line and says at the end how much memory it took.
MEASURED = """
import resource, sys
from truecount.cli import main
try:
    main()
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""
