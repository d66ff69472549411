"""
Rows made up by hand, and one way to write them: what checks of a storage are fed with.

They are well-formed (entries extend their key, a movement comes with its entries) but obey
no rule of stock, because a storage must not know any.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from truecount.model.instants import Instant
from truecount.model.lines import NEVER, LineRow
from truecount.model.movements import MovementRow, digest_of, encode
from truecount.model.outcomes import OutcomeRow
from truecount.model.places import INDEX
from truecount.model.stock import EMPTY_ROW, EntryRow, StockKey, StockRow, extend
from truecount.protocols.storage import Changes, Locked, Record, Storage, Wants


#: 2026-01-01T00:00:00Z, where made-up histories begin.
START: Final[Instant] = 1_767_225_600_000_000
SECOND: Final[Instant] = 1_000_000
TENANT: Final = "main"

#: What the units reserved on a line have become.
COUNTERS: Final = ("held", "allocated", "picked", "shipped", "released", "expired", "short")

MUG: Final = StockKey("MUG", "berlin")
TEA: Final = StockKey("TEA", "berlin")


class Sheet:
    """The changes of one write, made up on the rows that were locked for it."""

    def __init__(self, locked: Locked, recorded_at: Instant | None = None) -> None:
        latest = max((row.recorded_at for row in locked.rows.values()), default=0)
        self.locked = locked
        self.recorded_at = max(START, latest + SECOND) if recorded_at is None else recorded_at
        self.movements: list[MovementRow] = []
        self.entries: list[EntryRow] = []
        self.rows: dict[StockKey, StockRow] = {}
        self.lines: list[LineRow] = []
        self.records: list[Record] = []
        self.outcomes: list[OutcomeRow] = []

    def move(
        self,
        id_: str,
        *keys: StockKey,
        occurred_at: Instant | None = None,
        reference: str | None = None,
        floor: int | None = None,
        **states: int,
    ) -> MovementRow:
        """Add a movement that changes the same states of each of *keys*."""
        change = [states.get(state, 0) for state in INDEX]
        occurred_at = self.recorded_at if occurred_at is None else occurred_at
        extends = []
        for key in keys:
            before = self.rows.get(key) or self.locked.rows.get(key, EMPTY_ROW)
            after, entry = extend(before, key, change, id_, occurred_at, self.recorded_at, floor)
            self.rows[key] = after
            self.entries.append(entry)
            extends.append((*key, entry.version))
        body = encode({"legs": [], "extends": extends})
        row = MovementRow(
            id_,
            "adjust",
            occurred_at,
            self.recorded_at,
            len(self.movements),
            reference,
            "made up",
            None,
            None,
            None,
            body,
            "",
        )
        self.movements.append(row._replace(digest=digest_of(row)))
        return self.movements[-1]

    def changes(self) -> Changes:
        """Return what is to be written."""
        return Changes(
            self.outcomes, self.movements, self.entries, self.rows, self.lines, self.records
        )


@contextmanager
def writing(
    storage: Storage,
    *keys: StockKey,
    orders: Iterable[str] = (),
    records: Iterable[tuple[str, str]] = (),
    tenant: str = TENANT,
    recorded_at: Instant | None = None,
) -> Iterator[Sheet]:
    """Lock, let the caller fill a sheet, write it and commit."""
    with storage.begin(tenant) as unit:
        locked = unit.lock(Wants(keys=set(keys), orders=set(orders), records=set(records)))
        sheet = Sheet(locked, recorded_at)
        yield sheet
        unit.write(sheet.changes())


def line(
    reference: str,
    number: int,
    key: StockKey,
    *,
    expires_at: Instant = NEVER,
    round_: int = 1,
    **counters: int,
) -> LineRow:
    """Return a reservation line whose counters add up."""
    values = [counters.get(name, 0) for name in COUNTERS]
    return LineRow._make([reference, number, round_, key, sum(values), *values, expires_at])


def outcome(
    key: str, *, decided_at: Instant = START, forget_at: Instant | None = None
) -> OutcomeRow:
    """Return an outcome: of a grant, or of a refusal where it has a time to be forgotten."""
    return OutcomeRow(key, f"fingerprint of {key}", decided_at, forget_at, '{"movements":[]}')


def dump(
    storage: Storage, references: Iterable[str] = (), tenant: str = TENANT
) -> Mapping[str, Any]:
    """Return all that a reader shows of a small tenant, to be compared."""
    with storage.read(tenant) as reader:
        feed = reader.feed()
        stock = list(reader.stock())
        return {
            "feed": feed,
            "stock": stock,
            "entries": [list(reader.entries(key)) for key, _ in stock],
            "open": [list(reader.open_lines(key)) for key, _ in stock],
            "due": reader.due_holds(NEVER - 1),
            "lines": [reader.lines(reference) for reference in references],
            "records": [reader.records(space) for space in reader.spaces()],
            "outcomes": reader.outcomes(),
        }
