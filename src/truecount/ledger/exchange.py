"""
The whole ledger as text: JSON lines out, and in again.

A file has a header, then movements by position, documents, outcomes, and a footer::

    {"truecount":1,"tenant":"main","movements":2}
    {"movement":{"position":1,"id":"...","kind":"receive",...,"body":{...},"digest":"..."}}
    {"record":{"space":"location","id":"berlin","body":{...}}}
    {"outcome":{"key":"...","fingerprint":"...","decided_at":...,"body":{...}}}
    {"end":{"movements":2,"records":3,"outcomes":2,"position":2,"digest":"...","checksum":"..."}}

Rules:
1. Entries, stock rows and reservation lines are not in it: the movements say all of them,
   and an import folds them by the functions that folded them first. Two exports of one state
   are equal byte for byte, whatever storages they came from.
2. An import goes into an empty tenant, or into one that an earlier import of the same file
   left half done: what is there is compared by digest and passed over. Anything else is
   refused before it is mixed with what is there.
3. It is written in chunks, each in one transaction. A bad line stops it: the chunks before
   stay, and running it again with a good file goes on from there. A file without its footer
   is imported as far as it goes, then refused; so is one whose lines are not those that the
   footer's checksum was made of.
4. Documents are new in the target: their versions start again at 1 (a storage counts them
   one by one). Versions are only ever compared within one storage, and whoever has the shop
   rules cached sees a new generation of them.

Until an import has returned, nobody else should use its target.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from hashlib import blake2b
from typing import Any, Final, NamedTuple, TextIO, TypeAlias

import attrs

from truecount.errors import InternalError, InvalidData, InvalidQuantity
from truecount.ledger.rebuild import Rebuilt
from truecount.ledger.scan import (
    NOTHING_READ,
    START,
    Progress,
    Reading,
    last_position,
    movement_pages,
    outcome_pages,
    reading_of,
    records_of,
    rolled,
)
from truecount.model.movements import MovementRow, digest_of, encode
from truecount.model.names import shown
from truecount.model.outcomes import OutcomeRow
from truecount.model.settings import GENERATION, JOURNAL, RULE_SPACES, generation_after
from truecount.protocols.storage import Changes, Locked, Reader, Record, Unit, Wants


#: The version of the format that this library writes and reads.
FORMAT: Final = 1

#: Rows written in one transaction.
CHUNK_MAX: Final = 1000

#: Opens a write transaction of the target.
Begin: TypeAlias = Callable[[], AbstractContextManager[Unit]]


@attrs.frozen(kw_only=True)
class Export:
    """
    What was exported.

    Attributes:
        position: The last movement's position.
        digest: Of all movements, in order. ``verify(expected=(position, digest))`` proves
            later that none of them has changed or vanished since.
        lines: Lines of text written, header and footer included.
    """

    position: int
    digest: str
    movements: int
    records: int
    outcomes: int
    lines: int


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


# --- out --------------------------------------------------------------------------------


@attrs.define
class _Counts:
    """What went through, in the order of the file."""

    movements: int = 0
    records: int = 0
    outcomes: int = 0
    position: int = 0
    digest: str = START

    def add_movement(self, position: int, row: MovementRow) -> None:
        self.movements += 1
        self.position = position
        self.digest = rolled(self.digest, row)


class _Checksum:
    """Of all lines before the footer, whatever ends them."""

    def __init__(self) -> None:
        self._hash = blake2b(digest_size=16)
        self.lines = 0

    def add(self, text: str) -> None:
        """Take in one line."""
        self._hash.update(text.rstrip("\r\n").encode(errors="surrogatepass") + b"\n")
        self.lines += 1

    def hexdigest(self) -> str:
        """Return the checksum of the lines so far."""
        return self._hash.hexdigest()


def export(
    reader: Reader, tenant: str, stream: TextIO, *, progress: Progress | None = None
) -> Export:
    """Write the ledger of *tenant* to *stream*; see ``StockLedger.export``."""
    counts, checksum = _Counts(), _Checksum()
    for value in _values(reader, tenant, counts, progress):
        text = encode(value)
        checksum.add(text)
        stream.write(text + "\n")
    end = attrs.asdict(counts) | {"checksum": checksum.hexdigest()}
    stream.write(encode({"end": end}) + "\n")
    return Export(**attrs.asdict(counts), lines=checksum.lines + 1)


def _values(
    reader: Reader, tenant: str, counts: _Counts, progress: Progress | None
) -> Iterator[dict[str, Any]]:
    total = last_position(reader)
    yield {"truecount": FORMAT, "tenant": tenant, "movements": total}
    for page in movement_pages(reader):
        for position, row in page:
            counts.add_movement(position, row)
            yield {"movement": {"position": position} | _plain(row)}
        if progress is not None:
            progress(counts.movements, total)
    for space in reader.spaces():
        for record in records_of(reader, space):
            if (record.space, record.id) in (GENERATION, JOURNAL):
                continue  # They tell of generations, which a copy counts for itself.
            counts.records += 1
            plain = _plain(record)
            del plain["version"]
            yield {"record": plain}
    for outcomes in outcome_pages(reader):
        for outcome in outcomes:
            counts.outcomes += 1
            yield {"outcome": _plain(outcome)}


def _plain(row: MovementRow | Record | OutcomeRow) -> dict[str, Any]:
    """Return a row's fields that say something, its body as JSON instead of text."""
    values = {name: value for name, value in row._asdict().items() if value is not None}
    values["body"] = json.loads(row.body)
    return values


# --- in: reading a line -------------------------------------------------------------------


class _Line(NamedTuple):
    """A line of the file: its number, what it said, and for a movement what that means."""

    number: int
    row: Any
    reading: Reading = NOTHING_READ


_TEXT: Final = (str,)
_NUMBER: Final = (int,)
_OPTIONAL_TEXT: Final = (str, type(None))
_OBJECT: Final = (dict,)

#: The fields of each kind of line, and the types they may have.
_FIELDS: Final[dict[str, dict[str, tuple[type, ...]]]] = {
    "movement": {
        "position": _NUMBER,
        "id": _TEXT,
        "kind": _TEXT,
        "occurred_at": _NUMBER,
        "recorded_at": _NUMBER,
        "ordinal": _NUMBER,
        "reference": _OPTIONAL_TEXT,
        "reason": _OPTIONAL_TEXT,
        "actor": _OPTIONAL_TEXT,
        "origin": _OPTIONAL_TEXT,
        "reverses": _OPTIONAL_TEXT,
        "body": _OBJECT,
        "digest": _TEXT,
    },
    "record": {"space": _TEXT, "id": _TEXT, "body": _OBJECT},
    "outcome": {
        "key": _TEXT,
        "fingerprint": _TEXT,
        "decided_at": _NUMBER,
        "forget_at": (int, type(None)),
        "body": _OBJECT,
    },
    "end": {
        "movements": _NUMBER,
        "records": _NUMBER,
        "outcomes": _NUMBER,
        "position": _NUMBER,
        "digest": _TEXT,
        "checksum": _TEXT,
    },
}

#: The order of a file's sections.
_SECTIONS: Final = tuple(_FIELDS)


def _bad(number: int, problem: str) -> InvalidData:
    return InvalidData(f"line {number} of the export", problem)


def _parsed(number: int, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
        if "\\u" in text or not text.isascii():
            encode(value).encode()  # Half a character can be written in JSON, and nowhere else.
    except UnicodeEncodeError as error:
        raise _bad(number, f"it has half a character (a lone surrogate): {error}") from error
    except (ValueError, RecursionError) as error:
        raise _bad(number, f"{shown(text.strip())} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise _bad(number, f"{shown(text.strip())} is not a JSON object")
    return value


def _section_of(number: int, value: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return which section a line belongs to, and its fields, checked."""
    [name] = value if len(value) == 1 else [""]
    allowed = _FIELDS.get(name)
    if allowed is None:
        raise _bad(number, f"{shown(value)} has no single one of {', '.join(_SECTIONS)}")
    fields = value[name]
    if not isinstance(fields, dict):
        raise _bad(number, f"the {name} {shown(fields)} is not a JSON object")
    unknown = sorted(set(fields) - set(allowed))
    if unknown:
        raise _bad(number, f"a {name} has no field {unknown[0]!r}")
    for field, types in allowed.items():
        seen = fields.get(field)
        if type(seen) not in types:
            raise _bad(number, f"{field} is {shown(seen)}, expected {types[0].__name__}")
    return name, {field: fields.get(field) for field in allowed}


def _check_header(value: dict[str, Any]) -> int:
    """Return how many movements the file says it has."""
    if value.get("truecount") != FORMAT:
        raise _bad(1, f'its header is {shown(value)}, expected one with "truecount": {FORMAT}')
    total = value.get("movements")
    if type(total) is not int:
        raise _bad(1, f"movements is {shown(total)}, expected int")
    return total


# --- in: chunks -------------------------------------------------------------------------


def import_lines(
    begin: Begin,
    stream: Iterable[str],
    *,
    progress: Progress | None = None,
    chunk: int = CHUNK_MAX,
) -> Import:
    """Read what ``export`` wrote; see ``StockLedger.import_lines``."""
    arrival = _Arrival(begin, progress, chunk)
    number = 0
    for number, text in enumerate(stream, 1):
        value = _parsed(number, text)
        if number == 1:
            arrival.total = _check_header(value)
        else:
            arrival.take(number, *_section_of(number, value))
        arrival.checksum.add(text)
    return arrival.finish(number)


@attrs.define
class _Arrival:
    """One import under way: the chunk being read, and what was written before it."""

    begin: Begin
    progress: Progress | None
    chunk: int
    total: int = 0
    counts: _Counts = attrs.field(factory=_Counts)
    checksum: _Checksum = attrs.field(factory=_Checksum)
    #: Movements the target had before, and whether the others have begun.
    known: int = 0
    writes: bool = False
    section: str = "movement"
    pending: list[_Line] = attrs.field(factory=list)

    def take(self, number: int, section: str, fields: dict[str, Any]) -> None:
        """Take in one line; write the chunk it completes."""
        if self.section == "end" or _SECTIONS.index(section) < _SECTIONS.index(self.section):
            raise _bad(number, f"{section} after the {self.section} section")
        if section != self.section:
            self.flush()
        while self.section != section:
            self._close_section(number)
        _TAKE[section](self, number, fields)
        if len(self.pending) >= self.chunk:
            self.flush()

    def _close_section(self, number: int) -> None:
        if self.section == "movement":
            with self.begin() as unit:
                self._check_no_others(unit, number)
        self.section = _SECTIONS[_SECTIONS.index(self.section) + 1]

    def take_movement(self, number: int, fields: dict[str, Any]) -> None:
        """Check that a movement is what was exported, and the next one."""
        position = fields.pop("position")
        row = MovementRow(**fields | {"body": encode(fields["body"])})
        if position != self.counts.position + 1:
            raise _bad(number, f"position {position}, expected {self.counts.position + 1}")
        digest = digest_of(row)
        if digest != row.digest:
            problem = f"movement {row.id!r} has digest {row.digest}, its words have {digest}"
            raise _bad(number, problem)
        reading = reading_of(row)
        if reading.problem is not None:
            raise _bad(number, f"movement {row.id!r}: {reading.problem}")
        self.counts.add_movement(position, row)
        self.pending.append(_Line(number, row, reading))

    def take_record(self, number: int, fields: dict[str, Any]) -> None:
        """Take in a document."""
        self.counts.records += 1
        record = Record(fields["space"], fields["id"], 1, encode(fields["body"]))
        self.pending.append(_Line(number, record))

    def take_outcome(self, number: int, fields: dict[str, Any]) -> None:
        """Take in an outcome."""
        self.counts.outcomes += 1
        row = OutcomeRow(**fields | {"body": encode(fields["body"])})
        self.pending.append(_Line(number, row))

    def take_end(self, number: int, fields: dict[str, Any]) -> None:
        """Compare the footer with what came before it."""
        found = attrs.asdict(self.counts) | {"checksum": self.checksum.hexdigest()}
        for field, value in fields.items():
            if value != found[field]:
                raise _bad(number, f"it ends with {field} {value}, before it came {found[field]}")

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
        """Write the chunk, in one transaction."""
        if self.pending:
            with self.begin() as unit:
                changes = _WRITE[self.section](self, unit, self.pending)
                if any(changes):
                    unit.write(changes)
            self.pending = []
            if self.progress is not None:
                self.progress(self.counts.movements, self.total)

    # --- what each section writes ---------------------------------------------------------

    def movement_changes(self, unit: Unit, lines: list[_Line]) -> Changes:
        """Return the movements that are not there yet, and all that they make."""
        wants = Wants()
        for _, row, reading in lines:
            wants.movements.add(row.id)
            wants.keys.update(reading.said)
            if row.reference is not None and any(leg.line for leg in reading.body.legs):
                wants.orders.add(row.reference)
        locked = unit.lock(wants)
        rebuilt = Rebuilt(locked)
        for number, row, reading in lines:
            if self._is_known(unit, locked, number, row):
                self.known += 1
            else:
                self.writes = True
                try:
                    rebuilt.add(row, reading)
                except (InternalError, InvalidQuantity) as error:
                    raise _bad(number, f"movement {row.id!r}: {error}") from error
        return rebuilt.changes()

    def _is_known(self, unit: Unit, locked: Locked, number: int, row: MovementRow) -> bool:
        """Return whether an earlier run imported *row*; refuse a target that is not its prefix."""
        stored = locked.movements.get(row.id)
        if stored is None:
            if not self.writes:
                self._check_no_others(unit, number)
            return False
        if stored != row:
            problem = (
                f"movement {row.id!r} is there already with other words "
                f"(digest {stored.digest}, here {row.digest})"
            )
            raise _bad(number, problem)
        if self.writes:
            raise _bad(number, f"movement {row.id!r} is there already, but not those before it")
        return True

    def _check_no_others(self, unit: Unit, number: int) -> None:
        """Refuse a target that has movements the file does not begin with."""
        before = self.counts.movements if self.writes else self.known
        others = unit.feed(before, 1)
        if others:
            raise _bad(
                number,
                f"the target has movement {others[0][1].id!r} at position {others[0][0]}, which "
                "is not in the export; import into an empty tenant",
            )

    def record_changes(self, unit: Unit, lines: list[_Line]) -> Changes:
        """Return the documents that are not there as they are here."""
        names = {(row.space, row.id) for _, row, _ in lines} | {GENERATION}
        known = unit.lock(Wants(records=names)).records
        changed: dict[tuple[str, str], Record] = {}
        for number, row, _ in lines:
            name = (row.space, row.id)
            if name in changed:
                raise _bad(number, f"record {row.space} {row.id!r} came before")
            if name == GENERATION:
                continue  # Of files written before it was left out.
            if name not in known or known[name].body != row.body:
                changed[name] = row
        rules = [row for row in changed.values() if row.space in RULE_SPACES]
        if rules:
            before = known.get(GENERATION)
            made = generation_after(
                None if before is None else json.loads(before.body),
                [(row.space, row.id, json.loads(row.body)) for row in rules],
            )
            changed[GENERATION] = Record(*GENERATION, 1, encode(made))
        stepped = [
            record._replace(version=known[name].version + 1 if name in known else 1)
            for name, record in changed.items()
        ]
        return Changes([], [], [], {}, [], stepped)

    def outcome_changes(self, unit: Unit, lines: list[_Line]) -> Changes:
        """Return the outcomes that are not there yet."""
        known = unit.lock(Wants(keys_of_requests=[row.key for _, row, _ in lines])).outcomes
        new = []
        for number, row, _ in lines:
            stored = known.setdefault(row.key, row)
            if stored is row:
                new.append(row)
            elif stored != row:
                raise _bad(number, f"key {row.key!r} already names another request")
        return Changes(new, [], [], {}, [], [])


_TAKE: Final[dict[str, Callable[[_Arrival, int, dict[str, Any]], None]]] = {
    "movement": _Arrival.take_movement,
    "record": _Arrival.take_record,
    "outcome": _Arrival.take_outcome,
    "end": _Arrival.take_end,
}
_WRITE: Final[dict[str, Callable[[_Arrival, Unit, list[_Line]], Changes]]] = {
    "movement": _Arrival.movement_changes,
    "record": _Arrival.record_changes,
    "outcome": _Arrival.outcome_changes,
}
