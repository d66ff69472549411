"""
What every part of the library holds: one tenant's way to the storage.

Who calls whom: a part (``StockLedger``, ``ReservationManager``, ...) makes operations and
hands them to :meth:`Engine.run`; the engine gives each a key, finds its rule and calls
``apply``, alone or through ``GroupCommit``; reads go through :meth:`Engine.read`.

Joined to a host's connection the same engine writes inside the host's transaction: it
never groups, never commits, and tells no observer, because only the host knows whether the
transaction will stand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Sequence
from contextlib import AbstractContextManager
from difflib import get_close_matches
from itertools import groupby, islice

import attrs

from truecount.errors import InvalidArgument, KeyRequired, UnknownSku
from truecount.model import instants, names
from truecount.model.commands import Assemble, Correct, Disassemble
from truecount.model.facts import Expected, Opened, Received
from truecount.model.operation import Operation
from truecount.model.outcomes import Outcome
from truecount.model.settings import GENERATION, Settings
from truecount.model.shop_rules import DefineBundle
from truecount.protocols.storage import Reader, Storage, Unit
from truecount.protocols.system import Clock, Committed, IdFactory, Observer
from truecount.write.apply import Desk, apply
from truecount.write.group import GroupCommit, Meeting
from truecount.write.intents import Intent, Rules
from truecount.write.rules import mark_of


#: Requests of one call; a longer list is the caller's to cut (see ``record``).
BATCH_MAX = 1000


class Engine:
    """One tenant's way to the storage. Safe to share between threads, unless joined."""

    def __init__(
        self,
        storage: Storage,
        rules: Rules,
        *,
        clock: Clock,
        new_id: IdFactory,
        tenant: str = "main",
        observer: Observer | None = None,
        catalog: Container[str] | None = None,
        host: Callable[[], object] | None = None,
    ) -> None:
        self._desk = Desk(storage, names.tenant(tenant), clock, new_id)
        self._rules = rules
        self._observer = observer
        self._catalog = catalog
        self._host = host
        self._group = GroupCommit(self._apply) if host is None else None

    def _apply(self, intents: Sequence[Intent]) -> list[Outcome]:
        return apply(self._desk, intents)

    def meet(self, meeting: Meeting) -> None:
        """Let concurrent callers wait for each other as *meeting* says; while nobody calls."""
        self._group = GroupCommit(self._apply, meeting)

    def joined(self, host: Callable[[], object]) -> Engine:
        """
        Return this engine writing inside the open transaction of a host's connection.

        Args:
            host: Returns the connection; asked at each call, because a host may lend another.
        """
        other = Engine(
            self.storage,
            self._rules,
            clock=self._desk.clock,
            new_id=self._desk.new_id,
            tenant=self.tenant,
            catalog=self._catalog,
            host=host,
        )
        other._desk.rules = self._desk.rules
        return other

    @property
    def storage(self) -> Storage:
        """Where the ledger is kept."""
        return self._desk.storage

    @property
    def tenant(self) -> str:
        """Whose ledger this is."""
        return self._desk.tenant

    @property
    def is_joined(self) -> bool:
        """Whether all of it happens inside a transaction of a host."""
        return self._host is not None

    def now(self) -> instants.Instant:
        """Return the clock's time."""
        return instants.to_instant(self._desk.clock())

    def new_id(self) -> str:
        """Return an id nothing has yet."""
        return self._desk.new_id()

    def read(self) -> AbstractContextManager[Reader]:
        """Open a consistent read."""
        return self._desk.storage.read(self._desk.tenant, self._lent())

    def begin(self) -> AbstractContextManager[Unit]:
        """Open a write transaction: for an import, whose rows were decided elsewhere."""
        return self._desk.storage.begin(self._desk.tenant, self._lent())

    def _lent(self) -> object | None:
        return None if self._host is None else self._host()

    def settings(self) -> Settings:
        """Return the shop rules as they are stored now."""
        with self.read() as reader:
            return self.settings_in(reader)

    def settings_in(self, reader: Reader) -> Settings:
        """Return the shop rules as *reader* sees them; cached by their generation."""
        mark = mark_of(reader.record(*GENERATION))
        rules = self._desk.rules
        found = rules.under(mark, reader)
        if not self.is_joined and found.generation > rules.committed.generation:
            rules.committed = found  # A reader's view may be older than what is known.
        return found

    def one(self, operation: Operation, *, preview: bool = False) -> Outcome:
        """
        Run one operation and return its outcome, or raise why it was not granted.

        Raises:
            InvalidRequest: The call is wrong; nothing was written.
            Refused: The answer is no; only the refusal was written.
            Retryable: The database was busy; nothing was written.
        """
        return self.run((operation,), preview=preview)[0].check()

    def run(
        self, operations: Sequence[Operation], *, together: bool = False, preview: bool = False
    ) -> list[Outcome]:
        """
        Run operations in order, in one transaction; return one outcome for each.

        With *together* all are granted or the first error is raised and nothing is written.
        """
        if not isinstance(operations, Sequence):
            raise InvalidArgument("operations", names.shown(operations), "a list of them")
        if len(operations) > BATCH_MAX:
            raise InvalidArgument(
                "batch",
                f"of {len(operations)} operations",
                f"at most {BATCH_MAX}; cut it into chunks",
            )
        intents = [self._intent(operation) for operation in operations]
        if not intents:
            return []
        started = self.now() if self._observer else 0
        if together or preview or self._group is None:
            outcomes = apply(
                self._desk, intents, host=self._lent(), together=together, preview=preview
            )
        else:
            outcomes = self._group.submit(intents)
        if UnknownSku in [type(outcome.error) for outcome in outcomes]:
            outcomes = [self._with_nearest(outcome) for outcome in outcomes]
        if self._observer and not preview:
            seconds = max(0, self.now() - started) / 1_000_000
            self._observer(Committed(tenant=self.tenant, outcomes=tuple(outcomes), seconds=seconds))
        return outcomes

    def forget(self) -> int:
        """Delete refusals past their time; return how many."""
        with self.begin() as unit:
            return unit.forget(self.now())

    def _intent(self, operation: Operation) -> Intent:
        rule = self._rules.get(type(operation))
        if rule is None:
            raise InvalidArgument(
                "operation",
                names.shown(operation),
                f"one of {sorted(each.__name__ for each in self._rules)}",
            )
        if self._catalog is not None:
            for sku in _introduced(operation):
                _listed(sku, self._catalog)
        key = operation.key
        if key is None:
            if operation.needs_key:
                raise KeyRequired(_spoken(operation))
            key = self._desk.new_id()
        return Intent(operation, key, operation.fingerprint(), rule)

    def _with_nearest(self, outcome: Outcome) -> Outcome:
        """Add the nearest known SKUs to an error; read only now that something is wrong."""
        if not isinstance(outcome.error, UnknownSku):
            return outcome
        with self.read() as reader:
            stocked = (sku for sku, _ in groupby(reader.stock(), lambda item: item[0].sku))
            known = list(islice(stocked, _NEAREST_READ))
            known += islice(self.settings_in(reader).recipes, _NEAREST_READ)
            near = get_close_matches(outcome.error.sku, dict.fromkeys(known), n=2)
        return attrs.evolve(outcome, error=UnknownSku(outcome.error.sku, tuple(near)))


_NEAREST_READ = 20_000


def _spoken(operation: Operation) -> str:
    """Return the name of an operation as a word of a sentence: ``ShortPick`` is "short pick"."""
    return re.sub(r"(?<!^)(?=[A-Z])", " ", type(operation).__name__).lower()


def _introduced(operation: Operation) -> tuple[str, ...]:
    """Return the SKUs an operation may be the first to name, where a catalog forbids it."""
    if isinstance(operation, (Opened, Expected, Received, Assemble, DefineBundle)):
        return (operation.sku,)
    if isinstance(operation, Disassemble):
        return tuple(sku for sku, _ in operation.components or ())
    if isinstance(operation, Correct) and operation.sku is not None:
        return (operation.sku,)
    return ()


def _listed(sku: str, catalog: Container[str]) -> None:
    if sku not in catalog:
        names_known = islice(catalog, _NEAREST_READ) if isinstance(catalog, Iterable) else ()
        raise UnknownSku(sku, tuple(get_close_matches(sku, names_known, n=2)))


def keyed_facts(operations: Iterable[Operation]) -> list[Operation]:
    """
    Return *operations* if every one is a fact with a key.

    Raises:
        InvalidArgument: One is a command, which may be refused; ``submit`` takes those.
        KeyRequired: One has no key, and would count twice when repeated.
    """
    if not isinstance(operations, Iterable):
        raise InvalidArgument("facts", names.shown(operations), "a list of them")
    checked = list(operations)
    for number, operation in enumerate(checked, 1):
        error = _not_recordable(operation)
        if error is not None:
            error.add_note(f"fact {number} of {len(checked)}")
            raise error
    return checked


def _not_recordable(operation: object) -> InvalidArgument | KeyRequired | None:
    name = type(operation).__name__
    if isinstance(operation, Operation) and operation.is_fact:
        return KeyRequired(f"record {_spoken(operation)}") if operation.key is None else None
    return InvalidArgument("fact", name, "something that happened; submit() takes commands")
