"""
The tables of the SQLite storage: made once, recognised ever after.

All names begin with ``truecount_``, so that the tables can live in a host's own database.
The tenant leads every key. Small rows are kept in their key's order (``WITHOUT ROWID``);
rows with a document in them are not, because such rows would be cut at a quarter page.
Movements and entries are insert-only, which triggers hold against everybody.

``truecount_entry`` names its movement by position, a tenth of the bytes of an id.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from truecount.errors import ForeignDatabase
from truecount.model.places import STATES
from truecount.model.quantities import QUANTITY_MAX


APPLICATION: Final = "truecount"
SCHEMA: Final = 1

#: Runs one statement and returns its rows.
Rows: TypeAlias = Callable[[str], list[tuple[Any, ...]]]

#: Figures in stored order, as columns of the stock row and, prefixed, of the entry.
FIGURES: Final = tuple(state.value for state in STATES)
CHANGES: Final = tuple(f"change_{figure}" for figure in FIGURES)
AFTERS: Final = tuple(f"after_{figure}" for figure in FIGURES)


def _integers(*names: str) -> str:
    return "".join(f"    {name} INTEGER NOT NULL,\n" for name in names)


_WITHIN: Final = " AND ".join(f"{figure} >= -{QUANTITY_MAX}" for figure in FIGURES)

TABLES: Final[dict[str, str]] = {
    "truecount_meta": """
CREATE TABLE truecount_meta (
    application TEXT NOT NULL,
    schema_version INTEGER NOT NULL
) STRICT""",
    "truecount_movement": """
CREATE TABLE truecount_movement (
    tenant TEXT NOT NULL,
    position INTEGER NOT NULL CHECK (position > 0),
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    occurred_at INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    reference TEXT,
    reason TEXT,
    actor TEXT,
    origin TEXT,
    reverses TEXT,
    body TEXT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (tenant, position),
    UNIQUE (tenant, id)
) STRICT""",
    "truecount_entry": f"""
CREATE TABLE truecount_entry (
    tenant TEXT NOT NULL,
    sku TEXT NOT NULL,
    location TEXT NOT NULL,
    lot TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0),
{_integers(*CHANGES, *AFTERS, "position", "occurred_at", "recorded_at", "horizon", "lateness")}\
    floor INTEGER,
    CONSTRAINT "sellable is at or above its floor"
        CHECK (floor IS NULL OR after_sellable >= floor),
    PRIMARY KEY (tenant, sku, location, lot, version)
) STRICT, WITHOUT ROWID""",
    "truecount_stock": f"""
CREATE TABLE truecount_stock (
    tenant TEXT NOT NULL,
    sku TEXT NOT NULL,
    location TEXT NOT NULL,
    lot TEXT NOT NULL,
{_integers(*FIGURES, "version", "recorded_at", "horizon", "opened_at")}\
    lot_expires_at INTEGER,
    CONSTRAINT "promises are never negative" CHECK (held >= 0 AND allocated >= 0 AND picked >= 0),
    CONSTRAINT "figures are within bounds" CHECK ({_WITHIN}),
    PRIMARY KEY (tenant, sku, location, lot)
) STRICT, WITHOUT ROWID""",
    "truecount_line": f"""
CREATE TABLE truecount_line (
    tenant TEXT NOT NULL,
    reference TEXT NOT NULL,
    number INTEGER NOT NULL,
    round INTEGER NOT NULL,
    sku TEXT NOT NULL,
    location TEXT NOT NULL,
    lot TEXT NOT NULL,
{_integers("reserved", "held", "allocated", "picked", "shipped", "released", "expired", "short")}\
    expires_at INTEGER NOT NULL,
    CONSTRAINT "counters are never negative" CHECK (
        held >= 0 AND allocated >= 0 AND picked >= 0 AND shipped >= 0
        AND released >= 0 AND expired >= 0 AND short >= 0
    ),
    CONSTRAINT "counters add up to reserved" CHECK (
        held + allocated + picked + shipped + released + expired + short = reserved
    ),
    PRIMARY KEY (tenant, reference, number)
) STRICT, WITHOUT ROWID""",
    "truecount_record": """
CREATE TABLE truecount_record (
    tenant TEXT NOT NULL,
    space TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0),
    body TEXT NOT NULL,
    PRIMARY KEY (tenant, space, id)
) STRICT""",
    "truecount_outcome": """
CREATE TABLE truecount_outcome (
    tenant TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    decided_at INTEGER NOT NULL,
    forget_at INTEGER,
    body TEXT NOT NULL,
    PRIMARY KEY (tenant, key)
) STRICT""",
}

_INDEXES: Final = (
    """
CREATE INDEX truecount_movement_reference ON truecount_movement (tenant, reference)
    WHERE reference IS NOT NULL""",
    """
CREATE INDEX truecount_entry_late
    ON truecount_entry (tenant, sku, location, lot, lateness, occurred_at, version)
    WHERE lateness <> 0""",
    """
CREATE INDEX truecount_line_open
    ON truecount_line (tenant, sku, location, lot, expires_at, reference, number)
    WHERE held + allocated + picked > 0""",
    """
CREATE INDEX truecount_line_due ON truecount_line (tenant, expires_at, reference, number)
    WHERE held > 0""",
    """
CREATE INDEX truecount_outcome_forget ON truecount_outcome (tenant, forget_at)
    WHERE forget_at IS NOT NULL""",
)

_TRIGGERS: Final = tuple(
    f"""
CREATE TRIGGER truecount_{table}_no_{act.lower()} BEFORE {act} ON truecount_{table}
BEGIN
    SELECT RAISE(ABORT, 'truecount_{table} is insert-only');
END"""
    for table in ("movement", "entry")
    for act in ("UPDATE", "DELETE")
)


def recognise(rows: Rows, target: str, *, beside: bool) -> bool:
    """
    Return whether the database has our tables, False when they may be made in it.

    They may be made in an empty database, and *beside* another program's tables if that
    was asked for. Reads only.

    Raises:
        ForeignDatabase: It is another program's, or of another schema of ours.
    """
    names = {name for (name,) in rows("SELECT name FROM sqlite_master")}
    if "truecount_meta" not in names:
        if names and not beside:
            raise ForeignDatabase(
                target,
                f"a database with tables of another program ({', '.join(sorted(names)[:3])})",
                "an empty or a truecount database; to keep stock in it pass beside=True",
            )
        encoding = rows("PRAGMA encoding")[0][0]
        if encoding != "UTF-8":
            raise ForeignDatabase(target, f"encoded in {encoding}", "UTF-8, whose order is ours")
        return False
    columns = [row[1] for row in rows("PRAGMA table_info(truecount_meta)")]
    if columns != ["application", "schema_version"]:
        raise ForeignDatabase(target, "one with another program's truecount_meta", "our own")
    found = rows("SELECT application, schema_version FROM truecount_meta")
    if found != [(APPLICATION, SCHEMA)]:
        written = ", ".join(f"{application} with schema {schema}" for application, schema in found)
        raise ForeignDatabase(
            target,
            f"a database of {written or 'nobody'}",
            f"one of {APPLICATION} with schema {SCHEMA}; use the version of truecount that "
            "wrote it, or a newer one",
        )
    missing = sorted(TABLES.keys() - names)
    if missing:
        raise ForeignDatabase(target, f"a truecount database without {missing[0]}", "all tables")
    return True


def create(rows: Rows) -> None:
    """Make every table, index and trigger; the caller has a transaction open."""
    for statement in (*TABLES.values(), *_INDEXES, *_TRIGGERS):
        rows(statement)
    rows(f"INSERT INTO truecount_meta VALUES ('{APPLICATION}', {SCHEMA})")
