"""
Tables that are tables on a desk and cards on a phone. Pure.

Rules:
1. Every table has a caption; every column heading and row heading says what it heads
   (``scope``). Roles are written out, because a table laid out as cards loses its own.
2. Each cell carries the name of its column, which a phone shows beside it.
3. A cell that sorts otherwise than its text says by what (``data-sort``): a number, an instant.

Called by ``lists``, ``timeline_page`` and ``plans``; calls ``markup``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from truecount.rendering.markup import Child, Html, each, element
from truecount.rendering.words import figure


class Column(NamedTuple):
    """A column: its heading, and whether it holds numbers or names the row."""

    name: str
    is_number: bool = False
    is_heading: bool = False


class Cell(NamedTuple):
    """What one row has in one column; ``sort`` is what it is ordered by, None for its text."""

    content: Child
    sort: int | str | None = None


class Row(NamedTuple):
    """One row; ``group`` and ``place`` are what it can be filtered by."""

    cells: Sequence[Cell]
    group: str | None = None
    place: str | None = None
    class_: str | None = None


def number(value: int) -> Cell:
    """Return a cell of a whole number."""
    return Cell(figure(value), value)


def named(name: str, *, missing: str = "") -> Cell:
    """Return a cell of a name of the shop's, set apart from its surroundings."""
    return Cell(own(name) if name else element("span", missing, class_="quiet"), name)


def own(name: str) -> Html:
    """Return a name of the shop's: its reading direction ends where it ends."""
    return element("bdi", name, class_="own")


def table(
    caption: str,
    columns: Sequence[Column],
    rows: Iterable[Row],
    *,
    is_sortable: bool = False,
    has_cards: bool = False,
    is_headed: bool = False,
) -> Html:
    """
    Return a table.

    Args:
        is_sortable: Whether the script of the page gives it controls to sort and filter.
        has_cards: Whether a phone shows a card for each row; for more than three columns.
        is_headed: Whether a heading above it already says what its caption says.
    """
    heads = [
        element("th", column.name, scope="col", role="columnheader", class_=_class(column))
        for column in columns
    ]
    return element(
        "table",
        element("caption", caption, class_="unseen" if is_headed else None),
        element("thead", element("tr", *heads, role="row"), role="rowgroup"),
        element("tbody", each(_row(columns, row) for row in rows), role="rowgroup"),
        role="table",
        data_sortable=is_sortable,
        class_="cards" if has_cards else None,
    )


def _row(columns: Sequence[Column], row: Row) -> Html:
    cells = [_cell(column, cell) for column, cell in zip(columns, row.cells, strict=True)]
    return element(
        "tr", *cells, role="row", data_group=row.group, data_place=row.place, class_=row.class_
    )


def _cell(column: Column, cell: Cell) -> Html:
    name, role = ("th", "rowheader") if column.is_heading else ("td", "cell")
    return element(
        name,
        element("div", cell.content),
        scope="row" if column.is_heading else None,
        role=role,
        class_=_class(column),
        data_label=column.name,
        data_sort=cell.sort,
    )


def _class(column: Column) -> str | None:
    return "number" if column.is_number else None
