"""Kits in a comparison: by the recipes that were in force, nested, place by place, listed or not."""

from __future__ import annotations

from datetime import timedelta

import attrs
import pytest

from tests.shops import MINUTE, Shop
from truecount import (
    Count,
    Formula,
    Level,
    MismatchKind,
    Reconciliation,
    Shown,
    Snapshot,
    Sold,
    Source,
)
from truecount.reconciliation import comparing, reach
from truecount.reconciliation.observations import LEDGER


K = MismatchKind
SECOND = timedelta(seconds=1)


def stocked(berlin: dict[str, int], hamburg: dict[str, int] | None = None) -> Shop:
    """Return a shop whose GIFT takes two MUG and a TEA, with stock since a minute ago."""
    shop = Shop({"berlin": berlin, "hamburg": hamburg or {}})
    for sku in {"MUG", "TEA"} - berlin.keys():
        shop.inventory.open(sku, 1, at="hamburg")
        shop.inventory.adjust(sku, -1, at="hamburg", reason="never there")
    shop.inventory.bundles.define("GIFT", {"MUG": 2, "TEA": 1})
    shop.clock.tick(MINUTE)
    return shop


def shown(shop: Shop, *, complete: bool = False, **levels: int) -> Reconciliation:
    """Compare what Etsy shows now."""
    return shop.inventory.reconcile([Snapshot.of("etsy", levels, complete=complete)])


def kinds(report: Reconciliation) -> list[tuple[str, tuple[MismatchKind, ...]]]:
    """Return SKU and kinds of every mismatch, in order."""
    return [(each.sku, each.kinds) for each in report.mismatches]


class TestRecipes:
    def test_own_recipes_are_used_without_being_named(self) -> None:
        """What the shop defined is what a kit's level is made of."""
        shop = stocked({"MUG": 5, "TEA": 9})
        assert shown(shop, GIFT=2, MUG=5, TEA=9).ok
        [found] = shown(shop, GIFT=9, MUG=5, TEA=9).mismatches
        assert (found.kinds, found.expected, found.delta) == ((K.BUNDLE,), (2, 2), (7, 7))

    def test_given_recipes_stand_for_the_shops_own(self) -> None:
        """A channel whose kits differ has its own; one without any shows what is in stock."""
        shop = stocked({"MUG": 5, "TEA": 9, "GIFT": 1})
        levels = [Level("etsy", "GIFT", 5)]
        other = shop.inventory.reconcile(levels, recipes={"GIFT": {"MUG": 1, "TEA": 2}})
        assert other.ok, "four can be made and one is packed"
        assert shop.inventory.reconcile([Level("etsy", "GIFT", 1)], recipes={}).ok
        assert not shop.inventory.reconcile(levels, recipes={}).ok

    def test_kit_without_stock_is_known_even_where_it_is_no_kit(self) -> None:
        """The book has the bundle, so no SKU is mistyped."""
        shop = stocked({"MUG": 5, "TEA": 9})
        report = shop.inventory.reconcile([Level("etsy", "GIFT", 3)], recipes={})
        assert kinds(report) == [("GIFT", (K.OTHER,))]

    def test_given_recipes_may_be_nested(self) -> None:
        """A kit of kits is netted like the shop's own."""
        shop = stocked({"MUG": 6, "TEA": 9, "SET": 1})
        recipes = {"BOX": {"SET": 1, "MUG": 1}, "SET": {"MUG": 2}}
        for quantity, ok in ((2, True), (3, False)):
            report = shop.inventory.reconcile([Level("etsy", "BOX", quantity)], recipes=recipes)
            assert report.ok is ok, "one with the SET in stock and one mug, one of three mugs"

    def test_level_is_judged_by_the_recipe_of_its_time(self) -> None:
        """Who looked before a kit was defined anew is right to have seen what the old one gave."""
        shop = stocked({"MUG": 6, "TEA": 9})
        before = shop.clock.now
        shop.clock.tick(MINUTE)
        shop.inventory.bundles.define("GIFT", {"MUG": 1, "TEA": 4})
        shop.clock.tick(MINUTE)
        after = shop.clock.now
        for seen_at, quantity in ((before, 3), (after, 2)):
            levels = [Level("etsy", "GIFT", quantity, seen_at=seen_at)]
            assert shop.inventory.reconcile(levels).ok
            assert shop.inventory.reconcile([attrs.evolve(levels[0], quantity=7)]).found

    def test_either_recipe_may_have_been_seen_while_it_changed(self) -> None:
        """Three by the old one, two by the new one: nothing else, and neither for certain."""
        shop = stocked({"MUG": 6, "TEA": 9})
        level = Level("etsy", "GIFT", 3, seen_at=shop.clock.now - SECOND)
        shop.clock.tick(MINUTE)
        shop.inventory.bundles.define("GIFT", {"MUG": 1, "TEA": 4})
        until = shop.clock.tick(MINUTE)
        level = attrs.evolve(level, seen_until=until)
        for quantity in (3, 2):
            report = shop.inventory.reconcile([attrs.evolve(level, quantity=quantity)])
            assert [each.expected for each in report.undecided] == [(2, 3)]
        for quantity in (1, 4):
            report = shop.inventory.reconcile([attrs.evolve(level, quantity=quantity)])
            assert [each.expected for each in report.mismatches] == [(2, 3)]

    def test_recipe_defined_at_the_last_moment_may_have_been_seen(self) -> None:
        """As any event at an end of the interval: before it or after it."""
        shop = stocked({"MUG": 6, "TEA": 9})
        since = shop.clock.now
        until = shop.clock.tick(MINUTE)
        shop.inventory.bundles.define("GIFT", {"MUG": 1, "TEA": 4})
        shop.clock.tick(MINUTE)
        level = Level("etsy", "GIFT", 2, seen_at=since, seen_until=until)
        assert shop.inventory.reconcile([level]).undecided
        early = attrs.evolve(level, seen_until=until - SECOND)
        assert shop.inventory.reconcile([early]).mismatches

    def test_clock_that_stamps_recipes_may_be_off(self) -> None:
        """A second after it was defined anew, by a clock two off, both recipes are possible."""
        shop = stocked({"MUG": 6, "TEA": 9})
        shop.inventory.bundles.define("GIFT", {"MUG": 1, "TEA": 4})
        level = Level("etsy", "GIFT", 3, seen_at=shop.clock.tick(SECOND))
        shop.clock.tick(MINUTE)
        assert shop.inventory.reconcile([level]).mismatches
        source = Source(LEDGER, skew=2 * SECOND)
        assert shop.inventory.reconcile([level], sources=[source]).undecided

    def test_two_recipes_that_changed_in_turn_are_not_mixed(self) -> None:
        """A box was of old sets or of new ones; what both old halves give was never there."""
        shop = stocked({"MUG": 12, "TEA": 12})
        bundles = shop.inventory.bundles
        bundles.define("BOX", {"GIFT": 2})
        since = shop.clock.tick(MINUTE)
        shop.clock.tick(MINUTE)
        bundles.define("GIFT", {"MUG": 1, "TEA": 1})
        shop.clock.tick(MINUTE)
        bundles.define("BOX", {"GIFT": 6})
        until = shop.clock.tick(MINUTE)
        level = Level("etsy", "BOX", 0, seen_at=since, seen_until=until)
        possible = [
            quantity
            for quantity in range(8)
            if not shop.inventory.reconcile([attrs.evolve(level, quantity=quantity)]).mismatches
        ]
        assert possible == [2, 3, 6], "not 1, which six old sets in a box would give"

    def test_change_inside_what_was_not_yet_in_a_kit_is_none_of_it(self) -> None:
        """A set defined anew before the box had it: the box was the same all the time."""
        shop = stocked({"MUG": 6, "TEA": 9})
        bundles = shop.inventory.bundles
        bundles.define("BOX", {"TEA": 2})
        since = shop.clock.tick(MINUTE)
        shop.clock.tick(MINUTE)
        bundles.define("GIFT", {"MUG": 1})
        until = shop.clock.tick(MINUTE)
        shop.clock.tick(MINUTE)
        bundles.define("BOX", {"GIFT": 1})
        level = Level("etsy", "BOX", 4, seen_at=since, seen_until=until)
        assert shop.inventory.reconcile([level]).ok

    def test_kit_that_was_none_then_is_judged_as_what_it_was(self) -> None:
        """Before it was defined, and after it was taken out, only what is in stock counts."""
        shop = stocked({"MUG": 6, "TEA": 9, "SET": 1})
        before = shop.clock.tick(MINUTE)
        shop.clock.tick(MINUTE)
        shop.inventory.bundles.define("SET", {"MUG": 3})
        between = shop.clock.tick(MINUTE)
        shop.clock.tick(MINUTE)
        shop.inventory.bundles.remove("SET")
        after = shop.clock.tick(MINUTE)
        for seen_at, quantity in ((before, 1), (between, 3), (after, 1)):
            level = Level("etsy", "SET", quantity, seen_at=seen_at)
            assert shop.inventory.reconcile([level]).ok, quantity
            assert not shop.inventory.reconcile([attrs.evolve(level, quantity=2)]).ok

    def test_component_that_was_a_kit_then_was_made_of_its_parts(self) -> None:
        """A recipe that ended inside a kit counts for those who looked before."""
        shop = stocked({"MUG": 6, "TEA": 9})
        shop.inventory.bundles.define("BOX", {"GIFT": 1})
        then = shop.clock.tick(MINUTE)
        shop.clock.tick(MINUTE)
        shop.inventory.bundles.remove("GIFT")
        shop.clock.tick(MINUTE)
        assert shop.inventory.reconcile([Level("etsy", "BOX", 3, seen_at=then)]).ok
        assert shop.inventory.reconcile([Level("etsy", "BOX", 0)]).ok

    def test_recipes_that_met_only_by_a_clock_set_back_are_left_out(self) -> None:
        """Sorted by such stamps each would be in the other, and never was."""
        shop = stocked({"MUG": 6, "TEA": 9})
        bundles = shop.inventory.bundles
        bundles.define("BOX", {"GIFT": 1})
        shop.clock.tick(10 * MINUTE)
        bundles.define("BOX", {"MUG": 1})
        shop.clock.tick(-5 * MINUTE)
        bundles.define("GIFT", {"BOX": 1})
        seen_at = shop.clock.tick(MINUTE)
        shop.clock.tick(10 * MINUTE)
        report = shop.inventory.reconcile([Level("etsy", "BOX", 6, seen_at=seen_at)])
        assert report.ok


class TestFigures:
    def test_each_kit_is_whole_at_one_place(self) -> None:
        """Mugs here and tea there make no gift, unless a source puts them together."""
        shop = stocked({"MUG": 5, "TEA": 1}, {"TEA": 8, "MUG": 1})
        assert shop.inventory.availability(["GIFT"])["GIFT"].available == 1
        levels = [Level("etsy", "GIFT", 1), Level("apart", "GIFT", 3)]
        source = Source("apart", formula=Formula(kits_apart=True))
        assert shop.inventory.reconcile(levels, sources=[source]).ok

    def test_place_below_zero_takes_nothing_from_another(self) -> None:
        """Put together or not, what is short here does not lower what is there."""
        shop = stocked({"MUG": 4, "TEA": 2}, {"MUG": 1, "TEA": 1})
        shop.inventory.record([Sold("MUG", 3, at="hamburg", key="till-1")])
        shop.clock.tick(MINUTE)
        source = Source("apart", formula=Formula(kits_apart=True))
        levels = [Level("etsy", "GIFT", 2), Level("apart", "GIFT", 2)]
        assert shop.inventory.reconcile(levels, sources=[source]).ok

    def test_source_that_draws_on_one_place_shows_its_kits(self) -> None:
        """Components elsewhere are not for its customers."""
        shop = stocked({"MUG": 5, "TEA": 9}, {"MUG": 8, "TEA": 8})
        assert shop.inventory.reconcile([Level("till", "GIFT", 4, at="hamburg")]).ok
        assert shop.inventory.reconcile([Level("etsy", "GIFT", 6)]).ok

    def test_formula_of_the_source_is_over_kits(self) -> None:
        """What is kept back, packed and capped is kits, not components."""
        shop = stocked({"MUG": 40, "TEA": 40})
        for formula, quantity in (
            (Formula(safety=3), 17),
            (Formula(pack=6), 3),
            (Formula(cap=5), 5),
            (Formula(safety=50, lowest=None), -30),
        ):
            source = Source("etsy", formula=formula)
            report = shop.inventory.reconcile([Level("etsy", "GIFT", quantity)], sources=[source])
            assert report.ok, formula

    def test_sub_assemblies_in_stock_are_netted_not_taken_twice(self) -> None:
        """The golden case: three, although each component alone would give five."""
        shop = Shop({"berlin": {"S": 3, "X": 5}})
        shop.inventory.bundles.define("S", {"X": 2})
        shop.inventory.bundles.define("K", {"S": 1, "X": 1})
        shop.clock.tick(MINUTE)
        assert shown(shop, K=3).ok
        assert kinds(shown(shop, K=5)) == [("K", (K.OTHER,))]

    def test_more_than_one_moving_component_leaves_what_they_may_make(self) -> None:
        """Values no mixture of the figures makes were never there."""
        shop = stocked({"MUG": 4, "TEA": 9})
        since = shop.clock.now
        shop.clock.tick(SECOND)
        shop.inventory.receive("MUG", 10, at="berlin")
        shop.clock.tick(SECOND)
        shop.inventory.record([Sold("TEA", 8, at="berlin", key="till-1")])
        until = shop.clock.tick(SECOND)
        level = Level("etsy", "GIFT", 0, seen_at=since, seen_until=until)
        possible = [
            quantity
            for quantity in range(9)
            if not shop.inventory.reconcile([attrs.evolve(level, quantity=quantity)]).mismatches
        ]
        assert possible == [1, 2, 7]

    def test_too_many_combinations_become_an_interval(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Beyond a thousand the kits that the lowest and the highest figures make bound it."""
        monkeypatch.setattr(reach, "MADE_MAX", 3)
        shop = stocked({"MUG": 4, "TEA": 9})
        since = shop.clock.now
        shop.clock.tick(SECOND)
        shop.inventory.receive("MUG", 10, at="berlin")
        shop.inventory.record([Sold("TEA", 8, at="berlin", key="till-1")])
        until = shop.clock.tick(SECOND)
        level = Level("etsy", "GIFT", 4, seen_at=since, seen_until=until)
        [found] = shop.inventory.reconcile([level]).undecided
        assert found.expected == (1, 7)

    def test_kit_shown_over_what_is_on_hand_is_told(self) -> None:
        """Promised components are sold a second time, as kits."""
        shop = stocked({"MUG": 8, "TEA": 8})
        shop.inventory.reserve({"GIFT": 2}, reference="order-1")
        shop.inventory.confirm("order-1")
        shop.clock.tick(MINUTE)
        report = shown(shop, GIFT=4, MUG=4, TEA=6)
        assert kinds(report) == [("GIFT", (K.RESERVED_AS_AVAILABLE, K.BUNDLE))]

    def test_what_is_not_assembled_is_on_no_shelf(self) -> None:
        """A warehouse shows packed kits as it does mugs; with recipes it shows what they make."""
        shop = stocked({"MUG": 5, "TEA": 9, "GIFT": 1})
        source = Source("wms", formula=Formula(Shown.ON_HAND))
        reconcile = shop.inventory.reconcile
        packed = Snapshot.of("wms", {"GIFT": 1, "MUG": 5, "TEA": 9}, complete=True)
        assert reconcile([packed], sources=[source]).ok
        virtual = [Level("wms", "GIFT", 3)]
        recipes = {"GIFT": {"MUG": 2, "TEA": 1}}
        assert reconcile(virtual, sources=[source], recipes=recipes).ok

    def test_movements_of_components_are_the_evidence(self) -> None:
        """Behind a kit's figure is what its components did, at the places it is made at."""
        shop = stocked({"MUG": 5, "TEA": 9}, {"MUG": 3})
        [found] = shown(shop, GIFT=9).mismatches
        assert len(found.evidence) == 3
        [found] = shop.inventory.reconcile([Level("till", "GIFT", 9, at="berlin")]).mismatches
        assert len(found.evidence) == 2


class TestComponents:
    def test_only_components_the_source_showed_can_agree(self) -> None:
        """A kit whose components nobody saw is different, and no more is known."""
        shop = stocked({"MUG": 5, "TEA": 9})
        assert kinds(shown(shop, GIFT=9)) == [("GIFT", (K.OTHER,))]
        assert kinds(shown(shop, GIFT=9, MUG=5)) == [("GIFT", (K.OTHER,))]
        levels = [Level("etsy", "GIFT", 9), Level("shop", "MUG", 5), Level("shop", "TEA", 9)]
        assert kinds(shop.inventory.reconcile(levels)) == [("GIFT", (K.OTHER,))]

    def test_components_of_another_place_do_not_agree_for_it(self) -> None:
        """What is shown of Hamburg says nothing of a kit in Berlin."""
        shop = stocked({"MUG": 5, "TEA": 9}, {"MUG": 1, "TEA": 1})
        berlin = [Level("etsy", sku, n, at="berlin") for sku, n in (("MUG", 5), ("TEA", 9))]
        hamburg = [Level("etsy", sku, 1, at="hamburg") for sku in ("MUG", "TEA")]
        kit = Level("etsy", "GIFT", 9, at="berlin")
        reconcile = shop.inventory.reconcile
        assert kinds(reconcile([kit, *hamburg])) == [("GIFT", (K.OTHER,))]
        assert kinds(reconcile([kit, *hamburg, *berlin])) == [("GIFT", (K.BUNDLE,))]

    def test_kit_inside_counts_as_component_when_it_is_in_stock(self) -> None:
        """A stocked set must be shown and agree; one that is only made follows its parts."""
        shop = stocked({"MUG": 8, "TEA": 9})
        shop.inventory.bundles.define("BOX", {"GIFT": 1})
        shop.clock.tick(MINUTE)
        assert kinds(shown(shop, BOX=9, MUG=8, TEA=9)) == [("BOX", (K.BUNDLE,))]
        shop.inventory.assemble("GIFT", 1, at="berlin")
        shop.clock.tick(MINUTE)
        assert kinds(shown(shop, BOX=9, MUG=6, TEA=8)) == [("BOX", (K.OTHER,))]
        assert kinds(shown(shop, BOX=9, MUG=6, TEA=8, GIFT=4)) == [("BOX", (K.BUNDLE,))]
        wrong = shown(shop, BOX=9, MUG=6, TEA=8, GIFT=5)
        assert kinds(wrong) == [("GIFT", (K.BUNDLE,)), ("BOX", (K.OTHER,))]

    def test_kit_inside_that_was_in_stock_meanwhile_has_to_agree(self) -> None:
        """The last packed set left while it was read: nobody can tell what boxes there were."""
        shop = stocked({"MUG": 8, "TEA": 9, "GIFT": 1})
        shop.inventory.bundles.define("BOX", {"GIFT": 1})
        since = shop.clock.tick(MINUTE)
        shop.clock.tick(SECOND)
        shop.inventory.record([Sold("GIFT", 1, at="berlin", key="till-1")])
        until = shop.clock.tick(SECOND)
        levels = {"BOX": 9, "MUG": 8, "TEA": 9}
        snapshot = Snapshot.of("etsy", levels, seen_at=since, seen_until=until)
        assert kinds(shop.inventory.reconcile([snapshot])) == [("BOX", (K.OTHER,))]

    def test_component_whose_figure_moved_does_not_agree(self) -> None:
        """Undecided is not agreed: the kit may be right by what nobody can tell."""
        shop = stocked({"MUG": 8, "TEA": 9})
        since = shop.clock.now
        shop.clock.tick(SECOND)
        shop.inventory.record([Sold("TEA", 1, at="berlin", key="till-1")])
        until = shop.clock.tick(SECOND)
        levels = {"GIFT": 9, "MUG": 8, "TEA": 9}
        snapshot = Snapshot.of("etsy", levels, seen_at=since, seen_until=until)
        report = shop.inventory.reconcile([snapshot])
        assert kinds(report) == [("GIFT", (K.OTHER,))]


class TestLists:
    def test_kit_that_could_be_sold_is_missing_from_a_complete_list(self) -> None:
        """It needs no stock rows of its own; what could not be had is not missed."""
        shop = stocked({"MUG": 5, "TEA": 9})
        report = shown(shop, complete=True, MUG=5, TEA=9)
        [found] = report.mismatches
        assert (found.sku, found.kinds, found.observed) == ("GIFT", (K.UNLISTED,), None)
        assert (found.expected, found.delta, report.matches) == ((2, 2), (-2, -2), 2)
        assert shown(stocked({"MUG": 1, "TEA": 9}), complete=True, MUG=1, TEA=9).ok

    def test_kit_in_stock_only_is_missed_as_before(self) -> None:
        """Packed ones alone are enough to be listed."""
        shop = stocked({"TEA": 9, "GIFT": 1})
        assert [each.sku for each in shown(shop, complete=True, TEA=9).mismatches] == ["GIFT"]

    def test_list_of_one_place_is_held_to_the_kits_there(self) -> None:
        """What can be packed elsewhere is not missing."""
        shop = stocked({"MUG": 5, "TEA": 9}, {"MUG": 1, "TEA": 8})
        snapshot = Snapshot.of("till", {"MUG": 1, "TEA": 8}, complete=True, at="hamburg")
        assert shop.inventory.reconcile([snapshot]).ok

    def test_list_without_kits_is_told_so(self) -> None:
        """A channel that sells none is compared with none."""
        shop = stocked({"MUG": 5, "TEA": 9})
        snapshot = Snapshot.of("till", {"MUG": 5, "TEA": 9}, complete=True)
        assert shop.inventory.reconcile([snapshot], recipes={}).ok
        only = shop.inventory.reconcile([snapshot], only={"MUG"})
        assert (only.ok, only.matches) == (True, 1)

    def test_kit_that_came_or_went_while_it_was_read_is_not_missed(self) -> None:
        """It could be had at one end of the reading and not at the other."""
        shop = stocked({"MUG": 5, "TEA": 9})
        since = shop.clock.now
        shop.clock.tick(MINUTE)
        shop.inventory.bundles.define("NEW", {"TEA": 1})
        shop.inventory.bundles.remove("GIFT")
        until = shop.clock.tick(MINUTE)
        levels = {"MUG": 5, "TEA": 9}
        snapshot = Snapshot.of("etsy", levels, complete=True, seen_at=since, seen_until=until)
        report = shop.inventory.reconcile([snapshot])
        assert not report.mismatches
        assert [each.sku for each in report.undecided] == ["NEW"]

    def test_kit_listed_twice_is_a_duplicate(self) -> None:
        """Nobody knows which row is right."""
        shop = stocked({"MUG": 5, "TEA": 9})
        snapshot = Snapshot.of("etsy", [("GIFT", 2), ("GIFT", 3)])
        assert kinds(shop.inventory.reconcile([snapshot])) == [("GIFT", (K.DUPLICATE_SKU,))]

    def test_few_and_many_skus_are_judged_alike(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Looking SKUs up and reading everything once find the same kits, those removed too."""
        shop = stocked({"MUG": 6, "TEA": 9})
        shop.inventory.bundles.define("OLD", {"TEA": 3})
        then = shop.clock.tick(MINUTE)
        shop.clock.tick(MINUTE)
        shop.inventory.bundles.remove("OLD")
        shop.clock.tick(MINUTE)
        levels = [Level("etsy", sku, n, seen_at=then) for sku, n in (("OLD", 3), ("GIFT", 7))]
        few = shop.inventory.reconcile(levels)
        monkeypatch.setattr(comparing, "LOOKUPS_MAX", 0)
        assert shop.inventory.reconcile(levels) == few
        assert (few.matches, few.found) == (1, 1)


class TestCounts:
    def test_count_of_a_kit_is_of_what_is_assembled(self) -> None:
        """On the shelf lie packed gifts, whatever could still be made."""
        shop = stocked({"MUG": 5, "TEA": 9, "GIFT": 3})
        assert shop.inventory.reconcile([Count("GIFT", 3, at="berlin")]).ok
        [found] = shop.inventory.reconcile([Count("GIFT", 2, at="berlin")]).mismatches
        assert (found.kinds, found.expected) == ((K.PHANTOM,), (3, 3))

    def test_counted_kit_can_be_repaired(self) -> None:
        """Its units are the book's to put right; those of a level are its components'."""
        shop = stocked({"MUG": 5, "TEA": 9, "GIFT": 3})
        seen = [Count("GIFT", 2, at="berlin", counted_at=shop.clock.now)]
        plan = shop.inventory.reconcile(seen).plan()
        shop.inventory.repair(plan, approved_by="sam")
        assert shop.inventory.figures("GIFT", at="berlin").on_hand == 2
        assert shop.inventory.reconcile(seen).ok
        [level] = shop.inventory.reconcile([Level("till", "GIFT", 9, at="berlin")]).mismatches
        assert level.basis is None

    def test_kit_counted_where_none_was_assembled_is_unrecorded(self) -> None:
        """The book has the kit, so it is no unknown SKU."""
        shop = stocked({"MUG": 5, "TEA": 9})
        [found] = shop.inventory.reconcile([Count("GIFT", 2, at="berlin")]).mismatches
        assert found.kinds == (K.UNRECORDED,)


class TestMoved:
    def test_bundle_moves_with_anything_in_it(self) -> None:
        """What is compared next are the kits of what moved, too."""
        shop = stocked({"MUG": 5, "TEA": 9})
        shop.inventory.bundles.define("BOX", {"GIFT": 1})
        _, position = shop.inventory.moved_since(0)
        shop.inventory.record([Sold("MUG", 1, at="berlin", key="till-1")])
        shop.clock.tick(MINUTE)
        moved, newest = shop.inventory.moved_since(position)
        assert moved == {"MUG", "GIFT", "BOX"}
        assert shop.inventory.moved_since(newest)[0] == frozenset()
        report = shop.inventory.reconcile([Snapshot.of("etsy", {"GIFT": 3, "TEA": 1})], only=moved)
        assert [each.sku for each in report.mismatches] == ["GIFT"]
        shop.inventory.receive("GIFT", 1, at="berlin")
        assert shop.inventory.moved_since(newest)[0] == {"GIFT", "BOX"}
