"""Observations are checked at the door and survive the way to plain data and back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import attrs
import pytest

from truecount import Count, Formula, Level, Shown, Snapshot, Source, State
from truecount.errors import (
    InvalidArgument,
    InvalidData,
    InvalidQuantity,
    InvalidRequest,
    InvalidText,
    InvalidTime,
)
from truecount.reconciliation.observations import Observation, observation_from


NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@attrs.frozen
class Bad:
    """A call that must be refused, and how."""

    make: Callable[[], object]
    error: type[InvalidRequest]
    says: str
    id: str


BAD = [
    Bad(lambda: Count("MUG", 1.5, at="berlin"), InvalidQuantity, "quantity 1.5", "fraction"),  # type: ignore[arg-type]  # bad on purpose
    Bad(lambda: Count("MUG", -1, at="berlin"), InvalidQuantity, "from 0 to", "counted below zero"),
    Bad(lambda: Count("MUG ", 1, at="berlin"), InvalidText, "padded", "padded SKU"),
    Bad(lambda: Count("MUG", 1, at=""), InvalidText, "empty", "no location"),
    Bad(
        lambda: Count("MUG", 1, at="berlin", counted_at=datetime(2026, 3, 2)),  # noqa: DTZ001 -- bad on purpose
        InvalidTime,
        "no time zone",
        "naive",
    ),
    Bad(
        lambda: Count("MUG", 1, at="berlin", counted_at=NOON, counted_until=NOON - MINUTE),
        InvalidTime,
        "it lies before counted_at",
        "reversed count",
    ),
    Bad(
        lambda: Level("etsy", "MUG", 1, seen_at=NOON, seen_until=NOON - MINUTE),
        InvalidTime,
        "it lies before seen_at",
        "reversed level",
    ),
    Bad(
        lambda: Level("etsy", "MUG", 1, seen_until=NOON),
        InvalidTime,
        "it needs seen_at as well",
        "half an interval",
    ),
    Bad(lambda: Count("MUG", 1, at="berlin", covers=()), InvalidArgument, "SELLABLE", "no states"),
    Bad(lambda: Level("etsy", "MUG", 2**64), InvalidQuantity, "whole numbers", "too large"),
    Bad(lambda: Level("etsy", "MUG", True), InvalidQuantity, "True", "a truth value"),  # noqa: FBT003 -- the mistake itself
    Bad(lambda: Level("etsy", "MUG", 1, at=[]), InvalidArgument, "of nothing", "at nowhere"),
    Bad(lambda: Level("etsy", "MUG", 1, at=3), InvalidArgument, "a location", "at a number"),  # type: ignore[arg-type]  # bad on purpose
    Bad(lambda: Snapshot("etsy", [("MUG", 1)]), InvalidArgument, "Snapshot.of", "pairs"),  # type: ignore[list-item]  # bad on purpose
    Bad(
        lambda: Snapshot("etsy", [Level("ebay", "MUG", 1)]),
        InvalidArgument,
        "levels of 'etsy' only",
        "another's level",
    ),
    Bad(lambda: Snapshot("etsy", [], complete=1), InvalidArgument, "True or False", "complete 1"),  # type: ignore[arg-type]  # bad on purpose
    Bad(lambda: Source("etsy", skew=-MINUTE), InvalidTime, "from zero", "negative skew"),
    Bad(lambda: Source("etsy", late=5), InvalidTime, "as late", "lateness of 5"),  # type: ignore[arg-type]  # bad on purpose
    Bad(lambda: Formula(pack=0), InvalidQuantity, "pack 0", "packs of none"),
    Bad(lambda: Formula(cap=-1), InvalidQuantity, "cap -1", "cap below zero"),
]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.id)
def test_wrong_observation_is_refused_at_the_door(bad: Bad) -> None:
    """Nothing is guessed: what cannot have been seen so is a typed error that says why."""
    with pytest.raises(bad.error, match=bad.says):
        bad.make()


def test_only_what_is_always_said_is_said_by_place() -> None:
    """Whatever could be mixed up, or is mostly left out, has a name."""
    several = (Count, Level, Snapshot, Source, Formula)
    by_place = [[each.name for each in attrs.fields(kind) if not each.kw_only] for kind in several]
    assert by_place == [
        ["sku", "quantity"],
        ["source", "sku", "quantity"],
        ["source", "levels"],
        ["name"],
        ["shows"],
    ]


def test_what_is_not_said_is_the_least() -> None:
    """A list is not complete, a clock exact, and a level what may be promised, in units."""
    assert Snapshot("etsy", []) == Snapshot.of("etsy", {}, complete=False)
    assert Source("etsy") == Source("etsy", skew=0 * MINUTE, late=0 * MINUTE, formula=Formula())
    assert Formula() == Formula(
        Shown.AVAILABLE, safety=0, pack=1, cap=None, lowest=0, kits_apart=False
    )


SEEN: list[Observation] = [
    Count("MUG", 3, at="berlin"),
    Count(
        "TEA",
        0,
        at="berlin",
        lot="L1",
        covers={State.SELLABLE, State.HELD},
        counted_at=NOON,
        counted_until=NOON + MINUTE,
        counter="sam",
        source="scanner",
    ),
    Level("wms", "MUG", -2, at=["hamburg", "berlin"], seen_at=NOON),
    Snapshot.of("etsy", [("MUG", 3), ("MUG", 4)], complete=True, seen_at=NOON),
]


@pytest.mark.parametrize("seen", SEEN, ids=["count", "count with all", "level", "snapshot"])
def test_observation_survives_the_way_to_plain_data_and_back(seen: Observation) -> None:
    """What is written down is read as it was."""
    assert observation_from(seen.to_dict()) == seen


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"type": "Count", "schema": 2},
        {"type": "Guess", "schema": 1},
        {"type": "Count", "schema": 1, "sku": "MUG"},
        {"type": "Snapshot", "schema": 1, "source": "etsy"},
        Count("MUG", 3, at="berlin").to_dict() | {"counted_at": "yesterday"},
    ],
    ids=["empty", "schema", "type", "field missing", "levels missing", "time"],
)
def test_other_data_is_refused(data: dict[str, object]) -> None:
    """Data nobody wrote with to_dict is never half read."""
    with pytest.raises(InvalidData, match="an observation"):
        observation_from(data)


def test_formula_takes_its_steps_in_order() -> None:
    """Safety first, then packs, then the cap, then the floor; each can be left out."""
    assert Formula(Shown.ON_HAND, safety=3, pack=4, cap=2)(20) == 2
    assert Formula(pack=4)(7) == 1
    assert Formula(safety=5)(3) == 0
    assert Formula(safety=5, lowest=None)(3) == -2


def test_snapshot_gives_every_level_its_own_interval() -> None:
    """Pages are read one after another, so no single instant is assumed for a list."""
    pages = Snapshot(
        "etsy",
        [Level("etsy", "A", 1, seen_at=NOON), Level("etsy", "B", 1, seen_at=NOON + MINUTE)],
    )
    assert [level.interval[0] for level in pages.levels] == [NOON, NOON + MINUTE]
