"""Every kind of movement through the facade: what it does to the figures, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from truecount import (
    Inventory,
    Kind,
    MemoryStorage,
    Operation,
    Policy,
    Returned,
    Sold,
    SQLiteStorage,
    State,
)
from truecount.errors import (
    AlreadyReversed,
    DocumentExists,
    IdempotencyConflict,
    InsufficientStock,
    InvalidArgument,
    InvalidQuantity,
    InvalidText,
    InvalidTime,
    KeyRequired,
    NotCorrectable,
    TooMany,
    TrueCountError,
    UnknownLocation,
    UnknownMovement,
    UnknownReference,
    UnknownSku,
)
from truecount.testing import CountingIds, ManualClock


START = datetime(2026, 3, 1, 9, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def clock() -> ManualClock:
    """A clock moved by hand."""
    return ManualClock(START)


@pytest.fixture(params=["memory", "sqlite"])
def shop(request: pytest.FixtureRequest, clock: ManualClock, tmp_path: Path) -> Iterator[Inventory]:
    """Two locations; fifty mugs in Berlin."""
    storage = MemoryStorage() if request.param == "memory" else SQLiteStorage(tmp_path / "shop.db")
    with Inventory(storage, clock=clock, new_id=CountingIds("m")) as inventory:
        inventory.locations.add("berlin", "hamburg")
        inventory.receive("MUG", 50, at="berlin", key="in")
        yield inventory


def figures(shop: Inventory, at: str = "berlin") -> dict[str, int]:
    """Return the figures of MUG that are not zero."""
    words = attrs.asdict(shop.figures("MUG", at=at))
    return {name: value for name, value in words.items() if value and name != "available"}


@attrs.frozen
class Act:
    """One thing done to fifty sellable mugs in Berlin, and the figures after it."""

    name: str
    do: Callable[[Inventory], object]
    berlin: dict[str, int]
    hamburg: dict[str, int] = attrs.field(factory=dict)


def _transferred(shop: Inventory) -> None:
    shop.transfer_out("t-1", {"MUG": 10}, source="berlin", target="hamburg")


def _arrived(shop: Inventory) -> None:
    _transferred(shop)
    shop.arrive("t-1", {"MUG": 6})
    shop.reject("t-1", {"MUG": 1})
    shop.lose("t-1", {"MUG": 2})


def _inspected(shop: Inventory) -> None:
    shop.receive("MUG", 5, at="berlin", into=State.QUARANTINE)
    shop.inspect("MUG", 3, at="berlin", into=State.SELLABLE)
    shop.inspect("MUG", 1, at="berlin", into=State.DAMAGED)


def _returned(shop: Inventory) -> None:
    shop.record([Sold("MUG", 4, at="berlin", reference="etsy-1", key="sale")])
    shop.take_back("etsy-1", {"MUG": 1}, at="berlin", key="rma")


ACTS = [
    Act("open", lambda s: s.open("MUG", 5, at="hamburg"), {"sellable": 50}, {"sellable": 5}),
    Act(
        "expect",
        lambda s: s.expect("MUG", 9, at="berlin", reference="po"),
        {"sellable": 50, "incoming": 9},
    ),
    Act(
        "sold",
        lambda s: s.record([Sold("MUG", 60, at="berlin", key="k")]),
        {"sellable": -10},
    ),
    Act("take back", _returned, {"sellable": 46, "quarantine": 1}),
    Act("inspect", _inspected, {"sellable": 53, "quarantine": 1, "damaged": 1}),
    Act("damage", lambda s: s.damage("MUG", 2, at="berlin"), {"sellable": 48, "damaged": 2}),
    Act(
        "scrap",
        lambda s: s.scrap("MUG", 2, at="berlin", reason="mould", state=State.SELLABLE),
        {"sellable": 48},
    ),
    Act(
        "return to supplier",
        lambda s: s.return_to_supplier("MUG", 2, at="berlin", state=State.SELLABLE),
        {"sellable": 48},
    ),
    Act(
        "relocate",
        lambda s: s.relocate("MUG", 20, source="berlin", target="hamburg"),
        {"sellable": 30},
        {"sellable": 20},
    ),
    Act("transfer out", _transferred, {"sellable": 40}, {"in_transit": 10}),
    Act(
        "arrive, reject, lose",
        _arrived,
        {"sellable": 40},
        {"sellable": 6, "quarantine": 1, "in_transit": 1},
    ),
    Act("adjust", lambda s: s.adjust("MUG", -3, at="berlin", reason="theft"), {"sellable": 47}),
    Act("count", lambda s: s.count("MUG", 44, at="berlin"), {"sellable": 44}),
    Act(
        "assemble",
        lambda s: s.assemble("GIFT", 10, components={"MUG": 2}, at="berlin"),
        {"sellable": 30},
    ),
]


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.name)
def test_movement_has_the_effect_of_its_kind(shop: Inventory, act: Act) -> None:
    """Figures at both locations follow, and the whole verifies."""
    act.do(shop)
    assert figures(shop) == act.berlin
    assert figures(shop, "hamburg") == act.hamburg
    assert shop.verify().ok


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.name)
def test_undoing_the_last_movement_restores_every_figure(shop: Inventory, act: Act) -> None:
    """What the act's last movement changed is as it was; a second undo is refused."""
    act.do(shop)
    movements = shop.feed()
    last = movements[-1]
    keys = [key for key, _ in last.versions]
    before = {
        key: shop.as_of(key.sku, version=version - 1, at=key.location, lot=key.lot)
        for key, version in last.versions
    }
    shop.undo(last.id, reason="wrong")
    after = shop.stock()
    for key in keys:
        assert {s: after[key][s] for s in State} == {s: before[key][s] for s in State}
    with pytest.raises(AlreadyReversed):
        shop.undo(last.id, reason="again")
    assert shop.verify().ok


class TestDeliveries:
    """Purchase orders, line by line."""

    def test_short_over_and_rejected_are_accounted_for(self, shop: Inventory) -> None:
        """Ordered is received, rejected, closed or outstanding; the surplus stands beside it."""
        shop.expect("MUG", 20, at="berlin", reference="po", due_at=START + DAY)
        shop.receive("MUG", 8, at="berlin", reference="po", rejected=2)
        shop.close_delivery("MUG", at="berlin", reference="po")
        shop.receive("MUG", 3, at="berlin", reference="po")
        [line] = shop.delivery("po")
        assert (line.ordered, line.received, line.rejected, line.closed) == (20, 8, 2, 10)
        assert (line.surplus, line.outstanding, line.due_at) == (3, 0, START + DAY)
        assert figures(shop) == {"sellable": 61}

    def test_correcting_a_receipt_corrects_its_order(self, shop: Inventory) -> None:
        """Ten typed as a hundred: the order line and the figures are as if typed right."""
        shop.expect("MUG", 20, at="berlin", reference="po")
        slip = shop.receive("MUG", 100, at="berlin", reference="po").movement_id
        shop.correct(slip, quantity=10, reason="typed 100")
        [line] = shop.delivery("po")
        assert (line.received, line.surplus, line.outstanding) == (10, 0, 10)
        assert figures(shop) == {"sellable": 60, "incoming": 10}

    def test_lots_go_earliest_expiry_first_and_expired_ones_are_not_available(
        self, shop: Inventory, clock: ManualClock
    ) -> None:
        """FEFO for a cart; the lot that ran out is on hand and nobody can reserve it."""
        for lot, days in (("LATE", 30), ("SOON", 2)):
            shop.receive("TEA", 5, at="berlin", lot=lot, lot_expires_at=START + days * DAY)
        cart = shop.reserve({"TEA": 6}, reference="c-1")
        assert [(line.key.lot, line.held) for line in cart.lines] == [("SOON", 5), ("LATE", 1)]
        shop.release("c-1")
        clock.tick(3 * DAY)
        assert shop.available("TEA") == 5
        assert shop.figures("TEA", lot="SOON").available == 0  # Not oversold: nobody wants it.
        assert shop.figures("TEA").on_hand == 10
        with pytest.raises(InsufficientStock, match="only 5 available"):
            shop.reserve({"TEA": 6}, reference="c-2")


class TestTransfers:
    """Goods between locations."""

    def test_sent_is_arrived_rejected_lost_or_on_the_way(self, shop: Inventory) -> None:
        """The account of a transfer adds up; more than was sent is a surplus and a finding."""
        _arrived(shop)
        shop.arrive("t-1", {"MUG": 3})
        [line] = shop.transfer("t-1").lines
        assert (line.sent, line.arrived, line.rejected, line.lost) == (10, 7, 1, 2)
        assert (line.on_the_way, line.surplus) == (0, 2)
        assert [finding.kind for finding in shop.findings().open] == ["over_arrival"]

    def test_what_was_not_sent_cannot_be_lost_nor_sent_twice(self, shop: Inventory) -> None:
        """Losing more than is on the way and reusing the reference are refused."""
        _transferred(shop)
        with pytest.raises(TooMany, match="only 10 left to lose"):
            shop.lose("t-1", {"MUG": 11})
        with pytest.raises(DocumentExists):
            _transferred(shop)
        with pytest.raises(UnknownReference):
            shop.arrive("t-9", {"MUG": 1})


class TestReturns:
    """Each unit comes back once."""

    def test_more_than_shipped_is_refused_and_writes_nothing(self, shop: Inventory) -> None:
        """A second return of the same unit names what is left."""
        shop.reserve({"MUG": 2}, reference="o-1")
        shop.confirm("o-1")
        shop.ship("o-1")
        shop.take_back("o-1", {"MUG": 2}, key="r-1")
        before = shop.stock()
        with pytest.raises(TooMany, match="only 0 left to take back"):
            shop.take_back("o-1", {"MUG": 1}, key="r-2")
        assert shop.stock() == before

    def test_the_same_thing_reported_as_a_fact_is_booked_and_found(self, shop: Inventory) -> None:
        """Reality is never refused; the contradiction is a finding."""
        shop.record([Returned("MUG", 1, at="berlin", reference="o-9", key="r-1")])
        assert figures(shop) == {"sellable": 50, "quarantine": 1}
        assert "over_return" in [finding.kind for finding in shop.findings().open]


class TestTime:
    """Two clocks."""

    def test_a_count_is_compared_at_its_own_moment(
        self, shop: Inventory, clock: ManualClock
    ) -> None:
        """Counted 48 before 5 were sold: the variance is -2 and the sale stands."""
        counted_at = clock.now
        clock.tick()
        shop.record([Sold("MUG", 5, at="berlin", key="sale")])
        outcome = shop.count("MUG", 48, at="berlin", counted_at=counted_at)
        assert outcome.result == {"expected": 50, "counted": 48, "variance": -2}
        assert shop.figures("MUG").sellable == 43

    def test_a_fact_from_the_future_is_recorded_now_and_noted(
        self, shop: Inventory, clock: ManualClock
    ) -> None:
        """A command is refused instead."""
        later = clock.now + DAY
        with pytest.raises(InvalidTime, match="more than 5 minutes"):
            shop.relocate("MUG", 1, source="berlin", target="hamburg", occurred_at=later)
        [outcome] = shop.record([Sold("MUG", 1, at="berlin", occurred_at=later, key="k")])
        movement = shop.movement(outcome.movement_id)
        assert movement.occurred_at == movement.recorded_at
        assert movement.notes[0].startswith("future_time")

    def test_recorded_at_never_goes_back_on_a_key(
        self, shop: Inventory, clock: ManualClock
    ) -> None:
        """The clock may jump back an hour; the ledger does not."""
        clock.tick(-timedelta(hours=1))
        shop.damage("MUG", 1, at="berlin")
        first, second = (entry.movement.recorded_at for entry in shop.history("MUG"))
        assert second > first

    def test_what_was_known_when(self, shop: Inventory, clock: ManualClock) -> None:
        """As of yesterday, with and without the report that came today."""
        yesterday = clock.now
        clock.tick(DAY)
        asked = clock.now
        clock.tick()
        shop.record([Sold("MUG", 4, at="berlin", occurred_at=yesterday, key="late")])
        assert shop.as_of("MUG", yesterday).on_hand == 46
        assert shop.as_of("MUG", yesterday, known_at=asked).on_hand == 50
        assert shop.as_of("MUG", position=1).on_hand == 50
        assert shop.as_of("MUG", version=2, at="berlin").on_hand == 46


class TestRepetition:
    """Keys."""

    def test_same_key_same_request_is_the_stored_outcome(self, shop: Inventory) -> None:
        """Nothing is written twice, and the first decision's time comes back."""
        again = shop.receive("MUG", 50, at="berlin", key="in")
        assert again.replayed
        assert figures(shop) == {"sellable": 50}

    def test_same_key_other_request_conflicts_and_writes_nothing(self, shop: Inventory) -> None:
        """The key names one attempt."""
        with pytest.raises(IdempotencyConflict, match="another request"):
            shop.receive("MUG", 51, at="berlin", key="in")
        assert figures(shop) == {"sellable": 50}

    def test_a_refusal_is_remembered_for_seven_days(
        self, shop: Inventory, clock: ManualClock
    ) -> None:
        """The same key stays refused although stock came; later it is decided anew."""

        def move() -> None:
            shop.relocate("MUG", 60, source="berlin", target="hamburg", key="move")

        with pytest.raises(InsufficientStock):
            move()
        shop.receive("MUG", 50, at="berlin")
        with pytest.raises(InsufficientStock):
            move()
        clock.tick(7 * DAY + timedelta(seconds=1))
        move()
        assert figures(shop, "hamburg") == {"sellable": 60}

    def test_preview_writes_nothing_and_shows_before_and_after(self, shop: Inventory) -> None:
        """Rows of each key, and no trace."""
        outcome = shop.damage("MUG", 2, at="berlin", preview=True)
        assert outcome.changes is not None
        [(before, after)] = outcome.changes.values()
        assert (before.sellable, after.sellable) == (50, 48)
        assert figures(shop) == {"sellable": 50}
        assert len(shop.feed()) == 1

    def test_together_is_all_or_nothing(self, shop: Inventory) -> None:
        """One unknown location stops its neighbours; alone they would have gone through."""
        facts: list[Operation] = [
            Sold("MUG", 1, at="berlin", key="a"),
            Sold("MUG", 1, at="Berlin", key="b"),
        ]
        with pytest.raises(UnknownLocation, match="'berlin'"):
            shop.record(facts)
        assert figures(shop) == {"sellable": 50}
        first, second = shop.submit(facts)
        assert first.granted
        assert isinstance(second.error, UnknownLocation)


class TestRules:
    """Floors and policies."""

    @pytest.mark.parametrize(
        ("policy", "granted"),
        [(Policy(), 50), (Policy(safety_stock=10), 40), (Policy(backorder_limit=5), 55)],
        ids=["plain", "safety stock", "backorder"],
    )
    def test_the_floor_is_where_the_policy_says(
        self, shop: Inventory, policy: Policy, granted: int
    ) -> None:
        """One more than that is refused, and the refusal names the rule."""
        shop.policies.set(policy, sku="MUG")
        with pytest.raises(InsufficientStock, match="rule"):
            shop.reserve({"MUG": granted + 1}, reference="c-1", at="berlin")
        assert shop.reserve({"MUG": granted}, reference="c-2", at="berlin").status == "held"

    def test_a_catalog_makes_creation_strict(self) -> None:
        """Only its SKUs can be received, or made."""
        shop = Inventory(catalog={"MUG"})
        shop.locations.add("berlin")
        shop.receive("MUG", 1, at="berlin")
        with pytest.raises(UnknownSku):
            shop.receive("CUP", 1, at="berlin")
        with pytest.raises(UnknownSku):
            shop.assemble("GIFT", 1, components={"MUG": 1}, at="berlin")

    def test_a_catalog_refuses_nothing_but_new_names(self) -> None:
        """What happened to a SKU it does not list is recorded; acts name what is there anyway."""
        shop = Inventory(catalog={"MUG"})
        shop.locations.add("berlin")
        shop.receive("MUG", 1, at="berlin")
        [sold] = shop.record([Sold("OLD", 1, at="berlin", key="till-1")])
        assert sold.granted
        assert shop.reserve({"MUG": 1}, reference="cart-1").status == "held"

    def test_a_sku_that_is_not_there_names_the_two_nearest(self, shop: Inventory) -> None:
        """Of the catalog where there is one, else of what has moved; never a long list."""
        known = ["MUG-1", "MUG-2", "MUG-3"]
        strict = Inventory(catalog=known)
        strict.locations.add("berlin")
        for sku in known:
            shop.receive(sku, 1, at="berlin")
        for call in (
            lambda: strict.receive("MUG-9", 1, at="berlin"),
            lambda: shop.reserve({"MUG-9": 1}, reference="c-1", at="berlin"),
        ):
            with pytest.raises(UnknownSku) as caught:
                call()
            assert len(caught.value.nearest) == 2
            assert set(caught.value.nearest) < set(known)


class TestCorrections:
    """Nothing is edited."""

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ({"quantity": 5}, {("MUG", "berlin"): 5}),
            ({"sku": "CUP"}, {("MUG", "berlin"): 0, ("CUP", "berlin"): 50}),
            ({"at": "hamburg"}, {("MUG", "berlin"): 0, ("MUG", "hamburg"): 50}),
            ({"quantity": 0}, {("MUG", "berlin"): 0}),
        ],
        ids=["quantity", "sku", "location", "taken back"],
    )
    def test_a_slip_is_replaced_and_dated_as_the_original(
        self,
        shop: Inventory,
        clock: ManualClock,
        change: dict[str, str | int],
        expected: dict[tuple[str, str], int],
    ) -> None:
        """As of the original moment the corrected values show; the history has both."""
        slip = shop.feed()[0].id
        clock.tick(DAY)
        outcome = shop.correct(slip, reason="slip", **change)  # type: ignore[arg-type]  # the table mixes words and numbers
        movement = shop.movement(outcome.movement_id)
        assert (movement.kind, movement.reverses) == (Kind.CORRECT, slip)
        for (sku, at), quantity in expected.items():
            assert shop.as_of(sku, START, at=at).sellable == quantity
        with pytest.raises(AlreadyReversed):
            shop.correct(slip, quantity=1, reason="again")

    def test_reservations_are_released_not_undone(self, shop: Inventory) -> None:
        """The refusal says what to do instead."""
        cart = shop.reserve({"MUG": 1}, reference="c-1")
        with pytest.raises(NotCorrectable, match="release"):
            shop.undo(cart.movements[-1], reason="no")


BAD: list[tuple[str, Callable[[Inventory], object], type[TrueCountError]]] = [
    ("zero", lambda s: s.receive("MUG", 0, at="berlin"), InvalidQuantity),
    ("negative", lambda s: s.receive("MUG", -1, at="berlin"), InvalidQuantity),
    ("huge", lambda s: s.receive("MUG", 2**63, at="berlin"), InvalidQuantity),
    ("overflow", lambda s: s.receive("MUG", 2**63 - 1, at="berlin"), InvalidQuantity),
    ("float", lambda s: s.receive("MUG", 1.0, at="berlin"), InvalidQuantity),  # type: ignore[arg-type]  # bad on purpose
    ("bool", lambda s: s.receive("MUG", True, at="berlin"), InvalidQuantity),  # noqa: FBT003 -- bad on purpose
    ("text", lambda s: s.receive("MUG", "3", at="berlin"), InvalidQuantity),  # type: ignore[arg-type]  # bad on purpose
    ("empty", lambda s: s.receive("", 1, at="berlin"), InvalidText),
    ("padded", lambda s: s.receive(" MUG", 1, at="berlin"), InvalidText),
    ("not NFC", lambda s: s.receive("TASSE\u0301", 1, at="berlin"), InvalidText),
    ("control", lambda s: s.receive("MU\x00G", 1, at="berlin"), InvalidText),
    ("long", lambda s: s.receive("M" * 10_000, 1, at="berlin"), InvalidText),
    ("unknown location", lambda s: s.receive("MUG", 1, at="berlim"), UnknownLocation),
    ("unknown SKU", lambda s: s.reserve({"MUGG": 1}, reference="c"), UnknownSku),
    (
        "naive time",
        lambda s: s.receive("MUG", 1, at="berlin", occurred_at=datetime(2026, 1, 1)),  # noqa: DTZ001 -- bad on purpose
        InvalidTime,
    ),
    ("unknown order", lambda s: s.take_back("o", {"MUG": 1}, key="k"), UnknownReference),
    ("unknown reservation", lambda s: s.confirm("nobody"), UnknownReference),
    ("unknown movement", lambda s: s.undo("nothing", reason="x"), UnknownMovement),
    ("no key", lambda s: s.record([Sold("MUG", 1, at="berlin")]), KeyRequired),
    ("read of no text", lambda s: s.available(("MUG",)), InvalidText),  # type: ignore[arg-type]  # bad on purpose
    ("read of half a character", lambda s: s.figures("\ud800"), InvalidText),
    ("read of a padded SKU", lambda s: s.history("MUG "), InvalidText),
    ("read at a misspelt location", lambda s: s.available("MUG", at="berln"), UnknownLocation),
    ("stock of a misspelt location", lambda s: s.stock(at="berln"), UnknownLocation),
    (
        "past of a misspelt location",
        lambda s: s.as_of("MUG", at="berln", version=1),
        UnknownLocation,
    ),
    ("history of a misspelt location", lambda s: s.history(at="berln"), UnknownLocation),
    ("read of half a reference", lambda s: s.reservation("\ud800"), InvalidText),
    ("read of half a movement", lambda s: s.movement("\ud800"), InvalidText),
    ("no list of facts", lambda s: s.record(Sold("MUG", 1, at="berlin")), InvalidArgument),  # type: ignore[arg-type]  # bad on purpose
    ("no list of operations", lambda s: s.submit(Sold("MUG", 1, at="berlin")), InvalidArgument),  # type: ignore[arg-type]  # bad on purpose
    ("no policy", lambda s: s.policies.set("x"), InvalidArgument),  # type: ignore[arg-type]  # bad on purpose
    ("wrong state", lambda s: s.damage("MUG", 1, at="berlin", state=State.HELD), InvalidArgument),
    (
        "below",
        lambda s: s.adjust("MUG", -51, at="berlin", reason="x", refuse_below=0),
        InsufficientStock,
    ),
]


@pytest.mark.parametrize(("name", "call", "error"), BAD, ids=[name for name, _, _ in BAD])
def test_bad_input_is_named_and_writes_nothing(
    shop: Inventory, name: str, call: Callable[[Inventory], object], error: type[TrueCountError]
) -> None:
    """A typed error that says what was seen and what is allowed; no figure moves."""
    before = shop.stock(), len(shop.feed())
    with pytest.raises(error) as caught:
        call(shop)
    assert str(caught.value).startswith("cannot "), name
    assert (shop.stock(), len(shop.feed())) == before


@pytest.mark.parametrize("time", [datetime(2026, 1, 1), 1_767_225_600])  # noqa: DTZ001 -- bad
def test_a_clock_that_tells_no_moment_is_refused(time: Any) -> None:
    """A naive time could be anywhere's; nothing is written under it."""
    shop = Inventory(clock=lambda: time)
    with pytest.raises(InvalidTime, match="cannot use .* as a time: .*time zone"):
        shop.locations.add("berlin")


def test_an_error_names_acts_and_rules_in_words(shop: Inventory) -> None:
    """Not by the names of our classes, nor by "policy quantity"."""
    shop.reserve({"MUG": 1}, reference="cart")
    with pytest.raises(KeyRequired, match="^cannot short pick without key"):
        shop.short_pick("cart", {"MUG": 1})
    with pytest.raises(InvalidQuantity, match="^cannot use safety_stock -1"):
        Policy(safety_stock=-1)
    with pytest.raises(InvalidTime, match="as hold_ttl: "):
        Policy(hold_ttl=timedelta(0))


@pytest.mark.parametrize(
    "text", ["Robert'); DROP TABLE stock;--", "../../etc/passwd", '"quoted"', "=1+1", "🫖"]
)
def test_hostile_text_is_only_text(shop: Inventory, text: str) -> None:
    """It is stored and given back as it came."""
    shop.receive(text, 1, at="berlin", reference=text, reason=text, actor=text, origin=text)
    [entry] = shop.history(text)
    assert (entry.key.sku, entry.movement.reference, entry.movement.reason) == (text,) * 3
