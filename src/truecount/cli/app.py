"""The commands of the command line, put together."""

from __future__ import annotations

from typing import Annotated

import typer

from truecount.cli.bundles import bundles_app
from truecount.cli.checking import findings, verify
from truecount.cli.counting import counts_app
from truecount.cli.demo import demo
from truecount.cli.doctor import doctor
from truecount.cli.importing import import_csv
from truecount.cli.moving import export, restore
from truecount.cli.options import Code, fail
from truecount.cli.reconciling import reconcile
from truecount.cli.repairing import repair
from truecount.cli.stock import history, locations_app, stock, sweep


app = typer.Typer(
    name="truecount",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _show_version(asked: bool) -> None:
    if not asked:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        print(f"truecount {version('truecount')}")
    except PackageNotFoundError:
        fail("cannot tell the version: truecount runs without being installed", Code.STORAGE)
    raise typer.Exit


@app.callback()
def truecount(
    _version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """
    Stock counts that stay true.

    Every command works on one database: --db FILE, --db postgresql://..., or the
    environment variable TRUECOUNT_DB.

    Exit codes: 0 done; 1 somebody should look (findings, problems, refusals); 2 the call or
    the data is wrong; 3 the storage cannot be used.
    """


app.add_typer(bundles_app, name="bundles")
app.add_typer(counts_app, name="counts")
app.add_typer(locations_app, name="locations")
for _name, _command in (
    ("demo", demo),
    ("doctor", doctor),
    ("export", export),
    ("findings", findings),
    ("history", history),
    ("import", import_csv),
    ("reconcile", reconcile),
    ("repair", repair),
    ("restore", restore),
    ("stock", stock),
    ("sweep", sweep),
    ("verify", verify),
):
    app.command(_name)(_command)
