"""
Stock keys, the wide stock row of each, its entries, and the figures read from it.

Per key the ledger keeps one *stock row* (every state's figure, version, clocks), which is
also the key's lock, and one immutable *entry* per movement that touched it.

Invariants:
I2  A stock row equals the fold of its entries.
I3  Versions are 1..n without gap; ``after`` = the entry before + ``change``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import add
from typing import Final, NamedTuple, TypeAlias

import attrs

from truecount.errors import InvalidQuantity
from truecount.model.instants import Instant
from truecount.model.places import INDEX, ON_HAND, STATES, State
from truecount.model.quantities import QUANTITY_MAX


#: Makes a named tuple of its values: ``made(StockKey, values)``. Calling the class does the
#: same by way of Python, three times as long, and rows are made by the dozen in each write.
made: Final = tuple.__new__

#: One whole number per State, in the order of ``STATES``.
Amounts: TypeAlias = tuple[int, int, int, int, int, int, int, int]

NOTHING: Final[Amounts] = (0, 0, 0, 0, 0, 0, 0, 0)
_ON_HAND_STATES: Final = sum(1 for state in STATES if state in ON_HAND)


class StockKey(NamedTuple):
    """What a figure is kept for; the tenant is the transaction's. ``lot`` "" means no lot."""

    sku: str
    location: str
    lot: str = ""


def goods(key: StockKey) -> str:
    """
    Return a stock key in words; without a location, the SKU everywhere.

    >>> goods(StockKey("TEA", "berlin", "L1")), goods(StockKey("TEA", ""))
    ('TEA (lot L1) at berlin', 'TEA')
    """
    lot = f" (lot {key.lot})" if key.lot else ""
    return f"{key.sku}{lot} at {key.location}" if key.location else f"{key.sku}{lot}"


class StockRow(NamedTuple):
    """
    The current figures of one key.

    ``horizon`` is the greatest occurred_at so far, ``opened_at`` the first entry's.
    ``lot_expires_at`` is the lot's expiry; nothing of it is available from then on.
    """

    amounts: Amounts
    version: int
    recorded_at: Instant
    horizon: Instant
    opened_at: Instant
    lot_expires_at: Instant | None = None

    @property
    def sellable(self) -> int:
        """Units free to promise, before expired holds are reclaimed."""
        return self.amounts[0]

    @property
    def held(self) -> int:
        """Units held for carts, expired ones included until they are reclaimed."""
        return self.amounts[1]

    @property
    def promised(self) -> tuple[int, int, int]:
        """Units held, allocated and picked."""
        return self.amounts[1:4]

    @property
    def on_hand(self) -> int:
        """Units physically there."""
        return sum(self.amounts[:_ON_HAND_STATES])

    def has_expired(self, now: Instant) -> bool:
        """Whether the lot has expired: nothing of it is available any more."""
        return self.lot_expires_at is not None and self.lot_expires_at <= now


EMPTY_ROW: Final = StockRow(NOTHING, 0, 0, 0, 0)


class EntryRow(NamedTuple):
    """
    What one movement did to one key.

    ``lateness`` is 0 for an entry in order, else the bit length of how far (microseconds)
    its occurred_at lies before the horizon: as-of reads look for late entries class by
    class. ``floor`` is the lowest sellable figure the command was allowed to leave, None
    where no floor applied.
    """

    key: StockKey
    version: int
    change: Amounts
    after: Amounts
    movement_id: str
    occurred_at: Instant
    recorded_at: Instant
    horizon: Instant
    lateness: int
    floor: int | None


def plus(amounts: Amounts, change: Sequence[int]) -> Amounts:
    """
    Return *amounts* changed; refuse what leaves int64.

    >>> plus(NOTHING, [5, 0, 0, 0, 0, 0, 0, 0])[0]
    5
    """
    after: Amounts = tuple(map(add, amounts, change))
    _check_int64(after)
    return after


def _check_int64(amounts: Sequence[int]) -> None:
    if max(amounts) > QUANTITY_MAX or min(amounts) < -QUANTITY_MAX:
        seen = max(amounts, key=abs)
        raise InvalidQuantity("figure", str(seen), f"figures within ±{QUANTITY_MAX}")


def extend(  # noqa: PLR0917 -- once per entry: names would cost more than the fold
    row: StockRow,
    key: StockKey,
    change: list[int],
    movement_id: str,
    occurred_at: Instant,
    recorded_at: Instant,
    floor: int | None,
) -> tuple[StockRow, EntryRow]:
    """
    Return the stock row and the entry after one more movement on *key*.

    Raises:
        InvalidQuantity: A figure, or its change, would not fit into int64.
    """
    changed: Amounts = tuple(change)  # type: ignore[assignment]  # it has 8 amounts
    after: Amounts = tuple(map(add, row.amounts, changed))
    _check_int64(after + changed)
    version = row.version + 1
    horizon = row.horizon
    lateness = 0
    if version == 1 or occurred_at >= horizon:
        horizon = occurred_at
    else:
        lateness = (horizon - occurred_at).bit_length()
    opened_at = row.opened_at if row.version else occurred_at
    entry = (
        key,
        version,
        changed,
        after,
        movement_id,
        occurred_at,
        recorded_at,
        horizon,
        lateness,
        floor,
    )
    now = (after, version, recorded_at, horizon, opened_at, row.lot_expires_at)
    return made(StockRow, now), made(EntryRow, entry)


def lot_expiry(expiries: Iterable[tuple[str, str, Instant]], key: StockKey) -> Instant | None:
    """Return when the lot of *key* expires as *expiries* say, None when they do not."""
    found = None
    for sku, lot, expires_at in expiries:
        if key.sku == sku and key.lot == lot:
            found = expires_at
    return found


@attrs.frozen
class Figures:
    """
    The figures of a SKU, at one key or added up, at one instant.

    Each figure counts base units. ``available`` is what may be promised now: sellable
    units and holds that have expired, of lots that have not; when there is none, minus the
    units oversold. It is never netted: five in Hamburg do not pay for three short in
    Berlin, nor one lot for another.

    >>> Figures(sellable=3, held=2, picked=1, available=3).on_hand
    6
    """

    sellable: int = 0
    held: int = 0
    allocated: int = 0
    picked: int = 0
    quarantine: int = 0
    damaged: int = 0
    in_transit: int = 0
    incoming: int = 0
    available: int = 0

    def __repr__(self) -> str:
        """Name the figures that are not zero, and what is available."""
        words = attrs.asdict(self)
        available = words.pop("available")
        shown = [f"{name}={value}" for name, value in words.items() if value]
        return f"Figures({', '.join([*shown, f'available={available}'])})"

    @property
    def on_hand(self) -> int:
        """What is physically there."""
        return (
            self.sellable
            + self.held
            + self.allocated
            + self.picked
            + self.quarantine
            + self.damaged
        )

    @property
    def reserved(self) -> int:
        """What is promised to somebody."""
        return self.held + self.allocated + self.picked

    @property
    def oversold(self) -> int:
        """Units promised or sold that are not there."""
        return max(0, -self.available)

    def __getitem__(self, state: State) -> int:
        """Return the figure of one state."""
        value: int = getattr(self, State(state).value)
        return value

    def to_dict(self) -> dict[str, int]:
        """Return every figure, the derived ones too."""
        return attrs.asdict(self) | {"on_hand": self.on_hand, "reserved": self.reserved}


def figures(amounts: Amounts, available: int) -> Figures:
    """Return stored amounts as the figures callers see."""
    return Figures(*amounts, available)


def never_netted(parts: list[int]) -> int:
    """
    Return what may be promised out of *parts* that cannot pay for each other.

    >>> never_netted([5, -3]), never_netted([-3, -1]), never_netted([])
    (5, -4, 0)
    """
    promisable = sum(part for part in parts if part > 0)
    return promisable or sum(parts)


def amount(amounts: Amounts, state: State) -> int:
    """Return the figure of one state out of stored amounts."""
    return amounts[INDEX[state]]
