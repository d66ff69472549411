"""
Pinned recipes: the bundles of an order, as they were when it was made. Pure.

The order's document (space ``order``) lists them under ``kits``, one entry for each bundle
and round of the reference: which reservation lines are its, and every recipe it was taken
apart by. Reservation lines stay what they are, one for each stock key; so histories,
corrections, exports and verification need not know of bundles, and a bundle that is defined
anew changes nothing for orders that are there.

Rules:
1. A line belongs to one entry or to none. What a line's units did is counted by the line;
   what was sold beyond the lines, or came back, by a counter of the document: for each
   component the whole of it (``sold``, ``returned``), and the part that was the entry's
   (``sold/<number>``, ``returned/<number>``).
2. Entries are numbered from 1 in the order they were made; none is ever taken out.
3. How many bundles left, or came back, is never stored: it is what the components that left
   and did not come back can be made into.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from truecount.model.lines import LineRow
from truecount.model.recipes import Bill, Recipe, bill_of


KITS: Final = "kits"


class Kit(NamedTuple):
    """One bundle of an order: its lines, and the bill it was made by."""

    #: Its place among the order's entries, from 1.
    number: int
    sku: str
    #: The round of the reservation, 0 for what was sold without one.
    round: int
    #: Numbers of the reservation lines that are its.
    lines: tuple[int, ...]
    bill: Bill

    @property
    def sold(self) -> str:
        """Name of the counter of its components sold beyond its lines."""
        return f"sold/{self.number}"

    @property
    def returned(self) -> str:
        """Name of the counter of its components that came back."""
        return f"returned/{self.number}"

    @property
    def version(self) -> int:
        """The version of its recipe."""
        return self.bill.recipes[self.sku].version


def is_of_kit(field: str) -> bool:
    """Return whether a counter of an order is one of a bundle's."""
    return "/" in field


def kits_of(order: Mapping[str, Any] | None) -> list[Kit]:
    """
    Return the bundles of an order's document, by number.

    Complexity: O(recipes pinned).
    """
    return [
        Kit(
            number,
            entry["sku"],
            entry["round"],
            tuple(entry["lines"]),
            bill_of(
                entry["sku"],
                {sku: Recipe.from_dict(sku, body) for sku, body in entry["recipes"].items()},
            ),
        )
        for number, entry in enumerate((order or {}).get(KITS, ()), 1)
    ]


def of_round(kits: Iterable[Kit], round_: int) -> dict[str, Kit]:
    """Return the bundles of one round of a reservation, by SKU."""
    return {kit.sku: kit for kit in kits if kit.round == round_}


def pinned(
    kits: Sequence[Kit], sku: str, round_: int, bill: Bill, lines: Iterable[int] = ()
) -> tuple[list[Kit], Kit]:
    """
    Return the bundles of an order with one more, or with more *lines* of one; and that one.

    A bundle sold without a reservation shares an entry with those sold by the same recipes.
    """
    for place, kit in enumerate(kits):
        if (kit.sku, kit.round) == (sku, round_) and (round_ or kit.bill == bill):
            changed = kit._replace(lines=(*kit.lines, *lines))
            return [*kits[:place], changed, *kits[place + 1 :]], changed
    added = Kit(len(kits) + 1, sku, round_, tuple(lines), bill)
    return [*kits, added], added


def with_kits(order: Mapping[str, Any] | None, kits: Sequence[Kit]) -> dict[str, Any]:
    """Return an order's document with *kits*; its counters are a copy, to be counted on."""
    body = dict(order or {})
    if "lines" in body:
        body["lines"] = dict(body["lines"])
    body[KITS] = [
        {
            "sku": kit.sku,
            "round": kit.round,
            "lines": list(kit.lines),
            "recipes": {sku: recipe.to_dict() for sku, recipe in kit.bill.recipes.items()},
        }
        for kit in kits
    ]
    return body


def split(
    lines: Iterable[LineRow], kits: Iterable[Kit]
) -> tuple[list[LineRow], dict[int, list[LineRow]]]:
    """Return the lines that belong to no bundle, and those of each bundle by its number."""
    owners = {number: kit.number for kit in kits for number in kit.lines}
    plain: list[LineRow] = []
    owned: dict[int, list[LineRow]] = {}
    for line in lines:
        number = owners.get(line.number)
        if number is None:
            plain.append(line)
        else:
            owned.setdefault(number, []).append(line)
    return plain, owned


def added_up(lines: Iterable[LineRow], *counters: str) -> dict[str, int]:
    """Return how many units of each SKU *lines* have in *counters*."""
    total: dict[str, int] = {}
    for line in lines:
        units = sum([getattr(line, counter) for counter in counters])
        total[line.key.sku] = total.get(line.key.sku, 0) + units
    return total


def gone(kit: Kit, lines: Iterable[LineRow], order: Mapping[str, Any] | None) -> dict[str, int]:
    """Return how many units of each SKU in a bundle left for the customer, back or not."""
    total = added_up(lines, "shipped")
    for sku, counters in _counted(order):
        if kit.sold in counters:
            total[sku] = total.get(sku, 0) + counters[kit.sold]
    return total


def back(kit: Kit, order: Mapping[str, Any] | None) -> dict[str, int]:
    """Return how many units of each SKU in a bundle came back."""
    return {
        sku: counters[kit.returned] for sku, counters in _counted(order) if kit.returned in counters
    }


def outside(kit: Kit, lines: Iterable[LineRow], order: Mapping[str, Any] | None) -> dict[str, int]:
    """Return how many units of each SKU in a bundle the customer has."""
    came_back = back(kit, order)
    return {sku: units - came_back.get(sku, 0) for sku, units in gone(kit, lines, order).items()}


def _counted(order: Mapping[str, Any] | None) -> Iterable[tuple[str, Mapping[str, int]]]:
    lines: Mapping[str, Mapping[str, int]] = (order or {}).get("lines", {})
    return lines.items()
