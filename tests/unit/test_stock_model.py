from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from truecount import Figures, State
from truecount.errors import InvalidQuantity
from truecount.model.places import STATES
from truecount.model.quantities import QUANTITY_MAX
from truecount.model.stock import (
    EMPTY_ROW,
    NOTHING,
    EntryRow,
    StockKey,
    StockRow,
    amount,
    extend,
    figures,
    lot_expiry,
    never_netted,
    plus,
)


KEY = StockKey("MUG", "berlin")


def extended(times: list[int]) -> tuple[StockRow, list[EntryRow]]:
    """Return a row and its entries after one unit at each of *times*."""
    row, entries = EMPTY_ROW, []
    for number, when in enumerate(times, 1):
        row, entry = extend(row, KEY, [1, 0, 0, 0, 0, 0, 0, 0], f"m{number}", when, number, None)
        entries.append(entry)
    return row, entries


class TestFold:
    @given(st.lists(st.integers(0, 100), min_size=1))
    def test_entries_chain(self, times: list[int]) -> None:
        """Versions count from one, figures run on, the horizon never goes back (I3)."""
        row, entries = extended(times)
        assert [entry.version for entry in entries] == list(range(1, len(times) + 1))
        assert [entry.after[0] for entry in entries] == list(range(1, len(times) + 1))
        assert [entry.horizon for entry in entries] == [
            max(times[: number + 1]) for number in range(len(times))
        ]
        assert (row.version, row.amounts, row.horizon) == (
            len(times),
            entries[-1].after,
            max(times),
        )
        assert row.opened_at == times[0]

    @given(st.lists(st.integers(0, 2**40), min_size=1))
    def test_lateness_is_the_class_of_the_distance(self, times: list[int]) -> None:
        """An entry in order has none; a late one lies less than two to that power back."""
        for entry in extended(times)[1]:
            distance = entry.horizon - entry.occurred_at
            assert (entry.lateness == 0) == (distance == 0)
            assert distance < 2**entry.lateness <= max(1, 2 * distance)

    def test_times_before_1970_are_times(self) -> None:
        """The first entry sets the horizon, however early it is."""
        row, entries = extended([-5, -9])
        assert (row.horizon, entries[1].lateness) == (-5, 3)

    @pytest.mark.parametrize("state", range(8))
    @pytest.mark.parametrize("sign", [1, -1])
    def test_a_figure_that_leaves_int64_is_refused(self, state: int, sign: int) -> None:
        """No storage could keep it."""
        amounts, change = [0] * 8, [0] * 8
        amounts[state], change[state] = sign * QUANTITY_MAX, sign
        with pytest.raises(InvalidQuantity, match="figures within"):
            plus(tuple(amounts), change)  # type: ignore[arg-type]  # it has 8 amounts

    def test_a_change_that_leaves_int64_is_refused(self) -> None:
        """From the lowest to the highest figure is further than an entry can say."""
        lowest = StockRow((-QUANTITY_MAX, 0, 0, 0, 0, 0, 0, 0), 1, 0, 0, 0)
        change = [2 * QUANTITY_MAX, 0, 0, 0, 0, 0, 0, 0]
        with pytest.raises(InvalidQuantity):
            extend(lowest, KEY, change, "m", 0, 0, None)


class TestFigures:
    def test_sums_follow_from_the_states(self) -> None:
        """On hand is what is physically there, reserved what is promised."""
        found = figures((1, 2, 4, 8, 16, 32, 64, 128), available=3)
        assert (found.on_hand, found.reserved, found.available) == (63, 14, 3)
        assert found.to_dict() == {
            "sellable": 1,
            "held": 2,
            "allocated": 4,
            "picked": 8,
            "quarantine": 16,
            "damaged": 32,
            "in_transit": 64,
            "incoming": 128,
            "available": 3,
            "on_hand": 63,
            "reserved": 14,
        }

    def test_figure_that_is_not_said_is_zero(self) -> None:
        """Of each state, and of what is available."""
        assert set(Figures().to_dict().values()) == {0}
        assert repr(Figures(picked=2)) == "Figures(picked=2, available=0)"

    def test_row_reads_as_its_figures_do(self) -> None:
        """What is stored, by the words callers use."""
        row = EMPTY_ROW._replace(amounts=(1, 2, 4, 8, 16, 32, 64, 128))
        found = figures(row.amounts, 0)
        assert (row.sellable, row.held, row.on_hand) == (found.sellable, found.held, found.on_hand)
        assert row.promised == (found.held, found.allocated, found.picked)

    @pytest.mark.parametrize(("expires_at", "expired"), [(None, False), (8, False), (7, True)])
    def test_lot_is_expired_from_its_instant_on(
        self, expires_at: int | None, *, expired: bool
    ) -> None:
        """One without a date never is."""
        assert EMPTY_ROW._replace(lot_expires_at=expires_at).has_expired(7) is expired

    def test_each_state_is_its_figure(self) -> None:
        """Both by attribute and by state, in the stored order."""
        amounts = (1, 2, 4, 8, 16, 32, 64, 128)
        found = figures(amounts, 0)
        assert [found[state] for state in STATES] == list(amounts)
        assert [amount(amounts, state) for state in State] == list(amounts)

    @pytest.mark.parametrize(("available", "oversold"), [(3, 0), (0, 0), (-2, 2)])
    def test_oversold_is_what_is_missing(self, available: int, oversold: int) -> None:
        """A negative available figure is that many units promised but not there."""
        assert Figures(available=available).oversold == oversold

    @given(st.lists(st.integers(-9, 9)))
    def test_stock_here_does_not_pay_for_debts_there(self, parts: list[int]) -> None:
        """What may be promised is what is there; only when nothing is, debts show."""
        found = never_netted(parts)
        assert found >= sum(parts)
        assert found == (sum(p for p in parts if p > 0) or sum(p for p in parts if p < 0))


def test_the_last_expiry_said_of_a_lot_counts() -> None:
    """Only of that SKU and that lot."""
    key = StockKey("MILK", "berlin", "A")
    said = [("MILK", "A", 1), ("MILK", "B", 2), ("TEA", "A", 3), ("MILK", "A", 4)]
    assert lot_expiry(said, key) == 4
    assert lot_expiry(said[1:3], key) is None


def test_an_empty_row_has_nothing() -> None:
    """A key that never moved is at version 0."""
    assert (EMPTY_ROW.amounts, EMPTY_ROW.version, EMPTY_ROW.on_hand) == (NOTHING, 0, 0)
    assert (EMPTY_ROW.sellable, EMPTY_ROW.held, EMPTY_ROW.promised) == (0, 0, (0, 0, 0))
