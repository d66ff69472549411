"""Snapshots older than the locks: our own writes at the stricter levels, and hosts at them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple

import pytest
from psycopg.pq import TransactionStatus

from tests.contracts.capable import POSTGRES
from tests.postgres.server import Factory
from tests.postgres.waiting import DEADLINE, connect, crew, hosted
from truecount import Inventory, Policy, Sold
from truecount.errors import InvalidArgument, Retryable
from truecount.storage.postgres import PostgresStorage
from truecount.storage.postgres import statements as sql
from truecount.storage.postgres.beginning import ISOLATIONS, Isolation
from truecount.storage.postgres.session import Session
from truecount.testing import (
    CAPABILITY_CHECKS,
    STORAGE_CHECKS,
    ManualClock,
    StorageCheck,
    races,
    waiting,
)
from truecount.testing.reaching import CapabilityCheck


STRICT = ISOLATIONS[1:]
#: Where a snapshot older than the lock would do the most harm; all others are slow.
QUICK = {
    races.check_last_unit_is_granted_once,
    races.check_expired_hold_is_reclaimed_once,
    races.check_late_fact_keeps_the_count,
    waiting.check_lock_waits_and_reads_anew,
    waiting.check_feed_tells_slow_writers_once,
}


#: It takes every Retryable for a deadlock; at the stricter levels it is a conflict as well.
AMBIGUOUS = {races.check_opposite_batches_do_not_deadlock}


def at_every_level() -> list[Any]:
    """Return each check with each stricter level; most of them are slow."""
    return [
        pytest.param(
            check,
            level,
            marks=[] if check in QUICK and level == "serializable" else [pytest.mark.slow],
            id=f"{check.__name__}-{level}",
        )
        for level in STRICT
        for check in STORAGE_CHECKS
        if check not in AMBIGUOUS
    ]


@pytest.mark.parametrize(("check", "level"), at_every_level())
def test_storage_keeps_the_contract(
    make_postgres: Factory, check: StorageCheck, level: Isolation
) -> None:
    """Every check of the kit passes at the stricter levels, where some writes are repeated."""
    check(partial(make_postgres, level))


@pytest.mark.slow
@pytest.mark.parametrize("level", STRICT)
@pytest.mark.parametrize("check", CAPABILITY_CHECKS, ids=lambda check: check.__name__)
def test_storage_does_what_it_declares(
    make_postgres: Factory, check: CapabilityCheck, level: Isolation
) -> None:
    """Reopened, joined and looked into it is the same storage."""
    check(partial(make_postgres, level), POSTGRES)


@pytest.mark.parametrize("level", ["read uncommitted", "SERIALIZABLE", "", None])
def test_level_that_is_none_of_them_is_refused(level: Any) -> None:
    """The message lists those there are."""
    with pytest.raises(InvalidArgument, match="read committed, repeatable read, serializable"):
        PostgresStorage("", isolation=level)


@pytest.mark.parametrize("level", STRICT)
def test_numbering_is_repeated_where_a_server_makes_it_stricter(
    make_postgres: Factory, level: Isolation
) -> None:
    """Some know no READ COMMITTED; who waited for another pass then begins again, and misses nothing."""
    storage = make_postgres(level)
    begins = storage._connections.begins
    storage._connections.begins = begins._replace(numbering=begins.write)
    inventory = Inventory(storage)
    inventory.locations.add("berlin")
    first = inventory.receive("MUG", 1, at="berlin").movement_id
    with crew(storage) as threads, hosted(storage) as other:
        session = Session(other, storage._connections.texts, "other")
        for statement in (sql.MAKE_HEAD, sql.LOCK_HEAD, sql.NUMBER, sql.DEQUEUE, sql.MOVE_HEAD):
            session.run(statement, "main")
        second = inventory.receive("MUG", 1, at="berlin").movement_id
        reading = threads.start_blocked(inventory.feed)
        other.commit()
        told = reading.result(DEADLINE)
    assert [(each.position, each.id) for each in told] == [(1, first), (2, second)]


# --- hosts ------------------------------------------------------------------------------


class Case(NamedTuple):
    """What others commit after a host began to read, what it then asks for, and the end."""

    meanwhile: Callable[[Inventory], object]
    asked: Callable[[Inventory], object]
    #: Sellable and promised mugs after the host has repeated its transaction.
    left: tuple[int, int]


def late_sale(inventory: Inventory) -> object:
    """Tell of a sale that was before the count."""
    then = NOON - timedelta(hours=1)
    return inventory.record([Sold("MUG", 2, at="berlin", occurred_at=then, key="etsy-1")])


def open_kiel(inventory: Inventory) -> object:
    """Add a place, and goods in it."""
    inventory.locations.add("kiel")
    return inventory.receive("MUG", 4, at="kiel")


NOON = ManualClock().now + timedelta(hours=12)

#: The stock before: nine mugs, two of which are held by order-1.
CASES = {
    "units sold": Case(
        lambda shop: shop.reserve({"MUG": 6}, reference="other"),
        lambda shop: shop.reserve({"MUG": 7}, reference="mine", partial=True),
        (0, 9),
    ),
    "order made": Case(
        lambda shop: shop.reserve({"MUG": 3}, reference="order-2"),
        lambda shop: shop.confirm("order-2"),
        (4, 5),
    ),
    "hold given back": Case(
        lambda shop: shop.release("order-1"), lambda shop: shop.release("order-1"), (9, 0)
    ),
    "key answered": Case(
        lambda shop: shop.receive("MUG", 5, at="berlin", key="asn-1"),
        lambda shop: shop.receive("MUG", 5, at="berlin", key="asn-1"),
        (12, 2),
    ),
    "count that agreed": Case(lambda shop: shop.count("MUG", 9, at="berlin"), late_sale, (7, 2)),
    "rule made": Case(
        lambda shop: shop.policies.set(Policy(backorder_limit=3), sku="MUG"),
        lambda shop: shop.reserve({"MUG": 10}, reference="mine"),
        (-3, 12),
    ),
    "place opened": Case(
        open_kiel,
        lambda shop: shop.reserve({"MUG": 4}, reference="mine", at="kiel"),
        (7, 6),
    ),
    "bundle defined": Case(
        lambda shop: shop.bundles.define("PAIR", {"MUG": 2}),
        lambda shop: shop.reserve({"PAIR": 1}, reference="mine"),
        (5, 4),
    ),
}


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_host_never_decides_on_what_it_saw_before_its_locks(
    make_postgres: Factory, case: Case, level: str
) -> None:
    """With a snapshot of its own each statement sees it; with an old one the host must repeat."""
    storage = make_postgres()
    inventory = Inventory(storage, clock=ManualClock(NOON))
    inventory.locations.add("berlin")
    inventory.receive("MUG", 9, at="berlin")
    inventory.reserve({"MUG": 2}, reference="order-1")
    begin = f"BEGIN ISOLATION LEVEL {level}".encode()
    with connect(storage) as host:
        host.execute(begin)
        joined = inventory.within(host)
        assert joined.available("MUG") == 7
        case.meanwhile(inventory)
        if level != "READ COMMITTED":
            with pytest.raises(Retryable, match="could not serialize"):
                case.asked(joined)
            assert host.info.transaction_status == TransactionStatus.INERROR
            host.execute("ROLLBACK")
            host.execute(begin)
        case.asked(inventory.within(host))
        host.execute("COMMIT")
    figures = inventory.figures("MUG")
    assert (figures.sellable, figures.reserved) == case.left
    verification = inventory.verify()
    assert verification.ok, verification.problems
