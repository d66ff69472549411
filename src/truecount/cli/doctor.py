"""Is the database safe: ``doctor``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from truecount.cli.options import Code, Db, Json, guarded, is_there, named
from truecount.cli.output import Screen
from truecount.errors import InvalidArgument, StorageUnavailable
from truecount.model.diagnosis import Diagnosis, Verdict
from truecount.storage.sqlite import SQLiteStorage


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
    db: Db = None,
    as_json: Json = False,
) -> None:
    """
    Check that the database keeps what it acknowledged.

    Durability, role, clocks, tables. Writes nothing. Exit code 1 when something is unsafe.
    """
    screen = Screen(as_json=as_json)
    found = _of_file(db) if postgres is None else _of_server(postgres, schema)
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


def _of_file(db: Path | None) -> Diagnosis:
    path = named(db)
    if not is_there(path):
        raise StorageUnavailable(str(path), "there is no such file; name another with --db")
    storage = SQLiteStorage(path, read_only=True)
    try:
        return storage.doctor()
    finally:
        storage.close()


def _of_server(dsn: str, schema: str) -> Diagnosis:
    try:
        from truecount.storage.postgres import PostgresStorage
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"psycopg", "psycopg_pool"}:
            raise
        raise InvalidArgument(
            "--postgres", "here", "psycopg to be installed; pip install 'truecount[postgres]'"
        ) from error
    storage = PostgresStorage(dsn, schema=schema)
    try:
        return storage.doctor()
    finally:
        storage.close()
