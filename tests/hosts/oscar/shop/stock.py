"""What the shop asks of truecount; nothing else in it knows a figure of stock."""

from collections import Counter
from contextlib import suppress
from datetime import timedelta
from functools import cache
from uuid import uuid4

from django.db import connection

from shop.database import opened
from truecount import Inventory
from truecount.errors import AlreadyReserved, UnknownReference


@cache
def inventory():
    """Return the inventory, opened when it is first needed."""
    return Inventory(opened(connection))


def joined():
    """Return the inventory inside the block that is open; without one its calls are refused."""
    return inventory().within(connection)


def here():
    """Return the inventory as the caller sees it: inside a block, if one is open."""
    return joined() if connection.in_atomic_block else inventory()


def available(record):
    """Return how many of a stock record can be sold."""
    return here().available(record.partner_sku)


def counted(lines):
    """Return how many of each SKU some pairs of line and quantity are about, if it is counted."""
    found = Counter()
    for line, quantity in lines:
        record = line.stockrecord
        if quantity and record and record.can_track_allocations:
            found[record.partner_sku] += quantity
    return found


def wanted(basket):
    """Return how many of each SKU a basket wants."""
    return counted((line, line.quantity) for line in basket.all_lines())


def hold(number, basket):
    """Hold what a basket wants while it is paid for."""
    lines = wanted(basket)
    if not lines:
        return
    try:
        here().reserve(lines, reference=str(number), ttl=timedelta(minutes=20))
    except AlreadyReserved:  # By an earlier attempt, whose payment never came back.
        before = here().reservation(str(number)).quantity()
        here().amend(str(number), dict.fromkeys(before, 0) | lines)


def let_go(number):
    """Give back what was held for a payment that failed, unless another attempt placed it."""
    with suppress(UnknownReference):  # Nothing in the basket is counted.
        if here().reservation(str(number)).status == "held":
            here().release(str(number))


def place(order, basket):
    """Promise what a basket wants to its order, in the transaction that writes the order."""
    lines = wanted(basket)
    if not lines:
        return
    with suppress(AlreadyReserved):  # It was held before the payment.
        joined().reserve(lines, reference=str(order.number))
    joined().confirm(str(order.number))


def ship(order, lines):
    """Let a parcel leave, in the transaction of its shipping event."""
    if parcel := counted(lines):
        joined().ship(str(order.number), parcel, key=f"ship {uuid4()}")


def cancel(order, lines):
    """Give back what an order will not ship."""
    if given_back := counted(lines):
        joined().release(str(order.number), given_back, key=f"cancel {uuid4()}")


def sorry(error, basket):
    """Return what a shopper is told who came too late."""
    titles = {line.stockrecord.partner_sku: line.product.get_title() for line in basket.all_lines()}
    left = (f"{titles[sku]} ({have} left, {want} wanted)" for sku, want, have, *_ in error.short)
    return f"Somebody was faster: {', '.join(left)}. Nothing was ordered."
