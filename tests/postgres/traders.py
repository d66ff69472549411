"""
Traders: each a process that orders, confirms, ships and takes in, whatever the server does.

What a trader was told is noted, and repeated under the same key until there is an answer.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import attrs

from tests.postgres.processes import meet, tell_step
from truecount import Confirm, Inventory, Operation, Outcome, Received, Release, Reserve, Ship
from truecount.errors import OutcomeUnknown, Retryable, StorageUnavailable
from truecount.storage.postgres import PostgresStorage
from truecount.testing import Event, History


SKUS = tuple(f"SKU-{number}" for number in range(8))
SHOP = "berlin"
#: Requests that several traders make, under the same key.
COMMON = 40


@attrs.frozen
class Trader:
    """Who trades where: every other one is patient, and settles most itself."""

    dsn: str
    schema: str
    number: int
    requests: int

    @property
    def timeout(self) -> timedelta:
        """How long one call may last: less than a restart of the server, or more."""
        return timedelta(seconds=15) if self.number % 2 else timedelta(milliseconds=250)

    def __call__(self) -> Report:
        """Make all requests, each until it is answered."""
        storage = PostgresStorage(self.dsn, schema=self.schema, timeout=self.timeout)
        try:
            desk = Desk(Inventory(storage))
            meet()
            for operation in requests(self.number, self.requests):
                desk.ask(operation)
                tell_step()
            return desk.report
        finally:
            storage.close()


@attrs.define
class Report:
    """
    What a trader was told.

    Attributes:
        answers: What was asked, and the answer, in order.
        counts: How many calls were answered, unknown, and refused by a server not there.
        lies: Keys of which it was said that nothing had been written, and it had.
    """

    answers: list[tuple[Operation, Outcome]] = attrs.field(factory=list)
    events: list[Event] = attrs.field(factory=list)
    counts: Counter[str] = attrs.field(factory=Counter)
    lies: list[str] = attrs.field(factory=list)


class Desk:
    """Asks until there is an answer."""

    def __init__(self, inventory: Inventory) -> None:
        self.inventory = inventory
        # One clock for all processes of a machine.
        self.history = History(time.monotonic_ns)
        self.report = Report(events=self.history.events)
        self._asked = set[str | None]()

    def ask(self, operation: Operation) -> Outcome:
        """Return the answer, however often it takes."""
        is_unknown = False
        while True:
            began = datetime.now(UTC)
            try:
                outcome = self.history.submit(self.inventory, operation)
            except OutcomeUnknown as error:
                if error.key != operation.key:
                    raise AssertionError(
                        f"{operation}: expected its key, got {error.key!r}"
                    ) from error
                is_unknown = True
                self.report.counts["unknown"] += 1
            except StorageUnavailable:
                self.report.counts["unavailable"] += 1
            except Retryable:
                self.report.counts["busy"] += 1
            else:
                break
        self._note(operation, outcome, is_unknown=is_unknown, began=began)
        return outcome

    def _note(
        self, operation: Operation, outcome: Outcome, *, is_unknown: bool, began: datetime
    ) -> None:
        """Note an answer; one older than the call is a surprise to whoever asks first."""
        report, key = self.report, outcome.key
        report.answers.append((operation, outcome))
        report.counts["asked"] += 1
        report.counts["settled"] += is_unknown
        report.counts["settled as written"] += is_unknown and outcome.replayed
        is_own = key not in self._asked and not key.startswith("common-")
        if is_own and outcome.replayed and not is_unknown:
            if outcome.decided_at < began:
                report.lies.append(key)
            report.counts["settled within the call"] += 1
        self._asked.add(key)


def requests(number: int, size: int) -> Iterator[Operation]:
    """Yield what one trader asks for: the same each time."""
    draw = random.Random(number)
    made: list[Operation] = []
    orders: list[str] = []
    for turn in range(size):
        key = f"{number}-{turn}"
        luck = draw.random()
        if luck < 0.10 and made:  # Once more.
            yield draw.choice(made)
        elif luck < 0.15 and made:  # An old key for something else.
            yield Received("OTHER", 1, at=SHOP, key=draw.choice(made).key)
        elif luck < 0.25:
            yield common(draw.randrange(COMMON))
        else:
            made.append(_own(draw, key, orders))
            yield made[-1]


def _own(draw: random.Random, key: str, orders: list[str]) -> Operation:
    """Return something new: an order, the next act on one, or goods that come in."""
    luck = draw.random()
    if luck < 0.5 or not orders:
        orders.append(f"order-{key}")
        return Reserve(cart(draw), reference=orders[-1], key=key)
    if luck < 0.6:
        return Received(draw.choice(SKUS), draw.randint(1, 3), at=SHOP, key=key)
    kind = draw.choice((Confirm, Confirm, Ship, Release))
    return kind(reference=draw.choice(orders[-6:]), key=key)


def cart(draw: random.Random) -> dict[str, int]:
    """Return a cart of some SKUs in any order; the first ones are what everybody wants."""
    some = draw.sample(SKUS[: draw.choice((3, len(SKUS)))], draw.randint(1, 3))
    return {sku: draw.randint(1, 2) for sku in some}


def common(number: int) -> Operation:
    """Return a request that anybody may make, the same whoever makes it."""
    draw = random.Random(f"common-{number}")
    key = f"common-{number}"
    if draw.random() < 0.3:
        return Received(draw.choice(SKUS), 2, at=SHOP, key=key)
    return Reserve(cart(draw), reference=key, key=key)
