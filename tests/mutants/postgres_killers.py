"""What kills mutants of the PostgreSQL storage, each on a server it is given."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from functools import partial

from tests.postgres.apart import database_apart, deadlocks
from tests.postgres.durable import durable_server
from tests.postgres.meanwhile import STORIES, opened
from tests.postgres.server import running, storages
from tests.postgres.waiting import DEADLINE, connect, crew, hosted
from truecount import Expected, Inventory, Received, Reserve
from truecount.errors import InsufficientStock
from truecount.ledger.delivery_rules import PURCHASE
from truecount.storage.postgres import PostgresStorage
from truecount.testing import ManualClock, waiting
from truecount.testing.claims import expect, expect_raises


server = running

SKUS = tuple(f"SKU-{number:02d}" for number in range(12))
THREADS = 6


def opposite_carts(dsn: str) -> None:
    """Carts that name many SKUs forwards and backwards wait for a row, but not in a circle."""

    def buy(storage: PostgresStorage, number: int) -> None:
        cart = dict.fromkeys(SKUS[:: 1 - 2 * (number % 2)], 1)
        Inventory(storage).reserve(cart, reference=f"cart-{number}")

    with database_apart(dsn) as own:
        with storages(own) as make:
            storage = make(remembers=0)
            shop = Inventory(storage)
            shop.locations.add("berlin")
            for sku in SKUS:
                shop.receive(sku, THREADS, at="berlin")
            with crew(storage) as threads, hosted(storage) as host:
                shop.within(host).receive(SKUS[5], 1, at="berlin")
                carts = [threads.start_blocked(buy, storage, n) for n in range(THREADS)]
                host.commit()
                for cart in carts:
                    cart.result(DEADLINE)
        expect(deadlocks(own), 0, "deadlocks of carts in opposite order")


def lock_waits_and_reads_anew(dsn: str) -> None:
    """Who waited for a lock reads rows and lines as they are after the wait."""
    with storages(dsn) as make:
        waiting.check_lock_waits_and_reads_anew(make)


def expired_hold_after_a_wait(dsn: str) -> None:
    """A hold that was reclaimed while one waited for the lock is not reclaimed once more."""
    with storages(dsn) as make:
        storage, clock = make(remembers=0), ManualClock()
        shop = Inventory(storage, clock=clock)
        shop.locations.add("berlin")
        shop.receive("MUG", 5, at="berlin")
        shop.reserve({"MUG": 5}, reference="old", ttl=timedelta(minutes=1))
        clock.tick(timedelta(minutes=2))
        with crew(storage) as threads, hosted(storage) as host:
            shop.within(host).reserve({"MUG": 5}, reference="early")
            other = Inventory(storage, clock=clock)
            late = threads.start_blocked(partial(other.reserve, {"MUG": 5}, reference="late"))
            host.commit()
            wanted = partial(late.result, DEADLINE)
            expect_raises(InsufficientStock, wanted, "who waited for units of one expired hold")
        expect(shop.figures("MUG").held, 5, "held of 5 units that two wanted")


def acknowledged_survives_a_crash(_dsn: str) -> None:
    """What callers were told is there after the server was stopped at once."""
    with durable_server() as server, closing(PostgresStorage(server.dsn)) as storage:
        storage.migrate()
        shop = Inventory(storage)
        shop.locations.add("berlin")
        with connect(storage) as connection:
            connection.execute("CHECKPOINT")  # Or the tables would be lost as well.
        told = [shop.receive("MUG", 1, at="berlin").movement_id for _ in range(20)]
        server.crash()
        expect([each.id for each in shop.feed()], told, "movements after a crash")


def oldest_transaction_commits_last(dsn: str) -> None:
    """A transaction that began first and takes what came since is told after that."""
    with storages(dsn) as make:
        storage = make()
        shop = Inventory(storage)
        shop.locations.add("berlin")
        with hosted(storage) as host:
            host.execute(f"CREATE TABLE {storage.schema}.orders (id text)".encode())
            shop.receive("MUG", 5, at="berlin")
            shop.within(host).reserve({"MUG": 5}, reference="order-1")
            host.commit()
        kinds = [str(movement.kind) for movement in shop.feed()]
        expect(kinds, ["receive", "reserve"], "the feed of a transaction that took its time")


def others_are_seen(dsn: str) -> None:
    """Whatever another process did meanwhile, the answer is that of one who has looked."""
    for story in STORIES:
        with storages(dsn) as make, opened(make) as shop:
            story(shop)


def taken_key_leaves_nothing_beside_it(dsn: str) -> None:
    """A joined write whose key was taken while it waited leaves nothing, and is made again."""
    for remembers in (100, 0):  # In one statement, and in plain ones.
        with storages(dsn) as make:
            _meet_a_taken_key(make(remembers=remembers))


def _meet_a_taken_key(storage: PostgresStorage) -> None:
    shop = Inventory(storage)
    shop.locations.add("berlin")
    shop.receive("MUG", 5, at="berlin")
    batch = [
        Expected("POT", 4, at="berlin", reference="po-1", key="a"),
        Reserve({"MUG": 2}, reference="cart-1", key="b"),
        Received("POT", 5, at="berlin", key="shared"),
    ]
    with crew(storage) as threads, hosted(storage) as one, hosted(storage) as two:
        shop.within(one).receive("TEA", 1, at="berlin", key="shared")
        waits = threads.start_blocked(shop.within(two).submit, batch)
        one.commit()
        granted = [each.granted for each in waits.result(DEADLINE)]
        two.commit()
    expect(granted, [True, True, False], "what was granted of the batch")
    with storage.read("main") as reader:
        ordered = reader.record(PURCHASE, "po-1")
    found = [
        shop.figures("POT").incoming,
        shop.figures("MUG").held,
        ordered and ordered.version,
        shop.verify().problems,
    ]
    expect(found, [4, 2, 1, ()], "pots, mugs held, the order's version, what verify says")


KILLERS: dict[str, Callable[[str], None]] = {
    "opposite_carts": opposite_carts,
    "lock_waits_and_reads_anew": lock_waits_and_reads_anew,
    "expired_hold_after_a_wait": expired_hold_after_a_wait,
    "acknowledged_survives_a_crash": acknowledged_survives_a_crash,
    "oldest_transaction_commits_last": oldest_transaction_commits_last,
    "others_are_seen": others_are_seen,
    "taken_key_leaves_nothing_beside_it": taken_key_leaves_nothing_beside_it,
}
