"""
A day of a shop that does a little of everything, every change under a key of its own.

Run again, whole or after any fault, it does nothing twice. Refusals are part of the day;
errors of the storage are not caught.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from truecount import Inventory, Policy, Sold, State
from truecount.errors import Refused
from truecount.testing import ManualClock


HOUR = timedelta(hours=1)


def prepare(inventory: Inventory, clock: ManualClock) -> None:
    """Declare locations and rules: calls that have no key."""
    inventory.locations.add("berlin", "hamburg")
    inventory.policies.set(Policy(backorder_limit=2), sku="TEA")


def morning(inventory: Inventory, clock: ManualClock) -> None:
    """Take goods in, sell some, and let a cart expire."""
    inventory.open("POT", 3, at="hamburg", key="open-1")
    inventory.receive("MUG", 20, at="berlin", key="asn-1")
    inventory.expect("TEA", 10, at="berlin", reference="PO-1", key="po-1")
    inventory.receive("TEA", 7, at="berlin", reference="PO-1", rejected=1, key="asn-2")
    mistyped = inventory.receive("MUG", 500, at="hamburg", key="asn-3")
    inventory.correct(mistyped.movement_id, quantity=5, reason="typed 500", key="fix-1")
    inventory.bundles.define("SET", {"MUG": 2, "TEA": 1}, key="set-1")
    inventory.reserve({"SET": 2, "MUG": 1}, reference="A-1", key="a1/hold", ttl=HOUR)
    inventory.reserve({"POT": 3}, reference="A-2", key="a2/hold", ttl=HOUR)
    with suppress(Refused):
        inventory.reserve({"POT": 1}, reference="A-3", key="a3/hold")
    inventory.confirm("A-1", key="a1/confirm")
    clock.tick(2 * HOUR)
    inventory.reserve({"POT": 2}, reference="A-4", key="a4/hold", ttl=HOUR)


def noon(inventory: Inventory, clock: ManualClock) -> None:
    """Pick, ship, take back, count, and hear late of a sale."""
    before = clock.now - HOUR
    inventory.pick("A-1", {"MUG": 3}, key="a1/pick")
    inventory.short_pick("A-1", {"TEA": 1}, key="a1/short")
    inventory.ship("A-1", {"MUG": 3}, key="a1/parcel")
    with suppress(Refused):
        inventory.ship("A-1", {"MUG": 9}, key="a1/too-much")
    inventory.take_back("A-1", {"MUG": 1}, key="rma-1")
    inventory.inspect("MUG", 1, at="berlin", into=State.DAMAGED, key="rma-1/look")
    inventory.count("MUG", 14, at="berlin", counted_at=clock.now, key="count-1")
    late = Sold("MUG", 2, at="berlin", occurred_at=before, origin="etsy", key="etsy-1/1")
    sale = Sold("POT", 4, at="hamburg", origin="etsy", key="etsy-1/2")
    inventory.record([late, sale])


def evening(inventory: Inventory, clock: ManualClock) -> None:
    """Move, make, repair by hand, tidy up, and look through the book."""
    inventory.transfer_out("T-1", {"MUG": 4}, source="berlin", target="hamburg", key="t1/out")
    inventory.arrive("T-1", {"MUG": 2}, key="t1/arrive")
    inventory.lose("T-1", {"MUG": 1}, key="t1/lose")
    inventory.relocate("MUG", 1, source="berlin", target="hamburg", key="move-1")
    inventory.assemble("SET", 1, at="berlin", key="make-1")
    inventory.amend("A-1", {"MUG": 5}, key="a1/amend")
    inventory.scrap("MUG", 1, at="berlin", reason="broken", key="scrap-1")
    slip = inventory.adjust("TEA", -1, at="berlin", reason="tasting", key="adjust-1")
    inventory.undo(slip.movement_id, reason="it was found", key="undo-1")
    clock.tick(2 * HOUR)
    inventory.sweep()
    inventory.release("A-1", key="a1/release")
    inventory.findings()


def day(inventory: Inventory, clock: ManualClock) -> None:
    """Do all of it."""
    morning(inventory, clock)
    noon(inventory, clock)
    evening(inventory, clock)
