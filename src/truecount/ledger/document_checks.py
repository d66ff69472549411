"""
Checks of what stands beside the stock: documents, reservation lines, outcomes.

I2 for the counters of documents and for lines, folded anew from the movements of their
reference; I6 for outcomes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple, TypeAlias

from truecount.errors import InternalError, from_dict
from truecount.ledger.anchors import ANCHOR, anchor_of, moment_of
from truecount.ledger.bundle_checks import check_kits, check_recipe
from truecount.ledger.correction_rules import REVERSAL
from truecount.ledger.delivery_rules import PURCHASE
from truecount.ledger.problems import Problem, Run, difference, time_of
from truecount.ledger.scan import (
    UNREADABLE,
    last_position,
    movement_pages,
    outcome_pages,
    reading_of,
    records_of,
)
from truecount.ledger.source_checks import check_source
from truecount.ledger.transfer_rules import TRANSFER
from truecount.model.instants import Instant
from truecount.model.kinds import Kind
from truecount.model.lines import LineRow, follow
from truecount.model.movements import Body, MovementRow
from truecount.model.outcomes import OutcomeRow
from truecount.model.settings import RECIPE, SOURCE
from truecount.protocols.storage import ORDER, Reader, Record
from truecount.write.book import add_up


def check_documents(reader: Reader, run: Run) -> Iterator[Problem]:
    """Yield what is wrong with documents, and with the lines of those that are orders."""
    for space in reader.spaces():
        check = _DOCUMENT_CHECKS.get(space)
        for record in records_of(reader, space):
            run.records += 1
            try:
                body = json.loads(record.body)
            except ValueError as error:
                yield _of_document(record, "readable JSON", str(error))
                continue
            if check is not None:
                yield from check(reader, run, record, body)


def _of_document(
    record: Record, expected: str, found: str, movement_id: str | None = None
) -> Problem:
    return Problem(
        invariant="I2",
        where=f"document {record.space} {record.id!r}",
        expected=expected,
        found=found,
        movement_id=movement_id,
    )


class _Refolded(NamedTuple):
    """What the movements of one reference make of its lines and its document."""

    lines: dict[int, LineRow]
    document: dict[str, Any]
    #: The last movement that touched each line.
    touched: dict[int, str]


_LINE_FIELDS: Final = dict.fromkeys(LineRow._fields, "I2")


def refold(rows: Iterable[MovementRow], space: str, reference: str) -> _Refolded:
    """
    Fold the movements of one reference.

    Raises:
        InternalError: One cannot be read, or takes what its line does not have; its id is
            the error's note.
    """
    made = _Refolded({}, {}, {})
    for row in rows:
        try:
            body = _followed(made.lines, reference, row)
        except InternalError as error:
            error.add_note(row.id)
            raise
        made.touched.update((leg.line, row.id) for leg in body.legs)
        for tally in body.tallies:
            if (tally.space, tally.id) == (space, reference):
                add_up(made.document, tally)
    return made


def _followed(lines: dict[int, LineRow], reference: str, row: MovementRow) -> Body:
    """Let a movement move the lines of its reference, and return what else it says."""
    reading = reading_of(row)
    if reading.problem is not None:
        raise InternalError(reading.problem)
    follow(lines, reference, Kind(row.kind), reading.body)
    return reading.body


def _check_counted(reader: Reader, run: Run, record: Record, body: Any) -> Iterator[Problem]:
    """Compare a document's counters, and an order's lines, with the fold of its movements."""
    rows = (row for _, row in reader.movements_of(record.id))
    try:
        made = refold(rows, record.space, record.id)
    except InternalError as error:
        [movement_id] = error.__notes__
        yield _of_document(record, "movements that its lines allow", error.problem, movement_id)
        return
    lines = body.get("lines", {}) if isinstance(body, dict) else None
    wanted = made.document.get("lines", {})
    if lines != wanted:
        yield _of_document(record, f"counters {_first(wanted, lines)}", f"{_first(lines, wanted)}")
    if record.space == ORDER:
        stored = {line.number: line for line in reader.lines(record.id)}
        run.lines += len(stored)
        yield from compare_lines(record.id, stored, made)
        yield from check_kits(record.id, body, stored)


def _check_recipe(reader: Reader, _run: Run, record: Record, body: Any) -> Iterator[Problem]:
    return check_recipe(reader, record, body)


def _check_source(reader: Reader, _run: Run, record: Record, body: Any) -> Iterator[Problem]:
    return check_source(reader, record, body)


def _first(these: Any, those: Any) -> Any:
    """Return what of *these* is not among *those*, to show a difference and no more."""
    if not isinstance(these, dict) or not isinstance(those, dict):
        return these
    return {name: these[name] for name in these if these[name] != those.get(name)}


def compare_lines(reference: str, stored: dict[int, LineRow], made: _Refolded) -> Iterator[Problem]:
    """Yield a problem for each line that is not what its legs make of it."""
    for number in sorted({*stored, *made.lines}):
        where = f"line {number} of reservation {reference!r}"
        found, wanted = stored.get(number), made.lines.get(number)
        by = made.touched.get(number)
        if found is None or wanted is None:
            yield Problem(
                invariant="I2",
                where=where,
                expected="a line" if wanted else "no line, for no leg names it",
                found="a line" if found else "none",
                movement_id=by,
            )
            continue
        problem = difference(wanted, found, _LINE_FIELDS, where, by)
        if problem is not None:
            yield problem


def _check_reversal(reader: Reader, _run: Run, record: Record, body: Any) -> Iterator[Problem]:
    """Find the movement that took another one back."""
    by = body.get("by") if isinstance(body, dict) else None
    if by is None and isinstance(body, dict) and body.get("times"):
        return  # Its correction was undone: it is in force again.
    found = [row.reverses for _, row in reader.movements([by] if isinstance(by, str) else [])]
    if found != [record.id]:
        yield _of_document(record, f"a movement {by!r} that reverses it", f"{found or 'none'}")


def _check_anchor(reader: Reader, run: Run, record: Record, body: Any) -> Iterator[Problem]:
    """Find the count an anchor is of, and compare what was refolded at it."""
    try:
        anchor = anchor_of(record.id, body)
    except UNREADABLE as error:
        yield _of_document(record, "the key, moment and version of a count as its id", f"{error}")
        return
    entry = next(iter(reader.entries(anchor.key, anchor.version - 1)), None)
    found = [] if entry is None else [row for _, row in reader.movements([entry.movement_id])]
    told = [f"a {row.kind} of {time_of(moment_of(row))}" for row in found]
    expected = f"a {Kind.COUNT} of {time_of(anchor.at)}"
    if told != [expected]:
        yield _of_document(record, f"{expected} at its version", ", ".join(told) or "none")
        return
    yield from _check_counted(reader, run, record, body)


_DocumentCheck: TypeAlias = Callable[[Reader, Run, Record, Any], Iterator[Problem]]
_DOCUMENT_CHECKS: Final[dict[str, _DocumentCheck]] = {
    ORDER: _check_counted,
    PURCHASE: _check_counted,
    TRANSFER: _check_counted,
    REVERSAL: _check_reversal,
    RECIPE: _check_recipe,
    SOURCE: _check_source,
    ANCHOR: _check_anchor,
}


# --- outcomes -----------------------------------------------------------------------------


def check_outcomes(reader: Reader, run: Run) -> Iterator[Problem]:
    """
    Yield what is wrong with outcomes: each is readable, and what it granted is there.

    And each movement is what one request was granted: without its outcome the same request
    would be granted again. (Not told of a ledger with outcomes that cannot be read.)
    """
    answered, damaged = 0, False
    for page in outcome_pages(reader):
        bodies = [(row, _outcome_body(row)) for row in page]
        ids = _granted(bodies)
        recorded = {row.id: row.recorded_at for _, row in reader.movements(ids)}
        answered += sum(1 for id_ in ids if id_ in recorded)
        for row, body in bodies:
            run.outcomes += 1
            for problem in _check_outcome(row, body, recorded):
                damaged = True
                yield problem
    if answered != run.movements and not damaged:
        yield from _unanswered(reader)


def _granted(bodies: Iterable[tuple[OutcomeRow, dict[str, Any]]]) -> list[str]:
    return [id_ for _, body in bodies for id_ in body.get("movements", ())]


def _unanswered(reader: Reader) -> Iterator[Problem]:
    """Find the movements that are not in exactly one outcome; O(movements) bytes."""
    times = bytearray(last_position(reader) + 1)
    for page in outcome_pages(reader):
        bodies = [(row, _outcome_body(row)) for row in page]
        for position, _ in reader.movements(_granted(bodies)):
            if position is not None and position < len(times):
                times[position] = min(2, times[position] + 1)
    for movements in movement_pages(reader):
        for position, row in movements:
            if position < len(times) and times[position] != 1:
                yield Problem(
                    invariant="I6",
                    where=f"the {row.kind} recorded at {time_of(row.recorded_at)}",
                    expected="the outcome of the one request that was granted it",
                    found="several" if times[position] else "none",
                    movement_id=row.id,
                )


def _outcome_body(row: OutcomeRow) -> dict[str, Any]:
    """Return the body of an outcome, empty when it cannot be read."""
    try:
        body = json.loads(row.body)
        if "error" in body:
            from_dict(body)
        else:
            ",".join(body["movements"])
    except UNREADABLE:
        return {}
    return dict(body)


def _check_outcome(
    row: OutcomeRow, body: dict[str, Any], recorded: dict[str, Instant]
) -> Iterator[Problem]:
    def problem(expected: str, found: str, movement_id: str | None = None) -> Problem:
        return Problem(
            invariant="I6",
            where=f"the outcome of request {row.key!r}",
            expected=expected,
            found=found,
            movement_id=movement_id,
        )

    if not body:
        yield problem("a readable answer", row.body)
    elif ("error" in body) != (row.forget_at is not None):
        yield problem("refusals to be forgotten, the rest kept", f"forget_at = {row.forget_at}")
    for id_ in body.get("movements", ()):
        if id_ not in recorded:
            yield problem("the movement it names", "none", id_)
        elif recorded[id_] != row.decided_at:
            expected = f"decided_at = {time_of(recorded[id_])}, as recorded"
            yield problem(expected, time_of(row.decided_at), id_)
