"""``demo``: a month in a small shop, in a second."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import attrs
import typer

from truecount.cli.checking import show_finding, show_verification
from truecount.cli.demo_shop import build, tell_all
from truecount.cli.options import Code, Json, guarded
from truecount.cli.output import Screen
from truecount.errors import InvalidArgument
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
    as_json: Json = False,
) -> None:
    """
    Tell a month in a small shop where everything goes wrong.

    It ends with a true count. The same seed tells the same story, word for word.
    TRUECOUNT_DB is not used.
    """
    screen = Screen(as_json=as_json)
    with (
        _place(db, keep=keep, screen=screen) as path,
        # A story can be told again: no reader waits for a slow disk after each sentence.
        closing(SQLiteStorage(path, synchronous="NORMAL")) as storage,
    ):
        shop = build(storage, seed, screen)
        tell_all(shop)
        left = shop.inventory.findings().open
        screen.gap()
        screen.say("What is left to do", style="bold")
        for finding in left:
            show_finding(screen, finding, with_id=False)
        verification = shop.inventory.verify()
        screen.gap()
        show_verification(screen, verification)
    screen.data(
        {
            "seed": seed,
            "chapters": shop.chapters,
            "open": [finding.to_dict() for finding in left],
            "verification": {"ok": verification.ok, **attrs.asdict(verification)},
        }
    )
    if not verification.ok:
        raise typer.Exit(Code.LOOK)


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
