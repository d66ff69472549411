"""The words every operation may carry, typed once for all methods that pass them on."""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict


class Words(TypedDict, total=False):
    """
    What any operation may carry.

    ``key`` names this attempt (a request id): repeating the call with it is safe.
    ``reference`` names the document (order, parcel, purchase order). ``reason``, ``actor``
    (who) and ``origin`` (which system) are kept with the movement. ``occurred_at`` is when
    it happened, if not now; it may be back-dated.
    """

    key: str | None
    reference: str | None
    reason: str | None
    actor: str | None
    origin: str | None
    occurred_at: datetime | None


class OwnedWords(TypedDict, total=False):
    """The same for operations whose reference is an argument of its own."""

    key: str | None
    reason: str | None
    actor: str | None
    origin: str | None
    occurred_at: datetime | None
