"""What callers, hosts and machines do wrong: repeat, mix up, roll back, fall over."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from truecount.errors import IdempotencyConflict
from truecount.inventory import Inventory
from truecount.model.facts import Received
from truecount.model.movements import Movement
from truecount.model.operation import Operation
from truecount.model.outcomes import Outcome
from truecount.model.policy import Policy
from truecount.model.sources import Source
from truecount.storage.memory import MemoryStorage
from truecount.testing.claims import expect
from truecount.testing.invariants import assert_invariants
from truecount.testing.machine.base import ShopMachine
from truecount.testing.machine.goods import ANYTHING
from truecount.testing.machine.others import ACTS
from truecount.testing.model import NaiveInventory


_which: Final = st.integers(0, 999)


class Keys(ShopMachine):
    """Requests come twice, and keys are used for two things."""

    @precondition(lambda self: bool(self.repeatable()))
    @rule(which=_which)
    def repeat(self, which: int) -> None:
        """An old request comes again: the old answer, and no effect (I6)."""
        asked = self.repeatable()
        operation, first = asked[which % len(asked)]
        before = self.contents()
        [again] = self.inventory.submit([operation])
        if not again.replayed:
            raise AssertionError(f"I6: {operation} again: expected a replay, got {again!r}")
        expect(_short(again), _short(first), f"the answer to {operation} again")
        expect(self.contents(), before, f"I6: everything after {operation} came again")

    @precondition(lambda self: bool(self.repeatable()))
    @rule(which=_which)
    def reuse(self, which: int) -> None:
        """An old key names another request: refused, and no effect (I7)."""
        asked = self.repeatable()
        operation, _ = asked[which % len(asked)]
        before = self.contents()
        [outcome] = self.inventory.submit([Received("MUG", 99, at="berlin", key=operation.key)])
        expect(type(outcome.error), IdempotencyConflict, f"the key of {operation} used again")
        expect(self.contents(), before, "I7: everything after a conflict")

    @rule()
    def move_out(self) -> None:
        """The whole ledger is copied elsewhere, and is the same there."""
        file, copy = io.StringIO(), Inventory(MemoryStorage(), clock=self.clock)
        self.inventory.export(file)
        copy.import_lines(file.getvalue().split("\n")[:-1])
        expect(copy.stock(), self.inventory.stock(), "figures of a copy")
        assert_invariants(copy)


def _short(outcome: object) -> tuple[object, ...]:
    names = ("movements", "decided_at", "result")
    error = getattr(outcome, "error", None)
    return (*(getattr(outcome, name) for name in names), repr(error))


class _RolledBack(Exception):
    """What a transaction fails with."""


def _roll_back() -> None:
    raise _RolledBack


class Hosts(ShopMachine):
    """A host writes in its own transaction, and commits it or not (I16)."""

    @rule(said=st.lists(st.one_of(ANYTHING, ACTS), min_size=1, max_size=4), commits=st.booleans())
    def host(self, said: list[Operation], *, commits: bool) -> None:
        """All of a host's transaction is there after a commit, nothing after a rollback."""
        with self.joined(commits=commits) as inventory:
            for operation in said:
                self.do(operation, inventory)

    @rule(
        batch=st.lists(st.one_of(ANYTHING, ACTS), min_size=2, max_size=4),
        after=ANYTHING,
        together=st.booleans(),
        commits=st.booleans(),
    )
    def host_batch(
        self, batch: list[Operation], after: Operation, *, together: bool, commits: bool
    ) -> None:
        """A batch in a host's transaction: when it is refused, the transaction goes on."""
        with self.joined(commits=commits) as inventory:
            said = [self.keyed(each) for each in batch]
            self.in_one(said, inventory, together=together)
            self.do(after, inventory)

    @rule(found=st.integers(0, 9), commits=st.booleans())
    def host_office(self, found: int, *, commits: bool) -> None:
        """Sheets, rules, channels and levels in a host's transaction go the way it goes."""
        self.number += 1
        name = f"host-{self.number}"
        with self.joined(commits=commits) as inventory:
            inventory.counts.sheet(name, ["MUG"], at="berlin")
            inventory.counts.post(name, {"MUG": found}, counter="kim")
            inventory.counts.close(name, reasons={"MUG": "found so"}, partial=True)
            inventory.policies.set(Policy(safety_stock=found), sku=name)
            inventory.sources.set(Source(name))
            inventory.published(name, {"MUG": found})
            seen = [source.name for source in inventory.sources if source.name == name]
            expect(seen, [name], "what a host described, seen in its own transaction")
            self.catch_up(inventory)
            self.follow(inventory)
        expect(name in self.inventory.sources, commits, f"I16: {name} is described")
        kept = self.inventory.policies.of(name).safety_stock
        expect(kept, found if commits else 0, f"I16: the policy of {name}")

    def untold(self, door: Inventory, told: Iterable[Movement]) -> list[Movement]:
        """Return what an open transaction wrote where only a commit brings it into the feed."""
        if door is self.inventory:
            return []
        known = self.model.movements.keys() | {each.id for each in told}
        with door._engine.read() as reader:  # noqa: SLF001 -- entries of all keys at once
            entries = (entry for key, _ in reader.stock() for entry in reader.entries(key))
            new = {entry.movement_id for entry in entries} - known
            rows = [row for _, row in reader.movements(new)]
        rows.sort(key=lambda row: (row.recorded_at, row.ordinal, row.id))
        return [
            attrs.evolve(door.movement(row.id), position=position)
            for position, row in enumerate(rows, len(known) + 1)
        ]

    @contextmanager
    def joined(self, *, commits: bool) -> Iterator[Inventory]:
        """Open a host's transaction; check what others see of it, before and afterwards."""
        join = type(self).join
        if join is None:
            raise AssertionError("hosts: expected a way to join, got none")
        before, start = self.contents(), self.position
        kept = self.model.copy(), start, [*self.asked]
        try:
            with join(self.storages[-1]) as host:
                yield self.inventory.within(host)
                expect(
                    self.contents(after=start),
                    before,
                    "I16: what others see of an open transaction",
                )
                if not commits:
                    _roll_back()
        except _RolledBack:
            self.model, self.position, self.asked = kept
            expect(self.contents(), before, "I16: everything after a host rolled back")
        else:
            self.tell_again(*kept)

    def tell_again(
        self, model: NaiveInventory, position: int, asked: list[tuple[Operation, Outcome]]
    ) -> None:
        """Tell what a host committed to the model of before, in the order it has by now."""
        said = self.asked[len(asked) :]
        self.model, self.position, self.asked = model, position, asked
        self.catch_up()
        for operation, outcome in said:
            self.note(operation, outcome)
        self.follow()


class Crashes(ShopMachine):
    """The process falls over, and another one opens the storage (I8)."""

    @rule(said=ANYTHING)
    def crash(self, said: Operation) -> None:
        """What was committed is there, what was not is not."""
        before = self.contents()
        unit = self.storages[-1].begin("main")
        try:
            with unit:
                _roll_back()
        except _RolledBack:
            pass
        reopen = type(self).reopen
        if reopen is not None:
            self.storages.append(reopen(self.storages[-1]))
        self.inventory = self.opened()
        expect(self.contents(), before, "I8: everything after a crash")
        self.do(said)
