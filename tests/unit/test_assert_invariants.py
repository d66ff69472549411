"""What `assert_invariants` says, and that each part of it can fail."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.contracts.broken import Broken
from truecount import Inventory
from truecount.testing import assert_invariants
from truecount.testing.invariants import all_movements


def shop(**instead: Callable[..., Any]) -> Inventory:
    """Return a small shop over a storage that is wrong as said."""
    inventory = Inventory(Broken(**instead))
    inventory.locations.add("berlin")
    inventory.receive("MUG", 5, at="berlin")
    inventory.reserve({"MUG": 2}, reference="cart-1")
    return inventory


def test_sound_shop_passes_and_says_where_it_stands() -> None:
    """The answer is a verification, to be passed to the next call."""
    inventory = shop()
    seal = assert_invariants(inventory)
    inventory.receive("MUG", 1, at="berlin")
    assert assert_invariants(inventory, expected=(seal.position, seal.digest)).movements == 3


def test_change_of_the_past_is_seen() -> None:
    """I5, against a digest kept from before."""
    inventory = shop()
    with pytest.raises(AssertionError, match="I5"):
        assert_invariants(inventory, expected=(2, "0" * 32))


BROKEN: dict[str, tuple[str, Callable[..., Any]]] = {
    "verify": ("entries", lambda reader, key, after=0: iter(list(reader.entries(key, after))[:-1])),
    "promised": ("lines", lambda reader, reference: reader.lines(reference) * 2),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_storage_is_seen(name: str) -> None:
    """Whatever does not agree is named with both values."""
    method, instead = BROKEN[name]
    with pytest.raises(AssertionError, match=r"expected .*, got "):
        assert_invariants(shop(**{method: instead}))


def test_it_needs_neither_pytest_nor_hypothesis() -> None:
    """Nor an assert statement: it holds in a script under `python -O`."""
    program = (
        "import sys, truecount.testing as kit\n"
        "from truecount import Inventory\n"
        "print(kit.assert_invariants(Inventory()).ok)\n"
        "print('inventory_machine' in dir(kit), hasattr(kit, 'nothing'))\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'pytest', 'hypothesis'}))"
    )
    shown = subprocess.run(
        [sys.executable, "-O", "-c", program], check=True, capture_output=True, text=True
    )
    assert shown.stdout.split("\n") == ["True", "True False", "[]", ""]


def test_all_movements_are_read_page_by_page() -> None:
    """A long history is whole."""
    inventory = Inventory()
    inventory.locations.add("berlin")
    for _ in range(1003):
        inventory.receive("MUG", 1, at="berlin")
    assert len(list(all_movements(inventory))) == 1003
