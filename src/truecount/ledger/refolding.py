"""
Refolding: a count that was applied stands, whatever is reported later about the time before it.

Each applied count is an *anchor* (a document, space ``anchor``), also when it agreed. Whatever
is recorded after it and occurred before it is written together with the opposite adjustment,
a movement of kind ``refold`` dated at the anchor: on hand before the count shows the late fact,
on hand from the count on stays what was counted, and the variance of the count is explained
anew.

Rules:
1. What counts as late is decided by the ledger's own order: dated before the now of its
   write, at or before the moment of a count recorded earlier on the same key. What takes
   something back is as late as that was.
2. The states a count covers are what it vouches for. The opposite adjustment is the change
   of those states, put into SELLABLE as the count's own variance was.
3. Anchors of one key are met in order (moment, then version), and each sees what those before
   it left over: the next one after the fact takes it all, unless they cover different states.
4. A fact within the interval in which a shelf was counted may have been seen or not: it is
   noted, which makes it a finding, and is not refolded at that count, only at a later one.
   The interval is wider, to both sides, by what the clock of who reported it may be off.
   With ``Policy(late="report")`` every late fact is only noted.
5. A command dated before a count is refused where the count would take SELLABLE below its
   floor for it: what a count says there is not, no command can have put aside.
6. Undoing a count takes its refolds back with it and frees the anchor; what that changes
   before a later count is refolded there. A late correction or undo is a late fact.

Invariants:
A1  As of the moment of an anchor, the states it covers add up to what was counted, as long as
    nothing was noted beside it.
I2  ``gained`` and ``lost`` of an anchor are the fold of the refolds under its id.

Who calls whom: :func:`anchored` wraps the rules of every operation. A fact that is not late
pays one comparison; a late one is read for under the locks it has (``Look``), because an
anchor is only written by whoever holds the stock row of its key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final

from truecount.errors import InsufficientStock
from truecount.ledger.anchors import (
    ANCHOR,
    DURING,
    LAST,
    Anchor,
    anchor_id,
    anchor_of,
    before,
    during,
    moment_of,
    near,
    prefix_of,
    refold,
)
from truecount.ledger.openings import before_opening, may_be_in_opening
from truecount.ledger.supply import Part, reclaim
from truecount.model.commands import Correct, Undo
from truecount.model.facts import Adjusted, Counted, Damaged, Inspected, Received, Returned, Sold
from truecount.model.instants import Instant, to_instant
from truecount.model.kinds import NOUNS, Kind
from truecount.model.movements import Draft, MovementRow, changes_of, decode
from truecount.model.operation import Operation
from truecount.model.places import INDEX, State
from truecount.model.quantities import QUANTITY_MAX
from truecount.model.stock import StockKey
from truecount.protocols.storage import Wants
from truecount.write.book import Book
from truecount.write.intents import Decision, Granted, Look, Rule, Rules, Widen


#: The policy for late facts under which counts stand.
REFOLD: Final = "refold"


def anchored(rules: Rules) -> Rules:
    """Return *rules* under which counts stand against what is recorded after them."""
    return {kind: _anchored(rule) for kind, rule in rules.items()}


def _anchored(rule: Rule) -> Rule:
    def decide(operation: Operation, book: Book, now: Instant) -> Decision:
        decision = rule.decide(operation, book, now)
        if not isinstance(decision, Granted):
            return decision
        if type(operation) in _ALWAYS or _is_late(decision.drafts, book, now):
            return _Refolding(operation, decision, book, now).decide()
        return decision

    def demand(operation: Operation, book: Book) -> Iterable[tuple[str, int]]:
        said = () if rule.demand is None else rule.demand(operation, book)
        if operation.occurred_at is None and type(operation) not in _ALWAYS:
            return said
        return [*said, *_taken_late(rule, operation, book)]

    return rule._replace(decide=decide, demand=demand)


def _is_late(drafts: Iterable[Draft], book: Book, now: Instant) -> bool:
    """Return whether one of *drafts* is dated at or before something its keys know already."""
    for draft in drafts:
        if draft.occurred_at < now:
            for sku, lot, _, source, target, _ in draft.legs:
                for location in {source.location, target.location} - {""}:
                    horizon = book.row(StockKey(sku, location, lot)).horizon
                    if draft.occurred_at - book.settings.skew(draft.origin) <= horizon:
                        return True
    return False


#: The everyday facts, of which no more need be asked.
_OF_ONE_SKU: Final = frozenset({Adjusted, Damaged, Inspected, Received, Returned, Sold})

#: Operations that make or free anchors, or are dated by what they are about.
_ALWAYS: Final = frozenset({Counted, Correct, Undo})


def _taken_late(rule: Rule, operation: Operation, book: Book) -> Iterator[tuple[str, int]]:
    """Yield what refolding may take from SELLABLE: no more is known before it is decided."""
    if type(operation) in _OF_ONE_SKU:
        skus = {operation.sku}  # type: ignore[attr-defined]  # each of them has one
    else:
        wants = rule.wants(operation, book.settings)
        skus = {sku for sku, *_ in (*wants.keys, *wants.scopes)}
        skus |= {line.key.sku for reference in wants.orders for line in book.lines_of(reference)}
    dated = None if operation.occurred_at is None else to_instant(operation.occurred_at)
    if isinstance(operation, (Correct, Undo)):
        row = book.past_movements.get(operation.movement_id)
        if row is None:
            return  # Deciding will say so.
        dated = row.occurred_at
        skus |= {key.sku for key, _ in decode(row.body).extends}
        if isinstance(operation, Correct) and operation.sku is not None:
            skus.add(operation.sku)
    for sku in skus:
        if dated is not None and any(book.row(key).horizon >= dated for key in book.keys_of(sku)):
            yield sku, QUANTITY_MAX


class _NotLooked(Exception):
    """What must be read first."""

    def __init__(self, look: Look) -> None:
        super().__init__(look)
        self.look = look


class _Refolding:
    """One granted decision, completed by what counts after it demand."""

    def __init__(self, operation: Operation, decision: Granted, book: Book, now: Instant) -> None:
        self.operation = operation
        self.decision = decision
        self.book = book
        self.now = now
        #: Units to be put into SELLABLE at each anchor, and the draft that asks for it first.
        self.units: dict[str, int] = {}
        self.anchors: dict[str, tuple[Anchor, Draft]] = {}
        self.documents: list[tuple[str, str, dict[str, Any]]] = []
        self._frees = False

    def decide(self) -> Decision:
        """Return the decision with refolds before its drafts, or what must be known first."""
        freed = self._freed()
        self._frees = freed is not None
        if freed is not None and (ANCHOR, freed.id) not in self.book.wants.records:
            return Widen(Wants(records={(ANCHOR, freed.id)}))
        try:
            drafts = [self._met(draft, freed) for draft in self.decision.drafts]
            back = self._free(freed, drafts[-1]) if freed is not None else ()
        except _NotLooked as missing:
            return missing.look
        refolds = [*back, *self._refolds()]
        given_back = self._given_back(refolds, drafts)
        if isinstance(given_back, InsufficientStock):
            return given_back
        if isinstance(self.operation, Counted):
            self._anchor(self.operation, drafts[-1], refolds)
        result = dict(self.decision.result or {})
        if self.units and not isinstance(self.operation, Counted):
            result["refolded"] = [[*self.anchors[id_][0].key, n] for id_, n in self.units.items()]
        return self.decision._replace(
            drafts=(*given_back, *refolds, *drafts),
            documents=(*self.decision.documents, *self.documents),
            result=result or None,
        )

    # --- a command ------------------------------------------------------------------------

    def _given_back(
        self, refolds: list[Draft], drafts: list[Draft]
    ) -> list[Draft] | InsufficientStock:
        """Return expired holds a command needs the units of, or why it would break a floor."""
        if not refolds or not any(draft.guarded for draft in drafts):
            return []
        lost = _lost(draft for draft in (*refolds, *drafts) if draft.kind is not Kind.EXPIRE)
        settled = [key for draft in refolds for key in changes_of(draft.kind, draft.legs)]
        for key in dict.fromkeys(settled):
            floor = 0 if key.lot else min(0, self.book.settings.floor(key.sku, key.location))
            free = self.book.row(key).sellable - floor
            free += sum(line.held for line in self.book.due(key))
            if lost[key] > max(0, free):
                where = f"at {key.location!r}" + (f" lot {key.lot!r}" if key.lot else "")
                short = (key.sku, lost[key], max(0, free), where, "a later count stands")
                return InsufficientStock(drafts[-1].kind.value, (short,))
        known = {draft.id for draft in drafts}
        parts = (Part(key, units) for key, units in lost.items() if units > 0)
        return [each for each in reclaim(self.book, self.now, parts) if each.id not in known]

    # --- a count that is undone -----------------------------------------------------------

    def _freed(self) -> Anchor | None:
        """Return the anchor of the count this decision takes back."""
        if not isinstance(self.operation, Undo):
            return None
        row = self.book.past_movements[self.operation.movement_id]
        if row.kind != Kind.COUNT:
            return None
        [(key, version)] = decode(row.body).extends
        id_ = anchor_id(key, moment_of(row), version)
        body = self.book.document(ANCHOR, id_)
        if body is None and (ANCHOR, id_) in self.book.wants.records:
            return None  # It was recorded when counts were no anchors yet.
        return anchor_of(id_, body or {})

    def _free(self, anchor: Anchor, undo: Draft) -> list[Draft]:
        """Free *anchor*; return the movement that takes its refolds back, met by later ones."""
        lines = dict(anchor.body["lines"])
        self.documents.append((ANCHOR, anchor.id, {**anchor.body, "freed": True, "lines": lines}))
        if not anchor.refolded:
            return []
        back = refold(anchor, -anchor.refolded, undo, "its count was undone")
        return [self._met(back, anchor)]

    # --- a count that is made -------------------------------------------------------------

    def _anchor(self, operation: Counted, count: Draft, refolds: list[Draft]) -> None:
        """Let an applied count stand from now on."""
        key = StockKey(operation.sku, operation.at, operation.lot)
        version = self.book.row(key).version + len(refolds) + 1
        at = min(count.occurred_at, self.now)
        result = self.decision.result or {}
        body = {
            "covers": sorted(operation.covers),
            "counted": result["counted"],
            "expected": result["expected"],
            "reason": operation.reason or "count",
            "lines": {},
        }
        if operation.counted_from is not None:
            body["since"] = to_instant(operation.counted_from)
        self.documents.append((ANCHOR, anchor_id(key, at, version), body))

    # --- what is late ---------------------------------------------------------------------

    def _met(self, draft: Draft, freed: Anchor | None) -> Draft:
        """Let the anchors after *draft* answer it; return it with what is to be noted."""
        if draft.occurred_at >= self.now:
            return draft
        notes: list[str] = []
        for key, change in changes_of(draft.kind, draft.legs).items():
            row = self.book.row(key)
            earliest = draft.occurred_at - self._doubt(draft)
            if not row.version or earliest > row.horizon or not any(change):
                continue
            after = (earliest, self._came_after(draft, key))
            if freed is not None:
                after = (freed.at, freed.version)
            notes += self._answers(draft, key, change, after)
            notes += self._before_opening(draft, key, change)
        return draft._replace(notes=(*draft.notes, *notes)) if notes else draft

    def _doubt(self, draft: Draft) -> Instant:
        """
        Return how far the time of a draft may be off; of what is no event, not at all.

        What takes another movement back goes by the clock of that, and is in doubt only if
        that was: what was refolded then is refolded again, whatever is said of clocks since.
        """
        if draft.kind is Kind.COUNT or self._frees:
            return 0
        first = self._first(draft)
        if first is None:
            return self.book.settings.skew(draft.origin)
        was_in_doubt = any(note.startswith(DURING) for note in decode(first.body).notes)
        return self.book.settings.skew(first.origin) if was_in_doubt else 0

    def _first(self, draft: Draft) -> MovementRow | None:
        """Return what a draft takes back in the end, None of one that takes nothing back."""
        first = None
        reverses = draft.reverses
        while reverses is not None:
            first = self.book.past_movements[reverses]
            reverses = first.reverses
        return first

    def _came_after(self, draft: Draft, key: StockKey) -> int:
        """
        Return the version of *key* up to which counts of the very moment came before *draft*.

        Members of one write share its moment. What was recorded after a count in the same
        write happened to the counted shelf, and so did what takes it back.
        """
        if draft.kind is Kind.COUNT:
            return LAST
        first = self._first(draft)
        if first is None or first.occurred_at < first.recorded_at:
            return 0
        return dict(decode(first.body).extends).get(key, 0)

    def _answers(
        self, draft: Draft, key: StockKey, change: list[int], after: tuple[Instant, int]
    ) -> Iterator[str]:
        """Refold *change* of *key* at each anchor in turn; yield what is only noted."""
        stands = self.book.settings.policy(key.sku, key.location).late == REFOLD
        # What a count or its undoing changes was so all along: no count in progress missed it.
        is_physical = draft.kind is not Kind.COUNT and not self._frees
        for anchor in self._anchors_after(key, after):
            units = anchor.covered(change)
            if not units:
                continue
            doubt = self._doubt(draft)
            if anchor.since < draft.occurred_at <= anchor.at and is_physical:
                yield during(anchor, draft, units)
                continue
            if anchor.since - doubt < draft.occurred_at and is_physical:
                yield near(anchor, draft, units, doubt)
                continue
            if not stands:
                yield before(anchor, draft, units)
                return
            change[INDEX[State.SELLABLE]] -= units
            self.units[anchor.id] = self.units.get(anchor.id, 0) - units
            self.anchors.setdefault(anchor.id, (anchor, draft))
            if not any(change):
                return

    def _before_opening(self, draft: Draft, key: StockKey, change: list[int]) -> Iterator[str]:
        """Yield the note of what no count has taken up and the opening may have in it."""
        if may_be_in_opening(self.book, draft, key, change):
            first = self.book.first(key)
            if first is None:
                raise _NotLooked(Look(firsts=frozenset({key})))
            if first.kind == Kind.OPEN:
                yield before_opening(self.book, draft, key, change)

    def _anchors_after(self, key: StockKey, after: tuple[Instant, int]) -> Iterator[Anchor]:
        """Yield the anchors in force of *key* above (moment, version), in order."""
        prefix = prefix_of(key)
        start = anchor_id(key, *after)
        page_after = start
        known: dict[str, dict[str, Any]] = {}
        while True:
            page = self.book.page(ANCHOR, page_after)
            if page is None:
                raise _NotLooked(Look(pages=frozenset({(ANCHOR, page_after)})))
            known.update((id_, body) for id_, body in page.documents if id_.startswith(prefix))
            if page.is_last or not page.documents[-1][0].startswith(prefix):
                break
            page_after = page.documents[-1][0]
        for (space, id_), body in self.book.changed_documents.items():
            if space == ANCHOR and id_ > start and id_.startswith(prefix):
                known[id_] = body
        for id_ in sorted(known):
            if not known[id_].get("freed"):
                yield anchor_of(id_, known[id_])

    def _refolds(self) -> list[Draft]:
        """Return one movement for each anchor whose variance is explained anew."""
        return [
            refold(anchor, self.units[id_], draft, f"{NOUNS[draft.kind]} was recorded after it")
            for id_, (anchor, draft) in self.anchors.items()
            if self.units[id_]
        ]


def _lost(drafts: Iterable[Draft]) -> Counter[StockKey]:
    """Return by how much *drafts* together lower SELLABLE of each key."""
    lost: Counter[StockKey] = Counter()
    for draft in drafts:
        for key, change in changes_of(draft.kind, draft.legs).items():
            lost[key] -= change[INDEX[State.SELLABLE]]
    return lost
