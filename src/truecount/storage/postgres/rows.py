"""Rows as the tables take them, and as they are read: the columns of ``statements``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from truecount.model.lines import LineRow
from truecount.model.movements import MovementRow
from truecount.model.stock import StockKey, StockRow, made
from truecount.protocols.storage import Changes
from truecount.storage.postgres.wire import Row


def rows_of(changes: Changes) -> dict[str, list[Sequence[object]]]:
    """Return the rows to be put into each table, outcomes first."""
    return {
        "outcome": list(changes.outcomes),
        "movement": list(changes.movements),
        "unnumbered": [(m.recorded_at, m.ordinal, m.id) for m in changes.movements],
        "entry": [
            (*e.key, e.version, *_sparse(e.change), *_sparse(e.after), *e[4:])
            for e in changes.entries
        ],
        "stock": [(*k, *r.amounts, *r[1:]) for k, r in changes.rows.items()],
        "line": [(*n[:3], *n.key, *n[4:8], *_sparse(n[8:12]), n[12]) for n in changes.lines],
        "record": list(changes.records),
    }


def _sparse(figures: Sequence[int]) -> list[int | None]:
    """Return figures as they are kept: nothing for 0."""
    return [figure or None for figure in figures]


def stock_row(row: Row) -> tuple[StockKey, StockRow]:
    """Return a stock row with its key."""
    return made(StockKey, row[:3]), made(StockRow, (row[3:11], *row[11:]))


def line_row(row: Row) -> LineRow:
    """Return a reservation line."""
    return made(LineRow, (*row[:3], made(StockKey, row[3:6]), *row[6:]))


def movement_row(row: Row) -> tuple[Any, MovementRow]:
    """Return a movement with its position, None while it has none."""
    return row[0], made(MovementRow, row[1:])
