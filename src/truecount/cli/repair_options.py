"""What can be asked of ``repair``: its options, in the order its help lists them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, TypeAlias

import attrs
import typer

from truecount.reconciliation.breaker import Breaker


#: What a limit of the breaker is set to for none.
NO_LIMIT: Final = "none"
LIMITS: Final = tuple(field.name for field in attrs.fields(Breaker))


PlanFile: TypeAlias = Annotated[
    Path | None,
    typer.Argument(metavar="PLAN.json", help="What reconcile --plan wrote.", show_default=False),
]
ApprovedBy: TypeAlias = Annotated[
    str | None, typer.Option(metavar="NAME", help="Who looked at it: write it.")
]
Preview: TypeAlias = Annotated[bool, typer.Option("--preview", help="Only look, whatever else.")]
OnlyKinds: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--only-kind", metavar="KIND", help="Only mismatches of it; repeatable."),
]
OnlySkus: TypeAlias = Annotated[
    list[str] | None, typer.Option("--only-sku", metavar="SKU", help="Only it; repeatable.")
]
OnlyAt: TypeAlias = Annotated[
    list[str] | None, typer.Option("--only-at", metavar="LOCATION", help="Only there.")
]
OnlyLines: TypeAlias = Annotated[
    list[str] | None, typer.Option("--only-line", metavar="ID", help="Only this line.")
]
OnlyCertainties: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--only-certainty", metavar="WORD", help="Only what is explained so: confident, ..."
    ),
]
BreakerLimits: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--breaker", metavar="LIMIT=N", help=f"{', '.join(LIMITS)}; N or {NO_LIMIT}."),
]
ShownPlan: TypeAlias = Annotated[
    str | None, typer.Option(metavar="PLAN-ID", help="Show what became of a plan.")
]
UndonePlan: TypeAlias = Annotated[
    str | None, typer.Option(metavar="PLAN-ID", help="Take every line of it back.")
]
Why: TypeAlias = Annotated[
    str | None, typer.Option(metavar="TEXT", help="With --undo: why, for the history.")
]
Who: TypeAlias = Annotated[
    str | None, typer.Option(metavar="NAME", help="With --undo: who takes it back.")
]
Listed: TypeAlias = Annotated[
    int, typer.Option(metavar="N", min=0, help="Lines to list; 0 for all.")
]
