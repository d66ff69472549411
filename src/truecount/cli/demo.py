"""``demo``: a month in a small shop, and what happens around it, in a second."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import attrs
import typer

from truecount.cli.checking import show_finding, show_verification
from truecount.cli.demo_mismatches import tell_the_five
from truecount.cli.demo_shop import build, tell_all
from truecount.cli.options import Code, Json, guarded
from truecount.cli.output import Screen
from truecount.errors import InvalidArgument, InvalidData
from truecount.model.names import shown
from truecount.storage.sqlite import SQLiteStorage


@guarded
def demo(
    *,
    db: Annotated[
        Path | None,
        typer.Option("--db", metavar="FILE", help="A new file to keep the shop in."),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Another story of the same kind.")] = 1,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the temporary file, and say where it is.")
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help="Write the report of what was found there, too."),
    ] = None,
    as_json: Json = False,
) -> None:
    """
    Tell a month in a small shop where everything goes wrong.

    First what is prevented, and what the book finds by itself; then the five mismatches
    between the book and the world: found, explained, repaired. It ends with a true count. The
    same seed tells the same story, word for word. TRUECOUNT_DB is not used.
    """
    screen = Screen(as_json=as_json)
    _check_new(html)
    with (
        _place(db, keep=keep, screen=screen) as path,
        # A story can be told again: no reader waits for a slow disk after each sentence.
        closing(SQLiteStorage(path, synchronous="NORMAL")) as storage,
    ):
        shop = build(storage, seed, screen)
        _begin(screen, "Act one: what is prevented, and what the book finds by itself")
        tell_all(shop)
        _begin(screen, "Act two: what goes wrong between the book and the world")
        act = tell_the_five(shop)
        if html is not None:
            _write(act.page(), html)
        left = shop.inventory.findings().open
        screen.gap()
        screen.say("What is left to do", style="bold")
        for finding in left:
            show_finding(screen, finding, with_id=False)
        verification = shop.inventory.verify()
        screen.gap()
        show_verification(screen, verification)
    if html is not None:
        screen.say(f"the report of what was found is in {html}")
    screen.data(
        {
            "seed": seed,
            "chapters": shop.chapters,
            "mismatches": act.to_dict(),
            "open": [finding.to_dict() for finding in left],
            "verification": {"ok": verification.ok, **attrs.asdict(verification)},
        }
    )
    if not verification.ok:
        raise typer.Exit(Code.LOOK)


def _begin(screen: Screen, title: str) -> None:
    """Begin an act."""
    screen.gap()
    screen.say(title.upper(), style="bold")


def _check_new(html: Path | None) -> None:
    """Refuse a file that is there, before a story is told in vain."""
    if html is not None and html.exists():
        raise InvalidArgument("--html", shown(str(html)), "a file that is not there yet")


def _write(page: str, path: Path) -> None:
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(page)
    except OSError as error:
        raise InvalidData(str(path), error.strerror or str(error)) from error


@contextmanager
def _place(db: Path | None, *, keep: bool, screen: Screen) -> Iterator[Path]:
    """Yield a new file; a temporary one goes again unless it is kept."""
    if db is not None:
        if db.exists():
            raise InvalidArgument("--db", shown(str(db)), "a new file: the demo makes its own shop")
        yield db
        return
    if keep:
        path = Path(tempfile.mkdtemp(prefix="truecount-")) / "demo.db"
        yield path
        screen.say(f"kept in {path}")
        return
    with tempfile.TemporaryDirectory(prefix="truecount-") as folder:
        yield Path(folder) / "demo.db"
