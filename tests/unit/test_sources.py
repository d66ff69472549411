"""What the shop says of its sources is kept, goes with every comparison, and has a history."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.shops import MINUTE, START, Shop
from truecount import (
    Count,
    Formula,
    Inventory,
    Level,
    MemoryStorage,
    Operation,
    Shown,
    Source,
    SQLiteStorage,
)
from truecount.errors import InvalidArgument, InvalidData, UnknownLocation, UnknownReference
from truecount.model.settings import SOURCE, SOURCE_HISTORY, past_source
from truecount.protocols.storage import Changes, Wants
from truecount.reconciliation.sources import DescribeSource
from truecount.testing import ManualClock


SLOW = Source("etsy", skew=timedelta(seconds=5), late=MINUTE)
WMS = Source("wms", formula=Formula(Shown.ON_HAND, lowest=None), at={"berlin"})


@pytest.fixture(params=["memory", "sqlite"])
def storage(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[MemoryStorage | SQLiteStorage]:
    """Return a storage of each kind."""
    if request.param == "memory":
        yield MemoryStorage()
    else:
        with closing(SQLiteStorage(tmp_path / "shop.db", synchronous="OFF")) as storage:
            yield storage


@pytest.fixture
def inventory(storage: MemoryStorage | SQLiteStorage) -> Inventory:
    """Return an inventory with five mugs in Berlin."""
    inventory = Inventory(storage, clock=ManualClock(START))
    inventory.locations.add("berlin", "hamburg")
    inventory.receive("MUG", 5, at="berlin")
    return inventory


class TestRecords:
    def test_what_is_said_is_kept_for_everybody(
        self, inventory: Inventory, storage: MemoryStorage | SQLiteStorage
    ) -> None:
        """Another process sees it, and the change of it, with its next comparison."""
        other = Inventory(storage, clock=ManualClock(START))
        assert list(other.sources) == []
        inventory.sources.set(WMS)
        inventory.sources.set(SLOW)
        assert (list(other.sources), len(other.sources)) == ([SLOW, WMS], 2)
        inventory.sources.set(Source("etsy"))
        assert other.sources.get("etsy") == Source("etsy")
        inventory.sources.remove("etsy")
        assert "etsy" not in other.sources
        with pytest.raises(UnknownReference, match="source 'etsy'"):
            other.sources.get("etsy")

    def test_history_tells_who_said_what_when(self, inventory: Inventory) -> None:
        """Saying it twice is no change; taking it back is one, and so is saying it again."""
        inventory.sources.set(SLOW, actor="kim", reason="measured")
        inventory.sources.set(SLOW, actor="sam")
        inventory.sources.remove("etsy")
        inventory.sources.remove("etsy")
        inventory.sources.set(SLOW)
        history = inventory.sources.history("etsy")
        assert [(each.version, each.source) for each in history] == [
            (1, SLOW),
            (2, None),
            (3, SLOW),
        ]
        assert (history[0].actor, history[0].reason) == ("kim", "measured")
        assert history[0].set_at == START

    def test_nothing_was_ever_said(self, inventory: Inventory) -> None:
        """Then there is no history, and nothing to take back."""
        inventory.sources.remove("ebay")
        with pytest.raises(UnknownReference):
            inventory.sources.history("ebay")

    def test_location_nobody_declared_is_refused(self, inventory: Inventory) -> None:
        """A typing error here would leave every level of the source undecidable."""
        with pytest.raises(UnknownLocation, match="did you mean 'berlin'"):
            inventory.sources.set(Source("wms", at="berlni"))
        assert list(inventory.sources) == []

    def test_what_is_no_source_is_refused(self, inventory: Inventory) -> None:
        """A name alone says nothing."""
        with pytest.raises(InvalidArgument, match="a Source"):
            inventory.sources.set("etsy")  # type: ignore[arg-type]  # the claim

    def test_operation_survives_the_way_through_json(self) -> None:
        """Like any other, and it is checked when it is read."""
        operation = DescribeSource("wms", WMS.to_dict(), actor="kim")
        stored = json.loads(json.dumps(operation.to_dict()))
        assert Operation.from_dict(stored) == operation
        with pytest.raises(InvalidData, match="a source"):
            DescribeSource("wms", {"skew": 1})

    def test_copy_of_the_ledger_has_them(self, inventory: Inventory) -> None:
        """Exported and imported, with their history, and proved."""
        inventory.sources.set(SLOW)
        inventory.sources.set(WMS)
        inventory.sources.remove("wms")
        copy = io.StringIO()
        inventory.export(copy)
        other = Inventory(clock=ManualClock(START))
        assert list(other.sources) == []  # It has the rules in mind before the import.
        other.import_lines(copy.getvalue().splitlines())
        assert list(other.sources) == [SLOW]
        assert other.sources.history("wms") == inventory.sources.history("wms")
        assert other.verify().ok


class TestComparing:
    def test_bounds_of_the_shop_are_those_of_every_comparison(self, inventory: Inventory) -> None:
        """Nobody has to say them again, and a call can say otherwise by name."""
        count = Count("MUG", 5, at="berlin", counted_at=START)
        assert inventory.reconcile([count]).ok
        inventory.sources.set(SLOW)
        [early] = inventory.reconcile([count]).undecided
        assert early.decidable_at == START + MINUTE
        assert inventory.reconcile([count], sources=[Source("etsy")]).ok
        assert inventory.reconcile([count], sources=[Source("ebay")]).undecided

    def test_formula_and_places_are_the_shops(self, inventory: Inventory) -> None:
        """A level is made as the shop says that its source makes it."""
        inventory.receive("MUG", 2, at="hamburg")
        inventory.reserve({"MUG": 1}, reference="cart-1")
        level = Level("wms", "MUG", 5)
        assert not inventory.reconcile([level]).ok
        inventory.sources.set(WMS)
        assert inventory.reconcile([level]).ok

    def test_everybody_else_can_be_described(self, inventory: Inventory) -> None:
        """The name "*" is who is not described by name."""
        inventory.sources.set(Source("*", late=MINUTE))
        assert inventory.reconcile([Count("MUG", 5, at="berlin")]).undecided


class TestVerify:
    @pytest.mark.parametrize(
        ("space", "body", "says"),
        [
            (SOURCE, {"version": 1, "said": {"skew": 1}}, "a source that can be described"),
            (SOURCE, {"version": 1, "said": None}, "its versions 1 to 1, the last as it is"),
            (SOURCE, {"version": 2, "said": SLOW.to_dict()}, "its versions 1 to 2"),
            (SOURCE_HISTORY, {"version": 1, "said": None}, "its versions 1 to 1"),
            (SOURCE, {"version": "x", "said": None}, "a source that can be described"),
        ],
    )
    def test_what_was_tampered_with_is_found(self, space: str, body: Any, says: str) -> None:
        """What is in force is the last of its versions, and both can be read."""
        shop = Shop({"berlin": {}})
        shop.inventory.sources.set(SLOW)
        shop.check()
        name = (space, "etsy" if space == SOURCE else past_source("etsy", 1))
        with shop.inventory.storage.begin("main") as unit:
            record = unit.lock(Wants(records={name})).records[name]
            changed = record._replace(version=record.version + 1, body=json.dumps(body))
            unit.write(Changes([], [], [], {}, [], [changed]))
        [problem] = shop.inventory.verify().problems
        assert says in str(problem)
