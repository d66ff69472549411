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

from collections.abc import Sequence

from truecount.errors import (
    KeyTaken,
    TrueCountError,
)
from truecount.model.outcomes import OutcomeRow
from truecount.protocols.storage import Changes, Locked, Wants
from truecount.storage.postgres import joining as sql
from truecount.storage.postgres import statements as plain
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
        plainly: Whether to keep to plain statements.
    """

    def __init__(self, session: Session, tenant: str, *, plainly: bool) -> None:
        super().__init__(session, tenant)
        self._is_plain = plainly

    def recall(self, wants: Wants) -> Locked | None:
        """Return None: a guess that is wrong fails, which would be the end of the host's work."""
        return None

    def lock(self, wants: Wants) -> Locked:
        """Lock orders, stock rows, documents, each sorted; then read what hangs on them."""
        return self._locked(wants, make=True) or self._fail(VANISHED)

    def write(self, changes: Changes) -> None:
        """Write all of *changes*, or nothing where one of their keys is taken."""
        plainly = self._is_plain or not changes.outcomes
        try:
            taken = self._put_plainly(changes) if plainly else self._put_at_once(changes)
        except TrueCountError:
            self._spoil()  # What the driver did not even send has failed nothing there.
            raise
        if taken:
            raise KeyTaken(min(taken))

    def _put_at_once(self, changes: Changes) -> set[str]:
        rows = rows_of(changes)
        tables = tuple([table for table in sql.PUT_IF_FREE if rows[table]])
        others = [rows[table] for table in tables]
        asked = rows["outcome"]
        statement = sql.unless_taken(tables)
        put = self._session.rows(statement, self._tenant, asked, len(asked), *others)
        return self._taken(changes.outcomes, put)

    def _put_plainly(self, changes: Changes) -> set[str]:
        """Put outcomes first, so that a taken key stops the rest before it began."""
        if changes.outcomes:
            asked = list(changes.outcomes)
            put = self._session.rows(plain.PUT_UNLESS_TAKEN, self._tenant, asked)
            if taken := self._taken(changes.outcomes, put):
                return taken
        others = self._puts(changes._replace(outcomes=()))
        if others:
            self._session.together(*others)
        return set()

    def _taken(self, outcomes: Sequence[OutcomeRow], put: list[Row]) -> set[str]:
        """Return which keys were taken, having taken back what was put beside them."""
        taken = {row.key for row in outcomes}.difference([key for (key,) in put])
        if taken:
            self._session.run(plain.DROP_OUTCOMES, self._tenant, put)
        return taken
