"""
HTML and SVG as values: the one door through which text becomes markup. Pure.

Rules:
1. ``Html`` is made here and nowhere else: by ``element``, which escapes every text and every
   attribute it is given, by ``joined``, which takes both, and by ``embedded``, which takes a
   style sheet or script of our own and refuses one that could end early.
2. So text of a shop (a SKU, a reference, a sentence) can only ever be text. The names of
   elements and attributes are words of ours, and checked.
3. What a page cannot hold (control characters, half a surrogate pair) and what would turn the
   reading direction of its surroundings is shown as an escape, not dropped: two SKUs that
   differ stay different on the page.

Everybody in this package calls this module; it calls nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from html import escape
from typing import Final, TypeAlias

import attrs

from truecount.errors import InternalError


@attrs.frozen
class Html:
    """A piece of a page, already escaped. ``element`` makes one; nobody else should."""

    source: str

    def __str__(self) -> str:
        return self.source


#: What an element may contain: text is escaped, None is left out.
Child: TypeAlias = Html | str | int | None
Attribute: TypeAlias = str | int | bool | None

_NAME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9-]*\Z")
#: Controls, surrogates, and the characters that override or embed a reading direction.
_UNSHOWN: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
#: Elements that have no content and no end.
_VOID: Final = frozenset({"br", "col", "input", "meta"})
#: Elements whose content is not text; only ``embedded`` makes them.
_RAW: Final = frozenset({"script", "style"})


def text(value: str | int) -> Html:
    r"""
    Return *value* as text of a page.

    >>> str(text("<b>&\x00"))
    '&lt;b&gt;&amp;\\x00'
    """
    return Html(_escaped(str(value)))


def _escaped(words: str) -> str:
    return escape(_UNSHOWN.sub(_spelled, words), quote=True)


def _spelled(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"  # noqa: PLR2004 -- two digits


def joined(*children: Child) -> Html:
    """
    Return *children* one after another.

    >>> str(joined("1 < 2", None, element("b", 2)))
    '1 &lt; 2<b>2</b>'
    """
    return Html("".join(_source(child) for child in children if child is not None))


def _source(child: Html | str | int) -> str:
    return child.source if isinstance(child, Html) else _escaped(str(child))


def element(name: str, /, *children: Child, **attributes: Attribute) -> Html:
    """
    Return an element.

    An attribute that is None or False is left out, one that is True has no value; ``_`` in
    its name stands for ``-``, and one at the end is left out (``class_``).

    >>> str(element("td", 'a "b"', class_="sku", data_sort='"<', hidden=True, title=None))
    '<td class="sku" data-sort="&quot;&lt;" hidden>a &quot;b&quot;</td>'

    Raises:
        InternalError: A name is none, or the content is none that could be escaped.
    """
    if not _NAME.match(name) or name in _RAW:
        raise InternalError(f"no element is made by the name {name!r}")
    start = f"<{name}{''.join(map(_attribute, attributes.items()))}>"
    if name in _VOID:
        if children:
            raise InternalError(f"an element {name!r} has no content")
        return Html(start)
    return Html(f"{start}{joined(*children)}</{name}>")


def _attribute(named: tuple[str, Attribute]) -> str:
    name, value = _attribute_name(named[0]), named[1]
    if name == "href" and not str(value).startswith("#"):
        raise InternalError(f"no link leads to {value!r}, only to a part of the page")
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{_escaped(str(value))}"'


@lru_cache(maxsize=256)
def _attribute_name(word: str) -> str:
    name = word.rstrip("_").replace("_", "-")
    # An event handler is a script, and a source leads out: neither has a place on the page.
    if not _NAME.match(name) or name.lower().startswith("on") or name.lower() == "src":
        raise InternalError(f"no attribute has the name {name!r}")
    return name


def each(children: Iterable[Child]) -> Html:
    """Return *children* one after another."""
    return joined(*children)


def embedded(name: str, source: str) -> Html:
    """
    Return a style sheet or script of our own; its text is taken as it is.

    Raises:
        InternalError: It is neither, or holds what could end the element early.
    """
    if name not in _RAW or "</" in source or "<!" in source:
        raise InternalError(f"no {name!r} is embedded that could end early")
    return Html(f"<{name}>{source}</{name}>")


def document(head: Html, body: Html, language: str = "en") -> str:
    """Return a whole page."""
    return f"<!DOCTYPE html>\n{element('html', head, body, lang=language)}\n"
