"""
Every statement of the PostgreSQL storage, put together once from its table and column names.

``texts`` tells what ``{s}``, ``$1``, ``%s`` and ``[[names]]`` stand for.

Rows of a list are found by ``LATERAL``, one probe of the primary key for each, whatever the
planner believes of the table: before the first ANALYZE it believes that a tenant has a
handful of rows, and reads them all. What is locked is locked in the order of the list, which
is sorted; a multi-row update has no order and deadlocks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from truecount.storage.postgres.schema import AFTERS, APPLICATION, CHANGES, FIGURES, SPARSE


AT_KEY: Final = "tenant = $1 AND sku = %s AND location = %s AND lot = %s"
STOCK: Final = (
    f"sku, location, lot, {', '.join(FIGURES)}, version, recorded_at, horizon, opened_at, "
    "lot_expires_at"
)
ENTRY: Final = (
    f"sku, location, lot, version, {', '.join((*CHANGES, *AFTERS))}, movement, occurred_at, "
    "recorded_at, horizon, lateness, floor"
)
LINE: Final = (
    "reference, number, round, sku, location, lot, reserved, held, allocated, picked, shipped, "
    "released, expired, short, expires_at"
)
MOVEMENT: Final = (
    "id, kind, occurred_at, recorded_at, ordinal, reference, reason, actor, origin, reverses, "
    "body, digest"
)
RECORD: Final = "space, id, version, body"
OUTCOME: Final = "key, fingerprint, decided_at, forget_at, body"
IS_OPEN: Final = "held + allocated + picked > 0"

_POSITION_OF_M: Final = (
    "(SELECT position FROM {s}.numbering WHERE tenant = m.tenant AND movement = m.id)"
)
_MOVEMENT_OF_M: Final = ", ".join(f"m.{name}" for name in MOVEMENT.split(", "))


def _read(names: str) -> str:
    """Return the columns *names* as they are read."""
    return ", ".join(
        f"coalesce({name}, 0) AS {name}" if name in SPARSE else name for name in names.split(", ")
    )


def insert(table: str, names: str, rest: str = "", also: str = "") -> str:
    """Return the statement that inserts the tenant's rows, once *also* was looked at."""
    head = f"INSERT INTO {{s}}.{table} AS t (tenant, {names})"
    return f"{head} SELECT $1, w.* FROM [[{names}]]{also} {rest}"


def replaced(names: str, key: str) -> str:
    """Return the end of an insert that replaces the row with the same *key*."""
    known = key.split(", ")
    sets = ", ".join(f"{name} = excluded.{name}" for name in names.split(", ") if name not in known)
    return f"ON CONFLICT (tenant, {key}) DO UPDATE SET {sets}"


_READ_ENTRY: Final = _read(ENTRY)
_READ_LINE: Final = _read(LINE)

META: Final = f"SELECT schema_version FROM {{s}}.meta WHERE application = '{APPLICATION}'"

# --- locking ----------------------------------------------------------------------------

_NAMES_MADE: Final = (
    "INSERT INTO {s}.record AS t (tenant, space, id, version, body) "
    "SELECT $1, w.space, w.id, 0, '' FROM [[space, id]] "
    'ORDER BY w.space COLLATE "C", w.id COLLATE "C" ON CONFLICT '
)
#: Locks what is there, changing nothing, and makes what is not.
LOCK_RECORDS: Final = (
    f"{_NAMES_MADE} (tenant, space, id) DO UPDATE SET version = t.version WHERE false"
)
MAKE_RECORDS: Final = f"{_NAMES_MADE} DO NOTHING"
SHARE_RECORDS: Final = (
    f"SELECT r.* FROM [[space, id]] CROSS JOIN LATERAL ("
    f"SELECT {RECORD} FROM {{s}}.record WHERE tenant = $1 AND space = w.space AND id = w.id "
    "FOR SHARE) AS r"
)
MAKE_STOCK: Final = (
    "INSERT INTO {s}.stock (tenant, sku, location, lot) "
    "SELECT $1, w.* FROM [[sku, location, lot]] "
    'ORDER BY w.sku COLLATE "C", w.location COLLATE "C", w.lot COLLATE "C" ON CONFLICT DO NOTHING'
)
_STOCK_LOCKED: Final = f"""
CROSS JOIN LATERAL (
    SELECT {STOCK} FROM {{s}}.stock
    WHERE tenant = $1 AND sku = w.sku AND location = w.location AND lot = w.lot
    FOR NO KEY UPDATE
) AS s
"""
#: Keys and nothing else.
LOCK_KEYS: Final = f"SELECT s.* FROM [[sku, location, lot]] {_STOCK_LOCKED}"
#: Values: keys, scopes, references.
LOCK_STOCK: Final = f"""
SELECT s.* FROM (
    SELECT w.sku COLLATE "C" AS sku, w.location COLLATE "C" AS location, w.lot COLLATE "C" AS lot
    FROM [[sku, location, lot]]
    UNION
    SELECT s.sku, s.location, s.lot FROM [[sku, location]] CROSS JOIN LATERAL (
        SELECT sku, location, lot FROM {{s}}.stock
        WHERE tenant = $1 AND sku = w.sku AND w.location IN ('', location) AND version > 0
        OFFSET 0
    ) AS s
    UNION
    SELECT l.sku, l.location, l.lot FROM [[reference]] CROSS JOIN LATERAL (
        SELECT sku, location, lot FROM {{s}}.line
        WHERE tenant = $1 AND reference = w.reference OFFSET 0
    ) AS l
    ORDER BY sku, location, lot
) AS w {_STOCK_LOCKED}
"""
#: What hangs on what was locked, as JSON: documents, lines, outcomes. Values: names of
#: documents, references, keys.
READ_LOCKED: Final = f"""
SELECT (
    SELECT json_agg(json_build_array({RECORD})) FROM (
        SELECT r.* FROM [[space, id]] CROSS JOIN LATERAL (
            SELECT {RECORD} FROM {{s}}.record
            WHERE tenant = $1 AND space = w.space AND id = w.id AND version > 0 OFFSET 0
        ) AS r
    ) AS r
)::text, (
    SELECT json_agg(json_build_array({LINE}) ORDER BY reference, number) FROM (
        SELECT l.* FROM [[reference]] CROSS JOIN LATERAL (
            SELECT {_READ_LINE} FROM {{s}}.line
            WHERE tenant = $1 AND reference = w.reference OFFSET 0
        ) AS l
    ) AS l
)::text, (
    SELECT json_agg(json_build_array({OUTCOME})) FROM (
        SELECT o.* FROM [[key]] CROSS JOIN LATERAL (
            SELECT {OUTCOME} FROM {{s}}.outcome WHERE tenant = $1 AND key = w.key OFFSET 0
        ) AS o
    ) AS o
)::text
"""
MOVEMENTS_OF_IDS: Final = f"""
SELECT m.* FROM jsonb_array_elements_text(%s::jsonb) WITH ORDINALITY AS w(id, place)
CROSS JOIN LATERAL (
    SELECT {_POSITION_OF_M} AS position, {_MOVEMENT_OF_M} FROM {{s}}.movement m
    WHERE m.tenant = $1 AND m.id = w.id LIMIT 1
) AS m ORDER BY w.place
"""
DUE: Final = f"""
SELECT {", ".join(f"expired.{name}" for name in LINE.split(", "))}
FROM [[sku, location, lot, enough]] CROSS JOIN LATERAL (
    SELECT {_READ_LINE}, sum(held) OVER (ORDER BY expires_at, reference, number) - held AS before
    FROM {{s}}.line
    WHERE tenant = $1 AND sku = w.sku AND location = w.location AND lot = w.lot AND {IS_OPEN}
        AND held > 0 AND expires_at <= %s
) AS expired
WHERE expired.before < w.enough
ORDER BY expired.sku, expired.location, expired.lot, expired.expires_at, expired.reference,
    expired.number
"""

# --- writing ----------------------------------------------------------------------------

_BY_KEY: Final = 'ORDER BY w.key COLLATE "C"'
#: Outcomes are locks too: whoever comes second waits for the first, in the order of keys.
PUT_UNLESS_TAKEN: Final = insert(
    "outcome",
    OUTCOME,
    f"{_BY_KEY} {replaced(OUTCOME, 'key')} WHERE t.forget_at <= excluded.decided_at "
    "RETURNING t.key",
)


def put_record(also: str = "") -> str:
    """
    Return the statement that puts documents, once *also* was looked at.

    A version takes the place of the one before, the first that of a locked name. Only a first
    one may find nothing there. Any other breaks a constraint.
    """
    return f"""
INSERT INTO {{s}}.record AS t (tenant, {RECORD})
SELECT $1, w.space, w.id, CASE WHEN w.version = 1 OR (
    SELECT true FROM {{s}}.record r WHERE r.tenant = $1 AND r.space = w.space AND r.id = w.id
) THEN w.version ELSE -1 END, w.body FROM [[{RECORD}]]{also}
ON CONFLICT (tenant, space, id) DO UPDATE SET body = excluded.body,
    version = CASE WHEN t.version = excluded.version - 1 THEN excluded.version ELSE -1 END
"""


#: The rows of a write, in the order in which they are written.
PUT: Final = {
    # As above, but a taken key breaks a constraint.
    "outcome": insert(
        "outcome",
        OUTCOME,
        f"{_BY_KEY} {replaced(OUTCOME, 'key')}, "
        "key = CASE WHEN t.forget_at <= excluded.decided_at THEN t.key END",
    ),
    "movement": insert("movement", MOVEMENT),
    "unnumbered": insert("unnumbered", "recorded_at, ordinal, movement"),
    "entry": insert("entry", ENTRY),
    "stock": insert("stock", STOCK, replaced(STOCK, "sku, location, lot")),
    "line": insert("line", LINE, replaced(LINE, "reference, number")),
    "record": put_record(),
}


def put_within(puts: Mapping[str, str], tables: Collection[str]) -> str:
    """Return the parts of a ``WITH`` that put rows into *tables*, and queue the movements."""
    parts = {f"put_{table}": puts[table] for table in tables}
    if "movement" in tables:
        queued = "recorded_at, ordinal, id"
        parts["put_movement"] += f" RETURNING {queued}"
        parts["queued"] = (
            "INSERT INTO {s}.unnumbered (tenant, recorded_at, ordinal, movement) "
            f"SELECT $1, {queued} FROM put_movement"
        )
    return "".join(f", {name} AS ({part})" for name, part in parts.items())


TAKEN: Final = """
SELECT t.key FROM [[key, decided_at]] CROSS JOIN LATERAL (
    SELECT key FROM {s}.outcome
    WHERE tenant = $1 AND key = w.key AND coalesce(forget_at > w.decided_at, true) OFFSET 0
) AS t
"""
DROP_OUTCOMES: Final = (
    "DELETE FROM {s}.outcome WHERE tenant = $1 AND key = ANY (ARRAY(SELECT w.key FROM [[key]]))"
)
#: Fails, so that a host cannot commit what was written before.
FAIL: Final = "DO $$ BEGIN RAISE integrity_constraint_violation; END $$"
FORGET: Final = "DELETE FROM {s}.outcome WHERE tenant = $1 AND forget_at <= %s"

# --- numbering --------------------------------------------------------------------------

ONE_UNNUMBERED: Final = (
    "SELECT movement FROM {s}.unnumbered WHERE tenant = $1 ORDER BY movement LIMIT 1"
)
MAKE_HEAD: Final = "INSERT INTO {s}.head VALUES ($1, 0) ON CONFLICT DO NOTHING"
LOCK_HEAD: Final = "SELECT position FROM {s}.head WHERE tenant = $1 FOR UPDATE"
#: Begins after the lock, so it sees all that was numbered before.
NUMBER: Final = """
INSERT INTO {s}.numbering (tenant, position, movement)
SELECT h.tenant, h.position + row_number() OVER (
    ORDER BY u.recorded_at, u.ordinal, u.movement
), u.movement
FROM {s}.unnumbered u JOIN {s}.head h ON h.tenant = u.tenant WHERE u.tenant = $1
"""
#: What has a position, and nothing that came since.
DEQUEUE: Final = """
DELETE FROM {s}.unnumbered u WHERE u.tenant = $1 AND (
    SELECT true FROM {s}.numbering n WHERE n.tenant = u.tenant AND n.movement = u.movement
)
"""
MOVE_HEAD: Final = """
UPDATE {s}.head SET position = (
    SELECT coalesce(max(position), 0) FROM {s}.numbering WHERE tenant = $1
) WHERE tenant = $1
"""

# --- reading, by pages: the last parameters are where to go on, and how many rows ---------

STOCK_PAGE: Final = (
    f"SELECT {STOCK} FROM {{s}}.stock WHERE tenant = $1 AND version > 0 "
    "AND (sku, location, lot) > (%s, %s, %s) ORDER BY sku, location, lot LIMIT %s"
)
STOCK_OF_SKU: Final = STOCK_PAGE.replace("version > 0", "sku = %s AND version > 0")
STOCK_AT: Final = STOCK_PAGE.replace("version > 0", "location = %s AND version > 0")
STOCK_OF_SKU_AT: Final = STOCK_PAGE.replace(
    "version > 0", "sku = %s AND location = %s AND version > 0"
)
ENTRIES: Final = (
    f"SELECT {_READ_ENTRY} FROM {{s}}.entry "
    f"WHERE {AT_KEY} AND version > %s ORDER BY version LIMIT %s"
)
MOVEMENTS_OF: Final = (
    f"SELECT {_POSITION_OF_M}, {_MOVEMENT_OF_M} FROM {{s}}.movement m "
    "WHERE m.tenant = $1 AND m.reference = %s "
    "AND (m.recorded_at, m.ordinal, m.id) > (%s, %s, %s) "
    "ORDER BY m.recorded_at, m.ordinal, m.id LIMIT %s"
)
FEED: Final = f"""
SELECT n.position, m.* FROM {{s}}.numbering n CROSS JOIN LATERAL (
    SELECT {_MOVEMENT_OF_M} FROM {{s}}.movement m
    WHERE m.tenant = n.tenant AND m.id = n.movement LIMIT 1
) AS m WHERE n.tenant = $1 AND n.position > %s ORDER BY n.position LIMIT %s
"""
LINES: Final = (
    f"SELECT {_READ_LINE} FROM {{s}}.line WHERE tenant = $1 AND reference = %s ORDER BY number"
)
OPEN_LINES: Final = (
    f"SELECT {_READ_LINE} FROM {{s}}.line WHERE {AT_KEY} AND {IS_OPEN} "
    "AND (expires_at, reference, number) > (%s, %s, %s::bigint) "
    "ORDER BY expires_at, reference, number LIMIT %s"
)
DUE_HOLDS: Final = (
    f"SELECT {_READ_LINE} FROM {{s}}.line WHERE tenant = $1 AND held > 0 AND expires_at <= %s "
    "ORDER BY expires_at, reference, number LIMIT %s"
)
RECORDS: Final = (
    f"SELECT {RECORD} FROM {{s}}.record WHERE tenant = $1 AND space = %s AND id > %s "
    "AND version > 0 ORDER BY id LIMIT %s"
)
RECORD_ONE: Final = (
    f"SELECT {RECORD} FROM {{s}}.record WHERE tenant = $1 AND space = %s AND id = %s "
    "AND version > 0"
)
#: Spaces are hopped through on the index, however many documents each has.
SPACES: Final = """
WITH RECURSIVE known (space) AS (
    SELECT min(space) FROM {s}.record WHERE tenant = $1 AND version > 0
    UNION ALL
    SELECT (
        SELECT min(r.space) FROM {s}.record r
        WHERE r.tenant = $1 AND r.space > known.space AND r.version > 0
    ) FROM known WHERE known.space IS NOT NULL
)
SELECT space FROM known WHERE space IS NOT NULL
"""
OUTCOMES: Final = (
    f"SELECT {OUTCOME} FROM {{s}}.outcome WHERE tenant = $1 AND key > %s ORDER BY key LIMIT %s"
)

# --- as of ------------------------------------------------------------------------------

#: Horizons never fall from version to version, so the last one up to an instant is found
#: bit by bit: one probe for each bit of the number of versions. Values: step, instant, key.
LAST_VERSION_UNTIL: Final = f"""
WITH RECURSIVE search (version, step) AS (
    VALUES (0::bigint, %s::bigint)
    UNION ALL
    SELECT search.version + search.step * coalesce((
        SELECT (e.horizon <= %s)::int FROM {{s}}.entry e
        WHERE {AT_KEY} AND e.version = search.version + search.step
    ), 0), search.step / 2
    FROM search WHERE search.step > 0
)
SELECT version FROM search WHERE step = 0
"""
VERSION: Final = f"SELECT coalesce(max(version), 0) FROM {{s}}.entry WHERE {AT_KEY}"
AFTER: Final = f"SELECT {_read(', '.join(AFTERS))} FROM {{s}}.entry WHERE {AT_KEY} AND version = %s"
#: The lateness classes a key has are hopped through on the index; each is one short range.
LATE: Final = f"""
WITH RECURSIVE class (lateness) AS (
    SELECT min(lateness) FROM {{s}}.entry WHERE {AT_KEY} AND lateness <> 0
    UNION ALL
    SELECT (
        SELECT min(e.lateness) FROM {{s}}.entry e
        WHERE {AT_KEY} AND e.lateness <> 0 AND e.lateness > class.lateness
    ) FROM class WHERE class.lateness IS NOT NULL
)
SELECT late.* FROM class CROSS JOIN LATERAL (
    SELECT {_read(", ".join(CHANGES))} FROM {{s}}.entry
    WHERE {AT_KEY} AND lateness = class.lateness AND lateness <> 0
        AND occurred_at BETWEEN %s - (1::bigint << class.lateness) AND %s
        AND version > %s AND version <= %s
    OFFSET 0
) AS late
"""
