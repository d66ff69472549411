"""Small words the rules of the ledger share: how an operation becomes a draft."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from truecount.errors import InsufficientStock, UnknownSku
from truecount.model.instants import Instant, to_instant
from truecount.model.kinds import Kind
from truecount.model.movements import Draft, Leg, Tally, encode
from truecount.model.operation import Operation
from truecount.model.settings import Settings
from truecount.model.stock import StockKey
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
    touches: Iterable[StockKey] = (),
) -> Draft:
    """Return the movement of *operation*: its words copied, dated, guarded if a command."""
    if occurred_at is None:
        occurred_at = now if operation.occurred_at is None else to_instant(operation.occurred_at)
    return Draft(
        kind,
        tuple(legs),
        occurred_at,
        guarded=operation.is_command if guarded is None else guarded,
        reference=operation.reference,
        reason=operation.reason,
        actor=operation.actor,
        origin=operation.origin,
        tallies=tuple(tallies),
        expiries=tuple(expiries),
        notes=tuple(notes),
        touches=tuple(touches),
    )


def one_key(operation: Any, settings: Settings) -> Wants:
    """Want the stock key an operation names by its SKU, location and lot."""
    del settings  # every wants function is given the rules; this one needs none
    return Wants(keys={StockKey(operation.sku, operation.at, operation.lot)})


def quantity_demand(operation: Any, _book: Book) -> Iterable[tuple[str, int]]:
    """Yield what an operation may take from SELLABLE: its one SKU and quantity."""
    yield operation.sku, operation.quantity


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


class Short(NamedTuple):
    """A SKU of which a command wanted more than there is."""

    sku: str
    wanted: int
    available: int


def shortage(
    book: Book, kind: Kind, location: str, short: Iterable[Short], rule: str
) -> Widen | InsufficientStock:
    """
    Return the refusal of a command that names each short SKU, or what must be locked first.

    Raises:
        UnknownSku: One of them never moved anywhere.
    """
    named = list(short)
    strange = [each.sku for each in named if not book.knows(each.sku)]
    unseen = {(sku, "") for sku in strange if not book.saw(sku)}
    if unseen:
        return Widen(Wants(scopes=unseen))
    if strange:
        raise UnknownSku(strange[0])
    where = f"at {location!r}"
    return InsufficientStock(
        kind.value,
        tuple((sku, wanted, max(0, available), where, rule) for sku, wanted, available in named),
    )
