"""
Turns: threads of which one runs at a time, and a seed decides which goes on.

A client gives its turn back at every call to the storage, and the next one is drawn. So
each interleaving of those calls is possible, none depends on the machine, and the same seed
makes the same one again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from random import Random
from typing import Any, Final

import attrs

from truecount.errors import InternalError, StorageError, TrueCountError
from truecount.testing.claims import DEADLINE


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
    #: The lock it cannot have yet, and whether it would share it.
    waits_for: tuple[Hashable, bool] | None = None
    done: bool = False
    result: Any = None
    fault: BaseException | None = None
    thread: threading.Thread | None = None


@attrs.define
class _Lock:
    """Who has something locked, and whether others may share it."""

    shared: bool
    holders: set[str]


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
        self._locks: dict[Hashable, _Lock] = {}
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
        while not self._is_free(name, who, shared=shared):
            if client is None:
                raise InternalError(f"{name} is locked by {self._locks[name].holders}")
            self.trace.append(f"{client.name} waits for {name}")
            client.waits_for = (name, shared)
            self._give_back(client)
        if client is not None:
            client.waits_for = None
        lock = self._locks.setdefault(name, _Lock(shared, set()))
        lock.shared = lock.shared and shared
        lock.holders.add(who)

    def release(self) -> None:
        """Unlock everything that the running client has locked."""
        client = self._client()
        who = client.name if client else _NOBODY
        for name, lock in list(self._locks.items()):
            lock.holders.discard(who)
            if not lock.holders:
                del self._locks[name]

    def _is_free(self, name: Hashable, who: str, *, shared: bool) -> bool:
        lock = self._locks.get(name)
        return lock is None or not (lock.holders - {who}) or (shared and lock.shared)

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
        runnable = [client for client in living if self._can_go_on(client)]
        if not runnable:
            waits = "; ".join(f"{client.name} for {client.waits_for}" for client in living)
            raise AssertionError(f"clients: expected one that can go on, got a deadlock: {waits}")
        return runnable

    def _can_go_on(self, client: _Client) -> bool:
        if client.waits_for is None:
            return True
        name, shared = client.waits_for
        return self._is_free(name, client.name, shared=shared)

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


_NOBODY: Final = "nobody"
