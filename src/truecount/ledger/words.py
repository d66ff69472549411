"""
The words every operation may carry, typed once for all methods that pass them on.

``key`` names this attempt (a request id): repeating the call with it is safe.
``reference`` names the document (order, parcel, purchase order). ``reason``, ``actor``
(who) and ``origin`` (which system) are kept with the movement. ``occurred_at`` is when it
happened, if not now; it may be back-dated. A method that has one of them as an argument of
its own takes the others.
"""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict


class KeyedWords(TypedDict, total=False):
    """For methods whose reference and key are arguments of their own."""

    reason: str | None
    actor: str | None
    origin: str | None
    occurred_at: datetime | None


class OwnedWords(KeyedWords, total=False):
    """For methods whose reference is an argument of its own."""

    key: str | None


class Words(OwnedWords, total=False):
    """For methods that need none of them."""

    reference: str | None


class ExplainedWords(TypedDict, total=False):
    """For methods whose reason is an argument of its own."""

    key: str | None
    reference: str | None
    actor: str | None
    origin: str | None
    occurred_at: datetime | None
