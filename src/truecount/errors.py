"""
Every exception truecount raises, one tree by whose fault it is.

``TrueCountError``
    ``InvalidRequest``: the caller's mistake; fix the call. Nothing was written.
    ``Refused``: a valid command the stock or a document says no to. Nothing was
    written but the refusal itself, which a repetition under the same key returns.
    ``Conflict``: somebody else was in the way; repeat the call under the same key.
    ``StorageError``: the database's fault, its own error chained.
    ``InternalError``: ours; please report it.

Differences found by reconciliation and findings from the book are data, never
exceptions. The tree is in one file on purpose: what a traceback names,
``truecount.errors.UnknownSku``, is where it is imported from. All classes have
positional fields, so they survive pickling, copying and a journey through ``to_dict``
and :func:`from_dict`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import attrs


_REGISTRY: dict[str, type[TrueCountError]] = {}


class TrueCountError(Exception):
    """Base of everything truecount raises; never raised itself."""

    code: ClassVar[str] = "TrueCountError"

    def __init_subclass__(cls) -> None:
        """Register the class under its name, the stable word for it in stored outcomes."""
        cls.code = cls.__name__
        _REGISTRY[cls.__name__] = cls

    def to_dict(self) -> dict[str, Any]:
        """
        Return the error as plain data: its class name and its fields.

        >>> UnknownSku("MUGG", ("MUG",)).to_dict()
        {'error': 'UnknownSku', 'sku': 'MUGG', 'nearest': ['MUG']}
        """
        return {"error": self.code} | {
            field.name: _plain(getattr(self, field.name)) for field in _fields(type(self))
        }


def from_dict(data: dict[str, Any]) -> TrueCountError:
    """
    Rebuild an error from what ``to_dict`` returned.

    >>> from_dict({"error": "UnknownSku", "sku": "MUGG", "nearest": ["MUG"]}).nearest
    ('MUG',)
    """
    kind = _REGISTRY[data["error"]]
    values = [_frozen(data[field.name]) for field in _fields(kind)]
    return kind(*values)


def _fields(kind: type[Any]) -> Iterable[attrs.Attribute[Any]]:
    fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(kind)
    return fields


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


def _nearest(names: tuple[str, ...]) -> str:
    return f"; did you mean {' or '.join(map(repr, names))}?" if names else ""


# --- InvalidRequest: the caller's mistake ---------------------------------------------


class InvalidRequest(TrueCountError, ValueError):
    """The call itself is wrong; nothing was written and nothing was remembered."""


@attrs.frozen
class InvalidQuantity(InvalidRequest):
    """A quantity was not a whole number in the allowed range."""

    name: str
    seen: str
    allowed: str

    def __str__(self) -> str:
        return f"cannot use {self.name} {self.seen}: only {self.allowed} are allowed"


@attrs.frozen
class InvalidText(InvalidRequest):
    """A name, key, reference or reason is not clean text."""

    name: str
    seen: str
    rule: str

    def __str__(self) -> str:
        return f"cannot use {self.seen} as {self.name}: {self.rule}"


@attrs.frozen
class InvalidTime(InvalidRequest):
    """A time or duration is naive, of the wrong type, or outside what is allowed."""

    name: str
    seen: str
    rule: str

    def __str__(self) -> str:
        return f"cannot use {self.seen} as {self.name}: {self.rule}"


@attrs.frozen
class InvalidArgument(InvalidRequest):
    """An argument has a value this call does not take."""

    name: str
    seen: str
    allowed: str

    def __str__(self) -> str:
        return f"cannot use {self.name} {self.seen}: expected {self.allowed}"


@attrs.frozen
class UnknownLocation(InvalidRequest):
    """The location was never declared with ``inventory.locations.add``."""

    location: str
    nearest: tuple[str, ...] = ()

    def __str__(self) -> str:
        return (
            f"cannot find location {self.location!r}: declare it with locations.add(...)"
            f"{_nearest(self.nearest)}"
        )


@attrs.frozen
class UnknownSku(InvalidRequest):
    """The SKU never moved (and is not in the catalog, where one is given)."""

    sku: str
    nearest: tuple[str, ...] = ()

    def __str__(self) -> str:
        return (
            f"cannot find SKU {self.sku!r}: nothing of it was ever received or opened"
            f"{_nearest(self.nearest)}"
        )


@attrs.frozen
class UnknownBundle(InvalidRequest):
    """The SKU has no recipe in force."""

    sku: str
    nearest: tuple[str, ...] = ()

    def __str__(self) -> str:
        return (
            f"cannot find bundle {self.sku!r}: it has no recipe; "
            f"define it with bundles.define(...){_nearest(self.nearest)}"
        )


@attrs.frozen
class CyclicRecipe(InvalidRequest):
    """A bundle would have itself inside; ``path`` leads from it back to it."""

    path: tuple[str, ...]

    def __str__(self) -> str:
        way = " -> ".join(map(repr, self.path))
        return f"cannot make {self.path[0]!r} out of itself: {way}; take one of these steps out"


@attrs.frozen
class UnknownReference(InvalidRequest):
    """No document of that kind exists under this reference."""

    document: str
    reference: str

    def __str__(self) -> str:
        return f"cannot find {self.document} {self.reference!r}: none was ever made"


@attrs.frozen
class UnknownMovement(InvalidRequest):
    """No movement has this id."""

    movement_id: str

    def __str__(self) -> str:
        return f"cannot find movement {self.movement_id!r}: no movement has this id"


@attrs.frozen
class NoMovement(InvalidRequest):
    """The request was granted and wrote no movement, so it has none to be corrected or undone."""

    key: str

    def __str__(self) -> str:
        return (
            f"cannot name the movement of request {self.key!r}: it wrote none; nothing of the "
            "stock had to change, so there is nothing to correct or undo"
        )


@attrs.frozen
class KeyRequired(InvalidRequest):
    """This call is not safe to repeat without an idempotency key of the caller's."""

    operation: str

    def __str__(self) -> str:
        return (
            f"cannot {self.operation} without key: repeated after a time-out it would count "
            "twice; pass key=, one per attempt (a request id, a parcel number, a webhook id)"
        )


@attrs.frozen
class IdempotencyConflict(InvalidRequest):
    """The key already names another request; neither is changed."""

    key: str
    decided_at: str

    def __str__(self) -> str:
        return (
            f"cannot reuse key {self.key!r}: it was used at {self.decided_at} for another "
            "request; a key names one attempt, use a new one"
        )


@attrs.frozen
class NotCorrectable(InvalidRequest):
    """This movement cannot be corrected or undone this way."""

    movement_id: str
    rule: str

    def __str__(self) -> str:
        return f"cannot correct or undo movement {self.movement_id!r}: {self.rule}"


@attrs.frozen
class NotInTransaction(InvalidRequest):
    """The host's connection has no open transaction to join."""

    advice: str

    def __str__(self) -> str:
        return f"cannot join the connection: it has no open transaction; {self.advice}"


@attrs.frozen
class DuplicateObservation(InvalidRequest):
    """One observer said two things of one SKU in one comparison; nobody knows which holds."""

    what: str
    first: int
    second: int
    advice: str

    def __str__(self) -> str:
        return (
            f"cannot compare a second {self.what}: {self.second}, after {self.first}; {self.advice}"
        )


@attrs.frozen
class InvalidData(InvalidRequest):
    """Data to be read back or imported is not what an export writes."""

    where: str
    problem: str

    def __str__(self) -> str:
        return f"cannot read {self.where}: {self.problem}"


# --- Refused: a valid command, but the answer is no -----------------------------------


class Refused(TrueCountError):
    """A command was understood and refused; only the refusal itself was written."""


@attrs.frozen
class InsufficientStock(Refused):
    """
    More units were asked for than may be promised.

    ``short`` has one tuple for each short SKU: (sku, wanted, available, where, rule).
    """

    operation: str
    short: tuple[tuple[str, int, int, str, str], ...]

    def __str__(self) -> str:
        lines = (
            f"{wanted} of {sku!r} {where}: only {available} available (rule: {rule})"
            for sku, wanted, available, where, rule in self.short
        )
        return f"cannot {self.operation.replace('_', ' ')} {'; '.join(lines)}"


@attrs.frozen
class AlreadyReserved(Refused):
    """The reference still has an open reservation."""

    reference: str

    def __str__(self) -> str:
        return (
            f"cannot reserve for {self.reference!r}: it has an open reservation; "
            "amend it, release it, or use another reference"
        )


@attrs.frozen
class ReservationFinished(Refused):
    """Nothing of the reservation is left to act on; a finished one is never reopened."""

    operation: str
    reference: str
    status: str

    def __str__(self) -> str:
        return (
            f"cannot {self.operation} {self.reference!r}: the reservation is {self.status}; "
            "make a new one"
        )


@attrs.frozen
class HoldExpired(Refused):
    """The hold ran out before it was confirmed."""

    reference: str
    expired_at: str

    def __str__(self) -> str:
        return (
            f"cannot use the hold of {self.reference!r}: it expired at {self.expired_at}; "
            "confirm with on_expired='rehold' to compete again, or reserve anew"
        )


@attrs.frozen
class NotConfirmed(Refused):
    """The units are only held; an order must be confirmed before it is picked or shipped."""

    operation: str
    reference: str

    def __str__(self) -> str:
        return f"cannot {self.operation} {self.reference!r}: it is only held; confirm it first"


@attrs.frozen
class TooMany(Refused):
    """More units were named than the document still has; nothing is clamped."""

    operation: str
    document: str
    reference: str
    sku: str
    wanted: int
    left: int

    def __str__(self) -> str:
        return (
            f"cannot {self.operation} {self.wanted} of {self.sku!r} for {self.document} "
            f"{self.reference!r}: only {self.left} left to {self.operation}"
        )


@attrs.frozen
class DocumentExists(Refused):
    """A document with this reference is already there."""

    document: str
    reference: str

    def __str__(self) -> str:
        return (
            f"cannot open {self.document} {self.reference!r}: one with this reference exists; "
            "use another reference"
        )


@attrs.frozen
class AlreadyReversed(Refused):
    """The movement was corrected or undone before."""

    movement_id: str
    by: str

    def __str__(self) -> str:
        return (
            f"cannot correct or undo movement {self.movement_id!r}: {self.by!r} already did; "
            "undo a correction that was wrong, and say anew what was undone in error"
        )


@attrs.frozen
class AlreadyCounted(Refused):
    """The counter counted this line before; a recount is somebody else's."""

    sheet: str
    sku: str
    counter: str

    def __str__(self) -> str:
        return (
            f"cannot post {self.sku!r} on count sheet {self.sheet!r}: {self.counter!r} counted it "
            "before; a recount must be by another counter"
        )


@attrs.frozen
class SheetClosed(Refused):
    """The count sheet was closed; a count that comes too late goes on a new one."""

    sheet: str
    closed_at: str

    def __str__(self) -> str:
        return (
            f"cannot post on count sheet {self.sheet!r}: it was closed at {self.closed_at}; "
            "open a new one, each count keeps its own moment"
        )


@attrs.frozen
class SheetUnfinished(Refused):
    """
    Lines of the count sheet are not settled; nothing was applied.

    ``open`` has one tuple for each of them: (sku, lot, what is missing).
    """

    sheet: str
    open: tuple[tuple[str, str, str], ...]

    def __str__(self) -> str:
        lines = "; ".join(
            f"{sku!r}{f' lot {lot!r}' if lot else ''} needs {missing}"
            for sku, lot, missing in self.open
        )
        return (
            f"cannot close count sheet {self.sheet!r}: {lines}; count them, "
            "give reasons={...}, or close it with partial=True"
        )


@attrs.frozen
class FindingHolds(Refused):
    """What the finding says is still so; seeing it does not make it go away."""

    finding_id: str
    sentence: str
    advice: str

    def __str__(self) -> str:
        return (
            f"cannot dismiss finding {self.finding_id!r}: it still holds ({self.sentence}); "
            f"fix the cause, then it closes by itself. {self.advice}"
        )


@attrs.frozen
class MassRepair(Refused):
    """A plan changes more than its breaker allows; nothing was written."""

    plan_id: str
    what: str
    seen: int
    allowed: int
    limit: str

    def __str__(self) -> str:
        return (
            f"cannot repair {self.plan_id!r}: it changes {self.what}, {self.seen}, and only "
            f"{self.allowed} are allowed (breaker: {self.limit}); look at it, then repair "
            "a part of it (plan.only) or pass a wider breaker"
        )


# --- Conflict: somebody else was in the way -------------------------------------------


class Conflict(TrueCountError):
    """Somebody else wrote first; repeat the call under the same key."""


@attrs.frozen
class Retryable(Conflict):
    """
    The database could not finish now (busy, deadlock, serialization).

    Nothing was written. In joined mode the host rolls back and repeats its transaction.
    """

    reason: str

    def __str__(self) -> str:
        return (
            f"cannot finish now: {self.reason}; nothing was written, repeat the transaction "
            "under the same key"
        )


@attrs.frozen
class KeyTaken(Conflict):
    """A storage tells ``apply`` that another transaction stored a key first."""

    key: str

    def __str__(self) -> str:
        return f"cannot store the outcome of {self.key!r}: another transaction just did"


@attrs.frozen
class Outdated(Conflict):
    """A storage tells ``apply`` that what it remembered is not what is there."""

    what: str

    def __str__(self) -> str:
        return f"cannot go by what was remembered: {self.what}; nothing was written, lock and read"


@attrs.frozen
class NotLocked(Conflict):
    """A decision touches what was not locked for it: ``apply`` locks more and asks again."""

    what: str

    def __str__(self) -> str:
        return f"cannot go on with {self.what}: it was not locked for this write"


# --- StorageError: the database's fault -----------------------------------------------


class StorageError(TrueCountError):
    """The storage failed; the driver's own error is chained."""


@attrs.frozen
class StorageUnavailable(StorageError):
    """The database cannot be opened, read or written at all."""

    target: str
    problem: str

    def __str__(self) -> str:
        return f"cannot use storage {self.target!r}: {self.problem}; nothing was written"


@attrs.frozen
class ForeignDatabase(StorageError):
    """The file or schema belongs to another program, or is newer than this version."""

    target: str
    seen: str
    allowed: str

    def __str__(self) -> str:
        return (
            f"cannot open {self.target!r}: it is {self.seen}, expected {self.allowed}; "
            "it was left untouched"
        )


@attrs.frozen
class ConstraintViolated(StorageError):
    """The database's own constraint stopped a write the library should never have tried."""

    problem: str

    def __str__(self) -> str:
        return f"cannot write: {self.problem}; nothing was written, run verify() and report it"


@attrs.frozen
class OutcomeUnknown(StorageError):
    """The reply was lost; repeat the same call under ``key`` to learn what happened."""

    key: str
    problem: str

    def __str__(self) -> str:
        return (
            f"cannot tell whether request {self.key!r} was written: {self.problem}; "
            "repeat it under the same key"
        )


# --- InternalError: ours ---------------------------------------------------------------


@attrs.frozen
class InternalError(TrueCountError):
    """A rule of ours broke; nothing was written. Please report it with this message."""

    problem: str

    def __str__(self) -> str:
        return f"cannot go on: {self.problem}; nothing was written, please report this"
