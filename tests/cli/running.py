"""Running the command line in a test: in this process, or as a user does in a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
from typer.main import get_command
from typer.testing import CliRunner

from truecount.cli.app import app


#: What every test starts from: no database named, no terminal, nothing of the caller's taste.
PLAIN = {"TRUECOUNT_DB": "", "NO_COLOR": "", "COLUMNS": "100", "TERM": "xterm"}

#: Put together once: doing it for each command would take longer than most commands.
_COMMANDS = get_command(app)


@attrs.frozen
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """The one JSON document it printed."""
        return json.loads(self.out)


@attrs.frozen
class Line:
    """The command line, in one folder, on a file in it or on the server that is named."""

    folder: Path
    server: str = ""

    @property
    def db(self) -> Path:
        """The database its commands work on."""
        return self.folder / "shop.db"

    def __call__(self, *words: object) -> Answer:
        """Run a command on the database, in this process."""
        return called(*words, env={"TRUECOUNT_DB": self.server or str(self.db)})

    def file(self, name: str, text: str, *, encoding: str = "utf-8") -> Path:
        """Put a file into the folder."""
        path = self.folder / name
        path.write_bytes(text.encode(encoding))
        return path

    def csv(self, *rows: str, name: str = "may.csv") -> Path:
        """Put a CSV file with the four needed columns into the folder."""
        return self.file(name, "\n".join(["kind,sku,quantity,location", *rows, ""]))

    def figures(self) -> dict[tuple[str, str, str], int]:
        """Return what is on hand by SKU, location and lot."""
        return {
            (each["sku"], each["location"], each["lot"]): each["on_hand"]
            for each in self("stock", "--json").data["stock"]
        }


def called(*words: object, env: dict[str, str] | None = None) -> Answer:
    """Run a command in this process."""
    with CliRunner().isolation(env=PLAIN | (env or {})) as streams:
        try:
            _COMMANDS.main(list(map(str, words)), prog_name="truecount")
        except SystemExit as left:
            code = left.code
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        out, err = (each.getvalue().decode() for each in streams[:2])
    assert isinstance(code, int)
    return Answer(code, out, err)


def process(
    *words: object, folder: Path, env: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start the command line as a user does."""
    return subprocess.Popen(
        command(*words),
        cwd=folder,
        env=os.environ | PLAIN | (env or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def command(*words: object) -> Sequence[str]:
    """Return the words that start the command line."""
    return [sys.executable, "-m", "truecount", *map(str, words)]


def ended(child: subprocess.Popen[bytes]) -> Answer:
    """Wait for a process and return what it said."""
    out, err = child.communicate(timeout=60)
    return Answer(child.returncode, out.decode(), err.decode())
