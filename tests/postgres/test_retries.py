"""Writes that fail on the way to a real server: which are repeated, how often, and what is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from functools import partial
from time import monotonic

import psycopg
import pytest

from tests.postgres.failing import Failing
from tests.postgres.proxy import Fate, Proxy, proxied
from tests.postgres.server import Factory
from tests.postgres.waiting import DEADLINE, connect, crew, hosted
from truecount import Inventory
from truecount.errors import (
    InsufficientStock,
    OutcomeUnknown,
    Retryable,
    StorageUnavailable,
    TrueCountError,
)
from truecount.protocols.storage import Wants
from truecount.storage.postgres import PostgresStorage
from truecount.storage.postgres.beginning import ISOLATIONS, Isolation
from truecount.storage.postgres.connections import ATTEMPTS_MAX
from truecount.testing.samples import MUG, Sheet, outcome


#: Levels whose snapshot is older than the locks.
STRICT = ISOLATIONS[1:]


@pytest.fixture
def direct(make_postgres: Factory) -> PostgresStorage:
    """Return a storage of nine mugs, over connections that nothing happens to."""
    storage = make_postgres()
    inventory = Inventory(storage)
    inventory.locations.add("berlin")
    inventory.receive("MUG", 9, at="berlin")
    return storage


@pytest.fixture
def proxy(direct: PostgresStorage) -> Iterator[Proxy]:
    """Return a proxy before the server."""
    with proxied(direct._connections.dsn) as proxy:
        yield proxy


@pytest.fixture
def failing(direct: PostgresStorage, proxy: Proxy) -> Iterator[Failing]:
    """Return a storage of the same tables, through the proxy."""
    dsn = proxy.dsn(direct._connections.dsn)
    with closing(PostgresStorage(dsn, schema=direct.schema)) as storage:
        yield Failing(storage)


def mugs(storage: PostgresStorage) -> int:
    """Return how many mugs there are."""
    return Inventory(storage).figures("MUG").on_hand


class TestReplyToTheCommit:
    """The commit itself is lost, or its reply is, on a real connection."""

    @pytest.mark.parametrize("fate", [Fate.CUT, Fate.UNANSWERED])
    def test_next_attempt_settles_it_under_the_same_key(
        self, failing: Failing, proxy: Proxy, direct: PostgresStorage, fate: Fate
    ) -> None:
        """Committed or not, there is one effect, and the caller hears of the one there is."""
        was_done = fate is Fate.UNANSWERED
        failing.before("commit", lambda: proxy.once(fate))
        receipt = Inventory(failing).receive("MUG", 3, at="berlin", key="asn-1")
        assert (receipt.granted, receipt.replayed) == (True, was_done)
        assert fate in proxy.fates
        assert failing.calls["begin"] == 2
        assert mugs(direct) == 12

    @pytest.mark.parametrize("fate", [Fate.CUT, Fate.UNANSWERED])
    def test_deadline_leaves_the_outcome_unknown(
        self, direct: PostgresStorage, proxy: Proxy, fate: Fate
    ) -> None:
        """A server that is gone from then on: never a false "failed", and the key tells later."""
        was_done = fate is Fate.UNANSWERED
        dsn = proxy.dsn(direct._connections.dsn)
        brief = timedelta(milliseconds=300)
        with closing(PostgresStorage(dsn, schema=direct.schema, timeout=brief)) as storage:
            failing = Failing(storage)

            def go_away() -> None:
                proxy.once(fate)
                proxy.refuses = True

            failing.before("commit", go_away)
            began = monotonic()
            with pytest.raises(OutcomeUnknown) as caught:
                Inventory(failing).receive("MUG", 3, at="berlin", key="asn-1")
            assert monotonic() - began < DEADLINE
        assert caught.value.key == "asn-1"
        assert mugs(direct) == (12 if was_done else 9)
        again = Inventory(direct).receive("MUG", 3, at="berlin", key="asn-1")
        assert again.replayed is was_done
        assert mugs(direct) == 12

    def test_members_of_a_group_hear_of_their_own_keys(
        self, direct: PostgresStorage, proxy: Proxy
    ) -> None:
        """One lost commit of several callers: each is told the key that settles its request."""
        dsn = proxy.dsn(direct._connections.dsn)
        brief = timedelta(milliseconds=300)
        with closing(PostgresStorage(dsn, schema=direct.schema, timeout=brief)) as storage:
            failing = Failing(storage)
            inventory = Inventory(failing)
            with crew(direct) as threads, hosted(direct) as host:
                Inventory(direct).within(host).receive("MUG", 1, at="berlin")
                receive = partial(inventory.receive, "MUG", 1, at="berlin")
                first = threads.start_blocked(partial(receive, key="k-0"))
                others = [threads.start(partial(receive, key=f"k-{n}")) for n in (1, 2, 3)]

                def go_away() -> None:
                    proxy.once(Fate.UNANSWERED)
                    proxy.refuses = True

                failing.before("commit", go_away)
                host.commit()
                problems = [call.exception(DEADLINE) for call in (first, *others)]
        for number, problem in enumerate(problems):
            if isinstance(problem, OutcomeUnknown):
                assert problem.key == f"k-{number}"
            else:  # It came after the server had gone: nothing was sent.
                assert isinstance(problem, StorageUnavailable)
        assert isinstance(problems[0], OutcomeUnknown)
        for number in range(4):
            Inventory(direct).receive("MUG", 1, at="berlin", key=f"k-{number}")
        assert mugs(direct) == 9 + 1 + 4


class TestSerializationFailure:
    """Two sessions that cannot both have their way, at the stricter levels."""

    @pytest.mark.parametrize("level", STRICT)
    @pytest.mark.parametrize("left", [4, 0], ids=["enough is left", "nothing is left"])
    def test_writer_that_waited_for_a_changed_row_is_repeated(
        self, make_postgres: Factory, level: Isolation, left: int
    ) -> None:
        """Its second attempt decides on what the first has left, and no caller hears of it."""
        storage = make_postgres(level, remembers=0)
        failing = Failing(storage)
        inventory = Inventory(failing)
        inventory.locations.add("berlin")
        inventory.receive("MUG", 5, at="berlin")
        failing.calls.clear()
        with crew(storage) as threads, hosted(storage) as host:
            Inventory(storage).within(host).reserve({"MUG": 5 - left}, reference="first")
            late = threads.start_blocked(
                partial(inventory.reserve, {"MUG": 2}, reference="late", key="late")
            )
            host.commit()
            problem = late.exception(DEADLINE)
        assert isinstance(problem, InsufficientStock) == (left == 0)
        assert problem is None or left == 0
        assert failing.calls["begin"] == 2
        assert inventory.figures("MUG").sellable == (2 if left else 0)


#: Fails at each insert, as a server does that could not serialize it.
_ALWAYS_FAILS = """
CREATE FUNCTION {s}.fails() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'made to fail' USING ERRCODE = '{state}'; END $$;
CREATE TRIGGER fails BEFORE INSERT ON {s}.movement EXECUTE FUNCTION {s}.fails()
"""
#: Fails once, and not before the commit. A sequence counts, because it is not rolled back.
_COMMIT_FAILS = """
CREATE SEQUENCE {s}.failures;
CREATE FUNCTION {s}.fails() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('{s}.failures') = 1 THEN
        RAISE EXCEPTION 'made to fail' USING ERRCODE = '{state}';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER fails AFTER INSERT ON {s}.movement
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {s}.fails()
"""


def fail(storage: PostgresStorage, how: str, state: str) -> None:
    """Let writes of movements fail with *state*."""
    text = how.replace("{s}", storage.schema).replace("{state}", state)
    with connect(storage) as connection:
        connection.execute(text.encode())


class TestFailureAtTheCommit:
    """What the server says only at the end."""

    @pytest.mark.parametrize("state", ["40001", "40P01", "40003", "08007"])
    def test_it_is_repeated(self, direct: PostgresStorage, state: str) -> None:
        """Serialization, deadlock, and a server that does not know what became of it."""
        failing = Failing(direct)
        fail(direct, _COMMIT_FAILS, state)
        receipt = Inventory(failing).receive("MUG", 3, at="berlin", key="asn-1")
        assert (receipt.granted, receipt.replayed) == (True, False)
        assert failing.calls["begin"] == 2
        assert mugs(direct) == 12

    @pytest.mark.parametrize("state", ["40003", "08007", "57P01"])
    def test_what_the_server_does_not_know_is_unknown(
        self, direct: PostgresStorage, state: str
    ) -> None:
        """Where the storage itself commits: the connection lives, and the outcome is open."""
        fail(direct, _COMMIT_FAILS, state)

        def receive() -> None:
            with direct.begin("main") as unit:
                sheet = Sheet(unit.lock(Wants(keys={MUG})))
                sheet.move("m1", MUG, sellable=5)
                sheet.outcomes.append(outcome("asn-1"))
                unit.write(sheet.changes())

        with pytest.raises(OutcomeUnknown) as caught:
            receive()
        assert caught.value.key == "asn-1"
        receive()


class TestBounds:
    """Repeating ends."""

    @pytest.mark.parametrize("state", ["40001", "40P01"])
    def test_attempts_and_pauses_are_bounded(self, direct: PostgresStorage, state: str) -> None:
        """It gives up after so many attempts, whose pauses grow and are never the same twice."""
        pauses: list[float] = []
        direct._connections._sleep = pauses.append
        failing = Failing(direct)
        inventory = Inventory(failing)
        assert inventory.available("MUG") == 9
        fail(direct, _ALWAYS_FAILS, state)
        with pytest.raises(Retryable, match="made to fail"):
            inventory.receive("MUG", 1, at="berlin", key="asn-1")
        assert failing.calls["begin"] == 1 + ATTEMPTS_MAX
        assert len(pauses) == len(set(pauses)) == ATTEMPTS_MAX
        assert all(pause <= min(0.01 * 2**number, 1.0) for number, pause in enumerate(pauses))
        assert mugs(direct) == 9

    @pytest.mark.parametrize("state", ["55P03", "57014", "23514", "53100"])
    def test_what_does_not_pass_is_not_repeated(self, direct: PostgresStorage, state: str) -> None:
        """A lock not to be had, a statement ended, a constraint, a full disk: told at once."""
        failing = Failing(direct)
        fail(direct, _ALWAYS_FAILS, state)
        with pytest.raises(TrueCountError, match="made to fail"):
            Inventory(failing).receive("MUG", 1, at="berlin", key="asn-1")
        assert failing.calls["begin"] == 1

    def test_hosts_transaction_is_never_repeated(self, direct: PostgresStorage) -> None:
        """Only who began a transaction knows what else is to be done again with it."""
        failing = Failing(direct)
        fail(direct, _ALWAYS_FAILS, "40001")
        with hosted(direct) as host:
            with pytest.raises(Retryable, match="repeat the transaction"):
                Inventory(failing).within(host).receive("MUG", 1, at="berlin", key="asn-1")
            assert failing.calls["begin"] == 1
            with pytest.raises(psycopg.errors.InFailedSqlTransaction):
                host.execute("SELECT 1")
