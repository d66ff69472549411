"""What may have been seen: corrections, counts and refolds around the moment of an observation."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.shops import START, Shop
from truecount import Count, Reconciliation, Sold, Source


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
