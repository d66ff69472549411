"""``import``: a CSV file of facts into the ledger."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import attrs
import typer

from truecount.cli.csv_file import Rejects, Sheet, rejects_to, sheet_of
from truecount.cli.csv_import import Checked, Written, check, write
from truecount.cli.csv_rows import COLUMNS, KINDS, Layout, Problem, places_of
from truecount.cli.options import Code, Db, Json, Tenant, guarded, is_there, ledger, named
from truecount.cli.output import Screen
from truecount.errors import ForeignDatabase, InvalidArgument
from truecount.model import names
from truecount.model.names import shown


_OFFSET: Final = re.compile(r"([+-])(\d{2}):?(\d{2})")
_DELIMITERS: Final = {"tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}

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
    location: Annotated[
        str | None, typer.Option(metavar="NAME", help="Location of rows that name none.")
    ] = None,
    constants: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="COLUMN=VALUE", help="What an empty cell means."),
    ] = None,
    mapping: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="COLUMN=HEADER", help="The file's name of a column."),
    ] = None,
    extra: Annotated[bool, typer.Option("--extra", help="Pass over unknown columns.")] = False,
    strip: Annotated[bool, typer.Option("--strip", help="Drop white space around cells.")] = False,
    timezone: Annotated[
        str | None,
        typer.Option(metavar="ZONE", help="Of times without one: Europe/Berlin, UTC, +01:00."),
    ] = None,
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
    encoding: Annotated[str, typer.Option(metavar="NAME", help="How the file is encoded.")] = (
        "utf-8-sig"
    ),
    delimiter: Annotated[
        str | None,
        typer.Option(metavar="CHAR", help="Between cells; tab is a word for it. Default: found."),
    ] = None,
    db: Db = None,
    tenant: Tenant = "main",
    as_json: Json = False,
) -> None:
    """Import a CSV file; the help shown is ``_HELP``."""
    screen = Screen(as_json=as_json)
    path = named(db)
    sheet = sheet_of(file, encoding, None if delimiter is None else delimiter_of(delimiter))
    said = {**pairs_of("--set", constants), **_said(kind=kind, location=location)}
    layout = Layout(
        header=sheet.header,
        places=places_of(sheet.header, pairs_of("--map", mapping), said, extra=extra),
        constants=said,
        timezone=None if timezone is None else zone_of(timezone),
        key_prefix=_key_prefix(file.name if key_prefix is None else key_prefix),
        locations=declared(path, tenant),
        any_location=create_locations,
        strip=strip,
    )
    with collecting_rarely(), screen.progress("checking") as progress:
        checked = check(sheet, layout, progress)
    if dry_run or (checked.bad and skip_bad is None):
        _tell_checked(screen, file, checked, layout)
        raise typer.Exit(Code.USAGE if checked.bad else Code.OK)
    new = sorted(checked.locations - layout.locations)
    with _maybe(skip_bad, sheet) as rejects, ledger(path, tenant, create=True) as inventory:
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


def declared(path: Path, tenant: str) -> frozenset[str]:
    """Return the locations of the ledger; a ledger that is not there yet has none."""
    if not is_there(path):
        return frozenset()
    try:
        with ledger(path, tenant, read_only=True) as inventory:
            return frozenset(inventory.locations)
    except ForeignDatabase:
        # Another program's, or a ledger that somebody is making just now: that can be awaited.
        with ledger(path, tenant, create=True) as inventory:
            return frozenset(inventory.locations)


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


@contextmanager
def _maybe(path: Path | None, sheet: Sheet) -> Iterator[Rejects | None]:
    if path is None:
        yield None
        return
    with rejects_to(path, sheet) as rejects:
        yield rejects


# --- options ----------------------------------------------------------------------------


def _said(**values: str | None) -> dict[str, str]:
    return {name: value for name, value in values.items() if value is not None}


def pairs_of(option: str, values: Sequence[str] | None) -> dict[str, str]:
    """Return ``COLUMN=VALUE`` options as a mapping."""
    pairs: dict[str, str] = {}
    for value in values or ():
        column, equals, meant = value.partition("=")
        if column not in COLUMNS or not equals or not meant or column in pairs:
            raise InvalidArgument(
                option, shown(value), f"COLUMN=..., each once, with one of {', '.join(COLUMNS)}"
            )
        pairs[column] = meant
    return pairs


def delimiter_of(value: str) -> str:
    """Return what stands between cells, by its character or a word for it."""
    found = _DELIMITERS.get(value, value)
    if len(found) != 1 or found in '"\r\n':
        words = ", ".join(_DELIMITERS)
        raise InvalidArgument("--delimiter", shown(value), f"one character, or one of {words}")
    return found


def zone_of(value: str) -> tzinfo:
    """Return a time zone by its name or offset."""
    offset = _OFFSET.fullmatch(value)
    try:
        if offset is not None:
            sign = -1 if offset[1] == "-" else 1
            minutes = int(offset[2]) * 60 + int(offset[3])
            return timezone(sign * timedelta(minutes=minutes))
        return UTC if value.upper() in {"UTC", "Z"} else ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        allowed = "a zone this system knows, for example Europe/Berlin, UTC or +01:00"
        raise InvalidArgument("--timezone", shown(value), allowed) from error


def _key_prefix(value: str) -> str:
    """Return *value* if keys can begin with it."""
    problem = names.problem_with(f"{value}:{10**12}", names.NAME_LENGTH_MAX)
    if problem is not None:
        allowed = f"text keys can begin with ({problem}); name another with --key-prefix"
        raise InvalidArgument("key prefix", shown(value), allowed)
    return value


# --- telling ----------------------------------------------------------------------------


def _tell_checked(screen: Screen, file: Path, checked: Checked, layout: Layout) -> None:
    for problem in checked.problems:
        screen.say(str(problem), style="red", hang=2)
    tell_more(screen, checked.bad, len(checked.problems))
    kinds = ", ".join(f"{count} {name}" for name, count in checked.kinds.items())
    new = sorted(checked.locations - layout.locations)
    if checked.bad:
        verb = "is" if checked.bad == 1 else "are"
        screen.say(f"{checked.bad} of {rows_in(checked.rows)} {verb} bad; nothing was imported")
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
    for problem in written.problems:
        screen.say(str(problem), style="red", hang=2)
    tell_more(screen, written.found, len(written.problems))
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


def tell_more(screen: Screen, found: int, listed: int) -> None:
    """Say how many problems are not listed."""
    if found > listed:
        screen.say(f"and {found - listed} more")


def rows_in(count: int) -> str:
    """Return a number of rows in words."""
    return f"{count} {'row' if count == 1 else 'rows'}"


def as_data(problems: Sequence[Problem]) -> list[Mapping[str, Any]]:
    """Return problems as plain data, for JSON."""
    return [problem._asdict() for problem in problems]
