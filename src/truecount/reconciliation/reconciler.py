"""
The shell of comparing: reads once, compares, and keeps what was published.

Comparing never writes. ``published`` does: it puts a record any later comparison looks at.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from itertools import islice

from truecount.explaining.facts import Evidence
from truecount.explaining.priors import PRIORS, Priors
from truecount.model import doors, instants, quantities
from truecount.model.doors import Lines
from truecount.model.movements import decode
from truecount.reconciliation.comparing import compare
from truecount.reconciliation.observations import Observation, Source
from truecount.reconciliation.published import Published
from truecount.reconciliation.report import Reconciliation
from truecount.reconciliation.tries import again
from truecount.write.engine import BATCH_MAX, Engine


class Reconciler:
    """
    Compares the book with what people counted and what other systems show.

    Safe to share between threads. Works alone over an :class:`Engine` with
    ``PUBLISHED_RULES``, and is one of the parts of :class:`truecount.Inventory`.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def reconcile(
        self,
        observations: Iterable[Observation],
        *,
        sources: Iterable[Source] = (),
        recipes: Mapping[str, Mapping[str, int]] | None = None,
        only: Collection[str] | None = None,
        earlier: Reconciliation | None = None,
    ) -> Reconciliation:
        """
        Compare *observations* with the book, each as of the time it was made.

        Each is a match, a mismatch, or undecided until a stated time; differences are data,
        nothing is written and nothing is raised because of them.

        >>> from truecount import Count, Inventory
        >>> inventory = Inventory()
        >>> inventory.locations.add("berlin")
        >>> receipt = inventory.receive("MUG", 5, at="berlin")
        >>> report = inventory.reconcile([Count("MUG", 3, at="berlin", counter="sam")])
        >>> print(report.mismatches[0].sentence)
        MUG at berlin: counted 3 by sam, the book says 5: 2 in the book are not on the shelf

        Args:
            sources: How far clocks may be off and how late reports may come, and how a
                source makes the level it shows: each in place of what ``inventory.sources``
                says of its name. Who is in neither is exact.
            recipes: Kit to component to quantity for one kit, nested or not, for systems
                whose kits differ; ``{}`` for one without kits. By default the shop's own, as
                they were in force when a level was seen, for sources that show what is
                available: their level of a kit is what ``availability`` says.
            only: Judge these SKUs alone, for example what ``moved_since`` returns.
            earlier: The report before: what it left open because it moved, and is left open
                again, says how often; after three times it is provisionally a match.

        Raises:
            InvalidTime: An observation is in the future.
            UnknownLocation: One is of a location that was never declared.
            DuplicateObservation: One observer says two things of one key.
            InvalidRequest: Something else about a call is wrong; a note tells where.

        Complexity: O(observations * log(observations)), and O(stock keys) for more than a
        thousand SKUs or a complete list; for each key that has moved since it was observed
        O(entries since then). Memory O(observations + mismatches).
        """
        with self._engine.read() as reader:
            report = compare(
                reader,
                self._engine.settings_in(reader),
                self._engine.now(),
                observations,
                sources=sources,
                recipes=recipes,
                only=only,
            )
        return report if earlier is None else again(report, earlier)

    def explain(
        self,
        report: Reconciliation,
        *,
        known: Evidence | None = None,
        priors: Priors = PRIORS,
    ) -> Reconciliation:
        """
        Return *report* with what may be behind each mismatch: causes ranked, with evidence.

        Each mismatch gets an ``explanation``: its causes, how probable they are, how many
        others fit as exactly, and whether that may be trusted. Those that are not known to
        the unit, unknown SKUs and what is undecided get none. Nothing is written.

        >>> from truecount import Count, Inventory
        >>> inventory = Inventory()
        >>> inventory.locations.add("berlin", "hamburg")
        >>> receipt = inventory.receive("MUG", 90, at="berlin", reference="PO-1")
        >>> sent = inventory.transfer_out("T-1", {"MUG": 40}, source="berlin", target="hamburg")
        >>> report = inventory.reconcile([Count("MUG", 40, at="hamburg")])
        >>> [mismatch] = inventory.explain(report).mismatches
        >>> mismatch.explanation.verdict.value, mismatch.explanation.best.sentence
        ('confident', '40 units of transfer T-1 arrived, and nobody said so')

        Args:
            report: What ``reconcile`` returned, now or some time ago: what was recorded since
                is left out.
            known: What the ledger cannot know, added to what it does: ``factors``,
                ``look_alikes``, ``taken_back``, ``signs``, a source's own log as
                ``candidates``. Its ``slack`` holds for all.
            priors: How common each kind of cause is.

        Complexity: O(log n + entries since both sides last agreed) for each mismatch, and
        what :func:`truecount.explain` says of them.
        """
        from truecount.reconciliation.explained import explained

        with self._engine.read() as reader:
            settings = self._engine.settings_in(reader)
            now = self._engine.now()
            return explained(reader, settings, now, report, known=known, priors=priors)

    def published(
        self,
        source: str,
        levels: Lines,
        *,
        at: datetime | None = None,
        key: str | None = None,
    ) -> None:
        """
        Record that *levels* were published to *source*, *at* a time (default: now).

        Comparisons tell by it a level that lags behind from one that somebody changed over
        there. Repeating the call with its time changes nothing.

        >>> from truecount import Inventory
        >>> inventory = Inventory()
        >>> inventory.published("etsy", {"MUG": 5, "TEA": 0})

        Args:
            levels: Whole numbers from 0, each SKU once.
            key: Names this attempt, as for every other call.

        Raises:
            InvalidRequest: A name, quantity or time is wrong; nothing was written.

        Complexity: O(levels), in transactions of a thousand.
        """
        pairs = iter(doors.targets(levels))
        moment = None if at is None else instants.moment(at, "at")
        number = 0
        while chunk := tuple(islice(pairs, BATCH_MAX)):
            number += 1
            part = key if key is None or number == 1 else f"{key}/{number}"
            self._engine.one(Published(source, chunk, occurred_at=moment, key=part))

    def moved_since(self, position: int) -> tuple[frozenset[str], int]:
        """
        Return the SKUs that moved after a *position* of the ledger, and the newest position.

        A bundle has moved when anything in it has. Keep the position beside a report: the next
        comparison then looks only at what may have changed, and at what was not a match
        before. A bundle that was defined anew has not moved; who defines it adds it.

        >>> from truecount import Inventory
        >>> inventory = Inventory()
        >>> inventory.locations.add("berlin")
        >>> receipt = inventory.receive("MUG", 5, at="berlin")
        >>> skus, position = inventory.moved_since(0)
        >>> sorted(skus), inventory.moved_since(position)[0]
        (['MUG'], frozenset())

        Raises:
            InvalidQuantity: The position is not a whole number from 0.

        Complexity: O(movements after it), and of the components of all bundles when any moved.
        """
        last = quantities.natural(position, "position")
        skus: set[str] = set()
        with self._engine.read() as reader:
            while page := reader.feed(last):
                skus.update(key.sku for _, row in page for key, _ in decode(row.body).extends)
                last = page[-1][0]
            settings = self._engine.settings_in(reader)
            bills = [settings.bill(kit) for kit in settings.recipes] if skus else []
            skus.update([bill.sku for bill in bills if bill and not skus.isdisjoint(bill.family)])
        return frozenset(skus), last
