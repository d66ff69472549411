"""
A proxy between a storage and its server: it passes bytes on, until a test wants otherwise.

What it does to a connection is done to real sockets of a real server: a request that never
arrives, or one that is done while its reply is lost.
"""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from enum import Enum

from psycopg.conninfo import conninfo_to_dict, make_conninfo


class Fate(Enum):
    """What becomes of a request."""

    PASSED = "passed on, and its reply as well"
    CUT = "never arrives; the connection ends"
    UNANSWERED = "arrives and is done; the connection ends without the reply"


#: Decides the fate of a request before it is passed on.
Decide = Callable[[], Fate]

_BUFFER = 1 << 16
#: Ends a reply: ReadyForQuery, its length, the state of the transaction.
_READY = b"Z\x00\x00\x00\x05"


class Proxy:
    """Listens on a port of its own and connects everybody to one server."""

    def __init__(self, dsn: str) -> None:
        self._told = conninfo_to_dict(dsn)
        self._listener = socket.create_server(("127.0.0.1", 0))
        #: Asked about each request.
        self.decide: Decide = lambda: Fate.PASSED
        #: Whether new connections are ended at once.
        self.refuses = False
        self.fates: list[Fate] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def dsn(self, dsn: str) -> str:
        """Return *dsn* leading through this proxy."""
        port = self._listener.getsockname()[1]
        plain = {"sslmode": "disable", "gssencmode": "disable"}
        return make_conninfo(dsn, host="127.0.0.1", port=port, **plain)

    def once(self, fate: Fate) -> None:
        """Let the next request have *fate*."""

        def decide() -> Fate:
            self.decide = lambda: Fate.PASSED
            return fate

        self.decide = decide

    def close(self) -> None:
        """Take no more connections."""
        # Closing alone does not wake the thread that waits for one.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.refuses:
                    client.close()
                    continue
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        fate = Fate.PASSED
        is_begun = False  # Until the server is ready for a request there is none to decide on.
        tail = b""
        with client, self._server() as server, suppress(OSError):
            while True:
                for end in select.select([client, server], [], [])[0]:
                    sent = end.recv(_BUFFER)
                    if not sent:
                        return
                    if end is client:
                        if is_begun and fate is Fate.PASSED:
                            fate = self.decide()
                            self.fates.append(fate)
                        if fate is Fate.CUT:
                            return
                        server.sendall(sent)
                        continue
                    tail = (tail + sent)[-len(_READY) - 1 :]
                    is_begun |= _READY in tail
                    if fate is Fate.PASSED:
                        client.sendall(sent)
                    elif _READY in tail:
                        return

    def _server(self) -> socket.socket:
        host, port = str(self._told.get("host", "127.0.0.1")), int(self._told.get("port") or 5432)
        if not host.startswith("/"):
            return socket.create_connection((host, port))
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{host}/.s.PGSQL.{port}")
        return server


@contextmanager
def proxied(dsn: str) -> Iterator[Proxy]:
    """Yield a proxy before the server of *dsn*."""
    with closing(Proxy(dsn)) as proxy:
        yield proxy
