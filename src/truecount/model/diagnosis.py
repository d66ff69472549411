"""
What a doctor says of a storage: checks of its database, each with what was seen and why it matters.

Plain values: nothing here looks at a database. ``storage.doctor()`` does, and
``truecount doctor`` prints them.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import attrs


class Verdict(Enum):
    """What a check came to."""

    SAFE = "safe"
    #: Nothing is at risk, but somebody may want to know.
    NOTE = "note"
    #: A count, or what was acknowledged, may be lost or wrong.
    UNSAFE = "unsafe"


@attrs.frozen
class HealthCheck:
    """One thing looked at: its name, what was seen, the verdict, and why."""

    name: str
    seen: str
    verdict: Verdict
    #: Why it matters and what to do; empty where it is safe.
    why: str = ""

    def __str__(self) -> str:
        """
        Return the check as a sentence.

        >>> str(HealthCheck("fsync", "off", Verdict.UNSAFE, "a crash loses commits; set it on"))
        'fsync is off: a crash loses commits; set it on'
        """
        return f"{self.name} is {self.seen}{f': {self.why}' if self.why else ''}"


@attrs.frozen(kw_only=True)
class Diagnosis:
    """
    All checks of one storage.

    >>> check = HealthCheck("fsync", "off", Verdict.UNSAFE, "a crash loses commits; set it on")
    >>> Diagnosis(target="shop", checks=(check,)).is_safe
    False
    """

    #: The database, as messages call it.
    target: str
    checks: tuple[HealthCheck, ...]

    @property
    def is_safe(self) -> bool:
        """Whether nothing is unsafe."""
        return not self.unsafe

    @property
    def unsafe(self) -> tuple[HealthCheck, ...]:
        """What may cost a count or an acknowledged write."""
        return tuple(check for check in self.checks if check.verdict is Verdict.UNSAFE)

    def to_dict(self) -> dict[str, Any]:
        """Return the diagnosis as plain data."""
        return {
            "target": self.target,
            "safe": self.is_safe,
            "checks": [
                {**attrs.asdict(check), "verdict": check.verdict.value} for check in self.checks
            ],
        }


def told(name: str, seen: str, why: str = "", *, unsafe: bool = False) -> HealthCheck:
    """
    Return a check: unsafe if so, a note if there is something to say, else safe.

    >>> told("journal mode", "wal").verdict
    <Verdict.SAFE: 'safe'>
    """
    verdict = Verdict.UNSAFE if unsafe else Verdict.NOTE if why else Verdict.SAFE
    return HealthCheck(name, seen, verdict, why)
