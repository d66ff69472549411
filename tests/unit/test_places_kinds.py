from __future__ import annotations

import pytest

from truecount.errors import InvalidArgument
from truecount.model.kinds import NOUNS, TABLE, Kind, allows
from truecount.model.places import (
    ASSEMBLY,
    CUSTOMER,
    FREE,
    INDEX,
    ON_HAND,
    OPENING,
    RESERVED,
    STATES,
    SUPPLIER,
    State,
    adjustment,
    inside,
    state_among,
)


#: Kinds that other movements turn round, and so have no row of their own.
TURNED = {Kind.CORRECT, Kind.UNDO}
PLACES = {state.value for state in State} | {
    "supplier",
    "customer",
    "assembly",
    "opening",
    "adjustment:broken",
}


class TestPlaces:
    def test_states_are_stored_in_the_order_of_their_figures(self) -> None:
        """The position of a state is its place in a figures tuple."""
        assert [INDEX[state] for state in STATES] == list(range(8))

    def test_on_hand_is_free_or_promised(self) -> None:
        """Each unit on the shelf is owned by somebody or by nobody."""
        assert ON_HAND == FREE | RESERVED
        assert not FREE & RESERVED
        assert not ON_HAND & {State.INCOMING, State.IN_TRANSIT}

    def test_boundaries_have_no_location(self) -> None:
        """Only places inside the shop have a stored figure."""
        assert inside("berlin", State.HELD).is_inside
        for place in (SUPPLIER, CUSTOMER, ASSEMBLY, OPENING, adjustment("broken")):
            assert not place.is_inside

    def test_places_read_as_words(self) -> None:
        """A state says where it is; a boundary is its name."""
        assert str(inside("berlin", State.PICKED)) == "picked@berlin"
        assert str(adjustment("lost: in transit")) == "adjustment:lost: in transit"

    @pytest.mark.parametrize(
        "value", [State.HELD, "held", "SELLABLE", "", None, 3, ["damaged"]], ids=repr
    )
    def test_a_state_is_one_of_those_allowed(self, value: object) -> None:
        """The error lists them, in the order of the figures."""
        with pytest.raises(InvalidArgument, match="one of SELLABLE, QUARANTINE, DAMAGED"):
            state_among(FREE, value)


class TestKinds:
    def test_every_kind_has_its_noun(self) -> None:
        """A sentence says "a sale", never "a sold"."""
        assert NOUNS.keys() == set(Kind)

    def test_every_kind_has_its_row(self) -> None:
        """The table is complete, and each row says what it means."""
        assert set(TABLE) == set(Kind) - TURNED
        assert all(rule.meaning and rule.flows for rule in TABLE.values())

    @pytest.mark.parametrize("kind", sorted(TABLE))
    def test_boundaries_alone_move_nothing(self, kind: Kind) -> None:
        """A leg has at least one end inside the shop."""
        states = {state.value for state in State}
        for sources, targets in TABLE[kind].flows:
            assert sources <= states or targets <= states

    @pytest.mark.parametrize(
        ("kind", "source", "target", "allowed"),
        [
            (Kind.OPEN, "opening", "sellable", True),
            (Kind.OPEN, "opening", "held", False),
            (Kind.RECEIVE, "supplier", "quarantine", True),
            (Kind.RECEIVE, "supplier", "damaged", False),
            (Kind.RESERVE, "sellable", "held", True),
            (Kind.RESERVE, "held", "sellable", False),
            (Kind.PICK, "held", "picked", False),
            (Kind.SHIP, "sellable", "customer", False),
            (Kind.SOLD, "sellable", "customer", True),
            (Kind.TAKE_BACK, "customer", "allocated", False),
            (Kind.DAMAGE, "picked", "damaged", False),
            (Kind.COUNT, "sellable", "adjustment:count", True),
            (Kind.COUNT, "held", "adjustment:count", False),
            (Kind.LOSE, "in_transit", "adjustment:lost in transit", True),
        ],
    )
    def test_a_leg_goes_where_its_kind_may(
        self, kind: Kind, source: str, target: str, *, allowed: bool
    ) -> None:
        """Promised stock is changed through its reservation and in no other way."""
        assert allows(kind, source, target) is allowed

    @pytest.mark.parametrize("kind", sorted(TURNED))
    def test_corrections_turn_what_others_may_do(self, kind: Kind) -> None:
        """Either direction of any kind, and nothing else."""
        for source in PLACES:
            for target in PLACES:
                either = any(
                    allows(other, source, target) or allows(other, target, source)
                    for other in TABLE
                )
                assert allows(kind, source, target) is either
