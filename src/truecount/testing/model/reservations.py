"""
What reservations mean, said as plainly as possible: the model real ones are held against.

No locks, no batches, no stored figures: lists that are searched from end to end, and a copy
of everything that is thrown away when a command is refused. Every act is told the time it
happened at and returns the name of the error it ends with, "" when it is granted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import Concatenate, ParamSpec

from truecount.testing.model.bundles import NaiveCart, plan
from truecount.testing.model.shelves import OPEN, Key, NaiveLine, NaiveShelves, Parts


FREE = ("held", "allocated")

P = ParamSpec("P")


class _Refusal(Exception):
    """Takes an act back; its argument is the name of the error."""


def command(
    act: Callable[Concatenate[NaiveReservations, P], None],
) -> Callable[Concatenate[NaiveReservations, P], str]:
    """Return *act* as all or nothing: what it did is kept only when it was not refused."""

    def attempt(naive: NaiveReservations, /, *args: P.args, **kwargs: P.kwargs) -> str:
        before = deepcopy(vars(naive))
        try:
            act(naive, *args, **kwargs)
        except _Refusal as refusal:
            vars(naive).update(before)
            return str(refusal)
        return ""

    return attempt


class NaiveReservations(NaiveShelves):
    """
    Shelves, and the reservations that take from them: of units, not of bundles.

    Every act is told the time it happens at, a whole number that grows, and returns the name
    of the error it ends with, "" when it is granted.

    >>> naive = NaiveReservations("berlin")
    >>> naive.receive("MUG", "berlin", 2)
    >>> naive.reserve(0, "cart-1", {"MUG": 2}, at=None, ttl=15, partial=False)
    ''
    >>> naive.reserve(1, "cart-2", {"MUG": 1}, at=None, ttl=15, partial=False)
    'InsufficientStock'
    >>> naive.status("cart-1", 14), naive.status("cart-1", 15)
    ('held', 'expired')
    >>> naive.available(("MUG", "berlin", ""), 15)
    2
    """

    def __init__(self, *places: str) -> None:
        super().__init__(*places)
        #: The place and the lot a cart named.
        self.named: dict[str, tuple[str | None, str | None]] = {}
        self.given_up: set[tuple[str, int]] = set()
        self.sold: Counter[tuple[str, str]] = Counter()
        self.returned: Counter[tuple[str, str]] = Counter()

    # --- reading -----------------------------------------------------------------------

    def of(self, reference: str) -> list[NaiveLine]:
        """Return all lines of a reference."""
        return [line for line in self.lines if line.reference == reference]

    def current(self, reference: str, round_: int | None = None) -> list[NaiveLine]:
        """Return the lines of its newest round."""
        lines = self.of(reference)
        if not lines or (round_ or 0) > lines[-1].round:
            raise _Refusal("UnknownReference")
        if round_ not in (None, lines[-1].round):
            raise _Refusal("ReservationFinished")
        return [line for line in lines if line.round == lines[-1].round]

    def status(self, reference: str, now: int) -> str:
        """Return what a reservation is at a time."""
        lines = self.current(reference)
        total: Counter[str] = sum((line.counts for line in lines), Counter())
        if total["allocated"]:
            return "confirmed"
        if total["picked"]:
            return "picked"
        if total["held"]:
            return "expired" if all(x.ran_out(now) for x in lines if x.counts["held"]) else "held"
        placed = any(line.deadline is None for line in lines)
        given_up = (reference, lines[-1].round) in self.given_up
        if total["expired"] and not placed and not given_up:
            return "expired"
        return "shipped" if total["shipped"] else "released"

    # --- taking from the shelf ---------------------------------------------------------

    def plan(
        self,
        wanted: Mapping[str, int],
        named: tuple[str | None, str | None],
        now: int,
        *,
        partial: bool = False,
    ) -> Parts:
        """Return which units serve a cart: all of it, or with *partial* what there is."""
        if any(sku not in self.known for sku in wanted):
            raise _Refusal("UnknownSku")
        parts = plan(NaiveCart(wanted, *named), self, {}, now).parts
        short = sum(units for _, units in parts) < sum(wanted.values())
        if short and not (partial and parts):
            raise _Refusal("InsufficientStock")
        return parts

    def grant(
        self,
        reference: str,
        parts: Iterable[tuple[Key, int]],
        state: str,
        now: int,
        *,
        round_: int,
        deadline: int | None,
    ) -> None:
        """Take units from the shelf for new lines."""
        for key, quantity in parts:
            sku, place, lot = key
            self.make_room(key, quantity, now)
            self.free[key] -= quantity
            number = len(self.of(reference)) + 1
            line = NaiveLine(reference, number, round_, sku, place, deadline, lot=lot)
            line.counts.update({"reserved": quantity, state: quantity})
            self.lines.append(line)

    # --- facts -------------------------------------------------------------------------

    def sell(
        self,
        now: int,
        sku: str,
        place: str,
        quantity: int,
        reference: str | None,
        *,
        lot: str | None = None,
    ) -> None:
        """A sale was reported: what the reservation has there, then the shelf, whatever it has."""
        for state in ("picked", "allocated", "held"):
            for line in self.of(reference or ""):
                if (line.sku, line.place) == (sku, place) and lot in (None, line.lot):
                    part = min(quantity, line.counts[state])
                    line.move(part, state, "shipped")
                    quantity -= part
        if quantity:
            for key, units in self.parts_sold(sku, place, quantity, now, lot=lot):
                self.make_room(key, units, now)
                self.free[key] -= units
            if reference:
                self.sold[reference, sku] += quantity

    # --- commands ----------------------------------------------------------------------

    @command
    def reserve(
        self,
        now: int,
        reference: str,
        wanted: Mapping[str, int],
        *,
        at: str | None,
        ttl: int,
        partial: bool,
        lot: str | None = None,
    ) -> None:
        """Hold units until the time has passed."""
        lines = self.of(reference)
        if any(line.counts[state] for line in lines for state in OPEN if not line.ran_out(now)):
            raise _Refusal("AlreadyReserved")
        for line in lines:
            self.expire(line)
        parts = self.plan(wanted, (at, lot), now, partial=partial)
        round_ = lines[-1].round + 1 if lines else 1
        self.grant(reference, parts, "held", now, round_=round_, deadline=now + ttl)
        self.named[reference] = at, lot

    @command
    def confirm(self, now: int, reference: str, round_: int | None, *, rehold: bool) -> None:
        """Place the order, or compete for it again."""
        lines = self.current(reference, round_)
        state = self.status(reference, now)
        if state == "released":
            raise _Refusal("ReservationFinished")
        if state == "expired":
            if not rehold:
                raise _Refusal("HoldExpired")
            self.hold_again(now, reference, lines)
        for line in lines:
            if line.counts["held"]:
                line.move(line.counts["held"], "held", "allocated")
                line.deadline = None

    def hold_again(self, now: int, reference: str, lines: list[NaiveLine]) -> None:
        """Keep the lines whose shelf could still serve them; the rest competes anew."""
        shelf = {x.key: self.granted(x.key, now, lends=True) for x in lines}
        room = {x.key[:2]: self.offer(x.sku, x.place, now) for x in lines}
        kept, wanted = [], Counter[str]()
        for line in lines:
            held = line.counts["held"]
            if held and held <= min(shelf[line.key], room[line.key[:2]]):
                shelf[line.key] -= held
                room[line.key[:2]] -= held
                kept.append(line)
            elif held:
                self.expire(line)
            wanted[line.sku] += line.counts["expired"]
        wanted = +wanted
        for line in kept:  # They are no longer past their time: nobody is offered their units.
            line.deadline = None
        parts = self.plan(wanted, self.named[reference], now) if wanted else []
        self.grant(reference, parts, "allocated", now, round_=lines[-1].round, deadline=None)
        for line in kept:
            self.make_room(line.key, 0 if line.lot else -self.lent[line.sku], now)

    @command
    def amend(
        self,
        now: int,
        reference: str,
        round_: int | None,
        targets: Mapping[str, int],
        *,
        at: str | None,
    ) -> None:
        """Set how many units it has."""
        lines = self.current(reference, round_)
        state = self.status(reference, now)
        if state == "expired":
            raise _Refusal("HoldExpired")
        if state in ("shipped", "released"):
            raise _Refusal("ReservationFinished")
        until = next((line.deadline for line in lines if line.counts["held"]), None)
        more: dict[str, int] = {}
        for sku, target in sorted(targets.items()):
            mine = [line for line in lines if line.sku == sku]
            have = sum(line.counts[name] for line in mine for name in (*OPEN, "shipped"))
            if have - target > sum(line.counts[name] for line in mine for name in FREE):
                raise _Refusal("TooMany")
            if target > have:
                more[sku] = target - have
        place, lot = self.named[reference]
        parts = self.plan(more, (at or place, lot), now) if more else []
        for sku, target in targets.items():
            mine = [line for line in lines if line.sku == sku]
            have = sum(line.counts[name] for line in mine for name in (*OPEN, "shipped"))
            self.give_back(lines, sku, max(0, have - target))
        self.grant(
            reference,
            parts,
            "held" if state == "held" else "allocated",
            now,
            round_=lines[-1].round,
            deadline=until if state == "held" else None,
        )

    def give_back(self, lines: list[NaiveLine], sku: str, quantity: int) -> None:
        """Give units back, held ones first, newest lines first."""
        for state in FREE:
            for line in reversed(lines):
                part = min(quantity, line.counts[state]) if line.sku == sku else 0
                line.move(part, state, "released")
                self.free[line.key] += part
                quantity -= part

    @command
    def release(
        self, now: int, reference: str, round_: int | None, wanted: Mapping[str, int] | None
    ) -> None:
        """Give back what is named, or all of it."""
        lines = self.current(reference, round_)
        total: Counter[tuple[str, str]] = Counter()
        for line in lines:
            total.update({(line.sku, name): units for name, units in line.counts.items()})
        skus = {line.sku for line in lines}
        everything = {sku: sum(total[sku, state] for state in OPEN) for sku in skus}
        for sku, quantity in (everything if wanted is None else wanted).items():
            if quantity > sum(total[sku, state] for state in FREE):
                raise _Refusal("TooMany")
        name = (reference, lines[-1].round)
        nothing = not any(everything.values())
        ended = wanted is None and nothing and name not in self.given_up
        if ended and self.status(reference, now) == "shipped":
            raise _Refusal("ReservationFinished")
        for sku, quantity in (everything if wanted is None else wanted).items():
            self.give_back(lines, sku, quantity)
        if wanted is None:
            self.given_up.add(name)

    @command
    def take(
        self,
        now: int,
        reference: str,
        round_: int | None,
        wanted: Mapping[str, int] | None,
        *,
        states: tuple[str, ...],
        target: str,
    ) -> None:
        """Pick, ship, or find missing: move units of *states* on."""
        lines = self.current(reference, round_)
        state = self.status(reference, now)
        if wanted is None and target == "picked" and state == "picked":
            return
        refusals = {"held": "NotConfirmed", "expired": "HoldExpired"}
        refusals |= dict.fromkeys(("shipped", "released"), "ReservationFinished")
        left = Counter[str]()
        for line in lines:
            left[line.sku] += sum(line.counts[name] for name in states)
        parts = +left if wanted is None else wanted
        left_from: set[Key] = set()
        if not parts or any(quantity > left[sku] for sku, quantity in parts.items()):
            raise _Refusal(refusals.get(state, "TooMany"))
        for sku, units in parts.items():
            quantity = units
            for name in states:
                for line in lines:
                    part = min(quantity, line.counts[name]) if line.sku == sku else 0
                    line.move(part, name, target)
                    quantity -= part
                    if part and target == "shipped":
                        left_from.add(line.key)
        if any(self.on_hand(key) < 0 for key in left_from):
            raise _Refusal("InsufficientStock")

    @command
    def take_back(self, reference: str, sku: str, quantity: int, *, at: str) -> None:
        """Put a return back on the shelf, each unit once."""
        lines = self.of(reference)
        if not lines and not any(name == reference for name, _ in self.sold):
            raise _Refusal("UnknownReference")
        shipped = sum(line.counts["shipped"] for line in lines if line.sku == sku)
        name = (reference, sku)
        if quantity > shipped + self.sold[name] - self.returned[name]:
            raise _Refusal("TooMany")
        for lot, units in self.came_from(lines, sku, quantity, self.returned[name]):
            self.free[sku, at, lot] += units
        self.returned[name] += quantity

    @staticmethod
    def came_from(
        lines: Iterable[NaiveLine], sku: str, quantity: int, before: int
    ) -> list[tuple[str, int]]:
        """Return of which lots the next units are that come back: as they left, line by line."""
        out = [line.lot for line in lines if line.sku == sku for _ in range(line.counts["shipped"])]
        back = out[before : before + quantity]
        return [*Counter([*back, *[""] * (quantity - len(back))]).items()]
