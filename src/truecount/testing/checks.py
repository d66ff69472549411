"""
What a unit must do: lock, read what was locked, write all of it or nothing.

Each check takes a *factory* of new, empty storages, and raises ``AssertionError`` with what
was expected and what was seen. The sentences they prove are the contract in
``truecount.protocols.storage``.
"""

from __future__ import annotations

from contextlib import closing
from functools import partial
from typing import Final

from truecount.errors import InvalidRequest, KeyTaken, Outdated, StorageError, TrueCountError
from truecount.model.quantities import QUANTITY_MAX
from truecount.model.stock import EMPTY_ROW, StockKey
from truecount.protocols.storage import Locked, Record, Storage, Wants
from truecount.testing.claims import MakeStorage, expect, expect_raises
from truecount.testing.forbidden import FORBIDDEN, Spoil
from truecount.testing.samples import (
    COUNTERS,
    MUG,
    SECOND,
    START,
    TEA,
    TENANT,
    Sheet,
    dump,
    line,
    outcome,
    writing,
)


def check_each_storage_is_new(make_storage: MakeStorage) -> None:
    """Each storage that is made is empty: it has nothing of another one, or of an earlier run."""
    with closing(make_storage()) as first:
        made = dump(first)
        empty: dict[str, list[object]] = {part: [] for part in made}
        expect(made, empty, "a storage that was just made")
        with writing(first, MUG) as sheet:
            sheet.move("m1", MUG, sellable=5)
        with closing(make_storage()) as second:
            expect(dump(second), empty, "another one, made after the first was written to")


# --- lock -------------------------------------------------------------------------------


def lock(storage: Storage, wants: Wants) -> Locked:
    """Return what a unit reads under the locks of *wants*; it writes nothing."""
    with storage.begin(TENANT) as unit:
        return unit.lock(wants)


def check_lock_creates_missing_rows(make_storage: MakeStorage) -> None:
    """A wanted key that never moved is locked as an empty row, which no reader shows."""
    with closing(make_storage()) as storage:
        seen = lock(storage, Wants(keys={MUG, TEA}))
        expect(seen.rows, {MUG: EMPTY_ROW, TEA: EMPTY_ROW}, "rows of keys that never moved")
        with storage.read(TENANT) as reader:
            expect(list(reader.stock()), [], "stock after nothing but a lock")
        with writing(storage, MUG) as sheet:
            sheet.move("m1", MUG, sellable=5)
        expect(lock(storage, Wants(keys={MUG})).rows, sheet.rows, "the row after its first entry")


def check_lock_returns_keys_and_scopes(make_storage: MakeStorage) -> None:
    """A scope is every row with an entry of its SKU, at its location if named; no other's."""
    lot = StockKey("MUG", "berlin", "L-1")
    hamburg = StockKey("MUG", "hamburg")
    similar = (StockKey("MUG-2", "berlin"), StockKey("MU", "berlin"), StockKey("mug", "berlin"))
    with closing(make_storage()) as storage:
        with writing(storage, MUG, lot, hamburg, TEA, *similar) as sheet:
            sheet.move("m1", MUG, lot, hamburg, TEA, *similar, sellable=1)

        def moved(wants: Wants) -> dict[StockKey, int]:
            return {key: row.version for key, row in lock(storage, wants).rows.items()}

        only_locked = StockKey("MUG", "lisbon")
        expect(moved(Wants(keys={only_locked})), {only_locked: 0}, "a row that was only locked")
        everywhere = {MUG: 1, lot: 1, hamburg: 1}
        expect(moved(Wants(scopes={("MUG", "")})), everywhere, "scope of a SKU everywhere")
        expect(moved(Wants(scopes={("MUG", "berlin")})), {MUG: 1, lot: 1}, "scope at a location")
        expect(moved(Wants(scopes={("NEW", "")})), {}, "scope of an unknown SKU")
        both = Wants(keys={TEA}, scopes={("MUG", "hamburg"), ("MUG", "")})
        expect(moved(both), everywhere | {TEA: 1}, "keys together with overlapping scopes")


def check_lock_returns_orders_whole(make_storage: MakeStorage) -> None:
    """A wanted reference brings its document, all its lines and the stock rows of those."""
    with closing(make_storage()) as storage:
        with writing(storage, MUG, TEA, orders=["A-1"], records=[("recipe", "SET")]) as sheet:
            sheet.move("m1", MUG, TEA, sellable=9, held=2, reference="A-1")
            sheet.lines += [
                line("A-1", 2, TEA, held=2, expires_at=START),
                line("A-1", 1, MUG, shipped=1),
                line("B-1", 1, TEA, allocated=1),
            ]
            sheet.records += [Record("order", "A-1", 1, "{}"), Record("recipe", "SET", 1, "[1]")]
        seen = lock(storage, Wants(orders={"A-1", "C-1"}, records={("recipe", "SET"), ("x", "y")}))
        expect(seen.rows, sheet.rows, "stock rows of the lines of a wanted order")
        expect(seen.lines, [sheet.lines[1], sheet.lines[0]], "lines of a wanted order, by number")
        found = {(record.space, record.id): record for record in sheet.records}
        expect(dict(seen.records), found, "documents, missing ones absent")


def check_lock_returns_outcomes_and_movements(make_storage: MakeStorage) -> None:
    """Outcomes and movements that exist are returned by name, missing ones are absent."""
    with closing(make_storage()) as storage:
        with writing(storage, MUG) as sheet:
            first = sheet.move("m1", MUG, sellable=1)
            sheet.move("m2", MUG, sellable=1)
            sheet.outcomes += [outcome("k1"), outcome("k2")]
        seen = lock(storage, Wants(keys_of_requests=["k1", "k3"], movements={"m1", "m3"}))
        expect(dict(seen.outcomes), {"k1": sheet.outcomes[0]}, "stored outcomes of wanted keys")
        expect(dict(seen.movements), {"m1": first}, "known movements of wanted ids")


def check_locking_missing_documents_shows_nothing(make_storage: MakeStorage) -> None:
    """Locking a document that does not exist leaves nothing that a reader could see."""
    with closing(make_storage()) as storage:
        wants = Wants(
            orders={"A-1"},
            records={("recipe", "SET"), ("settings", "g")},
            shared={("settings", "g")},
        )
        expect(dict(lock(storage, wants).records), {}, "documents that do not exist")
        expect(dict(lock(storage, wants).records), {}, "documents that were only locked")
        with storage.read(TENANT) as reader:
            expect(reader.record("order", "A-1"), None, "a document that was only locked")
            expect(reader.records("recipe"), [], "a space in which documents were only locked")
            expect(reader.spaces(), [], "spaces in which documents were only locked")


def check_due_takes_soonest_until_enough(make_storage: MakeStorage) -> None:
    """Expired holds come soonest first, key by key, and stop when they hold enough."""
    with closing(make_storage()) as storage:
        with writing(storage, MUG, TEA) as sheet:
            sheet.move("m1", MUG, TEA, held=20, allocated=1)
            sheet.lines += [
                line("late", 1, MUG, held=4, expires_at=START + 3),
                line("first", 1, MUG, held=1, expires_at=START + 1),
                line("first", 2, TEA, held=5, expires_at=START + 1),
                line("second", 1, MUG, held=3, expires_at=START + 2, allocated=1),
                line("alive", 1, MUG, held=8, expires_at=START + 4),
                line("order", 1, MUG, allocated=1),
                line("gone", 1, MUG, expired=7),
            ]

        def due(now: int, **enough: int) -> list[tuple[str, int]]:
            keys = {StockKey(sku, "berlin"): quantity for sku, quantity in enough.items()}
            with storage.begin(TENANT) as unit:
                unit.lock(Wants(keys=set(keys)))
                return [(found.reference, found.number) for found in unit.due(keys, now)]

        three = START + 3
        expect(due(three, MUG=1), [("first", 1)], "one unit: the soonest is enough")
        expect(due(three, MUG=2), [("first", 1), ("second", 1)], "two units: one more hold")
        expect(due(three, MUG=4), [("first", 1), ("second", 1)], "four units: exactly enough")
        all_due = [("first", 1), ("second", 1), ("late", 1)]
        expect(due(three, MUG=99), all_due, "more than there is: all expired, none alive")
        expect(due(START + 2, MUG=99), all_due[:2], "a hold expires at its time, not before")
        expect(due(START, MUG=99), [], "before any hold expired")
        both = due(three, MUG=1, TEA=1)
        expect(sorted(both), [("first", 1), ("first", 2)], "each key has its own measure")


# --- write ------------------------------------------------------------------------------


def check_write_gives_everything_back(make_storage: MakeStorage) -> None:
    """What was written is read back field by field: hostile text, extremes and all."""
    odd = StockKey("O'Brien \"%_\\;--", "köln/../\N{SNOWMAN}", "\N{PILE OF POO}")
    with closing(make_storage()) as storage:
        with writing(storage, odd, MUG, orders=["r'1"], recorded_at=START) as sheet:
            sheet.move(
                "m1", odd, sellable=QUANTITY_MAX, held=1, picked=3, floor=-5, reference="r'1"
            )
            sheet.move("m2", odd, sellable=-QUANTITY_MAX, damaged=-2, occurred_at=-SECOND)
            sheet.move("m3", MUG, incoming=4, in_transit=5, quarantine=6, allocated=7)
            sheet.movements[0] = sheet.movements[0]._replace(
                actor="a\N{ZERO WIDTH SPACE}b", origin="shop", reverses="m0", reason=None
            )
            sheet.rows[odd] = sheet.rows[odd]._replace(lot_expires_at=START + 7)
            counters = dict(zip(COUNTERS, range(2, 9), strict=True))
            sheet.lines.append(line("r'1", 3, odd, round_=2, expires_at=START + 8, **counters))
            body = '{"a":"\\u0000\N{GREEK SMALL LETTER ALPHA}\\n"}'
            sheet.records.append(Record("space's", "id\N{BLACK STAR}", 1, body))
            sheet.outcomes += [outcome("k'1"), outcome("k2", forget_at=START + 9)]
        seen = dump(storage, ["r'1"])
        expect(seen["feed"], list(enumerate(sheet.movements, 1)), "movements")
        expect(seen["stock"], [(MUG, sheet.rows[MUG]), (odd, sheet.rows[odd])], "stock rows")
        expect(seen["entries"], [sheet.entries[2:], sheet.entries[:2]], "entries")
        expect(seen["lines"], [sheet.lines], "lines")
        expect(seen["records"], [sheet.records], "documents")
        expect(seen["outcomes"], sorted(sheet.outcomes), "outcomes")
        for _, row in seen["stock"]:
            expect(type(row.amounts), tuple, "the type of stored amounts")


def check_write_takes_large_batches(make_storage: MakeStorage) -> None:
    """A thousand requests over a thousand keys are locked and written in one go."""
    size = 1000
    keys = [StockKey(f"SKU-{number:04d}", "berlin") for number in range(size)]
    with closing(make_storage()) as storage:
        with storage.begin(TENANT) as unit:
            wants = Wants(
                keys_of_requests=[f"k{number:04d}" for number in range(size)],
                orders={f"o{number}" for number in range(size)},
                records={("recipe", f"r{number}") for number in range(size)},
                keys=set(keys),
                scopes={(key.sku, "") for key in keys},
                movements={f"m{number}" for number in range(size)},
            )
            sheet = Sheet(unit.lock(wants))
            for number, key in enumerate(keys):
                sheet.move(f"m{number}", key, sellable=number, held=1)
                sheet.outcomes.append(outcome(f"k{number:04d}"))
                sheet.records.append(Record("recipe", f"r{number}", 1, "{}"))
                sheet.lines.append(line(f"o{number}", 1, key, held=1, expires_at=START))
            unit.write(sheet.changes())
        seen = lock(storage, wants)
        expect(seen.rows, sheet.rows, "rows of a large batch")
        expect(sorted(seen.lines), sorted(sheet.lines), "lines of a large batch")
        sizes = (len(seen.records), len(seen.outcomes), len(seen.movements))
        expect(sizes, (size, size, size), "documents, outcomes and movements of a large batch")
        with storage.begin(TENANT) as unit:
            unit.lock(wants)
            due = unit.due(dict.fromkeys(keys, 1), START)
        expect(sorted(due), sorted(sheet.lines), "due holds of a large batch")


def check_recalled_is_what_is_there(make_storage: MakeStorage) -> None:
    """What a storage remembers, if it does, is what a lock finds, or it says so."""
    wants = Wants(["k1"], opens={"A-1"}, orders={"A-1"}, keys={MUG}, scopes={("TEA", "")})
    with closing(make_storage()) as storage:
        for number in range(4):
            found = lock(storage, wants)
            with storage.begin(TENANT) as unit:
                recalled = unit.recall(wants)
            if recalled is not None:
                expect(recalled, found, f"what is remembered after {number} writes")
            with writing(storage, MUG, TEA, orders=["A-1"]) as sheet:
                sheet.move(f"m{number}", MUG, TEA, sellable=5)
                if number == 2:  # noqa: PLR2004 -- what was new is not, the last time
                    sheet.outcomes.append(outcome("k1"))
                    sheet.records.append(Record("order", "A-1", 1, "{}"))

        def leave() -> None:
            with storage.begin(TENANT) as unit:
                if unit.recall(Wants(keys={MUG})) is None:
                    raise Outdated("there is nothing to be proven")
                # Nothing is locked, so somebody may come in between.
                with writing(storage, MUG) as sheet:
                    sheet.move("late", MUG, sellable=5)

        expect_raises(Outdated, leave, "leaving with a guess that has become wrong")


def check_taken_key_writes_nothing(make_storage: MakeStorage) -> None:
    """When one key of a batch is taken, KeyTaken is raised and nothing of it is written."""
    with closing(make_storage()) as storage:
        with writing(storage, MUG) as sheet:
            sheet.move("m1", MUG, sellable=5)
            sheet.outcomes.append(outcome("k2"))
        before = dump(storage, ["A-1"])

        def again() -> None:
            with writing(storage, MUG, orders=["A-1"]) as sheet:
                sheet.move("m2", MUG, sellable=-5, held=5)
                sheet.outcomes += [outcome("k1"), outcome("k2"), outcome("k3")]
                sheet.lines.append(line("A-1", 1, MUG, held=5, expires_at=START))
                sheet.records.append(Record("order", "A-1", 1, "{}"))

        error = expect_raises(KeyTaken, again, "a batch with a taken key")
        expect(error.key, "k2", "the key that KeyTaken names")
        expect(dump(storage, ["A-1"]), before, "the storage after KeyTaken")


def check_forgotten_key_can_be_taken(make_storage: MakeStorage) -> None:
    """A refusal past its time gives way to a new outcome under its key; not before."""
    with closing(make_storage()) as storage:
        with writing(storage) as sheet:
            sheet.outcomes.append(outcome("k1", forget_at=START + SECOND))

        def take(decided_at: int) -> None:
            with writing(storage) as sheet:
                sheet.outcomes.append(outcome("k1", decided_at=decided_at))

        expect_raises(KeyTaken, lambda: take(START + SECOND - 1), "a key still remembered")
        take(START + SECOND)
        with storage.read(TENANT) as reader:
            stored = [row.decided_at for row in reader.outcomes()]
        expect(stored, [START + SECOND], "the outcome that took a forgotten key")
        expect_raises(KeyTaken, lambda: take(START + 2 * SECOND), "a key remembered for ever")


def check_constraints_refuse_and_write_nothing(make_storage: MakeStorage) -> None:
    """What breaks a constraint raises a StorageError, and nothing of that write is stored."""
    with closing(make_storage()) as storage:
        with writing(storage, MUG, TEA, records=[("recipe", "SET")]) as sheet:
            sheet.move("m1", MUG, TEA, sellable=5, held=1, allocated=1, picked=1)
            sheet.records.append(Record("recipe", "SET", 1, "{}"))
        before = dump(storage, ["A-1"])
        records = [("recipe", "SET"), ("recipe", "OTHER"), ("recipe", "GOOD")]

        def spoilt(spoil: Spoil) -> None:
            with writing(storage, MUG, TEA, orders=["A-1"], records=records) as sheet:
                sheet.outcomes.append(outcome("k1"))
                sheet.records.append(Record("recipe", "GOOD", 1, "{}"))
                sheet.move("good", TEA, sellable=1)
                spoil(sheet)

        for problem, spoil in FORBIDDEN.items():
            expect_raises(StorageError, partial(spoilt, spoil), problem)
            expect(dump(storage, ["A-1"]), before, f"the storage after {problem}")
        spoilt(lambda sheet: sheet.move("m2", MUG, sellable=-6, held=-1, floor=-1))
        with storage.read(TENANT) as reader:
            rows = dict(reader.stock())
        expect(rows[MUG].amounts, (-1, 0, 1, 1, 0, 0, 0, 0), "figures exactly at their limits")


def check_documents_are_replaced_by_version(make_storage: MakeStorage) -> None:
    """A document of version 1 is made, each later version replaces the one before."""
    with closing(make_storage()) as storage:
        for version in (1, 2, 3):
            with writing(storage, records=[("recipe", "SET")]) as sheet:
                sheet.records.append(Record("recipe", "SET", version, f"[{version}]"))
            with storage.read(TENANT) as reader:
                expect(reader.record("recipe", "SET"), sheet.records[0], "a replaced document")


# --- units ------------------------------------------------------------------------------


class _Stop(Exception):
    """Leaves a unit the hard way."""


def check_exception_rolls_back(make_storage: MakeStorage) -> None:
    """A unit left by an exception leaves no trace, whatever it had written."""
    with closing(make_storage()) as storage:
        with writing(storage, MUG) as sheet:
            sheet.move("m1", MUG, sellable=5)
            sheet.outcomes.append(outcome("k1", forget_at=START))
        before = dump(storage, ["A-1"])

        def stopped() -> None:
            with storage.begin(TENANT) as unit:
                sheet = Sheet(unit.lock(Wants(keys={MUG, TEA}, orders={"A-1"})))
                sheet.move("m2", MUG, TEA, held=2)
                sheet.outcomes.append(outcome("k2"))
                sheet.lines.append(line("A-1", 1, MUG, held=2, expires_at=START))
                sheet.records.append(Record("order", "A-1", 1, "{}"))
                unit.write(sheet.changes())
                raise _Stop

        expect_raises(_Stop, stopped, "the exception that left the unit")
        expect(dump(storage, ["A-1"]), before, "the storage after a unit was left by an exception")

        def forgetting() -> None:
            with storage.begin(TENANT) as unit:
                unit.forget(START)
                raise _Stop

        expect_raises(_Stop, forgetting, "the exception that left the unit")
        expect(dump(storage, ["A-1"]), before, "the storage after forgetting was rolled back")


def check_leaving_commits(make_storage: MakeStorage) -> None:
    """A unit left without an exception is there for the next one, even if left early."""
    with closing(make_storage()) as storage:
        for number in range(1, 4):
            with storage.begin(TENANT) as unit:
                unit.lock(Wants(keys={MUG}))
            with writing(storage, MUG) as sheet:
                sheet.move(f"m{number}", MUG, sellable=1)
            with storage.read(TENANT) as reader:
                expect(dict(reader.stock()), {MUG: sheet.rows[MUG]}, "stock after a commit")
        expect(sheet.rows[MUG].version, 3, "entries after three commits")


def check_forget_deletes_old_refusals(make_storage: MakeStorage) -> None:
    """Only refusals whose time has come are deleted, and they are counted."""
    with closing(make_storage()) as storage:
        with writing(storage) as sheet:
            sheet.outcomes += [
                outcome("granted"),
                outcome("old", forget_at=START + 1),
                outcome("due", forget_at=START + 2),
                outcome("young", forget_at=START + 3),
            ]
        with storage.begin(TENANT) as unit:
            expect(unit.forget(START + 2), 2, "refusals forgotten")
        with storage.begin(TENANT) as unit:
            expect(unit.forget(START + 2), 0, "refusals forgotten the second time")
        with storage.read(TENANT) as reader:
            kept = [row.key for row in reader.outcomes()]
        expect(kept, ["granted", "young"], "outcomes that are kept")


def check_tenants_never_meet(make_storage: MakeStorage) -> None:
    """Two tenants use the same names for everything and see only their own."""
    with closing(make_storage()) as storage:
        seen = []
        for tenant, quantity in (("one", 1), ("two", 2)):
            with writing(
                storage, MUG, orders=["A-1"], records=[("recipe", "SET")], tenant=tenant
            ) as sheet:
                expect(sheet.locked.rows, {MUG: EMPTY_ROW}, "the rows of a new tenant")
                expect(sheet.locked.lines, [], "the lines of a new tenant")
                sheet.move("m1", MUG, sellable=quantity, held=quantity, reference="A-1")
                sheet.lines.append(line("A-1", 1, MUG, held=quantity, expires_at=START))
                sheet.records.append(Record("recipe", "SET", 1, f"[{quantity}]"))
                sheet.outcomes.append(outcome("k1", decided_at=quantity, forget_at=START))
            seen.append(dump(storage, ["A-1"], tenant))
            expect(seen[-1]["stock"], [(MUG, sheet.rows[MUG])], f"stock of tenant {tenant}")
            expect(seen[-1]["lines"], [sheet.lines], f"lines of tenant {tenant}")
            expect(seen[-1]["feed"], [(1, sheet.movements[0])], f"feed of tenant {tenant}")
        expect(dump(storage, ["A-1"], "one"), seen[0], "tenant one after tenant two wrote")
        with storage.begin("two") as unit:
            wants = Wants(keys={MUG}, scopes={("MUG", "")}, orders={"A-1"}, keys_of_requests=["k1"])
            expect(unit.lock(wants).outcomes["k1"].decided_at, 2, "an outcome of tenant two")
            due = unit.due({MUG: 9}, START)
            expect([found.held for found in due], [2], "due holds of tenant two")
        with storage.begin("two") as unit:
            expect(unit.forget(START), 1, "refusals of tenant two forgotten")
        expect(dump(storage, ["A-1"], "one"), seen[0], "tenant one after tenant two forgot")


def check_foreign_host_is_refused(make_storage: MakeStorage) -> None:
    """Something that is no connection of this kind of storage is not joined."""
    with closing(make_storage()) as storage:
        for opened in (storage.begin, storage.read):

            def join() -> None:
                with opened(TENANT, object()):  # noqa: B023 -- called before the loop goes on
                    pass

            expect_raises(InvalidRequest, join, "joining something that is no connection")


def check_closed_storage_is_refused(make_storage: MakeStorage) -> None:
    """A storage that was closed says so, and closing it again does no harm."""
    storage = make_storage()
    with writing(storage, MUG) as sheet:
        sheet.move("m1", MUG, sellable=1)
    storage.close()
    storage.close()
    for opened in (storage.begin, storage.read):

        def use() -> object:
            with opened(TENANT) as unit:  # noqa: B023 -- called before the loop goes on
                return list(unit.stock())

        expect_raises(TrueCountError, use, "using a closed storage")


UNIT_CHECKS: Final = (
    check_each_storage_is_new,
    check_lock_creates_missing_rows,
    check_lock_returns_keys_and_scopes,
    check_lock_returns_orders_whole,
    check_lock_returns_outcomes_and_movements,
    check_locking_missing_documents_shows_nothing,
    check_due_takes_soonest_until_enough,
    check_write_gives_everything_back,
    check_write_takes_large_batches,
    check_recalled_is_what_is_there,
    check_taken_key_writes_nothing,
    check_forgotten_key_can_be_taken,
    check_constraints_refuse_and_write_nothing,
    check_documents_are_replaced_by_version,
    check_exception_rolls_back,
    check_leaving_commits,
    check_forget_deletes_old_refusals,
    check_tenants_never_meet,
    check_foreign_host_is_refused,
    check_closed_storage_is_refused,
)
