"""Is the database safe: ``doctor``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from truecount.cli.options import Code, Db, Json, Tenant, guarded, is_there, named
from truecount.cli.output import Screen
from truecount.errors import InvalidArgument, StorageUnavailable
from truecount.model.diagnosis import Verdict
from truecount.storage.sqlite import SQLiteStorage


if TYPE_CHECKING:
    from truecount.storage.postgres import PostgresStorage


_MARKS: Final = {Verdict.SAFE: "ok", Verdict.NOTE: "note", Verdict.UNSAFE: "UNSAFE"}
_STYLES: Final = {Verdict.SAFE: "", Verdict.NOTE: "yellow", Verdict.UNSAFE: "bold red"}


@guarded
def doctor(
    *,
    postgres: Annotated[
        str | None,
        typer.Option(
            "--postgres",
            envvar="TRUECOUNT_POSTGRES",
            metavar="DSN",
            help="The PostgreSQL database of the ledger, instead of a file.",
            show_default=False,
        ),
    ] = None,
    schema: Annotated[
        str, typer.Option(metavar="NAME", help="The schema its tables are in.")
    ] = "truecount",
    proxied: Annotated[
        bool,
        typer.Option(
            "--proxied", help="The program uses a proxy that pools transactions, and says so."
        ),
    ] = False,
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
    storage = _file(db) if postgres is None else _server(postgres, schema, proxied=proxied)
    try:
        found = storage.doctor(tenant=tenant, followers=positions)
    finally:
        storage.close()
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


def _file(db: Path | None) -> SQLiteStorage:
    path = named(db)
    if not is_there(path):
        raise StorageUnavailable(str(path), "there is no such file; name another with --db")
    return SQLiteStorage(path, read_only=True)


def _server(dsn: str, schema: str, *, proxied: bool) -> PostgresStorage:
    try:
        from truecount.storage.postgres import PostgresStorage
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"psycopg", "psycopg_pool"}:
            raise
        raise InvalidArgument(
            "--postgres", "here", "psycopg to be installed; pip install 'truecount[postgres]'"
        ) from error
    return PostgresStorage(dsn, schema=schema, proxied=proxied)
