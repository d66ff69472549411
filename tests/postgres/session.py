"""One psycopg connection, speaking our errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import errors
from psycopg.rows import tuple_row

from truecount.errors import ConstraintViolated, Retryable, StorageUnavailable, TrueCountError


#: Serialization failure, deadlock, lock not available in time.
BUSY = frozenset({"40001", "40P01", "55P03"})


def translated(error: psycopg.Error, schema: str) -> TrueCountError:
    """Return the driver's error as one of ours."""
    text = str(error).partition("\n")[0] or type(error).__name__
    if error.sqlstate in BUSY:
        return Retryable(text)
    if isinstance(error, (errors.IntegrityError, errors.DataError)):
        return ConstraintViolated(text)
    return StorageUnavailable(schema, text)


class Session:
    """One connection, speaking our errors; ``{s}`` in a statement is the schema."""

    def __init__(self, connection: psycopg.Connection[Any], schema: str) -> None:
        self.connection = connection
        self.schema = schema

    def run(self, statement: str, *values: object) -> psycopg.Cursor[tuple[Any, ...]]:
        """Execute one statement."""
        try:
            cursor = self.connection.cursor(row_factory=tuple_row)
            return cursor.execute(statement.replace("{s}", self.schema).encode(), values)
        except psycopg.Error as error:
            raise translated(error, self.schema) from error

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Execute one statement and return all its rows."""
        return self.run(statement, *values).fetchall()

    def many(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        """Execute a statement for each row, in few round trips."""
        if rows:
            try:
                text = statement.replace("{s}", self.schema).encode()
                self.connection.cursor().executemany(text, rows)
            except psycopg.Error as error:
                raise translated(error, self.schema) from error
