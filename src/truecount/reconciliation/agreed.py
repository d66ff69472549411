"""
The last time the book and the world agreed, as the ledger knows it. A reader inside.

Whatever happened before that is innocent, so a mismatch is explained by what came after.

Rules:
1. A shelf agreed when a count of it was applied that still stands, if it covered what is
   counted now. Of several lots all must have been counted.
2. A source agreed when a level was published to it that the book then had. It did not, if it
   has shown an older one since: then only up to when the book moved on from that.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from truecount.ledger.anchors import ANCHOR, Anchor, anchor_of, prefix_of
from truecount.model.instants import Instant, optional_datetime, to_datetime, to_instant
from truecount.model.places import State
from truecount.model.stock import Amounts, StockKey, never_netted
from truecount.protocols.storage import Reader
from truecount.reconciliation.basis import SEEN_IN
from truecount.reconciliation.mismatches import Mismatch
from truecount.reconciliation.observations import Formula, Shown
from truecount.reconciliation.published import published_levels
from truecount.reconciliation.windows import weights_of


_TICK: Final = timedelta(microseconds=1)
#: Counts read in one go: most shelves have few, and the next shelf's are of no use.
_PAGE: Final = 16


def counted_before(
    reader: Reader, key: StockKey, states: frozenset[State], before: datetime
) -> datetime | None:
    """
    Return when a shelf was last counted *before* a moment, None when it never was.

    Args:
        key: Without a lot for all lots there.
        states: What is compared now; a count of less says nothing.

    Complexity: O(counts of the shelf).
    """
    limit = to_instant(before)
    lots = [
        place
        for place, _ in reader.stock(key.sku, key.location)
        if not key.lot or place.lot == key.lot
    ]
    found = [_newest(reader, place, states, limit) for place in lots]
    known = [moment for moment in found if moment is not None]
    return optional_datetime(min(known)) if known and len(known) == len(found) else None


def _newest(
    reader: Reader, key: StockKey, states: frozenset[State], limit: Instant
) -> Instant | None:
    """Return when the newest count of one key was taken that stands and covers *states*."""
    return max(
        (
            anchor.at
            for anchor in _anchors(reader, key)
            if anchor.at < limit and _covers(anchor, states)
        ),
        default=None,
    )


def _covers(anchor: Anchor, states: frozenset[State]) -> bool:
    return not anchor.body.get("freed") and states <= {*map(State, anchor.body["covers"])}


def _anchors(reader: Reader, key: StockKey) -> Iterator[Anchor]:
    """Yield the anchors of one key, oldest first."""
    prefix = prefix_of(key)
    after = prefix
    while page := reader.records(ANCHOR, after, _PAGE):
        for record in page:
            if not record.id.startswith(prefix):
                return
            yield anchor_of(record.id, json.loads(record.body))
        after = page[-1].id


def published_before(reader: Reader, mismatch: Mismatch) -> datetime | None:
    """
    Return when a level that the book had was last published to a mismatch's source.

    None when there is no such level. O(levels published), each with a figure as of then.
    """
    formula, since = mismatch.formula or Formula(), mismatch.since
    until = to_instant(mismatch.seen_at[0])
    keys = [
        key
        for key, _ in reader.stock(mismatch.sku)
        if not mismatch.locations or key.location in mismatch.locations
    ]
    for push in reversed(published_levels(reader, mismatch.source, mismatch.sku)):
        if push.at <= until:
            amounts = [reader.as_of(key, push.at) for key in keys]
            if formula(_figure(amounts, formula.shows)) == push.quantity:
                found = to_datetime(push.at)
                return found if since is None else min(found, since - _TICK)
    return None


def _figure(amounts: Sequence[Amounts], shows: Shown) -> int:
    weights = weights_of(SEEN_IN[shows])
    parts = [sum(a * w for a, w in zip(each, weights, strict=True)) for each in amounts]
    return never_netted(parts) if shows is Shown.AVAILABLE else sum(parts)
