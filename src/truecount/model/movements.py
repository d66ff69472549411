"""
Movements and their legs: what happened, immutable, whole or not at all.

Two shapes of one thing. Inside, a movement to be posted is a :class:`Draft` and a stored
one a :class:`MovementRow`: flat tuples that storages keep without looking into ``body``.
Outside, callers see :class:`Movement`, frozen and spelled out.

Invariants:
I1  Every leg moves a quantity > 0 of one SKU and lot from one place to another, so a
    movement creates and destroys nothing.
I2  A movement says all that its entries and lines cannot be folded without: the floors it
    was held to and the lines it opened.
I3  ``digest`` covers every word of the movement and the versions it extends.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import attrs

from truecount.errors import InternalError
from truecount.model.instants import Instant, iso, microseconds, to_datetime, to_instant
from truecount.model.kinds import Kind, allows
from truecount.model.places import INDEX, Place
from truecount.model.stock import StockKey, made


class Leg(NamedTuple):
    """A quantity of one SKU and lot, from one place to another, for one reservation line."""

    sku: str
    lot: str
    quantity: int
    source: Place
    target: Place
    #: Number of the reservation line (of the movement's reference) it acts on, 0 for none.
    line: int = 0

    def reversed(self) -> Leg:
        """Return the leg that takes this one back."""
        return self._replace(source=self.target, target=self.source)

    def __str__(self) -> str:
        lot = f" lot {self.lot}" if self.lot else ""
        return f"{self.quantity} {self.sku}{lot}: {self.source} -> {self.target}"


class Opening(NamedTuple):
    """A reservation line a movement opens, under its own reference."""

    number: int
    round: int
    #: When units held by it stop blocking others, NEVER when it was not opened for a hold.
    expires_at: Instant


class Tally(NamedTuple):
    """
    A counter of a document a movement changes: purchase order, transfer, order account.

    The document has the movement's own reference, so that it can be counted again.
    """

    space: str
    id: str
    item: str
    field: str
    change: int

    def reversed(self) -> Tally:
        """Return the tally that takes this one back."""
        return self._replace(change=-self.change)


class Draft(NamedTuple):
    """A movement a decision wants posted; ``guarded`` says whether floors may refuse it."""

    kind: Kind
    legs: tuple[Leg, ...]
    occurred_at: Instant
    guarded: bool
    id: str | None = None
    reference: str | None = None
    reason: str | None = None
    actor: str | None = None
    origin: str | None = None
    reverses: str | None = None
    tallies: tuple[Tally, ...] = ()
    #: Expiries of lots, (sku, lot, instant): the last is what it says, one before it what was.
    expiries: tuple[tuple[str, str, Instant], ...] = ()
    #: What the book could not explain about this fact; each becomes a finding.
    notes: tuple[str, ...] = ()
    #: Keys whose history has it although no leg touches them: an agreeing count.
    touches: tuple[StockKey, ...] = ()


class MovementRow(NamedTuple):
    """
    A movement as stored: insert-only, one row.

    ``ordinal`` numbers the movements of one write; (recorded_at, ordinal) respects every
    key's versions, because recorded_at never repeats on a key between writes.
    """

    id: str
    kind: str
    occurred_at: Instant
    recorded_at: Instant
    ordinal: int
    reference: str | None
    reason: str | None
    actor: str | None
    origin: str | None
    reverses: str | None
    #: JSON: legs, versions extended, floors, lines opened, tallies, expiries, notes, touches.
    body: str
    digest: str


def _as_plain(value: object) -> object:
    """Return what JSON has no word for: times as ISO 8601, durations in microseconds."""
    if isinstance(value, datetime):
        return iso(to_instant(value))
    if isinstance(value, timedelta):
        return microseconds(value)
    if isinstance(value, frozenset):
        return sorted(value)
    msg = f"{type(value).__name__} has no place in a stored text"
    raise TypeError(msg)


def _encoder() -> Callable[[Any], str]:
    """
    Return the one encoder of all stored text: compact, unsorted (the order is ours), as it is.

    The standard encoder makes its C part anew for each text, which costs more than a short
    text itself; where Python shows that part, it is made once.
    """
    slow = json.JSONEncoder(
        ensure_ascii=False, separators=(",", ":"), check_circular=False, default=_as_plain
    )
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return slow.encode
    parts = make(
        markers=None,
        default=_as_plain,
        encoder=json.encoder.encode_basestring,
        indent=None,
        key_separator=":",
        item_separator=",",
        sort_keys=False,
        skipkeys=False,
        allow_nan=True,
    )
    return lambda value: "".join(parts(value, 0))


encode: Final = _encoder()


def changes_of(
    kind: Kind, legs: Iterable[Leg], touches: Iterable[StockKey] = ()
) -> dict[StockKey, list[int]]:
    """
    Return the net change of each key that *legs* touch, one number for each State.

    Keys that it only *touches* change by nothing.

    Raises:
        InternalError: A movement of this *kind* cannot have one of the legs.
    """
    changes: dict[StockKey, list[int]] = {}
    for leg in legs:
        sku, lot, quantity, source, target, _ = leg
        if quantity <= 0 or not allows(kind, source.name, target.name):
            raise InternalError(f"a {kind} movement cannot have the leg {leg}")
        for place, sign in ((source, -quantity), (target, quantity)):
            if place.location:
                key = made(StockKey, (sku, place.location, lot))
                change = changes.get(key)
                if change is None:
                    change = changes[key] = [0, 0, 0, 0, 0, 0, 0, 0]
                change[INDEX[place.name]] += sign
    for key in touches:
        changes.setdefault(key, [0, 0, 0, 0, 0, 0, 0, 0])
    return changes


def body_of(
    draft: Draft,
    extends: Sequence[tuple[StockKey, int]],
    floors: Sequence[int | None] = (),
    opened: Sequence[Opening] = (),
) -> str:
    """Return the stored text of the parts of a movement that no storage looks into."""
    legs = [
        (sku, lot, quantity, *source, *target, line)
        for sku, lot, quantity, source, target, line in draft.legs
    ]
    body: dict[str, Any] = {"legs": legs, "extends": [(*key, version) for key, version in extends]}
    if floors and floors.count(None) < len(floors):
        body["floors"] = floors
    if opened:
        body["opened"] = opened
    if draft.tallies:
        body["tallies"] = draft.tallies
    if draft.expiries:
        body["expiries"] = draft.expiries
    if draft.notes:
        body["notes"] = draft.notes
    if draft.touches:
        body["touches"] = draft.touches
    return encode(body)


def digest_of(row: MovementRow) -> str:
    """
    Return the digest of a movement row (its own ``digest`` field left out).

    BLAKE2b, 128 bits, of the fields joined by the unit separator, which no field can
    contain: it names accidents and edits, it does not authenticate.
    """
    return _digest(row[:-1])


def sealed(words: tuple[Any, ...]) -> MovementRow:
    """Return the movement row of *words*, every field in order but the digest."""
    return made(MovementRow, (*words, _digest(words)))


def _digest(words: tuple[Any, ...]) -> str:
    text = "\x1f".join(["" if word is None else str(word) for word in words])
    return blake2b(text.encode(), digest_size=16).hexdigest()


@attrs.frozen(kw_only=True)
class Movement:
    """
    One movement of the ledger, as callers see it.

    Attributes:
        id: Unique in its tenant, never reused.
        kind: What happened.
        occurred_at: When it happened in the world; may be back-dated.
        recorded_at: When the ledger learned of it; never goes back on a key.
        legs: What moved from where to where.
        versions: For each stock key touched, the version its entry has.
        reverses: The movement this one corrects or undoes.
        notes: What the book could not explain about it, in words.
        position: Its place in the ledger's one order, None until it is numbered.
    """

    id: str
    kind: Kind
    occurred_at: datetime
    recorded_at: datetime
    reference: str | None
    reason: str | None
    actor: str | None
    origin: str | None
    reverses: str | None
    legs: tuple[Leg, ...]
    versions: tuple[tuple[StockKey, int], ...]
    tallies: tuple[Tally, ...]
    expiries: tuple[tuple[str, str, Instant], ...]
    notes: tuple[str, ...]
    digest: str
    position: int | None = None


class Body(NamedTuple):
    """The decoded body of a movement row."""

    legs: tuple[Leg, ...]
    extends: tuple[tuple[StockKey, int], ...]
    tallies: tuple[Tally, ...]
    expiries: tuple[tuple[str, str, Instant], ...]
    notes: tuple[str, ...]
    #: For each key extended the floor its command was held to, None where none applied.
    floors: tuple[int | None, ...]
    opened: tuple[Opening, ...]
    touches: tuple[StockKey, ...] = ()


@lru_cache(maxsize=4096)
def _place(location: str, name: str) -> Place:
    return Place(location, name)


def decode(body: str) -> Body:
    """Return the parts of a stored body."""
    data = json.loads(body)
    extends = tuple([(StockKey(a, b, c), version) for a, b, c, version in data["extends"]])
    return Body(
        legs=tuple(
            Leg(sku, lot, quantity, _place(a, b), _place(c, d), line)
            for sku, lot, quantity, a, b, c, d, line in data["legs"]
        ),
        extends=extends,
        tallies=tuple(Tally(*tally) for tally in data.get("tallies", ())),
        expiries=tuple((a, b, instant) for a, b, instant in data.get("expiries", ())),
        notes=tuple(data.get("notes", ())),
        floors=tuple(data.get("floors") or (None,) * len(extends)),
        opened=tuple([Opening(*opening) for opening in data.get("opened", ())]),
        touches=tuple([StockKey(*key) for key in data.get("touches", ())]),
    )


def movement_of(row: MovementRow, position: int | None = None) -> Movement:
    """Return a stored row as callers see it."""
    body = decode(row.body)
    return Movement(
        id=row.id,
        kind=Kind(row.kind),
        occurred_at=to_datetime(row.occurred_at),
        recorded_at=to_datetime(row.recorded_at),
        reference=row.reference,
        reason=row.reason,
        actor=row.actor,
        origin=row.origin,
        reverses=row.reverses,
        legs=body.legs,
        versions=body.extends,
        tallies=body.tallies,
        expiries=body.expiries,
        notes=body.notes,
        digest=row.digest,
        position=position,
    )
