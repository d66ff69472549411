"""What a ledger knows about mismatches, read from its storage."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import attrs
import pytest

from tests.shops import DAY, MINUTE, START, Shop
from truecount import Adjusted, Inventory, MemoryStorage, SQLiteStorage
from truecount.errors import InvalidArgument
from truecount.explaining.evidence import Compared, alike, entries_within, evidence_of
from truecount.explaining.explain import explain
from truecount.explaining.facts import Discrepancy, Evidence
from truecount.explaining.priors import CauseKind, Certainty
from truecount.model.stock import StockKey
from truecount.protocols.storage import Storage
from truecount.testing import CountingIds, ManualClock


MUG = StockKey("MUG", "berlin")
HOUR = 60 * MINUTE


@pytest.fixture(params=["memory", "sqlite"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    """Each shipped storage in turn."""
    found = MemoryStorage() if request.param == "memory" else SQLiteStorage(tmp_path / "shop.db")
    yield found
    found.close()


@pytest.fixture
def clock() -> ManualClock:
    """A clock moved by hand."""
    return ManualClock(START)


@pytest.fixture
def inventory(storage: Storage, clock: ManualClock) -> Inventory:
    """A shop with two locations."""
    shop = Inventory(storage, clock=clock, new_id=CountingIds("main"))
    shop.locations.add("berlin", "hamburg")
    return shop


def known(
    inventory: Inventory,
    *found: Discrepancy,
    compared: Compared = "on_hand",
    slack: timedelta = timedelta(minutes=15),
) -> Evidence:
    """Return what the ledger knows about differences."""
    with inventory.storage.read("main") as reader:
        return evidence_of(reader, found, now=START + 3 * DAY, compared=compared, slack=slack)


def differs(delta: int, at: str = "berlin", sku: str = "MUG") -> Discrepancy:
    """Return a figure that differs."""
    return Discrepancy(sku=sku, location=at, delta=delta)


class TestCandidates:
    def test_typed_receipt_is_explained_from_the_ledger_alone(self, inventory: Inventory) -> None:
        """A receipt typed as 132 that was 123 is found, with its movement."""
        receipt = inventory.receive("MUG", 132, at="berlin", reference="PO-1")
        inventory.receive("MUG", 40, at="berlin", origin="erp", key="erp-1")
        found = differs(-9)
        [answer] = explain([found], known(inventory, found))
        assert answer.causes[0].kind is CauseKind.TRANSPOSED
        assert answer.evidence == receipt.movements
        assert answer.verdict is Certainty.LIKELY

    def test_only_the_compared_figure_counts(self, inventory: Inventory) -> None:
        """A cart takes from what is available, and nothing from what is on hand."""
        inventory.receive("MUG", 10, at="berlin")
        inventory.reserve({"MUG": 3}, reference="cart-1")
        found = differs(3)
        shelf = known(inventory, found)
        assert [each.kind.value for each in shelf.candidates] == ["receive"]
        shown = known(inventory, found, compared="available")
        assert [dict(each.effects)[MUG] for each in shown.candidates] == [10, -3]
        with pytest.raises(InvalidArgument, match="cannot use compared 'sold'"):
            known(inventory, found, compared="sold")  # type: ignore[arg-type]  # bad on purpose

    def test_movement_taken_back_is_no_candidate(self, inventory: Inventory) -> None:
        """It and what took it back are settled between them."""
        wrong = inventory.receive("MUG", 7, at="berlin")
        inventory.undo(wrong.movements[0], reason="twice")
        kept = inventory.receive("MUG", 5, at="berlin")
        found = known(inventory, differs(1))
        assert [each.id for each in found.candidates] == list(kept.movements)

    def test_opposite_movements_are_two_candidates(self, inventory: Inventory) -> None:
        """What was found after as much was lost settles nothing: each may be wrong by itself."""
        inventory.receive("MUG", 9, at="berlin")
        for change in (-3, 3):
            inventory.adjust("MUG", change, at="berlin", reason="recounted")
        found = known(inventory, differs(1))
        assert [each.effects for each in found.candidates] == [
            ((MUG, 9),),
            ((MUG, -3),),
            ((MUG, 3),),
        ]

    def test_relocation_is_one_candidate_with_both_ends(self, inventory: Inventory) -> None:
        """The effects at every figure that differs belong to one movement."""
        inventory.receive("MUG", 9, at="berlin")
        inventory.relocate("MUG", 4, source="berlin", target="hamburg")
        found = known(inventory, differs(1), differs(-1, "hamburg"))
        moved = found.candidates[-1]
        assert dict(moved.effects) == {MUG: -4, MUG._replace(location="hamburg"): 4}
        assert found.locations == {"berlin", "hamburg"}

    def test_only_entries_of_the_bracket_are_read(
        self, inventory: Inventory, clock: ManualClock
    ) -> None:
        """Days before the last agreement are left out, late reports about them are not."""
        for _ in range(5):
            inventory.receive("MUG", 1, at="berlin")
            clock.tick(DAY)
        inventory.record(
            [Adjusted("MUG", 2, at="berlin", reason="late", occurred_at=START, key="k")]
        )
        with inventory.storage.read("main") as reader:
            within = list(entries_within(reader, MUG, START + 2 * DAY, START + 3 * DAY))
            later = list(entries_within(reader, MUG, START + 4 * DAY, None))
            everything = list(entries_within(reader, MUG, None, None))
        assert [entry.version for entry in within] == [3, 4]
        assert [entry.version for entry in later] == [5, 6]
        assert len(everything) == 6

    def test_bracket_of_a_discrepancy_limits_candidates(
        self, inventory: Inventory, clock: ManualClock
    ) -> None:
        """Bracketing is what kills coincidences."""
        inventory.receive("MUG", 7, at="berlin")
        clock.tick(2 * DAY)
        late = inventory.receive("MUG", 7, at="berlin")
        found = Discrepancy(
            sku="MUG",
            location="berlin",
            delta=-7,
            after=START + DAY,
            observed_at=START + 3 * DAY,
        )
        assert [each.id for each in known(inventory, found).candidates] == list(late.movements)


class TestDocuments:
    def test_promises_and_transfers_are_found(self) -> None:
        """A cart that holds units, and a parcel between two locations."""
        shop = Shop({"berlin": {"MUG": 10}, "hamburg": {}})
        shop.inventory.reserve({"MUG": 3}, reference="cart-1")
        shop.inventory.transfer_out("T-1", {"MUG": 4}, source="berlin", target="hamburg")
        found = known(shop.inventory, differs(-3), differs(4, "hamburg"))
        assert [(hold.reference, hold.quantity) for hold in found.holds] == [("cart-1", 3)]
        assert [(each.reference, each.on_the_way) for each in found.transfers] == [("T-1", 4)]
        away = explain([differs(4, "hamburg")], found)[0]
        assert away.causes[0].kind is CauseKind.HALF_BOOKED

    def test_figures_are_those_of_the_book(self, inventory: Inventory) -> None:
        """Of every key of the SKU, as formulas of channels need them."""
        inventory.receive("MUG", 9, at="berlin")
        inventory.receive("MUG", 4, at="hamburg")
        found = known(inventory, differs(1))
        assert {key.location: has.on_hand for key, has in found.figures.items()} == {
            "berlin": 9,
            "hamburg": 4,
        }

    def test_figures_are_as_of_the_observation(
        self, inventory: Inventory, clock: ManualClock
    ) -> None:
        """What moved since is not in them, and a late report of before is."""
        inventory.receive("MUG", 9, at="berlin")
        seen = clock.tick(DAY)
        clock.tick(DAY)
        inventory.receive("MUG", 4, at="berlin")
        late = Adjusted("MUG", 2, at="berlin", reason="late", occurred_at=START + HOUR, key="k")
        inventory.record([late])
        found = known(inventory, attrs.evolve(differs(1), observed_at=seen))
        assert found.figures[MUG].on_hand == 11

    def test_hold_that_had_run_out_by_then_was_available(
        self, inventory: Inventory, clock: ManualClock
    ) -> None:
        """One that ran out later was not."""
        inventory.receive("MUG", 9, at="berlin")
        for number, ttl in enumerate((HOUR, 30 * HOUR), 1):
            inventory.reserve({"MUG": number}, reference=f"cart-{number}", ttl=ttl)
        seen = clock.tick(DAY)
        clock.tick(DAY)
        found = known(inventory, attrs.evolve(differs(1), observed_at=seen))
        assert (found.figures[MUG].available, found.figures[MUG].held) == (7, 3)

    def test_what_was_recorded_after_the_comparison_is_not_known(
        self, inventory: Inventory, clock: ManualClock
    ) -> None:
        """Neither as a candidate nor in the figures, whenever it occurred."""
        inventory.receive("MUG", 9, at="berlin")
        compared = clock.tick(DAY)
        clock.tick(DAY)
        late = Adjusted("MUG", 2, at="berlin", reason="late", occurred_at=START + HOUR, key="k")
        inventory.record([late])
        found = attrs.evolve(differs(1), observed_at=compared)
        with inventory.storage.read("main") as reader:
            then = evidence_of(reader, [found], now=clock(), known_at=compared)
            now = evidence_of(reader, [found], now=clock())
        assert (len(then.candidates), then.figures[MUG].on_hand) == (1, 9)
        assert (len(now.candidates), now.figures[MUG].on_hand) == (2, 11)
        assert (then.usual, now.usual) == ((), ())

    def test_sizes_of_other_movements_are_told(self, inventory: Inventory) -> None:
        """Those of other SKUs, as they move the figure compared; not the candidates again."""
        inventory.receive("MUG", 9, at="berlin")
        inventory.receive("TEA", 40, at="berlin")
        inventory.reserve({"TEA": 3}, reference="cart-1")
        inventory.relocate("TEA", 5, source="berlin", target="hamburg")
        assert known(inventory, differs(1)).usual == (40, -5, 5)
        assert known(inventory, differs(1), compared="available").usual == (40, -3, -5, 5)

    def test_lots_are_added_up_for_what_names_none(self, inventory: Inventory) -> None:
        """A shelf, a promise and a transfer of any lot are part of the whole."""
        inventory.receive("TEA", 9, at="berlin", lot="L1")
        inventory.receive("TEA", 4, at="berlin", lot="L2")
        inventory.reserve({"TEA": 2}, reference="cart-1")
        inventory.transfer_out("T-1", {"TEA": 3}, source="berlin", target="hamburg")
        tea, away = differs(-2, sku="TEA"), differs(3, "hamburg", sku="TEA")
        found = known(inventory, tea, away)
        assert sorted(size for each in found.candidates for _, size in each.effects) == [-3, 4, 9]
        named = {
            (cause.kind, cause.site)
            for each in explain([tea, away], found)
            for hypothesis in each.hypotheses
            for cause in hypothesis.causes
        }
        assert {(CauseKind.HOLD, "cart-1"), (CauseKind.HALF_BOOKED, "T-1")} <= named


class TestAlike:
    @pytest.mark.parametrize(
        ("one", "other", "expected"),
        [
            ("MUG-1", "MUG-2", True),
            ("MUG-12", "MUG-21", True),
            ("MUG-1", "MUG-11", True),
            ("MUG", "MG", True),
            ("MUG-12", "MUG-34", False),
            ("MUG", "TEA", False),
        ],
    )
    def test_one_slip_of_a_finger(self, one: str, other: str, expected: bool) -> None:  # noqa: FBT001 -- a table
        """One character more, less or other, or two neighbours swapped; both ways."""
        found = alike([one, other])
        assert (other in found.get(one, ())) is expected
        assert (one in found.get(other, ())) is expected
