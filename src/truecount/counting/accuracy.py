"""
Record accuracy: how well the book agrees with the shelves that were counted.

There is no one number. Net figures hide everything (a shelf with five too many and one with
five too few are right on average), so all forms are always returned together.

==============  =====================================================================
form            what it says
==============  =====================================================================
exact           share of records that were right to the unit
tolerant        share of records within their tolerance
unit_abs        1 - sum |counted - book| / sum book
unit_net        1 - |sum (counted - book)| / sum book
value_abs, net  the same, each difference weighed by the cost of a unit
==============  =====================================================================

Rules:
1. Everything is exact: ints and Fractions. A form whose denominator is 0 is None, not 0 or 1.
2. A tolerance is floor(percentage x book); a book of 0 tolerates nothing, and neither does a
   count of 0 or a SKU nobody expected.
3. Only counts chosen at random may be measured: those chosen because something looked wrong
   are wrong more often (see ``due``).

Sources of the presets: ``retail_1_3_5`` supplychainmetric.com; ``apics_995`` Young & Nie 1999
(record accuracy of 99.5, 99 and 95 % for classes A, B and C); ``textbook_02_1_5`` common
practice in textbooks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Final, TypeAlias

import attrs

from truecount.errors import InvalidArgument
from truecount.model import names, quantities


#: A tolerance in per cent of the book, for each ABC class.
Tolerances: TypeAlias = Mapping[str, Fraction]

#: ABC classes, the most important first.
CLASSES: Final = ("A", "B", "C")

#: Named tolerances. The first is for shops that sell single units: there is none.
PRESETS: Final[Mapping[str, Tolerances]] = {
    "exact": {"A": Fraction(0), "B": Fraction(0), "C": Fraction(0)},
    "retail_1_3_5": {"A": Fraction(1), "B": Fraction(3), "C": Fraction(5)},
    "apics_995": {"A": Fraction(1, 2), "B": Fraction(1), "C": Fraction(5)},
    "textbook_02_1_5": {"A": Fraction(1, 5), "B": Fraction(1), "C": Fraction(5)},
}


def tolerances(preset: str) -> Tolerances:
    """
    Return the tolerances a name stands for, in per cent by ABC class.

    >>> tolerances("retail_1_3_5")["B"]
    Fraction(3, 1)

    Raises:
        InvalidArgument: There are none with this name.
    """
    found = PRESETS.get(preset)
    if found is None:
        raise InvalidArgument("tolerance", names.shown(preset), f"one of {', '.join(PRESETS)}")
    return found


def tolerated(percent: Fraction, book: int) -> int:
    """
    Return how many units a count may differ from a *book* figure: floor(percent x book).

    >>> tolerated(Fraction(5), 50), tolerated(Fraction(5), 19), tolerated(Fraction(5), -40)
    (2, 0, 0)
    """
    return int(percent * book / 100) if book > 0 else 0


def is_within(counted: int, book: int, percent: Fraction) -> bool:
    """
    Return whether a count is as good as the book says.

    A counted zero against stock in the book, and stock where the book has none, never are.

    >>> is_within(98, 100, Fraction(2)), is_within(0, 100, Fraction(100))
    (True, False)
    """
    if not counted or not book:
        return counted == book
    return abs(counted - book) <= tolerated(percent, book)


def _counted(value: int) -> int:
    return quantities.natural(value, "counted")


def _unit_cost(value: int | Fraction) -> int | Fraction:
    if type(value) not in {int, Fraction} or value < 0:
        raise InvalidArgument("cost", names.shown(value), "an int or Fraction, at least 0")
    return value


@attrs.frozen(kw_only=True)
class Counting:
    """
    One record that was compared with its shelf.

    Attributes:
        book: What the book expected, in base units.
        counted: What was there.
        cost: What a unit costs, exact; None when that is not known.
        abc: The class of the SKU, for its tolerance.
    """

    book: int
    counted: int = attrs.field(converter=_counted)
    cost: int | Fraction | None = attrs.field(
        default=None, converter=attrs.converters.optional(_unit_cost)
    )
    abc: str = "C"


@attrs.frozen(kw_only=True)
class Accuracy:
    """
    Record accuracy in every form; each a Fraction, None where there is nothing to divide by.

    Attributes:
        records: Records compared.
        right: Of them, how many were right to the unit.
        within: How many were within their tolerance.
        exact: right / records.
        tolerant: within / records.
        unit_abs: 1 - sum of absolute differences / sum of the book, in units.
        unit_net: 1 - absolute sum of differences / sum of the book, in units.
        value_abs: As unit_abs, weighed by cost; None unless every record has one.
        value_net: As unit_net, weighed by cost; None unless every record has one.
        coverage: Records compared / records there are; None when that is not known.
    """

    records: int
    right: int
    within: int
    exact: Fraction | None
    tolerant: Fraction | None
    unit_abs: Fraction | None
    unit_net: Fraction | None
    value_abs: Fraction | None
    value_net: Fraction | None
    coverage: Fraction | None

    def to_dict(self) -> dict[str, int | float | None]:
        """Return the forms as plain data, for JSON: shares as floats, for reading only."""
        return {
            name: float(value) if isinstance(value, Fraction) else value
            for name, value in attrs.asdict(self).items()
        }


def accuracy(
    countings: Iterable[Counting], *, tolerance: str = "exact", population: int | None = None
) -> Accuracy:
    """
    Return record accuracy in every form.

    >>> book, counted = [100, 100, 50, 0, 10], [95, 105, 50, 2, 10]
    >>> found = accuracy(Counting(book=b, counted=c) for b, c in zip(book, counted))
    >>> found.exact, found.unit_net, found.unit_abs
    (Fraction(2, 5), Fraction(129, 130), Fraction(62, 65))

    Args:
        tolerance: The name of a preset.
        population: How many records there are.

    Raises:
        InvalidArgument: There is no such preset, or no such class in it.

    Complexity: O(countings).
    """
    percent = tolerances(tolerance)
    told = list(countings)
    for each in told:
        if each.abc not in percent:
            raise InvalidArgument("abc", names.shown(each.abc), f"one of {', '.join(percent)}")
    right = sum(each.counted == each.book for each in told)
    within = sum(is_within(each.counted, each.book, percent[each.abc]) for each in told)
    unit_abs, unit_net = _weighed([(each, Fraction(1)) for each in told])
    value_abs = value_net = None
    costs = [(each, Fraction(each.cost)) for each in told if each.cost is not None]
    if len(costs) == len(told):
        value_abs, value_net = _weighed(costs)
    return Accuracy(
        records=len(told),
        right=right,
        within=within,
        exact=_share(right, len(told)),
        tolerant=_share(within, len(told)),
        unit_abs=unit_abs,
        unit_net=unit_net,
        value_abs=value_abs,
        value_net=value_net,
        coverage=None if population is None else _share(len(told), population),
    )


def _share(part: int | Fraction, whole: int | Fraction) -> Fraction | None:
    return Fraction(part) / Fraction(whole) if whole else None


def _weighed(told: list[tuple[Counting, Fraction]]) -> tuple[Fraction | None, Fraction | None]:
    """Return the absolute and the net form, each difference and book weighed."""
    differences = [(each.counted - each.book) * weight for each, weight in told]
    book = sum((each.book * weight for each, weight in told), Fraction(0))
    wrong, net = (
        _share(sum(map(abs, differences), Fraction(0)), book),
        _share(abs(sum(differences, Fraction(0))), book),
    )
    return (None if wrong is None else 1 - wrong), (None if net is None else 1 - net)
