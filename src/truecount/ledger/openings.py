"""
Openings: what is told later about the time before a stock key was opened.

An opening is no anchor. A count was looked at; an opening is what another book said, and
whether that book knew of a sale of the day before, nobody can say. So a fact dated before the
opening of its key is recorded as it was told, moves the figures from the opening on, and is
noted, which makes it a finding.

Rules:
1. A key was opened when the first movement it ever had was an opening, at the time of that.
2. What changes nothing on hand is not noted; nor is what a later count has taken up, another
   opening, or what takes a movement back.

Who calls whom: :mod:`truecount.ledger.refolding` asks for each late draft. The kind of the
first movement is read under the lock of the key (``Look``), and never changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from truecount.model.instants import iso
from truecount.model.kinds import Kind
from truecount.model.movements import Draft
from truecount.model.places import ON_HAND, STATES
from truecount.model.stock import StockKey
from truecount.write.book import Book


_PHYSICAL: Final = tuple(index for index, state in enumerate(STATES) if state in ON_HAND)


def may_be_in_opening(book: Book, draft: Draft, key: StockKey, change: Sequence[int]) -> bool:
    """Return whether *change* is of a time before *key* had any movement, so that one must look."""
    return (
        draft.occurred_at < book.row(key).opened_at
        and draft.kind is not Kind.OPEN
        and draft.reverses is None
        and _on_hand(change) != 0
    )


def before_opening(book: Book, draft: Draft, key: StockKey, change: Sequence[int]) -> str:
    """Return the note of a fact from before the opening of its key."""
    lot = f" lot {key.lot}" if key.lot else ""
    return (
        f"before_opening: {_on_hand(change):+d} of {key.sku} at {key.location}{lot} "
        f"({draft.kind.value}) occurred at {iso(draft.occurred_at)}, before it was opened as of "
        f"{iso(book.row(key).opened_at)}"
    )


def _on_hand(change: Sequence[int]) -> int:
    return sum(change[index] for index in _PHYSICAL)
