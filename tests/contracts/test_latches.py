"""
What a snapshot older than its locks rests on: nothing changes without its latch changing too.

A database at REPEATABLE READ or SERIALIZABLE reads as of the first statement of a
transaction, so what a write is shown was read before it had its locks. It fails if a row
that it locks was changed meanwhile. That is enough as long as whoever changes what hangs on
a locked row changes that row as well; and that is a promise of the rules, not of a storage.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.broad_day import day, prepare
from tests.hooked import HookedStorage, HookedUnit
from tests.machines import run
from truecount import Inventory, MemoryStorage
from truecount.model.settings import GENERATION
from truecount.model.stock import StockKey
from truecount.protocols.storage import Changes, Locked, Record, Unit, Wants
from truecount.testing import ManualClock, inventory_machine


#: Documents that are not locked by their own name, and what is changed with each.
GUARDS: dict[str, Callable[[Changes, Record], bool]] = {
    "anchor": lambda changes, record: StockKey(*json.loads(record.id)[:3]) in changes.rows,
    # New, and named by a movement that is new: nobody has looked for it.
    "finding": lambda changes, record: (
        record.version == 1
        and record.id.removeprefix("fact/") in {row.id for row in changes.movements}
    ),
    "finding-register": lambda changes, _: ("finding-register", "cursor") in names_of(changes),
    "recipe_history": lambda changes, _: GENERATION in names_of(changes),
    "source_history": lambda changes, _: GENERATION in names_of(changes),
}


def names_of(changes: Changes) -> set[tuple[str, str]]:
    """Return the documents that are written."""
    return {(record.space, record.id) for record in changes.records}


def loose(changes: Changes, wants: Wants) -> Iterator[str]:
    """Yield what is written without its latch."""
    for line in changes.lines:
        if line.key not in changes.rows:
            yield f"line {line.reference}/{line.number} without the stock row of {line.key}"
    for entry in changes.entries:
        if entry.key not in changes.rows:
            yield f"entry of {entry.key} without its stock row"
    locked = (wants.records - wants.shared) | {("order", name) for name in wants.orders}
    for record in changes.records:
        if (record.space, record.id) in locked:
            continue
        guard = GUARDS.get(record.space)
        if guard is None or not guard(changes, record):
            yield f"document {record.space}/{record.id}, which was not locked"


class Guarded(HookedStorage):
    """Passes on only writes in which everything changes together with its latch."""

    @contextmanager
    def begin(self, tenant: str, host: object | None = None) -> Iterator[Unit]:
        """Open a write transaction that looks at what it writes."""
        with self.storage.begin(tenant, host) as unit:
            yield GuardedUnit(self, unit)  # type: ignore[misc]  # it passes all other calls on


class GuardedUnit(HookedUnit):
    """A write transaction that looks at what it writes."""

    def lock(self, wants: Wants) -> Locked:
        """Remember what is locked."""
        self.wants = wants
        return super().lock(wants)

    def write(self, changes: Changes) -> None:
        """Refuse what is written without its latch."""
        assert list(loose(changes, self.wants)) == []
        super().write(changes)


def guarded() -> Guarded:
    """Make a storage that refuses what is written without its latch."""
    return Guarded(MemoryStorage())


def test_nothing_changes_without_its_latch_on_a_broad_day() -> None:
    """Lines and entries change with their stock row, documents under their name or a guard."""
    clock = ManualClock()
    inventory = Inventory(guarded(), clock=clock)
    prepare(inventory, clock)
    day(inventory, clock)
    agreed = inventory.count("MUG", inventory.figures("MUG", at="berlin").sellable, at="berlin")
    assert agreed.granted


@pytest.mark.slow
def test_nothing_changes_without_its_latch_whatever_happens() -> None:
    """The same in a shop where anything may happen."""
    run(inventory_machine(guarded), examples=12, steps=30)


def test_what_is_written_without_its_latch_is_seen() -> None:
    """Each kind of it is named."""
    key = StockKey("MUG", "berlin")
    changes = Changes((), (), (), {}, (), [Record("anchor", '["MUG","berlin",""]', 1, "{}")])
    assert list(loose(changes, Wants(keys={key}))) == [
        'document anchor/["MUG","berlin",""], which was not locked'
    ]
    shared = Wants(records={GENERATION}, shared={GENERATION})
    changed = changes._replace(records=[Record(*GENERATION, 2, "{}")])
    assert list(loose(changed, shared)) == ["document settings/generation, which was not locked"]
