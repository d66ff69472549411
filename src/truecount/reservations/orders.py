"""The document of an order: what its cart named, and which bundles its lines belong to. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from truecount.model.lines import LineRow
from truecount.protocols.storage import ORDER
from truecount.reservations.offers import Cart, Grant
from truecount.reservations.parcels import with_lines
from truecount.write.book import Book


class Named(NamedTuple):
    """What a cart named of places and lots, kept with its order for whatever comes later."""

    at: str | None
    lot: str | None
    apart: bool = False


_NOTHING: Final = Named(None, None)


def named_in(order: dict[str, Any] | None) -> Named:
    """Return what the cart of an order named; nothing where there is no order yet."""
    return Named(*order["named"]) if order and "named" in order else _NOTHING


def changed_order(
    cart: Cart, grant: Grant, opened: Sequence[LineRow], book: Book
) -> tuple[tuple[str, str, dict[str, Any]], ...]:
    """Return the order's document where this round changes it."""
    reference = opened[0].reference
    known = book.document(ORDER, reference)
    named = Named(cart.at, cart.lot, cart.apart)
    if known is not None and named_in(known) == named and not grant.owners:
        return ()
    body = {} if known is None else {**known}
    body.pop("named", None)
    if named != _NOTHING:
        body["named"] = list(named if named.apart else named[:2])
    if grant.owners:
        body = with_lines(body, cart.bills, grant.owners, opened)
    return ((ORDER, reference, body),)


def order_with_kits(
    cart: Cart, grant: Grant, opened: Sequence[LineRow], book: Book
) -> tuple[tuple[str, str, dict[str, Any]], ...]:
    """Return the order's document where new lines belong to bundles of it."""
    if not any(grant.owners):
        return ()
    reference = opened[0].reference
    known = book.document(ORDER, reference)
    return ((ORDER, reference, with_lines(known, cart.bills, grant.owners, opened)),)
