"""Whatever happened goes out and in again; whatever is changed on the way is noticed."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.strategies import Step, histories, new_shop, play
from truecount import Inventory
from truecount.errors import InvalidData
from truecount.ledger import importing


PATIENT = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def exported(inventory: Inventory) -> list[str]:
    """Return the lines of an export."""
    file = io.StringIO()
    inventory.export(file)
    file.seek(0)
    return list(file)


def rows_of(inventory: Inventory) -> dict[str, Any]:
    """Return what is stored, but for the versions of documents and rows that only lock."""
    stored: Any = inventory.storage
    tables = vars(stored._tenants["main"])
    names = ("entries", "movements", "positions", "lines", "open_lines", "due", "outcomes")
    kept = {name: tables[name] for name in names}
    kept["rows"] = {key: row for key, row in tables["rows"].items() if row.version}
    kept["open_lines"] = {key: marks for key, marks in tables["open_lines"].items() if marks}
    return kept


@PATIENT
@given(histories(), st.integers(1, 9))
def test_every_history_survives_the_journey(steps: list[Step], chunk: int) -> None:
    """All rows, documents and outcomes of the copy are those of the original."""
    shop, copy = new_shop(), Inventory()
    play(shop, steps)
    lines = exported(shop.inventory)
    done = importing.import_lines(copy._engine, lines, chunk=chunk)
    assert rows_of(copy) == rows_of(shop.inventory)
    assert exported(copy) == lines
    result = copy.verify(expected=(done.position, done.digest))
    assert result.ok, "\n".join(map(str, result.problems))


@PATIENT
@given(histories(4), st.data())
def test_every_changed_character_is_noticed(steps: list[Step], data: st.DataObject) -> None:
    """No text but the one that was exported is imported without a word."""
    shop = new_shop()
    play(shop, steps)
    text = "".join(exported(shop.inventory))
    place = data.draw(st.integers(0, len(text) - 2), label="place")
    other = data.draw(st.sampled_from('0917-.ae"{}[],: \n'), label="other")
    assume(text[place] != other)
    changed = io.StringIO(text[:place] + other + text[place + 1 :])
    with pytest.raises(InvalidData):
        Inventory().import_lines(changed)


@PATIENT
@given(histories(4), st.data())
def test_every_cut_is_noticed_and_mended(steps: list[Step], data: st.DataObject) -> None:
    """A file cut anywhere is refused, and the whole one completes what it had begun."""
    shop, copy = new_shop(), Inventory()
    play(shop, steps)
    lines = exported(shop.inventory)
    text = "".join(lines)
    place = data.draw(st.integers(0, len(text) - 2), label="place")
    chunk = data.draw(st.integers(1, 9), label="chunk")
    with pytest.raises(InvalidData):
        importing.import_lines(copy._engine, io.StringIO(text[:place]), chunk=chunk)
    importing.import_lines(copy._engine, lines, chunk=chunk)
    assert rows_of(copy) == rows_of(shop.inventory)
    assert exported(copy) == lines
