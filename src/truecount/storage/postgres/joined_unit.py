"""
A write inside a host's transaction: lock, write, and leave it to the host.

Rules:
1. A taken key must be found without an error of the database, because no savepoint is made:
   outcomes go first, alone, and one of ours is taken back.
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
from truecount.storage.postgres import statements as sql
from truecount.storage.postgres.unit import VANISHED, Unit


class JoinedUnit(Unit):
    """A part of a host's transaction."""

    def recall(self, wants: Wants) -> Locked | None:
        """Return None: a guess that is wrong fails, which would be the end of the host's work."""
        return None

    def lock(self, wants: Wants) -> Locked:
        """Lock orders, stock rows, documents, each sorted; then read what hangs on them."""
        return self._locked(wants, make=True) or self._fail(VANISHED)

    def write(self, changes: Changes) -> None:
        """Write all of *changes*; outcomes first, so that a taken key stops it before it began."""
        if changes.outcomes:
            self._put_outcomes(changes.outcomes)
        others = self._puts(changes._replace(outcomes=()))
        if not others:
            return
        try:
            self._session.together(*others)
        except TrueCountError:
            self._spoil()  # What the driver did not even send has failed nothing there.
            raise

    def _put_outcomes(self, outcomes: Sequence[OutcomeRow]) -> None:
        put = self._session.rows(sql.PUT_UNLESS_TAKEN, self._tenant, list(outcomes))
        taken = {row.key for row in outcomes} - {key for (key,) in put}
        if taken:
            self._session.run(sql.DROP_OUTCOMES, self._tenant, put)
            raise KeyTaken(min(taken))
