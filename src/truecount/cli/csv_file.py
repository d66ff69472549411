"""
CSV files as people have them: encodings, delimiters, headers, lines. Constant memory.

Rules:
1. What cannot be decoded or split without a guess stops the reading and names the line:
   behind a quote that was never closed, nobody knows which row is which.
2. A row is named by the line it starts at, as an editor shows it.
3. Rows without a single filled cell say nothing and are passed over.
"""

from __future__ import annotations

import codecs
import csv
import gc
import io
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple, cast

from truecount.cli.csv_columns import BAD_COLUMNS
from truecount.errors import InvalidArgument, InvalidData
from truecount.ledger.scan import Progress
from truecount.model.names import shown


#: Tried in this order; the one that finds the most columns in the header wins.
DELIMITERS: Final = (",", ";", "\t", "|")

#: Lines between two reports of progress.
_STEP: Final = 1000


class Sheet(NamedTuple):
    """A CSV file whose first row has been read."""

    path: Path
    encoding: str
    delimiter: str
    header: tuple[str, ...]


def sheet_of(path: Path, encoding: str = "utf-8-sig", delimiter: str | None = None) -> Sheet:
    """
    Open *path*, find its delimiter unless it is given, and read its header.

    Raises:
        InvalidData: It cannot be opened or decoded, it is empty, or it is no file.
        InvalidArgument: There is no such encoding.
    """
    candidates = DELIMITERS if delimiter is None else (delimiter,)
    headers = {each: _first_row(path, encoding, each) for each in candidates}
    best = max(candidates, key=lambda each: len(headers[each]))
    if not headers[best]:
        raise InvalidData(str(path), "it is empty; its first line must name the columns")
    return Sheet(path, encoding, best, headers[best])


def _first_row(path: Path, encoding: str, delimiter: str) -> tuple[str, ...]:
    with _opened(path, encoding) as stream:
        try:
            rows = (row for row in csv.reader(stream, delimiter=delimiter) if any(row))
            return tuple(next(rows, ()))
        except csv.Error as error:
            raise InvalidData(f"the header of {path}", str(error)) from error
        except UnicodeError as error:
            raise _undecodable(error, path, encoding) from error


def rows_of(sheet: Sheet, progress: Progress | None = None) -> Iterator[tuple[int, list[str]]]:
    """
    Yield the line each row starts at, and its cells, the header left out.

    Args:
        progress: Called now and then with bytes read and bytes to read.

    Raises:
        InvalidData: It cannot be decoded, or a quote is wrong; it names the line.
    """
    with _opened(sheet.path, sheet.encoding) as stream:
        size = sheet.path.stat().st_size
        reader = csv.reader(stream, delimiter=sheet.delimiter, strict=True)
        is_header = True
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise InvalidData(f"{sheet.path}, line {line}", _broken(error)) from error
            except UnicodeError as error:
                raise _undecodable(error, sheet.path, sheet.encoding) from error
            if not any(cells):
                continue
            if is_header:
                is_header = False
                continue
            if progress is not None and line % _STEP == 0:
                progress(min(cast("io.BufferedReader", stream.buffer).tell(), size), size)
            yield line, cells


def _broken(error: csv.Error) -> str:
    return (
        f"it is not CSV from here on ({error}); close the quote that was opened, write a quote "
        'inside a quoted cell twice (""), or give another --delimiter'
    )


def _undecodable(error: UnicodeError, path: Path, encoding: str) -> InvalidData:
    is_utf8 = codecs.lookup(encoding).name in {"utf-8", "utf-8-sig"}
    line = _undecodable_line(path) if is_utf8 else None
    seen = str(error)
    if isinstance(error, UnicodeDecodeError):
        seen = f"byte 0x{error.object[error.start]:02x}, {error.reason}"
    return InvalidData(
        str(path) if line is None else f"{path}, line {line}",
        f"it is not {'UTF-8' if is_utf8 else encoding} ({seen}); save it as UTF-8, or pass "
        "--encoding, for example cp1252 or utf-16",
    )


def _undecodable_line(path: Path) -> int | None:
    """Return the first line that is not UTF-8: a decoder reads in blocks and cannot tell."""
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as stream:
        for number, line in enumerate(stream, 1):
            if not line.isascii() and not _is_clean(line):
                return number
    return None


def _is_clean(line: str) -> bool:
    try:
        line.encode()
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def _opened(path: Path, encoding: str) -> Iterator[io.TextIOWrapper]:
    try:
        _check_regular(path)
        stream = path.open(encoding=encoding, newline="")
    except (LookupError, UnicodeError) as error:
        raise InvalidArgument("encoding", shown(encoding), "one that Python knows") from error
    except OSError as error:
        raise InvalidData(str(path), error.strerror or str(error)) from error
    with stream:
        yield stream


def _check_regular(path: Path) -> None:
    """Raise if *path* is a pipe: that gives its rows once, and they are read more than once."""
    kind = path.stat().st_mode
    if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        raise InvalidData(
            str(path), "it is a pipe or a device, and is read more than once; save it as a file"
        )


@contextmanager
def collecting_rarely() -> Iterator[None]:
    """
    Look for cycles rarely while the context is open.

    Rows become hundreds of thousands of objects without a single cycle, freed as soon as
    their chunk is written; looking for cycles among them took a sixth of an import.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50_000, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


class Rejects:
    """
    A CSV file of rows that were not imported, with what is wrong with each.

    It has the columns of the original and then ``bad_line``, ``bad_column``,
    ``bad_reason``; put right, it can be imported as it is (UTF-8, with a mark that Excel heeds).
    """

    def __init__(self, stream: io.TextIOWrapper, sheet: Sheet) -> None:
        self._writer = csv.writer(stream, delimiter=sheet.delimiter)
        self._width = len(sheet.header)
        self._kept = [place for place, name in enumerate(sheet.header) if not _is_ours(name)]
        self._writer.writerow([*(sheet.header[place] for place in self._kept), *BAD_COLUMNS])

    def add(self, cells: list[str], line: int, column: str, reason: str) -> None:
        """Write one row."""
        fits = len(cells) == self._width
        kept = [cells[place] for place in self._kept] if fits else cells
        missing = [""] * (len(self._kept) - len(kept))
        self._writer.writerow([*kept, *missing, line, column, reason])


def _is_ours(name: str) -> bool:
    return name.strip().casefold() in BAD_COLUMNS


@contextmanager
def rejects_to(path: Path, sheet: Sheet) -> Iterator[Rejects]:
    """
    Open a file for rejected rows; one of an earlier run is written anew.

    Raises:
        InvalidArgument: There is another file with this name.
        InvalidData: It cannot be written.
    """
    if path.exists() and not _was_rejects(path, sheet):
        raise InvalidArgument(
            "--skip-bad", shown(str(path)), "a new file, or one that an earlier import wrote"
        )
    try:
        stream = path.open("w", encoding="utf-8-sig", newline="")
    except OSError as error:
        raise InvalidData(str(path), error.strerror or str(error)) from error
    with stream:
        yield Rejects(stream, sheet)


def _was_rejects(path: Path, sheet: Sheet) -> bool:
    if not path.is_file() or path.samefile(sheet.path):
        return False
    with path.open("rb") as stream:
        first = stream.readline(1_000_000).strip()
    return first.endswith(sheet.delimiter.join(BAD_COLUMNS).encode())
