"""
What a storage remembers is proven: whatever another process did meanwhile, nobody can tell.

Each test has two storages on the same tables, as two processes have: one remembers, and the
other changes what it remembers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from itertools import count

import pytest

from tests.postgres.meanwhile import MUG, STORIES, Shop, opened
from tests.postgres.server import Factory
from tests.postgres.waiting import DEADLINE, connect, crew
from truecount import Inventory, Received, Reserve
from truecount.errors import (
    InvalidArgument,
    Outdated,
    Retryable,
    UnknownSku,
)
from truecount.protocols.storage import Locked, Unit, Wants
from truecount.storage.postgres import PostgresStorage
from truecount.storage.postgres.beginning import ISOLATIONS, Isolation
from truecount.storage.postgres.memory import CONFIRMATIONS
from truecount.storage.postgres.proving import STOCK_CHANGED
from truecount.storage.postgres.wire import Answer, Sent, Wire
from truecount.testing.samples import START, Sheet, outcome


class Heard:
    """How many statements each round trip had, which are a whole transaction, which prove."""

    def __init__(self) -> None:
        self.trips: list[int] = []
        self.whole: list[str] = []
        self.proofs: list[str] = []

    def listen(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Hear every exchange from now on; it happens all the same."""
        exchange = Wire.exchange

        def heard(wire: Wire, steps: Sequence[Sent]) -> list[Answer]:
            self.trips.append(len(steps))
            self.whole += [text.decode() for text, _ in steps if text.startswith(b"WITH ")]
            texts = [text.decode() for text, _ in steps]
            self.proofs += [text for text in texts if STOCK_CHANGED in text]
            return exchange(wire, steps)

        monkeypatch.setattr(Wire, "exchange", heard)

    def clear(self) -> None:
        """Forget what was heard."""
        self.trips.clear()
        self.whole.clear()
        self.proofs.clear()


@pytest.fixture
def shop(make_postgres: Factory) -> Iterator[Shop]:
    """Return a shop of ten mugs, which are remembered."""
    with opened(make_postgres) as shop:
        yield shop


@pytest.fixture
def heard(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Heard:
    """Return what is sent from now on."""
    heard = Heard()
    heard.listen(monkeypatch)
    return heard


class TestAlone:
    def test_reservation_is_one_statement(self, shop: Shop, heard: Heard) -> None:
        """What this process alone has changed is guessed, proven and written in one go."""
        assert shop.buy(1)
        assert heard.trips == [1]
        assert shop.mine.figures("MUG").held == 2

    def test_batch_is_one_statement(self, shop: Shop, heard: Heard) -> None:
        """However many orders, and refused ones among them."""
        carts = [Reserve({"MUG": n}, reference=f"c-{n}", key=f"c-{n}") for n in (1, 5, 2)]
        assert all(outcome.granted for outcome in shop.mine.submit(carts))
        assert heard.trips == [1]
        assert len(shop.mine.reservation("c-5").lines) == 1

    def test_refusal_is_guessed(self, shop: Shop, heard: Heard) -> None:
        """Whether an expired hold would do is asked before; the order stays new."""
        carts = [Reserve({"MUG": n}, reference=f"c-{n}", key=f"c-{n}") for n in (1, 50, 2)]
        assert not shop.buy(1, 50)  # It has looked everywhere, which is remembered now.
        heard.clear()
        assert [outcome.granted for outcome in shop.mine.submit(carts)] == [True, False, True]
        asked, widened, again, written = heard.trips
        assert (widened, written) == (1, 8), "commits"
        assert asked == again == 4, "begin, orders, proof, expired holds"
        assert shop.mine.submit([carts[1]])[0].replayed
        assert shop.mine.reserve({"MUG": 1}, reference="c-50", key="later").status == "held"

    def test_refusal_of_what_nobody_holds_is_written_at_once(
        self, shop: Shop, heard: Heard
    ) -> None:
        """Then no hold could expire, and nothing is asked."""
        shop.mine.release("cart-0")
        assert not shop.buy(1, 50)
        heard.clear()
        assert not shop.buy(2, 50)
        # It was proven that one location is too little, before all were looked at.
        assert heard.trips == [4, 1]
        assert shop.buy(3, 10)

    def test_nothing_is_guessed_without_a_memory(
        self, make_postgres: Factory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """All is locked and read first, in plain statements."""
        storage = make_postgres(remembers=0)
        shop = Inventory(storage)
        shop.locations.add("berlin")
        shop.receive("MUG", 10, at="berlin")
        heard = Heard()
        heard.listen(monkeypatch)
        for number in range(3):
            shop.reserve({"MUG": 1}, reference=f"cart-{number}")
        assert len(heard.trips) == 6
        assert not heard.whole

    def test_no_more_is_remembered_than_said(self, make_postgres: Factory) -> None:
        """What was used least lately is forgotten first."""
        storage = make_postgres(remembers=2)
        shop = Inventory(storage)
        shop.locations.add("berlin")
        for sku in ("MUG", "TEA", "POT"):
            shop.receive(sku, 10, at="berlin")
            shop.reserve({sku: 1}, reference=f"cart-{sku}")
        memory = storage._memory
        wants = {
            sku: Wants(orders={"new"}, opens={"new"}, scopes={(sku, "")})
            for sku in ("MUG", "TEA", "POT")
        }
        known = [sku for sku in wants if memory.guess("main", wants[sku]) is not None]
        assert known == ["TEA", "POT"]

    @pytest.mark.parametrize("remembers", [-1, True, "all", 10_000_001])
    def test_size_that_is_none_is_refused(self, remembers: int) -> None:
        """The message says what is allowed."""
        with pytest.raises(InvalidArgument, match="0 to 10000000"):
            PostgresStorage("", remembers=remembers)


class TestChanged:
    """Another process was there, between what was remembered and the next write."""

    @pytest.mark.parametrize("story", STORIES, ids=[story.__name__ for story in STORIES])
    def test_nobody_can_tell(self, shop: Shop, story: Callable[[Shop], None]) -> None:
        """The answer is that of one who has looked."""
        story(shop)

    @pytest.mark.slow
    @pytest.mark.parametrize("proxied", [False, True])
    @pytest.mark.parametrize("level", ISOLATIONS)
    def test_nobody_can_tell_any_way(
        self, make_postgres: Factory, level: Isolation, *, proxied: bool
    ) -> None:
        """At the stricter levels, and where nothing is prepared or commits alone."""
        for story in STORIES:
            with opened(make_postgres, level, proxied=proxied) as shop:
                story(shop)

    def test_rules_that_are_gone_are_forgotten(self, shop: Shop, heard: Heard) -> None:
        """A database that was set back to before there were any is no reason to guess for ever."""
        name = f"{shop.storage.schema}.record"
        with connect(shop.storage) as connection:
            rules = f"FROM {name} WHERE space = 'settings' AND id = 'generation'"
            connection.execute(f"CREATE TABLE {name}_before AS SELECT * {rules}".encode())
            connection.execute(f"DELETE {rules}".encode())
            try:
                for number in (1, 2):
                    heard.clear()
                    request = Reserve({"MUG": 1}, reference=f"cart-{number}", key=f"k-{number}")
                    shop.mine.submit([request])
                assert heard.proofs == []
            finally:
                connection.execute(f"DELETE {rules}".encode())
                connection.execute(f"INSERT INTO {name} SELECT * FROM {name}_before".encode())
                connection.execute(f"DROP TABLE {name}_before".encode())

    def test_stock_that_others_change_is_guessed_less(self, shop: Shop, heard: Heard) -> None:
        """It must be found as this process left it, twice as often after each wrong guess."""
        shop.mine.receive("MUG", 90, at="berlin")
        carts = count(1)

        def guesses() -> int:
            heard.clear()
            assert shop.buy(next(carts))
            return len(heard.whole)

        for times in (CONFIRMATIONS, 2 * CONFIRMATIONS):
            shop.others.receive("MUG", 5, at="berlin")
            assert guesses() == 1, "the guess that failed"
            assert [guesses() for _ in range(times)] == [0] * times
        assert guesses() == 1, "found so often, it is guessed again"


def recalled(unit: Unit) -> Locked:
    """Return what a unit remembers of mugs."""
    found = unit.recall(Wants(keys={MUG}, keys_of_requests=["k-1"]))
    assert found is not None
    return found


class TestUnit:
    """What a unit does with a guess, whoever uses it."""

    def test_wrong_guess_writes_nothing(self, shop: Shop) -> None:
        """The one who wrote it is told to look."""

        def write(key: str) -> None:
            with shop.storage.begin("main") as unit:
                sheet = Sheet(recalled(unit))
                sheet.outcomes.append(outcome(key))
                unit.write(sheet.changes())

        write("right")
        shop.others.receive("MUG", 5, at="berlin")
        with pytest.raises(Outdated, match="has changed since"):
            write("wrong")
        with shop.storage.read("main") as reader:
            written = {row.key for row in reader.outcomes()}
        assert ("right" in written, "wrong" in written) == (True, False)

    @pytest.mark.parametrize("then", ["asks", "leaves", "fails"])
    def test_what_comes_first_proves(self, shop: Shop, then: str) -> None:
        """A question, leaving without a word, an error: each of them tells of a guess."""

        def go_on() -> None:
            with shop.storage.begin("main") as unit:
                recalled(unit)
                if then == "asks":
                    unit.due({MUG: 1}, START)
                if then == "fails":
                    raise UnknownSku("MUG")

        with pytest.raises(UnknownSku) if then == "fails" else nullcontext():
            go_on()
        shop.others.receive("MUG", 5, at="berlin")
        with pytest.raises(Outdated):
            go_on()


class TestTogether:
    def test_two_processes_that_remember_sell_what_there_is(self, shop: Shop) -> None:
        """Turn by turn, at once, with keys of both: no unit twice, none left."""
        shop.mine.receive("MUG", 90, at="berlin")
        granted: list[bool] = []

        def buy(inventory: Inventory, name: str) -> list[bool]:
            found = []
            for number in range(40):
                request = Reserve(
                    {"MUG": 1 + number % 3}, reference=f"{name}-{number}", key=f"{name}-{number}"
                )
                found += [outcome.granted for outcome in inventory.submit([request])]
            return found

        with crew(shop.storage) as threads:
            ways: list[Callable[[], list[bool]]] = [
                partial(buy, inventory, f"{name}{number}")
                for number in range(2)
                for name, inventory in (("mine", shop.mine), ("theirs", shop.others))
            ]
            for running in [threads.start(way) for way in ways]:
                granted += running.result(DEADLINE)
        assert shop.mine.available("MUG") == 0
        assert not all(granted)
        shop.mine.submit([Received("MUG", 1, at="berlin", key="last")])
        assert shop.mine.available("MUG") == 1


_FAILS = """
CREATE FUNCTION {s}.fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'not this one' USING ERRCODE = '55P03';
END $$
"""
_FAILS_LATE = """
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON {s}.outcome
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {s}.fail()
"""


def test_child_process_remembers_on_its_own(shop: Shop) -> None:
    """Also if a thread of its parent was just about to remember something."""
    with shop.storage._memory._mutex:
        child = os.fork()
        if not child:
            os._exit(0 if shop.buy(1) and shop.buy(2) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert shop.mine.figures("MUG").held == 3


def test_commit_that_fails_is_heard(make_postgres: Factory) -> None:
    """Also the first time on a connection, when the statement is prepared as well."""
    storage = make_postgres()
    shop = Inventory(storage)
    shop.locations.add("berlin")
    shop.receive("MUG", 10, at="berlin")
    shop.reserve({"MUG": 1}, reference="cart-0")
    with connect(storage) as connection:
        for text in (_FAILS, _FAILS_LATE):
            connection.execute(text.replace("{s}", storage.schema).encode())
    for number in (1, 2):
        with pytest.raises(Retryable, match="not this one"):
            shop.reserve({"MUG": 1}, reference=f"cart-{number}")
    assert shop.figures("MUG").held == 1
