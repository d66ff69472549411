"""
Rows of a CSV file as facts, or why a row is bad. Pure.

Rules:
1. A row becomes exactly one fact of one SKU, or a :class:`Problem` that names the line, the
   column, the value and the reason. Nothing is guessed, rounded or repaired.
2. The key of a row is its ``key`` cell, or else the key prefix and the line, so importing
   the same file again repeats the same requests and changes nothing.
3. An empty cell says nothing: the constant set for its column holds, if there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import tzinfo
from difflib import get_close_matches
from typing import Any, Final, NamedTuple, TypeAlias

import attrs

from truecount.cli.csv_cells import READERS
from truecount.cli.csv_columns import COLUMNS, KINDS, KindSpec
from truecount.errors import InvalidArgument, InvalidQuantity, InvalidText, InvalidTime
from truecount.model import names
from truecount.model.operation import Operation


#: Advice of rules about text, and what it is for whoever has a file.
ADVICE: Final = {
    "pass unicodedata.normalize('NFC', ...)": "write each letter with its accent as one character",
    "read the file as 'utf-8-sig'": "delete it",
}


#: Makes the value of a field of a cell.
_Reader: TypeAlias = Callable[[str, tzinfo | None], Any]


class _Bad(Exception):
    """A cell cannot be used."""

    def __init__(self, column: str, value: str, reason: str) -> None:
        super().__init__(column, value, reason)
        self.found = (column, value, reason)


class Problem(NamedTuple):
    """Why a row was not imported."""

    line: int
    column: str
    value: str
    reason: str

    def __str__(self) -> str:
        """
        Return the problem as it is listed.

        >>> str(Problem(3, "quantity", "2.5", "expected a whole number"))
        "line 3, quantity '2.5': expected a whole number"
        """
        where = f"line {self.line}, {self.column}" if self.column else f"line {self.line}"
        return f"{where} {names.shown(self.value)}: {self.reason}"


@attrs.frozen(kw_only=True)
class Layout:
    """
    How the rows of one file are read.

    Attributes:
        header: The file's own column names.
        places: For each column of ours that the file has, its place in a row.
        constants: What an empty or missing cell of a column means.
        timezone: The zone of times that name none; None refuses them.
        key_prefix: Begins the key of every row without one; None leaves them without.
        locations: The declared locations, and those the import will declare.
        any_location: Whether a location that was not declared is fine.
        strip: Whether white space around cells is dropped.
    """

    header: tuple[str, ...]
    places: Mapping[str, int]
    key_prefix: str | None
    constants: Mapping[str, str] = attrs.field(factory=dict)
    timezone: tzinfo | None = None
    locations: frozenset[str] = frozenset()
    any_location: bool = False
    strip: bool = False
    #: What was worked out so far, by the word for the kind.
    plans: dict[str, _Plan] = attrs.field(init=False, factory=dict, eq=False, repr=False)

    def named(self, column: str) -> str:
        """Return the file's own name of a column."""
        place = self.places.get(column)
        return column if place is None else self.header[place]


def fact_of(layout: Layout, line: int, cells: Sequence[str]) -> Operation | Problem:
    """
    Return the fact that the row starting at *line* says, or what is wrong with it.

    >>> layout = Layout(
    ...     header=("kind", "sku", "quantity", "location"),
    ...     places={"kind": 0, "sku": 1, "quantity": 2, "location": 3},
    ...     key_prefix="may.csv",
    ...     locations=frozenset({"berlin"}),
    ... )
    >>> fact_of(layout, 2, ["sold", "MUG", "3", "berlin"])
    Sold(sku='MUG', quantity=3, at='berlin', key='may.csv:2')
    >>> print(fact_of(layout, 3, ["sold", "MUG", "2.5", "berlin"]))
    line 3, quantity '2.5': expected a whole number, for example 12
    """
    try:
        return _fact(layout, line, cells)
    except _Bad as bad:
        column, value, reason = bad.found
        if column and value != value.strip():
            reason = "it is padded with white space; take it away, or pass --strip"
        return Problem(line, layout.named(column) if column else "", value, reason)


def _fact(layout: Layout, line: int, cells: Sequence[str]) -> Operation:
    if len(cells) != len(layout.header):
        count = f"{len(cells)} {'cell' if len(cells) == 1 else 'cells'}"
        reason = f"the row has {count}, the header has {len(layout.header)}"
        raise _Bad("", ",".join(cells), reason)
    if layout.strip:
        cells = [cell.strip() for cell in cells]
    plan = _plan_of(layout, cells)
    for closed, column in plan.closed:
        if cells[closed]:
            reason = f"{_word_of(plan.spec)} takes no {column}; leave the cell empty"
            raise _Bad(column, cells[closed], reason)
    values: dict[str, Any] = {}
    for column, place, constant, field, reader, is_needed in plan.steps:
        cell = constant if place is None else cells[place] or constant
        if cell:
            values[field] = cell if reader is None else _read(reader, column, cell, layout.timezone)
        elif is_needed:
            raise _Bad(column, "", f"it is empty, {_word_of(plan.spec)} needs it")
    if not layout.any_location and values["at"] not in layout.locations:
        raise _Bad("location", values["at"], _unknown_location(layout, values["at"]))
    if "lot_expires_at" in values and "lot" not in values:
        raise _Bad(
            "lot_expires_at", _cell_of(plan, cells, "lot_expires_at"), "a lot is needed as well"
        )
    if "key" not in values and layout.key_prefix is not None:
        values["key"] = f"{layout.key_prefix}:{line}"
    return _made(plan, values, cells)


def _read(reader: _Reader, column: str, cell: str, timezone: tzinfo | None) -> Any:
    try:
        return reader(cell, timezone)
    except ValueError as error:
        raise _Bad(column, cell, str(error)) from None


class _Step(NamedTuple):
    """Where a kind of row takes one field of its fact from."""

    column: str
    place: int | None
    constant: str
    field: str
    reader: _Reader | None
    is_needed: bool


class _Plan(NamedTuple):
    """How rows of one kind become facts, worked out once for a file."""

    spec: KindSpec
    steps: tuple[_Step, ...]
    #: Places, and columns, of cells that have to be empty.
    closed: tuple[tuple[int, str], ...]


def _plan_of(layout: Layout, cells: Sequence[str]) -> _Plan:
    place = layout.places.get("kind")
    word = ("" if place is None else cells[place]) or layout.constants.get("kind", "")
    plan = layout.plans.get(word)
    if plan is None:
        plan = layout.plans[word] = _plan_for(layout, _spec_of(word))
    return plan


def _plan_for(layout: Layout, spec: KindSpec) -> _Plan:
    steps = [
        _step_of(layout, spec, column)
        for column in COLUMNS
        if column in spec.allowed and (column in layout.places or column in layout.constants)
    ]
    missing = next((name for name in COLUMNS if name in spec.needs - {s.column for s in steps}), "")
    if missing:
        raise _Bad(missing, "", f"it is empty, {_word_of(spec)} needs it")
    closed = [
        (place, column)
        for column, place in layout.places.items()
        if column != "kind" and column not in spec.allowed
    ]
    return _Plan(spec, tuple(steps), tuple(closed))


def _step_of(layout: Layout, spec: KindSpec, column: str) -> _Step:
    field = spec.fields.get(column, column)
    return _Step(
        column=column,
        place=layout.places.get(column),
        constant=layout.constants.get(column, ""),
        field=field,
        reader=READERS.get(field),
        is_needed=column in spec.needs,
    )


def _spec_of(word: str) -> KindSpec:
    spec = KINDS.get(word)
    if spec is None:
        seen = "" if word else "it is empty, and no --kind was named; "
        raise _Bad("kind", word, f"{seen}expected one of {', '.join(KINDS)}")
    return spec


def _word_of(spec: KindSpec) -> str:
    return next(word for word, each in KINDS.items() if each is spec)


def _unknown_location(layout: Layout, location: str) -> str:
    near = get_close_matches(location, layout.locations, n=1)
    meant = f" (did you mean {near[0]!r}?)" if near else ""
    return f"this location was never declared{meant}; pass --create-locations to declare it"


def _made(plan: _Plan, values: Mapping[str, Any], cells: Sequence[str]) -> Operation:
    """Make the fact; what its own checks refuse becomes a bad cell."""
    try:
        return plan.spec.fact(**values)
    except (InvalidText, InvalidTime) as error:
        reason = error.rule
        for python, here in ADVICE.items():
            reason = reason.replace(python, here)
        raise _bad_cell(plan, cells, error.name, reason) from None
    except (InvalidArgument, InvalidQuantity) as error:
        reason = f"expected {error.allowed.replace(' (int)', '')}"
        raise _bad_cell(plan, cells, error.name, reason) from None


def _bad_cell(plan: _Plan, cells: Sequence[str], field: str, reason: str) -> _Bad:
    columns = {step.field: step.column for step in plan.steps} | {name: name for name in COLUMNS}
    column = columns.get(field, "quantity")
    return _Bad(column, _cell_of(plan, cells, column), reason)


def _cell_of(plan: _Plan, cells: Sequence[str], column: str) -> str:
    step = next((step for step in plan.steps if step.column == column), None)
    if step is None:
        return ""
    return step.constant if step.place is None else cells[step.place] or step.constant
