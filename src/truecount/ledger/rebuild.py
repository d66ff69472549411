"""
Rebuilding: movements decided elsewhere, folded over what is stored, as they were at first.

Nothing is decided here and no rule is asked: a movement says which versions it writes, which
floors it was held to and which lines it opened.
"""

from __future__ import annotations

from truecount.errors import InternalError
from truecount.ledger.scan import Reading
from truecount.model.kinds import Kind
from truecount.model.lines import LineRow, follow
from truecount.model.movements import MovementRow
from truecount.model.stock import EMPTY_ROW, EntryRow, StockKey, StockRow, extend, lot_expiry
from truecount.protocols.storage import Changes, Locked


class Rebuilt:
    """Entries, stock rows and lines folded anew, over what is stored already."""

    def __init__(self, locked: Locked) -> None:
        self._stored = locked.rows
        self._rows: dict[StockKey, StockRow] = {}
        self._lines: dict[str, dict[int, LineRow]] = {}
        self._touched: dict[tuple[str, int], LineRow] = {}
        self._movements: list[MovementRow] = []
        self._entries: list[EntryRow] = []
        self._ids = set(locked.movements)
        for line in locked.lines:
            self._lines.setdefault(line.reference, {})[line.number] = line

    def add(self, row: MovementRow, reading: Reading) -> None:
        """
        Fold one movement.

        Raises:
            InternalError: It does not continue what is there, or repeats an id.
            InvalidQuantity: A figure leaves int64.
        """
        if row.id in self._ids:
            raise InternalError("another movement has this id")
        self._ids.add(row.id)
        self._extend(row, reading)
        self._follow(row, reading)
        self._movements.append(row)

    def _extend(self, row: MovementRow, reading: Reading) -> None:
        for key, said in reading.said.items():
            before = self._rows.get(key) or self._stored.get(key, EMPTY_ROW)
            if said.version != before.version + 1 or row.recorded_at < before.recorded_at:
                raise InternalError(
                    f"it writes version {said.version} of {key}, the target has {before}"
                )
            after, entry = extend(
                before, key, said.change, row.id, row.occurred_at, row.recorded_at, said.floor
            )
            if min(after.promised) < 0 or (said.floor is not None and after.sellable < said.floor):
                raise InternalError(f"{key} would have {after}, its floor is {said.floor}")
            expires_at = lot_expiry(reading.body.expiries, key)
            if expires_at is not None:
                after = after._replace(lot_expires_at=expires_at)
            self._rows[key] = after
            self._entries.append(entry)

    def _follow(self, row: MovementRow, reading: Reading) -> None:
        numbers = {leg.line for leg in reading.body.legs if leg.line}
        if numbers:
            reference = row.reference or ""
            lines = self._lines.setdefault(reference, {})
            follow(lines, reference, Kind(row.kind), reading.body)
            self._touched.update({(reference, number): lines[number] for number in numbers})

    def changes(self) -> Changes:
        """Return what is to be written."""
        return Changes(
            [], self._movements, self._entries, self._rows, list(self._touched.values()), []
        )
