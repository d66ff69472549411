from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from truecount.cli.csv_file import rejects_to, rows_of, sheet_of
from truecount.errors import InvalidArgument, InvalidData


def write(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    """Put a file into the folder."""
    path = folder / "may.csv"
    path.write_bytes(text.encode(encoding))
    return path


class TestSheet:
    @pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
    def test_delimiter_is_found(self, tmp_path: Path, delimiter: str) -> None:
        """Whatever a spreadsheet puts between cells is recognised by the header."""
        path = write(tmp_path, delimiter.join(["kind", "sku", "quantity"]) + "\n")
        sheet = sheet_of(path)
        assert (sheet.delimiter, sheet.header) == (delimiter, ("kind", "sku", "quantity"))

    def test_quoted_delimiter_is_no_delimiter(self, tmp_path: Path) -> None:
        """A comma inside a quoted name does not split it."""
        sheet = sheet_of(write(tmp_path, '"a,b,c,d";kind;sku\n'))
        assert sheet.header == ("a,b,c,d", "kind", "sku")

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
    def test_encoding_is_heeded(self, tmp_path: Path, encoding: str) -> None:
        """Letters beyond ASCII arrive as they were written, and a mark of order is no letter."""
        path = write(tmp_path, "kind,sku\nsold,Tüte\n", encoding)
        sheet = sheet_of(path, "utf-8-sig" if encoding == "utf-8" else encoding)
        assert sheet.header == ("kind", "sku")
        assert list(rows_of(sheet)) == [(2, ["sold", "Tüte"])]

    @pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
    def test_other_encoding_is_named(self, tmp_path: Path, encoding: str) -> None:
        """A file that is not UTF-8 stops with advice instead of wrong letters."""
        path = write(tmp_path, "kind,sku\nsold,Tüte\n", encoding)
        with pytest.raises(InvalidData, match=r"line \d: it is not UTF-8 \(byte 0x.* --encoding"):
            list(rows_of(sheet_of(path)))

    @pytest.mark.parametrize("encoding", ["klingon", "", "\udcff"])
    def test_unknown_encoding_is_named(self, tmp_path: Path, encoding: str) -> None:
        """An encoding Python does not know is a wrong argument."""
        with pytest.raises(InvalidArgument, match="encoding .*expected one that Python knows"):
            sheet_of(write(tmp_path, "kind\n"), encoding)

    @pytest.mark.skipif(sys.platform == "win32", reason="there are no named pipes")
    def test_pipe_is_refused(self, tmp_path: Path) -> None:
        """What can be read only once is not read at all, instead of read as if it were empty."""
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(InvalidData, match="it is a pipe .*save it as a file"):
            sheet_of(tmp_path / "pipe")

    @pytest.mark.parametrize("text", ["", "\n\n"])
    def test_file_without_a_header_is_refused(self, tmp_path: Path, text: str) -> None:
        """Nothing to read is not the same as nothing to import."""
        with pytest.raises(InvalidData, match="it is empty"):
            sheet_of(write(tmp_path, text))

    def test_endless_header_is_refused(self, tmp_path: Path) -> None:
        """A file that is not CSV at all is not read to its end."""
        with pytest.raises(InvalidData, match="the header of .*larger than field limit"):
            sheet_of(write(tmp_path, "x" * 200_000))

    def test_missing_file_is_refused(self, tmp_path: Path) -> None:
        """A wrong path is told as the system tells it."""
        with pytest.raises(InvalidData, match="No such file"):
            sheet_of(tmp_path / "none.csv")


class TestRows:
    def test_rows_are_named_by_the_line_they_start_at(self, tmp_path: Path) -> None:
        """Line breaks inside cells, empty lines and empty rows do not shift the lines."""
        text = 'kind,sku\n\nsold,"a\nb"\r\n,\nsold,c\n'
        assert list(rows_of(sheet_of(write(tmp_path, text)))) == [
            (3, ["sold", "a\nb"]),
            (6, ["sold", "c"]),
        ]

    @pytest.mark.parametrize("cell", ['"open', '"a"b'])
    def test_broken_quote_stops_at_its_line(self, tmp_path: Path, cell: str) -> None:
        """Behind a wrong quote nobody knows which row is which, so nothing is guessed."""
        rows = rows_of(sheet_of(write(tmp_path, f"kind,sku\nsold,a\nsold,{cell}\nsold,b\n")))
        assert next(rows) == (2, ["sold", "a"])
        with pytest.raises(InvalidData, match="line 3: it is not CSV from here on"):
            list(rows)

    def test_endless_cell_is_not_read_to_its_end(self, tmp_path: Path) -> None:
        """A quote opened in front of a big file does not take it into memory."""
        path = write(tmp_path, 'kind,sku\nsold,"' + "x,\n" * 100_000)
        with pytest.raises(InvalidData, match="line 2: .*larger than field limit"):
            list(rows_of(sheet_of(path)))

    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    def test_line_that_cannot_be_decoded_is_named(self, tmp_path: Path, end: str) -> None:
        """Files put together from two encodings are told where the second one begins."""
        path = tmp_path / "may.csv"
        good, bad = f"sold,Tüte{end}".encode() * 5000, f"sold,Tüte{end}".encode("cp1252")
        path.write_bytes(f"kind,sku{end}".encode() + good + bad)
        with pytest.raises(InvalidData, match="line 5002: it is not UTF-8"):
            list(rows_of(sheet_of(path)))

    def test_progress_ends_at_the_size(self, tmp_path: Path) -> None:
        """Progress is told in bytes, never more than there are."""
        path = write(tmp_path, "kind,sku\n" + "sold,MUG\n" * 5000)
        told: list[tuple[int, int]] = []
        list(rows_of(sheet_of(path), lambda done, total: told.append((done, total))))
        size = path.stat().st_size
        assert told == sorted(told)
        assert told[-1] == (size, size)


class TestRejects:
    def test_file_of_somebody_else_is_left_alone(self, tmp_path: Path) -> None:
        """Rejected rows never replace a file that is not one of rejected rows."""
        sheet = sheet_of(write(tmp_path, "kind,sku\n"))
        precious = tmp_path / "precious.csv"
        precious.write_text("a,b\n", encoding="utf-8")
        with pytest.raises(InvalidArgument, match="a new file"), rejects_to(tmp_path, sheet):
            pass
        for path in (precious, sheet.path):
            before = path.read_text(encoding="utf-8")
            with pytest.raises(InvalidArgument, match="a new file"), rejects_to(path, sheet):
                pass
            assert path.read_text(encoding="utf-8") == before

    def test_folder_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        """Rejected rows that have nowhere to go are told before anything is imported."""
        sheet = sheet_of(write(tmp_path, "kind,sku\n"))
        target = tmp_path / "none" / "bad.csv"
        with pytest.raises(InvalidData, match="No such file"), rejects_to(target, sheet):
            pass

    def test_rejects_can_be_read_again(self, tmp_path: Path) -> None:
        """The file has the original cells, also of rows that were too long or too short."""
        sheet = sheet_of(write(tmp_path, "kind;sku\n"))
        for _ in range(2):
            with rejects_to(tmp_path / "bad.csv", sheet) as rejects:
                rejects.add(["sold", 'a;"b'], 2, "sku", "why")
                rejects.add(["sold"], 3, "", "short")
                rejects.add(["sold", "a", "b"], 4, "", "long")
        again = sheet_of(tmp_path / "bad.csv")
        assert again.header == ("kind", "sku", "bad_line", "bad_column", "bad_reason")
        assert [cells for _, cells in rows_of(again)] == [
            ["sold", 'a;"b', "2", "sku", "why"],
            ["sold", "", "3", "", "short"],
            ["sold", "a", "b", "4", "", "long"],
        ]
