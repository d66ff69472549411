"""
Outcomes: what became of a request, stored under its key.

Invariants:
I6  k submissions of one request have one effect and k equal outcomes.
I7  The same key with another request never writes.
I13 A refusal writes nothing but its own outcome.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

import attrs

from truecount.errors import NoMovement, TrueCountError, from_dict
from truecount.model.instants import Instant, to_datetime
from truecount.model.movements import encode
from truecount.model.stock import StockKey, StockRow


#: How long a refusal is remembered: 7 days. What was granted is remembered for ever.
REFUSAL_KEPT: Final[Instant] = 7 * 24 * 3600 * 1_000_000


class OutcomeRow(NamedTuple):
    """An outcome as stored; ``forget_at`` is None for what was granted."""

    key: str
    fingerprint: str
    decided_at: Instant
    forget_at: Instant | None
    body: str


@attrs.frozen(kw_only=True)
class Outcome:
    """
    What became of one operation.

    Attributes:
        key: The idempotency key, the caller's or a minted one.
        decided_at: When it was decided; a replay keeps the first time.
        replayed: Whether this is the stored outcome of an earlier submission.
        movements: Ids of the movements it wrote, in order: what had to be written for it
            (holds reclaimed, refolds at counts it came too late for), then its own, last.
        result: Figures of the document it acted on, as plain data.
        error: Why it was refused or could not be tried; None when granted.
        changes: Stock rows before and after, by stock key; only in a preview.
    """

    key: str
    decided_instant: Instant = attrs.field(repr=False)
    replayed: bool = False
    movements: tuple[str, ...] = ()
    result: Mapping[str, Any] = attrs.field(factory=dict)
    error: TrueCountError | None = None
    changes: Mapping[StockKey, tuple[StockRow, StockRow]] | None = attrs.field(
        default=None, repr=False
    )

    @property
    def decided_at(self) -> datetime:
        """When it was decided, UTC."""
        return to_datetime(self.decided_instant)

    @property
    def granted(self) -> bool:
        """Whether the operation took effect."""
        return self.error is None

    @property
    def movement_id(self) -> str:
        """
        The operation's own movement, the last of ``movements``: what to correct or undo.

        Raises:
            TrueCountError: Whatever it was refused with.
            NoMovement: It was granted and wrote none.
        """
        if not self.check().movements:
            raise NoMovement(self.key)
        return self.movements[-1]

    def check(self) -> Outcome:
        """Return the outcome if it was granted, raise its error otherwise."""
        if self.error is not None:
            raise self.error
        return self


def body_of(
    movements: tuple[str, ...], result: Mapping[str, Any], error: TrueCountError | None
) -> str:
    """Return the stored text of an outcome."""
    if error is not None:
        return encode(error.to_dict())
    return encode(
        {"movements": movements, "result": result} if result else {"movements": movements}
    )


def replay(row: OutcomeRow) -> Outcome:
    """Return a stored outcome as the answer to a repetition."""
    data = json.loads(row.body)
    if "error" in data:
        return Outcome(
            key=row.key, decided_instant=row.decided_at, replayed=True, error=from_dict(data)
        )
    return Outcome(
        key=row.key,
        decided_instant=row.decided_at,
        replayed=True,
        movements=tuple(data["movements"]),
        result=data.get("result", {}),
    )
