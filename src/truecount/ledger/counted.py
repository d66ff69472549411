"""
Asking a count again: what it said then, and what late facts make of its variance now.

A function over a Reader. A count that was undone can still be asked: it is no longer in force,
and nothing is refolded at it.

Invariant: counted = expected_now + variance_now, whatever came late.
"""

from __future__ import annotations

import json
from datetime import datetime

import attrs

from truecount.errors import UnknownMovement, UnknownReference
from truecount.ledger.anchors import ANCHOR, anchor_id, anchor_of, moment_of
from truecount.model.instants import to_datetime
from truecount.model.kinds import Kind
from truecount.model.movements import decode
from truecount.model.places import State
from truecount.protocols.storage import Reader


@attrs.frozen(kw_only=True)
class CountResult:
    """
    A count, then and now. Quantities are whole base units.

    Attributes:
        movement_id: The movement that recorded it.
        counted_at: The moment it vouches for.
        counted_from: When counting began; the same moment when it took no time.
        covers: The states that were counted.
        counted: What was there.
        expected: What the book expected when the count was recorded.
        refolded: What late facts have added to the variance since.
        in_force: Whether it still stands against late facts: False once it was undone.
    """

    movement_id: str
    sku: str
    at: str
    lot: str
    counted_at: datetime
    counted_from: datetime
    covers: frozenset[State]
    counted: int
    expected: int
    refolded: int
    in_force: bool

    @property
    def variance(self) -> int:
        """Counted less expected, as it was recorded."""
        return self.counted - self.expected

    @property
    def variance_now(self) -> int:
        """Counted less what the book, late facts included, expects today."""
        return self.variance + self.refolded

    @property
    def expected_now(self) -> int:
        """What the book expects of that moment today."""
        return self.counted - self.variance_now


def count_of(reader: Reader, movement_id: str) -> CountResult:
    """
    Return a count as it stands now. Complexity: O(log n).

    Raises:
        UnknownMovement: No movement has this id.
        UnknownReference: It is no count, or none that can be asked.
    """
    found = [row for _, row in reader.movements([movement_id])]
    if not found:
        raise UnknownMovement(movement_id)
    [row] = found
    extends = decode(row.body).extends
    record = None
    if row.kind == Kind.COUNT:
        [(key, version)] = extends
        record = reader.record(ANCHOR, anchor_id(key, moment_of(row), version))
    if record is None:
        raise UnknownReference("count", movement_id)
    anchor = anchor_of(record.id, json.loads(record.body))
    body = anchor.body
    return CountResult(
        movement_id=row.id,
        sku=anchor.key.sku,
        at=anchor.key.location,
        lot=anchor.key.lot,
        counted_at=to_datetime(anchor.at),
        counted_from=to_datetime(anchor.since),
        covers=frozenset(map(State, body["covers"])),
        counted=body["counted"],
        expected=body["expected"],
        refolded=anchor.refolded,
        in_force=not body.get("freed", False),
    )
