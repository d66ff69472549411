"""
A world in which one thing goes wrong between the shelf and the book, and what is true is known.

What happened is a list of facts, the book is told the same list with one error in it. The
truth is added up from what happened, without asking the library.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Final, TypeAlias

import attrs
from hypothesis import strategies as st

from truecount.model.facts import Received, Returned, Sold
from truecount.model.places import State
from truecount.reconciliation.observations import Count
from truecount.testing.strategies.names import NAMES, Names, quantities, skus


#: A fact of a planted world.
Fact: TypeAlias = Received | Sold | Returned
#: Units on the shelf: by SKU and location.
Shelves: TypeAlias = Mapping[tuple[str, str], int]

#: So many units that no shelf of a planted world runs out.
_FULL: Final = 60


class PlantedError(StrEnum):
    """What went wrong on the way into the book."""

    NOTHING = "nothing"
    FORGOTTEN = "forgotten"
    DOUBLED = "doubled"
    MISTYPED = "mistyped"
    WRONG_SKU = "wrong_sku"
    WRONG_LOCATION = "wrong_location"


@attrs.frozen(kw_only=True)
class PlantedWorld:
    """
    What happened, and what the book was told of it.

    Attributes:
        error: What went wrong.
        happened: The facts as they were.
        booked: The facts as the book is told them, each under a key of its own.
        truth: What is on the shelves.
        wrong: What is there less what the book says, for the shelves where they differ.
    """

    error: PlantedError
    happened: tuple[Fact, ...]
    booked: tuple[Fact, ...]

    @property
    def truth(self) -> Shelves:
        """What is on the shelves."""
        return _added_up(self.happened)

    @property
    def wrong(self) -> Shelves:
        """What is there less what the book says, where that is not nothing."""
        truth, book = self.truth, _added_up(self.booked)
        keys = sorted({*truth, *book})
        found = {key: truth.get(key, 0) - book.get(key, 0) for key in keys}
        return {key: units for key, units in found.items() if units}

    def counts(self) -> list[Count]:
        """Return what somebody who counts every shelf once finds."""
        keys = {*self.truth, *_added_up(self.booked)}
        return [Count(sku, self.truth.get((sku, at), 0), at=at) for sku, at in sorted(keys)]


def _added_up(said: tuple[Fact, ...]) -> Shelves:
    found: Counter[tuple[str, str]] = Counter()
    for fact in said:
        found[fact.sku, fact.at] += -fact.quantity if isinstance(fact, Sold) else fact.quantity
    return dict(found)


# --- one function for each error ---------------------------------------------------------


def _other(draw: st.DrawFn, names: tuple[str, ...], but: str) -> str:
    return draw(st.sampled_from([name for name in names if name != but]))


def _mistyped(draw: st.DrawFn, fact: Fact, _names: Names) -> list[Fact]:
    units = draw(st.integers(1, 9).filter(lambda units: units != fact.quantity))
    return [attrs.evolve(fact, quantity=units)]


def _as_other_sku(draw: st.DrawFn, fact: Fact, names: Names) -> list[Fact]:
    return [attrs.evolve(fact, sku=_other(draw, names.skus, fact.sku))]


def _at_other_place(draw: st.DrawFn, fact: Fact, names: Names) -> list[Fact]:
    return [attrs.evolve(fact, at=_other(draw, names.locations, fact.at))]


_TOLD: Final[Mapping[PlantedError, Callable[[st.DrawFn, Fact, Names], list[Fact]]]] = {
    PlantedError.NOTHING: lambda _draw, fact, _names: [fact],
    PlantedError.FORGOTTEN: lambda _draw, _fact, _names: [],
    PlantedError.DOUBLED: lambda _draw, fact, _names: [fact, fact],
    PlantedError.MISTYPED: _mistyped,
    PlantedError.WRONG_SKU: _as_other_sku,
    PlantedError.WRONG_LOCATION: _at_other_place,
}


def _facts(names: Names) -> st.SearchStrategy[Fact]:
    """Return facts of the hours before the start, told late or not."""
    words = {
        "sku": skus(names),
        "quantity": quantities(),
        "at": st.sampled_from(names.locations),
        "occurred_at": st.integers(-48, 0).map(lambda h: names.start + timedelta(hours=h)),
    }
    sold = st.builds(Sold, **words)
    back = st.builds(Returned, into=st.just(State.SELLABLE), **words)
    return st.one_of(st.builds(Received, **words), sold, sold, back)


@st.composite
def planted_worlds(
    draw: st.DrawFn, names: Names = NAMES, *, errors: tuple[PlantedError, ...] = tuple(PlantedError)
) -> PlantedWorld:
    """Return worlds with one of *errors* planted; they need two SKUs and two locations."""
    opened = names.start - timedelta(days=3)
    stocked: list[Fact] = [
        Received(sku, _FULL, at=at, occurred_at=opened)
        for sku in names.skus
        for at in names.locations
    ]
    happened = draw(st.lists(_facts(names), min_size=1, max_size=12))
    struck = draw(st.integers(0, len(happened) - 1))
    error = draw(st.sampled_from(errors))
    told = [
        *happened[:struck],
        *_TOLD[error](draw, happened[struck], names),
        *happened[struck + 1 :],
    ]
    booked = [fact.with_key(f"told-{number}") for number, fact in enumerate([*stocked, *told])]
    return PlantedWorld(error=error, happened=(*stocked, *happened), booked=tuple(booked))
