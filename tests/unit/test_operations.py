from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any

import attrs
import pytest

from truecount import (
    Adjusted,
    Amend,
    Arrived,
    Assemble,
    Confirm,
    Correct,
    Counted,
    Damaged,
    DefineBundle,
    DeliveryClosed,
    Disassemble,
    Expected,
    Inspected,
    Lost,
    Opened,
    Operation,
    Pick,
    Received,
    Rejected,
    Release,
    Relocate,
    RemoveBundle,
    Reserve,
    Returned,
    ReturnedToSupplier,
    Scrapped,
    Ship,
    ShortPick,
    Sold,
    State,
    TakeBack,
    TransferOut,
    Undo,
)
from truecount.errors import (
    InvalidArgument,
    InvalidData,
    InvalidQuantity,
    InvalidRequest,
    InvalidText,
    InvalidTime,
)
from truecount.model import operation as base
from truecount.model.places import ON_HAND
from truecount.model.reservation_commands import Expire
from truecount.model.shop_rules import Put


THEN = datetime(2026, 3, 1, 10, 2, tzinfo=timezone(timedelta(hours=1)))
LATER = datetime(2026, 5, 1, tzinfo=UTC)
WORDS: Mapping[str, Any] = MappingProxyType(
    {"key": "k-1", "actor": "kim", "origin": "etsy", "occurred_at": THEN}
)

#: One operation of every class, every word of it said.
SAMPLES: tuple[Operation, ...] = (
    Opened("MUG", 3, at="berlin", state=State.DAMAGED, lot="A", lot_expires_at=LATER, **WORDS),
    Expected("MUG", 3, at="berlin", reference="PO-1", due_at=LATER, **WORDS),
    Received(
        "MUG",
        3,
        at="berlin",
        into=State.QUARANTINE,
        lot="A",
        lot_expires_at=LATER,
        rejected=2,
        reference="PO-1",
        **WORDS,
    ),
    DeliveryClosed("MUG", at="berlin", reference="PO-1", **WORDS),
    Sold("MUG", 3, at="berlin", lot="A", reference="cart", **WORDS),
    Returned("MUG", 3, at="berlin", into=State.SELLABLE, lot="A", **WORDS),
    Inspected("MUG", 3, at="berlin", into=State.DAMAGED, lot="A", **WORDS),
    Damaged("MUG", 3, at="berlin", state=State.QUARANTINE, lot="A", **WORDS),
    Scrapped("MUG", 3, at="berlin", reason="broken", state=State.SELLABLE, lot="A", **WORDS),
    ReturnedToSupplier("MUG", 3, at="berlin", state=State.DAMAGED, lot="A", **WORDS),
    Adjusted(
        "MUG", -3, at="berlin", reason="lost", state=State.DAMAGED, lot="A", refuse_below=0, **WORDS
    ),
    Counted(
        "MUG",
        0,
        at="berlin",
        counted_at=THEN,
        covers=frozenset({State.SELLABLE, State.PICKED}),
        lot="A",
        key="k-1",
    ),
    Arrived({"MUG": 3}, reference="T-1", **WORDS),
    Rejected({"MUG": 3}, reference="T-1", **WORDS),
    Lost({"MUG": 3, "TEA": 1}, reference="T-1", **WORDS),
    Relocate("MUG", 3, source="berlin", target="köln", state=State.DAMAGED, lot="A", **WORDS),
    TransferOut({"MUG": 3}, source="berlin", target="köln", due_at=LATER, reference="T-1", **WORDS),
    Assemble("GIFT", 3, {"MUG": 2, "TEA": 1}, at="berlin", **WORDS),
    DefineBundle("GIFT", {"MUG": 2, "TEA": 1}, **WORDS),
    RemoveBundle("GIFT", **WORDS),
    Disassemble("GIFT", 3, {"MUG": 2, "TEA": 1}, at="berlin", **WORDS),
    Correct(movement_id="m-1", quantity=0, sku="TEA", at="köln", lot="B", reason="typed", **WORDS),
    Undo(movement_id="m-1", reason="typed", **WORDS),
    Reserve(
        {"MUG": 3},
        reference="cart",
        at="berlin",
        lot="A",
        ttl=timedelta(minutes=15),
        partial=True,
        **WORDS,
    ),
    Confirm(reference="cart", on_expired="rehold", **WORDS),
    Release({"MUG": 3}, reference="cart", **WORDS),
    Amend({"MUG": 0, "TEA": 4}, reference="cart", at="berlin", **WORDS),
    Pick({"MUG": 3}, reference="cart", at="berlin", **WORDS),
    ShortPick({"MUG": 3}, reference="cart", at="berlin", into=State.DAMAGED, **WORDS),
    Ship({"MUG": 3}, reference="cart", at="berlin", **WORDS),
    TakeBack({"MUG": 3}, reference="cart", at="berlin", into=State.SELLABLE, **WORDS),
    Expire(holds=(("cart", 1), ("cart", 2)), key="k-1"),
    Put(documents=(("location", "berlin", {"priority": 1}),), key="k-1"),
)
FACTS = tuple(sample for sample in SAMPLES if sample.is_fact)


def named(value: object) -> str:
    """Return the id of a test."""
    return type(value).__name__ if isinstance(value, Operation) else repr(value)


def test_the_samples_are_all_there_is() -> None:
    """Every class of the modules has one, so no test below forgets any."""
    ours = {
        name
        for name, kind in base._OPERATIONS.items()
        if kind.__module__.rpartition(".")[2] in base._MODULES
    }
    assert {type(sample).__name__ for sample in SAMPLES} == ours


def test_plain_data_is_read_before_its_kind_was_ever_named() -> None:
    """A worker that was just started reads what another wrote down."""
    words = "from truecount import Operation; print(Operation.from_dict(%r))"
    data = Ship({"MUG": 3}, reference="cart").to_dict()
    started = [sys.executable, "-c", words % data]
    told = subprocess.run(started, check=True, capture_output=True, text=True).stdout
    assert told == "Ship(reference='cart', lines=(('MUG', 3),))\n"


@pytest.mark.parametrize("name", ["Explained", "Referenced"])
def test_what_operations_build_on_is_none_itself(name: str) -> None:
    """It says nothing that anybody could decide."""
    with pytest.raises(InvalidData, match="is unknown"):
        Operation.from_dict({"type": name, "schema": 1, "reason": "x", "reference": "x"})


@pytest.mark.parametrize("sample", SAMPLES, ids=named)
class TestPlainData:
    def test_there_and_back_is_the_same(self, sample: Operation) -> None:
        """Through JSON, with every word, and the same request as before."""
        revived = Operation.from_dict(json.loads(json.dumps(sample.to_dict())))
        assert revived == sample
        assert type(revived) is type(sample)
        assert revived.fingerprint() == sample.fingerprint()

    def test_what_was_not_said_is_not_written(self, sample: Operation) -> None:
        """Defaults take no room, and come back."""
        required = {
            field.name: getattr(sample, field.name)
            for field in attrs.fields(type(sample))
            if field.default is attrs.NOTHING
        }
        said = {"quantity": sample.quantity} if isinstance(sample, Correct) else {}
        words: dict[str, Any] = {**required, **said}
        bare = type(sample)(**words)
        assert set(bare.to_dict()) == {"type", "schema", *required, *said}
        assert Operation.from_dict(bare.to_dict()) == bare

    def test_unknown_fields_are_refused(self, sample: Operation) -> None:
        """A misspelt word would be lost without a sound."""
        with pytest.raises(InvalidData, match="has no field 'quantiti'"):
            Operation.from_dict(sample.to_dict() | {"quantiti": 1})

    @pytest.mark.parametrize("schema", [0, 2, "1", None])
    def test_other_versions_are_refused(self, sample: Operation, schema: object) -> None:
        """What a later version wrote is not guessed at."""
        with pytest.raises(InvalidData, match="is unknown"):
            Operation.from_dict(sample.to_dict() | {"schema": schema})

    def test_a_missing_word_is_named(self, sample: Operation) -> None:
        """What is required must be there."""
        required = [f.name for f in attrs.fields(type(sample)) if f.default is attrs.NOTHING]
        data = sample.to_dict()
        del data[required[0]]
        with pytest.raises(InvalidData, match=required[0]):
            Operation.from_dict(data)

    def test_it_reads_as_it_was_said(self, sample: Operation) -> None:
        """Its repr can be typed in again."""
        assert repr(sample).startswith(f"{type(sample).__name__}(")
        assert "None" not in repr(sample)


@pytest.mark.parametrize("sample", SAMPLES, ids=named)
class TestFingerprint:
    def test_the_key_is_no_part_of_the_request(self, sample: Operation) -> None:
        """The same request under another key is the same request."""
        other = sample.with_key("k-2")
        assert (other.key, other.fingerprint()) == ("k-2", sample.fingerprint())

    def test_every_other_word_is(self, sample: Operation) -> None:
        """Leaving any optional word out makes it another request."""
        for field in attrs.fields(type(sample)):
            optional = field.default is not attrs.NOTHING and field.name not in {"key", "round"}
            if not optional or getattr(sample, field.name) == field.default:
                continue
            try:
                other = attrs.evolve(sample, **{field.name: field.default})
            except InvalidRequest:  # an expiry without its lot
                continue
            assert other.fingerprint() != sample.fingerprint(), field.name

    def test_it_is_frozen(self, sample: Operation) -> None:
        """A request that was made stays what it is."""
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            sample.key = "other"  # type: ignore[misc]  # the point of the test


def test_kinds_of_one_shape_are_told_apart() -> None:
    """Assembling is not taking apart."""
    assert len({sample.fingerprint() for sample in SAMPLES}) == len(SAMPLES)


def test_one_moment_said_in_two_zones_is_one_request() -> None:
    """A time zone is a way of saying, not a thing said."""
    here = Sold("MUG", 1, at="berlin", occurred_at=THEN)
    there = Sold("MUG", 1, at="berlin", occurred_at=THEN.astimezone(UTC))
    assert here.fingerprint() == there.fingerprint()


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"type": "Sold"},
        {"type": "Operation", "schema": 1},
        {"type": "_Owned", "schema": 1, "reference": "x"},
        {"type": "Bought", "schema": 1},
        {"type": "Sold", "schema": 1, 3: 4},
        {"type": "Undo", "schema": 1, "movement_id": "m", "reason": "x", "occurred_at": "noon"},
        {"type": "Reserve", "schema": 1, "reference": "c", "lines": {"M": 1}, "ttl": 10**40},
        ["Sold"],
        "Sold",
        None,
    ],
    ids=repr,
)
def test_what_is_no_operation_is_refused(data: Any) -> None:
    """Nothing is guessed, and nothing but our own error comes out."""
    with pytest.raises(InvalidData, match="cannot read an operation"):
        Operation.from_dict(data)


#: Which operations take one SKU and a quantity above zero.
QUANTITIES: dict[str, Callable[[Any], Operation]] = {
    "Opened": lambda n: Opened("MUG", n, at="berlin"),
    "Expected": lambda n: Expected("MUG", n, at="berlin", reference="PO"),
    "Sold": lambda n: Sold("MUG", n, at="berlin"),
    "Returned": lambda n: Returned("MUG", n, at="berlin"),
    "Inspected": lambda n: Inspected("MUG", n, at="berlin", into=State.SELLABLE),
    "Damaged": lambda n: Damaged("MUG", n, at="berlin"),
    "Scrapped": lambda n: Scrapped("MUG", n, at="berlin", reason="x"),
    "ReturnedToSupplier": lambda n: ReturnedToSupplier("MUG", n, at="berlin"),
    "Relocate": lambda n: Relocate("MUG", n, source="berlin", target="köln"),
    "Assemble": lambda n: Assemble("GIFT", n, {"MUG": 1}, at="berlin"),
    "components": lambda n: Disassemble("GIFT", 1, {"MUG": n}, at="berlin"),
    "Arrived": lambda n: Arrived({"MUG": n}, reference="T"),
    "Reserve": lambda n: Reserve({"MUG": n}, reference="c"),
    "TakeBack": lambda n: TakeBack({"MUG": n}, reference="c"),
}


@pytest.mark.parametrize("name", QUANTITIES)
@pytest.mark.parametrize(
    "quantity", [0, -1, 2**63, 10**30, 1.0, True, "3", None, float("nan")], ids=repr
)
def test_bad_quantities_are_refused(name: str, quantity: object) -> None:
    """Nothing, less than nothing, too much, rounded, true, text."""
    with pytest.raises(InvalidQuantity, match="cannot use quantity"):
        QUANTITIES[name](quantity)


#: Calls that mean nothing, the error they raise and some of its words.
NONSENSE: tuple[tuple[Callable[[], Operation], type[Exception], str], ...] = (
    (lambda: Adjusted("MUG", 0, at="berlin", reason="x"), InvalidQuantity, "use change 0"),
    (
        lambda: Adjusted("MUG", -1, at="berlin", reason="x", refuse_below=-1),
        InvalidQuantity,
        "use refuse_below -1",
    ),
    (lambda: Received("MUG", 0, at="berlin"), InvalidQuantity, "quantity and rejected"),
    (
        lambda: Received("MUG", 2**62, at="berlin", rejected=2**62),
        InvalidQuantity,
        "quantity and rejected together 9223372036854775808",
    ),
    (lambda: Received("MUG", 1, at="b", rejected=-1), InvalidQuantity, "use rejected -1"),
    (lambda: Counted("MUG", -1, at="berlin"), InvalidQuantity, "use quantity -1"),
    (lambda: Reserve({}, reference="c"), InvalidArgument, "at least one"),
    (lambda: Reserve("MUG", reference="c"), InvalidArgument, "a mapping of SKU"),  # type: ignore[arg-type]  # the point of the test
    (lambda: Reserve([("MUG",)], reference="c"), InvalidArgument, "a mapping of SKU"),  # type: ignore[list-item]  # the point of the test
    (
        lambda: Reserve([("MUG", 2**62), ("MUG", 2**62)], reference="c"),
        InvalidQuantity,
        "9223372036854775808",
    ),
    (
        lambda: Amend([("MUG", 1), ("MUG", 2)], reference="c"),
        InvalidArgument,
        "each SKU once",
    ),
    (lambda: Reserve({"MUG": 1}, reference="c", partial=1), InvalidArgument, "use partial 1"),  # type: ignore[arg-type]  # the point of the test
    (lambda: Confirm(reference="c", on_expired="maybe"), InvalidArgument, "'refuse' or"),
    (lambda: Correct(movement_id="m", reason="x"), InvalidArgument, "quantity, sku, at or"),
    (lambda: Opened("MUG", 1, at="b", lot_expires_at=LATER), InvalidArgument, "lot= as well"),
    (lambda: Received("MUG", 1, at="b", lot_expires_at=LATER), InvalidArgument, "lot= as"),
    (lambda: Relocate("MUG", 1, source="b", target="b"), InvalidArgument, "another location"),
    (
        lambda: TransferOut({"MUG": 1}, source="b", target="b", reference="T"),
        InvalidArgument,
        "another location",
    ),
    (lambda: Assemble("GIFT", 1, {"GIFT": 1}, at="b"), InvalidArgument, "other than the kit"),
    (
        lambda: Disassemble("GIFT", 1, {"GIFT": 1}, at="b"),
        InvalidArgument,
        "other than the kit",
    ),
    (
        lambda: Counted("MUG", 1, at="b", counted_at=THEN, occurred_at=LATER),
        InvalidArgument,
        "a count happened then",
    ),
    (lambda: Counted("MUG", 1, at="b", covers=[State.HELD]), InvalidArgument, "SELLABLE in"),
    (lambda: Counted("MUG", 1, at="b", covers="sellable"), InvalidArgument, "a set of"),
)


@pytest.mark.parametrize(
    ("make", "error", "message"), NONSENSE, ids=[str(number) for number in range(len(NONSENSE))]
)
def test_nonsense_is_refused_when_it_is_said(
    make: Callable[[], Operation], error: type[Exception], message: str
) -> None:
    """An operation is checked completely when it is made; nothing behind it checks again."""
    with pytest.raises(error, match=message):
        make()


#: Which states each choice offers; every other one is refused.
CHOICES: dict[str, tuple[Callable[[Any], Operation], set[State]]] = {
    "opened": (
        lambda s: Opened("MUG", 1, at="b", state=s),
        {State.SELLABLE, State.QUARANTINE, State.DAMAGED},
    ),
    "received": (
        lambda s: Received("MUG", 1, at="b", into=s),
        {State.SELLABLE, State.QUARANTINE},
    ),
    "returned": (
        lambda s: Returned("MUG", 1, at="b", into=s),
        {State.SELLABLE, State.QUARANTINE, State.DAMAGED},
    ),
    "inspected": (
        lambda s: Inspected("MUG", 1, at="b", into=s),
        {State.SELLABLE, State.DAMAGED},
    ),
    "damaged": (
        lambda s: Damaged("MUG", 1, at="b", state=s),
        {State.SELLABLE, State.QUARANTINE},
    ),
    "short pick": (
        lambda s: ShortPick({"MUG": 1}, reference="c", into=s),
        {State.QUARANTINE, State.DAMAGED},
    ),
    "relocate": (
        lambda s: Relocate("MUG", 1, source="a", target="b", state=s),
        {State.SELLABLE, State.QUARANTINE, State.DAMAGED},
    ),
}


@pytest.mark.parametrize("choice", CHOICES)
def test_states_are_those_the_table_allows(choice: str) -> None:
    """By name or by member; promised stock is never one of them."""
    make, allowed = CHOICES[choice]
    for state in State:
        for value in (state, state.value):
            if state in allowed:
                make(value)
            else:
                with pytest.raises(InvalidArgument, match="one of"):
                    make(value)


@pytest.mark.parametrize("field", ["sku", "at", "lot", "key", "reference", "actor", "origin"])
@pytest.mark.parametrize("text", [" x", "x\n", "e\u0301", "x" * 10_000, 3], ids=repr)
def test_every_word_is_clean_text(field: str, text: object) -> None:
    """Whatever it is for."""
    words: dict[str, Any] = {"sku": "MUG", "quantity": 1, "at": "berlin", field: text}
    with pytest.raises(InvalidText):
        Sold(**words)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda t: Sold("MUG", 1, at="b", occurred_at=t), "occurred_at"),
        (lambda t: Counted("MUG", 1, at="b", counted_at=t), "counted_at"),
        (lambda t: Expected("MUG", 1, at="b", reference="PO", due_at=t), "due_at"),
        (lambda t: Opened("MUG", 1, at="b", lot="A", lot_expires_at=t), "lot_expires_at"),
    ],
)
def test_naive_times_are_refused_by_name(make: Callable[[Any], Operation], name: str) -> None:
    """The message says which time it was."""
    with pytest.raises(InvalidTime, match=f"as {name}: it has no time zone"):
        make(datetime(2026, 3, 1))  # noqa: DTZ001 -- naive on purpose


class TestNature:
    def test_commands_and_facts(self) -> None:
        """What may be refused is a command."""
        assert {type(fact).__name__ for fact in FACTS} == {
            "Adjusted",
            "Arrived",
            "Counted",
            "Damaged",
            "DeliveryClosed",
            "Expected",
            "Expire",
            "Inspected",
            "Lost",
            "Opened",
            "Put",
            "Received",
            "Rejected",
            "Returned",
            "ReturnedToSupplier",
            "Scrapped",
            "ShortPick",
            "Sold",
        }
        assert {type(s).__name__ for s in SAMPLES if s.is_command} >= {
            "Reserve",
            "Relocate",
            "Undo",
        }

    def test_an_adjustment_with_a_limit_is_a_command(self) -> None:
        """It may be refused, so it is treated as one."""
        assert Adjusted("MUG", -1, at="b", reason="x", refuse_below=0).is_command
        assert not Adjusted("MUG", -1, at="b", reason="x").is_command

    def test_only_what_it_is_about_is_said_by_place(self) -> None:
        """Goods, and how many or of what: whatever could be mixed up is said by name."""
        by_place = {
            tuple([field.name for field in attrs.fields(type(sample)) if not field.kw_only])
            for sample in SAMPLES
        }
        assert by_place == {
            (),
            ("sku",),
            ("sku", "quantity"),
            ("sku", "change"),
            ("sku", "components"),
            ("sku", "quantity", "components"),
            ("lines",),
            ("movement_id",),
            ("holds",),
            ("documents",),
        }

    def test_what_is_not_said_is_nothing_but_for_these(self) -> None:
        """Stored requests leave out what was not said, so it means the same for ever."""
        assumed = {
            (type(sample).__name__, field.name): field.default
            for sample in SAMPLES
            for field in attrs.fields(type(sample))
            if field.default is not attrs.NOTHING and field.default
        }
        assert assumed == {
            ("Adjusted", "state"): State.SELLABLE,
            ("Confirm", "on_expired"): "refuse",
            ("Counted", "covers"): ON_HAND - {State.PICKED},
            ("Damaged", "state"): State.SELLABLE,
            ("Opened", "state"): State.SELLABLE,
            ("Received", "into"): State.SELLABLE,
            ("Relocate", "state"): State.SELLABLE,
            ("Returned", "into"): State.QUARANTINE,
            ("ReturnedToSupplier", "state"): State.QUARANTINE,
            ("Scrapped", "state"): State.DAMAGED,
            ("TakeBack", "into"): State.QUARANTINE,
        }

    def test_acting_on_lines_needs_a_key(self) -> None:
        """A second "ship one" is another one; "ship all" twice is once."""
        assert Ship({"MUG": 1}, reference="c").needs_key
        assert not Ship(reference="c").needs_key
        assert TakeBack({"MUG": 1}, reference="c").needs_key

    def test_equal_skus_of_a_cart_are_added_up(self) -> None:
        """Two lines of one SKU compete for the same stock."""
        assert Reserve([("TEA", 1), ("MUG", 2), ("TEA", 3)], reference="c").lines == (
            ("MUG", 2),
            ("TEA", 4),
        )
