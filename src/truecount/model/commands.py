"""Commands of the stock ledger: what is to be done, in verbs. Each is granted or refused."""

from __future__ import annotations

from datetime import datetime

import attrs
from attrs.converters import optional

from truecount.errors import InvalidArgument
from truecount.model import doors, names, quantities
from truecount.model.operation import Explained, Operation, Referenced
from truecount.model.places import State


@attrs.frozen(repr=False)
class Relocate(Operation):
    """Move free units from one location to another in one step."""

    is_fact = False
    sku: str = attrs.field(converter=names.sku)
    quantity: int = attrs.field(converter=quantities.positive)
    source: str = attrs.field(kw_only=True, converter=names.location)
    target: str = attrs.field(kw_only=True, converter=names.location)
    state: State = attrs.field(default=State.SELLABLE, kw_only=True, converter=doors.free_state)
    lot: str | None = attrs.field(default=None, kw_only=True, converter=optional(names.lot))

    def __attrs_post_init__(self) -> None:
        _check_route(self)


@attrs.frozen(repr=False)
class TransferOut(Referenced):
    """Send units on their way to another location, under one transfer *reference*."""

    is_fact = False
    lines: tuple[tuple[str, int], ...] = attrs.field(converter=doors.lines)
    source: str = attrs.field(kw_only=True, converter=names.location)
    target: str = attrs.field(kw_only=True, converter=names.location)
    due_at: datetime | None = attrs.field(
        default=None, kw_only=True, converter=optional(doors.due_at)
    )

    def __attrs_post_init__(self) -> None:
        _check_route(self)


def _check_route(operation: Relocate | TransferOut) -> None:
    if operation.source == operation.target:
        raise InvalidArgument("target", repr(operation.target), "another location than the source")


@attrs.frozen(repr=False)
class Assemble(Operation):
    """Make *quantity* stocked kits out of *components* (for one kit; default: its recipe)."""

    is_fact = False
    sku: str = attrs.field(converter=names.sku)
    quantity: int = attrs.field(converter=quantities.positive)
    components: tuple[tuple[str, int], ...] | None = attrs.field(
        default=None, converter=doors.optional_lines
    )
    at: str = attrs.field(kw_only=True, converter=names.location)

    def __attrs_post_init__(self) -> None:
        _check_recipe(self)


@attrs.frozen(repr=False)
class Disassemble(Operation):
    """Take *quantity* stocked kits apart into *components* (for one kit; default: its recipe)."""

    is_fact = False
    sku: str = attrs.field(converter=names.sku)
    quantity: int = attrs.field(converter=quantities.positive)
    components: tuple[tuple[str, int], ...] | None = attrs.field(
        default=None, converter=doors.optional_lines
    )
    at: str = attrs.field(kw_only=True, converter=names.location)

    def __attrs_post_init__(self) -> None:
        _check_recipe(self)


def _check_recipe(operation: Assemble | Disassemble) -> None:
    if any(sku == operation.sku for sku, _ in operation.components or ()):
        seen = repr(operation.sku)
        raise InvalidArgument("components", seen, "components other than the kit itself")


@attrs.frozen(repr=False)
class Correct(Explained):
    """
    Replace a mistyped movement: its reversal and the right one, in one movement.

    Only what is named changes; ``quantity=0`` takes the movement back altogether.
    """

    is_fact = False
    movement_id: str = attrs.field(converter=names.movement_id)
    quantity: int | None = attrs.field(
        default=None, kw_only=True, converter=optional(doors.quantity)
    )
    sku: str | None = attrs.field(default=None, kw_only=True, converter=optional(names.sku))
    at: str | None = attrs.field(default=None, kw_only=True, converter=optional(names.location))
    lot: str | None = attrs.field(default=None, kw_only=True, converter=optional(names.lot))

    def __attrs_post_init__(self) -> None:
        if self.quantity is None and self.sku is None and self.at is None and self.lot is None:
            raise InvalidArgument("correction", "of nothing", "quantity, sku, at or lot to change")


@attrs.frozen(repr=False)
class Undo(Explained):
    """Take a whole movement back: the same legs the other way round."""

    is_fact = False
    movement_id: str = attrs.field(converter=names.movement_id)
