from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from truecount import Unit
from truecount.errors import InvalidArgument, InvalidQuantity, InvalidText
from truecount.model import quantities
from truecount.model.quantities import QUANTITY_MAX


#: Nothing here is a quantity anywhere.
NEVER = (1.0, 0.5, True, False, "3", None, Decimal(3), Fraction(3), float("nan"), 2**63, -(2**63))
#: What each door takes and refuses beyond that.
RANGES: dict[Callable[..., int], tuple[tuple[int, ...], tuple[int, ...]]] = {
    quantities.positive: ((1, 2, QUANTITY_MAX), (0, -1, -QUANTITY_MAX)),
    quantities.natural: ((0, 1, QUANTITY_MAX), (-1, -QUANTITY_MAX)),
    quantities.signed: ((1, -1, QUANTITY_MAX, -QUANTITY_MAX), (0,)),
}


@pytest.mark.parametrize("door", RANGES, ids=lambda door: door.__name__)
class TestDoors:
    def test_limits_pass_unchanged(self, door: Callable[..., int]) -> None:
        """The first and the last number of the range are in it."""
        allowed, _ = RANGES[door]
        assert [door(value) for value in allowed] == list(allowed)

    def test_everything_else_is_refused(self, door: Callable[..., int]) -> None:
        """Out of range, rounded, parsed or true: none is a quantity."""
        for value in (*RANGES[door][1], *NEVER):
            with pytest.raises(InvalidQuantity, match="only whole numbers") as caught:
                door(value, "units")
            assert caught.value.name == "units"
            assert repr(value) in caught.value.seen


class TestUnit:
    def test_whole_quantities_convert_exactly(self) -> None:
        """A case of twelve is twelve, and twelve pieces are a case."""
        case = Unit("case", 12)
        assert (case.to_base(3), case.from_base(30)) == (36, Fraction(5, 2))

    def test_what_does_not_come_out_whole_is_refused(self) -> None:
        """A third of a case of ten is nothing that can be counted."""
        with pytest.raises(InvalidQuantity, match="this is 10/3"):
            Unit("case", 10).to_base(Fraction(1, 3))

    def test_a_fraction_of_a_unit_may_be_whole(self) -> None:
        """Half a case of twelve is six."""
        assert Unit("case", 12).to_base(Fraction(1, 2)) == 6

    @pytest.mark.parametrize("quantity", [0.5, True, "1", Decimal(1), 0, 2**62])
    def test_bad_quantities_are_refused(self, quantity: object) -> None:
        """Floats, truth, text, nothing, and what overflows in the base unit."""
        with pytest.raises(InvalidQuantity):
            Unit("case", 12).to_base(quantity)  # type: ignore[arg-type]  # the point of the test

    @pytest.mark.parametrize("factor", [0, -1, 1.5, True, "12", Decimal(12)])
    def test_a_factor_is_a_positive_ratio(self, factor: object) -> None:
        """No unit is worth nothing, and none is a float."""
        with pytest.raises(InvalidArgument, match="factor"):
            Unit("case", factor)

    def test_a_name_is_clean_text(self) -> None:
        """A unit without a name is refused, naming the argument."""
        with pytest.raises(InvalidText, match="as unit"):
            Unit("", 12)

    @given(st.integers(1, 10**9), st.fractions(min_value=Fraction(1, 100), max_value=1000))
    def test_there_and_back_is_the_same(self, base: int, factor: Fraction) -> None:
        """Exact arithmetic loses nothing."""
        unit = Unit("box", factor)
        assert unit.to_base(unit.from_base(base)) == base
