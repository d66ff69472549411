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
from collections import Counter
from collections.abc import Callable
from typing import Final, NamedTuple

from truecount.errors import TooMany
from truecount.ledger.delivery_rules import PURCHASE, REJECTED
from truecount.ledger.drafts import counted
from truecount.ledger.transfer_rules import TRANSFER
from truecount.model.movements import Draft
from truecount.model.places import CUSTOMER
from truecount.write.book import ORDER, Book


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
    """Return the refusal when a reversal takes from a document what it has used up since."""
    adds: Counter[tuple[str, str, str]] = Counter()
    uses: Counter[tuple[str, str, str]] = Counter()
    for space, id_, item, field, change in draft.tallies:
        if field == _ACCOUNTS[space].adds:
            adds[space, id_, item] += change
        elif field in _ACCOUNTS[space].uses:
            uses[space, id_, item] += change
    for leg in draft.legs:
        if leg.line and leg.source == CUSTOMER:
            adds[ORDER, draft.reference or "", leg.sku] -= leg.quantity
    for name, change in adds.items():
        left = _left(book, *name) - uses[name]
        if change < 0 and left + change < 0:
            space, id_, item = name
            account = _ACCOUNTS[space]
            return TooMany(verb, account.document, id_, account.sku(item), -change, max(0, left))
    return None


def _left(book: Book, space: str, id_: str, item: str) -> int:
    account = _ACCOUNTS[space]
    document = book.document(space, id_)
    left = counted(document, item, account.adds)
    left -= sum(counted(document, item, field) for field in account.uses)
    if space == ORDER:
        left += sum(line.shipped for line in book.lines_of(id_) if line.key.sku == item)
    return left
