"""
What another process may do between what a storage remembers and its next write.

Two inventories on the same tables, as two processes have; one remembers. Each story lets the
other change something, and expects that the first answers as if it had looked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

from tests.postgres.server import Factory
from tests.postgres.waiting import DEADLINE, connect, crew, hosted
from truecount import Inventory, Policy, Reserve, Returned, Sold
from truecount.errors import AlreadyReserved, IdempotencyConflict, InsufficientStock, UnknownSku
from truecount.model.stock import StockKey
from truecount.protocols.storage import Wants
from truecount.storage.postgres import PostgresStorage
from truecount.storage.postgres.beginning import Isolation
from truecount.testing.claims import expect_raises
from truecount.testing.samples import Sheet, line


MUG = StockKey("MUG", "berlin")


class Shop(NamedTuple):
    """An inventory that remembers, and one of another process."""

    storage: PostgresStorage
    mine: Inventory
    others: Inventory

    def buy(self, number: int, quantity: int = 1, sku: str = "MUG") -> bool:
        """Reserve, and return whether it was granted."""
        try:
            self.mine.reserve({sku: quantity}, reference=f"cart-{number}", key=f"key-{number}")
        except InsufficientStock:
            return False
        return True


@contextmanager
def opened(
    make_postgres: Factory, isolation: Isolation = "read committed", *, proxied: bool = False
) -> Iterator[Shop]:
    """Yield a shop of ten mugs, which have been reserved once, so that they are remembered."""
    first = make_postgres()
    remembering = partial(PostgresStorage, first._connections.dsn, schema=first.schema)
    with (
        closing(remembering(isolation=isolation, proxied=proxied, remembers=100)) as storage,
        closing(remembering(isolation=isolation)) as other,
    ):
        shop = Shop(storage, Inventory(storage), Inventory(other))
        shop.mine.locations.add("berlin", "hamburg")
        shop.mine.receive("MUG", 10, at="berlin")
        assert shop.buy(0)
        yield shop
        assert shop.mine.verify().ok


def last_units_are_not_sold_twice(shop: Shop) -> None:
    """Units that were there when this process looked last are gone."""
    shop.others.reserve({"MUG": 9}, reference="theirs")
    assert not shop.buy(1)
    assert shop.mine.available("MUG") == 0


def units_that_came_are_seen(shop: Shop) -> None:
    """A refusal, too, is of what is there."""
    shop.others.receive("MUG", 5, at="berlin")
    assert shop.buy(1, 14)


def units_elsewhere_are_seen(shop: Shop) -> None:
    """Stock at a location that had none is no row that was remembered."""
    shop.others.receive("MUG", 50, at="hamburg")
    assert shop.buy(1, 40)
    [line] = shop.mine.reservation("cart-1").lines
    assert line.location == "hamburg"


def same_version_of_another_past_is_told_apart(shop: Shop) -> None:
    """A database that was set back, and went on from there, has other figures."""
    with connect(shop.storage) as connection:
        change = f"UPDATE {shop.storage.schema}.stock SET sellable = %s, held = %s"
        connection.execute(change.encode(), (7, 3))
        try:
            assert not shop.buy(1, 8), "as if there were nine"
        finally:
            connection.execute(change.encode(), (9, 1))


def rules_that_changed_are_kept(shop: Shop) -> None:
    """A safety stock of ten minutes ago counts."""
    shop.others.policies.set(Policy(safety_stock=5), sku="MUG")
    assert not shop.buy(1, 5)
    assert shop.buy(2, 4)


def order_that_is_not_new_is_seen(shop: Shop) -> None:
    """It has a reservation, which this one does not know of."""
    shop.others.receive("TEA", 5, at="berlin")
    shop.others.reserve({"TEA": 2}, reference="cart-1")
    expect_raises(AlreadyReserved, lambda: shop.buy(1), "what the answer is")
    shop.others.release("cart-1")
    assert shop.buy(2)


def order_of_a_sale_is_seen(shop: Shop) -> None:
    """What it sold is written in its document, which is no new one."""
    shop.others.receive("TEA", 5, at="berlin")
    shop.others.record([Sold("TEA", 2, at="berlin", reference="cart-1", key="sale-1")])
    assert shop.buy(1)
    shop.others.record([Returned("TEA", 2, at="berlin", reference="cart-1", key="return-1")])


def key_that_was_answered_is_replayed(shop: Shop) -> None:
    """By whoever it was answered."""
    request = Reserve({"MUG": 2}, reference="cart-1", key="key-1")
    [theirs] = shop.others.submit([request])
    [again] = shop.mine.submit([request])
    assert (again.replayed, again.movements) == (True, theirs.movements)


def key_of_another_request_is_a_conflict(shop: Shop) -> None:
    """Also under an order that is new."""
    shop.others.reserve({"MUG": 2}, reference="theirs", key="key-1")
    expect_raises(IdempotencyConflict, lambda: shop.buy(1), "what the answer is")


def key_of_a_request_that_is_wrong_is_a_conflict(shop: Shop) -> None:
    """What writes no answer is told no answer that the key does not have."""
    shop.others.reserve({"MUG": 2}, reference="theirs", key="key-1")
    assert shop.mine.submit([Reserve({"NIX": 1}, reference="a", key="key-2")])[0].error
    expect_raises(
        IdempotencyConflict,
        lambda: shop.mine.reserve({"NIX": 1}, reference="mine", key="key-1"),
        "what the answer is",
    )


def sku_that_came_is_known(shop: Shop) -> None:
    """That there was nothing is a guess as well."""
    expect_raises(
        UnknownSku, lambda: shop.mine.reserve({"POT": 1}, reference="early"), "what the answer is"
    )
    shop.others.receive("POT", 1, at="berlin")
    assert shop.buy(1, sku="POT")


def preview_is_of_what_is_there(shop: Shop) -> None:
    """Nothing is written, and yet nothing is told that was not proven."""
    shop.others.reserve({"MUG": 9}, reference="theirs")
    request = Reserve({"MUG": 1}, reference="cart-1", key="key-1")
    [seen] = shop.mine.submit([request], preview=True)
    assert isinstance(seen.error, InsufficientStock)
    assert shop.mine.available("MUG") == 0


def error_is_of_what_is_there(shop: Shop) -> None:
    """What stops a call that is all or nothing is proven before it is raised."""
    both = [Reserve({"MUG": 5}, reference=name, key=name) for name in ("one", "two")]
    shop.others.reserve({"MUG": 1}, reference="theirs")
    error = expect_raises(
        InsufficientStock, lambda: shop.mine.submit(both, together=True), "two that are too much"
    )
    assert error.short[0][2] == 3, "units that were left for the second"


def units_that_are_coming_are_waited_for(shop: Shop) -> None:
    """A row that somebody has in work is not what it was, and not yet what it will be."""
    with crew(shop.storage) as threads, hosted(shop.storage) as host:
        shop.others.within(host).receive("MUG", 5, at="berlin")
        buying = threads.start_blocked(shop.buy, 1, 14)
        host.commit()
        assert buying.result(DEADLINE)


def units_that_are_not_coming_are_waited_for(shop: Shop) -> None:
    """And the time of what is decided then is not that of the guess."""
    with crew(shop.storage) as threads, hosted(shop.storage) as host:
        shop.others.within(host).receive("MUG", 5, at="berlin")
        buying = threads.start_blocked(shop.buy, 1)
        waited = datetime.now(UTC)
        host.rollback()
        assert buying.result(DEADLINE)
    assert shop.mine.reservation("cart-1").decided_at > waited


def rules_that_are_changing_are_waited_for(shop: Shop) -> None:
    """A safety stock is kept by whoever decides after it."""
    with crew(shop.storage) as threads, hosted(shop.storage) as host:
        shop.others.within(host).policies.set(Policy(safety_stock=5), sku="MUG")
        buying = threads.start_blocked(shop.buy, 1, 9)
        host.commit()
        assert not buying.result(DEADLINE)


def lines_without_their_order_are_seen(shop: Shop) -> None:
    """An import that is not done has written them: it is no new order."""
    with shop.others._engine.begin() as unit:
        sheet = Sheet(unit.lock(Wants(orders={"cart-1"})))
        sheet.lines.append(line("cart-1", 1, MUG, allocated=3))
        unit.write(sheet.changes())
    for units in (1, 11):
        reserve = partial(shop.mine.reserve, {"MUG": units}, reference="cart-1")
        expect_raises(AlreadyReserved, reserve, "what becomes of an order with lines")
    with connect(shop.storage) as connection:
        connection.execute(f"DELETE FROM {shop.storage.schema}.line WHERE allocated > 0".encode())


STORIES: tuple[Callable[[Shop], None], ...] = (
    last_units_are_not_sold_twice,
    units_that_came_are_seen,
    units_elsewhere_are_seen,
    same_version_of_another_past_is_told_apart,
    rules_that_changed_are_kept,
    order_that_is_not_new_is_seen,
    order_of_a_sale_is_seen,
    key_that_was_answered_is_replayed,
    key_of_another_request_is_a_conflict,
    key_of_a_request_that_is_wrong_is_a_conflict,
    sku_that_came_is_known,
    preview_is_of_what_is_there,
    error_is_of_what_is_there,
    lines_without_their_order_are_seen,
    units_that_are_coming_are_waited_for,
    units_that_are_not_coming_are_waited_for,
    rules_that_are_changing_are_waited_for,
)
