"""
The simplest inventory there could be: lists that are added up, and nothing else.

Real inventories are held against it, so it shares no rule with the library: no locks, no
batches, no versions, no stored figures. ``ledger`` is what was told, ``counts`` the same in
the order in which it happened, ``shelves`` and ``reservations`` what carts and orders have of it,
``bundles`` what is made of what, ``expected`` and ``mistakes`` what must follow from each
operation, and ``inventory`` all of them together.
"""

from __future__ import annotations

from truecount.testing.model.bundles import NaiveBundles
from truecount.testing.model.counts import NaiveCounts
from truecount.testing.model.inventory import NaiveInventory
from truecount.testing.model.ledger import NaiveLedger
from truecount.testing.model.reservations import NaiveReservations


__all__ = ["NaiveBundles", "NaiveCounts", "NaiveInventory", "NaiveLedger", "NaiveReservations"]
