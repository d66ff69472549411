"""
A state machine that plays a whole shop against the naive model, on any storage.

>>> from hypothesis import settings
>>> from hypothesis.stateful import run_state_machine_as_test
>>> from truecount import MemoryStorage
>>> machine = inventory_machine(MemoryStorage)
>>> quick = settings(max_examples=2, stateful_step_count=5, deadline=None, database=None)
>>> run_state_machine_as_test(machine, settings=quick)

It needs the extra ``testing``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from hypothesis.stateful import RuleBasedStateMachine

from truecount.errors import InvalidArgument
from truecount.testing.claims import MakeStorage
from truecount.testing.machine.agreement import Agreement
from truecount.testing.machine.base import Join, Reopen, ShopMachine
from truecount.testing.machine.findings import Findings
from truecount.testing.machine.goods import Goods, Trade
from truecount.testing.machine.keys import Crashes, Hosts, Keys
from truecount.testing.machine.mending import Counting, Mistakes
from truecount.testing.machine.orders import Orders
from truecount.testing.machine.others import Others
from truecount.testing.machine.rules import ShopRules
from truecount.testing.machine.sheets import Sheets


#: What a machine may be about; deliveries, sales and time that passes are always part of it.
SUBJECTS: Final[Mapping[str, type[ShopMachine]]] = {
    "goods": Goods,
    "orders": Orders,
    "others": Others,
    "mistakes": Mistakes,
    "counting": Counting,
    "sheets": Sheets,
    "findings": Findings,
    "rules": ShopRules,
    "keys": Keys,
}


def inventory_machine(
    make_storage: MakeStorage,
    *,
    subjects: Collection[str] = tuple(SUBJECTS),
    join: Join | None = None,
    reopen: Reopen | None = None,
) -> type[RuleBasedStateMachine]:
    """
    Return a state machine over new storages: a shop in which anything may happen.

    Its rules are every fact and command, batches, old keys again and with other requests,
    clocks set forward and back, sweeps, undoing and correcting, recipes redefined under open
    orders, counts during trade with late facts, count sheets, repairs and taking them back,
    findings dismissed, policies and sources changed. After every step the inventory is
    compared with :class:`NaiveInventory` and by ``assert_invariants``.

    With pytest, ``TestShop = inventory_machine(make_storage).TestCase`` is a test; set its
    ``settings``, or run it with ``run_state_machine_as_test``.

    Args:
        make_storage: Returns a new, empty storage at each call; the machine closes it.
        subjects: Names of :data:`SUBJECTS`; fewer of them go deeper in as many steps.
        join: Opens a host's transaction on a storage: leaving it commits, an exception rolls
            it back. Without it no host takes part.
        reopen: Opens the data of a storage anew, as after a crash; what the storage itself
            still has open is lost. Without it nothing crashes.

    Raises:
        InvalidArgument: There is no such subject.
    """
    strange = [name for name in subjects if name not in SUBJECTS]
    if strange:
        raise InvalidArgument("subjects", repr(strange[0]), f"some of {', '.join(SUBJECTS)}")
    parts: list[type[ShopMachine]] = [
        Agreement,
        Trade,
        *(kind for name, kind in SUBJECTS.items() if name in subjects),
    ]
    parts += [Hosts] if join is not None else []
    parts += [Crashes] if reopen is not None else []
    own = {
        "make_storage": staticmethod(make_storage),
        "join": None if join is None else staticmethod(join),
        "reopen": None if reopen is None else staticmethod(reopen),
    }
    return type("InventoryMachine", tuple(parts), own)


__all__ = ["SUBJECTS", "inventory_machine"]
