"""
Observations against one reading of the book. Pure: a reader in, a report out.

How it goes::

    intake      every observation looked at, put under its SKU          (typed errors)
    joined      SKUs of the book and of the observations, side by side  (one pass)
    book_side   the values the book may have shown                      (reach)
    judge       match, mismatch, undecided                              (verdict)
    kinds_of    what a mismatch is                                      (one table)

Rules:
1. A wrong observation is refused before anything is compared; a difference never raises.
2. The stock rows are read once, in order, when there is much to compare or a list is
   complete; for a few SKUs, or those named by ``only``, each is looked up.
3. Kits are judged last, those inside others first, when it is known whether their components
   agree.
4. A kit needs no stock rows to be missing from a complete list: one that could be had all the
   time it was read should have shown something.

Complexity: O(stock rows + observations * log(observations)), and for each figure that moved
in its window what ``windows`` says; memory O(observations + mismatches).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from itertools import groupby
from typing import Final

import attrs

from truecount.errors import InvalidArgument
from truecount.model.instants import Instant, to_datetime
from truecount.model.settings import Settings
from truecount.protocols.storage import Reader
from truecount.reconciliation.basis import Other, seen_until
from truecount.reconciliation.book_side import BookSide, rows_of
from truecount.reconciliation.differ import joined
from truecount.reconciliation.intake import Intake, Item
from truecount.reconciliation.kits import Own, Recipes, given
from truecount.reconciliation.mismatches import (
    Case,
    Context,
    Mismatch,
    Was,
    kinds_of,
    mismatch_of,
    place_of,
)
from truecount.reconciliation.observations import LEDGER, Count, Level, Observation, Shown, Source
from truecount.reconciliation.reach import Reach
from truecount.reconciliation.report import Reconciliation, Tally, Undecided
from truecount.reconciliation.verdicts import Decision, Verdict, judge
from truecount.reconciliation.view import View
from truecount.reconciliation.windows import Clocks, Rows, Span


#: SKUs that are looked up one by one; beyond, the stock rows are read once.
LOOKUPS_MAX: Final = 1000


def compare(
    reader: Reader,
    settings: Settings,
    now: Instant,
    observations: Iterable[Observation],
    *,
    sources: Iterable[Source] = (),
    recipes: Recipes | None = None,
    only: Collection[str] | None = None,
) -> Reconciliation:
    """
    Compare what was observed with what *reader* shows; nothing is written.

    Args:
        sources: The bounds of those who stamp and show, before what the shop says of them;
            others are exact.
        recipes: Kit to component to quantity; without, a kit's level is made by the shop's own
            recipes as they were in force when it was seen.
        only: Judge these SKUs alone: those that may have changed since last time.

    Raises:
        InvalidRequest: An observation, a source or a recipe is wrong; it says which.
    """
    described = list(sources)
    by_name = {source.name: source for source in described}
    if len(by_name) != len(described):
        raise InvalidArgument("sources", "with one name twice", "each source once")
    for source in described:
        for location in sorted(source.at or ()):
            settings.check(location)
    clocks = Clocks({**settings.sources, **by_name})
    intake = Intake(settings, clocks, now)
    intake.add_all(observations, only)
    view = View(reader, settings, now, {}, frozenset(), lambda _stem: None)
    kits = Own(reader, settings, clocks.of(LEDGER).skew) if recipes is None else given(recipes)
    return _Comparison(BookSide(view, clocks, kits), now, only).run(intake)


@attrs.define(eq=False)
class _Comparison:
    """One comparison on its way."""

    book: BookSide
    now: Instant
    only: Collection[str] | None
    tally: Tally = attrs.field(factory=Tally)
    #: Whether what a source showed of a SKU agreed, for the kits it is in.
    agreed: dict[tuple[str, frozenset[str] | None, str], bool] = attrs.field(factory=dict)

    def run(self, intake: Intake) -> Reconciliation:
        """Judge everything taken in."""
        kits = []
        for sku, rows, seen in self._side_by_side(intake):
            if self._is_kit(sku, seen):
                kits.append((sku, rows, seen))
            else:
                self._judge_all(sku, rows, seen)
        kits.sort(key=lambda each: self._depth(each[2]))
        for sku, rows, seen in kits:
            self._judge_all(sku, rows, seen)
        return self.tally.report(to_datetime(self.now))

    def _is_kit(self, sku: str, seen: Sequence[Sequence[Item]]) -> bool:
        shown = any(isinstance(item.seen, Level) for item, *_ in seen)
        return shown and self.book.kits.knows(sku)

    def _depth(self, seen: Sequence[Sequence[Item]]) -> int:
        """Return how many levels are below a kit: those inside it are judged before it."""
        return max(
            bill.depth if bill else 0
            for item, *_ in seen
            for bill in self.book.bills(item.seen, self._span(item))
        )

    def _span(self, item: Item) -> Span:
        return self.book.clocks.span(item.seen.source, item.since, item.until)

    def _side_by_side(self, intake: Intake) -> Iterator[tuple[str, Rows, list[list[Item]]]]:
        """Yield every SKU that was observed or should have been, with its stock rows."""
        reader, items = self.book.reader, intake.items
        if not intake.lists and (self.only is not None or len(items) <= LOOKUPS_MAX):
            for sku in sorted(items):
                yield sku, list(reader.stock(sku)), items[sku]
            return
        self.book.kits.read_all()
        kits = set(self.book.kits.in_force)
        stock = groupby(reader.stock(), key=lambda item: item[0].sku)
        book = ((sku, list(rows)) for sku, rows in stock)
        for sku, found, several in joined(book, sorted(items.items())):
            rows = found or []
            missing = self._missing(intake, sku, rows)
            kits.discard(sku)
            if several or missing:
                yield sku, rows, [*(several or []), *missing]
        for sku in sorted(kits) if intake.lists else ():
            if missing := self._missing(intake, sku, []):
                yield sku, [], missing

    def _missing(self, intake: Intake, sku: str, rows: Rows) -> list[list[Item]]:
        """Return what each complete list says that lacks a SKU it should have."""
        if self.only is not None and sku not in self.only:
            return []
        is_kit = sku in self.book.kits.in_force
        return [
            [each.none_of(sku)] for each in intake.lists if each.lacks(sku, rows, is_kit=is_kit)
        ]

    def _judge_all(self, sku: str, rows: Rows, seen: Sequence[Sequence[Item]]) -> None:
        first = len(self.tally.mismatches)
        others: list[Other] = []
        for several in seen:
            decision, reach, span = self._judge(rows, several, _shown_anew(several[0], seen))
            item = several[0]
            if isinstance(item.seen, Level) and self.book.kits.in_force:
                key = (item.seen.source, item.seen.at, sku)
                self.agreed[key] = self.agreed.get(key, True) and decision is Decision.MATCH
            if decision is not Decision.MISMATCH and isinstance(item.seen, Count):
                others.append(Other(item.seen, seen_until(self.book.clocks, span), reach))
        if others:
            found = self.tally.mismatches[first:]
            self.tally.mismatches[first:] = [_beside(each, others) for each in found]

    def _judge(
        self, rows: Rows, several: Sequence[Item], anew: Instant | None
    ) -> tuple[Decision, Reach, Span]:
        """
        Judge what one list, or one observer, says of one SKU; more than one item repeats.

        *anew* is when the same source showed the same again.
        """
        item = several[0]
        seen = item.seen
        span = self._span(item)
        here = rows_of(seen, rows)
        reach = self.book.reach(seen, here, span)
        verdict = judge(seen.quantity, reach, self.book.clocks.decidable_at(span), self.now)
        is_known = bool(rows) or self._is_bundle(seen.sku)
        if len(several) > 1 or not (is_known or verdict.decidable_at):
            verdict = verdict._replace(decision=Decision.MISMATCH)
        if verdict.decision is Decision.UNDECIDED:
            self.tally.undecided.append(_undecided(item, verdict))
        elif verdict.decision is Decision.MATCH:
            self.tally.match(item.seen, is_listed=item.is_listed)
        else:
            case = Case(
                seen=seen,
                verdict=verdict,
                reach=reach,
                is_known=is_known,
                is_listed=item.is_listed,
                repeated=tuple(each.seen.quantity for each in several) if several[1:] else (),
                is_oversold=lambda: self.book.is_oversold(here),
            )
            if isinstance(seen, Count):
                anew = self.book.recounted_at(here, span)
            self._tell(self._asked(case, here, span), item, here, span, anew)
        return verdict.decision, reach, span

    def _asked(self, case: Case, here: Rows, span: Span) -> Case:
        """Return the case of a level with what only levels can be asked."""
        seen = case.seen
        if isinstance(seen, Count):
            return case
        formula = self.book.clocks.formula(seen.source)
        parts = self.book.depends_on(seen, span)

        @cache
        def path() -> tuple[Was, ...]:
            """Return what the book had before it was seen; a kit has no past of its own."""
            if parts is not None:
                return ()
            return tuple(was for was in self.book.path(here, formula) if was[1] <= span.until)

        return attrs.evolve(
            case,
            shows=formula.shows,
            formula=formula,
            on_hand=lambda: self.book.shown(seen, here, span, Shown.ON_HAND),
            pushes=self.book.pushes(seen, span.until),
            path=path,
            components_agree=None if parts is None else self._agree(seen, parts),
        )

    def _agree(self, seen: Level, parts: Iterable[str]) -> bool:
        """Return whether the same source showed all *parts* of a kit, and rightly."""
        return all(self.agreed.get((seen.source, seen.at, sku), False) for sku in parts)

    def _is_bundle(self, sku: str) -> bool:
        return self.book.kits.knows(sku) or sku in self.book.view.settings.recipes

    def _tell(self, case: Case, item: Item, here: Rows, span: Span, anew: Instant | None) -> None:
        kinds = kinds_of(case)
        if not self.tally.is_full(kinds):
            seen = case.seen
            context = Context(
                seen_at=(item.since, item.until),
                evidence=self.book.evidence(self.book.rows_behind(seen, here, span), item.until),
                at_risk=self.book.at_risk(case, here),
                similar=() if case.is_known else self.book.similar(case.seen.sku),
                superseded_at=anew,
                basis=self.book.basis(case, here, span),
            )
            self.tally.mismatches.append(mismatch_of(case, kinds, context))
        self.tally.count(kinds[0], place_of(case.seen)[0])


def _shown_anew(item: Item, seen: Sequence[Sequence[Item]]) -> Instant | None:
    """Return when the source of a level certainly showed the same again, the last time."""
    if isinstance(item.seen, Count):
        return None
    level = item.seen
    later = [
        other.until
        for other, *_ in seen
        if not isinstance(other.seen, Count)
        and (other.seen.source, other.seen.at) == (level.source, level.at)
        and other.since > item.until
    ]
    return max(later, default=None)


def _beside(each: Mismatch, others: Sequence[Other]) -> Mismatch:
    """Return a mismatch that knows which counts beside it its repair would contradict."""
    if each.basis is None:
        return each
    return attrs.evolve(each, basis=each.basis.with_others(others, each.at, each.delta[0]))


def _undecided(item: Item, verdict: Verdict) -> Undecided:
    at, lot = place_of(item.seen)
    until = verdict.decidable_at
    return Undecided(
        sku=item.seen.sku,
        at=at,
        lot=lot,
        source=item.seen.source,
        observed=item.seen.quantity,
        expected=verdict.expected,
        delta=verdict.delta,
        seen_at=(to_datetime(item.since), to_datetime(item.until)),
        decidable_at=None if until is None else to_datetime(until),
        tries=int(until is None),
        lasting=verdict.delta if until is None else None,
    )
