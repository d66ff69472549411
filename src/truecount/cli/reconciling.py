"""Does the world agree: ``reconcile``."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import attrs
import typer

from truecount.cli.csv_file import Sheet, rows_of, sheet_of
from truecount.cli.csv_rows import Layout, places_of
from truecount.cli.csv_seen import EVERYWHERE, Seen, Times, seen_in
from truecount.cli.importing import (
    as_data,
    collecting_rarely,
    delimiter_of,
    pairs_of,
    rows_in,
    tell_more,
    zone_of,
)
from truecount.cli.options import Code, Db, Json, Tenant, check_name, guarded, ledger, moment
from truecount.cli.output import Screen, numbers, text
from truecount.errors import InvalidArgument, InvalidData
from truecount.inventory import Inventory
from truecount.reconciliation.mismatches import Mismatch
from truecount.reconciliation.observations import (
    ANYBODY,
    Formula,
    Observation,
    Shown,
    Snapshot,
    Source,
)
from truecount.reconciliation.report import Reconciliation, Undecided


@guarded
def reconcile(
    *,
    counts: Annotated[
        Path | None,
        typer.Option(metavar="FILE.csv", help="What was counted: sku, quantity, location."),
    ] = None,
    levels: Annotated[
        Path | None,
        typer.Option(metavar="FILE.csv", help="What another system shows: sku, quantity."),
    ] = None,
    source: Annotated[
        str, typer.Option(metavar="NAME", help="Which system shows the levels.")
    ] = "other",
    shows: Annotated[
        str | None, typer.Option(metavar="FIGURE", help=f"What it shows: {', '.join(Shown)}.")
    ] = None,
    complete: Annotated[
        bool, typer.Option("--complete", help="Its file should list everything in stock.")
    ] = False,
    location: Annotated[
        str | None, typer.Option(metavar="NAME", help="Location of rows that name none.")
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="When rows without a time were true; default: now."),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Or at some moment from --as-of until then."),
    ] = None,
    skew: Annotated[
        int | None,
        typer.Option(metavar="SECONDS", min=0, help="How far any clock may be off; default: 0."),
    ] = None,
    late: Annotated[
        int | None,
        typer.Option(metavar="SECONDS", min=0, help="How late any report may come; default: 0."),
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
    encoding: Annotated[str, typer.Option(metavar="NAME", help="How the file is encoded.")] = (
        "utf-8-sig"
    ),
    delimiter: Annotated[
        str | None,
        typer.Option(metavar="CHAR", help="Between cells; tab is a word for it. Default: found."),
    ] = None,
    limit: Annotated[
        int, typer.Option(metavar="N", min=0, help="Mismatches to list; 0 for all.")
    ] = 50,
    csv: Annotated[
        Path | None, typer.Option(metavar="OUT.csv", help="Write all that is open there, too.")
    ] = None,
    db: Db = None,
    tenant: Tenant = "main",
    as_json: Json = False,
) -> None:
    """
    Compare the ledger with what was counted, or shown elsewhere.

    Each row is compared with the ledger as of its own time (column occurred_at, or --as-of),
    so what happened since does not matter. Writes nothing to the ledger. Exit code 1 while
    anything is open: a mismatch, or what cannot be decided yet.
    """
    screen = Screen(as_json=as_json)
    file = _one_of(counts, levels)
    bounds = _bounds(skew, late, shows)
    sheet = sheet_of(file, encoding, None if delimiter is None else delimiter_of(delimiter))
    said = {**pairs_of("--set", constants), "kind": "count"}
    if location is not None:
        said["location"] = location
    names = pairs_of("--map", mapping)
    if levels and not _has_location(sheet, names):
        said.setdefault("location", EVERYWHERE)
    layout = Layout(
        header=sheet.header,
        places=places_of(sheet.header, names, said, extra=extra),
        constants=said,
        timezone=None if timezone is None else zone_of(timezone),
        key_prefix=None,
        any_location=True,
        strip=strip,
    )
    times = _times(as_of, until)
    with ledger(db, tenant, read_only=True) as inventory, collecting_rarely():
        with screen.progress("reading") as progress:
            rows = rows_of(sheet, progress)
            known = frozenset(inventory.locations)
            seen = seen_in(rows, layout, known, times, source=source if levels else None)
        if seen.bad:
            _tell_bad(screen, file, seen)
            raise typer.Exit(Code.USAGE)
        report = _compared(inventory, seen, bounds, source if levels else None, complete=complete)
    if csv is not None:
        _write(report, csv)
    show_report(screen, report, limit)
    screen.data({"file": str(file), **report.to_dict()})
    if not report.ok:
        raise typer.Exit(Code.LOOK)


def _one_of(counts: Path | None, levels: Path | None) -> Path:
    if counts is not None and levels is None:
        return counts
    if levels is not None and counts is None:
        return levels
    seen = "neither --counts nor --levels" if counts is None else "both --counts and --levels"
    raise InvalidArgument("reconcile with", seen, "one file to compare with")


def _bounds(skew: int | None, late: int | None, shows: str | None) -> dict[str, Any]:
    """Return what the call says of its sources; the rest is as the shop says."""
    words: dict[str, Any] = {}
    if skew is not None:
        words["skew"] = timedelta(seconds=skew)
    if late is not None:
        words["late"] = timedelta(seconds=late)
    if shows is not None:
        words["formula"] = Formula(_shown(shows))
    return words


def _shown(value: str) -> Shown:
    if value not in list(Shown):
        raise InvalidArgument("--shows", repr(value), f"one of {', '.join(Shown)}")
    return Shown(value)


def _has_location(sheet: Sheet, names: dict[str, str]) -> bool:
    return "location" in names or "location" in [each.strip().casefold() for each in sheet.header]


def _times(as_of: str | None, until: str | None) -> Times:
    if until is not None and as_of is None:
        raise InvalidArgument("--until", "alone", "--as-of as well: from when")
    since = None if as_of is None else moment(as_of, "--as-of")
    last = None if until is None else moment(until, "--until")
    if since is not None and last is not None and last < since:
        raise InvalidArgument("--until", str(until), f"a time not before --as-of {as_of}")
    return Times(since=since, until=last)


def _compared(
    inventory: Inventory,
    seen: Seen,
    bounds: dict[str, Any],
    source: str | None,
    *,
    complete: bool,
) -> Reconciliation:
    observations: list[Observation] = [*seen.counts]
    clocks = {word: value for word, value in bounds.items() if word != "formula"}
    asked = {ANYBODY: clocks}
    if source is not None:
        check_name(source, "source")
        observations.append(Snapshot(source, seen.levels, complete=complete))
        asked[source] = bounds
    known = {each.name: each for each in inventory.sources}
    otherwise = known.get(ANYBODY, Source(ANYBODY))
    described = [
        attrs.evolve(known.get(name, otherwise), name=name, **words)
        for name, words in asked.items()
        if words
    ]
    return inventory.reconcile(observations, sources=described)


def _write(report: Reconciliation, path: Path) -> None:
    try:
        with path.open("x", encoding="utf-8-sig", newline="") as stream:
            report.to_csv(stream)
    except FileExistsError as error:
        raise InvalidArgument("--csv", repr(str(path)), "a file that is not there yet") from error
    except OSError as error:
        raise InvalidData(str(path), error.strerror or str(error)) from error


# --- telling ----------------------------------------------------------------------------


def _tell_bad(screen: Screen, file: Path, seen: Seen) -> None:
    for problem in seen.problems:
        screen.say(str(problem), style="red", hang=2)
    tell_more(screen, seen.bad, len(seen.problems))
    verb = "is" if seen.bad == 1 else "are"
    screen.say(f"{seen.bad} of {rows_in(seen.rows)} {verb} bad; nothing was compared")
    screen.data(
        {
            "file": str(file),
            "rows": seen.rows,
            "bad": seen.bad,
            "problems": as_data(seen.problems),
        }
    )


def show_report(screen: Screen, report: Reconciliation, limit: int) -> None:
    """Print what does not match, what is undecided, and how much matches."""
    shown = report.mismatches[: limit or None]
    if shown:
        headings = (*text("kind", "sku", "location", "lot", "source"), *numbers("seen", "book"))
        headings += numbers("off by")
        screen.table(headings, [_row(each) for each in shown])
        screen.gap()
        for each in shown:
            screen.say(f"{each.sentence}.", style="yellow", hang=5)
            screen.say(f"     {each.advice}")
    _show_undecided(screen, report.undecided, limit)
    for kind, count in report.kinds.items():
        screen.say(f"{count} {kind.value}")
    if report.found > len(shown):
        screen.say(f"{len(shown)} of {report.found} mismatches are listed above")
    screen.say(
        f"{report.compared} compared: {report.matches} match, {report.found} do not, "
        f"{len(report.undecided)} undecided",
        style="green" if report.ok else "bold red" if report.found else "yellow",
    )


def _show_undecided(screen: Screen, undecided: tuple[Undecided, ...], limit: int) -> None:
    for each in undecided[: limit or None]:
        when = "it moved while it was seen; look again when it is quiet"
        if each.decidable_at is not None:
            when = f"decidable at {each.decidable_at:%Y-%m-%d %H:%M:%S} UTC"
        where = f" at {each.at}" if each.at else ""
        book = _span(each.expected)
        screen.say(
            f"undecided: {each.sku}{where}: seen {each.observed}, the book says {book}; {when}",
            style="dim",
            hang=5,
        )
    if limit and len(undecided) > limit:
        screen.say(f"and {len(undecided) - limit} more undecided")


def _row(each: Mismatch) -> list[object]:
    book, off = _span(each.expected), _span(each.delta)
    where = [each.kind.value, each.sku, each.at, each.lot, each.source]
    return [*where, each.observed, book, off]


def _span(interval: tuple[int, int]) -> str:
    low, high = interval
    return str(low) if low == high else f"{low} to {high}"
