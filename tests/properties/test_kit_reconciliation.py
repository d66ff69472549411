"""Laws of kits in a comparison: never wrongly blamed, always found, and alone to blame."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Final, TypeAlias

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bundle_histories import ACTS, SKUS, bundle_shop
from tests.properties.test_bundle_properties import NAMES, bills_of, catalogues, shelves
from tests.strategies import LOCATIONS, Shop, play
from truecount import (
    Arrived,
    Formula,
    Level,
    MismatchKind,
    Operation,
    Recipe,
    Reconciliation,
    Snapshot,
    Source,
    SQLiteStorage,
    TransferOut,
)
from truecount.bundles.netting import capacity
from truecount.protocols.storage import Storage
from truecount.reconciliation import reach


SECOND: Final = timedelta(seconds=1)
CHANNEL: Final = Source("shop", skew=2 * SECOND, formula=Formula(lowest=None))
EXACT: Final = attrs.evolve(CHANNEL, skew=timedelta(0))

#: When a channel was looked at, and what it showed.
Sight: TypeAlias = tuple[datetime, dict[str, int]]

_transfers: Final = st.builds(
    lambda route, lines, number: TransferOut(
        lines, source=route[0], target=route[1], reference=f"move-{number}"
    ),
    st.permutations(LOCATIONS),
    st.dictionaries(st.sampled_from(("MUG", "TEA")), st.integers(1, 3), min_size=1),
    st.integers(1, 9),
)
_arrivals: Final = st.builds(
    lambda lines, number: Arrived(lines, reference=f"move-{number}", key=f"came-{number}"),
    st.dictionaries(st.sampled_from(("MUG", "TEA")), st.integers(1, 3), min_size=1),
    st.integers(1, 9),
)
#: What a shop does at the time it says so: what is told late, a channel could not have known.
DEEDS: Final[st.SearchStrategy[list[Operation | int]]] = st.lists(
    st.one_of(
        ACTS.map(lambda act: attrs.evolve(act, occurred_at=None)),
        ACTS.map(lambda act: attrs.evolve(act, occurred_at=None)),
        _transfers,
        _arrivals,
        st.integers(30, 300),
    ),
    min_size=3,
    max_size=14,
)


def lived(deeds: list[Operation | int], storage: Storage | None = None) -> tuple[Shop, list[Sight]]:
    """Play *deeds*, or let seconds pass; a second after each the channel shows what it is told."""
    shop = bundle_shop(storage)
    sights = []
    for deed in deeds:
        shop.clock.tick(SECOND)
        if isinstance(deed, Operation):
            play(shop, [deed])
        else:
            shop.clock.tick(deed * SECOND)
        shop.clock.tick(SECOND)
        sights.append((shop.clock.now, now_shown(shop)))
    shop.clock.tick(60 * SECOND)
    return shop, sights


def now_shown(shop: Shop) -> dict[str, int]:
    """Return what a channel shows that follows at once: what may be sold of everything."""
    found = shop.inventory.availability(SKUS)
    return {sku: found[sku].available for sku in SKUS}


def vague(sight: Sight, before: int, after: int) -> Snapshot:
    """Return what was shown, read at some moment of a wider interval."""
    moment, levels = sight
    since, until = moment - before * SECOND, moment + after * SECOND
    return Snapshot.of("shop", levels, complete=True, seen_at=since, seen_until=until)


def told(report: Reconciliation) -> object:
    """Return a report without the ids of movements."""
    data = report.to_dict()
    for each in data["mismatches"]:
        del each["evidence"]
    return data


class TestSoundness:
    @given(DEEDS)
    @settings(max_examples=40)
    def test_what_could_be_sold_then_matches_whenever_it_is_compared(
        self, deeds: list[Operation | int]
    ) -> None:
        """I18, I19: recipes redefined, nested, netted and shared, with exact clocks all is a match."""
        shop, sights = lived(deeds)
        for sight in sights:
            report = shop.inventory.reconcile([vague(sight, 0, 0)], sources=[EXACT])
            assert report.ok, (sight, report)

    @given(DEEDS, st.integers(0, 40), st.integers(0, 40))
    @settings(max_examples=40)
    def test_what_could_be_sold_is_possible_when_the_moment_is_vague(
        self, deeds: list[Operation | int], before: int, after: int
    ) -> None:
        """I19: whatever moved or was defined anew meanwhile, what was shown is in the reach."""
        shop, sights = lived(deeds)
        shop.clock.tick(60 * SECOND)
        for sight in sights:
            report = shop.inventory.reconcile([vague(sight, before, after)], sources=[CHANNEL])
            assert not report.found, (sight, report)

    @given(deeds=DEEDS, before=st.integers(0, 9), off=st.integers(-2, 2))
    @settings(max_examples=15)
    def test_memory_and_sqlite_judge_alike(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        deeds: list[Operation | int],
        before: int,
        off: int,
    ) -> None:
        """I19, I20: the same is right, wrong and undecided on both storages."""
        shop, sights = lived(deeds)
        file = tmp_path_factory.mktemp("kits") / "shop.db"
        with closing(SQLiteStorage(Path(file), synchronous="OFF")) as storage:
            other, seen = lived(deeds, storage)
            assert seen == sights
            for moment, levels in sights:
                report = shop.inventory.reconcile([vague((moment, levels), 0, 0)], sources=[EXACT])
                assert report.ok
                wrong = {sku: level + off for sku, level in levels.items()}
                snapshot = vague((moment, wrong), before, before)
                reports = [
                    each.inventory.reconcile([snapshot], sources=[CHANNEL])
                    for each in (shop, other)
                ]
                assert told(reports[0]) == told(reports[1])


class TestCompleteness:
    @given(DEEDS, st.data(), st.integers(-3, 3).filter(bool))
    @settings(max_examples=40)
    def test_planted_kit_is_the_one_mismatch_and_a_bundle(
        self, deeds: list[Operation | int], data: st.DataObject, off: int
    ) -> None:
        """The kit alone is wrong, by exactly so many, and never one of its components."""
        shop, _ = lived(deeds)
        kits = list(shop.inventory.bundles)
        if not kits:
            return
        kit = data.draw(st.sampled_from(kits))
        levels = now_shown(shop)
        snapshot = Snapshot.of("shop", levels | {kit: levels[kit] + off}, complete=True)
        [found] = shop.inventory.reconcile([snapshot], sources=[EXACT]).mismatches
        assert (found.sku, found.delta) == (kit, (off, off))
        assert MismatchKind.BUNDLE in found.kinds
        first = (MismatchKind.OVERSOLD, MismatchKind.RESERVED_AS_AVAILABLE)
        assert found.kind is MismatchKind.BUNDLE or found.kind in first

    @given(DEEDS, st.sampled_from(SKUS))
    @settings(max_examples=40)
    def test_what_could_be_sold_and_is_not_listed_is_found(
        self, deeds: list[Operation | int], left_out: str
    ) -> None:
        """A complete list lacks exactly what it should have shown something of."""
        shop, _ = lived(deeds)
        levels = now_shown(shop)
        missing = levels.pop(left_out)
        snapshot = Snapshot.of("shop", levels, complete=True)
        report = shop.inventory.reconcile([snapshot], sources=[EXACT])
        assert [(each.sku, each.kind) for each in report.mismatches] == (
            [(left_out, MismatchKind.UNLISTED)] if missing else []
        )


class TestArithmetic:
    @given(catalogues(), shelves, st.dictionaries(st.sampled_from(NAMES), st.integers(0, 9)))
    def test_more_of_any_component_never_makes_fewer_kits(
        self, made: dict[str, Recipe], shelf: dict[str, int], more: dict[str, int]
    ) -> None:
        """Capacity is monotone in every figure: what bounds the reach of a kit by its ends."""
        fuller = {sku: shelf.get(sku, 0) + more.get(sku, 0) for sku in NAMES}
        for bill in bills_of(made).values():
            assert capacity(bill, shelf) <= capacity(bill, fuller)

    @given(st.lists(st.frozensets(st.integers(-4, 9), min_size=1, max_size=3), max_size=4))
    def test_figure_made_of_others_reaches_what_any_mixture_makes(
        self, parts: list[frozenset[int]]
    ) -> None:
        """Nothing possible is left out, and the hull is that of what is possible."""
        every = frozenset(sum(max(0, unit) for unit in units) for units in product(*parts))
        reaches = [reach.reach_of(part) for part in parts]
        found = reach.made_of(reaches, lambda units: sum(max(0, unit) for unit in units))
        assert found.values == every
        hulls = [each.hull() for each in reaches]
        bounded = reach.made_of(hulls, lambda units: sum(max(0, unit) for unit in units))
        assert (bounded.lowest, bounded.highest) == (min(every), max(every))


def test_level_of_a_kit_is_no_secret_of_the_channel() -> None:
    """What ``availability`` says is what a comparison expects, in so many words."""
    shop = bundle_shop()
    shop.clock.tick(SECOND)
    level = Level("shop", "BOX", now_shown(shop)["BOX"] + 1)
    [found] = shop.inventory.reconcile([level]).mismatches
    assert found.sentence == "BOX: shop shows 7, the book says 6: no more is known of it"
