"""Django: atomic blocks, its own test-case classes, autocommit switched off, what is refused."""

from __future__ import annotations

import threading
import unittest
from collections.abc import Iterator
from typing import Any, Final

import pytest
from django.db import connections, transaction
from django.test import TestCase, TransactionTestCase
from django.utils.connection import ConnectionProxy

from tests.hosts import django_site
from tests.hosts.shops import DATABASES, DjangoShop, opened, taken_back
from truecount import Inventory, SQLiteStorage
from truecount.errors import InsufficientStock, InvalidArgument, NotInTransaction, Retryable


@pytest.fixture(params=DATABASES)
def shop(request: pytest.FixtureRequest) -> Iterator[DjangoShop]:
    """Return a shop of Django's with five mugs."""
    with opened("django", DATABASES[request.param](request)) as shop:
        assert isinstance(shop, DjangoShop)
        yield shop


@pytest.fixture
def file_shop(request: pytest.FixtureRequest) -> Iterator[DjangoShop]:
    """Return the same in a file."""
    with opened("django", DATABASES["sqlite"](request)) as shop:
        assert isinstance(shop, DjangoShop)
        yield shop


class TestRefused:
    def test_message_names_the_database(self, shop: DjangoShop) -> None:
        """A block around another database's connection would not help."""
        with shop.idle() as host, pytest.raises(NotInTransaction) as caught:
            shop.inventory.within(host).available("MUG")
        assert f"write `with transaction.atomic(using='{shop.alias}'):`" in str(caught.value)

    def test_transaction_that_must_be_rolled_back(self, shop: DjangoShop) -> None:
        """After an error Django lets nothing through, and neither do we."""
        with taken_back(shop.begun()) as host:
            with taken_back(transaction.atomic(using=shop.alias, savepoint=False)):
                shop.order(host, "A-1")
            with pytest.raises(InvalidArgument, match="transaction has failed; leave"):
                shop.inventory.within(host).available("MUG")

    def test_connection_closed_in_its_block(self, shop: DjangoShop) -> None:
        """Its transaction is gone with it."""
        with taken_back(shop.begun()) as host:
            host.close()
            with pytest.raises(InvalidArgument, match="transaction has failed"):
                shop.inventory.within(host).available("MUG")

    def test_connection_of_another_thread(self, shop: DjangoShop) -> None:
        """Django's connections belong to a thread each."""
        caught: list[InvalidArgument] = []

        def use(host: object) -> None:
            try:
                shop.inventory.within(host).available("MUG")
            except InvalidArgument as error:
                caught.append(error)

        with shop.begun() as host:
            thread = threading.Thread(target=use, args=(host,))
            thread.start()
            thread.join()
        [error] = caught
        assert "of another thread" in str(error)

    def test_all_connections_are_none(self, shop: DjangoShop) -> None:
        """Which of them has the stock, only the host knows."""
        with shop.begun(), pytest.raises(InvalidArgument, match=r"or connections\[alias\]"):
            shop.inventory.within(connections).available("MUG")

    def test_database_in_memory(self, file_shop: DjangoShop) -> None:
        """Django's tests use one by default; no storage can be beside it."""
        alias = django_site.add_sqlite(":memory:")
        with transaction.atomic(using=alias):
            joined = file_shop.inventory.within(connections[alias])
            with pytest.raises(InvalidArgument, match="a database in memory"):
                joined.available("MUG")
        django_site.remove(alias)

    def test_deferred_block_that_has_read_must_be_repeated(self, file_shop: DjangoShop) -> None:
        """Where others wrote after it had read; it could only decide on what is old."""
        with taken_back(file_shop.begun()) as host:
            assert file_shop.inventory.within(host).available("MUG") == 5
            file_shop.inventory.reserve({"MUG": 5}, reference="other")
            with pytest.raises(Retryable, match="BEGIN IMMEDIATE"):
                file_shop.inventory.within(host).reserve({"MUG": 1}, reference="mine")


def test_blocks_may_begin_immediately(file_shop: DjangoShop) -> None:
    """With Django's own option a block waits for writers at its beginning."""
    assert isinstance(file_shop.storage, SQLiteStorage)
    alias = django_site.add_sqlite(file_shop.storage.path, transaction_mode="IMMEDIATE")
    with transaction.atomic(using=alias):
        file_shop.inventory.within(connections[alias]).reserve({"MUG": 1}, reference="A-1")
    django_site.remove(alias)
    assert file_shop.inventory.available("MUG") == 4


def test_default_connection_is_a_proxy(shop: DjangoShop) -> None:
    """``django.db.connection`` stands for the connection of this thread."""
    proxy = ConnectionProxy(connections, shop.alias)
    with shop.begun():
        shop.inventory.within(proxy).reserve({"MUG": 1}, reference="A-1")
    assert shop.inventory.available("MUG") == 4


class TestOnCommit:
    """What waits for the outermost block to be committed, a mail for example."""

    def test_it_sees_what_was_reserved(self, shop: DjangoShop) -> None:
        """Once, after the commit, and by the plain inventory: no block is open any more."""
        seen: list[object] = []

        def look(joined: Inventory) -> None:
            seen.append(shop.inventory.available("MUG"))
            with pytest.raises(NotInTransaction):
                joined.available("MUG")

        with shop.begun() as host:
            joined = shop.inventory.within(host)
            with shop.savepoint(host):
                joined.reserve({"MUG": 2}, reference="A-1")
                transaction.on_commit(lambda: look(joined), using=shop.alias)
            assert seen == []
        assert seen == [3]

    def test_it_never_runs_for_what_was_taken_back(self, shop: DjangoShop) -> None:
        """Neither after the block nor after a savepoint in it."""
        seen: list[object] = []
        with shop.begun() as host:
            with taken_back(shop.savepoint(host)):
                shop.inventory.within(host).reserve({"MUG": 2}, reference="A-1")
                transaction.on_commit(lambda: seen.append("mail"), using=shop.alias)
            shop.inventory.within(host).reserve({"MUG": 5}, reference="A-2")
        assert (seen, shop.inventory.available("MUG")) == ([], 0)


class TestWithoutAutocommit:
    """``set_autocommit(False)``: the driver begins by itself, at the latest now."""

    @pytest.mark.parametrize("commits", [True, False])
    def test_transaction_is_joined(self, shop: DjangoShop, *, commits: bool) -> None:
        """Order and reservation stay, or go, together."""
        with shop.idle() as host:
            host.set_autocommit(False)
            shop.inventory.within(host).reserve({"MUG": 2}, reference="A-1")
            shop.order(host, "A-1")
            (host.commit if commits else host.rollback)()
            host.set_autocommit(True)
        wanted = (["A-1"], 3) if commits else ([], 5)
        assert (shop.orders(), shop.inventory.available("MUG")) == wanted

    def test_savepoint_that_may_be_the_transaction_is_refused(self, file_shop: DjangoShop) -> None:
        """SQLite's driver has not begun before it, and releasing it would commit."""
        with file_shop.idle() as host:
            host.set_autocommit(False)
            with file_shop.savepoint(host):
                joined = file_shop.inventory.within(host)
                with pytest.raises(InvalidArgument, match="autocommit left on"):
                    joined.reserve({"MUG": 2}, reference="A-1")
            host.rollback()
            host.set_autocommit(True)
        assert file_shop.inventory.available("MUG") == 5


def results_of(case: type[unittest.TestCase]) -> unittest.TestResult:
    """Run the tests of a class of Django's as its runner would."""
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    return result


def shop_tests(shop: DjangoShop, base: type[Any]) -> type[unittest.TestCase]:
    """Return what a shop would write, over a test-case class of Django's."""

    class Checkout(base):  # type: ignore[misc]  # Django is not typed
        databases: Final = {shop.alias}

        def sell(self, name: str, quantity: int) -> None:
            with transaction.atomic(using=shop.alias):
                django_site.create_order(shop.alias, name)
                self.stock.reserve({"MUG": quantity}, reference=name, key=name)

        @property
        def stock(self) -> Inventory:
            return shop.inventory.within(connections[shop.alias])

        def test_one_order(self) -> None:
            self.sell("A-1", 5)
            assert django_site.orders(shop.alias) == ["A-1"]

        def test_other_order_under_the_same_name(self) -> None:
            self.sell("A-1", 4)
            with pytest.raises(InsufficientStock):
                self.sell("A-2", 2)
            assert django_site.orders(shop.alias) == ["A-1"]

    return Checkout


class TestTestCases:
    def test_test_case_takes_back_what_a_test_sold(self, shop: DjangoShop) -> None:
        """Each test runs in a block of Django's, the block of the shop being one inside it."""
        result = results_of(shop_tests(shop, TestCase))
        assert (result.testsRun, result.failures, result.errors) == (2, [], [])
        assert (shop.orders(), shop.inventory.available("MUG")) == ([], 5)
        assert shop.inventory.verify().problems == ()

    def test_transaction_test_case_commits(self, shop: DjangoShop) -> None:
        """It empties the tables of Django's models afterwards, and no others."""
        case = shop_tests(shop, TransactionTestCase)
        result = unittest.TestResult()
        case("test_one_order").run(result)
        assert (result.testsRun, result.failures, result.errors) == (1, [], [])
        assert shop.inventory.available("MUG") == 0
        assert shop.inventory.verify().problems == ()
