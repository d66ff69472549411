"""
Every statement of the PostgreSQL storage, put together once from its table and column names.

``{s}`` stands for the schema. Names that are looked for go in as one array for each column,
written as text (``array``), rows that are written as one JSON text; so a statement is the
same, and prepared once, however many there are.

Rows of a list are found by ``LATERAL``, one probe of the primary key for each, whatever the
planner believes of the table: before the first ANALYZE it believes that a tenant has a
handful of rows, and reads them all. What is locked is locked in the order of the list, which
is sorted; a multi-row update has no order and deadlocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from truecount.storage.postgres.schema import AFTERS, APPLICATION, CHANGES, FIGURES


def _item(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(value)
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def array(values: Iterable[object]) -> str:
    r"""
    Return texts or integers as PostgreSQL writes an array.

    >>> print(array(["MUG", 'a "b" \\', None, 3]))
    {"MUG","a \"b\" \\",NULL,3}
    """
    return "{" + ",".join(map(_item, values)) + "}"


def columns(rows: Sequence[Sequence[object]], width: int) -> list[str]:
    """
    Return rows as one array for each of *width* columns.

    >>> columns([("MUG", 1), ("TEA", 2)], 2)
    ['{"MUG","TEA"}', '{1,2}']
    """
    if not rows:
        return ["{}"] * width
    return [array(column) for column in zip(*rows, strict=True)]


AT_KEY: Final = "tenant = %s AND sku = %s AND location = %s AND lot = %s"
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

_MOVEMENT_OF_M: Final = ", ".join(f"m.{name}" for name in MOVEMENT.split(", "))

#: Columns that hold text; all others hold integers.
_TEXTS: Final = frozenset(
    {"actor", "body", "digest", "fingerprint", "id", "key", "kind", "location", "lot", "movement"}
    | {"origin", "reason", "reference", "reverses", "sku", "space"}
)


def _listed(names: str) -> str:
    """Return a table ``w`` of arrays, one for each of the columns *names*."""
    arrays = ", ".join(
        f"%s::{'text' if name in _TEXTS else 'bigint'}[]" for name in names.split(", ")
    )
    return f"unnest({arrays}) AS w({names})"


def _told(names: str) -> str:
    """Return a table ``w`` of rows told as one JSON text, a list of lists."""
    # One function, however many columns: PostgreSQL keeps a store of its own for each array.
    parts = ", ".join(
        f"e.v ->> {number} AS {name}" if name in _TEXTS else f"(e.v ->> {number})::bigint AS {name}"
        for number, name in enumerate(names.split(", "))
    )
    return f"(SELECT {parts} FROM jsonb_array_elements(%s::jsonb) AS e(v)) AS w"


def _insert(table: str, names: str, rest: str = "") -> str:
    """Return the statement that inserts the tenant's rows."""
    head = f"INSERT INTO {{s}}.{table} AS t (tenant, {names})"
    return f"{head} SELECT %s, w.* FROM {_told(names)} {rest}"


def _replaced(names: str, key: str) -> str:
    """Return the end of an insert that replaces the row with the same *key*."""
    known = key.split(", ")
    sets = ", ".join(f"{name} = excluded.{name}" for name in names.split(", ") if name not in known)
    return f"ON CONFLICT (tenant, {key}) DO UPDATE SET {sets}"


# --- transactions -----------------------------------------------------------------------

BEGIN_WRITE: Final = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
BEGIN_READ: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
META: Final = f"SELECT schema_version FROM {{s}}.meta WHERE application = '{APPLICATION}'"

# --- locking ----------------------------------------------------------------------------

_NAMES_MADE: Final = (
    "INSERT INTO {s}.record AS t (tenant, space, id, version, body) "
    f"SELECT %s, w.space, w.id, 0, '' FROM {_listed('space, id')} "
    'ORDER BY w.space COLLATE "C", w.id COLLATE "C" ON CONFLICT '
)
#: Locks what is there, changing nothing, and makes what is not.
LOCK_RECORDS: Final = (
    f"{_NAMES_MADE} (tenant, space, id) DO UPDATE SET version = t.version WHERE false"
)
MAKE_RECORDS: Final = f"{_NAMES_MADE} DO NOTHING"
SHARE_RECORDS: Final = (
    f"SELECT r.* FROM {_listed('space, id')} CROSS JOIN LATERAL ("
    f"SELECT {RECORD} FROM {{s}}.record WHERE tenant = %s AND space = w.space AND id = w.id "
    "FOR SHARE) AS r"
)
MAKE_STOCK: Final = (
    "INSERT INTO {s}.stock (tenant, sku, location, lot) "
    f"SELECT %s, w.* FROM {_listed('sku, location, lot')} "
    'ORDER BY w.sku COLLATE "C", w.location COLLATE "C", w.lot COLLATE "C" ON CONFLICT DO NOTHING'
)
_STOCK_LOCKED: Final = f"""
CROSS JOIN LATERAL (
    SELECT {STOCK} FROM {{s}}.stock
    WHERE tenant = %s AND sku = w.sku AND location = w.location AND lot = w.lot
    FOR NO KEY UPDATE
) AS s
"""
#: Keys and nothing else. Columns: keys (3 arrays), tenant.
LOCK_KEYS: Final = f"SELECT s.* FROM {_listed('sku, location, lot')} {_STOCK_LOCKED}"
#: Columns: keys (3 arrays), scopes (2 arrays), tenant, tenant, references, tenant.
LOCK_STOCK: Final = f"""
SELECT s.* FROM (
    SELECT w.sku COLLATE "C" AS sku, w.location COLLATE "C" AS location, w.lot COLLATE "C" AS lot
    FROM {_listed("sku, location, lot")}
    UNION
    SELECT s.sku, s.location, s.lot FROM {_listed("sku, location")} CROSS JOIN LATERAL (
        SELECT sku, location, lot FROM {{s}}.stock
        WHERE tenant = %s AND sku = w.sku AND w.location IN ('', location) AND version > 0
        OFFSET 0
    ) AS s
    UNION
    SELECT sku, location, lot FROM {{s}}.line WHERE tenant = %s AND reference = ANY(%s::text[])
    ORDER BY sku, location, lot
) AS w {_STOCK_LOCKED}
"""
#: What hangs on what was locked, as JSON: documents, lines, outcomes. Columns: names of
#: documents (2 arrays), tenant; tenant, references; tenant, keys.
READ_LOCKED: Final = f"""
SELECT (
    SELECT json_agg(json_build_array({RECORD})) FROM (
        SELECT r.* FROM {_listed("space, id")} CROSS JOIN LATERAL (
            SELECT {RECORD} FROM {{s}}.record
            WHERE tenant = %s AND space = w.space AND id = w.id AND version > 0 OFFSET 0
        ) AS r
    ) AS r
)::text, (
    SELECT json_agg(json_build_array({LINE}) ORDER BY reference, number) FROM {{s}}.line
    WHERE tenant = %s AND reference = ANY(%s::text[])
)::text, (
    SELECT json_agg(json_build_array({OUTCOME})) FROM {{s}}.outcome
    WHERE tenant = %s AND key = ANY(%s::text[])
)::text
"""
OUTCOMES_OF: Final = (
    f"SELECT {OUTCOME} FROM {{s}}.outcome WHERE tenant = %s AND key = ANY(%s::text[])"
)
MOVEMENTS_OF_IDS: Final = f"""
SELECT m.* FROM unnest(%s::text[]) WITH ORDINALITY AS w(id, place) CROSS JOIN LATERAL (
    SELECT n.position, {_MOVEMENT_OF_M} FROM {{s}}.movement m
    LEFT JOIN {{s}}.numbering n ON n.tenant = m.tenant AND n.movement = m.id
    WHERE m.tenant = %s AND m.id = w.id LIMIT 1
) AS m ORDER BY w.place
"""
DUE: Final = f"""
SELECT {", ".join(f"expired.{name}" for name in LINE.split(", "))}
FROM {_listed("sku, location, lot, enough")} CROSS JOIN LATERAL (
    SELECT {LINE}, sum(held) OVER (ORDER BY expires_at, reference, number) - held AS before
    FROM {{s}}.line
    WHERE tenant = %s AND sku = w.sku AND location = w.location AND lot = w.lot AND {IS_OPEN}
        AND held > 0 AND expires_at <= %s
) AS expired
WHERE expired.before < w.enough
ORDER BY expired.sku, expired.location, expired.lot, expired.expires_at, expired.reference,
    expired.number
"""

# --- writing ----------------------------------------------------------------------------

#: Outcomes are locks too: whoever comes second waits for the first, in the order of keys.
_PUT_OUTCOMES: Final = _insert(
    "outcome",
    OUTCOME,
    'ORDER BY w.key COLLATE "C" '
    f"{_replaced(OUTCOME, 'key')} WHERE t.forget_at <= excluded.decided_at RETURNING t.key",
)
DROP_OUTCOMES: Final = "DELETE FROM {s}.outcome WHERE tenant = %s AND key = ANY(%s::text[])"
#: Written only if no key was taken, in this order; the columns of each.
TABLES: Final = {
    "movement": MOVEMENT,
    "unnumbered": "recorded_at, ordinal, movement",
    "entry": ENTRY,
    "stock": STOCK,
    "line": LINE,
}
_FREE: Final = "WHERE (SELECT is_free FROM free)"
_REPLACED: Final = {
    "stock": _replaced(STOCK, "sku, location, lot"),
    "line": _replaced(LINE, "reference, number"),
}
_PUT_ROWS: Final = ", ".join(
    f"put_{table} AS ({_insert(table, names, f'{_FREE} {_REPLACED.get(table, str())}')})"
    for table, names in TABLES.items()
)
#: A version takes the place of the one before, the first that of a locked name. Only a first
#: one may find nothing there.
_PUT_RECORDS: Final = _insert(
    "record",
    RECORD,
    f"{_FREE} AND (w.version = 1 OR (SELECT true FROM {{s}}.record r "
    "WHERE r.tenant = %s AND r.space = w.space AND r.id = w.id)) "
    f"{_replaced(RECORD, 'space, id')} WHERE t.version = excluded.version - 1 "
    "RETURNING t.space, t.id",
)
#: All of a write in one statement, and what was put of what can be refused. If a key is
#: taken, nothing but the outcomes before it is written.
WRITE: Final = f"""
WITH put_outcome AS ({_PUT_OUTCOMES}),
free AS (SELECT count(*) = %s AS is_free FROM put_outcome),
{_PUT_ROWS},
put_record AS ({_PUT_RECORDS})
SELECT 'outcome', key, NULL FROM put_outcome UNION ALL SELECT 'record', space, id FROM put_record
"""
#: Fails, so that a host cannot commit what was written before.
FAIL: Final = "DO $$ BEGIN RAISE integrity_constraint_violation; END $$"
FORGET: Final = "DELETE FROM {s}.outcome WHERE tenant = %s AND forget_at <= %s"

# --- numbering --------------------------------------------------------------------------

IS_UNNUMBERED: Final = "SELECT EXISTS (SELECT FROM {s}.unnumbered WHERE tenant = %s)"
MAKE_HEAD: Final = "INSERT INTO {s}.head VALUES (%s, 0) ON CONFLICT DO NOTHING"
LOCK_HEAD: Final = "SELECT position FROM {s}.head WHERE tenant = %s FOR UPDATE"
#: Begins after the lock, so it sees all that was numbered before. Parameters: tenant, thrice.
NUMBER: Final = """
WITH next AS (
    DELETE FROM {s}.unnumbered WHERE tenant = %s RETURNING recorded_at, ordinal, movement
), numbered AS (
    INSERT INTO {s}.numbering (tenant, position, movement)
    SELECT h.tenant, h.position + row_number() OVER (
        ORDER BY next.recorded_at, next.ordinal, next.movement
    ), next.movement
    FROM next JOIN {s}.head h ON h.tenant = %s
    RETURNING position
)
UPDATE {s}.head SET position = (SELECT max(position) FROM numbered)
WHERE tenant = %s AND EXISTS (SELECT FROM numbered)
"""

# --- reading, by pages: the last parameters are where to go on, and how many rows ---------

STOCK_PAGE: Final = (
    f"SELECT {STOCK} FROM {{s}}.stock WHERE tenant = %s AND version > 0 "
    "AND (sku, location, lot) > (%s, %s, %s) ORDER BY sku, location, lot LIMIT %s"
)
STOCK_OF_SKU: Final = STOCK_PAGE.replace("version > 0", "sku = %s AND version > 0")
STOCK_AT: Final = STOCK_PAGE.replace("version > 0", "location = %s AND version > 0")
STOCK_OF_SKU_AT: Final = STOCK_PAGE.replace(
    "version > 0", "sku = %s AND location = %s AND version > 0"
)
ENTRIES: Final = (
    f"SELECT {ENTRY} FROM {{s}}.entry WHERE {AT_KEY} AND version > %s ORDER BY version LIMIT %s"
)
MOVEMENTS_OF: Final = (
    f"SELECT n.position, {_MOVEMENT_OF_M} FROM {{s}}.movement m LEFT JOIN {{s}}.numbering n "
    "ON n.tenant = m.tenant AND n.movement = m.id WHERE m.tenant = %s AND m.reference = %s "
    "AND (m.recorded_at, m.ordinal, m.id) > (%s, %s, %s) "
    "ORDER BY m.recorded_at, m.ordinal, m.id LIMIT %s"
)
FEED: Final = f"""
SELECT n.position, m.* FROM {{s}}.numbering n CROSS JOIN LATERAL (
    SELECT {_MOVEMENT_OF_M} FROM {{s}}.movement m
    WHERE m.tenant = n.tenant AND m.id = n.movement LIMIT 1
) AS m WHERE n.tenant = %s AND n.position > %s ORDER BY n.position LIMIT %s
"""
LINES: Final = f"SELECT {LINE} FROM {{s}}.line WHERE tenant = %s AND reference = %s ORDER BY number"
OPEN_LINES: Final = (
    f"SELECT {LINE} FROM {{s}}.line WHERE {AT_KEY} AND {IS_OPEN} "
    "AND (expires_at, reference, number) > (%s, %s, %s) "
    "ORDER BY expires_at, reference, number LIMIT %s"
)
DUE_HOLDS: Final = (
    f"SELECT {LINE} FROM {{s}}.line WHERE tenant = %s AND held > 0 AND expires_at <= %s "
    "ORDER BY expires_at, reference, number LIMIT %s"
)
RECORDS: Final = (
    f"SELECT {RECORD} FROM {{s}}.record WHERE tenant = %s AND space = %s AND id > %s "
    "AND version > 0 ORDER BY id LIMIT %s"
)
RECORD_ONE: Final = (
    f"SELECT {RECORD} FROM {{s}}.record WHERE tenant = %s AND space = %s AND id = %s "
    "AND version > 0"
)
#: Spaces are hopped through on the index, however many documents each has.
SPACES: Final = """
WITH RECURSIVE known (space) AS (
    SELECT min(space) FROM {s}.record WHERE tenant = %s AND version > 0
    UNION ALL
    SELECT (
        SELECT min(r.space) FROM {s}.record r
        WHERE r.tenant = %s AND r.space > known.space AND r.version > 0
    ) FROM known WHERE known.space IS NOT NULL
)
SELECT space FROM known WHERE space IS NOT NULL
"""
OUTCOMES: Final = (
    f"SELECT {OUTCOME} FROM {{s}}.outcome WHERE tenant = %s AND key > %s ORDER BY key LIMIT %s"
)

# --- as of ------------------------------------------------------------------------------

#: Horizons never fall from version to version, so the last one up to an instant is found
#: bit by bit: one probe for each bit of the number of versions. Parameters: step, instant, key.
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
AFTER: Final = f"SELECT {', '.join(AFTERS)} FROM {{s}}.entry WHERE {AT_KEY} AND version = %s"
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
SELECT {", ".join(f"late.{name}" for name in CHANGES)}
FROM class JOIN {{s}}.entry late ON late.lateness = class.lateness
WHERE {AT_KEY} AND late.lateness <> 0
    AND late.occurred_at BETWEEN %s - (1::bigint << class.lateness) AND %s
    AND late.version > %s AND late.version <= %s
"""
