"""
The statement of a write within a host's transaction: all of it, or nothing where a key is taken.

It is read as those of ``statements``, and as in ``proving`` writes hide within a query. A taken
key must not fail here, for that would be the end of the host's work: so the rest waits for the
outcomes, and where one of them was not put there is no row ``free`` to go with theirs. Values are
read before keys are looked at, so one that cannot be stored fails whatever is taken.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from truecount.storage.postgres.statements import (
    ENTRY,
    LINE,
    MOVEMENT,
    PUT_UNLESS_TAKEN,
    STOCK,
    insert,
    put_record,
    put_within,
    replaced,
)


_FREE: Final = ", free"
#: The rows of a write besides its outcomes.
PUT_IF_FREE: Final = {
    "movement": insert("movement", MOVEMENT, also=_FREE),
    "entry": insert("entry", ENTRY, also=_FREE),
    "stock": insert("stock", STOCK, replaced(STOCK, "sku, location, lot"), _FREE),
    "line": insert("line", LINE, replaced(LINE, "reference, number"), _FREE),
    "record": put_record(_FREE),
}


@cache
def if_all_free(tables: tuple[str, ...]) -> str:
    """
    Return the statement that puts outcomes and, if all of them were put, rows into *tables*.

    It returns the keys of those that were. Values: outcomes; how many they are; the rows of
    each table.
    """
    free = "SELECT WHERE cardinality(ARRAY(SELECT true FROM put_outcome)) = %s"
    return (
        f"WITH put_outcome AS ({PUT_UNLESS_TAKEN}), free AS MATERIALIZED ({free})"
        f"{put_within(PUT_IF_FREE, tables)} SELECT key FROM put_outcome"
    )
