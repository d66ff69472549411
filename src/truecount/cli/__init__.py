"""
The command line: ``truecount``, or ``python -m truecount``. Needs the extra ``cli``.

One module for each group of commands; ``csv_file``, ``csv_columns``, ``csv_cells``, ``csv_rows``
and ``csv_import`` know how a CSV file becomes facts and nothing of the command line.
"""

from __future__ import annotations

import sys
from io import StringIO, TextIOWrapper


def main() -> None:
    """Run the command line; see ``truecount --help``."""
    try:
        from truecount.cli.app import app
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"rich", "typer"}:
            raise
        sys.exit(f"truecount: cannot start: no module {error.name}; pip install 'truecount[cli]'")
    if sys.stderr is None:  # Started with it closed: complaints go nowhere, not into the output.
        sys.stderr = StringIO()
    if sys.stdout is None:
        print("truecount: cannot write: standard output is closed", file=sys.stderr)
        sys.exit(3)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal that cannot show a letter shows its number instead.
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="truecount")
