"""An order and its reservation in one transaction, behind each framework on each database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hosts.shops import DATABASES, FRAMEWORKS, Shop, opened, taken_back
from truecount import Policy
from truecount.errors import InsufficientStock, NotInTransaction


@pytest.fixture(params=[f"{f}-{d}" for f in FRAMEWORKS for d in DATABASES])
def shop(request: pytest.FixtureRequest) -> Iterator[Shop]:
    """Return a shop with five mugs."""
    framework, _, database = request.param.partition("-")
    with opened(framework, DATABASES[database](request)) as shop:
        yield shop


def test_order_and_reservation_commit_together(shop: Shop) -> None:
    """Nobody sees the reservation before the host commits; then both are there."""
    with shop.begun() as host:
        shop.order(host, "A-1")
        joined = shop.inventory.within(host)
        joined.reserve({"MUG": 2}, reference="A-1", key="k")
        assert (joined.available("MUG"), shop.inventory.available("MUG")) == (3, 5)
    assert (shop.orders(), shop.inventory.available("MUG")) == (["A-1"], 3)
    assert shop.inventory.verify().problems == ()


@pytest.mark.parametrize("first", ["order", "reservation"])
def test_order_and_reservation_leave_together(shop: Shop, first: str) -> None:
    """Whichever statement is the first of the transaction, and begins it in the driver."""
    with taken_back(shop.begun()) as host:
        if first == "order":
            shop.order(host, "A-1")
        shop.inventory.within(host).reserve({"MUG": 2}, reference="A-1", key="k")
        shop.inventory.within(host).receive("MUG", 7, at="berlin")
        if first != "order":
            shop.order(host, "A-1")
    assert (shop.orders(), shop.inventory.available("MUG")) == ([], 5)
    assert not shop.inventory.reserve({"MUG": 2}, reference="A-1", key="k").replayed


def test_reading_first_begins_the_transaction(shop: Shop) -> None:
    """What is written after a look is taken back as well."""
    with taken_back(shop.begun()) as host:
        joined = shop.inventory.within(host)
        assert joined.available("MUG") == 5
        joined.reserve({"MUG": 2}, reference="A-1")
    assert shop.inventory.available("MUG") == 5


def test_refusal_leaves_the_transaction_usable(shop: Shop) -> None:
    """A refusal is an answer: the host goes on, and it lasts because the host commits."""
    with shop.begun() as host:
        shop.order(host, "A-1")
        with pytest.raises(InsufficientStock):
            shop.inventory.within(host).reserve({"MUG": 9}, reference="A-1", key="k")
        shop.order(host, "A-2")
        shop.inventory.within(host).reserve({"MUG": 1}, reference="A-2")
    assert (shop.orders(), shop.inventory.available("MUG")) == (["A-1", "A-2"], 4)
    shop.inventory.receive("MUG", 9, at="berlin")
    with pytest.raises(InsufficientStock):
        shop.inventory.reserve({"MUG": 9}, reference="A-1", key="k")


@pytest.mark.parametrize("outer", ["outer before", "only the savepoint"])
def test_savepoint_takes_back_only_its_own(shop: Shop, outer: str) -> None:
    """Blocks in blocks go back one by one, also where the first statement is in the inner one."""
    before = outer == "outer before"
    with shop.begun() as host:
        joined = shop.inventory.within(host)
        if before:
            joined.reserve({"MUG": 1}, reference="A-1")
        with taken_back(shop.savepoint(host)):
            shop.order(host, "A-2")
            joined.reserve({"MUG": 2}, reference="A-2", key="k")
        assert joined.available("MUG") == 5 - before
        shop.order(host, "A-3")
        joined.reserve({"MUG": 2}, reference="A-2", key="k")
    assert (shop.orders(), shop.inventory.available("MUG")) == (["A-3"], 3 - before)
    assert shop.inventory.verify().problems == ()


def test_released_savepoint_is_not_committed(shop: Shop) -> None:
    """What an inner block kept goes when the outer one does."""
    with taken_back(shop.begun()) as host, shop.savepoint(host):
        shop.order(host, "A-1")
        shop.inventory.within(host).reserve({"MUG": 2}, reference="A-1")
    assert (shop.orders(), shop.inventory.available("MUG")) == ([], 5)


def test_without_transaction_nothing_is_joined(shop: Shop) -> None:
    """Order and reservation would commit apart; the message says what to write."""
    with shop.idle() as host:
        joined = shop.inventory.within(host)
        for call in (
            lambda: joined.available("MUG"),
            lambda: joined.reserve({"MUG": 1}, reference="A-1"),
        ):
            with pytest.raises(NotInTransaction, match=r"write `with [a-z]+\.(begin|atomic)\("):
                call()
    assert shop.inventory.available("MUG") == 5


def test_joined_inventory_is_of_no_use_after_the_commit(shop: Shop) -> None:
    """It asks its host again each time, and finds no transaction."""
    with shop.begun() as host:
        joined = shop.inventory.within(host)
        joined.reserve({"MUG": 1}, reference="A-1")
    with pytest.raises((NotInTransaction, ValueError)):
        joined.reserve({"MUG": 1}, reference="A-2")
    assert shop.inventory.available("MUG") == 4


def test_rules_that_were_rolled_back_are_forgotten(shop: Shop) -> None:
    """By everybody, and another change of the same number is not taken for them."""
    with taken_back(shop.begun()) as host:
        joined = shop.inventory.within(host)
        joined.policies.set(Policy(backorder_limit=100))
        joined.reserve({"MUG": 50}, reference="cart-1")
    assert shop.inventory.policies.of("MUG").backorder_limit == 0
    shop.inventory.policies.set(Policy(safety_stock=1))
    with shop.begun() as host:
        joined = shop.inventory.within(host)
        assert joined.policies.of("MUG") == shop.inventory.policies.of("MUG")
        with pytest.raises(InsufficientStock, match="safety_stock=1"):
            joined.reserve({"MUG": 5}, reference="cart-2")


def test_observers_are_not_told(shop: Shop) -> None:
    """Only the host knows whether it will commit."""
    before = len(shop.told)
    with shop.begun() as host:
        shop.inventory.within(host).reserve({"MUG": 1}, reference="A-1")
    assert len(shop.told) == before
    shop.inventory.release("A-1")
    assert len(shop.told) == before + 1
