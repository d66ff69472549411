"""
The simplest inventory there could be: lists that are added up, and nothing else.

Real inventories are held against it, so it shares no rule with the library: no locks, no
batches, no versions, no stored figures. It reads in ten minutes: ``ledger`` is what was
told, ``reservations`` what carts and orders have of it, ``inventory`` what must follow from
each operation.
"""

from __future__ import annotations

from truecount.testing.model.inventory import NaiveInventory
from truecount.testing.model.ledger import NaiveLedger
from truecount.testing.model.reservations import NaiveReservations


__all__ = ["NaiveInventory", "NaiveLedger", "NaiveReservations"]
