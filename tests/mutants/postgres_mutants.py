"""
Mistakes one could make in the PostgreSQL storage, and the check that must notice each.

Run one, ``python -m tests.mutants.postgres_mutants "feed by xid"``, or the code as it is,
without a name: every killer must let it live. ``TRUECOUNT_PG_DSN`` names a server; the killer
that stops one starts its own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from tests.mutants.mutants import Edit, Mutant
from tests.mutants.run import main


_UNIT = "        return OwnUnit(self._connections, tenant, self._memory)\n"


def _edits(killer: str, *edits: tuple[str, str, str]) -> Mutant:
    return Mutant(
        killer,
        tuple(Edit(f"truecount.storage.postgres.{module}", old, new) for module, old, new in edits),
    )


def _before_lock(*lines: str) -> tuple[str, str, str]:
    """Let a unit of our own do something with what it wants before it locks that."""
    early = "".join(f"            {line}\n" for line in lines)
    unit = _UNIT.replace("return", "unit =")
    new = f"{unit}        lock = unit.lock\n        def early(wants):\n{early}"
    return "storage", _UNIT, f"{new}        unit.lock = early\n        return unit\n"


MUTANTS: dict[str, Mutant] = {
    "lock order dropped": _edits(
        "opposite_carts",
        _before_lock(
            "from random import sample",
            "keys = [key for key, _ in unit.stock()]",
            "for key in sample(keys, len(keys)):",
            "    lock(protocol.Wants(keys={key}))",
            "return lock(wants)",
        ),
    ),
    "decided before the lock": _edits(
        "lock_waits_and_reads_anew",
        _before_lock(
            "seen = dict(unit.stock())",
            "locked = lock(wants)",
            "return locked._replace(rows={key: seen.get(key, row) for key, row in locked.rows.items()})",
        ),
    ),
    "hold lines at the pre-lock snapshot": _edits(
        "expired_hold_after_a_wait",
        _before_lock(
            "lines = [line for key, _ in unit.stock() for line in unit.open_lines(key)]",
            "unit.due = lambda enough, now: [",
            "    line for line in lines if line.key in enough and line.has_expired(now)",
            "]",
            "return lock(wants)",
        ),
    ),
    "synchronous_commit off": _edits(
        "acknowledged_survives_a_crash",
        (
            "beginning",
            "lock_timeout), *_PLAN)",
            'lock_timeout), *_PLAN, "SET SESSION synchronous_commit = off")',
        ),
    ),
    "feed by xid": _edits(
        "oldest_transaction_commits_last",
        (
            "statements",
            "ORDER BY u.recorded_at, u.ordinal, u.movement",
            "ORDER BY u.xmin::text::bigint, u.ordinal, u.movement",
        ),
    ),
}

#: What a guess is not asked for, each of which another process may have changed.
_GUESSES = {
    "remembered stock not compared": ("({_same(STOCK)}) IS NOT TRUE", "false"),
    "remembered stock compared by version": ("{_same(STOCK)}", "s.version = w.version"),
    "remembered stock not locked": ("FOR NO KEY UPDATE NOWAIT", ""),
    "stock elsewhere not looked for": (
        "WHERE found <> cardinality",
        "WHERE found > cardinality",
    ),
    "remembered rules not compared": ("({_same(RECORD)}) IS NOT TRUE", "false"),
    "remembered rules not locked": ("FOR SHARE NOWAIT", ""),
    "order taken for new": ("WHEN t.version = 0 THEN", "WHEN true THEN"),
    "lines taken for new": (
        '_has_come("line", "reference")',
        '_has_come("line", "reference").replace("THEN", "AND false THEN")',
    ),
    "key taken for new": (
        '_has_come("outcome", "key")',
        '_has_come("outcome", "key").replace("THEN", "AND false THEN")',
    ),
}
MUTANTS |= {name: _edits("others_are_seen", ("proving", *edit)) for name, edit in _GUESSES.items()}
_BESIDE_A_TAKEN_KEY = {
    "movements": ("MOVEMENT, also=_FREE)", "MOVEMENT)"),
    "entries": ("ENTRY, also=_FREE)", "ENTRY)"),
    "stock": ('"sku, location, lot"), _FREE)', '"sku, location, lot"))'),
    "lines": ('"reference, number"), _FREE)', '"reference, number"))'),
    "documents": ("put_record(_FREE)", "put_record()"),
    "everything": ("FROM put_outcome)) = %s", "FROM put_outcome)) <= %s"),
}
MUTANTS |= {
    f"{what} put beside a taken key": _edits(
        "taken_key_leaves_nothing_beside_it", ("joining", *edit)
    )
    for what, edit in _BESIDE_A_TAKEN_KEY.items()
}
MUTANTS |= {
    "plain statements put beside a taken key": _edits(
        "taken_key_leaves_nothing_beside_it",
        ("joined_unit", "if others and len(put) == len(outcomes):", "if others:"),
    ),
    "wrong answers told without a proof": _edits(
        "others_are_seen",
        ("own_unit", "isinstance(error, Exception) and not", "False and not"),
    ),
    "right answers told without a proof": _edits(
        "others_are_seen",
        (
            "session",
            "if self.is_fresh and self.is_proven:",
            "if self.is_fresh and not self._last:",
        ),
    ),
}


@contextmanager
def _killers() -> Iterator[dict[str, Callable[[], object]]]:
    from tests.mutants.postgres_killers import KILLERS, server

    with server() as dsn:
        yield {name: partial(killer, dsn) for name, killer in KILLERS.items()}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], MUTANTS, _killers))
