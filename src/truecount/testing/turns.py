"""
Turns: threads of which one runs at a time, and a seed decides which goes on.

A client gives its turn back at every call to the storage, and the next one is drawn. So
each interleaving of those calls is possible, none depends on the machine, and the same seed
makes the same one again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from random import Random
from typing import Any, Final

import attrs

from truecount.errors import InternalError, StorageError, TrueCountError
from truecount.testing.claims import DEADLINE
from truecount.testing.locks import Locks


#: Steps of the trace that a failure shows.
SHOWN: Final = 20


class _Over(BaseException):
    """Ends the clients of a simulation that has failed elsewhere."""


@attrs.define(eq=False)
class _Client:
    """A thread, what it waits for, and what became of it."""

    name: str
    call: Callable[[], Any]
    baton: threading.Semaphore = attrs.field(factory=lambda: threading.Semaphore(0))
    #: What it waits for, and whether that has come.
    waits_for: tuple[str, Callable[[], bool]] | None = None
    done: bool = False
    result: Any = None
    fault: BaseException | None = None
    thread: threading.Thread | None = None


class Turns:
    """
    Runs clients one at a time and keeps the locks they take from each other.

    ``trace`` has a line for every step: the same seed over the same clients writes the same.
    Threads that are no client of it (who prepares, who checks) never wait.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.trace: list[str] = []
        self._random = Random(seed)
        self._clients: list[_Client] = []
        self._here = threading.local()
        self._back = threading.Semaphore(0)
        self._locks = Locks()
        self._over = False

    # --- what clients do ---------------------------------------------------------------

    def pause(self, step: str) -> None:
        """Note *step* of the running client, and let the seed decide who goes on."""
        client = self._client()
        if client is None:
            return
        self.trace.append(f"{client.name} {step}")
        self._give_back(client)

    def take(self, name: Hashable, *, shared: bool = False) -> None:
        """
        Lock *name*, waiting until nobody else has it in a way that excludes this one.

        Each lock is a step: between two of them others may take theirs.

        Raises:
            InternalError: A thread that is no client would have to wait.
        """
        self.pause(f"locks {name}")
        client = self._client()
        who = client.name if client else _NOBODY
        if client is not None:
            self.wait(str(name), partial(self._locks.is_free, name, who, shared=shared))
        elif not self._locks.is_free(name, who, shared=shared):
            raise InternalError(f"{name} is locked by {sorted(self._locks.holders(name))}")
        self._locks.hold(name, who, shared=shared)

    def release(self) -> None:
        """Unlock everything that the running client has locked."""
        client = self._client()
        self._locks.release(client.name if client else _NOBODY)

    def wait(self, what: str, come: Callable[[], bool]) -> None:
        """
        Let others go on until *come* says that *what* the running client waits for has come.

        Raises:
            InternalError: A thread that is no client would have to wait.
        """
        client = self._client()
        while not come():
            if client is None:
                raise InternalError(f"nobody else runs who could bring {what}")
            self.trace.append(f"{client.name} waits for {what}")
            client.waits_for = (what, come)
            self._give_back(client)
            client.waits_for = None

    def _client(self) -> _Client | None:
        client: _Client | None = getattr(self._here, "client", None)
        return client

    def _give_back(self, client: _Client) -> None:
        self._back.release()
        client.baton.acquire()
        if self._over:
            raise _Over

    # --- who is next -------------------------------------------------------------------

    def run(self, calls: Sequence[Callable[[], Any]]) -> list[Any]:
        """
        Run *calls*, interleaved; return their results, errors of truecount among them.

        Raises:
            AssertionError: Clients wait for each other; or a client raised it.
            StorageError, InternalError: A client raised what no caller can help.
        """
        self._clients = [_Client(f"client-{n}", call) for n, call in enumerate(calls)]
        for client in self._clients:
            client.thread = threading.Thread(target=self._live, args=(client,), daemon=True)
            client.thread.start()
        try:
            while any(not client.done for client in self._clients):
                self._step(self._random.choice(self._runnable()))
        finally:
            self._end()
        return [client.result for client in self._clients]

    def _runnable(self) -> list[_Client]:
        """Return whoever can go on; that nobody can is a deadlock."""
        living = [client for client in self._clients if not client.done]
        runnable = [client for client in living if _can_go_on(client)]
        if not runnable:
            waits = "; ".join(f"{client.name} for {_awaited(client)}" for client in living)
            raise AssertionError(f"clients: expected one that can go on, got a deadlock: {waits}")
        return runnable

    def _step(self, client: _Client) -> None:
        client.baton.release()
        if not self._back.acquire(timeout=DEADLINE):
            raise AssertionError(
                f"{client.name}: expected its next call within {DEADLINE} s, got stuck"
            )
        if client.fault is not None:
            raise client.fault

    def _live(self, client: _Client) -> None:
        """Be a client, in its thread: wait for the first turn, work, give the last one back."""
        self._here.client = client
        client.baton.acquire()
        try:
            if not self._over:
                client.result = client.call()
        except (StorageError, InternalError) as error:
            client.fault = error
        except TrueCountError as error:
            client.result = error
        except _Over:
            pass
        except BaseException as error:  # noqa: BLE001 -- it is raised in the thread that runs us
            client.fault = error
        client.done = True
        self._back.release()

    def _end(self) -> None:
        """Let whoever is left unwind, one after the other."""
        self._over = True
        for client in self._clients:
            while not client.done and client.thread is not None and client.thread.is_alive():
                client.baton.release()
                if not self._back.acquire(timeout=DEADLINE):
                    break


def _can_go_on(client: _Client) -> bool:
    return client.waits_for is None or client.waits_for[1]()


def _awaited(client: _Client) -> str:
    return client.waits_for[0] if client.waits_for else "nothing"


_NOBODY: Final = "nobody"
