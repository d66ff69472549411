"""
Peers: an order and its stock in one transaction of Django's, by django-oscar and by truecount.

The two do not do the same. Oscar's checkout adds to one column, looks at nothing and keeps no
history; the second case gives it the lock and the look that would keep it from overselling.
Needs django-oscar, and is a process of its own, because Django has one set of settings. Where
Tryton is installed (``pip install trytond trytond_stock``) its assign is measured, too: a move to
a customer and what assigns it, in one transaction of Tryton's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache, partial
from importlib.util import find_spec
from itertools import count
from typing import Any, Final

from benchmarks import oscar_site
from benchmarks.by_hand_postgres import LOCATION, PLENTY
from benchmarks.harness import Case, Sizes, main, timed
from truecount import Inventory, Received
from truecount.storage.postgres import PostgresStorage


SKUS: Final = 100
_NUMBERS: Final = count()


@cache
def _inventory() -> Inventory:
    storage = PostgresStorage(oscar_site.opened())
    storage.migrate()
    inventory = Inventory(storage)
    inventory.locations.add(LOCATION)
    inventory.record(
        Received(f"SKU-{number}", PLENTY, at=LOCATION, key=f"in-{number}") for number in range(SKUS)
    )
    return inventory


def _orders(sizes: Sizes, take: Callable[[Any, str], None]) -> float:
    """Write orders, the stock of each taken in its transaction."""
    records = oscar_site.stock_records(SKUS)
    from django.db import transaction

    with timed(sizes.operations) as rate:
        for _ in range(sizes.operations):
            number = str(next(_NUMBERS))
            with transaction.atomic():
                oscar_site.write_order(number)
                take(records[int(number) % SKUS], number)
    return rate()


def _reserve(record: Any, number: str) -> None:
    from django.db import connection

    joined = _inventory().within(connection)
    joined.reserve({record.partner_sku: 1}, reference=number, key=number)


def _allocate(record: Any, _number: str) -> None:
    record.allocate(1)


def _lock_look_allocate(record: Any, _number: str) -> None:
    locked = type(record).objects.select_for_update().get(pk=record.pk)
    assert locked.net_stock_level >= 1
    locked.allocate(1)


def truecount(sizes: Sizes) -> float:
    """truecount: an order of Oscar's and a reservation."""
    _inventory()
    return _orders(sizes, _reserve)


def _assign(sizes: Sizes) -> float:
    """Tryton: a move to a customer, assigned."""
    from benchmarks import tryton_site

    company = tryton_site.opened(SKUS)
    with timed(sizes.operations) as rate:
        for _ in range(sizes.operations):
            tryton_site.order(company, next(_NUMBERS))
    return rate()


_TRYTON: Final = Case(
    "order and stock: a Django transaction, and one of Tryton's",
    truecount,
    _assign,
    1.0,
    "Tryton's assign",
)
CASES = [
    Case(
        "an order of Oscar's and its stock, in Django's transaction",
        truecount,
        partial(_orders, take=_allocate),
        0.50,
        "django-oscar's allocate",
    ),
    Case(
        "the same, where Oscar locks and looks before",
        truecount,
        partial(_orders, take=_lock_look_allocate),
        0.50,
        "django-oscar's allocate, safely",
    ),
    *([_TRYTON] if find_spec("trytond") else []),
]

if __name__ == "__main__":
    sys.exit(main(CASES, operations=500))
