"""
Anchors: the documents of applied counts, and the words of what is refolded at them.

An anchor (space ``anchor``) is the count of one stock key at one moment, in force until it is
undone. Its id sorts as (key, moment, version of the key), so the next one after a moment is a
page of documents away. What late facts have added to its variance are its counters ``gained``
and ``lost``, the fold of the refolds under its id (I2).

Who calls whom: :mod:`truecount.ledger.refolding` writes them, ``verify`` compares them with
the movements, :mod:`truecount.ledger.counted` tells them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from truecount.model.instants import Instant, iso
from truecount.model.kinds import Kind
from truecount.model.movements import Draft, Leg, MovementRow, Tally, encode
from truecount.model.places import STATES, State, adjustment, inside
from truecount.model.stock import StockKey


ANCHOR: Final = "anchor"
#: The one line of an anchor's document, with counters ``gained`` and ``lost``.
REFOLDED: Final = "refolded"
#: How the note of a fact begins that a count may have seen or not.
DURING: Final = "during_count"

#: Makes every instant a natural number of 20 digits, so that ids sort as moments do.
_SHIFT: Final = 2**63
_DIGITS: Final = 20
#: Above every version.
LAST: Final = 10**_DIGITS - 1


class Anchor(NamedTuple):
    """One applied count, as its document says it."""

    id: str
    key: StockKey
    at: Instant
    version: int
    body: dict[str, Any]

    @property
    def since(self) -> Instant:
        """When counting began; the moment itself when it took no time."""
        since: Instant = self.body.get("since", self.at)
        return since

    @property
    def refolded(self) -> int:
        """Units that late facts have added to the variance since."""
        counters = self.body["lines"].get(REFOLDED, {})
        change: int = counters.get("gained", 0) - counters.get("lost", 0)
        return change

    def covered(self, change: Iterable[int]) -> int:
        """Return by how much *change*, a number for each state, moves what was counted."""
        covers = self.body["covers"]
        return sum(
            units for state, units in zip(STATES, change, strict=True) if state.value in covers
        )


# --- names ------------------------------------------------------------------------------


def prefix_of(key: StockKey) -> str:
    """Return what the ids of all anchors of *key* begin with, and of no other key."""
    return encode([*key])[:-1] + ',"'


def _digits(number: int) -> str:
    return str(number).zfill(_DIGITS)


def anchor_id(key: StockKey, at: Instant, version: int) -> str:
    """
    Return the document id of the count that is *version* of its key.

    >>> anchor_id(StockKey("MUG", "berlin"), 0, 2)
    '["MUG","berlin","","09223372036854775808","00000000000000000002"]'
    """
    return encode([*key, _digits(at + _SHIFT), _digits(version)])


def anchor_of(id_: str, body: dict[str, Any]) -> Anchor:
    """Return the anchor a document describes."""
    sku, location, lot, at, version = json.loads(id_)
    return Anchor(id_, StockKey(sku, location, lot), int(at) - _SHIFT, int(version), body)


def moment_of(row: MovementRow) -> Instant:
    """Return when a count vouches for its shelf: never later than it was recorded."""
    return min(row.occurred_at, row.recorded_at)


# --- what is refolded, and what is only said ------------------------------------------------


def refold(anchor: Anchor, units: int, because: Draft, reason: str) -> Draft:
    """Return the movement that changes what *anchor* explained by *units*."""
    key = anchor.key
    shelf, boundary = inside(key.location, State.SELLABLE), adjustment(anchor.body["reason"])
    source, target = (boundary, shelf) if units > 0 else (shelf, boundary)
    field = "gained" if units > 0 else "lost"
    return Draft(
        Kind.REFOLD,
        (Leg(key.sku, key.lot, abs(units), source, target),),
        anchor.at,
        guarded=False,
        reference=anchor.id,
        reason=reason,
        actor=because.actor,
        origin=because.origin,
        tallies=(Tally(ANCHOR, anchor.id, REFOLDED, field, abs(units)),),
    )


def _said(anchor: Anchor, draft: Draft, units: int) -> str:
    key = anchor.key
    lot = f" lot {key.lot}" if key.lot else ""
    return f"{units:+d} of {key.sku} at {key.location}{lot} ({draft.kind.value})"


def during(anchor: Anchor, draft: Draft, units: int) -> str:
    """Return the note of a fact that occurred while its shelf was counted."""
    return (
        f"{DURING}: {_said(anchor, draft, units)} occurred at {iso(draft.occurred_at)}, while "
        f"it was counted ({iso(anchor.since)} to {iso(anchor.at)}), and was recorded after that"
    )


def near(anchor: Anchor, draft: Draft, units: int, doubt: Instant) -> str:
    """Return the note of a fact that may have occurred on either side of a count."""
    seconds = doubt / 1_000_000
    return (
        f"{DURING}: {_said(anchor, draft, units)} occurred at {iso(draft.occurred_at)} by a "
        f"clock that may be {seconds:g} seconds off, it was counted at {iso(anchor.at)}, and the "
        "fact was recorded after that"
    )


def before(anchor: Anchor, draft: Draft, units: int) -> str:
    """Return the note of a fact from before a count that the shop wants to look into."""
    return (
        f"before_count: {_said(anchor, draft, units)} occurred at {iso(draft.occurred_at)}, before "
        f"it was counted at {iso(anchor.at)}, and was recorded after that (rule: late=report)"
    )
