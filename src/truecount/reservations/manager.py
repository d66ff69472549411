"""
The reservation manager's shell: one method for each act on a reservation, and reading it.

Every act takes the reference of the reservation, or the :class:`Reservation` itself, and
returns the reservation after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Unpack

import attrs

from truecount.errors import ReservationFinished, UnknownReference
from truecount.ledger.stock_ledger import Lines
from truecount.ledger.words import OwnedWords
from truecount.model.instants import Instant, optional_datetime, to_datetime
from truecount.model.lines import NEVER, LineRow
from truecount.model.operations import (
    Amend,
    Confirm,
    Expire,
    Operation,
    Pick,
    Release,
    Reserve,
    Ship,
    ShortPick,
)
from truecount.model.outcomes import Outcome
from truecount.model.places import State
from truecount.model.stock import StockKey
from truecount.reservations.rules import current_round, status
from truecount.write.book import line_from
from truecount.write.engine import Engine


#: Holds reclaimed in one transaction of a sweep.
SWEEP_MAX = 200


@attrs.frozen(kw_only=True)
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
        """
        total: dict[str, int] = {}
        for line in self.lines:
            total[line.sku] = total.get(line.sku, 0) + getattr(line, counter)
        return total


class ReservationManager:
    """
    Holds stock for carts and orders, and lets it go again.

    Safe to share between threads. Works alone over an :class:`Engine`, and is one of the
    parts of :class:`truecount.Inventory`.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def reserve(
        self,
        lines: Lines,
        *,
        reference: str,
        ttl: timedelta | None = None,
        at: str | None = None,
        lot: str | None = None,
        partial: bool = False,
        preview: bool = False,
        **words: Unpack[OwnedWords],
    ) -> Reservation:
        """
        Hold units for *reference* until *ttl* (or the policy's) has passed.

        >>> from truecount import Inventory
        >>> inventory = Inventory()
        >>> inventory.locations.add("berlin")
        >>> receipt = inventory.receive("MUG", 5, at="berlin")
        >>> cart = inventory.reserve({"MUG": 2}, reference="cart-77")
        >>> cart.status, inventory.available("MUG")
        ('held', 3)

        Raises:
            InsufficientStock: Some SKU is short; each is named with its figures and rule.
            AlreadyReserved: The reference has an open reservation.
            UnknownSku, UnknownLocation: Never heard of.
        """
        operation = Reserve(
            lines, reference=reference, ttl=ttl, at=at, lot=lot, partial=partial, **words
        )
        return self._act(operation, preview=preview)

    def confirm(
        self,
        reservation: Reservation | str,
        *,
        on_expired: str = "refuse",
        preview: bool = False,
        **words: Unpack[OwnedWords],
    ) -> Reservation:
        """
        Turn a hold into a placed order; confirming again changes nothing.

        Raises:
            HoldExpired: The hold ran out; with ``on_expired="rehold"`` it competes again.
            InsufficientStock: It competed again and lost.
            ReservationFinished: It was released.
        """
        operation = Confirm(reference=_name(reservation), on_expired=on_expired, **words)
        return self._act(operation, reservation, preview=preview)

    def release(
        self,
        reservation: Reservation | str,
        lines: Lines | None = None,
        *,
        preview: bool = False,
        **words: Unpack[OwnedWords],
    ) -> Reservation:
        """
        Give units back: all that is held or allocated, or the *lines* named (then with a key).

        Raises:
            TooMany: More than the reservation has, or some of it is picked already.
            ReservationFinished: All of it was shipped.
        """
        operation = Release(lines, reference=_name(reservation), **words)
        return self._act(operation, reservation, preview=preview)

    def amend(
        self,
        reservation: Reservation | str,
        lines: Mapping[str, int],
        *,
        at: str | None = None,
        preview: bool = False,
        **words: Unpack[OwnedWords],
    ) -> Reservation:
        """
        Set how many units of each named SKU the reservation has, in one step.

        SKUs not named stay as they are; 0 takes one out. The reservation's own units never
        stand in its way.

        Raises:
            InsufficientStock: There is not enough for the increase; nothing changed.
            TooMany: Fewer than are picked or shipped already.
            HoldExpired, ReservationFinished: There is nothing to amend.
        """
        operation = Amend(lines, reference=_name(reservation), at=at, **words)
        return self._act(operation, reservation, preview=preview)

    def pick(
        self,
        reservation: Reservation | str,
        lines: Lines | None = None,
        *,
        at: str | None = None,
        preview: bool = False,
        **words: Unpack[OwnedWords],
    ) -> Reservation:
        """
        Take allocated units off the shelf: all of them, or the *lines* named (with a key).

        Raises:
            NotConfirmed, ReservationFinished, TooMany: There is not that much to pick.
        """
        operation = Pick(lines, reference=_name(reservation), at=at, **words)
        return self._act(operation, reservation, preview=preview)

    def short_pick(
        self,
        reservation: Reservation | str,
        lines: Lines,
        *,
        key: str,
        at: str | None = None,
        into: State | None = None,
        preview: bool = False,
        **words: Unpack[OwnedWords],
    ) -> Reservation:
        """
        Record that units of an order were missing on the shelf, or unfit (*into* a state).

        Raises:
            TooMany, ReservationFinished: The reservation does not have that many.
        """
        operation = ShortPick(
            lines, reference=_name(reservation), key=key, at=at, into=into, **words
        )
        return self._act(operation, reservation, preview=preview)

    def ship(
        self,
        reservation: Reservation | str,
        lines: Lines | None = None,
        *,
        at: str | None = None,
        preview: bool = False,
        **words: Unpack[OwnedWords],
    ) -> Reservation:
        """
        Let units leave for the customer: all that is open, or a parcel of *lines* (with a key).

        Raises:
            NotConfirmed, ReservationFinished, TooMany: There is not that much to ship.
            InsufficientStock: The book says the units are not physically there.
        """
        operation = Ship(lines, reference=_name(reservation), at=at, **words)
        return self._act(operation, reservation, preview=preview)

    def reservation(self, reference: str) -> Reservation:
        """
        Return the newest reservation under *reference*, as it is now.

        Raises:
            UnknownReference: The reference was never reserved for.
        """
        with self._engine.read() as reader:
            lines = current_round(reader.lines(reference))
        if not lines:
            raise UnknownReference("reservation", reference)
        return _reservation(lines, self._engine.now())

    def sweep(self) -> int:
        """
        Reclaim the holds that have run out, and forget refusals past their time.

        Nothing depends on it being called: an expired hold blocks nobody. It keeps the
        figures tidy; call it from a timer. Return how many holds were reclaimed.
        """
        reclaimed = 0
        while True:
            with self._engine.read() as reader:
                due = reader.due_holds(self._engine.now(), SWEEP_MAX)
            if not due:
                self._engine.forget()
                return reclaimed
            holds = tuple((line.reference, line.number) for line in due)
            outcome = self._engine.one(Expire(holds=holds))
            reclaimed += outcome.result["expired"]
            if not outcome.result["expired"]:
                return reclaimed

    def _act(
        self,
        operation: Operation,
        reservation: Reservation | str = "",
        *,
        preview: bool = False,
    ) -> Reservation:
        outcome = self._engine.one(operation, preview=preview)
        lines = [line_from(values) for values in outcome.result["lines"]]
        if isinstance(reservation, Reservation) and lines[-1].round != reservation.round:
            raise ReservationFinished(type(operation).__name__.lower(), reservation.reference, "an earlier one")
        return _reservation(lines, outcome.decided_instant, outcome)


def _name(reservation: Reservation | str) -> str:
    return reservation.reference if isinstance(reservation, Reservation) else reservation


def _reservation(lines: list[LineRow], now: Instant, outcome: Outcome | None = None) -> Reservation:
    held = [line.expires_at for line in lines if line.held and line.expires_at != NEVER]
    act: dict[str, Any] = {}
    if outcome is not None:
        act = {
            "short": outcome.result.get("short", {}),
            "key": outcome.key,
            "replayed": outcome.replayed,
            "movements": outcome.movements,
        }
    return Reservation(
        reference=lines[-1].reference,
        round=lines[-1].round,
        status=status(lines, now),
        lines=tuple(
            ReservationLine(
                number=line.number, key=line.key, **dict(zip(_COUNTERS, line[4:12], strict=True))
            )
            for line in lines
        ),
        expires_at=optional_datetime(min(held, default=None)),
        decided_at=to_datetime(now),
        **act,
    )


_COUNTERS = ("reserved", "held", "allocated", "picked", "shipped", "released", "expired", "short")
