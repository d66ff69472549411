"""
Cells of a CSV file: how a text becomes a number, a moment or a word, and why it does not. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Any, Final

from truecount.model.quantities import QUANTITY_MAX


_TIMES: Final = frozenset({"occurred_at", "counted_at", "lot_expires_at", "due_at"})
_NUMBERS: Final = frozenset({"quantity", "change", "rejected"})
#: Nineteen digits hold every quantity there is.
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,19}")
_TOO_LARGE: Final = re.compile(r"[+-]?[0-9]{20,}")
_GROUPED: Final = re.compile(r"[+-]?[0-9]{1,3}([., '_\u00a0\u2019\u202f][0-9]{3})+")


def _number(cell: str, _timezone: tzinfo | None) -> int:
    if _WHOLE.fullmatch(cell) is None:
        raise ValueError(_why_no_number(cell))
    return int(cell)


def _why_no_number(cell: str) -> str:
    if _TOO_LARGE.fullmatch(cell):
        return f"expected a whole number of at most {QUANTITY_MAX}"
    if _GROUPED.fullmatch(cell):
        return "expected a whole number in digits only, for example 12000; drop the separators"
    return "expected a whole number, for example 12"


def _moment(cell: str, timezone: tzinfo | None) -> datetime:
    found = _read_moment(cell, timezone)
    if isinstance(found, str):
        raise ValueError(found)  # noqa: TRY004 -- not the type of an argument: why there is none
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


def _word(cell: str, _timezone: tzinfo | None) -> str:
    return cell.casefold()


#: How the text of a cell becomes the value of a field; other fields take it as it is.
#: What cannot be read is a ValueError that says what was expected.
READERS: Final[Mapping[str, Callable[[str, tzinfo | None], Any]]] = {
    **dict.fromkeys(_NUMBERS, _number),
    **dict.fromkeys(_TIMES, _moment),
    **dict.fromkeys(("state", "into"), _word),
}
