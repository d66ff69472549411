"""
Counting from the command line: ``counts due``, ``sheet``, ``post`` and ``close``.

A sheet is a CSV file people carry to the shelf: sku, lot, counted, counted_at, reason. It
comes out without a figure of the book and goes in filled; what is not filled was not counted.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import attrs
import typer

from truecount.cli.csv_file import rows_of
from truecount.cli.csv_options import ENCODING, CsvForm, Delimiter, Encoding
from truecount.cli.new_file import new_file
from truecount.cli.options import At, Code, Db, Json, Tenant, check_name, guarded, iso, ledger
from truecount.cli.options import moment as moment_of
from truecount.cli.output import Screen, numbers, text
from truecount.counting.due import Due
from truecount.counting.sheets import (
    BlindLine,
    CountSheet,
    ReportLine,
    SheetReport,
    ShelfCount,
)
from truecount.errors import InvalidData, TrueCountError, UnknownReference
from truecount.inventory import Inventory
from truecount.model import instants
from truecount.model.names import shown
from truecount.model.quantities import QUANTITY_MAX


counts_app = typer.Typer(
    help="Count shelves: what is due, sheets out, counts in.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

#: Columns of a sheet's file; the first three must be there when it comes back.
COLUMNS: Final = ("sku", "lot", "counted", "counted_at", "reason")
_NEEDED: Final = ("sku", "counted")

Budget = Annotated[int, typer.Option("--budget", metavar="N", min=1, help="At most N shelves.")]
Seed = Annotated[
    str | None,
    typer.Option("--seed", metavar="WORD", help="Of the day's lot; by default the date."),
]
Sheet = Annotated[str, typer.Argument(metavar="SHEET", help="The reference of the sheet.")]


@counts_app.command("due")
@guarded
def due(
    *,
    budget: Budget = 20,
    at: At = None,
    seed: Seed = None,
    db: Db = None,
    tenant: Tenant = "main",
    as_json: Json = False,
) -> None:
    """
    Show what to count today, each with its reasons.

    A fifth of the budget is drawn by lot: only that measures how good the records are.
    """
    screen = Screen(as_json=as_json)
    with ledger(db, tenant, read_only=True) as inventory:
        found = inventory.counts.due(budget, at=at, seed=seed)
    if found:
        screen.table(
            text("sku", "location", "lot", "class", "because"),
            [[each.sku, each.at, each.lot, each.abc, _because(each)] for each in found],
        )
    else:
        screen.say("there is nothing to count")
    screen.data({"due": [attrs.asdict(each) for each in found]})


def _because(each: Due) -> str:
    return ", ".join(reason.value for reason in each.reasons)


@counts_app.command("sheet")
@guarded
def sheet(
    *,
    reference: Sheet,
    skus: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SKU]...", help="What to count; by default what is due."),
    ] = None,
    at: At = None,
    budget: Budget = 20,
    seed: Seed = None,
    tolerance: Annotated[
        str, typer.Option(metavar="NAME", help="exact, retail_1_3_5, apics_995, textbook_02_1_5.")
    ] = "exact",
    csv_file: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE|-", help="Write it as CSV to fill in.")
    ] = None,
    db: Db = None,
    tenant: Tenant = "main",
    as_json: Json = False,
) -> None:
    """
    Open a blind sheet, or show the one there is.

    No figure of the book is on it: what one expects to find, one finds.
    """
    screen = Screen(as_json=as_json)
    check_name(reference, "SHEET")
    with ledger(db, tenant) as inventory:
        found = _known(inventory, reference) if not skus else None
        if found is None:
            lines = list(skus) if skus else inventory.counts.due(budget, at=at, seed=seed)
            found = inventory.counts.sheet(reference, lines, at=at, tolerance=tolerance)
    if csv_file is None:
        _show(screen, found)
    else:
        _write(csv_file, found)
        if str(csv_file) != "-":
            screen.say(f"sheet {reference}: {len(found.left)} to count, in {csv_file}")
    if csv_file is None or str(csv_file) != "-":
        screen.data(_plain(found))


def _known(inventory: Inventory, reference: str) -> CountSheet | None:
    try:
        return inventory.counts.sheet(reference)
    except UnknownReference:
        return None


def _show(screen: Screen, found: CountSheet) -> None:
    closed = f", closed at {found.closed_at:%Y-%m-%d %H:%M:%S} UTC" if found.closed_at else ""
    screen.table(
        text("sku", "lot", "counted by", "still to count"),
        [
            [line.sku, line.lot, ", ".join(line.counted_by), "" if line.is_done else "yes"]
            for line in found.lines
        ],
        f"sheet {found.reference} at {found.at}{closed}",
    )


def _plain(value: CountSheet | SheetReport) -> dict[str, Any]:
    plain = attrs.asdict(value, recurse=False)
    plain["opened_at"], plain["closed_at"] = iso(value.opened_at), iso(value.closed_at)
    plain["lines"] = [_plain_line(line) for line in value.lines]
    return plain


def _plain_line(line: BlindLine | ReportLine) -> dict[str, Any]:
    plain = attrs.asdict(line, recurse=False)
    if isinstance(line, ReportLine):
        plain["variance"] = line.variance
        plain["counts"] = [
            each._asdict() | {"counted_at": instants.iso(each.counted_at)} for each in line.counts
        ]
    return plain


def _write(path: Path, found: CountSheet) -> None:
    """Write what is left to count, for somebody to fill in."""
    rows = [(line.sku, line.lot, "", "", "") for line in found.left]
    if str(path) == "-":
        csv.writer(sys.stdout, lineterminator="\n").writerows([COLUMNS, *rows])
        return
    with new_file("--csv", path, encoding="utf-8-sig") as stream:
        csv.writer(stream).writerows([COLUMNS, *rows])


@counts_app.command("post")
@guarded
def post(
    *,
    reference: Sheet,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The sheet, filled in, as CSV.")],
    counter: Annotated[str, typer.Option("--counter", metavar="NAME", help="Who counted.")],
    encoding: Encoding = ENCODING,
    delimiter: Delimiter = None,
    db: Db = None,
    tenant: Tenant = "main",
    as_json: Json = False,
) -> None:
    """
    Take a filled sheet in: all of its counts, or none and each bad line named.

    Posting the same file again changes nothing. Ends with 1 while somebody must recount.
    """
    screen = Screen(as_json=as_json)
    counts = _read(file, CsvForm(encoding=encoding, delimiter=delimiter))
    with ledger(db, tenant) as inventory:
        found = inventory.counts.post(reference, counts, counter=counter)
    _show(screen, found)
    screen.data(_plain(found))
    if found.left:
        raise typer.Exit(Code.LOOK)


def _read(path: Path, form: CsvForm) -> list[ShelfCount]:
    """
    Return the counts of a filled sheet.

    Raises:
        InvalidData: A column is missing, a line is bad, or nothing is filled in.
    """
    file = form.sheet(path)
    places = {name.strip().casefold(): place for place, name in enumerate(file.header)}
    missing = [name for name in _NEEDED if name not in places]
    if missing:
        raise InvalidData(
            str(path), f"it has no column {missing[0]!r}; a sheet has {', '.join(COLUMNS)}"
        )
    counts: list[ShelfCount] = []
    bad: list[str] = []
    for line, cells in rows_of(file):
        row = {name: cells[place] for name, place in places.items() if place < len(cells)}
        try:
            counts += _count(row)
        except InvalidData as error:
            bad.append(f"line {line}, {error.where}: {error.problem}")
        except TrueCountError as error:
            bad.append(f"line {line}: {error}")
    if bad:
        more = f"; and {len(bad) - _BAD_SHOWN} more" if len(bad) > _BAD_SHOWN else ""
        raise InvalidData(str(path), "; ".join(bad[:_BAD_SHOWN]) + more)
    if not counts:
        raise InvalidData(str(path), "no line of it has a count")
    return counts


_BAD_SHOWN: Final = 5


def _count(row: Mapping[str, str]) -> Iterator[ShelfCount]:
    """Yield the count of a row, if it was filled in."""
    if not row.get("counted"):
        return
    counted = row["counted"].strip()
    if not (counted.isascii() and counted.isdecimal() and int(counted) <= QUANTITY_MAX):
        problem = "expected a whole number of units, without separators"
        raise InvalidData(f"counted {shown(row['counted'])}", problem)
    when = row.get("counted_at")
    yield ShelfCount(
        row["sku"],
        int(counted),
        lot=row.get("lot", ""),
        counted_at=moment_of(when, "counted_at") if when else None,
        reason=row.get("reason") or None,
    )


@counts_app.command("close")
@guarded
def close(
    *,
    reference: Sheet,
    reasons: Annotated[
        list[str] | None,
        typer.Option("--reason", metavar="SKU=WORDS", help="Why a line differs; repeatable."),
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Leave lines that are not ready as they are.")
    ] = False,
    report: Annotated[
        bool, typer.Option("--report", help="Only show what closing would apply.")
    ] = False,
    actor: Annotated[str | None, typer.Option(metavar="NAME", help="Who closes it.")] = None,
    db: Db = None,
    tenant: Tenant = "main",
    as_json: Json = False,
) -> None:
    """
    Apply what was counted, each line at its own moment, and close the sheet.

    With --report it only shows the figures, and ends with 1 when a line is not ready.
    """
    screen = Screen(as_json=as_json)
    given: dict[str | tuple[str, str], str] = {}
    for each in reasons or ():
        sku, equals, words = each.partition("=")
        if not equals:
            raise InvalidData(f"--reason {shown(each)}", "expected SKU=WORDS")
        given[sku] = words
    with ledger(db, tenant, read_only=report) as inventory:
        if report:
            found = inventory.counts.report(reference)
        else:
            found = inventory.counts.close(reference, reasons=given, partial=partial, actor=actor)
    _show_report(screen, found)
    screen.data(_plain(found))
    if not found.is_ready:
        raise typer.Exit(Code.LOOK)


def _show_report(screen: Screen, found: SheetReport) -> None:
    screen.table(
        (
            *text("sku", "lot"),
            *numbers("expected", "counted", "variance"),
            *text("reason", "needs"),
        ),
        [
            [
                line.sku,
                line.lot,
                line.expected,
                line.counted,
                None if line.variance is None else f"{line.variance:+d}",
                line.reason,
                line.missing,
            ]
            for line in found.lines
        ],
        f"sheet {found.reference} at {found.at}, {'closed' if found.closed_at else 'open'}",
    )
