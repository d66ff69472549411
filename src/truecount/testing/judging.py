"""
Whether one order explains a history of concurrent calls.

``check_history`` asks whether the calls can be put into one order that

1. never puts a call before one that had ended when it began (real time),
2. gives each write the versions its movements have (the version chain of each key *is* the
   order of what was written there), all its keys at one moment, and
3. gives each read, and each cart that was refused or cut down for want of stock, a moment of
   its own duration at which the figures were what it was told (I12: a refusal means that it
   really was short, and that what else was in the cart was not).

Besides: a cart that was granted holds what it was told, all of it unless it was content with
less, and takes nothing that the rules keep back; nothing granted is lost, nothing stands in
the ledger that nobody asked for, and calls under one key share one effect (I6, I11).

A moment is a *cut*: how many versions of each key lie before it. Because versions give the
order of writes, only the others have to be placed, each at the earliest cut that is allowed.
Every rule only says that one call is not earlier than another, so the earliest cuts of all
are the best ones for each, and what cannot be placed there cannot be placed at all: nothing
is called wrong that some order explains.

What it does not judge: a refusal over several locations or lots, of a bundle, or by a
sourcing policy, which may stand anywhere. Where a refused cart saw several keys, what follows
for others from where it stands is not followed up, so a contradiction may be missed.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import count
from typing import Final

import attrs

from truecount.model.stock import NOTHING, Amounts, EntryRow, StockKey
from truecount.protocols.storage import Storage
from truecount.testing.carts import miscounted, told
from truecount.testing.cuts import Cut, Writes, join
from truecount.testing.histories import Event, History, Ledger, ledger_of


def check_history(history: History, storage: Storage, before: Collection[str] = ()) -> None:
    """
    Say so if no order explains what the calls of *history* were told.

    Raises:
        AssertionError: What cannot be explained, with the calls it is about.

    Complexity: O(calls · log(calls) + (entries + calls) · keys).
    """
    for problem in unexplained(history.events, ledger_of(storage, before)):
        raise AssertionError(f"a history of {len(history.events)} calls: {problem}")


def unexplained(events: Sequence[Event], ledger: Ledger) -> Iterator[str]:
    """Yield what no order of *events* explains, given what *ledger* has; pure."""
    events = [_resolved(event, ledger) for event in events]
    yield from _lost(events, ledger)
    yield from _doubled(events, ledger)
    broken = [problem for chain in ledger.chains.items() for problem in _broken_chain(*chain)]
    yield from broken
    if not broken:
        yield from miscounted(events, ledger)
        yield from _out_of_order(events, ledger)


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


def _doubled(events: Iterable[Event], ledger: Ledger) -> Iterator[str]:
    """Find keys with several effects, or another than is stored, and movements of several keys."""
    effects: dict[str, Event] = {}
    owner: dict[str, Event] = {}
    for event in events:
        if event.key is None or event.unknown:
            continue
        first = effects.setdefault(event.key, event)
        if event.movements != first.movements:
            yield f"key {event.key!r}: expected one effect, got those of {first} and {event}"
        stored = ledger.outcomes.get(event.key, event.movements)
        if event.movements != stored:
            yield f"{event}: expected the movements {stored} of its outcome, got {event.movements}"
        for movement in event.movements:
            other = owner.setdefault(movement, event)
            if other.key != event.key:
                yield f"movement {movement!r}: expected one request, got {other} and {event}"


# --- one order ---------------------------------------------------------------------------


def _out_of_order(events: Sequence[Event], ledger: Ledger) -> Iterator[str]:
    """Put each call at the earliest cut allowed, in the order in which they began."""
    writes = Writes(events, ledger)
    if writes.circle:
        names = ", ".join(writes.circle[:_SHOWN])
        yield f"writes of several keys: expected one moment for each, got a circle of {names}"
        return
    running: list[tuple[int, int, Cut, Event]] = []
    numbers = count()
    lowest: Cut = {}
    after: dict[StockKey, Event] = {}
    for event in sorted(events, key=lambda event: event.began):
        while running and running[0][0] < event.began:
            _, _, cut, ended = heapq.heappop(running)
            after |= {key: ended for key, last in cut.items() if last > lowest.get(key, 0)}
            join(lowest, cut)
        try:
            cut = _placed(event, writes, ledger, lowest)
        except _NoMoment as error:
            yield (
                f"{error.key}: {event} began after {after.get(error.key, 'the beginning')} had "
                f"ended at version {lowest.get(error.key, 0)}: {error.problem}"
            )
            return
        heapq.heappush(running, (event.ended, next(numbers), cut, event))


class _NoMoment(Exception):
    """There is no moment for a call, because of a key."""

    def __init__(self, key: StockKey, problem: str) -> None:
        self.key = key
        self.problem = problem


def _placed(event: Event, writes: Writes, ledger: Ledger, lowest: Cut) -> Cut:
    """Return the earliest cut, not before *lowest*, at which *event* may stand."""
    cut = dict(lowest)
    wrote = writes.of(event)
    if wrote is not None:
        for key, (first, _) in wrote.versions.items():
            if lowest.get(key, 0) >= first:
                raise _NoMoment(key, f"expected a later version, got {first}")
        join(cut, wrote.cut or {})
    moved = True
    while moved:
        moved = False
        for key, words, fits in told(event, ledger):
            figures, now = writes.figures(key), cut.get(key, 0)
            found = next((n for n in range(now, len(figures)) if fits(figures[n])), None)
            if found is None:
                problem = f"expected figures of a later moment, got {words}"
                raise _NoMoment(key, f"{problem}; versions from there on: {_shown(figures, now)}")
            if found > now:
                join(cut, writes.until(key, found))
                moved = True
    return cut


def _shown(figures: Sequence[Amounts], lowest: int) -> str:
    """Return some figures, by version, for a message."""
    first = figures[lowest : lowest + _SHOWN]
    rest = "" if lowest + _SHOWN >= len(figures) else ", ..."
    return ", ".join(f"{number}: {f}" for number, f in enumerate(first, lowest)) + rest


_SHOWN: Final = 5
