"""
Conditions: what the book shows that somebody should look at, one function for each rule.

``SHELF_RULES`` look at one stock key, ``BOOK_RULES`` at the whole. Nothing here writes or
remembers, and no two conditions of one survey are about the same subject.

Complexity of :func:`survey`: O(stock keys + open reservation lines + transfers and purchase
orders, where any units are under way + facts with notes), and for each key with a condition
the entries since it began (since the last look, once registered).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from itertools import islice
from typing import Final

from truecount.ledger.supply import is_expired
from truecount.model.instants import Instant, microseconds
from truecount.model.kinds import Kind
from truecount.model.lines import LineRow
from truecount.model.movements import MovementRow, decode
from truecount.model.stock import Amounts, EntryRow, StockKey, StockRow, goods, never_netted
from truecount.reconciliation.documents import DOCUMENT_RULES
from truecount.reconciliation.findings import (
    Condition,
    FindingKind,
    named,
    risk,
    stem_of,
    when,
)
from truecount.reconciliation.view import (
    DAMAGED,
    EVIDENCE_MAX,
    QUARANTINE,
    SELLABLE,
    Origin,
    Shelf,
    View,
    at_risk,
    condition_of,
    look,
    movement,
    newest_first,
    only,
    origin,
)


#: How long a hold may have run out before nobody seems to sweep: one hour.
STALE_AFTER: Final[Instant] = 3600 * 1_000_000

FACT: Final = "fact/"


def survey(view: View) -> list[Condition]:
    """Return everything that is wrong in the book *view* shows."""
    look(view)
    found = [
        condition
        for shelf in view.shelves.values()
        for rule in SHELF_RULES
        for condition in rule(view, shelf)
    ]
    for book_rule in BOOK_RULES:
        found += book_rule(view)
    return found


# --- rules over one shelf ----------------------------------------------------------------


def oversold(view: View, shelf: Shelf) -> Iterator[Condition]:
    """Find a key of which more is promised or sold than is there and may be back-ordered."""
    key, kind = shelf.key, FindingKind.OVERSOLD
    if not _is_oversold(view, shelf):
        return
    allowed = _backorders(view, key)
    start = origin(
        view,
        stem_of(kind, key),
        {key: shelf.row},
        lambda figures: figures[key][SELLABLE] < -allowed,
        lambda change: change[SELLABLE] < 0,
    )
    endangered = at_risk(view, shelf, -shelf.free)
    rule = f", {-shelf.free - allowed} beyond the {allowed} allowed" if allowed else ""
    gone = shelf.row.on_hand
    gone_too = f"; the book says {gone} on hand" if gone < 0 else ""
    sentence = (
        f"{goods(key)} is oversold by {-shelf.free}{rule}, since {when(start.since)}"
        f"{gone_too}{risk(endangered)}"
    )
    missing = -shelf.free - allowed
    yield condition_of(kind, key, start, missing, sentence, endangered=endangered)


def _is_oversold(view: View, shelf: Shelf) -> bool:
    return shelf.free < -_backorders(view, shelf.key)


def _backorders(view: View, key: StockKey) -> int:
    """Return how many units of a key may be promised before they are there."""
    return 0 if key.lot else view.settings.policy(key.sku, key.location).backorder_limit or 0


def below_zero(view: View, shelf: Shelf) -> Iterator[Condition]:
    """
    Find a key with less than nothing on hand, in quarantine or among the damaged.

    What is oversold has less on hand for that very reason, and says so itself.
    """
    key, kind = shelf.key, FindingKind.ON_HAND_BELOW_ZERO
    whole = not _is_oversold(view, shelf)

    def worst(amounts: Amounts) -> int:
        return min(_physical(amounts, whole=whole).values())

    missing = -worst(shelf.row.amounts)
    if missing <= 0:
        return
    start = origin(
        view,
        stem_of(kind, key),
        {key: shelf.row},
        lambda figures: worst(figures[key]) < 0,
        lambda change: worst(change) < 0,
    )
    figures = _physical(shelf.row.amounts, whole=whole)
    said = named([f"{units} {name}" for name, units in figures.items() if units < 0])
    sentence = f"The book says {said} of {goods(key)}, since {when(start.since)}"
    yield condition_of(kind, key, start, missing, sentence)


def _physical(amounts: Amounts, *, whole: bool) -> dict[str, int]:
    """Return the figures no shelf can have below zero, the one of the *whole* shelf if asked."""
    on_hand = {"on hand": sum(amounts[: DAMAGED + 1])} if whole else {}
    return on_hand | {"in quarantine": amounts[QUARANTINE], "damaged": amounts[DAMAGED]}


def stale_holds(view: View, shelf: Shelf) -> Iterator[Condition]:
    """Find holds that ran out long ago and are still held: nobody sweeps."""
    stale = [
        line for line in shelf.lines if line.held and line.expires_at <= view.now - STALE_AFTER
    ]
    if not stale:
        return
    oldest, units = stale[0], sum(line.held for line in stale)
    holding = [row.id for line in stale[:EVIDENCE_MAX] for row in islice(_acts_on(view, line), 1)]
    start = Origin(oldest.expires_at, stale[-1].expires_at, oldest.expires_at, tuple(holding))
    carts = len({line.reference for line in stale})
    sentence = (
        f"{units} of {goods(shelf.key)} are still held for {carts} cart{'s'[: carts - 1]} whose "
        f"time ran out, the first ({oldest.reference}) at {when(oldest.expires_at)}"
    )
    yield condition_of(
        FindingKind.STALE_HOLD, shelf.key, start, units, sentence, reference=oldest.reference
    )


def _acts_on(view: View, line: LineRow) -> Iterator[MovementRow]:
    """Yield the movements that moved units of a reservation line."""
    for _, row in view.reader.movements_of(line.reference):
        if any(leg.line == line.number for leg in decode(row.body).legs):
            yield row


def waiting(view: View, shelf: Shelf) -> Iterator[Condition]:
    """Find units that wait for inspection too long, by the movement they came with."""
    key = shelf.key
    patience = view.settings.policy(key.sku, key.location).quarantine_after
    left = shelf.row.amounts[QUARANTINE]
    if left <= 0 or patience is None:
        return
    limit = view.now - microseconds(patience)
    if view.reader.as_of(key, limit)[QUARANTINE] <= 0:
        return
    for entry in newest_first(view.reader, key, shelf.row.version):
        units = min(left, entry.change[QUARANTINE])
        if units <= 0:
            continue
        if entry.occurred_at <= limit:
            yield _undecided(view, entry, units, patience)
        left -= units
        if not left:
            return


def _undecided(view: View, entry: EntryRow, units: int, patience: timedelta) -> Condition:
    """Tell returns, which a customer waits for, from other units."""
    key, row = entry.key, movement(view, entry.movement_id)
    returned = any(
        leg.source.name == "customer" and leg.sku == key.sku for leg in decode(row.body).legs
    )
    kind = FindingKind.RETURN_UNDECIDED if returned else FindingKind.QUARANTINE_WAITING
    said = "came back" if returned else "were put in quarantine"
    under = f" ({row.reference})" if row.reference else ""
    sentence = (
        f"{units} of {goods(key)} {said} on {when(entry.occurred_at)}{under} and have waited "
        f"longer than {_span(patience)} to be inspected"
    )
    start = Origin(entry.recorded_at, entry.recorded_at, entry.occurred_at, (row.id,))
    return condition_of(
        kind, key, start, units, sentence, reference=row.reference, subject=(*key, row.id)
    )


def _span(duration: timedelta) -> str:
    """
    Return a duration in words.

    >>> _span(timedelta(days=7)), _span(timedelta(hours=36)), _span(timedelta(seconds=90))
    ('7 days', '36 hours', '90 seconds')
    """
    for name, unit in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        count, rest = divmod(duration.total_seconds(), unit)
        if not rest:
            return f"{count:g} {name}{'s' if count != 1 else ''}"
    return f"{duration.total_seconds():g} seconds"


def expired_lot(view: View, shelf: Shelf) -> Iterator[Condition]:
    """Find units of a lot past its expiry still on the shelf, free or promised."""
    key, row = shelf.key, shelf.row
    if not is_expired(row, view.now) or row.lot_expires_at is None:
        return
    live = [line for line in shelf.lines if not line.has_expired(view.now)]
    free, promised = max(0, shelf.free), sum(line.open for line in live)
    if not free + promised:
        return
    expired_at = row.lot_expires_at
    evidence = tuple(entry.movement_id for entry in islice(view.reader.entries(key), 1))
    endangered = tuple(sorted({line.reference for line in live}))
    sentence = (
        f"{goods(key)} expired on {when(expired_at)}: {free} still on the shelf, "
        f"{promised} promised{risk(endangered)}"
    )
    start = Origin(expired_at, expired_at, expired_at, evidence)
    yield condition_of(
        FindingKind.EXPIRED_LOT, key, start, free + promised, sentence, endangered=endangered
    )


# --- rules over the whole book -----------------------------------------------------------


def late_orders(view: View) -> Iterator[Condition]:
    """Find placed orders that wait to be shipped too long."""
    orders: dict[tuple[str, int], list[LineRow]] = {}
    for shelf in view.shelves.values():
        for line in shelf.lines:
            if line.allocated + line.picked:
                orders.setdefault((line.reference, line.round), []).append(line)
    for (reference, round_), lines in orders.items():
        yield from _late_order(view, reference, round_, lines)


def _late_order(
    view: View, reference: str, round_: int, lines: list[LineRow]
) -> Iterator[Condition]:
    patience = {
        line.number: view.settings.policy(line.key.sku, line.key.location).allocated_after
        for line in lines
    }
    spans = [span for span in patience.values() if span is not None]
    if not spans:
        return
    placed = _placed(view, reference, view.now - microseconds(min(spans)))
    late: list[tuple[LineRow, Instant, str, timedelta]] = []
    for line in lines:
        span = patience[line.number]
        if span is not None and line.number in placed:
            placed_at, movement_id = placed[line.number]
            if placed_at <= view.now - microseconds(span):
                late.append((line, placed_at, movement_id, span))
    if not late:
        return
    since = min(placed_at for _, placed_at, _, _ in late)
    said = named([f"{line.allocated + line.picked} of {goods(line.key)}" for line, *_ in late])
    yield Condition(
        kind=FindingKind.LATE_ORDER,
        subject=(reference, str(round_)),
        began=since,
        mark=max(placed_at for _, placed_at, _, _ in late),
        sku=only(line.key.sku for line, *_ in late),
        at=only(line.key.location for line, *_ in late),
        lot=only(line.key.lot for line, *_ in late),
        reference=reference,
        quantity=sum(line.allocated + line.picked for line, *_ in late),
        since=since,
        evidence=tuple(dict.fromkeys(id_ for _, _, id_, _ in late))[:EVIDENCE_MAX],
        at_risk=(reference,),
        sentence=f"Order {reference} has waited since {when(since)}, longer than "
        f"{_span(min(span for *_, span in late))}, to ship {said}",
    )


#: Kinds of movement that place an order.
_PLACING: Final = frozenset({Kind.CONFIRM.value, Kind.AMEND.value})


def _placed(view: View, reference: str, before: Instant) -> dict[int, tuple[Instant, str]]:
    """Return when each line of a reference was allocated, as far as that was *before*."""
    placed: dict[int, tuple[Instant, str]] = {}
    for _, row in view.reader.movements_of(reference):
        if row.occurred_at <= before and row.kind in _PLACING:
            for leg in decode(row.body).legs:
                if leg.line and leg.target.name == "allocated":
                    placed.setdefault(leg.line, (row.occurred_at, row.id))
    return placed


def low_stock(view: View) -> Iterator[Condition]:
    """Find SKUs of which no more may be promised at a location than the reorder point."""
    for here in view.low:
        key = here[0][0]
        point = view.settings.policy(key.sku, key.location).reorder_point or 0
        free = never_netted([_promisable(view, each, row) for each, row in here])
        if free <= point:
            yield _low(view, dict(here), key._replace(lot=""), point, free)


def _low(
    view: View, rows: dict[StockKey, StockRow], key: StockKey, point: int, free: int
) -> Condition:
    kind, subject = FindingKind.LOW_STOCK, key[:2]
    spoilt = {each for each, row in rows.items() if is_expired(row, view.now)}
    start = origin(
        view,
        stem_of(kind, subject),
        rows,
        lambda figures: _sellable(figures, spoilt) <= point,
        lambda change: change[SELLABLE] < 0,
    )
    sentence = (
        f"{max(0, free)} of {goods(key)} can still be promised, the reorder point is {point}, "
        f"since {when(start.since)}"
    )
    return condition_of(kind, key, start, point - free, sentence, subject=subject)


def _promisable(view: View, key: StockKey, row: StockRow) -> int:
    free = row.sellable + (view.shelves[key].expired if key in view.shelves else 0)
    return min(0, free) if is_expired(row, view.now) else free


def _sellable(figures: dict[StockKey, Amounts], spoilt: set[StockKey]) -> int:
    return never_netted(
        [
            min(0, amounts[SELLABLE]) if key in spoilt else amounts[SELLABLE]
            for key, amounts in figures.items()
        ]
    )


def look_alikes(view: View) -> Iterator[Condition]:
    """Find SKUs with stock that differ only by case, spaces or leading zeros."""
    for skus in view.spellings.values():
        if len(skus) > 1:
            yield _look_alike(view, sorted(skus))


def _look_alike(view: View, skus: list[str]) -> Condition:
    firsts: list[tuple[Instant, str, str]] = []
    places: list[str] = []
    for sku in skus:
        rows = list(view.reader.stock(sku))
        key, _ = min(rows, key=lambda item: item[1].opened_at)
        entry = next(iter(view.reader.entries(key)))
        firsts.append((entry.recorded_at, sku, entry.movement_id))
        places += [f"{row.on_hand} of {goods(key)}" for key, row in rows if any(row.amounts)]
    firsts.sort()
    began, newest, _ = firsts[-1]
    return Condition(
        kind=FindingKind.LOOK_ALIKE_SKU,
        subject=tuple(skus),
        began=began,
        mark=began,
        sku=newest,
        at="",
        lot="",
        reference=None,
        quantity=len(skus),
        since=began,
        evidence=tuple(id_ for _, _, id_ in firsts[-EVIDENCE_MAX:]),
        at_risk=(),
        sentence=f"The SKUs {named([repr(sku) for sku in skus])} differ only by case, spaces "
        f"or leading zeros: there are {named(places)}",
    )


SHELF_RULES: Final[tuple[Callable[[View, Shelf], Iterable[Condition]], ...]] = (
    oversold,
    below_zero,
    stale_holds,
    waiting,
    expired_lot,
)

BOOK_RULES: Final[tuple[Callable[[View], Iterable[Condition]], ...]] = (
    late_orders,
    low_stock,
    look_alikes,
    *DOCUMENT_RULES,
)
