"""A server that is stopped at once, again and again, while processes trade on it."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple
from uuid import uuid4

import pytest

from tests.postgres.durable import DurableServer, durable_server
from tests.postgres.processes import crowd
from tests.postgres.traders import SHOP, SKUS, Report, Trader
from tests.postgres.waiting import connect
from truecount import Confirm, Inventory, Operation, Outcome, Received, Release, Reserve, Ship
from truecount.errors import Refused
from truecount.model.diagnosis import Verdict
from truecount.storage.postgres import PostgresStorage
from truecount.testing import History, assert_invariants, check_history
from truecount.testing.histories import movements_in


#: Units of each SKU in the beginning: some of what everybody wants is sold out.
STOCK = 60


@pytest.fixture(scope="module")
def server(postgres_dsn: str) -> Iterator[DurableServer]:
    """Start a durable server of our own, wherever there is one at all."""
    del postgres_dsn
    with durable_server() as server:
        yield server


class Shop(NamedTuple):
    """An inventory on a server that crashes, and the movements it began with."""

    inventory: Inventory
    storage: PostgresStorage
    before: set[str]


def opened(server: DurableServer) -> Shop:
    """Return a new shop in a schema of its own."""
    schema = f"t{uuid4().hex[:12]}"
    storage = PostgresStorage(server.dsn, schema=schema, timeout=timedelta(seconds=60))
    storage.migrate()
    inventory = Inventory(storage)
    inventory.locations.add(SHOP)
    for sku in SKUS:
        inventory.receive(sku, STOCK, at=SHOP)
    return Shop(inventory, storage, movements_in(storage))


def trade(
    server: DurableServer, shop: Shop, *, traders: int, each: int, stops: int
) -> list[Report]:
    """Let traders trade, and stop the server after equal shares of what they ask for."""
    calls = [Trader(server.dsn, shop.storage.schema, number, each) for number in range(traders)]
    with crowd(traders) as processes:
        trading = processes.begin(*calls)
        for _ in range(stops):
            processes.take_steps(traders * each // (stops + 1))
            server.crash()
        return [future.result(300) for future in trading]


@pytest.mark.parametrize(
    ("traders", "each", "stops"),
    [
        pytest.param(3, 24, 2, id="short"),
        pytest.param(12, 250, 10, id="long", marks=pytest.mark.slow),
    ],
)
def test_nothing_is_lost_doubled_or_half_done_when_the_server_is_stopped_at_once(
    server: DurableServer,
    capsys: pytest.CaptureFixture[str],
    traders: int,
    each: int,
    stops: int,
) -> None:
    """What callers were told is what is there, and repeating a key settles what they were not."""
    shop = opened(server)
    stopped = server.stops
    reports = trade(server, shop, traders=traders, each=each, stops=stops)
    assert server.stops == stopped + stops
    judge(shop, reports)
    shop.storage.close()
    counts = sum((report.counts for report in reports), Counter[str]())
    if stops > 2:
        with capsys.disabled():
            sys.stdout.write(f"\n{told(counts, reports)}; {stops} stops\n")
        assert counts["unknown"] > 0, "no reply was ever lost"


def told(counts: Counter[str], reports: Sequence[Report]) -> str:
    """Return the figures of a run."""
    granted = {o.key for report in reports for _, o in report.answers if o.granted}
    return f"{dict(counts)}, granted {len(granted)}"


@pytest.mark.slow
@pytest.mark.usefixtures("postgres_dsn")
def test_asynchronous_commits_are_lost_and_the_doctor_said_so() -> None:
    """With ``synchronous_commit`` off a stop takes what was acknowledged: stops can show it."""
    with durable_server(synchronous_commit="off") as server:
        shop = opened(server)
        checks = {check.name: check for check in shop.storage.doctor().checks}
        assert checks["synchronous_commit"].verdict is Verdict.UNSAFE
        with connect(shop.storage) as connection:
            connection.execute("CHECKPOINT")  # Or the tables would be lost as well.
        told = {shop.inventory.receive("LATE", 1, at=SHOP).movement_id for _ in range(20)}
        server.crash()
        assert told - movements_in(shop.storage)
        assert shop.inventory.verify().ok
        shop.storage.close()


# --- judging -----------------------------------------------------------------------------


def judge(shop: Shop, reports: Sequence[Report]) -> None:
    """Hold what traders were told against what is there."""
    assert [key for report in reports for key in report.lies] == []
    answers = [answer for report in reports for answer in report.answers]
    known = settled(answers)
    asked_again(shop.inventory, answers, known)
    granted = {outcome.key: (said, outcome) for said, outcome in answers if outcome.granted}
    written = [id_ for _, outcome in granted.values() for id_ in outcome.movements]
    assert sorted(written) == sorted(movements_in(shop.storage) - shop.before)
    orders = check_orders(shop, [said for said, outcome in granted.values() if outcome.movements])
    check_figures(shop.inventory, [said for said, _ in granted.values()], orders)
    assert_invariants(shop.inventory)
    history = History()
    history.events = [event for report in reports for event in report.events]
    check_history(history, shop.storage, shop.before)


Known = dict[tuple[str, str], tuple[bool, tuple[str, ...], str]]


def settled(answers: Sequence[tuple[Operation, Outcome]]) -> Known:
    """Return the one answer to each request that has one: the same however often it was asked."""
    told: defaultdict[tuple[str, str], set[tuple[bool, tuple[str, ...], str]]] = defaultdict(set)
    for said, outcome in answers:
        if outcome.granted or isinstance(outcome.error, Refused):
            told[outcome.key, said.fingerprint()].add(answer_of(outcome))
    assert {name: found for name, found in told.items() if len(found) > 1} == {}
    return {name: found.pop() for name, found in told.items()}


def asked_again(
    inventory: Inventory, answers: Sequence[tuple[Operation, Outcome]], known: Known
) -> None:
    """Repeat every request that was answered: it is replayed, with the same answer."""
    asked = {(said.key, said.fingerprint()): said for said, _ in answers}
    names = sorted(known)
    for first in range(0, len(names), 500):
        some = names[first : first + 500]
        again = inventory.submit([asked[name] for name in some])
        assert [outcome.replayed for outcome in again] == [True] * len(some)
        assert [answer_of(outcome) for outcome in again] == [known[name] for name in some]


def answer_of(outcome: Outcome) -> tuple[bool, tuple[str, ...], str]:
    """Return what an outcome says, as something to be compared."""
    return outcome.granted, outcome.movements, repr(outcome.error)


#: How far a granted act brings an order, each further than those before.
REACHED: Mapping[type[Confirm | Ship | Release], str] = {
    Confirm: "allocated",
    Ship: "shipped",
    Release: "released",
}


def check_orders(shop: Shop, granted: Sequence[Operation]) -> dict[str, tuple[str, Reserve]]:
    """Check that each order is whole, and as far as its last granted act; return how far."""
    orders: dict[str, tuple[str, Reserve]] = {}
    for said in granted:
        if isinstance(said, Reserve):
            orders[said.reference] = ("held", said)
    for kind, state in REACHED.items():
        for said in granted:
            if isinstance(said, kind):
                reference = str(said.reference)
                orders[reference] = (state, orders[reference][1])
    with shop.storage.read("main") as reader:
        for reference, (state, cart) in orders.items():
            seen = {(line.key.sku, getattr(line, state)) for line in reader.lines(reference)}
            assert seen == set(cart.lines), (reference, state)
    return orders


def check_figures(
    inventory: Inventory, granted: Sequence[Operation], orders: dict[str, tuple[str, Reserve]]
) -> None:
    """Add up what was granted, and compare."""
    wanted = Counter(dict.fromkeys(SKUS, STOCK))
    held: Counter[str] = Counter()
    for said in granted:
        if isinstance(said, Received):
            wanted[said.sku] += said.quantity
    for state, said in orders.values():
        for sku, quantity in said.lines:
            wanted[sku] -= quantity if state == "shipped" else 0
            held[sku] += quantity if state in {"held", "allocated"} else 0
    seen = {sku: inventory.figures(sku) for sku in wanted}
    assert {sku: figures.on_hand for sku, figures in seen.items()} == dict(wanted)
    assert {sku: figures.reserved for sku, figures in seen.items()} == {s: held[s] for s in wanted}
