from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

import pytest
import typer

import truecount
from tests.cli.running import Answer, Line
from truecount.cli.options import ADVICE, guarded


@pytest.fixture
def line(tmp_path: Path) -> Line:
    """The command line, with a ledger of two locations and a lot."""
    line = Line(tmp_path)
    text = (
        "kind,sku,quantity,location,occurred_at,lot,reference,into\n"
        "open,MUG,10,berlin,2026-03-01T08:00:00Z,,,\n"
        "open,MUG,4,hamburg,2026-03-01T08:00:00Z,,,\n"
        "receive,TEA,6,berlin,2026-03-02T08:00:00Z,L1,PO-1,quarantine\n"
        "sold,MUG,3,berlin,2026-03-03T08:00:00Z,,etsy-1,\n"
    )
    assert line("import", line.file("in.csv", text), "--create-locations").code == 0
    return line


def refused(answer: Answer, code: int, *words: str) -> None:
    """Check that a command said why, in one line, and nothing else."""
    assert answer.code == code
    assert answer.out == ""
    assert answer.err.startswith("truecount: ")
    assert answer.err.count("\n") == 1
    for word in words:
        assert word in answer.err


class TestStock:
    def test_table_has_a_row_for_each_key(self, line: Line) -> None:
        """Lots and rare figures take a column only where there are any."""
        assert line("stock").out.splitlines() == [
            "sku  location  lot  on hand  reserved  available  quarantine",
            "MUG  berlin               7         0          7           0",
            "MUG  hamburg              4         0          4           0",
            "TEA  berlin    L1         6         0          0           6",
        ]
        assert line("stock", "MUG", "--at", "hamburg").out.splitlines() == [
            "sku  location  on hand  reserved  available",
            "MUG  hamburg         4         0          4",
        ]

    def test_past_is_shown_as_it_was(self, line: Line) -> None:
        """Figures of a past moment know nothing of what came later."""
        answer = line("stock", "MUG", "--as-of", "2026-03-02T12:00:00+01:00", "--json")
        assert answer.data["as_of"] == "2026-03-02T11:00:00+00:00"
        assert [each["on_hand"] for each in answer.data["stock"]] == [10, 4]

    def test_unknown_names_are_refused_with_the_nearest(self, line: Line) -> None:
        """A typing error is not an empty shelf."""
        refused(line("stock", "MUGG"), 2, "'MUGG'", "did you mean 'MUG'?")
        refused(line("stock", "--at", "berln"), 2, "did you mean 'berlin'?")

    @pytest.mark.parametrize(
        ("time", "rule"),
        [
            ("yesterday", "ISO 8601"),
            ("2026-03-02T12:00:00", "no time zone"),
            ("9999-12-31T23:59:59-14:00", "'9999-12-31T23:59:59-14:00' as --as-of: in UTC it lies"),
        ],
    )
    def test_time_must_be_a_moment(self, line: Line, time: str, rule: str) -> None:
        """A moment that is not one is refused rather than guessed."""
        refused(line("stock", "--as-of", time), 2, "--as-of", rule)


class TestHistory:
    def test_entries_have_running_figures(self, line: Line) -> None:
        """What changed stands beside what was there afterwards."""
        lines = line("history", "MUG", "--at", "berlin").out.splitlines()
        assert [text.split()[2] for text in lines[1:]] == ["open", "sold"]
        assert "sellable -3         7          7  etsy-1" in lines[2]

    def test_reference_and_last_narrow_it(self, line: Line) -> None:
        """One document, or the newest entries; 0 is all of them."""
        assert len(line("history", "--reference", "etsy-1", "--json").data["history"]) == 1
        (newest,) = line("history", "MUG", "--last", "1", "--json").data["history"]
        assert (newest["kind"], newest["change"]) == ("sold", {"sellable": -3})
        assert len(line("history", "MUG", "--last", "0", "--json").data["history"]) == 3

    def test_names_nobody_knows_are_told_apart_from_no_history(self, line: Line) -> None:
        """A typing error is not answered with an empty table."""
        refused(line("history", "MUGG"), 2, "cannot find SKU 'MUGG'", "did you mean 'MUG'?")
        refused(line("history", "--at", "berln"), 2, "did you mean 'berlin'?")
        answer = line("history", "--reference", "nope")
        assert (answer.code, answer.out) == (0, "nothing happened here yet\n")

    def test_columns_nobody_filled_are_left_out(self, line: Line) -> None:
        """What is empty throughout takes no room."""
        assert line("import", line.csv("open,CUP,1,berlin")).code == 0
        assert line("history", "CUP").out.splitlines()[0].split("  ")[-1].strip() == "movement"
        assert "reference" not in line("history", "CUP").out

    def test_refold_is_told_in_words(self, line: Line) -> None:
        """Not by the key of the record it belongs to, which only the JSON has."""
        text = (
            "kind,sku,quantity,location,occurred_at,reference\n"
            "count,MUG,7,berlin,2026-03-04T08:00:00Z,spring\n"
            "sold,MUG,2,berlin,2026-03-03T12:00:00Z,etsy-2\n"
        )
        assert line("import", line.file("late.csv", text)).code == 0
        refolded, late = line("history", "MUG", "--last", "2").out.splitlines()[1:]
        assert "a sale was recorded after it" in refolded
        assert "etsy-2" in late
        assert '"' not in refolded
        first, _ = line("history", "MUG", "--last", "2", "--json").data["history"]
        assert first["reference"].startswith('["MUG","berlin"')

    def test_history_of_nothing_is_refused(self, line: Line) -> None:
        """A whole ledger is exported, not listed."""
        refused(line("history"), 2, "a SKU, --at or --reference")


class TestFindings:
    @pytest.fixture
    def line(self, tmp_path: Path) -> Line:
        """The command line, with a ledger where nothing is wrong."""
        line = Line(tmp_path)
        path = line.csv("open,MUG,10,berlin", "sold,MUG,3,berlin", name="in.csv")
        assert line("import", path, "--create-locations").code == 0
        return line

    def oversell(self, line: Line, quantity: int = 9) -> None:
        """Report a sale of more than there is."""
        path = line.csv(f"sold,MUG,{quantity},berlin", name=f"{quantity}.csv")
        assert line("import", path).code == 0

    def test_nothing_found_is_a_quiet_success(self, line: Line) -> None:
        """A timer may run it and mail only what fails."""
        assert (line("findings").code, line("findings").out) == (
            0,
            "no findings open\ncursor 0\n",
        )

    def test_only_what_is_new_since_a_cursor(self, line: Line) -> None:
        """What was told is not told again, and what is over is told once."""
        self.oversell(line)
        cursor = line("findings", "--json").data["cursor"]
        answer = line("findings", "--since", cursor)
        assert (answer.code, answer.out) == (0, f"no findings new\ncursor {cursor}\n")
        restock = line.csv("receive,MUG,5,berlin", name="restock.csv")
        assert line("import", restock).code == 0
        assert "closed: MUG at berlin is oversold by 2" in line("findings", "--since", cursor).out

    def test_list_is_bounded(self, line: Line) -> None:
        """The most urgent come first, the rest are counted."""
        self.oversell(line, 90)
        assert line("import", line.csv("sold,CUP,5,berlin", name="cups.csv")).code == 0
        lines = line("findings", "--limit", "1").out.splitlines()
        assert lines[0].startswith("[100] MUG at berlin is oversold by 83")
        assert "2 findings open, the 1 most urgent are above" in lines

    def test_reading_only_writes_nothing(self, line: Line) -> None:
        """Looking without writing down finds the same."""
        self.oversell(line)
        before = line("export", "-").out
        looked = line("findings", "--read-only", "--json")
        assert looked.code == 1
        assert line("export", "-").out == before
        ids = [each["id"] for each in looked.data["open"]]
        assert ids == [each["id"] for each in line("findings", "--json").data["open"]]

    def test_dismissal_says_who_and_why(self, line: Line) -> None:
        """What was seen to is closed, what still holds is not."""
        for sku in ("tee", "TEE"):
            assert line("import", line.csv(f"open,{sku},1,berlin", name=f"{sku}.csv")).code == 0
        (finding,) = line("findings", "--json").data["open"]
        refused(line("findings", "--dismiss", finding["id"]), 2, "--actor and --note")
        words = ("--dismiss", finding["id"], "--actor", "sam", "--note", "two teas")
        refused(line("findings", *words, "--read-only"), 2, "one of the two")
        assert line("findings", *words).code == 0
        refused(line("findings", "--dismiss", "none", *words[2:]), 2, "'none'")

    def test_what_still_holds_cannot_be_dismissed(self, line: Line) -> None:
        """Waving a hand does not bring the units back."""
        self.oversell(line)
        id_ = line("findings", "--json").data["open"][0]["id"]
        answer = line("findings", "--dismiss", id_, "--actor", "sam", "--note", "no")
        refused(answer, 1, id_)


class TestVerify:
    def test_tampered_figure_is_found(self, line: Line) -> None:
        """A figure somebody changed by hand is named, and the exit code tells the timer."""
        tables = _tables(line.db)
        with sqlite3.connect(line.db) as database:
            table = next(name for name in tables if "stock" in name)
            database.execute(f"UPDATE {table} SET sellable = sellable + 1 WHERE sku = 'MUG'")  # noqa: S608 -- our own table
        database.close()
        answer = line("verify")
        assert answer.code == 1
        assert "- 'MUG' at 'berlin', the stock row" in answer.out
        assert answer.out.endswith("the count is NOT true: 2 problems\n")
        short = line("verify", "--limit", "1")
        assert short.out.endswith("the count is NOT true: 2 problems (1 of them above)\n")
        assert line("verify", "--json").data["ok"] is False

    def test_seal_proves_that_the_past_stayed(self, line: Line) -> None:
        """The seal printed once holds while history grows, and a wrong one does not."""
        seal = line("verify").out.splitlines()[1].removeprefix("seal ")
        assert line("import", line.csv("sold,MUG,1,berlin")).code == 0
        assert line("verify", "--expect", seal).code == 0
        assert line("verify", "--expect", f"4:{'0' * 32}").code == 1
        refused(line("verify", "--expect", "nonsense"), 2, "POSITION:DIGEST")


def _tables(path: Path) -> list[str]:
    with sqlite3.connect(path) as database:
        rows = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    database.close()
    return [name for (name,) in rows]


class TestMoving:
    def test_copy_is_equal_byte_for_byte(self, line: Line, tmp_path: Path) -> None:
        """Exported, restored and exported again, through files and through pipes."""
        first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
        told = line("export", first, "--json").data
        assert (told["movements"], told["position"]) == (4, 4)
        restored = line("restore", first, "--db", tmp_path / "copy.db")
        assert restored.out == f"restored 4 movements, seal 4:{told['digest']}\n"
        assert line("export", second, "--db", tmp_path / "copy.db").code == 0
        assert first.read_bytes() == second.read_bytes()
        piped = line("export", "-")
        assert piped.out == first.read_text(encoding="utf-8")
        assert piped.err.startswith("exported 4 movements")

    def test_restoring_again_changes_nothing(self, line: Line, tmp_path: Path) -> None:
        """What an interrupted restore wrote is passed over by the next."""
        assert line("export", tmp_path / "a.jsonl").code == 0
        for expected in ("4 movements,", "4 movements (4 were there),"):
            answer = line("restore", tmp_path / "a.jsonl", "--db", tmp_path / "copy.db")
            assert expected in answer.out

    def test_only_a_file_is_replaced(self, line: Line, tmp_path: Path) -> None:
        """A link stays one, and neither a folder nor a device becomes a file."""
        target = line.file("a.jsonl", "old")
        link = tmp_path / "link.jsonl"
        link.symlink_to(target)
        assert line("export", link, "--force").code == 0
        assert link.is_symlink()
        assert target.read_text(encoding="utf-8").startswith('{"truecount"')
        refused(line("export", tmp_path, "--force"), 2, "for a pipe or a device use -")

    def test_file_is_not_replaced_unasked(self, line: Line, tmp_path: Path) -> None:
        """A backup is not lost to a typing error, nor left half written."""
        target = line.file("a.jsonl", "precious")
        refused(line("export", target), 2, "--force")
        assert target.read_text(encoding="utf-8") == "precious"
        assert line("export", target, "--force").code == 0
        assert target.read_text(encoding="utf-8").startswith('{"truecount"')
        assert not list(tmp_path.glob("*.part"))
        refused(line("export", tmp_path / "none" / "a.jsonl"), 2, "No such file")

    @pytest.mark.parametrize("text", ["", "{}\n", "not json\n", "\xff\xfe"])
    def test_other_files_are_refused(self, tmp_path: Path, text: str) -> None:
        """Only what export wrote is restored."""
        line = Line(tmp_path)
        path = line.file("a.jsonl", text, encoding="latin-1")
        refused(line("restore", path), 2, "cannot read")
        refused(line("restore", tmp_path / "none"), 2, "No such file")


class TestTheRest:
    def test_locations_are_declared_once(self, tmp_path: Path) -> None:
        """Declaring makes the file; declaring again changes nothing; priority decides the order."""
        line = Line(tmp_path)
        refused(line("locations", "list"), 3, "there is no such file")
        assert line("locations", "add", "berlin", "hamburg").out == "locations: berlin, hamburg\n"
        line("locations", "add", "berlin")
        line("locations", "add", "kiel", "--priority", "0")
        assert line("locations", "list").out.split() == ["berlin", "kiel", "hamburg"]
        assert line("locations", "list", "--json").data == {
            "locations": ["berlin", "kiel", "hamburg"]
        }
        refused(line("locations", "add", " padded"), 2, "padded with white space")

    def test_sweep_counts_what_it_gave_back(self, line: Line) -> None:
        """Without carts there is nothing to give back."""
        assert line("sweep").out == "0 holds given back\n"
        assert line("sweep", "--json").data == {"reclaimed": 0}

    @pytest.mark.parametrize("command", ["stock", "findings", "verify", "export", "sweep"])
    def test_database_must_be_named_and_there(self, tmp_path: Path, command: str) -> None:
        """Forgetting the file is a usage error, naming a wrong one a storage problem."""
        line = Line(tmp_path)
        refused(line(command), 3, "there is no such file")
        refused(line(command, "--db", ""), 2, "--db FILE", "TRUECOUNT_DB")
        assert not line.db.exists()

    @pytest.mark.parametrize("command", ["stock", "findings", "verify", "export", "sweep"])
    def test_empty_file_is_no_database(self, tmp_path: Path, command: str) -> None:
        """A file that something else is about to fill is not taken for a ledger."""
        line = Line(tmp_path)
        line.db.touch()
        refused(line(command), 3, "there is no such file")
        assert line.db.stat().st_size == 0

    def test_empty_ledger_says_so(self, tmp_path: Path) -> None:
        """A table without rows would look like a mistake."""
        line = Line(tmp_path)
        line("locations", "add", "berlin")
        assert line("stock").out == "no stock here yet\n"

    @pytest.mark.parametrize(
        "words",
        [
            ["stock", "\udcff"],
            ["stock", "--at", "\udcff"],
            ["stock", "--tenant", "\udcff"],
            ["history", "\udcff"],
            ["history", "--at", "x\0"],
            ["history", "--reference", "\udcff"],
        ],
    )
    def test_names_that_nothing_can_have_are_refused(self, line: Line, words: list[str]) -> None:
        """Bytes a shell passed on that are no text are told from names nobody knows."""
        refused(line(*words), 2, "remove it")

    def test_what_nobody_foresaw_is_one_line_too(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A mistake of ours is told in one line that says how to report it."""

        def broken() -> None:
            raise ZeroDivisionError("one\ntwo")

        with pytest.raises(typer.Exit) as left:
            guarded(broken)()
        assert left.value.exit_code == 3
        assert capsys.readouterr().err.startswith(
            "truecount: cannot go on: ZeroDivisionError: one two; please report this"
        )
        monkeypatch.setenv("TRUECOUNT_TRACEBACK", "1")  # For whoever is going to mend it.
        with pytest.raises(ZeroDivisionError):
            guarded(broken)()

    def test_disk_that_takes_no_output_is_told(self, capsys: pytest.CaptureFixture[str]) -> None:
        """What the system refuses is told as the system tells it, as a storage problem."""

        def full() -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with pytest.raises(typer.Exit) as left:
            guarded(full)()
        assert left.value.exit_code == 3
        assert capsys.readouterr().err.endswith("No space left on device\n")

    def test_advice_is_that_of_the_command_line(self, line: Line) -> None:
        """Nobody is told to pass a Python argument, and each advice put right still exists."""
        refused(line("stock", "--at", "kiel"), 2, "declare it with `truecount locations add`")
        source = "".join(
            path.read_text(encoding="utf-8")
            for path in Path(truecount.__file__).parent.rglob("*")
            if path.suffix == ".py" and path.parent.name != "cli"
        )
        assert [advice for advice in ADVICE if advice not in source] == []

    def test_file_of_another_program_is_left_alone(self, tmp_path: Path) -> None:
        """A wrong file is neither read nor changed."""
        line = Line(tmp_path)
        line.db.write_text("precious", encoding="utf-8")
        refused(line("stock"), 3, "shop.db")
        refused(line("locations", "add", "berlin"), 3, "shop.db")
        assert line.db.read_text(encoding="utf-8") == "precious"
