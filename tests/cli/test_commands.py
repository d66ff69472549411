"""
The command line as a user meets it: one folder, real files, documented exit codes.

Commands run in this process, but for those whose claim needs one of their own: what a
pipe gets, that nothing but one line is said, and a process that is killed.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from contextlib import chdir
from pathlib import Path

import pytest

from tests.cli.running import Answer, called, ended, process
from truecount.cli import main


def truecount(folder: Path, *words: str) -> Answer:
    """Run the command line in *folder*, in this process."""
    with chdir(folder):
        return called(*words)


def write_csv(path: Path, rows: list[list[str]], encoding: str = "utf-8") -> None:
    """Write rows below the columns every import needs."""
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file).writerows([["kind", "sku", "quantity", "location"], *rows])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a ledger: fifty mugs received, two teas sold that were never there."""
    rows = [["receive", "MUG", "50", "berlin"], ["sold", "TEA", "2", "berlin"]]
    write_csv(tmp_path / "in.csv", rows)
    done = truecount(tmp_path, "import", "in.csv", "--db", "s.db", "--create-locations")
    assert done.code == 0, done.err
    return tmp_path


class TestDemo:
    """The main job in one command."""

    def test_demo_tells_the_same_story_for_the_same_seed_and_ends_true(
        self, tmp_path: Path
    ) -> None:
        """Every chapter, every finding with its advice, and verify at the end."""
        piped = ended(process("demo", "--seed", "3", folder=tmp_path))
        assert (piped.code, piped.err) == (0, "")
        assert piped.out == truecount(tmp_path, "demo", "--seed", "3").out
        assert piped.out.endswith("the count is true\n")
        assert "oversold" in piped.out
        assert "\x1b" not in piped.out

    def test_demo_keeps_its_shop_in_a_file(self, tmp_path: Path) -> None:
        """The file is a ledger like any other."""
        assert truecount(tmp_path, "demo", "--db", "demo.db").code == 0
        assert truecount(tmp_path, "verify", "--db", "demo.db").code == 0


class TestReading:
    """What the ledger says, as text and as JSON."""

    def test_stock_history_and_verify(self, folder: Path) -> None:
        """Plain tables when piped; one JSON document when asked."""
        assert "MUG" in truecount(folder, "stock", "--db", "s.db").out
        assert "receive" in truecount(folder, "history", "MUG", "--db", "s.db").out
        verified = truecount(folder, "verify", "--db", "s.db")
        assert verified.code == 0
        assert verified.out.endswith("the count is true\n")
        stock = json.loads(truecount(folder, "stock", "--db", "s.db", "--json").out)
        assert [line["on_hand"] for line in stock["stock"]] == [50, -2]

    def test_findings_exit_with_one_while_any_is_open(self, folder: Path) -> None:
        """The oversold line is told with its number; a cursor mails nothing twice."""
        found = truecount(folder, "findings", "--db", "s.db")
        assert found.code == 1
        assert "TEA at berlin is oversold by 2" in found.out
        again = truecount(folder, "findings", "--db", "s.db", "--since", "1", "--json")
        assert json.loads(again.out)["open"] == []

    def test_export_and_restore_are_equal(self, folder: Path) -> None:
        """The copy's figures, and its second export, are the original's."""
        assert truecount(folder, "export", "a.jsonl", "--db", "s.db").code == 0
        assert truecount(folder, "restore", "a.jsonl", "--db", "copy.db").code == 0
        stock = [truecount(folder, "stock", "--db", name).out for name in ("s.db", "copy.db")]
        assert stock[0] == stock[1]

    def test_missing_file_is_a_storage_problem(self, folder: Path) -> None:
        """Exit code 3 and one line on stderr, no traceback."""
        done = ended(process("stock", "--db", "nosuch.db", folder=folder))
        assert (done.code, done.out) == (3, "")
        assert done.err.startswith("truecount: cannot use storage 'nosuch.db'")
        assert done.err.count("\n") == 1
        assert not (folder / "nosuch.db").exists()


class TestImport:
    """Files of facts."""

    def test_importing_again_changes_nothing(self, folder: Path) -> None:
        """The keys are the file's name and the line."""
        done = truecount(folder, "import", "in.csv", "--db", "s.db")
        assert (done.code, done.out) == (0, "imported 0 rows, 2 were there already\n")

    def test_changed_row_under_the_same_key_is_named(self, folder: Path) -> None:
        """Editing a line after it was imported is a conflict, not a second receipt."""
        rows = [["receive", "MUG", "55", "berlin"], ["sold", "TEA", "2", "berlin"]]
        write_csv(folder / "in.csv", rows)
        done = truecount(folder, "import", "in.csv", "--db", "s.db")
        assert done.code == 2
        assert "in.csv:2" in done.out + done.err

    def test_bad_rows_are_named_and_nothing_is_written(self, folder: Path) -> None:
        """Line, column, value and reason of each; the good row waits."""
        rows = [
            ["sold", "MUG", "x", "berlin"],
            ["sold", " MUG", "1", "berlin"],
            ["sold", "MUG", "1", "atlantis"],
            ["fly", "MUG", "1", "berlin"],
            ["sold", "MUG", "1", "berlin"],
        ]
        write_csv(folder / "bad.csv", rows)
        done = truecount(folder, "import", "bad.csv", "--db", "s.db")
        assert done.code == 2
        for words in ("line 2, quantity 'x'", "line 3, sku ' MUG'", "line 4", "line 5, kind 'fly'"):
            assert words in done.out + done.err
        assert '"on_hand": 50' in truecount(folder, "stock", "--db", "s.db", "--json").out

    def test_bad_rows_go_to_a_file_of_their_own(self, folder: Path) -> None:
        """--skip-bad imports the rest; exit code 1 says that somebody should look."""
        write_csv(
            folder / "bad.csv", [["sold", "MUG", "x", "berlin"], ["sold", "MUG", "1", "berlin"]]
        )
        done = truecount(folder, "import", "bad.csv", "--db", "s.db", "--skip-bad", "no.csv")
        assert done.code == 1
        rejects = (folder / "no.csv").read_text("utf-8-sig")
        assert "expected a whole number" in rejects
        assert '"on_hand": 49' in truecount(folder, "stock", "--db", "s.db", "--json").out

    def test_wrong_encoding_and_missing_column_are_named(self, folder: Path) -> None:
        """Neither is guessed."""
        write_csv(folder / "latin.csv", [["sold", "T\u00e9", "1", "berlin"]], "latin-1")
        done = truecount(folder, "import", "latin.csv", "--db", "s.db")
        assert done.code == 2
        assert "utf-8" in done.err.lower()
        (folder / "short.csv").write_text("sku,quantity\nMUG,1\n", "utf-8")
        done = truecount(folder, "import", "short.csv", "--db", "s.db")
        assert done.code == 2
        assert "kind" in done.err

    def test_hostile_cells_are_only_text(self, folder: Path) -> None:
        """Quotes, formulas, markup and SQL come back as they went in."""
        skus = ["=1+1", '"x"', "[red]", "'; DROP TABLE x;--"]
        write_csv(folder / "odd.csv", [["receive", sku, "1", "berlin"] for sku in skus])
        assert truecount(folder, "import", "odd.csv", "--db", "s.db").code == 0
        shown = json.loads(truecount(folder, "stock", "--db", "s.db", "--json").out)
        assert set(skus) <= {line["sku"] for line in shown["stock"]}
        assert "[red]" in truecount(folder, "stock", "--db", "s.db").out

    @pytest.mark.parametrize("count", [999, 1000, 1001])
    def test_chunks_end_where_they_should(self, tmp_path: Path, count: int) -> None:
        """No row is lost or doubled at the boundary of a chunk."""
        write_csv(tmp_path / "n.csv", [["receive", "MUG", "1", "berlin"]] * count)
        done = truecount(tmp_path, "import", "n.csv", "--db", "n.db", "--create-locations")
        assert done.code == 0
        shown = json.loads(truecount(tmp_path, "stock", "--db", "n.db", "--json").out)
        assert shown["stock"][0]["on_hand"] == count

    def test_killed_import_is_completed_by_running_it_again(self, tmp_path: Path) -> None:
        """SIGKILL while chunks are written; the second run ends where one whole run ends."""
        count = 3_500
        write_csv(tmp_path / "big.csv", [["receive", "MUG", "1", "berlin"]] * count)
        words = ("import", "big.csv", "--db", "big.db", "--create-locations")
        with process(*words, folder=tmp_path) as child:
            while child.poll() is None and _size(tmp_path / "big.db-wal") < 500_000:
                os.sched_yield()
            child.kill()
        done = truecount(tmp_path, *words)
        assert done.code == 0, done.err
        shown = json.loads(truecount(tmp_path, "stock", "--db", "big.db", "--json").out)
        assert shown["stock"][0]["on_hand"] == count
        assert truecount(tmp_path, "verify", "--db", "big.db").code == 0

    def test_two_imports_at_once_count_each_row_once(self, tmp_path: Path) -> None:
        """Two people start the same import: one writes a chunk, the other finds it there."""
        count = 1_500
        write_csv(tmp_path / "big.csv", [["receive", "MUG", "1", "berlin"]] * count)
        words = ("import", "big.csv", "--db", "big.db", "--create-locations", "--json")
        children = [process(*words, folder=tmp_path) for _ in range(2)]
        answers = [ended(child) for child in children]
        assert [answer.code for answer in answers] == [0, 0]
        assert sum(answer.data["imported"] for answer in answers) == count
        assert sum(answer.data["replayed"] for answer in answers) == count
        assert truecount(tmp_path, "verify", "--db", "big.db").code == 0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


COMMANDS = [
    "bundles",
    "demo",
    "export",
    "findings",
    "history",
    "import",
    "locations",
    "restore",
    "stock",
]


@pytest.mark.parametrize("command", [*COMMANDS, "reconcile", "repair", "sweep", "verify"])
def test_every_command_explains_itself(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """--help exits with 0 and names the options."""
    monkeypatch.setattr(sys, "argv", ["truecount", command, "--help"])
    with pytest.raises(SystemExit) as done:
        main()
    assert done.value.code == 0
    assert "--help" in capsys.readouterr().out


def test_list_of_commands_cuts_no_sentence() -> None:
    """What a command does is told whole in a list eighty letters wide."""
    listed = called("--help", env={"COLUMNS": "80"}).out
    assert all(f"  {command} " in listed for command in [*COMMANDS, "reconcile", "repair"])
    assert not [
        line for line in listed.splitlines() if line.endswith("...") and "Usage" not in line
    ]
