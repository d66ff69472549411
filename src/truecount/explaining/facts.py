"""
What an explanation is made from: mismatches, and all that may have caused them.

Rules:
1. Everything is signed as it moves the compared figure. ``delta`` is observed less
   expected; an effect is what one movement did to the expected figure.
2. A mismatch at location "" is about the SKU everywhere, one of lot "" about all lots
   there; effects are added up for it.
3. A key without a mismatch was compared and agrees: a cause that would have moved it, too,
   is ruled out.
4. Evidence may be missing, never invented: what was not looked up has no :class:`Sign`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

import attrs

from truecount.errors import InvalidArgument
from truecount.explaining.priors import CauseKind
from truecount.model import instants, names, quantities
from truecount.model.kinds import Kind
from truecount.model.stock import Figures, StockKey


#: How far clocks of two sides may differ at the ends of a bracket, unless told otherwise.
SLACK: Final = timedelta(minutes=15)

_FACTOR_MIN: Final = 2


def wholes(key: StockKey) -> frozenset[StockKey]:
    """
    Return the figures that a stock key is part of: its own, its location's, its SKU's.

    >>> sorted(wholes(StockKey("TEA", "berlin", "L1")))[:2]
    [StockKey(sku='TEA', location='', lot=''), StockKey(sku='TEA', location='berlin', lot='')]
    """
    return frozenset({key, StockKey(key.sku, key.location), StockKey(key.sku, "")})


def _everywhere(text: str) -> str:
    return "" if text == "" else names.location(text)


def _channel(text: str) -> str:
    return "" if text == "" else names.origin(text)


def _optional_moment(value: datetime | None) -> datetime | None:
    return None if value is None else instants.moment(value, "moment")


def _moment(value: datetime) -> datetime:
    return instants.moment(value, "moment")


def _delta(value: int) -> int:
    return quantities.signed(value, "delta")


@attrs.frozen(kw_only=True)
class Discrepancy:
    """
    A figure that differs: observed less expected, both as of one moment.

    Attributes:
        sku: The SKU.
        location: Where, "" for the SKU everywhere.
        lot: The lot, "" for none or for all of them.
        delta: Units observed less units expected, never 0.
        channel: The system that showed the observed figure, "" for a count of a shelf.
        expected: What the book said; needed for causes that speak of whole levels.
        after: The last time both agreed, None when nobody knows.
        observed_at: When the observation was true, None when nobody knows.

    >>> Discrepancy(sku="MUG", location="berlin", delta=-3).key
    StockKey(sku='MUG', location='berlin', lot='')
    >>> Discrepancy(sku="MUG", location="berlin", delta=0)
    Traceback (most recent call last):
    ...
    truecount.errors.InvalidQuantity: cannot use delta 0: only whole numbers (int) from \
-9223372036854775807 to 9223372036854775807, not 0, are allowed
    """

    sku: str = attrs.field(converter=names.sku)
    location: str = attrs.field(converter=_everywhere)
    lot: str = attrs.field(default="", converter=names.lot)
    delta: int = attrs.field(converter=_delta)
    channel: str = attrs.field(default="", converter=_channel)
    expected: int | None = None
    after: datetime | None = attrs.field(default=None, converter=_optional_moment)
    observed_at: datetime | None = attrs.field(default=None, converter=_optional_moment)

    @property
    def key(self) -> StockKey:
        """What the figure is kept for."""
        return StockKey(self.sku, self.location, self.lot)


def _effects(
    value: Mapping[StockKey, int] | Iterable[tuple[StockKey, int]],
) -> tuple[tuple[StockKey, int], ...]:
    pairs = value.items() if isinstance(value, Mapping) else value
    found = tuple([(StockKey(*key), change) for key, change in pairs])
    for _, change in found:
        quantities.signed(change, "effect")
    return found


@attrs.frozen(kw_only=True)
class Candidate:
    """
    A movement that may have to do with a mismatch.

    Attributes:
        id: The movement's id, or the source's own for one that is not in the book.
        kind: What happened.
        effects: Signed change of the compared figure, per key; pass a mapping or pairs.
        occurred_at: When it happened.
        recorded_at: When the book learned of it.
        origin: The system that reported it, None for a person.
        reference: Its document.
        keyed: Whether somebody typed the numbers (a CSV file counts as typed).
        external_id: What the source calls it; two with one such id are one event twice.
        booked: False for an event that a source's log has and the book does not.
        opened_at: For a count: when the snapshot it was compared with was taken.

    >>> from datetime import UTC
    >>> noon = datetime(2026, 3, 2, 12, tzinfo=UTC)
    >>> Candidate(id="m1", kind="sold", effects={StockKey("MUG", "berlin"): -3},
    ...           occurred_at=noon, recorded_at=noon).kind
    <Kind.SOLD: 'sold'>
    """

    id: str = attrs.field(converter=names.movement_id)
    kind: Kind = attrs.field(converter=Kind)
    effects: tuple[tuple[StockKey, int], ...] = attrs.field(converter=_effects)
    occurred_at: datetime = attrs.field(converter=_moment)
    recorded_at: datetime = attrs.field(converter=_moment)
    origin: str | None = None
    reference: str | None = None
    keyed: bool = False
    external_id: str | None = None
    booked: bool = True
    opened_at: datetime | None = attrs.field(default=None, converter=_optional_moment)


@attrs.frozen(kw_only=True)
class Hold:
    """Units promised under a reference, open or finished within the bracket."""

    reference: str = attrs.field(converter=names.reference)
    key: StockKey
    quantity: int = attrs.field(converter=quantities.positive)


@attrs.frozen(kw_only=True)
class OpenTransfer:
    """Units of one line of a transfer that left its source and are still on the way."""

    reference: str = attrs.field(converter=names.reference)
    source: StockKey
    target: StockKey
    on_the_way: int = attrs.field(converter=quantities.positive)


@attrs.frozen(kw_only=True)
class Push:
    """A level we sent to a channel: computed from the book, and applied there later."""

    id: str = attrs.field(converter=names.key)
    channel: str = attrs.field(converter=names.origin)
    sku: str = attrs.field(converter=names.sku)
    level: int
    computed_at: datetime = attrs.field(converter=_moment)
    applied_at: datetime = attrs.field(converter=_moment)


@attrs.frozen(kw_only=True)
class Level:
    """
    One row of what another system shows, agreeing or not.

    Attributes:
        source: The channel, or for a count the location that was counted.
        sku: The SKU.
        location: Whose units it should show, "" for all locations.
        lot: The lot, "" for none.
        shown: What it shows.
        expected: What it should show.
    """

    source: str = attrs.field(converter=names.origin)
    sku: str = attrs.field(converter=names.sku)
    location: str = attrs.field(default="", converter=_everywhere)
    lot: str = attrs.field(default="", converter=names.lot)
    shown: int
    expected: int

    @property
    def key(self) -> StockKey:
        """What the figure is kept for."""
        return StockKey(self.sku, self.location, self.lot)


@attrs.frozen
class Sign:
    """
    Something that was looked up about one possible cause.

    Attributes:
        cause: The kind of cause it speaks for or against.
        site: Where it would have struck: a candidate's id, a hold's or transfer's reference,
            a push's id, the SKU of a kit; "" with a ``key`` for an event nobody has seen.
        found: Whether the look-up found what that cause leaves behind.
        key: The figure, for a cause without a site.
    """

    cause: CauseKind = attrs.field(converter=CauseKind)
    site: str
    found: bool
    key: StockKey | None = None


def _recipes(value: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    return {
        names.sku(kit): {names.sku(part): quantities.positive(n) for part, n in parts.items()}
        for kit, parts in value.items()
    }


def _factors(value: Mapping[str, Iterable[int]]) -> dict[str, tuple[int, ...]]:
    found = {names.sku(sku): tuple(sorted(set(factors))) for sku, factors in value.items()}
    for factors in found.values():
        for factor in factors:
            if quantities.positive(factor, "factor") < _FACTOR_MIN:
                raise InvalidArgument("factor", str(factor), "a whole number of at least 2")
    return found


def _look_alikes(value: Mapping[str, Iterable[str]]) -> dict[str, frozenset[str]]:
    return {names.sku(sku): frozenset(others) - {sku} for sku, others in value.items()}


def _listed_candidates(value: Iterable[Candidate]) -> tuple[Candidate, ...]:
    return tuple(value)


def _listed_holds(value: Iterable[Hold]) -> tuple[Hold, ...]:
    return tuple(value)


def _listed_transfers(value: Iterable[OpenTransfer]) -> tuple[OpenTransfer, ...]:
    return tuple(value)


def _listed_pushes(value: Iterable[Push]) -> tuple[Push, ...]:
    return tuple(value)


def _listed_levels(value: Iterable[Level]) -> tuple[Level, ...]:
    return tuple(value)


def _listed_signs(value: Iterable[Sign]) -> tuple[Sign, ...]:
    return tuple(value)


def _sizes(value: Iterable[int]) -> tuple[int, ...]:
    return tuple([quantities.signed(size, "size") for size in value])


def _locations(value: Iterable[str]) -> frozenset[str]:
    return frozenset(value)


def _known(value: Iterable[str] | None) -> frozenset[str] | None:
    return None if value is None else frozenset(value)


@attrs.frozen(kw_only=True)
class Evidence:
    """
    All that is known beside the mismatches themselves.

    Attributes:
        candidates: Movements of the bracket, booked or only in a source's log.
        holds: Promises that were open, or ended, within the bracket.
        transfers: Transfers with units still on the way.
        pushes: What was sent to channels, and when.
        levels: All rows of a source, the agreeing ones too: a cause common to many of them
            is only accepted when it breaks none that agrees.
        signs: What was looked up.
        recipes: Kit to component to quantity.
        factors: Base units in each larger unit of a SKU: ``{"TEA": (6, 24)}``.
        figures: The book's figures per key, as of the observation.
        look_alikes: SKUs that are easily taken for each other, both ways.
        locations: Locations where units could have been booked by mistake.
        taken_back: References whose order was cancelled or returned, as another system
            knows; None when nobody asked.
        usual: Signed changes by other movements of the shop: what sizes are usual, so that an
            event nobody saw is not taken for rarer than it is.
        slack: How far clocks may differ at the ends of the bracket.
    """

    candidates: tuple[Candidate, ...] = attrs.field(default=(), converter=_listed_candidates)
    holds: tuple[Hold, ...] = attrs.field(default=(), converter=_listed_holds)
    transfers: tuple[OpenTransfer, ...] = attrs.field(default=(), converter=_listed_transfers)
    pushes: tuple[Push, ...] = attrs.field(default=(), converter=_listed_pushes)
    levels: tuple[Level, ...] = attrs.field(default=(), converter=_listed_levels)
    signs: tuple[Sign, ...] = attrs.field(default=(), converter=_listed_signs)
    recipes: dict[str, dict[str, int]] = attrs.field(factory=dict, converter=_recipes)
    factors: dict[str, tuple[int, ...]] = attrs.field(factory=dict, converter=_factors)
    figures: Mapping[StockKey, Figures] = attrs.field(factory=dict)
    look_alikes: dict[str, frozenset[str]] = attrs.field(factory=dict, converter=_look_alikes)
    locations: frozenset[str] = attrs.field(factory=frozenset, converter=_locations)
    taken_back: frozenset[str] | None = attrs.field(default=None, converter=_known)
    usual: tuple[int, ...] = attrs.field(default=(), converter=_sizes)
    slack: timedelta = SLACK
