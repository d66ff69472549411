"""
Statements as they are sent: the schema named, values numbered, rows told.

In a statement ``{s}`` stands for the schema, ``$1`` for the tenant, ``%s`` for the next value,
and ``[[sku, location]]`` for a table ``w`` of these columns, whose rows are the next value, a
list. Where no list has more than one, rows go in as values of their own, which costs the server
least; else each list as one JSON text, so that the statement is the same, and prepared once,
however many.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Any, Final, TypeAlias

from truecount.storage.postgres.wire import Sent


#: How many rows each value has: -1 for one that is no list, ``_MANY`` where lists go as JSON.
_Shape: TypeAlias = tuple[int, ...]

_MANY: Final = 2

_SLOT: Final = re.compile(r"(%s|\[\[[^]]*\]\])")
#: Columns that hold text; all others hold integers.
_TEXTS: Final = frozenset(
    {"actor", "body", "digest", "fingerprint", "id", "key", "kind", "location", "lot", "movement"}
    | {"origin", "reason", "reference", "reverses", "sku", "space"}
)
#: Tells rows.
text_of: Final[Callable[[object], str]] = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), check_circular=False
).encode


class Texts:
    """The statements of one schema, each put together once for each shape of its values."""

    def __init__(self, schema: str) -> None:
        self._schema = schema
        self._known: dict[tuple[str, _Shape], bytes] = {}

    def sent(self, statement: str, values: Sequence[Any]) -> Sent:
        """Return a statement with its values as they are sent; the first is the tenant."""
        sizes = [len(value) if type(value) is list else -1 for value in values]
        if max(sizes, default=0) > 1:
            sizes = [_MANY if size >= 0 else size for size in sizes]
        known = statement, tuple(sizes)
        text = self._known.get(known)
        if text is None:
            text = self._known[known] = self._text(*known)
        told: list[Any] = []
        for value, size in zip(values, sizes, strict=True):
            if size < 0:
                told.append(value)
            elif size == 1:
                told += value[0]
            else:
                told.append(text_of(value))
        return text, told

    def _text(self, statement: str, shape: _Shape) -> bytes:
        whole, *parts = _SLOT.split(statement.replace("{s}", self._schema))
        number = 2
        for size, slot, rest in zip(shape[1:], parts[::2], parts[1::2], strict=True):
            names = slot.strip("[]").split(", ")
            if slot == "%s":
                whole += f"${number}{rest}"
            else:
                whole += (_one if size == 1 else _many)(names, number) + rest
            number += len(names) if size == 1 else 1
        return whole.encode()


def _one(names: Sequence[str], number: int) -> str:
    return f"(SELECT {_cells(names, (f'${place}' for place in count(number)))}) AS w"


def _many(names: Sequence[str], number: int) -> str:
    # Not as arrays: the server keeps a store of its own for each, and where it knows how many
    # values there are it plans anew for every list, which costs more than it brings.
    cells = _cells(names, (f"(e.v ->> {place})" for place in count()))
    return f"(SELECT {cells} FROM jsonb_array_elements(${number}::jsonb) AS e(v)) AS w"


def _cells(names: Sequence[str], told: Iterable[str]) -> str:
    return ", ".join(
        f"{_kept(name, cell)} AS {name}" for name, cell in zip(names, told, strict=False)
    )


def _kept(name: str, told: str) -> str:
    return f"{told}::text" if name in _TEXTS else f"{told}::bigint"
