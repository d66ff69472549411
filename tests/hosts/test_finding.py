"""Which adapter a host needs is told by its class; nothing is imported for anybody else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from tests.hosts.shops import DATABASES, SessionShop, opened
from truecount import Inventory, SQLiteStorage
from truecount.errors import InvalidArgument


JOINING = """
import sqlite3, sys
from truecount import Inventory, SQLiteStorage

with Inventory(SQLiteStorage(sys.argv[1])) as inventory:
    host = sqlite3.connect(sys.argv[1])
    host.execute("BEGIN IMMEDIATE")
    inventory.within(host).locations.add("berlin")
    host.commit()
    host.close()
print(*(name for name in ("sqlalchemy", "django", "psycopg") if name in sys.modules), "and no more")
"""


def test_joining_a_drivers_connection_imports_no_framework(tmp_path: Path) -> None:
    """All of them are installed here."""
    words = [sys.executable, "-c", JOINING, str(tmp_path / "shop.db")]
    answer = subprocess.run(words, check=True, capture_output=True, text=True, timeout=60)
    assert answer.stdout.split() == ["and", "no", "more"]


def test_subclass_of_a_session_is_a_session(request: pytest.FixtureRequest) -> None:
    """Other packages make sessions of their own, and so do shops."""

    class Mine(Session):
        """A session of the shop's."""

    with opened("session", DATABASES["sqlite"](request)) as shop:
        assert isinstance(shop, SessionShop)
        with Mine(shop.engine) as session, session.begin():
            shop.inventory.within(session).reserve({"MUG": 1}, reference="A-1")
        assert shop.inventory.available("MUG") == 4


@pytest.mark.parametrize("host", ["a dsn", 5, Session], ids=["text", "number", "class"])
def test_what_is_no_host_is_left_to_the_storage(tmp_path: Path, host: object) -> None:
    """It names the type seen, with the package it comes from."""
    with Inventory(SQLiteStorage(tmp_path / "shop.db")) as inventory:
        joined = inventory.within(host)
        told = f"of type {type(host).__module__}."
        with pytest.raises(InvalidArgument, match=told):
            joined.available("MUG")


@pytest.mark.parametrize("framework", ["session", "django"])
def test_host_on_another_database_is_refused(
    request: pytest.FixtureRequest, tmp_path: Path, framework: str
) -> None:
    """The order would be in one file and the reservation in another."""
    with (
        opened(framework, DATABASES["sqlite"](request)) as shop,
        Inventory(SQLiteStorage(tmp_path / "other.db")) as other,
        shop.begun() as host,
    ):
        joined = other.within(host)
        with pytest.raises(InvalidArgument, match=r"open on .*shop\.db"):
            joined.available("MUG")
