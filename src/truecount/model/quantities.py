"""
Quantities at the door: whole numbers of the SKU's base unit, within int64.

Rules:
1. A quantity is an ``int``. ``bool``, ``float``, ``Decimal`` and text are refused: nothing
   is rounded, nothing is parsed, floats never enter.
2. Units of measure convert exactly, by a rational factor, at the door; what does not come
   out whole is refused.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import attrs

from truecount.errors import InvalidArgument, InvalidQuantity
from truecount.model import names


QUANTITY_MAX: Final = 2**63 - 1


def positive(value: int, name: str = "quantity") -> int:
    """
    Return *value* if it is an int from 1 to 2**63 - 1.

    >>> positive(3)
    3
    >>> positive(True)
    Traceback (most recent call last):
    ...
    truecount.errors.InvalidQuantity: cannot use quantity True: only whole numbers (int) from 1 \
to 9223372036854775807 are allowed
    """
    if type(value) is not int or not 1 <= value <= QUANTITY_MAX:
        raise InvalidQuantity(name, names.shown(value), _range(1))
    return value


def natural(value: int, name: str = "quantity") -> int:
    """Return *value* if it is an int from 0 to 2**63 - 1."""
    if type(value) is not int or not 0 <= value <= QUANTITY_MAX:
        raise InvalidQuantity(name, names.shown(value), _range(0))
    return value


def signed(value: int, name: str = "quantity") -> int:
    """Return *value* if it is an int within int64 and not zero."""
    if type(value) is not int or not 1 <= abs(value) <= QUANTITY_MAX:
        raise InvalidQuantity(name, names.shown(value), f"{_range(-QUANTITY_MAX)}, not 0,")
    return value


def _range(lowest: int) -> str:
    return f"whole numbers (int) from {lowest} to {QUANTITY_MAX}"


def _factor(value: object) -> Fraction:
    if isinstance(value, (bool, float)) or not isinstance(value, (int, Fraction)) or value <= 0:
        raise InvalidArgument("factor", names.shown(value), "a positive int or Fraction")
    return Fraction(value)


@attrs.frozen
class Unit:
    """
    A unit of measure: how many base units one of it is, exactly.

    >>> Unit("case", 12).to_base(3)
    36
    >>> Unit("pound", Fraction(45359237, 100_000)).to_base(1)
    Traceback (most recent call last):
    ...
    truecount.errors.InvalidQuantity: cannot use quantity 1 pound: only quantities that are whole \
in the base unit (this is 45359237/100000) are allowed
    """

    name: str = attrs.field(converter=names.unit)
    factor: Fraction = attrs.field(converter=_factor)

    def to_base(self, quantity: int | Fraction) -> int:
        """Return *quantity* of this unit in base units, or refuse what is not whole."""
        if isinstance(quantity, (bool, float)) or not isinstance(quantity, (int, Fraction)):
            raise InvalidQuantity("quantity", names.shown(quantity), "int and Fraction")
        base = quantity * self.factor
        if base.denominator != 1:
            raise InvalidQuantity(
                "quantity",
                f"{quantity} {self.name}",
                f"quantities that are whole in the base unit (this is {base})",
            )
        return signed(int(base))

    def from_base(self, quantity: int) -> Fraction:
        """Return *quantity* base units in this unit, exact."""
        return Fraction(quantity) / self.factor
