"""
The second act of ``truecount demo``: the five mismatches, found, explained, repaired, proven.

The world (``demo_world``) goes its own way beside the book. It starts as the book says; then
five things go wrong in it, one of each kind. All that is told of them afterwards is read from
the library: the comparison, the explanations, the plan, the repair.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from truecount.cli.demo_act import EBAY, ETSY, Act, sentence
from truecount.cli.demo_shop import BERLIN, HAMBURG, Shop, amount
from truecount.cli.output import numbers, text
from truecount.model.facts import Sold


#: What each channel lists.
LISTED: Final = {
    ETSY: ("CANDLE", "CUP", "GIFT-SET", "HONEY", "TEA", "TRAY"),
    EBAY: ("CUP", "TEAPOT"),
}


def tell_the_five(shop: Shop) -> Act:
    """Tell the second act."""
    act = Act.begin(shop)
    for chapter in CHAPTERS:
        chapter(act)
    return act


# --- chapters ---------------------------------------------------------------------------


def all_is_well(act: Act) -> None:
    """Receive, list and count everything: the world is as the book says."""
    shop, inventory = act.shop, act.shop.inventory
    shop.chapter("For a moment, the world is as the book says")
    shop.wait(days=1)
    draw = shop.random.randint
    for sku, units in {"HONEY": draw(11, 14), "CUP": draw(30, 40), "TRAY": draw(10, 12)}.items():
        act.receive(sku, units, "PO-1003")
    inventory.bundles.define("TEA-TIME", {"CUP": 1, "TEA": 1})
    inventory.bundles.define("GIFT-SET", {"TEA-TIME": 2, "TRAY": 1})
    act.world.recipes["GIFT-SET"] = {"CUP": 2, "TEA": 2, "TRAY": 1}
    due = shop.clock.now + timedelta(days=5)
    inventory.expect("TEAPOT", 10, at=BERLIN, reference="PO-1005", due_at=due)
    for channel, skus in LISTED.items():
        act.publish(channel, *skus)
    shop.tell(
        "Honey, cups and trays come in, ten teapots are on order. A tea time is a cup and a "
        "tea; a gift set is two tea times on a tray. Etsy and Ebay list what Berlin has."
    )
    act.counts = act.counted()
    seen = act.observed()
    shop.wait(minutes=11)
    report = act.compared(seen)
    for key, figures in inventory.stock().items():
        inventory.count(key.sku, figures.on_hand, at=key.location, lot=key.lot, actor="sam")
    shop.tell(
        f"Sam counts every shelf, and reads both channels: {report.matches} of "
        f"{report.compared} figures match."
    )


def five_things_go_wrong(act: Act) -> None:
    """Let five things happen that the book is not told."""
    act.shop.chapter("Then five things go wrong outside the book")
    for number, goes_wrong in enumerate(WRONGS, 1):
        act.shop.wait(minutes=20)
        act.shop.tell(f"({number}) {goes_wrong(act)}")
    act.planted = act.world.planted()


def one_comparison_finds_them(act: Act) -> None:
    """Compare everything that can be seen with the book, as of its own time."""
    shop, inventory = act.shop, act.shop.inventory
    shop.chapter("One comparison finds all five, and nothing else")
    sold_at = shop.clock.now
    act.world.channel_sells(ETSY, "CANDLE", 1)
    shop.wait(minutes=2)
    act.counts = act.counted(minutes=5)
    shop.wait(minutes=5)
    seen = act.observed()
    shop.wait(seconds=1)
    waiting = act.compared(seen)
    shop.tell(
        f"Sam counts again while trade goes on, and both channels are read. A report of Etsy "
        f"may come ten minutes late, so {len(waiting.undecided)} of {waiting.compared} are "
        f"undecided, and nobody is alarmed."
    )
    late = Sold("CANDLE", 1, at=BERLIN, occurred_at=sold_at, origin=ETSY, key="etsy-candle")
    inventory.record([late])
    shop.tell("Sure enough, Etsy reports a candle that was gone before Sam came: no mismatch.")
    shop.clock.now = max(shop.clock.now, waiting.decidable_at or shop.clock.now)
    act.find(seen)
    shop.tell(
        f"Ten minutes later all is decided: {act.found.matches} match, {act.found.found} do not."
    )
    for each in act.found.mismatches:
        shop.note(f"- {sentence(each)}.", style="yellow")


def what_was_found_is_repaired(act: Act) -> None:
    """Plan, preview, approve, write, publish; and compare again."""
    shop, inventory = act.shop, act.shop.inventory
    shop.chapter("Repaired, and proven")
    act.plan = act.found.plan()
    act.preview = act.plan.preview()
    outside = act.plan.outside
    certain = len(act.plan.only(certainties={"confident"}).written)
    shop.tell(
        f"The plan has {amount(len(act.plan.written), 'line')} for the book and "
        f"{amount(len(outside), 'line')} for the channels. A job by night might write "
        f"{certain or 'none'} of the former by itself: what is certain and has evidence. Sam "
        f"looks at the preview:"
    )
    for line in str(act.preview).splitlines():
        shop.note(line)
    shop.note(f"differences left in the book afterwards: {act.preview.left}")
    act.repaired = inventory.repair(act.plan, approved_by="sam")
    shop.tell(f"Sam approves it, and {amount(len(act.repaired.applied), 'line')} are written.")
    _serve_those_at_risk(act)
    for done in outside:
        act.publish(done.source, done.sku)
    shop.tell(f"{amount(len(outside), 'level')} are published again.")
    seen = act.observed()
    shop.wait(minutes=11)
    act.again = act.compared(seen)
    shop.tell(
        f"The same counts and the channels as they are now: {act.again.matches} of "
        f"{act.again.compared} match, {act.again.found} do not."
    )
    twice = inventory.repair(act.plan, approved_by="sam")
    same = "changes nothing" if twice.replayed else "changed something"
    shop.tell(f"Repairing twice {same}; it could all be taken back.")
    _show_the_five(act)


def _serve_those_at_risk(act: Act) -> None:
    """Find honey and mugs for the orders that were at risk, before a parcel is packed."""
    shop, inventory = act.shop, act.shop.inventory
    shop.look()
    short = -inventory.available("HONEY", at=BERLIN)
    inventory.relocate("HONEY", short, source=HAMBURG, target=BERLIN)
    act.world.is_moved("HONEY", short, HAMBURG, BERLIN)
    missing = -inventory.available("MUG", at=BERLIN)
    inventory.release("W-303", {"MUG": missing}, key="W-303/fewer")
    act.world.is_promised({"MUG": -missing}, BERLIN)
    shop.tell(
        f"Whom that puts at risk is known before a parcel is packed: Hamburg sends "
        f"{amount(short, 'jar')} of honey, and the cafe takes {amount(missing, 'mug')} fewer."
    )
    shop.look()


def _show_the_five(act: Act) -> None:
    headings = (
        *text("mismatch", "sku", "where"),
        *numbers("off by"),
        *text("cause", "certainty"),
        *numbers("at risk"),
        *text("repair"),
    )
    rows = [[*each[:3], f"{each.off_by:+d}", *each[4:]] for each in act.told()]
    act.shop.table(headings, rows)


#: The second act, in order.
CHAPTERS: Final[tuple[Callable[[Act], None], ...]] = (
    all_is_well,
    five_things_go_wrong,
    one_comparison_finds_them,
    what_was_found_is_repaired,
)


# --- what goes wrong --------------------------------------------------------------------


def _oversells(act: Act) -> str:
    shown = act.world.channels[ETSY]["HONEY"]
    act.sell("till", "HONEY", 1)
    act.order("W-301", "HONEY", act.shop.random.randint(4, 6))
    act.order("W-302", "HONEY", act.shop.inventory.available("HONEY", at=BERLIN) - 1)
    act.world.falls_behind(ETSY, "HONEY")
    act.sell(ETSY, "HONEY", 3)
    return (
        f"The till sells a jar of honey, orders W-301 and W-302 take all but one. Etsy is not "
        f"told: it still shows {shown}, and sells 3."
    )


def _loses_stock(act: Act) -> str:
    stolen = act.shop.random.randint(4, 6)
    act.sell("till", "MUG", 2)
    act.order("W-303", "MUG", act.shop.inventory.available("MUG", at=BERLIN) - 3)
    act.order("W-304", "MUG", 2)
    act.world.is_stolen("MUG", stolen, BERLIN)
    return (
        f"A cafe orders mugs (W-303), a neighbour as well (W-304), and one is left. Then "
        f"somebody walks out with {stolen}."
    )


def _shows_promised(act: Act) -> str:
    orders = {"W-305": act.shop.random.choice((3, 5)), "W-306": 2}
    for reference, units in orders.items():
        act.order(reference, "TEAPOT", units)
    act.sell(EBAY, "TEAPOT", 1)
    act.world.shows_all(EBAY, "TEAPOT")
    return (
        f"A plugin tells Ebay what is on hand: {act.world.channels[EBAY]['TEAPOT']} teapots, "
        f"with the {sum(orders.values())} among them that W-305 and W-306 have ordered."
    )


def _miscounts(act: Act) -> str:
    came = act.shop.random.choice((40, 50, 60, 70))
    act.receive("TOWEL", came, "PO-1004", typed=came // 10)
    act.shop.wait(minutes=10)
    act.sell("till", "TOWEL", 5)
    return f"{came} towels come in. Kim, who is afraid of zeros by now, types {came // 10}."


def _loses_step(act: Act) -> str:
    sold = act.shop.random.choice((2, 4, 6))
    act.world.falls_behind(ETSY, "GIFT-SET")
    act.sell(ETSY, "GIFT-SET", 1)
    act.sell("till", "TEA", sold)
    act.publish(ETSY, "CUP", "TEA", "TRAY")
    act.publish(EBAY, "CUP")
    return (
        f"Etsy counts gift sets by itself: it sells one and takes off one. The till sells {sold} "
        f"teas, and nobody works out how many sets are left."
    )


#: What goes wrong in the world, in order; each says how.
WRONGS: Final[tuple[Callable[[Act], str], ...]] = (
    _oversells,
    _loses_stock,
    _shows_promised,
    _miscounts,
    _loses_step,
)
