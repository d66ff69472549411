"""
Group commit: callers of one process share a transaction, each gets its own outcome.

Rules:
1. A caller that finds nobody writing writes at once and alone: a lone caller never waits.
2. Whoever comes while a write runs queues; when it ends the first in the queue leads and
   writes everything queued by then, at most ``BATCH_MAX`` requests.
3. After a shared write its callers come back together. So the next to write gives them a
   moment (``GATHER_SECONDS``, at most ``GATHER_TURNS`` times) to queue up again; the first
   write that nobody joins ends that.
4. A child process starts with nobody writing: the threads that were are the parent's.
5. A failure of the transaction is every member's failure; a refusal is one member's.

A shell: it holds threads' locks and knows no rule of stock.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from copy import copy
from functools import partial
from typing import Final, Protocol
from weakref import WeakSet

import attrs

from truecount.errors import OutcomeUnknown, TrueCountError
from truecount.model.outcomes import Outcome
from truecount.write.intents import Intent


BATCH_MAX: Final = 512
GATHER_SECONDS: Final = 0.00005
GATHER_TURNS: Final = 2


class Latch(Protocol):
    """Made shut: who acquires it waits until another releases it, once."""

    def acquire(self) -> bool:
        """Wait until it is released."""
        ...

    def release(self) -> None:
        """Let the one who waits go on."""
        ...


def _latch() -> threading.Lock:
    latch = threading.Lock()
    latch.acquire()
    return latch


@attrs.frozen
class Meeting:
    """How callers of one process wait for each other: as threads do, or as a simulator says."""

    #: Returns a new latch, shut.
    latch: Callable[[], Latch] = _latch
    #: Lets a moment pass in which others may queue up.
    rest: Callable[[], object] = partial(time.sleep, GATHER_SECONDS)


class _Ticket:
    """A caller's requests, and the latch it waits on."""

    __slots__ = ("intents", "latch", "leads", "outcomes", "problem")

    def __init__(self, intents: Sequence[Intent], latch: Latch) -> None:
        self.intents = intents
        self.latch = latch
        self.leads = False
        self.outcomes: list[Outcome] = []
        self.problem: TrueCountError | None = None


class GroupCommit:
    """Runs requests of many threads in as few transactions as their arrival allows."""

    def __init__(
        self,
        run: Callable[[Sequence[Intent]], list[Outcome]],
        meeting: Meeting = Meeting(),
    ) -> None:
        self._run = run
        self._meeting = meeting
        self.begin_anew()
        _GROUPS.add(self)

    def begin_anew(self) -> None:
        """Forget who was writing and who waited."""
        self._mutex = threading.Lock()
        self._queue: deque[_Ticket] = deque()
        self._writing = False
        #: How many callers shared the last write.
        self._crowd = 1

    def submit(self, intents: Sequence[Intent]) -> list[Outcome]:
        """
        Return the outcomes of *intents*, decided in one transaction, maybe with others'.

        Raises:
            TrueCountError: As the transaction raised it; nothing was written.
        """
        with self._mutex:
            alone = not self._writing
            self._writing = True
            if alone and self._crowd == 1:
                ticket = None
            else:
                ticket = _Ticket(intents, self._meeting.latch())
                if not alone:
                    self._queue.append(ticket)
        if ticket is None:
            try:
                return self._run(intents)
            finally:
                self._hand_over()
        if not alone:
            self._wait(ticket)
        if alone or ticket.leads:
            self._lead(ticket)
        if ticket.problem is not None:
            raise ticket.problem
        return ticket.outcomes

    def _wait(self, ticket: _Ticket) -> None:
        """Wait for the outcomes or for the lead; whoever is interrupted leaves the queue."""
        try:
            ticket.latch.acquire()
        except BaseException:
            with self._mutex:
                if ticket in self._queue:
                    self._queue.remove(ticket)
            if ticket.leads:
                self._hand_over()
            raise

    def _lead(self, own: _Ticket) -> None:
        """Write the queue up to the limit, answer everybody, let the next one lead."""
        batch = [own]
        try:
            self._gather(batch)
            self._answer(batch)
        except BaseException:
            for ticket in batch:
                key = ticket.intents[0].key
                ticket.problem = OutcomeUnknown(key, "the writing thread was stopped")
            raise
        finally:
            self._hand_over()
            for ticket in batch[1:]:
                ticket.latch.release()

    def _gather(self, batch: list[_Ticket]) -> None:
        """Let callers of the last write come again, then take the queue up to the limit."""
        for _ in range(GATHER_TURNS):
            if len(self._queue) + 1 >= self._crowd:
                break
            self._meeting.rest()
        with self._mutex:
            size = len(batch[0].intents)
            while self._queue and size + len(self._queue[0].intents) <= BATCH_MAX:
                ticket = self._queue.popleft()
                size += len(ticket.intents)
                batch.append(ticket)
            self._crowd = len(batch)

    def _answer(self, batch: list[_Ticket]) -> None:
        try:
            outcomes = iter(self._run([intent for ticket in batch for intent in ticket.intents]))
        except TrueCountError as error:
            for ticket in batch:
                ticket.problem = _told(error, ticket)
                ticket.problem.__cause__ = error
            return
        for ticket in batch:
            ticket.outcomes = [next(outcomes) for _ in ticket.intents]

    def _hand_over(self) -> None:
        with self._mutex:
            if not self._queue:
                self._writing = False
                return
            successor = self._queue.popleft()
            successor.leads = True
        successor.latch.release()


def _told(error: TrueCountError, ticket: _Ticket) -> TrueCountError:
    """Return a batch's error as one member's: what is unknown is asked for by its own key."""
    if isinstance(error, OutcomeUnknown):
        return OutcomeUnknown(ticket.intents[0].key, error.problem)
    return copy(error)


_GROUPS: Final[WeakSet[GroupCommit]] = WeakSet()


def _after_fork() -> None:
    for group in list(_GROUPS):
        group.begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
