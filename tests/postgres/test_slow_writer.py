"""A feed is followed while one transaction stays open for seconds and others go on."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from functools import partial
from typing import Any

import pytest

from tests.postgres.server import Factory
from tests.postgres.waiting import DEADLINE, crew, hosted
from truecount import Inventory
from truecount.model.movements import Movement
from truecount.storage.postgres import PostgresStorage
from truecount.testing import assert_invariants


#: What is told before the open transaction may end, however long that takes.
TOLD_MIN = 60
WRITERS = 3


class Follower:
    """Reads the feed on and on, and checks that each movement leads to a state that existed."""

    def __init__(self) -> None:
        self.told: list[Movement] = []
        self.pages = threading.Semaphore(0)
        self._versions: defaultdict[Any, int] = defaultdict(int)
        self._figures: defaultdict[Any, int] = defaultdict(int)

    def follow(self, storage: PostgresStorage, over: threading.Event) -> None:
        """Go on until nothing is left after it was *over*."""
        inventory, is_all = Inventory(storage), False
        while not is_all:
            was_over = over.is_set()  # Before it is read: what came since is in the next page.
            page = inventory.feed(len(self.told), 7)
            for movement in page:
                self._take(movement)
            is_all = was_over and not page
            self.pages.release()

    def _take(self, movement: Movement) -> None:
        self.told.append(movement)
        assert movement.position == len(self.told), movement
        for key, version in movement.versions:
            self._versions[key] += 1
            assert version == self._versions[key], (movement, key)
        for leg in movement.legs:
            for place, sign in ((leg.source, -1), (leg.target, 1)):
                if place.is_inside:
                    name = leg.sku, place
                    self._figures[name] += sign * leg.quantity
                    assert self._figures[name] >= 0, (movement, name)


def write(storage: PostgresStorage, number: int, stop: threading.Event) -> list[str]:
    """Take in, promise and give back goods of one's own, and tea, until told to stop."""
    own, written = f"SKU-{number}", list[str]()
    inventory = Inventory(storage)
    turn = 0
    while not stop.is_set():
        turn += 1
        cart = f"cart-{number}-{turn}"
        for sku in (own, "TEA"):
            written += inventory.receive(sku, 2, at="berlin").movements
        inventory.reserve({own: 1, "TEA": 1}, reference=cart, key=cart)
        inventory.confirm(cart, key=f"{cart}/confirm")
    return written


@pytest.mark.parametrize("seconds", [0, pytest.param(5, marks=pytest.mark.slow)])
def test_feed_beside_a_writer_that_stays_open_misses_nothing(
    make_postgres: Factory, seconds: int
) -> None:
    """Every state shown existed, and what is committed last is told once, after the rest."""
    storage, follower = make_postgres(), Follower()
    stop, over = threading.Event(), threading.Event()
    shop = Inventory(storage)
    shop.locations.add("berlin")
    shop.receive("MUG", 5, at="berlin")
    with crew(storage) as threads, hosted(storage) as host:
        # It writes first of all, so that whatever the database counts, its transaction is the oldest.
        slow = shop.within(host)
        first = slow.receive("MUG", 1, at="berlin").movement_id
        end = time.monotonic() + seconds
        writers = [threads.start(write, storage, number, stop) for number in range(WRITERS)]
        following = threads.start(follower.follow, storage, over)
        late = threads.start_blocked(partial(shop.reserve, {"MUG": 6}, reference="late"))
        while len(follower.told) < TOLD_MIN or time.monotonic() < end:
            assert follower.pages.acquire(timeout=DEADLINE)
            assert not following.done(), following.result()
        # And it takes tea that younger ones brought.
        slow.reserve({"TEA": shop.figures("TEA").sellable // 2}, reference="old")
        told = {movement.id for movement in follower.told}
        host.commit()
        stop.set()
        written = [id_ for writer in writers for id_ in writer.result(DEADLINE)]
        assert late.result(DEADLINE).status == "held"
        over.set()
        following.result(DEADLINE)
    ids = [movement.id for movement in follower.told]
    assert first not in told
    assert len(set(ids)) == len(ids)
    assert {first, *written} <= set(ids)
    references = [movement.reference for movement in follower.told]
    assert references.count("old") == references.count("late") == 1
    assert references.index("old") > ids.index(first)
    assert_invariants(shop)
