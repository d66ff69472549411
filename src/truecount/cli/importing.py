"""``import``: a CSV file of facts into the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import attrs
import typer

from truecount.cli.csv_columns import COLUMNS, KINDS
from truecount.cli.csv_file import Rejects, Sheet, collecting_rarely, rejects_to
from truecount.cli.csv_import import Checked, Written, check, write
from truecount.cli.csv_options import (
    ENCODING,
    Constants,
    CsvForm,
    Delimiter,
    Encoding,
    Extra,
    Location,
    Mapped,
    Strip,
    Timezone,
)
from truecount.cli.csv_rows import Layout
from truecount.cli.csv_telling import as_data, bad_rows, rows_in, tell_problems
from truecount.cli.databases import is_server, is_there, named
from truecount.cli.options import Code, Db, Json, Tenant, guarded, ledger
from truecount.cli.output import Screen
from truecount.errors import ForeignDatabase, InvalidArgument
from truecount.model import names
from truecount.model.names import shown


_HELP: Final = "\n".join(
    [
        "Import a CSV file of facts: what happened, one SKU in each row.",
        "",
        "The first line names the columns: kind, sku, quantity and location are needed; the "
        "others are " + ", ".join(list(COLUMNS)[4:]) + ".",
        "",
        "Kinds of row: " + ", ".join(KINDS) + ".",
        "",
        (
            "The whole file is looked at first; when a row is bad nothing is written. Then "
            "chunks of 1,000 rows are written, each all or nothing. Interrupted, run it again: "
            "rows that are there stay as they are."
        ),
    ]
)


@guarded
def import_csv(
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="The file.")],
    kind: Annotated[
        str | None, typer.Option(metavar="KIND", help="Kind of rows that name none.")
    ] = None,
    location: Location = None,
    constants: Constants = None,
    mapping: Mapped = None,
    extra: Extra = False,
    strip: Strip = False,
    timezone: Timezone = None,
    key_prefix: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Begins the keys of rows; default: the file's name."),
    ] = None,
    create_locations: Annotated[
        bool, typer.Option("--create-locations", help="Declare the locations of the file.")
    ] = False,
    skip_bad: Annotated[
        Path | None,
        typer.Option(metavar="REJECTS.csv", help="Put bad rows there, import the others."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only look at the file; write nothing.")
    ] = False,
    encoding: Encoding = ENCODING,
    delimiter: Delimiter = None,
    db: Db = None,
    tenant: Tenant = "main",
    as_json: Json = False,
) -> None:
    """Import a CSV file; the help shown is ``_HELP``."""
    screen = Screen(as_json=as_json)
    database = named(db)
    form = CsvForm(
        constants=constants,
        mapping=mapping,
        location=location,
        extra=extra,
        strip=strip,
        timezone=timezone,
        encoding=encoding,
        delimiter=delimiter,
    )
    sheet = form.sheet(file)
    layout = form.layout(
        sheet,
        form.said(kind=kind),
        key_prefix=_key_prefix(file.name if key_prefix is None else key_prefix),
        locations=declared(database, tenant),
        any_location=create_locations,
    )
    with collecting_rarely(), screen.progress("checking") as progress:
        checked = check(sheet, layout, progress)
    if dry_run or (checked.bad and skip_bad is None):
        _tell_checked(screen, file, checked, layout)
        raise typer.Exit(Code.USAGE if checked.bad else Code.OK)
    new = sorted(checked.locations - layout.locations)
    with _maybe(skip_bad, sheet) as rejects, ledger(database, tenant, create=True) as inventory:
        if new:
            inventory.locations.add(*new)
        with collecting_rarely(), screen.progress("importing") as progress:
            written = write(inventory, sheet, layout, rejects=rejects, progress=progress)
    _tell_written(screen, file, written, new, skip_bad)
    if written.stopped_at is not None:
        raise typer.Exit(Code.USAGE)
    if written.rejected:
        raise typer.Exit(Code.LOOK)


import_csv.__doc__ = _HELP


def declared(database: str, tenant: str) -> frozenset[str]:
    """Return the locations of the ledger; a ledger that is not there yet has none."""
    if not is_there(database):
        return frozenset()
    try:
        with ledger(database, tenant, read_only=True) as inventory:
            return frozenset(inventory.locations)
    except ForeignDatabase:
        if is_server(database):
            return frozenset()  # The tables are made when the first row is written.
        # Another program's, or a ledger that somebody is making just now: that can be awaited.
        with ledger(database, tenant, create=True) as inventory:
            return frozenset(inventory.locations)


@contextmanager
def _maybe(path: Path | None, sheet: Sheet) -> Iterator[Rejects | None]:
    if path is None:
        yield None
        return
    with rejects_to(path, sheet) as rejects:
        yield rejects


def _key_prefix(value: str) -> str:
    """Return *value* if keys can begin with it."""
    problem = names.problem_with(f"{value}:{10**12}", names.NAME_LENGTH_MAX)
    if problem is not None:
        allowed = f"text keys can begin with ({problem}); name another with --key-prefix"
        raise InvalidArgument("key prefix", shown(value), allowed)
    return value


# --- telling ----------------------------------------------------------------------------


def _tell_checked(screen: Screen, file: Path, checked: Checked, layout: Layout) -> None:
    tell_problems(screen, checked.problems, checked.bad)
    kinds = ", ".join(f"{count} {name}" for name, count in checked.kinds.items())
    new = sorted(checked.locations - layout.locations)
    if checked.bad:
        screen.say(f"{bad_rows(checked.bad, checked.rows)}; nothing was imported")
    else:
        verb = "is" if checked.rows == 1 else "are"
        screen.say(f"{rows_in(checked.rows)} {verb} good ({kinds or 'none'}); nothing was imported")
    if new:
        screen.say(f"locations to declare: {', '.join(new)}")
    screen.data(
        {
            "file": str(file),
            "rows": checked.rows,
            "bad": checked.bad,
            "kinds": checked.kinds,
            "new_locations": new,
            "problems": as_data(checked.problems),
        }
    )


def _tell_written(
    screen: Screen, file: Path, written: Written, new: Sequence[str], skip_bad: Path | None
) -> None:
    tell_problems(screen, written.problems, written.found)
    if new:
        screen.say(f"declared {', '.join(new)}")
    verb = "was" if written.replayed == 1 else "were"
    known = f", {written.replayed} {verb} there already" if written.replayed else ""
    screen.say(f"imported {rows_in(written.imported)}{known}")
    if skip_bad is not None:
        screen.say(f"{rows_in(written.rejected)} sorted out into {skip_bad}")
    if written.stopped_at is not None:
        screen.say(
            f"stopped at the chunk that starts at line {written.stopped_at}: nothing of it was "
            "written; put it right and run the import again, it goes on from there",
            style="bold red",
        )
    data: dict[str, Any] = attrs.asdict(written, recurse=False)
    screen.data({"file": str(file), **data, "declared": new, "problems": as_data(written.problems)})
