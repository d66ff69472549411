"""Putting it right: ``repair`` shows a plan, writes it when somebody approves, takes it back."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import attrs
import typer

from truecount.cli.options import Code, Db, Json, Tenant, guarded, ledger
from truecount.cli.output import Screen, numbers, text
from truecount.cli.repair_options import (
    LIMITS,
    NO_LIMIT,
    ApprovedBy,
    BreakerLimits,
    Listed,
    OnlyAt,
    OnlyCertainties,
    OnlyKinds,
    OnlyLines,
    OnlySkus,
    PlanFile,
    Preview,
    ShownPlan,
    UndonePlan,
    Who,
    Why,
)
from truecount.errors import InvalidArgument, InvalidData, InvalidRequest, UnknownReference
from truecount.inventory import Inventory
from truecount.model.names import shown
from truecount.model.stock import goods
from truecount.reconciliation.breaker import Breaker
from truecount.reconciliation.plan import Plan
from truecount.reconciliation.preview import LinePreview, PlanPreview
from truecount.reconciliation.repairs import Repaired


@guarded
def repair(
    *,
    file: PlanFile = None,
    approved_by: ApprovedBy = None,
    preview: Preview = False,
    kinds: OnlyKinds = None,
    skus: OnlySkus = None,
    locations: OnlyAt = None,
    lines: OnlyLines = None,
    certainties: OnlyCertainties = None,
    limits: BreakerLimits = None,
    show: ShownPlan = None,
    undo: UndonePlan = None,
    reason: Why = None,
    actor: Who = None,
    limit: Listed = 50,
    db: Db = None,
    tenant: Tenant = "main",
    as_json: Json = False,
) -> None:
    """
    Show a plan of reconcile; write it, or take it back.

    It is written only with --approved-by, each line at most once: what it rests on is checked
    again, and a line that no longer holds is skipped. Writing the same plan again changes
    nothing. Exit code 1 while lines wait for approval, were skipped, or are to be done by
    somebody else.
    """
    asked = Asked(file=file, show=show, undo=undo, reason=reason, actor=actor)
    asked.check(approved_by)
    screen = Screen(as_json=as_json)
    if file is None:
        with ledger(db, tenant, read_only=undo is None) as inventory:
            done = asked.looked_up(inventory)
        _tell_repaired(screen, done, limit)
        screen.data(_plain(done.plan, None, done))
        is_open = bool(done.applied if undo is not None else done.skipped or done.outside)
        raise typer.Exit(Code.LOOK if is_open else Code.OK)
    breaker = _breaker(limits)
    plan = _only(
        plan_in(file),
        kinds=kinds,
        skus=skus,
        locations=locations,
        ids=lines,
        certainties=certainties,
    )
    looked = plan.preview()
    _tell_plan(screen, plan, looked, limit)
    is_written = approved_by is not None and bool(plan.written) and not preview
    with ledger(db, tenant, read_only=not is_written) as inventory:
        if approved_by is not None and is_written:
            result: Repaired | None = inventory.repair(
                plan, approved_by=approved_by, breaker=breaker
            )
        else:
            result = _known(inventory, plan.id)
    if result is None:
        _tell_waiting(screen, plan)
    else:
        _tell_repaired(screen, result, limit, is_new=is_written and not result.replayed)
    screen.data(_plain(plan, looked, result))
    if plan.outside or _is_waiting(plan, result):
        raise typer.Exit(Code.LOOK)


@attrs.frozen(kw_only=True)
class Asked:
    """What is to be done: with a plan in a file, or with one that was approved before."""

    file: Path | None
    show: str | None
    undo: str | None
    reason: str | None
    actor: str | None

    def check(self, approved_by: str | None) -> None:
        """Raise unless exactly one thing is asked for, with all it needs and nothing else."""
        named = [each for each in (self.file, self.show, self.undo) if each is not None]
        if len(named) != 1:
            seen = "nothing" if not named else "more than one of them"
            raise InvalidArgument("repair with", seen, "PLAN.json, --show or --undo")
        if self.undo is not None and self.reason is None:
            raise InvalidArgument("--undo", "alone", "--reason as well: why")
        if self.undo is None and (self.reason is not None or self.actor is not None):
            raise InvalidArgument("--reason and --actor", "without --undo", "--undo as well")
        if self.file is None and approved_by is not None:
            raise InvalidArgument("--approved-by", "without a plan", "PLAN.json as well")

    def looked_up(self, inventory: Inventory) -> Repaired:
        """Return what became of a plan that was approved, after taking it back if asked to."""
        if self.undo is not None:
            return inventory.undo_repair(self.undo, reason=self.reason or "", actor=self.actor)
        return inventory.repaired(self.show or "")


def plan_in(file: Path) -> Plan:
    """
    Return the plan that ``reconcile --plan`` wrote, every line checked.

    Raises:
        InvalidData: It cannot be read, is no plan, or was changed since.
    """
    try:
        data = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise InvalidData(str(file), error.strerror or str(error)) from error
    except (ValueError, RecursionError) as error:
        raise InvalidData(str(file), f"it is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise InvalidData(str(file), "it is no plan, as `truecount reconcile --plan` writes it")
    try:
        return Plan.from_dict(data)
    except InvalidRequest as error:
        error.add_note(f"it is in {file}")
        raise


def _only(plan: Plan, **chosen: Collection[str] | None) -> Plan:
    """Return the chosen lines of *plan*; a SKU or place it does not have is a slip."""
    has = {"skus": {line.sku for line in plan.lines}, "locations": {line.at for line in plan.lines}}
    for name, option in (("skus", "--only-sku"), ("locations", "--only-at")):
        for each in chosen[name] or ():
            if each not in has[name]:
                raise InvalidArgument(option, shown(each), f"one of the {name} of this plan")
    if not any(chosen.values()):
        return plan
    return plan.only(**{name: values or None for name, values in chosen.items()})


def _breaker(limits: Sequence[str] | None) -> Breaker:
    """Return the limits of one repair, those named set to what they are named."""
    chosen: dict[str, Any] = {}
    for each in limits or ():
        name, _, value = each.partition("=")
        is_number = value.isascii() and value.isdecimal()
        if name not in LIMITS or name in chosen or not (is_number or value == NO_LIMIT):
            allowed = f"LIMIT=N or LIMIT={NO_LIMIT}, each once, with one of {', '.join(LIMITS)}"
            raise InvalidArgument("--breaker", shown(each), allowed)
        chosen[name] = int(value) if is_number else None
    return attrs.evolve(Breaker(), **chosen)


def _known(inventory: Inventory, plan_id: str) -> Repaired | None:
    """Return what became of a plan, None if nobody approved it."""
    try:
        return inventory.repaired(plan_id)
    except UnknownReference:
        return None


# --- telling ----------------------------------------------------------------------------


def _tell_plan(screen: Screen, plan: Plan, looked: PlanPreview, limit: int) -> None:
    """Print what writing a plan would change, and what is left to others."""
    if looked.lines:
        known = {line.id: line.certainty or "" for line in plan.lines}
        screen.table(
            (
                *text("line", "sku", "location", "lot"),
                *numbers("change", "on hand", "sellable"),
                *text("certainty", "orders at risk"),
            ),
            [_row(each, known[each.id]) for each in looked.lines[: limit or None]],
        )
        screen.gap()
    others = [f"outside: {line.sentence}" for line in plan.outside]
    others += [
        f"left out: {_times(each.number)}{each.sku or each.source}: {each.reason}"
        for each in plan.left
    ]
    for said in others[: limit or None]:
        screen.say(said, style="dim", hang=5)
    hidden = [len(several) - limit for several in (looked.lines, others) if limit]
    if any(each > 0 for each in hidden):
        screen.say(f"and {sum(each for each in hidden if each > 0)} more")
    screen.say(
        f"{plan.id}: {_several(len(looked.lines))} to write ({looked.gained} gained, "
        f"{looked.lost} lost), {len(plan.outside)} to do outside"
    )


def _times(number: int) -> str:
    return "" if number == 1 else f"{number} x "


def _several(count: int) -> str:
    return f"{count} {'line' if count == 1 else 'lines'}"


def _row(each: LinePreview, certainty: str) -> list[object]:
    key = each.key
    figures = [f"{before} -> {after}" for before, after in (each.on_hand, each.sellable)]
    change = f"{each.change:+d}"
    at_risk = ", ".join(each.at_risk)
    return [each.id, key.sku, key.location, key.lot, change, *figures, certainty, at_risk]


def _tell_waiting(screen: Screen, plan: Plan) -> None:
    if plan.written:
        screen.say("nothing was written; approve it with --approved-by NAME", style="yellow")
    else:
        screen.say("there is nothing to write", style="green")


def _tell_repaired(screen: Screen, done: Repaired, limit: int, *, is_new: bool = True) -> None:
    """Print what became of the lines of an approved plan."""
    keys = {line.id: goods(line.key) for line in done.plan.written}
    for id_, why in list(done.skipped.items())[: limit or None]:
        screen.say(f"skipped {keys[id_]}: {why}", style="yellow", hang=5)
    if not is_new:
        again = "; what was taken back is not written again, compare anew" if done.undone else ""
        screen.say(f"nothing was written now: every line was decided before{again}")
    stand = "stands" if len(done.applied) == 1 else "stand"
    screen.say(
        f"{done.plan.id}, approved by {done.approved_by} at {done.approved_at:%Y-%m-%d %H:%M:%S} "
        f"UTC: {_several(len(done.applied))} {stand}, {len(done.skipped)} skipped, "
        f"{len(done.undone)} taken back, {len(done.outside)} to do outside",
        style="yellow" if done.skipped or done.outside else "green",
    )


def _is_waiting(plan: Plan, done: Repaired | None) -> bool:
    """Return whether a line to be written does not stand."""
    return bool(plan.written if done is None else done.skipped or done.undone)


def _plain(plan: Plan, looked: PlanPreview | None, done: Repaired | None) -> dict[str, Any]:
    return {
        "plan": plan.id,
        "preview": None if looked is None else looked.to_dict(),
        "repaired": None if done is None else done.to_dict(),
    }
