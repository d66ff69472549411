"""
The reservation manager's shell: one method for each act on a reservation, and reading it.

Every act takes the reference of the reservation, or a :class:`Reservation` itself, and
returns the reservation after it. With the reference an act means the newest reservation
made for it; with a ``Reservation`` that one, or it is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, Unpack

from truecount.errors import IdempotencyConflict, InvalidArgument, UnknownReference
from truecount.ledger.stock_ledger import Lines
from truecount.ledger.words import OwnedWords
from truecount.model import names
from truecount.model.places import State
from truecount.model.reservation_commands import (
    Amend,
    Confirm,
    Expire,
    Pick,
    Release,
    Reserve,
    Ship,
    ShortPick,
)
from truecount.protocols.storage import ORDER
from truecount.reservations.lines import current_round, is_given_up
from truecount.reservations.views import (
    CartCheck,
    KitLine,
    Reservation,
    checked,
    decided,
    kit_lines,
    seen,
)
from truecount.write.engine import Engine


#: Holds reclaimed in one transaction of a sweep.
SWEEP_MAX: Final = 200


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
        kits_apart: bool = False,
        preview: bool = False,
        **words: Unpack[OwnedWords],
    ) -> Reservation:
        """
        Hold units for *reference* until *ttl* (or the policy's) has passed.

        Bundles are taken apart by the recipe in force, all lines together, stocked ones
        first; each from one location, unless *kits_apart*. The order keeps the recipe.

        >>> from truecount import Inventory
        >>> inventory = Inventory()
        >>> inventory.locations.add("berlin")
        >>> receipt = inventory.receive("MUG", 5, at="berlin")
        >>> cart = inventory.reserve({"MUG": 2}, reference="cart-77")
        >>> cart.status, inventory.available("MUG")
        ('held', 3)

        Raises:
            InsufficientStock: Some SKU is short; each is named with its figures and rule, a
                bundle with the components it lacks.
            AlreadyReserved: The reference has an open reservation.
            UnknownSku, UnknownLocation: Never heard of.
        """
        operation = Reserve(
            lines,
            reference=reference,
            ttl=ttl,
            at=at,
            lot=lot,
            partial=partial,
            kits_apart=kits_apart,
            **words,
        )
        return decided(self._engine.tenant, self._engine.one(operation, preview=preview))

    def check(self, lines: Lines, *, at: str | None = None, kits_apart: bool = False) -> CartCheck:
        """
        Return whether *lines* could be reserved now, all together. Nothing is written.

        It is asked under the locks and by the rules of ``reserve``; but what is free now is
        held for nobody, so only ``reserve`` can promise it.

        >>> from truecount import Inventory
        >>> inventory = Inventory()
        >>> inventory.locations.add("berlin")
        >>> receipt = inventory.receive("MUG", 5, at="berlin")
        >>> recipe = inventory.bundles.define("PAIR", {"MUG": 2})
        >>> inventory.check({"PAIR": 2}).possible, inventory.check({"PAIR": 2, "MUG": 2}).possible
        (True, False)

        Raises:
            UnknownSku, UnknownLocation: Never heard of.
        """
        operation = Reserve(lines, reference=self._engine.new_id(), at=at, kits_apart=kits_apart)
        return checked(self._engine.run((operation,), preview=True)[0])

    def kits(self, reference: str) -> tuple[KitLine, ...]:
        """
        Return the bundles of an order, with the recipes it was made with.

        How many are promised, left and came back is counted from their components, so
        parcels and returns may name bundles or components, as they happen.

        Raises:
            UnknownReference: There is no such order.
        """
        with self._engine.read() as reader:
            order = reader.record(ORDER, reference)
            lines = reader.lines(reference)
        if order is None:
            raise UnknownReference("order", reference)
        return kit_lines(json.loads(order.body), lines)

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
        operation = Confirm(**self._of(reservation), on_expired=on_expired, **words)
        return self._act(operation, preview=preview)

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
        operation = Release(lines, **self._of(reservation), **words)
        return self._act(operation, preview=preview)

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
        operation = Amend(lines, **self._of(reservation), at=at, **words)
        return self._act(operation, preview=preview)

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
        operation = Pick(lines, **self._of(reservation), at=at, **words)
        return self._act(operation, preview=preview)

    def short_pick(
        self,
        reservation: Reservation | str,
        lines: Lines,
        *,
        at: str | None = None,
        into: State | None = None,
        preview: bool = False,
        **words: Unpack[OwnedWords],
    ) -> Reservation:
        """
        Record that units of an order were missing on the shelf, or unfit (*into* a state).

        It needs a key: a second "one was missing" is another one.

        Raises:
            KeyRequired: No key was passed.
            TooMany, ReservationFinished: The reservation does not have that many.
        """
        operation = ShortPick(lines, **self._of(reservation), at=at, into=into, **words)
        return self._act(operation, preview=preview)

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
        operation = Ship(lines, **self._of(reservation), at=at, **words)
        return self._act(operation, preview=preview)

    def reservation(self, reference: str) -> Reservation:
        """
        Return the newest reservation under *reference*, as it is now.

        Raises:
            UnknownReference: The reference was never reserved for.
        """
        names.reference(reference)
        with self._engine.read() as reader:
            lines = current_round(reader.lines(reference))
            order = reader.record(ORDER, reference)
        if not lines:
            raise UnknownReference("reservation", reference)
        given_up = order is not None and is_given_up(json.loads(order.body), lines)
        return seen(self._engine.tenant, lines, self._engine.now(), given_up=given_up)

    def sweep(self) -> int:
        """
        Reclaim the holds that have run out, and forget refusals past their time.

        Nothing depends on it being called: an expired hold blocks nobody. It keeps the
        figures tidy; call it from a timer. Return how many holds were reclaimed.
        """
        reclaimed = 0
        while found := self._reclaim_some():
            reclaimed += found
        self._engine.forget()
        return reclaimed

    def _reclaim_some(self) -> int:
        """Reclaim holds in one transaction; 0 when none is left, or others are at it."""
        with self._engine.read() as reader:
            due = reader.due_holds(self._engine.now(), SWEEP_MAX)
        if not due:
            return 0
        holds = tuple((line.reference, line.number) for line in due)
        return int(self._engine.one(Expire(holds=holds)).result["expired"])

    def _of(self, reservation: Reservation | str) -> dict[str, Any]:
        """Return the words that name a reservation, and its round where one was handed over."""
        if not isinstance(reservation, Reservation):
            return {"reference": reservation}
        if reservation.tenant != self._engine.tenant:
            raise InvalidArgument(
                "reservation",
                f"{reservation.reference!r} of tenant {reservation.tenant!r}",
                f"one of tenant {self._engine.tenant!r}",
            )
        return {"reference": reservation.reference, "round": reservation.round}

    def _act(self, operation: Any, *, preview: bool) -> Reservation:
        """Run an act, and see to it that a replay is not of another round than was meant."""
        outcome = self._engine.one(operation, preview=preview)
        found = decided(self._engine.tenant, outcome)
        if operation.round not in (None, found.round):
            raise IdempotencyConflict(outcome.key, found.decided_at.isoformat())
        return found
