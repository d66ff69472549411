"""What the naive model predicts of lots, bundles, corrections and counts: each can be seen wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import pytest

from tests.machines import said_of
from truecount import MemoryStorage
from truecount.bundles import availability, pinned
from truecount.ledger import (
    anchors,
    bundle_sales,
    correction_rules,
    refolding,
    supply,
    transfer_rules,
)
from truecount.model.recipes import Bill, Recipe, bill_of
from truecount.reservations import bundle_granting, fulfilment, granting
from truecount.testing import inventory_machine
from truecount.write.intents import Granted


class Slip(NamedTuple):
    """A function that is wrong, in subjects of the machine, and what is said of it."""

    module: Any
    name: str
    instead: Callable[[Any], Any]
    subjects: tuple[str, ...]
    said: str


def recipe_in_force(right: Any) -> Any:
    """Take orders apart by the recipes of now."""

    def take(move: Any, operation: Any, book: Any, *rest: Any) -> Any:
        def bill(sku: str, recipes: Mapping[str, Recipe]) -> Bill:
            return book.settings.bill(sku) or bill_of(sku, recipes)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pinned, "bill_of", bill)
            return right(move, operation, book, *rest)

    return take


def one_component_less(right: Any) -> Any:
    """Forget one thing a bundle takes."""

    def net(bill: Bill, quantity: int, shelf: Mapping[str, int]) -> Any:
        netting = right(bill, quantity, shelf)
        return netting._replace(taken=dict([*netting.taken.items()][1:]))

    return net


def twice(right: Any) -> Any:
    """Post the right version of a correction once more."""

    def net(operation: Any, back: Any, decision: Granted) -> Any:
        posted = right(operation, back, decision)
        again = decision.drafts[-1].legs if decision.drafts else ()
        return posted._replace(legs=posted.legs + again)

    return net


def least_component(_right: Any) -> Any:
    """Count bundles by the component there is least of, packed ones not at all."""
    return lambda bill, shelf: min(max(0, shelf.get(sku, 0)) // each for sku, each in bill.leaves)


SLIPS: Final[Mapping[str, Slip]] = {
    "last_lot_goes_first": Slip(
        supply,
        "_urgency",
        lambda right: lambda row, key: tuple(-n for n in right(row, key)[:2]),
        ("goods", "others"),
        "changed",
    ),
    "lots_past_their_date_are_granted": Slip(
        supply, "is_expired", lambda _: lambda *_: False, ("goods",), "changed"
    ),
    "lots_pay_for_each_other": Slip(
        availability, "never_netted", lambda _: sum, ("goods", "orders"), "can be had"
    ),
    "a_transfer_forgets_its_lots": Slip(
        transfer_rules, "_on_their_way", lambda _: lambda *_: (), ("goods",), "changed"
    ),
    "bundles_by_the_least_component": Slip(
        availability, "capacity", least_component, ("goods",), "can be had"
    ),
    "a_bundle_comes_from_several_places": Slip(
        bundle_granting,
        "_one_place_each",
        lambda _: bundle_granting._from_anywhere,
        ("others",),
        "Reserve",
    ),
    "a_sold_bundle_lacks_a_component": Slip(
        bundle_sales, "net", one_component_less, ("others",), "Sold"
    ),
    "orders_go_by_the_recipe_of_now": Slip(
        fulfilment, "_take", recipe_in_force, ("others",), "bundles moved by"
    ),
    "the_last_unit_is_refused": Slip(
        granting,
        "spare",
        lambda right: lambda *said, **words: right(*said, **words) - 1,
        ("others",),
        "Reserve",
    ),
    "a_correction_is_applied_twice": Slip(
        correction_rules, "_net", twice, ("mistakes", "goods"), "changed"
    ),
    "an_undone_count_keeps_its_refolds": Slip(
        refolding._Refolding,
        "_free",
        lambda _: lambda *_: [],
        ("counting", "mistakes"),
        "A1",
    ),
    "a_count_vouches_for_what_can_be_sold": Slip(
        anchors.Anchor,
        "covered",
        lambda _: lambda _anchor, change: change[0],
        ("counting", "goods"),
        "A1",
    ),
    "counts_are_no_anchors": Slip(
        refolding, "_is_late", lambda _: lambda *_: False, ("counting", "goods"), "A1"
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SLIPS)
def test_slip_is_predicted_otherwise(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lots, bundles, corrections and counts that are wrong in one way are found, and named."""
    slip = SLIPS[name]
    right = getattr(slip.module, slip.name)
    monkeypatch.setattr(slip.module, slip.name, slip.instead(right))
    assert slip.said in said_of(inventory_machine(MemoryStorage, subjects=slip.subjects))
