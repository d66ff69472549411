"""
What carts were told, against the ledger: what they hold, what there was, what was kept back.

A cart is judged by figures where one stock row without a lot could serve it; elsewhere which
row was short is the business of sourcing, and it may have been told anything.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from truecount.model.stock import NOTHING, Amounts, EntryRow, StockKey
from truecount.testing.histories import Event, Ledger


#: Whether figures are what a call was told.
Fits: TypeAlias = Callable[[Amounts], bool]


def miscounted(events: Iterable[Event], ledger: Ledger) -> Iterator[str]:
    """Find carts that hold something else than they were told, or what is kept back."""
    entries = defaultdict[str, list[EntryRow]](list)
    for chain in ledger.chains.values():
        for entry in chain:
            entries[entry.movement_id].append(entry)
    for event in events:
        if not event.granted or event.replayed:
            continue
        holding = [e for id_ in event.movements for e in entries[id_] if e.change[1] > 0]
        held = Counter(dict.fromkeys(event.granted, 0))
        for entry in holding:
            held[entry.key.sku] += entry.change[1]
        if held != event.granted:
            yield f"{event}: expected {dict(event.granted)} held, as it was told, got {dict(held)}"
        if not event.partial and event.granted != event.wanted:
            yield (
                f"{event}: expected all of {dict(event.wanted)} or nothing, "
                f"got {dict(event.granted)}"
            )
        yield from _oversold(event, holding, ledger)
        yield from _cut_down(event, holding, ledger)


def _oversold(event: Event, holding: Iterable[EntryRow], ledger: Ledger) -> Iterator[str]:
    """Find what was promised although the rules keep it back; lots have rules of their own."""
    for entry in holding:
        kept = ledger.kept.get(entry.key, 0)
        if not entry.key.lot and entry.after[0] < kept:
            yield (
                f"{entry.key}, version {entry.version}: {event} was granted: expected at least "
                f"{kept} left to sell, got {entry.after[0]}"
            )


def _cut_down(event: Event, holding: Iterable[EntryRow], ledger: Ledger) -> Iterator[str]:
    """Find carts that were given less than they wanted, and less than there was."""
    for entry in holding:
        sku = entry.key.sku
        wanted, granted = event.wanted.get(sku, 0), event.granted.get(sku, 0)
        if granted >= wanted or _judged_at(event, sku, ledger) is None:
            continue
        before = ledger.chains[entry.key][entry.version - 2].after if entry.version > 1 else NOTHING
        if not _is_short(wanted, granted, ledger, entry.key)(before):
            yield (
                f"{entry.key}, version {entry.version}: {event} wanted {wanted}: expected all "
                f"there was of {before}, got {granted}"
            )


def _judged_at(event: Event, sku: str, ledger: Ledger) -> StockKey | None:
    """Return the only stock row that could serve a SKU of a cart, None if it is not the only."""
    rows = [key for key in ledger.chains if key.sku == sku and event.at in {"", key.location}]
    return rows[0] if len(rows) == 1 and not rows[0].lot else None


def _free(amounts: Amounts, kept: int) -> tuple[int, int]:
    """Return the least and the most that may be promised: some holds may have run out."""
    sellable, held, *_ = amounts
    return max(0, sellable - kept), max(0, sellable + held - kept)


def _is_short(wanted: int, available: int, ledger: Ledger, key: StockKey) -> Fits:
    """Return whether figures leave just *available*, which is too little."""
    kept = ledger.kept.get(key, 0)

    def fits(amounts: Amounts) -> bool:
        least, most = _free(amounts, kept)
        return available < wanted and least <= available <= most

    return fits


def _is_enough(wanted: int, ledger: Ledger, key: StockKey) -> Fits:
    kept = ledger.kept.get(key, 0)
    return lambda amounts: _free(amounts, kept)[1] >= wanted


def told(event: Event, ledger: Ledger) -> Iterator[tuple[StockKey, str, Fits]]:
    """Yield what a call was told of figures: the key, in words, and which figures fit it."""
    for key, amounts in event.read.items():
        yield key, f"{amounts}", amounts.__eq__
    for sku, wanted in event.wanted.items():
        key_of = _judged_at(event, sku, ledger)
        if key_of is None or event.granted.get(sku):
            continue
        if event.granted or sku in event.short:
            had = event.short.get(sku, 0)
            words = f"a refusal of {wanted} with {had} available"
            yield key_of, words, _is_short(wanted, had, ledger, key_of)
        elif event.short:
            words = f"a refusal for want of others than these {wanted}"
            yield key_of, words, _is_enough(wanted, ledger, key_of)
