"""
What the commands share: options, opening the ledger, errors and exit codes.

Exit codes:
0  Done; nothing to look at.
1  Done, but somebody should look: a finding is open, ``verify`` found a problem, rows were
   sorted out, a command was refused.
2  The call or the data is wrong: usage, a bad row, an unknown SKU or location.
3  The storage could not be used, or the program itself failed.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import IntEnum
from typing import Annotated, Final, NoReturn, ParamSpec, TypeAlias

import typer

from truecount.cli.databases import opened
from truecount.errors import InvalidRequest, InvalidText, InvalidTime, Refused, TrueCountError
from truecount.inventory import Inventory
from truecount.model import instants, names
from truecount.model.names import shown


class Code(IntEnum):
    """What the process tells whoever started it."""

    OK = 0
    LOOK = 1
    USAGE = 2
    STORAGE = 3


Db: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--db",
        envvar="TRUECOUNT_DB",
        metavar="FILE|URI",
        help="The ledger: an SQLite file, or postgresql://...?schema=NAME.",
        show_default=False,
    ),
]
Tenant: TypeAlias = Annotated[
    str, typer.Option("--tenant", metavar="NAME", help="Whose ledger in the file.")
]
Json: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print one JSON document instead of text.")
]
At: TypeAlias = Annotated[
    str | None, typer.Option("--at", metavar="LOCATION", help="Only this location.")
]

Parameters = ParamSpec("Parameters")


def guarded(command: Callable[Parameters, None]) -> Callable[Parameters, None]:
    """Return *command* telling what it raises in one line, with the exit code for it."""

    @functools.wraps(command)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except TrueCountError as error:
            fail("; ".join([_said_here(error), *getattr(error, "__notes__", ())]), code_of(error))
        except (BrokenPipeError, typer.Exit, typer.Abort):
            raise
        except OSError as error:
            fail(f"cannot go on: {error}", Code.STORAGE)
        except Exception as error:
            if os.environ.get("TRUECOUNT_TRACEBACK"):
                raise
            fail(
                f"cannot go on: {type(error).__name__}: {error}; please report this with what "
                "TRUECOUNT_TRACEBACK=1 shows; verify tells whether the ledger is sound",
                Code.STORAGE,
            )

    return run


def _said_here(error: TrueCountError) -> str:
    """Return the message of *error*, its advice for Python put in the words of this program."""
    message = str(error)
    for python, here in ADVICE.items():
        message = message.replace(python, here)
    return message


#: Advice of messages, and what it is on the command line.
ADVICE: Final = {
    "declare it with locations.add(...)": "declare it with `truecount locations add`",
    "define it with bundles.define(...)": "define it with `truecount bundles define`",
    "to keep stock in it pass beside=True": "name another file with --db",
    "an empty schema, or none; name another with schema=": (
        "an empty schema, or none; name another with ?schema=NAME"
    ),
    "call storage.migrate(), or run what schema_sql() returns": (
        "`truecount locations add` makes the tables, and so do `import` and `restore`"
    ),
    "to read it pass read_only=True": "make it writable, or work on a copy",
    "a location (at=) or a reference": "--at or --reference",
    "give reasons={...}, or close it with partial=True": (
        "say why with --reason SKU=WORDS, or pass --partial"
    ),
    "one location for a sheet: name at=": "one location for a sheet: pass --at",
    "(plan.only) or pass a wider breaker": "(--only-sku, ...) or pass --breaker LIMIT=N",
}


def fail(message: str, code: Code) -> NoReturn:
    """Say why on standard error, in one line, and leave with *code*."""
    line = " ".join(message.split("\n"))
    print(f"truecount: {line}", file=sys.stderr)
    raise typer.Exit(code)


def code_of(error: TrueCountError) -> Code:
    """
    Return the exit code for an error.

    >>> code_of(InvalidRequest()).name, code_of(Refused()).name
    ('USAGE', 'LOOK')
    """
    if isinstance(error, InvalidRequest):
        return Code.USAGE
    return Code.LOOK if isinstance(error, Refused) else Code.STORAGE


@contextmanager
def ledger(
    db: str | None, tenant: str, *, read_only: bool = False, create: bool = False
) -> Iterator[Inventory]:
    """
    Open the ledger in the database *db*; only with *create* is a missing one made.

    Raises:
        InvalidArgument: No database was named.
        StorageUnavailable: There is none, or it cannot be opened.
    """
    with opened(db, read_only=read_only, create=create) as storage:
        yield Inventory(storage, tenant=tenant)


def check_name(value: str | None, name: str) -> None:
    """
    Raise unless *value* is text that something can be called; None is no name at all.

    >>> check_name("MUG ", "SKU")
    Traceback (most recent call last):
    ...
    truecount.errors.InvalidText: cannot use 'MUG ' as SKU: it is padded with white space; strip it
    """
    problem = None if value is None else names.problem_with(value, names.NAME_LENGTH_MAX)
    if problem is not None:
        raise InvalidText(name, shown(value), problem)


def moment(value: str, name: str) -> datetime:
    """
    Return the aware datetime that *value* spells in ISO 8601.

    >>> moment("2026-03-01T09:30:00+01:00", "--as-of").isoformat()
    '2026-03-01T09:30:00+01:00'
    """
    try:
        found = datetime.fromisoformat(value)
    except ValueError as error:
        rule = "expected ISO 8601 with a time zone, for example 2026-03-01T09:30:00+01:00"
        raise InvalidTime(name, shown(value), rule) from error
    if found.utcoffset() is None:
        raise InvalidTime(name, shown(value), "it has no time zone; add one, for example +01:00")
    try:
        return instants.moment(found, name)
    except InvalidTime as error:
        raise InvalidTime(name, shown(value), error.rule) from error


def iso(value: datetime | None) -> str | None:
    """Return a moment as text, in UTC."""
    return None if value is None else instants.iso(instants.to_instant(value))
