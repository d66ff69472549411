"""A real storage that a test can let fail around its commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.hooked import HookedStorage
from truecount.errors import TrueCountError
from truecount.protocols.storage import Unit
from truecount.storage.postgres import PostgresStorage


class Failing(HookedStorage):
    """A storage in front of a real one that is as patient, and can fail around its commit."""

    def __init__(self, storage: PostgresStorage) -> None:
        super().__init__(storage)
        self.postgres = storage

    @contextmanager
    def begin(self, tenant: str, host: object | None = None) -> Iterator[Unit]:
        """Open a write transaction; hooks of ``commit`` and ``reply`` come around its end."""
        with super().begin(tenant, host) as unit:
            yield unit
            self.reached("commit")
        self.reached("reply")

    def patience(self) -> Callable[[TrueCountError], bool]:
        """Return the patience of the storage behind."""
        return self.postgres.patience()
