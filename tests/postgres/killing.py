"""
Kill an import into PostgreSQL again and again, with ``kill -9``, until one run gets through.

Run as a program, ``python -m tests.postgres.killing DSN SCHEMA FILE SEED``, so that it forks
from a process with one thread and no open connection. Nothing is awaited between two runs:
the server may still be busy with what the last one sent.
"""

from __future__ import annotations

import os
import random
import select
import signal
import sys
from pathlib import Path

from truecount import Inventory
from truecount.errors import InvalidData, TrueCountError
from truecount.ledger import importing
from truecount.storage.postgres import PostgresStorage


#: Lines of a chunk: few, so that a small file has many.
CHUNK = 3
#: How many chunks further than the last run one may get, and how long into the next, in seconds.
FURTHER_MAX = 3
SECONDS_MAX = 0.01
RUNS_MAX = 500


def main(dsn: str, schema: str, file: Path, seed: int) -> None:
    """Import *file*, killed at random; tell how often."""
    draw = random.Random(seed)
    chunks = 1
    for runs in range(RUNS_MAX):
        chunks += draw.randint(0, FURTHER_MAX)
        if _gets_through(dsn, schema, file, chunks, draw.uniform(0, SECONDS_MAX)):
            print(runs)  # noqa: T201 -- for whoever started us
            return
    raise AssertionError(f"after {RUNS_MAX} runs it is not done")


def _gets_through(dsn: str, schema: str, file: Path, chunks: int, seconds: float) -> bool:
    """Import in a child, and kill it so far on; return whether it was done before."""
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(told)
        os._exit(_imported(dsn, schema, file, tell))
    os.close(tell)
    for _ in range(chunks):
        os.read(told, 1)
    select.select([told], [], [], seconds)
    os.kill(child, signal.SIGKILL)
    os.close(told)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) != signal.SIGKILL:
        raise AssertionError(f"the import failed: status {status}")
    return os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0


def _imported(dsn: str, schema: str, file: Path, tell: int) -> int:
    """Import in a child; return its exit code."""
    engine = Inventory(PostgresStorage(dsn, schema=schema))._engine

    def progress(_done: int, _to_do: int) -> None:
        os.write(tell, b".")

    try:
        with file.open(encoding="utf-8", newline="") as stream:
            importing.import_lines(engine, stream, chunk=CHUNK, progress=progress)
    except TrueCountError as error:
        if not isinstance(error, InvalidData):
            return 1  # The last run's connection was still writing.
        print(error, file=sys.stderr)  # noqa: T201 -- for whoever started us
        os.abort()
    return 0


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
