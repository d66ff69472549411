"""Exporting: the whole ledger of a tenant written out, in the order it is read in again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TextIO

import attrs

from truecount.errors import Retryable
from truecount.ledger.export_format import FORMAT, Checksum, Counts
from truecount.ledger.scan import Progress, last_position, movement_pages, outcome_pages, records_of
from truecount.model.movements import MovementRow, encode
from truecount.model.outcomes import OutcomeRow
from truecount.model.settings import GENERATION, JOURNAL
from truecount.protocols.storage import Reader, Record


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


def export(
    reader: Reader, tenant: str, stream: TextIO, *, progress: Progress | None = None
) -> Export:
    """Write the ledger of *tenant* to *stream*; see ``StockLedger.export``."""
    counts, checksum = Counts(), Checksum()
    for value in _values(reader, tenant, counts, progress):
        text = encode(value)
        checksum.add(text)
        stream.write(text + "\n")
    end = attrs.asdict(counts) | {"checksum": checksum.hexdigest()}
    stream.write(encode({"end": end}) + "\n")
    return Export(**attrs.asdict(counts), lines=checksum.lines + 1)


def _values(
    reader: Reader, tenant: str, counts: Counts, progress: Progress | None
) -> Iterator[dict[str, Any]]:
    total = last_position(reader)
    yield {"truecount": FORMAT, "tenant": tenant, "movements": total}
    versions = 0
    for page in movement_pages(reader):
        for position, row in page:
            counts.add_movement(position, row)
            plain = _plain(row)
            versions += len(plain["body"]["extends"])
            yield {"movement": {"position": position} | plain}
        if progress is not None:
            progress(counts.movements, total)
    _check_complete(reader, versions)
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


def _check_complete(reader: Reader, versions: int) -> None:
    """
    Raise unless the movements that were exported wrote every version there is.

    A movement that has no position yet is not in the feed, but what it changed would be.
    """
    there = sum(row.version for _, row in reader.stock())
    if there != versions:
        raise Retryable(
            f"the movements that have a position write {versions} versions, the stock rows are at "
            f"{there}: somebody wrote as the export began; repeat it outside of any transaction, "
            "and if that says the same, run verify()"
        )


def _plain(row: MovementRow | Record | OutcomeRow) -> dict[str, Any]:
    """Return a row's fields that say something, its body as JSON instead of text."""
    values = {name: value for name, value in row._asdict().items() if value is not None}
    values["body"] = json.loads(row.body)
    return values
