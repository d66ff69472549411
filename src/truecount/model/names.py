"""
Text at the door: SKUs, locations, lots, references, keys, reasons, actors.

Rules:
1. Text is exact. It is never trimmed, folded or normalised: padded, non-NFC or
   control-character text is refused, because two spellings of one SKU are two SKUs.
2. Hostile text is only text: quotes, SQL, path tricks and emoji pass and are stored as given.
3. Checked once here; a name that was accepted is remembered (bounded cache).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from truecount.errors import InvalidText


NAME_LENGTH_MAX: Final = 200
REASON_LENGTH_MAX: Final = 500

#: Unicode categories that never belong in a name: controls, surrogates, line separators.
_FORBIDDEN: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
_SHOWN: Final = 60


def problem_with(text: object, limit: int) -> str | None:
    """
    Return the rule that *text* breaks, or None when it is clean.

    >>> problem_with("MUG ", 200)
    'it is padded with white space; strip it'
    >>> problem_with("MUG", 200) is None
    True
    """
    if not isinstance(text, str):
        return f"it is {type(text).__name__}, only text is allowed"
    if not text:
        return "it is empty"
    if len(text) > limit:
        return f"it has {len(text)} characters, at most {limit} are allowed"
    if text != text.strip():
        return "it is padded with white space; strip it"
    if text.isascii():
        return None if text.isprintable() else "it has a control character; remove it"
    if any(unicodedata.category(character) in _FORBIDDEN for character in text):
        return "it has a control character; remove it"
    if not unicodedata.is_normalized("NFC", text):
        return "it is not in Unicode normal form NFC; pass unicodedata.normalize('NFC', ...)"
    return None


def _door(name: str, limit: int) -> Callable[[object], str]:
    @lru_cache(maxsize=65_536, typed=True)
    def check(text: str) -> str:
        problem = problem_with(text, limit)
        if problem is not None:
            raise InvalidText(name, shown(text), problem)
        return text

    def door(text: object) -> str:
        if type(text) is not str:
            raise InvalidText(name, shown(text), problem_with(text, limit) or "subclass of str")
        return check(text)

    door.__doc__ = f"Return *text* if it is a clean {name}; raise InvalidText otherwise."
    return door


def shown(value: object) -> str:
    """
    Return a short ``repr`` for a message.

    >>> shown("x" * 10_000)[-24:]
    "x... (10000 characters)'"
    """
    text = repr(value)
    if len(text) <= _SHOWN + 2:
        return text
    length = len(value) if isinstance(value, str) else len(text)
    return f"{text[:_SHOWN]}... ({length} characters)'"


def optional(door: Callable[[object], str]) -> Callable[[object], str | None]:
    """Return *door* letting None through."""

    def check(text: object) -> str | None:
        return None if text is None else door(text)

    return check


sku = _door("sku", NAME_LENGTH_MAX)
location = _door("location", NAME_LENGTH_MAX)
tenant = _door("tenant", NAME_LENGTH_MAX)
reference = _door("reference", NAME_LENGTH_MAX)
key = _door("key", NAME_LENGTH_MAX)
reason = _door("reason", REASON_LENGTH_MAX)
actor = _door("actor", NAME_LENGTH_MAX)
origin = _door("origin", NAME_LENGTH_MAX)
_lot = _door("lot", NAME_LENGTH_MAX)


def lot(text: object) -> str:
    """
    Return *text* if it is a clean lot name; the empty text means "no lot".

    >>> lot("")
    ''
    """
    return "" if text == "" else _lot(text)
