"""Whatever happened, the stored data agrees; whatever single row is damaged, it does not."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from typing import Any, Final

import attrs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.strategies import Shop, Step, histories, new_shop, play
from truecount import MemoryStorage, Outcome
from truecount.errors import InternalError, StorageError
from truecount.model.movements import encode


PATIENT = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@attrs.frozen
class Damage:
    """One stored row replaced behind the adapter's back, or lost."""

    rows: Any
    place: Any
    changed: Any

    def do(self) -> None:
        """Put the changed row in place of the stored one."""
        if self.changed is None:
            del self.rows[self.place]
        else:
            self.rows[self.place] = self.changed


#: A change of each type of value that is always another value.
_OTHER: Final[dict[type, Callable[[Any], Any]]] = {
    int: lambda value: value + 1,
    str: lambda value: f"{value}?",
    tuple: lambda amounts: (amounts[0] + 1, *amounts[1:]),
    type(None): lambda _: 7,
}

#: A line of another key is in no index of this adapter; no reader could find it.
_KEYS: Final = frozenset({"key", "reference", "number"})


def _rows_of(shop: Shop) -> Any:
    storage = shop.inventory.storage
    assert isinstance(storage, MemoryStorage)
    return storage._tenants["main"]


def _columns(rows: Any, place: Any, but: Collection[str] = ()) -> Iterator[Damage]:
    """Yield the damage of each column of the row at *place*, except those *but* these."""
    row = rows[place]
    for name, value in zip(row._fields, row, strict=True):
        if name not in but:
            yield Damage(rows, place, row._replace(**{name: _OTHER[type(value)](value)}))


def damages_of(tenant: Any) -> Iterator[Damage]:
    """Yield every single damage: each column of each row, and the loss of each entry."""
    for key, row in tenant.rows.items():
        if row.version:
            yield from _columns(tenant.rows, key)
    for entries in tenant.entries.values():
        for index in range(len(entries)):
            yield from _columns(entries, index, {"key"})
            yield Damage(entries, index, None)
    for position in range(len(tenant.movements)):
        yield from _columns(tenant.movements, position)
    for lines in tenant.lines.values():
        for number in lines:
            yield from _columns(lines, number, _KEYS)
    yield from _document_damages(tenant.records)
    yield from _outcome_damages(tenant.outcomes)


def _document_damages(records: Any) -> Iterator[Damage]:
    """Yield a counter too many in each document that movements count in."""
    for space in ("order", "purchase", "transfer"):
        for id_, record in records.get(space, {}).items():
            body = json.loads(record.body)
            body["lines"] = {**body.get("lines", {}), "nothing": {"sold": 1}}
            yield Damage(records[space], id_, record._replace(body=encode(body)))
    for id_, record in records.get("reversal", {}).items():
        wrong = record._replace(body=encode({"by": "nobody"}))
        yield Damage(records["reversal"], id_, wrong)


def _outcome_damages(outcomes: Any) -> Iterator[Damage]:
    for key, row in outcomes.items():
        yield Damage(outcomes, key, row._replace(body=f"{row.body}?"))
        yield Damage(outcomes, key, row._replace(forget_at=None if row.forget_at else 7))
        if json.loads(row.body).get("movements"):
            yield Damage(outcomes, key, row._replace(decided_at=row.decided_at + 1))


@PATIENT
@given(histories())
def test_every_history_is_ok(steps: list[Step]) -> None:
    """No list of operations, wrong ones among them, leaves anything that does not agree."""
    shop = new_shop()
    for answer in play(shop, steps):
        error = answer.error if isinstance(answer, Outcome) else None
        assert not isinstance(error, InternalError | StorageError), str(error)
    result = shop.inventory.verify()
    assert result.ok, "\n".join(map(str, result.problems))


@PATIENT
@given(histories(6), st.data())
def test_every_single_damage_is_found(steps: list[Step], data: st.DataObject) -> None:
    """Whichever column of whichever row is changed, or entry lost, it is found."""
    shop = new_shop()
    play(shop, steps)
    damages = list(damages_of(_rows_of(shop)))
    damage = damages[data.draw(st.integers(0, len(damages) - 1), label="which")]
    damage.do()
    assert not shop.inventory.verify().ok, f"not found: {damage.place} made {damage.changed}"


@PATIENT
@given(histories(6), st.data())
def test_seal_finds_every_cut(steps: list[Step], data: st.DataObject) -> None:
    """Of a sealed ledger no movement at or before the seal can be lost unseen."""
    shop = new_shop()
    play(shop, steps)
    seal = shop.inventory.verify()
    rows = _rows_of(shop)
    left = data.draw(st.integers(0, len(rows.movements) - 1), label="left")
    for row in rows.movements[left:]:
        del rows.positions[row.id]
    del rows.movements[left:]
    for positions in rows.by_reference.values():
        positions[:] = [position for position in positions if position <= left]
    problems = shop.inventory.verify(expected=(seal.position, seal.digest), limit=10_000).problems
    assert "I5" in {problem.invariant for problem in problems}
