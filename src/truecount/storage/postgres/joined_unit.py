"""
A write inside a host's transaction: lock, write, and leave it to the host.

Rules:
1. A taken key must be found without an error of the database, because no savepoint is made.
   So the rest is put only where all outcomes were (``joining``), in one statement; or, where
   statements are to be plain, outcomes go first, alone. Those that were put are taken back.
2. Anything else that fails leaves the transaction aborted, so that the host cannot commit a
   part.
3. Nothing is guessed: a guess that is wrong fails, which would be the end of the host's work.
"""

from __future__ import annotations

from truecount.errors import (
    KeyTaken,
    TrueCountError,
)
from truecount.protocols.storage import Changes, Locked, Wants
from truecount.storage.postgres import joining
from truecount.storage.postgres import statements as sql
from truecount.storage.postgres.rows import rows_of
from truecount.storage.postgres.session import Session
from truecount.storage.postgres.unit import VANISHED, Unit
from truecount.storage.postgres.wire import Row


class JoinedUnit(Unit):
    """
    A part of a host's transaction.

    Args:
        session: The host's connection.
        tenant: Whose ledger it is.
        is_plain: Whether to keep to plain statements.
    """

    def __init__(self, session: Session, tenant: str, *, is_plain: bool) -> None:
        super().__init__(session, tenant)
        self._is_plain = is_plain

    def recall(self, wants: Wants) -> Locked | None:
        """Return None: a guess that is wrong fails, which would be the end of the host's work."""
        return None

    def lock(self, wants: Wants) -> Locked:
        """Lock orders, stock rows, documents, each sorted; then read what hangs on them."""
        return self._locked(wants, make=True) or self._fail(VANISHED)

    def write(self, changes: Changes) -> None:
        """Write all of *changes*, or nothing where one of their keys is taken."""
        put = self._put_one_by_one if self._is_plain or not changes.outcomes else self._put_at_once
        try:
            found = put(changes)
            taken = {row.key for row in changes.outcomes}.difference([key for (key,) in found])
            if taken:  # A refusal whose time had passed, and that was replaced, is not put back.
                self._session.run(sql.DROP_OUTCOMES, self._tenant, found)
        except TrueCountError:
            self._spoil()  # What the driver did not even send has failed nothing there.
            raise
        if taken:
            raise KeyTaken(min(taken))

    def _put_at_once(self, changes: Changes) -> list[Row]:
        """Put all of *changes* if no key is taken; return the keys of outcomes that were put."""
        rows = rows_of(changes)
        tables = tuple([table for table in joining.PUT_IF_FREE if rows[table]])
        outcomes, *others = (rows[table] for table in ("outcome", *tables))
        statement = joining.if_all_free(tables)
        return self._session.rows(statement, self._tenant, outcomes, len(outcomes), *others)

    def _put_one_by_one(self, changes: Changes) -> list[Row]:
        """Do the same by plain statements: outcomes alone, then the rest table by table."""
        outcomes = list(changes.outcomes)
        put = self._session.rows(sql.PUT_UNLESS_TAKEN, self._tenant, outcomes) if outcomes else []
        others = self._puts(changes._replace(outcomes=()))
        if others and len(put) == len(outcomes):
            self._session.together(*others)
        return put
