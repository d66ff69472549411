"""
What others implement: a storage, a clock, a source of ids, an observer.

Import from here to write an adapter; adapters need nothing else but public facts from
``truecount.model`` and ``truecount.errors``.
"""

from __future__ import annotations

from truecount.protocols.storage import (
    Changes,
    Locked,
    Patient,
    Reader,
    Record,
    Storage,
    Unit,
    Wants,
)
from truecount.protocols.system import Clock, Committed, IdFactory, Observer


__all__ = [
    "Changes",
    "Clock",
    "Committed",
    "IdFactory",
    "Locked",
    "Observer",
    "Patient",
    "Reader",
    "Record",
    "Storage",
    "Unit",
    "Wants",
]
