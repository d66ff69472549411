"""
The system's own clock and source of ids: the only place truecount reads either.

Both can be replaced: ``Inventory(storage, clock=..., new_id=...)``.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime


def system_clock() -> datetime:
    """Return the current time, UTC."""
    return datetime.now(UTC)


def new_id() -> str:
    """
    Return a new id: 12 hexadecimal digits of the time in milliseconds, 16 random ones.

    Ids of one moment lie together, so that indexes on them grow at their end.

    >>> len(new_id())
    28
    """
    return f"{time.time_ns() // 1_000_000:012x}{os.urandom(8).hex()}"
