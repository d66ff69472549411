"""Real threads and connections on PostgreSQL, judged by outcomes and by the feed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from psycopg.pq import TransactionStatus

from tests.postgres.server import Factory
from tests.postgres.waiting import DEADLINE, Crew, connect, crew, hosted
from truecount import Inventory, Operation, Policy, Received, Reserve, errors
from truecount.model.movements import Movement
from truecount.model.settings import GENERATION
from truecount.protocols.storage import Record, Wants
from truecount.storage.postgres import PostgresStorage
from truecount.storage.postgres import statements as sql
from truecount.storage.postgres.session import Session
from truecount.testing import CountingIds, ManualClock
from truecount.testing.claims import at_once
from truecount.testing.samples import MUG, Sheet, outcome
from truecount.write.rules import KnownRules, mark_of


#: Inventories of a shop: one for each thread, so that no two share a transaction.
MANY = 8


class Shop:
    """Several inventories over one storage, with a clock they share."""

    def __init__(self, storage: PostgresStorage) -> None:
        self.storage = storage
        self.clock = ManualClock()
        self.each = [
            Inventory(storage, clock=self.clock, new_id=CountingIds(f"thread-{number}"))
            for number in range(MANY)
        ]
        self.first = self.each[0]
        self.first.locations.add("berlin", "hamburg")

    def feed(self) -> list[Movement]:
        """Return the whole feed, in pages of two."""
        found: list[Movement] = []
        while page := self.first.feed(len(found), 2):
            found += page
        return found

    def check_feed(self) -> None:
        """Every prefix of the feed is a state that existed, and every movement is told once."""
        versions: dict[Any, int] = {}
        figures: dict[Any, int] = {}
        feed = self.feed()
        assert [movement.position for movement in feed] == list(range(1, len(feed) + 1))
        assert len({movement.id for movement in feed}) == len(feed)
        for movement in feed:
            for key, version in movement.versions:
                assert version == versions.get(key, 0) + 1, (movement.id, key, version)
                versions[key] = version
            for leg in movement.legs:
                for place, sign in ((leg.source, -1), (leg.target, 1)):
                    if place.is_inside:
                        name = (leg.sku, place)
                        figures[name] = figures.get(name, 0) + sign * leg.quantity
            assert min(figures.values(), default=0) >= 0, (movement.id, figures)
        with self.storage.read("main") as reader:
            assert versions == {key: row.version for key, row in reader.stock()}


@pytest.fixture
def shop(make_postgres: Factory, request: pytest.FixtureRequest) -> Iterator[Shop]:
    """Return a shop of two places with nothing in it; a test may say what is remembered."""
    named = {"remembers": request.param} if hasattr(request, "param") else {}
    shop = Shop(make_postgres(**named))
    yield shop
    shop.check_feed()


@pytest.fixture
def threads(shop: Shop) -> Iterator[Crew]:
    """Return threads over the shop's storage."""
    with crew(shop.storage) as threads:
        yield threads


class TestFeed:
    """The feed beside open transactions."""

    def test_host_that_wrote_first_and_joined_last_never_shows_a_false_state(
        self, shop: Shop
    ) -> None:
        """A host's older transaction that takes stock added since comes after that addition."""
        shop.first.receive("MUG", 1, at="berlin")
        with hosted(shop.storage) as host:
            host.execute(f"CREATE TABLE {shop.storage.schema}.orders (id text)".encode())
            shop.each[1].receive("MUG", 5, at="berlin")
            shop.each[2].within(host).reserve({"MUG": 6}, reference="order-1")
            assert [movement.kind for movement in shop.feed()] == ["receive", "receive"]
            host.commit()
        assert [movement.kind for movement in shop.feed()] == ["receive", "receive", "reserve"]
        assert shop.first.available("MUG") == 0

    def test_slow_open_writer_is_told_later_and_once(self, shop: Shop) -> None:
        """A movement committed after younger ones were told gets the next position."""
        with hosted(shop.storage) as host:
            slow = shop.each[1].within(host).receive("MUG", 1, at="berlin").movement_id
            shop.clock.tick()
            quick = shop.first.receive("TEA", 1, at="berlin").movement_id
            told = shop.feed()
            assert [movement.id for movement in told] == [quick]
            assert shop.each[1].within(host).movement(slow).position is None
            host.commit()
        later = shop.first.receive("MUG", 1, at="berlin").movement_id
        assert [movement.id for movement in shop.feed()] == [quick, slow, later]
        assert shop.feed()[:1] == told

    def test_readers_that_number_at_once_agree(self, shop: Shop) -> None:
        """Feed readers that race to number the same movements give one numbering."""
        for turn in range(3):
            facts = [Received("MUG", 1, at="berlin", key=f"{turn}-{n}") for n in range(20)]
            shop.first.record(facts)
            pages = at_once(*(partial(each.feed, 20 * turn, 100) for each in shop.each))
            assert all(page == pages[0] for page in pages)
            assert len(pages[0]) == 20

    def test_second_numbering_pass_goes_on_where_the_first_ends(
        self, shop: Shop, threads: Crew
    ) -> None:
        """A reader that meets another one numbering waits, and then numbers only what is new."""
        shop.first.receive("TEA", 1, at="berlin")
        assert len(shop.feed()) == 1
        first = shop.first.receive("MUG", 1, at="berlin").movement_id
        with hosted(shop.storage) as other:
            session = Session(other, shop.storage._connections.texts, "other")
            session.run(sql.MAKE_HEAD, "main")
            session.run(sql.LOCK_HEAD, "main")
            session.run(sql.NUMBER, "main")
            session.run(sql.DEQUEUE, "main")
            session.run(sql.MOVE_HEAD, "main")
            second = shop.first.receive("MUG", 1, at="berlin").movement_id
            reading = threads.start_blocked(partial(shop.each[1].feed, 1))
            other.commit()
        told = reading.result(DEADLINE)
        assert [(each.position, each.id) for each in told] == [(2, first), (3, second)]

    def test_readers_that_number_beside_writers_agree(self, shop: Shop) -> None:
        """Feed readers that race with writers and each other are told one history."""
        size = 15

        def write(number: int) -> list[str]:
            each = shop.each[number]
            receipts = [each.receive(f"SKU-{number}", 1, at="berlin") for _ in range(size)]
            return [receipt.movement_id for receipt in receipts]

        def read(number: int) -> list[str]:
            told: list[str] = []
            while len(told) < 4 * size:
                told += [movement.id for movement in shop.each[number].feed(len(told))]
            return told

        numbers = range(MANY)
        results = at_once(*(partial(read if number % 2 else write, number) for number in numbers))
        assert all(told == results[1] for told in results[1::2])
        assert sorted(results[1]) == sorted(itertools.chain(*results[::2]))

    def test_position_is_missing_until_numbered(self, shop: Shop) -> None:
        """A committed movement can be read before anybody gave it a position."""
        receipt = shop.first.receive("MUG", 1, at="berlin")
        assert shop.first.movement(receipt.movement_id).position is None
        assert [movement.position for movement in shop.feed()] == [1]
        assert shop.first.movement(receipt.movement_id).position == 1


class TestRaces:
    """Who gets the stock."""

    @pytest.mark.parametrize("end", ["commit", "rollback"])
    def test_expired_hold_is_granted_once_after_a_lock_wait(
        self, shop: Shop, threads: Crew, end: str
    ) -> None:
        """Who waited for the lock sees whether the hold was reclaimed meanwhile."""
        shop.first.receive("MUG", 5, at="berlin")
        shop.first.reserve({"MUG": 5}, reference="old", ttl=timedelta(minutes=1))
        shop.clock.tick(timedelta(minutes=2))
        with hosted(shop.storage) as host:
            shop.each[1].within(host).reserve({"MUG": 5}, reference="early")
            late = threads.start_blocked(
                partial(shop.each[2].reserve, {"MUG": 5}, reference="late")
            )
            getattr(host, end)()
        if end == "commit":
            assert isinstance(late.exception(DEADLINE), errors.InsufficientStock)
        else:
            assert late.result(DEADLINE).status == "held"
        figures = shop.first.figures("MUG")
        assert (figures.sellable, figures.held) == (0, 5)
        assert shop.first.reservation("old").quantity("expired") == {"MUG": 5}

    def test_eight_threads_get_exactly_the_units_there_are(self, shop: Shop) -> None:
        """Of eight carts that race for three units exactly three are held."""
        shop.first.receive("MUG", 3, at="berlin")
        results = at_once(
            *(
                partial(each.reserve, {"MUG": 1}, reference=f"cart-{number}")
                for number, each in enumerate(shop.each)
            )
        )
        short = [found for found in results if isinstance(found, errors.InsufficientStock)]
        assert len(short) == 5
        assert [found.status for found in results if found not in short] == ["held"] * 3
        assert shop.first.available("MUG") == 0

    def test_units_from_two_places_are_not_granted_twice(self, shop: Shop) -> None:
        """Carts that widen from one place to all of them still get only what is there."""
        shop.first.receive("MUG", 2, at="berlin")
        shop.first.receive("MUG", 2, at="hamburg")
        results = at_once(
            *(
                partial(each.reserve, {"MUG": 3}, reference=f"cart-{number}")
                for number, each in enumerate(shop.each[:4])
            )
        )
        kinds = sorted(type(found).__name__ for found in results)
        assert kinds == ["InsufficientStock"] * 3 + ["Reservation"]
        assert shop.first.available("MUG") == 1

    def test_opposite_orders_in_single_calls_never_deadlock(self, shop: Shop) -> None:
        """Two threads whose carts name SKUs in opposite order are all granted, no retry."""
        skus = [f"SKU-{number:02d}" for number in range(12)]
        shop.first.record([Received(sku, 100, at="berlin", key=sku) for sku in skus])

        def buy(number: int) -> None:
            for turn in range(15):
                cart = dict.fromkeys(skus[:: 1 - 2 * number], 1)
                shop.each[number].reserve(cart, reference=f"cart-{number}-{turn}")

        assert at_once(partial(buy, 0), partial(buy, 1)) == [None, None]
        assert [shop.first.available(sku) for sku in skus] == [70] * len(skus)

    def test_opposite_orders_across_calls_are_retryable(self, shop: Shop, threads: Crew) -> None:
        """A deadlock of two hosts is Retryable for one; repeated, both have one effect."""
        shop.first.record([Received(sku, 9, at="berlin", key=sku) for sku in ("MUG", "TEA")])

        def take(inventory: Inventory, host: object, sku: str, name: str) -> None:
            cart = f"{name}-{sku}"
            inventory.within(host).reserve({sku: 1}, reference=cart, key=cart)

        with hosted(shop.storage) as one, hosted(shop.storage) as two:
            take(shop.each[1], one, "MUG", "one")
            take(shop.each[2], two, "TEA", "two")
            waiting = threads.start_blocked(take, shop.each[1], one, "TEA", "one")
            second = threads.start(take, shop.each[2], two, "MUG", "two")
            problems = [waiting.exception(DEADLINE) if second.exception(DEADLINE) is None else None]
            loser = (one, "one") if problems[0] is not None else (two, "two")
            assert isinstance(problems[0] or second.exception(), errors.Retryable)
            for host in (one, two):
                if host is loser[0]:
                    host.rollback()
                else:
                    host.commit()
        with hosted(shop.storage) as host:
            for sku in ("MUG", "TEA"):
                take(shop.each[1], host, sku, loser[1])
            host.commit()
        assert [shop.first.available(sku) for sku in ("MUG", "TEA")] == [7, 7]


#: A host's write as one statement, and as plain ones.
BOTH_WAYS = pytest.mark.parametrize(
    "shop", [100, 0], indirect=True, ids=["one statement", "plain statements"]
)


class TestBatches:
    """One member of a batch is short or late."""

    @BOTH_WAYS
    def test_sold_out_member_of_a_joined_batch_leaves_the_host_usable(self, shop: Shop) -> None:
        """Neighbours are granted, the refusal is stored, and the host goes on and commits."""
        shop.first.receive("MUG", 9, at="berlin")
        shop.first.receive("TEA", 1, at="berlin")
        carts = [{"MUG": 1}, {"TEA": 2, "MUG": 1}, {"MUG": 2}]
        batch = [Reserve(cart, reference=f"c{n}", key=f"c{n}") for n, cart in enumerate(carts)]
        with hosted(shop.storage) as host:
            granted = [found.granted for found in shop.each[1].within(host).submit(batch)]
            assert granted == [True, False, True]
            host.execute("SELECT 1")
            host.commit()
        assert (shop.first.available("MUG"), shop.first.available("TEA")) == (6, 1)
        shop.first.receive("TEA", 9, at="berlin")
        again = shop.first.submit(batch)
        assert [found.granted for found in again] == granted
        assert all(found.replayed for found in again)

    def test_member_sold_out_while_the_batch_waited_is_refused_alone(
        self, shop: Shop, threads: Crew
    ) -> None:
        """A batch that waited for the last unit decides on what it found after the wait."""
        shop.first.receive("MUG", 9, at="berlin")
        shop.first.receive("TEA", 1, at="berlin")
        carts = [{"MUG": 1}, {"TEA": 1}, {"MUG": 2}]
        batch = [Reserve(cart, reference=f"c{n}", key=f"c{n}") for n, cart in enumerate(carts)]
        with hosted(shop.storage) as host:
            shop.each[1].within(host).reserve({"TEA": 1}, reference="first")
            waiting = threads.start_blocked(shop.each[2].submit, batch)
            host.commit()
        granted = [found.granted for found in waiting.result(DEADLINE)]
        assert granted == [True, False, True]
        assert shop.first.available("MUG") == 6

    @BOTH_WAYS
    def test_batch_that_meets_a_taken_key_repeats_without_its_own_traces(
        self, shop: Shop, threads: Crew
    ) -> None:
        """A joined batch whose second key was taken meanwhile still writes its first member."""
        shop.first.receive("MUG", 1, at="berlin")
        batch = [
            Received("POT", 4, at="berlin", key="a"),
            Received("POT", 5, at="berlin", key="shared"),
        ]
        with hosted(shop.storage) as one, hosted(shop.storage) as two:
            shop.each[1].within(one).receive("TEA", 1, at="berlin", key="shared")
            joined = shop.each[2].within(two)
            waiting = threads.start_blocked(joined.submit, batch)
            one.commit()
            first, second = waiting.result(DEADLINE)
            two.commit()
        assert first.granted
        assert not first.replayed
        assert isinstance(second.error, errors.IdempotencyConflict)
        assert shop.first.figures("POT").on_hand == 4
        assert shop.first.movement(first.movement_id).kind == "receive"


class TestKeys:
    """One key, many submissions."""

    @pytest.mark.parametrize("end", ["commit", "rollback"])
    def test_key_raced_by_four_has_one_effect(self, shop: Shop, threads: Crew, end: str) -> None:
        """Three that wait behind an open host get its outcome, or one of theirs if it left."""

        def receive(inventory: Inventory) -> Any:
            return inventory.receive("MUG", 3, at="berlin", key="asn-1")

        with hosted(shop.storage) as host:
            first = receive(shop.each[1].within(host))
            waiting = [threads.start_blocked(receive, each) for each in shop.each[2:5]]
            getattr(host, end)()
        others = [future.result(DEADLINE) for future in waiting]
        assert len({(found.movements, found.decided_at) for found in others}) == 1
        fresh = [found.replayed for found in others].count(False)
        assert fresh == (0 if end == "commit" else 1)
        assert (others[0].movements == first.movements) == (end == "commit")
        assert shop.first.figures("MUG").on_hand == 3

    @pytest.mark.parametrize("end", ["commit", "rollback"])
    def test_key_reused_on_other_rows_conflicts_if_the_first_stands(
        self, shop: Shop, threads: Crew, end: str
    ) -> None:
        """Requests that share nothing but a key meet at its outcome."""
        with hosted(shop.storage) as host:
            shop.each[1].within(host).receive("MUG", 3, at="berlin", key="asn-1")
            other = threads.start_blocked(
                partial(shop.each[2].receive, "TEA", 4, at="berlin", key="asn-1")
            )
            getattr(host, end)()
        if end == "commit":
            assert isinstance(other.exception(DEADLINE), errors.IdempotencyConflict)
        else:
            assert other.result(DEADLINE).granted
        figures = [shop.first.figures(sku).on_hand for sku in ("MUG", "TEA")]
        assert figures == ([3, 0] if end == "commit" else [0, 4])

    def test_batches_that_share_keys_in_opposite_order_do_not_deadlock(
        self, shop: Shop, threads: Crew
    ) -> None:
        """Outcomes are locks too, and taken in order; each key is granted to one of them."""

        def batch(sku: str, *keys: str) -> list[Operation]:
            return [Received(f"{sku}-{key}", 1, at="berlin", key=key) for key in keys]

        with hosted(shop.storage) as one, hosted(shop.storage) as two:
            shop.each[1].within(one).receive("MUG", 1, at="berlin", key="m")
            shop.each[2].within(two).receive("TEA", 1, at="berlin", key="n")
            calls = [
                threads.start_blocked(partial(shop.each[3].submit, batch("CUP", "x", "m", "y"))),
                threads.start_blocked(partial(shop.each[4].submit, batch("POT", "y", "n", "x"))),
            ]
            one.rollback()
            two.rollback()
            outcomes = [found for call in calls for found in call.result(DEADLINE)]
        assert sorted(found.key for found in outcomes if found.granted) == ["m", "n", "x", "y"]
        refused = [type(found.error) for found in outcomes if not found.granted]
        assert refused == [errors.IdempotencyConflict] * 2


class TestWhoWaits:
    """Only those wait that want the same."""

    def test_writers_of_different_stock_do_not_wait(self, shop: Shop, threads: Crew) -> None:
        """Beside an open writer others write other SKUs, places and references."""
        with hosted(shop.storage) as host:
            shop.each[1].within(host).receive("MUG", 1, at="berlin")
            for sku, place in (("TEA", "berlin"), ("MUG", "hamburg")):
                other = threads.start(partial(shop.each[2].receive, sku, 1, at=place))
                assert other.result(DEADLINE).granted
            host.commit()
        assert shop.first.figures("MUG").on_hand == 2

    def test_change_of_the_shop_rules_waits_for_open_writers(
        self, shop: Shop, threads: Crew
    ) -> None:
        """No write is decided on rules that were replaced before it was committed."""
        with hosted(shop.storage) as host:
            shop.each[1].within(host).receive("MUG", 5, at="berlin")
            change = threads.start_blocked(shop.each[2].policies.set, Policy(safety_stock=4))
            host.commit()
        change.result(DEADLINE)
        with pytest.raises(errors.InsufficientStock):
            shop.first.reserve({"MUG": 2}, reference="cart-1")

    def test_readers_wait_for_nobody(self, shop: Shop) -> None:
        """Figures and the feed are read beside an open writer, as they were before it."""
        shop.first.receive("MUG", 5, at="berlin")
        with hosted(shop.storage) as host:
            joined = shop.each[1].within(host)
            joined.reserve({"MUG": 5}, reference="cart-1")
            assert shop.first.available("MUG") == 5
            assert joined.available("MUG") == 0
            assert len(shop.feed()) == 1


class TestHost:
    """The transaction is the host's."""

    def test_host_rollback_leaves_no_trace(self, shop: Shop) -> None:
        """What was written in a host's transaction leaves with it, refusals too."""
        shop.first.receive("MUG", 5, at="berlin")
        with hosted(shop.storage) as host:
            joined = shop.each[1].within(host)
            joined.reserve({"MUG": 5}, reference="cart-1", key="k1")
            with pytest.raises(errors.InsufficientStock):
                joined.reserve({"MUG": 1}, reference="cart-2", key="k2")
            host.rollback()
        assert len(shop.feed()) == 1
        cart = shop.first.reserve({"MUG": 1}, reference="cart-2", key="k2")
        assert (cart.status, cart.replayed) == ("held", False)

    def test_several_acts_commit_with_the_host(self, shop: Shop) -> None:
        """Acts on one reservation in one host's transaction see each other."""
        shop.first.receive("MUG", 5, at="berlin")
        with hosted(shop.storage) as host:
            joined = shop.each[1].within(host)
            joined.reserve({"MUG": 2}, reference="cart-1")
            joined.confirm("cart-1")
            assert joined.ship("cart-1").status == "shipped"
            host.commit()
        assert shop.first.figures("MUG").on_hand == 3

    def test_connection_without_transaction_is_refused(self, shop: Shop) -> None:
        """Joining would commit by itself, so it is refused with what to do."""
        with connect(shop.storage) as host:
            joined = shop.each[1].within(host)
            with pytest.raises(errors.NotInTransaction, match=r"connection\.transaction"):
                joined.receive("MUG", 1, at="berlin")

    def test_failed_write_leaves_the_host_nothing_to_commit(self, shop: Shop) -> None:
        """What a constraint stops half-way cannot be committed by the host."""
        with hosted(shop.storage) as host:
            with shop.storage.begin("main", host) as unit:
                sheet = Sheet(unit.lock(Wants(keys={MUG}, records={("recipe", "SET")})))
                sheet.move("m1", MUG, sellable=5)
                sheet.records.append(Record("recipe", "SET", 7, "{}"))
                with pytest.raises(
                    errors.ConstraintViolated, match=r"follows the one before.*recipe, SET"
                ):
                    unit.write(sheet.changes())
            assert host.info.transaction_status == TransactionStatus.INERROR

    @BOTH_WAYS
    def test_write_that_was_not_even_sent_leaves_the_host_nothing_to_commit(
        self, shop: Shop
    ) -> None:
        """Where its statements are plain, its outcome had gone before it."""
        with hosted(shop.storage) as host:
            with shop.storage.begin("main", host) as unit:
                sheet = Sheet(unit.lock(Wants()))
                sheet.outcomes.append(outcome("k1"))
                sheet.records.append(Record("recipe", "NUL\0", 1, "{}"))
                with pytest.raises(errors.ConstraintViolated, match="NUL"):
                    unit.write(sheet.changes())
            assert host.info.transaction_status == TransactionStatus.INERROR

    def test_rules_that_were_changed_while_a_host_read_them_are_not_kept(self, shop: Shop) -> None:
        """It read some of before and some of after, and nobody else is to take them for either."""
        known = KnownRules()
        with hosted(shop.storage) as host, shop.storage.read("main", host) as reader:
            mark = mark_of(reader.record(*GENERATION))
            shop.first.policies.set(Policy(safety_stock=1))
            assert known.under(mark, reader).policies
        assert known.last.mark != mark

    def test_preview_in_a_host_writes_nothing(self, shop: Shop) -> None:
        """A preview joined to a host's transaction leaves nothing for the host to commit."""
        with hosted(shop.storage) as host:
            shop.each[1].within(host).receive("MUG", 5, at="berlin", preview=True)
            host.commit()
        assert shop.feed() == []
        assert shop.first.stock() == {}
