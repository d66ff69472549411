"""What commands that read a CSV file say of its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from truecount.cli.csv_rows import Problem
from truecount.cli.output import Screen


def tell_problems(screen: Screen, problems: Sequence[Problem], found: int) -> None:
    """Print the problems that are listed, and how many of all that were found are not."""
    for problem in problems:
        screen.say(str(problem), style="red", hang=2)
    if found > len(problems):
        screen.say(f"and {found - len(problems)} more")


def bad_rows(bad: int, rows: int) -> str:
    """
    Return how many rows are bad, in words.

    >>> bad_rows(1, 3)
    '1 of 3 rows is bad'
    """
    return f"{bad} of {rows_in(rows)} {'is' if bad == 1 else 'are'} bad"


def rows_in(count: int) -> str:
    """Return a number of rows in words."""
    return f"{count} {'row' if count == 1 else 'rows'}"


def as_data(problems: Sequence[Problem]) -> list[Mapping[str, Any]]:
    """Return problems as plain data, for JSON."""
    return [problem._asdict() for problem in problems]
