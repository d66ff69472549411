"""What verification finds: problems, in words a shop's developer can act on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import attrs

from truecount.ledger.scan import START, Progress
from truecount.model.instants import Instant, iso
from truecount.model.places import STATES
from truecount.model.stock import StockKey


#: What each invariant promises, as a problem quotes it.
MEANING: Final = {
    "I1": "what an entry changes is what the legs of its movement moved",
    "I2": "what is stored is the fold of the movements",
    "I3": "versions run without gap, each continues the one before, and digests fit",
    "I4": "no command leaves less than its floor, and promises are never negative",
    "I5": "a movement, once seen, never changes or vanishes",
    "I6": "an outcome is the answer to one request, and what it granted was written",
    "I9": "held, allocated and picked units are those of open reservations",
    "I15": "positions run without gap, in an order that keeps every key's versions",
}


@attrs.frozen(kw_only=True)
class Problem:
    """
    One place where the stored data contradicts itself.

    Attributes:
        invariant: Which promise is broken: a key of ``verify.MEANING``.
        where: The entry, stock row, line, document, movement or outcome, in words.
        expected: What it should be, from the movements.
        found: What is stored.
        movement_id: The movement it has to do with, where there is one.
    """

    invariant: str
    where: str
    expected: str
    found: str
    movement_id: str | None = None

    def __str__(self) -> str:
        by = f" (movement {self.movement_id!r})" if self.movement_id else ""
        return (
            f"{self.where}{by}: expected {self.expected}, found {self.found}; "
            f"{self.invariant}: {MEANING[self.invariant]}"
        )


@attrs.define
class Run:
    """The counts of one verification, what it was told to expect, and whom to tell."""

    progress: Progress | None
    total: int
    expected: tuple[int, str] | None
    digest: str = START
    position: int = 0
    movements: int = 0
    entries: int = 0
    keys: int = 0
    lines: int = 0
    records: int = 0
    outcomes: int = 0
    #: (key, version) pairs that readable, numbered movements name; and their entries found.
    named: int = 0
    matched: int = 0

    def step(self) -> None:
        """Tell how far it is."""
        if self.progress is not None:
            self.progress(self.movements + self.entries, self.total)


def place_of(key: StockKey, version: int | None = None) -> str:
    """Return a key's stock row, or one of its entries, in words."""
    lot = f" lot {key.lot!r}" if key.lot else ""
    which = "the stock row" if version is None else f"version {version}"
    return f"{key.sku!r} at {key.location!r}{lot}, {which}"


def figures_of(amounts: Iterable[int]) -> str:
    """Return figures in words, those that are not 0."""
    words = [f"{s.value} {n}" for s, n in zip(STATES, amounts, strict=True) if n]
    return ", ".join(words) or "nothing"


def time_of(instant: Instant) -> str:
    """Return an instant in words, whatever was stored."""
    try:
        return iso(instant)
    except (OverflowError, ValueError, TypeError):
        return repr(instant)


_SHOWN: Final[dict[str, Callable[[Any], str]]] = {
    "change": figures_of,
    "after": figures_of,
    "amounts": figures_of,
    "occurred_at": time_of,
    "recorded_at": time_of,
    "horizon": time_of,
    "opened_at": time_of,
}


def _shown(field: str, value: object) -> str:
    return f"{field} = {_SHOWN.get(field, repr)(value)}"


def difference(
    expected: Any, found: Any, fields: dict[str, str], where: str, movement_id: str | None = None
) -> Problem | None:
    """Return the first of *fields* (name: invariant) in which two rows differ."""
    for field, invariant in fields.items():
        wanted, seen = getattr(expected, field), getattr(found, field)
        if wanted != seen:
            return Problem(
                invariant=invariant,
                where=where,
                expected=_shown(field, wanted),
                found=_shown(field, seen),
                movement_id=movement_id,
            )
    return None
