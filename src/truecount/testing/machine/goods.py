"""Facts: goods in, quality, adjustments, dated before and after; and moving goods about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from truecount.model.commands import Assemble, Disassemble, TransferOut
from truecount.model.facts import Arrived, DeliveryClosed, Expected, Lost, Received, Rejected, Sold
from truecount.model.instants import to_instant
from truecount.model.operation import Operation
from truecount.model.places import State
from truecount.model.shop_rules import DefineBundle
from truecount.testing import strategies as shops
from truecount.testing.claims import expect
from truecount.testing.machine.base import (
    ANY,
    LOTS,
    LOTTED,
    PLACES,
    PLAIN,
    START,
    TRUSTED,
    UNITS,
    ShopMachine,
)


#: Deliveries stop here, so that stock stays short and something is refused.
ROOM: Final = 15
MINUTE: Final = timedelta(minutes=1)

_PLAIN_FACTS: Final = shops.facts(PLAIN)
_LOT_FACTS: Final = shops.facts(LOTTED)
_COMMANDS: Final = shops.commands(PLAIN)
_LOT_COMMANDS: Final = shops.commands(LOTTED)

_goods: Final = st.sampled_from((*PLAIN.skus, "MILK"))
_ENDS: Final = {"arrived": Arrived, "rejected": Rejected, "lost": Lost}
_ends: Final = st.lists(st.sampled_from(sorted(_ENDS)), max_size=3)

#: What is no fact of plain stock: it is of lots, of a count, or of an order.
_ELSEWHERE: Final = frozenset({"received_lot", "sold", "returned", "counted"})
_places: Final = st.sampled_from(PLACES)
_kits: Final = {"sku": st.just("SET"), "quantity": st.integers(1, 2), "at": _places}
_parts: Final = st.sampled_from((None, {"MUG": 1, "TEA": 1}, {"MILK": 2}))

FACTS: Final[st.SearchStrategy[Operation]] = st.one_of(
    *(said for name, said in _PLAIN_FACTS.items() if name not in _ELSEWHERE),
    *(said for name, said in _LOT_FACTS.items() if name != "counted"),
)
MOVES: Final[st.SearchStrategy[Operation]] = st.one_of(
    *(_COMMANDS[name] for name in ("relocate", "transfer_out", "put")),
    *(_LOT_COMMANDS[name] for name in ("relocate", "transfer_out")),
    st.builds(Assemble, components=_parts, **_kits),
    st.builds(Disassemble, components=_parts, **_kits),
)
#: Shelves that are counted in the middle of a batch.
COUNTS: Final = _PLAIN_FACTS["counted"] | _LOT_FACTS["counted"]
#: Facts of any kind about anything, bundles among them.
ANYTHING: Final[st.SearchStrategy[Operation]] = st.one_of(FACTS, MOVES, _LOT_FACTS["sold"])


class Trade(ShopMachine):
    """What every shop has: stock to begin with, deliveries, sales, and time that passes."""

    @initialize(
        stock=st.fixed_dictionaries({name: st.integers(1, 6) for name in PLACES}),
        more=st.booleans(),
    )
    def fill(self, stock: dict[str, int], *, more: bool) -> None:
        """Begin with something on the shelves; in half of the shops TEA and MILK are unknown."""
        for place, quantity in stock.items():
            self.do(Received("MUG", quantity, at=place))
            if more:
                self.do(Received("TEA", 2, at=place))
                self.do(Received("MILK", quantity, at=place, lot=LOTTED.lot))
        if more:
            self.do(DefineBundle("SET", {"MUG": 1, "TEA": 1}))

    def room(self) -> int:
        """Return how many more units of plain goods fit in."""
        free = self.model.orders.free.items()
        return ROOM - sum(units for key, units in free if key[0] in PLAIN.skus)

    @precondition(lambda self: self.room() > 0)
    @rule(sku=st.sampled_from(PLAIN.skus), place=_places, quantity=st.integers(1, 5))
    def receive(self, sku: str, place: str, quantity: int) -> None:
        """A delivery, now, of plain goods: what orders compete for."""
        expect(self.do(Received(sku, quantity, at=place)).error, None, "a delivery")

    @rule(
        sku=st.sampled_from(UNITS),
        place=_places,
        quantity=st.integers(1, 5),
        reference=st.none() | st.sampled_from(TRUSTED),
        lot=st.none() | st.none() | st.sampled_from(LOTS),
    )
    def sell(
        self, sku: str, place: str, quantity: int, reference: str | None, lot: str | None = None
    ) -> None:
        """A sale reported, for a reservation or for none; the model knows whose units go."""
        outcome = self.say(Sold(sku, quantity, at=place, reference=reference, lot=lot))
        expect(outcome.error, None, "a sale that was reported")
        now = outcome.decided_instant
        self.model.orders.sell(now, sku, place, quantity, reference, lot=lot)

    @rule(minutes=st.sampled_from((1, 4, 9, 16, 16, 300, 1440, -3)))
    def tick(self, minutes: int) -> None:
        """Time passes; now and then the clock is set back."""
        self.clock.tick(minutes * MINUTE)

    @rule()
    def sweep(self) -> None:
        """Somebody gives back what ran out."""
        wanted = self.model.orders.sweep(to_instant(self.clock.now))
        expect(self.inventory.sweep(), wanted, "holds that were given back")
        self.catch_up()


class Goods(ShopMachine):
    """Goods come, are looked at, thrown away, moved and made into others."""

    @rule(fact=FACTS)
    def tell(self, fact: Operation) -> None:
        """Any other fact, of now or of another time."""
        self.do(fact)

    @rule(
        place=_places,
        lot=st.sampled_from(LOTS),
        quantity=st.integers(1, 4),
        lasts=st.none() | st.sampled_from((-1, 1, 20, 700)).map(lambda hours: 60 * hours * MINUTE),
    )
    def receive_lot(self, place: str, lot: str, quantity: int, lasts: timedelta | None) -> None:
        """Milk comes, of a lot that lasts long, shortly or no more, or nobody knows."""
        expires = START + lasts if lot and lasts is not None else None
        self.do(Received("MILK", quantity, at=place, lot=lot, lot_expires_at=expires))

    @rule(move=MOVES)
    def move(self, move: Operation) -> None:
        """Goods are moved, sent, assembled, taken apart."""
        self.do(move)

    @rule(
        lines=st.dictionaries(_goods, st.integers(1, 3), min_size=1),
        route=st.permutations(PLACES),
        came=_ends,
    )
    def transfer(self, lines: Mapping[str, int], route: Sequence[str], came: list[str]) -> None:
        """Goods are sent, and arrive, are rejected, get lost, or more comes than was sent."""
        name = f"transfer-{self.number}"
        sent = TransferOut(lines, source=route[0], target=route[1], reference=name)
        if self.do(sent).granted:
            for way in came:
                self.do(_ENDS[way]({min(lines): 1}, reference=name))

    @rule(sku=_goods, at=_places, quantity=st.integers(1, 6), came=st.lists(st.integers(0, 4)))
    def purchase(self, sku: str, at: str, quantity: int, came: list[int]) -> None:
        """Goods are ordered, come in parts, too few or too many, and no more are expected."""
        name = f"purchase-{self.number}"
        self.do(Expected(sku, quantity, at=at, reference=name))
        for part in came[:3]:
            lot = LOTTED.lot if sku == "MILK" else ""
            self.do(Received(sku, part, at=at, reference=name, rejected=1, lot=lot))
        if len(came) != 1:
            self.do(DeliveryClosed(sku, at=at, reference=name))

    @rule(batch=st.lists(ANYTHING | COUNTS, min_size=2, max_size=4), together=st.booleans())
    def batch(self, batch: list[Operation], *, together: bool) -> None:
        """Several in one transaction; all or nothing, where that is asked for."""
        self.in_one([self.keyed(each) for each in batch], together=together)

    @rule(batch=st.lists(ANYTHING, min_size=1, max_size=3))
    def preview(self, batch: list[Operation]) -> None:
        """Asking what would become of it writes nothing."""
        before = self.contents()
        self.inventory.submit(batch, preview=True)
        expect(self.contents(), before, "everything after a preview")

    @rule(which=st.integers(0, 999), sku=st.sampled_from(ANY.skus), place=_places)
    def look_back(self, which: int, sku: str, place: str) -> None:
        """As of any moment something happened, the figures are the sum up to it (I14)."""
        told = self.model.ledger.told
        moment = told[which % len(told)]
        for key in self.inventory.stock(sku=sku, at=place):
            seen = self.inventory.as_of(sku, moment.occurred_at, at=place, lot=key.lot)
            wanted = self.model.ledger.figures(*key, time=moment.occurred_at)
            expect([seen[state] for state in State], wanted, f"{key} as of {moment.occurred_at}")
            if key not in self.model.counts.aside:
                there = self.model.counts.figures(to_instant(moment.occurred_at))
                wanted = [there[*key, state.value] for state in State]
                claim = f"{key} as of {moment.occurred_at}, in the order of facts and counts"
                expect([seen[state] for state in State], wanted, claim)
            seen = self.inventory.as_of(sku, at=place, lot=key.lot, position=moment.position)
            wanted = self.model.ledger.figures(*key, position=moment.position)
            claim = f"{key} as of position {moment.position}"
            expect([seen[state] for state in State], wanted, claim)
