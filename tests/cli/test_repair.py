"""`truecount repair`: a plan looked at, approved, written once, taken back; by real files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.cli.running import Answer, Line, ended, process
from truecount import Certainty, Count, Inventory, Plan, SQLiteStorage


OPENED = "2026-03-01T09:00:00Z"
#: A shelf over time, on the page.
DRAWN = re.compile(r'aria-labelledby="timeline-\d+"')
Command: TypeAlias = Callable[..., Answer]
COUNTED = "2026-03-03T10:00:00Z"


@pytest.fixture
def line(tmp_path: Path) -> Line:
    """A ledger with mugs, tea and pots in Berlin, written in the first days of March."""
    line = Line(tmp_path)
    line.file(
        "may.csv",
        "kind,sku,quantity,location,occurred_at\n"
        f"receive,MUG,50,berlin,{OPENED}\nreceive,TEA,8,berlin,{OPENED}\n"
        f"receive,POT,6,berlin,{OPENED}\nsold,MUG,3,berlin,2026-03-02T10:00:00Z\n",
    )
    assert line("import", tmp_path / "may.csv", "--create-locations").code == 0
    return line


def counts(line: Line, *rows: str, name: str = "counts.csv") -> Path:
    """Put a file of counts of the third of March into the folder."""
    text = "\n".join(["sku,quantity,location,occurred_at", *rows, ""])
    return line.file(name, text.replace(",berlin", f",berlin,{COUNTED}"))


def planned(line: Line, *rows: str) -> Path:
    """Compare the ledger with counts and return the file of the plan."""
    path = line.folder / "plan.json"
    line("reconcile", "--counts", counts(line, *rows), "--plan", path)
    return path


def id_of(plan: Path) -> str:
    """Return the id of the plan in a file."""
    found: str = json.loads(plan.read_text("utf-8"))["id"]
    return found


def in_processes(line: Line) -> Command:
    """Return what runs a command as a user does, in the folder."""
    env = {"TRUECOUNT_DB": str(line.db)}
    return lambda *words: ended(process(*words, folder=line.folder, env=env))


def in_this_process(line: Line) -> Command:
    """Return what runs a command as most tests do."""
    return line


@pytest.mark.parametrize(
    "how", [in_this_process, pytest.param(in_processes, marks=pytest.mark.slow)]
)
def test_from_two_files_to_a_true_count_and_back(
    line: Line, how: Callable[[Line], Command], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Import, count, compare, look, approve, compare again, take back."""
    monkeypatch.chdir(line.folder)
    run = how(line)
    before = line.figures()
    file = counts(line, "MUG,45,berlin", "TEA,11,berlin", "POT,6,berlin")
    compared = run("reconcile", "--counts", file, "--plan", "plan.json", "--html", "page.html")
    assert (compared.code, compared.err) == (1, "")
    id_ = id_of(line.folder / "plan.json")
    assert f"{id_}: 2 to write, 0 to do outside" in compared.out
    page = (line.folder / "page.html").read_text("utf-8")
    assert id_ in page
    assert len(DRAWN.findall(page)) == 2

    looked = run("repair", "plan.json")
    assert looked.code == 1
    assert "MUG  berlin             -2  47 -> 45  47 -> 45" in looked.out
    assert "nothing was written; approve it with --approved-by NAME" in looked.out
    assert line.figures() == before

    done = run("repair", "plan.json", "--approved-by", "kim")
    assert (done.code, done.err) == (0, "")
    assert f"{id_}, approved by kim at " in done.out
    assert "2 lines stand, 0 skipped, 0 taken back, 0 to do outside" in done.out
    assert line.figures() == before | {("MUG", "berlin", ""): 45, ("TEA", "berlin", ""): 11}
    assert run("reconcile", "--counts", file).code == 0

    again = run("repair", "plan.json", "--approved-by", "kim")
    assert again.code == 0
    assert "nothing was written now: every line was decided before\n" in again.out

    undone = run("repair", "--undo", id_, "--reason", "the wrong shelf", "--actor", "sam")
    assert undone.code == 0
    assert "0 lines stand, 0 skipped, 2 taken back" in undone.out
    assert line.figures() == before
    assert run("verify").code == 0

    after = run("repair", "plan.json", "--approved-by", "kim")
    assert after.code == 1
    assert "what was taken back is not written again, compare anew" in after.out
    assert line.figures() == before


class TestPart:
    @pytest.mark.parametrize(
        ("words", "written"),
        [
            (("--only-kind", "phantom"), {"MUG"}),
            (("--only-sku", "TEA"), {"TEA"}),
            (("--only-sku", "TEA", "--only-sku", "MUG"), {"MUG", "TEA"}),
            (("--only-at", "berlin"), {"MUG", "TEA"}),
            (("--only-kind", "phantom", "--only-sku", "TEA"), set()),
        ],
    )
    def test_chosen_lines_alone_are_written(
        self, line: Line, words: tuple[str, ...], written: set[str]
    ) -> None:
        """What is chosen twice must be both."""
        plan = planned(line, "MUG,45,berlin", "TEA,11,berlin")
        before = line.figures()
        line("repair", plan, *words, "--approved-by", "kim")
        changed = {key[0] for key, units in line.figures().items() if before[key] != units}
        assert changed == written

    def test_line_is_chosen_by_its_id(self, line: Line) -> None:
        """As the table names it."""
        plan = planned(line, "MUG,45,berlin", "TEA,11,berlin")
        shown = line("repair", plan, "--json").data["preview"]["lines"]
        [tea] = [each["id"] for each in shown if each["key"][0] == "TEA"]
        answer = line("repair", plan, "--only-line", tea, "--approved-by", "kim", "--json")
        assert answer.code == 0
        assert list(answer.data["repaired"]["applied"]) == [tea]

    def test_nothing_left_is_nothing_to_write(self, line: Line) -> None:
        """It is not approved, either: there is nothing to approve."""
        plan = planned(line, "MUG,45,berlin")
        words = ("--only-kind", "unrecorded", "--approved-by", "kim")
        answer = line("repair", plan, *words, "--json")
        assert (answer.code, answer.data["repaired"]) == (0, None)
        assert line("repair", "--show", answer.data["plan"]).code == 2

    def test_what_others_must_do_is_told(self, line: Line) -> None:
        """A SKU nobody knows is in the plan, and nobody's repair."""
        plan = planned(line, "MUG,45,berlin", "X,1,berlin")
        answer = line("repair", plan, "--approved-by", "kim")
        assert answer.code == 1
        assert "outside: X at berlin: look at it (unknown sku)" in answer.out
        assert "1 line stands, 0 skipped, 0 taken back, 1 to do outside" in answer.out

    def test_long_plan_says_how_many_are_not_listed(self, line: Line) -> None:
        """A short list is never taken for all of it."""
        plan = planned(line, "MUG,45,berlin", "TEA,11,berlin", "POT,5,berlin")
        answer = line("repair", plan, "--limit", 1)
        assert "and 2 more" in answer.out
        assert ": 3 lines to write (3 gained, 3 lost)" in answer.out


class TestExplained:
    def test_what_is_almost_certain_is_what_a_job_writes(self, line: Line) -> None:
        """The plan keeps how far each explanation may be trusted, and can be cut down to it."""
        line.file(
            "twice.csv",
            "kind,sku,quantity,location,occurred_at,reference\n"
            + f"receive,TEA,23,berlin,{OPENED},PO-9\n" * 2,
        )
        line("import", line.folder / "twice.csv")
        plan = planned(line, "MUG,45,berlin", "TEA,31,berlin")
        lines = Plan.from_dict(json.loads(plan.read_text("utf-8"))).lines
        told = {each.sku: each.certainty for each in lines}
        assert told == {"MUG": Certainty.LIKELY, "TEA": Certainty.CONFIDENT}
        assert "54 -> 31  54 -> 31  confident" in line("repair", plan).out
        words = ("--only-certainty", "confident", "--approved-by", "the nightly job")
        assert line("repair", plan, *words).code == 0
        on_hand = {key[0]: units for key, units in line.figures().items()}
        assert on_hand == {"MUG": 47, "POT": 6, "TEA": 31}

    def test_what_was_not_explained_is_not_certain(self, line: Line) -> None:
        """A plan made without looking for causes has nothing for a job to write."""
        file, plan = counts(line, "MUG,45,berlin"), line.folder / "plan.json"
        line("reconcile", "--counts", file, "--plan", plan, "--no-explain")
        words = ("--only-certainty", "confident", "--approved-by", "the nightly job")
        assert "there is nothing to write" in line("repair", plan, *words).out


class TestWorldGoesOn:
    def test_line_that_no_longer_holds_is_skipped_and_says_why(self, line: Line) -> None:
        """A sale before the count that came in later explains half of the difference."""
        plan = planned(line, "MUG,45,berlin", "TEA,11,berlin")
        line.file(
            "late.csv",
            "kind,sku,quantity,location,occurred_at\n"
            "sold,MUG,1,berlin,2026-03-02T12:00:00Z\nsold,TEA,1,berlin,2026-03-04T12:00:00Z\n",
        )
        line("import", line.folder / "late.csv")
        answer = line("repair", plan, "--approved-by", "kim")
        assert answer.code == 1
        assert "skipped MUG at berlin: -1 of MUG at berlin up to 2026-03-03" in answer.out
        assert "1 line stands, 1 skipped" in answer.out
        assert line.figures()["TEA", "berlin", ""] == 10  # 11 were counted, one was sold since.

    def test_preview_writes_nothing_although_approved(self, line: Line) -> None:
        """And says what became of the plan, once something did."""
        plan, before = planned(line, "MUG,45,berlin"), line.figures()
        words = ("repair", plan, "--approved-by", "kim")
        assert line(*words, "--preview").code == 1
        assert line.figures() == before
        assert line(*words).code == 0
        assert "every line was decided before" in line("repair", plan).out

    def test_levels_are_followed_when_their_source_is_right(self, line: Line) -> None:
        """Without it the level is published again; with it the book changes."""
        file = line.file("wms.csv", "sku,quantity,location\nMUG,44,berlin\n")
        levels = ("reconcile", "--levels", file, "--source", "wms", "--shows", "on_hand")
        line(*levels, "--plan", line.folder / "look.json")
        looked = line("repair", line.folder / "look.json", "--approved-by", "kim")
        assert "0 lines to write (0 gained, 0 lost), 1 to do outside" in looked.out
        line(*levels, "--plan", line.folder / "follow.json", "--follow", "wms")
        assert line("repair", line.folder / "follow.json", "--approved-by", "kim").code == 0
        assert line.figures()["MUG", "berlin", ""] == 44


class TestMassRepair:
    def test_breaker_stops_before_anything_is_written(self, line: Line) -> None:
        """The table is shown, the limit named, and the exit code that of a refusal."""
        plan = planned(line, "MUG,45,berlin", "TEA,11,berlin")
        before = line.figures()
        words = ("repair", plan, "--approved-by", "kim")
        answer = line(*words, "--breaker", "lines_max=1")
        assert answer.code == 1
        assert ": 2 lines to write" in answer.out
        assert "too many lines, 2, and only 1 are allowed (breaker: lines_max)" in answer.err
        assert "or pass --breaker LIMIT=N" in answer.err
        assert line.figures() == before
        assert line(*words, "--breaker", "lines_max=1", "--json").out == ""
        assert line(*words, "--breaker", "lines_max=none").code == 0


BAD_CALLS: dict[str, tuple[list[str], str]] = {
    "nothing": ([], "nothing: expected PLAN.json, --show or --undo"),
    "two things": (["plan.json", "--show", "plan-1"], "more than one of them"),
    "undo without a reason": (["--undo", "plan-1"], "--reason as well: why"),
    "reason without undo": (["plan.json", "--reason", "x"], "--undo as well"),
    "approval without a plan": (["--show", "plan-1", "--approved-by", "kim"], "PLAN.json as well"),
    "unknown plan": (["--show", "plan-1"], "cannot find plan 'plan-1'"),
    "undo of an unknown plan": (["--undo", "plan-1", "--reason", "x"], "cannot find plan 'plan-1'"),
    "unknown kind": (["plan.json", "--only-kind", "lost"], "cannot use kind 'lost'"),
    "SKU of another plan": (["plan.json", "--only-sku", "MUGG"], "one of the skus of this plan"),
    "place of another plan": (["plan.json", "--only-at", "x"], "one of the locations of this plan"),
    "line of another plan": (["plan.json", "--only-line", "x"], "the id of a line of this plan"),
    "unknown certainty": (["plan.json", "--only-certainty", "sure"], "cannot use certainty 'sure'"),
    "unknown limit": (["plan.json", "--breaker", "lines=1"], "LIMIT=N or LIMIT=none"),
    "limit that is no number": (["plan.json", "--breaker", "lines_max=-1"], "LIMIT=N or LIMIT"),
    "limit named twice": (
        ["plan.json", "--breaker", "lines_max=1", "--breaker", "lines_max=2"],
        "each once",
    ),
    "per cent beyond a hundred": (["plan.json", "--breaker", "percent_max=101"], "from 0 to 100"),
    "limit there must be": (["plan.json", "--breaker", "lines_free=none"], "cannot use limit None"),
    "nobody approves": (["plan.json", "--approved-by", ""], "cannot use '' as actor: it is empty"),
    "missing file": (["none.json"], "cannot read none.json: No such file"),
    "folder": (["."], "cannot read .: Is a directory"),
    "no JSON": (["counts.csv"], "cannot read counts.csv: it is not JSON"),
    "no plan": (["list.json"], "it is no plan, as `truecount reconcile --plan` writes it"),
    "other JSON": (
        ["report.json"],
        "its schema is None, this version reads 1; it is in report.json",
    ),
    "half a plan": (["half.json"], "cannot read a plan: it has no 'compared'; it is in half.json"),
    "line without its SKU": (["line.json"], "cannot read a plan: a line of it has no 'sku'; it is"),
    "line twice": (["twice.json"], "cannot read a plan: cannot use lines with one line twice"),
    "changed by hand": (["changed.json"], "was changed: by its content"),
}


class TestBadInput:
    @pytest.mark.parametrize("name", BAD_CALLS)
    def test_wrong_call_is_one_line_and_code_two(
        self, line: Line, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is wrong is said once, and nothing is written."""
        monkeypatch.chdir(line.folder)
        plan = planned(line, "MUG,45,berlin")
        data: dict[str, Any] = json.loads(plan.read_text("utf-8"))
        line.file("list.json", "[]")
        line.file("report.json", "{}")
        line.file("half.json", json.dumps({k: v for k, v in data.items() if k != "compared"}))
        first: dict[str, Any] = data["lines"][0]
        without = {name: value for name, value in first.items() if name != "sku"}
        line.file("line.json", json.dumps(data | {"lines": [without]}))
        line.file("twice.json", json.dumps(data | {"lines": [first, first]}))
        first["observed"] = 0
        line.file("changed.json", json.dumps(data))
        before = line.figures()
        words, says = BAD_CALLS[name]
        approved = [] if "--approved-by" in words or not words else ["--approved-by", "kim"]
        is_file = bool(words) and not words[0].startswith("-")
        answer = line("repair", *words, *(approved if is_file else []))
        assert (answer.code, says in answer.err) == (2, True), answer.err
        assert answer.err.count("\n") == 1
        assert line.figures() == before


class TestFiles:
    def test_no_file_is_replaced_and_none_written_half(self, line: Line) -> None:
        """When one is there nothing is compared, and no other is written."""
        file, taken = counts(line, "MUG,45,berlin"), line.file("taken", "mine")
        for option in ("--csv", "--plan", "--html"):
            others = {"--csv", "--plan", "--html"} - {option}
            names = [word for other in others for word in (other, line.folder / f"new{other}")]
            answer = line("reconcile", "--counts", file, option, taken, *names)
            assert (answer.code, answer.out) == (2, "")
            assert f"cannot use {option} " in answer.err
            assert "a file that is not there yet" in answer.err
        assert taken.read_text() == "mine"
        assert not list(line.folder.glob("new*"))

    def test_one_name_for_two_files_is_refused(self, line: Line) -> None:
        """The second would find the first."""
        both = line.folder / "both"
        answer = line(
            "reconcile", "--counts", counts(line, "MUG,45,berlin"), "--plan", both, "--html", both
        )
        assert (answer.code, both.exists()) == (2, False)

    def test_plan_file_is_the_plan_of_the_library(self, line: Line) -> None:
        """A program and the command line approve the same lines under the same id."""
        path = planned(line, "MUG,45,berlin")
        plan = Plan.from_dict(json.loads(path.read_text("utf-8")))
        with Inventory(SQLiteStorage(line.db)) as inventory:
            when = plan.lines[0].seen_at[0]
            report = inventory.reconcile([Count("MUG", 45, at="berlin", counted_at=when)])
            assert [each.id for each in report.plan().lines] == [each.id for each in plan.lines]
            assert inventory.repair(plan, approved_by="sam").approved_by == "sam"
        assert line("repair", path, "--approved-by", "kim", "--json").data["repaired"]["replayed"]

    @pytest.mark.parametrize(("number", "drawn"), [(0, 0), (1, 1), (5, 2)])
    def test_page_draws_so_many_shelves(self, line: Line, number: int, drawn: int) -> None:
        """Shelves that differ, but for SKUs the book never had."""
        page = line.folder / "page.html"
        file = counts(line, "A,1,berlin", "MUG,45,berlin", "TEA,9,berlin", "POT,6,berlin")
        line("reconcile", "--counts", file, "--html", page, "--timelines", number)
        assert len(DRAWN.findall(page.read_text("utf-8"))) == drawn

    def test_times_on_the_page_are_those_of_the_zone_named(self, line: Line) -> None:
        """Ten o'clock in London is eleven in Berlin."""
        page = line.folder / "page.html"
        words = ("--html", page, "--timezone", "Europe/Berlin")
        line("reconcile", "--counts", counts(line, "MUG,45,berlin"), *words)
        assert "11:00" in page.read_text("utf-8")


FOLLOWING = {
    "counts": (["--counts", "counts.csv", "--plan", "p.json"], "a count is followed anyway"),
    "other source": (["--levels", "l.csv", "--source", "etsy", "--plan", "p.json"], "'etsy'"),
    "no plan": (["--levels", "l.csv", "--source", "wms"], "--plan or --html as well"),
}


@pytest.mark.parametrize("name", FOLLOWING)
def test_follow_must_mean_something(line: Line, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who names a source expects the plan to change."""
    monkeypatch.chdir(line.folder)
    counts(line, "MUG,45,berlin")
    line.file("l.csv", "sku,quantity\nMUG,44\n")
    words, says = FOLLOWING[name]
    answer = line("reconcile", *words, "--follow", "wms")
    assert (answer.code, says in answer.err) == (2, True), answer.err
    assert not (line.folder / "p.json").exists()
