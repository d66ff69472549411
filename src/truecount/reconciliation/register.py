"""
The register of findings: which are open, since when, and what is new after a cursor.

==========================  ==============================================================
document                    what it says
==========================  ==============================================================
``cursor``                  the cursor, and how often the register was written
``open/<two digits>``       the open findings whose stem falls in this part
``closed/<stem>``           the last finding of a subject that closed, and how
``log/<cursor>/<id>``       a finding as it was when it closed
==========================  ==============================================================

Rules:
1. The cursor counts the writes in which anything opened or closed, so what is above a
   cursor is what nobody who holds it has heard of.
2. A survey is written only over the register it was compared with: whoever comes second
   finds it changed under the lock, and surveys anew. So a later survey is never undone by
   an earlier one, and nothing opens or closes twice.
3. A condition continues the open finding of its subject when it began no later than that
   was last seen; otherwise it ended in between, and this is another one.
4. What was dismissed stays dismissed until it begins anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

import attrs

from truecount.errors import (
    FindingHolds,
    InvalidArgument,
    Retryable,
    UnknownReference,
)
from truecount.model import names, quantities
from truecount.model.instants import Instant, to_datetime, to_instant
from truecount.model.operation import Operation
from truecount.model.outcomes import Outcome
from truecount.model.settings import Settings
from truecount.protocols.storage import Reader, Wants
from truecount.reconciliation.conditions import survey
from truecount.reconciliation.findings import (
    DISMISSIBLE,
    FACTS,
    Condition,
    Finding,
    FindingKind,
    FindingsReport,
    Known,
    finding_of,
    id_of,
    most_urgent_first,
)
from truecount.reconciliation.view import View, pages
from truecount.write.book import Book
from truecount.write.engine import Engine
from truecount.write.intents import Decision, Granted, Rule, Rules


REGISTER: Final = "finding-register"
CURSOR: Final = "cursor"
#: Surveys of one call; each one more means another call wrote its own in the meantime.
ATTEMPTS_MAX: Final = 20

_OPEN: Final = "open/"
_CLOSED: Final = "closed/"
_LOG: Final = "log/"

Document = tuple[str, str, dict[str, Any]]


# --- operations --------------------------------------------------------------------------


@attrs.frozen(repr=False)
class Register(Operation):
    """Store a survey, if the register was still written *writes* times."""

    writes: int = attrs.field(converter=quantities.natural)
    documents: tuple[Document, ...] = attrs.field()


@attrs.frozen(repr=False)
class Dismiss(Operation):
    """
    Somebody has looked at a finding and wants to hear no more of it.

    Only what a fact left open, and look-alike SKUs: anything else closes when its cause is
    gone, and only then.
    """

    is_fact = False
    finding_id: str = attrs.field(converter=names.key)
    reason: str = attrs.field(kw_only=True, converter=names.reason)
    actor: str = attrs.field(kw_only=True, converter=names.actor)


# --- the register as documents -----------------------------------------------------------


class Closed(NamedTuple):
    """How the last finding of a subject closed; the fields are those of :class:`Known`."""

    id: str
    closed_at: Instant
    mark: int
    highest: int
    rounds: int
    #: Who dismissed it and why, None when its cause went away.
    dismissed_by: str | None = None
    note: str | None = None


def known_body(known: Known) -> dict[str, Any]:
    """Return an entry of the register as a document keeps it."""
    return {**known._asdict(), "finding": known.finding.to_dict()}


def known_from(body: Mapping[str, Any]) -> Known:
    """Return an entry of the register from its document."""
    return Known(**{**body, "finding": Finding.from_dict(body["finding"])})


def part_of(stem: str) -> str:
    """Return the id of the document that keeps the open findings of a stem."""
    return f"{_OPEN}{stem.rpartition('-')[2][:2]}"


class Snapshot(NamedTuple):
    """The register as one reader shows it."""

    cursor: int
    writes: int
    known: dict[str, Known]
    #: The last closed finding of a stem.
    closed: Callable[[str], Closed | None]


def snapshot_of(reader: Reader) -> Snapshot:
    """Return the register. O(open findings)."""
    record = reader.record(REGISTER, CURSOR)
    cursor = json.loads(record.body) if record else {}
    known = {
        stem: known_from(body)
        for part in pages(reader, REGISTER, _OPEN)
        for stem, body in json.loads(part.body)["open"].items()
    }

    def closed(stem: str) -> Closed | None:
        found = reader.record(REGISTER, f"{_CLOSED}{stem}")
        return None if found is None else Closed(**json.loads(found.body))

    return Snapshot(cursor.get("cursor", 0), cursor.get("writes", 0), known, closed)


def facts_dismissed(reader: Reader) -> frozenset[str]:
    """
    Return the stems of facts that were dismissed: they never open again.

    What was taken back may: undoing a correction puts its original in force again.
    """
    return frozenset(
        record.id.removeprefix(_CLOSED)
        for kind in (*FACTS.values(), FindingKind.NOTED)
        for record in pages(reader, REGISTER, f"{_CLOSED}{kind.value}-")
        if json.loads(record.body)["dismissed_by"] is not None
    )


# --- comparing ---------------------------------------------------------------------------


@attrs.define
class Update:
    """What a survey changes in the register."""

    cursor: int
    known: dict[str, Known] = attrs.field(factory=dict)
    changed: set[str] = attrs.field(factory=set)
    closed: list[tuple[str, Known]] = attrs.field(factory=list)
    opened: bool = False

    def keep(self, stem: str, known: Known) -> None:
        """Have *known* open under *stem*, changed or new."""
        self.known[stem] = known
        self.changed.add(stem)

    def close(self, stem: str, known: Known, now: Instant) -> None:
        """Have *known* closed."""
        finding = attrs.evolve(known.finding, closed_at=to_datetime(now))
        self.closed.append((stem, known._replace(finding=finding)))
        self.changed.add(stem)


def compare(conditions: Iterable[Condition], register: Snapshot, now: Instant) -> Update:
    """Return what *conditions*, all that is wrong now, change in *register*."""
    update = Update(register.cursor)
    for condition in conditions:
        stem = condition.stem
        known = register.known.get(stem)
        if known is not None and condition.began <= known.mark:
            _continue(update, stem, condition, known)
            continue
        last = register.closed(stem) if known is None else None
        if last is not None and last.dismissed_by and condition.began <= last.mark:
            continue
        if known is not None:
            update.close(stem, known, now)
        update.keep(stem, _opened(condition, known or last, register, now))
        update.opened = True
    for stem, known in register.known.items():
        if stem not in update.known:
            update.close(stem, known, now)
    if update.opened or update.closed:
        update.cursor += 1
    return update


def _continue(update: Update, stem: str, condition: Condition, known: Known) -> None:
    """Let an open finding follow its condition; the id and the time it opened stay."""
    opened_at = to_instant(known.finding.opened_at)
    finding = finding_of(condition, known.finding.id, opened_at)
    mark = max(known.mark, condition.mark)
    after = known._replace(finding=finding, mark=mark)
    if after == known:
        update.known[stem] = known
    else:
        update.keep(stem, after)


def _opened(
    condition: Condition, before: Known | Closed | None, register: Snapshot, now: Instant
) -> Known:
    """Return a new finding; *before* is the last one of its subject, if there was any."""
    began, rounds, highest, again = condition.began, 0, condition.began, 0
    if before is not None:
        rounds, highest = before.rounds, max(before.highest, began)
        again = rounds if began <= before.highest else 0
    finding = finding_of(condition, id_of(condition.stem, began, again), now)
    return Known(finding, began, condition.mark, highest, rounds + 1, register.cursor + 1)


def documents_of(update: Update, register: Snapshot, now: Instant) -> tuple[Document, ...]:
    """Return the documents that write *update* down, none when nothing changed."""
    if not update.changed:
        return ()
    parts: dict[str, dict[str, Any]] = {part_of(stem): {} for stem in update.changed}
    for stem, known in update.known.items():
        if part_of(stem) in parts:
            parts[part_of(stem)][stem] = known_body(known)
    return (
        (REGISTER, CURSOR, {"cursor": update.cursor, "writes": register.writes + 1}),
        *((REGISTER, part, {"open": bodies}) for part, bodies in parts.items()),
        *(
            document
            for stem, known in update.closed
            for document in _closing(stem, known, update.cursor, now)
        ),
    )


def _closing(
    stem: str, known: Known, cursor: int, now: Instant, dismissal: Dismiss | None = None
) -> tuple[Document, Document]:
    """Return the documents that say how a finding closed."""
    id_ = known.finding.id
    closed = Closed(id_, now, known.mark, known.highest, known.rounds)
    if dismissal is not None:
        closed = closed._replace(dismissed_by=dismissal.actor, note=dismissal.reason)
    return (
        (REGISTER, f"{_CLOSED}{stem}", closed._asdict()),
        (REGISTER, f"{_LOG}{cursor:016d}/{id_}", known.finding.to_dict()),
    )


# --- decisions under the lock ------------------------------------------------------------


def _wants_register(operation: Register, settings: Settings) -> Wants:
    del settings
    return Wants(records={(space, id_) for space, id_, _ in operation.documents})


def _register(operation: Register, book: Book, now: Instant) -> Decision:
    """Store the survey unless another one was stored since the register was read."""
    del now
    cursor = book.document(REGISTER, CURSOR) or {}
    if cursor.get("writes", 0) != operation.writes:
        return Granted(result={"written": False})
    return Granted(documents=operation.documents, result={"written": True})


def _split(finding_id: str) -> tuple[str, FindingKind]:
    """Return stem and kind out of a finding's id; raise UnknownReference if it is none."""
    stem, _, _ = finding_id.rpartition("-")
    word = stem.partition("-")[0]
    if word not in list(FindingKind) or finding_id.count("-") != 2:  # noqa: PLR2004 -- kind-subject-beginning
        raise UnknownReference("finding", finding_id)
    return stem, FindingKind(word)


def _wants_dismiss(operation: Dismiss, settings: Settings) -> Wants:
    del settings
    stem, _ = _split(operation.finding_id)
    ids = (CURSOR, part_of(stem), f"{_CLOSED}{stem}")
    return Wants(records={(REGISTER, id_) for id_ in ids})


def _dismiss(operation: Dismiss, book: Book, now: Instant) -> Decision:
    """Close a finding that seeing is enough for; one that has closed stays closed."""
    stem, kind = _split(operation.finding_id)
    part = (book.document(REGISTER, part_of(stem)) or {"open": {}})["open"]
    body = part.get(stem)
    if body is None or body["finding"]["id"] != operation.finding_id:
        if body is None and book.document(REGISTER, f"{_CLOSED}{stem}") is None:
            raise UnknownReference("finding", operation.finding_id)
        return Granted(result={"dismissed": False})
    known = known_from(body)
    if kind not in DISMISSIBLE:
        return FindingHolds(operation.finding_id, known.finding.sentence, known.finding.advice)
    cursor = book.document(REGISTER, CURSOR) or {}
    count = cursor["cursor"] + 1
    finding = attrs.evolve(known.finding, closed_at=to_datetime(now))
    known = known._replace(finding=finding)
    return Granted(
        documents=(
            (REGISTER, CURSOR, {"cursor": count, "writes": cursor["writes"] + 1}),
            (REGISTER, part_of(stem), {"open": {k: v for k, v in part.items() if k != stem}}),
            *_closing(stem, known, count, now, operation),
        ),
        result={"dismissed": True},
    )


FINDING_RULES: Final[Rules] = {
    Register: Rule(_wants_register, _register),
    Dismiss: Rule(_wants_dismiss, _dismiss),
}


# --- the shell ---------------------------------------------------------------------------


class BookFindings:
    """
    What somebody should look at, found from the book alone.

    Safe to share between threads. Works alone over an :class:`Engine` with
    ``FINDING_RULES``, and is one of the parts of :class:`truecount.Inventory`.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def findings(self, since: int | None = None, *, read_only: bool = False) -> FindingsReport:
        """
        Look through the book and return what is wrong, the most urgent first.

        What opened and closed is written down, so that a finding keeps its id while it is
        open. With *since*, the cursor of an earlier report, ``open`` has what opened after
        that report and ``closed`` what closed after it (some of it may have opened after it,
        too), whoever looked in between: nothing is reported twice, nothing is left out.
        With *read_only* nothing is written, and the ids are those a write would give.

        >>> from truecount import Inventory, Sold
        >>> inventory = Inventory()
        >>> inventory.locations.add("berlin")
        >>> [sale] = inventory.record([Sold("MUG", 3, at="berlin", key="etsy-991/1")])
        >>> report = inventory.findings()
        >>> [(each.kind.value, each.sku, each.quantity) for each in report.open]
        [('oversold', 'MUG', 3)]
        >>> inventory.findings(since=report.cursor).open
        ()

        Raises:
            InvalidArgument: *since* is not the cursor of an earlier report.
            Retryable: Other calls wrote the register again and again.

        Complexity: O(stock keys + open lines + open findings + entries since the last look
        of keys with a finding); see ``reconciliation.conditions``.
        """
        if since is not None:
            quantities.natural(since, "since")
        for _ in range(ATTEMPTS_MAX):
            with self._engine.read() as reader:
                now = self._engine.now()
                register = snapshot_of(reader)
                update = self._compare(reader, register, now)
                report = _report(reader, register, update, since, read_only=read_only)
            documents = documents_of(update, register, now)
            if read_only or not documents:
                return report
            outcome = self._engine.one(Register(register.writes, documents))
            if outcome.result["written"]:
                return report
        raise Retryable("the register of findings was written by others again and again")

    def dismiss(self, finding_id: str, *, actor: str, note: str, key: str | None = None) -> Outcome:
        """
        Close a finding that needs no more than being seen: *actor* says why in *note*.

        That is what a fact left open, and look-alike SKUs. Dismissing what has closed
        changes nothing; the outcome's ``result`` tells.

        Raises:
            FindingHolds: It closes by itself when its cause is gone, which it is not.
            UnknownReference: No finding has this id.
        """
        operation = Dismiss(finding_id=finding_id, actor=actor, reason=note, key=key)
        _, kind = _split(finding_id)
        if kind not in DISMISSIBLE:
            self.findings()
        try:
            return self._engine.one(operation)
        except UnknownReference:
            self.findings()
        return self._engine.one(operation)

    def _compare(self, reader: Reader, register: Snapshot, now: Instant) -> Update:
        settings = self._engine.settings_in(reader)

        def closed(stem: str) -> tuple[int, Instant] | None:
            last = register.closed(stem)
            return None if last is None else (last.mark, last.closed_at)

        view = View(reader, settings, now, register.known, facts_dismissed(reader), closed)
        return compare(survey(view), register, now)


def _report(
    reader: Reader, register: Snapshot, update: Update, since: int | None, *, read_only: bool
) -> FindingsReport:
    """Return what the caller has not heard of: everything open, or what is new since."""
    cursor = register.cursor if read_only else update.cursor
    if since is None:
        findings = [known.finding for known in update.known.values()]
        return FindingsReport(open=most_urgent_first(findings), closed=(), cursor=cursor)
    if since > register.cursor:
        raise InvalidArgument("since", str(since), f"the cursor of a report, {register.cursor} now")
    findings = [known.finding for known in update.known.values() if known.opened > since]
    closed = [known.finding for _, known in update.closed]
    closed += [
        Finding.from_dict(json.loads(record.body))
        for record in pages(reader, REGISTER, _LOG, after=f"{_LOG}{since + 1:016d}")
    ]
    return FindingsReport(
        open=most_urgent_first(findings), closed=most_urgent_first(closed), cursor=cursor
    )
