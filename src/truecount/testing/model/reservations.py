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
from itertools import combinations
from typing import Concatenate, ParamSpec

import attrs


FREE = ("held", "allocated")
OPEN = ("held", "allocated", "picked")

P = ParamSpec("P")


@attrs.define
class NaiveLine:
    """One part of a reservation; *deadline* is None once its order was placed."""

    reference: str
    number: int
    round: int
    sku: str
    place: str
    deadline: int | None
    counts: Counter[str] = attrs.field(factory=Counter)
    lot: str = ""

    def ran_out(self, now: int) -> bool:
        """Return whether it holds units past its time."""
        return self.counts["held"] > 0 and self.deadline is not None and self.deadline <= now

    def move(self, quantity: int, source: str, target: str) -> None:
        """Move units from one counter to another."""
        if quantity > self.counts[source]:
            raise AssertionError(f"{self}: expected {quantity} or more {source}")
        self.counts[source] -= quantity
        self.counts[target] += quantity


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


class NaiveReservations:
    """
    Shelves without lots and without floors, and the reservations that take from them.

    Every act is told the time it happens at, a whole number that grows, and returns the name
    of the error it ends with, "" when it is granted.

    >>> naive = NaiveReservations("berlin")
    >>> naive.receive("MUG", "berlin", 2)
    >>> naive.reserve(0, "cart-1", {"MUG": 2}, at=None, ttl=15, partial=False)
    ''
    >>> naive.reserve(1, "cart-2", {"MUG": 1}, at=None, ttl=15, partial=False)
    'InsufficientStock'
    >>> naive.status("cart-1", 14), naive.status("cart-1", 15), naive.available("MUG", "berlin", 15)
    ('held', 'expired', 2)
    """

    def __init__(self, *places: str) -> None:
        self.places = places
        self.free: Counter[tuple[str, str]] = Counter()
        #: What lies there and may not be sold: it is on hand all the same.
        self.unfit: Counter[tuple[str, str]] = Counter()
        self.known: set[str] = set()
        self.lines: list[NaiveLine] = []
        self.named: dict[str, str | None] = {}
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

    def offer(self, sku: str, place: str, now: int, besides: str = "") -> int:
        """Return what could be granted there, the holds of *besides* left alone."""
        return max(
            0,
            self.free[sku, place]
            + sum(line.counts["held"] for line in self.run_out(sku, place, now, besides)),
        )

    def run_out(self, sku: str, place: str, now: int, besides: str = "") -> list[NaiveLine]:
        """Return the holds there that are past their time, soonest first."""
        found = [
            line
            for line in self.lines
            if (line.sku, line.place) == (sku, place)
            and line.ran_out(now)
            and line.reference != besides
        ]
        return sorted(found, key=lambda line: (line.deadline, line.reference, line.number))

    def available(self, sku: str, place: str, now: int) -> int:
        """Return what may be promised there now."""
        return self.free[sku, place] + sum(
            line.counts["held"] for line in self.run_out(sku, place, now)
        )

    def on_hand(self, sku: str, place: str) -> int:
        """Return what is physically there, below zero if more was sold than ever was."""
        mine = [line for line in self.lines if (line.sku, line.place) == (sku, place)]
        promised = sum(line.counts[name] for line in mine for name in OPEN)
        return self.free[sku, place] + promised + self.unfit[sku, place]

    # --- taking from the shelf ---------------------------------------------------------

    def expire(self, line: NaiveLine) -> None:
        """Give back what a line holds."""
        self.free[line.sku, line.place] += line.counts["held"]
        line.move(line.counts["held"], "held", "expired")

    def make_room(self, sku: str, place: str, needed: int, now: int, besides: str = "") -> None:
        """Give back holds past their time, only until *needed* units are free."""
        for line in self.run_out(sku, place, now, besides):
            if self.free[sku, place] < needed:
                self.expire(line)

    def plan(
        self, wanted: Mapping[str, int], at: str | None, now: int, besides: str = ""
    ) -> list[tuple[str, str, int]]:
        """Return (SKU, place, units): from the fewest places, the first ones of those."""
        if any(sku not in self.known for sku in wanted):
            raise _Refusal("UnknownSku")
        places = [at] if at else self.places

        def split(chosen: Iterable[str]) -> list[tuple[str, str, int]]:
            shares = []
            for sku, quantity in wanted.items():
                left = quantity
                for place in chosen:
                    part = min(left, self.offer(sku, place, now, besides))
                    left -= part
                    if part:
                        shares.append((sku, place, part))
            return shares

        for size in range(1, len(places) + 1):
            for chosen in combinations(places, size):
                shares = split(chosen)
                if sum(part for _, _, part in shares) == sum(wanted.values()):
                    return shares
        return split(places)

    def grant(
        self,
        reference: str,
        shares: Iterable[tuple[str, str, int]],
        state: str,
        now: int,
        *,
        round_: int,
        deadline: int | None,
        besides: str = "",
    ) -> None:
        """Take *shares* from the shelf for new lines."""
        for sku, place, quantity in shares:
            self.make_room(sku, place, quantity, now, besides)
            self.free[sku, place] -= quantity
            number = len(self.of(reference)) + 1
            line = NaiveLine(reference, number, round_, sku, place, deadline)
            line.counts.update({"reserved": quantity, state: quantity})
            self.lines.append(line)

    # --- facts -------------------------------------------------------------------------

    def receive(self, sku: str, place: str, quantity: int) -> None:
        """Goods came in."""
        self.known.add(sku)
        self.free[sku, place] += quantity

    def sell(self, now: int, sku: str, place: str, quantity: int, reference: str | None) -> None:
        """A sale was reported: what the reservation has there, then the shelf, whatever it has."""
        self.known.add(sku)
        for state in ("picked", "allocated", "held"):
            for line in self.of(reference or ""):
                if (line.sku, line.place) == (sku, place):
                    part = min(quantity, line.counts[state])
                    line.move(part, state, "shipped")
                    quantity -= part
        if quantity:
            self.make_room(sku, place, quantity, now)
            self.free[sku, place] -= quantity
            if reference:
                self.sold[reference, sku] += quantity

    def sweep(self, now: int) -> int:
        """Give back every hold past its time; return how many there were."""
        found = [line for line in self.lines if line.ran_out(now)]
        for line in found:
            self.expire(line)
        return len(found)

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
    ) -> None:
        """Hold units until the time has passed."""
        lines = self.of(reference)
        if any(line.counts[state] for line in lines for state in OPEN if not line.ran_out(now)):
            raise _Refusal("AlreadyReserved")
        for line in lines:
            self.expire(line)
        shares = self.plan(wanted, at, now)
        short = sum(part for _, _, part in shares) < sum(wanted.values())
        if short and not (partial and shares):
            raise _Refusal("InsufficientStock")
        round_ = lines[-1].round + 1 if lines else 1
        self.grant(reference, shares, "held", now, round_=round_, deadline=now + ttl)
        self.named[reference] = at

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
        """Keep the lines whose place could still serve them; the rest competes anew."""
        room = {(x.sku, x.place): self.offer(x.sku, x.place, now) for x in lines}
        kept, wanted = [], Counter[str]()
        for line in lines:
            held = line.counts["held"]
            if held and held <= room[line.sku, line.place]:
                room[line.sku, line.place] -= held
                kept.append(line)
            elif held:
                self.expire(line)
            wanted[line.sku] += line.counts["expired"]
        wanted = +wanted
        shares = self.plan(wanted, self.named[reference], now, reference) if wanted else []
        if sum(part for _, _, part in shares) < wanted.total():
            raise _Refusal("InsufficientStock")
        self.grant(
            reference,
            shares,
            "allocated",
            now,
            round_=lines[-1].round,
            deadline=None,
            besides=reference,
        )
        for line in kept:
            self.make_room(line.sku, line.place, 0, now, reference)

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
        more = {}
        for sku, target in sorted(targets.items()):
            mine = [line for line in lines if line.sku == sku]
            have = sum(line.counts[name] for line in mine for name in (*OPEN, "shipped"))
            if have - target > sum(line.counts[name] for line in mine for name in FREE):
                raise _Refusal("TooMany")
            if target > have:
                more[sku] = target - have
        shares = self.plan(more, at or self.named[reference], now) if more else []
        if sum(part for _, _, part in shares) < sum(more.values()):
            raise _Refusal("InsufficientStock")
        for sku, target in targets.items():
            mine = [line for line in lines if line.sku == sku]
            have = sum(line.counts[name] for line in mine for name in (*OPEN, "shipped"))
            self.give_back(lines, sku, max(0, have - target))
        self.grant(
            reference,
            shares,
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
                self.free[sku, line.place] += part
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
        left_from: set[tuple[str, str]] = set()
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
                        left_from.add((sku, line.place))
        if any(self.on_hand(*key) < 0 for key in left_from):
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
        self.returned[name] += quantity
        self.free[sku, at] += quantity
