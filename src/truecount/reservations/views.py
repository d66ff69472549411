"""Reservations as callers see them: frozen, spelled out, as of one moment. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import attrs

from truecount.bundles.netting import capacity
from truecount.bundles.pinned import added_up, gone, kits_of, outside, split
from truecount.errors import InsufficientStock, InvalidArgument
from truecount.model.instants import Instant, optional_datetime, to_datetime
from truecount.model.lines import NEVER, LineRow
from truecount.model.names import shown
from truecount.model.outcomes import Outcome
from truecount.model.recipes import Recipe
from truecount.model.stock import StockKey
from truecount.reservations.lines import status
from truecount.write.book import line_from


#: What a line counts; the others add up to ``reserved``. In the order they are stored.
COUNTERS: Final = (
    "reserved",
    "held",
    "allocated",
    "picked",
    "shipped",
    "released",
    "expired",
    "short",
)


@attrs.frozen
class ReservationLine:
    """One part of a reservation at one stock key; the counters add up to ``reserved``."""

    number: int
    key: StockKey
    reserved: int
    held: int
    allocated: int
    picked: int
    shipped: int
    released: int
    expired: int
    short: int

    @property
    def sku(self) -> str:
        """The SKU."""
        return self.key.sku

    @property
    def location(self) -> str:
        """Where the units are promised."""
        return self.key.location


@attrs.frozen(kw_only=True)
class Reservation:
    """
    A reservation, as of one moment.

    Attributes:
        tenant: Whose it is.
        reference: Its name: the cart, the order.
        round: 1, or more when the reference was reserved for again after it was finished.
        status: held, expired, confirmed, picked, shipped or released.
        lines: Its parts.
        expires_at: When its hold runs out, None when nothing is held.
        short: For a partial grant, what could not be held, by SKU.
        key: The idempotency key of the act that returned it, "" when it was read.
        replayed: Whether that act had been decided before.
        decided_at: When it was decided.
        movements: What that act wrote.
    """

    tenant: str
    reference: str
    round: int
    status: str
    lines: tuple[ReservationLine, ...]
    expires_at: datetime | None
    short: Mapping[str, int] = attrs.field(factory=dict)
    key: str = ""
    replayed: bool = False
    decided_at: datetime
    movements: tuple[str, ...] = ()

    def quantity(self, counter: str = "reserved") -> dict[str, int]:
        """
        Return one counter by SKU: reserved, held, allocated, picked, shipped, released, ...

        >>> from truecount import Inventory
        >>> inventory = Inventory()
        >>> inventory.locations.add("berlin")
        >>> receipt = inventory.receive("MUG", 5, at="berlin")
        >>> inventory.reserve({"MUG": 2}, reference="cart-1").quantity("held")
        {'MUG': 2}

        Raises:
            InvalidArgument: There is no such counter.
        """
        if counter not in COUNTERS:
            raise InvalidArgument("counter", shown(counter), f"one of {COUNTERS}")
        total: dict[str, int] = {}
        for line in self.lines:
            total[line.sku] = total.get(line.sku, 0) + getattr(line, counter)
        return total


@attrs.frozen(kw_only=True)
class KitLine:
    """
    A bundle of an order, counted from what its components did.

    Whole bundles only: five mugs of a set of two are two sets.

    Attributes:
        sku: The bundle.
        recipe: What one of it was made of when the order was.
        round: The round of the reservation, 0 for what was sold without one.
        open: Bundles still promised.
        shipped: Bundles that left.
        delivered: Bundles the customer has: those that left, less what came back.
        lines: Numbers of the reservation lines that are its.
    """

    sku: str
    recipe: Recipe
    round: int
    open: int
    shipped: int
    delivered: int
    lines: tuple[int, ...]

    @property
    def returned(self) -> int:
        """Bundles that are not whole any more, for what came back."""
        return self.shipped - self.delivered


def kit_lines(order: Mapping[str, Any] | None, lines: Sequence[LineRow]) -> tuple[KitLine, ...]:
    """Return the bundles of an order as its document and all its lines tell them."""
    kits = kits_of(order)
    owned = split(lines, kits)[1]
    found = []
    for kit in kits:
        mine = owned.get(kit.number, [])
        found.append(
            KitLine(
                sku=kit.sku,
                recipe=kit.bill.recipes[kit.sku],
                round=kit.round,
                open=capacity(kit.bill, added_up(mine, "held", "allocated", "picked")),
                shipped=capacity(kit.bill, gone(kit, mine, order)),
                delivered=capacity(kit.bill, outside(kit, mine, order)),
                lines=kit.lines,
            )
        )
    return tuple(found)


@attrs.frozen(kw_only=True)
class CartCheck:
    """
    Whether a cart could have been reserved, all its lines together, at that moment.

    Attributes:
        possible: Whether all of it could.
        short: What was short, as in ``InsufficientStock.short``: (sku, wanted, available,
            where, rule), bundles followed by the components they lack.
        parts: Units that would have been held, by stock key.
    """

    possible: bool
    short: tuple[tuple[str, int, int, str, str], ...] = ()
    parts: Mapping[StockKey, int] = attrs.field(factory=dict)


def checked(outcome: Outcome) -> CartCheck:
    """Return what a preview of a reservation says; raise what is wrong with the call."""
    if isinstance(outcome.error, InsufficientStock):
        return CartCheck(possible=False, short=outcome.error.short)
    parts: dict[StockKey, int] = {}
    for values in outcome.check().result["lines"]:
        line = line_from(values)
        parts[line.key] = parts.get(line.key, 0) + line.held
    return CartCheck(possible=True, parts=parts)


def seen(
    tenant: str, lines: Sequence[LineRow], now: Instant, *, given_up: bool = False, **act: Any
) -> Reservation:
    """Return the lines of a round as callers see them; *act* is what one act adds."""
    held = [line.expires_at for line in lines if line.held and line.expires_at != NEVER]
    return Reservation(
        tenant=tenant,
        reference=lines[-1].reference,
        round=lines[-1].round,
        status=status(lines, now, given_up=given_up),
        lines=tuple([ReservationLine(line.number, line.key, *line.counters) for line in lines]),
        expires_at=optional_datetime(min(held, default=None)),
        decided_at=to_datetime(now),
        **act,
    )


def decided(tenant: str, outcome: Outcome) -> Reservation:
    """Return the reservation as an act left it; a replay returns what it returned then."""
    return seen(
        tenant,
        [line_from(values) for values in outcome.result["lines"]],
        outcome.decided_instant,
        given_up=outcome.result.get("given_up", False),
        short=outcome.result.get("short", {}),
        key=outcome.key,
        replayed=outcome.replayed,
        movements=outcome.movements,
    )
