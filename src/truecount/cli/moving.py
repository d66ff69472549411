"""Taking the ledger elsewhere: ``export`` and ``restore``."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TextIO

import attrs
import typer

from truecount.cli.csv_file import collecting_rarely
from truecount.cli.options import Db, Json, Tenant, guarded, ledger
from truecount.cli.output import Screen
from truecount.errors import InvalidArgument, InvalidData
from truecount.model.names import shown


_STREAM = Path("-")


@guarded
def export(
    *,
    file: Annotated[
        Path, typer.Argument(metavar="FILE|-", help="Where to; - is standard output.")
    ] = _STREAM,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it exists.")] = False,
    db: Db = None,
    tenant: Tenant = "main",
    as_json: Json = False,
) -> None:
    """
    Write the whole ledger as JSON lines, as of one instant.

    FILE is complete or not there. What was exported is told on standard error when the
    ledger itself goes to standard output.
    """
    screen = Screen(as_json=as_json and file != _STREAM)
    with (
        ledger(db, tenant, read_only=True) as inventory,
        _target(file, force=force) as stream,
        screen.progress("exporting") as progress,
        collecting_rarely(),
    ):
        done = inventory.export(stream, progress=progress)
    told = f"exported {done.movements} movements, seal {done.position}:{done.digest}"
    if file == _STREAM:
        print(told, file=sys.stderr)
    else:
        screen.say(told)
    screen.data({"file": str(file), **attrs.asdict(done)})


@contextmanager
def _target(file: Path, *, force: bool) -> Iterator[TextIO]:
    if file == _STREAM:
        sys.stdout.flush()
        stream = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", newline="")
        try:
            yield stream
            stream.flush()
        finally:
            stream.detach()
        return
    if file.exists() and not file.is_file():
        raise InvalidArgument("FILE", shown(str(file)), "a file; for a pipe or a device use -")
    if file.exists() and not force:
        raise InvalidArgument("FILE", shown(str(file)), "a file that does not exist, or --force")
    file = file.resolve()  # What a link points at is replaced, not the link.
    part = file.with_name(f"{file.name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(file)
    except OSError as error:
        raise InvalidArgument(
            "FILE", shown(str(file)), f"one that can be written ({error.strerror})"
        ) from error
    finally:
        part.unlink(missing_ok=True)


@guarded
def restore(
    *,
    file: Annotated[
        Path, typer.Argument(metavar="FILE|-", help="What export wrote; - is standard input.")
    ],
    db: Db = None,
    tenant: Tenant = "main",
    as_json: Json = False,
) -> None:
    """
    Read what export wrote into an empty ledger.

    The database is made when missing. Interrupted, run it again: it goes on where it stopped.
    """
    screen = Screen(as_json=as_json)
    with (
        _source(file) as stream,
        ledger(db, tenant, create=True) as inventory,
        screen.progress("restoring") as progress,
        collecting_rarely(),
    ):
        done = inventory.import_lines(stream, progress=progress)
    known = f" ({done.known} were there)" if done.known else ""
    screen.say(f"restored {done.movements} movements{known}, seal {done.position}:{done.digest}")
    screen.data(attrs.asdict(done))


@contextmanager
def _source(file: Path) -> Iterator[TextIO]:
    try:
        if file == _STREAM:
            stream = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8", newline="")
        else:
            stream = file.open(encoding="utf-8", newline="")
    except OSError as error:
        raise InvalidData(str(file), error.strerror or str(error)) from error
    try:
        with stream:
            yield stream
    except UnicodeDecodeError as error:
        raise InvalidData(str(file), f"it is not UTF-8 ({error.reason})") from error
