"""
Verification: everything stored, checked against everything else that is stored.

The movements are the ledger; entries, stock rows, reservation lines and the counters of
documents are folded from them anew, by the functions that folded them when they were
written, and compared column by column. Functions over one Reader, so over one instant.

Passes, in this order (``CHECKS``): movements by position (here); each key's entries and its
stock row, then entries that movements name but nobody found (``entry_checks``); documents
with their lines, and outcomes (``document_checks``).

Memory is constant: one page of rows, or what one reference has; to name a movement whose
outcome is gone, a byte for each movement besides. What a corrupted row leads
to is not reported again: a key, a movement and a line each answer with their first problem.

Not covered, because nothing stored says it twice: words of a record no movement counts in
(a location's priority, a policy), the fingerprint of an outcome, when a refusal is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import attrs

from truecount.errors import InvalidArgument
from truecount.ledger.anchors import ANCHOR, anchor_id, moment_of
from truecount.ledger.correction_rules import REVERSAL
from truecount.ledger.document_checks import check_documents, check_outcomes
from truecount.ledger.entry_checks import check_keys, check_missing
from truecount.ledger.problems import MEANING, Problem, Run, time_of
from truecount.ledger.scan import Progress, last_position, movement_pages, reading_of, rolled
from truecount.model import quantities
from truecount.model.kinds import Kind
from truecount.model.movements import Body, MovementRow, digest_of
from truecount.protocols.storage import ORDER, Reader
from truecount.write.book import FINDING


@attrs.frozen(kw_only=True)
class Verification:
    """
    What ``verify`` found.

    Attributes:
        problems: The first ones, in the order of the passes.
        found: How many there are in all.
        position: The last movement's position.
        digest: Of all movements up to that position, in order. Keep the two: a later
            ``verify(expected=(position, digest))`` proves that nothing up to there changed.
    """

    problems: tuple[Problem, ...]
    found: int
    movements: int
    entries: int
    keys: int
    lines: int
    records: int
    outcomes: int
    position: int
    digest: str

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.found


def verify(
    reader: Reader,
    *,
    limit: int = 20,
    progress: Progress | None = None,
    expected: tuple[int, str] | None = None,
) -> Verification:
    """
    Check all invariants of the stored data; see ``StockLedger.verify``.

    Complexity: O(rows) in time (one lookup each), constant in memory.
    """
    quantities.positive(limit, "limit")
    if expected is not None:
        quantities.natural(expected[0], "expected position")
        if not isinstance(expected[1], str):
            raise InvalidArgument("expected digest", repr(expected[1]), "text")
    total = 0
    if progress is not None:
        total = last_position(reader) + sum(row.version for _, row in reader.stock())
    run = Run(progress, total, expected)
    kept: list[Problem] = []
    found = 0
    for check in CHECKS:
        for problem in check(reader, run):
            found += 1
            if found <= limit:
                kept.append(problem)
    return Verification(
        problems=tuple(kept),
        found=found,
        movements=run.movements,
        entries=run.entries,
        keys=run.keys,
        lines=run.lines,
        records=run.records,
        outcomes=run.outcomes,
        position=run.position,
        digest=run.digest,
    )


# --- movements, by position ---------------------------------------------------------------


def check_movements(reader: Reader, run: Run) -> Iterator[Problem]:
    """Yield what is wrong with each movement, with positions, and with what was sealed."""
    if run.expected is not None and run.expected[0] == 0:
        yield from _seal(run)
    for page in movement_pages(reader):
        for position, row in page:
            if position != run.position + 1:
                yield Problem(
                    invariant="I15",
                    where=f"the movement after position {run.position}",
                    expected=f"position {run.position + 1}",
                    found=f"position {position}",
                    movement_id=row.id,
                )
            run.position = position
            run.movements += 1
            run.digest = rolled(run.digest, row)
            yield from _check_movement(reader, run, row)
            if run.expected is not None and position == run.expected[0]:
                yield from _seal(run)
        run.step()
    if run.expected is not None and run.position < run.expected[0]:
        yield Problem(
            invariant="I5",
            where="the end of the ledger",
            expected=f"movements up to position {run.expected[0]}",
            found=f"movements up to position {run.position}",
        )


def _seal(run: Run) -> Iterator[Problem]:
    """Compare the rolling digest with the one that was kept."""
    if run.expected is not None and run.digest != run.expected[1]:
        yield Problem(
            invariant="I5",
            where=f"the movements up to position {run.position}",
            expected=f"digest {run.expected[1]}",
            found=f"digest {run.digest}",
        )


def _check_movement(reader: Reader, run: Run, row: MovementRow) -> Iterator[Problem]:
    """Yield the first problem of one movement."""
    run.named += len(reading_of(row).said)
    for check in _MOVEMENT_CHECKS:
        problem = check(reader, row)
        if problem is not None:
            yield problem
            return


def _of_movement(row: MovementRow, invariant: str, expected: str, found: str) -> Problem:
    return Problem(
        invariant=invariant,
        where=f"the {row.kind} recorded at {time_of(row.recorded_at)}",
        expected=expected,
        found=found,
        movement_id=row.id,
    )


def _digest_fits(_reader: Reader, row: MovementRow) -> Problem | None:
    digest = digest_of(row)
    if digest == row.digest:
        return None
    return _of_movement(row, "I3", f"digest {digest} for its words", f"digest {row.digest}")


def _body_fits(_reader: Reader, row: MovementRow) -> Problem | None:
    """Each leg may be of this kind, and exactly the keys they touch are extended."""
    problem = reading_of(row).problem
    return (
        _of_movement(row, "I1", "legs of its kind, of the keys it extends", problem)
        if problem
        else None
    )


def _documents_exist(reader: Reader, row: MovementRow) -> Problem | None:
    """Find each document the movement counts in, or left behind, under its own reference."""
    body = reading_of(row).body
    for tally in body.tallies:
        if tally.id != row.reference:
            found = f"{tally.space} {tally.id!r}"
            return _of_movement(row, "I2", f"only documents of {row.reference!r} counted", found)
    for space, id_ in _documents_of(row, body):
        if reader.record(space, id_) is None:
            return _of_movement(row, "I2", f"its document {space} {id_!r}", "none")
    return None


def _documents_of(row: MovementRow, body: Body) -> set[tuple[str, str]]:
    names = {(tally.space, tally.id) for tally in body.tallies}
    if row.reference is not None and any(leg.line for leg in body.legs):
        names.add((ORDER, row.reference))
    if row.reverses is not None:
        names.add((REVERSAL, row.reverses))
    if row.kind == Kind.COUNT:
        at = moment_of(row)
        names |= {(ANCHOR, anchor_id(key, at, version)) for key, version in body.extends}
    if body.notes:
        names.add((FINDING, f"fact/{row.id}"))
    return names


#: In this order: what follows trusts what came before.
_MOVEMENT_CHECKS: Final = (_digest_fits, _body_fits, _documents_exist)


#: The passes, in order.
CHECKS: Final[tuple[Callable[[Reader, Run], Iterator[Problem]], ...]] = (
    check_movements,
    check_keys,
    check_missing,
    check_documents,
    check_outcomes,
)

__all__ = ["CHECKS", "MEANING", "Problem", "Verification", "verify"]
