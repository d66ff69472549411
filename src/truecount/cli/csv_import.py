"""
Importing a CSV file: look at all of it first, then write it in chunks. No typer here.

Rules:
1. ``check`` reads the whole file and writes nothing; a file with a bad row is not begun.
2. ``write`` writes chunks of at most ``CHUNK_MAX`` rows, each all or nothing. Every row has
   a key that another run repeats, so a run that was killed is simply run again: chunks that
   are there are replayed and change nothing.
3. What only the ledger can tell (a changed row under a used key, a delivery nobody expected)
   stops the import at its chunk, or with *rejects* sorts out the rows it concerns.
4. Memory is that of one chunk; the keys that a file itself names are remembered on disk.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import islice
from typing import Final, NamedTuple

import attrs

from truecount.cli.csv_file import Rejects, Sheet, rows_of
from truecount.cli.csv_rows import Layout, Problem, fact_of
from truecount.errors import IdempotencyConflict, InvalidRequest, Refused, TrueCountError
from truecount.inventory import Inventory
from truecount.ledger.scan import Progress
from truecount.model.operation import Operation
from truecount.model.outcomes import Outcome


#: Rows written in one transaction.
CHUNK_MAX: Final = 1000

#: Problems that are listed; the rest are counted.
LISTED_MAX: Final = 20


class Row(NamedTuple):
    """A row that says a fact."""

    line: int
    cells: list[str]
    fact: Operation


@attrs.frozen(kw_only=True)
class Checked:
    """
    What a file says.

    Attributes:
        rows: Rows in all, good and bad.
        bad: Bad rows.
        problems: The first of them.
        kinds: Good rows of each kind of fact, by its name.
        locations: Every location a good row names.
    """

    rows: int
    bad: int
    problems: tuple[Problem, ...]
    kinds: Mapping[str, int]
    locations: frozenset[str]


@attrs.frozen(kw_only=True)
class Written:
    """
    What became of a file.

    Attributes:
        imported: Rows written by this run.
        replayed: Rows that an earlier run had written.
        rejected: Rows sorted out.
        stopped_at: First line of the chunk that stopped the import, None when it went through.
        problems: What stopped it, or the first of what was sorted out.
        found: How many there were.
    """

    imported: int = 0
    replayed: int = 0
    rejected: int = 0
    stopped_at: int | None = None
    problems: tuple[Problem, ...] = ()
    found: int = 0


def check(sheet: Sheet, layout: Layout, progress: Progress | None = None) -> Checked:
    """
    Read all of *sheet* and write nothing.

    Complexity: O(rows) in time, constant in memory.
    """
    kinds: Counter[str] = Counter()
    locations: set[str] = set()
    problems: list[Problem] = []
    bad = 0
    if "key" not in layout.places:  # Keys made of the line are good, so looking needs none.
        layout = attrs.evolve(layout, key_prefix=None)
    for row in _read(sheet, layout, progress):
        if isinstance(row, Row):
            kinds[type(row.fact).__name__] += 1
            locations.add(row.fact.at)  # type: ignore[attr-defined]  # every kind of row has it
            continue
        bad += 1
        if bad <= LISTED_MAX:
            problems.append(row.problem)
    return Checked(
        rows=kinds.total() + bad,
        bad=bad,
        problems=tuple(problems),
        kinds=dict(sorted(kinds.items())),
        locations=frozenset(locations),
    )


def write(
    inventory: Inventory,
    sheet: Sheet,
    layout: Layout,
    *,
    rejects: Rejects | None = None,
    progress: Progress | None = None,
) -> Written:
    """
    Write the rows of *sheet*, chunk by chunk.

    Raises:
        TrueCountError: The storage failed; run it again, it goes on where it was.

    Complexity: O(rows) in time, one chunk in memory.
    """
    total = Written()
    rows = _read(sheet, layout, progress)
    while chunk := list(islice(rows, CHUNK_MAX)):
        good = [row for row in chunk if isinstance(row, Row)]
        bad = [row for row in chunk if isinstance(row, _BadRow)]
        outcomes: list[Outcome] = []
        if rejects is not None or not bad:
            with _telling_what_is_there(total):
                outcomes, refused = _record(inventory, good, sort_out=rejects is not None)
            bad += refused
        if bad and rejects is None:
            problems = tuple(row.problem for row in bad[:LISTED_MAX])
            return attrs.evolve(
                total, stopped_at=_line(chunk[0]), problems=problems, found=len(bad)
            )
        total = _added(total, outcomes, bad, rejects)
    return total


@contextmanager
def _telling_what_is_there(total: Written) -> Iterator[None]:
    """Add to an error that stops the import which rows the ledger has."""
    try:
        yield
    except TrueCountError as error:
        if there := total.imported + total.replayed:
            error.add_note(
                f"the {there} rows before this chunk are in the ledger: run the import again, it "
                "goes on from there"
            )
        raise


def _line(row: Row | _BadRow) -> int:
    return row.line if isinstance(row, Row) else row.problem.line


def _added(
    total: Written, outcomes: list[Outcome], bad: list[_BadRow], rejects: Rejects | None
) -> Written:
    """Count one chunk, and write its bad rows where they belong."""
    bad.sort(key=lambda row: row.problem.line)
    for row in bad:
        if rejects is not None:
            rejects.add(row.cells, row.problem.line, row.problem.column, row.problem.reason)
    replayed = sum(outcome.replayed for outcome in outcomes)
    room = max(0, LISTED_MAX - len(total.problems))
    return attrs.evolve(
        total,
        imported=total.imported + len(outcomes) - replayed,
        replayed=total.replayed + replayed,
        rejected=total.rejected + len(bad),
        problems=(*total.problems, *(row.problem for row in bad[:room])),
        found=total.found + len(bad),
    )


# --- one chunk --------------------------------------------------------------------------


class _BadRow(NamedTuple):
    cells: list[str]
    problem: Problem


def _record(
    inventory: Inventory, rows: list[Row], *, sort_out: bool
) -> tuple[list[Outcome], list[_BadRow]]:
    """Write *rows* together; those the ledger will not have are returned with the reason."""
    refused: list[_BadRow] = []
    while rows:
        try:
            return inventory.record([row.fact for row in rows]), refused
        except (InvalidRequest, Refused):
            found = _refused(inventory, rows)
            if not found:
                raise
        refused += found.values()
        if not sort_out:
            break
        rows = [row for row in rows if row.line not in found]
    return [], refused


def _refused(inventory: Inventory, rows: list[Row]) -> dict[int, _BadRow]:
    """Ask the ledger about each row, writing nothing."""
    outcomes = inventory.submit([row.fact for row in rows], preview=True)
    return {
        row.line: _BadRow(row.cells, _problem(row, outcome.error))
        for row, outcome in zip(rows, outcomes, strict=True)
        if outcome.error is not None
    }


def _problem(row: Row, error: TrueCountError) -> Problem:
    if isinstance(error, IdempotencyConflict):
        reason = (
            f"another row was imported under this key at {error.decided_at}; if this row was "
            "changed since, correct its movement instead; if this is another file, give another "
            "--key-prefix"
        )
        return Problem(row.line, "key", error.key, reason)
    return Problem(row.line, "", ",".join(row.cells), str(error))


# --- reading ----------------------------------------------------------------------------


def _read(sheet: Sheet, layout: Layout, progress: Progress | None) -> Iterator[Row | _BadRow]:
    """Yield every row, good or bad; a key may be named once in a file."""
    with closing(_Keys()) as keys:
        names_keys = "key" in layout.places
        for line, cells in rows_of(sheet, progress):
            fact = fact_of(layout, line, cells)
            if isinstance(fact, Problem):
                yield _BadRow(cells, fact)
                continue
            first = keys.first(fact.key or "", line) if names_keys else line
            if first != line:
                reason = f"the row of line {first} has this key; each row needs its own"
                problem = Problem(line, layout.named("key"), fact.key or "", reason)
                yield _BadRow(cells, problem)
                continue
            yield Row(line, cells, fact)


class _Keys:
    """The keys a file has named so far: in a temporary file, not in memory."""

    def __init__(self) -> None:
        self._file = sqlite3.connect("", isolation_level=None)
        self._file.execute("PRAGMA journal_mode = OFF")
        self._file.execute("CREATE TABLE seen (key TEXT PRIMARY KEY, line INTEGER) WITHOUT ROWID")
        self._file.execute("BEGIN")

    def first(self, key: str, line: int) -> int:
        """Return the first line with *key*, which is *line* when it is new."""
        added = self._file.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (key, line))
        if added.rowcount:
            return line
        row = self._file.execute("SELECT line FROM seen WHERE key = ?", (key,)).fetchone()
        return int(row[0])

    def close(self) -> None:
        """Forget them."""
        self._file.close()
