"""
Intents and decisions: what a request wants, and what it may answer.

Rules:
1. ``decide`` is a pure function of the book and of now. It never reads anything that was
   not locked for it; when that is too little it answers ``Widen`` and is asked again, once,
   with more. What is written only under locks it has it may ask to be shown (``Look``).
2. A decision is complete: movements with all their legs, new lines, documents. Posting it
   can only be refused by a floor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

from truecount.errors import Refused
from truecount.model.instants import Instant
from truecount.model.lines import LineRow
from truecount.model.movements import Draft
from truecount.model.operation import Operation
from truecount.model.settings import Settings
from truecount.model.stock import StockKey
from truecount.protocols.storage import Wants
from truecount.write.book import Book


class Granted(NamedTuple):
    """Post these, in this order."""

    drafts: tuple[Draft, ...] = ()
    #: Lines the drafts' legs may name that do not exist yet, all counters zero.
    lines: tuple[LineRow, ...] = ()
    #: Documents to store: (space, id, body).
    documents: tuple[tuple[str, str, Mapping[str, Any]], ...] = ()
    #: The reference whose lines the outcome reports.
    reservation: str | None = None
    #: More for the outcome's ``result``.
    result: Mapping[str, Any] | None = None


class Widen(NamedTuple):
    """Ask again with these locked as well; a refusal must have seen every candidate."""

    wants: Wants


class Look(NamedTuple):
    """Ask again when this was read, under the locks held."""

    #: Pages of documents: (space, after).
    pages: frozenset[tuple[str, str]] = frozenset()
    #: Stock keys whose first movement is to be known.
    firsts: frozenset[StockKey] = frozenset()

    def joined(self, other: Look) -> Look:
        """Return a look at what either wants to see."""
        return Look(self.pages | other.pages, self.firsts | other.firsts)


Decision: TypeAlias = Granted | Refused | Widen | Look
Decide: TypeAlias = Callable[[Book, Instant], Decision]


class Rule(NamedTuple):
    """How one type of operation is wanted and decided."""

    wants: Callable[[Any, Settings], Wants]
    decide: Callable[[Any, Book, Instant], Decision]
    #: What it may take from SELLABLE at most, (sku, quantity), fact or command: expired holds
    #: are read for it, also because members after it find the shelf as it left it.
    demand: Callable[[Any, Book], Iterable[tuple[str, int]]] | None = None
    #: Past figures it decides on: (stock key, instant).
    moments: Callable[[Any, Book], Iterable[tuple[StockKey, Instant]]] | None = None
    #: Entries it decides on, with their movements: those of a stock key above a version.
    newer: Callable[[Any, Book], Iterable[tuple[StockKey, int]]] | None = None


#: The rules of a part of the library, by type of operation.
Rules: TypeAlias = Mapping[type[Operation], Rule]


class Intent(NamedTuple):
    """One request on its way through ``apply``."""

    operation: Operation
    key: str
    fingerprint: str
    rule: Rule
