"""
The stock book: what the ledger's records say, now and then. A shell that only reads.

Every method opens one read and so sees one instant. The functions behind live in
``history``, ``verify`` and ``exporting``; importing an export is the one thing here that
writes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TextIO

from truecount.ledger import exporting, importing
from truecount.ledger import history as past
from truecount.ledger.counted import CountResult, count_of
from truecount.ledger.history import DeliveryLine, HistoryEntry, Moment, Transfer
from truecount.ledger.scan import Progress
from truecount.ledger.verify import Verification, verify
from truecount.model import names
from truecount.model.movements import Movement
from truecount.model.stock import Figures, StockKey
from truecount.protocols.storage import Reader
from truecount.write.engine import Engine


class StockBook:
    """Figures, histories, documents and proofs of one tenant's ledger."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def _check(
        self,
        reader: Reader,
        *,
        sku: str | None = None,
        at: str | None = None,
        lot: str | None = None,
        reference: str | None = None,
    ) -> None:
        """Refuse names that can name nothing: a slip must not be answered with a zero."""
        if sku is not None:
            names.sku(sku)
        if at is not None:
            self._engine.settings_in(reader).check(names.location(at))
        if lot is not None:
            names.lot(lot)
        if reference is not None:
            names.reference(reference)

    def figures(self, sku: str, *, at: str | None = None, lot: str | None = None) -> Figures:
        """
        Return the figures of *sku*: everywhere, at one location, of one lot.

        A SKU that never moved has figures of zero.

        Raises:
            UnknownLocation: The location was not declared.

        Complexity: O(locations and lots of the SKU + expired holds).
        """
        with self._engine.read() as reader:
            self._check(reader, sku=sku, at=at, lot=lot)
            return past.figures_of(reader, sku, at, lot, self._engine.now())

    def available(self, sku: str, *, at: str | None = None) -> int:
        """Return what may be promised of *sku* now; negative: oversold by that many."""
        return self.figures(sku, at=at).available

    def stock(self, *, sku: str | None = None, at: str | None = None) -> dict[StockKey, Figures]:
        """Return the figures of every key, at one instant. O(keys + expired holds)."""
        with self._engine.read() as reader:
            self._check(reader, sku=sku, at=at)
            return dict(past.stock_of(reader, sku, at, self._engine.now()))

    def as_of(
        self,
        sku: str,
        time: datetime | None = None,
        *,
        at: str | None = None,
        lot: str | None = None,
        known_at: datetime | None = None,
        version: int | None = None,
        position: int | None = None,
    ) -> Figures:
        """
        Return the figures of *sku* at a past moment.

        By *time*: what happened until then, late reports included; with *known_at*: as the
        book knew it at that moment. By *position*: a state of the whole ledger. By
        *version*: of one key (name *at*).

        >>> from datetime import UTC, datetime
        >>> from truecount import Inventory
        >>> inventory = Inventory()
        >>> inventory.locations.add("berlin")
        >>> may, june = datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)
        >>> for quantity, moment in ((10, june), (3, may)):
        ...     receipt = inventory.receive("MUG", quantity, at="berlin", occurred_at=moment)
        >>> inventory.as_of("MUG", may).on_hand, inventory.as_of("MUG", june).on_hand
        (3, 13)

        Complexity: O(log n + late entries whose lateness spans *time*) for each key.
        """
        with self._engine.read() as reader:
            self._check(reader, sku=sku, at=at, lot=lot)
            return past.figures_as_of(
                reader,
                Moment(time, known_at, version, position),
                sku,
                at,
                lot,
            )

    def history(
        self,
        sku: str | None = None,
        *,
        at: str | None = None,
        reference: str | None = None,
        last: int | None = 100,
    ) -> list[HistoryEntry]:
        """
        Return what happened to a SKU, at a location or under a reference, oldest first.

        Each entry has the running figures, who, why and where it came from; *last* keeps the
        newest ones, None keeps all.
        """
        with self._engine.read() as reader:
            self._check(reader, sku=sku, at=at, reference=reference)
            return past.history_of(reader, sku, at, reference, last)

    def movement(self, movement_id: str) -> Movement:
        """
        Return one movement.

        Raises:
            UnknownMovement: No movement has this id.
        """
        with self._engine.read() as reader:
            return past.movement_by_id(reader, names.movement_id(movement_id))

    def feed(self, after: int = 0, limit: int = 1000) -> list[Movement]:
        """Return the movements after a position, in the ledger's one order."""
        with self._engine.read() as reader:
            return past.feed_of(reader, after, limit)

    def counted(self, movement_id: str) -> CountResult:
        """
        Return what a count said, and its variance as late facts explain it now.

        >>> from datetime import UTC, datetime
        >>> from truecount import Inventory, Sold
        >>> inventory = Inventory()
        >>> inventory.locations.add("berlin")
        >>> may, june = datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)
        >>> receipt = inventory.receive("MUG", 10, at="berlin", occurred_at=may)
        >>> count = inventory.count("MUG", 8, at="berlin", counted_at=june)
        >>> inventory.counted(count.movement_id).variance
        -2
        >>> late = Sold("MUG", 2, at="berlin", occurred_at=may, key="etsy-7")
        >>> [outcome] = inventory.record([late])
        >>> inventory.counted(count.movement_id).variance_now, inventory.figures("MUG").on_hand
        (0, 8)

        Raises:
            UnknownMovement: No movement has this id.
            UnknownReference: It is no count.
        """
        with self._engine.read() as reader:
            return count_of(reader, movement_id)

    def delivery(self, reference: str) -> list[DeliveryLine]:
        """
        Return the lines of a purchase order: ordered, received, rejected, closed, outstanding.

        Raises:
            UnknownReference: Nothing was expected under this reference.
        """
        with self._engine.read() as reader:
            return past.delivery_of(reader, names.reference(reference))

    def transfer(self, reference: str) -> Transfer:
        """
        Return a transfer: for each SKU and lot sent, arrived, rejected, lost, on the way.

        Raises:
            UnknownReference: There is no transfer with this reference.
        """
        with self._engine.read() as reader:
            return past.transfer_of(reader, names.reference(reference))

    # --- the whole ledger --------------------------------------------------------------

    def verify(
        self,
        *,
        limit: int = 20,
        progress: Progress | None = None,
        expected: tuple[int, str] | None = None,
    ) -> Verification:
        """
        Check everything stored against everything else: each figure is what the ledger says.

        Differences are data, not exceptions: ``problems`` has the first *limit*, each a
        sentence that names the first wrong entry of its key. With *expected*, the position
        and digest of an export or of an earlier verification, it also proves that no
        movement up to there has changed or vanished.

        >>> from truecount import Inventory
        >>> inventory = Inventory()
        >>> inventory.locations.add("berlin")
        >>> receipt = inventory.receive("MUG", 5, at="berlin")
        >>> before = inventory.verify()
        >>> before.ok, before.movements, before.position
        (True, 1, 1)
        >>> receipt = inventory.damage("MUG", 2, at="berlin")
        >>> inventory.verify(expected=(before.position, before.digest)).ok
        True

        Args:
            progress: Called now and then with rows done and rows to do.

        Complexity: O(rows), each read by key; constant in memory. One long read: on a
            storage whose readers hold up writers, verify a copy.
        """
        with self._engine.read() as reader:
            return verify(reader, limit=limit, progress=progress, expected=expected)

    def export(self, stream: TextIO, *, progress: Progress | None = None) -> exporting.Export:
        r"""
        Write the whole ledger to *stream* as JSON lines, as of one instant.

        Movements, documents and outcomes; all else follows from them. Open the file with
        ``encoding="utf-8", newline=""``. Two exports of one state are equal byte for byte.

        >>> import io
        >>> from truecount import Inventory
        >>> inventory, copy, file = Inventory(), Inventory(), io.StringIO()
        >>> inventory.locations.add("berlin")
        >>> receipt = inventory.receive("MUG", 5, at="berlin")
        >>> inventory.export(file).movements
        1
        >>> copy.import_lines(file.getvalue().split("\n")[:-1]).movements
        1
        >>> copy.figures("MUG") == inventory.figures("MUG")
        True

        Args:
            progress: Called now and then with movements done and movements to do.

        Raises:
            Retryable: Somebody wrote just as the export began, on a storage that numbers
                movements later; what was written to *stream* is no export. Run it again.

        Complexity: O(rows) in time, constant in memory.
        """
        with self._engine.read() as reader:
            return exporting.export(reader, self._engine.tenant, stream, progress=progress)

    def import_lines(
        self, stream: Iterable[str], *, progress: Progress | None = None
    ) -> importing.Import:
        """
        Read what ``export`` wrote into this tenant, which must be empty.

        Figures, histories, positions, lines, documents and outcomes (so replays work) become
        those of the original, whatever storage it lived in. Each movement is checked against
        its digest and the versions it continues. Interrupted, run it again: it goes on where
        it stopped. Until it has returned nobody else should use the tenant; observers are
        not told.

        Args:
            stream: The lines: an open text file.
            progress: Called now and then with movements done and movements to do.

        Raises:
            InvalidData: A line is not what an export writes, does not continue what is
                there, or the footer is missing. It names the line; whole chunks of at most
                1,000 before it are imported, nothing after it is.
            InvalidArgument: This inventory is within a host's transaction.

        Complexity: O(lines) in time, one chunk in memory.
        """
        return importing.import_lines(self._engine, stream, progress=progress)
