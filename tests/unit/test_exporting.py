"""The whole ledger out and in again: equal, resumable, and strict about every line."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

from truecount import (
    Adjusted,
    Export,
    Import,
    Inventory,
    MemoryStorage,
    Policy,
    Received,
    Sold,
    SQLiteStorage,
    State,
    errors,
)
from truecount.ledger import exporting, importing
from truecount.model.movements import MovementRow, digest_of, encode
from truecount.model.operation import Operation
from truecount.model.settings import GENERATION, JOURNAL
from truecount.model.shop_rules import Put
from truecount.protocols.storage import Storage
from truecount.testing import CountingIds, Crash, FailAt, FaultyStorage, ManualClock, Moment
from truecount.testing.faults import failure_of


START: Final = datetime(2026, 3, 1, 9, tzinfo=UTC)
DAY: Final = timedelta(days=1)


def lived_in(storage: Storage | None = None) -> Inventory:
    """Return a shop with orders, lots, a delivery, a transfer, refusals and odd names."""
    clock = ManualClock(START)
    inventory = Inventory(storage, clock=clock, new_id=CountingIds("m"))
    inventory.locations.add("berlin", "Łódź")
    inventory.policies.set(Policy(backorder_limit=2), sku='CUP "Ø"')
    inventory.expect("MUG", 6, at="berlin", reference="po-1")
    inventory.receive("MUG", 4, at="berlin", reference="po-1", actor="sam")
    inventory.receive("MUG", 20, at="berlin")
    inventory.receive("TEA", 5, at="berlin", lot="L-1", lot_expires_at=START + 30 * DAY)
    clock.tick()
    inventory.reserve({"MUG": 3, "TEA": 1}, reference="cart-1", ttl=DAY, key="checkout-1")
    inventory.record([Sold('CUP "Ø"', 2, at="Łódź", occurred_at=START - DAY, key="till-1")])
    inventory.reserve({"MUG": 4}, reference="cart-2", ttl=DAY)
    inventory.confirm("cart-2")
    clock.tick(-timedelta(hours=1))
    inventory.ship("cart-2", {"MUG": 1}, key="parcel-1")
    inventory.take_back("cart-2", {"MUG": 1}, key="rma-1", into=State.QUARANTINE, at="Łódź")
    inventory.transfer_out("move-1", {"MUG": 5}, source="berlin", target="Łódź")
    inventory.arrive("move-1", {"MUG": 9})
    inventory.undo(inventory.damage("MUG", 1, at="berlin").movement_id, reason="it was fine")
    with pytest.raises(errors.InsufficientStock):
        inventory.reserve({"MUG": 500}, reference="cart-3", key="too-many")
    return inventory


def exported(inventory: Inventory) -> list[str]:
    """Return the lines of an export."""
    file = io.StringIO()
    inventory.export(file)
    return list(file_lines(file))


def file_lines(file: io.StringIO) -> Iterator[str]:
    """Yield the lines as an open file does, newlines included."""
    file.seek(0)
    yield from file


def load(inventory: Inventory, lines: list[str], *, chunk: int = 1000) -> Import:
    """Import *lines* in chunks of a given size."""
    return importing.import_lines(inventory._engine, lines, chunk=chunk)


def everything(inventory: Inventory) -> list[Any]:
    """Return all that can be read, movements with their positions and lines included."""
    with inventory.storage.read("main") as reader:
        references = {row.reference for _, row in reader.feed(limit=10_000) if row.reference}
        return [
            list(reader.stock()),
            [list(reader.entries(key)) for key, _ in reader.stock()],
            reader.feed(limit=10_000),
            [reader.lines(reference) for reference in sorted(references)],
            [list(reader.open_lines(key)) for key, _ in reader.stock()],
            reader.due_holds(2**62),
            [
                [
                    (record.id, record.body)
                    for record in reader.records(space)
                    if (space, record.id) not in (GENERATION, JOURNAL)  # A copy counts its own.
                ]
                for space in reader.spaces()
            ],
            reader.outcomes(limit=10_000),
        ]


def changed(lines: list[str], number: int, **fields: Any) -> list[str]:
    """Return *lines* with fields of line *number* changed."""
    value = json.loads(lines[number - 1])
    [name] = value
    value[name] |= fields
    return [*lines[: number - 1], encode(value) + "\n", *lines[number:]]


def resealed(lines: list[str], number: int, **fields: Any) -> list[str]:
    """Return *lines* with fields of a movement changed, and a digest that fits again."""
    value = json.loads(changed(lines, number, **fields)[number - 1])["movement"]
    words = {name: value.get(name) for name in MovementRow._fields}
    row = MovementRow(**words | {"body": encode(value["body"])})
    return changed(lines, number, **fields, digest=digest_of(row))


class TestRoundTrip:
    @pytest.mark.parametrize("chunk", [1, 3, 1000])
    def test_copy_has_everything(self, chunk: int) -> None:
        """Figures, entries, movements, positions, lines, documents and outcomes are equal."""
        original, copy = lived_in(), Inventory()
        load(copy, exported(original), chunk=chunk)
        assert everything(copy) == everything(original)
        result = copy.verify()
        assert result.ok, "\n".join(map(str, result.problems))

    def test_copy_of_the_copy_is_the_same_text(self) -> None:
        """Two exports of one state are equal byte for byte."""
        lines = exported(lived_in())
        copy = Inventory()
        load(copy, lines)
        assert exported(copy) == lines

    def test_file_that_tells_of_generations_is_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Files of older versions do; a copy counts its own all the same."""
        with monkeypatch.context() as patch:
            patch.setattr(exporting, "GENERATION", ("none", "such"))
            older = exported(lived_in())
        assert any('"generation"' in line for line in older)
        copy = Inventory()
        load(copy, older)
        assert copy.verify().ok
        assert exported(copy) == exported(lived_in())

    def test_memory_sqlite_and_back(self, tmp_path: Path) -> None:
        """A ledger may change its storage, and change it back."""
        lines = exported(lived_in())
        with Inventory(SQLiteStorage(tmp_path / "a.db", synchronous="OFF")) as file:
            file.import_lines(lines)
            assert file.verify().ok
            assert exported(file) == lines
            back = Inventory()
            back.import_lines(exported(file))
        assert everything(back) == everything(lived_in())

    def test_sqlite_itself_writes_the_same_text(self, tmp_path: Path) -> None:
        """The storage a history was lived in leaves no trace in its export."""
        with lived_in(SQLiteStorage(tmp_path / "a.db", synchronous="OFF")) as file:
            assert exported(file) == exported(lived_in())

    def test_file_survives_the_disk(self, tmp_path: Path) -> None:
        """Written and read as the docstring says, odd names are themselves."""
        path = tmp_path / "shop.jsonl"
        with path.open("w", encoding="utf-8", newline="") as file:
            lived_in().export(file)
        copy = Inventory()
        with path.open(encoding="utf-8", newline="") as file:
            copy.import_lines(file)
        assert everything(copy) == everything(lived_in())

    def test_ends_of_lines_do_not_matter(self) -> None:
        """Whether lines end as here, as on Windows or not at all, they are the same lines."""
        lines = exported(lived_in())
        for end in ("", "\r\n"):
            assert load(Inventory(), [line.rstrip("\n") + end for line in lines]).movements

    def test_replays_work_in_the_copy(self) -> None:
        """A request that was answered before is not answered anew, granted or refused."""
        copy = Inventory(clock=ManualClock(START + DAY))
        load(copy, exported(lived_in()))
        again = copy.reserve({"MUG": 3, "TEA": 1}, reference="cart-1", ttl=DAY, key="checkout-1")
        assert again.replayed
        with pytest.raises(errors.InsufficientStock):
            copy.reserve({"MUG": 500}, reference="cart-3", key="too-many")
        with pytest.raises(errors.IdempotencyConflict):
            copy.reserve({"MUG": 1}, reference="cart-4", key="too-many")

    def test_life_goes_on_in_the_copy(self) -> None:
        """Open reservations ship, holds run out, rules and locations are in force."""
        copy = Inventory(clock=ManualClock(START + 2 * DAY))
        load(copy, exported(lived_in()))
        assert copy.ship("cart-2").status == "shipped"
        assert list(copy.locations) == ["berlin", "Łódź"]
        assert copy.policies.of('CUP "Ø"').backorder_limit == 2
        assert copy.reservation("cart-1").status == "expired"
        assert copy.verify().ok

    def test_shelf_that_is_promised_to_the_last_unit_goes_out_and_in(self) -> None:
        """Something in each state of a promise, and nothing left above the floor."""
        inventory = Inventory()
        inventory.locations.add("berlin")
        inventory.receive("MUG", 3, at="berlin")
        for reference in ("cart", "order", "parcel"):
            inventory.reserve({"MUG": 1}, reference=reference)
        for reference in ("order", "parcel"):
            inventory.confirm(reference)
        inventory.pick("parcel")
        copy = Inventory()
        load(copy, exported(inventory))
        assert everything(copy) == everything(inventory)
        found = copy.figures("MUG")
        assert (found.sellable, found.held, found.allocated, found.picked) == (0, 1, 1, 1)

    def test_rules_known_before_the_import_are_forgotten(self) -> None:
        """Whoever had read the shop rules of the target reads them anew."""
        copy = Inventory()
        assert list(copy.locations) == []
        load(copy, exported(lived_in()))
        assert list(copy.locations) == ["berlin", "Łódź"]
        assert copy.receive("MUG", 1, at="Łódź").granted

    @pytest.mark.parametrize("lost", [True, False])
    def test_movements_that_are_not_all_there_are_no_export(self, *, lost: bool) -> None:
        """One that has no position yet is missing, or one came while the others were read."""
        inventory = lived_in()
        storage = inventory.storage
        assert isinstance(storage, MemoryStorage)
        movements = storage._tenants["main"].movements
        if lost:
            movements.pop()
        else:
            movements.append(movements[0])
        with pytest.raises(errors.Retryable, match="somebody wrote as the export began"):
            exported(inventory)

    def test_empty_ledger_goes_out_and_in(self) -> None:
        """Nothing is exported as a header and a footer."""
        lines = exported(Inventory())
        assert len(lines) == 2
        assert load(Inventory(), lines).position == 0

    def test_other_tenants_of_the_target_are_let_alone(self) -> None:
        """An import goes into its own tenant only, whatever the file's was called."""
        target = lived_in()
        other = Inventory(target.storage, tenant="second", clock=ManualClock(START))
        load(other, exported(lived_in()))
        assert other.figures("MUG") == target.figures("MUG")
        assert everything(target) == everything(lived_in())

    def test_both_sides_say_what_went_through(self) -> None:
        """Counts, position and digest are the same out and in, and those of verify."""
        original, copy, file = lived_in(), Inventory(), io.StringIO()
        out = original.export(file)
        into = copy.import_lines(file_lines(file))
        assert isinstance(out, Export)
        assert out.lines == len(file.getvalue().splitlines())
        assert out.lines == 2 + out.movements + out.records + out.outcomes
        names = ("position", "digest", "movements", "records", "outcomes")
        assert [getattr(out, name) for name in names] == [getattr(into, name) for name in names]
        assert copy.verify(expected=(out.position, out.digest)).ok

    def test_progress_counts_movements(self) -> None:
        """Both ways the last call says that all movements are through."""
        calls: list[tuple[int, int]] = []
        file = io.StringIO()
        out = lived_in().export(file, progress=lambda *call: calls.append(call))
        assert calls[-1] == (out.movements, out.movements)
        calls.clear()
        Inventory().import_lines(file_lines(file), progress=lambda *call: calls.append(call))
        assert calls[-1] == (out.movements, out.movements)


class TestInterrupted:
    @pytest.mark.parametrize("chunk", [1, 4])
    def test_import_goes_on_wherever_it_stopped(self, chunk: int) -> None:
        """Killed after any line, the second run brings what is missing and no more."""
        lines = exported(lived_in())
        whole = everything(lived_in())
        for stop in range(1, len(lines)):
            copy = Inventory()

            def until_killed(stop: int = stop) -> Iterator[str]:
                yield from lines[:stop]
                raise KeyboardInterrupt

            with pytest.raises(KeyboardInterrupt):
                importing.import_lines(copy._engine, until_killed(), chunk=chunk)
            before = copy.verify().movements
            assert load(copy, lines, chunk=chunk).known == before
            assert everything(copy) == whole, stop

    def test_import_twice_changes_nothing(self) -> None:
        """All of it is known the second time."""
        lines, copy = exported(lived_in()), Inventory()
        first = load(copy, lines)
        second = load(copy, lines)
        assert second == attrs.evolve(first, known=first.movements)
        assert everything(copy) == everything(lived_in())

    def test_file_without_footer_is_imported_and_refused(self) -> None:
        """What a cut file has is kept, the cut is said, and the whole file completes it."""
        lines, copy = exported(lived_in()), Inventory()
        with pytest.raises(errors.InvalidData, match=r"ends after line 6 without its footer"):
            load(copy, lines[:6])
        assert copy.verify().movements == 5
        assert load(copy, lines).known == 5
        assert everything(copy) == everything(lived_in())

    def test_file_cut_within_a_line_is_refused(self) -> None:
        """Half a line is not JSON; whole chunks before it stay."""
        lines, copy = exported(lived_in()), Inventory()
        with pytest.raises(errors.InvalidData, match="line 6 of the export"):
            load(copy, [*lines[:5], lines[5][:40]], chunk=2)
        assert copy.verify().movements == 3  # The fourth is told earlier: a chunk of its own.

    def test_half_an_import_is_seen_by_verify(self) -> None:
        """Until the documents have come, verify says which are missing."""
        lines, copy = exported(lived_in()), Inventory()
        with pytest.raises(errors.InvalidData):
            load(copy, lines[:8])
        assert {problem.found for problem in copy.verify().problems} == {"none"}


class Stubborn(FaultyStorage):
    """A storage whose failed writes are always tried again."""

    def patience(self) -> Callable[[errors.TrueCountError], bool]:
        """Return what says so."""
        return lambda _problem: True


class TestFaults:
    @pytest.mark.parametrize("moment", Moment)
    def test_import_goes_on_after_any_call_that_failed(self, moment: Moment) -> None:
        """Before or after it happened: the second run brings what is missing and no more."""
        lines, whole = exported(lived_in()), everything(lived_in())
        for number in itertools.count(1):
            storage = MemoryStorage()
            try:
                load(Inventory(FaultyStorage(storage, FailAt(number, moment))), lines, chunk=9)
                break
            except Crash:
                load(Inventory(storage), lines, chunk=9)
                assert everything(Inventory(storage)) == whole, number
        assert number > 40

    @pytest.mark.parametrize("moment", Moment)
    def test_chunk_whose_commit_seemed_lost_is_tried_again(self, moment: Moment) -> None:
        """Within one run: whether or not it was committed, it is written once."""
        lines, whole = exported(lived_in()), everything(lived_in())
        for number in itertools.count(1):
            plan = FailAt(number, moment, "commit", error=failure_of)
            storage = Stubborn(MemoryStorage(), plan)
            assert load(Inventory(storage), lines, chunk=9).known == 0
            assert everything(Inventory(storage.behind)) == whole, number
            if plan.fired is None:
                break
        assert number > 5


class TestTarget:
    @pytest.mark.parametrize("ids", ["earlier", "other"])
    def test_target_with_a_life_of_its_own_is_refused_untouched(self, ids: str) -> None:
        """Two ledgers are never mixed."""
        target = Inventory(new_id=CountingIds(ids))
        target.locations.add("berlin")
        target.receive("JAR", 1, at="berlin")
        before = everything(target)
        with pytest.raises(errors.InvalidData, match=r"line 2 .* not in the export"):
            load(target, exported(lived_in()))
        assert everything(target) == before

    def test_target_that_went_on_is_refused_untouched(self) -> None:
        """An import does not put back the documents of a ledger that has gone on since."""
        lines, target = exported(lived_in()), Inventory()
        load(target, lines)
        target.receive("MUG", 1, at="berlin")
        before = everything(target)
        with pytest.raises(errors.InvalidData, match="not in the export"):
            load(target, lines)
        assert everything(target) == before

    @pytest.mark.parametrize(
        "own",
        [Received("MUG", 1, at="berlin"), Adjusted("MUG", 1, at="berlin", reason="found")],
        ids=["receive", "adjust"],
    )
    def test_same_id_with_other_words_is_refused(self, own: Operation) -> None:
        """A movement of another history is not taken for this one's."""
        lines = exported(lived_in())
        first = json.loads(lines[1])["movement"]["id"]
        ids = iter(["request-1", "request-2", first])
        target = Inventory(clock=ManualClock(START), new_id=lambda: next(ids))
        target.locations.add("berlin")
        target.submit([own])
        with pytest.raises(errors.InvalidData, match=r"line 2 .* with other words"):
            load(target, lines)

    def test_key_of_another_request_is_refused(self) -> None:
        """A key that the target has used for something else is named."""
        target, lines = Inventory(), exported(lived_in())
        with pytest.raises(errors.InvalidData, match="without its footer"):
            load(target, lines[:4])
        target.submit([Put(documents=(("note", "one", {}),), key="too-many")])
        with pytest.raises(errors.InvalidData, match="already names another request"):
            load(target, lines)

    def test_target_with_rules_of_its_own_is_refused_untouched(self) -> None:
        """They would be in force beside those of the file, and nobody would see it."""
        target = Inventory(new_id=CountingIds("other"))
        target.policies.set(Policy(backorder_limit=9), sku="JAR")
        before = everything(target)
        with pytest.raises(errors.InvalidData, match=r"line 2 .* the target has policy"):
            load(target, exported(lived_in()))
        assert everything(target) == before

    def test_file_without_movements_goes_on_as_well(self) -> None:
        """Its documents are compared one by one."""
        shop, copy = Inventory(), Inventory()
        shop.locations.add("berlin", "hamburg")
        lines = exported(shop)
        for _ in range(2):
            load(copy, lines)
        assert everything(copy) == everything(shop)


def doubled(lines: list[str]) -> list[str]:
    """Return *lines* with the first movement once more, as the last of them."""
    value = json.loads(lines[0])
    last = next(n for n, line in enumerate(lines) if line.startswith('{"record"'))
    again = json.loads(lines[1])
    again["movement"]["position"] = value["movements"] + 1
    return [*lines[:last], encode(again) + "\n", *lines[last:]]


LINES: Final = exported(lived_in())
FIRST: Final[dict[str, Any]] = json.loads(LINES[1])["movement"]
LAST: Final = len(LINES)
RECORD: Final = next(n for n, line in enumerate(LINES, 1) if line.startswith('{"record"'))
RESERVED: Final = next(n for n, line in enumerate(LINES, 1) if '"kind":"reserve"' in line)


def _body(**parts: Any) -> dict[str, Any]:
    body: dict[str, Any] = FIRST["body"]
    return body | parts


#: What a file may have wrong: its lines, the line to be named, what is said.
BAD: Final[dict[str, tuple[list[str], int, str]]] = {
    "empty line": ([LINES[0], "\n", *LINES[1:]], 2, "'' is not JSON"),
    "no json": ([LINES[0], "{oops\n"], 2, "'{oops' is not JSON"),
    "list": ([LINES[0], "[1]\n"], 2, "is not a JSON object"),
    "deep": ([LINES[0], "[" * 200_000 + "\n"], 2, "is not JSON"),
    "no header": (LINES[1:], 1, 'expected one with "truecount": 1'),
    "newer": (['{"truecount":2}\n'], 1, 'expected one with "truecount": 1'),
    "no count": (['{"truecount":1,"movements":"2"}\n'], 1, "movements is '2', expected int"),
    "unknown": ([LINES[0], '{"wish":{}}\n'], 2, "has no single one of movement, record"),
    "two": ([LINES[0], '{"movement":{},"record":{}}\n'], 2, "has no single one of"),
    "not fields": ([LINES[0], '{"movement":[]}\n'], 2, "the movement [] is not a JSON object"),
    "more": (changed(LINES, 2, price=3), 2, "a movement has no field 'price'"),
    "less": (changed(LINES, 2, id=None), 2, "id is None, expected str"),
    "optional": (changed(LINES, 2, reference=7), 2, "reference is 7, expected str"),
    "true": (changed(LINES, 2, position=True), 2, "position is True, expected int"),
    "position": (changed(LINES, 3, position=9), 3, "position 9, expected 2"),
    "lost line": ([LINES[0], *LINES[2:]], 2, "position 2, expected 1"),
    "words": (changed(LINES, 2, actor="eve"), 2, "its words have"),
    "kind": (resealed(LINES, 2, kind="wish"), 2, "'wish' is not a valid Kind"),
    "body": (resealed(LINES, 2, body={}), 2, "KeyError"),
    "legs": (resealed(LINES, 2, body=_body(legs=[[1]])), 2, "ValueError"),
    "half": (
        resealed(
            LINES, 2, body=_body(legs=[["MUG", "", 0.5, "", "supplier", "berlin", "incoming", 0]])
        ),
        2,
        "not a whole number",
    ),
    "no place": (
        resealed(LINES, 2, body=_body(legs=[["MUG", "", 6, "", "supplier", "berlin", "moon", 0]])),
        2,
        "cannot have the leg",
    ),
    "huge": (
        resealed(
            LINES,
            2,
            body=_body(legs=[["MUG", "", 2**63, "", "supplier", "berlin", "incoming", 0]]),
        ),
        2,
        "figures within",
    ),
    "version": (
        resealed(LINES, 2, body=_body(extends=[["MUG", "berlin", "", 2]])),
        2,
        "it writes version 2 of",
    ),
    "clock": (resealed(LINES, 3, recorded_at=1), 3, "it writes version 2 of"),
    "line": (
        resealed(
            LINES,
            RESERVED,
            body=json.loads(LINES[RESERVED - 1])["movement"]["body"] | {"opened": []},
        ),
        RESERVED,
        "was never opened",
    ),
    "floor": (
        resealed(
            LINES,
            RESERVED,
            body=json.loads(LINES[RESERVED - 1])["movement"]["body"] | {"floors": [500, 0]},
        ),
        RESERVED,
        "its floor is 500",
    ),
    "same id": (resealed(LINES, 3, id=FIRST["id"]), 3, "another movement has this id"),
    "same record": (
        [*LINES[:RECORD], LINES[RECORD - 1], *LINES[RECORD:]],
        RECORD + 1,
        "came before",
    ),
    "same key": (
        [*LINES[: LAST - 1], *changed(LINES, LAST - 1, fingerprint="x")[LAST - 2 :]],
        LAST,
        "already names another request",
    ),
    "record": (changed(LINES, RECORD, space=7), RECORD, "space is 7, expected str"),
    "back": (
        [*LINES[:RECORD], LINES[1], *LINES[RECORD:]],
        RECORD + 1,
        "movement after the record section",
    ),
    "counts": (changed(LINES, LAST, records=0), LAST, "it ends with records 0, before it came"),
    "digest": (changed(LINES, LAST, digest="0" * 32), LAST, "it ends with digest 000"),
    "other words": (
        changed(LINES, RECORD, body={"priority": 7}),
        LAST,
        "it ends with checksum",
    ),
    "after": ([*LINES, LINES[-1]], LAST + 1, "end after the end section"),
}


class TestBadLines:
    @pytest.mark.parametrize("name", BAD)
    def test_bad_line_is_named(self, name: str) -> None:
        """Whatever is wrong, the line's number and what was seen there are said."""
        lines, number, said = BAD[name]
        with pytest.raises(errors.InvalidData) as caught:
            load(Inventory(), lines)
        assert caught.value.where == f"line {number} of the export"
        assert said in caught.value.problem

    @pytest.mark.parametrize("chunk", [1, 1000])
    def test_movement_that_comes_twice_is_refused(self, chunk: int) -> None:
        """Far apart or near, one movement has one position."""
        with pytest.raises(errors.InvalidData, match=f"line {RECORD + 1} .* some came twice"):
            load(Inventory(), doubled(LINES), chunk=chunk)

    def test_nothing_of_the_bad_chunk_is_written(self) -> None:
        """A chunk is written whole or not at all."""
        copy = Inventory()
        with pytest.raises(errors.InvalidData):
            load(copy, changed(LINES, 7, actor="eve"), chunk=4)
        assert copy.verify().movements == 3  # The fourth is told earlier and begins a chunk.

    def test_empty_file_is_refused(self) -> None:
        """A file of nothing has no footer either."""
        with pytest.raises(errors.InvalidData, match="ends after line 0 without its footer"):
            Inventory().import_lines([])
