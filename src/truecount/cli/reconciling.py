"""Does the world agree: ``reconcile``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import attrs
import typer

from truecount.cli.csv_file import Sheet, collecting_rarely, rows_of
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
from truecount.cli.csv_seen import EVERYWHERE, Seen, Times, seen_in
from truecount.cli.csv_telling import as_data, bad_rows, tell_problems
from truecount.cli.options import Code, Db, Json, Tenant, check_name, guarded, ledger, moment
from truecount.cli.output import Screen
from truecount.cli.reconcile_options import (
    EXPLAINED_MAX,
    AsOf,
    ClockSkew,
    Complete,
    CountsFile,
    CsvOut,
    Explained,
    Followed,
    HtmlOut,
    Lateness,
    LevelsFile,
    Listed,
    NoKits,
    PlanOut,
    Shows,
    SourceName,
    Timelines,
    Until,
)
from truecount.cli.report_files import TIMELINES, ReportFiles
from truecount.cli.report_telling import tell_plan, tell_report
from truecount.errors import InvalidArgument
from truecount.inventory import Inventory
from truecount.reconciliation.kits import Recipes
from truecount.reconciliation.observations import (
    ANYBODY,
    Formula,
    Observation,
    Shown,
    Snapshot,
    Source,
)
from truecount.reconciliation.report import LIMITED, Reconciliation


@guarded
def reconcile(
    *,
    counts: CountsFile = None,
    levels: LevelsFile = None,
    source: SourceName = "other",
    shows: Shows = None,
    complete: Complete = False,
    no_kits: NoKits = False,
    location: Location = None,
    as_of: AsOf = None,
    until: Until = None,
    skew: ClockSkew = None,
    late: Lateness = None,
    constants: Constants = None,
    mapping: Mapped = None,
    extra: Extra = False,
    strip: Strip = False,
    timezone: Timezone = None,
    encoding: Encoding = ENCODING,
    delimiter: Delimiter = None,
    limit: Listed = 50,
    explain: Explained = None,
    csv: CsvOut = None,
    plan: PlanOut = None,
    html: HtmlOut = None,
    timelines: Timelines = TIMELINES,
    follow: Followed = None,
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
    files = ReportFiles(
        csv=csv, plan=plan, html=html, timelines=timelines, zone=form.timezone or UTC
    )
    files.check()
    followed = _followed(follow, source if levels else None, files)
    sheet = form.sheet(file)
    layout = _layout(form, sheet, is_levels=levels is not None)
    times = _times(as_of, until)
    with ledger(db, tenant, read_only=True) as inventory, collecting_rarely():
        known = frozenset(inventory.locations)
        with screen.progress("reading") as progress:
            rows = rows_of(sheet, progress)
            seen = seen_in(rows, layout, known, times, source=source if levels else None)
        _check_rows(screen, file, seen)
        asked = (bounds, source if levels else None)
        report = _compared(inventory, seen, *asked, complete=complete, no_kits=no_kits)
        if _is_explained(report, asked=explain):
            report = inventory.explain(report)
        planned = report.plan(follow=followed) if files.need_plan else None
        files.write(inventory, report, planned, seen.counts)
    tell_report(screen, report, limit)
    if explain is None and not _is_explained(report, asked=None):
        screen.say("what may be behind so many mismatches takes a while: --explain says it")
    tell_plan(screen, planned, plan)
    named = {} if planned is None else {"plan": planned.id}
    screen.data({"file": str(file), **named, **report.to_dict()})
    if not report.ok:
        raise typer.Exit(Code.LOOK)


def _layout(form: CsvForm, sheet: Sheet, *, is_levels: bool) -> Layout:
    """Return how rows are read: as counts, and levels of no named place as of all of them."""
    said = form.said(kind="count")
    if is_levels and not _has_location(sheet, form.mapping):
        said.setdefault("location", EVERYWHERE)
    return form.layout(sheet, said, any_location=True)


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


def _followed(follow: str | None, source: str | None, files: ReportFiles) -> frozenset[str]:
    """Return the source whose levels a plan follows: it must be named as what it is."""
    if follow is None:
        return frozenset()
    if source is None:
        raise InvalidArgument("--follow", "with --counts", "--levels: a count is followed anyway")
    if follow != source:
        raise InvalidArgument("--follow", repr(follow), f"the source compared, {source!r}")
    if not files.need_plan:
        raise InvalidArgument("--follow", "alone", "--plan or --html as well: it changes the plan")
    return frozenset({follow})


def _has_location(sheet: Sheet, names: Mapping[str, str]) -> bool:
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
    no_kits: bool,
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
    recipes: Recipes | None = {} if no_kits else None
    return inventory.reconcile(observations, sources=described, recipes=recipes)


def _is_explained(report: Reconciliation, *, asked: bool | None) -> bool:
    """Return whether causes are looked for: as asked, and else while it does not take long."""
    return asked if asked is not None else _figures_in(report) <= EXPLAINED_MAX


def _figures_in(report: Reconciliation) -> int:
    """Return how many mismatches are about figures of the book, so that there is a cause."""
    return sum(not LIMITED.intersection(each.kinds) for each in report.mismatches)


# --- telling ----------------------------------------------------------------------------


def _check_rows(screen: Screen, file: Path, seen: Seen) -> None:
    """Say which rows are bad, and leave if there are any."""
    if not seen.bad:
        return
    tell_problems(screen, seen.problems, seen.bad)
    screen.say(f"{bad_rows(seen.bad, seen.rows)}; nothing was compared")
    screen.data(
        {
            "file": str(file),
            "rows": seen.rows,
            "bad": seen.bad,
            "problems": as_data(seen.problems),
        }
    )
    raise typer.Exit(Code.USAGE)
