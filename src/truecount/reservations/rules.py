"""
Rules of reservations: the table of what may be done, and how each act is decided.

A reservation is named by its reference. While any of its lines promises units it is open;
after that the reference may be reserved for again, as the next round, with new lines.

=========  =======================================  =====================================
status     when                                     what may follow
=========  =======================================  =====================================
held       units are held and time has not run out  confirm, release, amend
expired    the time has run out                     confirm(on_expired="rehold"), release,
                                                    reserve again
confirmed  units are allocated                      pick, ship, release, amend
picked     units are picked, none is allocated      ship, short_pick, amend
shipped    nothing is open, something shipped       take back; reserve again
released   nothing is open, nothing shipped         reserve again
=========  =======================================  =====================================

Rules:
1. All lines or nothing, unless ``partial``. A refusal was decided under the locks of every
   key that could have served, and names each short SKU.
2. An expired hold blocks nobody, whether or not a sweeper ran.
3. Release, expiry and confirmation of a live hold never fail for stock.
4. Each act takes at most what the lines have: more is refused, never clamped.
5. An act that names a round acts on that one or is refused; a finished one is never reopened.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from truecount.errors import ReservationFinished, UnknownReference
from truecount.ledger.refolding import anchored
from truecount.model.instants import Instant
from truecount.model.kinds import Kind
from truecount.model.lines import LineRow
from truecount.model.operation import Operation
from truecount.model.reservation_commands import (
    Amend,
    Confirm,
    Expire,
    Pick,
    Release,
    Reserve,
    Ship,
    ShortPick,
)
from truecount.model.settings import Settings
from truecount.protocols.storage import Wants
from truecount.reservations import amending, confirming, expiring, fulfilment, holding
from truecount.reservations.lines import current_round
from truecount.reservations.sourcing import SOURCING, Policies
from truecount.write.book import Book
from truecount.write.intents import Decision, Rule, Rules


def _wants_order(operation: Any, settings: Settings) -> Wants:
    del settings
    return Wants(orders={operation.reference})


def _on_current_round(
    kind: Kind, act: Callable[[Any, Book, Instant, list[LineRow]], Decision]
) -> Callable[[Any, Book, Instant], Decision]:
    """Return a decision that hands *act* the lines of the round it means, or refuses."""

    def decide(operation: Any, book: Book, now: Instant) -> Decision:
        lines = current_round(book.lines_of(operation.reference))
        if not lines or (operation.round or 0) > lines[-1].round:
            raise UnknownReference("reservation", operation.reference)
        if operation.round not in (None, lines[-1].round):
            return ReservationFinished(
                kind.value.replace("_", " "),
                operation.reference,
                "finished, and the reference was reserved for again",
            )
        return act(operation, book, now, lines)

    return decide


def reservation_rules(policies: Policies | None = None) -> Rules:
    """Return the rules of reservations, with the shop's own sourcing policies by name."""
    known = {**SOURCING, **(policies or {})}
    confirm = partial(confirming.confirm, policies=known)
    amend = partial(amending.amend, policies=known)
    wants_units = partial(holding.wants_units, policies=known)
    rules: dict[type[Operation], Rule] = {
        Reserve: Rule(wants_units, partial(holding.reserve, policies=known), holding.asked),
        Confirm: Rule(
            _wants_order, _on_current_round(Kind.CONFIRM, confirm), confirming.rehold_demand
        ),
        Amend: Rule(wants_units, _on_current_round(Kind.AMEND, amend), holding.asked),
        Release: Rule(_wants_order, _on_current_round(Kind.RELEASE, fulfilment.release)),
        Pick: Rule(_wants_order, _on_current_round(Kind.PICK, fulfilment.pick)),
        ShortPick: Rule(_wants_order, _on_current_round(Kind.SHORT_PICK, fulfilment.short_pick)),
        Ship: Rule(_wants_order, _on_current_round(Kind.SHIP, fulfilment.ship)),
        Expire: Rule(expiring.wants_expired, expiring.expire),
    }
    return anchored(rules)


RESERVATION_RULES: Final = reservation_rules()
