"""
The columns of a CSV file: what each holds, which a kind of row needs, what a header says. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Final, NamedTuple

from truecount.errors import InvalidData
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


# --- headers ----------------------------------------------------------------------------


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
