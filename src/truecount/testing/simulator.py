"""
A deterministic simulator: many clients over one storage, interleaved at every call by a seed.

The storage is the one in memory behind locks of single rows, as a large database has them
(``rowwise``): two writers meet only where they want the same row, order, document or key.
Clients of one process share its group commit, and take turns where one queues, leads or
hands over. A failure says which seed it was, and the same seed does the same again, step by
step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import cycle
from typing import Any, TypeAlias

import attrs

from truecount.errors import InvalidArgument
from truecount.inventory import Inventory
from truecount.protocols.storage import Storage
from truecount.testing.fakes import CountingIds, ManualClock
from truecount.testing.invariants import assert_invariants
from truecount.testing.rowwise import RowLocks
from truecount.testing.turns import SHOWN, Turns
from truecount.write.group import Meeting


#: What one client does; its result, or the error of truecount that ended it, is kept.
Client: TypeAlias = Callable[[Inventory], Any]


def _process(turns: Turns, inventory: Inventory) -> Inventory:
    """Let callers of one inventory take turns where they wait for each other."""
    meeting = Meeting(partial(_TurnLatch, turns), partial(turns.pause, "gathers"))
    inventory._engine.meet(meeting)  # noqa: SLF001 -- how threads wait is nobody else's business
    return inventory


class _TurnLatch:
    """Where a caller waits for its group, and others take their turns meanwhile."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._open = False

    def acquire(self) -> bool:
        """Wait until it is released."""
        self._turns.pause("queues")
        self._turns.wait("its group", lambda: self._open)
        return True

    def release(self) -> None:
        """Let the one who waits go on, at its next turn."""
        self._open = True
        self._turns.pause("hands over")


# --- simulations -------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Simulated:
    """
    What came of one interleaving.

    Attributes:
        results: What each client returned, or the error of truecount that ended it.
        trace: Every step, in order: the client and the call, or the lock it waits for.
        storage: Where it happened, to be looked at.
    """

    seed: int
    results: tuple[Any, ...]
    trace: tuple[str, ...]
    storage: Storage


def simulate(
    clients: Sequence[Client],
    *,
    seed: int,
    prepare: Client | None = None,
    processes: int | None = None,
    make_storage: Callable[[Turns], RowLocks] = RowLocks,
    check: Callable[[Simulated], object] | None = None,
) -> Simulated:
    """
    Let *clients* work at once, interleaved as *seed* says, then check what they left.

    Each has an inventory of its own, as several processes would; they share a clock. Where
    there are fewer *processes* than clients, those of one share its inventory, and the next
    transaction of one may write for all of them (group commit).

    >>> def stock(shop):
    ...     shop.locations.add("berlin")
    ...     return shop.receive("MUG", 1, at="berlin")
    >>> from functools import partial
    >>> def buy(name, shop):
    ...     return shop.reserve({"MUG": 1}, reference=name).status
    >>> done = simulate([partial(buy, "sam"), partial(buy, "kim")], seed=3, prepare=stock)
    >>> [type(result).__name__ for result in done.results]
    ['str', 'InsufficientStock']

    Args:
        prepare: Happens before, by itself.
        processes: Among how many inventories the clients are dealt out, one after the other;
            by default as many as there are clients.
        make_storage: For mutants: another storage that takes turns.
        check: Is called with the result, besides ``assert_invariants``; raises if it is wrong.

    Raises:
        AssertionError: Something is wrong; a note has the seed and the last steps.
        StorageError, InternalError: A client met one; noted in the same way.
    """
    turns = Turns(seed)
    storage = make_storage(turns)
    clock = ManualClock()
    processes = len(clients) if processes is None else processes
    if processes < 1 and clients:
        raise InvalidArgument("processes", str(processes), "at least one for the clients to run in")
    shops = [
        _process(turns, Inventory(storage, clock=clock, new_id=CountingIds(f"process-{number}")))
        for number in range(processes)
    ]
    if prepare is not None:
        prepare(Inventory(storage, clock=clock, new_id=CountingIds("prepared")))
    try:
        results = turns.run([partial(call, shop) for call, shop in zip(clients, cycle(shops))])
        done = Simulated(
            seed=seed, results=tuple(results), trace=tuple(turns.trace), storage=storage
        )
        assert_invariants(Inventory(storage, clock=clock))
        if check is not None:
            check(done)
    except BaseException as error:
        error.add_note(f"seed={seed}; the last of {len(turns.trace)} steps:")
        error.add_note("\n".join(f"  {step}" for step in turns.trace[-SHOWN:]))
        raise
    return done


def simulate_many(
    clients: Sequence[Client],
    *,
    seeds: Iterable[int] = range(100),
    prepare: Client | None = None,
    processes: int | None = None,
    make_storage: Callable[[Turns], RowLocks] = RowLocks,
    check: Callable[[Simulated], object] | None = None,
) -> int:
    """
    Simulate *clients* once for each of *seeds*; return how many different interleavings.

    Raises:
        AssertionError, StorageError, InternalError: As ``simulate`` does, for the first seed
            that fails; ``simulate`` with the seed of its note does the same again.
    """
    seen: set[tuple[str, ...]] = set()
    for seed in seeds:
        done = simulate(
            clients,
            seed=seed,
            prepare=prepare,
            processes=processes,
            make_storage=make_storage,
            check=check,
        )
        seen.add(done.trace)
    return len(seen)
