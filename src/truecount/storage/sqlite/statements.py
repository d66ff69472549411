"""
Every statement of the SQLite storage, put together once from its table and column names.

Parameters come in the order of the columns, the tenant first. Where a list of keys is asked
for, the list comes first, as one JSON text, so that its length does not matter.
"""

from __future__ import annotations

from typing import Final

from truecount.storage.sqlite.schema import AFTERS, CHANGES, FIGURES


KEY: Final = "tenant = ? AND sku = ? AND location = ? AND lot = ?"
STOCK: Final = (
    f"sku, location, lot, {', '.join(FIGURES)}, version, recorded_at, horizon, opened_at, "
    "lot_expires_at"
)
LINE: Final = (
    "reference, number, round, sku, location, lot, reserved, held, allocated, picked, shipped, "
    "released, expired, short, expires_at"
)
MOVEMENT: Final = (
    "position, id, kind, occurred_at, recorded_at, ordinal, reference, reason, actor, origin, "
    "reverses, body, digest"
)
RECORD: Final = "space, id, version, body"
OUTCOME: Final = "key, fingerprint, decided_at, forget_at, body"
IS_OPEN: Final = "held + allocated + picked > 0"
BY_EXPIRY: Final = "ORDER BY expires_at, reference, number"


def _select(columns: str, table: str, where: str, order: str = "") -> str:
    return f"SELECT {columns} FROM truecount_{table} WHERE {where} {order}"


def _listed(columns: str, table: str, *names: str) -> str:
    """Return the statement that finds each of a JSON list of keys: texts, or lists of texts."""
    parts = [f"json_extract(wanted.value, '$[{number}]')" for number in range(len(names))]
    if len(names) == 1:
        parts = ["wanted.value"]
    match = "".join(f" AND found.{a} = {b}" for a, b in zip(names, parts, strict=True))
    named = ", ".join(f"found.{column}" for column in columns.split(", "))
    return (
        f"SELECT {named} FROM json_each(?) AS wanted CROSS JOIN truecount_{table} AS found "
        f"WHERE found.tenant = ?{match}"
    )


def _insert(table: str, columns: str, conflict: str = "") -> str:
    marks = ", ".join("?" * (columns.count(",") + 2))
    return f"INSERT INTO truecount_{table} (tenant, {columns}) VALUES ({marks}) {conflict}"


def _upsert(table: str, columns: str, key: str, where: str = "") -> str:
    known = key.split(", ")
    sets = ", ".join(f"{c} = excluded.{c}" for c in columns.split(", ") if c not in known)
    return _insert(table, columns, f"ON CONFLICT (tenant, {key}) DO UPDATE SET {sets} {where}")


STOCK_ALL: Final = _select(STOCK, "stock", "tenant = ?", "ORDER BY sku, location, lot")
STOCK_KEY: Final = _select(STOCK, "stock", KEY)
STOCK_SKU: Final = _select(STOCK, "stock", "tenant = ? AND sku = ?", "ORDER BY location, lot")
STOCK_PLACE: Final = _select(
    STOCK, "stock", "tenant = ? AND sku = ? AND location = ?", "ORDER BY lot"
)
STOCK_LOCATION: Final = _select(
    STOCK, "stock", "tenant = ? AND location = ?", "ORDER BY sku, location, lot"
)
STOCK_KEYS: Final = _listed(STOCK, "stock", "sku", "location", "lot")
STOCK_SKUS: Final = _listed(STOCK, "stock", "sku")
STOCK_PLACES: Final = _listed(STOCK, "stock", "sku", "location")

LINES: Final = _select(LINE, "line", "tenant = ? AND reference = ?", "ORDER BY number")
LINES_OF: Final = f"{_listed(LINE, 'line', 'reference')} ORDER BY found.reference, found.number"
OPEN_LINES: Final = _select(
    LINE, "line INDEXED BY truecount_line_open", f"{KEY} AND {IS_OPEN}", BY_EXPIRY
)
EXPIRED: Final = _select(
    LINE,
    "line INDEXED BY truecount_line_open",
    f"{KEY} AND {IS_OPEN} AND expires_at <= ? AND held > 0",
    BY_EXPIRY,
)
DUE_HOLDS: Final = _select(
    LINE,
    "line INDEXED BY truecount_line_due",
    "tenant = ? AND held > 0 AND expires_at <= ?",
    f"{BY_EXPIRY} LIMIT ?",
)

MOVEMENT_ID: Final = _select(MOVEMENT, "movement", "tenant = ? AND id = ?")
MOVEMENT_IDS: Final = _listed(MOVEMENT, "movement", "id")
MOVEMENTS_OF: Final = _select(
    MOVEMENT,
    "movement",
    "tenant = ? AND reference = ?",
    "ORDER BY recorded_at, ordinal, id",
)
FEED: Final = _select(
    MOVEMENT, "movement", "tenant = ? AND position > ?", "ORDER BY position LIMIT ?"
)
LAST_POSITION: Final = _select("max(position)", "movement", "tenant = ?")

RECORD_ONE: Final = _select(RECORD, "record", "tenant = ? AND space = ? AND id = ?")
RECORD_SOME: Final = _listed(RECORD, "record", "space", "id")
RECORDS: Final = _select(
    RECORD, "record", "tenant = ? AND space = ? AND id > ?", "ORDER BY id LIMIT ?"
)
#: Spaces are hopped through on the index, however many documents each has.
SPACES: Final = """
WITH RECURSIVE known (space) AS (
    SELECT min(space) FROM truecount_record WHERE tenant = ?
    UNION ALL
    SELECT (SELECT min(space) FROM truecount_record WHERE tenant = ? AND space > known.space)
    FROM known WHERE known.space IS NOT NULL
)
SELECT space FROM known WHERE space IS NOT NULL
"""
OUTCOME_ONE: Final = _select(OUTCOME, "outcome", "tenant = ? AND key = ?")
OUTCOME_SOME: Final = _listed(OUTCOME, "outcome", "key")
OUTCOMES: Final = _select(OUTCOME, "outcome", "tenant = ? AND key > ?", "ORDER BY key LIMIT ?")

ENTRIES: Final = f"""
SELECT e.version, {", ".join(f"e.{name}" for name in (*CHANGES, *AFTERS))}, m.id,
    e.occurred_at, e.recorded_at, e.horizon, e.lateness, e.floor
FROM truecount_entry AS e
CROSS JOIN truecount_movement AS m ON m.tenant = e.tenant AND m.position = e.position
WHERE e.tenant = ? AND e.sku = ? AND e.location = ? AND e.lot = ? AND e.version > ?
ORDER BY e.version
"""
VERSION: Final = f"SELECT max(version) FROM truecount_entry WHERE {KEY}"
AFTER: Final = f"SELECT {', '.join(AFTERS)} FROM truecount_entry WHERE {KEY} AND version = ?"
#: Horizons never fall from version to version, so the last one up to an instant is found
#: bit by bit: one probe for each bit of the number of versions.
LAST_VERSION_UNTIL: Final = f"""
WITH RECURSIVE search (version, step) AS (
    VALUES (0, ?)
    UNION ALL
    SELECT search.version + step * coalesce((
        SELECT horizon <= ? FROM truecount_entry
        WHERE {KEY} AND truecount_entry.version = search.version + step
    ), 0), step / 2
    FROM search WHERE step > 0
)
SELECT version FROM search WHERE step = 0
"""
#: The lateness classes a key has are hopped through on the index; each is one short range.
#: (The index is for "<> 0": of "> 0" the planner would make a range, and read all classes.)
LATE: Final = f"""
WITH RECURSIVE class (lateness) AS (
    SELECT min(lateness) FROM truecount_entry INDEXED BY truecount_entry_late
    WHERE {KEY} AND lateness <> 0
    UNION ALL
    SELECT (
        SELECT min(lateness) FROM truecount_entry INDEXED BY truecount_entry_late
        WHERE {KEY} AND lateness <> 0 AND lateness > class.lateness
    )
    FROM class WHERE class.lateness IS NOT NULL
)
SELECT {", ".join(CHANGES)}
FROM class CROSS JOIN truecount_entry AS late INDEXED BY truecount_entry_late
WHERE {KEY} AND late.lateness <> 0 AND late.lateness = class.lateness
    AND occurred_at BETWEEN ? - (1 << class.lateness) AND ?
    AND version > ? AND version <= ?
"""

PUT_STOCK: Final = _upsert("stock", STOCK, "sku, location, lot")
PUT_LINE: Final = _upsert("line", LINE, "reference, number")
PUT_OUTCOME: Final = _upsert("outcome", OUTCOME, "key", "WHERE forget_at <= excluded.decided_at")
ADD_MOVEMENT: Final = _insert("movement", MOVEMENT)
ADD_ENTRY: Final = _insert(
    "entry",
    f"sku, location, lot, version, {', '.join((*CHANGES, *AFTERS))}, position, occurred_at, "
    "recorded_at, horizon, lateness, floor",
)
ADD_RECORD: Final = _insert("record", RECORD)
NEXT_RECORD: Final = (
    "UPDATE truecount_record SET version = ?, body = ? "
    "WHERE tenant = ? AND space = ? AND id = ? AND version = ?"
)
FORGET: Final = "DELETE FROM truecount_outcome WHERE tenant = ? AND forget_at <= ?"
META: Final = "SELECT application, schema_version FROM truecount_meta"
#: Changes nothing, but takes the write lock of a host's transaction, waiting if need be.
TAKE_LOCK: Final = "UPDATE truecount_meta SET schema_version = schema_version WHERE 0"
