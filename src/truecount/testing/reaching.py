"""
What must hold where a storage can do more: be opened again, be joined, be looked into.

Each check takes a factory of storages and the declared capabilities; ``NEEDS`` says which of
those it cannot do without. They read what is stored past the storage's own code where
``look_behind`` is declared, and through a reader elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import timedelta
from functools import partial
from types import MappingProxyType
from typing import Any, Final, TypeAlias, TypeVar

from truecount.errors import InsufficientStock, InternalError, NotInTransaction, Retryable
from truecount.inventory import Inventory
from truecount.protocols.storage import Record, Storage, Wants
from truecount.testing.capabilities import Capabilities, Host, Stored, stored_by
from truecount.testing.claims import MakeStorage, at_once, expect, expect_raises, patiently
from truecount.testing.fakes import CountingIds, ManualClock
from truecount.testing.invariants import assert_invariants
from truecount.testing.samples import MUG, START, TEA, TENANT, Sheet, dump, line, outcome, writing
from truecount.testing.waiting import Aside


#: Proves what a storage says it can do besides the contract.
CapabilityCheck: TypeAlias = Callable[[MakeStorage, Capabilities], None]

ROUNDS: Final = 5


def _stored(storage: Storage, capabilities: Capabilities) -> Stored:
    """Return what is stored, past the storage's own code where that is declared."""
    if capabilities.look_behind is not None:
        return capabilities.look_behind(storage, TENANT)
    with storage.read(TENANT) as reader:
        return stored_by(reader)


def _over(storage: Storage, name: str) -> Inventory:
    return Inventory(storage, clock=ManualClock(), new_id=CountingIds(name))


def _shop(storage: Storage) -> Inventory:
    inventory = _over(storage, "id")
    inventory.locations.add("berlin")
    return inventory


def _trade(inventory: Inventory) -> list[Any]:
    """Write something of every kind of row; each call has a key, so it may be repeated."""
    return [
        inventory.receive("MUG", 9, at="berlin", key="asn-1").movements,
        inventory.reserve({"MUG": 4}, reference="A-1", key="a", ttl=timedelta(hours=1)).lines,
        inventory.confirm("A-1", key="b").lines,
        inventory.ship("A-1", {"MUG": 1}, key="c").lines,
        str(expect_raises(InsufficientStock, partial(_too_many, inventory), "99 of 5 mugs")),
    ]


def _too_many(inventory: Inventory) -> object:
    return inventory.reserve({"MUG": 99}, reference="A-2", key="d")


# --- looked into -------------------------------------------------------------------------


def check_stored_rows_are_what_readers_show(
    make_storage: MakeStorage, capabilities: Capabilities
) -> None:
    """What lies in the database is what a reader shows of it, kind by kind."""
    with closing(make_storage()) as storage:
        _trade(_shop(storage))
        with storage.read(TENANT) as reader:
            shown = stored_by(reader)
        seen = _stored(storage, capabilities)
        for kind in Stored._fields:
            expect(getattr(seen, kind), getattr(shown, kind), f"{kind} in the database")


def check_refusal_stores_its_outcome_alone(
    make_storage: MakeStorage, capabilities: Capabilities
) -> None:
    """A refusal leaves its outcome in the database and not one row more (I13)."""
    with closing(make_storage()) as storage:
        inventory = _shop(storage)
        inventory.receive("MUG", 5, at="berlin", key="asn-1")
        before = _stored(storage, capabilities)
        expect_raises(InsufficientStock, partial(_too_many, inventory), "99 of 5 mugs")
        wanted = before._replace(outcomes=before.outcomes | {"d"})
        expect(_stored(storage, capabilities), wanted, "what is stored after a refusal")


def check_rolled_back_unit_stores_nothing(
    make_storage: MakeStorage, capabilities: Capabilities
) -> None:
    """A unit that an exception leaves after its write has stored not one row (I8)."""
    with closing(make_storage()) as storage:
        _trade(_shop(storage))
        before = _stored(storage, capabilities)

        def stopped() -> None:
            with storage.begin(TENANT) as unit:
                sheet = Sheet(unit.lock(Wants(keys={MUG, TEA}, orders={"B-1"})))
                sheet.move("m1", MUG, TEA, held=1)
                sheet.lines.append(line("B-1", 1, TEA, held=1, expires_at=START))
                sheet.records.append(Record("order", "B-1", 1, "{}"))
                sheet.outcomes.append(outcome("k1"))
                unit.write(sheet.changes())
                raise _Stop

        expect_raises(_Stop, stopped, "the exception that left the unit")
        expect(_stored(storage, capabilities), before, "what is stored after a rollback")


class _Stop(Exception):
    """Leaves a unit the hard way."""


# --- opened again ------------------------------------------------------------------------


def check_reopened_storage_has_everything(
    make_storage: MakeStorage, capabilities: Capabilities
) -> None:
    """Closed and opened again, everything of everybody is there, and keys are still known."""
    reopen = _declared(capabilities.reopen)
    with closing(make_storage()) as first:
        told = _trade(_shop(first))
        with writing(first, TEA, tenant="other") as sheet:
            sheet.move("m1", TEA, sellable=1)
        before = dump(first, ["A-1"])
        other = dump(first, tenant="other")
        first.close()
        with closing(reopen(first)) as again:
            expect(dump(again, ["A-1"]), before, "the storage after it was opened again")
            seen = dump(again, tenant="other")
            expect(seen, other, "another tenant after it was opened again")
            expect(_trade(_over(again, "again")), told, "answers to the same calls, repeated")
            expect(dump(again, ["A-1"]), before, "the storage after they were repeated")
            assert_invariants(_over(again, "more"))


def check_two_openings_are_one_storage(
    make_storage: MakeStorage, capabilities: Capabilities
) -> None:
    """Opened twice, as two processes would, each sees the other's writes; none is lost."""
    reopen = _declared(capabilities.reopen)
    with closing(make_storage()) as first, closing(reopen(first)) as second:
        shops = [_shop(first), _over(second, "second")]
        for turn in range(ROUNDS):
            sku = f"SKU-{turn}"
            shops[turn % 2].receive(sku, 1, at="berlin")

            def take(number: int, sku: str = sku) -> Any:
                return shops[number].reserve({sku: 1}, reference=f"{sku}-{number}")

            calls = [partial(patiently, partial(take, number)) for number in (0, 1)]
            results = at_once(*calls)
            kinds = sorted(type(result).__name__ for result in results)
            expect(kinds, ["InsufficientStock", "Reservation"], "answers of two openings")
            left = [shop.available(sku) for shop in shops]
            expect(left, [0, 0], "available in both openings after the race")
        for shop in shops:
            assert_invariants(shop)


# --- joined by a host --------------------------------------------------------------------


@contextmanager
def _hosted(
    make_storage: MakeStorage, capabilities: Capabilities
) -> Iterator[tuple[Storage, Inventory, Host]]:
    """Open a storage with one mug in it, and a host's connection to its database."""
    open_host = _declared(capabilities.open_host)
    with closing(make_storage()) as storage:
        inventory = _shop(storage)
        inventory.receive("MUG", 1, at="berlin", key="asn-1")
        with open_host(storage) as host:
            yield storage, inventory, host


def check_host_rollback_leaves_no_trace(
    make_storage: MakeStorage, capabilities: Capabilities
) -> None:
    """What was written in a host's transaction goes when the host rolls back (I16)."""
    with _hosted(make_storage, capabilities) as (storage, inventory, host):
        host.roll_back()
        before = _stored(storage, capabilities)
        rows = host.count()
        host.write()
        joined = inventory.within(host.connection)
        joined.reserve({"MUG": 1}, reference="A-1", key="a")
        joined.receive("TEA", 5, at="berlin", key="asn-2")
        expect_raises(InsufficientStock, partial(_too_many, joined), "99 of 0 mugs")
        expect(joined.available("TEA"), 5, "available inside the host's transaction")
        host.roll_back()
        expect(_stored(storage, capabilities), before, "what is stored after the rollback")
        expect(host.count(), rows, "rows of the host after its rollback")
        host.roll_back()
        assert_invariants(inventory)


def check_host_commit_leaves_everything(
    make_storage: MakeStorage, capabilities: Capabilities
) -> None:
    """What was written in a host's transaction stays when the host commits (I16)."""
    with _hosted(make_storage, capabilities) as (_, inventory, host):
        rows = host.count()
        host.write()
        joined = inventory.within(host.connection)
        cart = joined.reserve({"MUG": 1}, reference="A-1", key="a")
        expect_raises(InsufficientStock, partial(_too_many, joined), "99 of 0 mugs")
        host.write()  # A refusal leaves the host's transaction usable.
        host.commit()
        expect(host.count(), rows + 2, "rows of the host after its commit")
        host.roll_back()
        expect(inventory.available("MUG"), 0, "available after the host committed")
        again = inventory.reserve({"MUG": 1}, reference="A-1", key="a")
        expect(again.lines, cart.lines, "the answer to the same key after the commit")
        assert_invariants(inventory)


def check_host_that_wrote_first_sells_nothing_twice(
    make_storage: MakeStorage, capabilities: Capabilities
) -> None:
    """A host that began, wrote and only then reserves does not get what was sold meanwhile."""
    with _hosted(make_storage, capabilities) as (_, inventory, host):
        host.write()
        other = Aside(partial(patiently, partial(_take_last, inventory, "other")))
        other.finished()
        joined = _take_last(inventory.within(host.connection), "host", busy="busy")
        if joined == "busy":
            host.roll_back()
        else:
            host.commit()
        grants = sorted([joined, other.result()])
        wanted = ["granted", "short"] if joined != "busy" else ["busy", "granted"]
        expect(grants, wanted, "answers to a host that wrote first, and to another caller")
        expect(inventory.figures("MUG").held, 1, "units held in the end")
        assert_invariants(inventory)


def _take_last(inventory: Inventory, name: str, *, busy: str = "") -> str:
    try:
        inventory.reserve({"MUG": 1}, reference=name, key=name)
    except InsufficientStock:
        return "short"
    except Retryable:
        if busy:
            return busy
        raise
    return "granted"


def check_host_without_transaction_is_refused(
    make_storage: MakeStorage, capabilities: Capabilities
) -> None:
    """A host's connection with no open transaction is refused, and nothing is written."""
    with _hosted(make_storage, capabilities) as (storage, inventory, host):
        host.commit()
        before = _stored(storage, capabilities)
        joined = inventory.within(host.connection)
        call = partial(joined.receive, "TEA", 5, at="berlin", key="asn-2")
        expect_raises(NotInTransaction, call, "writing where no transaction is open")
        expect(_stored(storage, capabilities), before, "what is stored after that")


# --- writers in parallel -----------------------------------------------------------------


def check_writers_of_other_rows_do_not_wait(
    make_storage: MakeStorage,
    capabilities: Capabilities,  # noqa: ARG001 -- a check takes them, needed or not
) -> None:
    """While a unit is open, another one over other rows is locked, written and committed."""
    with closing(make_storage()) as storage:
        others: list[Aside[None]] = []

        def write_mugs() -> None:
            with writing(storage, MUG) as sheet:
                sheet.move("slow", MUG, sellable=1)
                if not others:
                    others.append(Aside(partial(patiently, partial(_write_tea, storage))))
                    others[0].result()

        patiently(write_mugs)


def _write_tea(storage: Storage) -> None:
    with writing(storage, TEA) as sheet:
        sheet.move("quick", TEA, sellable=1)


_Hook = TypeVar("_Hook")


def _declared(hook: _Hook | None) -> _Hook:
    """Return a capability that a check needs; whoever runs checks looked it up before."""
    if hook is None:
        raise InternalError("a check ran without the capability it needs")
    return hook


#: The checks of this module, and the capabilities each cannot do without.
NEEDS: Final[Mapping[CapabilityCheck, tuple[str, ...]]] = MappingProxyType(
    {
        check_stored_rows_are_what_readers_show: ("look_behind",),
        check_refusal_stores_its_outcome_alone: (),
        check_rolled_back_unit_stores_nothing: (),
        check_reopened_storage_has_everything: ("reopen",),
        check_two_openings_are_one_storage: ("reopen", "many_openings"),
        check_host_rollback_leaves_no_trace: ("open_host",),
        check_host_commit_leaves_everything: ("open_host",),
        check_host_that_wrote_first_sells_nothing_twice: ("open_host",),
        check_host_without_transaction_is_refused: ("open_host",),
        check_writers_of_other_rows_do_not_wait: ("concurrent_writers",),
    }
)
