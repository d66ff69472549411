"""A server and a network that fail at random: every check still holds, every order is settled."""

from __future__ import annotations

import random
import threading
from collections import Counter

import pytest

from tests.postgres.proxy import Fate, proxied
from tests.postgres.server import Factory
from tests.postgres.shopping import buy, check_settled, open_shop
from tests.postgres.troubled import is_over, trouble
from tests.postgres.waiting import DEADLINE, crew
from truecount.errors import Retryable
from truecount.storage.postgres import PostgresStorage
from truecount.testing import STORAGE_CHECKS, StorageCheck, checks, races


#: How often a check may be begun again.
REPEATS_MAX = 200
SHOPS = 4

QUICK = {
    checks.check_taken_key_writes_nothing,
    checks.check_leaving_commits,
    races.check_expired_hold_is_reclaimed_once,
}


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, marks=[] if check in QUICK else [pytest.mark.slow], id=check.__name__)
        for check in STORAGE_CHECKS
    ],
)
def test_storage_keeps_the_contract(make_postgres: Factory, check: StorageCheck) -> None:
    """What fails leaves nothing behind that a check would find, and says that it may be repeated."""

    def make() -> PostgresStorage:
        storage = make_postgres()
        trouble(storage, 0.03)
        return storage

    for _ in range(REPEATS_MAX):
        try:
            return check(make)
        except Retryable:
            continue
        except AssertionError as error:
            if not isinstance(error.__cause__, Retryable):
                raise
    raise AssertionError(f"{REPEATS_MAX} attempts, and the check was never done")


def test_orders_are_settled_while_everything_fails(make_postgres: Factory) -> None:
    """Inserts and commits fail, requests and replies are lost; each order has one effect."""
    storage = make_postgres()
    inventory = open_shop(storage, stock=40)
    draw = random.Random(7)
    mutex = threading.Lock()

    def decide() -> Fate:
        with mutex:
            [fate] = draw.choices(list(Fate), (0.96, 0.02, 0.02))
            return fate

    trouble(storage, 0.02)
    with proxied(storage._connections.dsn) as proxy, crew(storage) as threads:
        proxy.decide = decide
        dsn = proxy.dsn(storage._connections.dsn)
        shops = [threads.start(buy, dsn, storage.schema, shop, 25) for shop in range(SHOPS)]
        answers = [answer for shop in shops for answer in shop.result(DEADLINE)]
        seen = Counter(proxy.fates)
    is_over(storage)
    assert min(seen[Fate.CUT], seen[Fate.UNANSWERED]) > 0
    assert any(outcome.replayed for _, outcome in answers)
    check_settled(inventory, answers)
