"""
Importing: what ``exporting`` wrote, folded into another storage.

Rules:
1. An import goes into an empty tenant (no movement, no document), or into one that an
   earlier import of the same file left half done: what is there must be how the file begins,
   position by position, and is passed over. Anything else is refused before it is mixed with
   what is there.
2. It is written in chunks, each in one transaction, which is tried again where the storage
   says so. A bad line stops it: the chunks before stay, and running it again with a good file
   goes on from there. A file without its footer is imported as far as it goes, then refused;
   so is one whose lines are not those that the footer's checksum was made of.
3. Positions become those of the file. A storage that numbers movements only after they were
   committed does so by (recorded_at, ordinal, id), so a chunk ends where the file leaves that
   order, and the next one is begun by a read, which numbers the one before.
4. Documents are new in the target: their versions start again at 1 (a storage counts them
   one by one). Versions are only ever compared within one storage, and whoever has the shop
   rules cached sees a new generation of them.

Until an import has returned, nobody else should use its target.

``export_format`` knows what a line may be, ``import_changes`` what a chunk writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

import attrs

from truecount.errors import InvalidArgument, InvalidData, KeyTaken, Retryable
from truecount.ledger.export_format import (
    SECTIONS,
    Checksum,
    Counts,
    bad_line,
    movements_in,
    parsed,
    section_of,
)
from truecount.ledger.import_changes import WRITES, Line
from truecount.ledger.scan import Progress, last_position, reading_of, records_of
from truecount.model.movements import MovementRow, digest_of, encode
from truecount.model.outcomes import OutcomeRow
from truecount.model.settings import GENERATION, JOURNAL
from truecount.protocols.storage import Reader, Record
from truecount.write.engine import Engine
from truecount.write.repeating import repeated


#: Rows written in one transaction.
CHUNK_MAX: Final = 1000

_Answer = TypeVar("_Answer")


@attrs.frozen(kw_only=True)
class Import:
    """
    What was imported.

    Attributes:
        position: The last movement's position in the file.
        digest: Of all movements, in order; the footer's was the same.
        movements: Movements in the file.
        known: Of those, how many an earlier run had imported.
    """

    position: int
    digest: str
    movements: int
    known: int
    records: int
    outcomes: int


def import_lines(
    target: Engine,
    stream: Iterable[str],
    *,
    progress: Progress | None = None,
    chunk: int = CHUNK_MAX,
) -> Import:
    """Read what ``export`` wrote; see ``StockLedger.import_lines``."""
    if target.is_joined:
        raise InvalidArgument(
            "import_lines",
            "within a host's transaction",
            "an inventory of its own: each chunk is committed before the next is begun",
        )
    arrival = _Arrival(target, progress, chunk)
    number = 0
    for number, text in enumerate(stream, 1):
        value = parsed(number, text)
        if number == 1:
            arrival.total = movements_in(value)
        else:
            arrival.take(number, *section_of(number, value))
        arrival.checksum.add(text)
    return arrival.finish(number)


@attrs.define
class _Arrival:
    """One import under way: the chunk being read, and what was written before it."""

    target: Engine
    progress: Progress | None
    chunk: int
    total: int = 0
    counts: Counts = attrs.field(factory=Counts)
    checksum: Checksum = attrs.field(factory=Checksum)
    #: Movements the target had before.
    known: int = 0
    #: Where the last movement stands in the order in which movements are numbered later.
    place: tuple[int, int, str] = (0, 0, "")
    section: str = "movement"
    pending: list[Line] = attrs.field(factory=list)

    def take(self, number: int, section: str, fields: dict[str, Any]) -> None:
        """Take in one line; write the chunk it completes."""
        if self.section == "end" or SECTIONS.index(section) < SECTIONS.index(self.section):
            raise bad_line(number, f"{section} after the {self.section} section")
        if section != self.section:
            self.flush()
        while self.section != section:
            self._close_section(number)
        _TAKE[section](self, number, fields)
        if len(self.pending) >= self.chunk:
            self.flush()

    def _close_section(self, number: int) -> None:
        if self.section == "movement":
            self._check_movements(number)
        self.section = SECTIONS[SECTIONS.index(self.section) + 1]

    def take_movement(self, number: int, fields: dict[str, Any]) -> None:
        """Check that a movement is what was exported, and the next one."""
        position = fields.pop("position")
        row = MovementRow(**fields | {"body": encode(fields["body"])})
        if position != self.counts.position + 1:
            raise bad_line(number, f"position {position}, expected {self.counts.position + 1}")
        digest = digest_of(row)
        if digest != row.digest:
            problem = f"movement {row.id!r} has digest {row.digest}, its words have {digest}"
            raise bad_line(number, problem)
        reading = reading_of(row)
        if reading.problem is not None:
            raise bad_line(number, f"movement {row.id!r}: {reading.problem}")
        place = (row.recorded_at, row.ordinal, row.id)
        if place <= self.place:
            self.flush()
        self.place = place
        self.counts.add_movement(position, row)
        self.pending.append(Line(number, row, reading))

    def take_record(self, number: int, fields: dict[str, Any]) -> None:
        """Take in a document."""
        self.counts.records += 1
        record = Record(fields["space"], fields["id"], 1, encode(fields["body"]))
        self.pending.append(Line(number, record))

    def take_outcome(self, number: int, fields: dict[str, Any]) -> None:
        """Take in an outcome."""
        self.counts.outcomes += 1
        row = OutcomeRow(**fields | {"body": encode(fields["body"])})
        self.pending.append(Line(number, row))

    def take_end(self, number: int, fields: dict[str, Any]) -> None:
        """Compare the footer with what came before it."""
        found = attrs.asdict(self.counts) | {"checksum": self.checksum.hexdigest()}
        for field, value in fields.items():
            if value != found[field]:
                raise bad_line(
                    number, f"it ends with {field} {value}, before it came {found[field]}"
                )

    def finish(self, number: int) -> Import:
        """Write what is left, and refuse a file that does not end."""
        self.flush()
        if self.section != "end":
            raise InvalidData(
                "the export",
                f"it ends after line {number} without its footer; the {self.counts.movements} "
                "movements before that are imported, run it again with the whole file",
            )
        return Import(known=self.known, **attrs.asdict(self.counts))

    def flush(self) -> None:
        """Write what is not there of the chunk, in one transaction."""
        if self.section == "movement":
            self._pass_over_known()
        if self.pending:
            repeated(self.target.storage, self._write)
            self.pending = []
        if self.progress is not None:
            self.progress(self.counts.movements, self.total)

    def _write(self) -> None:
        """Write the chunk, or what an attempt whose reply was lost has not written of it."""
        try:
            with self.target.begin() as unit:
                changes = WRITES[self.section](unit, self.pending)
                if any(changes):
                    unit.write(changes)
        except KeyTaken as error:
            raise Retryable(f"another import wrote the outcome of {error.key!r}") from error

    # --- what is there already ------------------------------------------------------------

    def _pass_over_known(self) -> None:
        """Take out of the chunk what an earlier run imported; refuse a target of other words."""
        if not self.pending:
            return
        there = self._read(self._stored)
        for (number, row, _), (position, stored) in zip(self.pending, there, strict=False):
            if stored.id != row.id:
                raise _not_in_export(number, position, stored)
            if stored != row:
                problem = (
                    f"movement {row.id!r} is there already with other words "
                    f"(digest {stored.digest}, here {row.digest})"
                )
                raise bad_line(number, problem)
        self.known += len(there)
        del self.pending[: len(there)]

    def _read(self, ask: Callable[[Reader], _Answer]) -> _Answer:
        """Return what *ask* finds in a read of its own, tried again as a write is."""

        def attempt() -> _Answer:
            with self.target.read() as reader:
                return ask(reader)

        return repeated(self.target.storage, attempt)

    def _stored(self, reader: Reader) -> list[tuple[int, MovementRow]]:
        """Return the movements that are where those of the chunk are to be."""
        before = self.counts.movements - len(self.pending)
        there = reader.feed(before, len(self.pending))
        if not (before or there):
            self._check_empty(reader)
        return there

    def _check_empty(self, reader: Reader) -> None:
        """Refuse a target without movements that has documents: they would be mixed."""
        for space in reader.spaces():
            for record in records_of(reader, space):
                if (space, record.id) not in (GENERATION, JOURNAL):
                    problem = f"the target has {space} {record.id!r}; import into an empty tenant"
                    raise bad_line(self.pending[0].number, problem)

    def _check_movements(self, number: int) -> None:
        """Refuse a target that has more movements than the file, or fewer."""
        last = self.counts.movements
        there = self._read(last_position)
        if there > last:
            [more] = self._read(lambda reader: reader.feed(last, 1))
            raise _not_in_export(number, *more)
        if there < last:
            problem = f"the target has {there} movements of {last}: some came twice in the export"
            raise bad_line(number, problem)


def _not_in_export(number: int, position: int, stored: MovementRow) -> InvalidData:
    return bad_line(
        number,
        f"the target has movement {stored.id!r} at position {position}, which is not in the "
        "export there; import into an empty tenant",
    )


_TAKE: Final[dict[str, Callable[[_Arrival, int, dict[str, Any]], None]]] = {
    "movement": _Arrival.take_movement,
    "record": _Arrival.take_record,
    "outcome": _Arrival.take_outcome,
    "end": _Arrival.take_end,
}
