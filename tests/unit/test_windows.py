"""What may have been seen: corrections, counts and refolds around the moment of an observation."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.shops import MINUTE, START, Shop
from truecount import Count, Level, Reconciliation, Sold, Source


SECOND = timedelta(seconds=1)
HALF_PAST = START + timedelta(minutes=30)
#: Etsy's clock may be four seconds off, its reports three hours late.
ETSY = Source("etsy", skew=4 * SECOND, late=timedelta(hours=3))


@pytest.fixture
def shop() -> Shop:
    """Return a shop with five mugs and five teas since nine; it is ten."""
    shop = Shop({"berlin": {"MUG": 5, "TEA": 5}})
    shop.clock.tick(timedelta(hours=1))
    return shop


def sold(shop: Shop, sku: str, quantity: int, when: datetime) -> str:
    """Record a sale of Etsy, stamped *when*; return its movement."""
    sale = Sold(sku, quantity, at="berlin", origin="etsy", occurred_at=when, key=f"{sku}/{when}")
    return shop.inventory.record([sale])[0].movement_id


def counted(shop: Shop, sku: str, quantity: int, since: datetime, until: datetime) -> str:
    """Return the verdict of the evening on a count."""
    shop.clock.tick(START + timedelta(hours=12) - shop.clock.now)
    seen = Count(sku, quantity, at="berlin", counted_at=since, counted_until=until)
    return verdict(shop.inventory.reconcile([seen], sources=[ETSY]))


def verdict(report: Reconciliation) -> str:
    """Return what became of the only observation."""
    return "mismatch" if report.found else "undecided" if report.undecided else "match"


class TestCounts:
    @pytest.mark.parametrize("seconds", [-30, -5, -3, -1, 0, 1, 3, 30])
    def test_what_is_refolded_at_a_count_is_seen_with_it(self, shop: Shop, seconds: int) -> None:
        """The late fact's clock moves the fact, never the refold away from its count."""
        shop.inventory.count("MUG", 3, at="berlin", counted_at=HALF_PAST)
        shop.clock.tick(timedelta(hours=1))
        sold(shop, "MUG", 2, HALF_PAST - 60 * SECOND)
        moment = HALF_PAST + seconds * SECOND
        assert counted(shop, "MUG", 3, moment, moment) == "match"
        assert counted(shop, "MUG", 5, moment, moment) == "mismatch"

    @pytest.mark.parametrize(("quantity", "expected"), [(5, "match"), (3, "mismatch")])
    def test_count_that_was_taken_back_leaves_nothing_in_doubt(
        self, shop: Shop, quantity: int, expected: str
    ) -> None:
        """A count is no event, so its undoing is none either: inside the window both are out."""
        outcome = shop.inventory.count("MUG", 3, at="berlin", counted_at=HALF_PAST)
        shop.clock.tick(timedelta(hours=1))
        shop.inventory.undo(outcome.movement_id, reason="another shelf")
        around = (HALF_PAST - 2 * SECOND, HALF_PAST + 2 * SECOND)
        assert counted(shop, "MUG", quantity, *around) == expected


class TestCorrections:
    @pytest.mark.parametrize("seconds", [-3, -1, 0, 1, 3])
    @pytest.mark.parametrize("quantity", [3, 5])
    def test_correction_has_the_clock_of_what_it_corrects(
        self, shop: Shop, seconds: int, quantity: int
    ) -> None:
        """Staff say it was tea; when it was sold is still known by Etsy's clock alone."""
        sale = sold(shop, "MUG", 2, HALF_PAST)
        shop.inventory.correct(sale, sku="TEA", reason="wrong code")
        moment = HALF_PAST + seconds * SECOND
        assert counted(shop, "TEA", quantity, moment, moment) == "undecided"
        assert counted(shop, "MUG", 5, moment, moment) == "match"

    def test_number_that_was_mistyped_is_no_possible_value(self, shop: Shop) -> None:
        """Sold and corrected is one event: what the book said in between never was."""
        sale = sold(shop, "MUG", 4, HALF_PAST)
        shop.inventory.correct(sale, quantity=1, reason="typed 4")
        assert counted(shop, "MUG", 4, HALF_PAST, HALF_PAST) == "undecided"
        assert counted(shop, "MUG", 1, HALF_PAST, HALF_PAST) == "mismatch"

    def test_correction_that_is_undone_changes_nothing(self, shop: Shop) -> None:
        """Back to the first in two steps: sold four, and four it was."""
        sale = sold(shop, "MUG", 4, HALF_PAST)
        wrong = shop.inventory.correct(sale, quantity=1, reason="typed 4")
        shop.inventory.undo(wrong.movement_id, reason="it was 4")
        assert counted(shop, "MUG", 1, HALF_PAST, HALF_PAST) == "undecided"
        assert counted(shop, "MUG", 4, HALF_PAST, HALF_PAST) == "mismatch"

    def test_sale_that_was_taken_back_leaves_nothing_in_doubt(self, shop: Shop) -> None:
        """It never was, and five mugs were there all along."""
        sale = sold(shop, "MUG", 2, HALF_PAST)
        shop.inventory.undo(sale, reason="a test order")
        assert counted(shop, "MUG", 5, HALF_PAST, HALF_PAST) == "match"
        assert counted(shop, "MUG", 3, HALF_PAST, HALF_PAST) == "mismatch"


class TestSpan:
    @pytest.mark.parametrize(
        ("seconds", "possible"), [(-5, [5]), (-3, [3, 5]), (0, [3, 5]), (3, [3, 5]), (5, [3])]
    )
    def test_clock_of_who_looked_may_be_off_to_both_sides(
        self, shop: Shop, seconds: int, possible: list[int]
    ) -> None:
        """Etsy looked, by a clock four seconds off at most, around a sale of the till."""
        sale = Sold("MUG", 2, at="berlin", origin="till", occurred_at=HALF_PAST, key="till-1")
        shop.inventory.record([sale])
        shop.clock.tick(timedelta(hours=12))
        moment = HALF_PAST + seconds * SECOND
        levels = [Level("etsy", "MUG", shown, seen_at=moment) for shown in range(8)]
        reports = [shop.inventory.reconcile([level], sources=[ETSY]) for level in levels]
        assert [n for n, report in enumerate(reports) if not report.found] == possible


class TestOpening:
    @pytest.mark.parametrize(("seconds", "possible"), [(-1, [0]), (0, [0, 4]), (1, [4])])
    def test_before_the_first_movement_there_was_nothing(
        self, shop: Shop, seconds: int, possible: list[int]
    ) -> None:
        """A shelf that was filled later held no cups when it was looked at."""
        then = shop.clock()
        shop.inventory.receive("CUP", 4, at="berlin")
        moment = then + seconds * SECOND
        around = (moment - SECOND / 2, moment + SECOND / 2)
        assert [n for n in range(6) if counted(shop, "CUP", n, *around) != "mismatch"] == (possible)


class TestHolds:
    """What Etsy may have shown as available from a second before half past to one after it."""

    @pytest.fixture
    def shop(self) -> Shop:
        """Return a shop with ten mugs, three of them held for a cart for a minute at nine."""
        shop = Shop({"berlin": {"MUG": 10}})
        shop.inventory.reserve({"MUG": 3}, reference="cart", ttl=MINUTE)
        shop.clock.tick(HALF_PAST - shop.clock.now)
        return shop

    @staticmethod
    def possible(shop: Shop) -> list[int]:
        """Return the levels that are no mismatch once everything was reported."""
        shop.clock.tick(timedelta(hours=12))
        since, until = HALF_PAST - SECOND, HALF_PAST + SECOND
        levels = [Level("etsy", "MUG", n, seen_at=since, seen_until=until) for n in range(-3, 20)]
        reconcile = shop.inventory.reconcile
        return [level.quantity for level in levels if not reconcile([level]).found]

    def test_hold_that_had_run_out_counts_as_free(self, shop: Shop) -> None:
        """Nothing was written when its minute was over, and nothing need be."""
        assert self.possible(shop) == [10]

    def test_hold_that_is_reclaimed_was_free_before(self, shop: Shop) -> None:
        """The cart that takes all ten takes them from ten, not from seven."""
        shop.inventory.reserve({"MUG": 10}, reference="other")
        assert self.possible(shop) == [0, 10]

    def test_hold_that_is_swept_changes_nothing(self, shop: Shop) -> None:
        """It is written down that it had run out, long after it had."""
        shop.inventory.sweep()
        assert self.possible(shop) == [10]

    def test_hold_confirmed_after_it_ran_out_was_free_before(self, shop: Shop) -> None:
        """Its line has forgotten when it ran out; its opening has not."""
        shop.inventory.confirm("cart", on_expired="rehold")
        assert self.possible(shop) == [7, 10]

    def test_hold_released_after_it_ran_out_frees_nothing(self, shop: Shop) -> None:
        """The three were free already."""
        shop.inventory.release("cart")
        assert self.possible(shop) == [10]

    def test_hold_made_meanwhile_may_have_been_seen_or_not(self, shop: Shop) -> None:
        """And the one that had run out is free on both sides of it."""
        shop.inventory.reserve({"MUG": 2}, reference="other")
        assert self.possible(shop) == [8, 10]

    def test_hold_that_runs_out_meanwhile_may_have_been_seen_or_not(self, shop: Shop) -> None:
        """It is held before half past, and free after it."""
        shop.clock.tick(-2 * MINUTE)
        shop.inventory.reserve({"MUG": 4}, reference="other", ttl=2 * MINUTE)
        assert self.possible(shop) == [6, 10]

    def test_hold_that_runs_out_later_is_held(self, shop: Shop) -> None:
        """Whoever looked at half past could not have it."""
        shop.clock.tick(-2 * MINUTE)
        shop.inventory.reserve({"MUG": 4}, reference="other", ttl=4 * MINUTE)
        assert self.possible(shop) == [6]

    def test_what_moved_elsewhere_moved_there_alone(self, shop: Shop) -> None:
        """Four received in Hamburg are four more, however many locations are shown together."""
        shop.inventory.locations.add("hamburg")
        shop.inventory.receive("MUG", 4, at="hamburg")
        assert self.possible(shop) == [10, 14]
