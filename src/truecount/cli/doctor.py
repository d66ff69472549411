"""Is the database safe: ``doctor``."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from truecount.cli.databases import opened
from truecount.cli.options import Code, Db, Json, Tenant, guarded
from truecount.cli.output import Screen
from truecount.errors import InvalidArgument
from truecount.model.diagnosis import Verdict


_MARKS: Final = {Verdict.SAFE: "ok", Verdict.NOTE: "note", Verdict.UNSAFE: "UNSAFE"}
_STYLES: Final = {Verdict.SAFE: "", Verdict.NOTE: "yellow", Verdict.UNSAFE: "bold red"}


@guarded
def doctor(
    *,
    follower: Annotated[
        list[str] | None,
        typer.Option(
            "--follower",
            metavar="NAME=POSITION",
            help="The last position that somebody has dealt with; may be repeated.",
            show_default=False,
        ),
    ] = None,
    db: Db = None,
    tenant: Tenant = "main",
    as_json: Json = False,
) -> None:
    """
    Check that the database keeps what it acknowledged.

    Durability, role, clocks, tables, followers of the feed. Writes nothing. Exit code 1 when
    something is unsafe.
    """
    screen = Screen(as_json=as_json)
    positions = dict(map(_position, follower or ()))
    with opened(db, read_only=True) as storage:
        found = storage.doctor(tenant=tenant, followers=positions)
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


def _position(told: str) -> tuple[str, int]:
    name, _, position = told.rpartition("=")
    if not name or not position.isdecimal():
        raise InvalidArgument("--follower", repr(told), "a name and a position, as in search=1234")
    return name, int(position)
