"""Is the count true: ``verify`` and ``findings``."""

from __future__ import annotations

from typing import Annotated

import attrs
import typer

from truecount.cli.options import Code, Db, Json, Tenant, guarded, ledger
from truecount.cli.output import Screen
from truecount.errors import InvalidArgument
from truecount.ledger.verify import Verification
from truecount.reconciliation.findings import Finding


@guarded
def verify(
    *,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="Problems to list.")] = 20,
    expect: Annotated[
        str | None,
        typer.Option(
            metavar="POSITION:DIGEST",
            help="Prove too that nothing changed since this was printed.",
            show_default=False,
        ),
    ] = None,
    db: Db = None,
    tenant: Tenant = "main",
    as_json: Json = False,
) -> None:
    """
    Check that every figure stored is what the ledger says.

    Writes nothing. Exit code 1 when a problem was found.
    """
    screen = Screen(as_json=as_json)
    expected = None if expect is None else _expected(expect)
    with (
        ledger(db, tenant, read_only=True) as inventory,
        screen.progress("verifying") as progress,
    ):
        found = inventory.verify(limit=limit, progress=progress, expected=expected)
    show_verification(screen, found)
    screen.data({"ok": found.ok, **attrs.asdict(found)})
    if not found.ok:
        raise typer.Exit(Code.LOOK)


def _expected(value: str) -> tuple[int, str]:
    position, _, digest = value.partition(":")
    if not (position.isascii() and position.isdigit() and digest):
        raise InvalidArgument("--expect", repr(value), "POSITION:DIGEST, as verify prints it")
    return int(position), digest


def show_verification(screen: Screen, found: Verification) -> None:
    """Print what was checked, the problems, and the verdict."""
    screen.say(
        f"checked {found.movements} movements, {found.entries} entries of {found.keys} keys, "
        f"{found.lines} reservation lines, {found.records} records, {found.outcomes} outcomes"
    )
    screen.say(f"seal {found.position}:{found.digest}")
    for problem in found.problems:
        screen.say(f"- {problem}", style="red", hang=2)
    if found.ok:
        screen.say("the count is true", style="green")
    else:
        listed = len(found.problems)
        more = f" ({listed} of them above)" if listed < found.found else ""
        problems = "problem" if found.found == 1 else "problems"
        screen.say(f"the count is NOT true: {found.found} {problems}{more}", style="bold red")


@guarded
def findings(
    *,
    since: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="Only what is new since cursor N."),
    ] = None,
    dismiss: Annotated[
        str | None, typer.Option(metavar="ID", help="Close this finding first: it was seen to.")
    ] = None,
    actor: Annotated[str | None, typer.Option(metavar="NAME", help="Who dismisses it.")] = None,
    note: Annotated[str | None, typer.Option(metavar="TEXT", help="Why it is fine.")] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Look, and do not write down what was found.")
    ] = False,
    limit: Annotated[
        int, typer.Option(metavar="N", min=0, help="Findings to list; 0 for all.")
    ] = 50,
    db: Db = None,
    tenant: Tenant = "main",
    as_json: Json = False,
) -> None:
    """
    Show what somebody should look at, the most urgent first.

    Exit code 1 while any is open (with --since: while any is new). The cursor at the end is
    for the next --since.
    """
    screen = Screen(as_json=as_json)
    if dismiss is not None:
        _check_dismissal(actor, note, read_only=read_only)
    with ledger(db, tenant, read_only=read_only) as inventory:
        if dismiss is not None:
            inventory.dismiss(dismiss, actor=actor or "", note=note or "")
        report = inventory.findings(since, read_only=read_only)
    for finding in report.open[: limit or None]:
        show_finding(screen, finding)
    for finding in report.closed[: limit or None]:
        screen.say(f"closed: {finding.sentence}", style="dim", hang=8)
    count = len(report.open)
    what = "open" if since is None else "new"
    more = f", the {limit} most urgent are above" if limit and count > limit else ""
    screen.say(f"{count or 'no'} {'finding' if count == 1 else 'findings'} {what}{more}")
    screen.say(f"cursor {report.cursor}")
    screen.data(report.to_dict())
    if report.open:
        raise typer.Exit(Code.LOOK)


def _check_dismissal(actor: str | None, note: str | None, *, read_only: bool) -> None:
    if actor is None or note is None:
        raise InvalidArgument("--dismiss", "alone", "--actor and --note as well: who, and why")
    if read_only:
        raise InvalidArgument("--dismiss", "with --read-only", "one of the two")


def show_finding(screen: Screen, finding: Finding, *, with_id: bool = True) -> None:
    """Print a finding: how urgent, what, what to do."""
    style = "bold red" if finding.urgency >= URGENT else "yellow"
    sentence = finding.sentence[:1].upper() + finding.sentence[1:]
    screen.say(f"[{finding.urgency}] {sentence}.", style=style, hang=5)
    screen.say(f"     {finding.advice}")
    if with_id:
        screen.say(f"     id {finding.id}", style="dim")


#: From here on a finding is shown in red: customers may be disappointed today.
URGENT = 80
