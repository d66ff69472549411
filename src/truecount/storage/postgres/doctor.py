"""
What is unsafe about a PostgreSQL server, the way to it, and the tables in it: read only.

The way is looked at over two connections: a proxy that gives out server connections for one
transaction at a time lets both use the same, or one use several.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
from truecount.storage.postgres import migrating
from truecount.storage.postgres.beginning import Beginnings
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
#: What a transaction of ours is told, as the server understood it; in milliseconds.
_LOCK_TIMEOUT: Final = "SELECT setting FROM pg_settings WHERE name = 'lock_timeout'"
_PROCESS: Final = "SELECT pg_backend_pid()"
_LAST: Final = "SELECT coalesce(max(position), 0) FROM {s}.head WHERE tenant = $1"
_WAITING: Final = "SELECT count(*), min(recorded_at) FROM {s}.unnumbered WHERE tenant = $1"
_SINCE: Final = """
SELECT min(recorded_at) FROM {s}.movement WHERE tenant = $1 AND id = (
    SELECT movement FROM {s}.numbering WHERE tenant = $1 AND position > %s
    ORDER BY position LIMIT 1
)
"""
_OLDEST_HOLD: Final = "SELECT min(expires_at) FROM {s}.line WHERE held > 0"
_UNNUMBERED: Final = "SELECT count(*), min(recorded_at) FROM {s}.unnumbered"
_WATERMARK: Final = "SELECT max(recorded_at) FROM {s}.stock"

Settings = dict[str, str]


def diagnosis(
    session: Session,
    other: Session,
    begins: Beginnings,
    *,
    now: datetime | None,
    tenant: str,
    positions: Mapping[str, int] | None,
) -> Diagnosis:
    """Look at the server and the way to it, then at the tables, if they are there."""
    named = followers(positions)
    settings: Settings = dict(session.rows(_SETTINGS))
    [(is_replica, server_now)] = session.rows(_SERVER)
    own = to_instant(now or datetime.now(UTC))
    checks = [check(settings) for check in _OF_SETTINGS]
    checks.append(told("isolation of our own writes", begins.isolation))
    checks.append(_way(session, other, begins))
    checks.append(_waits(session, begins))
    checks.append(_role(is_replica=is_replica, settings=settings))
    checks.append(clock_check("clock difference to the server", own - server_now))
    version = migrating.version_of(session)
    checks.append(_schema(version))
    if version == SCHEMA:
        checks += _tables(session, own)
        for name, position in named:
            checks.append(follower_check(name, position, _behind(session, tenant, position), own))
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
            "a host's transactions are that: where others wrote since one began, a call in it is "
            "Retryable, and the host must repeat its transaction"
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


def _way(session: Session, other: Session, begins: Beginnings) -> HealthCheck:
    """Tell whether a server connection is ours for as long as we have it."""
    # Whether the proxy gives out the one used last or each in turn, one of both shows; and
    # more than once, because others use it, too.
    asked = (session, other, session, session, other) * 3
    found = [(each is session, *each.rows(_PROCESS)[0]) for each in asked]
    own = {process for is_first, process in found if is_first}
    others = {process for is_first, process in found if not is_first}
    name = "server connection"
    if len(own) > 1 or len(others) > 1 or own & others:
        seen = "given out by a proxy for each transaction"
        why = (
            "what we tell a connection is lost, or told to somebody else's; "
            "use PostgresStorage(..., proxied=True)"
        )
        return told(name, seen, "" if begins.proxied else why, unsafe=not begins.proxied)
    why = "no proxy gave out another one; without proxied=True statements can be prepared"
    return told(name, "kept while we have it", why if begins.proxied else "")


def _waits(session: Session, begins: Beginnings) -> HealthCheck:
    """Tell how long a transaction of ours waits for a lock."""
    with session.apart(begins.read):
        answers = session.together((_LOCK_TIMEOUT, ()), ("COMMIT", ()))
    [[seen]] = answers[0].rows
    told_so = seen == begins.lock_timeout.removesuffix("ms")
    why = (
        f"it was told {begins.lock_timeout}, and something on the way lost that: calls may wait "
        "for ever; behind a proxy use PostgresStorage(..., proxied=True)"
    )
    shown = f"{int(seen) / 1000:g} s" if int(seen) else "off"
    return told(
        "lock_timeout of our transactions", shown, "" if told_so else why, unsafe=not told_so
    )


def _behind(session: Session, tenant: str, position: int) -> Behind:
    steps = ((_LAST, (tenant,)), (_WAITING, (tenant,)), (_SINCE, (tenant, position)))
    [(last,)], [(count, waiting)], [(since,)] = (each.rows for each in session.together(*steps))
    oldest = [instant for instant in (waiting, since) if instant is not None]
    return Behind(last, count, min(oldest, default=None))


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
