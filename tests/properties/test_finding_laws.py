"""Laws of the register of findings, on histories nobody thought of."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import attrs
from hypothesis import example, given
from hypothesis import strategies as st

from truecount import FindingKind, Inventory, Policy, Returned, Sold, State, errors
from truecount.reconciliation.register import REGISTER
from truecount.testing import CountingIds, ManualClock


SKUS = ("MUG", "mug", "TEA")
PLACES = ("berlin", "hamburg")
WATCHERS = 3


@attrs.define
class Watcher:
    """A host that keeps its cursor and everything it was told."""

    cursor: int = 0
    opened: list[str] = attrs.field(factory=list)
    closed: list[str] = attrs.field(factory=list)

    def look(self, inventory: Inventory) -> None:
        """Ask for what is new."""
        report = inventory.findings(since=self.cursor)
        self.cursor = report.cursor
        self.opened += [each.id for each in report.open]
        self.closed += [each.id for each in report.closed]


class World:
    """One inventory and what can happen to it, by number."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.inventory = Inventory(clock=self.clock, new_id=CountingIds())
        self.inventory.locations.add(*PLACES)
        self.watchers = [Watcher() for _ in range(WATCHERS)]
        self.count = 0

    def happen(self, what: str, sku: str, at: str, quantity: int) -> None:
        """Let one thing happen; what the stock refuses did not."""
        self.count += 1
        self.clock.tick(timedelta(minutes=quantity))
        try:
            EVENTS[what](self, sku, at, quantity)
        except (errors.Refused, errors.InvalidRequest):
            return

    @property
    def name(self) -> str:
        """A name not used before."""
        return f"n{self.count}"

    def expected_oversold(self) -> set[tuple[str, str]]:
        """Return the keys of which more is promised than is there, as availability says."""
        pairs = ((sku, at) for sku in SKUS for at in PLACES)
        found = ((sku, at, self.inventory.figures(sku, at=at)) for sku, at in pairs)
        return {(sku, at) for sku, at, figures in found if figures.oversold}

    def check(self) -> None:
        """Compare the open findings with the figures, and a second look with the first."""
        report = self.inventory.findings()
        ids = [each.id for each in report.open]
        assert len(ids) == len(set(ids))
        oversold = [each for each in report.open if each.kind is FindingKind.OVERSOLD]
        assert {(each.sku, each.at) for each in oversold} == self.expected_oversold()
        assert all(each.sku in each.sentence for each in report.open)
        written = self.register()
        assert self.inventory.findings() == report
        assert self.inventory.findings(read_only=True) == report
        assert self.register() == written

    def register(self) -> object:
        """Return every document of the register."""
        with self.inventory.storage.read("main") as reader:
            return reader.records(REGISTER)


def _sold(world: World, sku: str, at: str, quantity: int) -> None:
    world.inventory.record([Sold(sku, quantity, at=at, key=world.name)])


def _received(world: World, sku: str, at: str, quantity: int) -> None:
    world.inventory.receive(sku, 2 * quantity, at=at)


def _returned(world: World, sku: str, at: str, quantity: int) -> None:
    back = Returned(sku, quantity, at=at, reference="order-0", key=world.name)
    world.inventory.record([back])


def _inspected(world: World, sku: str, at: str, quantity: int) -> None:
    world.inventory.inspect(sku, quantity, at=at, into=State.SELLABLE)


def _held(world: World, sku: str, at: str, quantity: int) -> None:
    world.inventory.reserve({sku: quantity}, at=at, reference=world.name)


def _ordered(world: World, sku: str, at: str, quantity: int) -> None:
    world.inventory.reserve({sku: quantity}, at=at, reference=world.name)
    world.inventory.confirm(world.name)


def _shipped(world: World, sku: str, at: str, quantity: int) -> None:
    del sku, at
    world.inventory.ship(f"n{max(1, world.count - quantity)}")


def _limited(world: World, sku: str, at: str, quantity: int) -> None:
    del at
    world.inventory.policies.set(Policy(reorder_point=quantity), sku=sku)


def _waited(world: World, sku: str, at: str, quantity: int) -> None:
    del sku, at
    world.clock.tick(timedelta(days=quantity * 3))


def _swept(world: World, sku: str, at: str, quantity: int) -> None:
    del sku, at, quantity
    world.inventory.sweep()


def _looked(world: World, sku: str, at: str, quantity: int) -> None:
    del sku, at
    world.watchers[quantity % WATCHERS].look(world.inventory)


def _dismissed(world: World, sku: str, at: str, quantity: int) -> None:
    del sku, at
    found = world.inventory.findings().open
    if found:
        finding = found[quantity % len(found)]
        world.inventory.dismiss(finding.id, actor="sam", note="seen")


EVENTS: dict[str, Callable[[World, str, str, int], None]] = {
    "sold": _sold,
    "received": _received,
    "returned": _returned,
    "inspected": _inspected,
    "held": _held,
    "ordered": _ordered,
    "shipped": _shipped,
    "limited": _limited,
    "waited": _waited,
    "swept": _swept,
    "looked": _looked,
    "looked again": _looked,
    "dismissed": _dismissed,
}

histories = st.lists(
    st.tuples(
        st.sampled_from(sorted(EVENTS)),
        st.sampled_from(SKUS),
        st.sampled_from(PLACES),
        st.integers(1, 6),
    ),
    max_size=30,
)


@given(histories)
@example(
    [
        ("sold", "MUG", "berlin", 1),
        ("looked", "MUG", "berlin", 1),
        ("received", "MUG", "berlin", 1),
        ("sold", "MUG", "berlin", 4),
        ("looked", "MUG", "berlin", 2),
    ]
)
def test_every_watcher_is_told_each_thing_once_and_knows_what_is_open(
    history: list[tuple[str, str, str, int]],
) -> None:
    """Whoever looks when, nothing comes twice, and the news add up to what is open."""
    world = World()
    for event in history:
        world.happen(*event)
    for watcher in world.watchers:
        watcher.look(world.inventory)
    still_open = {each.id for each in world.inventory.findings().open}
    for watcher in world.watchers:
        assert len(watcher.opened) == len(set(watcher.opened))
        assert len(watcher.closed) == len(set(watcher.closed))
        assert set(watcher.opened) - set(watcher.closed) == still_open


@given(histories)
def test_open_findings_follow_the_figures_after_every_event(
    history: list[tuple[str, str, str, int]],
) -> None:
    """Exactly the oversold keys are found, and a second look changes and writes nothing."""
    world = World()
    for event in history:
        world.happen(*event)
        world.check()
