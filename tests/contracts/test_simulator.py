"""The simulator: every interleaving is possible, the right storage survives all, a wrong one none."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial

import pytest

from truecount import Inventory
from truecount.errors import ConstraintViolated, InvalidArgument, Refused
from truecount.protocols.storage import Locked, Wants
from truecount.testing import RowLocks, RowUnit, Simulated, Turns, simulate, simulate_many
from truecount.testing.checks import UNIT_CHECKS
from truecount.testing.claims import MakeStorage


def prepare(shop: Inventory) -> None:
    """Open a shop with few units of two SKUs, and an expired hold."""
    shop.locations.add("berlin", "hamburg")
    for sku in ("MUG", "TEA"):
        shop.receive(sku, 4, at="berlin")
    shop.reserve({"TEA": 1}, reference="old", ttl=timedelta(microseconds=1))


def buy(name: str, *skus: str) -> Callable[[Inventory], str]:
    """Return a client that reserves, confirms and ships some SKUs, or is refused."""

    def client(shop: Inventory) -> str:
        shop.reserve(dict.fromkeys(skus, 2), reference=name, key=f"{name}/hold")
        shop.confirm(name, key=f"{name}/confirm")
        return str(shop.ship(name, key=f"{name}/ship").status)

    return client


def move(shop: Inventory) -> int:
    """Move units to and fro."""
    with suppress(Refused):
        shop.relocate("MUG", 1, source="berlin", target="hamburg", key="there")
        shop.relocate("MUG", 1, source="hamburg", target="berlin", key="back")
    return len(shop.findings().open)


CLIENTS = (buy("A", "MUG", "TEA"), buy("B", "TEA", "MUG"), buy("C", "TEA"), buy("C", "TEA"), move)


def sold_once(done: Simulated) -> None:
    """At most what was there has left, and both clients of one reference were told the same."""
    shipped = [result for result in done.results[:2] if result == "shipped"]
    assert 1 <= len(shipped) <= 2, done.results
    assert type(done.results[2]) is type(done.results[3]), done.results


class TestRightStorage:
    def test_every_interleaving_ends_well(self) -> None:
        """Whatever the seed, the invariants hold; and nearly all seeds differ."""
        different = simulate_many(CLIENTS, seeds=range(40), prepare=prepare, check=sold_once)
        assert different >= 38

    @pytest.mark.parametrize("processes", [1, 2])
    def test_every_interleaving_of_a_group_ends_well(self, processes: int) -> None:
        """So do clients of one process, and of two whose groups meet at the same rows."""
        different = simulate_many(
            CLIENTS, seeds=range(20), prepare=prepare, processes=processes, check=sold_once
        )
        assert different >= 18

    @pytest.mark.slow
    @pytest.mark.parametrize("processes", [1, 2, 5])
    def test_two_thousand_interleavings_end_well(self, processes: int) -> None:
        """The same for many more seeds."""
        different = simulate_many(
            CLIENTS, seeds=range(2000), prepare=prepare, processes=processes, check=sold_once
        )
        assert different > 1900

    def test_clients_of_one_process_share_transactions(self) -> None:
        """Who comes while another writes queues, and one transaction answers several."""
        alone, shared = (
            simulate(CLIENTS, seed=3, prepare=prepare, processes=processes)
            for processes in (len(CLIENTS), 1)
        )
        assert steps(alone, "queues") == 0 < steps(shared, "queues")
        assert steps(shared, "begin") < steps(alone, "begin")

    def test_clients_need_a_process(self) -> None:
        """Without one nothing would run, and nothing would be found."""
        with pytest.raises(InvalidArgument, match="at least one"):
            simulate(CLIENTS, seed=3, prepare=prepare, processes=0)

    @pytest.mark.parametrize("processes", [None, 2])
    def test_the_same_seed_takes_the_same_steps(self, processes: int | None) -> None:
        """Trace and results of a seed are always the same, those of another one are not."""
        run = partial(simulate, CLIENTS, prepare=prepare, processes=processes)
        first, again = run(seed=7), run(seed=7)
        assert first.trace == again.trace
        assert [str(each) for each in first.results] == [str(each) for each in again.results]
        assert run(seed=8).trace != first.trace

    def test_the_same_seed_takes_the_same_steps_in_another_process(self) -> None:
        """Not even the hashes of names, which differ from process to process, matter."""
        program = (
            "from tests.contracts.test_simulator import *\n"
            "print(digest(simulate(CLIENTS, seed=7, prepare=prepare)))"
        )
        shown = {
            subprocess.run(
                [sys.executable, "-c", program],
                check=True,
                capture_output=True,
                text=True,
                env={**os.environ, "PYTHONHASHSEED": seed},
            ).stdout.strip()
            for seed in ("1", "2")
        }
        assert shown == {digest(simulate(CLIENTS, seed=7, prepare=prepare))}

    @pytest.mark.parametrize("check", UNIT_CHECKS, ids=lambda check: check.__name__)
    def test_it_is_a_storage(self, check: Callable[[MakeStorage], None]) -> None:
        """The storage that takes turns keeps the contract of a unit."""
        check(lambda: RowLocks(Turns(0)))


def steps(done: Simulated, name: str) -> int:
    """Count the steps of a kind."""
    return sum(1 for step in done.trace if step.split()[1] == name)


def digest(done: Simulated) -> str:
    """Return a short text for all that happened."""
    return hashlib.sha256(repr((done.trace, list(map(str, done.results)))).encode()).hexdigest()


class EarlyUnit(RowUnit):
    """Reads what it will decide on before it has the locks."""

    def lock(self, wants: Wants) -> Locked:
        """Look, then wait, then believe what was seen before."""
        locked = self.look(wants)
        self._turns.pause("lock")
        self.take(wants)
        return locked


class UnsortedUnit(RowUnit):
    """Takes stock rows in an order of its own: some units forwards, some backwards."""

    def take(self, wants: Wants) -> None:
        """Lock stock rows, the last first for every other unit."""
        rows = sorted(self.look(wants).rows, reverse=len(self._turns.trace) % 2 == 0)
        for row in rows:
            self._turns.take((self._tenant, "stock", row))


class NoLocksUnit(RowUnit):
    """Takes no locks at all."""

    def take(self, wants: Wants) -> None:
        """Take none."""


def storage_of(unit: type[RowUnit]) -> type[RowLocks]:
    """Return a storage with units of that kind."""

    class Mutant(RowLocks):
        def unit(self, tenant: str, host: object | None) -> RowUnit:
            return unit(self, tenant, host)

    return Mutant


MUTANTS: dict[type[RowUnit], tuple[type[BaseException], str]] = {
    EarlyUnit: (ConstraintViolated, "version"),
    NoLocksUnit: (ConstraintViolated, "version|record"),
    UnsortedUnit: (AssertionError, "deadlock: client-"),
}


@pytest.mark.parametrize("unit", MUTANTS, ids=lambda unit: unit.__name__)
def test_a_mutant_is_caught_by_some_seed_and_replays(unit: type[RowUnit]) -> None:
    """Some interleaving shows the mistake; its seed stands in a note and shows it again."""
    kind, message = MUTANTS[unit]
    search = partial(simulate_many, CLIENTS, prepare=prepare, make_storage=storage_of(unit))
    with pytest.raises(kind, match=message) as caught:
        search(seeds=range(100))
    seed = int(caught.value.__notes__[0].split("=")[1].split(";")[0])
    with pytest.raises(kind) as again:
        simulate(CLIENTS, seed=seed, prepare=prepare, make_storage=storage_of(unit))
    assert str(again.value) == str(caught.value)
    assert again.value.__notes__ == caught.value.__notes__


def test_what_a_client_asserts_ends_the_simulation() -> None:
    """A client that finds something wrong is heard, and the others are let go."""

    def wrong(shop: Inventory) -> None:
        shop.available("MUG")
        raise AssertionError("that is not what I ordered")

    with pytest.raises(AssertionError, match="not what I ordered") as caught:
        simulate([wrong, *CLIENTS], seed=1, prepare=prepare)
    assert caught.value.__notes__[0].startswith("seed=1; the last of ")
