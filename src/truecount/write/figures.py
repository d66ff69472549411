"""What may be promised now, read outside a write: for answers, never for decisions."""

from __future__ import annotations

from truecount.model.instants import Instant
from truecount.model.stock import StockKey, StockRow
from truecount.protocols.storage import Reader


def available_at(reader: Reader, key: StockKey, row: StockRow, now: Instant) -> int:
    """Return what may be promised of one key: sellable and expired holds, of a live lot."""
    free = row.sellable
    if row.held:
        for line in reader.open_lines(key):
            if line.expires_at > now:
                break
            free += line.held
    return min(0, free) if row.has_expired(now) else free
