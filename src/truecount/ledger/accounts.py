"""
What documents have left: of what was ordered, sent or sold, what has not been used up.

==========  =======================================================  ====================
space       left                                                     named by
==========  =======================================================  ====================
purchase    ordered - received - rejected - closed                   location and SKU
transfer    sent - arrived - rejected - lost                         SKU and lot
order       shipped by its reservation lines + sold - returned       SKU
==========  =======================================================  ====================
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final, NamedTuple

from truecount.errors import TooMany
from truecount.ledger.delivery_rules import PURCHASE, REJECTED
from truecount.ledger.drafts import counted
from truecount.ledger.transfer_rules import TRANSFER
from truecount.model.kinds import Kind
from truecount.model.movements import Draft
from truecount.model.places import CUSTOMER
from truecount.protocols.storage import ORDER
from truecount.write.book import Book


class _Account(NamedTuple):
    """Which counters of a line add to what is left, and which use it up."""

    document: str
    adds: str
    uses: frozenset[str]
    sku: Callable[[str], str]


_ACCOUNTS: Final = {
    PURCHASE: _Account(
        "purchase order",
        "ordered",
        frozenset({"received", REJECTED, "closed"}),
        lambda item: str(json.loads(item)[1]),
    ),
    TRANSFER: _Account(
        "transfer",
        "sent",
        frozenset({"arrived", "rejected", "lost"}),
        lambda item: str(json.loads(item)[0]),
    ),
    ORDER: _Account("order", "sold", frozenset({"returned"}), str),
}


def overdrawn(verb: str, book: Book, draft: Draft) -> TooMany | None:
    """
    Return the refusal when taking back leaves a document having given more than it has.

    What a replacement uses up its own rule has split or noted; what an undone correction uses
    up again nobody has judged yet.
    """
    changes = _changes(draft)
    for name, (adds, uses) in changes.items():
        more = uses - adds
        left = _left(book, *name)
        judged = draft.kind is Kind.CORRECT and adds >= 0
        if more > max(0, left) and not judged:
            space, id_, item = name
            account = _ACCOUNTS[space]
            return TooMany(verb, account.document, id_, account.sku(item), more, max(0, left))
    return None


def _changes(draft: Draft) -> dict[tuple[str, str, str], tuple[int, int]]:
    """Return what *draft* adds to each line of a document, and what it uses up of it."""
    changes: dict[tuple[str, str, str], tuple[int, int]] = {}

    def count(name: tuple[str, str, str], adds: int, uses: int) -> None:
        before = changes.get(name, (0, 0))
        changes[name] = (before[0] + adds, before[1] + uses)

    for space, id_, item, field, change in draft.tallies:
        account = _ACCOUNTS[space]
        is_added, is_used = field == account.adds, field in account.uses
        count((space, id_, item), change * is_added, change * is_used)
    for leg in draft.legs:
        if leg.line and leg.source == CUSTOMER:
            count((ORDER, draft.reference or "", leg.sku), -leg.quantity, 0)
    return changes


def _left(book: Book, space: str, id_: str, item: str) -> int:
    account = _ACCOUNTS[space]
    document = book.document(space, id_)
    left = counted(document, item, account.adds)
    left -= sum(counted(document, item, field) for field in account.uses)
    if space == ORDER:
        left += sum(line.shipped for line in book.lines_of(id_) if line.key.sku == item)
    return left
