from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from truecount import Kind, Leg, State, StockKey
from truecount.errors import InternalError
from truecount.model.lines import NEVER, LineRow, counter, follow, moved, opened
from truecount.model.movements import Body, Opening
from truecount.model.places import CUSTOMER, Place, adjustment, inside


KEY = StockKey("MUG", "berlin")
SHELF, HELD, ALLOCATED, PICKED = (
    inside("berlin", state) for state in (State.SELLABLE, State.HELD, State.ALLOCATED, State.PICKED)
)
#: Every way a line's units may go: kind, from, to.
WAYS: tuple[tuple[Kind, Place, Place], ...] = (
    (Kind.RESERVE, SHELF, HELD),
    (Kind.CONFIRM, HELD, ALLOCATED),
    (Kind.CONFIRM, SHELF, ALLOCATED),
    (Kind.PICK, ALLOCATED, PICKED),
    (Kind.SHIP, PICKED, CUSTOMER),
    (Kind.SHIP, ALLOCATED, CUSTOMER),
    (Kind.SOLD, HELD, CUSTOMER),
    (Kind.RELEASE, ALLOCATED, SHELF),
    (Kind.EXPIRE, HELD, SHELF),
    (Kind.SHORT_PICK, ALLOCATED, adjustment("short_pick")),
    (Kind.SHORT_PICK, PICKED, inside("berlin", State.DAMAGED)),
    (Kind.UNDO, CUSTOMER, PICKED),
)


def a_line() -> LineRow:
    """Return a line as it is opened."""
    return opened("cart", KEY, 1, 1, 100)


def a_leg(quantity: int, source: Place, target: Place) -> Leg:
    """Return a leg of the line."""
    return Leg("MUG", "", quantity, source, target, 1)


@given(st.lists(st.tuples(st.sampled_from(WAYS), st.integers(1, 5)), max_size=30))
def test_every_unit_of_a_line_is_in_one_counter(
    steps: list[tuple[tuple[Kind, Place, Place], int]],
) -> None:
    """What was reserved is held, allocated, picked, shipped, released, expired or short."""
    line = a_line()
    for (kind, source, target), quantity in steps:
        try:
            line = moved(line, a_leg(quantity, source, target), kind)
        except InternalError:
            continue
        reserved, *parts = line.counters
        assert reserved == sum(parts)
        assert min(parts) >= 0
        assert line.open == line.held + line.allocated + line.picked


def test_taking_more_than_a_line_has_is_our_mistake() -> None:
    """No counter ever goes below zero."""
    with pytest.raises(InternalError, match="takes more than"):
        moved(a_line(), a_leg(1, HELD, ALLOCATED), Kind.CONFIRM)


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("held", Kind.RESERVE, "held"),
        ("customer", Kind.SOLD, "shipped"),
        ("sellable", Kind.RELEASE, "released"),
        ("sellable", Kind.EXPIRE, "expired"),
        ("adjustment:short_pick", Kind.SHORT_PICK, "short"),
        ("damaged", Kind.SHORT_PICK, "short"),
    ],
)
def test_a_place_stands_for_a_counter(name: str, kind: Kind, expected: str) -> None:
    """Where units went says how they are counted."""
    assert counter(name, kind) == expected


class TestExpiry:
    def test_a_hold_has_expired_at_its_very_instant(self) -> None:
        """Until then it blocks others, from then on nobody."""
        line = moved(a_line(), a_leg(2, SHELF, HELD), Kind.RESERVE)
        assert (line.has_expired(99), line.has_expired(100)) == (False, True)

    def test_a_line_without_held_units_has_not_expired(self) -> None:
        """There is nothing to give back."""
        assert not a_line().has_expired(1000)

    def test_allocated_units_never_run_out(self) -> None:
        """A placed order has no deadline."""
        line = moved(a_line(), a_leg(2, SHELF, HELD), Kind.RESERVE)
        assert moved(line, a_leg(2, HELD, ALLOCATED), Kind.CONFIRM).expires_at == NEVER

    @pytest.mark.parametrize("target", [CUSTOMER, adjustment("short_pick"), SHELF])
    def test_only_an_order_has_no_deadline(self, target: Place) -> None:
        """Units that leave a hold otherwise leave its deadline as it was."""
        line = moved(a_line(), a_leg(2, SHELF, HELD), Kind.RESERVE)
        assert moved(line, a_leg(1, HELD, target), Kind.SOLD).expires_at == 100

    def test_never_is_the_last_instant_that_a_database_can_keep(self) -> None:
        """Whatever expires, expires before it."""
        assert NEVER == 9_223_372_036_854_775_807


class TestFollow:
    def body(self, *legs: Leg, opening: tuple[Opening, ...] = ()) -> Body:
        """Return what a movement of *legs* says."""
        return Body(legs, (), (), (), (), (), opening)

    def test_a_movement_opens_and_moves_its_lines(self) -> None:
        """Lines are folded anew from what movements say (I2)."""
        lines: dict[int, LineRow] = {}
        body = self.body(a_leg(2, SHELF, HELD), opening=(Opening(1, 1, 100),))
        follow(lines, "cart", Kind.RESERVE, body)
        assert lines == {1: moved(a_line(), a_leg(2, SHELF, HELD), Kind.RESERVE)}

    def test_legs_of_no_line_are_not_its_business(self) -> None:
        """Stock moves without reservations, too."""
        lines: dict[int, LineRow] = {}
        follow(lines, "cart", Kind.SOLD, self.body(Leg("MUG", "", 1, SHELF, CUSTOMER)))
        assert not lines

    def test_legs_of_lines_are_found_behind_others(self) -> None:
        """A leg of no line does not end the movement."""
        lines: dict[int, LineRow] = {}
        plain = Leg("TEA", "", 1, SHELF, CUSTOMER)
        body = self.body(plain, a_leg(2, SHELF, HELD), opening=(Opening(1, 1, 100),))
        follow(lines, "cart", Kind.RESERVE, body)
        assert lines[1].held == 2

    @pytest.mark.parametrize(
        ("lines", "leg", "problem"),
        [
            ({}, a_leg(1, SHELF, HELD), "was never opened"),
            ({1: a_line()}, a_leg(1, SHELF, HELD)._replace(sku="TEA"), "not StockKey"),
            ({1: a_line()}, a_leg(1, SHELF, HELD)._replace(sku="JAR"), "not StockKey"),
        ],
        ids=["no line", "a later key", "an earlier key"],
    )
    def test_a_leg_of_a_wrong_line_is_told(
        self, lines: dict[int, LineRow], leg: Leg, problem: str
    ) -> None:
        """A damaged ledger is described, not followed."""
        with pytest.raises(InternalError, match=problem):
            follow(lines, "cart", Kind.RESERVE, self.body(leg))
