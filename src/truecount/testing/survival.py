"""
Survival: whatever goes wrong, and wherever, nothing is half done and nothing done twice.

``every_fault`` lets a scenario fail before its first call to the storage, after the first,
before the second, and so on until it runs clean, and proves after each fault:

I8  What is stored is what some whole number of commits had written, never a part of one.
I6  The same calls under the same keys, repeated, end where a run without faults ends.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeAlias

from truecount.errors import Retryable, TrueCountError
from truecount.inventory import Inventory
from truecount.model.movements import MovementRow, decode
from truecount.protocols.storage import Storage
from truecount.testing.capabilities import Reopen
from truecount.testing.claims import MakeStorage, expect
from truecount.testing.fakes import CountingIds, ManualClock
from truecount.testing.faults import (
    BusyAtRandom,
    Call,
    Crash,
    FailAt,
    FaultyStorage,
    Moment,
    failure_of,
)
from truecount.testing.invariants import assert_invariants
from truecount.testing.samples import TENANT, dump


#: What a shop does, each change under a key of its own, so that it may be repeated.
Scenario: TypeAlias = Callable[[Inventory, ManualClock], object]

#: What the clients of ``every_fault`` name the ids they make; keys with it were minted.
_FIRST: Final = "first~"
_AGAIN: Final = "again~"
#: A way to fail: what is raised at the call.
_KINDS: Final[dict[str, Callable[[Call], BaseException]]] = {
    "crash": Crash,
    "error": failure_of,
}


def every_fault(
    make_storage: MakeStorage,
    scenario: Scenario,
    *,
    prepare: Scenario | None = None,
    reopen: Reopen | None = None,
    stride: int = 1,
) -> int:
    """
    Let *scenario* fail at every call to the storage, both sides, both ways; return how often.

    After each fault what is stored must be what whole commits wrote, and *scenario*, run
    again under the same keys, must end where it ends without faults.

    >>> from truecount import MemoryStorage
    >>> def trade(inventory, clock):
    ...     inventory.receive("MUG", 5, at="berlin", key="asn-1")
    ...     inventory.reserve({"MUG": 2}, reference="cart-1", key="cart-1/reserve")
    >>> def prepare(inventory, clock):
    ...     inventory.locations.add("berlin")
    >>> every_fault(MemoryStorage, trade, prepare=prepare) >= 40
    True

    Args:
        prepare: Happens before, without faults: declares locations and rules.
        reopen: Opens the storage again after a crash; without it the same one goes on.
        stride: Only every *stride*-th call: a sample, for quick runs.

    Raises:
        AssertionError: A fault left a trace or a gap; a note says at which call it struck.

    Complexity: O(calls² · what a call costs): a long scenario takes a while.
    """
    every = _Every(make_storage, scenario, prepare or _nothing, reopen)
    tried = 0
    for kind in _KINDS:
        for moment in Moment:
            number = 1
            while every.survives(FailAt(number, moment, error=_KINDS[kind])):
                tried += 1
                number += stride
    return tried


def _nothing(inventory: Inventory, clock: ManualClock) -> None:
    pass


class _Every:
    """A scenario, how it goes without faults, and how to try it with one."""

    def __init__(
        self,
        make_storage: MakeStorage,
        scenario: Scenario,
        prepare: Scenario,
        reopen: Reopen | None,
    ) -> None:
        self.make_storage = make_storage
        self.scenario = scenario
        self.prepare = prepare
        self.reopen = reopen
        #: What is stored after each number of commits, in a run without faults.
        self.states: list[Any] = []
        storage, faulty = self.prepared()

        def remember(call: Call, moment: Moment) -> None:
            if call.name == "commit" and moment is Moment.AFTER:
                self.states.append(_state(storage))

        self.states.append(_state(storage))
        faulty.plan = remember
        self.run(faulty, _FIRST)
        self.effects = effects(storage)
        storage.close()

    def prepared(self) -> tuple[Storage, FaultyStorage]:
        storage = self.make_storage()
        clock = ManualClock()
        self.prepare(Inventory(storage, clock=clock, new_id=CountingIds("prepared~")), clock)
        return storage, FaultyStorage(storage)

    def run(self, storage: Storage, prefix: str) -> None:
        clock = ManualClock()
        self.scenario(Inventory(storage, clock=clock, new_id=CountingIds(prefix)), clock)

    def survives(self, plan: FailAt) -> bool:
        """Return whether the fault struck; raise AssertionError unless it was survived."""
        storage, faulty = self.prepared()
        faulty.plan = plan
        try:
            self.run(faulty, _FIRST)
        except (Crash, TrueCountError) as error:
            if plan.fired is None:
                raise
            struck = error
        else:
            storage.close()
            return self._ended_well(plan)
        try:
            storage = self._after(storage, faulty, crashed=isinstance(struck, Crash))
            storage.close()
        except BaseException as error:
            fault = "a crash" if isinstance(struck, Crash) else type(struck).__name__
            error.add_note(f"after {fault} {plan.moment} {plan.fired}")
            raise
        return True

    def _ended_well(self, plan: FailAt) -> bool:
        """Say so if a scenario swallowed the fault; otherwise there was no such call."""
        if plan.fired is not None:
            raise AssertionError(
                f"a scenario lets errors of the storage through: expected {plan.fired} to end it, "
                "got a scenario that went on"
            )
        return False

    def _after(self, storage: Storage, faulty: FaultyStorage, *, crashed: bool) -> Storage:
        if crashed and self.reopen is not None:
            storage.close()
            storage = self.reopen(storage)
        expect(_state(storage), self.states[faulty.commits], "what whole commits wrote (I8)")
        self.run(storage, _AGAIN)
        expect(effects(storage), self.effects, "the end of the same calls, repeated (I6)")
        assert_invariants(Inventory(storage, clock=ManualClock()))
        return storage


def _state(storage: Storage) -> Any:
    """Return all that is stored, column by column, but for positions: they may come later."""
    with storage.read(TENANT) as reader:
        references = [record.id for record in reader.records("order")]
    found = dump(storage, references)
    return {**found, "feed": {row.id: row for _, row in found["feed"]}}


class Effects(NamedTuple):
    """What a history did, without the ids and times that two runs of it do not share."""

    movements: list[tuple[object, ...]]
    stock: dict[object, object]
    lines: dict[object, object]
    records: dict[tuple[str, str], int]
    outcomes: dict[str, object]


def effects(storage: Storage) -> Effects:
    """
    Return what the history in *storage* did; the same for two runs of one scenario.

    Movements are sorted by what they say, the versions they made included: which of two that
    share no key comes first in the feed is the storage's business.
    """
    with storage.read(TENANT) as reader:
        told = sorted((_said(row), row.id, row.reverses) for _, row in reader.feed(0, _ALL))
        place = {id_: number for number, (_, id_, _) in enumerate(told, 1)}
        orders = [record.id for record in reader.records("order", "", _ALL)]
        records = [row for space in reader.spaces() for row in reader.records(space, "", _ALL)]
        return Effects(
            movements=[(*said, place.get(reverses or "")) for said, _, reverses in told],
            stock={key: row.amounts for key, row in reader.stock()},
            lines={
                (row.reference, row.number): (row.key, row.counters)
                for reference in orders
                for row in reader.lines(reference)
            },
            records={(row.space, str(place.get(row.id, row.id))): row.version for row in records},
            outcomes={
                row.key: json.loads(row.body).get("error")
                for row in reader.outcomes("", _ALL)
                if "~" not in row.key
            },
        )


def _said(row: MovementRow) -> tuple[str, ...]:
    """Return what a movement says, as texts; no two of a ledger make the same versions."""
    body = decode(row.body)
    words = (row.reference, row.reason, row.actor, row.origin)
    return row.kind, *map(str, (*words, body.extends, body.legs, body.notes))


_ALL: Final = 100_000


def while_busy(
    make_storage: MakeStorage,
    scenario: Scenario,
    *,
    seed: int,
    share: float = 0.01,
    prepare: Scenario | None = None,
) -> int:
    """
    Repeat *scenario* while a share of all calls is busy; return how often it had to be begun.

    It must end where it ends when nothing is ever busy.

    Raises:
        AssertionError: It ends elsewhere, or was not done after ``REPEATS_MAX`` attempts.
    """
    every = _Every(make_storage, scenario, prepare or _nothing, None)
    storage, faulty = every.prepared()
    faulty.plan = BusyAtRandom(seed, share)
    for attempt in range(1, REPEATS_MAX + 1):
        try:
            every.run(faulty, f"{_AGAIN}{attempt}~")
        except Retryable:
            continue
        expect(effects(storage), every.effects, f"the end of a scenario while busy, seed {seed}")
        assert_invariants(Inventory(storage, clock=ManualClock()))
        storage.close()
        return attempt
    raise AssertionError(
        f"a scenario while busy, seed {seed}: expected to be done, got {REPEATS_MAX} failures"
    )


REPEATS_MAX: Final = 1000
