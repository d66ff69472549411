"""Storages that are wrong in one way each: the kit must say so, and say it of the right part."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

import pytest

from truecount import MemoryStorage, errors
from truecount.model.stock import NOTHING
from truecount.protocols.storage import Storage, Wants
from truecount.testing import STORAGE_CHECKS, check_storage


#: What a method does instead, given the reader or unit it belongs to.
Instead: TypeAlias = Callable[..., Any]


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

    @contextmanager
    def begin(self, tenant: str, host: object | None = None) -> Iterator[Any]:
        """Open a spoilt unit; with ``keep`` an exception does not roll it back."""
        failed: BaseException | None = None
        with self._inner.begin(self._tenant(tenant), host) as unit:
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
        with self._inner.read(self._tenant(tenant), host) as reader:
            yield Spoilt(reader, self._instead)

    def close(self) -> None:
        """Close it."""
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


#: The check that must fail first, and what is wrong.
MUTANTS: dict[str, dict[str, Instead]] = {
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
}


@pytest.mark.parametrize("name", MUTANTS)
def test_broken_storage_fails_its_check(name: str) -> None:
    """A storage that is wrong in one respect fails the check of that respect."""
    check = next(check for check in STORAGE_CHECKS if check.__name__ == name)

    def make() -> Storage:
        return Broken(**MUTANTS[name])

    with pytest.raises(AssertionError, match=r"expected .*, got "):
        check(make)


def test_spoiling_nothing_passes() -> None:
    """It is what was spoilt that fails: the same wrapping without it passes every check."""
    check_storage(Broken)


def test_check_storage_names_the_failed_check() -> None:
    """The error of the first failed check has a note with its name and claim."""
    with pytest.raises(AssertionError) as caught:
        check_storage(lambda: Broken(**lock_with(rows=first)))
    assert "check_lock_creates_missing_rows" in caught.value.__notes__[0]
