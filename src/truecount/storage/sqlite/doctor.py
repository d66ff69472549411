"""What is unsafe about an SQLite file, and about how this program writes it: read only."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from truecount.model.diagnosis import Diagnosis, HealthCheck, told
from truecount.model.instants import to_instant
from truecount.storage.health import (
    Behind,
    clock_check,
    follower_check,
    followers,
    holds_check,
)
from truecount.storage.sqlite.connections import Connections
from truecount.storage.sqlite.schema import SCHEMA
from truecount.storage.sqlite.session import Session


_LOST: Final = {
    "NORMAL": "a power cut may lose the last writes that were acknowledged; use FULL",
    "OFF": "a power cut may destroy the whole file; use FULL",
}
_OLDEST_HOLD: Final = "SELECT min(expires_at) FROM truecount_line WHERE held > 0"
_LAST: Final = "SELECT coalesce(max(position), 0) FROM truecount_movement WHERE tenant = ?"
_SINCE: Final = (
    "SELECT (SELECT recorded_at FROM truecount_movement WHERE tenant = ? AND position > ? "
    "ORDER BY position LIMIT 1)"
)
_WATERMARK: Final = "SELECT max(recorded_at) FROM truecount_stock"


def diagnosis(
    connections: Connections,
    now: datetime | None,
    tenant: str,
    positions: Mapping[str, int] | None,
) -> Diagnosis:
    """Look at the file through a reader of its own."""
    named = followers(positions)
    session = connections.begin_read()
    try:
        own = to_instant(now or datetime.now(UTC))
        checks = [*_checks(session, connections.synchronous, own)]
        for name, position in named:
            checks.append(follower_check(name, position, _behind(session, tenant, position), own))
    finally:
        connections.end_read(session)
    return Diagnosis(target=connections.target, checks=tuple(checks))


def _behind(session: Session, tenant: str, position: int) -> Behind:
    [(last,)] = session.rows(_LAST, (tenant,))
    [(since,)] = session.rows(_SINCE, (tenant, position))
    return Behind(last, 0, since)


def _checks(session: Session, synchronous: str, now: int) -> Iterator[HealthCheck]:
    yield told("SQLite version", sqlite3.sqlite_version)
    why = _LOST.get(synchronous, "")
    yield told("synchronous of this program", synchronous, why, unsafe=bool(why))
    [(mode,)] = session.rows("PRAGMA journal_mode")
    why = "" if mode == "wal" else "readers and writers wait for each other; open it to write once"
    yield told("journal mode", mode, why)
    yield told("schema version", str(SCHEMA))  # Another one was refused when it was opened.
    [(latest,)] = session.rows(_WATERMARK)
    yield clock_check("latest write ahead of this clock", max(0, (latest or 0) - now))
    [(oldest,)] = session.rows(_OLDEST_HOLD)
    yield holds_check(oldest, now)
    yield told("movements without a position", "none")  # Each is numbered as it is written.
