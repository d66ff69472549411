"""
A planted shop (``tests.planted_causes``) in a real ledger, counted and explained.

What the injector says is booked is recorded, what it says happened is counted; the rest is
the library's: ``inventory.explain(inventory.reconcile(counts))``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import TypedDict

from tests.planted_causes import (
    CASE,
    LOCATIONS,
    OBSERVED,
    OPENED,
    RECIPES,
    SKUS,
    Event,
    Planted,
    Shop,
)
from truecount import (
    Adjusted,
    Count,
    Evidence,
    Inventory,
    Kind,
    Received,
    Reconciliation,
    Sold,
    StockKey,
)
from truecount.model.operation import Operation
from truecount.protocols.storage import Storage
from truecount.testing import CountingIds, ManualClock


#: More than a week can take away, whatever went wrong.
OPENING = 10_000
#: What no ledger knows, and the host says: how many pieces a case has.
KNOWN = Evidence(factors={sku: [CASE] for sku in SKUS})


def opened(storage: Storage) -> Inventory:
    """Return an inventory whose every shelf was counted when the week began."""
    clock = ManualClock(OPENED - timedelta(days=2))
    inventory = Inventory(storage, clock=clock, new_id=CountingIds("main"))
    inventory.locations.add(*LOCATIONS)
    for sku in SKUS:
        for at in LOCATIONS:
            inventory.receive(sku, OPENING, at=at)
    for kit, recipe in RECIPES.items():
        inventory.bundles.define(kit, recipe)
    clock.tick(timedelta(days=2))
    for sku in SKUS:
        for at in LOCATIONS:
            inventory.count(sku, OPENING, at=at)
    clock.tick(OBSERVED - OPENED)
    return inventory


def booked(inventory: Inventory, shop: Shop) -> dict[str, str]:
    """Record what the book has; return the movement of each event."""
    documents = {(event.at, event.kind): f"doc-{n}" for n, event in enumerate(shop.happened)}
    facts = [_fact(event, documents.get((event.at, event.kind), event.id)) for event in shop.booked]
    outcomes = inventory.record(facts)
    return {
        event.id: outcome.movements[0] for event, outcome in zip(shop.booked, outcomes, strict=True)
    }


class _Words(TypedDict):
    at: str
    occurred_at: datetime
    reference: str
    key: str
    origin: str | None


def _fact(event: Event, document: str) -> Operation:
    words = _Words(
        at=event.location,
        occurred_at=event.at,
        reference=document,
        key=event.id,
        origin=None if event.keyed else "till",
    )
    if event.kind is Kind.SOLD:
        return Sold(event.sku, -event.quantity, **words)
    if event.kind is Kind.RECEIVE and event.quantity > 0:
        return Received(event.sku, event.quantity, **words)
    return Adjusted(event.sku, event.quantity, reason="found", **words)


def counts(shop: Shop) -> Iterator[Count]:
    """Yield a count of every shelf, as it really is."""
    for sku in SKUS:
        for at in LOCATIONS:
            yield Count(sku, OPENING + there(shop, sku, at), at=at, counted_at=OBSERVED)


def there(shop: Shop, sku: str, at: str) -> int:
    """Return by how much a shelf really changed, as far as who counted could see."""
    seen = [event for event in shop.happened if event.id not in shop.unseen]
    return changed(seen, sku, at) + shop.lost.get(StockKey(sku, at), 0)


def changed(events: Iterable[Event], sku: str, at: str) -> int:
    """Return by how much *events* change a shelf."""
    return sum(event.quantity for event in events if (event.sku, event.location) == (sku, at))


def is_hit(report: Reconciliation, planted: Planted, ids: dict[str, str]) -> Iterator[bool]:
    """Return for each explained mismatch whether its best hypothesis is what was planted."""
    site = ids.get(planted.site, planted.site)
    for mismatch in report.mismatches:
        if mismatch.explanation is not None:
            named = {(cause.kind, cause.site) for cause in mismatch.explanation.causes}
            yield named == {(planted.kind, site)}
