"""
A proxy that pools transactions: a few server connections, each lent for one transaction.

It does as those in use do: a client is answered by the proxy itself when it arrives, and
from then on gets a server connection with its first request, the one that was used last, and
gives it back when the server says that no transaction is open.
"""

from __future__ import annotations

import queue
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
from psycopg.conninfo import make_conninfo


_BUFFER = 1 << 16
_HEAD = struct.Struct("!cI")
_SYNC, _QUERY, _END, _READY = b"S", b"Q", b"X", b"Z"


class _Messages:
    """A socket read message by message."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._read = b""

    def _take(self, size: int) -> bytes:
        while len(self._read) < size:
            more = self._end.recv(_BUFFER)
            if not more:
                raise ConnectionError("it was closed")
            self._read += more
        taken, self._read = self._read[:size], self._read[size:]
        return taken

    def start(self) -> None:
        """Read the message a client begins with, which has no kind."""
        [size] = struct.unpack("!I", self._take(4))
        self._take(size - 4)

    def next(self) -> tuple[bytes, bytes]:
        """Return the kind of the next message, and all of it."""
        head = self._take(_HEAD.size)
        kind, size = _HEAD.unpack(head)
        return kind, head + self._take(size - 4)


def _message(kind: bytes, body: bytes) -> bytes:
    return _HEAD.pack(kind, len(body) + 4) + body


#: You are who you say; texts are UTF-8; a number to cancel by that nobody knows; ask.
_WELCOME = (
    _message(b"R", struct.pack("!I", 0))
    + _message(b"S", b"client_encoding\0UTF8\0")
    + _message(b"S", b"server_version\x0018.0\0")
    + _message(b"S", b"standard_conforming_strings\0on\0")
    + _message(b"K", struct.pack("!II", 1, 1))
    + _message(_READY, b"I")
)


class Pooler:
    """Lends *servers* connections to whoever asks."""

    def __init__(self, dsn: str, servers: int) -> None:
        self._opened = [psycopg.connect(dsn, autocommit=True) for _ in range(servers)]
        self._lent: list[socket.socket] = []
        self._free: queue.LifoQueue[socket.socket] = queue.LifoQueue()
        for server in self._opened:
            lent = socket.socket(fileno=socket.dup(server.fileno()))
            lent.settimeout(None)
            self._free.put(lent)
            self._lent.append(lent)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        """Take no more clients."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for server in self._opened:
            server.close()
        for lent in self._lent:
            lent.close()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError, ConnectionError):
            requests = _Messages(client)
            requests.start()
            client.sendall(_WELCOME)
            while self._transaction(client, requests):
                pass

    def _transaction(self, client: socket.socket, requests: _Messages) -> bool:
        """Lend a connection for one transaction; return whether the client is still there."""
        asked = _asked(requests)
        if not asked:
            return False
        server = self._free.get(timeout=10)
        try:
            told, is_over = _answered(server, asked)
            while not is_over:
                client.sendall(told)
                asked = _asked(requests)
                told, is_over = _answered(server, asked or _message(_QUERY, b"ROLLBACK\0"))
        finally:
            # Given back before the client hears of it, as by a proxy that is one loop.
            self._free.put(server)
        client.sendall(told)
        return bool(asked)


def _asked(requests: _Messages) -> bytes:
    """Return a request up to where it wants an answer; nothing from a client that leaves."""
    asked = kind = b""
    while kind not in {_SYNC, _QUERY}:
        kind, message = requests.next()
        if kind == _END:
            return b""
        asked += message
    return asked


def _answered(server: socket.socket, asked: bytes) -> tuple[bytes, bool]:
    """Return the answer to a request, and whether no transaction is open after it."""
    server.sendall(asked)
    answers = _Messages(server)
    told = kind = message = b""
    while kind != _READY:
        kind, message = answers.next()
        told += message
    return told, message.endswith(b"I")


@contextmanager
def pooling(dsn: str, servers: int) -> Iterator[str]:
    """Yield how to connect through a pooler with so many *servers*."""
    pooler = Pooler(dsn, servers)
    try:
        plain = {"sslmode": "disable", "gssencmode": "disable"}
        yield make_conninfo(dsn, host="127.0.0.1", port=pooler.port, **plain)
    finally:
        pooler.close()
