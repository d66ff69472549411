"""Files a command makes: only new ones, so that nobody's work is ever replaced."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from truecount.errors import InvalidArgument, InvalidData
from truecount.model.names import shown


def check_new(**paths: Path | None) -> None:
    """
    Raise if one of *paths*, by the name of its option, is there already, or is named twice.

    Asked before the work begins, so that no half of it is done.

    Raises:
        InvalidArgument: It is; the option is named.
    """
    taken: set[Path] = set()
    for option, path in paths.items():
        if path is None:
            continue
        if path.exists() or path.absolute() in taken:
            raise _taken(f"--{option}", path)
        taken.add(path.absolute())


@contextmanager
def new_file(option: str, path: Path, *, encoding: str = "utf-8") -> Iterator[TextIO]:
    """
    Open a new file for writing, its lines ended as they are written.

    Raises:
        InvalidArgument: There is one with this name.
        InvalidData: It cannot be written.
    """
    try:
        with path.open("x", encoding=encoding, newline="") as stream:
            yield stream
    except FileExistsError as error:
        raise _taken(option, path) from error
    except OSError as error:
        raise InvalidData(str(path), error.strerror or str(error)) from error


def _taken(option: str, path: Path) -> InvalidArgument:
    return InvalidArgument(option, shown(str(path)), "a file that is not there yet")
