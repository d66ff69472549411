"""
Checks of entries and stock rows: each key folded anew from what its movements say.

I1, I3, I4 and I15 for each entry, I2 for the stock row, I9 for its promises. A key answers
with its first wrong entry; what follows from that is not reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, NamedTuple

from truecount.errors import InvalidQuantity
from truecount.ledger.problems import Problem, Run, difference, figures_of, place_of, time_of
from truecount.ledger.scan import PAGE, Said, movement_pages, reading_of
from truecount.model.lines import LineRow
from truecount.model.movements import MovementRow
from truecount.model.stock import EMPTY_ROW, EntryRow, StockKey, StockRow, extend, lot_expiry
from truecount.protocols.storage import Reader


class Step(NamedTuple):
    """An entry with the movement that is said to have made it."""

    entry: EntryRow
    position: int | None
    movement: MovementRow | None


def steps_of(reader: Reader, key: StockKey) -> Iterator[Step]:
    """Yield the entries of *key* in order, each with its movement, read page by page."""
    # A storage that returns a list would answer with its first page for ever.
    entries = iter(reader.entries(key))
    while page := list(islice(entries, PAGE)):
        ids = [entry.movement_id for entry in page]
        found = {row.id: (position, row) for position, row in reader.movements(ids)}
        for entry in page:
            yield Step(entry, *found.get(entry.movement_id, (None, None)))


def check_keys(reader: Reader, run: Run) -> Iterator[Problem]:
    """Yield what is wrong with each key: its first wrong entry, its row, its promises."""
    for key, row in reader.stock():
        run.keys += 1
        folded, problem = fold(key, _counted(reader, run, key))
        problem = problem or difference(folded, row, _ROW_FIELDS, place_of(key))
        if problem is not None:
            yield problem
        yield from _promises(key, folded, reader.open_lines(key))
        run.step()


def _counted(reader: Reader, run: Run, key: StockKey) -> Iterator[Step]:
    for step in steps_of(reader, key):
        run.entries += 1
        if step.movement is not None and step.position is not None:
            said = reading_of(step.movement).said.get(key)
            run.matched += said is not None and said.version == step.entry.version
        if not run.entries % PAGE:
            run.step()
        yield step


def fold(key: StockKey, steps: Iterable[Step]) -> tuple[StockRow, Problem | None]:
    """
    Fold what movements say about *key*; return the row they make and the first wrong entry.

    After a wrong entry the fold goes on from what its movement says.
    """
    row, last, first = EMPTY_ROW, None, None
    for step in steps:
        said = reading_of(step.movement).said.get(key) if step.movement else None
        try:
            row_after, wanted = _extended(key, row, step, said)
        except InvalidQuantity as error:
            return row, first or _of_entry(step, "I3", "figures within int64", str(error))
        first = (
            first
            or _belongs(step, said)
            or difference(
                wanted,
                step.entry,
                _ENTRY_FIELDS,
                place_of(key, step.entry.version),
                step.entry.movement_id,
            )
            or _keeps_limits(wanted, step)
            or _follows(row, last, step)
        )
        row, last = row_after, step
    return row, first


def _extended(
    key: StockKey, row: StockRow, step: Step, said: Said | None
) -> tuple[StockRow, EntryRow]:
    """Return the row and the entry as the movement says; as the entry says if it does not."""
    entry, movement = step.entry, step.movement
    clocks = entry if movement is None else movement
    after, wanted = extend(
        row,
        key,
        list(entry.change) if said is None else said.change,
        entry.movement_id,
        clocks.occurred_at,
        clocks.recorded_at,
        entry.floor if said is None else said.floor,
    )
    if movement is not None and key.lot:
        expires_at = lot_expiry(reading_of(movement).body.expiries, key)
        if expires_at is not None:
            after = after._replace(lot_expires_at=expires_at)
    return after, wanted


#: Columns of an entry and the invariant that fixes each.
_ENTRY_FIELDS: Final = {
    "key": "I3",
    "version": "I3",
    "change": "I1",
    "after": "I3",
    "occurred_at": "I3",
    "recorded_at": "I3",
    "horizon": "I3",
    "lateness": "I3",
    "floor": "I4",
}
_ROW_FIELDS: Final = dict.fromkeys(StockRow._fields, "I2")


def _of_entry(step: Step, invariant: str, expected: str, found: str) -> Problem:
    return Problem(
        invariant=invariant,
        where=place_of(step.entry.key, step.entry.version),
        expected=expected,
        found=found,
        movement_id=step.entry.movement_id,
    )


def _belongs(step: Step, said: Said | None) -> Problem | None:
    """Find the movement of an entry, and the entry among those the movement names."""
    if step.movement is None:
        return _of_entry(step, "I1", "a movement that made this entry", "none with its id")
    if said is None:
        return _of_entry(step, "I1", "its movement to name this key", "a movement that does not")
    if said.version != step.entry.version:
        return _of_entry(
            step, "I1", f"its movement to name version {step.entry.version}", f"{said.version}"
        )
    return None


def _keeps_limits(wanted: EntryRow, step: Step) -> Problem | None:
    if wanted.floor is not None and wanted.after[0] < wanted.floor:
        return _of_entry(step, "I4", f"sellable >= {wanted.floor}", f"{wanted.after[0]}")
    if min(wanted.after[1:4]) < 0:
        return _of_entry(step, "I4", "no negative promise", figures_of(wanted.after))
    return None


def _follows(row: StockRow, last: Step | None, step: Step) -> Problem | None:
    """Compare the clocks and positions of two neighbouring entries."""
    if last is None or last.movement is None or step.movement is None:
        return None
    recorded_at = step.movement.recorded_at
    if recorded_at < row.recorded_at:
        expected = f"recorded_at from {time_of(row.recorded_at)} on"
        return _of_entry(step, "I3", expected, time_of(recorded_at))
    before, now = (
        (each.recorded_at, each.ordinal, each.id) for each in (last.movement, step.movement)
    )
    if before >= now:
        return _of_entry(step, "I15", f"a movement recorded after {before}", f"{now}")
    if last.position is not None and step.position is not None and last.position >= step.position:
        return _of_entry(step, "I15", f"a position after {last.position}", f"{step.position}")
    return None


def _promises(key: StockKey, row: StockRow, lines: Iterable[LineRow]) -> Iterator[Problem]:
    """Compare the promised units of a key with what its open lines have."""
    held = allocated = picked = 0
    for line in lines:
        held += line.held
        allocated += line.allocated
        picked += line.picked
    if (held, allocated, picked) != row.promised:
        yield Problem(
            invariant="I9",
            where=place_of(key),
            expected="held {}, allocated {}, picked {} in open lines".format(*row.promised),
            found=f"held {held}, allocated {allocated}, picked {picked}",
        )


# --- entries nobody found -----------------------------------------------------------------


def check_missing(reader: Reader, run: Run) -> Iterator[Problem]:
    """When movements name more entries than were found, look each of them up."""
    if run.named == run.matched:
        return
    for page in movement_pages(reader):
        for _, row in page:
            for key, said in reading_of(row).said.items():
                yield from _find(reader, row, key, said.version)


def _find(reader: Reader, row: MovementRow, key: StockKey, version: int) -> Iterator[Problem]:
    entry = next(iter(reader.entries(key, version - 1)), None)
    if entry is None or entry.version != version:
        yield Problem(
            invariant="I1",
            where=place_of(key, version),
            expected="the entry its movement names",
            found="none",
            movement_id=row.id,
        )
    elif version == 1 and not any(key == known for known, _ in reader.stock(*key[:2])):
        yield Problem(
            invariant="I2",
            where=place_of(key),
            expected="a row, for it has entries",
            found="none",
            movement_id=row.id,
        )
