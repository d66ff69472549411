"""
Storages that are wrong in one way each, made of the one in memory.

Those that are wrong only while several are at work are in ``broken_locks``, those that are
wrong with files and hosts in ``broken_files``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeAlias

from truecount import MemoryStorage, errors
from truecount.model.stock import NOTHING
from truecount.protocols.storage import Locked, Record, Wants


#: What a method does instead, given the reader or unit it belongs to.
Instead: TypeAlias = Callable[..., Any]


#: What a lock finds in an empty storage.
NOTHING_THERE = Locked({}, [], {}, {}, {})


class Spoilt:
    """A reader or unit of the memory storage with some of its methods replaced."""

    def __init__(self, inner: Any, instead: Mapping[str, Instead]) -> None:
        self._inner = inner
        self._instead = instead

    def __getattr__(self, name: str) -> Any:
        if name in self._instead:
            return lambda *values, **named: self._instead[name](self._inner, *values, **named)
        return getattr(self._inner, name)


class Broken:
    """A storage over the memory one that differs from it in the methods given."""

    def __init__(self, **instead: Instead) -> None:
        self._inner = MemoryStorage()
        self._instead = instead

    def _tenant(self, tenant: str) -> str:
        return str(self._instead["tenant"](tenant)) if "tenant" in self._instead else tenant

    def _host(self, host: object | None) -> object | None:
        return None if "join_anything" in self._instead else host

    @contextmanager
    def begin(self, tenant: str, host: object | None = None) -> Iterator[Any]:
        """Open a spoilt unit; with ``keep`` an exception does not roll it back."""
        failed: BaseException | None = None
        with self._inner.begin(self._tenant(tenant), self._host(host)) as unit:
            try:
                yield Spoilt(unit, self._instead)
            except BaseException as error:
                if "keep" not in self._instead:
                    raise
                failed = error
        if failed is not None:
            raise failed

    @contextmanager
    def read(self, tenant: str, host: object | None = None) -> Iterator[Any]:
        """Open a spoilt reader."""
        with self._inner.read(self._tenant(tenant), self._host(host)) as reader:
            yield Spoilt(reader, self._instead)

    def close(self) -> None:
        """Close it."""
        if "close" not in self._instead:
            self._inner.close()


def lock_with(**part: Instead) -> dict[str, Instead]:
    """Return a ``lock`` that changes one part of what it returns."""

    def lock(unit: Any, wants: Wants) -> Any:
        locked = unit.lock(wants)
        return locked._replace(
            **{name: change(getattr(locked, name)) for name, change in part.items()}
        )

    return {"lock": lock}


def first(rows: dict[Any, Any]) -> dict[Any, Any]:
    """Return only the first of some rows."""
    return dict(list(rows.items())[:1])


def write_without(*names: str) -> dict[str, Instead]:
    """Return a ``write`` that leaves something out."""
    empty: dict[str, Any] = {
        "rows": {},
        "outcomes": [],
        "lines": [],
        "records": [],
        "movements": [],
        "entries": [],
    }
    return {
        "write": lambda unit, changes: unit.write(
            changes._replace(**{name: empty[name] for name in names})
        )
    }


def write_before_refusing(unit: Any, changes: Any) -> None:
    """Write what has no key of its own although a key is taken."""
    try:
        unit.write(changes)
    except errors.KeyTaken:
        unit.write(changes._replace(outcomes=[]))


def as_of_last(reader: Any, key: Any, instant: int, version: int | None = None) -> Any:
    """Forget that entries may be late."""
    amounts = NOTHING
    for entry in reader.entries(key):
        if entry.occurred_at <= instant and (version is None or entry.version <= version):
            amounts = entry.after
    return amounts


def with_empty_documents(unit: Any, wants: Wants) -> Any:
    """Show a document for each that was locked, there or not."""
    locked = unit.lock(wants)
    empty = {name: Record(*name, 0, "") for name in wants.records}
    return locked._replace(records=empty | locked.records)


def change_outcomes(change: Callable[[Any], Any]) -> dict[str, Instead]:
    """Return a ``write`` that changes each outcome, or leaves out those changed to None."""

    def write(unit: Any, changes: Any) -> None:
        changed = [change(outcome) for outcome in changes.outcomes]
        unit.write(changes._replace(outcomes=[outcome for outcome in changed if outcome]))

    return {"write": write}


def without_floors(unit: Any, changes: Any) -> None:
    """Write entries as if none had a floor."""
    unit.write(changes._replace(entries=[row._replace(floor=None) for row in changes.entries]))


def first_two_versions(unit: Any, changes: Any) -> None:
    """Keep a document as it was first changed."""
    unit.write(changes._replace(records=[row for row in changes.records if row.version < 3]))


class OneCursor:
    """A reader with one cursor: whoever reads ends what was being read."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._reads = 0

    def __getattr__(self, name: str) -> Any:
        def read(*values: Any, **named: Any) -> Any:
            self._reads += 1
            found = getattr(self._inner, name)(*values, **named)
            return self._while_last(found) if isinstance(found, Iterator) else found

        return read

    def _while_last(self, rows: Iterator[Any]) -> Iterator[Any]:
        mine = self._reads
        for row in rows:
            if self._reads != mine:
                return
            yield row


class OneCursorStorage(Broken):
    """A storage whose readers have one cursor each."""

    @contextmanager
    def read(self, tenant: str, host: object | None = None) -> Iterator[Any]:
        """Open such a reader."""
        with super().read(tenant, host) as reader:
            yield OneCursor(reader)


class Shared(Broken):
    """One storage for all who make one."""

    _everybody = MemoryStorage()

    def __init__(self) -> None:
        super().__init__(close=lambda: None)
        self._inner = self._everybody


#: By the check that must notice it: what is done instead.
SPOILT: dict[str, dict[str, Instead]] = {
    "check_lock_creates_missing_rows": lock_with(rows=first),
    "check_lock_returns_keys_and_scopes": {
        "lock": lambda unit, wants: unit.lock(
            Wants(keys=wants.keys, scopes={(sku, "") for sku, _ in wants.scopes})
        )
    },
    "check_lock_returns_orders_whole": lock_with(lines=lambda lines: lines[::-1]),
    "check_lock_returns_outcomes_and_movements": lock_with(outcomes=lambda _: {}),
    "check_due_takes_soonest_until_enough": {
        "due": lambda unit, enough, now: unit.due(dict.fromkeys(enough, 10**9), now)
    },
    "check_write_gives_everything_back": {
        "entries": lambda reader, key, after=0: (
            entry._replace(floor=None) for entry in reader.entries(key, after)
        )
    },
    "check_recalled_is_what_is_there": {"recall": lambda _unit, _wants: NOTHING_THERE},
    "check_taken_key_writes_nothing": {"write": write_before_refusing},
    "check_exception_rolls_back": {"keep": lambda: None},
    "check_leaving_commits": write_without("movements", "entries", "rows"),
    "check_forget_deletes_old_refusals": {"forget": lambda unit, before: unit.forget(before - 1)},
    "check_tenants_never_meet": {"tenant": lambda name: name.replace("two", "one")},
    "check_stock_is_ordered_and_filtered": {
        "stock": lambda reader, *named, **more: iter(
            sorted(reader.stock(*named, **more), key=lambda item: item[0].sku.casefold())
        )
    },
    "check_entries_are_ordered": {
        "entries": lambda reader, key, after=0: reader.entries(key, max(0, after - 1))
    },
    "check_as_of_equals_the_fold": {"as_of": as_of_last},
    "check_movements_are_found": {
        "movements_of": lambda reader, reference: iter(sorted(reader.movements_of(reference)))
    },
    "check_feed_is_contiguous_and_whole": {
        "feed": lambda reader, after=0, limit=1000: reader.feed(max(0, after - 1), limit)
    },
    "check_lines_are_ordered": {
        "due_holds": lambda reader, before, limit=1000: reader.due_holds(before - 1, limit)
    },
    "check_documents_are_paged": {
        "records": lambda reader, space, after="", limit=1000: reader.records(space, after, limit)[
            ::-1
        ]
    },
    "check_outcomes_are_paged": {
        "outcomes": lambda reader, after="", limit=1000: reader.outcomes(after, limit + 1)
    },
    "check_locking_missing_documents_shows_nothing": {"lock": with_empty_documents},
    "check_write_takes_large_batches": lock_with(rows=lambda rows: dict(islice(rows.items(), 999))),
    "check_forgotten_key_can_be_taken": change_outcomes(
        lambda outcome: outcome._replace(decided_at=outcome.decided_at + 1)
    ),
    "check_constraints_refuse_and_write_nothing": {"write": without_floors},
    "check_documents_are_replaced_by_version": {"write": first_two_versions},
    "check_foreign_host_is_refused": {"join_anything": lambda: None},
    "check_closed_storage_is_refused": {"close": lambda: None},
    "check_sold_out_member_leaves_its_neighbours": change_outcomes(
        lambda outcome: None if outcome.forget_at else outcome
    ),
    "check_late_fact_keeps_the_count": {"as_of": as_of_last},
}
