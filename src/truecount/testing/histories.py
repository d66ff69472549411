"""
Histories: concurrent calls as their callers saw them, and what the ledger has in the end.

A :class:`History` notes when each call began and ended and what it was told; ``judging``
says whether one order explains it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import count
from typing import Any, Final

import attrs

from truecount.errors import InsufficientStock, InvalidRequest, OutcomeUnknown
from truecount.inventory import Inventory
from truecount.model.operation import Operation
from truecount.model.outcomes import Outcome
from truecount.model.places import STATES
from truecount.model.reservation_commands import Reserve
from truecount.model.settings import GENERATION, Settings
from truecount.model.stock import Amounts, EntryRow, Figures, StockKey
from truecount.protocols.storage import Storage
from truecount.testing.samples import TENANT
from truecount.write.book import line_from
from truecount.write.rules import mark_of, read_settings


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
        wanted: Units a cart asked for, by SKU.
        granted: Units a cart was told that it has, by SKU.
        short: Units there were, by SKU, of what a cart was refused for want of.
        partial: A cart was content with less than it asked for.
        at: The one location a cart asked for, "" for any.
        unknown: The reply was lost: it may have been written or not.
    """

    call: str
    began: int
    ended: int
    movements: tuple[str, ...] = ()
    key: str | None = None
    replayed: bool = False
    read: Mapping[StockKey, Amounts] = attrs.field(factory=dict)
    wanted: Mapping[str, int] = attrs.field(factory=dict)
    granted: Mapping[str, int] = attrs.field(factory=dict)
    short: Mapping[str, int] = attrs.field(factory=dict)
    partial: bool = False
    at: str = ""
    unknown: bool = False

    def __str__(self) -> str:
        return f"{self.call} (from {self.began} to {self.ended})"


class History:
    """
    Notes calls of several threads to inventories over one storage.

    Processes note histories of their own, numbered by one clock that all of them see, as
    ``History(time.monotonic_ns)`` on one machine; put together, their ``events`` are one.

    >>> from truecount import Received
    >>> from truecount.testing import check_history
    >>> inventory = Inventory()
    >>> inventory.locations.add("berlin")
    >>> history = History()
    >>> history.submit(inventory, Received("MUG", 5, at="berlin", key="asn-1")).granted
    True
    >>> history.figures(inventory, "MUG", at="berlin").on_hand
    5
    >>> check_history(history, inventory.storage)
    """

    def __init__(self, now: Callable[[], int] | None = None) -> None:
        self.events: list[Event] = []
        # One call of next() is not divided between threads.
        self._now = count(1).__next__ if now is None else now

    def submit(self, inventory: Inventory, operation: Operation) -> Outcome:
        """Let *inventory* run one operation; note and return its outcome, also a refusal."""
        began = self._now()
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
            # Another request under a known key has no effect of its own to be compared.
            key=None if isinstance(outcome.error, InvalidRequest) else outcome.key,
            replayed=outcome.replayed,
            **_told_of_cart(operation, outcome),
        )
        return outcome

    def figures(self, inventory: Inventory, sku: str, *, at: str) -> Figures:
        """Let *inventory* show the figures of a SKU without lots; note and return them."""
        began = self._now()
        found = inventory.figures(sku, at=at, lot="")
        amounts: Any = tuple(found[state] for state in STATES)
        self._note(call=f"figures of {sku}", began=began, read={StockKey(sku, at): amounts})
        return found

    def _note(self, **words: Any) -> None:
        ended = NEVER_ENDED if words.get("unknown") else self._now()
        self.events.append(Event(**words, ended=ended))


def _told_of_cart(operation: Operation, outcome: Outcome) -> dict[str, Any]:
    """Return what a cart of SKUs was told; nothing of lots, of bundles or of anything else."""
    if not isinstance(operation, Reserve) or operation.lot is not None or outcome.replayed:
        return {}
    wanted = dict(operation.lines)
    told = {"wanted": wanted, "partial": operation.partial, "at": operation.at or ""}
    if outcome.granted:
        granted = Counter(dict.fromkeys(wanted, 0))
        for line in map(line_from, outcome.result["lines"]):
            granted[line.key.sku] += line.held
        return {**told, "granted": dict(granted)} if granted.keys() == wanted.keys() else {}
    if not isinstance(outcome.error, InsufficientStock):
        return {}
    short = outcome.error.short
    if not all(rule.startswith(_FLOORS) and sku in wanted for sku, *_, rule in short):
        return {}
    return {**told, "short": {sku: available for sku, _, available, *_ in short}}


#: Rules by which a cart is refused that can be judged by the figures alone.
_FLOORS: Final = ("backorder_limit=", "safety_stock=")


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
        kept: How far down each key may be promised, if not to 0; the rules do not change
            while a history is noted.
    """

    chains: Mapping[StockKey, Sequence[EntryRow]]
    movements: Collection[str]
    outcomes: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    before: Collection[str] = ()
    kept: Mapping[StockKey, int] = attrs.field(factory=dict)


def ledger_of(storage: Storage, before: Collection[str] = ()) -> Ledger:
    """Return what *storage* has; *before* are movements that no call of a history wrote."""
    with storage.read(TENANT) as reader:
        feed = reader.feed(0, _ALL)
        chains = {key: list(reader.entries(key)) for key, _ in reader.stock()}
        mark = mark_of(reader.record(*GENERATION))
        rules = read_settings(reader, mark, Settings((-1, ""), {}, {}))
        return Ledger(
            chains=chains,
            movements={row.id for _, row in feed},
            outcomes={
                row.key: tuple(json.loads(row.body).get("movements", ()))
                for row in reader.outcomes("", _ALL)
            },
            before=before,
            kept={key: rules.floor(key.sku, key.location) for key in chains},
        )


_ALL: Final = 1_000_000


def movements_in(storage: Storage) -> set[str]:
    """Return the ids of all movements of *storage*: those there before a history begins."""
    with storage.read(TENANT) as reader:
        return {row.id for _, row in reader.feed(0, _ALL)}
