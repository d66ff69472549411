"""The same commands on memory, SQLite and PostgreSQL: the same outcomes, figures, histories."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.postgres.server import storages
from truecount import (
    Adjusted,
    Amend,
    Confirm,
    Counted,
    Inventory,
    MemoryStorage,
    Operation,
    Pick,
    Policy,
    Received,
    Release,
    Relocate,
    Reserve,
    Returned,
    Ship,
    Sold,
    SQLiteStorage,
    State,
    TakeBack,
    Undo,
)
from truecount.errors import Outdated, TrueCountError
from truecount.protocols.storage import Reader, Storage, Unit
from truecount.protocols.system import IdFactory
from truecount.storage.postgres import PostgresStorage
from truecount.testing import CountingIds, ManualClock
from truecount.testing.samples import dump


PLACES = ("berlin", "hamburg")
REFERENCES = ("order-1", "order-2", "order-3")
START = ManualClock().now


class Words(NamedTuple):
    """What an operation of any kind is made of; each takes what it needs."""

    kind: str
    key: str
    cart: dict[str, int]
    at: str
    reference: str
    age: int

    @property
    def sku(self) -> str:
        """The first SKU of the cart."""
        return next(iter(self.cart))

    @property
    def quantity(self) -> int:
        """The quantity of it."""
        return self.cart[self.sku]

    def build(self) -> Operation:
        """Return the operation."""
        return OPERATIONS[self.kind](self)


OPERATIONS: Mapping[str, Callable[[Words], Operation]] = {
    "receive": lambda w: Received(w.sku, w.quantity, at=w.at, key=w.key),
    "receive late": lambda w: Received(
        w.sku, w.quantity, at=w.at, key=w.key, occurred_at=START - timedelta(seconds=w.age)
    ),
    "receive a lot": lambda w: Received(w.sku, w.quantity, at=w.at, key=w.key, lot="L-1"),
    "reserve": lambda w: Reserve(w.cart, reference=w.reference, key=w.key),
    "reserve there": lambda w: Reserve(w.cart, reference=w.reference, key=w.key, at=w.at),
    "reserve some": lambda w: Reserve(w.cart, reference=w.reference, key=w.key, partial=True),
    "confirm": lambda w: Confirm(reference=w.reference, key=w.key),
    "confirm again": lambda w: Confirm(reference=w.reference, key=w.key, on_expired="rehold"),
    "release": lambda w: Release(None, reference=w.reference, key=w.key),
    "release some": lambda w: Release(w.cart, reference=w.reference, key=w.key),
    "amend": lambda w: Amend(w.cart, reference=w.reference, key=w.key),
    "pick": lambda w: Pick(None, reference=w.reference, key=w.key),
    "ship": lambda w: Ship(None, reference=w.reference, key=w.key),
    "ship some": lambda w: Ship({w.sku: 1}, reference=w.reference, key=w.key),
    "take back": lambda w: TakeBack({w.sku: 1}, reference=w.reference, key=w.key),
    "sold": lambda w: Sold(w.sku, w.quantity, at=w.at, key=w.key),
    "sold of it": lambda w: Sold(w.sku, 1, at=w.at, key=w.key, reference=w.reference),
    "returned": lambda w: Returned(w.sku, 1, at=w.at, key=w.key, into=State.QUARANTINE),
    "lost": lambda w: Adjusted(w.sku, -w.quantity, at=w.at, reason="lost", key=w.key),
    "count": lambda w: Counted(
        w.sku, w.quantity, at=w.at, counted_at=START - timedelta(seconds=w.age), key=w.key
    ),
    "relocate": lambda w: Relocate(
        w.sku, w.quantity, source=w.at, target=PLACES[w.at == PLACES[0]], key=w.key
    ),
    "undo": lambda w: Undo(movement_id=f"id-{w.age % 20:06d}", reason="slip", key=w.key),
}


class Step(NamedTuple):
    """After a while, a batch of operations; then maybe a sweep or a change of the rules."""

    wait: int
    batch: list[Words]
    then: str

    def take(self, inventory: Inventory, clock: ManualClock) -> Any:
        """Return what the inventory answers; no two writes share a time, see ``feed``."""
        clock.tick(timedelta(seconds=self.wait))
        outcomes = inventory.submit([words.build() for words in self.batch])
        clock.tick()
        if self.then == "sweep":
            return outcomes, inventory.sweep()
        if self.then:
            inventory.policies.set(Policy(backorder_limit=2), sku=self.then)
        return outcomes, 0


words = st.builds(
    Words,
    kind=st.sampled_from([*OPERATIONS, "receive", "receive", "reserve"]),
    key=st.integers(1, 99).map("key-{}".format),
    cart=st.dictionaries(st.sampled_from(("CUP", "MUG", "TEA")), st.integers(1, 5), min_size=1),
    at=st.sampled_from(PLACES),
    reference=st.sampled_from(REFERENCES),
    age=st.integers(0, 3600),
)
steps = st.builds(
    Step,
    wait=st.sampled_from((1, 60, 20 * 60)),
    batch=st.lists(words, min_size=1, max_size=6),
    then=st.sampled_from(("", "", "", "sweep", "MUG")),
)


def told(
    history: list[Step], storage: Storage, tenant: str, new_id: IdFactory | None = None
) -> Iterator[object]:
    """Yield what every step answers, and in the end all that is stored."""
    clock = ManualClock()
    inventory = Inventory(storage, tenant=tenant, clock=clock, new_id=new_id or CountingIds())
    inventory.locations.add(*PLACES)
    for step in history:
        try:
            outcomes, swept = step.take(inventory, clock)
        except TrueCountError as error:
            yield error.to_dict()
            continue
        yield swept
        for one in outcomes:
            problem = one.error and one.error.to_dict()
            yield one.key, one.replayed, one.decided_at, one.movements, one.result, problem
    yield inventory.stock()
    yield from dump(storage, REFERENCES, tenant).items()


@pytest.fixture(scope="module")
def others(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Storage]]:
    """Return storages for all examples: each example is a tenant of its own."""
    file = tmp_path_factory.mktemp("same") / "shop.db"
    with storages(postgres_dsn) as make, closing(SQLiteStorage(file, synchronous="OFF")) as sqlite:
        yield [sqlite, make()]


#: Shrinking through a database takes minutes; the failing history is printed as it is.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
tenants = map("tenant-{}".format, itertools.count())


def check(others: list[Storage], history: list[Step]) -> None:
    """Compare what is told, one answer after the other."""
    tenant = next(tenants)
    with closing(MemoryStorage()) as memory:
        wanted = list(told(history, memory, tenant))
    for other in others:
        for seen, expected in zip(told(history, other, tenant), wanted, strict=True):
            assert seen == expected, type(other).__name__


@given(st.lists(steps, min_size=4, max_size=14))
@settings(max_examples=25, phases=PHASES)
def test_every_storage_tells_the_same(others: list[Storage], history: list[Step]) -> None:
    """Outcomes, errors, figures, entries, lines, documents and the feed are equal."""
    check(others, history)


class Ids:
    """Makes ids in order, and again those of a write that came to nothing."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self) -> str:
        """Return the next one."""
        self.made += 1
        return f"id-{self.made:06d}"


class InTurns:
    """Two storages on the same tables, as two processes have, which write in some turns."""

    def __init__(self, pair: tuple[Storage, Storage], turns: list[int]) -> None:
        self._turns = itertools.cycle(pair[turn] for turn in turns)
        self.ids = Ids()
        self._written = 0
        #: How often one of them remembered what the other had changed.
        self.outdated = 0

    @contextmanager
    def begin(self, tenant: str, host: object | None = None) -> Iterator[Unit]:
        """Open a write transaction of the one whose turn it is."""
        try:
            with next(self._turns).begin(tenant, host) as unit:
                yield unit
        except Outdated:
            self.outdated += 1
            self.ids.made = self._written  # All of it is done again, from the narrowest locks.
            raise
        if getattr(unit, "_has_written", False):
            self._written = self.ids.made

    def read(self, tenant: str, host: object | None = None) -> AbstractContextManager[Reader]:
        """Open a read of the one whose turn it is."""
        return next(self._turns).read(tenant, host)

    def close(self) -> None:
        """Leave them to whoever made them."""


@pytest.fixture(scope="module")
def pair(postgres_dsn: str) -> Iterator[tuple[Storage, Storage]]:
    """Return two storages on the same tables."""
    with storages(postgres_dsn) as make:
        one = make(remembers=1000)
        dsn = one._connections.dsn
        with closing(PostgresStorage(dsn, schema=one.schema, remembers=1000)) as other:
            yield one, other


turns = st.lists(st.sampled_from((0, 1)), min_size=1, max_size=12)


def check_in_turns(pair: tuple[Storage, Storage], history: list[Step], turns: list[int]) -> int:
    """Compare what two that remember tell in turns; return how often one was wrong."""
    tenant, both = next(tenants), InTurns(pair, turns)
    with closing(MemoryStorage()) as memory:
        wanted = list(told(history, memory, tenant))
    assert list(told(history, both, tenant, both.ids)) == wanted
    return both.outdated


@given(st.lists(steps, min_size=4, max_size=14), turns)
@settings(max_examples=20, phases=PHASES)
def test_two_that_remember_tell_the_same(
    pair: tuple[Storage, Storage], history: list[Step], turns: list[int]
) -> None:
    """What one of two processes remembers and the other has changed is never told."""
    check_in_turns(pair, history, turns)


def test_two_that_remember_are_wrong_sometimes(pair: tuple[Storage, Storage]) -> None:
    """Or nothing would be proven."""
    shelf = Words("receive", "", {"MUG": 5}, "berlin", "", 0)
    cart = shelf._replace(kind="reserve", cart={"MUG": 1})
    takes = [cart._replace(key=f"k-{n}", reference=f"o-{n}") for n in range(8)]
    history = [Step(1, [each], "") for each in (shelf._replace(key="in"), *takes)]
    assert check_in_turns(pair, history, [0, 0, 0, 1]) > 0


@pytest.mark.slow
@given(st.lists(steps, min_size=10, max_size=40), turns)
@settings(max_examples=150, phases=PHASES)
def test_two_that_remember_tell_the_same_at_length(
    pair: tuple[Storage, Storage], history: list[Step], turns: list[int]
) -> None:
    """The same for many long histories."""
    check_in_turns(pair, history, turns)


@pytest.mark.slow
@given(st.lists(steps, min_size=10, max_size=40))
@settings(max_examples=150, phases=PHASES)
def test_every_storage_tells_the_same_at_length(others: list[Storage], history: list[Step]) -> None:
    """The same for many long histories."""
    check(others, history)
