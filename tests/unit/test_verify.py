"""Verification: a clean history is ok; each kind of damage is named, with key and version."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

from tests.contracts.broken import Broken
from truecount import (
    Inventory,
    MemoryStorage,
    Problem,
    Received,
    Sold,
    SQLiteStorage,
    State,
    errors,
)
from truecount.ledger import scan
from truecount.ledger.entry_checks import Step, fold
from truecount.ledger.problems import MEANING
from truecount.model.kinds import Kind
from truecount.model.movements import (
    Draft,
    Leg,
    body_of,
    changes_of,
    digest_of,
    encode,
    sealed,
)
from truecount.model.places import CUSTOMER, inside
from truecount.model.stock import EMPTY_ROW, NOTHING, StockKey, extend, plus
from truecount.protocols.storage import Record, Storage
from truecount.testing import CountingIds, ManualClock


START: Final = datetime(2026, 3, 1, 9, tzinfo=UTC)
DAY: Final = timedelta(days=1)
MUG: Final = StockKey("MUG", "berlin")
TEA: Final = StockKey("TEA", "berlin", "L-1")


def busy_shop(storage: Storage | None = None) -> Inventory:
    """
    Return a shop in which every kind of row has been written.

    MUG at berlin: expected (1), received (2, 3), held for cart-1 (4), sold by a till (5,
    back-dated), held for cart-2 (6), confirmed (7), shipped in part (8), sent to hamburg
    (9), damaged and undone (10, 11).
    """
    clock = ManualClock(START)
    inventory = Inventory(storage, clock=clock, new_id=CountingIds("m"))
    inventory.locations.add("berlin", "hamburg")
    inventory.expect("MUG", 6, at="berlin", reference="po-1")
    inventory.receive("MUG", 4, at="berlin", reference="po-1", actor="sam")
    inventory.receive("MUG", 20, at="berlin")
    inventory.receive("TEA", 5, at="berlin", lot="L-1", lot_expires_at=START + 30 * DAY)
    clock.tick()
    inventory.reserve({"MUG": 3, "TEA": 1}, reference="cart-1", ttl=DAY)
    inventory.record([Sold("MUG", 2, at="berlin", occurred_at=START - DAY, key="till-1")])
    inventory.reserve({"MUG": 4}, reference="cart-2", ttl=DAY, key="checkout-2")
    inventory.confirm("cart-2")
    inventory.ship("cart-2", {"MUG": 1}, key="parcel-1")
    inventory.take_back("cart-2", {"MUG": 1}, key="rma-1", into=State.QUARANTINE, at="hamburg")
    inventory.transfer_out("move-1", {"MUG": 5}, source="berlin", target="hamburg")
    inventory.arrive("move-1", {"MUG": 9})
    damage = inventory.damage("MUG", 1, at="berlin")
    inventory.undo(damage.movement_id, reason="it was fine")
    with pytest.raises(errors.InsufficientStock):
        inventory.reserve({"MUG": 500}, reference="cart-3", key="too-many")
    return inventory


def rows_of(inventory: Inventory) -> Any:
    """Return the rows behind the adapter's back."""
    storage = inventory.storage
    assert isinstance(storage, MemoryStorage)
    return storage._tenants["main"]


# --- damage -----------------------------------------------------------------------------

Damage = Callable[[Any], None]


def entry(key: StockKey, which: int, /, **changes: Any) -> Damage:
    """Change columns of an entry."""

    def damage(rows: Any) -> None:
        rows.entries[key][which - 1] = rows.entries[key][which - 1]._replace(**changes)

    return damage


def no_entry(key: StockKey, version: int) -> Damage:
    """Lose an entry."""

    def damage(rows: Any) -> None:
        del rows.entries[key][version - 1]

    return damage


def stock(key: StockKey, **changes: Any) -> Damage:
    """Change columns of a stock row."""

    def damage(rows: Any) -> None:
        rows.rows[key] = rows.rows[key]._replace(**changes)

    return damage


def amount(key: StockKey, state: int, change: int) -> Damage:
    """Change one figure of a stock row."""

    def damage(rows: Any) -> None:
        amounts = list(rows.rows[key].amounts)
        amounts[state] += change
        rows.rows[key] = rows.rows[key]._replace(amounts=tuple(amounts))

    return damage


def no_stock(key: StockKey) -> Damage:
    """Lose a stock row."""

    def damage(rows: Any) -> None:
        del rows.rows[key]
        rows.sorted_keys.remove(key)
        rows.keys_of[key.sku].remove(key)

    return damage


def movement(position: int, *, reseal: bool = False, **changes: Any) -> Damage:
    """Change columns of a movement, and perhaps its digest so that it fits again."""

    def damage(rows: Any) -> None:
        row = rows.movements[position - 1]._replace(**changes)
        if reseal:
            row = row._replace(digest=digest_of(row))
        rows.movements[position - 1] = row

    return damage


def body(position: int, **changes: Any) -> Damage:
    """Change parts of a movement's body, digest included."""

    def damage(rows: Any) -> None:
        row = rows.movements[position - 1]
        changed = json.loads(row.body) | changes
        movement(position, reseal=True, body=encode(changed))(rows)

    return damage


def swapped(position: int) -> Damage:
    """Let two neighbouring movements change places."""

    def damage(rows: Any) -> None:
        pair = rows.movements[position - 1 : position + 1]
        rows.movements[position - 1 : position + 1] = reversed(pair)
        for number, row in enumerate(rows.movements, 1):
            rows.positions[row.id] = number

    return damage


def tail_cut(rows: Any) -> None:
    """Lose the last movement."""
    row = rows.movements.pop()
    del rows.positions[row.id]


def line(reference: str, number: int, **changes: Any) -> Damage:
    """Change columns of a reservation line."""

    def damage(rows: Any) -> None:
        rows.lines[reference][number] = rows.lines[reference][number]._replace(**changes)

    return damage


def no_line(reference: str, number: int) -> Damage:
    """Lose a reservation line."""

    def damage(rows: Any) -> None:
        found = rows.lines[reference].pop(number)
        rows.open_lines[found.key].remove((found.expires_at, reference, number))

    return damage


def one_more_line(rows: Any) -> None:
    """Have a line that nothing ever opened."""
    found = rows.lines["cart-2"][1]
    rows.lines["cart-2"][2] = found._replace(number=2)


def document(space: str, id_: str, body: object) -> Damage:
    """Replace a document."""

    def damage(rows: Any) -> None:
        text = body if isinstance(body, str) else encode(body)
        rows.records[space][id_] = Record(space, id_, 1, text)

    return damage


def no_document(space: str, id_: str) -> Damage:
    """Lose a document."""

    def damage(rows: Any) -> None:
        del rows.records[space][id_]

    return damage


def outcome(key: str, **changes: Any) -> Damage:
    """Change columns of an outcome."""

    def damage(rows: Any) -> None:
        rows.outcomes[key] = rows.outcomes[key]._replace(**changes)

    return damage


def both(one: Damage, other: Damage) -> Damage:
    """Do two kinds of damage that hide each other."""

    def damage(rows: Any) -> None:
        one(rows)
        other(rows)

    return damage


def in_one_write(rows: Any) -> None:
    """Let the second and third movement look like parts of one write."""
    moment = rows.movements[2].recorded_at
    movement(2, reseal=True, recorded_at=moment)(rows)
    entry(MUG, 2, recorded_at=moment)(rows)


_FOREIGN: Final = [["purchase", "po-2", "x", "received", 1]]


@attrs.frozen
class Case:
    """Damage, and the problem that must be among those found."""

    id: str
    damage: Damage
    invariant: str
    where: str
    found: str = ""
    #: Whether it is the only one: nothing else is to be blamed.
    alone: bool = True


LATER: Final = 2_000_000_000_000_000
_MUG = "'MUG' at 'berlin', "
CASES: Final = (
    Case(
        "after",
        entry(MUG, 4, after=(99, 0, 0, 0, 0, 0, 0, 0)),
        "I3",
        _MUG + "version 4",
        "sellable 99",
    ),
    Case(
        "change", entry(MUG, 3, change=(1, 0, 0, 0, 0, 0, 0, 0)), "I1", _MUG + "version 3", "able 1"
    ),
    Case("version", entry(MUG, 3, version=7), "I1", _MUG + "version 7", alone=False),
    Case("gap", no_entry(MUG, 3), "I3", _MUG + "version 4", alone=False),
    Case("last_entry", no_entry(MUG, 11), "I1", _MUG + "version 11", "none", alone=False),
    Case("horizon", entry(MUG, 5, horizon=LATER), "I3", _MUG + "version 5", "horizon"),
    Case("lateness", entry(MUG, 5, lateness=0), "I3", _MUG + "version 5", "lateness = 0"),
    Case("occurred", entry(MUG, 2, occurred_at=LATER), "I3", _MUG + "version 2", "2033"),
    Case("recorded", entry(MUG, 2, recorded_at=1), "I3", _MUG + "version 2", "1970"),
    Case("floor", entry(MUG, 6, floor=-5), "I4", _MUG + "version 6", "floor = -5"),
    Case("no_floor", entry(MUG, 6, floor=None), "I4", _MUG + "version 6", "floor = None"),
    Case(
        "no_movement",
        entry(MUG, 4, movement_id="nobody"),
        "I1",
        _MUG + "version 4",
        "none with its id",
        alone=False,
    ),
    Case("other", entry(MUG, 4, movement_id="m-000001"), "I1", _MUG + "version 4", alone=False),
    Case("figure", amount(MUG, 0, 1), "I2", _MUG + "the stock row", "amounts"),
    Case("promise", amount(MUG, 1, 1), "I2", _MUG + "the stock row", "held 4"),
    Case("row_version", stock(MUG, version=99), "I2", _MUG + "the stock row", "version = 99"),
    Case("row_recorded", stock(MUG, recorded_at=1), "I2", _MUG + "the stock row", "1970"),
    Case("row_horizon", stock(MUG, horizon=1), "I2", _MUG + "the stock row", "horizon"),
    Case("row_opened", stock(MUG, opened_at=1), "I2", _MUG + "the stock row", "opened_at"),
    Case("row_lot", stock(TEA, lot_expires_at=None), "I2", "lot 'L-1', the stock row", "= None"),
    Case("no_row", no_stock(MUG), "I2", _MUG + "the stock row", "none"),
    Case("hidden_row", stock(MUG, version=0), "I2", _MUG + "the stock row", "none"),
    Case("words", movement(2, actor="eve"), "I3", "the receive recorded", "digest"),
    Case("no_body", movement(2, body="{"), "I3", "the receive recorded", "digest", alone=False),
    Case("sealed_words", movement(3, reseal=True, body="[]"), "I1", "the receive", alone=False),
    Case(
        "legs",
        body(3, legs=[["MUG", "", 21, "", "supplier", "berlin", "sellable", 0]]),
        "I1",
        _MUG + "version 3",
        "sellable 20",
    ),
    Case(
        "wrong_legs",
        body(3, legs=[["MUG", "", 20, "", "customer", "berlin", "sellable", 0]]),
        "I1",
        "the receive recorded",
        "customer",
        alone=False,
    ),
    Case(
        "fraction",
        body(3, legs=[["MUG", "", 20.5, "", "supplier", "berlin", "sellable", 0]]),
        "I1",
        "the receive recorded",
        "whole number",
        alone=False,
    ),
    Case(
        "below_floor",
        both(body(7, floors=[500]), entry(MUG, 6, floor=500)),
        "I4",
        _MUG + "version 6",
    ),
    Case(
        "ordinal", both(in_one_write, movement(2, reseal=True, ordinal=9)), "I15", _MUG, alone=False
    ),
    Case("foreign_count", body(2, tallies=_FOREIGN), "I2", "the receive", "'po-2'", alone=False),
    Case("reversal", document("reversal", "m-000025", {"by": "m-000001"}), "I2", "document"),
    Case("reversal_by_none", document("reversal", "m-000025", {}), "I2", "document"),
    Case("reversal_list", document("reversal", "m-000025", []), "I2", "document"),
    Case(
        "reversal_again",
        document("reversal", "m-000025", {"by": "m-000001", "times": 1}),
        "I2",
        "document",
    ),
    Case("renamed_version", body(3, extends=[["MUG", "berlin", "", 4]]), "I1", _MUG, alone=False),
    Case("recorded_back", movement(3, reseal=True, recorded_at=5), "I3", _MUG, alone=False),
    Case("order", swapped(2), "I15", _MUG + "version 3", alone=False),
    Case("tail", tail_cut, "I1", _MUG + "version 11", "none with its id", alone=False),
    Case("counter", line("cart-2", 1, allocated=2, shipped=2), "I2", "line 1 of", alone=False),
    Case("promised", line("cart-2", 1, allocated=4), "I9", _MUG, "allocated 4", alone=False),
    Case("promised less", line("cart-2", 1, allocated=0), "I9", _MUG, "allocated 0", alone=False),
    Case("round", line("cart-2", 1, round=2), "I2", "line 1 of reservation 'cart-2'", "round = 2"),
    Case("expiry", line("cart-1", 1, expires_at=7), "I2", "line 1 of", "expires_at = 7"),
    Case("no_line", no_line("cart-1", 2), "I2", "line 2 of reservation 'cart-1'", alone=False),
    Case("more_lines", one_more_line, "I2", "line 2 of reservation 'cart-2'", "a line"),
    Case("no_order", no_document("order", "cart-1"), "I2", "the reserve", "none"),
    Case("account", document("order", "cart-2", {"lines": {}}), "I2", "document order 'cart-2'"),
    Case("purchase", document("purchase", "po-1", {"due": {}}), "I2", "document purchase 'po-1'"),
    Case("transfer", document("transfer", "move-1", []), "I2", "document transfer 'move-1'"),
    Case("no_transfer", no_document("transfer", "move-1"), "I2", "the transfer_out", alone=False),
    Case("json", document("location", "berlin", "{"), "I2", "document location 'berlin'"),
    Case("answer", outcome("till-1", body="{}"), "I6", "request 'till-1'", "{}"),
    Case(
        "unkept",
        outcome("till-1", body=encode({"movements": ["gone"]})),
        "I6",
        "request 'till-1'",
        "none",
    ),
    Case("forgotten", outcome("parcel-1", forget_at=LATER), "I6", "request 'parcel-1'"),
    Case("remembered", outcome("too-many", forget_at=None), "I6", "request 'too-many'"),
    Case("decided", outcome("parcel-1", decided_at=LATER), "I6", "request 'parcel-1'", "2033"),
)


class TestDamage:
    @pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
    def test_damage_is_named(self, case: Case) -> None:
        """One damaged row leads to a problem with its invariant and its place."""
        inventory = busy_shop()
        case.damage(rows_of(inventory))
        result = inventory.verify(limit=100)
        assert not result.ok
        assert any(
            problem.invariant == case.invariant
            and case.where in problem.where
            and case.found in problem.found
            for problem in result.problems
        ), "\n".join(map(str, result.problems))
        if case.alone:
            assert result.found == 1, "\n".join(map(str, result.problems))

    def test_damaged_key_answers_with_its_first_wrong_entry_only(self) -> None:
        """What a wrong change leads to, in all entries after it and in the row, is not news."""
        inventory = busy_shop()
        rows = rows_of(inventory)
        for version in (9, 5, 7):
            entry(MUG, version, after=(0,) * 8)(rows)
        entry(TEA, 1, after=(0,) * 8)(rows)
        places = [problem.where for problem in inventory.verify().problems]
        assert places == ["'MUG' at 'berlin', version 5", "'TEA' at 'berlin' lot 'L-1', version 1"]

    def test_problem_names_the_movement(self) -> None:
        """An entry's problem leads to the movement that made it."""
        inventory = busy_shop()
        entry(MUG, 5, after=(0,) * 8)(rows_of(inventory))
        [problem] = inventory.verify().problems
        assert problem.movement_id is not None
        assert inventory.movement(problem.movement_id).kind == "sold"

    def test_missing_outcome_is_named_by_what_it_granted(self) -> None:
        """A movement whose outcome is gone would be granted again; one of two requests, too."""
        inventory = busy_shop()
        rows = rows_of(inventory)
        key, gone = next((k, row) for k, row in rows.outcomes.items() if "m-" in row.body)
        del rows.outcomes[key]
        [problem] = inventory.verify().problems
        assert problem.invariant == "I6"
        assert problem.movement_id in gone.body
        assert problem.found == "none"
        rows.outcomes[key] = gone
        rows.outcomes["twice"] = gone._replace(key="twice")
        assert [each.found for each in inventory.verify().problems] == ["several"]

    def test_limit_keeps_the_first_and_counts_all(self) -> None:
        """However much is broken, the answer stays small and says how much there is."""
        inventory = busy_shop()
        for _ in range(9):
            inventory.receive("MUG", 1, at="berlin")
        rows = rows_of(inventory)
        rows.outcomes = {key: row._replace(body="") for key, row in rows.outcomes.items()}
        for limit, result in ((2, inventory.verify(limit=2)), (20, inventory.verify())):
            assert len(result.problems) == limit
            assert result.found == len(rows.outcomes)


def step(number: int, leg: Leg, recorded_at: int) -> Step:
    """Return an entry that its movement explains, though no rule of ours would have made it."""
    key = StockKey(leg.sku, (leg.source.location or leg.target.location), leg.lot)
    draft = Draft(Kind.SOLD, (leg,), 0, guarded=False)
    words = (
        f"m-{number}",
        "sold",
        0,
        recorded_at,
        0,
        *(None,) * 5,
        body_of(draft, [(key, number)]),
    )
    change = changes_of(Kind.SOLD, draft.legs)[key]
    before = plus(NOTHING, [(number - 1) * each for each in change])
    row = EMPTY_ROW._replace(version=number - 1, amounts=before)
    _, entry = extend(row, key, change, words[0], 0, recorded_at, None)
    return Step(entry, number, sealed(words))


class TestFold:
    def test_promise_below_zero_is_named(self) -> None:
        """An entry may fit its movement and still take what nobody had been promised."""
        leg = Leg("MUG", "", 2, inside("berlin", State.HELD), CUSTOMER)
        _, problem = fold(MUG, [step(1, leg, 10)])
        assert problem is not None
        assert (problem.invariant, problem.found) == ("I4", "held -2")

    def test_recorded_at_that_goes_back_is_named(self) -> None:
        """Entry and movement may agree on a moment before the one of the entry before."""
        leg = Leg("MUG", "", 2, inside("berlin", State.SELLABLE), CUSTOMER)
        _, problem = fold(MUG, [step(1, leg, 10), step(2, leg, 9)])
        assert problem is not None
        assert (problem.invariant, problem.movement_id) == ("I3", "m-2")

    def test_figures_beyond_bounds_are_named(self) -> None:
        """What no storage can hold ends the fold, and is the problem."""
        leg = Leg("MUG", "", 2**63 - 1, inside("berlin", State.SELLABLE), CUSTOMER)
        first = step(1, leg, 10)
        second = Step(first.entry._replace(version=2), 2, first.movement)
        _, problem = fold(MUG, [first, second])
        assert problem is not None
        assert "within" in problem.expected


class TestProblem:
    def test_sentence_says_where_and_what(self) -> None:
        """A developer reads the place, both values, and the promise that was broken."""
        problem = Problem(
            invariant="I3",
            where="'MUG' at 'berlin', version 3",
            expected="after = sellable 5",
            found="after = sellable 7",
            movement_id="m-1",
        )
        assert str(problem) == (
            "'MUG' at 'berlin', version 3 (movement 'm-1'): expected after = sellable 5, found "
            "after = sellable 7; I3: versions run without gap, each continues the one before, "
            "and digests fit"
        )

    def test_every_invariant_used_has_a_meaning(self) -> None:
        """No problem can be told without its promise."""
        assert {case.invariant for case in CASES} <= set(MEANING)


class TestClean:
    def test_history_of_every_kind_is_ok(self) -> None:
        """A shop in which everything happened is in order, and everything was looked at."""
        inventory = busy_shop()
        result = inventory.verify()
        rows = rows_of(inventory)
        assert result.ok, "\n".join(map(str, result.problems))
        assert result.problems == ()
        assert result.movements == result.position == len(rows.movements)
        assert result.entries == sum(map(len, rows.entries.values()))
        assert result.keys == len([row for row in rows.rows.values() if row.version])
        assert result.lines == 3
        assert result.records == sum(map(len, rows.records.values()))
        assert result.outcomes == len(rows.outcomes)

    def test_empty_ledger_is_ok(self) -> None:
        """Nothing is in order, too."""
        result = Inventory().verify()
        assert (result.ok, result.position, result.digest) == (True, 0, scan.START)

    def test_progress_ends_where_it_said(self) -> None:
        """The last call says that all movements and entries are done."""
        calls: list[tuple[int, int]] = []
        result = busy_shop().verify(progress=lambda done, total: calls.append((done, total)))
        assert calls[-1] == (result.movements + result.entries,) * 2
        assert calls == sorted(calls)

    def test_progress_is_told_for_a_page_or_a_key_not_for_each_entry(self) -> None:
        """Telling costs more than checking does."""
        calls: list[int] = []
        inventory = Inventory()
        inventory.locations.add("berlin")
        inventory.submit([Received("MUG", 1, at="berlin") for _ in range(30)])
        inventory.verify(progress=lambda done, _total: calls.append(done))
        assert calls == [30, 60]

    @pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 8, 9])
    def test_last_position_is_found_by_halving(self, count: int) -> None:
        """Whatever the number of movements, asking for the next ones finds the last."""
        inventory = Inventory()
        inventory.locations.add("berlin")
        for _ in range(count):
            inventory.receive("MUG", 1, at="berlin")
        with inventory.storage.read("main") as reader:
            assert scan.last_position(reader) == count

    def test_lines_of_later_rounds_are_folded_too(self) -> None:
        """A reference used again has lines of a second round, and those of the first."""
        inventory = Inventory()
        inventory.locations.add("berlin")
        inventory.receive("MUG", 5, at="berlin")
        for _ in range(2):
            inventory.reserve({"MUG": 2}, reference="cart-1")
            inventory.release("cart-1")
        result = inventory.verify()
        assert result.ok
        assert result.lines == 2


class TestExpected:
    def test_sealed_prefix_may_grow(self) -> None:
        """A ledger that only went on still has the digest it had at that position."""
        inventory = busy_shop()
        seal = inventory.verify()
        inventory.receive("MUG", 1, at="berlin")
        assert inventory.verify(expected=(seal.position, seal.digest)).ok
        assert inventory.verify().digest != seal.digest

    def test_cut_tail_is_seen_though_all_that_is_left_agrees(self) -> None:
        """A copy from before the last movement is in order by itself, not against the seal."""
        early, late = busy_shop(), busy_shop()
        late.receive("MUG", 1, at="berlin")
        seal = late.verify()
        assert early.verify().ok
        [problem] = early.verify(expected=(seal.position, seal.digest)).problems
        assert problem.invariant == "I5"
        assert problem.where == "the end of the ledger"

    def test_rewritten_history_is_seen_though_it_agrees(self) -> None:
        """Another history of the same length has another digest."""
        one, other = Inventory(), Inventory()
        for inventory, quantity in ((one, 5), (other, 6)):
            inventory.locations.add("berlin")
            inventory.receive("MUG", quantity, at="berlin")
        seal = one.verify()
        [problem] = other.verify(expected=(seal.position, seal.digest)).problems
        assert (problem.invariant, problem.where) == ("I5", "the movements up to position 1")

    def test_seal_of_an_empty_ledger_holds(self) -> None:
        """Position 0 has the digest every ledger starts with, and no other."""
        inventory = busy_shop()
        assert inventory.verify(expected=(0, scan.START)).ok
        assert not inventory.verify(expected=(0, "f" * 32)).ok

    @pytest.mark.parametrize("expected", [(-1, "0"), (1.0, "0"), (1, None)])
    def test_nonsense_is_refused(self, expected: Any) -> None:
        """A position is a whole number, a digest is text."""
        with pytest.raises(errors.InvalidRequest):
            Inventory().verify(expected=expected)

    def test_limit_of_nothing_is_refused(self) -> None:
        """At least one problem is kept."""
        with pytest.raises(errors.InvalidQuantity):
            Inventory().verify(limit=0)


# --- the same in a file -----------------------------------------------------------------

#: Statements behind the adapter's back, and what is found.
STATEMENTS: Final = {
    "UPDATE truecount_stock SET sellable = sellable + 1 WHERE sku = 'MUG'": (
        "I2",
        "'MUG' at 'berlin', the stock row",
    ),
    "UPDATE truecount_entry SET after_sellable = 99 WHERE sku = 'MUG' AND version = 4": (
        "I3",
        "'MUG' at 'berlin', version 4",
    ),
    "UPDATE truecount_entry SET change_sellable = 1 WHERE sku = 'MUG' AND version = 3": (
        "I1",
        "'MUG' at 'berlin', version 3",
    ),
    "DELETE FROM truecount_entry WHERE sku = 'MUG' AND version = 11": (
        "I2",
        "'MUG' at 'berlin', the stock row",
    ),
    "DELETE FROM truecount_stock WHERE sku = 'TEA'": (
        "I2",
        "'TEA' at 'berlin' lot 'L-1', the stock row",
    ),
    "UPDATE truecount_movement SET actor = 'eve' WHERE position = 2": ("I3", "the receive"),
    "UPDATE truecount_movement SET position = 99 WHERE position = 14": (
        "I15",
        "the movement after position 13",
    ),
    "UPDATE truecount_line SET round = 2 WHERE reference = 'cart-2'": (
        "I2",
        "line 1 of reservation 'cart-2'",
    ),
    "DELETE FROM truecount_record WHERE space = 'transfer'": ("I2", "the transfer_out"),
    "UPDATE truecount_outcome SET body = '' WHERE key = 'till-1'": ("I6", "request 'till-1'"),
}


class TestSQLite:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        """Return the file of a busy shop."""
        path = tmp_path / "shop.db"
        storage = SQLiteStorage(path, synchronous="OFF")
        with busy_shop(storage) as inventory:
            assert inventory.verify().ok
        return path

    def test_same_history_has_the_same_digest_everywhere(self, path: Path) -> None:
        """A seal taken on one storage holds on another."""
        seal = busy_shop().verify()
        with Inventory(SQLiteStorage(path)) as inventory:
            assert inventory.verify(expected=(seal.position, seal.digest)).ok
            assert attrs.asdict(inventory.verify()) == attrs.asdict(seal)

    @pytest.mark.parametrize("statement", STATEMENTS)
    def test_damage_by_hand_is_named(self, path: Path, statement: str) -> None:
        """Whoever edits the file with another program is found out, at the right place."""
        invariant, where = STATEMENTS[statement]
        with closing(sqlite3.connect(path)) as file:
            triggers = file.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            for [name] in triggers.fetchall():
                file.execute(f"DROP TRIGGER {name}")
            assert file.execute(statement).rowcount
            file.commit()
        with closing(SQLiteStorage(path, read_only=True)) as storage:
            problem = Inventory(storage).verify().problems[0]
        assert problem.invariant == invariant, str(problem)
        assert where in problem.where


def test_storage_that_answers_with_lists_is_verified_to_the_end() -> None:
    """What yields its entries all at once is read as what yields them one by one."""
    inventory = busy_shop(Broken(entries=lambda unit, key, after=0: list(unit.entries(key, after))))
    assert inventory.verify().ok
