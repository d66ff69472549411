"""
The raw limit of moving in: a year's lines copied into PostgreSQL by hand.

``copy_bare`` is what somebody does who has a history table and a stock column: COPY the lines,
then one UPDATE for each SKU. ``Copied`` does it for all the rows truecount keeps of them:
movement, entry, outcome and position, with their digests. Neither checks anything, neither can
be interrupted and run again, and both need the tables for themselves.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from itertools import islice
from typing import Any, Final

import psycopg

from tests.trade.online_retail import SHOP, Line
from truecount.storage.postgres.schema import AFTERS, CHANGES, FIGURES


#: When all of it is told: a second after the shop was opened.
TOLD_AT: Final = 1_325_376_001_000_000

#: Lines made into rows at a time.
CHUNK: Final = 10_000
NULL: Final = "\\N"
_ZEROS: Final = "\t0" * (len(FIGURES) - 1)
_COLUMNS: Final = {
    "movement": "tenant, id, kind, occurred_at, recorded_at, ordinal, reason, body, digest",
    "entry": (
        f"tenant, sku, location, lot, version, {', '.join((*CHANGES, *AFTERS))}, movement, "
        "occurred_at, recorded_at, horizon, lateness"
    ),
    "outcome": "tenant, key, fingerprint, decided_at, body",
    "numbering": "tenant, position, movement",
}
_SHELF: Final = f'"{SHOP}","sellable"'
_CUSTOMER: Final = '"","customer"'
_REASON: Final = "stock adjustment"
_ADJUSTED: Final = f'"","adjustment:{_REASON}"'
#: By kind of line and whether stock comes in: kind of movement, reason, from, to.
_WORDS: Final = {
    ("S", False): ("sold", "", _SHELF, _CUSTOMER),
    ("C", True): ("take_back", "", _CUSTOMER, _SHELF),
    ("J", False): ("adjust", _REASON, _SHELF, _ADJUSTED),
    ("J", True): ("adjust", _REASON, _ADJUSTED, _SHELF),
}


def copy_bare(connection: psycopg.Connection[Any], schema: str, lines: Iterable[Line]) -> None:
    """Copy the lines into one table, and add them up into one column."""
    with connection.transaction():
        connection.execute(
            f"CREATE TABLE {schema}.bare (id bigint PRIMARY KEY, sku text, change bigint,"
            " occurred_at timestamptz, invoice text)".encode()
        )
        changes: dict[str, int] = {}
        with connection.cursor().copy(f"COPY {schema}.bare FROM STDIN".encode()) as copy:
            for line in lines:
                copy.write(
                    f"{line.row}\t{line.code}\t{line.change}\t{line.occurred_at}\t{line.invoice}\n"
                )
                changes[line.code] = changes.get(line.code, 0) + line.change
        update = f"UPDATE {schema}.stock SET sellable = sellable + %s WHERE sku = %s"
        connection.cursor().executemany(
            update.encode(), [(change, sku) for sku, change in changes.items()]
        )


class Copied:
    """The rows that truecount keeps of each line, made and copied by hand."""

    def __init__(self, connection: psycopg.Connection[Any], schema: str) -> None:
        self._connection = connection
        self._schema = schema
        #: For each SKU: version, sellable, horizon.
        self._stock: dict[str, tuple[int, int, int]] = {
            sku: (version, sellable, horizon)
            for sku, version, sellable, horizon in connection.execute(
                f"SELECT sku, version, sellable, horizon FROM {schema}.stock".encode()
            )
        }
        head = connection.execute(f"SELECT position FROM {schema}.head".encode()).fetchone()
        self._position: int = head[0] if head else 0

    def copy(self, lines: Iterable[Line]) -> None:
        """Copy the rows of *lines*, then write one row of stock for each SKU."""
        rest = iter(lines)
        with self._connection.transaction():
            while chunk := list(islice(rest, CHUNK)):
                made = [self._made(line, ordinal) for ordinal, line in enumerate(chunk)]
                for (table, columns), rows in zip(
                    _COLUMNS.items(), zip(*made, strict=True), strict=True
                ):
                    statement = f"COPY {self._schema}.{table} ({columns}) FROM STDIN"
                    with self._connection.cursor().copy(statement.encode()) as copy:
                        copy.write("".join(rows))
            update = (
                f"UPDATE {self._schema}.stock SET version = %s, sellable = %s, horizon = %s,"
                " recorded_at = %s WHERE sku = %s"
            )
            self._connection.cursor().executemany(
                update.encode(), [(*row, TOLD_AT, sku) for sku, row in self._stock.items()]
            )
            head = f"UPDATE {self._schema}.head SET position = %s"
            self._connection.execute(head.encode(), (self._position,))

    def _made(self, line: Line, ordinal: int) -> tuple[str, str, str, str]:
        """Return a row of each table, as COPY reads them."""
        sku, change = line.code, line.change
        kind, reason, source, target = _WORDS[line.kind, change > 0]
        version, sellable, horizon = self._stock[sku]
        version, sellable = version + 1, sellable + change
        occurred_at = int(line.occurred_at.timestamp()) * 1_000_000
        horizon = max(horizon, occurred_at)
        self._stock[sku] = version, sellable, horizon
        self._position += 1
        id_ = f"{TOLD_AT:x}{self._position:015x}"
        body = (
            f'{{"legs":[["{sku}","",{abs(change)},{source},{target},0]],'
            f'"extends":[["{sku}","{SHOP}","",{version}]]}}'
        )
        digest = _hash(
            f"{id_}\x1f{kind}\x1f{occurred_at}\x1f{TOLD_AT}\x1f{ordinal}\x1f\x1f{reason}"
            f"\x1f\x1f\x1f\x1f{body}"
        )
        fingerprint = _hash(f'["{kind}",["{sku}",{change},"{SHOP}",{occurred_at}]]')
        movement = (
            f"main\t{id_}\t{kind}\t{occurred_at}\t{TOLD_AT}\t{ordinal}\t{reason or NULL}\t{body}"
            f"\t{digest}\n"
        )
        entry = (
            f"main\t{sku}\t{SHOP}\t\t{version}\t{change}{_ZEROS}\t{sellable}{_ZEROS}\t{id_}"
            f"\t{occurred_at}\t{TOLD_AT}\t{horizon}\t0\n"
        )
        outcome = f'main\t{line.row}\t{fingerprint}\t{TOLD_AT}\t{{"movements":["{id_}"]}}\n'
        return movement, entry, outcome, f"main\t{self._position}\t{id_}\n"


def _hash(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()
