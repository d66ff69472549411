"""What an answer says of the movement that was written for it."""

from __future__ import annotations

import pytest

from truecount import Inventory, MemoryStorage, Relocate
from truecount.errors import InsufficientStock, NoMovement
from truecount.model.shop_rules import DefineBundle


def shop() -> Inventory:
    """Return a shop with five mugs."""
    inventory = Inventory(MemoryStorage())
    inventory.locations.add("berlin", "kiel")
    inventory.receive("MUG", 5, at="berlin")
    return inventory


class TestMovementId:
    def test_it_is_the_movement_to_be_undone(self) -> None:
        """What was written is named, and can be taken back by that name."""
        inventory = shop()
        receipt = inventory.receive("MUG", 2, at="berlin")
        inventory.undo(receipt.movement_id, reason="typed twice")
        assert inventory.figures("MUG").on_hand == 5

    def test_refused_request_names_its_refusal(self) -> None:
        """Whoever asks what a refused request wrote hears why it was refused."""
        inventory = shop()
        [refused] = inventory.submit([Relocate("MUG", 9, source="berlin", target="kiel")])
        with pytest.raises(InsufficientStock, match="MUG") as caught:
            _ = refused.movement_id
        assert caught.value is refused.error

    def test_request_that_wrote_no_movement_says_so(self) -> None:
        """A recipe is defined without a unit moving: nothing to undo."""
        [defined] = shop().submit([DefineBundle("GIFT", {"MUG": 2}, key="recipe-1")])
        with pytest.raises(NoMovement, match="request 'recipe-1': it wrote none"):
            _ = defined.movement_id
