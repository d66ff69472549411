"""Small words the rules of the ledger share: how an operation becomes a draft."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from truecount.errors import InsufficientStock, UnknownSku
from truecount.model.instants import Instant, to_instant
from truecount.model.kinds import Kind
from truecount.model.movements import Draft, Leg, Tally, encode
from truecount.model.operations import Operation
from truecount.model.settings import Settings
from truecount.protocols.storage import Wants
from truecount.write.book import Book
from truecount.write.intents import Widen


def draft(
    kind: Kind,
    operation: Operation,
    legs: Iterable[Leg],
    now: Instant,
    *,
    tallies: Iterable[Tally] = (),
    expiries: Iterable[tuple[str, str, Instant]] = (),
    notes: Iterable[str] = (),
    occurred_at: Instant | None = None,
    guarded: bool | None = None,
) -> Draft:
    """Return the movement of *operation*: its words copied, dated, guarded if a command."""
    if occurred_at is None:
        occurred_at = now if operation.occurred_at is None else to_instant(operation.occurred_at)
    return Draft(
        kind,
        tuple(legs),
        occurred_at,
        guarded=not operation.is_fact if guarded is None else guarded,
        reference=operation.reference,
        reason=operation.reason,
        actor=operation.actor,
        origin=operation.origin,
        tallies=tuple(tallies),
        expiries=tuple(expiries),
        notes=tuple(notes),
    )


def item(*words: str) -> str:
    """
    Return the name of a document's line: exact, whatever the words contain.

    >>> item("berlin", "MUG")
    '["berlin","MUG"]'
    """
    return encode(words)


def counted(document: dict[str, Any] | None, name: str, field: str) -> int:
    """Return one counter of a document's line, 0 when it was never counted."""
    if document is None:
        return 0
    value: int = document.get("lines", {}).get(name, {}).get(field, 0)
    return value


def scopes_at(location: str, skus: Iterable[str], settings: Settings) -> Wants:
    """Want every key of *skus* at a declared *location*."""
    del settings  # every wants function is given the rules; this one needs none
    return Wants(scopes={(sku, location) for sku in skus})


def short_or_unknown(
    book: Book, kind: Kind, sku: str, wanted: int, available: int, location: str, rule: str
) -> Widen | InsufficientStock:
    """
    Return the refusal of a command, decided under the locks of every key of the SKU.

    Raises:
        UnknownSku: The SKU never moved anywhere.
    """
    if not book.knows(sku):
        if not book.saw(sku):
            return Widen(Wants(scopes={(sku, "")}))
        raise UnknownSku(sku)
    where = f"at {location!r}" if location else "in all locations together"
    return InsufficientStock(kind.value, ((sku, wanted, max(0, available), where, rule),))
