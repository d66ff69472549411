"""
The facade: every part of the library under one roof, over one engine.

``Inventory`` adds nothing of its own but the opening and closing of storages and the
joining of hosts; what it can do is what its parts can do.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from functools import partial
from os import PathLike
from types import TracebackType
from typing import Self

from truecount.bundles.availability import Availability
from truecount.bundles.defining import BUNDLE_RULES
from truecount.bundles.resolver import BundleResolver
from truecount.counting.counts import Counts
from truecount.counting.sheet_rules import sheet_rules
from truecount.errors import InvalidArgument
from truecount.hosts.finding import driver_connection
from truecount.ledger.stock_ledger import StockLedger, ledger_rules
from truecount.model.names import shown
from truecount.protocols.storage import Storage
from truecount.protocols.system import Clock, IdFactory, Observer
from truecount.reconciliation.published import PUBLISHED_RULES
from truecount.reconciliation.reconciler import Reconciler
from truecount.reconciliation.register import FINDING_RULES, BookFindings
from truecount.reconciliation.repairing import repair_rules
from truecount.reconciliation.repairs import Repairs
from truecount.reconciliation.sources import SOURCE_RULES, Sources
from truecount.reservations.manager import ReservationManager
from truecount.reservations.rules import reservation_rules
from truecount.reservations.sourcing import Sourcing
from truecount.storage.memory import MemoryStorage
from truecount.system import new_id, system_clock
from truecount.write.engine import Engine


class Inventory(StockLedger, ReservationManager, BookFindings, Reconciler, Repairs):
    """
    Stock counts that stay true: the whole library over one ledger of one tenant.

    Safe to share between threads: concurrent callers share transactions, each gets its own
    outcome. A joined inventory (``within``) belongs to the thread of its connection.

    >>> with Inventory() as inventory:
    ...     inventory.locations.add("berlin")
    ...     receipt = inventory.receive("MUG", 5, at="berlin")
    ...     inventory.available("MUG")
    5

    Args:
        storage: Where the ledger is kept; by default in memory.
        tenant: Whose ledger it is; tenants of one storage never meet.
        clock: Returns the current time, aware.
        new_id: Returns a new id at each call.
        observer: Called after each commit with what was decided.
        catalog: When given, only its SKUs can be opened, expected or received.
        sourcing: The shop's own sourcing policies, by the name ``Policy(sourcing=)`` uses.
    """

    def __init__(
        self,
        storage: Storage | None = None,
        *,
        tenant: str = "main",
        clock: Clock = system_clock,
        new_id: IdFactory = new_id,
        observer: Observer | None = None,
        catalog: Container[str] | None = None,
        sourcing: Mapping[str, Sourcing] | None = None,
    ) -> None:
        if isinstance(storage, str | PathLike):
            raise InvalidArgument(
                "storage", shown(storage), f"a storage, for example SQLiteStorage({str(storage)!r})"
            )
        ledger = ledger_rules()
        self._over(
            Engine(
                MemoryStorage() if storage is None else storage,
                {
                    **ledger,
                    **reservation_rules(sourcing),
                    **BUNDLE_RULES,
                    **FINDING_RULES,
                    **PUBLISHED_RULES,
                    **SOURCE_RULES,
                    **repair_rules(ledger),
                    **sheet_rules(ledger),
                },
                clock=clock,
                new_id=new_id,
                tenant=tenant,
                observer=observer,
                catalog=catalog,
            )
        )

    def _over(self, engine: Engine) -> Self:
        """Set every part up over *engine*."""
        StockLedger.__init__(self, engine)
        ReservationManager.__init__(self, engine)
        BookFindings.__init__(self, engine)
        Reconciler.__init__(self, engine)
        Repairs.__init__(self, engine)
        self.bundles = BundleResolver(engine)
        self.counts = Counts(engine)
        self.sources = Sources(engine)
        return self

    def availability(self, skus: Iterable[str]) -> dict[str, Availability]:
        """Return how many of each SKU can be sold; see ``bundles.availability``."""
        return self.bundles.availability(skus)

    @property
    def storage(self) -> Storage:
        """Where the ledger is kept."""
        return self._engine.storage

    def within(self, host: object) -> Inventory:
        """
        Return this inventory writing inside the open transaction of a host's connection.

        The host commits or rolls back; a refusal leaves its transaction usable and lasts
        only if it commits. ``Retryable`` means: roll back and repeat your transaction.

        Args:
            host: A ``psycopg.Connection`` or ``sqlite3.Connection``, a ``Session`` or
                ``Connection`` of SQLAlchemy, or a connection of Django. It is asked for its
                transaction at each call, not here.

        Raises:
            NotInTransaction: By the calls: the connection has no open transaction.
            InvalidArgument: By the calls: it cannot be joined.
        """
        other = Inventory.__new__(Inventory)
        engine = self._engine.joined(partial(driver_connection, host))
        return other._over(engine)  # noqa: SLF001 -- another of its own kind

    def close(self) -> None:
        """Close the storage."""
        self.storage.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
