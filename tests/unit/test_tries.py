"""Looking again at what moves: how often is told, and nothing is called a match for it."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tests.shops import MINUTE, Shop
from truecount import Count, Reconciliation, Sold, Source


def busy(units: int = 20) -> Shop:
    """Return a shop that opened a minute ago."""
    shop = Shop({"berlin": {"MUG": units}, "hamburg": {}})
    shop.clock.tick(MINUTE)
    return shop


def looked(
    shop: Shop,
    off: int,
    before: int,
    earlier: Reconciliation | None,
    sold: int = 1,
) -> Reconciliation:
    """Count mugs for a minute, in which some are sold: *off* from what was there *before*."""
    since = shop.clock.now
    until = shop.clock.tick(MINUTE)
    if sold:
        fact = Sold("MUG", sold, at="berlin", key=f"till-{until}", occurred_at=until - MINUTE / 2)
        shop.inventory.record([fact])
    seen = Count("MUG", before + off, at="berlin", counted_at=since, counted_until=until)
    return shop.inventory.reconcile([seen], earlier=earlier)


class TestTries:
    def test_third_try_is_provisional_and_stays_undecided(self) -> None:
        """It is told, counts as open, and has no line in a plan."""
        shop = busy()
        report = None
        for number in range(3):
            report = looked(shop, 0, 20 - number, report)
            assert [each.is_provisional for each in report.undecided] == [number == 2]
        assert report is not None
        [found] = report.undecided
        assert (found.tries, found.lasting, found.is_provisional) == (3, (0, 1), True)
        assert report.provisional == (found,)
        assert (report.ok, report.matches, report.plan().lines) == (False, 0, ())
        assert "each of 3 times" in report.plan().left[0].reason
        stored = json.loads(json.dumps(report.to_dict()))
        assert Reconciliation.from_dict(stored) == report
        [found] = looked(shop, 0, 17, report).undecided
        assert (found.tries, found.is_provisional) == (4, True)

    def test_difference_hides_in_a_sku_that_moves_by_more(self) -> None:
        """Why it is no match: one was missing all along, and no try could tell."""
        shop = busy()
        report = None
        for number in range(3):
            report = looked(shop, -1, 20 - number, report)
        assert report is not None
        assert report.provisional[0].lasting == (-1, 0)
        quiet = looked(shop, -1, 17, report, sold=0)
        assert [each.delta for each in quiet.mismatches] == [(-1, -1)]

    def test_what_all_tries_have_in_common_is_left(self) -> None:
        """Too few in one try, too many in another: no difference lasted through both."""
        shop = busy()
        report = looked(shop, -1, 20, None)
        report = looked(shop, 0, 19, report)
        assert report.undecided[0].lasting == (0, 0)

    def test_second_try_compared_again_stays_the_second(self) -> None:
        """How often it was left open before is known of the report it was first made for."""
        shop = busy()
        second = looked(shop, 0, 19, looked(shop, 0, 20, None))
        since, until = second.undecided[0].seen_at
        seen = Count("MUG", 19, at="berlin", counted_at=since, counted_until=until)
        again = shop.inventory.reconcile([seen], earlier=second)
        assert [each.tries for each in again.undecided] == [2]

    def test_same_observation_compared_again_is_no_new_try(self) -> None:
        """A report made twice says the same."""
        shop = busy()
        first = looked(shop, 0, 20, None)
        since, until = first.undecided[0].seen_at
        seen = Count("MUG", 20, at="berlin", counted_at=since, counted_until=until)
        again = shop.inventory.reconcile([seen], earlier=first)
        assert again.undecided == first.undecided
        other = Count("MUG", 19, at="berlin", counted_at=since, counted_until=until)
        assert shop.inventory.reconcile([other], earlier=first).undecided[0].tries == 1

    def test_verdict_between_ends_the_row(self) -> None:
        """What was decided once begins anew."""
        shop = busy()
        report = looked(shop, 0, 20, None)
        report = looked(shop, 0, 19, report, sold=0)
        assert report.ok
        assert looked(shop, 0, 19, report).undecided[0].tries == 1

    def test_waiting_for_reports_is_no_try_and_ends_no_row(self) -> None:
        """Until they must have come nothing was looked at in vain."""
        shop = busy()
        first = looked(shop, 0, 20, None)
        now = shop.clock.now
        late = [Source("etsy", late=timedelta(hours=1))]
        seen = Count("MUG", 19, at="berlin", counted_at=now)
        waiting = shop.inventory.reconcile([seen], sources=late, earlier=first)
        [open_] = waiting.undecided
        assert (open_.tries, open_.lasting, open_.is_provisional) == (1, (0, 1), False)
        assert shop.inventory.reconcile([seen], sources=late).undecided[0].tries == 0

    def test_older_observation_continues_nothing(self) -> None:
        """Files read out of order are not tries in a row."""
        shop = busy()
        moments: list[datetime] = [shop.clock.now]
        older = looked(shop, 0, 20, None)
        newer = looked(shop, 0, 19, None)
        seen = Count(
            "MUG", 20, at="berlin", counted_at=moments[0], counted_until=moments[0] + MINUTE
        )
        assert shop.inventory.reconcile([seen], earlier=newer).undecided == older.undecided
        until = moments[0] + 2 * MINUTE
        since = until - MINUTE * 3 / 4
        seen = Count("MUG", 19, at="berlin", counted_at=since, counted_until=until)
        [overlapping] = shop.inventory.reconcile([seen], earlier=newer).undecided
        assert overlapping.tries == 1

    def test_stored_before_there_were_tries_it_is_read(self) -> None:
        """A report of an older version counted none."""
        shop = busy()
        stored = looked(shop, 0, 20, None).to_dict()
        for name in ("tries", "lasting"):
            del stored["undecided"][0][name]
        assert Reconciliation.from_dict(stored).undecided[0].tries == 0

    @given(st.integers(-2, 2), st.lists(st.integers(0, 4), min_size=1, max_size=6))
    def test_difference_that_lasts_is_in_what_is_left(self, off: int, sold: list[int]) -> None:
        """Whatever is sold meanwhile, the true difference is never ruled out while undecided."""
        shop = busy(40)
        report, there = None, 40
        for quantity in sold:
            report = looked(shop, off, there, report, sold=quantity)
            there -= quantity
            for each in report.undecided:
                assert each.lasting is not None
                assert each.lasting[0] <= off <= each.lasting[1]
            for mismatch in report.mismatches:
                assert mismatch.delta[0] <= off <= mismatch.delta[1]
