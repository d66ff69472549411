"""
The mismatching figures of one call, with the movements of each, and causes as weights.

A *cell* is one mismatch. An *atom* is one kind of cause at one site: how it changes the
cells, and its weight P(kind) x P(site | kind) x odds of what was looked up.

Invariants:
E1  The atoms of one kind at one cell share its prior: before any look-up their weights add
    up to at most the prior, however many sites there are. So a cause that could have
    struck anywhere explains little.
E2  Nothing here depends on the text of a SKU: renaming all of them changes no weight.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from statistics import median
from typing import Final, NamedTuple

import attrs

from truecount.errors import InvalidArgument
from truecount.explaining.facts import Candidate, Discrepancy, Evidence, wholes
from truecount.explaining.priors import CauseKind, Priors
from truecount.model.stock import StockKey, made


#: The least typical range of a difference, in units.
_RANGE_MIN: Final = 10
#: How many sizes of a cell's own movements outweigh those of the whole shop.
_OWN_SIZES: Final = 5


class Entry(NamedTuple):
    """What one candidate did to one cell."""

    candidate: Candidate
    change: int


class Site(NamedTuple):
    """Where a cause may have struck a cell, and how it then changes the difference."""

    id: str
    change: int
    movements: tuple[str, ...]
    #: Numbers its sentence needs: what is booked and what is true.
    note: tuple[int, ...] = ()


class Atom(NamedTuple):
    """One kind of cause at one site."""

    kind: CauseKind
    site: str
    #: (cell, change) for each cell it moves.
    effects: tuple[tuple[int, int], ...]
    weight: float
    movements: tuple[str, ...]
    note: tuple[int, ...] = ()


@attrs.frozen(eq=False)
class Cell:
    """One mismatch, and the candidates that moved its figure within its bracket."""

    index: int
    discrepancy: Discrepancy
    #: Of the book, in order.
    entries: tuple[Entry, ...]
    #: Of sources' logs, not in the book.
    unbooked: tuple[Entry, ...]
    #: What its figure is kept for.
    key: StockKey


class Sizes:
    """
    How likely a movement is to have a certain signed size.

    The sizes of a cell's own movements are smoothed by those of all. Of these, T different
    sizes among N, the share T / (N + T) is kept for sizes not seen yet (Witten and Bell,
    1991): half of it as common as sizes of the same sign and bit length, half as
    1 / (2 * s * (s + 1)), which adds up to one over all whole numbers but 0.
    """

    def __init__(
        self, cells: Iterable[Cell], candidates: Iterable[Candidate], usual: Iterable[int] = ()
    ) -> None:
        self._own = {
            cell.index: (Counter([each.change for each in cell.entries]), len(cell.entries))
            for cell in cells
        }
        self._all = Counter([change for each in candidates for _, change in each.effects])
        self._all.update(usual)
        self._total = self._all.total()
        self._scales: Counter[tuple[bool, int]] = Counter()
        self._known: dict[int, float] = {}
        for size, times in self._all.items():
            self._scales[size > 0, size.bit_length()] += times

    def chance(self, cell: int, size: int) -> float:
        """Return the chance that a movement of *cell* has *size*. O(1)."""
        shop = self._known.get(size)
        if shop is None:
            shop = self._known[size] = self._shop(size)
        own, total = self._own[cell]
        return (own.get(size, 0) + _OWN_SIZES * shop) / (total + _OWN_SIZES)

    def _shop(self, size: int) -> float:
        scale, bits = abs(size), size.bit_length()
        unseen = 1 / (2 * scale * (scale + 1))
        if self._total:
            similar = self._scales[size > 0, bits] / self._total / 2 ** (bits - 1)
            unseen = (unseen + similar) / 2
        kinds = max(1, len(self._all))
        return (self._all[size] + kinds * unseen) / (self._total + kinds)


@attrs.frozen(eq=False)
class Case:
    """Everything one call works on."""

    cells: tuple[Cell, ...]
    evidence: Evidence
    priors: Priors
    sizes: Sizes
    #: Half the width of the range differences are drawn from when nothing explains them.
    range: int
    signs: dict[tuple[CauseKind, str, StockKey | None], bool]
    #: Cells by channel and key.
    places: dict[tuple[str, StockKey], list[int]]

    def unexplained(self, left: int) -> float:
        """
        Return the weight of a difference without any cause.

        Even over the typical range, 1 / (2R + 1), and falling with the square beyond it:
        what is lost without a trace is rarely much more than what usually is.
        """
        beyond = min(1.0, self.range / abs(left)) ** 2
        return self.priors.weights[CauseKind.UNEXPLAINED] / (2 * self.range + 1) * beyond

    def odds(self, kind: CauseKind, site: str, key: StockKey | None = None) -> float:
        """Return by how much the look-up about a site changes its odds."""
        return self.priors.odds(found=self.signs.get((kind, site, key)))

    def is_found(self, kind: CauseKind, site: str) -> bool:
        """Return whether something speaks for a cause at a site."""
        return self.signs.get((kind, site, None)) is True

    def weight(self, kind: CauseKind, site: str, sites: int) -> float:
        """Return the weight of one of *sites* at which a kind of cause may have struck."""
        return self.priors.weights[kind] / sites * self.odds(kind, site)

    def atoms(self, kind: CauseKind, cell: Cell, sites: Sequence[Site]) -> list[Atom]:
        """Return *sites* of one cell as atoms that share the prior of *kind*."""
        prior = self.priors.weights[kind]
        if not prior or not sites:
            return []
        even, index = prior / len(sites), cell.index
        return [
            made(
                Atom,
                (
                    kind,
                    id_,
                    ((index, change),),
                    even * self.odds(kind, id_) if self.signs else even,
                    movements,
                    note,
                ),
            )
            for id_, change, movements, note in sites
            if change
        ]

    def neighbour(self, cell: Cell, key: StockKey) -> Cell | None:
        """Return the mismatch at *key* that was seen with *cell*, if there is one."""
        for index in self.places.get((cell.discrepancy.channel, key), ()):
            other = self.cells[index]
            if other.discrepancy.observed_at == cell.discrepancy.observed_at or (
                len(self.places[cell.discrepancy.channel, key]) == 1
            ):
                return other
        return None


def case_of(discrepancies: Sequence[Discrepancy], evidence: Evidence, priors: Priors) -> Case:
    """
    Return *discrepancies* with the candidates of each. O(candidates + discrepancies).

    Raises:
        InvalidArgument: Two of them are of one figure and bracket.
    """
    places: dict[tuple[str, StockKey], list[int]] = defaultdict(list)
    brackets = set()
    for index, each in enumerate(discrepancies):
        bracket = (each.channel, each.key, each.after, each.observed_at)
        if bracket in brackets:
            where = f"{each.sku!r} at {each.location!r}"
            raise InvalidArgument("discrepancies", f"two of {where}", "one of each figure")
        brackets.add(bracket)
        places[each.channel, each.key].append(index)
    moved = _moved(discrepancies, evidence.candidates)
    cells = tuple(
        _cell(index, each, moved[each.key], evidence) for index, each in enumerate(discrepancies)
    )
    return Case(
        cells=cells,
        evidence=evidence,
        priors=priors,
        sizes=Sizes(cells, evidence.candidates, evidence.usual),
        range=_range([each.delta for each in discrepancies]),
        signs={(sign.cause, sign.site, sign.key): sign.found for sign in evidence.signs},
        places=dict(places),
    )


def _moved(
    discrepancies: Sequence[Discrepancy], candidates: Iterable[Candidate]
) -> dict[StockKey, list[Entry]]:
    """Return what each candidate did to each key that differs, lots and places added up."""
    moved: dict[StockKey, list[Entry]] = {each.key: [] for each in discrepancies}
    skus = {key.sku for key in moved}
    for candidate in candidates:
        total: dict[StockKey, int] = {}
        for key, change in candidate.effects:
            if key.sku in skus:
                for whole in wholes(key):
                    if whole in moved:
                        total[whole] = total.get(whole, 0) + change
        for place, change in total.items():
            if change:
                moved[place].append(Entry(candidate, change))
    return moved


def _cell(index: int, each: Discrepancy, entries: Iterable[Entry], evidence: Evidence) -> Cell:
    first = each.after and each.after - evidence.slack
    last = each.observed_at and each.observed_at + evidence.slack
    booked: list[Entry] = []
    unbooked: list[Entry] = []
    for entry in entries:
        candidate = entry.candidate
        if is_within(candidate.occurred_at, first, last) or is_within(
            candidate.recorded_at, first, last
        ):
            (booked if candidate.booked else unbooked).append(entry)
    return Cell(index, each, tuple(booked), tuple(unbooked), each.key)


def is_within(at: datetime, first: datetime | None, last: datetime | None) -> bool:
    """Return whether a moment lies in (first, last], where None has no end."""
    return (first is None or at > first) and (last is None or at <= last)


def _range(deltas: Sequence[int]) -> int:
    """
    Return the typical range of differences: three median deviations, at least ten units.

    >>> _range([1, -2, 400]), _range([50, -40, 400])
    (10, 270)
    """
    if not deltas:
        return _RANGE_MIN
    middle = median(deltas)
    spread = median([abs(delta - middle) for delta in deltas])
    return max(_RANGE_MIN, int(3 * spread))
