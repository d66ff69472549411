"""The book of one write by itself: what a movement may take, and what a refusal says."""

from __future__ import annotations

import attrs
import pytest

from truecount import Policy, State
from truecount.errors import InsufficientStock, InternalError, NotLocked
from truecount.model.kinds import Kind
from truecount.model.movements import Draft, Leg, Tally
from truecount.model.places import CUSTOMER, SUPPLIER, Place, inside
from truecount.model.settings import Settings
from truecount.model.stock import EMPTY_ROW, Amounts, StockKey
from truecount.protocols.storage import Locked, Record, Wants
from truecount.write.book import PAGE, Book, Stage, add_up


def place(state: State) -> Place:
    """Return a place in Berlin."""
    return inside("berlin", state)


SELLABLE, HELD, ALLOCATED, PICKED, QUARANTINE, DAMAGED, _, INCOMING = map(place, State)

#: Five to sell, two held, one allocated, one picked, three in quarantine, two damaged.
SHELF: Amounts = (5, 2, 1, 1, 3, 2, 4, 6)


def book(
    amounts: Amounts = SHELF, *, lot: str = "", policy: Policy | None = None, **wants: object
) -> Book:
    """Return a book with one key of mugs in Berlin."""
    row = EMPTY_ROW._replace(amounts=amounts, version=1)
    locked = Locked({StockKey("MUG", "berlin", lot): row}, [], {}, {}, {})
    policies = {} if policy is None else {"default": policy}
    return Book(locked, Settings((1, ""), {"berlin": 0}, policies), Wants(**wants))  # type: ignore[arg-type]  # sets of them


def moving(quantity: int, source: Place, target: Place, lot: str = "") -> Draft:
    """Return a guarded movement of mugs; an undo may take any way there is."""
    leg = Leg("MUG", lot, quantity, source, target, 0)
    return Draft(Kind.UNDO, (leg,), occurred_at=1, guarded=True)


@attrs.frozen
class Case:
    """Mugs that go from a place to a place, and what stands in the way."""

    quantity: int
    source: Place
    target: Place
    #: Wanted, available, rule.
    refused: tuple[int, int, str] | None
    amounts: Amounts = SHELF
    policy: Policy | None = None
    lot: str = ""


LIMIT, SAFETY = Policy(backorder_limit=3), Policy(safety_stock=3)
OVERSOLD: Amounts = (-3, 0, 2, 1, 1, 2, 0, 0)

CASES = {
    "all that can be sold": Case(5, SELLABLE, CUSTOMER, None),
    "one more": Case(6, SELLABLE, CUSTOMER, (6, 5, "backorder_limit=0")),
    "safety stock is a matter of promising": Case(5, SELLABLE, CUSTOMER, None, policy=SAFETY),
    "one more than the safety stock": Case(
        6, SELLABLE, CUSTOMER, (6, 5, "safety_stock=3"), policy=SAFETY
    ),
    "all of a backorder limit": Case(8, SELLABLE, ALLOCATED, None, policy=LIMIT),
    "one more than the limit": Case(
        9, SELLABLE, ALLOCATED, (9, 8, "backorder_limit=3"), policy=LIMIT
    ),
    "a lot lends nothing": Case(
        6, SELLABLE, ALLOCATED, (6, 5, "backorder_limit=3"), policy=LIMIT, lot="L1"
    ),
    "nothing is available below zero": Case(
        1, SELLABLE, CUSTOMER, (1, 0, "backorder_limit=0"), OVERSOLD
    ),
    "a limit sells what is there": Case(
        2, SELLABLE, CUSTOMER, None, (0, 0, 2, 0, 0, 0, 0, 0), LIMIT
    ),
    "a limit does not ship air": Case(
        3, SELLABLE, CUSTOMER, (3, 2, "on hand"), (0, 0, 2, 0, 0, 0, 0, 0), LIMIT
    ),
    "what is sold already is not on hand": Case(
        4, PICKED, CUSTOMER, (4, 3, "on hand"), (-3, 0, 2, 4, 0, 0, 0, 0)
    ),
    "damaged goods are on hand": Case(2, DAMAGED, SUPPLIER, None),
    "nor do they leave an empty place": Case(
        2, DAMAGED, SUPPLIER, (2, 1, "on hand"), (-1, 0, 0, 0, 0, 2, 0, 0)
    ),
    "part of the quarantine": Case(1, QUARANTINE, DAMAGED, None),
    "all of the quarantine": Case(3, QUARANTINE, SELLABLE, None),
    "more than the quarantine": Case(4, QUARANTINE, SELLABLE, (4, 3, "quarantine")),
    "more than is damaged": Case(3, DAMAGED, SELLABLE, (3, 2, "damaged")),
    "what is on its way is not on hand": Case(6, INCOMING, SUPPLIER, None),
    "an oversold shelf is filled": Case(1, QUARANTINE, SELLABLE, None, OVERSOLD),
    "an oversold shelf is picked from": Case(2, ALLOCATED, PICKED, None, (-9, 0, 2, 1, 0, 0, 0, 0)),
}


@pytest.mark.parametrize("name", CASES)
def test_guarded_movement_keeps_its_floor(name: str) -> None:
    """A refusal says how many were wanted and available, where, and by which rule."""
    case = CASES[name]
    stage = Stage(book(case.amounts, lot=case.lot, policy=case.policy), now=1)
    refusal = stage.post(moving(case.quantity, case.source, case.target, case.lot), "m-1")
    if case.refused is None:
        assert refusal is None
        return
    assert isinstance(refusal, InsufficientStock)
    where = "at 'berlin' lot 'L1'" if case.lot else "at 'berlin'"
    wanted, available, rule = case.refused
    assert refusal.short == (("MUG", wanted, available, where, rule),)
    assert refusal.operation == "undo"


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.refused])
def test_fact_keeps_no_floor(name: str) -> None:
    """What has happened is recorded, whatever the book says."""
    case = CASES[name]
    stage = Stage(book(case.amounts, lot=case.lot, policy=case.policy), now=1)
    draft = moving(case.quantity, case.source, case.target, case.lot)._replace(guarded=False)
    assert stage.post(draft, "m-1") is None


@pytest.mark.parametrize("source", [HELD, ALLOCATED, PICKED])
def test_no_movement_takes_more_than_is_promised(source: Place) -> None:
    """Not even a fact: rules take of a promise what it has, so this is a mistake of ours."""
    stage = Stage(book(), now=1)
    draft = moving(3, source, CUSTOMER)._replace(guarded=False)
    with pytest.raises(InternalError):
        stage.post(draft, "m-1")
    assert stage.post(draft._replace(legs=(draft.legs[0]._replace(quantity=1),)), "m-1") is None


class TestReading:
    def test_lot_that_is_named_is_the_only_one(self) -> None:
        """Keys by SKU, by location and by lot; the lot without a name is a lot."""
        keys = [
            StockKey("MUG", at, lot) for at in ("berlin", "hamburg") for lot in ("", "L1", "L2")
        ]
        found = Book(
            Locked(dict.fromkeys(keys, EMPTY_ROW), [], {}, {}, {}),
            Settings((1, ""), {"berlin": 0, "hamburg": 1}, {}),
            Wants(),
        )
        assert list(found.keys_of("MUG")) == keys
        assert list(found.keys_of("MUG", "hamburg")) == keys[3:]
        assert list(found.keys_of("MUG", "berlin", "L1")) == [keys[1]]
        assert list(found.keys_of("MUG", lot="")) == [keys[0], keys[3]]
        assert list(found.keys_of("CUP")) == []

    def test_key_that_was_only_locked_is_no_sku_that_moved(self) -> None:
        """A missing row is made to be locked; the SKU is as unknown as before."""
        assert book().knows("MUG")
        assert not Book(
            Locked({StockKey("MUG", "berlin"): EMPTY_ROW}, [], {}, {}, {}),
            Settings((1, ""), {"berlin": 0}, {}),
            Wants(),
        ).knows("MUG")

    def test_scope_of_one_place_is_not_the_network(self) -> None:
        """Whoever has locked a SKU everywhere has seen it at each place, not the other way."""
        here, everywhere = book(scopes={("MUG", "berlin")}), book(scopes={("MUG", "")})
        assert (here.saw("MUG", "berlin"), here.saw("MUG", "hamburg"), here.saw("MUG")) == (
            True,
            False,
            False,
        )
        assert everywhere.saw("MUG", "hamburg")
        assert everywhere.saw("MUG")

    @pytest.mark.parametrize("count", [0, PAGE - 1, PAGE])
    def test_full_page_may_have_another_after_it(self, count: int) -> None:
        """One that is not full is the last."""
        shown = book()
        records = [Record("anchor", f"a{number}", 1, "{}") for number in range(count)]
        shown.show("anchor", "", records)
        page = shown.page("anchor", "")
        assert page is not None
        assert (len(page.documents), page.is_last) == (count, count < PAGE)
        assert shown.page("anchor", "a0") is None


class TestCounters:
    def counting(self, change: int) -> Draft:
        """Return a movement that counts in the document of a purchase."""
        tally = Tally("purchase", "PO-1", "MUG", "received", change)
        return moving(1, SUPPLIER, SELLABLE)._replace(tallies=(tally,))

    def test_counter_may_come_back_to_nothing(self) -> None:
        """And no further."""
        stage = Stage(book(records={("purchase", "PO-1")}), now=1)
        for change in (2, 1, -3):
            assert stage.post(self.counting(change), f"m{change}") is None
        assert stage.documents["purchase", "PO-1"]["lines"]["MUG"]["received"] == 0
        with pytest.raises(InternalError, match="less than nothing"):
            stage.post(self.counting(-1), "m-4")

    def test_document_nobody_locked_is_not_counted_in(self) -> None:
        """The stage says what was missing: this document, and none that was locked."""
        stage = Stage(book(), now=1)
        with pytest.raises(NotLocked, match="PO-1"):
            stage.post(self.counting(1), "m-1")
        missing = stage.missing([self.counting(1)])
        assert missing == Wants(records={("purchase", "PO-1")})

    def test_earlier_state_of_a_document_is_left_alone(self) -> None:
        """Counters are replaced, for whoever read the document before may still have it."""
        counters = {"received": 1}
        document = {"lines": {"MUG": counters}}
        assert add_up(document, Tally("purchase", "PO-1", "MUG", "received", 4)) == 5
        assert counters == {"received": 1}
        assert document["lines"]["MUG"] == {"received": 5}
