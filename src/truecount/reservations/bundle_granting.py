"""
Granting carts that have bundles in them. Pure.

Rules:
1. All lines compete for one shelf: what the first ones take, the later ones do not find. What
   is in stock as a bundle goes first, then its components (``truecount.bundles.netting``).
2. The components of one bundle come from one location, unless the cart allows them apart; of
   several of the same bundle each may come from another one. So to a sourcing policy a
   bundle is an article like any other: a location offers what it can give of the whole cart
   together, and any part of that it can give as well.
3. In the network a cart can be served in more ways than are tried: each location gives to
   the lines in turn, and when that leaves one short, once more for each line with that line
   first. At one location, or apart, nothing is missed.
4. What has a recipe is never promised ahead of its coming: its components may be.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from truecount.bundles.carts import Served, serve
from truecount.ledger.supply import Part, take
from truecount.model.instants import Instant
from truecount.reservations.offers import Cart, Grant, Lack, shares_of, spare
from truecount.reservations.sourcing import Policies, Share
from truecount.write.book import Book


#: Units free at each location, by SKU.
Shelves: TypeAlias = Mapping[str, Mapping[str, int]]
#: Units of each SKU that each line of the cart is to get.
_Owed: TypeAlias = dict[str, dict[str, int]]


def find(cart: Cart, book: Book, now: Instant, policies: Policies) -> Grant:
    """
    Return parts that serve a cart with bundles, and what each line is short of.

    Complexity: O(locations x components of the cart) when the first try serves it, times
    lines + 1 when none does.
    """
    order: Sequence[str] = (cart.at,) if cart.at else book.settings.in_order
    shelves = {location: _shelf(cart, book, now, location) for location in order}
    if cart.apart:
        return _from_anywhere(cart, shelves, book, now, policies)
    best = _one_place_each(cart, shelves, book, now, policies)
    if best.short and len(order) > 1:
        for sku in cart.wanted:
            wanted = {sku: cart.wanted[sku], **cart.wanted}
            other = _one_place_each(cart._replace(wanted=wanted), shelves, book, now, policies)
            if not other.short:
                return other
    if best.short:
        pool = _pooled(shelves)
        enough = not serve(cart.wanted, cart.bills, pool).short
        return best._replace(apart_would_do=enough)
    return best


def _shelf(cart: Cart, book: Book, now: Instant, location: str) -> dict[str, int]:
    """Return what a location may promise of every SKU the cart could use."""
    made = {sku for bill in cart.bills.values() for sku in bill.recipes}
    skus = dict.fromkeys((*cart.wanted, *cart.inside))
    return {
        sku: max(0, spare(book, now, sku, location, None, lend=sku not in made)) for sku in skus
    }


def _pooled(shelves: Shelves) -> dict[str, int]:
    pool: dict[str, int] = {}
    for shelf in shelves.values():
        for sku, units in shelf.items():
            pool[sku] = pool.get(sku, 0) + units
    return pool


# --- each bundle from one place -----------------------------------------------------------


def _one_place_each(
    cart: Cart, shelves: Shelves, book: Book, now: Instant, policies: Policies
) -> Grant:
    """Let the policies share the lines out over what each location can give together."""
    wanted = cart.wanted
    served = {name: serve(wanted, cart.bills, shelf) for name, shelf in shelves.items()}
    offers = {name: each.lines for name, each in served.items() if each.lines}
    here: dict[str, dict[str, int]] = {}
    short = dict(wanted)
    for sku, location, quantity in shares_of(wanted, offers, cart.at, book.settings, policies):
        here.setdefault(location, {})[sku] = quantity
        short[sku] -= quantity
    granted: list[tuple[str, Part]] = []
    for location, lines in here.items():
        owed = _owed(cart, serve(lines, cart.bills, shelves[location]))
        needs = [Share(sku, location, units) for sku, units in _summed(owed).items()]
        granted += _taken(needs, owed, book, now)
    enough = {
        sku: sum(offer.get(sku, 0) for offer in offers.values()) >= units
        for sku, units in wanted.items()
    }
    # What the stock would have served is short because a policy of the shop left it there.
    withheld = frozenset(sku for sku, missing in short.items() if missing and enough[sku])
    lacks = {sku: found for sku, found in _lacks(cart, served).items() if sku not in withheld}
    return _grant(cart, granted, short, lacks)._replace(withheld=withheld)


def _lacks(cart: Cart, served: Mapping[str, Served]) -> dict[str, tuple[Lack, ...]]:
    """Return what each bundle lacks where most of it could be had."""
    lacks: dict[str, tuple[Lack, ...]] = {}
    for sku in cart.bills:
        best = max(served, key=lambda name: served[name].lines.get(sku, 0), default="")
        found = served[best].short.get(sku, {}) if best else {}
        lacks[sku] = tuple([Lack(each, *figures, best) for each, figures in sorted(found.items())])
    return lacks


# --- from anywhere ------------------------------------------------------------------------


def _from_anywhere(
    cart: Cart, shelves: Shelves, book: Book, now: Instant, policies: Policies
) -> Grant:
    """Take the cart apart against all locations together, then source each component."""
    served = serve(cart.wanted, cart.bills, _pooled(shelves))
    owed = _owed(cart, served)
    offers = {
        location: found
        for location, shelf in shelves.items()
        if (found := {sku: units for sku, units in shelf.items() if units})
    }
    shares = shares_of(_summed(owed), offers, cart.at, book.settings, policies)
    given, asked = _given(shares), _summed(owed)
    withheld = frozenset(sku for sku, units in asked.items() if given.get(sku, 0) < units)
    if withheld:
        # A policy of the shop leaves units where they are: only what the rest makes is granted.
        served = serve(cart.wanted, cart.bills, given)
        owed = _owed(cart, served)
    granted = list(_taken(shares, owed, book, now))
    short = {sku: units - served.lines.get(sku, 0) for sku, units in cart.wanted.items()}
    lacks = {
        sku: tuple([Lack(each, *figures, cart.at or "") for each, figures in sorted(found.items())])
        for sku, found in served.short.items()
    }
    return _grant(cart, granted, short, lacks)._replace(withheld=withheld)


# --- who gets what ------------------------------------------------------------------------


def _owed(cart: Cart, served: Served) -> _Owed:
    """Return what each bundle of the cart is to get, and under "" what plain lines are."""
    owed: _Owed = {}
    for sku, taken in served.taken.items():
        mine = owed.setdefault(sku if sku in cart.bills else "", {})
        for component, units in taken.items():
            mine[component] = mine.get(component, 0) + units
    return owed


def _summed(owed: _Owed) -> dict[str, int]:
    total: dict[str, int] = {}
    for units in owed.values():
        for sku, quantity in units.items():
            total[sku] = total.get(sku, 0) + quantity
    return total


def _given(shares: Sequence[Share]) -> dict[str, int]:
    given: dict[str, int] = {}
    for sku, _, quantity in shares:
        given[sku] = given.get(sku, 0) + quantity
    return given


def _taken(
    shares: Sequence[Share], owed: _Owed, book: Book, now: Instant
) -> Iterator[tuple[str, Part]]:
    """Yield parts lot by lot, each with the line it is for; *owed* is used up."""
    for sku, location, quantity in shares:
        floor = book.settings.floor(sku, location)
        for key, units in take(book, now, sku, location, quantity, floor=floor):
            left = units
            for owner, mine in owed.items():
                part = min(left, mine.get(sku, 0))
                if part:
                    mine[sku] -= part
                    left -= part
                    yield owner, Part(key, part)


def _grant(
    cart: Cart,
    granted: list[tuple[str, Part]],
    short: Mapping[str, int],
    lacks: Mapping[str, tuple[Lack, ...]],
) -> Grant:
    """Return the grant, plain lines first, then bundle by bundle in the cart's order."""
    place = {"": -1} | {sku: number for number, sku in enumerate(cart.bills)}
    granted.sort(key=lambda each: place[each[0]])
    return Grant(
        [part for _, part in granted],
        {sku: missing for sku, missing in short.items() if missing},
        [owner for owner, _ in granted],
        lacks,
    )
