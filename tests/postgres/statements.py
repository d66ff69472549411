"""The words of the PostgreSQL storage: column lists and the longer statements."""

from __future__ import annotations


ORDER = "order"

STOCK = "sku, location, lot, amounts, version, recorded_at, horizon, opened_at, lot_expires_at"
ENTRY = (
    "sku, location, lot, version, change, after, movement, occurred_at, recorded_at,"
    " horizon, lateness, floor"
)
LINE = (
    "reference, number, round, sku, location, lot, reserved, held, allocated, picked, shipped,"
    " released, expired, short, expires_at"
)
MOVEMENT = (
    "id, kind, occurred_at, recorded_at, ordinal, reference, reason, actor, origin, reverses,"
    " body, digest"
)
RECORD = "space, id, version, body"
OUTCOME = "key, fingerprint, decided_at, forget_at, body"
AT_KEY = "sku = %s AND location = %s AND lot = %s"
OPEN = "held + allocated + picked > 0"

#: Starts after the lock on the tenant's numbering, so it sees all that was numbered before.
NUMBER = """
WITH next AS (
  SELECT m.tenant, m.id, n.position + row_number() OVER (ORDER BY recorded_at, ordinal, id) AS place
  FROM {s}.movement m JOIN {s}.numbering n USING (tenant)
  WHERE m.tenant = %s AND m.position IS NULL
), numbered AS (
  UPDATE {s}.movement m SET position = next.place FROM next
  WHERE m.tenant = next.tenant AND m.id = next.id RETURNING m.position
)
UPDATE {s}.numbering SET position = (SELECT max(position) FROM numbered)
WHERE tenant = %s AND EXISTS (SELECT FROM numbered)
"""

LOCK_STOCK = """
WITH w AS (
  SELECT a COLLATE "C" AS a, b COLLATE "C" AS b, c COLLATE "C" AS c
  FROM unnest(%s::text[], %s::text[], %s::text[]) AS w(a, b, c)
  UNION SELECT s.sku, s.location, s.lot FROM unnest(%s::text[], %s::text[]) AS p(sku, location)
    JOIN {s}.stock s ON s.tenant = %s AND s.sku = p.sku
    AND p.location IN ('', s.location) AND s.version > 0
  UNION SELECT sku, location, lot FROM {s}.line WHERE tenant = %s AND reference = ANY(%s)
)
SELECT s.sku, s.location, s.lot, amounts, version, recorded_at, horizon, opened_at, lot_expires_at
FROM w JOIN {s}.stock s ON s.tenant = %s AND s.sku = w.a AND s.location = w.b AND s.lot = w.c
ORDER BY s.sku, s.location, s.lot FOR NO KEY UPDATE OF s
"""

DUE = f"""
SELECT {LINE} FROM (
  SELECT n.*, enough, sum(held) OVER (
    PARTITION BY n.sku, n.location, n.lot ORDER BY expires_at, reference, number
  ) - held AS before
  FROM unnest(%s::text[], %s::text[], %s::text[], %s::bigint[]) AS w(sku, location, lot, enough)
  JOIN {{s}}.line n USING (sku, location, lot)
  WHERE n.tenant = %s AND held > 0 AND expires_at <= %s
) AS expired WHERE before < enough
ORDER BY sku, location, lot, expires_at, reference, number
"""

PUT_OUTCOMES = f"""
INSERT INTO {{s}}.outcome AS o (tenant, {OUTCOME})
SELECT %s, w.* FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::text[])
  AS w({OUTCOME}) ORDER BY w.key COLLATE "C"
ON CONFLICT (tenant, key) DO UPDATE SET fingerprint = excluded.fingerprint,
  decided_at = excluded.decided_at, forget_at = excluded.forget_at, body = excluded.body
WHERE o.forget_at <= excluded.decided_at
RETURNING o.key
"""

MAKE_RECORDS = f"""
INSERT INTO {{s}}.record AS r (tenant, {RECORD})
SELECT %s, w.* FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::text[])
  AS w({RECORD}) ORDER BY w.space COLLATE "C", w.id COLLATE "C"
ON CONFLICT (tenant, space, id) DO UPDATE SET version = 1, body = excluded.body
WHERE r.version = 0
RETURNING r.space, r.id
"""

REPLACE_RECORDS = f"""
UPDATE {{s}}.record r SET version = w.version, body = w.body
FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::text[]) AS w({RECORD})
WHERE r.tenant = %s AND r.space = w.space AND r.id = w.id AND r.version = w.version - 1
  AND r.version > 0
RETURNING r.space, r.id
"""
