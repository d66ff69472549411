"""
One write: lock, read the clock, decide each member in order, write once.

Rules:
1. Nothing is decided from an unlocked read, nor from a snapshot older than the lock. What a
   storage recalls is proven under its locks, or the write is done again with a read.
2. One ``now`` per write, taken after the locks, strictly later than anything recorded on
   the locked keys: recorded_at never goes back on a key, whatever the clock does.
3. A member that asks for wider locks restarts the whole write once with all of them; its
   second answer is final. Nothing was written by then, and deciding is pure.
4. A key that another transaction stores in the meantime restarts the write as well, and so
   does what was recalled wrongly; then all is read, and an outcome is there to be replayed.
5. What fails in a transaction of our own may be tried again (``repeating``); what fails in
   a host's never is.

Who calls whom: ``Engine`` or ``GroupCommit`` call :func:`apply`; it calls the storage's
``begin``, ``recall``, ``lock``, ``due``, ``write``, and each intent's ``decide``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final

import attrs

from truecount.errors import (
    IdempotencyConflict,
    InternalError,
    InvalidRequest,
    InvalidTime,
    KeyTaken,
    NotLocked,
    Outdated,
    Refused,
    Retryable,
    TrueCountError,
)
from truecount.model import outcomes
from truecount.model.instants import SKEW_MAX, Instant, iso, to_instant
from truecount.model.movements import Draft, MovementRow
from truecount.model.operation import Operation
from truecount.model.outcomes import REFUSAL_KEPT, Outcome, OutcomeRow
from truecount.model.settings import GENERATION
from truecount.model.stock import EntryRow, StockKey, StockRow, made
from truecount.protocols.storage import Storage, Unit, Wants
from truecount.protocols.system import Clock, IdFactory
from truecount.write.book import PAGE, Book, Stage, snapshot
from truecount.write.intents import Decision, Granted, Intent, Look, Widen
from truecount.write.repeating import repeated
from truecount.write.rules import KnownRules, mark_of


#: Restarts of one write: one for wider locks, the rest for keys stored meanwhile.
ATTEMPTS_MAX: Final = 5


@attrs.define(eq=False)
class Desk:
    """What every write of one tenant shares: storage, clock, ids, and the rules last read."""

    storage: Storage
    tenant: str
    clock: Clock
    new_id: IdFactory
    rules: KnownRules = attrs.field(factory=KnownRules)


class _Preview(Exception):
    """Leaves the transaction without committing it."""


def apply(
    desk: Desk,
    intents: Sequence[Intent],
    *,
    host: object | None = None,
    together: bool = False,
    preview: bool = False,
) -> list[Outcome]:
    """
    Decide *intents* in one transaction and return one outcome for each, in order.

    With *together* the first member that is not granted stops all of them: its error is
    raised and nothing is written. With *preview* nothing is written at all and each outcome
    carries the rows before and after. A transaction of our own that fails is tried again
    where the storage says so.

    Raises:
        Retryable: The database was busy or lost a race; nothing was written.
        OutcomeUnknown: A reply was lost; repeating the call under the same key tells.
        StorageError: The database failed; nothing was written.

    Complexity: O(rows locked + legs written), whatever the length of the history.
    """
    attempt = partial(_applied, desk, intents, host, together=together, preview=preview)
    return attempt() if host is not None else repeated(desk.storage, attempt)


def _applied(
    desk: Desk,
    intents: Sequence[Intent],
    host: object | None,
    *,
    together: bool,
    preview: bool,
) -> list[Outcome]:
    extra: Wants | None = None
    guesses = True
    for _ in range(ATTEMPTS_MAX):
        try:
            with desk.storage.begin(desk.tenant, host) as unit:
                joined = host is not None
                write = _Write(desk, unit, intents, extra, joined=joined, guesses=guesses)
                results = write.decide(together=together, preview=preview)
                if results is None:
                    extra = write.wider
                    continue
                if preview:
                    raise _Preview  # noqa: TRY301 -- the context must see it, to roll back
                unit.write(write.book.changes())
                return results
        except KeyTaken:
            guesses = False  # Now it is to be seen what is there.
        except Outdated:
            guesses, extra = False, None  # Wider locks were wanted on a guess.
        except _Preview:
            return results or []
    raise Retryable("the same keys were written by others again and again")


class _Write:
    """One attempt at a write."""

    def __init__(
        self,
        desk: Desk,
        unit: Unit,
        intents: Sequence[Intent],
        extra: Wants | None,
        *,
        joined: bool,
        guesses: bool,
    ) -> None:
        self.desk = desk
        self.unit = unit
        self.intents = intents
        #: Locks asked for beyond what the rules want at first.
        self.wider = extra
        wants = self._wants()
        guess = unit.recall(wants) if guesses else None
        locked = guess or unit.lock(wants)
        self.now = self._now(locked.rows.values())
        mark = mark_of(locked.records.get(GENERATION))
        settings = desk.rules.under(mark, unit)
        if not joined and guess is None:
            desk.rules.committed = settings  # Under the lock, so no others can be newer.
        self.book = Book(locked, settings, wants)
        self._read_more()

    def _wants(self) -> Wants:
        """Return what all members want, the rules' generation, and the stored outcomes."""
        settings = self.desk.rules.last
        operation, _, _, rule = self.intents[0]
        wants = rule.wants(operation, settings)
        for operation, _, _, rule in self.intents[1:]:
            wants.add(rule.wants(operation, settings))
        if self.wider is not None:
            wants.add(self.wider)
        if GENERATION not in wants.records:
            wants.shared.add(GENERATION)
            wants.records.add(GENERATION)
        wants.keys_of_requests += [intent.key for intent in self.intents]
        return wants

    def _now(self, rows: Iterable[StockRow]) -> Instant:
        latest = max([row.recorded_at for row in rows], default=0)
        return max(to_instant(self.desk.clock()), latest + 1)

    def _read_more(self) -> None:
        """Read, under the locks, expired holds that may be needed and past figures asked for."""
        demand: dict[str, int] = {}
        for operation, _, _, rule in self.intents:
            if rule.demand is not None:
                for sku, quantity in rule.demand(operation, self.book):
                    demand[sku] = demand.get(sku, 0) + quantity
            if rule.moments is not None:
                for key, instant in rule.moments(operation, self.book):
                    self.book.moments[key, instant] = self.unit.as_of(key, instant)
            if rule.newer is not None:
                for key, version in rule.newer(operation, self.book):
                    self.book.newer[key, version] = self._newer(key, version)
        enough = {}
        for sku, quantity in demand.items():
            for key in self.book.keys_of(sku):
                sellable, held, *_ = self.book.rows[key].amounts
                if not held:
                    continue
                kept = max(0, self.book.settings.floor(sku, key.location))
                spare = sellable - kept  # What is there is taken before a backorder.
                if spare < quantity:
                    enough[key] = min(held, quantity - spare)
        if enough:
            self.book.add_due(self.unit.due(enough, self.now))

    def _newer(self, key: StockKey, version: int) -> list[tuple[EntryRow, MovementRow]]:
        """Return the entries of *key* above *version*, each with its movement."""
        if self.book.row(key).version <= version:
            return []
        entries = {entry.movement_id: entry for entry in self.unit.entries(key, version)}
        return [(entries[row.id], row) for _, row in self.unit.movements(list(entries))]

    def decide(self, *, together: bool, preview: bool) -> list[Outcome] | None:
        """Return an outcome for each member, or None when wider locks are needed."""
        results: list[Outcome] = []
        wider = False
        for number, intent in enumerate(self.intents):
            try:
                outcome = self._admit(intent, preview=preview)
            except (InvalidRequest, InternalError) as error:
                outcome = _failed(intent, self.now, error)
            if outcome is None:
                wider = True
                continue
            if together and outcome.error is not None and not wider:
                if len(self.intents) > 1:
                    outcome.error.add_note(f"request {number + 1} of {len(self.intents)}")
                raise outcome.error
            results.append(outcome)
        return None if wider else results

    def _admit(self, intent: Intent, *, preview: bool) -> Outcome | None:
        known = self.book.outcomes.get(intent.key)
        if known is not None and (known.forget_at is None or known.forget_at > self.now):
            if known.fingerprint != intent.fingerprint:
                raise IdempotencyConflict(intent.key, iso(known.decided_at))
            return outcomes.replay(known)
        decision = intent.rule.decide(intent.operation, self.book, self.now)
        if isinstance(decision, Look):
            decision = self._looked(intent, decision)
        if isinstance(decision, Widen):
            self._widen(decision.wants)
            return None
        if isinstance(decision, Refused):
            return self._refuse(intent, decision)
        return self._post(intent, decision, preview=preview)

    def _looked(self, intent: Intent, look: Look) -> Granted | Refused | Widen:
        """Show a decision what it asks for, until it knows."""
        decision: Decision = look
        while isinstance(decision, Look):
            for space, after in decision.pages:
                self.book.show(space, after, self.unit.records(space, after, PAGE))
            for key in decision.firsts:
                entry = next(iter(self.unit.entries(key)))
                [(_, row)] = self.unit.movements([entry.movement_id])
                self.book.show_first(key, row)
            decision = intent.rule.decide(intent.operation, self.book, self.now)
        return decision

    def _widen(self, wants: Wants) -> None:
        if self.book.wants.covers(wants):
            raise InternalError("a decision asked twice for the same locks")
        if self.wider is None:
            self.wider = Wants()
        self.wider.add(wants)

    def _post(self, intent: Intent, decision: Granted, *, preview: bool) -> Outcome | None:
        stage = Stage(self.book, self.now)
        stage.add_lines(decision.lines)
        stage.put(decision.documents)
        try:
            for draft in decision.drafts:
                if draft.occurred_at > self.now + SKEW_MAX:
                    draft = self._doubted(draft, intent.operation)  # noqa: PLW2901 -- the same, dated
                refusal = stage.post(draft, draft.id or self.desk.new_id())
                if refusal is not None:
                    return self._refuse(intent, refusal)
        except NotLocked:
            self._widen(stage.missing(decision.drafts))
            return None
        changes = None
        if preview:
            changes = {key: (self.book.row(key), row) for key, row in stage.rows.items()}
        self.book.accept(stage)
        result = dict(decision.result or {})
        if decision.reservation is not None:
            lines = self.book.lines_of(decision.reservation)
            current = lines[-1].round if lines else 0
            result["lines"] = snapshot([line for line in lines if line.round == current])
        movements = tuple([row.id for row in stage.movements])
        self._remember(intent, None, outcomes.body_of(movements, result, None))
        return Outcome(
            key=intent.key,
            decided_instant=self.now,
            movements=movements,
            result=result,
            changes=changes,
        )

    def _doubted(self, draft: Draft, operation: Operation) -> Draft:
        """Refuse a command from the future; record a fact as of now and note the doubt."""
        if operation.is_command:
            raise InvalidTime(
                "occurred_at",
                iso(draft.occurred_at),
                f"it is more than 5 minutes after now ({iso(self.now)}); check the clocks",
            )
        note = f"future_time: said to have occurred at {iso(draft.occurred_at)}"
        return draft._replace(occurred_at=self.now, notes=(*draft.notes, note))

    def _refuse(self, intent: Intent, refusal: Refused) -> Outcome:
        self._remember(intent, self.now + REFUSAL_KEPT, outcomes.body_of((), {}, refusal))
        return _failed(intent, self.now, refusal)

    def _remember(self, intent: Intent, forget_at: Instant | None, body: str) -> None:
        row = made(OutcomeRow, (intent.key, intent.fingerprint, self.now, forget_at, body))
        self.book.outcomes[intent.key] = row
        self.book.new_outcomes.append(row)


def _failed(intent: Intent, now: Instant, error: TrueCountError) -> Outcome:
    return Outcome(key=intent.key, decided_instant=now, error=error)
