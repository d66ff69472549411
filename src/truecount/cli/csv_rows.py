"""
Rows of a CSV file as facts: what the columns mean, and why a row is bad. Pure.

Rules:
1. A row becomes exactly one fact of one SKU, or a :class:`Problem` that names the line, the
   column, the value and the reason. Nothing is guessed, rounded or repaired.
2. The key of a row is its ``key`` cell, or else the key prefix and the line, so importing
   the same file again repeats the same requests and changes nothing.
3. An empty cell says nothing: the constant set for its column holds, if there is one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Final, NamedTuple

import attrs

from truecount.errors import (
    InvalidArgument,
    InvalidData,
    InvalidQuantity,
    InvalidText,
    InvalidTime,
)
from truecount.model import names
from truecount.model.facts import (
    Adjusted,
    Counted,
    Damaged,
    DeliveryClosed,
    Expected,
    Inspected,
    Opened,
    Received,
    Returned,
    ReturnedToSupplier,
    Scrapped,
    Sold,
)
from truecount.model.operation import Operation
from truecount.model.quantities import QUANTITY_MAX


#: What each column holds; the order is the order of the manual.
COLUMNS: Final[Mapping[str, str]] = {
    "kind": "what happened, one of the kinds below",
    "sku": "the SKU, exact text",
    "quantity": "whole number of base units; for adjust the change, with its sign",
    "location": "where; a declared location",
    "occurred_at": "when, ISO 8601; for count the moment of the count",
    "reference": "the document: order, delivery, cart",
    "key": "names this row for ever; default: the key prefix, a colon and the line",
    "reason": "why; required for adjust and scrap",
    "lot": "the lot",
    "lot_expires_at": "when the lot expires, ISO 8601",
    "state": "which units: sellable, quarantine or damaged",
    "into": "where the units end: sellable, quarantine or damaged",
    "rejected": "units of a delivery sent straight back",
    "due_at": "when an expected delivery is due, ISO 8601",
    "actor": "who did it",
    "origin": "where the report came from",
}

#: Columns that a file of rejected rows has besides its own; an import passes over them.
BAD_COLUMNS: Final = ("bad_line", "bad_column", "bad_reason")

_ALWAYS: Final = frozenset({"reference", "key", "reason", "actor", "origin", "occurred_at"})
_TIMES: Final = frozenset({"occurred_at", "counted_at", "lot_expires_at", "due_at"})
_NUMBERS: Final = frozenset({"quantity", "change", "rejected"})
#: Nineteen digits hold every quantity there is.
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,19}")
_TOO_LARGE: Final = re.compile(r"[+-]?[0-9]{20,}")
_GROUPED: Final = re.compile(r"[+-]?[0-9]{1,3}([., '_\u00a0\u2019\u202f][0-9]{3})+")


#: Advice of rules about text, and what it is for whoever has a file.
ADVICE: Final = {
    "pass unicodedata.normalize('NFC', ...)": "write each letter with its accent as one character",
    "read the file as 'utf-8-sig'": "delete it",
}

_NEEDS: Final = "sku quantity location"


class KindSpec(NamedTuple):
    """How a kind of row becomes a fact."""

    fact: type[Operation]
    meaning: str
    #: Columns that may not be empty, and all that may be filled.
    needs: frozenset[str]
    allowed: frozenset[str]
    #: Columns whose cell goes into a field of another name.
    fields: Mapping[str, str]


def _kind(
    fact: type[Operation],
    meaning: str,
    takes: str = "",
    *,
    needs: str = _NEEDS,
    **fields: str,
) -> KindSpec:
    required = frozenset(needs.split())
    allowed = _ALWAYS | required | frozenset(takes.split())
    return KindSpec(fact, meaning, required, allowed, {"location": "at", **fields})


#: The kinds of row, in the words of the file.
KINDS: Final[Mapping[str, KindSpec]] = {
    "open": _kind(Opened, "opening stock", "state lot lot_expires_at"),
    "expect": _kind(Expected, "ordered from a supplier", "due_at", needs=f"{_NEEDS} reference"),
    "receive": _kind(Received, "a delivery", "into lot lot_expires_at rejected"),
    "close_delivery": _kind(
        DeliveryClosed,
        "the rest of what was ordered will not come",
        needs="sku location reference",
    ),
    "sold": _kind(Sold, "a sale that happened", "lot"),
    "return": _kind(Returned, "a customer's return", "into lot"),
    "inspect": _kind(Inspected, "units in quarantine were judged", "lot", needs=f"{_NEEDS} into"),
    "damage": _kind(Damaged, "units were found damaged", "state lot"),
    "scrap": _kind(Scrapped, "units were thrown away", "state lot", needs=f"{_NEEDS} reason"),
    "return_to_supplier": _kind(
        ReturnedToSupplier, "units went back to their supplier", "state lot"
    ),
    "adjust": _kind(
        Adjusted, "a correction", "state lot", needs=f"{_NEEDS} reason", quantity="change"
    ),
    "count": _kind(Counted, "the shelf held so many", "lot", occurred_at="counted_at"),
}


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


class _Bad(Exception):
    """A cell cannot be used."""

    def __init__(self, column: str, value: str, reason: str) -> None:
        super().__init__(column, value, reason)
        self.found = (column, value, reason)


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


def places_of(
    header: Sequence[str], mapping: Mapping[str, str], constants: Mapping[str, str], *, extra: bool
) -> dict[str, int]:
    """
    Return which place of a row holds which column.

    Upper and lower case and surrounding white space of a header do not matter. *mapping*
    gives columns the file names otherwise, *constants* what cells of a missing one mean;
    *extra* passes over columns nobody knows.

    >>> places_of(["Kind", "sku", "Qty", "location"], {"quantity": "Qty"}, {}, extra=False)
    {'quantity': 2, 'kind': 0, 'sku': 1, 'location': 3}

    Raises:
        InvalidData: A column is missing, unknown, unnamed or there twice.
    """
    seen = [name.strip().casefold() for name in header]
    _check_header(header, seen)
    places = {column: _mapped(column, name, header, seen) for column, name in mapping.items()}
    used = set(places.values())
    unknown = []
    for place, name in enumerate(seen):
        if place in used or name in BAD_COLUMNS:
            continue
        if name in COLUMNS and name not in places:
            places[name] = place
        elif not extra:
            unknown.append(header[place])
    if unknown:
        raise InvalidData("the header", _unknown(unknown, mapping))
    needed = _needed(None if "kind" in places else constants.get("kind"))
    missing = [name for name in COLUMNS if name in needed - {*places, *constants}]
    if missing:
        raise InvalidData(
            "the header",
            f"it has no column {' and no column '.join(missing)} (seen: {_shown(header)}); "
            "name it with --map, or give all rows one value with --set",
        )
    return places


def _needed(kind: str | None) -> frozenset[str]:
    """Return the columns a file must have, if all of its rows are of one *kind*."""
    spec = KINDS.get(kind or "")
    return frozenset({"kind", "sku", "location"}) | (spec.needs if spec else frozenset())


def _check_header(header: Sequence[str], seen: Sequence[str]) -> None:
    for place, name in enumerate(seen):
        if not name:
            problem = f"column {place + 1} has no name (seen: {_shown(header)})"
            raise InvalidData("the header", problem)
        if name in seen[:place]:
            problem = f"column {names.shown(header[place])} is there twice; rename one of them"
            raise InvalidData("the header", problem)


def _mapped(column: str, name: str, header: Sequence[str], seen: Sequence[str]) -> int:
    if name in header:
        return header.index(name)
    if name.strip().casefold() in seen:
        return seen.index(name.strip().casefold())
    raise InvalidData(
        "the header", f"it has no column {name!r} for {column} (seen: {_shown(header)})"
    )


def _shown(header: Sequence[str]) -> str:
    return ", ".join(names.shown(name) for name in header)


def _unknown(columns: Sequence[str], mapping: Mapping[str, str]) -> str:
    """Say which *columns* nobody knows: all of them, so that one more call is enough."""
    said = []
    for name in columns:
        column = name.strip().casefold()
        if column in mapping:
            return (
                f"it has a column {names.shown(name)}, but --map takes {column} from "
                f"{names.shown(mapping[column])}; drop one, or pass over the other with --extra"
            )
        near = get_close_matches(column, COLUMNS, n=1)
        meant = f" (did you mean {near[0]!r}?)" if near else ""
        said.append(f"column {names.shown(name)} is unknown{meant}")
    return f"{', '.join(said)}; say what it holds with --map, or pass over it with --extra"


# --- rows -------------------------------------------------------------------------------


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
            values[field] = cell if reader is None else reader(column, cell, layout.timezone)
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


class _Step(NamedTuple):
    """Where a kind of row takes one field of its fact from."""

    column: str
    place: int | None
    constant: str
    field: str
    reader: Callable[[str, str, tzinfo | None], Any] | None
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
        reader=_READERS.get(field),
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


# --- cells ------------------------------------------------------------------------------


def _number(column: str, cell: str, _timezone: tzinfo | None) -> int:
    if _WHOLE.fullmatch(cell) is None:
        raise _Bad(column, cell, _why_no_number(cell))
    return int(cell)


def _why_no_number(cell: str) -> str:
    if _TOO_LARGE.fullmatch(cell):
        return f"expected a whole number of at most {QUANTITY_MAX}"
    if _GROUPED.fullmatch(cell):
        return "expected a whole number in digits only, for example 12000; drop the separators"
    return "expected a whole number, for example 12"


def _moment(column: str, cell: str, timezone: tzinfo | None) -> datetime:
    found = _read_moment(cell, timezone)
    if isinstance(found, str):
        raise _Bad(column, cell, found)
    return found


@lru_cache(maxsize=4096)
def _read_moment(cell: str, timezone: tzinfo | None) -> datetime | str:
    """Return the moment, or why there is none."""
    try:
        moment = datetime.fromisoformat(cell)
    except ValueError:
        return "expected ISO 8601, for example 2026-03-01T09:30:00+01:00"
    if moment.utcoffset() is not None:
        return moment
    if timezone is None:
        return "it has no time zone; add one (+01:00) or pass --timezone"
    local = moment.replace(tzinfo=timezone)
    try:
        again = local.astimezone(UTC).astimezone(timezone)
    except OverflowError:
        return "in UTC it lies outside the years 1 to 9999"
    if again.replace(tzinfo=None) != moment:
        return f"clocks in {timezone} never showed this time"
    return local


def _word(_column: str, cell: str, _timezone: tzinfo | None) -> str:
    return cell.casefold()


#: How the text of a cell becomes the value of a field; other fields take it as it is.
_READERS: Final[Mapping[str, Callable[[str, str, tzinfo | None], Any]]] = {
    **dict.fromkeys(_NUMBERS, _number),
    **dict.fromkeys(_TIMES, _moment),
    **dict.fromkeys(("state", "into"), _word),
}
