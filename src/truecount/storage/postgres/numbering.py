"""
Giving positions to the movements that were committed and have none.

One pass at a time, under the tenant's row of ``head``. A movement that extends a version was
begun after the one that made that version was committed, so it is seen by no earlier pass
than that one, and in the same pass its time is the later one. A pass that failed may be
repeated: what it numbered is then no longer waiting.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from truecount.errors import Retryable, TrueCountError
from truecount.storage.postgres import statements as sql
from truecount.storage.postgres.session import Session


def number(
    session: Session,
    tenant: str,
    begin: Sequence[str],
    patience: Callable[[], Callable[[TrueCountError], bool]],
) -> None:
    """Give positions to what waits, before *session* begins its own transaction."""
    with session.apart():
        waiting = session.rows(sql.ONE_UNNUMBERED, tenant)
    goes_on = None
    while waiting:
        try:
            with session.apart(begin):
                session.together(
                    (sql.MAKE_HEAD, (tenant,)),
                    (sql.LOCK_HEAD, (tenant,)),
                    (sql.NUMBER, (tenant,)),
                    (sql.DEQUEUE, (tenant,)),
                    (sql.MOVE_HEAD, (tenant,)),
                    ("COMMIT", ()),
                )
            return
        except Retryable as problem:
            session.again()
            goes_on = goes_on or patience()
            if not goes_on(problem):
                raise
