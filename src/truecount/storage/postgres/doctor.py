"""What is unsafe about a PostgreSQL server and the tables in it: read only, in two round trips."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final

from truecount.model.diagnosis import Diagnosis, HealthCheck, told
from truecount.model.instants import to_instant
from truecount.storage.health import clock_check, holds_check
from truecount.storage.postgres import migrating
from truecount.storage.postgres.schema import SCHEMA
from truecount.storage.postgres.session import Session


#: Older ones lack what the statements use; nobody tests there.
SERVER_MIN: Final = 140000

_SETTINGS: Final = """
SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'full_page_writes',
    'synchronous_commit', 'synchronous_standby_names', 'default_transaction_isolation',
    'default_transaction_read_only', 'server_version', 'server_version_num', 'server_encoding')
"""
_SERVER: Final = (
    "SELECT pg_is_in_recovery(), (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
)
_OLDEST_HOLD: Final = "SELECT min(expires_at) FROM {s}.line WHERE held > 0"
_UNNUMBERED: Final = "SELECT count(*), min(recorded_at) FROM {s}.unnumbered"
_WATERMARK: Final = "SELECT max(recorded_at) FROM {s}.stock"

Settings = dict[str, str]


def diagnosis(session: Session, now: datetime | None) -> Diagnosis:
    """Look at the server, then at the tables, if they are there."""
    settings: Settings = dict(session.rows(_SETTINGS))
    [(is_replica, server_now)] = session.rows(_SERVER)
    own = to_instant(now or datetime.now(UTC))
    checks = [check(settings) for check in _OF_SETTINGS]
    checks.append(_role(is_replica=is_replica, settings=settings))
    checks.append(clock_check("clock difference to the server", own - server_now))
    version = migrating.version_of(session)
    checks.append(_schema(version))
    if version == SCHEMA:
        checks += _tables(session, own)
    return Diagnosis(target=session.target, checks=tuple(checks))


def _on(name: str, why: str) -> Callable[[Settings], HealthCheck]:
    """Return the check of a setting that must not be off."""

    def check(settings: Settings) -> HealthCheck:
        seen = settings.get(name, "unknown")
        return told(name, seen, why if seen == "off" else "", unsafe=seen == "off")

    return check


def _synchronous_commit(settings: Settings) -> HealthCheck:
    seen = settings.get("synchronous_commit", "unknown")
    if seen == "off":
        why = "a crash of the server loses writes that were acknowledged; set it to on"
        return told("synchronous_commit", seen, why, unsafe=True)
    if seen in {"local", "remote_write"} and settings.get("synchronous_standby_names"):
        why = "a failover may lose the last acknowledged writes; on waits for the standby's disk"
        return told("synchronous_commit", seen, why)
    return told("synchronous_commit", seen)


def _isolation(settings: Settings) -> HealthCheck:
    seen = settings.get("default_transaction_isolation", "unknown")
    why = (
        ""
        if seen == "read committed"
        else (
            "our own transactions are READ COMMITTED all the same; joined, expect Retryable where "
            "others wrote meanwhile, and repeat the host's transaction"
        )
    )
    return told("default_transaction_isolation", seen, why)


def _version(settings: Settings) -> HealthCheck:
    is_old = int(settings.get("server_version_num", "0")) < SERVER_MIN
    why = "it is older than PostgreSQL 14, where nothing was tested" if is_old else ""
    return told("server version", settings.get("server_version", "unknown"), why, unsafe=is_old)


_OF_SETTINGS: Final[tuple[Callable[[Settings], HealthCheck], ...]] = (
    _version,
    _on("fsync", "a crash of the machine may destroy the database; set it to on"),
    _on("full_page_writes", "a crash of the machine may tear pages; set it to on"),
    _synchronous_commit,
    _isolation,
)


def _role(*, is_replica: bool, settings: Settings) -> HealthCheck:
    if is_replica:
        why = "what it shows may be old, and it takes no writes; connect to the primary"
        return told("server role", "replica", why, unsafe=True)
    if settings.get("default_transaction_read_only") == "on":
        why = "default_transaction_read_only is on; a host's transaction could only read"
        return told("server role", "primary, read only", why, unsafe=True)
    return told("server role", "primary")


def _schema(version: int | None) -> HealthCheck:
    if version is None:
        why = (
            "this schema has no tables of truecount; name the right schema, call "
            "storage.migrate(), or run what schema_sql() returns"
        )
        return told("schema version", "missing", why, unsafe=True)
    why = (
        ""
        if version == SCHEMA
        else (
            f"this truecount needs {SCHEMA}; "
            + ("call storage.migrate()" if version < SCHEMA else "use a newer truecount")
        )
    )
    return told("schema version", str(version), why, unsafe=bool(why))


def _tables(session: Session, now: int) -> Iterator[HealthCheck]:
    found = session.together((_WATERMARK, ()), (_OLDEST_HOLD, ()), (_UNNUMBERED, ()))
    [(latest,)], [(oldest,)], [(count, since)] = (answer.rows for answer in found)
    yield clock_check("latest write ahead of this clock", max(0, (latest or 0) - now))
    yield holds_check(oldest, now)
    yield _unnumbered(count, since, now)


def _unnumbered(count: int, since: int | None, now: int) -> HealthCheck:
    if since is None:
        return told("movements without a position", "none")
    why = "they are numbered when somebody reads the feed; nobody has for that long"
    age = max(0, now - since) // 1_000_000
    return told("movements without a position", f"{count}, the oldest {age} seconds old", why)
