"""
The connection that was put back last, kept at hand for whoever comes next.

The way through the pool is several times as long, and mostly one thread writes at a time.

Rules:
1. It is one, and stays out of the pool for ``KEPT_SECONDS`` at most, as far as anybody comes: how
   long connections live is the pool's to say.
2. Nobody waits for the pool while there is one here. Who is about to wait says so, then looks
   once more; who leaves one here looks afterwards whether somebody waits, and takes it to the
   pool.

Who calls whom: ``Connections`` asks here before it asks the pool.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from truecount.storage.postgres.wire import OwnConnection


#: How long a connection is not seen by the pool.
KEPT_SECONDS: Final = 60.0


class AtHand:
    """At most one idle connection of one pool, for all threads of this process."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        #: Appending and popping are one step each, so this needs no lock.
        self._kept: list[OwnConnection] = []
        self._waiting = 0
        self._is_closed = False

    def take(self) -> OwnConnection | None:
        """Return the connection that is here, if there is one."""
        try:
            return self._kept.pop()
        except IndexError:
            return None

    @contextmanager
    def waiting(self) -> Iterator[OwnConnection | None]:
        """Say that one is waited for elsewhere; yield one that has come meanwhile."""
        with self._mutex:
            self._waiting += 1
        try:
            yield self.take()
        finally:
            with self._mutex:
                self._waiting -= 1

    def keep(self, connection: OwnConnection) -> OwnConnection | None:
        """Keep an idle connection; return one that is to be put into the pool instead."""
        if is_due(connection):
            return connection
        self._kept.append(connection)
        # Looked at afterwards, or two who come at once would both leave theirs.
        is_one_too_many = len(self._kept) > 1 or self._waiting or self._is_closed
        return self.take() if is_one_too_many else None

    def close(self) -> OwnConnection | None:
        """Keep none from now on; return the one that was here."""
        self._is_closed = True
        return self.take()


def is_due(connection: OwnConnection) -> bool:
    """Return whether the pool is to see the connection again."""
    return time.monotonic() - connection.taken_at > KEPT_SECONDS
