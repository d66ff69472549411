"""
Ledgers in a PostgreSQL database: writers beside each other, and the host's own transaction.

Needs psycopg and its pool: ``pip install 'truecount[postgres]'``.
"""

from __future__ import annotations


try:
    import psycopg as _psycopg
    import psycopg_pool as _psycopg_pool
except ModuleNotFoundError as _error:
    _error.add_note("PostgresStorage needs psycopg: pip install 'truecount[postgres]'")
    raise

from truecount.storage.postgres.schema import schema_sql
from truecount.storage.postgres.storage import PostgresStorage


__all__ = ["PostgresStorage", "schema_sql"]

del _psycopg, _psycopg_pool
