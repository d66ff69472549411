"""
What must hold when several threads write at once.

Raw races go through units and count lost updates; the others go through one ``Inventory``
for each thread, as several processes over one database would, and judge by outcomes. No
check sleeps: threads start together and each race is run several times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from truecount.errors import IdempotencyConflict, InsufficientStock, Retryable, TrueCountError
from truecount.inventory import Inventory
from truecount.model.commands import Relocate
from truecount.model.facts import Sold
from truecount.model.movements import decode
from truecount.model.operation import Operation
from truecount.model.reservation_commands import Reserve
from truecount.model.stock import StockKey
from truecount.protocols.storage import Record, Storage
from truecount.reservations.views import Reservation
from truecount.testing.claims import MakeStorage, at_once, expect, patiently
from truecount.testing.fakes import CountingIds, ManualClock
from truecount.testing.samples import MUG, TEA, TENANT, Sheet, line, outcome, writing


#: Threads of a race, and how often each race is run.
THREADS: Final = 4
ROUNDS: Final = 5


# --- raw races: units -------------------------------------------------------------------


def check_units_exclude_each_other_on_rows(make_storage: MakeStorage) -> None:
    """Of units that lock the same rows each sees what the one before wrote: no update is lost."""
    with closing(make_storage()) as storage:

        def add(number: int) -> None:
            keys = (MUG, TEA) if number % 2 else (TEA, MUG)
            for turn in range(ROUNDS):
                patiently(partial(_one_more, storage, keys, f"m{number}-{turn}"))

        done = at_once(*(partial(add, number) for number in range(THREADS)))
        expect(done, [None] * THREADS, "units over the same two rows")
        with storage.read(TENANT) as reader:
            seen = [(row.version, row.sellable) for _, row in reader.stock()]
        expect(seen, [(THREADS * ROUNDS,) * 2] * 2, "versions and figures after all of them")


def _one_more(storage: Storage, keys: Sequence[StockKey], id_: str) -> None:
    with writing(storage, *keys) as sheet:
        sheet.move(id_, *keys, sellable=1)


def check_units_exclude_each_other_on_new_rows(make_storage: MakeStorage) -> None:
    """Units that race to create the same row, order or document do so one after the other."""
    with closing(make_storage()) as storage:
        for turn in range(ROUNDS):
            calls = [partial(_first, storage, turn, number) for number in range(THREADS)]
            expect(at_once(*calls), [None] * THREADS, "units that race to create the same things")
        with storage.read(TENANT) as reader:
            for turn in range(ROUNDS):
                key = StockKey(f"NEW-{turn}", "berlin")
                versions = [entry.version for entry in reader.entries(key)]
                expect(versions, list(range(1, THREADS + 1)), "versions of a new row")
                numbers = [found.number for found in reader.lines(f"A-{turn}")]
                expect(numbers, list(range(1, THREADS + 1)), "lines of a new order")
                for record in (
                    reader.record("recipe", f"R-{turn}"),
                    reader.record("order", f"A-{turn}"),
                ):
                    expect(record and record.version, THREADS, "the version of a new document")


def _first(storage: Storage, turn: int, number: int) -> None:
    patiently(partial(_extend_order, storage, turn, number))
    patiently(partial(_extend_row_and_document, storage, turn, number))


def _extend_order(storage: Storage, turn: int, number: int) -> None:
    """Add a line at a stock row of one's own to an order that all threads want."""
    own = StockKey("OWN", f"place-{number}")
    reference = f"A-{turn}"
    with writing(storage, own, orders=[reference]) as sheet:
        sheet.move(f"a{turn}-{number}", own, allocated=1)
        sheet.lines.append(line(reference, len(sheet.locked.lines) + 1, own, allocated=1))
        _next_version(sheet, "order", reference)


def _extend_row_and_document(storage: Storage, turn: int, number: int) -> None:
    key = StockKey(f"NEW-{turn}", "berlin")
    name = ("recipe", f"R-{turn}")
    with writing(storage, key, records=[name]) as sheet:
        sheet.move(f"n{turn}-{number}", key, sellable=1)
        _next_version(sheet, *name)


def _next_version(sheet: Sheet, space: str, id_: str) -> None:
    known = sheet.locked.records.get((space, id_))
    sheet.records.append(Record(space, id_, known.version + 1 if known else 1, "{}"))


def check_opposite_batches_do_not_deadlock(make_storage: MakeStorage) -> None:
    """Batches of outcomes and rows in opposite order finish, and each key is written once."""
    with closing(make_storage()) as storage:
        keys = [StockKey("MUG", f"place-{number}") for number in range(8)]
        names = [f"k{number}" for number in range(200)]

        def write(turn: int, number: int) -> None:
            order = 1 if number % 2 else -1
            with writing(storage, *keys[number::THREADS]) as sheet:
                sheet.outcomes += [outcome(f"{name}-{turn}") for name in names[::order]]
                for key in keys[number::THREADS][::order]:
                    sheet.move(f"m{turn}-{key.location}", key, sellable=1)

        for turn in range(ROUNDS):
            # Not patiently: a deadlock is Retryable, too, and would pass unseen.
            results = at_once(*(partial(write, turn, number) for number in range(THREADS)))
            busy = next((each for each in results if isinstance(each, Retryable)), None)
            if busy is not None:
                said = f"batches in opposite order: expected all to finish, got {busy}"
                raise AssertionError(said) from busy
            kinds = sorted(type(result).__name__ for result in results)
            expect(kinds, ["KeyTaken"] * (THREADS - 1) + ["NoneType"], "who wrote a batch of keys")


# --- races through inventories ----------------------------------------------------------


class _Shops:
    """One inventory for each thread over one storage, with a clock they share."""

    def __init__(self, storage: Storage) -> None:
        self.clock = ManualClock()
        self.inventories = [
            Inventory(storage, clock=self.clock, new_id=CountingIds(f"thread-{number}"))
            for number in range(THREADS)
        ]
        self.inventories[0].locations.add("berlin", "hamburg")

    @property
    def first(self) -> Inventory:
        """The inventory of the first thread."""
        return self.inventories[0]

    def race(self, call: Callable[[Inventory, int], Any]) -> list[Any]:
        """Let every thread make its call at once, patiently; return the results."""
        return at_once(
            *(
                partial(patiently, partial(call, inventory, number))
                for number, inventory in enumerate(self.inventories)
            )
        )


@contextmanager
def _shops(make_storage: MakeStorage) -> Iterator[_Shops]:
    with closing(make_storage()) as storage:
        yield _Shops(storage)


def _served(results: Sequence[Any]) -> Sequence[Any]:
    """Return what threads were answered, none of whom should have met an error."""
    errors = [result for result in results if isinstance(result, TrueCountError)]
    expect(errors, [], "errors that threads of a race met")
    return results


def _kinds(results: Sequence[Any]) -> list[str]:
    return sorted(type(result).__name__ for result in results)


def _audit(inventory: Inventory) -> None:
    """Say so if a row is not the fold of its entries, or the feed not whole and in order."""
    with inventory.storage.read(TENANT) as reader:
        place = {row.id: position for position, row in reader.feed()}
        expect(sorted(place.values()), list(range(1, len(place) + 1)), "positions of the feed")
        extended = 0
        for key, row in reader.stock():
            entries = list(reader.entries(key))
            extended += len(entries)
            expect([e.version for e in entries], list(range(1, row.version + 1)), "versions")
            total = tuple(map(sum, zip(*(e.change for e in entries), strict=True)))
            expect((total, entries[-1].after), (row.amounts,) * 2, f"the figures of {key}")
            order = [place[entry.movement_id] for entry in entries]
            expect(order, sorted(order), f"feed positions of the entries of {key}")
        rows = reader.movements(list(place))
        expect(sum(len(decode(row.body).extends) for _, row in rows), extended, "entries told")


def check_last_unit_is_granted_once(make_storage: MakeStorage) -> None:
    """Of threads that race for the last unit exactly one gets it, whatever the SKU."""
    with _shops(make_storage) as shops:
        for turn in range(ROUNDS):
            shops.first.receive(f"SKU-{turn}", 1, at="berlin")

            def take(inventory: Inventory, number: int, turn: int = turn) -> Reservation:
                return inventory.reserve({f"SKU-{turn}": 1}, reference=f"cart-{turn}-{number}")

            kinds = _kinds(shops.race(take))
            wanted = ["InsufficientStock"] * (THREADS - 1) + ["Reservation"]
            expect(kinds, wanted, "answers to threads that race for the last unit")
            expect(shops.first.available(f"SKU-{turn}"), 0, "available after the race")
        _audit(shops.first)


def check_same_key_has_one_effect(make_storage: MakeStorage) -> None:
    """Of submissions of one key that race, one has an effect and all have its outcome."""
    with _shops(make_storage) as shops:
        for turn in range(ROUNDS):

            def receive(inventory: Inventory, _: int, turn: int = turn) -> Any:
                return inventory.receive("MUG", 3, at="berlin", key=f"asn-{turn}")

            outcomes = _served(shops.race(receive))
            told = {(found.key, found.movements, found.decided_at) for found in outcomes}
            expect(len(told), 1, f"different outcomes of one key, {told}")
            fresh = [found.replayed for found in outcomes].count(False)
            expect(fresh, 1, "submissions of one key that were not replays")
            expect(shops.first.figures("MUG").on_hand, 3 * (turn + 1), "on hand after the race")
        _audit(shops.first)


def check_same_key_with_other_requests_conflicts(make_storage: MakeStorage) -> None:
    """Of different requests under one key that race, one is written, the others conflict."""
    with _shops(make_storage) as shops:
        for turn in range(ROUNDS):

            def receive(inventory: Inventory, number: int, turn: int = turn) -> Any:
                return inventory.receive(f"SKU-{turn}", number + 1, at="berlin", key=f"asn-{turn}")

            results = shops.race(receive)
            kinds = _kinds(results)
            wanted = [IdempotencyConflict.__name__] * (THREADS - 1) + ["Outcome"]
            expect(kinds, wanted, "answers to different requests under one key")
            [winner] = [
                n for n, found in enumerate(results, 1) if not isinstance(found, TrueCountError)
            ]
            expect(shops.first.figures(f"SKU-{turn}").on_hand, winner, "what the winner wrote")
        _audit(shops.first)


def check_same_reference_is_reserved_once(make_storage: MakeStorage) -> None:
    """Of carts with one new reference that race, one is held, the others meet it open."""
    with _shops(make_storage) as shops:
        shops.first.receive("MUG", 100, at="berlin")
        shops.first.receive("TEA", 100, at="berlin")
        for turn in range(ROUNDS):

            def reserve(inventory: Inventory, number: int, turn: int = turn) -> Reservation:
                sku = "TEA" if number % 2 else "MUG"
                return inventory.reserve({sku: 1}, reference=f"cart-{turn}")

            wanted = ["AlreadyReserved"] * (THREADS - 1) + ["Reservation"]
            expect(_kinds(shops.race(reserve)), wanted, "answers to carts with one reference")
            lines = shops.first.reservation(f"cart-{turn}").lines
            expect(len(lines), 1, "lines of the reservation that was made")
        _audit(shops.first)


def check_opposite_carts_do_not_deadlock(make_storage: MakeStorage) -> None:
    """Carts that name the same SKUs in opposite order are all granted."""
    with _shops(make_storage) as shops:
        for sku in ("MUG", "TEA", "POT"):
            shops.first.receive(sku, 1000, at="berlin")

        def buy(inventory: Inventory, number: int) -> int:
            order = 1 if number % 2 else -1
            for turn in range(2 * ROUNDS):
                cart = dict([("MUG", 1), ("POT", 1), ("TEA", 1)][::order])
                inventory.reserve(cart, reference=f"cart-{number}-{turn}")
            return number

        calls = [partial(buy, *pair[::-1]) for pair in enumerate(shops.inventories)]
        expect(at_once(*calls), list(range(THREADS)), "threads with carts in opposite order")
        left = [shops.first.available(sku) for sku in ("MUG", "TEA", "POT")]
        expect(left, [1000 - THREADS * 2 * ROUNDS] * 3, "available after all carts")
        _audit(shops.first)


def check_expired_hold_is_reclaimed_once(make_storage: MakeStorage) -> None:
    """An expired hold that several threads reach for is reclaimed once and granted once."""
    with _shops(make_storage) as shops:
        minute = timedelta(minutes=1)
        for turn in range(ROUNDS):
            sku = f"SKU-{turn}"
            shops.first.receive(sku, 5, at="berlin")
            shops.first.reserve({sku: 5}, reference=f"old-{turn}", ttl=minute)
            shops.clock.tick(2 * minute)

            def take(
                inventory: Inventory, number: int, turn: int = turn, sku: str = sku
            ) -> Reservation:
                return inventory.reserve({sku: 5}, reference=f"new-{turn}-{number}")

            wanted = ["InsufficientStock"] * (THREADS - 1) + ["Reservation"]
            expect(_kinds(shops.race(take)), wanted, "answers to threads that reclaim one hold")
            figures = shops.first.figures(sku)
            expect((figures.on_hand, figures.held, figures.sellable), (5, 5, 0), "figures after")
            expect(shops.first.reservation(f"old-{turn}").quantity("expired"), {sku: 5}, "expired")
        _audit(shops.first)


def check_sold_out_member_leaves_its_neighbours(make_storage: MakeStorage) -> None:
    """In a batch, also in one that races, only the member that is short is refused."""
    with _shops(make_storage) as shops:
        shops.first.receive("MUG", 100, at="berlin")
        shops.first.receive("TEA", 1, at="berlin")

        def batch(number: int) -> list[Operation]:
            carts = [{"MUG": 1}, {"TEA": 1, "MUG": 1}, {"TEA": 1}, {"MUG": 2}]
            return [
                Reserve(cart, reference=f"cart-{number}-{n}", key=f"{number}-{n}")
                for n, cart in enumerate(carts)
            ]

        def submit(inventory: Inventory, number: int) -> list[Any]:
            return inventory.submit(batch(number))

        results = _served(shops.race(submit))
        granted = [[found.granted for found in outcomes] for outcomes in results]
        expect(
            sorted(granted),
            [[True, False, False, True]] * 3 + [[True, True, False, True]],
            "grants",
        )
        errors = {type(found.error) for outcomes in results for found in outcomes if found.error}
        expect(errors, {InsufficientStock}, "why members were refused")
        expect(shops.first.available("MUG"), 100 - 3 * THREADS - 1, "available of the other SKU")
        again = _served(shops.race(submit))
        expect([[found.granted for found in outcomes] for outcomes in again], granted, "replays")
        fresh = [found.key for outcomes in again for found in outcomes if not found.replayed]
        expect(fresh, [], "repetitions that were decided anew")
        _audit(shops.first)


def check_readers_see_whole_movements(make_storage: MakeStorage) -> None:
    """While writers write, every read shows a state that existed: whole movements, no gap."""
    with _shops(make_storage) as shops:
        shops.first.receive("MUG", 10, at="berlin")
        shops.first.receive("MUG", 10, at="hamburg")

        def write(inventory: Inventory, number: int) -> int:
            there, back = ("berlin", "hamburg") if number % 2 else ("hamburg", "berlin")
            for turn in range(2 * ROUNDS):
                source, target = (there, back) if turn % 2 else (back, there)
                operation = Relocate("MUG", 1, source=source, target=target)
                patiently(partial(inventory.submit, [operation], together=True))
            return 0

        def read(inventory: Inventory) -> int:
            told: list[str] = []
            for _ in range(4 * ROUNDS):
                with inventory.storage.read(TENANT) as reader:
                    page = reader.feed(len(told), 3)
                    positions = [position for position, _ in page]
                    wanted = list(range(len(told) + 1, len(told) + 1 + len(page)))
                    expect(positions, wanted, "positions of a page read while writing")
                    told += [row.id for _, row in page]
                    rows = [next(reader.stock("MUG", place))[1] for place in ("berlin", "hamburg")]
                    expect(sum(row.sellable for row in rows), 20, "units in a read while writing")
                    for _, row in page:
                        for key, version in decode(row.body).extends:
                            entry = next(reader.entries(key, version - 1), None)
                            expect(entry and entry.movement_id, row.id, "an entry of a movement")
            return len(set(told)) - len(told)

        calls = [partial(write, inventory, n) for n, inventory in enumerate(shops.inventories)]
        expect(at_once(*calls, partial(read, shops.first)), [0] * (THREADS + 1), "all of them")
        _audit(shops.first)


def check_sell_out_inside_a_batch(make_storage: MakeStorage) -> None:
    """Where stock ends inside a batch, its first members get it and a smaller one may still."""
    with _shops(make_storage) as shops:
        shops.first.receive("MUG", 10, at="berlin")
        carts = [Reserve({"MUG": n}, reference=f"cart-{i}") for i, n in enumerate((7, 7, 3, 1))]
        granted = [found.granted for found in shops.first.submit(carts)]
        expect(granted, [True, False, True, False], "grants of 7, 7, 3 and 1 out of 10")
        for turn in range(ROUNDS):
            shops.first.receive(f"SKU-{turn}", 10, at="berlin")

            def submit(inventory: Inventory, number: int, turn: int = turn) -> list[bool]:
                carts = [
                    Reserve({f"SKU-{turn}": 1}, reference=f"cart-{turn}-{number}-{n}")
                    for n in range(4)
                ]
                return [found.granted for found in inventory.submit(carts)]

            batches = _served(shops.race(submit))
            total = sum(map(sum, batches))
            expect(total, 10, "units granted by batches that race for 10 of them")
            in_order = [sorted(granted, reverse=True) for granted in batches]
            expect(batches, in_order, "grants in each batch, whose first members come first")
            expect(shops.first.available(f"SKU-{turn}"), 0, "available after the race")
        _audit(shops.first)


def check_late_fact_keeps_the_count(make_storage: MakeStorage) -> None:
    """Whether facts from before a count are told before it or after, the count stands."""
    with _shops(make_storage) as shops:
        for turn in range(ROUNDS):
            sku = f"SKU-{turn}"
            before = shops.clock.tick(timedelta(hours=1))
            shops.first.receive(sku, 20, at="berlin")
            counted = shops.clock.tick(timedelta(hours=1))

            def tell(
                inventory: Inventory,
                number: int,
                sku: str = sku,
                before: datetime = before,
                counted: datetime = counted,
            ) -> Any:
                if number == 0:
                    return inventory.count(sku, 12, at="berlin", counted_at=counted)
                sale = Sold(sku, number, at="berlin", occurred_at=before, key=f"{sku}/{number}")
                return inventory.record([sale])

            _served(shops.race(tell))
            expect(shops.first.figures(sku).on_hand, 12, "on hand after a count of 12")
            seen = shops.first.as_of(sku, counted).on_hand
            expect(seen, 12, "on hand as of the count of 12")
            sold = shops.first.as_of(sku, before).on_hand
            expect(sold, 20 - sum(range(THREADS)), "on hand before it, all sales told")
        _audit(shops.first)


RACE_CHECKS: Final = (
    check_units_exclude_each_other_on_rows,
    check_units_exclude_each_other_on_new_rows,
    check_opposite_batches_do_not_deadlock,
    check_last_unit_is_granted_once,
    check_same_key_has_one_effect,
    check_same_key_with_other_requests_conflicts,
    check_same_reference_is_reserved_once,
    check_opposite_carts_do_not_deadlock,
    check_expired_hold_is_reclaimed_once,
    check_sold_out_member_leaves_its_neighbours,
    check_sell_out_inside_a_batch,
    check_late_fact_keeps_the_count,
    check_readers_see_whole_movements,
)
