"""
What the command line prints: tables, sentences, JSON, progress.

Rules:
1. On a terminal tables are drawn and coloured, and sentences are cut between words; where
   the output is piped, or NO_COLOR is set, or the terminal is dumb, it is plain text without
   a single escape, a sentence to a line. A table too wide for the terminal is not drawn.
2. Text of the shop is only text: nothing in it is taken for markup.
3. With ``--json`` standard output has one JSON document (one line), nothing else.
4. Progress is drawn on standard error, and only on a terminal.
5. What draws is imported when something is drawn: a timer or a pipe need not wait for it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from truecount.ledger import scan


if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


#: Prose is not spread wider than this: longer lines are hard to read.
WIDTH_MAX: Final = 96


class Heading(NamedTuple):
    """A column of a table; numbers stand to the right."""

    name: str
    is_number: bool = False


def text(*names: str) -> tuple[Heading, ...]:
    """Return headings of columns of text."""
    return tuple(Heading(name) for name in names)


def numbers(*names: str) -> tuple[Heading, ...]:
    """Return headings of columns of numbers."""
    return tuple(Heading(name, is_number=True) for name in names)


def is_pretty() -> bool:
    """Return whether standard output is a terminal that colours and drawings suit."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return sys.stdout.isatty()


class Screen:
    """Where a command prints; *as_json* keeps everything but :meth:`data` silent."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self.pretty = is_pretty() and not as_json
        self._in_gap = True

    def gap(self) -> None:
        """Leave one line empty, unless the last one is, or nothing was printed."""
        if not self._in_gap:
            self.say()
        self._in_gap = True

    @property
    def width(self) -> int:
        """How many letters of prose a line takes: those of the terminal, but not too many."""
        return min(_console().width, WIDTH_MAX) if self.pretty else WIDTH_MAX

    def say(self, line: str = "", *, style: str = "", hang: int = 0) -> None:
        """
        Print one line.

        A terminal that is too narrow for it gets it in several, cut between words, all but
        the first indented by *hang*.
        """
        if self.as_json:
            return
        self._in_gap = False
        if not self.pretty:
            print(line)
            return
        from rich.text import Text

        console = _console()
        for part in _cut(line, console.width, hang):
            console.print(Text(part, style=style), soft_wrap=True)

    def table(
        self, headings: Sequence[Heading], rows: Sequence[Sequence[object]], title: str = ""
    ) -> None:
        """Print a table; None is an empty cell."""
        if self.as_json:
            return
        self._in_gap = False
        cells = [["" if value is None else str(value) for value in row] for row in rows]
        if self.pretty and _fits(drawn := _drawn(headings, cells, title)):
            _console().print(drawn)
            return
        if title:
            print(title)
        for line in plain_table(headings, cells):
            print(line)

    def data(self, value: Any) -> None:
        """Print *value* as JSON if that was asked for."""
        if self.as_json:
            print(json.dumps(value, default=_plain))

    @contextmanager
    def progress(self, label: str) -> Iterator[scan.Progress | None]:
        """Draw a bar while the context is open; None where none can be drawn."""
        if not self.pretty or not sys.stderr.isatty():
            yield None
            return
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
            task = bars.add_task(label, total=None)
            yield lambda done, total: bars.update(task, completed=done, total=total)


def plain_table(headings: Sequence[Heading], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """
    Yield the lines of a table in plain text, two spaces between columns.

    >>> for line in plain_table((*text("sku"), *numbers("on hand")), [["MUG", "3"]]):
    ...     print(line)
    sku  on hand
    MUG        3
    """
    lines = [[heading.name for heading in headings], *rows]
    widths = [max(len(line[number]) for line in lines) for number in range(len(headings))]
    for line in lines:
        cells = (
            cell.rjust(width) if heading.is_number else cell.ljust(width)
            for heading, cell, width in zip(headings, line, widths, strict=True)
        )
        yield "  ".join(cells).rstrip()


def _cut(line: str, width: int, hang: int) -> list[str]:
    """
    Return *line* in parts of at most *width*, but for words that are longer.

    >>> _cut("[50] Two mugs came back.", 16, 5)
    ['[50] Two mugs', '     came back.']
    """
    if len(line) <= width:
        return [line]
    indent = " " * (len(line) - len(line.lstrip()))
    return wrap(
        line.strip(),
        width,
        initial_indent=indent,
        subsequent_indent=" " * hang or indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _fits(table: Table) -> bool:
    """Return whether a table can be drawn without cutting a cell in two."""
    from rich.measure import Measurement

    console = _console()
    endless = console.options.update(width=10_000)
    return Measurement.get(console, endless, table).maximum <= console.width


def _drawn(headings: Sequence[Heading], rows: Sequence[Sequence[str]], title: str) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title) if title else None, title_justify="left")
    for heading in headings:
        justify = "right" if heading.is_number else "left"
        table.add_column(Text(heading.name), justify=justify, overflow="fold")  # type: ignore[arg-type]  # one of its words
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


def _plain(value: Any) -> Any:
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is not JSON")
