"""
Small shops with one thing gone wrong, written from what each cause means.

The injector knows two lists, what happened and what the book has, and changes one of them
as the cause's definition says. The differences are their sums. Nothing here imports the
signatures that are under test; only the words (facts, kinds of causes) are shared.

    shop = Shop(random.Random(7))
    planted = plant(shop, CauseKind.DUPLICATE)
    explain(shop.discrepancies(), shop.evidence())
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from truecount.explaining.facts import Candidate, Discrepancy, Evidence, Sign
from truecount.explaining.priors import CauseKind
from truecount.model.kinds import Kind
from truecount.model.stock import StockKey


OPENED = datetime(2026, 3, 1, tzinfo=UTC)
OBSERVED = datetime(2026, 3, 8, tzinfo=UTC)
EVENTS = 25
CASE = 12
SKUS = ("MUG-1", "MUG-2", "TEA-7")
LOCATIONS = ("berlin", "hamburg")
#: MUG-1 and MUG-2 are one finger apart; kits take from the first location only.
LOOK_ALIKES = {"MUG-1": ["MUG-2"], "MUG-2": ["MUG-1"]}
RECIPES = {"SET": {"MUG-1": 2, "TEA-7": 3}}
RECEIPTS = (12, 24, 36, 48, 60, 96, 120, 132, 144, 250)


class Event(NamedTuple):
    """Something that happened, or that the book says happened."""

    id: str
    kind: Kind
    sku: str
    location: str
    quantity: int
    at: datetime
    keyed: bool


class Planted(NamedTuple):
    """What was planted: the cause, and the id of what it struck ("" for nothing seen)."""

    kind: CauseKind
    site: str


class Shop:
    """What happened in a week, and the book about it."""

    def __init__(self, luck: random.Random) -> None:
        """Let a week pass: *EVENTS* at each key, all booked as they were."""
        self.luck = luck
        self.happened = [
            self.event(sku, location)
            for sku in SKUS
            for location in LOCATIONS
            for _ in range(EVENTS)
        ]
        self.booked = list(self.happened)
        self.lost: dict[StockKey, int] = {}
        self.unseen: set[str] = set()
        self.never_booked: set[StockKey] = set()

    def name(self) -> str:
        """Return an id that says nothing about when it was given."""
        return f"m{self.luck.getrandbits(64):016x}"

    def event(self, sku: str, location: str) -> Event:
        """Return something that happened: mostly a sale, sometimes goods in or a correction."""
        luck = self.luck
        kind = luck.choices((Kind.SOLD, Kind.RECEIVE, Kind.ADJUST), (0.6, 0.25, 0.15))[0]
        size = {
            Kind.SOLD: lambda: -min(9, 1 + int(luck.expovariate(0.6))),
            Kind.RECEIVE: lambda: luck.choice(RECEIPTS),
            Kind.ADJUST: lambda: luck.choice((-1, 1)) * luck.randint(1, 30),
        }[kind]()
        seconds = luck.randrange(int((OBSERVED - OPENED).total_seconds()))
        at = OPENED + timedelta(seconds=seconds)
        return Event(self.name(), kind, sku, location, size, at, kind is not Kind.SOLD)

    def pick(self, suits: Callable[[Event], bool] = lambda _: True) -> Event:
        """Return one of the events nothing went wrong with yet, any with equal chance."""
        booked = set(self.booked)
        return self.luck.choice(
            [event for event in self.happened if event in booked and suits(event)]
        )

    def book_as(self, event: Event, **words: object) -> None:
        """Put an event into the book otherwise than it happened."""
        self.booked[self.booked.index(event)] = event._replace(**words)  # type: ignore[arg-type]  # words of the event

    # --- what the explainer is given --------------------------------------------------------

    def deltas(self) -> dict[StockKey, int]:
        """Return what is there less what the book says, for each key."""
        found: dict[StockKey, int] = dict(self.lost)
        for events, sign in ((self.happened, 1), (self.booked, -1)):
            for event in events:
                if sign > 0 and event.id in self.unseen:
                    continue
                key = StockKey(event.sku, event.location)
                found[key] = found.get(key, 0) + sign * event.quantity
        return {key: delta for key, delta in found.items() if delta}

    def discrepancies(self) -> list[Discrepancy]:
        """Return the keys that differ."""
        return [
            Discrepancy(
                sku=key.sku, location=key.location, delta=delta, after=OPENED, observed_at=OBSERVED
            )
            for key, delta in self.deltas().items()
        ]

    def candidates(self) -> list[Candidate]:
        """Return the book."""
        return [
            Candidate(
                id=event.id,
                kind=event.kind,
                effects={StockKey(event.sku, event.location): event.quantity},
                occurred_at=event.at,
                recorded_at=event.at,
                keyed=event.keyed,
            )
            for event in self.booked
        ]

    def evidence(self, signs: Iterator[Sign] | None = None) -> Evidence:
        """Return all that is known about the shop."""
        return Evidence(
            candidates=self.candidates(),
            recipes=RECIPES,
            factors={sku: [CASE] for sku in SKUS},
            look_alikes=LOOK_ALIKES,
            locations=LOCATIONS,
            signs=signs or (),
        )

    def noisy_signs(
        self, *planted: Planted, hit: float = 0.9, false: float = 0.02
    ) -> Iterator[Sign]:
        """Yield one noisy bit about each cause at each site that differs."""
        differing = self.deltas()
        asked = [e.id for e in self.booked if StockKey(e.sku, e.location) in differing]
        for kind in PLANT:
            sites: list[tuple[str, StockKey | None]] = [(id_, None) for id_ in asked]
            if kind is CauseKind.MISSING:
                sites = [("", key) for key in differing]
            elif kind is CauseKind.KIT_NOT_EXPLODED:
                sites = [(kit, None) for kit in RECIPES]
            for site, key in sites:
                true = key in self.never_booked if key else Planted(kind, site) in planted
                yield Sign(kind, site, self.luck.random() < (hit if true else false), key)


# --- one function for each cause, from its definition -----------------------------------------


def _missing(shop: Shop) -> str:
    """It happened, and was never booked."""
    event = shop.pick()
    shop.booked.remove(event)
    shop.never_booked.add(StockKey(event.sku, event.location))
    return ""


def _duplicate(shop: Shop) -> str:
    """It is booked twice."""
    again = shop.pick()._replace(id=shop.name())
    shop.booked.append(again)
    return again.id


def _not_put_back(shop: Shop) -> str:
    """A sale came back to the shelf, and nobody booked that."""
    sale = shop.pick(lambda event: event.kind is Kind.SOLD)
    shop.happened.append(sale._replace(id=shop.name(), quantity=-sale.quantity))
    return sale.id


def _unit(shop: Shop) -> str:
    """Cases were booked as pieces, or pieces as cases."""
    event = shop.pick()
    if shop.luck.random() < 0.5 and event.quantity % CASE == 0:
        shop.book_as(event, quantity=event.quantity // CASE)
    else:
        shop.book_as(event, quantity=event.quantity * CASE)
    return event.id


def _wrong_sku(shop: Shop) -> str:
    """It was booked on the SKU beside it."""
    event = shop.pick(lambda event: event.sku in LOOK_ALIKES)
    shop.book_as(event, sku=LOOK_ALIKES[event.sku][0])
    return event.id


def _wrong_location(shop: Shop) -> str:
    """It was booked at the other location."""
    event = shop.pick()
    shop.book_as(event, location=LOCATIONS[1 - LOCATIONS.index(event.location)])
    return event.id


def _transposed(shop: Shop) -> str:
    """Somebody typed two digits the wrong way round."""
    event = shop.pick(
        lambda event: (
            event.keyed and len(set(f"{abs(event.quantity)}")) > 1 and _mixed(event.quantity) != []
        )
    )
    shop.book_as(event, quantity=shop.luck.choice(_mixed(event.quantity)))
    return event.id


def _mixed(quantity: int) -> list[int]:
    """Return *quantity* with two neighbouring digits the other way round."""
    digits, sign = [*str(abs(quantity))], (1 if quantity > 0 else -1)
    found = []
    for place in range(len(digits) - 1):
        other = digits.copy()
        other[place], other[place + 1] = other[place + 1], other[place]
        if other != digits and other[0] != "0":
            found.append(sign * int("".join(other)))
    return found


def _sign(shop: Shop) -> str:
    """Somebody typed the wrong sign."""
    event = shop.pick(lambda event: event.keyed)
    shop.book_as(event, quantity=-event.quantity)
    return event.id


def _slip(shop: Shop) -> str:
    """Somebody typed a zero too many, or left one out."""
    event = shop.pick(lambda event: event.keyed)
    if event.quantity % 10 == 0 and shop.luck.random() < 0.5:
        shop.book_as(event, quantity=event.quantity // 10)
    else:
        shop.book_as(event, quantity=event.quantity * 10)
    return event.id


def _kit(shop: Shop) -> str:
    """Kits were sold, and the components never left the book."""
    number = min(9, 1 + int(shop.luck.expovariate(0.6)))
    location = shop.luck.choice(LOCATIONS)
    for sku, each in RECIPES["SET"].items():
        shop.happened.append(shop.event(sku, location)._replace(quantity=-number * each))
    return "SET"


def _in_flight(shop: Shop) -> str:
    """The other side was looked at a moment before it could have seen the last sale."""
    event = shop.pick()
    near = event._replace(at=OBSERVED - timedelta(minutes=shop.luck.randint(1, 14)))
    shop.happened[shop.happened.index(event)] = near
    shop.book_as(event, at=near.at)
    shop.unseen.add(event.id)
    return event.id


def _shrink(shop: Shop) -> str:
    """Units are gone or too many, and nothing says why."""
    key = StockKey(shop.luck.choice(SKUS), shop.luck.choice(LOCATIONS))
    shop.lost[key] = shop.luck.choice([number for number in range(-10, 11) if number])
    return ""


PLANT: Mapping[CauseKind, Callable[[Shop], str]] = {
    CauseKind.MISSING: _missing,
    CauseKind.DUPLICATE: _duplicate,
    CauseKind.IN_FLIGHT: _in_flight,
    CauseKind.NOT_PUT_BACK: _not_put_back,
    CauseKind.KIT_NOT_EXPLODED: _kit,
    CauseKind.UNIT: _unit,
    CauseKind.WRONG_SKU: _wrong_sku,
    CauseKind.WRONG_LOCATION: _wrong_location,
    CauseKind.TRANSPOSED: _transposed,
    CauseKind.SIGN: _sign,
    CauseKind.SLIP: _slip,
    CauseKind.UNEXPLAINED: _shrink,
}


def plant(shop: Shop, kind: CauseKind) -> Planted:
    """Let one thing go wrong in *shop*."""
    return Planted(kind, PLANT[kind](shop))


def drawn(luck: random.Random, weights: Mapping[CauseKind, float]) -> CauseKind:
    """Draw one of the causes that can be planted, as often as *weights* say."""
    kinds = list(PLANT)
    return luck.choices(kinds, [weights[kind] for kind in kinds])[0]
