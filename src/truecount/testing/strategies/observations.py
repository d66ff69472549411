"""What others saw: counts and levels, each with the interval in which it was true."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from hypothesis import strategies as st

from truecount.model.places import ON_HAND, State
from truecount.reconciliation.observations import Count, Level
from truecount.testing.strategies.names import NAMES, Names


_COVERS: Final = (
    ON_HAND - {State.PICKED},
    ON_HAND,
    frozenset({State.SELLABLE, State.HELD}),
)


@st.composite
def counts(draw: st.DrawFn, names: Names = NAMES, *, most: int = 9) -> list[Count]:
    """Return counts of some shelves, each one to three times, by others and at other times."""
    found = []
    for sku in names.skus:
        for at in names.locations:
            lot = draw(st.sampled_from((None, "", names.lot)))
            hours = draw(st.lists(st.integers(-80, 200), max_size=3, unique=True))
            for number, each in enumerate(hours):
                began = names.start + timedelta(hours=each)
                found.append(
                    Count(
                        sku,
                        draw(st.integers(0, most)),
                        at=at,
                        lot=lot,
                        counted_at=began,
                        counted_until=began + draw(_spans),
                        covers=draw(st.sampled_from(_COVERS)),
                        counter=f"counter-{number}",
                    )
                )
    return found


@st.composite
def levels(
    draw: st.DrawFn, names: Names = NAMES, *, source: str = "site", most: int = 9
) -> list[Level]:
    """Return what a *source* shows of some SKUs, each seen once, within an interval."""
    found = []
    for sku in sorted(draw(st.sets(st.sampled_from(names.skus)))):
        seen = names.start + timedelta(hours=draw(st.integers(-80, 200)))
        shown = draw(st.integers(0, most))
        found.append(Level(source, sku, shown, seen_at=seen, seen_until=seen + draw(_spans)))
    return found


_spans: Final = st.sampled_from((timedelta(0), timedelta(minutes=5), timedelta(hours=3)))
