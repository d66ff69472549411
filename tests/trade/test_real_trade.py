"""A year of real trade through the public API, checked against independent arithmetic."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest

from tests.trade.online_retail import (
    SHOP,
    Line,
    Truth,
    as_commands,
    as_fact,
    openings,
    read_lines,
    read_truth,
    replay,
    replay_clock,
    truth_of,
)
from truecount import Inventory, MemoryStorage, SQLiteStorage, StockKey
from truecount.protocols import Storage


MakeInventory = Callable[[], Inventory]


@pytest.fixture(scope="module")
def trade(data_path: Callable[[str], Path]) -> list[Line]:
    """Every line of the year that moves stock, in order."""
    return read_lines(data_path("online_retail_2010_2011.csv.xz").parent)


@pytest.fixture(scope="module")
def truth(data_path: Callable[[str], Path]) -> dict[str, Truth]:
    """What is true of each code."""
    return read_truth(data_path("truth_online_retail_2010_2011.json").parent)


#: How many lines the quick versions replay: the first four days of trade.
FEW = 8_000


def test_the_truth_of_every_code_is_what_plain_addition_says(
    trade: list[Line], truth: dict[str, Truth]
) -> None:
    """The expected figures come from two independent computations."""
    ours = truth_of(trade)
    assert {code: t[1:] for code, t in ours.items()} == {
        code: t[1:] for code, t in truth.items() if code in ours
    }


@pytest.fixture(params=["memory", "sqlite"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Inventory]:
    """An inventory with the one location of the shop."""
    storage: Storage = (
        MemoryStorage() if request.param == "memory" else SQLiteStorage(tmp_path / "shop.db")
    )
    with Inventory(storage, clock=replay_clock) as inventory:
        inventory.locations.add(SHOP)
        yield inventory


def on_hand(inventory: Inventory) -> dict[str, int]:
    """Return what is on hand of every code."""
    return {key.sku: figures.on_hand for key, figures in inventory.stock().items()}


def lowest(inventory: Inventory, code: str) -> int:
    """Return the lowest sellable figure a code ever had."""
    with inventory.storage.read("main") as reader:
        return min(entry.after[0] for entry in reader.entries(StockKey(code, SHOP)))


def _commands_end_at_the_truth(shop: Inventory, trade: list[Line], truth: dict[str, Truth]) -> None:
    """Opened with just enough nothing is refused, all is exact; fed again nothing changes."""
    opened = [[each] for each in openings({code: t.opening for code, t in truth.items()})]
    first = replay(shop, iter([*opened, *map(as_commands, trade)]))
    assert first.refused == []

    stock = on_hand(shop)
    expected = {code: t.opening + t.change for code, t in truth.items() if code in stock}
    assert stock == expected
    assert {code for code, t in truth.items() if t.lines and code not in stock} <= {
        code for code, t in truth.items() if not t.change and not t.opening
    }
    for code, facts in truth.items():
        if facts.opening:
            assert lowest(shop, code) == 0, code

    before = shop.feed(after=0, limit=1)[0].digest, len(stock)
    again = replay(shop, iter([*opened, *map(as_commands, trade)]))
    assert again.replayed == again.operations == first.operations
    assert on_hand(shop) == stock
    assert (shop.feed(after=0, limit=1)[0].digest, len(on_hand(shop))) == before
    assert shop.verify().ok


def test_days_of_real_trade_as_commands_end_at_the_truth(
    shop: Inventory, trade: list[Line]
) -> None:
    """The first lines of the year: reserved, confirmed, shipped, returned, adjusted."""
    _commands_end_at_the_truth(shop, trade[:FEW], truth_of(trade[:FEW]))


@pytest.mark.slow
def test_a_year_of_real_trade_as_commands_ends_at_the_truth(
    shop: Inventory, trade: list[Line], truth: dict[str, Truth]
) -> None:
    """All 541,906 lines that move stock, against the truth file."""
    _commands_end_at_the_truth(shop, trade, truth)


def _one_less_is_refused(codes: list[str], trade: list[Line], truth: dict[str, Truth]) -> None:
    wanted = set(codes)
    inventory = Inventory(clock=replay_clock)
    inventory.locations.add(SHOP)
    replay(inventory, ([each] for each in openings({c: truth[c].opening - 1 for c in codes})))
    lines = {str(line.row): line.code for line in trade if line.code in wanted}
    result = replay(inventory, (as_commands(line) for line in trade if line.code in wanted))
    refused = {lines[key.rstrip("rcs")] for key in result.refused}
    assert refused == wanted


def test_one_unit_less_at_the_opening_refuses_a_command(
    trade: list[Line], truth: dict[str, Truth]
) -> None:
    """The truth's openings are tight: every fiftieth code, one lower, meets a refusal."""
    codes = sorted(code for code, t in truth.items() if t.opening)[::50]
    _one_less_is_refused(codes, trade, truth)


@pytest.mark.slow
def test_one_unit_less_of_any_code_refuses_a_command(
    trade: list[Line], truth: dict[str, Truth]
) -> None:
    """The same for all 4,007 codes that need an opening."""
    codes = sorted(code for code, t in truth.items() if t.opening)
    _one_less_is_refused(codes, trade, truth)


def _facts_find_the_oversold(shop: Inventory, trade: list[Line], truth: dict[str, Truth]) -> None:
    """With no opening stock all is recorded; what ran below zero is what the truth says."""
    result = replay(shop, ([as_fact(line)] for line in trade))
    assert result.refused == []
    assert result.operations == len(trade)
    needing = {code for code, t in truth.items() if t.opening}
    below = {code for code in on_hand(shop) if lowest(shop, code) < 0}
    assert below == needing

    oversold_now = {code for code, t in truth.items() if t.change < 0}
    found = {finding.sku for finding in shop.findings().open if finding.kind == "oversold"}
    assert found == oversold_now


def test_days_of_real_trade_as_facts_find_exactly_the_oversold_codes(
    shop: Inventory, trade: list[Line]
) -> None:
    """The first lines of the year, as facts without any opening stock."""
    _facts_find_the_oversold(shop, trade[:FEW], truth_of(trade[:FEW]))


@pytest.mark.slow
def test_a_year_of_real_trade_as_facts_finds_exactly_the_oversold_codes(
    shop: Inventory, trade: list[Line], truth: dict[str, Truth]
) -> None:
    """All 541,906 lines that move stock, as facts, against the truth file."""
    _facts_find_the_oversold(shop, trade, truth)


CHILD = """
import sys
from pathlib import Path
from itertools import islice
from tests.trade.online_retail import *
from truecount import Inventory, SQLiteStorage

folder, database, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
with Inventory(SQLiteStorage(database), clock=replay_clock) as inventory:
    inventory.locations.add(SHOP)
    truth = read_truth(folder)
    replay(inventory, ([o] for o in openings({c: t.opening for c, t in truth.items()})))
    for batch in batches(as_commands(line) for line in islice(read_lines(folder), count)):
        inventory.submit(batch)
        print("batch", flush=True)
"""


def test_an_import_killed_in_the_middle_and_resumed_ends_the_same(
    data_path: Callable[[str], Path], trade: list[Line], truth: dict[str, Truth], tmp_path: Path
) -> None:
    """SIGKILL while batches are written; the same keys fed again complete it, once each."""
    folder = data_path("online_retail_2010_2011.csv.xz").parent
    count = 3_000
    database = tmp_path / "killed.db"
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder), str(database), str(count)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parent.parent.parent,
    )
    assert child.stdout is not None
    for _ in range(7):
        assert child.stdout.readline() == b"batch\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()

    ends = []
    for path in (database, tmp_path / "whole.db"):
        with Inventory(SQLiteStorage(path), clock=replay_clock) as inventory:
            inventory.locations.add(SHOP)
            stock = {code: t.opening for code, t in truth.items()}
            replay(inventory, ([each] for each in openings(stock)))
            result = replay(inventory, map(as_commands, islice(trade, count)))
            assert result.refused == []
            assert inventory.verify().ok
            ends.append((on_hand(inventory), result.replayed))
    (killed, replayed), (whole, none) = ends
    assert killed == whole
    assert replayed > 0
    assert none == 0
