"""
What a reader must show: every row, in the order stated, page by page, as of one instant.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from random import Random
from typing import Any, Final, TypeVar

from truecount.model.instants import Instant
from truecount.model.lines import NEVER
from truecount.model.stock import NOTHING, Amounts, EntryRow, StockKey, plus
from truecount.protocols.storage import Reader, Record, Wants
from truecount.testing.claims import DEADLINE, MakeStorage, expect
from truecount.testing.samples import (
    MUG,
    SECOND,
    START,
    TEA,
    TENANT,
    line,
    outcome,
    writing,
)


#: Names in the order of their code points, which is not the order of any language.
NAMES: Final = ("0", "A", "B-10", "B-9", "Z", "a", "z", "ß", "é", "\uffee", "\N{PILE OF POO}")
#: Where made-up histories and threads get their chance from, unless told otherwise.
SEED: Final = 20260101
#: How long a reader waits for a writer that may have to wait for the reader.
GLANCE: Final = 0.1

_Row = TypeVar("_Row")


def check_stock_is_ordered_and_filtered(make_storage: MakeStorage) -> None:
    """Stock comes by key in code-point order, only keys with entries, filtered as asked."""
    with closing(make_storage()) as storage:
        keys = [
            StockKey(sku, location, lot)
            for sku in NAMES
            for location in ("Berlin", "berlin", "é")
            for lot in ("", "L-1", "l-1")
        ]
        shuffled = Random(SEED).sample(keys, len(keys))
        with writing(storage, *keys) as sheet:
            for number, key in enumerate(shuffled):
                sheet.move(f"m{number}", key, sellable=number)
        with storage.begin(TENANT) as unit:
            unit.lock(Wants(keys={StockKey("AA", "berlin")}))
        with storage.read(TENANT) as reader:
            rows = [(key, sheet.rows[key]) for key in keys]
            expect(list(reader.stock()), rows, "all stock, by key")
            of_sku = [item for item in rows if item[0].sku == "a"]
            expect(list(reader.stock("a")), of_sku, "stock of one SKU")
            there = [item for item in rows if item[0].location == "berlin"]
            expect(list(reader.stock(location="berlin")), there, "stock at one location")
            both = [item for item in of_sku if item[0].location == "berlin"]
            expect(list(reader.stock("a", "berlin")), both, "stock of one SKU at one location")
            expect(list(reader.stock("AA")), [], "stock of a key that was only locked")


def check_iterators_may_be_interleaved(make_storage: MakeStorage) -> None:
    """Several iterators of one reader may be open while others are read."""
    with closing(make_storage()) as storage:
        keys = [StockKey(name, "berlin") for name in NAMES]
        with writing(storage, *keys) as sheet:
            for number, key in enumerate(keys):
                sheet.move(f"m{number}", key, sellable=1, held=1)
                sheet.move(f"n{number}", key, sellable=1)
                sheet.lines.append(line(key.sku, 1, key, held=1, expires_at=START))
        with storage.read(TENANT) as reader:
            seen = []
            for key, _ in reader.stock():
                entries = reader.entries(key)
                versions = [next(entries).version]
                seen += [
                    (open_line.reference, reader.as_of(key, NEVER)[0])
                    for open_line in reader.open_lines(key)
                ]
                versions += [entry.version for entry in entries]
                expect(versions, [1, 2], "entries read around other reads")
            expect(seen, [(name, 2) for name in NAMES], "lines read inside the loop over stock")


def check_entries_are_ordered(make_storage: MakeStorage) -> None:
    """Entries of a key come by version, above the one given."""
    with closing(make_storage()) as storage:
        with writing(storage, MUG, TEA) as sheet:
            for number in range(1, 13):
                sheet.move(f"m{number}", MUG, TEA, sellable=number)
        of_mug = [entry for entry in sheet.entries if entry.key == MUG]
        with storage.read(TENANT) as reader:
            expect(list(reader.entries(MUG)), of_mug, "all entries")
            expect(list(reader.entries(MUG, 9)), of_mug[9:], "entries above a version")
            expect(list(reader.entries(MUG, 12)), [], "entries above the last version")
            expect(list(reader.entries(StockKey("NEW", "x"))), [], "entries of an unknown key")


# --- as of ------------------------------------------------------------------------------


def brute_force(entries: Iterable[EntryRow], instant: Instant, version: int) -> Amounts:
    """Return what the entries up to *version* that occurred by *instant* add up to."""
    amounts = NOTHING
    for entry in entries:
        if entry.version <= version and entry.occurred_at <= instant:
            amounts = plus(amounts, entry.change)
    return amounts


def check_as_of_equals_the_fold(make_storage: MakeStorage, random: Random | None = None) -> None:
    """As of any instant and version, the figures are the sum of what occurred by then."""
    random = random or Random(SEED)
    with closing(make_storage()) as storage:
        for batch in range(6):
            with writing(storage, MUG, TEA) as sheet:
                for number in range(8):
                    back = random.choice(
                        (0, 0, 1, 2, 3, random.randrange(40), random.randrange(9999))
                    )
                    sheet.move(
                        f"m{batch}-{number}",
                        *random.choice(((MUG,), (TEA,), (MUG, TEA))),
                        occurred_at=sheet.recorded_at + number - back * SECOND // 2,
                        sellable=random.randrange(-5, 9),
                        damaged=random.randrange(3),
                    )
        with storage.read(TENANT) as reader:
            for key in (MUG, TEA):
                entries = list(reader.entries(key))
                last = len(entries)
                edges = {moment + step for moment in _times(entries) for step in (-1, 0, 1)}
                for instant in sorted(edges):
                    claim = f"figures of {key} as of {instant}"
                    expect(reader.as_of(key, instant), brute_force(entries, instant, last), claim)
                    for version in {0, 1, random.randrange(last), last, last + 7}:
                        wanted = brute_force(entries, instant, version)
                        seen = reader.as_of(key, instant, version)
                        expect(seen, wanted, f"{claim}, knowing versions up to {version}")
            expect(reader.as_of(StockKey("NEW", "x"), NEVER), NOTHING, "an unknown key as of ever")


def _times(entries: Sequence[EntryRow]) -> list[Instant]:
    return [0, NEVER - 1, *(entry.occurred_at for entry in entries)]


# --- movements and the feed -------------------------------------------------------------


def check_movements_are_found(make_storage: MakeStorage) -> None:
    """Movements come by id in the order asked, by reference in the order recorded."""
    with closing(make_storage()) as storage:
        with writing(storage, MUG, recorded_at=START + SECOND) as late:
            late.move("z", MUG, sellable=1, reference="A-1")
            late.move("b", MUG, sellable=1, reference="A-1")
            late.move("other", MUG, sellable=1, reference="A-2")
            late.move("none", MUG, sellable=1)
        with writing(storage, TEA, recorded_at=START) as early:
            early.move("y", TEA, sellable=1, reference="A-1")
        with writing(storage, StockKey("POT", "berlin"), recorded_at=START + SECOND) as tied:
            tied.move("a", StockKey("POT", "berlin"), sellable=1, reference="A-1")
        rows = {row.id: row for sheet in (late, early, tied) for row in sheet.movements}
        with storage.read(TENANT) as reader:
            positions = {row.id: position for position, row in reader.feed()}
            expect(sorted(positions), sorted(rows), "movements in the feed")

            def numbered(*ids: str) -> list[tuple[int | None, object]]:
                return [(positions[id_], rows[id_]) for id_ in ids]

            found = list(reader.movements(iter(["z", "unknown", "a", "none"])))
            expect(found, numbered("z", "a", "none"), "movements by id, unknown ones left out")
            by_reference = list(reader.movements_of("A-1"))
            expect(by_reference, numbered("y", "a", "z", "b"), "movements under a reference")
            expect(list(reader.movements_of("A-3")), [], "movements under an unknown reference")


def pages(
    read: Callable[[Any, int], list[_Row]], start: Any, after: Callable[[_Row], Any], limit: int
) -> list[_Row]:
    """Return everything *read* gives in pages of *limit*, each after the one before."""
    found: list[_Row] = []
    mark = start
    while page := read(mark, limit):
        if len(page) > limit:
            raise AssertionError(f"a page: expected at most {limit} rows, got {len(page)}")
        found += page
        mark = after(page[-1])
    return found


def check_feed_is_contiguous_and_whole(make_storage: MakeStorage) -> None:
    """Positions run from 1 without a gap, follow every key's versions, and never change."""
    keys = [StockKey("MUG", name) for name in ("a", "b", "c", "d")]
    random = Random(SEED)
    with closing(make_storage()) as storage:
        told: list[tuple[int, object]] = []
        written = []
        for batch in range(10):
            with writing(storage, *random.sample(keys, 2)) as sheet:
                for number in range(3):
                    chosen = random.sample(sorted(sheet.locked.rows), random.randint(1, 2))
                    sheet.move(f"m{random.randrange(10**9)}-{batch}-{number}", *chosen, sellable=1)
            written += sheet.movements
            alone = StockKey("TEA", f"place-{batch}")
            with writing(storage, alone, recorded_at=START - batch * SECOND) as sheet:
                sheet.move(f"earlier-{batch}", alone, sellable=1)  # Written later all the same.
            written += sheet.movements
            if batch % 3 == 0:
                with storage.read(TENANT) as reader:
                    told += reader.feed(len(told))
        with storage.read(TENANT) as reader:
            feed = reader.feed()
        expect([position for position, _ in feed], list(range(1, len(written) + 1)), "positions")
        expect(feed[: len(told)], told, "what the feed had told before")
        expect(sorted(row for _, row in feed), sorted(written), "movements in the feed")
        with storage.read(TENANT) as reader:
            for limit in (1, 7, 100):
                expect(
                    pages(reader.feed, 0, lambda item: item[0], limit), feed, "the feed in pages"
                )
            expect(reader.feed(len(feed)), [], "the feed after its end")
            place = {row.id: position for position, row in feed}
            for key in keys:
                order = [place[entry.movement_id] for entry in reader.entries(key)]
                expect(order, sorted(order), f"feed positions of the entries of {key}")


# --- lines, documents, outcomes ---------------------------------------------------------


def check_lines_are_ordered(make_storage: MakeStorage) -> None:
    """Lines come by number, open ones and due ones soonest first, closed ones never."""
    with closing(make_storage()) as storage:
        with writing(storage, MUG, TEA, orders=["A-1", "A-2", "a-1"]) as sheet:
            sheet.move("m1", MUG, TEA, held=9, allocated=9, picked=9)
            sheet.lines += [
                line("A-1", 10, MUG, held=1, expires_at=START + 2),
                line("A-1", 2, MUG, held=1, expires_at=START + 2),
                line("A-1", 3, TEA, held=1, expires_at=START + 1),
                line("A-1", 4, MUG, shipped=3),
                line("a-1", 1, MUG, held=1, expires_at=START + 2, allocated=1),
                line("A-2", 1, MUG, held=1, expires_at=START + 1),
                line("A-2", 2, MUG, picked=1),
                line("A-2", 3, MUG, allocated=1),
            ]
        names = [(row.reference, row.number) for row in sheet.lines]
        ten, two, of_tea, _, small, soon, picked, allocated = names
        with storage.read(TENANT) as reader:
            numbers = [row.number for row in reader.lines("A-1")]
            expect(numbers, [2, 3, 4, 10], "the lines of a reference, by number")
            expect(reader.lines("A-9"), [], "the lines of an unknown reference")

            def named(rows: Iterable[Any]) -> list[tuple[str, int]]:
                return [(row.reference, row.number) for row in rows]

            wanted = [soon, two, ten, small, picked, allocated]
            expect(named(reader.open_lines(MUG)), wanted, "open lines of a key")
            due = [of_tea, soon, two, ten, small]
            expect(named(reader.due_holds(START + 2)), due, "due holds")
            expect(named(reader.due_holds(START + 2, 3)), due[:3], "due holds up to a limit")
            expect(named(reader.due_holds(START + 1)), due[:2], "due holds at their very time")
            expect(named(reader.due_holds(START)), [], "due holds before any is due")
        with writing(storage, MUG, orders=["A-2"]) as sheet:
            sheet.lines.append(line("A-2", 1, MUG, released=1))
            sheet.lines.append(line("A-2", 2, MUG, held=1, expires_at=START))
        with storage.read(TENANT) as reader:
            wanted = [picked, two, ten, small, allocated]
            expect(named(reader.open_lines(MUG)), wanted, "open lines after two of them changed")
            expect(named(reader.due_holds(START + 1)), [picked, of_tea], "due holds after that")


def check_documents_are_paged(make_storage: MakeStorage) -> None:
    """Documents of a space come by id in code-point order, page by page."""
    with closing(make_storage()) as storage:
        ids = [("Recipe", "other"), *(("recipe", name) for name in NAMES)]
        with writing(storage, records=ids) as sheet:
            sheet.records += [Record("recipe", name, 1, f'"{name}"') for name in NAMES[::-1]]
            sheet.records.append(Record("Recipe", "other", 1, "{}"))
        wanted = sheet.records[len(NAMES) - 1 :: -1]
        with storage.read(TENANT) as reader:

            def page(after: str, limit: int) -> list[Record]:
                return reader.records("recipe", after, limit)

            for limit in (1, 4, 100):
                seen = pages(page, "", lambda record: record.id, limit)
                expect(seen, wanted, f"documents in pages of {limit}")
            expect(reader.records("recipe", "a", 2), wanted[6:8], "documents after an id")
            expect(reader.records("unknown"), [], "documents of an unknown space")
            expect(reader.record("recipe", "Z"), Record("recipe", "Z", 1, '"Z"'), "one document")
            expect(reader.record("recipe", "other"), None, "a document of another space")
            expect(reader.spaces(), ["Recipe", "recipe"], "spaces that have documents")


def check_outcomes_are_paged(make_storage: MakeStorage) -> None:
    """Outcomes come by key in code-point order, page by page."""
    with closing(make_storage()) as storage:
        with writing(storage) as sheet:
            sheet.outcomes += [outcome(name, forget_at=START) for name in NAMES[::-1]]
        with storage.read(TENANT) as reader:
            for limit in (1, 4, 100):
                seen = pages(reader.outcomes, "", lambda row: row.key, limit)
                expect(seen, sheet.outcomes[::-1], f"outcomes in pages of {limit}")


def check_read_sees_one_instant(make_storage: MakeStorage) -> None:
    """What a writer commits while a read is open does not appear in that read."""
    with closing(make_storage()) as storage:
        with writing(storage, MUG, TEA, orders=["A-1"]) as sheet:
            sheet.move("m1", MUG, TEA, sellable=1)
        done = threading.Event()
        faults: list[BaseException] = []

        def write() -> None:
            try:
                with writing(storage, MUG, TEA, orders=["A-1"]) as sheet:
                    sheet.move("m2", MUG, TEA, sellable=1, held=1, reference="A-1")
                    sheet.lines.append(line("A-1", 1, MUG, held=1, expires_at=START))
                    sheet.records.append(Record("order", "A-1", 1, "{}"))
                    sheet.outcomes.append(outcome("k1"))
            except BaseException as error:  # noqa: BLE001 -- it is raised in the checking thread
                faults.append(error)
            done.set()

        writer = threading.Thread(target=write, daemon=True)
        with storage.read(TENANT) as reader:
            before = list(reader.stock(MUG.sku))
            writer.start()
            done.wait(GLANCE)  # A storage whose writers wait for readers uses all of it.
            expect(list(reader.stock(MUG.sku)), before, "a row read twice in one read")
            expect(_of_second_write(reader), _NOTHING_YET, "the rest of that read")
        writer.join(DEADLINE)
        expect("waits" if writer.is_alive() else "is over", "is over", "the writer beside a read")
        if faults:
            raise faults[0]
        with storage.read(TENANT) as reader:
            versions = [row.version for _, row in reader.stock()]
            expect(versions, [2, 2], "versions in the next read")


_NOTHING_YET: Final[tuple[object, ...]] = ([1], [1], [], [], None, [], 0)


def _of_second_write(reader: Reader) -> tuple[object, ...]:
    """Return all that the second write of ``check_read_sees_one_instant`` would change."""
    return (
        [entry.version for entry in reader.entries(TEA)],
        [row.version for _, row in reader.stock(TEA.sku)],
        reader.lines("A-1"),
        list(reader.movements_of("A-1")),
        reader.record("order", "A-1"),
        reader.outcomes(),
        reader.as_of(MUG, NEVER)[1],
    )


READER_CHECKS: Final = (
    check_stock_is_ordered_and_filtered,
    check_iterators_may_be_interleaved,
    check_entries_are_ordered,
    check_as_of_equals_the_fold,
    check_movements_are_found,
    check_feed_is_contiguous_and_whole,
    check_lines_are_ordered,
    check_documents_are_paged,
    check_outcomes_are_paged,
    check_read_sees_one_instant,
)
