from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.shops import MINUTE, Shop
from truecount import Kind, MemoryStorage, Pick, Reservation
from truecount.errors import (
    IdempotencyConflict,
    InvalidArgument,
    KeyRequired,
    ReservationFinished,
    TooMany,
    UnknownReference,
)


@pytest.fixture
def shop() -> Iterator[Shop]:
    """A shop with ten mugs and four teas in Berlin; its books are checked afterwards."""
    shop = Shop({"berlin": {"MUG": 10, "TEA": 4}})
    yield shop
    shop.check()


def placed(shop: Shop, **lines: int) -> Reservation:
    """Reserve and confirm *lines* for order-1."""
    shop.inventory.reserve(lines, reference="order-1")
    return shop.inventory.confirm("order-1")


class TestRounds:
    def test_finished_reference_starts_anew(self, shop: Shop) -> None:
        """The next reservation under it is the next round, with lines of its own."""
        placed(shop, MUG=1)
        shop.inventory.ship("order-1")
        second = shop.inventory.reserve({"MUG": 2}, reference="order-1")
        assert (second.round, second.status) == (2, "held")
        assert [line.number for line in second.lines] == [2]
        assert shop.inventory.reservation("order-1").quantity() == {"MUG": 2}

    def test_every_round_is_counted_on_from_the_last(self, shop: Shop) -> None:
        """The third is the third, and lines are never numbered twice, amended ones included."""
        seen = []
        for _ in range(3):
            placed(shop, MUG=1, TEA=1)
            seen.append(shop.inventory.amend("order-1", {"MUG": 2}))
            shop.inventory.ship("order-1")
        assert [found.round for found in seen] == [1, 2, 3]
        numbers = [line.number for found in seen for line in found.lines]
        assert numbers == list(range(1, 10))

    def test_earlier_round_is_refused_before_anything_is_written(self, shop: Shop) -> None:
        """A stale object must not confirm, change, ship or release its successor."""
        inventory = shop.inventory
        first = inventory.reserve({"MUG": 1}, reference="order-1")
        inventory.release(first)
        inventory.reserve({"MUG": 2}, reference="order-1")
        before = shop.movements()
        acts: list[Callable[[], object]] = [
            lambda: inventory.confirm(first),
            lambda: inventory.amend(first, {"MUG": 5}),
            lambda: inventory.pick(first),
            lambda: inventory.ship(first),
            lambda: inventory.release(first),
            lambda: inventory.short_pick(first, {"MUG": 1}, key="short-1"),
        ]
        for refused in acts:
            with pytest.raises(ReservationFinished, match="reserved for again"):
                refused()
        assert shop.movements() == before
        assert inventory.confirm("order-1").round == 2

    def test_round_that_was_never_made_is_unknown(self, shop: Shop) -> None:
        """An object from a transaction that was rolled back names nothing."""
        shop.inventory.reserve({"MUG": 1}, reference="order-1")
        with pytest.raises(UnknownReference):
            shop.inventory.submit([Pick(reference="order-1", round=2)])[0].check()

    def test_key_of_another_round_is_a_conflict(self, shop: Shop) -> None:
        """A repetition may name the reference or hand the object over, but not of a new round."""
        first = shop.inventory.reserve({"MUG": 1}, reference="order-1")
        shop.inventory.release(first, key="cancel-1")
        assert shop.inventory.release("order-1", key="cancel-1").replayed
        second = shop.inventory.reserve({"MUG": 1}, reference="order-1")
        assert shop.inventory.release(first, key="cancel-1").replayed
        with pytest.raises(IdempotencyConflict, match="cancel-1"):
            shop.inventory.release(second, key="cancel-1")
        assert shop.figures() == (9, 1, 0, 0)

    def test_other_tenants_have_other_reservations(self) -> None:
        """Neither the name nor the object of one shop means anything in another."""
        storage = MemoryStorage()
        mine = Shop({"berlin": {"MUG": 3}}, storage=storage, tenant="mine")
        theirs = Shop({"berlin": {"MUG": 3}}, storage=storage, tenant="theirs")
        cart = mine.inventory.reserve({"MUG": 3}, reference="cart-1")
        with pytest.raises(UnknownReference):
            theirs.inventory.confirm("cart-1")
        other = theirs.inventory.reserve({"MUG": 1}, reference="cart-1")
        with pytest.raises(InvalidArgument, match="tenant 'mine'"):
            theirs.inventory.release(cart)
        with pytest.raises(InvalidArgument, match="tenant 'theirs'"):
            mine.inventory.release(other)
        assert theirs.figures() == (2, 1, 0, 0)


class TestKeys:
    def test_acts_on_a_part_need_a_key(self, shop: Shop) -> None:
        """Repeated after a time-out a second "ship one" would be another one."""
        placed(shop, MUG=3)
        inventory = shop.inventory
        for act in (inventory.ship, inventory.pick, inventory.release, inventory.short_pick):
            with pytest.raises(KeyRequired):
                act("order-1", {"MUG": 1})
        assert shop.figures() == (7, 0, 3, 0)

    def test_replay_returns_what_was_returned_then(self, shop: Shop) -> None:
        """The first answer, although the reservation has moved on since."""
        first = shop.inventory.reserve({"MUG": 3}, reference="cart-1", key="request-1")
        shop.inventory.confirm("cart-1")
        shop.clock.tick(30 * MINUTE)
        again = shop.inventory.reserve({"MUG": 3}, reference="cart-1", key="request-1")
        assert again.replayed
        assert not first.replayed
        assert (again.status, again.lines) == ("held", first.lines)
        assert (again.decided_at, again.expires_at) == (first.decided_at, first.expires_at)

    def test_key_is_minted_and_returned(self, shop: Shop) -> None:
        """Repeating the call with it is safe."""
        first = shop.inventory.reserve({"MUG": 3}, reference="cart-1")
        assert first.key
        assert shop.inventory.reserve({"MUG": 3}, reference="cart-1", key=first.key).replayed

    def test_preview_shows_and_writes_nothing(self, shop: Shop) -> None:
        """Every act can be tried; lines and movements stay as they are."""
        inventory = shop.inventory
        assert inventory.reserve({"MUG": 3}, reference="order-1", preview=True).status == "held"
        with pytest.raises(UnknownReference):
            inventory.reservation("order-1")
        placed(shop, MUG=3)
        before = shop.movements(), inventory.reservation("order-1")
        assert inventory.ship("order-1", {"MUG": 1}, key="k", preview=True).status == "confirmed"
        assert inventory.pick("order-1", preview=True).status == "picked"
        assert inventory.amend("order-1", {"MUG": 1}, preview=True).quantity("released")["MUG"] == 2
        assert inventory.release("order-1", preview=True).status == "released"
        with pytest.raises(TooMany):
            inventory.ship("order-1", {"MUG": 9}, key="k", preview=True)
        assert (shop.movements(), inventory.reservation("order-1")) == before


class TestViews:
    def test_reservation_tells_what_became_of_each_unit(self, shop: Shop) -> None:
        """Every counter by SKU, and the counters of a line add up to what was reserved."""
        placed(shop, MUG=8)
        shop.inventory.ship("order-1", {"MUG": 1}, key="parcel-1")
        shop.inventory.pick("order-1", {"MUG": 2}, key="pick-1")
        shop.inventory.short_pick("order-1", {"MUG": 1}, key="short-1")
        shop.inventory.release("order-1", {"MUG": 1}, key="change-1")
        found = shop.inventory.reservation("order-1")
        [line] = found.lines
        assert (line.sku, line.location) == ("MUG", "berlin")
        counters = ("held", "allocated", "picked", "shipped", "released", "expired", "short")
        seen = {name: found.quantity(name)["MUG"] for name in counters}
        assert seen == {
            "held": 0,
            "allocated": 3,
            "picked": 2,
            "shipped": 1,
            "released": 1,
            "expired": 0,
            "short": 1,
        }
        assert sum(seen.values()) == line.reserved == 8
        assert found.expires_at is None

    def test_unknown_counter_is_refused(self, shop: Shop) -> None:
        """The message lists the counters there are."""
        with pytest.raises(InvalidArgument, match="allocated"):
            placed(shop, MUG=1).quantity("reserve")

    def test_acts_carry_their_words_into_the_ledger(self, shop: Shop) -> None:
        """Who, why and from where stand with the movement."""
        act = shop.inventory.reserve(
            {"MUG": 1}, reference="cart-1", actor="sam", origin="web", reason="sale"
        )
        movement = shop.inventory.movement(act.movements[-1])
        assert movement.kind is Kind.RESERVE
        assert (movement.reference, movement.actor) == ("cart-1", "sam")
        assert (movement.origin, movement.reason) == ("web", "sale")
