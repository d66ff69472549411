"""Is the database safe: ``doctor``."""

from __future__ import annotations

from typing import Final

import typer

from truecount.cli.databases import opened
from truecount.cli.options import Code, Db, Json, guarded
from truecount.cli.output import Screen
from truecount.model.diagnosis import Verdict


_MARKS: Final = {Verdict.SAFE: "ok", Verdict.NOTE: "note", Verdict.UNSAFE: "UNSAFE"}
_STYLES: Final = {Verdict.SAFE: "", Verdict.NOTE: "yellow", Verdict.UNSAFE: "bold red"}


@guarded
def doctor(*, db: Db = None, as_json: Json = False) -> None:
    """
    Check that the database keeps what it acknowledged.

    Durability, role, clocks, tables. Writes nothing. Exit code 1 when something is unsafe.
    """
    screen = Screen(as_json=as_json)
    with opened(db, read_only=True) as storage:
        found = storage.doctor()
    screen.say(found.target)
    for check in found.checks:
        line = f"{_MARKS[check.verdict]:6}  {check}"
        screen.say(line, style=_STYLES[check.verdict], hang=8)
    unsafe = len(found.unsafe)
    if found.is_safe:
        screen.say("the database is safe", style="green")
    else:
        screen.say(
            f"the database is NOT safe: {unsafe} {'check' if unsafe == 1 else 'checks'} of "
            f"{len(found.checks)}",
            style="bold red",
        )
    screen.data(found.to_dict())
    if not found.is_safe:
        raise typer.Exit(Code.LOOK)
