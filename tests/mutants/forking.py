"""
A pytest that has collected its tests, and is forked for each mutant.

Loading and collecting take longer than most mutants live, so the functions of a mutated file
are put into those that are loaded already, in a fork that then runs the tests.

Rules:
1. A function keeps its identity: whoever imported it, or was made with it, has the mutant.
2. Where more than bodies of functions changed, a new process runs the tests.
3. What a module computed when it was loaded stays. A mutant of a function that was called for
   that may outlive tests that would kill it, but never the other way round.

As a plugin (``-p tests.mutants.forking --mutants SOCKET``) it serves; as a script
(``forking.py SOCKET SECONDS SOURCE TEST...``) it asks for a run and ends as that run did.
"""

from __future__ import annotations

import os
import signal
import socket
import sys


TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, FunctionType

    import pytest

#: Between the words of a request, which ends with it twice.
GAP = "\0"


def ask(path: str, words: list[str]) -> int:
    """Ask for a run and return its exit status, 1 if it ended without one."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(path)
        asking.sendall(f"{GAP.join(words)}{GAP}{GAP}".encode())
        answer = asking.recv(1)
    return answer[0] if answer else 1


def heard(asking: socket.socket) -> list[str]:
    """Read the words of a request."""
    words = b""
    while not words.endswith(2 * GAP.encode()):
        words += asking.recv(65536)
    return words.decode().strip(GAP).split(GAP)


# --- putting a mutant into what is loaded ------------------------------------------------


def functions_of(paths: set[str]) -> dict[str, list[FunctionType]]:
    """Return every function alive that was written in one of the files."""
    import gc
    from types import FunctionType

    found: dict[str, list[FunctionType]] = {path: [] for path in paths}
    for thing in gc.get_objects():
        if isinstance(thing, FunctionType) and thing.__code__.co_filename in found:
            found[thing.__code__.co_filename].append(thing)
    return found


def outline(source: str) -> str:
    """Return all of a module but the bodies of its functions."""
    import ast

    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = []
    return ast.dump(tree)


def codes_in(code: CodeType) -> dict[tuple[str, int], CodeType]:
    """Return the code of every function in *code*, by name and line."""
    from types import CodeType

    found = {(code.co_qualname, code.co_firstlineno): code}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= codes_in(constant)
    return found


def implant(path: str, before: str, functions: list[FunctionType]) -> bool:
    """Give *functions* the bodies they have in the file now; False if more than bodies changed."""
    from pathlib import Path

    source = Path(path).read_text(encoding="utf-8")
    if outline(source) != outline(before):
        return False
    codes = codes_in(compile(source, path, "exec"))
    for function in functions:
        code = function.__code__
        function.__code__ = codes[code.co_qualname, code.co_firstlineno]
    return True


# --- serving -----------------------------------------------------------------------------


class Server:
    """Forks for each request once the tests are collected; a fork goes on as any pytest."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.asking: socket.socket | None = None

    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Wait for requests; return in a fork only, with the tests it is to run."""
        from pathlib import Path

        sources = {
            str(path): path.read_text("utf-8") for path in Path("src").resolve().rglob("*.py")
        }
        functions = functions_of(set(sources))
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(self.path)
            listening.listen()
            while True:
                asking, _ = listening.accept()
                if os.fork() == 0:
                    break
                asking.close()
        self.asking = asking
        seconds, source, *files = heard(asking)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.alarm(int(seconds))  # Whoever asked may have given it up by then.
        path = str(Path(source).resolve())
        if not implant(path, sources[path], functions[path]):
            self.answer(afresh(session, [source, *files]))
        order = {Path(name).resolve(): number for number, name in enumerate([source, *files])}
        items = [item for item in session.items if item.path in order]
        session.items = sorted(items, key=lambda item: order[item.path])

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """End a fork without what the process it came from does at its end."""
        self.answer(exitstatus)

    def answer(self, status: int) -> None:
        """Say how it went, and end."""
        if self.asking is not None:
            self.asking.sendall(bytes([status]))
        os._exit(status)


def afresh(session: pytest.Session, files: list[str]) -> int:
    """Run *files* in a new process as the server was started, but for serving."""
    import subprocess

    words = session.config.invocation_params.args
    options = [word for word in words if word.startswith("-") and "mutants" not in word]
    command = [sys.executable, "-Bm", "pytest", *options, *files]
    return subprocess.run(command, capture_output=True, check=False).returncode


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the socket to serve at."""
    parser.addoption("--mutants", metavar="SOCKET", help="wait there and fork for each mutant")


def pytest_configure(config: pytest.Config) -> None:
    """Serve where a socket is named."""
    path = config.getoption("--mutants")
    if path is not None:
        config.pluginmanager.register(Server(path))


if __name__ == "__main__":
    sys.exit(ask(sys.argv[1], sys.argv[2:]))
