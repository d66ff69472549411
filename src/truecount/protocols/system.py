"""What the core is given instead of reaching for it: a clock, ids, somebody to tell."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeAlias

import attrs

from truecount.model.outcomes import Outcome


#: Returns the current time, aware. It may jump; the ledger never goes back on a key.
Clock: TypeAlias = Callable[[], datetime]

#: Returns a new id: text, at most 200 characters, never returned before.
IdFactory: TypeAlias = Callable[[], str]


@attrs.frozen(kw_only=True)
class Committed:
    """One write has been committed: its outcomes, in order, and how long it took."""

    tenant: str
    outcomes: tuple[Outcome, ...]
    seconds: float


#: Called after each commit of the library's own transactions, in the committing thread.
#: An exception it raises reaches the caller although everything was written.
Observer: TypeAlias = Callable[[Committed], None]
