"""What can be asked of ``reconcile``: its options, in the order its help lists them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, TypeAlias

import typer

from truecount.model.sources import Shown


#: Mismatches that are explained unless somebody asks for more: a few seconds.
EXPLAINED_MAX: Final = 1000


CountsFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(metavar="FILE.csv", help="What was counted: sku, quantity, location."),
]
LevelsFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(metavar="FILE.csv", help="What another system shows: sku, quantity."),
]
SourceName: TypeAlias = Annotated[
    str, typer.Option(metavar="NAME", help="Which system shows the levels.")
]
Shows: TypeAlias = Annotated[
    str | None, typer.Option(metavar="FIGURE", help=f"What it shows: {', '.join(Shown)}.")
]
Complete: TypeAlias = Annotated[
    bool, typer.Option("--complete", help="Its file should list everything in stock.")
]
NoKits: TypeAlias = Annotated[
    bool, typer.Option("--no-kits", help="It sells bundles only as far as they are packed.")
]
AsOf: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="When rows without a time were true; default: now."),
]
Until: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Or at some moment from --as-of until then."),
]
ClockSkew: TypeAlias = Annotated[
    int | None,
    typer.Option(metavar="SECONDS", min=0, help="How far any clock may be off; default: 0."),
]
Lateness: TypeAlias = Annotated[
    int | None,
    typer.Option(metavar="SECONDS", min=0, help="How late any report may come; default: 0."),
]
Listed: TypeAlias = Annotated[
    int, typer.Option(metavar="N", min=0, help="Mismatches to list; 0 for all.")
]
Explained: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--explain/--no-explain",
        help=f"Say what may be behind each; default: up to {EXPLAINED_MAX} mismatches.",
        show_default=False,
    ),
]
CsvOut: TypeAlias = Annotated[
    Path | None, typer.Option(metavar="OUT.csv", help="Write all that is open there, too.")
]
PlanOut: TypeAlias = Annotated[
    Path | None,
    typer.Option(metavar="PLAN.json", help="Write what to do about it, for repair."),
]
HtmlOut: TypeAlias = Annotated[
    Path | None, typer.Option(metavar="OUT.html", help="Write it as a page to look at.")
]
Timelines: TypeAlias = Annotated[
    int, typer.Option(metavar="N", min=0, help="Shelves the page draws over time.")
]
Followed: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="SOURCE", help="Its levels are right: the plan follows them."),
]
