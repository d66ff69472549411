"""The history checker: explains what can be explained, by hand-made and by real histories."""

from __future__ import annotations

import itertools
import random
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.contracts.broken_locks import NoLocks, rowwise
from truecount import (
    Inventory,
    MemoryStorage,
    Policy,
    Received,
    Release,
    Reserve,
    SQLiteStorage,
)
from truecount.errors import IdempotencyConflict, OutcomeUnknown
from truecount.model.stock import EMPTY_ROW, EntryRow, StockKey, extend
from truecount.protocols.storage import Changes, Storage
from truecount.testing import (
    CountingIds,
    Event,
    FailAt,
    FaultyStorage,
    History,
    Ledger,
    ManualClock,
    Moment,
    check_history,
    unexplained,
)
from truecount.testing.claims import at_once, patiently
from truecount.testing.histories import movements_in


MUG = StockKey("MUG", "berlin")
THREADS = 4


def ledger(*changes: int, before: tuple[str, ...] = ()) -> Ledger:
    """Return a ledger of one key, with movements m1, m2, ... that change what is sellable."""
    row, chain = EMPTY_ROW, list[EntryRow]()
    for number, change in enumerate(changes, 1):
        row, entry = extend(row, MUG, [change, *[0] * 7], f"m{number}", number, number, None)
        chain.append(entry)
    ids = {entry.movement_id for entry in chain}
    return Ledger(chains={MUG: chain}, movements=ids, before=before)


def spoilt(**words: Any) -> Ledger:
    """Return a ledger of two entries, the second one wrong."""
    stored = ledger(5, -2)
    first, second = stored.chains[MUG]
    return attrs.evolve(stored, chains={MUG: [first, second._replace(**words)]})


def wrote(number: int, began: int, ended: int, **more: Any) -> Event:
    """Return a call that wrote movement *number*."""
    words = {"key": f"k{number}", "movements": (f"m{number}",), **more}
    return Event(call=f"write {number}", began=began, ended=ended, **words)


def saw(sellable: int, began: int, ended: int) -> Event:
    """Return a call that was shown figures."""
    amounts: Any = (sellable, 0, 0, 0, 0, 0, 0, 0)
    return Event(call=f"read {sellable}", began=began, ended=ended, read={MUG: amounts})


def refused(wanted: int, available: int, began: int, ended: int) -> Event:
    """Return a call that was refused for want of stock."""
    return Event(
        call=f"refusal of {wanted}",
        began=began,
        ended=ended,
        key="r",
        wanted={"MUG": wanted},
        short={"MUG": available},
    )


GOOD = {
    "one after the other": ([wrote(1, 1, 2), wrote(2, 3, 4), saw(3, 5, 6)], ledger(5, -2)),
    "concurrent writes in either order": ([wrote(2, 1, 4), wrote(1, 2, 3)], ledger(5, -2)),
    "a read beside a write sees before": ([wrote(1, 1, 4), saw(0, 2, 3)], ledger(5)),
    "a read beside a write sees after": ([wrote(1, 1, 4), saw(5, 2, 3)], ledger(5)),
    "reads that agree on an order": (
        [wrote(1, 1, 9), saw(0, 2, 3), saw(5, 4, 5)],
        ledger(5),
    ),
    "a refusal in a moment of want": (
        [wrote(1, 1, 2), wrote(2, 3, 8), wrote(3, 4, 9), refused(3, 1, 5, 6)],
        ledger(5, -4, 4),
    ),
    "a replay long after": (
        [wrote(1, 1, 2), wrote(2, 3, 4), wrote(1, 5, 6, replayed=True)],
        ledger(5, -2),
    ),
    "a lost reply that was written": (
        [wrote(1, 1, 2), Event(call="lost", began=3, ended=2**62, key="k2", unknown=True)],
        attrs.evolve(ledger(5, -2), outcomes={"k2": ("m2",)}),
    ),
    "a lost reply that was not": (
        [wrote(1, 1, 2), Event(call="lost", began=3, ended=2**62, key="k2", unknown=True)],
        ledger(5),
    ),
    "a movement of before": ([wrote(2, 1, 2)], ledger(5, -2, before=("m1",))),
}

BAD = {
    "a write before one that had ended": (
        [wrote(2, 1, 2), wrote(1, 3, 4)],
        ledger(5, -2),
        r"write 1 .* began after write 2 .* at version 2: expected a later version, got 1",
    ),
    "a stale read": (
        [wrote(1, 1, 2), saw(0, 3, 4)],
        ledger(5),
        r"read 0 .* began after write 1 .*expected figures of a later moment, got \(0,",
    ),
    "a read of the future": (
        [wrote(1, 1, 2), saw(3, 3, 4), wrote(2, 5, 6)],
        ledger(5, -2),
        r"write 2 .* began after read 3 .* at version 2: expected a later version, got 2",
    ),
    "reads that go back": (
        [wrote(1, 1, 9), saw(5, 2, 3), saw(0, 4, 5)],
        ledger(5),
        r"read 0 .* began after read 5",
    ),
    "a figure that never was": ([wrote(1, 1, 2), saw(4, 1, 4)], ledger(5), r"got \(4,"),
    "a refusal that was not short": (
        [wrote(1, 1, 2), refused(3, 0, 3, 4)],
        ledger(5),
        r"refusal of 3 .* got a refusal of 3 with 0 available",
    ),
    "a refusal although there was enough": (
        [wrote(1, 1, 2), refused(3, 5, 3, 4)],
        ledger(5),
        r"got a refusal of 3 with 5 available",
    ),
    "a write that was lost": (
        [wrote(1, 1, 2), wrote(2, 3, 4)],
        ledger(5),
        r"write 2 .* expected its movement 'm2' in the ledger, got nothing",
    ),
    "a write nobody asked for": ([], ledger(5), r"'m1': expected a call that wrote it"),
    "a version there twice": (
        [wrote(1, 1, 2), wrote(2, 3, 4)],
        spoilt(version=1),
        r"expected version 2, got 1 .*'m2'.*: an update was lost",
    ),
    "a version that forgot the one before": (
        [wrote(1, 1, 2), wrote(2, 3, 4)],
        spoilt(after=(-2, 0, 0, 0, 0, 0, 0, 0)),
        r"version 2: expected figures \(3, .*got \(-2, .*did not see the version before",
    ),
    "one key with two effects": (
        [wrote(1, 1, 2), wrote(2, 3, 4, key="k1")],
        ledger(5, 5),
        r"key 'k1': expected one effect",
    ),
    "one effect of two requests": (
        [wrote(1, 1, 2), wrote(1, 3, 4, key="k2")],
        ledger(5),
        r"movement 'm1': expected one request",
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_good_history_is_explained(name: str) -> None:
    """What some order explains is not called wrong."""
    events, stored = GOOD[name]
    assert list(unexplained(events, stored)) == []


@pytest.mark.parametrize("name", BAD)
def test_bad_history_is_not(name: str) -> None:
    """What no order explains is told, with the calls it is about."""
    events, stored, message = BAD[name]
    first = next(unexplained(events, stored), "nothing wrong")
    assert re.search(message, first), first


@pytest.mark.parametrize("seed", range(20))
def test_judgement_equals_a_search_through_all_orders(seed: int) -> None:
    """On small histories the quick judgement is that of trying every order."""
    luck = random.Random(seed)
    for _ in range(40):
        stored = ledger(*(luck.choice([1, -1, 2]) for _ in range(3)))
        events = []
        for number in range(1, 4):
            began = luck.randrange(1, 20)
            events.append(wrote(number, began, began + luck.randrange(1, 12)))
        for _ in range(2):
            began = luck.randrange(1, 20)
            events.append(saw(luck.randrange(-1, 5), began, began + luck.randrange(1, 12)))
        found = not list(unexplained(events, stored))
        assert found is some_order_explains(events, stored), events


def some_order_explains(events: list[Event], stored: Ledger) -> bool:
    """Try every order."""
    figures = [0, *(entry.after[0] for entry in stored.chains[MUG])]
    for order in itertools.permutations(events):
        version = 0
        for place, event in enumerate(order):
            if any(later.ended < event.began for later in order[place + 1 :]):
                break
            if event.movements:
                version += 1
                if event.movements != (f"m{version}",):
                    break
            elif event.read[MUG][0] != figures[version]:
                break
        else:
            return True
    return False


def test_a_lost_reply_is_noted_and_settled_by_what_is_stored() -> None:
    """A call that never learned its answer is explained by the outcome that is there."""
    lost = FailAt(1, Moment.AFTER, "commit", lambda _: OutcomeUnknown("asn-1", "no reply"))
    storage = FaultyStorage(MemoryStorage())
    shop = Inventory(storage)
    shop.locations.add("berlin")
    storage.plan = lost
    history = History()
    receipt = Received("MUG", 5, at="berlin", key="asn-1")
    with pytest.raises(OutcomeUnknown):
        history.submit(shop, receipt)
    assert history.figures(shop, "MUG", at="berlin").on_hand == 5
    assert history.submit(shop, receipt).replayed
    assert [event.unknown for event in history.events] == [True, False, False]
    check_history(history, storage)


def test_another_request_under_a_known_key_is_no_second_effect() -> None:
    """A conflict of keys is an answer like others, and is explained."""
    shop = Inventory(clock=ManualClock())
    shop.locations.add("berlin")
    history = History()
    history.submit(shop, Received("MUG", 5, at="berlin", key="asn-1"))
    conflict = history.submit(shop, Received("MUG", 6, at="berlin", key="asn-1"))
    assert isinstance(conflict.error, IdempotencyConflict)
    check_history(history, shop.storage)


# --- real threads ------------------------------------------------------------------------


def trade(history: History, storage: Storage, number: int) -> int:
    """Reserve, release, take in and look, as one of several clients."""
    luck = random.Random(number)
    shop = Inventory(storage, clock=ManualClock(), new_id=CountingIds(f"client-{number}"))
    open_carts: list[str] = []
    for turn in range(25):
        name = f"{number}-{turn}"
        act = luck.random()
        if act < 0.5:
            skus = luck.sample(["MUG", "TEA"], luck.randint(1, 2))
            wanted = {sku: luck.randint(1, 3) for sku in skus}
            cart = Reserve(wanted, reference=name, key=name, partial=luck.random() < 0.3)
            if patiently(partial(history.submit, shop, cart)).granted:
                open_carts.append(name)
        elif act < 0.7 and open_carts:
            release = Release(reference=open_carts.pop(), key=name)
            patiently(partial(history.submit, shop, release))
        elif act < 0.8:
            patiently(partial(history.submit, shop, Received("MUG", 1, at="berlin", key=name)))
        else:
            history.figures(shop, "MUG", at="berlin")
    return number


def race(storage: Storage) -> None:
    """Let several clients trade at once and check their history."""
    with closing(storage):
        shop = Inventory(storage, clock=ManualClock())
        shop.locations.add("berlin")
        shop.policies.set(Policy(safety_stock=1), sku="TEA")
        for sku in ("MUG", "TEA"):
            shop.receive(sku, 6, at="berlin")
        before = movements_in(storage)
        history = History()
        done = at_once(*(partial(trade, history, storage, n) for n in range(THREADS)))
        faults = [error for error in done if isinstance(error, Exception)]
        check_history(history, storage, before)
        assert faults == []


def race_often(make_storage: Callable[[], Storage]) -> None:
    """Race until something goes wrong, but not for ever."""
    for _ in range(20):
        race(make_storage())


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Let threads take turns at every chance."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("eager_threads")
class TestRealThreads:
    def test_memory_is_linearizable(self) -> None:
        """Threads over a storage in memory see one order."""
        race(MemoryStorage())

    def test_sqlite_is_linearizable(self, tmp_path: Path) -> None:
        """Threads over one SQLite file see one order."""
        race(SQLiteStorage(tmp_path / "shop.db", synchronous="OFF"))

    def test_postgres_is_linearizable(self, make_postgres: Callable[[], Storage]) -> None:
        """Connections whose writers do not wait for each other see one order for each key."""
        race(make_postgres())

    def test_a_storage_without_locks_is_caught(self) -> None:
        """Units that do not exclude each other lose updates, and the chain shows it."""
        with pytest.raises(AssertionError, match=r"an update was lost|did not see the version"):
            race_often(rowwise(LockFree))


class LockFree(NoLocks):
    """Locks nothing, and checks nothing when it writes; what it tears is never a single call."""

    def write(self, changes: Changes) -> None:
        """Keep back what is to be written."""
        self._changes = changes

    def commit(self) -> None:
        """Write it, whatever was written meanwhile."""
        with self._open() as unit:
            unit._changes = self._changes
