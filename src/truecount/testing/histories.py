"""
Histories: concurrent calls as their callers saw them, and whether one order explains them.

A :class:`History` notes when each call began and ended and what it was told. Afterwards
``check_history`` asks whether, for each stock key, the calls can be put into one order that

1. never puts a call before one that had ended when it began (real time),
2. gives each write the versions its movements have (the version chain *is* the order), and
3. gives each read, and each refusal for want of stock, a moment of its own duration at which
   the figures were what it was told (I12: a refusal means that it really was short).

That is linearizability for each key. Besides: nothing granted is lost, nothing stands in the
ledger that nobody asked for, and calls under one key share one effect (I6, I11).

Because versions give the order of writes, only reads have to be placed, and each at the
earliest moment that is allowed: O(n log n), where the search without versions is exponential.
What it does not judge: one order across several keys, and a refusal over several locations
or lots, or under a rule that lends units; such a refusal may stand anywhere.
"""

from __future__ import annotations

import heapq
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any, Final

import attrs

from truecount.errors import InsufficientStock, OutcomeUnknown, TrueCountError
from truecount.inventory import Inventory
from truecount.model.operation import Operation
from truecount.model.outcomes import Outcome
from truecount.model.places import STATES
from truecount.model.stock import NOTHING, Amounts, EntryRow, Figures, StockKey
from truecount.protocols.storage import Storage
from truecount.testing.samples import TENANT


#: The end of a call whose caller never learned it.
NEVER_ENDED: Final = 2**62


@attrs.frozen(kw_only=True)
class Event:
    """
    One call: what was asked, from when to when, and what it was told.

    ``began`` and ``ended`` count up over all threads: one call ended before another began
    if its number is smaller. Use the fields that apply; the rest stay empty.

    Attributes:
        movements: Ids of the movements it was told that it wrote.
        key: The idempotency key of a write.
        replayed: It was told that it had been done before.
        read: Figures it was shown, by stock key.
        short: What was (sku, wanted, available) when it was refused.
        unknown: The reply was lost: it may have been written or not.
    """

    call: str
    began: int
    ended: int
    movements: tuple[str, ...] = ()
    key: str | None = None
    replayed: bool = False
    read: Mapping[StockKey, Amounts] = attrs.field(factory=dict)
    short: tuple[tuple[str, int, int], ...] = ()
    unknown: bool = False

    def __str__(self) -> str:
        return f"{self.call} (from {self.began} to {self.ended})"


class History:
    """
    Notes calls of several threads to inventories over one storage.

    >>> from truecount import Received
    >>> inventory = Inventory()
    >>> inventory.locations.add("berlin")
    >>> history = History()
    >>> history.submit(inventory, Received("MUG", 5, at="berlin", key="asn-1")).granted
    True
    >>> history.figures(inventory, "MUG", at="berlin").on_hand
    5
    >>> check_history(history, inventory.storage)
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._ticks = count(1)  # One call of next() is not divided between threads.

    def submit(self, inventory: Inventory, operation: Operation) -> Outcome:
        """Let *inventory* run one operation; note and return its outcome, also a refusal."""
        began = next(self._ticks)
        name = f"{type(operation).__name__} {operation.key or ''}".strip()
        try:
            [outcome] = inventory.submit([operation])
        except OutcomeUnknown:
            self._note(call=name, began=began, key=operation.key, unknown=True)
            raise
        self._note(
            call=name,
            began=began,
            movements=outcome.movements,
            key=outcome.key,
            replayed=outcome.replayed,
            short=_short_of(outcome.error) if not outcome.replayed else (),
        )
        return outcome

    def figures(self, inventory: Inventory, sku: str, *, at: str) -> Figures:
        """Let *inventory* show the figures of a SKU without lots; note and return them."""
        began = next(self._ticks)
        found = inventory.figures(sku, at=at, lot="")
        amounts: Any = tuple(found[state] for state in STATES)
        self._note(call=f"figures of {sku}", began=began, read={StockKey(sku, at): amounts})
        return found

    def _note(self, **words: Any) -> None:
        ended = NEVER_ENDED if words.get("unknown") else next(self._ticks)
        self.events.append(Event(**words, ended=ended))


def _short_of(error: TrueCountError | None) -> tuple[tuple[str, int, int], ...]:
    """Return (sku, wanted, available) of a refusal that says what was really there."""
    if not isinstance(error, InsufficientStock):
        return ()
    return tuple(
        (sku, wanted, available)
        for sku, wanted, available, _, rule in error.short
        if rule == "backorder_limit=0"
    )


# --- what was written --------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Ledger:
    """
    What is stored when all calls have ended, as far as it explains them.

    Attributes:
        chains: The entries of each key, by version.
        movements: Ids of all movements.
        outcomes: The movements of each outcome, by key.
        before: Ids of movements that were there before the history began.
    """

    chains: Mapping[StockKey, Sequence[EntryRow]]
    movements: Collection[str]
    outcomes: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    before: Collection[str] = ()


def ledger_of(storage: Storage, before: Collection[str] = ()) -> Ledger:
    """Return what *storage* has; *before* are movements that no call of a history wrote."""
    with storage.read(TENANT) as reader:
        feed = reader.feed(0, _ALL)
        return Ledger(
            chains={key: list(reader.entries(key)) for key, _ in reader.stock()},
            movements={row.id for _, row in feed},
            outcomes={
                row.key: tuple(json.loads(row.body).get("movements", ()))
                for row in reader.outcomes("", _ALL)
            },
            before=before,
        )


_ALL: Final = 1_000_000


def movements_in(storage: Storage) -> set[str]:
    """Return the ids of all movements of *storage*: those there before a history begins."""
    with storage.read(TENANT) as reader:
        return {row.id for _, row in reader.feed(0, _ALL)}


# --- judging -----------------------------------------------------------------------------


def check_history(history: History, storage: Storage, before: Collection[str] = ()) -> None:
    """
    Say so if no order explains what the calls of *history* were told.

    Raises:
        AssertionError: What cannot be explained, with the calls it is about.

    Complexity: O(calls · log(calls) + entries · keys read).
    """
    for problem in unexplained(history.events, ledger_of(storage, before)):
        raise AssertionError(f"a history of {len(history.events)} calls: {problem}")


def unexplained(events: Sequence[Event], ledger: Ledger) -> Iterator[str]:
    """Yield what no order of *events* explains, given what *ledger* has; pure."""
    for key, chain in ledger.chains.items():
        yield from _broken_chain(key, chain)
    events = [_resolved(event, ledger) for event in events]
    yield from _lost(events, ledger)
    yield from _doubled(events)
    for key, chain in ledger.chains.items():
        yield from _out_of_order(key, chain, list(_steps(events, key, ledger)))


def _resolved(event: Event, ledger: Ledger) -> Event:
    """Return *event* with what a lost reply would have said."""
    if not event.unknown or event.key is None:
        return event
    return attrs.evolve(event, movements=ledger.outcomes.get(event.key, ()))


def _broken_chain(key: StockKey, chain: Sequence[EntryRow]) -> Iterator[str]:
    """Find a version that is missing or there twice, and one that forgets what was before."""
    after: Amounts = NOTHING
    for number, entry in enumerate(chain, 1):
        if entry.version != number:
            yield (
                f"{key}: expected version {number}, got {entry.version} (movement "
                f"{entry.movement_id!r}): an update was lost"
            )
            return
        wanted = tuple(old + change for old, change in zip(after, entry.change, strict=True))
        if entry.after != wanted:
            yield (
                f"{key}, version {number}: expected figures {wanted}, got {entry.after} "
                f"(movement {entry.movement_id!r}): it did not see the version before"
            )
            return
        after = entry.after


def _lost(events: Iterable[Event], ledger: Ledger) -> Iterator[str]:
    """Find what was granted and is not there, and what is there and nobody was granted."""
    claimed: set[str] = set(ledger.before)
    for event in events:
        claimed.update(event.movements)
        missing = sorted(set(event.movements) - set(ledger.movements))
        if missing:
            yield f"{event}: expected its movement {missing[0]!r} in the ledger, got nothing"
    for strange in sorted(set(ledger.movements) - claimed):
        yield f"movement {strange!r}: expected a call that wrote it, got none"


def _doubled(events: Iterable[Event]) -> Iterator[str]:
    """Find calls under one key with several effects (I6), and movements of several keys."""
    told: dict[str, Event] = {}
    owner: dict[str, Event] = {}
    for event in events:
        if event.key is None or event.unknown:
            continue
        first = told.setdefault(event.key, event)
        if event.movements != first.movements:
            yield f"key {event.key!r}: expected one effect, got those of {first} and {event}"
        for movement in event.movements:
            other = owner.setdefault(movement, event)
            if other.key != event.key:
                yield f"movement {movement!r}: expected one request, got {other} and {event}"


# --- one order for each key --------------------------------------------------------------


@attrs.frozen
class _Step:
    """What one event has to do with one key: versions it wrote, or moments it may stand at."""

    event: Event
    #: First and last version written; (0, 0) for none.
    wrote: tuple[int, int]
    #: Whether the figures after a version are what the event was told.
    fits: Callable[[Amounts], bool] = attrs.field(default=bool)


def _steps(events: Iterable[Event], key: StockKey, ledger: Ledger) -> Iterator[_Step]:
    versions: defaultdict[str, list[int]] = defaultdict(list)
    for entry in ledger.chains[key]:
        versions[entry.movement_id].append(entry.version)
    alone = sum(1 for other in ledger.chains if other.sku == key.sku) == 1
    for event in events:
        wrote = sorted(v for movement in event.movements for v in versions[movement])
        if wrote and not event.replayed:
            yield _Step(event, (wrote[0], wrote[-1]))
        if key in event.read:
            yield _Step(event, (0, 0), _shows(event.read[key]))
        for sku, wanted, available in event.short:
            if sku == key.sku and alone:
                yield _Step(event, (0, 0), _is_short(wanted, available))


def _shows(told: Amounts) -> Callable[[Amounts], bool]:
    return lambda amounts: amounts == told


def _is_short(wanted: int, available: int) -> Callable[[Amounts], bool]:
    """Return whether figures leave *available*: free units, and some of those held may be."""

    def fits(amounts: Amounts) -> bool:
        sellable, held, *_ = amounts
        return available < wanted and max(0, sellable) <= available <= max(0, sellable + held)

    return fits


def _out_of_order(
    key: StockKey, chain: Sequence[EntryRow], steps: Sequence[_Step]
) -> Iterator[str]:
    """
    Put each step at the earliest moment allowed, in the order in which the calls began.

    A moment is the version after which it lies. Every rule only says that one call is not
    earlier than another, so the earliest moments of all are the best ones for each.
    """
    figures = [NOTHING, *(entry.after for entry in chain)]
    running: list[tuple[int, int, str]] = []  # ended, moment, call
    lowest, after = 0, "the beginning"
    for step in sorted(steps, key=lambda step: (step.event.began, step.wrote)):
        while running and running[0][0] < step.event.began:
            _, moment, call = heapq.heappop(running)
            if moment > lowest:
                lowest, after = moment, call
        first, last = step.wrote
        if first:
            if lowest >= first:
                yield (
                    f"{key}: {step.event} began after {after} had ended at version {lowest}: "
                    f"expected a later version, got {first}"
                )
                return
            moment = last
        else:
            moments = (n for n in range(lowest, len(figures)) if step.fits(figures[n]))
            found = next(moments, None)
            if found is None:
                yield (
                    f"{key}: {step.event} began after {after} had ended at version {lowest}: "
                    f"expected figures of a later moment, got {_told(step.event, key)}; "
                    f"versions from there on: {_shown(figures, lowest)}"
                )
                return
            moment = found
        heapq.heappush(running, (step.event.ended, moment, str(step.event)))


def _told(event: Event, key: StockKey) -> str:
    if key in event.read:
        return f"{event.read[key]}"
    return "; ".join(
        f"a refusal of {wanted} with {available} available"
        for sku, wanted, available in event.short
        if sku == key.sku
    )


def _shown(figures: Sequence[Amounts], lowest: int) -> str:
    """Return some figures, by version, for a message."""
    first = figures[lowest : lowest + _SHOWN]
    rest = "" if lowest + _SHOWN >= len(figures) else ", ..."
    return ", ".join(f"{number}: {f}" for number, f in enumerate(first, lowest)) + rest


_SHOWN: Final = 5
