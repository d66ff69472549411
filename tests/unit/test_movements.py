from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from truecount import Kind, Leg, State, StockKey
from truecount.errors import InternalError
from truecount.model.movements import (
    Draft,
    MovementRow,
    Opening,
    Tally,
    body_of,
    changes_of,
    decode,
    digest_of,
    encode,
    movement_of,
    sealed,
)
from truecount.model.places import CUSTOMER, SUPPLIER, adjustment, inside


SHELF = inside("berlin", State.SELLABLE)
LEG = Leg("MUG", "", 3, SHELF, CUSTOMER)


def a_row(**changes: object) -> MovementRow:
    """Return a movement as stored, with *changes*."""
    draft = Draft(Kind.SOLD, (LEG,), 5, guarded=False)
    body = body_of(draft, [(StockKey("MUG", "berlin"), 1)])
    row = sealed(("m-1", "sold", 5, 6, 0, "order-1", "late", "kim", "etsy", None, body))
    return row._replace(**changes) if changes else row  # type: ignore[arg-type]  # any field


class TestLegs:
    def test_reversed_twice_is_the_same(self) -> None:
        """The way back of the way back."""
        assert LEG.reversed().reversed() == LEG
        assert LEG.reversed().source == CUSTOMER

    def test_a_leg_reads_as_a_sentence(self) -> None:
        """Quantity, SKU, lot, from where, to where."""
        assert str(LEG._replace(lot="A")) == "3 MUG lot A: sellable@berlin -> customer"

    def test_a_tally_is_taken_back_by_its_opposite(self) -> None:
        """The same counter, the other way."""
        tally = Tally("purchase", "PO", "x", "received", 4)
        assert tally.reversed() == tally._replace(change=-4)


class TestChanges:
    @given(
        st.lists(st.tuples(st.integers(1, 9), st.sampled_from(("berlin", "hamburg"))), min_size=1)
    )
    def test_what_moves_inside_the_shop_is_conserved(self, hops: list[tuple[int, str]]) -> None:
        """Legs between places create and destroy nothing (I1)."""
        legs = [
            Leg("MUG", "", n, inside(at, State.SELLABLE), inside("köln", State.SELLABLE))
            for n, at in hops
        ]
        total = [
            sum(column) for column in zip(*changes_of(Kind.RELOCATE, legs).values(), strict=True)
        ]
        assert total == [0] * 8

    def test_legs_of_one_key_are_netted(self) -> None:
        """One entry for each key, however many legs touch it."""
        legs = (LEG, LEG._replace(quantity=2))
        assert changes_of(Kind.SOLD, legs) == {StockKey("MUG", "berlin"): [-5, *[0] * 7]}

    def test_a_key_that_is_only_touched_changes_by_nothing(self) -> None:
        """An agreeing count stands in the history of what was counted."""
        key = StockKey("MUG", "berlin")
        assert changes_of(Kind.COUNT, (), (key,)) == {key: [0] * 8}

    @pytest.mark.parametrize(
        "leg",
        [LEG._replace(quantity=0), LEG._replace(quantity=-1), LEG.reversed()],
        ids=["nothing", "less than nothing", "the wrong way"],
    )
    def test_a_leg_no_rule_may_write_is_our_mistake(self, leg: Leg) -> None:
        """A sale moves more than nothing, from the shelf to a customer."""
        with pytest.raises(InternalError, match="sold movement cannot have the leg"):
            changes_of(Kind.SOLD, (leg,))


class TestBody:
    def test_everything_a_draft_says_comes_back(self) -> None:
        """Legs, versions, floors, lines opened, tallies, expiries, notes, touches."""
        key = StockKey("MÜG ☕", "berlin", 'lot "7"')
        legs = (Leg(key.sku, key.lot, 2, SUPPLIER, inside("berlin", State.QUARANTINE), 1),)
        draft = Draft(
            Kind.RECEIVE,
            legs,
            0,
            guarded=True,
            tallies=(Tally("purchase", "PO", '["berlin","MUG"]', "received", 2),),
            expiries=((key.sku, key.lot, 99),),
            notes=("over_delivery: 2 of MUG",),
            touches=(key,),
        )
        opened = [Opening(1, 1, 77)]
        body = decode(body_of(draft, [(key, 4)], [-2], opened))
        assert body.legs == legs
        assert body.extends == ((key, 4),)
        assert (body.tallies, body.expiries) == (draft.tallies, draft.expiries)
        assert (body.notes, body.touches) == (draft.notes, draft.touches)
        assert (body.floors, body.opened) == ((-2,), tuple(opened))

    def test_a_plain_draft_is_short(self) -> None:
        """What was not said is not stored."""
        stored = body_of(
            Draft(Kind.SOLD, (LEG,), 0, guarded=False), [(StockKey("MUG", "berlin"), 1)]
        )
        assert stored == (
            '{"legs":[["MUG","",3,"berlin","sellable","","customer",0]],'
            '"extends":[["MUG","berlin","",1]]}'
        )
        assert decode(stored).floors == (None,)

    def test_an_adjustment_keeps_its_reason(self) -> None:
        """Whatever text it is."""
        leg = LEG._replace(target=adjustment('a "b": c'))
        stored = body_of(Draft(Kind.ADJUST, (leg,), 0, guarded=False), [])
        assert decode(stored).legs == (leg,)

    def test_times_and_sets_become_plain(self) -> None:
        """ISO 8601, microseconds, sorted; anything else has no place in a stored text."""
        when = datetime(2026, 3, 1, tzinfo=UTC)
        assert encode([when, timedelta(seconds=1), frozenset("ba")]) == (
            '["2026-03-01T00:00:00+00:00",1000000,["a","b"]]'
        )
        with pytest.raises(TypeError, match="object has no place"):
            encode(object())


class TestDigest:
    @pytest.mark.parametrize("field", MovementRow._fields[:-1])
    def test_every_word_is_covered(self, field: str) -> None:
        """Whatever is edited, the digest tells (I3)."""
        row = a_row()
        value = getattr(row, field)
        other = value + 1 if isinstance(value, int) else "other"
        edited = MovementRow._make(
            other if name == field else getattr(row, name) for name in row._fields
        )
        assert digest_of(row) == row.digest
        assert digest_of(edited) != row.digest

    def test_words_cannot_trade_places(self) -> None:
        """A reference is not a reason, and no text can hold the separator."""
        one, other = a_row(reference="a", reason=None), a_row(reference=None, reason="a")
        assert digest_of(one) != digest_of(other)


def test_callers_see_a_movement_spelled_out() -> None:
    """Times are aware, legs and versions are facts."""
    seen = movement_of(a_row(), position=9)
    assert (seen.id, seen.kind, seen.position) == ("m-1", Kind.SOLD, 9)
    assert (seen.occurred_at - datetime(1970, 1, 1, tzinfo=UTC)) == timedelta(microseconds=5)
    assert (seen.legs, seen.versions) == ((LEG,), ((StockKey("MUG", "berlin"), 1),))
    assert (seen.reference, seen.reason, seen.actor, seen.origin) == (
        "order-1",
        "late",
        "kim",
        "etsy",
    )
