"""
The tables of the PostgreSQL storage, and the steps that lead from one version to the next.

All of them are in one schema of their own; ``{s}`` stands for it, quoted. The tenant leads
every primary, unique and foreign key, so that a database can be split by tenant.

=============  ====================================================================
table          what is special about it
=============  ====================================================================
meta           one row: whose tables these are, and at which version
movement       insert-only; found by id, and under its reference in order of telling
entry          insert-only; (key, version) is its primary key, so two writers who read
               the same version cannot both write; names its movement. A figure of 0 is
               kept as nothing: most are, and sixteen would be half of the row
stock          the latch of everything on its key. Updated by every write, so half of
               each page is left free (``fillfactor``) and nothing but the primary key is
               indexed: a new version of the row stays on its page and costs no index
               an entry (a HOT update). Vacuumed early, because hot rows leave many dead
               versions behind
line           found by order; promises of a key by expiry (``line_open``), expired holds
               (``line_due``); both indexes hold open lines only and stay small
record         documents; version 0 is a name that was locked and not written. A tenth of
               each page is left free for the next version of what is on it
outcome        what was answered to each key
unnumbered     committed movements that have no position yet: a queue
numbering      insert-only; the position of each movement that has one
head           one row per tenant: the last position, and the lock of who numbers
=============  ====================================================================

Indexes end where what is left is few rows, which are sorted as they are read. Columns stand
in the order of their size, so that no room is lost between them.

Texts are compared by code point (``COLLATE "C"``), as Python compares them. Checks are the
second line of defence; the library decides before it writes.
"""

from __future__ import annotations

import re
from typing import Final

from truecount.errors import InvalidArgument
from truecount.model.places import STATES
from truecount.model.quantities import QUANTITY_MAX


APPLICATION: Final = "truecount"

#: Figures in stored order, as columns of the stock row and, prefixed, of the entry.
FIGURES: Final = tuple(state.value for state in STATES)
CHANGES: Final = tuple(f"change_{figure}" for figure in FIGURES)
AFTERS: Final = tuple(f"after_{figure}" for figure in FIGURES)
#: What became of a line's units that it no longer promises.
ENDED: Final = ("shipped", "released", "expired", "short")
COUNTERS: Final = ("held", "allocated", "picked", *ENDED)
#: Columns that keep nothing for 0: of sixteen figures most entries have three or four.
SPARSE: Final = frozenset((*CHANGES, *AFTERS, *ENDED))

_NAME: Final = 'text COLLATE "C" NOT NULL'


def _bigints(*names: str) -> str:
    return ", ".join(f"{name} bigint NOT NULL" for name in names)


def _sparse(*names: str) -> str:
    """Return columns in which nothing stands for 0 and takes no room."""
    return ", ".join(f"{name} bigint" for name in names)


_SUM: Final = " + ".join(["held + allocated + picked", *(f"coalesce({name}, 0)" for name in ENDED)])
# The server reads a check anew for each statement, so it is as short as can be.
_WITHIN: Final = f"least({', '.join(FIGURES)}) >= -{QUANTITY_MAX}"

_FIRST: Final = (
    f"""
CREATE TABLE {{s}}.movement (
    {_bigints("occurred_at", "recorded_at", "ordinal")},
    tenant {_NAME}, id {_NAME}, kind text NOT NULL,
    reference text COLLATE "C", reason text, actor text, origin text, reverses text,
    body text NOT NULL, digest text NOT NULL,
    PRIMARY KEY (tenant, id)
)""",
    """
CREATE INDEX movement_reference ON {s}.movement (tenant, reference, recorded_at)
    WHERE reference IS NOT NULL""",
    f"""
CREATE TABLE {{s}}.entry (
    version bigint NOT NULL CHECK (version > 0),
    {_bigints("occurred_at", "recorded_at", "horizon")}, floor bigint,
    {_sparse(*CHANGES, *AFTERS)},
    lateness integer NOT NULL,
    tenant {_NAME}, sku {_NAME}, location {_NAME}, lot {_NAME}, movement {_NAME},
    CONSTRAINT "sellable is at or above its floor" CHECK (coalesce(after_sellable, 0) >= floor),
    PRIMARY KEY (tenant, sku, location, lot, version),
    FOREIGN KEY (tenant, movement) REFERENCES {{s}}.movement (tenant, id)
)""",
    """
CREATE INDEX entry_late ON {s}.entry (tenant, sku, location, lot, lateness, occurred_at, version)
    WHERE lateness <> 0""",
    f"""
CREATE TABLE {{s}}.stock (
    version bigint NOT NULL DEFAULT 0, recorded_at bigint NOT NULL DEFAULT 0,
    horizon bigint NOT NULL DEFAULT 0, opened_at bigint NOT NULL DEFAULT 0,
    lot_expires_at bigint,
    {", ".join(f"{figure} bigint NOT NULL DEFAULT 0" for figure in FIGURES)},
    tenant {_NAME}, sku {_NAME}, location {_NAME}, lot {_NAME},
    CONSTRAINT "promises are never negative" CHECK (least(held, allocated, picked) >= 0),
    CONSTRAINT "figures are within bounds" CHECK ({_WITHIN}),
    PRIMARY KEY (tenant, sku, location, lot)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02)""",
    f"""
CREATE TABLE {{s}}.line (
    {_bigints("reserved", "held", "allocated", "picked", "expires_at")},
    {_sparse(*ENDED)},
    number integer NOT NULL, round integer NOT NULL,
    tenant {_NAME}, reference {_NAME}, sku {_NAME}, location {_NAME}, lot {_NAME},
    CONSTRAINT "counters are never negative" CHECK (least({", ".join(COUNTERS)}) >= 0),
    CONSTRAINT "counters add up to reserved" CHECK ({_SUM} = reserved),
    PRIMARY KEY (tenant, reference, number)
)""",
    """
CREATE INDEX line_open ON {s}.line (tenant, sku, location, lot, expires_at)
    WHERE held + allocated + picked > 0""",
    """
CREATE INDEX line_due ON {s}.line (tenant, expires_at) WHERE held > 0""",
    f"""
CREATE TABLE {{s}}.record (
    version bigint NOT NULL CONSTRAINT "a version follows the one before" CHECK (version >= 0),
    tenant {_NAME}, space {_NAME}, id {_NAME}, body text NOT NULL,
    PRIMARY KEY (tenant, space, id)
) WITH (fillfactor = 90)""",
    f"""
CREATE TABLE {{s}}.outcome (
    decided_at bigint NOT NULL, forget_at bigint,
    tenant {_NAME}, key {_NAME}, fingerprint text NOT NULL, body text NOT NULL,
    PRIMARY KEY (tenant, key)
)""",
    """
CREATE INDEX outcome_forget ON {s}.outcome (tenant, forget_at) WHERE forget_at IS NOT NULL""",
    f"""
CREATE TABLE {{s}}.unnumbered (
    {_bigints("recorded_at", "ordinal")}, tenant {_NAME}, movement {_NAME},
    PRIMARY KEY (tenant, movement)
) WITH (autovacuum_vacuum_scale_factor = 0.02)""",
    f"""
CREATE TABLE {{s}}.numbering (
    position bigint NOT NULL CHECK (position > 0), tenant {_NAME}, movement {_NAME},
    PRIMARY KEY (tenant, position), UNIQUE (tenant, movement),
    FOREIGN KEY (tenant, movement) REFERENCES {{s}}.movement (tenant, id)
)""",
    f"CREATE TABLE {{s}}.head (tenant {_NAME} PRIMARY KEY, position bigint NOT NULL)",
    """
CREATE FUNCTION {s}.insert_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is insert-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$""",
    *(
        f"CREATE TRIGGER insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {{s}}.{table}"
        " FOR EACH STATEMENT EXECUTE FUNCTION {s}.insert_only()"
        for table in ("movement", "entry", "numbering")
    ),
)

#: Each step leads from the version that is its place here to the next one. A step that has
#: been released is never edited: a change is a step of its own.
MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (_FIRST,)

#: The version this truecount reads and writes.
SCHEMA: Final = len(MIGRATIONS)

#: Made before anything else, whoever comes first.
PREPARE: Final = (
    "CREATE SCHEMA IF NOT EXISTS {s}",
    """
CREATE TABLE IF NOT EXISTS {s}.meta (
    application text PRIMARY KEY, schema_version bigint NOT NULL
)""",
    f"INSERT INTO {{s}}.meta VALUES ('{APPLICATION}', 0) ON CONFLICT DO NOTHING",
)
ADVANCE: Final = (
    f"UPDATE {{s}}.meta SET schema_version = {{version}} WHERE application = '{APPLICATION}'"
)

_PLAIN: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")


def quoted(schema: str) -> str:
    """
    Return the name of a schema as it stands in a statement.

    >>> quoted("shop_stock")
    '"shop_stock"'
    """
    if type(schema) is not str or not _PLAIN.fullmatch(schema):
        raise InvalidArgument("schema", repr(schema), "lower-case letters, digits and underscores")
    if schema in {"public", "information_schema"} or schema.startswith("pg_"):
        raise InvalidArgument(
            "schema", repr(schema), "a schema of its own, for example 'truecount'"
        )
    return f'"{schema}"'


def schema_sql(schema: str = "truecount", *, since: int = 0) -> str:
    """
    Return the tables as plain SQL, for those who migrate with a tool of their own.

    Put it into a migration of Alembic or Django and run it in one transaction; afterwards
    ``migrate`` finds nothing left to do. *since* is the version that is there already.

    >>> print(schema_sql()[:39])
    CREATE SCHEMA IF NOT EXISTS "truecount"
    >>> schema_sql(since=1)
    ''

    Raises:
        InvalidArgument: *schema* is no plain name, or there is no version *since*.
    """
    if type(since) is not int or not 0 <= since <= SCHEMA:
        raise InvalidArgument("since", repr(since), f"a version from 0 to {SCHEMA}")
    statements = [] if since else list(PREPARE)
    for step in MIGRATIONS[since:]:
        statements += step
    if since < SCHEMA:
        statements.append(ADVANCE.replace("{version}", str(SCHEMA)))
    name = quoted(schema)
    return "".join(f"{each.strip().replace('{s}', name)};\n" for each in statements)
