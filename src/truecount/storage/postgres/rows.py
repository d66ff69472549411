"""
Rows of a write as the tables take them, and rows as they are read.
"""

from __future__ import annotations

from collections.abc import Sequence

from truecount.protocols.storage import Changes


def rows_of(changes: Changes) -> dict[str, list[Sequence[object]]]:
    """Return the rows to be put into each table, outcomes first."""
    return {
        "outcome": list(changes.outcomes),
        "movement": list(changes.movements),
        "unnumbered": [(m.recorded_at, m.ordinal, m.id) for m in changes.movements],
        "entry": [
            (*e.key, e.version, *_sparse(e.change), *_sparse(e.after), *e[4:])
            for e in changes.entries
        ],
        "stock": [(*k, *r.amounts, *r[1:]) for k, r in changes.rows.items()],
        "line": [(*n[:3], *n.key, *n[4:8], *_sparse(n[8:12]), n[12]) for n in changes.lines],
        "record": list(changes.records),
    }


def _sparse(figures: Sequence[int]) -> list[int | None]:
    """Return figures as they are kept: nothing for 0."""
    return [figure or None for figure in figures]
