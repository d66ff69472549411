"""The tables of the throw-away PostgreSQL storage; ``{s}`` is the schema they are in."""

from __future__ import annotations


NAME = 'text COLLATE "C" NOT NULL'
COUNTERS = ("reserved", "held", "allocated", "picked", "shipped", "released", "expired", "short")

SCHEMA = (
    "CREATE SCHEMA IF NOT EXISTS {s}",
    f"""
    CREATE TABLE IF NOT EXISTS {{s}}.movement (
      tenant {NAME}, id {NAME}, kind text NOT NULL, occurred_at bigint NOT NULL,
      recorded_at bigint NOT NULL, ordinal bigint NOT NULL, reference text COLLATE "C",
      reason text, actor text, origin text, reverses text, body text NOT NULL,
      digest text NOT NULL, position bigint,
      PRIMARY KEY (tenant, id), UNIQUE (tenant, position))
    """,
    """
    CREATE INDEX IF NOT EXISTS by_reference ON {s}.movement
      (tenant, reference, recorded_at, ordinal, id) WHERE reference IS NOT NULL
    """,
    """
    CREATE INDEX IF NOT EXISTS unnumbered ON {s}.movement
      (tenant, recorded_at, ordinal, id) WHERE position IS NULL
    """,
    f"""
    CREATE TABLE IF NOT EXISTS {{s}}.numbering (
      tenant {NAME} PRIMARY KEY, position bigint NOT NULL)
    """,
    f"""
    CREATE TABLE IF NOT EXISTS {{s}}.entry (
      tenant {NAME}, sku {NAME}, location {NAME}, lot {NAME}, version bigint NOT NULL,
      change bigint[] NOT NULL, after bigint[] NOT NULL, movement {NAME},
      occurred_at bigint NOT NULL, recorded_at bigint NOT NULL, horizon bigint NOT NULL,
      lateness int NOT NULL, floor bigint, PRIMARY KEY (tenant, sku, location, lot, version),
      FOREIGN KEY (tenant, movement) REFERENCES {{s}}.movement, CHECK (after[1] >= floor))
    """,
    f"""
    CREATE TABLE IF NOT EXISTS {{s}}.stock (
      tenant {NAME}, sku {NAME}, location {NAME}, lot {NAME},
      amounts bigint[] NOT NULL DEFAULT '{{0,0,0,0,0,0,0,0}}', version bigint NOT NULL DEFAULT 0,
      recorded_at bigint NOT NULL DEFAULT 0, horizon bigint NOT NULL DEFAULT 0,
      opened_at bigint NOT NULL DEFAULT 0, lot_expires_at bigint,
      PRIMARY KEY (tenant, sku, location, lot),
      CHECK (least(amounts[2], amounts[3], amounts[4]) >= 0))
    """,
    f"""
    CREATE TABLE IF NOT EXISTS {{s}}.line (
      tenant {NAME}, reference {NAME}, number bigint NOT NULL, round bigint NOT NULL,
      sku {NAME}, location {NAME}, lot {NAME},
      {", ".join(f"{name} bigint NOT NULL CHECK ({name} >= 0)" for name in COUNTERS)},
      expires_at bigint NOT NULL, PRIMARY KEY (tenant, reference, number))
    """,
    """
    CREATE INDEX IF NOT EXISTS open_lines ON {s}.line
      (tenant, sku, location, lot, expires_at, reference, number)
      WHERE held + allocated + picked > 0
    """,
    "CREATE INDEX IF NOT EXISTS due ON {s}.line (tenant, expires_at, reference) WHERE held > 0",
    f"""
    CREATE TABLE IF NOT EXISTS {{s}}.record (
      tenant {NAME}, space {NAME}, id {NAME}, version bigint NOT NULL, body text NOT NULL,
      PRIMARY KEY (tenant, space, id))
    """,
    f"""
    CREATE TABLE IF NOT EXISTS {{s}}.outcome (
      tenant {NAME}, key {NAME}, fingerprint text NOT NULL, decided_at bigint NOT NULL,
      forget_at bigint, body text NOT NULL, PRIMARY KEY (tenant, key))
    """,
)
