"""
What was last published to each channel: a record any host can put.

==================  ======================================================================
document            what it says
==================  ======================================================================
``[source, sku]``   the newest levels published of a SKU, each with its time, oldest first
==================  ======================================================================

Rules:
1. A level published is a fact: it is kept whatever the book says, and saying it twice
   changes nothing.
2. Only the newest ``KEPT_MAX`` are kept: older ones explain nothing that is still shown.
3. Reports may come in any order; they are kept by the time they were published.
"""

from __future__ import annotations

import json
from typing import Final, NamedTuple

import attrs

from truecount.model import doors, names
from truecount.model.instants import Instant, to_instant
from truecount.model.movements import encode
from truecount.model.operation import Operation
from truecount.model.settings import Settings
from truecount.protocols.storage import Reader, Wants
from truecount.write.book import Book
from truecount.write.intents import Decision, Granted, Rule, Rules


PUBLISHED: Final = "published"

#: Levels remembered for each SKU of each source.
KEPT_MAX: Final = 20


@attrs.frozen(repr=False)
class Published(Operation):
    """Levels were sent to *source* and it took them; ``occurred_at`` says when (now)."""

    source: str = attrs.field(converter=names.origin)
    levels: tuple[tuple[str, int], ...] = attrs.field(converter=doors.targets)


class Push(NamedTuple):
    """A level that was published."""

    at: Instant
    quantity: int


def published_levels(reader: Reader, source: str, sku: str) -> tuple[Push, ...]:
    """Return the newest levels published of a SKU, oldest first."""
    record = reader.record(PUBLISHED, _id(source, sku))
    if record is None:
        return ()
    return tuple(Push(*each) for each in json.loads(record.body)["levels"])


def _id(source: str, sku: str) -> str:
    return encode((source, sku))


def _wants(operation: Published, settings: Settings) -> Wants:
    del settings
    return Wants(records={(PUBLISHED, _id(operation.source, sku)) for sku, _ in operation.levels})


def _decide(operation: Published, book: Book, now: Instant) -> Decision:
    """Add each level to those known of its SKU."""
    at = now if operation.occurred_at is None else to_instant(operation.occurred_at)
    documents = []
    for sku, quantity in operation.levels:
        id_ = _id(operation.source, sku)
        known = [
            tuple(each) for each in (book.document(PUBLISHED, id_) or {"levels": ()})["levels"]
        ]
        kept = sorted({*known, (at, quantity)})[-KEPT_MAX:]
        if kept != known:
            documents.append((PUBLISHED, id_, {"levels": [list(each) for each in kept]}))
    return Granted(documents=tuple(documents), result={"published": len(operation.levels)})


PUBLISHED_RULES: Final[Rules] = {Published: Rule(_wants, _decide)}
