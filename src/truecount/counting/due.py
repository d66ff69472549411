"""
What to count today, and why: rules over what the book knows of each shelf.

=================  =====================================================================
reason             when
=================  =====================================================================
negative_book      the book has less than nothing on hand: it is wrong for certain
sold_at_zero       more was sold, shipped or picked than the book had: wrong, too
short_pick         a picker did not find what the book had, since the last count
many_movements     so many movements since the last count that one of them may be wrong
economics          the error a count would find has come to cost as much as counting
interval           its ABC class is counted that often, and it is time
low_point          few are left and more are coming: now a count is quick
random             drawn by lot, from all shelves alike
=================  =====================================================================

Rules:
1. The first reason of the table that holds decides the order; among equals, who was not
   counted for longest comes first, then the key.
2. A fixed share of the budget (rounded down) is drawn by lot from *all* shelves, those with
   other reasons included. Shelves picked because something looks wrong are wrong more often,
   so only the drawn ones measure how good the records are. What no reason claims of the
   budget is drawn as well.
3. The lot is a hash of the seed and the key: the same seed draws the same shelves, and no
   order of reading, storage or process changes that.

Sources: tau* = sqrt(2c / (h w)) minimises c / tau + h w tau / 2, the cost per day of counting
every tau days at cost c when errors arrive at h per day and each costs w per day until it is
found (the square-root law of economic order quantities). P(right) = (1 - p)^n after n
movements that go wrong with chance p each.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import timedelta
from enum import StrEnum
from fractions import Fraction
from hashlib import blake2b
from typing import Final

import attrs

from truecount.counting.accuracy import CLASSES
from truecount.counting.certificate import Share, share
from truecount.errors import InvalidArgument
from truecount.model import instants, names, quantities
from truecount.model.instants import Instant
from truecount.model.kinds import Kind
from truecount.model.movements import encode
from truecount.model.places import INDEX, State
from truecount.model.stock import EntryRow, StockKey


class Reason(StrEnum):
    """Why a shelf is counted, the most urgent first."""

    NEGATIVE_BOOK = "negative_book"
    SOLD_AT_ZERO = "sold_at_zero"
    SHORT_PICK = "short_pick"
    MANY_MOVEMENTS = "many_movements"
    ECONOMICS = "economics"
    INTERVAL = "interval"
    LOW_POINT = "low_point"
    RANDOM = "random"


RANKS: Final = {reason: number for number, reason in enumerate(Reason)}


# --- formulas ---------------------------------------------------------------------------


def _movements_max(value: int) -> int:
    return quantities.positive(value, "movements_max")


def _low_point(value: int) -> int:
    return quantities.natural(value, "low_point")


def _random_share(value: Share) -> Fraction:
    return share(value, "random_share")


def _cost(value: int | Fraction) -> Fraction:
    if type(value) not in {int, Fraction} or value <= 0:
        raise InvalidArgument("cost", names.shown(value), "a positive int or Fraction")
    return Fraction(value)


@attrs.frozen(kw_only=True)
class Economics:
    """
    What counting and not counting cost, in one currency.

    >>> each = Economics(count=3, errors_per_day=Fraction(1, 100), error_per_day=5)
    >>> each.interval
    datetime.timedelta(days=10, seconds=82464, microseconds=579368)

    Attributes:
        count: The cost of counting the shelf once.
        errors_per_day: How many errors arrive there in a day.
        error_per_day: What an error costs for each day until it is found.
    """

    count: Fraction = attrs.field(converter=_cost)
    errors_per_day: Fraction = attrs.field(converter=_cost)
    error_per_day: Fraction = attrs.field(converter=_cost)

    @property
    def interval(self) -> timedelta:
        """How often counting is cheapest: tau* = sqrt(2c / (h w)), to the microsecond."""
        per_day = 2 * self.count / (self.errors_per_day * self.error_per_day)
        microseconds = per_day * (86_400 * 1_000_000) ** 2
        return timedelta(microseconds=math.isqrt(int(microseconds)))

    @property
    def cost_per_day(self) -> float:
        """What counting that often costs, counts and errors together: sqrt(2 c h w)."""
        return math.sqrt(2 * self.count * self.errors_per_day * self.error_per_day)


def still_right(error_rate: Share, movements: int) -> Fraction:
    """
    Return the chance that a record is right after *movements*, each wrong at *error_rate*.

    >>> round(float(still_right(0.005, 50)), 6)
    0.778313
    """
    return Fraction((1 - share(error_rate, "error_rate")) ** quantities.natural(movements))


def movements_until(error_rate: Share, right_at_least: Share) -> int:
    """
    Return after how many movements a record is right with less than *right_at_least*.

    >>> movements_until(0.005, 0.75)
    58
    """
    right = 1 - share(error_rate, "error_rate")
    needed = share(right_at_least, "right_at_least")
    movements = max(0, math.floor(math.log(needed) / math.log(right)) - 1)
    while right**movements >= needed:  # The logarithm is near; the power decides.
        movements += 1
    return movements


# --- what is known of a shelf -----------------------------------------------------------


@attrs.frozen(kw_only=True)
class ShelfFacts:
    """
    What the book knows of one shelf, today.

    Attributes:
        key: SKU, location, lot.
        on_hand: Units in the book.
        incoming: Units expected or on their way there.
        since: When it was counted last; when it first moved, if it never was.
        movements: Movements since then.
        short_picks: Of them, units a picker did not find.
        sold_at_zero: Of them, units that left or were picked although the book had none.
    """

    key: StockKey
    on_hand: int
    incoming: int
    since: Instant
    movements: int
    short_picks: int = 0
    sold_at_zero: int = 0


_ON_HAND: Final = 6
_ALLOCATED, _PICKED = INDEX[State.ALLOCATED], INDEX[State.PICKED]
_TAKEN: Final = frozenset({Kind.SOLD.value, Kind.SHIP.value, Kind.PICK.value})


def taken_at_zero(entry: EntryRow, kind: str) -> int:
    """Return how many units an entry let leave, or be picked, that the book did not have."""
    if kind not in _TAKEN:
        return 0
    change = sum(entry.change[:_ON_HAND])
    before = sum(entry.after[:_ON_HAND]) - change
    taken = max(-change, entry.change[_PICKED])
    return max(0, taken - max(0, before))


def not_found(entry: EntryRow, kind: str) -> int:
    """Return how many units of a short pick were missing or unfit."""
    if kind != Kind.SHORT_PICK:
        return 0
    return -(entry.change[_ALLOCATED] + entry.change[_PICKED])


# --- rules ------------------------------------------------------------------------------


#: How often each class is counted where nothing is known of costs: 12, 4 and 1 times a year.
INTERVALS: Final[Mapping[str, timedelta]] = {
    "A": timedelta(days=30),
    "B": timedelta(days=91),
    "C": timedelta(days=365),
}


def _intervals(value: Mapping[str, timedelta]) -> dict[str, timedelta]:
    found = {name: instants.duration(each, f"interval of {name}") for name, each in value.items()}
    if set(found) != set(CLASSES):
        raise InvalidArgument("intervals", names.shown(sorted(found)), "one for each of A, B, C")
    return found


@attrs.frozen(kw_only=True)
class DueRules:
    """
    When a shelf is due. The defaults suit a shop that has measured nothing yet.

    Attributes:
        classes: The ABC class of SKUs; those not named are C.
        intervals: How long a shelf of each class may go uncounted: by default a month, a
            quarter, a year.
        movements_max: Movements since the last count after which it is due; see
            ``movements_until``.
        low_point: How few units on hand make a count quick, when more are coming.
        economics: Costs of SKUs, where they are known.
        random_share: Share of the budget that is drawn by lot.
    """

    classes: Mapping[str, str] = attrs.field(factory=dict)
    intervals: Mapping[str, timedelta] = attrs.field(
        factory=lambda: dict(INTERVALS), converter=_intervals
    )
    movements_max: int = attrs.field(default=50, converter=_movements_max)
    low_point: int = attrs.field(default=2, converter=_low_point)
    economics: Mapping[str, Economics] = attrs.field(factory=dict)
    random_share: Fraction = attrs.field(default=Fraction(1, 5), converter=_random_share)

    def __attrs_post_init__(self) -> None:
        for sku, name in self.classes.items():
            if name not in CLASSES:
                raise InvalidArgument(f"class of {sku}", names.shown(name), "one of A, B, C")

    def class_of(self, sku: str) -> str:
        """Return the ABC class of a SKU."""
        return self.classes.get(sku, CLASSES[-1])


def reasons_of(shelf: ShelfFacts, rules: DueRules, now: Instant) -> tuple[Reason, ...]:
    """
    Return why a shelf is due, the most urgent reason first; empty when it is not.

    >>> shelf = ShelfFacts(
    ...     key=StockKey("MUG", "berlin"), on_hand=-1, incoming=5, since=0, movements=60
    ... )
    >>> [reason.value for reason in reasons_of(shelf, DueRules(), 1)]
    ['negative_book', 'many_movements', 'low_point']
    """
    age = now - shelf.since
    economics = rules.economics.get(shelf.key.sku)
    interval = rules.intervals[rules.class_of(shelf.key.sku)]
    holds = {
        Reason.NEGATIVE_BOOK: shelf.on_hand < 0,
        Reason.SOLD_AT_ZERO: shelf.sold_at_zero > 0,
        Reason.SHORT_PICK: shelf.short_picks > 0,
        Reason.MANY_MOVEMENTS: shelf.movements >= rules.movements_max,
        Reason.ECONOMICS: economics is not None
        and age >= instants.microseconds(economics.interval),
        Reason.INTERVAL: age >= instants.microseconds(interval),
        Reason.LOW_POINT: shelf.incoming > 0
        and shelf.on_hand <= rules.low_point
        and shelf.movements > 0,
    }
    return tuple(reason for reason in Reason if holds.get(reason))


@attrs.frozen(kw_only=True)
class Due:
    """
    A shelf to be counted today, and why.

    Attributes:
        sku, at, lot: Which shelf.
        abc: The SKU's class.
        reasons: Why, the most urgent first; the last is ``random`` for those drawn by lot.
    """

    sku: str
    at: str
    lot: str
    abc: str
    reasons: tuple[Reason, ...]

    @property
    def is_random(self) -> bool:
        """Whether the lot fell on it: only then it measures record accuracy."""
        return Reason.RANDOM in self.reasons


def due(
    shelves: Iterable[ShelfFacts], rules: DueRules, *, budget: int, seed: str, now: Instant
) -> list[Due]:
    """
    Return the shelves to count within *budget*, the most urgent first.

    Args:
        budget: How many shelves can be counted today.
        seed: A word for today's lot, its date for example.

    Complexity: O(n log n) in the shelves.
    """
    known = {shelf.key: shelf for shelf in shelves}
    room = min(quantities.positive(budget, "budget"), len(known))
    reasons = {key: reasons_of(shelf, rules, now) for key, shelf in known.items()}
    claimed = sorted(
        (key for key in known if reasons[key]),
        key=lambda key: (RANKS[reasons[key][0]], known[key].since, key),
    )
    lots = sorted(known, key=lambda key: _lot(seed, key))
    drawn = set(lots[: math.floor(room * rules.random_share)])
    chosen = [key for key in claimed if key not in drawn][: room - len(drawn)]
    # Nothing else claims the rest of the day: the lot goes on where it stopped, and falls on
    # claimed shelves as on any other, or those drawn would be better than all there are.
    for key in lots[len(drawn) :]:
        if len(drawn.union(chosen)) == room:
            break
        drawn.add(key)
    chosen = [key for key in chosen if key not in drawn]
    for key in drawn:
        reasons[key] += (Reason.RANDOM,)
    found = sorted(
        (*chosen, *drawn), key=lambda key: (RANKS[reasons[key][0]], known[key].since, key)
    )
    return [
        Due(
            sku=key.sku,
            at=key.location,
            lot=key.lot,
            abc=rules.class_of(key.sku),
            reasons=reasons[key],
        )
        for key in found
    ]


def _lot(seed: str, key: StockKey) -> bytes:
    """Return the number drawn for *key*."""
    return blake2b(encode((seed, *key)).encode(), digest_size=16).digest()
