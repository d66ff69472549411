"""
A year of a real gift shop's trade (UCI Online Retail, CC BY 4.0), as truecount operations.

Each line of the file moves one SKU: a sale takes stock, a cancellation brings it back, an
adjustment does either, a bad debt does nothing. The truth file says, for each code, how many
lines it has, what they sum to, and the smallest opening stock with which it never runs out.
"""

from __future__ import annotations

import csv
import json
import lzma
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from truecount import (
    Adjusted,
    Confirm,
    Inventory,
    Opened,
    Operation,
    Reserve,
    Returned,
    Ship,
    Sold,
    State,
)


SHOP = "shop"
#: When the book was opened: before the first line.
OPENED_AT = datetime(2010, 11, 30, tzinfo=UTC)
#: The clock of the replay: after the last line, so that no line lies in the future.
REPLAYED_AT = datetime(2012, 1, 1, tzinfo=UTC)


class Line(NamedTuple):
    """One line that moves stock: S sale, C cancellation, J adjustment."""

    row: int
    kind: str
    code: str
    #: The effect on stock, never 0.
    change: int
    occurred_at: datetime
    invoice: str


class Truth(NamedTuple):
    """What independent arithmetic says about one code."""

    lines: int
    change: int
    #: The smallest opening stock with which the code never falls below zero.
    opening: int


def replay_clock() -> datetime:
    """Return the time of the replay, always the same."""
    return REPLAYED_AT


def read_truth(folder: Path) -> dict[str, Truth]:
    """Return the truth of each code."""
    data = json.loads((folder / "truth_online_retail_2010_2011.json").read_text("utf-8"))
    return {
        code: Truth(lines, change, opening)
        for code, (lines, _, change, opening) in data["per_code_map"].items()
    }


def truth_of(lines: list[Line]) -> dict[str, Truth]:
    """Return the truth of each code in *lines*, by plain addition."""
    count: dict[str, int] = {}
    balance: dict[str, int] = {}
    lowest: dict[str, int] = {}
    for line in lines:
        count[line.code] = count.get(line.code, 0) + 1
        balance[line.code] = balance.get(line.code, 0) + line.change
        lowest[line.code] = min(lowest.get(line.code, 0), balance[line.code])
    return {code: Truth(count[code], balance[code], -lowest[code]) for code in balance}


def read_lines(folder: Path, limit: int | None = None) -> list[Line]:
    """Return every line that moves stock (of the first rows), by date, then by row."""
    lines = []
    with lzma.open(folder / "online_retail_2010_2011.csv.xz", "rt", encoding="utf-8") as file:
        for number, row in enumerate(islice(csv.DictReader(file), limit), 1):
            kind = _kind(row)
            if kind == "A":
                continue
            quantity = int(row["Quantity"])
            change = quantity if kind == "J" else -quantity
            moment = datetime.fromisoformat(row["InvoiceDate"]).replace(tzinfo=UTC)
            lines.append(Line(number, kind, row["StockCode"], change, moment, row["InvoiceNo"]))
    lines.sort(key=lambda line: (line.occurred_at, line.row))
    return lines


def _kind(row: dict[str, str]) -> str:
    if row["InvoiceNo"][0] in "CA":
        return row["InvoiceNo"][0]
    return "J" if float(row["UnitPrice"]) == 0 and not row["CustomerID"] else "S"


def openings(stock: dict[str, int]) -> list[Operation]:
    """Return the opening of every code that has stock."""
    return [
        Opened(code, quantity, at=SHOP, occurred_at=OPENED_AT, key=f"open/{code}")
        for code, quantity in sorted(stock.items())
        if quantity
    ]


def as_commands(line: Line) -> list[Operation]:
    """Return a line as the commands of a shop: a sale is reserved, confirmed and shipped."""
    key, moment = str(line.row), line.occurred_at
    if line.kind == "J":
        return [
            Adjusted(
                line.code,
                line.change,
                at=SHOP,
                reason="stock adjustment",
                refuse_below=0,
                occurred_at=moment,
                key=key,
            )
        ]
    if line.change > 0:
        return [_returned(line)]
    order = f"{line.invoice}/{line.row}"
    return [
        Reserve({line.code: -line.change}, reference=order, occurred_at=moment, key=f"{key}r"),
        Confirm(reference=order, occurred_at=moment, key=f"{key}c"),
        Ship(reference=order, occurred_at=moment, key=f"{key}s"),
    ]


def as_fact(line: Line) -> Operation:
    """Return a line as a fact that already happened."""
    key, moment = str(line.row), line.occurred_at
    if line.kind == "J":
        return Adjusted(
            line.code, line.change, at=SHOP, reason="stock adjustment", occurred_at=moment, key=key
        )
    if line.change > 0:
        return _returned(line)
    return Sold(line.code, -line.change, at=SHOP, occurred_at=moment, key=key)


def _returned(line: Line) -> Operation:
    return Returned(
        line.code,
        line.change,
        at=SHOP,
        into=State.SELLABLE,
        occurred_at=line.occurred_at,
        key=str(line.row),
    )


def batches(operations: Iterator[list[Operation]], size: int = 999) -> Iterator[list[Operation]]:
    """Yield operations in lists of at most *size*, never cutting a line's own list."""
    batch: list[Operation] = []
    for group in operations:
        if len(batch) + len(group) > size:
            yield batch
            batch = []
        batch += group
    if batch:
        yield batch


class Replay(NamedTuple):
    """What became of a replay."""

    operations: int
    refused: list[str]
    replayed: int


def replay(inventory: Inventory, groups: Iterator[list[Operation]]) -> Replay:
    """Submit operations in batches; return the keys refused and how many were replays."""
    count, refused, replayed = 0, [], 0
    for batch in batches(groups):
        for outcome in inventory.submit(batch):
            count += 1
            replayed += outcome.replayed
            if not outcome.granted:
                refused.append(outcome.key)
    return Replay(count, refused, replayed)
