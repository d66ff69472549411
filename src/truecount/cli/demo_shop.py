"""
The shop of ``truecount demo``: a month of things that go wrong, told in chapters.

Everything is decided by the seed, and time is a clock that the story moves by hand, so the
same seed tells the same story, word for word. Each chapter acts on the ledger only through
the everyday API, and reads every figure it tells back from it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from textwrap import wrap
from typing import Any, Final

import attrs

from truecount.cli.checking import show_finding
from truecount.cli.output import Heading, Screen, numbers, text
from truecount.cli.stock import as_data, change_in_words, show_figures
from truecount.errors import InsufficientStock
from truecount.inventory import Inventory
from truecount.model.facts import Sold
from truecount.model.places import State
from truecount.model.policy import Policy
from truecount.protocols.storage import Storage


START: Final = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)

BERLIN: Final = "berlin"
HAMBURG: Final = "hamburg"


class HandClock:
    """A clock that shows what the story says."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        """Return the time of the story."""
        return self.now


@attrs.define(eq=False)
class Shop:
    """The shop, its clock, and what was told so far."""

    inventory: Inventory
    clock: HandClock
    random: Random
    screen: Screen
    cursor: int = 0
    chapters: list[dict[str, Any]] = attrs.field(factory=list)

    def wait(self, **time: int) -> None:
        """Let time pass."""
        self.clock.now += timedelta(**time)

    def chapter(self, title: str) -> None:
        """Begin a chapter."""
        number = len(self.chapters) + 1
        self.chapters.append(
            {"title": title, "told": [], "stock": [], "findings": [], "closed": []}
        )
        self.screen.gap()
        self.screen.say(f"{number}. {title}", style="bold")

    def tell(self, sentence: str) -> None:
        """Say what happens; the clock moves on by a minute."""
        self.chapters[-1]["told"].append(sentence)
        for line in wrap(sentence, self.screen.width):
            self.screen.say(line)
        self.wait(minutes=1)

    def note(self, line: str, *, style: str = "") -> None:
        """Say what was read; no time passes."""
        self.chapters[-1]["told"].append(line)
        for part in wrap(line, self.screen.width, subsequent_indent="  "):
            self.screen.say(part, style=style)

    def table(self, headings: Sequence[Heading], rows: Sequence[Sequence[object]]) -> None:
        """Show a table."""
        self.screen.gap()
        self.screen.table(headings, rows)
        self.screen.gap()

    def figures(self, *skus: str) -> None:
        """Show the figures of some SKUs."""
        found = {}
        for sku in skus:
            found.update(self.inventory.stock(sku=sku))
        self.chapters[-1]["stock"] = [as_data(key, each) for key, each in found.items()]
        self.screen.gap()
        show_figures(self.screen, found)
        self.screen.gap()

    def look(self) -> None:
        """Tell which findings opened and closed since the last look."""
        report = self.inventory.findings(since=self.cursor)
        self.cursor = report.cursor
        for finding in report.open:
            self.chapters[-1]["findings"].append(finding.to_dict())
            show_finding(self.screen, finding, with_id=False)
        for finding in report.closed:
            self.chapters[-1]["closed"].append(finding.to_dict())
            self.screen.say(f"Closed: {finding.sentence}.", style="green", hang=8)


def build(storage: Storage, seed: int, screen: Screen) -> Shop:
    """Open the shop: two warehouses, and the rules of the house."""
    clock, numbers_ = HandClock(), count(1)
    inventory = Inventory(storage, clock=clock, new_id=lambda: f"demo-{next(numbers_):04d}")
    inventory.locations.add(BERLIN, HAMBURG)
    rules = Policy(hold_ttl=timedelta(minutes=15), quarantine_after=timedelta(days=2))
    inventory.policies.set(rules)
    inventory.policies.set(Policy(reorder_point=20), sku="CANDLE")
    return Shop(inventory, clock, Random(seed), screen)


def tell_all(shop: Shop) -> None:
    """Tell every chapter."""
    for chapter in CHAPTERS:
        chapter(shop)


def amount(quantity: int, noun: str, plural: str = "") -> str:
    """
    Return a quantity in words.

    >>> amount(1, "mug"), amount(2, "mug"), amount(2, "box", "boxes")
    ('1 mug', '2 mugs', '2 boxes')
    """
    return f"{quantity} {noun if quantity == 1 else plural or noun + 's'}"


# --- chapters ---------------------------------------------------------------------------


def goods_come_in(shop: Shop) -> None:
    """Receive a delivery that is short, over and partly broken."""
    inventory, draw = shop.inventory, shop.random.randint
    shop.chapter("Goods come in, and not quite as ordered")
    ordered = {"MUG": draw(40, 60), "TEAPOT": draw(20, 30), "CANDLE": draw(30, 40)}
    due = shop.clock.now + timedelta(days=1)
    for sku, quantity in ordered.items():
        inventory.expect(sku, quantity, at=BERLIN, reference="PO-1001", due_at=due)
    shop.tell(
        f"Berlin orders {ordered['MUG']} mugs, {ordered['TEAPOT']} teapots and "
        f"{ordered['CANDLE']} candles (PO-1001), due tomorrow."
    )
    shop.wait(hours=20)
    short, over, broken = draw(2, 5), draw(1, 3), draw(1, 3)
    inventory.receive("MUG", ordered["MUG"] - short, at=BERLIN, reference="PO-1001")
    inventory.receive("TEAPOT", ordered["TEAPOT"] + over, at=BERLIN, reference="PO-1001")
    good = ordered["CANDLE"] - broken
    inventory.receive("CANDLE", good, at=BERLIN, reference="PO-1001", rejected=broken)
    shop.tell(
        f"The lorry brings {amount(short, 'mug')} too few and {amount(over, 'teapot')} too many; "
        f"{amount(broken, 'candle')} broke on the way and went straight back."
    )
    inventory.open("HONEY", draw(8, 12), at=BERLIN)
    inventory.open("HONEY", draw(4, 6), at=HAMBURG)
    for lot, days in (("APRIL", 30), ("AUTUMN", 200)):
        expiry = START + timedelta(days=days)
        inventory.receive("TEA", draw(12, 18), at=BERLIN, lot=lot, lot_expires_at=expiry)
    shop.tell("Tea comes in two lots: the one that expires in April is sold first.")
    _show_delivery(shop)
    shop.look()
    shop.wait(days=1)
    shop.tell("A day later the missing mugs are overdue.")
    shop.look()
    inventory.close_delivery("MUG", at=BERLIN, reference="PO-1001")
    over_delivery = next(f for f in inventory.findings().open if f.kind == "over_delivery")
    inventory.dismiss(over_delivery.id, actor="kim", note="we keep and pay the surplus")
    extra = "teapot" if over == 1 else "teapots"
    shop.tell(f"The supplier will not send them: the line is closed. Kim keeps the extra {extra}.")
    shop.look()


def _show_delivery(shop: Shop) -> None:
    shop.table(
        (*text("PO-1001"), *numbers("ordered", "received", "rejected", "too many", "to come")),
        [
            [line.sku, line.ordered, line.received, line.rejected, line.surplus, line.outstanding]
            for line in shop.inventory.delivery("PO-1001")
        ],
    )


def carts_hold(shop: Shop) -> None:
    """Fill carts: some become orders, some run out, one is refused."""
    inventory, draw = shop.inventory, shop.random.randint
    shop.chapter("Carts hold stock, and give it back by themselves")
    carts = [f"A-{number}" for number in range(101, 101 + draw(4, 6))]
    for cart in carts:
        inventory.reserve({"MUG": draw(2, 3), "TEA": draw(1, 2)}, reference=cart, at=BERLIN)
        shop.wait(minutes=1)
    orders = carts[: len(carts) // 2]
    for order in orders:
        inventory.confirm(order)
    shop.tell(f"{len(carts)} carts are filled; {len(orders)} of them become orders.")
    rest = inventory.available("MUG", at=BERLIN)
    inventory.reserve({"MUG": rest}, reference="A-190", at=BERLIN)
    shop.tell(f"Then one visitor puts all of the other {rest} mugs into a cart (A-190).")
    wanted = draw(3, 5)
    try:
        inventory.reserve({"MUG": wanted}, reference="A-191", at=BERLIN)
    except InsufficientStock as refusal:
        shop.tell(f"The next one is told the truth: {refusal}.")
    shop.figures("MUG", "TEA")
    shop.wait(minutes=15)
    granted = inventory.reserve({"MUG": wanted}, reference="A-191", at=BERLIN)
    inventory.confirm(granted)
    shop.tell(
        f"15 minutes later the forgotten carts have run out and block nobody: A-191 gets its "
        f"{wanted} mugs and is ordered."
    )
    given_back = inventory.sweep()
    shop.tell(f"A sweep gives the other {amount(given_back, 'hold')} back.")
    shop.look()


def parcels_leave(shop: Shop) -> None:
    """Pick and ship orders, one of them in two parcels."""
    inventory = shop.inventory
    shop.chapter("Orders leave in parcels")
    reserved = ("A-101", "A-102", "A-191")
    for order in reserved:
        inventory.pick(order)
        shop.wait(minutes=5)
    inventory.ship("A-101", {"MUG": 1}, key="A-101/parcel-1")
    shop.tell("A-101 is too big for one box: the first mug leaves alone.")
    for order in (*reserved, "A-103"):
        if inventory.reservation(order).status in {"confirmed", "picked"}:
            inventory.ship(order)
            shop.wait(minutes=5)
    shop.tell("The rest follows in a second parcel, and the other orders leave as well.")
    _show_order(shop, "A-101")
    shop.look()


def _show_order(shop: Shop, reference: str) -> None:
    counters = ("reserved", "picked", "shipped")
    shop.table(
        (*text(reference, "lot"), *numbers(*counters)),
        [
            [line.sku, line.key.lot, *(getattr(line, counter) for counter in counters)]
            for line in shop.inventory.reservation(reference).lines
        ],
    )


def parcel_comes_back(shop: Shop) -> None:
    """Take a return back and let it wait too long."""
    inventory = shop.inventory
    shop.chapter("A parcel comes back")
    inventory.take_back("A-101", {"MUG": 2}, key="A-101/return-1")
    shop.tell("A-101 sends 2 mugs back. They wait in quarantine, where nobody can sell them.")
    shop.wait(days=3)
    shop.look()
    inventory.inspect("MUG", 1, at=BERLIN, into=State.SELLABLE, reference="A-101")
    inventory.inspect("MUG", 1, at=BERLIN, into=State.DAMAGED, reference="A-101")
    shop.tell("Sam looks at last: one is as new, the other has a crack.")
    shop.figures("MUG")
    shop.look()


def box_gets_lost(shop: Shop) -> None:
    """Send a transfer of which a box never arrives."""
    inventory, box = shop.inventory, shop.random.randint(3, 4)
    shop.chapter("A box gets lost on the way to Hamburg")
    due = shop.clock.now + timedelta(days=1)
    inventory.transfer_out("T-7", {"TEAPOT": 3 * box}, source=BERLIN, target=HAMBURG, due_at=due)
    shop.tell(f"Three boxes with {box} teapots each leave Berlin (T-7), due tomorrow.")
    shop.wait(days=1)
    inventory.arrive("T-7", {"TEAPOT": 2 * box})
    shop.tell("Two boxes arrive.")
    shop.figures("TEAPOT")
    shop.wait(days=1)
    shop.look()
    inventory.lose("T-7", {"TEAPOT": box})
    shop.tell("The carrier admits that the third is lost. It is booked as such, not forgotten.")
    fields = ("sent", "arrived", "rejected", "lost", "on_the_way")
    shop.table(
        (*text("T-7"), *numbers(*(field.replace("_", " ") for field in fields))),
        [
            [line.sku, *(getattr(line, field) for field in fields)]
            for line in inventory.transfer("T-7").lines
        ],
    )
    shop.look()


def somebody_mistypes(shop: Shop) -> None:
    """Type a zero too many, and correct it without erasing anything."""
    inventory, right = shop.inventory, shop.random.choice((30, 40, 50, 60))
    shop.chapter("A zero too many")
    slip = inventory.receive("TOWEL", right * 10, at=BERLIN, reference="PO-1002", actor="kim")
    shop.tell(f"{right} towels come in; Kim types {right * 10}.")
    shop.wait(hours=2)
    inventory.correct(slip.movement_id, quantity=right, reason=f"typed {right * 10}", actor="sam")
    shop.tell("Sam corrects the receipt. Nothing is erased: both movements stay in the book.")
    shop.table(
        (*text("kind", "change"), *numbers("on hand"), *text("who", "why")),
        [
            [
                entry.movement.kind.value,
                change_in_words(entry.change),
                entry.after.on_hand,
                entry.movement.actor,
                entry.movement.reason,
            ]
            for entry in inventory.history("TOWEL")
        ],
    )
    shop.look()


def channel_oversells(shop: Shop) -> None:
    """Hear of a sale of units that were promised meanwhile."""
    inventory = shop.inventory
    shop.chapter("A marketplace sells what is no longer there")
    ordered = inventory.available("HONEY", at=BERLIN) - 1
    inventory.reserve({"HONEY": ordered}, reference="A-201", at=BERLIN)
    inventory.confirm("A-201")
    shop.tell(f"Order A-201 takes {ordered} jars of honey. One is left in Berlin.")
    sold_at = shop.clock.now - timedelta(minutes=20)
    sale = Sold("HONEY", 3, at=BERLIN, occurred_at=sold_at, origin="etsy", key="etsy-991/1")
    inventory.record([sale])
    shop.tell("Then the marketplace reports that it sold 3, 20 minutes ago. That is a fact.")
    shop.figures("HONEY")
    shop.look()
    inventory.relocate("HONEY", 2, source=HAMBURG, target=BERLIN)
    shop.tell("Hamburg has some: 2 jars are moved over.")
    shop.look()
    inventory.ship("A-201")
    shop.tell("A-201 leaves complete.")
    shop.look()


def shelf_is_counted(shop: Shop) -> None:
    """Count a shelf, and compare it with the book as of that moment."""
    inventory = shop.inventory
    shop.chapter("The candles are counted")
    inventory.damage("CANDLE", 1, at=BERLIN, actor="kim")
    shop.tell("Kim drops a candle: it is on hand still, and nobody can buy it.")
    missing = shop.random.randint(1, 2)
    counted_at = shop.clock.now
    counted = inventory.figures("CANDLE", at=BERLIN).on_hand - missing
    shop.wait(minutes=30)
    sold = inventory.available("CANDLE", at=BERLIN) - shop.random.randint(10, 14)
    inventory.record([Sold("CANDLE", sold, at=BERLIN, origin="till", key="till-17")])
    shop.tell(f"Sam counts the shelf. Before the sheet is typed in, the till sells {sold}.")
    result = inventory.count("CANDLE", counted, at=BERLIN, counted_at=counted_at).result
    shop.tell(
        f"The sheet is compared with the book at the moment of the count: {result['expected']} "
        f"expected, {result['counted']} counted, {result['variance']:+d}. The sale stands."
    )
    shop.figures("CANDLE")
    shop.look()


def tea_gets_old(shop: Shop) -> None:
    """Let a lot expire on the shelf."""
    inventory = shop.inventory
    shop.chapter("The tea of April")
    shop.clock.now = START + timedelta(days=31)
    shop.tell("April comes. What is left of the first lot has expired and is offered no more.")
    shop.figures("TEA")
    shop.look()
    left = inventory.figures("TEA", at=BERLIN, lot="APRIL").sellable
    inventory.scrap("TEA", left, at=BERLIN, lot="APRIL", state=State.SELLABLE, reason="expired")
    shop.tell(f"{amount(left, 'bag')} of it go to the compost, with the reason.")
    shop.look()


#: The story, in order.
CHAPTERS: Final[tuple[Callable[[Shop], None], ...]] = (
    goods_come_in,
    carts_hold,
    parcels_leave,
    parcel_comes_back,
    box_gets_lost,
    somebody_mistypes,
    channel_oversells,
    shelf_is_counted,
    tea_gets_old,
)
