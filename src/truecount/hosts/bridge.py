"""
An asynchronous connection of psycopg, used as a synchronous one in the same transaction.

psycopg writes what it does with a connection as generators, and a connection only differs in
how it waits while one of them runs. So a synchronous connection over the same libpq
connection, which waits as the asynchronous one does, is all that is needed: other tasks run
meanwhile. Waiting without them could wait for ever, for a lock that one of them holds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg


class BridgedConnection(psycopg.Connection[Any]):
    """
    The connection of *host*, for as long as one call of ours takes.

    It owns nothing: it is never closed, and its driver prepares nothing, because the names it
    would give are the host's to give.

    Args:
        wait: Runs a coroutine of the host's event loop, and returns what it returns.
    """

    def __init__(self, host: psycopg.AsyncConnection[Any], wait: Callable[[Any], object]) -> None:
        pgconn = host.pgconn
        handlers = pgconn.notice_handler, pgconn.notify_handler
        super().__init__(pgconn)
        # A new connection takes these over; they stay the host's.
        pgconn.notice_handler, pgconn.notify_handler = handlers
        self._async = host
        self._wait = wait
        self.prepare_threshold = None

    def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        """Let the host's event loop run until *gen* is done."""
        return self._wait(self._async.wait(gen, *args, **kwargs))

    def __del__(self, *_: object) -> None:
        """Say nothing of being open: the host's connection is, and rightly so."""
