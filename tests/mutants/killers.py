"""What kills mutants: checks of the kit where there is one, a short story elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from itertools import count
from tempfile import mkdtemp

from tests.broad_day import day, prepare
from tests.contracts.capable import SQLITE
from truecount import Inventory, MemoryStorage, Reserve, Ship, Sold, SQLiteStorage
from truecount.errors import (
    HoldExpired,
    IdempotencyConflict,
    InsufficientStock,
    OutcomeUnknown,
    TooMany,
)
from truecount.model.policy import Policy
from truecount.testing import (
    History,
    ManualClock,
    RowLocks,
    RowUnit,
    Simulated,
    Turns,
    assert_invariants,
    check_history,
    checks,
    every_fault,
    races,
    reaching,
    reads,
    simulate,
    simulate_many,
)
from truecount.testing.claims import expect, expect_raises, patiently


HOUR = timedelta(hours=1)
INSTANT = timedelta(microseconds=1)


def sqlite() -> SQLiteStorage:
    """Make a storage in a new SQLite file."""
    return SQLiteStorage(f"{mkdtemp()}/shop.db", synchronous="OFF")


class Shop:
    """Ten mugs and five pots of tea in berlin, and a clock."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.inventory = Inventory(clock=self.clock)
        self.inventory.locations.add("berlin", "hamburg")
        self.inventory.receive("MUG", 10, at="berlin", key="asn-1")
        self.inventory.receive("TEA", 5, at="berlin", key="asn-2")


# --- many things at once -----------------------------------------------------------------


def broad_day() -> None:
    """A day of a little of everything, and what it leaves."""
    clock = ManualClock()
    inventory = Inventory(clock=clock)
    prepare(inventory, clock)
    day(inventory, clock)
    assert_invariants(inventory)


def _stock(shop: Inventory) -> None:
    shop.locations.add("berlin")
    for sku in ("MUG", "TEA"):
        shop.receive(sku, 6, at="berlin")
    shop.reserve({"MUG": 2, "TEA": 2}, reference="A-1")


def interleavings() -> None:
    """Clients that buy, give back and move, interleaved in many ways."""

    def buy(name: str, order: int, shop: Inventory) -> None:
        shop.reserve(dict([("MUG", 1), ("TEA", 1)][::order]), reference=name, key=name)
        shop.confirm(name, key=f"{name}/confirm")
        shop.ship(name, key=f"{name}/ship")

    def give_back(sku: str, key: str, shop: Inventory) -> None:
        shop.release("A-1", {sku: 1}, key=key)

    clients = [
        partial(buy, "B-1", 1),
        partial(buy, "B-2", -1),
        *(partial(give_back, "MUG", f"back-{number}") for number in range(3)),
    ]
    simulate_many(clients, seeds=range(60), prepare=_stock)


def interleaved_batches() -> None:
    """Clients whose batches name the same SKUs in opposite order."""

    def batch(name: str, order: int, shop: Inventory) -> None:
        shop.submit(
            [
                Reserve({sku: 1}, reference=f"{name}/{sku}", key=f"{name}/{sku}")
                for sku in ("MUG", "TEA")[::order]
            ]
        )

    clients = [partial(batch, "B-1", 1), partial(batch, "B-2", -1)]
    simulate_many(clients, seeds=range(20), prepare=_stock)


def interleaved_claims() -> None:
    """Clients who reach for the units of one hold that ran out."""

    def stock(shop: Inventory) -> None:
        shop.locations.add("berlin")
        shop.receive("MUG", 4, at="berlin")
        shop.reserve({"MUG": 4}, reference="old", ttl=INSTANT)

    def claim(name: str, shop: Inventory) -> None:
        shop.reserve({"MUG": 2}, reference=name, key=name)

    def two_are_served(done: Simulated) -> None:
        refused = [type(result).__name__ for result in done.results if result is not None]
        expect(refused, ["InsufficientStock"], "refusals of three who want 2 of 4")

    clients = [partial(claim, name) for name in ("ann", "bob", "cyd")]
    simulate_many(clients, seeds=range(20), prepare=stock, check=two_are_served)


def interleaved_groups() -> None:
    """Clients of one process, whose group commit answers each of them what it asked."""

    def buy(number: int, shop: Inventory) -> None:
        for turn in range(3):
            name = f"{number}-{turn}"
            cart = shop.reserve({"MUG": number}, reference=name, key=name)
            expect(cart.quantity("held"), {"MUG": number}, f"what client {number} was granted")

    def stock(shop: Inventory) -> None:
        shop.locations.add("berlin")
        shop.receive("MUG", 100, at="berlin")

    def wrote_in_turn(done: Simulated) -> None:
        steps = [step.split()[1] for step in done.trace]
        units = [step for step in steps if step in {"begin", "commit"}]
        expect(units, ["begin", "commit"] * (len(units) // 2), "transactions of one process")

    clients = [partial(buy, number) for number in (1, 2, 3)]
    simulate_many(clients, seeds=range(10), prepare=stock, processes=1, check=wrote_in_turn)


class LosesReplies(RowUnit):
    """Commits, and loses the reply of every third one that wrote carts."""

    def __init__(self, storage: Losing, tenant: str, host: object | None) -> None:
        super().__init__(storage, tenant, host)
        self._carts = storage.carts

    def commit(self) -> None:
        """Commit, then fail as a storage does, which names the first key of a batch."""
        super().commit()
        if self._changes and self._changes.lines and next(self._carts) % 3 == 0:
            raise OutcomeUnknown(self._changes.outcomes[0].key, "the reply was lost")


class Losing(RowLocks):
    """A storage that loses replies."""

    def __init__(self, turns: Turns) -> None:
        super().__init__(turns)
        self.carts = count(1)

    def unit(self, tenant: str, host: object | None) -> RowUnit:
        """Return such a unit."""
        return LosesReplies(self, tenant, host)


def lost_replies_of_a_group() -> None:
    """Each client of a group is told under its own key that its reply was lost, and asks again."""

    def stock(shop: Inventory) -> None:
        shop.locations.add("berlin")
        shop.receive("MUG", 5, at="berlin")

    def buy(history: History, name: str, shop: Inventory) -> None:
        for turn in range(3):
            cart = Reserve({"MUG": 1}, reference=f"{name}-{turn}", key=f"{name}-{turn}")
            try:
                history.submit(shop, cart)
            except OutcomeUnknown as error:
                expect(error.key, cart.key, "the key of a lost reply")
                patiently(partial(shop.submit, [cart]))

    for seed in range(10):
        history = History()
        simulate(
            [partial(buy, history, name) for name in ("ann", "bob", "cyd")],
            seed=seed,
            prepare=stock,
            processes=1,
            make_storage=Losing,
            check=partial(_explained, history),
        )


def _explained(history: History, done: Simulated) -> None:
    with done.storage.read("main") as reader:
        before = {row.id for _, row in reader.feed() if row.kind == "receive"}
    check_history(history, done.storage, before)


def every_fault_of_a_morning() -> None:
    """A short scenario that fails at every call."""

    def morning(inventory: Inventory, clock: ManualClock) -> None:
        inventory.receive("MUG", 5, at="berlin", key="asn-1")
        inventory.reserve({"MUG": 2}, reference="A-1", key="a1")

    every_fault(MemoryStorage, morning, prepare=prepare)


# --- the write ---------------------------------------------------------------------------


def replay_after_a_change_of_rules() -> None:
    """The same request is the same request, whatever the rules are by now."""
    shop = Shop()
    shop.inventory.policies.set(Policy(safety_stock=1))
    repeated = shop.inventory.receive("MUG", 10, at="berlin", key="asn-1")
    expect([repeated.replayed], [True], "whether the same request is a replay")


def refusal_is_forgotten() -> None:
    """After a week a refused key may be tried anew."""
    shop = Shop()
    call = partial(shop.inventory.reserve, {"MUG": 11}, reference="A-1", key="a1")
    expect_raises(InsufficientStock, call, "11 of 10")
    shop.inventory.receive("MUG", 1, at="berlin")
    expect_raises(InsufficientStock, call, "the same key within a week")
    shop.clock.tick(timedelta(days=8))
    expect(call().quantity("held"), {"MUG": 11}, "the same key after a week")


def clock_goes_back() -> None:
    """What is recorded later has a later time, whatever the clock does."""
    shop = Shop()
    shop.clock.tick(-HOUR)
    shop.inventory.receive("MUG", 1, at="berlin")
    of_mugs = [each for each in shop.inventory.feed() if each.legs[0].sku == "MUG"]
    first, second = [movement.recorded_at for movement in of_mugs]
    expect([first < second], [True], "whether recorded_at went on while the clock went back")


def refused_member_leaves_nothing() -> None:
    """A member of a batch that is refused half way leaves nothing beside those granted."""
    shop = Shop()
    shop.inventory.reserve({"MUG": 1, "TEA": 5}, reference="A-1")
    shop.inventory.confirm("A-1")
    shop.inventory.adjust("TEA", -3, at="berlin", reason="broken")
    acts = [Ship(reference="A-1", key="s1"), Reserve({"MUG": 1}, reference="A-2", key="a2")]
    granted = [outcome.granted for outcome in shop.inventory.submit(acts)]
    expect(granted, [False, True], "grants of a batch with a parcel of units that are not there")
    assert_invariants(shop.inventory)
    shipped = shop.inventory.reservation("A-1").quantity("shipped")
    expect(shipped, {"MUG": 0, "TEA": 0}, "shipped by a refusal")


def floor_is_kept() -> None:
    """No command takes what is promised to somebody, not one unit."""
    shop = Shop()
    moved = shop.inventory.relocate("MUG", 10, source="berlin", target="hamburg")
    shop.inventory.reserve({"MUG": 1}, reference="A-1")
    call = partial(shop.inventory.undo, moved.movement_id, reason="wrong mugs")
    expect_raises(InsufficientStock, call, "moving 10 mugs back, one of which is promised")


# --- reservations, bundles, counts -------------------------------------------------------


def hold_ends_at_its_time() -> None:
    """A hold is good until its time, and not at it."""
    shop = Shop()
    shop.inventory.reserve({"MUG": 1}, reference="A-1", ttl=HOUR)
    shop.inventory.reserve({"MUG": 1}, reference="A-2", ttl=HOUR + 9 * INSTANT)
    end = shop.inventory.reservation("A-1").expires_at
    if end is None:
        raise AssertionError("a hold: expected an end, got none")
    shop.clock.tick(end - shop.clock.now)
    expect_raises(HoldExpired, partial(shop.inventory.confirm, "A-1"), "a hold at its end")
    again = shop.inventory.reserve({"MUG": 2}, reference="A-1")
    expect(again.quantity("held"), {"MUG": 2}, "a new hold under the reference of one at its end")
    expect(shop.inventory.confirm("A-2").status, "confirmed", "a hold just before its end")


def release_is_not_clamped() -> None:
    """Giving back more than there is is refused, not cut down."""
    shop = Shop()
    shop.inventory.reserve({"MUG": 2}, reference="A-1")
    call = partial(shop.inventory.release, "A-1", {"MUG": 3}, key="back")
    expect_raises(TooMany, call, "giving back 3 of 2")


def expired_hold_counts_once() -> None:
    """Units of a hold that ran out are free again, each once."""
    shop = Shop()
    shop.inventory.reserve({"MUG": 4}, reference="A-1", ttl=HOUR)
    shop.clock.tick(2 * HOUR)
    expect(shop.inventory.available("MUG"), 10, "available after a hold ran out")


def old_orders_keep_their_recipe() -> None:
    """An order made before a bundle was defined anew ships what it was made of."""
    shop = Shop()
    shop.inventory.bundles.define("SET", {"MUG": 2, "TEA": 1}, key="v1")
    shop.inventory.reserve({"SET": 2}, reference="A-1")
    shop.inventory.confirm("A-1")
    shop.inventory.bundles.define("SET", {"MUG": 1, "TEA": 1}, key="v2")
    parcel = shop.inventory.ship("A-1", {"SET": 1}, key="parcel")
    expect(parcel.quantity("shipped"), {"MUG": 2, "TEA": 1}, "what one old set was made of")


def count_during_trade() -> None:
    """A count is compared with the book of its own moment, and later sales stay."""
    shop = Shop()
    counted = shop.clock.tick(HOUR)
    shop.clock.tick(HOUR)
    shop.inventory.record([Sold("MUG", 4, at="berlin", key="sale")])
    outcome = shop.inventory.count("MUG", 9, at="berlin", counted_at=counted)
    expect(outcome.result["variance"], -1, "the variance of a count before a sale")
    expect(shop.inventory.figures("MUG").on_hand, 5, "on hand after the count and the sale")


def keys_conflict() -> None:
    """The same key for another request is a conflict."""
    shop = Shop()
    call = partial(shop.inventory.receive, "MUG", 11, at="berlin", key="asn-1")
    expect_raises(IdempotencyConflict, call, "another request under a known key")


def durable_by_default() -> None:
    """Unless told otherwise a commit is on the disk before it is acknowledged."""
    storage = SQLiteStorage(f"{mkdtemp()}/shop.db")
    with storage.begin("main"):
        writer = storage._connections._writer
        seen = writer.rows("PRAGMA synchronous") if writer else None
    storage.close()
    expect(seen, [(2,)], "PRAGMA synchronous, 2 being FULL")


def units_exclude_each_other_in_memory() -> None:
    """Threads that take turns at every chance lose no update."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(5):
            races.check_units_exclude_each_other_on_rows(MemoryStorage)
    finally:
        sys.setswitchinterval(interval)


KILLERS: dict[str, Callable[[], None]] = {
    "broad_day": broad_day,
    "interleavings": interleavings,
    "interleaved_batches": interleaved_batches,
    "interleaved_claims": interleaved_claims,
    "interleaved_groups": interleaved_groups,
    "lost_replies_of_a_group": lost_replies_of_a_group,
    "units_exclude_each_other_in_memory": units_exclude_each_other_in_memory,
    "feed_in_memory": partial(reads.check_feed_is_contiguous_and_whole, MemoryStorage),
    "every_fault": every_fault_of_a_morning,
    "constraints_on_sqlite": partial(checks.check_constraints_refuse_and_write_nothing, sqlite),
    "forgotten_key_on_sqlite": partial(checks.check_forgotten_key_can_be_taken, sqlite),
    "taken_key_in_memory": partial(checks.check_taken_key_writes_nothing, MemoryStorage),
    "due_in_memory": partial(checks.check_due_takes_soonest_until_enough, MemoryStorage),
    "one_instant_on_sqlite": partial(reads.check_read_sees_one_instant, sqlite),
    "host_rollback_on_sqlite": partial(
        reaching.check_host_rollback_leaves_no_trace, sqlite, SQLITE
    ),
    "late_fact_keeps_the_count": partial(races.check_late_fact_keeps_the_count, MemoryStorage),
    "keys_conflict": keys_conflict,
    "replay_after_a_change_of_rules": replay_after_a_change_of_rules,
    "refusal_is_forgotten": refusal_is_forgotten,
    "clock_goes_back": clock_goes_back,
    "refused_member_leaves_nothing": refused_member_leaves_nothing,
    "floor_is_kept": floor_is_kept,
    "hold_ends_at_its_time": hold_ends_at_its_time,
    "release_is_not_clamped": release_is_not_clamped,
    "expired_hold_counts_once": expired_hold_counts_once,
    "old_orders_keep_their_recipe": old_orders_keep_their_recipe,
    "count_during_trade": count_during_trade,
    "durable_by_default": durable_by_default,
}
