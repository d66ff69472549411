"""Rules of expiring: holds whose time has passed are given back. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from truecount.ledger.supply import expiry
from truecount.model.instants import Instant
from truecount.model.movements import Draft
from truecount.model.reservation_commands import Expire
from truecount.model.settings import Settings
from truecount.protocols.storage import Wants
from truecount.write.book import Book, Stage
from truecount.write.intents import Granted


def wants_expired(operation: Expire, settings: Settings) -> Wants:
    """Want the orders named."""
    del settings
    return Wants(orders={reference for reference, _ in operation.holds})


def expire(operation: Expire, book: Book, now: Instant) -> Granted:
    """Give back the holds that have run out; the others are somebody's again, or gone."""
    named = set(operation.holds)
    drafts = [
        expiry(line, now)
        for reference in sorted({reference for reference, _ in named})
        for line in book.lines_of(reference)
        if (reference, line.number) in named and line.has_expired(now)
    ]
    return Granted(tuple(drafts), result={"expired": len(drafts)})


def book_without(book: Book, drafts: Sequence[Draft], now: Instant) -> Book:
    """Return the book as it will be after the holds of *drafts* have been given back."""
    if not drafts:
        return book
    stage = Stage(book, now)
    for each in drafts:
        stage.post(each, "")  # Figures only: nothing of this stage is written.
    return book.after(stage)
