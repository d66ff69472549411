"""
A pytest that is loaded once and forked for each run: loading it takes longer than most mutants live.

``python -m tests.mutants.forking serve SOCKET`` waits for runs; ``... forking.py run SOCKET
SECONDS ARGUMENT...``, as a script, asks for one and ends as that run did. Nothing of truecount
is loaded before the fork, so each run sees the sources as they are.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from typing import NoReturn


#: Between the words of a request, which ends with it twice.
GAP = "\0"


def serve(path: str) -> NoReturn:
    """Run pytest in a child for each request, until killed."""
    import hypothesis.stateful
    import pytest

    del hypothesis
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        while True:
            asking, _ = listening.accept()
            with asking:
                if os.fork() == 0:
                    seconds, *arguments = _heard(asking)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    signal.alarm(int(seconds))  # Whoever asked may have given it up by then.
                    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                    asking.sendall(bytes([pytest.main(arguments)]))
                    os._exit(0)


def _heard(asking: socket.socket) -> list[str]:
    """Read the words of a request."""
    heard = b""
    while not heard.endswith(2 * GAP.encode()):
        heard += asking.recv(65536)
    return heard.decode().strip(GAP).split(GAP)


def run(path: str, words: list[str]) -> int:
    """Ask for a run and return its exit status, 1 if it ended without one."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(path)
        asking.sendall(f"{GAP.join(words)}{GAP}{GAP}".encode())
        answer = asking.recv(1)
    return answer[0] if answer else 1


if __name__ == "__main__":
    what, where, *rest = sys.argv[1:]
    sys.exit(run(where, rest) if what == "run" else serve(where))
