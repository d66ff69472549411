"""
Playing a history: steps are said to an inventory one after the other, its clock moved by hand.

Steps are plain values, so a failing history prints as what it is, and runs again as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import TypeAlias

import attrs

from truecount.errors import InvalidRequest
from truecount.inventory import Inventory
from truecount.model.commands import Correct, Undo
from truecount.model.operation import Operation
from truecount.model.outcomes import Outcome
from truecount.testing.fakes import ManualClock
from truecount.testing.invariants import all_movements


@attrs.frozen
class Tick:
    """Time passes; backwards if it is negative, as clocks are set back."""

    by: timedelta


@attrs.frozen
class Again:
    """A movement of the history, counted from the newest, is undone or corrected."""

    back: int
    #: What should have been said; nothing at all to undo it.
    quantity: int | None = None
    sku: str | None = None
    at: str | None = None
    lot: str | None = None


#: One transaction, or time passing.
Step: TypeAlias = Operation | tuple[Operation, ...] | Tick | Again


@attrs.frozen
class Shop:
    """An inventory with its clock, moved by hand."""

    inventory: Inventory
    clock: ManualClock


def play(shop: Shop, steps: Iterable[Step]) -> list[Outcome | InvalidRequest]:
    """
    Run a history; return what became of each operation, or why its call was wrong.

    >>> from truecount import Received, Sold
    >>> shop = Shop(Inventory(clock=(clock := ManualClock())), clock)
    >>> shop.inventory.locations.add("berlin")
    >>> steps = [Received("MUG", 2, at="berlin"), Tick(timedelta(hours=1)), Again(back=0)]
    >>> [outcome.granted for outcome in play(shop, steps)]
    [True, True]
    >>> shop.inventory.figures("MUG").on_hand
    0
    """
    answers: list[Outcome | InvalidRequest] = []
    for step in steps:
        if isinstance(step, Tick):
            shop.clock.tick(step.by)
            continue
        try:
            answers += shop.inventory.submit(spoken(shop.inventory, step))
        except InvalidRequest as error:
            answers.append(error)
    return answers


def spoken(
    inventory: Inventory, step: Operation | tuple[Operation, ...] | Again
) -> Sequence[Operation]:
    """Return the operations of a step, in the words of one inventory."""
    if isinstance(step, Operation):
        return (step,)
    if isinstance(step, tuple):
        return step
    movements = list(all_movements(inventory))
    if not movements:
        return ()
    id_ = movements[-1 - step.back % len(movements)].id
    said = attrs.asdict(
        step, filter=lambda field, value: field.name != "back" and value is not None
    )
    if not said:
        return (Undo(movement_id=id_, reason="a mistake"),)
    return (Correct(movement_id=id_, reason="a mistake", **said),)
