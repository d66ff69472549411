"""
What an import writes: the changes of one chunk of each section, over what is there already.

``importing`` reads the file, cuts it into chunks and says where they go.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from truecount.errors import InternalError, InvalidQuantity
from truecount.ledger.export_format import bad_line
from truecount.ledger.rebuild import Rebuilt
from truecount.ledger.scan import NOTHING_READ, Reading
from truecount.model.movements import encode
from truecount.model.outcomes import OutcomeRow
from truecount.model.settings import GENERATION, RULE_SPACES, generation_after
from truecount.protocols.storage import Changes, Record, Unit, Wants


class Line(NamedTuple):
    """A line of the file: its number, what it said, and for a movement what that means."""

    number: int
    row: Any
    reading: Reading = NOTHING_READ


def movement_changes(unit: Unit, lines: list[Line]) -> Changes:
    """Return the movements and all that they make."""
    wants = Wants()
    for _, row, reading in lines:
        wants.movements.add(row.id)
        wants.keys.update(reading.said)
        if row.reference is not None and any(leg.line for leg in reading.body.legs):
            wants.orders.add(row.reference)
    locked = unit.lock(wants)
    rebuilt = Rebuilt(locked)
    for number, row, reading in lines:
        if locked.movements.get(row.id) == row:
            continue  # Committed since it was looked for, by an attempt that had seemed lost.
        try:
            rebuilt.add(row, reading)
        except (InternalError, InvalidQuantity) as error:
            raise bad_line(number, f"movement {row.id!r}: {error}") from error
    return rebuilt.changes()


def record_changes(unit: Unit, lines: list[Line]) -> Changes:
    """Return the documents that are not there as they are here."""
    names = {(row.space, row.id) for _, row, _ in lines} | {GENERATION}
    known = unit.lock(Wants(records=names)).records
    changed: dict[tuple[str, str], Record] = {}
    for number, row, _ in lines:
        name = (row.space, row.id)
        if name in changed:
            raise bad_line(number, f"record {row.space} {row.id!r} came before")
        if name == GENERATION:
            continue  # Of files written before it was left out.
        if name not in known or known[name].body != row.body:
            changed[name] = row
    rules = [row for row in changed.values() if row.space in RULE_SPACES]
    if rules:
        before = known.get(GENERATION)
        made = generation_after(
            None if before is None else json.loads(before.body),
            [(row.space, row.id, json.loads(row.body)) for row in rules],
        )
        changed[GENERATION] = Record(*GENERATION, 1, encode(made))
    stepped = [
        record._replace(version=known[name].version + 1 if name in known else 1)
        for name, record in changed.items()
    ]
    return Changes([], [], [], {}, [], stepped)


def outcome_changes(unit: Unit, lines: list[Line]) -> Changes:
    """Return the outcomes that are not there yet."""
    known = unit.lock(Wants(keys_of_requests=[row.key for _, row, _ in lines])).outcomes
    new: dict[str, OutcomeRow] = {}
    for number, row, _ in lines:
        stored = known.get(row.key) or new.setdefault(row.key, row)
        if stored != row:
            raise bad_line(number, f"key {row.key!r} already names another request")
    return Changes(list(new.values()), [], [], {}, [], [])


WRITES: Final[dict[str, Callable[[Unit, list[Line]], Changes]]] = {
    "movement": movement_changes,
    "record": record_changes,
    "outcome": outcome_changes,
}
