"""
Text at the door: SKUs, locations, lots, references, keys, reasons, actors.

Rules:
1. Text is exact. It is never trimmed, folded or normalised: padded, non-NFC or
   control-character text is refused, because two spellings of one SKU are two SKUs.
2. Hostile text is only text: quotes, SQL, path tricks and emoji pass and are stored as given.
3. Checked once, here; plain ASCII, which most names are, passes by the short way.
"""

from __future__ import annotations

import unicodedata
from datetime import datetime
from typing import Final

from truecount.errors import InvalidRequest, InvalidText


NAME_LENGTH_MAX: Final = 200
REASON_LENGTH_MAX: Final = 500
#: Ids of corrections and undos are made of the id they are about, and so longer.
ID_LENGTH_MAX: Final = 400
_LENGTH_MAX: Final = {"reason": REASON_LENGTH_MAX, "movement_id": ID_LENGTH_MAX}
#: No door refuses text for being this long.
_SHORT: Final = min(NAME_LENGTH_MAX, *_LENGTH_MAX.values())

#: Unicode categories that never belong in a name: controls, surrogates, line separators, and
#: what nobody sees (zero-width spaces, bidirectional marks), which makes two names look like one.
_FORBIDDEN: Final = {
    "Cc": "a control character",
    "Cs": "half a character (a lone surrogate)",
    "Zl": "a line separator",
    "Zp": "a paragraph separator",
    "Cf": "an invisible character",
}
#: Invisible, but part of how some scripts and emoji are written.
_JOINERS: Final = frozenset("\u200c\u200d")
#: Left at the start of a file's first name by programs that cannot say how they encode.
_BYTE_ORDER_MARK: Final = "\ufeff"
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
    if _BYTE_ORDER_MARK in text:
        return "it has a byte order mark; read the file as 'utf-8-sig'"
    for character in text:
        found = _FORBIDDEN.get(unicodedata.category(character))
        if found is not None and character not in _JOINERS:
            return f"it has {found} (U+{ord(character):04X}); remove it"
    if not unicodedata.is_normalized("NFC", text):
        return "it is not in Unicode normal form NFC; pass unicodedata.normalize('NFC', ...)"
    return None


def _clean(name: str, text: object) -> str:
    """Return *text* if it is a clean *name*; raise InvalidText otherwise."""
    if type(text) is not str:
        raise InvalidText(name, shown(text), f"it is {type(text).__name__}, only text is allowed")
    if text.isascii() and text.isprintable() and text == text.strip() and 0 < len(text) <= _SHORT:
        return text
    problem = problem_with(text, _LENGTH_MAX.get(name, NAME_LENGTH_MAX))
    if problem is not None:
        raise InvalidText(name, shown(text), problem)
    return text


def shown(value: object) -> str:
    """
    Return a short ``repr`` for a message.

    >>> shown("x" * 10_000)[-26:]
    "xxx'... (10000 characters)"
    """
    if isinstance(value, str):
        rest = f"... ({len(value)} characters)" if len(value) > _SHOWN else ""
        return f"{value[:_SHOWN]!r}{rest}"
    text = str(value) if isinstance(value, datetime) else repr(value)
    if len(text) <= _SHOWN:
        return text
    return f"{text[:_SHOWN]}... ({len(text)} characters)"


def problem_in(error: Exception) -> str:
    """
    Return what *error*, raised while stored or sent data was read, says of the data.

    >>> problem_in(KeyError("compared"))
    "it has no 'compared'"
    """
    if isinstance(error, KeyError):
        return f"it has no {error.args[0]!r}"
    return str(error) if isinstance(error, InvalidRequest) else f"{type(error).__name__} {error}"


def sku(text: str) -> str:
    """Return *text* if it is a clean SKU; raise InvalidText otherwise."""
    return _clean("sku", text)


def location(text: str) -> str:
    """Return *text* if it is a clean location name; raise InvalidText otherwise."""
    return _clean("location", text)


def lot(text: str) -> str:
    """
    Return *text* if it is a clean lot name; the empty text means "no lot".

    >>> lot("")
    ''
    """
    return "" if text == "" else _clean("lot", text)


def tenant(text: str) -> str:
    """Return *text* if it is a clean tenant name; raise InvalidText otherwise."""
    return _clean("tenant", text)


def reference(text: str) -> str:
    """Return *text* if it is a clean reference; raise InvalidText otherwise."""
    return _clean("reference", text)


def movement_id(text: str) -> str:
    """Return *text* if it can be the id of a movement; raise InvalidText otherwise."""
    return _clean("movement_id", text)


def key(text: str) -> str:
    """Return *text* if it is a clean idempotency key; raise InvalidText otherwise."""
    return _clean("key", text)


def reason(text: str) -> str:
    """Return *text* if it is a clean reason; raise InvalidText otherwise."""
    return _clean("reason", text)


def actor(text: str) -> str:
    """Return *text* if it is a clean actor; raise InvalidText otherwise."""
    return _clean("actor", text)


def origin(text: str) -> str:
    """Return *text* if it is a clean origin; raise InvalidText otherwise."""
    return _clean("origin", text)


def unit(text: str) -> str:
    """Return *text* if it is a clean name of a unit of measure; raise InvalidText otherwise."""
    return _clean("unit", text)
