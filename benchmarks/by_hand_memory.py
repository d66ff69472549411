"""
The raw limit in memory: the same records and fingerprints kept in plain dicts.

What somebody would write who knows exactly these two commands, one process, one thread: no
checks of names, no policies, no batches, no lots, no history other than the rows themselves.
Same movement, entry, line, document and outcome for each command, same digests.
"""

from __future__ import annotations

import json
import os
import time
from hashlib import blake2b
from typing import Any, NamedTuple


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _hash(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()


def _new_id() -> str:
    return f"{time.time_ns() // 1_000_000:012x}{os.urandom(8).hex()}"


class _Command(NamedTuple):
    kind: str
    reference: str
    key: str
    fingerprint: str
    now: int


class PlainDicts:
    """Stock, entries, movements, lines, documents and outcomes in dicts."""

    def __init__(self) -> None:
        self.stock: dict[tuple[str, str], list[int]] = {}
        self.entries: dict[tuple[str, str], list[tuple[Any, ...]]] = {}
        self.movements: list[tuple[Any, ...]] = []
        self.positions: dict[str, int] = {}
        self.by_reference: dict[str, list[int]] = {}
        self.lines: dict[tuple[str, int], tuple[Any, ...]] = {}
        self.records: dict[tuple[str, str], str] = {}
        self.outcomes: dict[str, tuple[Any, ...]] = {}

    def receive(self, sku: str, location: str, quantity: int) -> None:
        """Put stock there."""
        self.stock[sku, location] = [quantity, 0, 0, 0, 0, 0, 0, 0]
        self.entries[sku, location] = []

    def reserve(self, sku: str, location: str, quantity: int, reference: str, key: str) -> bool:
        """Hold units if they are there."""
        fingerprint = _hash(_text(["Reserve", reference, sku, quantity, location]))
        known = self.outcomes.get(key)
        if known is not None:
            return bool(known[0] == fingerprint)
        row = self.stock[sku, location]
        if row[0] < quantity:
            return False
        now = time.time_ns() // 1000
        row[0] -= quantity
        row[1] += quantity
        line = (reference, 1, 1, sku, location, quantity, quantity, 0, 0, 0, 0, 0, 0, now + 900)
        self.lines[reference, 1] = line
        self.records["order", reference] = _text({})
        leg = (sku, "", quantity, location, "sellable", location, "held", 1)
        change = (-quantity, quantity, 0, 0, 0, 0, 0, 0)
        self._write(_Command("reserve", reference, key, fingerprint, now), leg, change, line)
        return True

    def confirm(self, reference: str, key: str) -> bool:
        """Turn the hold into an order."""
        fingerprint = _hash(_text(["Confirm", reference]))
        known = self.outcomes.get(key)
        if known is not None:
            return bool(known[0] == fingerprint)
        line = self.lines[reference, 1]
        sku, location, held = line[3], line[4], line[6]
        now = time.time_ns() // 1000
        row = self.stock[sku, location]
        row[1] -= held
        row[2] += held
        line = (*line[:6], 0, held, *line[8:])
        self.lines[reference, 1] = line
        leg = (sku, "", held, location, "held", location, "allocated", 1)
        change = (0, -held, held, 0, 0, 0, 0, 0)
        self._write(_Command("confirm", reference, key, fingerprint, now), leg, change, line)
        return True

    def _write(
        self,
        command: _Command,
        leg: tuple[Any, ...],
        change: tuple[int, ...],
        line: tuple[Any, ...],
    ) -> None:
        kind, reference, key, fingerprint, now = command
        sku, location = leg[0], leg[3]
        entries = self.entries[sku, location]
        version = len(entries) + 1
        movement = _new_id()
        body = _text({"legs": [leg], "extends": [(sku, location, "", version)], "floors": [0]})
        head = f"{movement}\x1f{kind}\x1f{now}\x1f{now}\x1f{reference}\x1f{body}"
        after = tuple(self.stock[sku, location])
        entries.append((version, change, after, movement, now, now, now, 0, 0))
        self.movements.append((movement, kind, now, now, 0, reference, body, _hash(head)))
        self.positions[movement] = len(self.movements)
        self.by_reference.setdefault(reference, []).append(len(self.movements))
        result = _text({"movements": [movement], "result": {"lines": [line]}})
        self.outcomes[key] = (fingerprint, now, None, result)
