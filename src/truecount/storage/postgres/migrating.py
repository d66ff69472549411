"""
Bringing a schema to the version this truecount reads and writes.

All steps run in one transaction, one program at a time: the row of ``meta`` is the lock.
Programs that start at once may still meet while the schema or that row is being made, which
PostgreSQL tells as an error of one of them; it looks again.
"""

from __future__ import annotations

from typing import Final

import psycopg

from truecount.errors import ForeignDatabase, Retryable, TrueCountError
from truecount.storage.postgres import statements as sql
from truecount.storage.postgres.schema import ADVANCE, MIGRATIONS, PREPARE, SCHEMA
from truecount.storage.postgres.session import Session


#: Programs that make a schema at once: one error each, at most, while it is being made.
ATTEMPTS_MAX: Final = 20
#: Schema, table, type or row made by another meanwhile; catalogue row changed by another.
_MET: Final = frozenset({"42P06", "42P07", "42710", "23505", "XX000", "40P01", "40001"})

_ENCODING: Final = "SELECT current_setting('server_encoding')"
_HAS_META: Final = "SELECT to_regclass('{s}.meta') IS NOT NULL"
_OTHERS: Final = (
    "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace('{s}') "
    "AND relkind IN ('r', 'p', 'v', 'm') "
    # Ours, if somebody has made them since we looked for them.
    "AND to_regclass('{s}.meta') IS NULL ORDER BY relname LIMIT 3"
)
_LOCK: Final = f"{sql.META} FOR UPDATE"

_CALL: Final = "call storage.migrate(), or run what schema_sql() returns"


def migrate(session: Session) -> bool:
    """Make or change the tables; return whether there was anything to do."""
    for _ in range(ATTEMPTS_MAX):
        try:
            done = _migrated(session)
            session.commit(None)
            return done
        except TrueCountError as error:
            cause = error.__cause__
            if not (isinstance(cause, psycopg.Error) and cause.sqlstate in _MET):
                raise
            session.again()
    raise Retryable("others were making the same tables again and again")


def _migrated(session: Session) -> bool:
    version = version_of(session)
    if version == SCHEMA:
        return False
    if version is None:
        _check_foreign(session)
        session.together(*((statement, ()) for statement in PREPARE))
    [[version]] = session.rows(_LOCK)
    if version > SCHEMA:
        raise newer(session, version)
    for step in MIGRATIONS[version:]:
        session.together(*((statement, ()) for statement in step))
    session.run(ADVANCE.replace("{version}", str(SCHEMA)))
    return bool(version < SCHEMA)


def version_of(session: Session) -> int | None:
    """Return the version of the tables, None where there are none of ours."""
    [[has_meta]] = session.rows(_HAS_META)
    if not has_meta:
        return None
    return next((version for (version,) in session.rows(sql.META)), None)


def check(session: Session) -> None:
    """Raise unless the tables are those this truecount reads and writes."""
    version = version_of(session)
    if version is None:
        raise ForeignDatabase(
            session.target, "without tables of truecount", f"a migrated one; {_CALL}"
        )
    if version < SCHEMA:
        raise ForeignDatabase(session.target, f"at schema version {version}", f"{SCHEMA}; {_CALL}")
    if version > SCHEMA:
        raise newer(session, version)


def newer(session: Session, version: int) -> ForeignDatabase:
    """Return the error for tables that a newer truecount made."""
    return ForeignDatabase(
        session.target, f"at schema version {version}", f"at most {SCHEMA}; use a newer truecount"
    )


def _check_foreign(session: Session) -> None:
    """Refuse a database whose texts are not ours, and a schema that is another program's."""
    [[encoding]] = session.rows(_ENCODING)
    if encoding != "UTF8":
        raise ForeignDatabase(session.target, f"encoded in {encoding}", "UTF8, whose order is ours")
    names = [name for (name,) in session.rows(_OTHERS)]
    if names:
        raise ForeignDatabase(
            session.target,
            f"a database whose schema has tables of another program ({', '.join(names)})",
            "an empty schema, or none; name another with schema=",
        )
