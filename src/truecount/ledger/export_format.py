"""
The whole ledger as text, one JSON object in each line: what a file is.

A file has a header, then movements by position, documents, outcomes, and a footer::

    {"truecount":1,"tenant":"main","movements":2}
    {"movement":{"position":1,"id":"...","kind":"receive",...,"body":{...},"digest":"..."}}
    {"record":{"space":"location","id":"berlin","body":{...}}}
    {"outcome":{"key":"...","fingerprint":"...","decided_at":...,"body":{...}}}
    {"end":{"movements":2,"records":3,"outcomes":2,"position":2,"digest":"...","checksum":"..."}}

Entries, stock rows and reservation lines are not in it: the movements say all of them, and an
import folds them by the functions that folded them first. Two exports of one state are equal
byte for byte, whatever storages they came from.

``exporting`` writes such files, ``importing`` reads them in.
"""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any, Final

import attrs

from truecount.errors import InvalidData
from truecount.ledger.scan import START, rolled
from truecount.model.movements import MovementRow, encode
from truecount.model.names import shown


#: The version of the format that this library writes and reads.
FORMAT: Final = 1

_TEXT: Final = (str,)
_NUMBER: Final = (int,)
_OPTIONAL_TEXT: Final = (str, type(None))
_OBJECT: Final = (dict,)

#: The fields of each kind of line, and the types they may have.
_FIELDS: Final[dict[str, dict[str, tuple[type, ...]]]] = {
    "movement": {
        "position": _NUMBER,
        "id": _TEXT,
        "kind": _TEXT,
        "occurred_at": _NUMBER,
        "recorded_at": _NUMBER,
        "ordinal": _NUMBER,
        "reference": _OPTIONAL_TEXT,
        "reason": _OPTIONAL_TEXT,
        "actor": _OPTIONAL_TEXT,
        "origin": _OPTIONAL_TEXT,
        "reverses": _OPTIONAL_TEXT,
        "body": _OBJECT,
        "digest": _TEXT,
    },
    "record": {"space": _TEXT, "id": _TEXT, "body": _OBJECT},
    "outcome": {
        "key": _TEXT,
        "fingerprint": _TEXT,
        "decided_at": _NUMBER,
        "forget_at": (int, type(None)),
        "body": _OBJECT,
    },
    "end": {
        "movements": _NUMBER,
        "records": _NUMBER,
        "outcomes": _NUMBER,
        "position": _NUMBER,
        "digest": _TEXT,
        "checksum": _TEXT,
    },
}

#: The order of a file's sections.
SECTIONS: Final = tuple(_FIELDS)


@attrs.define
class Counts:
    """What went through, in the order of the file."""

    movements: int = 0
    records: int = 0
    outcomes: int = 0
    position: int = 0
    digest: str = START

    def add_movement(self, position: int, row: MovementRow) -> None:
        """Take in the next movement."""
        self.movements += 1
        self.position = position
        self.digest = rolled(self.digest, row)


class Checksum:
    """Of all lines before the footer, whatever ends them."""

    def __init__(self) -> None:
        self._hash = blake2b(digest_size=16)
        self.lines = 0

    def add(self, text: str) -> None:
        """Take in one line."""
        self._hash.update(text.rstrip("\r\n").encode(errors="surrogatepass") + b"\n")
        self.lines += 1

    def hexdigest(self) -> str:
        """Return the checksum of the lines so far."""
        return self._hash.hexdigest()


# --- reading a line ---------------------------------------------------------------------


def bad_line(number: int, problem: str) -> InvalidData:
    """Return the error of a line that no export has."""
    return InvalidData(f"line {number} of the export", problem)


def parsed(number: int, text: str) -> dict[str, Any]:
    """Return the object that a line holds."""
    try:
        value = json.loads(text)
        if "\\u" in text or not text.isascii():
            encode(value).encode()  # Half a character can be written in JSON, and nowhere else.
    except UnicodeEncodeError as error:
        raise bad_line(number, f"it has half a character (a lone surrogate): {error}") from error
    except (ValueError, RecursionError) as error:
        raise bad_line(number, f"{shown(text.strip())} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise bad_line(number, f"{shown(text.strip())} is not a JSON object")
    return value


def section_of(number: int, value: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return which section a line belongs to, and its fields, checked."""
    [name] = value if len(value) == 1 else [""]
    allowed = _FIELDS.get(name)
    if allowed is None:
        raise bad_line(number, f"{shown(value)} has no single one of {', '.join(SECTIONS)}")
    fields = value[name]
    if not isinstance(fields, dict):
        raise bad_line(number, f"the {name} {shown(fields)} is not a JSON object")
    unknown = fields.keys() - allowed.keys()
    if unknown:
        raise bad_line(number, f"a {name} has no field {min(unknown)!r}")
    values = {field: fields.get(field) for field in allowed}
    for (field, seen), types in zip(values.items(), allowed.values(), strict=True):
        if type(seen) not in types:
            raise bad_line(number, f"{field} is {shown(seen)}, expected {types[0].__name__}")
    return name, values


def movements_in(value: dict[str, Any]) -> int:
    """Return how many movements the file says it has."""
    if value.get("truecount") != FORMAT:
        raise bad_line(1, f'its header is {shown(value)}, expected one with "truecount": {FORMAT}')
    total = value.get("movements")
    if type(total) is not int:
        raise bad_line(1, f"movements is {shown(total)}, expected int")
    return total
