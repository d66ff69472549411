"""
Granting: which units of which stock keys serve a cart. Pure.

Rules:
1. The first try sees the planned location alone. Its answer is final when that location has
   everything and no policy could prefer another place; otherwise the cart is planned anew
   under the locks of every key that could serve it.
2. So a refusal has seen them all. It names each short SKU: how many were wanted and are
   available, where, and the rule that stands in the way.
3. A lot that is named gives what it has, but never what the location as a whole keeps back.
4. Bundles are taken apart by the bills the cart carries, all lines together (see
   ``bundle_granting``); a cart without one never comes near that.
"""

from __future__ import annotations

from collections.abc import Iterator

from truecount.errors import InsufficientStock, UnknownSku
from truecount.ledger.supply import Part, take
from truecount.model.instants import Instant
from truecount.model.settings import Settings
from truecount.protocols.storage import Wants
from truecount.reservations import bundle_granting
from truecount.reservations.offers import Cart, Grant, planned, policy_of, shares_of, spare
from truecount.reservations.sourcing import Policies
from truecount.write.book import Book
from truecount.write.intents import Widen


def plan(
    cart: Cart, book: Book, now: Instant, policies: Policies, *, partial: bool = False
) -> Grant | Widen | InsufficientStock:
    """
    Return parts that serve *cart*, the locks missing to say so, or why there is not enough.

    Raises:
        UnknownSku: A SKU never moved anywhere.
        InvalidArgument: A sourcing policy is not known, or does not keep to its contract.
    """
    first = planned(cart.wanted, cart.at, book.settings, policies) if not cart.apart else ""
    wider = _unseen(cart, book)
    if wider is not None and not first:
        return Widen(wider)
    grant = _find(cart, book, now, policies)
    if wider is not None:
        return grant if _is_final(grant, cart, book, first) else Widen(wider)
    for sku in cart.wanted:
        if not book.knows(sku) and sku not in cart.bills:
            raise UnknownSku(sku)
    if grant.short and not (partial and grant.parts):
        return _refusal(cart, grant, book, now)
    return grant


def _is_final(grant: Grant, cart: Cart, book: Book, first: str) -> bool:
    """Return whether seeing more could neither help nor change the answer."""
    return (
        not grant.short
        and all(part.key.location == first for part in grant.parts)
        and all(
            book.saw(sku, first) and (sku in cart.bills or book.knows(sku)) for sku in cart.wanted
        )
        and all(book.saw(sku, first) for sku in cart.inside)
    )


def _unseen(cart: Cart, book: Book) -> Wants | None:
    """Return the locks without which an answer would be premature, None when all are held."""
    at = cart.at
    scopes = {
        (sku, "")
        for sku in cart.wanted
        if not book.saw(sku) and not (at and book.saw(sku, at) and book.knows(sku))
    }
    if cart.bills:
        for sku in cart.inside:
            if book.saw(sku) or (at and book.saw(sku, at)):
                scopes.discard((sku, ""))
            else:
                scopes.add((sku, ""))
    return Wants(scopes=scopes) if scopes else None


def _find(cart: Cart, book: Book, now: Instant, policies: Policies) -> Grant:
    """Ask the sourcing policies, and take what they say from the lots there."""
    if cart.bills:
        return bundle_granting.find(cart, book, now, policies)
    order = (cart.at,) if cart.at else book.settings.in_order
    offers: dict[str, dict[str, int]] = {}
    for location in order:
        for sku in cart.wanted:
            units = spare(book, now, sku, location, cart.lot)
            if units > 0:
                offers.setdefault(location, {})[sku] = units
    shares = shares_of(cart.wanted, offers, cart.at, book.settings, policies)
    parts: list[Part] = []
    short = dict(cart.wanted)
    for sku, location, quantity in shares:
        floor = book.settings.floor(sku, location)
        parts += take(book, now, sku, location, quantity, lot=cart.lot, floor=floor)
        short[sku] -= quantity
    return Grant(parts, {sku: missing for sku, missing in short.items() if missing})


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
    short: list[tuple[str, int, int, str, str]] = []
    for sku in grant.short:
        wanted = cart.wanted[sku]
        if cart.bills:
            short += _lacking(sku, cart, grant, where, settings)
            continue
        available = sum(max(0, spare(book, now, sku, name, cart.lot)) for name in locations)
        rule = settings.floor_rule(sku, locations[0] if len(locations) == 1 else "")
        if available >= wanted:
            rule = f"sourcing={policy_of(sku, settings)}"
        short.append((sku, wanted, available, where, rule))
    return InsufficientStock(cart.kind.value, tuple(short))


def _lacking(
    sku: str, cart: Cart, grant: Grant, where: str, settings: Settings
) -> Iterator[tuple[str, int, int, str, str]]:
    """Yield why a line of a cart with bundles is short: itself, and the components of it."""
    wanted = cart.wanted[sku]
    had = wanted - grant.short[sku]
    lacks = grant.lacks.get(sku, ())
    if sku in grant.withheld and not lacks:
        yield sku, wanted, had, where, f"sourcing={policy_of(sku, settings)}"
        return
    if sku not in cart.bills:
        yield sku, wanted, had, where, settings.floor_rule(sku, cart.at or "")
        return
    rule = "kits_apart=False" if grant.apart_would_do else "bundle"
    yield sku, wanted, had, where, f"{rule}: {', '.join(lack.component for lack in lacks)}"
    for lack in lacks:
        at = f"at {lack.location!r}" if lack.location else where
        refused = settings.floor_rule(lack.component, lack.location)
        if lack.component in grant.withheld:
            refused = f"sourcing={policy_of(lack.component, settings)}"
        yield lack.component, lack.needed, lack.there, at, f"{refused}, needed for {sku!r}"
