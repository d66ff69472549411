"""
The stock ledger's shell: one method for each thing that happens to stock.

Methods only make an operation and run it; rules live in the ``*_rules`` modules, and what
the records say is asked in ``stock_book``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Unpack

from truecount.ledger.correction_rules import correction_rules
from truecount.ledger.delivery_rules import DELIVERY_RULES
from truecount.ledger.refolding import anchored
from truecount.ledger.shop import Locations, Policies
from truecount.ledger.stock_book import StockBook
from truecount.ledger.stock_rules import STOCK_RULES
from truecount.ledger.transfer_rules import TRANSFER_RULES
from truecount.ledger.words import ExplainedWords, KeyedWords, OwnedWords, Words
from truecount.model.commands import Assemble, Correct, Disassemble, Relocate, TransferOut, Undo
from truecount.model.facts import (
    Adjusted,
    Arrived,
    Counted,
    Damaged,
    DeliveryClosed,
    Expected,
    Inspected,
    Lost,
    Opened,
    Received,
    Rejected,
    ReturnedToSupplier,
    Scrapped,
)
from truecount.model.operation import Operation
from truecount.model.outcomes import Outcome
from truecount.model.places import ON_HAND, State
from truecount.model.reservation_commands import TakeBack
from truecount.write.engine import Engine, keyed_facts
from truecount.write.intents import Rules


#: What a caller may pass for lines: a mapping of SKU to quantity, or pairs.
Lines = Mapping[str, int] | Iterable[tuple[str, int]]


def ledger_rules() -> Rules:
    """Return the rules of the stock ledger, corrections included, under which counts stand."""
    rules = {**STOCK_RULES, **DELIVERY_RULES, **TRANSFER_RULES}
    return anchored({**rules, **correction_rules(rules)})


class StockLedger(StockBook):
    """
    What happens to stock, recorded; and what the records say.

    Safe to share between threads. Works alone over an :class:`Engine`, and is one of the
    parts of :class:`truecount.Inventory`.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.locations = Locations(engine)
        self.policies = Policies(engine)

    # --- one door for lists ------------------------------------------------------------

    def record(self, facts: Iterable[Operation], *, together: bool = True) -> list[Outcome]:
        """
        Record facts that already happened, at most 1,000, each under its own key.

        They are written in one transaction, in order, all or (when one of them is not even
        a fact: an unknown location) none. What the book cannot explain becomes a finding.

        >>> from truecount import Inventory, Sold
        >>> inventory = Inventory()
        >>> inventory.locations.add("berlin")
        >>> [outcome] = inventory.record([Sold("MUG", 3, at="berlin", key="etsy-991/1")])
        >>> inventory.figures("MUG").oversold
        3

        Raises:
            KeyRequired: A fact has no key.
            InvalidArgument: It is a command; ``submit`` takes those.
        """
        return self._engine.run(keyed_facts(facts), together=together)

    def submit(
        self, operations: Sequence[Operation], *, together: bool = False, preview: bool = False
    ) -> list[Outcome]:
        """
        Run operations, at most 1,000, in order in one transaction; one outcome for each.

        A refused one does not disturb its neighbours, unless *together*: then the first
        error is raised and nothing is written. With *preview* nothing is written at all.
        """
        return self._engine.run(operations, together=together, preview=preview)

    # --- goods in ----------------------------------------------------------------------

    def open(
        self,
        sku: str,
        quantity: int,
        *,
        at: str,
        state: State = State.SELLABLE,
        lot: str = "",
        lot_expires_at: datetime | None = None,
        preview: bool = False,
        **words: Unpack[Words],
    ) -> Outcome:
        """Record opening stock: what was there when the book began."""
        operation = Opened(
            sku, quantity, at=at, state=state, lot=lot, lot_expires_at=lot_expires_at, **words
        )
        return self._engine.one(operation, preview=preview)

    def expect(
        self,
        sku: str,
        quantity: int,
        *,
        at: str,
        reference: str,
        due_at: datetime | None = None,
        preview: bool = False,
        **words: Unpack[OwnedWords],
    ) -> Outcome:
        """Record that *quantity* was ordered under purchase order *reference*."""
        operation = Expected(sku, quantity, at=at, reference=reference, due_at=due_at, **words)
        return self._engine.one(operation, preview=preview)

    def receive(
        self,
        sku: str,
        quantity: int,
        *,
        at: str,
        into: State = State.SELLABLE,
        lot: str = "",
        lot_expires_at: datetime | None = None,
        rejected: int = 0,
        preview: bool = False,
        **words: Unpack[Words],
    ) -> Outcome:
        """
        Record a delivery: *quantity* accepted, *rejected* sent straight back.

        With the reference of an expected order it uses that up first; the outcome's
        ``result`` tells how much was from the order and how much surplus.

        >>> from truecount import Inventory
        >>> inventory = Inventory()
        >>> inventory.locations.add("berlin")
        >>> inventory.expect("MUG", 50, at="berlin", reference="PO-1").granted
        True
        >>> inventory.receive("MUG", 48, at="berlin", reference="PO-1", rejected=2).result
        {'from_order': 48, 'surplus': 0, 'rejected': 2}
        """
        operation = Received(
            sku,
            quantity,
            at=at,
            into=into,
            lot=lot,
            lot_expires_at=lot_expires_at,
            rejected=rejected,
            **words,
        )
        return self._engine.one(operation, preview=preview)

    def close_delivery(
        self,
        sku: str,
        *,
        at: str,
        reference: str,
        preview: bool = False,
        **words: Unpack[OwnedWords],
    ) -> Outcome:
        """Record that the rest of an expected order line will not come."""
        operation = DeliveryClosed(sku, at=at, reference=reference, **words)
        return self._engine.one(operation, preview=preview)

    # --- returns and quality -----------------------------------------------------------

    def take_back(
        self,
        reference: str,
        lines: Lines,
        *,
        key: str,
        at: str | None = None,
        into: State = State.QUARANTINE,
        preview: bool = False,
        **words: Unpack[KeyedWords],
    ) -> Outcome:
        """
        Take a customer's return: each unit *reference* shipped can come back once.

        Raises:
            TooMany: More than was shipped and has not come back.
            UnknownReference: The reference never shipped anything.
        """
        operation = TakeBack(lines, reference=reference, key=key, at=at, into=into, **words)
        return self._engine.one(operation, preview=preview)

    def inspect(
        self,
        sku: str,
        quantity: int,
        *,
        at: str,
        into: State,
        lot: str = "",
        preview: bool = False,
        **words: Unpack[Words],
    ) -> Outcome:
        """Record that quarantined units were judged fit (SELLABLE) or unfit (DAMAGED)."""
        operation = Inspected(sku, quantity, at=at, into=into, lot=lot, **words)
        return self._engine.one(operation, preview=preview)

    def damage(
        self,
        sku: str,
        quantity: int,
        *,
        at: str,
        state: State = State.SELLABLE,
        lot: str = "",
        preview: bool = False,
        **words: Unpack[Words],
    ) -> Outcome:
        """Record that units were found damaged."""
        operation = Damaged(sku, quantity, at=at, state=state, lot=lot, **words)
        return self._engine.one(operation, preview=preview)

    def scrap(
        self,
        sku: str,
        quantity: int,
        *,
        at: str,
        reason: str,
        state: State = State.DAMAGED,
        lot: str = "",
        preview: bool = False,
        **words: Unpack[ExplainedWords],
    ) -> Outcome:
        """Record that units were thrown away."""
        operation = Scrapped(sku, quantity, at=at, reason=reason, state=state, lot=lot, **words)
        return self._engine.one(operation, preview=preview)

    def return_to_supplier(
        self,
        sku: str,
        quantity: int,
        *,
        at: str,
        state: State = State.QUARANTINE,
        lot: str = "",
        preview: bool = False,
        **words: Unpack[Words],
    ) -> Outcome:
        """Record that units went back to their supplier."""
        operation = ReturnedToSupplier(sku, quantity, at=at, state=state, lot=lot, **words)
        return self._engine.one(operation, preview=preview)

    # --- adjustments, counts, corrections ----------------------------------------------

    def adjust(
        self,
        sku: str,
        change: int,
        *,
        at: str,
        reason: str,
        state: State = State.SELLABLE,
        lot: str = "",
        refuse_below: int | None = None,
        preview: bool = False,
        **words: Unpack[ExplainedWords],
    ) -> Outcome:
        """
        Correct the book by *change* units for a stated *reason*.

        A fact: it may take the figure below zero (and is then found), unless *refuse_below*.
        """
        operation = Adjusted(
            sku,
            change,
            at=at,
            reason=reason,
            state=state,
            lot=lot,
            refuse_below=refuse_below,
            **words,
        )
        return self._engine.one(operation, preview=preview)

    def count(
        self,
        sku: str,
        quantity: int,
        *,
        at: str,
        counted_at: datetime | None = None,
        counted_from: datetime | None = None,
        covers: frozenset[State] = ON_HAND - {State.PICKED},
        lot: str = "",
        preview: bool = False,
        **words: Unpack[Words],
    ) -> Outcome:
        """
        Record what a shelf held; the book follows, as of the moment of the count.

        The outcome's ``result`` has expected, counted and variance. Movements after
        *counted_at* keep their effect, and what is reported later about the time before it
        no longer moves the figures after it: ``counted`` tells the variance as it is then.
        """
        operation = Counted(
            sku,
            quantity,
            at=at,
            counted_at=counted_at,
            counted_from=counted_from,
            covers=covers,
            lot=lot,
            **words,
        )
        return self._engine.one(operation, preview=preview)

    def correct(
        self,
        movement_id: str,
        *,
        reason: str,
        quantity: int | None = None,
        sku: str | None = None,
        at: str | None = None,
        lot: str | None = None,
        key: str | None = None,
        actor: str | None = None,
        preview: bool = False,
    ) -> Outcome:
        """
        Replace a mistyped movement by the right one, dated as the original.

        >>> from truecount import Inventory
        >>> inventory = Inventory()
        >>> inventory.locations.add("berlin")
        >>> slip = inventory.receive("MUG", 500, at="berlin").movement_id
        >>> inventory.correct(slip, quantity=50, reason="typed 500").granted
        True
        >>> inventory.figures("MUG").on_hand
        50

        Raises:
            UnknownMovement, NotCorrectable: There is nothing of the kind to correct.
            AlreadyReversed: It was corrected or undone before.
            InsufficientStock: It was a command, and its net effect breaks a floor.
        """
        operation = Correct(
            movement_id=movement_id,
            quantity=quantity,
            sku=sku,
            at=at,
            lot=lot,
            reason=reason,
            key=key,
            actor=actor,
        )
        return self._engine.one(operation, preview=preview)

    def undo(
        self,
        movement_id: str,
        *,
        reason: str,
        key: str | None = None,
        actor: str | None = None,
        preview: bool = False,
    ) -> Outcome:
        """
        Take a whole movement back: every figure it changed is restored.

        Raises:
            NotCorrectable: Reservations are released or amended, not undone.
            AlreadyReversed, TooMany, InsufficientStock: The units have moved on.
        """
        operation = Undo(movement_id=movement_id, reason=reason, key=key, actor=actor)
        return self._engine.one(operation, preview=preview)

    # --- moving and making -------------------------------------------------------------

    def relocate(
        self,
        sku: str,
        quantity: int,
        *,
        source: str,
        target: str,
        state: State = State.SELLABLE,
        lot: str | None = None,
        preview: bool = False,
        **words: Unpack[Words],
    ) -> Outcome:
        """
        Move free units to another location in one step.

        Raises:
            InsufficientStock: The source does not have them free.
        """
        operation = Relocate(
            sku, quantity, source=source, target=target, state=state, lot=lot, **words
        )
        return self._engine.one(operation, preview=preview)

    def transfer_out(
        self,
        reference: str,
        lines: Lines,
        *,
        source: str,
        target: str,
        due_at: datetime | None = None,
        preview: bool = False,
        **words: Unpack[OwnedWords],
    ) -> Outcome:
        """
        Send units on their way, under one transfer *reference*.

        Raises:
            InsufficientStock: The source does not have them free.
            DocumentExists: There is a transfer with this reference, not taken back whole.
        """
        operation = TransferOut(
            lines, reference=reference, source=source, target=target, due_at=due_at, **words
        )
        return self._engine.one(operation, preview=preview)

    def arrive(
        self, reference: str, lines: Lines, *, preview: bool = False, **words: Unpack[OwnedWords]
    ) -> Outcome:
        """Record that units of a transfer arrived; more than were sent is a finding."""
        return self._engine.one(Arrived(lines, reference=reference, **words), preview=preview)

    def reject(
        self, reference: str, lines: Lines, *, preview: bool = False, **words: Unpack[OwnedWords]
    ) -> Outcome:
        """Record that units of a transfer arrived unfit to sell: into quarantine."""
        return self._engine.one(Rejected(lines, reference=reference, **words), preview=preview)

    def lose(
        self, reference: str, lines: Lines, *, preview: bool = False, **words: Unpack[OwnedWords]
    ) -> Outcome:
        """
        Record that units of a transfer will not arrive.

        Raises:
            TooMany: More than are still on the way.
        """
        return self._engine.one(Lost(lines, reference=reference, **words), preview=preview)

    def assemble(
        self,
        sku: str,
        quantity: int,
        *,
        components: Lines | None = None,
        at: str,
        preview: bool = False,
        **words: Unpack[Words],
    ) -> Outcome:
        """Make stocked kits out of *components* (for one kit; by default its recipe's)."""
        operation = Assemble(sku, quantity, components, at=at, **words)
        return self._engine.one(operation, preview=preview)

    def disassemble(
        self,
        sku: str,
        quantity: int,
        *,
        components: Lines | None = None,
        at: str,
        preview: bool = False,
        **words: Unpack[Words],
    ) -> Outcome:
        """Take stocked kits apart into *components* (for one kit; by default its recipe's)."""
        operation = Disassemble(sku, quantity, components, at=at, **words)
        return self._engine.one(operation, preview=preview)
