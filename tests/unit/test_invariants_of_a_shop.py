"""`assert_invariants`: silent over a shop that is right, exact about one that is not."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.shops import Shop
from truecount import Inventory, Policy, Sold
from truecount.reconciliation.findings import FindingsReport
from truecount.storage.sqlite import SQLiteStorage
from truecount.testing import assert_invariants


def busy_shop() -> Shop:
    """Return a shop with promises, backorders, an expired hold and an oversold SKU."""
    shop = Shop({"berlin": {"MUG": 5, "TEA": 1}})
    shop.inventory.policies.set(Policy(backorder_limit=3), sku="MUG")
    shop.inventory.reserve({"MUG": 7}, reference="cart-1", ttl=timedelta(minutes=1))
    shop.inventory.record([Sold("TEA", 4, at="berlin", key="etsy-1/1")])
    return shop


def test_an_honest_shop_passes() -> None:
    """A shop with promises, backorders and an oversold SKU contradicts nothing."""
    shop = busy_shop()
    assert_invariants(shop.inventory)
    shop.clock.tick(timedelta(hours=1))
    assert_invariants(shop.inventory)


def test_an_open_host_transaction_is_read_as_it_is(tmp_path: Path) -> None:
    """Inside a host's transaction it sees what the host has not committed yet."""
    with Inventory(SQLiteStorage(tmp_path / "shop.db")) as inventory:
        inventory.locations.add("berlin")
        with closing(sqlite3.connect(tmp_path / "shop.db", isolation_level=None)) as host:
            host.execute("BEGIN IMMEDIATE")
            joined = inventory.within(host)
            joined.receive("MUG", 5, at="berlin")
            assert_invariants(joined)
            host.execute("UPDATE truecount_stock SET sellable = 6")
            with pytest.raises(AssertionError, match="sellable 6"):
                assert_invariants(joined)
            host.execute("ROLLBACK")
        assert_invariants(inventory)


EDITS = {
    "UPDATE truecount_stock SET sellable = sellable + 1": r"'MUG'.*stock row.*sellable 4.*sellable 5",
    "DELETE FROM truecount_entry WHERE version = 2": r"'MUG' at 'berlin'.*version 2",
    "DELETE FROM truecount_movement WHERE position = 1": r"position",
}


@pytest.mark.parametrize("statement", EDITS)
def test_a_row_edited_behind_its_back_is_named(tmp_path: Path, statement: str) -> None:
    """Whoever edits a row is found out, with what was expected and what is there."""
    with Inventory(SQLiteStorage(tmp_path / "shop.db")) as inventory:
        inventory.locations.add("berlin")
        inventory.receive("MUG", 5, at="berlin")
        inventory.adjust("MUG", -1, at="berlin", reason="broken")
        with closing(sqlite3.connect(tmp_path / "shop.db")) as connection, connection:
            for trigger in ("entry", "movement"):
                connection.execute(f"DROP TRIGGER truecount_{trigger}_no_delete")
            connection.execute(statement)
        with pytest.raises(AssertionError, match=EDITS[statement]):
            assert_invariants(inventory)


class Liar(Inventory):
    """An inventory that tells its callers other figures than it keeps."""

    def stock(self, **named: str | None) -> dict[Any, Any]:
        """Tell of one MUG more than there is."""
        told = super().stock(**named)
        return {
            key: attrs.evolve(figures, damaged=figures.damaged + (key.sku == "MUG"))
            for key, figures in told.items()
        }


class Silent(Inventory):
    """An inventory that finds nothing wrong."""

    def findings(self, since: int | None = None, *, read_only: bool = False) -> FindingsReport:
        """Find nothing."""
        return FindingsReport(open=(), closed=(), cursor=0)


@pytest.mark.parametrize(
    ("kind", "seen"), [(Liar, "figures of .*MUG"), (Silent, "no finding names.*TEA")]
)
def test_what_is_told_is_checked_although_what_is_stored_is_right(
    kind: type[Inventory], seen: str
) -> None:
    """Figures are compared with the legs, oversold keys with the findings."""
    shop = busy_shop()
    told = kind(shop.inventory.storage, clock=shop.clock)
    assert told.verify().ok
    with pytest.raises(AssertionError, match=seen):
        assert_invariants(told)
