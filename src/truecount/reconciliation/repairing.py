"""
Rules of repairing: a line of an approved plan is written, or says why it was not. Pure.

==========================  ==============================================================
document                    what it says
==========================  ==============================================================
``plan`` / plan id          the plan as approved, by whom and when; when it was taken back
``plan-line`` / line id     what became of a line, under which plan
==========================  ==============================================================

Rules:
1. A line is an attempt of its own: its key is made of its id, and so of its content. Written
   once, in whatever plan it comes again.
2. Guards are decided under the locks, on what the line rests on and nothing else: nothing
   of what was seen may have been reported since, of a time up to the line's own, and no newer
   count of the key may stand. Trade that goes on does not disturb it.
3. A line whose guard does not hold, or that the ledger's rules do not take as the shelf is by
   now, is skipped, and its reason is kept: data, no exception.
4. What is written names itself: the plan as reference, the kind of mismatch as reason, who
   approved it as actor.
5. A plan that was taken back is not written any more, not even lines that never were: a
   repair that stopped half way, or is under way elsewhere, does not go on after its undoing.
   Nothing is kept of such an attempt, so that the same line can be approved in another plan.

Who calls whom: ``repairs`` makes the operations; the decision about the stock itself is that
of :class:`Counted` and :class:`Adjusted`, by the ledger's own rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Any, Final

import attrs
from attrs.converters import optional

from truecount.errors import InvalidArgument, UnknownReference
from truecount.model import names
from truecount.model.facts import Adjusted, Counted
from truecount.model.instants import Instant, iso, to_instant
from truecount.model.operation import Operation
from truecount.model.quantities import QUANTITY_MAX
from truecount.model.settings import Settings
from truecount.model.stock import StockKey, goods
from truecount.protocols.storage import Wants
from truecount.reconciliation.basis import Basis, Written, newest_count
from truecount.reconciliation.findings import when
from truecount.reconciliation.plan import Plan
from truecount.reconciliation.plan_lines import PlanAction, PlanLine
from truecount.write.book import Book
from truecount.write.intents import Decision, Granted, Rule, Rules


PLAN: Final = "plan"
PLAN_LINE: Final = "plan-line"
#: What the document of a plan that was taken back says more.
WITHDRAWN: Final = "withdrawn"


# --- operations -------------------------------------------------------------------------


def _plan(value: Plan | Mapping[str, Any]) -> Plan:
    """Return the plan approved; plain data, as ``to_dict`` wrote it, is read and checked."""
    if isinstance(value, Plan):
        return value
    if isinstance(value, Mapping):
        return Plan.from_dict(value)
    raise InvalidArgument("plan", names.shown(value), "a Plan; see report.plan()")


def _line(value: PlanLine | Mapping[str, Any]) -> PlanLine:
    """Return the line to be written; plain data is read and checked."""
    line: object = PlanLine.from_dict(value) if isinstance(value, Mapping) else value
    if not isinstance(line, PlanLine) or not line.is_written:
        raise InvalidArgument("line", names.shown(value), "a line of a plan that is written")
    return line


@attrs.frozen(repr=False)
class Approve(Operation):
    """Somebody approved a plan; the first approval of a plan is the one that is kept."""

    is_fact = False
    plan: Plan = attrs.field(converter=_plan)
    actor: str = attrs.field(kw_only=True, converter=names.actor)

    def fingerprint(self) -> str:
        """Return what tells this request from another: the plan and who approved it."""
        return _digest("approve", self.plan.id, self.actor)

    def to_dict(self) -> dict[str, Any]:
        """Return the operation as plain data, for JSON."""
        return super().to_dict() | {"plan": self.plan.to_dict()}


@attrs.frozen(repr=False)
class Repair(Operation):
    """A line of an approved plan is to be written, whoever approved it and in which plan."""

    is_fact = False
    line: PlanLine = attrs.field(converter=_line)
    plan_id: str = attrs.field(converter=names.reference)
    actor: str = attrs.field(kw_only=True, converter=names.actor)

    def fingerprint(self) -> str:
        """Return what tells this request from another: the line alone."""
        return _digest("repair", self.line.id)

    def to_dict(self) -> dict[str, Any]:
        """Return the operation as plain data, for JSON."""
        return super().to_dict() | {"line": self.line.to_dict()}


@attrs.frozen(repr=False)
class Withdraw(Operation):
    """An approved plan is taken back: from now on none of its lines is written."""

    is_fact = False
    plan_id: str = attrs.field(converter=names.reference)
    reason: str = attrs.field(kw_only=True, converter=names.reason)
    actor: str | None = attrs.field(default=None, kw_only=True, converter=optional(names.actor))


def _digest(*words: str) -> str:
    return blake2b("\n".join(words).encode(), digest_size=16).hexdigest()


def repair_of(line: PlanLine, plan: Plan, approved_by: str) -> Repair:
    """Return the attempt to write *line*, under the key made of its content."""
    return Repair(line, plan.id, actor=approved_by, key=f"repair/{line.id}")


def movement_of(line_id: str) -> str:
    """Return the id of the movement a line is written as."""
    return f"repair/{line_id}"


# --- approval ---------------------------------------------------------------------------


def _wants_approval(operation: Approve, settings: Settings) -> Wants:
    del settings
    return Wants(records={(PLAN, operation.plan.id)})


def _approve(operation: Approve, book: Book, now: Instant) -> Decision:
    """Keep the plan as it was approved first."""
    id_ = operation.plan.id
    if book.document(PLAN, id_) is not None:
        return Granted(result={"approved": False})
    body = {
        "plan": operation.plan.to_dict(),
        "approved_by": operation.actor,
        "approved_at": iso(now),
    }
    return Granted(documents=((PLAN, id_, body),), result={"approved": True})


def _wants_withdrawal(operation: Withdraw, settings: Settings) -> Wants:
    del settings
    return Wants(records={(PLAN, operation.plan_id)})


def _withdraw(operation: Withdraw, book: Book, now: Instant) -> Decision:
    """Mark the plan as taken back; who did it first is kept."""
    body = _approved(operation.plan_id, book)
    if WITHDRAWN in body:
        return Granted(result={"withdrawn": False})
    told = {"at": iso(now), "by": operation.actor, "reason": operation.reason}
    document = (PLAN, operation.plan_id, {**body, WITHDRAWN: told})
    return Granted(documents=(document,), result={"withdrawn": True})


def _approved(plan_id: str, book: Book) -> Mapping[str, Any]:
    """Return an approved plan's document; raise UnknownReference when nobody approved it."""
    body = book.document(PLAN, plan_id)
    if body is None:
        raise UnknownReference("plan", plan_id)
    return body


# --- one line ---------------------------------------------------------------------------


def _basis(line: PlanLine) -> Basis:
    """Return what a line to be written rests on; its own check has seen that there is one."""
    assert line.basis is not None  # noqa: S101 -- tells the type checker; PlanLine refuses it
    return line.basis


def _fact(operation: Repair, change: int) -> Counted | Adjusted:
    """Return the fact a line says; an adjustment by *change*."""
    line = operation.line
    basis = _basis(line)
    words: dict[str, Any] = {
        "at": line.at,
        "lot": basis.lot,
        "reference": operation.plan_id,
        "reason": f"repair: {line.kind.value}",
        "actor": operation.actor,
    }
    if line.action is PlanAction.COUNT:
        counted = line.observed or 0
        return Counted(line.sku, counted, counted_at=basis.as_of, covers=basis.covers, **words)
    return Adjusted(line.sku, change, occurred_at=basis.as_of, **words)


def _before(line: PlanLine, book: Book) -> int:
    """Return by how much the lines before it in its plan have changed what it rests on."""
    own = {movement_of(id_) for id_ in line.after}
    return sum(
        _basis(line).covered(entry.change)
        for entry, row in _newer(line, book)
        if row.id in own and entry.key == line.key
    )


def _newer(line: PlanLine, book: Book) -> Iterator[Written]:
    """Yield what was written on the keys of a line since the book was read for its plan."""
    keys = set()
    for key, version in _watched(line, book):
        keys.add(key)
        yield from book.newer[key, version]
    rows = {row.id: row for row in book.movements}
    for entry in book.entries:  # What this very write has done.
        if entry.key in keys:
            yield entry, rows[entry.movement_id]


def _watched(line: PlanLine, book: Book) -> Iterable[tuple[StockKey, int]]:
    """Yield the keys a line rests on, each with its version when the book was read."""
    basis = _basis(line)
    if not basis.all_lots:
        return [(line.key, dict(basis.versions).get(basis.lot, 0))]
    known = dict(basis.versions)
    keys = {*book.keys_of(line.sku, line.at), line.key}
    return [(key, known.get(key.lot, 0)) for key in sorted(keys)]


def _stopped(line: PlanLine, book: Book) -> str | None:
    """Return why a line must not be written any more, None while its guard holds."""
    basis = _basis(line)
    as_of = to_instant(basis.as_of)
    own = {movement_of(id_) for id_ in line.after}
    newer = [(entry, row) for entry, row in _newer(line, book) if row.id not in own]
    late: dict[StockKey, int] = {}
    for entry, _ in newer:
        if entry.occurred_at <= as_of:
            late[entry.key] = late.get(entry.key, 0) + basis.covered(entry.change)
    for key, units in late.items():
        if units:
            said = f"{units:+d} of {goods(key)} up to {when(as_of)}"
            return f"{said} were reported after the book was read; compare again"
    counted_at = newest_count(newer, as_of)
    if counted_at is not None:
        return f"a newer count stands, of {when(counted_at)}; compare again"
    return None


def _wants_repair(operation: Repair, settings: Settings, rules: Rules) -> Wants:
    line = operation.line
    plan = (PLAN, operation.plan_id)
    wants = Wants(records={(PLAN_LINE, line.id), plan}, keys={line.key}, shared={plan})
    if _basis(line).all_lots:
        wants.scopes.add((line.sku, line.at))
    spoken = _fact(operation, line.delta[0])
    wants.add(rules[type(spoken)].wants(spoken, settings))
    return wants


def _repair(operation: Repair, book: Book, now: Instant, rules: Rules) -> Decision:
    """Write a line by the ledger's rules, if its guard holds; say what became of it."""
    line = operation.line
    if WITHDRAWN in _approved(operation.plan_id, book):
        raise InvalidArgument("plan", f"{operation.plan_id!r}, which was taken back", "a new one")
    reason = _stopped(line, book)
    if reason is not None:
        return _told(operation, skipped=reason)
    change = line.delta[0] - _before(line, book)
    if line.action is PlanAction.ADJUST and not change:
        return _told(operation, skipped="the lines before it have put it right")
    spoken = _fact(operation, change)
    try:
        decision = rules[type(spoken)].decide(spoken, book, now)
    except InvalidArgument as error:
        return _told(operation, skipped=str(error))
    if not isinstance(decision, Granted):
        return decision
    posted = decision.drafts[-1]._replace(id=movement_of(line.id))
    told = _told(operation, movement=movement_of(line.id))
    return decision._replace(
        drafts=(*decision.drafts[:-1], posted),
        documents=(*decision.documents, *told.documents),
        result=told.result,
    )


def _told(operation: Repair, **words: str) -> Granted:
    body = {"plan": operation.plan_id, **words}
    return Granted(documents=((PLAN_LINE, operation.line.id, body),), result=body)


def repair_rules(rules: Rules) -> Rules:
    """Return the rules of repairing, which write by the ledger's *rules*."""

    def demand(operation: Repair, book: Book) -> Iterable[tuple[str, int]]:
        if operation.line.after:
            return [(operation.line.sku, QUANTITY_MAX)]  # What is left for it is not known yet.
        spoken = _fact(operation, operation.line.delta[0])
        asked = rules[type(spoken)].demand
        return () if asked is None else asked(spoken, book)

    def moments(operation: Repair, book: Book) -> Iterable[tuple[StockKey, Instant]]:
        spoken = _fact(operation, operation.line.delta[0])
        asked = rules[type(spoken)].moments
        return () if asked is None else asked(spoken, book)

    return {
        Approve: Rule(_wants_approval, _approve),
        Withdraw: Rule(_wants_withdrawal, _withdraw),
        Repair: Rule(
            lambda operation, settings: _wants_repair(operation, settings, rules),
            lambda operation, book, now: _repair(operation, book, now, rules),
            demand=demand,
            moments=moments,
            newer=lambda operation, book: _watched(operation.line, book),
        ),
    }
