"""
The shell of repairing: approves a plan, writes its lines, reads what became of it, undoes it.

Transactions hold up to a thousand lines. Repeating a call after a crash finishes what is
missing: what was written is found under its key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import attrs

from truecount.errors import AlreadyReversed, TrueCountError, UnknownReference
from truecount.ledger.correction_rules import REVERSAL, reversed_by
from truecount.model import names
from truecount.model.commands import Undo
from truecount.model.instants import iso, to_instant
from truecount.model.operation import Operation
from truecount.model.outcomes import Outcome
from truecount.protocols.storage import Reader
from truecount.reconciliation.breaker import Breaker, check
from truecount.reconciliation.plan import Plan
from truecount.reconciliation.plan_lines import PlanLine
from truecount.reconciliation.repairing import (
    PLAN,
    PLAN_LINE,
    WITHDRAWN,
    Approve,
    Withdraw,
    repair_of,
)
from truecount.write.engine import BATCH_MAX, Engine


_DEFAULT: Final = Breaker()


@attrs.frozen(kw_only=True)
class Repaired:
    """
    What became of an approved plan.

    Attributes:
        plan: The plan, as it was approved.
        approved_by, approved_at: Who approved it first, and when.
        applied: The lines that stand, by id: the movement each was written as.
        skipped: The lines that were not written, by id: why.
        undone: The lines that were written and taken back: the movement that did.
        withdrawn_at: When the plan was taken back first; nothing of it is written any more.
        replayed: Whether this call found every line decided before; True when read later.
    """

    plan: Plan
    approved_by: str
    approved_at: datetime
    applied: Mapping[str, str]
    skipped: Mapping[str, str]
    undone: Mapping[str, str]
    withdrawn_at: datetime | None = None
    replayed: bool = True

    @property
    def outside(self) -> tuple[PlanLine, ...]:
        """The lines somebody else must do."""
        return self.plan.outside

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, for JSON."""
        return {
            "plan": self.plan.to_dict(),
            "approved_by": self.approved_by,
            "approved_at": iso(to_instant(self.approved_at)),
            "applied": dict(self.applied),
            "skipped": dict(self.skipped),
            "undone": dict(self.undone),
            "withdrawn_at": self.withdrawn_at and iso(to_instant(self.withdrawn_at)),
            "replayed": self.replayed,
        }


class Repairs:
    """
    Writes approved plans, and takes them back.

    Safe to share between threads. Works alone over an :class:`Engine` with the rules of
    ``repair_rules``, and is one of the parts of :class:`truecount.Inventory`.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def repair(
        self, plan: Plan, *, approved_by: str, breaker: Breaker | None = _DEFAULT
    ) -> Repaired:
        """
        Write the lines of *plan* that the book can follow, each at most once.

        A line that can no longer be written is skipped, and says why; doing it again changes
        nothing. What is done outside stays in ``outside``.

        >>> from truecount import Count, Inventory
        >>> inventory = Inventory()
        >>> inventory.locations.add("berlin")
        >>> receipt = inventory.receive("MUG", 5, at="berlin")
        >>> plan = inventory.reconcile([Count("MUG", 3, at="berlin")]).plan()
        >>> done = inventory.repair(plan, approved_by="sam")
        >>> len(done.applied), inventory.figures("MUG").on_hand
        (1, 3)
        >>> inventory.repair(plan, approved_by="sam").replayed
        True

        Args:
            approved_by: Who looked at the plan; the history of each line names them.
            breaker: What may be changed at once; None for no limit.

        Raises:
            MassRepair: It changes more than *breaker* allows; nothing was written.
            InvalidArgument: It is no plan.
            Retryable: The database was busy; repeat the call, it goes on where it stopped.

        Complexity: O(lines + entries of their keys since the comparison), in transactions of
        a thousand.
        """
        approval = Approve(plan, actor=approved_by)
        plan = approval.plan
        if breaker is not None:
            check(plan, breaker)
        lines = [repair_of(line, plan, approved_by) for line in plan.written]
        _, *lines_decided = self._run([approval, *lines])
        failed = {
            line.id: str(outcome.error)
            for line, outcome in zip(plan.written, lines_decided, strict=True)
            if outcome.error is not None
        }
        done = self.repaired(plan.id)
        return attrs.evolve(
            done,
            skipped={**done.skipped, **failed},
            replayed=all(outcome.replayed for outcome in lines_decided),
        )

    def repaired(self, plan_id: str) -> Repaired:
        """
        Return what became of an approved plan, as it stands now.

        Raises:
            UnknownReference: No plan of this id was ever approved.

        Complexity: O(lines).
        """
        with self._engine.read() as reader:
            return _read(reader, plan_id)

    def undo_repair(self, plan_id: str, *, reason: str, actor: str | None = None) -> Repaired:
        """
        Take back every line of a plan that stands: the figures are as they would be without.

        Doing it again changes nothing. The plan is not written afterwards, nor is what a
        repair had not come to yet; compare anew, and approve what is still found.

        >>> from truecount import Count, Inventory
        >>> inventory = Inventory()
        >>> inventory.locations.add("berlin")
        >>> receipt = inventory.receive("MUG", 5, at="berlin")
        >>> plan = inventory.reconcile([Count("MUG", 3, at="berlin")]).plan()
        >>> done = inventory.repair(plan, approved_by="sam")
        >>> undone = inventory.undo_repair(plan.id, reason="counted the wrong shelf")
        >>> inventory.figures("MUG").on_hand
        5

        Raises:
            UnknownReference: No plan of this id was ever approved.
            Retryable: The database was busy; repeat the call, it goes on where it stopped.

        Complexity: O(lines), in transactions of a thousand.
        """
        self._engine.one(Withdraw(plan_id, reason=reason, actor=actor))
        standing = list(self.repaired(plan_id).applied.values())
        undos = [Undo(movement_id=id_, reason=reason, actor=actor) for id_ in reversed(standing)]
        for outcome in self._run(undos):
            if not isinstance(outcome.error, AlreadyReversed):  # Somebody else just did.
                outcome.check()
        return self.repaired(plan_id)

    def _run(self, operations: Sequence[Operation]) -> list[Outcome]:
        """Run operations in order, in transactions of a thousand."""
        outcomes: list[Outcome] = []
        for start in range(0, len(operations), BATCH_MAX):
            try:
                outcomes += self._engine.run(operations[start : start + BATCH_MAX])
            except TrueCountError as error:
                if start:  # What the error says of itself is only so of its own transaction.
                    error.add_note("the lines before these stand; call it again, it goes on")
                raise
        return outcomes


def _read(reader: Reader, plan_id: str) -> Repaired:
    record = reader.record(PLAN, names.reference(plan_id))
    if record is None:
        raise UnknownReference("plan", plan_id)
    body = json.loads(record.body)
    plan = Plan.from_dict(body["plan"])
    applied: dict[str, str] = {}
    skipped: dict[str, str] = {}
    undone: dict[str, str] = {}
    for line in plan.written:
        known = reader.record(PLAN_LINE, line.id)
        told = {} if known is None else json.loads(known.body)
        if "skipped" in told:
            skipped[line.id] = told["skipped"]
        elif "movement" in told:
            reversal = reader.record(REVERSAL, told["movement"])
            by = reversed_by(None if reversal is None else json.loads(reversal.body))
            if by is None:
                applied[line.id] = told["movement"]
            else:
                undone[line.id] = by
    return Repaired(
        plan=plan,
        approved_by=body["approved_by"],
        approved_at=datetime.fromisoformat(body["approved_at"]),
        applied=applied,
        skipped=skipped,
        undone=undone,
        withdrawn_at=datetime.fromisoformat(body[WITHDRAWN]["at"]) if WITHDRAWN in body else None,
    )
