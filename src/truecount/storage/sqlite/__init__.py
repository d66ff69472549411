"""
Ledgers in one SQLite file: the embedded default, and a host's transaction on the same file.

``storage``      the way in; ``joining`` a host's transaction
``unit``         writes; ``reader`` reads; ``statements`` of both, ``schema`` the tables
``connections``  to one file, across threads and forks; ``session`` one of them in use
``doctor``       whether the file keeps what it acknowledged
"""

from __future__ import annotations

from truecount.storage.sqlite.storage import SQLiteStorage


__all__ = ["SQLiteStorage"]
