"""
Granting: which units of which stock keys serve a cart. Pure.

Rules:
1. The first try sees the planned location alone. Its answer is final when that location has
   everything and no policy could prefer another place; otherwise the cart is planned anew
   under the locks of every key that could serve it.
2. So a refusal has seen them all. It names each short SKU: how many were wanted and are
   available, where, and the rule that stands in the way.
3. A lot that is named gives what it has, but never what the location as a whole keeps back.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from truecount.errors import InsufficientStock, InvalidArgument, UnknownSku
from truecount.ledger.supply import Part, offered, take
from truecount.model.instants import Instant
from truecount.model.kinds import Kind
from truecount.model.settings import Settings
from truecount.model.stock import StockKey
from truecount.protocols.storage import Wants
from truecount.reservations.sourcing import FIRST_SUFFICES, Policies, Share, by_priority
from truecount.write.book import Book
from truecount.write.intents import Widen


class Cart(NamedTuple):
    """Units of each SKU to be granted, at one location and from one lot where named."""

    kind: Kind
    wanted: Mapping[str, int]
    at: str | None = None
    lot: str | None = None


class Grant(NamedTuple):
    """Parts that serve a cart, and how many units of which SKU are missing."""

    parts: list[Part]
    short: dict[str, int]


def planned(skus: Collection[str], at: str | None, settings: Settings, policies: Policies) -> str:
    """Return the location to try first, "" for all of them at once."""
    if at is not None or len(settings.in_order) < 2:  # noqa: PLR2004 -- one place is all places
        return at or ""
    return settings.in_order[0] if _one_place_suffices(skus, settings, policies) else ""


def _one_place_suffices(skus: Collection[str], settings: Settings, policies: Policies) -> bool:
    """Return whether no policy of *skus* would split what one location can give."""
    return all(policies.get(_policy(sku, settings)) in FIRST_SUFFICES for sku in skus)


def plan(
    cart: Cart, book: Book, now: Instant, policies: Policies, *, partial: bool = False
) -> Grant | Widen | InsufficientStock:
    """
    Return parts that serve *cart*, the locks missing to say so, or why there is not enough.

    Raises:
        UnknownSku: A SKU never moved anywhere.
        InvalidArgument: A sourcing policy is not known, or does not keep to its contract.
    """
    first = planned(cart.wanted, cart.at, book.settings, policies)
    wider = _unseen(cart, book)
    if wider is not None and not first:
        return Widen(wider)
    grant = _find(cart, book, now, policies)
    if wider is not None:
        return grant if _is_final(grant, cart, book, first) else Widen(wider)
    for sku in cart.wanted:
        if not book.knows(sku):
            raise UnknownSku(sku)
    if grant.short and not (partial and grant.parts):
        return _refusal(cart, grant, book, now)
    return grant


def _is_final(grant: Grant, cart: Cart, book: Book, first: str) -> bool:
    """Return whether seeing more could neither help nor change the answer."""
    return (
        not grant.short
        and all(part.key.location == first for part in grant.parts)
        and all(book.saw(sku, first) and book.knows(sku) for sku in cart.wanted)
    )


def _unseen(cart: Cart, book: Book) -> Wants | None:
    """Return the locks without which an answer would be premature, None when all are held."""
    at = cart.at
    scopes = {
        (sku, "")
        for sku in cart.wanted
        if not book.saw(sku) and not (at and book.saw(sku, at) and book.knows(sku))
    }
    return Wants(scopes=scopes) if scopes else None


def _find(cart: Cart, book: Book, now: Instant, policies: Policies) -> Grant:
    """Ask the sourcing policies, and take what they say from the lots there."""
    order = (cart.at,) if cart.at else book.settings.in_order
    offers: dict[str, dict[str, int]] = {}
    for location in order:
        for sku in cart.wanted:
            units = spare(book, now, sku, location, cart.lot)
            if units > 0:
                offers.setdefault(location, {})[sku] = units
    choice = not cart.at and len(offers) > 1
    if not choice and (cart.at or _one_place_suffices(cart.wanted, book.settings, policies)):
        shares = by_priority(cart.wanted, offers, order)
    else:
        shares = _sourced(cart.wanted, offers, book.settings, policies)
    parts: list[Part] = []
    short = dict(cart.wanted)
    for sku, location, quantity in shares:
        floor = book.settings.floor(sku, location)
        parts += take(book, now, sku, location, quantity, lot=cart.lot, floor=floor)
        short[sku] -= quantity
    return Grant(parts, {sku: missing for sku, missing in short.items() if missing})


def spare(book: Book, now: Instant, sku: str, location: str, lot: str | None) -> int:
    """Return what a location may promise: its lots' offers, less what policy keeps back."""
    units = 0
    for key in book.keys_of(sku, location, lot):
        units += offered(book, key, now)
    floor = book.settings.floor(sku, location)
    if floor > 0:
        everything = units
        if lot is not None:
            everything = sum(offered(book, key, now) for key in book.keys_of(sku, location))
        return min(units, everything - floor)
    plain = StockKey(sku, location, "")
    if floor < 0 and not lot and (plain in book.rows or book.saw(sku, location)):
        units += offered(book, plain, now, floor) - offered(book, plain, now)
    return units


# --- sourcing policies ------------------------------------------------------------------


def _policy(sku: str, settings: Settings) -> str:
    return settings.policy(sku).sourcing or ""


def _sourced(
    wanted: Mapping[str, int],
    offers: Mapping[str, Mapping[str, int]],
    settings: Settings,
    policies: Policies,
) -> list[Share]:
    """Let each policy split the SKUs it is set for; most shops have one for all."""
    groups: dict[str, dict[str, int]] = {}
    for sku, quantity in wanted.items():
        groups.setdefault(_policy(sku, settings), {})[sku] = quantity
    if len(groups) == 1:
        return _consult(next(iter(groups)), wanted, offers, settings.in_order, policies)
    shares: list[Share] = []
    for name, group in groups.items():
        theirs = {
            location: found
            for location, offer in offers.items()
            if (found := {sku: units for sku, units in offer.items() if sku in group})
        }
        shares += _consult(name, group, theirs, settings.in_order, policies)
    return shares


def _consult(
    name: str,
    wanted: Mapping[str, int],
    offers: Mapping[str, Mapping[str, int]],
    order: Sequence[str],
    policies: Policies,
) -> list[Share]:
    """Return what the policy says, checked; a failure of it is one cart's failure only."""
    policy = policies.get(name)
    if policy is None:
        raise InvalidArgument(
            "sourcing policy", repr(name), f"one of {sorted(policies)}, or Inventory(sourcing=...)"
        )
    try:
        return _checked(policy(wanted, offers, order), wanted, offers)
    except Exception as error:
        raise InvalidArgument(
            "sourcing policy", f"{name!r}, which failed ({error!r})", "shares within the offers"
        ) from error


def _checked(
    shares: Sequence[Share], wanted: Mapping[str, int], offers: Mapping[str, Mapping[str, int]]
) -> list[Share]:
    """Return *shares* with equal ones added up, if they keep within wishes and offers."""
    left = dict(wanted)
    total: dict[tuple[str, str], int] = {}
    for share in shares:
        sku, location, quantity = share
        left[sku] -= quantity
        units = total[sku, location] = total.get((sku, location), 0) + quantity
        if type(quantity) is not int or quantity < 1 or left[sku] < 0:
            raise ValueError(f"{share} of {wanted[sku]} wanted")
        if units > offers[location][sku]:
            raise ValueError(f"{share} of {offers[location][sku]} offered")
    return [Share(sku, location, quantity) for (sku, location), quantity in total.items()]


# --- refusing ---------------------------------------------------------------------------


def _refusal(cart: Cart, grant: Grant, book: Book, now: Instant) -> InsufficientStock:
    """Return the refusal that names each short SKU, its figures and the rule."""
    settings = book.settings
    locations = (cart.at,) if cart.at else settings.in_order
    where = f"in {len(locations)} locations together"
    if len(locations) == 1:
        where = f"at {locations[0]!r}"
    if cart.lot is not None:
        where += f" lot {cart.lot!r}" if cart.lot else " without a lot"
    short = []
    for sku in grant.short:
        wanted = cart.wanted[sku]
        available = sum(max(0, spare(book, now, sku, name, cart.lot)) for name in locations)
        rule = settings.floor_rule(sku, locations[0] if len(locations) == 1 else "")
        if available >= wanted:
            rule = f"sourcing={_policy(sku, settings)}"
        short.append((sku, wanted, available, where, rule))
    return InsufficientStock(cart.kind.value, tuple(short))
