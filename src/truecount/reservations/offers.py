"""
Offers: what a cart wants, what locations can promise it, and who is asked for what. Pure.

``granting`` and ``bundle_granting`` decide with them; the policies are the shop's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from truecount.bundles.carts import Bills
from truecount.errors import InvalidArgument
from truecount.ledger.supply import Part, offered
from truecount.model.instants import Instant
from truecount.model.kinds import Kind
from truecount.model.settings import Settings
from truecount.model.stock import StockKey
from truecount.reservations.sourcing import FIRST_SUFFICES, Policies, Share, by_priority
from truecount.write.book import Book


_NONE: Final[Mapping[str, Any]] = MappingProxyType({})


class Cart(NamedTuple):
    """Units of each SKU to be granted, at one location and from one lot where named."""

    kind: Kind
    wanted: Mapping[str, int]
    at: str | None = None
    lot: str | None = None
    #: Bills of the lines that are bundles.
    bills: Bills = _NONE
    #: Whether one bundle may be put together from several locations.
    apart: bool = False

    @property
    def inside(self) -> dict[str, None]:
        """Every SKU in its bundles, at any depth."""
        return dict.fromkeys(sku for bill in self.bills.values() for sku in bill.family)


class Lack(NamedTuple):
    """What stands in the way of a bundle: a component, units needed and there, and where."""

    component: str
    needed: int
    there: int
    location: str


class Grant(NamedTuple):
    """Parts that serve a cart, and how many units of which line are missing."""

    parts: list[Part]
    short: dict[str, int]
    #: The bundle each part is for, "" for none; empty when the cart has no bundle.
    owners: Sequence[str] = ()
    #: Why each short bundle is, and whether only its one place stands in the way.
    lacks: Mapping[str, tuple[Lack, ...]] = _NONE
    apart_would_do: bool = False
    #: What a sourcing policy left units of where they are: components, or lines of the cart.
    withheld: frozenset[str] = frozenset()

    @property
    def together(self) -> list[Part]:
        """The parts, each key once."""
        if not self.owners:
            return self.parts
        total: dict[StockKey, int] = {}
        for key, quantity in self.parts:
            total[key] = total.get(key, 0) + quantity
        return [Part(*each) for each in total.items()]


def planned(skus: Collection[str], at: str | None, settings: Settings, policies: Policies) -> str:
    """Return the location to try first, "" for all of them at once."""
    if at is not None or len(settings.in_order) < 2:  # noqa: PLR2004 -- one place is all places
        return at or ""
    return settings.in_order[0] if _one_place_suffices(skus, settings, policies) else ""


def _one_place_suffices(skus: Collection[str], settings: Settings, policies: Policies) -> bool:
    """Return whether no policy of *skus* would split what one location can give."""
    return all(policies.get(policy_of(sku, settings)) in FIRST_SUFFICES for sku in skus)


def shares_of(
    wanted: Mapping[str, int],
    offers: Mapping[str, Mapping[str, int]],
    at: str | None,
    settings: Settings,
    policies: Policies,
) -> list[Share]:
    """Return which location gives what; policies are asked where there is a choice."""
    choice = not at and len(offers) > 1
    if not choice and (at or _one_place_suffices(wanted, settings, policies)):
        return by_priority(wanted, offers, (at,) if at else settings.in_order)
    return _sourced(wanted, offers, settings, policies)


def spare(
    book: Book, now: Instant, sku: str, location: str, lot: str | None, *, lend: bool = True
) -> int:
    """
    Return what a location may promise: its lots' offers, less what policy keeps back.

    Without *lend* a backorder limit is not used.
    """
    units = 0
    for key in book.keys_of(sku, location, lot):
        units += offered(book, key, now)
    floor = book.settings.floor(sku, location)
    if floor > 0:
        everything = units
        if lot is not None:
            everything = sum(offered(book, key, now) for key in book.keys_of(sku, location))
        return min(units, everything - floor)
    if lend and floor < 0 and not lot:
        plain = StockKey(sku, location, "")
        if plain in book.rows or book.saw(sku, location):
            units += offered(book, plain, now, floor) - offered(book, plain, now)
    return units


# --- sourcing policies ------------------------------------------------------------------


def policy_of(sku: str, settings: Settings) -> str:
    """Return the name of the sourcing policy of a line."""
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
        groups.setdefault(policy_of(sku, settings), {})[sku] = quantity
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
