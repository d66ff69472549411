"""
The statements that prove what was remembered, put together from table and column names.

They are read as those of ``statements``. Here a write hides within a query, which is what makes
it one: the query locks and compares, and where anything is not as it was remembered a cast
cannot be made, so all of it fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final, NamedTuple

from truecount.storage.postgres.statements import (
    ENTRY,
    LINE,
    MOVEMENT,
    OUTCOME,
    RECORD,
    STOCK,
    insert,
    put_record,
    put_within,
    replaced,
)


#: Locks documents that nobody has stored, as they will be stored, or as none (version 0), in the
#: order of the list. One that is there breaks a constraint.
OPEN_RECORDS: Final = f"""
INSERT INTO {{s}}.record AS t (tenant, {RECORD}) SELECT $1, w.* FROM [[{RECORD}]]
ON CONFLICT (tenant, space, id) DO UPDATE SET body = excluded.body,
    version = CASE WHEN t.version = 0 THEN excluded.version ELSE -1 END
"""


def _same(names: str) -> str:
    """Return that each column is as it is told; one that may be nothing is an expiry."""
    return " AND ".join(
        f"s.{name} {'IS NOT DISTINCT FROM' if name == 'lot_expires_at' else '='} w.{name}"
        for name in names.split(", ")
    )


_PROVEN: Final = ", proven"
#: What was remembered of stock, in what a server says of a guess that was wrong.
STOCK_CHANGED: Final = "truecount remembered stock that has changed"


def _changed(what: str) -> str:
    """Return what a server says, and logs, of a guess that was wrong."""
    return f"'{what} since; it goes on to lock and read'"


_NOT_NEW: Final = _changed("truecount took for new what has come")
# What is there is compared outside of what locks, or a row would be left out before it is
# locked. No row is waited for: a guess has read the clock already. CASE looks at one after the
# other. Nothing is counted by an aggregate, which takes the server longest to set up.
_PROOF: Final = f"""
WHEN EXISTS (
    SELECT FROM [[{STOCK}]] LEFT JOIN LATERAL (
        SELECT {STOCK} FROM {{s}}.stock
        WHERE tenant = $1 AND sku = w.sku AND location = w.location AND lot = w.lot
        FOR NO KEY UPDATE NOWAIT
    ) AS s ON true WHERE ({_same(STOCK)}) IS NOT TRUE
) THEN {_changed(STOCK_CHANGED)} WHEN EXISTS (
    SELECT FROM [[sku, location, found]] WHERE found <> cardinality(ARRAY(
        SELECT true FROM {{s}}.stock
        WHERE tenant = $1 AND sku = w.sku AND w.location IN ('', location) AND version > 0
    ))
) THEN {_changed(STOCK_CHANGED)} WHEN EXISTS (
    SELECT FROM [[{RECORD}]] LEFT JOIN LATERAL (
        SELECT {RECORD} FROM {{s}}.record WHERE tenant = $1 AND space = w.space AND id = w.id
        FOR SHARE NOWAIT
    ) AS s ON true WHERE ({_same(RECORD)}) IS NOT TRUE
) THEN {_changed("truecount remembered rules that have changed")}
"""


def _has_come(table: str, name: str) -> str:
    """Return the case that a row of *table* is there under one of the names told."""
    return f"""
WHEN EXISTS (
    SELECT FROM [[{name}]] CROSS JOIN LATERAL (
        SELECT FROM {{s}}.{table} WHERE tenant = $1 AND {name} = w.{name} OFFSET 0
    ) AS t
) THEN {_NOT_NEW}
"""


# Orders are locked first. One that is there already has failed by then.
_ORDERS_CAME: Final = f"WHEN EXISTS (SELECT FROM opened WHERE NOT is_new) THEN {_NOT_NEW}"
_LINES_CAME: Final = _has_come("line", "reference")
_ANSWERS_CAME: Final = _has_come("outcome", "key")
#: Locks what was remembered, and fails unless all of it is there, each column as it was, no more
#: stock is in its scopes, orders have no lines and keys no answers. Values: stock rows; scopes
#: and how many of them each has; shared documents; references; keys.
LOCK_REMEMBERED: Final = f"SELECT (CASE {_PROOF} {_LINES_CAME} {_ANSWERS_CAME} ELSE '1' END)::int"
#: The rows of a write where what was remembered is proven: keys and lines are new. The proof is
#: looked at by what takes the place of a row, which it locks, and by outcomes, which come first;
#: what else is added fails with it.
PUT_PROVEN: Final = {
    "outcome": insert("outcome", OUTCOME, also=_PROVEN),
    "movement": insert("movement", MOVEMENT),
    "entry": insert("entry", ENTRY),
    "stock": insert("stock", STOCK, replaced(STOCK, "sku, location, lot"), _PROVEN),
    "line": insert("line", LINE),
    "record": put_record(_PROVEN),
}


class Asked(NamedTuple):
    """What must be new, where it has not to be put anyway."""

    orders: bool
    lines: bool
    answers: bool


@cache
def at_once(tables: Sequence[str], asked: Asked) -> str:
    """
    Return the statement that proves what was remembered and puts rows into *tables*, or fails.

    Where there are orders, the first values are the documents of ``OPEN_RECORDS``. Those of
    ``LOCK_REMEMBERED`` follow, references and keys only if asked for; then the rows of each
    table.
    """
    opened = f"opened AS ({OPEN_RECORDS} RETURNING true AS is_new), " if asked.orders else ""
    cases = [
        _ORDERS_CAME if asked.orders else "",
        _PROOF,
        _LINES_CAME if asked.lines else "",
        _ANSWERS_CAME if asked.answers else "",
    ]
    proven = f"proven AS MATERIALIZED (SELECT (CASE {' '.join(cases)} ELSE '1' END)::int)"
    puts = put_within(PUT_PROVEN, [table for table in tables if table != "outcome"])
    whole = PUT_PROVEN["outcome"] if "outcome" in tables else "SELECT FROM proven"
    return f"WITH {opened}{proven}{puts} {whole}"
