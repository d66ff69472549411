"""Checks of what is said of sources: it can be read, and is the last of its versions (I2)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from truecount.errors import InvalidRequest
from truecount.ledger.problems import Problem
from truecount.ledger.scan import UNREADABLE
from truecount.model.settings import SOURCE_HISTORY, past_source
from truecount.model.sources import Source
from truecount.protocols.storage import Reader, Record


def check_source(reader: Reader, record: Record, body: Any) -> Iterator[Problem]:
    """Yield the first thing wrong with what is said of a source."""
    try:
        if body["said"] is not None:
            Source.from_dict(record.id, body["said"])
        said = [_past(reader, record.id, number) for number in range(1, body["version"] + 1)]
        if None in said or said[-1:] != [body]:
            known = [each["version"] for each in said if each is not None]
            wanted = f"its versions 1 to {body['version']}, the last as it is"
            yield _problem(record, wanted, f"{known}")
    except (*UNREADABLE, InvalidRequest) as error:
        yield _problem(record, "a source that can be described", str(error))


def _past(reader: Reader, name: str, version: int) -> dict[str, Any] | None:
    """Return what was said as a version, in the words of the document in force."""
    record = reader.record(SOURCE_HISTORY, past_source(name, version))
    if record is None:
        return None
    body = json.loads(record.body)
    return {"version": body["version"], "said": body["said"]}


def _problem(record: Record, expected: str, found: str) -> Problem:
    where = f"document {record.space} {record.id!r}"
    return Problem(invariant="I2", where=where, expected=expected, found=found)
