"""
What must follow when something was said wrongly: as if the right thing had been said.

The movement is taken back as a whole, and what should have been said is expected of what is
there then. Of what nobody is known to have said there is no opinion.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs

from truecount.model.commands import Correct, Relocate, Undo
from truecount.model.facts import (
    Adjusted,
    Damaged,
    Expected,
    Inspected,
    Opened,
    Received,
    Returned,
    ReturnedToSupplier,
    Scrapped,
    Sold,
)
from truecount.model.operation import Operation
from truecount.testing.model.expected import Changes, Said
from truecount.testing.model.ledger import Shelf


if TYPE_CHECKING:
    from truecount.testing.model.inventory import NaiveInventory


_CORRECTABLE: Final = frozenset(
    {Opened, Expected, Received, Sold, Returned, Inspected, Damaged}
    | {Scrapped, ReturnedToSupplier, Relocate, Adjusted}
)


def _undone(operation: Undo, naive: NaiveInventory, _now: int) -> Said:
    """What it changed is as if it had never been."""
    was = naive.seen([naive.movements[operation.movement_id]])
    return [(shelf, -units) for shelf, units in was.items()]


def _corrected(operation: Correct, naive: NaiveInventory, now: int) -> Said:
    """What was said is as if it had never been, and what should have been is said then."""
    original: Any = naive.said.get(operation.movement_id)
    if type(original) not in _CORRECTABLE:
        return None
    was = naive.seen([naive.movements[operation.movement_id]])
    if original.sku not in {shelf[0] for shelf in was}:
        return None  # It was a bundle's, which the movement does not say.
    back: list[tuple[Shelf, int]] = [(shelf, -units) for shelf, units in was.items()]
    if operation.quantity == 0:
        return back
    right = _right(operation, original, naive)
    if isinstance(right, (Sold, Relocate)) and _is_number_alone(operation):
        back, right = _standing(operation, right, was, back)
    if right is None:
        return back
    after = naive.without(operation.movement_id, back)
    again = after.expected(right, now)
    return None if again is None else [*back, *again.items()]


def _is_number_alone(operation: Correct) -> bool:
    return (operation.sku, operation.at, operation.lot) == (None, None, None)


def _right(operation: Correct, original: Any, naive: NaiveInventory) -> Any:
    """Return what should have been said."""
    words = {
        name: getattr(operation, name)
        for name in ("sku", "at", "lot")
        if getattr(operation, name) is not None
    }
    if operation.quantity is not None and isinstance(original, Adjusted):
        words["change"] = operation.quantity * (1 if original.change > 0 else -1)
    elif operation.quantity is not None:
        words["quantity"] = operation.quantity
    if isinstance(original, (Sold, Relocate)):
        words.setdefault("lot", None)
    if isinstance(original, (Opened, Received)) and operation.lot == "":
        words["lot_expires_at"] = None
    if isinstance(original, Sold) or not naive.movements[operation.movement_id].tallies:
        words["reference"] = None  # It was no order's, so it stays nobody's.
    return attrs.evolve(original, **words)


def _standing(
    operation: Correct, right: Any, was: Changes, back: list[tuple[Shelf, int]]
) -> tuple[list[tuple[Shelf, int]], Any]:
    """Let the units that were right stand; return the rest of what is to be said."""
    left = operation.quantity or 0
    stand: list[tuple[Shelf, int]] = []
    for shelf, units in was.items():
        part = min(left, -units)
        if part > 0:
            left -= part
            stand.append((shelf, -part))
            if isinstance(right, Relocate):
                stand.append(((shelf[0], right.target, *shelf[2:]), part))
    return [*back, *stand], attrs.evolve(right, quantity=left) if left else None


MISTAKES: Final[Mapping[type[Operation], Callable[[Any, NaiveInventory, int], Said]]] = {
    Undo: _undone,
    Correct: _corrected,
}
