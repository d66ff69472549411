from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import attrs
import pytest

from tests.hooked import HookedStorage
from tests.shops import DAY, MINUTE, START
from truecount import (
    Adjusted,
    Committed,
    Inventory,
    MemoryStorage,
    Operation,
    Outcome,
    Policy,
    Received,
    Release,
    Relocate,
    Reserve,
    Sold,
    SQLiteStorage,
)
from truecount.errors import (
    IdempotencyConflict,
    InsufficientStock,
    InvalidArgument,
    InvalidQuantity,
    InvalidTime,
    KeyTaken,
    Retryable,
    StorageUnavailable,
    TrueCountError,
    UnknownLocation,
    UnknownSku,
)
from truecount.model.quantities import QUANTITY_MAX
from truecount.protocols.storage import Record, Storage, Unit
from truecount.testing import CountingIds, ManualClock
from truecount.write.apply import ATTEMPTS_MAX
from truecount.write.engine import BATCH_MAX


INSTANT = timedelta(microseconds=1)


class Bench:
    """An inventory over a hooked storage, and another one beside it over the same stock."""

    def __init__(self) -> None:
        self.clock = ManualClock(START)
        self.hooked = HookedStorage(MemoryStorage())
        self.inventory = Inventory(self.hooked, clock=self.clock, new_id=CountingIds("ours"))
        self.other = Inventory(self.hooked.storage, clock=self.clock, new_id=CountingIds("theirs"))
        self.inventory.locations.add("berlin", "hamburg")
        self.inventory.receive("MUG", 5, at="berlin")
        self.inventory.receive("MUG", 9, at="hamburg")
        self.hooked.calls.clear()

    def submit(self, *operations: Operation) -> list[Outcome]:
        """Run operations as one batch."""
        return self.inventory.submit(operations)

    def attempts(self) -> int:
        """Return how many transactions tried to lock since the last time."""
        return self.hooked.calls.pop("lock", 0)

    def written(self) -> int:
        """Return how many movements there are."""
        return len(self.inventory.feed())


@pytest.fixture
def bench() -> Bench:
    """Five mugs in Berlin, nine in Hamburg."""
    return Bench()


def raiser(error: Exception) -> Callable[[], None]:
    """Return a hook that raises *error*."""

    def fail() -> None:
        raise error

    return fail


class TestKeys:
    def test_repetition_has_one_effect_and_one_answer(self, bench: Bench) -> None:
        """The stored outcome, marked as replayed, with the time it was decided."""
        first = bench.inventory.receive("MUG", 3, at="berlin", key="asn-1")
        bench.clock.tick(DAY)
        again = bench.inventory.receive("MUG", 3, at="berlin", key="asn-1")
        assert again == attrs.evolve(first, replayed=True)
        assert bench.inventory.figures("MUG", at="berlin").on_hand == 8

    def test_key_of_another_request_writes_nothing(self, bench: Bench) -> None:
        """Quantity, place, kind: whatever differs makes it another request."""
        bench.inventory.receive("MUG", 3, at="berlin", key="k")
        before = bench.written()
        for other in (
            Received("MUG", 4, at="berlin", key="k"),
            Received("MUG", 3, at="hamburg", key="k"),
            Sold("MUG", 3, at="berlin", key="k"),
            Reserve({"MUG": 3}, reference="cart-1", key="k"),
        ):
            with pytest.raises(IdempotencyConflict, match="'k': it was used at 2026-03-02"):
                bench.submit(other)[0].check()
        assert bench.written() == before
        assert bench.inventory.receive("MUG", 3, at="berlin", key="k").replayed

    def test_refusal_stands_for_a_week(self, bench: Bench) -> None:
        """Though stock arrived; then it is forgotten, also if nobody swept."""
        cart = Reserve({"MUG": 15}, reference="cart-1", key="k")
        [refused] = bench.submit(cart)
        bench.inventory.receive("MUG", 9, at="berlin")
        bench.clock.tick(6 * DAY)
        [again] = bench.submit(cart)
        assert again.replayed
        assert again.decided_at == refused.decided_at
        assert isinstance(again.error, InsufficientStock)
        assert again.error.short == refused.error.short  # type: ignore[union-attr]  # as above
        bench.clock.tick(2 * DAY)
        assert bench.submit(cart)[0].granted

    @pytest.mark.parametrize(("early", "replayed"), [(INSTANT, True), (0 * INSTANT, False)])
    def test_week_of_a_refusal_ends_to_the_microsecond(
        self, bench: Bench, early: timedelta, *, replayed: bool
    ) -> None:
        """From seven days after it was decided on the request is decided anew."""
        cart = Reserve({"MUG": 15}, reference="cart-1", key="k")
        [refused] = bench.submit(cart)
        bench.clock.tick(refused.decided_at + 7 * DAY - early - bench.clock.now)
        assert bench.submit(cart)[0].replayed is replayed

    def test_forgotten_refusal_frees_its_key(self, bench: Bench) -> None:
        """After its week the key may even name another request."""
        bench.submit(Reserve({"MUG": 15}, reference="cart-1", key="k"))
        bench.clock.tick(8 * DAY)
        assert bench.submit(Sold("MUG", 1, at="berlin", key="k"))[0].granted

    def test_what_was_granted_is_never_forgotten(self, bench: Bench) -> None:
        """A webhook repeated after a year is still a repetition."""
        bench.inventory.receive("MUG", 3, at="berlin", key="k")
        bench.clock.tick(400 * DAY)
        bench.inventory.sweep()
        assert bench.inventory.receive("MUG", 3, at="berlin", key="k").replayed

    def test_mistaken_request_is_not_remembered(self, bench: Bench) -> None:
        """The caller mends the call and uses the same key."""
        with pytest.raises(UnknownLocation):
            bench.inventory.receive("MUG", 3, at="bremen", key="k")
        bench.inventory.locations.add("bremen")
        assert not bench.inventory.receive("MUG", 3, at="bremen", key="k").replayed

    def test_key_used_twice_in_one_batch(self, bench: Bench) -> None:
        """The second member is a repetition, or a conflict, as if it came later."""
        first, second, third = bench.submit(
            Sold("MUG", 1, at="berlin", key="k"),
            Sold("MUG", 1, at="berlin", key="k"),
            Sold("MUG", 2, at="berlin", key="k"),
        )
        assert (first.replayed, second.replayed) == (False, True)
        assert second.movements == first.movements
        assert isinstance(third.error, IdempotencyConflict)
        assert bench.inventory.figures("MUG", at="berlin").on_hand == 4


class TestRestarts:
    def test_planned_location_needs_one_transaction(self, bench: Bench) -> None:
        """A cart the first place can serve locks that place only, once."""
        bench.submit(Reserve({"MUG": 5}, reference="cart-1"))
        assert bench.attempts() == 1

    def test_batch_locks_at_once_what_all_its_members_touch(self, bench: Bench) -> None:
        """However many there are, the first transaction is enough."""
        bench.submit(
            Sold("MUG", 1, at="berlin"),
            Sold("MUG", 1, at="hamburg"),
            Received("TEA", 1, at="berlin"),
            Reserve({"MUG": 1}, reference="cart-1", at="berlin"),
        )
        assert bench.attempts() == 1

    @pytest.mark.parametrize(("quantity", "granted"), [(6, True), (15, False)])
    def test_wider_locks_restart_once(self, bench: Bench, quantity: int, *, granted: bool) -> None:
        """The second answer, grant or refusal, is final."""
        [outcome] = bench.submit(Reserve({"MUG": quantity}, reference="cart-1"))
        assert outcome.granted is granted
        assert bench.attempts() == 2

    def test_one_place_is_seen_whole_at_once(self) -> None:
        """Where there is no other place, a refusal needs no second look."""
        hooked = HookedStorage(MemoryStorage())
        inventory = Inventory(hooked)
        inventory.locations.add("berlin")
        inventory.receive("MUG", 5, at="berlin")
        hooked.calls.clear()
        with pytest.raises(InsufficientStock):
            inventory.reserve({"MUG": 6}, reference="cart-1")
        assert hooked.calls["lock"] == 1

    def test_one_restart_serves_the_whole_batch(self, bench: Bench) -> None:
        """Several members that need wider locks ask for them together, without an error."""
        bench.inventory.receive("TEA", 1, at="hamburg")
        bench.attempts()
        outcomes = bench.submit(
            Reserve({"MUG": 6}, reference="cart-1"),
            Reserve({"MUG": 3}, reference="cart-2"),
            Reserve({"TEA": 1}, reference="cart-3"),
            Reserve({"MUG": 6}, reference="cart-4"),
        )
        assert [outcome.granted for outcome in outcomes] == [True, True, True, False]
        assert bench.attempts() == 2

    def test_key_stored_meanwhile_is_replayed(self, bench: Bench) -> None:
        """Another process wrote the same request first: one effect, two equal answers."""
        bench.hooked.before(
            "write", lambda: bench.other.receive("MUG", 3, at="berlin", key="asn-1")
        )
        found = bench.inventory.receive("MUG", 3, at="berlin", key="asn-1")
        assert found.replayed
        assert bench.attempts() == 2
        assert bench.inventory.figures("MUG", at="berlin").on_hand == 8

    def test_key_stored_meanwhile_for_another_request_is_a_conflict(self, bench: Bench) -> None:
        """The loser is told, and has written nothing."""
        bench.hooked.before(
            "write", lambda: bench.other.receive("MUG", 4, at="berlin", key="asn-1")
        )
        with pytest.raises(IdempotencyConflict):
            bench.inventory.receive("MUG", 3, at="berlin", key="asn-1")
        assert bench.inventory.figures("MUG", at="berlin").on_hand == 9

    def test_restart_keeps_the_wider_locks(self, bench: Bench) -> None:
        """A key stored during the second attempt does not start the search anew."""
        race = bench.other.submit
        bench.hooked.before(
            "write", lambda: race([Reserve({"MUG": 6}, reference="cart-1", key="k")])
        )
        [outcome] = bench.submit(Reserve({"MUG": 6}, reference="cart-1", key="k"))
        assert outcome.replayed
        assert bench.attempts() == 3

    def test_endless_races_end_as_retryable(self, bench: Bench) -> None:
        """After a stated number of attempts the caller decides; nothing was written."""
        bench.hooked.before("write", *[raiser(KeyTaken("k"))] * ATTEMPTS_MAX)
        before = bench.written()
        with pytest.raises(Retryable, match="again and again"):
            bench.inventory.receive("MUG", 3, at="berlin", key="k")
        assert bench.attempts() == ATTEMPTS_MAX
        assert bench.written() == before
        assert not bench.inventory.receive("MUG", 3, at="berlin", key="k").replayed

    @pytest.mark.parametrize("call", ["begin", "lock", "write"])
    def test_busy_database_writes_nothing(self, bench: Bench, call: str) -> None:
        """Wherever it says so; the same call under the same key then succeeds."""
        before = bench.written()
        bench.hooked.before(call, raiser(Retryable("it is locked")))
        with pytest.raises(Retryable, match="it is locked"):
            bench.inventory.receive("MUG", 3, at="berlin", key="k")
        assert bench.written() == before
        assert not bench.inventory.receive("MUG", 3, at="berlin", key="k").replayed

    def test_rules_changed_elsewhere_hold_at_once(self, bench: Bench) -> None:
        """No decision is made on shop rules that had changed before its locks."""
        bench.hooked.before("lock", lambda: bench.other.policies.set(Policy(safety_stock=4)))
        with pytest.raises(InsufficientStock, match="safety_stock=4"):
            bench.inventory.reserve({"MUG": 2}, reference="cart-1", at="berlin")
        bench.other.locations.add("bremen")
        bench.inventory.receive("MUG", 1, at="bremen")


class TestClock:
    def test_time_never_goes_back_on_a_key(self, bench: Bench) -> None:
        """The clock jumps back an hour; what is recorded on the key is later all the same."""
        bench.clock.tick(-60 * MINUTE)
        times = [
            bench.inventory.movement(bench.inventory.receive(sku, 1, at="berlin").movement_id)
            for sku in ("MUG", "MUG", "TEA", "MUG")
        ]
        first, second, tea, third = (movement.recorded_at for movement in times)
        assert START < first < second < third < START + timedelta(seconds=1)
        assert tea == START - 60 * MINUTE

    def test_hold_is_not_expired_by_a_clock_that_jumped_back(self, bench: Bench) -> None:
        """Nor is it kept longer than the time it was granted on its key."""
        bench.inventory.reserve({"MUG": 5}, reference="cart-1", at="berlin")
        bench.clock.tick(-60 * MINUTE)
        with pytest.raises(InsufficientStock):
            bench.inventory.reserve({"MUG": 1}, reference="cart-2", at="berlin")
        bench.clock.tick(76 * MINUTE)
        bench.inventory.reserve({"MUG": 5}, reference="cart-3", at="berlin")

    def test_command_from_the_future_is_refused(self, bench: Bench) -> None:
        """Five minutes of skew are tolerated, more is the caller's clock."""
        ahead = bench.clock.now + 6 * MINUTE
        with pytest.raises(InvalidTime, match="more than 5 minutes after now"):
            bench.inventory.reserve({"MUG": 1}, reference="cart-1", occurred_at=ahead)
        near = bench.clock.now + 4 * MINUTE
        bench.inventory.reserve({"MUG": 1}, reference="cart-1", occurred_at=near)

    def test_five_minutes_of_skew_are_five_minutes(self, bench: Bench) -> None:
        """To the microsecond, for commands as for facts."""
        bench.clock.tick(MINUTE)
        limit = bench.clock.now + 5 * MINUTE
        cart = bench.inventory.reserve({"MUG": 1}, reference="cart-1", occurred_at=limit)
        assert cart.status == "held"
        with pytest.raises(InvalidTime):
            bench.inventory.reserve({"MUG": 1}, reference="cart-2", occurred_at=limit + 2 * INSTANT)
        for at, said, kept in (("berlin", limit, True), ("hamburg", limit + INSTANT, False)):
            done = bench.inventory.receive("TEA", 1, at=at, occurred_at=said)
            movement = bench.inventory.movement(done.movement_id)
            assert (movement.occurred_at == said) is kept
            assert bool(movement.notes) is not kept

    def test_fact_from_the_future_is_recorded_with_the_doubt(self, bench: Bench) -> None:
        """It counts from now on, and says what it said."""
        ahead = bench.clock.now + DAY
        done = bench.inventory.receive("MUG", 1, at="berlin", occurred_at=ahead)
        movement = bench.inventory.movement(done.movement_id)
        assert movement.occurred_at == movement.recorded_at < ahead
        assert movement.notes[0].startswith("future_time: said to have occurred at 2026-03-03")


class TestBatches:
    def test_members_see_those_before_them(self, bench: Bench) -> None:
        """In order, within one transaction; each key's row is written once, folded."""
        outcomes = bench.submit(
            Reserve({"MUG": 14}, reference="cart-1"),
            Reserve({"MUG": 1}, reference="cart-2"),
            Release(reference="cart-1"),
            Reserve({"MUG": 14}, reference="cart-3"),
        )
        assert [outcome.granted for outcome in outcomes] == [True, False, True, True]
        assert bench.hooked.calls["write"] == 1
        assert bench.inventory.verify().ok

    def test_failing_member_does_not_disturb_the_others(self, bench: Bench) -> None:
        """Refused, mistaken, or beyond what a figure can hold."""
        outcomes = bench.submit(
            Sold("MUG", 1, at="berlin"),
            Sold("MUG", 1, at="bremen"),
            Reserve({"MUG": 99}, reference="cart-1"),
            Received("MUG", QUANTITY_MAX, at="berlin"),
            Reserve({"CUP": 1}, reference="cart-2"),
            Received("MUG", 2, at="berlin"),
        )
        errors = [type(outcome.error) for outcome in outcomes if outcome.error]
        assert errors == [UnknownLocation, InsufficientStock, InvalidQuantity, UnknownSku]
        assert bench.inventory.figures("MUG", at="berlin").on_hand == 6
        assert bench.inventory.verify().ok

    def test_together_is_all_or_nothing(self, bench: Bench) -> None:
        """The first refusal is raised with its number; not even it is remembered."""
        operations = [
            Received("MUG", 1, at="berlin", key="a"),
            Reserve({"MUG": 99}, reference="cart-1", key="b"),
            Sold("MUG", 1, at="berlin", key="c"),
        ]
        before = bench.written()
        with pytest.raises(InsufficientStock) as caught:
            bench.inventory.submit(operations, together=True)
        assert caught.value.__notes__ == ["request 2 of 3"]
        assert bench.written() == before
        bench.inventory.receive("MUG", 99, at="berlin")
        outcomes = bench.inventory.submit(operations, together=True)
        assert [outcome.replayed for outcome in outcomes] == [False, False, False]

    def test_together_after_wider_locks(self, bench: Bench) -> None:
        """A member that first needs more locks is not mistaken for a refusal."""
        outcomes = bench.inventory.submit(
            [
                Reserve({"MUG": 14}, reference="cart-1"),
                Release(reference="cart-1"),
                Reserve({"MUG": 9}, reference="cart-2"),
            ],
            together=True,
        )
        assert all(outcome.granted for outcome in outcomes)

    def test_preview_shows_before_and_after_and_writes_nothing(self, bench: Bench) -> None:
        """Members see each other; the stock stays, and so do the keys."""
        operation = Sold("MUG", 2, at="berlin", key="k")
        relocation = Relocate("MUG", 3, source="berlin", target="hamburg")
        first, second = bench.inventory.submit([operation, relocation], preview=True)
        assert "changes" not in repr(first)
        [(key, (before, after))] = (first.changes or {}).items()
        assert (key.location, before.on_hand, after.on_hand) == ("berlin", 5, 3)
        changes = {
            k.location: (b.on_hand, a.on_hand) for k, (b, a) in (second.changes or {}).items()
        }
        assert changes == {"berlin": (3, 0), "hamburg": (9, 12)}
        assert "write" not in bench.hooked.calls
        assert bench.submit(operation)[0].replayed is False

    def test_batch_has_a_limit(self, bench: Bench) -> None:
        """A longer list is the caller's to cut; an empty one is nothing to do."""
        facts = [Sold("MUG", 1, at="berlin")] * (BATCH_MAX + 1)
        with pytest.raises(InvalidArgument, match="at most 1000"):
            bench.inventory.submit(facts)
        assert bench.inventory.submit([]) == []
        assert "begin" not in bench.hooked.calls

    def test_batch_may_be_as_long_as_its_limit(self, bench: Bench) -> None:
        """The last one that is allowed is allowed."""
        outcomes = bench.submit(*[Sold("MUG", 1, at="berlin")] * BATCH_MAX)
        assert len(outcomes) == BATCH_MAX
        assert bench.inventory.figures("MUG", at="berlin").on_hand == 5 - BATCH_MAX

    def test_thing_that_is_no_operation_is_refused(self, bench: Bench) -> None:
        """The message lists what there is."""
        with pytest.raises(InvalidArgument, match="'Reserve'"):
            bench.inventory.submit([Operation()])


class TestObserver:
    def watch(self, storage: MemoryStorage, seen: list[Committed]) -> Inventory:
        """Open an inventory that reports to *seen*."""
        inventory = Inventory(storage, observer=seen.append)
        inventory.locations.add("berlin")
        seen.clear()
        return inventory

    def test_it_is_told_after_the_commit(self) -> None:
        """What was decided, frozen, once it can be read by anybody."""
        storage = MemoryStorage()
        seen: list[tuple[Committed, int]] = []

        def tell(event: Committed) -> None:
            seen.append((event, Inventory(storage).figures("MUG").on_hand))

        inventory = Inventory(storage, observer=tell)
        inventory.locations.add("berlin")
        outcomes = inventory.submit(
            [Received("MUG", 2, at="berlin"), Reserve({"MUG": 3}, reference="cart-1")]
        )
        event, on_hand = seen[-1]
        assert on_hand == 2
        assert event.outcomes == tuple(outcomes)
        assert [outcome.granted for outcome in event.outcomes] == [True, False]
        assert event.tenant == "main"
        assert event.seconds >= 0
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            event.seconds = 0.0  # type: ignore[misc]  # that it cannot is the claim

    @pytest.mark.parametrize(("passes", "seconds"), [(3 * MINUTE, 180.0), (-MINUTE, 0.0)])
    def test_it_is_told_how_long_the_write_took(self, passes: timedelta, seconds: float) -> None:
        """In seconds by the clock of the shop; a clock that went back took no time."""
        clock, seen = ManualClock(START), list[Committed]()
        hooked = HookedStorage(MemoryStorage())
        inventory = Inventory(hooked, clock=clock, observer=seen.append)
        inventory.locations.add("berlin")
        hooked.before("write", lambda: clock.tick(passes))
        inventory.receive("MUG", 2, at="berlin")
        assert seen[-1].seconds == seconds

    def test_it_is_not_told_of_what_was_not_written(self) -> None:
        """Previews, batches taken back as a whole, and calls that never got that far."""
        seen: list[Committed] = []
        inventory = self.watch(MemoryStorage(), seen)
        inventory.receive("MUG", 2, at="berlin", preview=True)
        facts = [Received("MUG", 2, at="berlin"), Adjusted("MUG", -1, at="bremen", reason="x")]
        with pytest.raises(UnknownLocation):
            inventory.submit(facts, together=True)
        with pytest.raises(InvalidQuantity):
            inventory.receive("MUG", 0, at="berlin")
        assert seen == []

    def test_what_it_raises_reaches_the_caller(self) -> None:
        """Everything was written by then, as its contract says."""

        def tell(event: Committed) -> None:
            if event.outcomes[0].key == "k":
                raise ConnectionError("nobody listens")

        inventory = Inventory(observer=tell)
        inventory.locations.add("berlin")
        with pytest.raises(ConnectionError):
            inventory.receive("MUG", 2, at="berlin", key="k")
        assert inventory.figures("MUG").on_hand == 2


class TestStorages:
    def test_memory_has_no_transaction_to_join(self, bench: Bench) -> None:
        """The message says so; nothing is written."""
        joined = bench.inventory.within(object())
        for act in (lambda: joined.receive("MUG", 1, at="berlin"), lambda: joined.figures("MUG")):
            with pytest.raises(InvalidArgument, match="no transaction to join"):
                act()

    def test_closed_storage_is_not_used(self, bench: Bench) -> None:
        """Neither for reading nor for writing."""
        with bench.inventory:
            pass
        for act in (
            lambda: bench.inventory.receive("MUG", 1, at="berlin"),
            lambda: bench.inventory.figures("MUG"),
        ):
            with pytest.raises(StorageUnavailable, match="closed"):
                act()

    def test_every_error_is_one_of_ours(self, bench: Bench) -> None:
        """Whatever a batch runs into is in the one tree."""
        for outcome in bench.submit(Sold("MUG", 1, at="x"), Release(reference="y")):
            assert isinstance(outcome.error, TrueCountError)


class TestKnownRules:
    def test_hosts_transactions_read_the_rules_once(self, tmp_path: Path) -> None:
        """Though nobody ever wrote outside of a host's transaction."""
        with closing(SQLiteStorage(tmp_path / "shop.db")) as storage:
            Inventory(storage).locations.add("berlin")
            counted = Counted(storage)
            inventory = Inventory(counted)
            with closing(sqlite3.connect(tmp_path / "shop.db", isolation_level=None)) as host:
                for number in range(3):
                    host.execute("BEGIN IMMEDIATE")
                    inventory.within(host).receive("MUG", 1, at="berlin", key=f"asn-{number}")
                    host.execute("COMMIT")
        assert counted.pages == {"location": 2, "policy": 1, "recipe": 1, "source": 1}

    def test_rules_a_host_rolled_back_are_not_decided_on(self, tmp_path: Path) -> None:
        """Nor are those made from the same generation afterwards taken for them."""
        with closing(SQLiteStorage(tmp_path / "shop.db")) as storage:
            inventory = Inventory(storage)
            inventory.locations.add("berlin")
            inventory.receive("MUG", 5, at="berlin")
            with closing(sqlite3.connect(tmp_path / "shop.db", isolation_level=None)) as host:
                host.execute("BEGIN IMMEDIATE")
                joined = inventory.within(host)
                joined.policies.set(Policy(safety_stock=5))
                with pytest.raises(InsufficientStock):
                    joined.reserve({"MUG": 1}, reference="cart-1")
                host.execute("ROLLBACK")
            inventory.reserve({"MUG": 1}, reference="cart-1")
            inventory.policies.set(Policy(safety_stock=1))
            with pytest.raises(InsufficientStock):
                inventory.reserve({"MUG": 4}, reference="cart-2")
            inventory.reserve({"MUG": 3}, reference="cart-3")

    def test_rules_of_a_file_that_was_put_back_are_read_anew(self, tmp_path: Path) -> None:
        """A backup knows nothing of what was changed since, nor does what is changed after it."""
        path, backup = tmp_path / "shop.db", tmp_path / "backup.db"
        with closing(SQLiteStorage(path)) as storage:
            inventory = Inventory(storage)
            inventory.locations.add("berlin")
            inventory.receive("MUG", 5, at="berlin")
            with closing(sqlite3.connect(path)) as old, closing(sqlite3.connect(backup)) as copy:
                old.backup(copy)
            inventory.policies.set(Policy(safety_stock=5))
            inventory.receive("TEA", 5, at="berlin")
            with closing(sqlite3.connect(backup)) as copy, closing(sqlite3.connect(path)) as new:
                copy.backup(new)
            inventory.receive("TEA", 5, at="berlin")
            for sku in ("MUG", "TEA"):
                inventory.policies.set(Policy(reorder_point=1), sku=sku)
            inventory.reserve({"MUG": 1, "TEA": 1}, reference="cart-1")


class Counted(HookedStorage):
    """Counts the pages of documents that units read."""

    def __init__(self, storage: Storage) -> None:
        super().__init__(storage)
        self.pages: dict[str, int] = {}

    @contextmanager
    def begin(self, tenant: str, host: object | None = None) -> Iterator[Unit]:
        """Open a write transaction whose pages are counted."""
        with self.storage.begin(tenant, host) as unit:
            records = unit.records

            def counted(space: str, after: str = "", limit: int = 1000) -> list[Record]:
                self.pages[space] = self.pages.get(space, 0) + 1
                return records(space, after, limit)

            unit.records = counted  # type: ignore[method-assign]  # that it is called is counted
            yield unit
