"""
Text in a CSV file that a spreadsheet shows and does not run. Pure.

A spreadsheet takes a cell that begins with ``=``, ``+``, ``-`` or ``@`` for a formula, and a
formula can send a file elsewhere. An apostrophe before it makes it text (OWASP, CSV
Injection); some languages' spreadsheets read the full-width forms alike, and skip a tab or
a line break before them. Numbers are numbers, and stay as they are.
"""

from __future__ import annotations

from typing import Final


_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 -- these are meant


def harmless(cell: object) -> object:
    """
    Return *cell* as a spreadsheet may have it: text that looks like a formula is made text.

    >>> harmless("=1+1"), harmless(-2), harmless("MUG-1")
    ("'=1+1", -2, 'MUG-1')
    """
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_STARTS) else cell
