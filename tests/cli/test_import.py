from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.running import Line
from tests.hooked import HookedStorage
from truecount import Inventory, MemoryStorage
from truecount.cli.csv_columns import places_of
from truecount.cli.csv_file import Sheet, sheet_of
from truecount.cli.csv_import import write
from truecount.cli.csv_rows import Layout
from truecount.errors import StorageUnavailable


@pytest.fixture
def line(tmp_path: Path) -> Line:
    """The command line in a folder of its own, with a ledger that knows berlin."""
    line = Line(tmp_path)
    assert line("locations", "add", "berlin").code == 0
    return line


def layout_of(sheet: Sheet) -> Layout:
    """Read a sheet as the command line does without options."""
    return Layout(
        header=sheet.header,
        places=places_of(sheet.header, {}, {}, extra=False),
        key_prefix="may.csv",
        locations=frozenset({"berlin"}),
    )


class TestLookingFirst:
    def test_one_bad_row_stops_a_file_of_many_chunks(self, line: Line) -> None:
        """A bad row behind the first chunk keeps the first chunk from being written."""
        rows = ["receive,MUG,1,berlin"] * 1_500
        answer = line("import", line.csv(*rows, "receive,MUG,x,berlin"))
        assert answer.code == 2
        assert answer.out == (
            "line 1502, quantity 'x': expected a whole number, for example 12\n"
            "1 of 1501 rows is bad; nothing was imported\n"
        )
        assert line.figures() == {}

    def test_first_twenty_are_listed_and_the_rest_counted(self, line: Line) -> None:
        """A file that is wrong throughout does not flood the screen."""
        answer = line("import", line.csv(*["receive,MUG,x,berlin"] * 23))
        assert answer.out.count("expected a whole number") == 20
        assert "and 3 more\n23 of 23 rows are bad" in answer.out

    def test_dry_run_says_what_is_there_and_writes_nothing(self, tmp_path: Path) -> None:
        """Looking does not even make the database."""
        line = Line(tmp_path)
        path = line.csv("receive,MUG,5,berlin", "sold,MUG,1,berlin")
        answer = line("import", path, "--create-locations", "--dry-run")
        assert (answer.code, answer.out) == (
            0,
            (
                "2 rows are good (1 Received, 1 Sold); nothing was imported\n"
                "locations to declare: berlin\n"
            ),
        )
        assert not line.db.exists()

    def test_bad_file_does_not_make_a_database(self, tmp_path: Path) -> None:
        """Where nothing is imported, nothing is left behind."""
        line = Line(tmp_path)
        assert line("import", line.csv("receive,MUG,5,berlin")).code == 2
        assert not line.db.exists()

    def test_key_named_twice_is_bad(self, line: Line) -> None:
        """Two rows under one key would count once, unnoticed, so they are told apart first."""
        path = line.file(
            "keys.csv",
            "kind,sku,quantity,location,key\n"
            "sold,MUG,1,berlin,inv-1\nsold,TEA,1,berlin,inv-2\nsold,MUG,1,berlin,inv-1\n",
        )
        answer = line("import", path)
        assert answer.code == 2
        assert "line 4, key 'inv-1': the row of line 2 has this key" in answer.out

    def test_empty_key_is_that_of_the_line(self, line: Line) -> None:
        """Rows without a key of their own never share one, and none is named like a line's."""
        head = "kind,sku,quantity,location,key\n"
        rows = "sold,MUG,1,berlin,\nsold,MUG,1,berlin,\n"
        assert line("import", line.file("keys.csv", head + rows)).code == 0
        answer = line("import", line.file("k.csv", head + "sold,MUG,1,berlin,k.csv:3\n" + rows))
        assert "line 3, key 'k.csv:3': the row of line 2 has this key" in answer.out

    def test_json_names_every_problem_by_its_parts(self, line: Line) -> None:
        """A program reads line, column, value and reason without taking a sentence apart."""
        answer = line("import", line.csv("receive,MUG,x,berlin"), "--json")
        assert answer.code == 2
        assert answer.data["problems"] == [
            {
                "line": 2,
                "column": "quantity",
                "value": "x",
                "reason": "expected a whole number, for example 12",
            }
        ]


class TestWriting:
    def test_ledger_stops_the_import_at_a_chunk(self, line: Line) -> None:
        """What only the ledger can tell stops its chunk, whole; repaired, the file goes on."""
        rows = ["receive,MUG,1,berlin,"] * 1_000 + ["receive,TEA,1,berlin,"]
        head = "kind,sku,quantity,location,reference"
        wrong = [head, *rows, "close_delivery,TEA,,berlin,PO-1", ""]
        path = line.file("in.csv", "\n".join(wrong))
        answer = line("import", path)
        assert answer.code == 2
        assert "line 1003" in answer.out
        assert "PO-1" in answer.out
        assert "stopped at the chunk that starts at line 1002" in answer.out
        assert line.figures() == {("MUG", "berlin", ""): 1_000}
        line.file("in.csv", "\n".join([*wrong[:-2], "receive,TEA,1,berlin,", ""]))
        answer = line("import", path, "--json")
        assert (answer.code, answer.data["imported"], answer.data["replayed"]) == (0, 2, 1_000)
        assert line.figures() == {("MUG", "berlin", ""): 1_000, ("TEA", "berlin", ""): 2}

    def test_storage_that_fails_on_the_way_is_told_with_what_is_there(self, line: Line) -> None:
        """Whoever filled the disk learns how far the import came, and that it goes on."""

        def fail() -> None:
            raise StorageUnavailable("shop.db", "database or disk is full")

        storage = HookedStorage(MemoryStorage())
        inventory = Inventory(storage)
        inventory.locations.add("berlin")
        sheet = sheet_of(line.csv(*["receive,MUG,1,berlin"] * 2_500))
        storage.before("write", lambda: None, lambda: None, fail)
        with pytest.raises(StorageUnavailable) as caught:
            write(inventory, sheet, layout_of(sheet))
        (note,) = caught.value.__notes__
        assert note.startswith("the 2000 rows before this chunk are in the ledger: run the import")
        done = write(inventory, sheet, layout_of(sheet))
        assert (done.imported, done.replayed) == (500, 2_000)

    def test_skip_bad_sorts_out_what_the_ledger_refuses_too(self, line: Line) -> None:
        """Neither a cell nor a contradiction to the book holds up the other rows."""
        path = line.file(
            "in.csv",
            "kind,sku,quantity,location,reference\n"
            "receive,MUG,5,berlin,\nclose_delivery,MUG,,berlin,PO-1\nreceive,TEA,x,berlin,\n"
            "sold,MUG,2,berlin,\n",
        )
        rejects = line.folder / "bad.csv"
        answer = line("import", path, "--skip-bad", rejects)
        assert answer.code == 1
        assert "imported 2 rows\n2 rows sorted out into" in answer.out
        assert line.figures() == {("MUG", "berlin", ""): 3}
        said = rejects.read_text(encoding="utf-8-sig").splitlines()
        assert said[0] == "kind,sku,quantity,location,reference,bad_line,bad_column,bad_reason"
        assert [text.split(",")[:3] for text in said[1:]] == [
            ["close_delivery", "MUG", ""],
            ["receive", "TEA", "x"],
        ]

    def test_rejects_put_right_can_be_imported(self, line: Line) -> None:
        """The columns that say why are passed over."""
        rejects = line.folder / "bad.csv"
        line("import", line.csv("receive,MUG,x,berlin"), "--skip-bad", rejects)
        text = rejects.read_text(encoding="utf-8-sig").replace("MUG,x", "MUG,4")
        assert line("import", line.file("good.csv", text)).code == 0
        assert line.figures() == {("MUG", "berlin", ""): 4}

    def test_good_file_leaves_empty_rejects(self, line: Line) -> None:
        """Rejects of an earlier run are not taken for those of this one."""
        rejects = line.folder / "bad.csv"
        assert line("import", line.csv("receive,MUG,x,berlin"), "--skip-bad", rejects).code == 1
        assert line("import", line.csv("receive,MUG,1,berlin"), "--skip-bad", rejects).code == 0
        assert len(rejects.read_text(encoding="utf-8-sig").splitlines()) == 1

    def test_other_prefix_is_another_file(self, line: Line) -> None:
        """The key of a row is the prefix and the line, the file's name by default."""
        path = line.csv("receive,MUG,1,berlin")
        for _ in range(2):
            line("import", path)
            line("import", path, "--key-prefix", "june")
        assert line.figures() == {("MUG", "berlin", ""): 2}

    def test_tenants_do_not_meet(self, line: Line) -> None:
        """One file may hold several shops."""
        path = line.csv("receive,MUG,1,berlin")
        assert line("import", path, "--tenant", "other").code == 2
        assert line("import", path, "--tenant", "other", "--create-locations").code == 0
        assert line.figures() == {}


class TestChangedMeanwhile:
    def test_row_that_went_bad_after_the_check_stops_its_chunk(self, tmp_path: Path) -> None:
        """The file is read twice; what it says the second time is not trusted either."""
        line = Line(tmp_path)
        path = line.csv("receive,MUG,1,berlin", "receive,MUG,x,berlin")
        sheet = sheet_of(path)
        inventory = Inventory()
        inventory.locations.add("berlin")
        written = write(inventory, sheet, layout_of(sheet))
        assert (written.imported, written.stopped_at, written.found) == (0, 2, 1)
        assert inventory.stock() == {}


class TestShapes:
    def test_file_of_another_shape_is_fitted_by_options(self, tmp_path: Path) -> None:
        """A till's export goes in as it is: other names, other separators, no kind, local time."""
        line = Line(tmp_path)
        path = line.file(
            "till.csv",
            "Artikel;Menge;Zeit;Text\nTüte ;2;2026-03-01 09:00;egal\n",
            encoding="cp1252",
        )
        answer = line(
            "import", path, "--encoding", "cp1252", "--kind", "sold", "--location", "berlin",
            "--map", "sku=Artikel", "--map", "quantity=Menge", "--map", "occurred_at=Zeit",
            "--extra", "--strip", "--timezone", "Europe/Berlin", "--set", "origin=till",
            "--create-locations",
        )  # fmt: skip
        assert (answer.code, answer.out) == (0, "declared berlin\nimported 1 row\n")
        (entry,) = line("history", "Tüte", "--json").data["history"]
        assert entry["occurred_at"] == "2026-03-01T08:00:00+00:00"
        assert entry["origin"] == "till"

    @pytest.mark.parametrize(
        ("options", "problem"),
        [
            (["--timezone", "Mars/Olympus"], "cannot use --timezone 'Mars/Olympus'"),
            (["--timezone", "+25:00"], "cannot use --timezone '+25:00'"),
            (["--delimiter", "::"], "cannot use --delimiter '::'"),
            (["--map", "sku"], "cannot use --map 'sku'"),
            (["--map", "skew=SKU"], "cannot use --map 'skew=SKU'"),
            (["--set", "kind=sold", "--set", "kind=open"], "cannot use --set 'kind=open'"),
            (["--key-prefix", "x" * 200], "name another with --key-prefix"),
            (["--encoding", "klingon"], "cannot use encoding 'klingon'"),
            (["--skip-bad", "may.csv"], "cannot use --skip-bad"),
        ],
    )
    def test_wrong_option_is_named(self, line: Line, options: list[str], problem: str) -> None:
        """An option that makes no sense is refused before anything is read."""
        path = line.csv("receive,MUG,1,berlin")
        said = [str(path) if word == "may.csv" else word for word in options]
        answer = line("import", path, *said)
        assert answer.code == 2
        assert answer.err.startswith("truecount: ")
        assert problem in answer.err
        assert answer.err.count("\n") == 1
        assert line.figures() == {}

    @pytest.mark.parametrize("zone", ["UTC", "+00:00", "-0000"])
    def test_offsets_are_zones_too(self, line: Line, zone: str) -> None:
        """A zone can be given by its distance to UTC."""
        path = line.file(
            "in.csv",
            "kind,sku,quantity,location,occurred_at\nsold,MUG,1,berlin,2026-03-01T08:00:00\n",
        )
        assert line("import", path, "--timezone", zone).code == 0
        (entry,) = line("history", "MUG", "--json").data["history"]
        assert entry["occurred_at"] == "2026-03-01T08:00:00+00:00"
