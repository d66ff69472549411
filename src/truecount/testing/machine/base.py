"""
What every rule of the machine shares: saying an operation, and judging what became of it.

An operation goes to the inventory and to the naive model. Both must agree on what changed; a
refusal must have written nothing (I13), a command must have left every floor (I4), and no
hold may have run out before its time (I10). After each step the whole is compared (``agreement``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final

from hypothesis.stateful import RuleBasedStateMachine

from truecount.errors import InsufficientStock, InvalidRequest, Refused
from truecount.inventory import Inventory
from truecount.model.commands import Correct, Undo
from truecount.model.facts import Lost
from truecount.model.instants import to_instant
from truecount.model.kinds import Kind
from truecount.model.lines import LineRow
from truecount.model.movements import Movement
from truecount.model.operation import Operation
from truecount.model.outcomes import Outcome
from truecount.model.places import ON_HAND, State
from truecount.model.reservation_commands import ShortPick
from truecount.model.shop_rules import DefineBundle, RemoveBundle
from truecount.model.stock import StockKey
from truecount.protocols.storage import Storage
from truecount.testing.claims import MakeStorage, expect
from truecount.testing.fakes import CountingIds, ManualClock
from truecount.testing.invariants import all_lines
from truecount.testing.model import NaiveInventory
from truecount.testing.model.counts import Seen
from truecount.testing.model.expected import Changes
from truecount.testing.strategies import Names


START: Final = datetime(2026, 3, 2, 9, tzinfo=UTC)
PLACES: Final = ("berlin", "hamburg", "kiel")
#: Orders of which the model predicts every answer.
TRUSTED: Final = ("a", "b", "c", "d")

#: Goods without lots.
PLAIN: Final = Names(skus=("MUG", "TEA"), locations=PLACES, lot="", orders=("w-1",), start=START)
#: Everything: lots, bundles, and orders that may be anything.
ANY: Final = Names(
    skus=("MUG", "TEA", "MILK", "SET", "BOX"),
    kit="SET",
    locations=PLACES,
    orders=("w-1", "w-2", "w-3"),
    start=START,
)
#: What lies in lots.
LOTTED: Final = Names(skus=("MILK",), locations=PLACES, orders=ANY.orders, start=START)
#: The lots there are of it, and none.
LOTS: Final = ("", LOTTED.lot, "L-2")
#: What orders are made of whose every answer is predicted: lots too, but no bundles.
UNITS: Final = (*PLAIN.skus, *LOTTED.skus)

#: Facts that name units of a document, and so may be wrong about them.
_OF_A_DOCUMENT: Final = (Lost, ShortPick)
#: Movements of commands, which are undone as commands.
_COMMANDS: Final = frozenset({Kind.RELOCATE, Kind.TRANSFER_OUT, Kind.ASSEMBLE, Kind.DISASSEMBLE})
#: A refusal is surely still remembered when it is no older.
_REMEMBERED: Final = timedelta(days=6)

#: Opens a transaction of a host of a storage: leaving commits it, an exception rolls it back.
Join = Callable[[Any], AbstractContextManager[object]]
#: Opens a storage anew, as after a crash: what was not committed is gone.
Reopen = Callable[[Any], Storage]


class ShopMachine(RuleBasedStateMachine):
    """A shop under test, beside its naive model."""

    make_storage: ClassVar[Callable[[], Storage]]
    join: ClassVar[Join | None] = None
    reopen: ClassVar[Reopen | None] = None

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock(START)
        self.ids = CountingIds()
        self.storages = [type(self).make_storage()]
        self.inventory = self.opened()
        self.inventory.locations.add(*PLACES)
        self.model = NaiveInventory(*PLACES)
        self.position = 0
        self.number = 0
        #: What was asked, and what became of it.
        self.asked: list[tuple[Operation, Outcome]] = []
        self.seal: tuple[int, str] | None = None

    def opened(self) -> Inventory:
        """Return an inventory over the newest storage, with the clock and ids of the machine."""
        return Inventory(self.storages[-1], clock=self.clock, new_id=self.ids)

    def teardown(self) -> None:
        """Close every storage there was."""
        for storage in self.storages:
            storage.close()

    # --- saying ----------------------------------------------------------------------------

    def keyed(self, operation: Operation) -> Operation:
        """Return the operation under a key nothing was asked under."""
        self.number += 1
        return operation.with_key(f"request-{self.number}")

    def do(self, operation: Operation, door: Inventory | None = None) -> Outcome:
        """Say *operation*, and let the model follow what it does to anybody's orders."""
        outcome = self.say(operation, door)
        self.follow(door)
        return outcome

    def say(self, operation: Operation, door: Inventory | None = None) -> Outcome:
        """Say *operation*; hold what became of it against what the model expects."""
        door = self.inventory if door is None else door
        operation = self.keyed(operation)
        before = self.contents(door)
        free = self.sellable(door)
        [outcome] = door.submit([operation])
        expected = None
        if outcome.error is None:
            expected = self.model.expected(operation, outcome.decided_instant)
        self.judge_shortage(operation, outcome)
        written = self.catch_up(door)
        if outcome.error is None:
            self.judge(operation, outcome, written, expected)
        else:
            expect(self.contents(door), before, f"I13: everything after {outcome.error!r}")
        self.note(operation, outcome)
        if self.holds_floors(operation):
            self.check_floors(free, self.sellable(door))
        return outcome

    def in_one(
        self, batch: Sequence[Operation], door: Inventory | None = None, *, together: bool = False
    ) -> None:
        """Say several in one transaction; with *together* an error takes all of them back."""
        door = self.inventory if door is None else door
        before = self.contents(door)
        try:
            outcomes = door.submit(batch, together=together)
        except (InvalidRequest, Refused) as error:
            if not together:
                raise AssertionError(
                    f"a batch: expected an outcome for each, got {error!r}"
                ) from error
            expect(self.contents(door), before, f"I8: everything after {error!r}")
            return
        written = [each.id for each in self.catch_up(door)]
        said = [id_ for outcome in outcomes if not outcome.replayed for id_ in outcome.movements]
        expect(sorted(written), sorted(said), "the movements of a batch")
        for operation, outcome in zip(batch, outcomes, strict=True):
            self.note(operation, outcome)
        self.follow(door)

    def note(self, operation: Operation, outcome: Outcome) -> None:
        """Remember an answer, and what it made of the recipes."""
        if outcome.error is not None:
            self.judge_error(operation, outcome)
        elif isinstance(operation, DefineBundle):
            self.model.bundles.define(operation.sku, dict(operation.components))
        elif isinstance(operation, RemoveBundle):
            self.model.bundles.recipes.pop(operation.sku, None)
        elif outcome.movements:
            self.model.said[outcome.movements[-1]] = operation
        if not isinstance(outcome.error, InvalidRequest):
            self.asked.append((operation, outcome))

    def judge(
        self,
        operation: Operation,
        outcome: Outcome,
        written: Sequence[Movement],
        expected: Changes | None,
    ) -> None:
        """Hold what was granted against the model."""
        expect(
            sorted(each.id for each in written),
            sorted(outcome.movements),
            f"the movements of {operation}",
        )
        if expected is not None:
            seen = {place: units for place, units in self.model.seen(written).items() if units}
            wanted = {place: units for place, units in expected.items() if units}
            expect(seen, wanted, f"what {operation} changed")
        self.check_balance(operation, written)
        expect(self.model.whole_bundles(operation, written), None, f"bundles moved by {operation}")

    def judge_shortage(self, operation: Operation, outcome: Outcome) -> None:
        """Check that a command is refused for want of stock when it wants, and only then."""
        refused = isinstance(outcome.error, InsufficientStock)
        if outcome.error is None or refused:
            short = self.model.is_short(operation, outcome.decided_instant)
            if short is not None:
                expect(refused, short, f"whether stock was short for {operation}")

    def check_balance(self, operation: Operation, written: Sequence[Movement]) -> None:
        """Check what left the shop, or came back into it, of what customers take and bring."""
        balance = self.model.balance(operation)
        if balance is None:
            return
        there: Counter[str] = Counter()
        for (sku, _, _, state), units in self.model.seen(written).items():
            there[sku] += units if State(state) in ON_HAND else 0
        expect(dict(there), dict(balance), f"what left or came in by {operation}")

    @staticmethod
    def judge_error(operation: Operation, outcome: Outcome) -> None:
        """Check that a fact was not refused, and that no mistake is ours."""
        error = outcome.error
        if not isinstance(error, (Refused, InvalidRequest)):
            # It is the claim that is broken, whatever was raised.
            raise AssertionError(f"{operation}: expected an answer, got {error!r}") from error  # noqa: TRY004 -- as above
        refusable = operation.is_command or isinstance(operation, _OF_A_DOCUMENT)
        if isinstance(error, Refused) and not refusable:
            raise AssertionError(f"{operation}: expected a fact recorded, got {error!r}")

    def holds_floors(self, operation: Operation) -> bool:
        """Return whether it is a command; what is undone or corrected is as its original was."""
        if isinstance(operation, (Correct, Undo)):
            return self.model.movements[operation.movement_id].kind in _COMMANDS
        return operation.is_command

    def check_floors(self, before: Mapping[StockKey, int], after: Mapping[StockKey, int]) -> None:
        """Check that what a command lowered is not below its floor (I4, I11)."""
        for key, units in after.items():
            floor = 0 if key.lot else -self.model.orders.lent[key.sku]
            if units < before.get(key, 0) and units < floor:
                raise AssertionError(f"I4: {key}: expected {floor} or more, got {units}")

    # --- following -------------------------------------------------------------------------

    def untold(self, door: Inventory, told: Iterable[Movement]) -> list[Movement]:
        """Return what was written through *door* and its feed has not *told*: as yet nothing."""
        del door, told
        return []

    def catch_up(self, door: Inventory | None = None) -> list[Movement]:
        """Tell the model what was written since it was told last; return that."""
        door = self.inventory if door is None else door
        written: list[Movement] = []
        while page := door.feed(self.position):
            written += page
            self.position = page[-1].position or 0
        written += self.untold(door, written)
        for movement in written:
            if movement.kind is Kind.EXPIRE:
                self.check_ran_out(movement)
        self.model.tell(written, self.counted(written, door), self.reports(door))
        return written

    @staticmethod
    def counted(written: Iterable[Movement], door: Inventory) -> dict[str, Seen]:
        """Return what the counts among *written* found."""
        found = {each.id: door.counted(each.id) for each in written if each.kind is Kind.COUNT}
        return {id_: Seen(each.counted, each.covers) for id_, each in found.items()}

    @staticmethod
    def reports(door: Inventory) -> Callable[[str, str], bool]:
        """Return whether late facts of a SKU at a location are only reported by now."""

        def reported(sku: str, at: str) -> bool:
            return door.policies.of(sku, location=at).late == "report"

        return reported

    def check_ran_out(self, movement: Movement) -> None:
        """Check that a hold that was given back had run out (I10)."""
        for line in self.model.orders.of(movement.reference or ""):
            if line.number in {leg.line for leg in movement.legs}:
                due, now = line.deadline, to_instant(movement.recorded_at)
                if due is None or due > now:
                    raise AssertionError(f"I10: {line} expired: expected {due} or later, got {now}")

    def follow(self, door: Inventory | None = None) -> None:
        """Let the model take over what it has no opinion about, and pin the recipes of orders."""
        door = self.inventory if door is None else door
        lines = self.lines(door)
        self.model.follow(lines, trusted=TRUSTED)
        for reference in {line.reference for line in lines} - {*TRUSTED}:
            reserved = [kit for kit in door.kits(reference) if kit.round]
            for kit in reserved:  # Others were sold by whichever recipe the order had.
                self.model.bundles.pin(reference, kit.round, kit.sku, kit.lines)

    # --- time ------------------------------------------------------------------------------

    def past(self, hours: int | None) -> datetime | None:
        """Return a moment that is not in the future, None for now."""
        moment = None if hours is None else START + timedelta(hours=hours)
        return None if moment is None or moment > self.clock.now else moment

    def catch_time_up(self) -> None:
        """Let the clock tick past all that is dated: set back, it would see no more than then."""
        told = self.model.ledger.told
        latest = max(max(each.recorded_at, each.occurred_at) for each in told)
        self.clock.tick(max(timedelta(0), latest - self.clock.now) + timedelta(seconds=1))

    # --- reading ---------------------------------------------------------------------------

    def lines(self, door: Inventory | None = None) -> list[LineRow]:
        """Return the lines of every reservation."""
        door = self.inventory if door is None else door
        with door._engine.read() as reader:  # noqa: SLF001 -- lines have no public reader
            return list(all_lines(reader))

    def contents(self, door: Inventory | None = None, after: int | None = None) -> object:
        """Return all that is stored but outcomes and movements up to *after*, to be compared."""
        door = self.inventory if door is None else door
        after = self.position if after is None else after
        with door._engine.read() as reader:  # noqa: SLF001 -- as above
            feed = reader.feed(after)
            documents = [reader.records(space) for space in reader.spaces()]
            return feed, list(reader.stock()), list(all_lines(reader)), documents

    def sellable(self, door: Inventory | None = None) -> dict[StockKey, int]:
        """Return what is free at each key."""
        door = self.inventory if door is None else door
        return {key: figures.sellable for key, figures in door.stock().items()}

    def repeatable(self) -> list[tuple[Operation, Outcome]]:
        """Return what was asked and is surely still remembered."""
        return [
            (operation, outcome)
            for operation, outcome in self.asked
            if outcome.granted or self.clock.now - outcome.decided_at < _REMEMBERED
        ]


__all__ = [
    "ANY",
    "LOTS",
    "LOTTED",
    "PLACES",
    "PLAIN",
    "START",
    "TRUSTED",
    "UNITS",
    "MakeStorage",
    "ShopMachine",
]
