"""
Conditions that documents show: transfers and deliveries overdue, facts that contradict.

A document is only decoded when its text has the word the rule looks for; documents of
transfers and purchase orders are only read while units are under way somewhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from truecount.ledger.correction_rules import REVERSAL, reversed_by
from truecount.ledger.delivery_rules import PURCHASE, outstanding
from truecount.ledger.transfer_rules import TRANSFER, on_the_way
from truecount.model.instants import Instant
from truecount.model.kinds import Kind
from truecount.model.movements import MovementRow, decode
from truecount.model.stock import StockKey, goods
from truecount.protocols.storage import Record
from truecount.reconciliation.findings import (
    FACTS,
    SHOWN_BY_FIGURES,
    Condition,
    FindingKind,
    named,
    risk,
    stem_of,
    when,
)
from truecount.reconciliation.view import (
    EVIDENCE_MAX,
    IN_TRANSIT,
    INCOMING,
    Origin,
    View,
    at_risk,
    condition_of,
    movement,
    only,
    pages,
)
from truecount.write.book import FINDING


#: Where the write leaves what a fact could not explain: "fact/" and the movement's id.
FACT: Final = "fact/"


# --- documents whose date has passed -----------------------------------------------------


def overdue_transfers(view: View) -> Iterator[Condition]:
    """Find transfers with units still on the way after they were due."""
    if IN_TRANSIT not in view.states:
        return
    for record in pages(view.reader, TRANSFER):
        document = _overdue(record, "due_at")
        due = document.get("due_at", view.now)
        if due >= view.now:
            continue
        left = {
            StockKey(sku, document["target"], lot): on_the_way(document, name)
            for name in sorted(document.get("lines", {}))
            for sku, lot in [json.loads(name)]
        }
        left = {key: units for key, units in left.items() if units > 0}
        if left:
            yield _overdue_transfer(view, record.id, document, left)


def _overdue_transfer(
    view: View, reference: str, document: dict[str, Any], left: dict[StockKey, int]
) -> Condition:
    due: Instant = document["due_at"]
    said = named([f"{units} of {goods(key)}" for key, units in left.items()])
    endangered = _waiting_for(view, left)
    return Condition(
        kind=FindingKind.OVERDUE_TRANSFER,
        subject=(reference,),
        began=due,
        mark=due,
        sku=only(key.sku for key in left),
        at=document["target"],
        lot=only(key.lot for key in left),
        reference=reference,
        quantity=sum(left.values()),
        since=due,
        evidence=_movements_of(view, reference, Kind.TRANSFER_OUT),
        at_risk=endangered,
        sentence=f"Transfer {reference} from {document['source']} was due on {when(due)} and "
        f"has not brought {said}{risk(endangered)}",
    )


def overdue_deliveries(view: View) -> Iterator[Condition]:
    """Find lines of purchase orders that have not come by the time they were due."""
    if INCOMING not in view.states:
        return
    for record in pages(view.reader, PURCHASE):
        document = _overdue(record, "due")
        for name, due in sorted(document.get("due", {}).items()):
            left = outstanding(document, name)
            if due < view.now and left > 0:
                at, sku = json.loads(name)
                yield _overdue_delivery(view, record.id, StockKey(sku, at), due, left)


def _overdue_delivery(
    view: View, reference: str, key: StockKey, due: Instant, left: int
) -> Condition:
    endangered = _waiting_for(view, (key,))
    evidence = _movements_of(view, reference, Kind.EXPECT, key.sku)
    sentence = (
        f"{left} of {goods(key)} ordered under {reference} were due on {when(due)} and have "
        f"not come{risk(endangered)}"
    )
    return condition_of(
        FindingKind.OVERDUE_DELIVERY,
        key,
        Origin(due, due, due, evidence),
        left,
        sentence,
        endangered=endangered,
        reference=reference,
        subject=(reference, key.location, key.sku),
    )


def _overdue(record: Record, word: str) -> dict[str, Any]:
    """Return a document that has a date, an empty one when it has none: most are not decoded."""
    document: dict[str, Any] = json.loads(record.body) if f'"{word}"' in record.body else {}
    return document


def _movements_of(view: View, reference: str, kind: Kind, sku: str = "") -> tuple[str, ...]:
    """Return the newest movements of one kind under a reference."""
    found = [
        row.id
        for _, row in view.reader.movements_of(reference)
        if row.kind == kind.value
        and (not sku or any(leg.sku == sku for leg in decode(row.body).legs))
    ]
    return tuple(found[-EVIDENCE_MAX:])


def _waiting_for(view: View, keys: Iterable[StockKey]) -> tuple[str, ...]:
    """Return whose promises wait for units of *keys* to come in."""
    shelves = [view.shelves[key] for key in keys if key in view.shelves]
    return tuple(
        dict.fromkeys(
            reference
            for shelf in shelves
            if shelf.free < 0
            for reference in at_risk(view, shelf, -shelf.free)
        )
    )


# --- facts the book could not explain ----------------------------------------------------


def facts(view: View) -> Iterator[Condition]:
    """Find facts that contradicted the book and were neither dismissed nor taken back."""
    for record in pages(view.reader, FINDING, FACT):
        body = json.loads(record.body)
        subjects = [((body["movement"], str(n)), note) for n, note in enumerate(body["notes"])]
        notes = [
            (subject, note)
            for subject, note in subjects
            if _word(note) not in SHOWN_BY_FIGURES
            and stem_of(_kind(note), subject) not in view.done
        ]
        taken_back = view.reader.record(REVERSAL, body["movement"])
        if notes and reversed_by(taken_back and json.loads(taken_back.body)) is None:
            row = movement(view, body["movement"])
            yield from (_fact(row, subject, note) for subject, note in notes)


def _kind(note: str) -> FindingKind:
    """Return the kind of finding a note's first word names."""
    return FACTS.get(_word(note), FindingKind.NOTED)


def _word(note: str) -> str:
    return note.partition(": ")[0]


def _fact(row: MovementRow, subject: tuple[str, str], note: str) -> Condition:
    """Return what a note says, with what the movement says of the units it is about."""
    kind = _kind(note)
    text = note if kind is FindingKind.NOTED else note.partition(": ")[2]
    legs = decode(row.body).legs
    mentioned = [leg for leg in legs if f" of {leg.sku} " in note]
    longest = max((len(leg.sku) for leg in mentioned), default=0)
    about = [leg for leg in mentioned if len(leg.sku) == longest] or legs
    places = [leg.target if leg.target.is_inside else leg.source for leg in about]
    at = only(place.location for place in places)
    moved = named(sorted({f"{leg.quantity} of {leg.sku}" for leg in about})) if about else "nothing"
    said = text if mentioned else f"{moved} ({row.kind}): {text}"
    where = f"At {at}" if at else "In several places"
    return Condition(
        kind=kind,
        subject=subject,
        began=row.recorded_at,
        mark=row.recorded_at,
        sku=only(leg.sku for leg in about),
        at=at,
        lot=only(leg.lot for leg in about),
        reference=row.reference,
        quantity=sum(leg.quantity for leg in about),
        since=row.recorded_at,
        evidence=(row.id,),
        at_risk=(),
        sentence=f"{where}, {said}; recorded at {when(row.recorded_at)}",
    )


DOCUMENT_RULES: Final[tuple[Callable[[View], Iterable[Condition]], ...]] = (
    overdue_transfers,
    overdue_deliveries,
    facts,
)
