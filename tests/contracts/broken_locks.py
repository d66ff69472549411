"""
Storages that are right alone and wrong together: rows locked by real threads, but badly.

``RowWise`` is the right one: the storage that the simulator interleaves, with threads that
run as they like. Each mistake is a unit, or a reader, that differs from it in one respect.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, cast

from truecount.errors import Retryable
from truecount.model.lines import NEVER
from truecount.protocols.storage import Changes, Locked, Reader, Record, Unit, Wants
from truecount.testing import RowLocks, RowUnit, Turns
from truecount.testing.locks import Locks


class Threads(Turns):
    """Turns that the operating system gives; who would wait in a circle is told so."""

    def __init__(self) -> None:
        super().__init__(seed=0)
        self._held = Locks()
        self._changed = threading.Condition()
        self._waits_for: dict[str, Hashable] = {}

    def pause(self, step: str) -> None:
        """Let another thread run, if there is one."""
        time.sleep(0)

    def take(self, name: Hashable, *, shared: bool = False) -> None:
        """Lock *name*, waiting until it is free."""
        self.pause("lock")
        who = str(threading.get_ident())
        with self._changed:
            while not self._held.is_free(name, who, shared=shared):
                self._waits_for[who] = name
                if self._in_a_circle(who):
                    del self._waits_for[who]
                    raise Retryable(f"a deadlock over {name}")
                self._changed.wait()
                del self._waits_for[who]
            self._held.hold(name, who, shared=shared)

    def _in_a_circle(self, who: str) -> bool:
        seen: set[str] = set()
        ahead = {who}
        while ahead:
            names = [self._waits_for[each] for each in ahead if each in self._waits_for]
            ahead = {holder for name in names for holder in self._held.holders(name)} - seen
            if who in ahead and seen:
                return True
            seen |= ahead
            ahead -= {who}
        return False

    def release(self) -> None:
        """Unlock everything that this thread has locked."""
        with self._changed:
            self._held.release(str(threading.get_ident()))
            self._changed.notify_all()


class RowWise(RowLocks):
    """Rows locked one by one, by threads; right."""

    units: Callable[[RowLocks, str, object | None], RowUnit] = RowUnit

    def __init__(self) -> None:
        super().__init__(Threads())
        self.numbers = count(1)

    def unit(self, tenant: str, host: object | None) -> RowUnit:
        """Return a unit of this kind of storage."""
        return type(self).units(self, tenant, host)


def rowwise(units: type[RowUnit]) -> type[RowWise]:
    """Return a kind of storage that has such units."""
    return type(f"Storage of {units.__name__}", (RowWise,), {"units": units})


# --- locking -----------------------------------------------------------------------------


class NoLocks(RowUnit):
    """Locks nothing."""

    def take(self, wants: Wants) -> None:
        """Take none."""


class OnlyWhatIsThere(RowUnit):
    """Locks what it finds; what does not exist yet it cannot find."""

    def take(self, wants: Wants) -> None:
        """Leave out what is not there."""
        seen = self.look(wants)
        there = seen.records.keys()
        super().take(
            Wants(
                orders={name for name in wants.orders if ("order", name) in there},
                records=wants.records & there,
                keys={key for key, row in seen.rows.items() if row.version},
            )
        )


class OrdersUnlocked(RowUnit):
    """Locks stock rows and other documents only."""

    def take(self, wants: Wants) -> None:
        """Leave out orders."""
        keys = set(self.look(wants).rows)
        others = {(space, id_) for space, id_ in wants.records if space != "order"}
        super().take(Wants(keys=keys, records=others, shared=wants.shared))


class Unsorted(RowUnit):
    """Takes locks of one kind in an order of its own, every other unit the other way round."""

    kind = ""

    def __init__(self, storage: RowWise, tenant: str, host: object | None) -> None:
        super().__init__(storage, tenant, host)
        self._backwards = next(storage.numbers) % 2 == 0

    def _take_all(self, kind: str, names: Iterable[Hashable]) -> None:
        backwards = kind == self.kind and self._backwards
        super()._take_all(kind, list(names)[:: -1 if backwards else 1])


class UnsortedRows(Unsorted):
    """Locks stock rows in no order."""

    kind = "stock"


class UnsortedKeys(Unsorted):
    """Inserts outcomes in no order."""

    kind = "outcome"


# --- reading before the lock --------------------------------------------------------------


class Early(RowUnit):
    """Waits for its locks, and believes what it saw before."""

    def lock(self, wants: Wants) -> Locked:
        """Look, then lock."""
        seen = self.look(wants)
        super().lock(wants)
        return seen


class EarlyHolds(RowUnit):
    """Knows of expired holds what it saw before it had the locks."""

    def lock(self, wants: Wants) -> Locked:
        """Look for expired holds, then lock."""
        with self._open() as unit:
            self._seen = unit.due_holds(NEVER - 1)
        return super().lock(wants)

    def due(self, enough: Any, now: int) -> list[Any]:
        """Return what was seen."""
        return [line for line in self._seen if line.key in enough and line.expires_at <= now]


class EarlyKeys(RowUnit):
    """Looks up keys before it has the locks, and puts those of others once more."""

    def lock(self, wants: Wants) -> Locked:
        """Look up keys, then lock."""
        known = self.look(wants).outcomes
        return super().lock(wants)._replace(outcomes=known)

    def write(self, changes: Changes) -> None:
        """Write without the outcomes that others stored meanwhile."""
        there = self.look(Wants(keys_of_requests=[row.key for row in changes.outcomes])).outcomes
        new = [row for row in changes.outcomes if row.key not in there]
        super().write(changes._replace(outcomes=new))

    def commit(self) -> None:
        """Leave them out again: another unit may have been quicker."""
        if self._changes is not None:
            changes, self._changes = self._changes, None
            self.write(changes)
        super().commit()


# --- writing and reading ------------------------------------------------------------------


class Dirty(RowUnit):
    """Commits as soon as it writes."""

    def write(self, changes: Changes) -> None:
        """Write for all to see."""
        super().write(changes)
        super().commit()

    def commit(self) -> None:
        """Leave it at that."""


class RefusalsLeaveMore(RowUnit):
    """Notes each refusal in a document as well."""

    def write(self, changes: Changes) -> None:
        """Add a document for each refusal."""
        notes = [Record("refusal", row.key, 1, "{}") for row in changes.outcomes if row.forget_at]
        super().write(changes._replace(records=[*changes.records, *notes]))


class PerStatement:
    """A reader each of whose reads sees another instant."""

    def __init__(self, storage: RowLocks, tenant: str) -> None:
        self._storage = storage
        self._tenant = tenant

    def __getattr__(self, name: str) -> Any:
        def read(*values: Any, **named: Any) -> Any:
            self._storage.turns.pause(name)
            with self._storage.behind.read(self._tenant) as reader:
                found = getattr(reader, name)(*values, **named)
                return iter(list(found)) if isinstance(found, Iterator) else found

        return read


class ReadCommitted(RowWise):
    """Reads what is committed, statement by statement."""

    @contextmanager
    def read(self, tenant: str, host: object | None = None) -> Iterator[Reader]:
        """Open a reader that begins anew at each read."""
        with super().read(tenant, host):
            pass
        yield cast("Reader", PerStatement(self, tenant))


class NumberedEarly(RowWise):
    """Numbers movements when their unit begins, as a sequence does, not as they commit."""

    def __init__(self) -> None:
        super().__init__()
        self.positions: dict[str, int] = {}

    @contextmanager
    def begin(self, tenant: str, host: object | None = None) -> Iterator[Unit]:
        """Draw a number, and give it to what is written."""
        number = next(self.numbers)
        with super().begin(tenant, host) as unit:
            yield unit
        with self.behind.read(tenant) as reader:
            for _, row in reader.feed():
                self.positions.setdefault(row.id, number)

    @contextmanager
    def read(self, tenant: str, host: object | None = None) -> Iterator[Reader]:
        """Open a reader whose feed is in the order of those numbers."""
        with super().read(tenant, host) as reader:
            yield cast("Reader", _Numbered(reader, self.positions))


class _Numbered:
    def __init__(self, reader: Reader, positions: dict[str, int]) -> None:
        self._reader = reader
        self._positions = positions

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    def feed(self, after: int = 0, limit: int = 1000) -> list[tuple[int, Any]]:
        """Return what is committed by now, by number."""
        rows = [(self._positions[row.id], row) for _, row in self._reader.feed(0, limit)]
        return sorted(row for row in rows if row[0] > after)


#: By the check that must notice it: a storage that is wrong.
TOGETHER: dict[str, type[RowWise]] = {
    "check_read_sees_one_instant": ReadCommitted,
    "check_lock_waits_and_reads_anew": rowwise(Early),
    "check_reader_sees_nothing_uncommitted": rowwise(Dirty),
    "check_feed_tells_slow_writers_once": NumberedEarly,
    "check_units_exclude_each_other_on_rows": rowwise(NoLocks),
    "check_units_exclude_each_other_on_new_rows": rowwise(OnlyWhatIsThere),
    "check_opposite_batches_do_not_deadlock": rowwise(UnsortedKeys),
    "check_last_unit_is_granted_once": rowwise(Early),
    "check_same_key_has_one_effect": rowwise(EarlyKeys),
    "check_same_key_with_other_requests_conflicts": rowwise(EarlyKeys),
    "check_same_reference_is_reserved_once": rowwise(OrdersUnlocked),
    "check_opposite_carts_do_not_deadlock": rowwise(UnsortedRows),
    "check_expired_hold_is_reclaimed_once": rowwise(EarlyHolds),
    "check_sell_out_inside_a_batch": rowwise(NoLocks),
    "check_readers_see_whole_movements": ReadCommitted,
    "check_refusal_stores_its_outcome_alone": rowwise(RefusalsLeaveMore),
    "check_rolled_back_unit_stores_nothing": rowwise(Dirty),
}
