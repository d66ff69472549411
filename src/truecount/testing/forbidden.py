"""What no storage may store: writes spoilt in one way each."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias

from truecount.model.lines import LineRow
from truecount.model.quantities import QUANTITY_MAX
from truecount.model.stock import NOTHING
from truecount.protocols.storage import Record
from truecount.testing.samples import MUG, START, Sheet, line


#: Adds something to a sheet that makes it break one constraint.
Spoil: TypeAlias = Callable[[Sheet], object]


def _line_below_zero(counter: int, sheet: Sheet) -> None:
    values = list(line("A-1", 1, MUG, held=1, expires_at=START))
    values[counter] = -1
    sheet.lines.append(LineRow._make(values))


def _document(version: int, id_: str, sheet: Sheet) -> None:
    sheet.records.append(Record("recipe", id_, version, "[]"))


def _version_there(sheet: Sheet) -> None:
    row = sheet.locked.rows[MUG]
    sheet.locked.rows[MUG] = row._replace(version=row.version - 1)
    sheet.move("bad", MUG, sellable=1)


def _too_large(sheet: Sheet) -> None:
    sheet.move("bad", MUG, sellable=1)
    sheet.rows[MUG] = sheet.rows[MUG]._replace(amounts=(QUANTITY_MAX + 1, *NOTHING[1:]))


#: By what is wrong: MUG has 5 sellable and 1 held, allocated and picked (movement "m1"), the
#: document ("recipe", "SET") has version 1, and nothing else is there.
FORBIDDEN: Final[dict[str, Spoil]] = {
    "held below zero": lambda sheet: sheet.move("bad", MUG, held=-2),
    "allocated below zero": lambda sheet: sheet.move("bad", MUG, allocated=-2),
    "picked below zero": lambda sheet: sheet.move("bad", MUG, picked=-2),
    "sellable below its floor": lambda sheet: sheet.move("bad", MUG, sellable=-6, floor=0),
    "a version that is there": _version_there,
    "a movement id that is there": lambda sheet: sheet.move("m1", MUG, sellable=1),
    "a figure beyond int64": _too_large,
    "a document made twice": partial(_document, 1, "SET"),
    "a document that skips a version": partial(_document, 3, "SET"),
    "a document that was never made": partial(_document, 2, "OTHER"),
    **{
        f"{LineRow._fields[counter]} of a line below zero": partial(_line_below_zero, counter)
        for counter in range(4, 12)
    },
}
