"""
The checks of the kit as a class of pytest tests.

Import it from here: plain ``truecount.testing`` loads no test runner. All it adds to the
checks are names in a report, and skips that say why.
"""

from __future__ import annotations

from typing import ClassVar

import pytest

from truecount.testing import (
    CAPABILITY_CHECKS,
    STORAGE_CHECKS,
    Capabilities,
    MakeStorage,
    StorageCheck,
)
from truecount.testing.reaching import NEEDS, CapabilityCheck


def _name(check: StorageCheck | CapabilityCheck) -> str:
    return check.__name__.removeprefix("check_")


class StorageSuite:
    """
    Every check of the kit, one test each.

    Name your class ``Test...`` and give it a fixture ``make_storage`` that returns a factory
    of new, empty storages::

        class TestMyStorage(StorageSuite):
            capabilities = Capabilities(reopen=lambda storage: MyStorage(storage.path))

            @pytest.fixture
            def make_storage(self, tmp_path):
                numbers = itertools.count()
                return lambda: MyStorage(tmp_path / f"{next(numbers)}.db")

    What ``capabilities`` do not declare is skipped, and the report says so (``-rs``).
    """

    capabilities: ClassVar[Capabilities] = Capabilities()

    @pytest.mark.parametrize("check", STORAGE_CHECKS, ids=_name)
    def test_contract(self, check: StorageCheck, make_storage: MakeStorage) -> None:
        """The storage keeps the contract of ``truecount.protocols.storage``."""
        check(make_storage)

    @pytest.mark.parametrize("check", CAPABILITY_CHECKS, ids=_name)
    def test_capability(self, check: CapabilityCheck, make_storage: MakeStorage) -> None:
        """The storage can do what it declares."""
        reason = self.capabilities.missing(NEEDS[check])
        if reason:
            pytest.skip(reason)
        check(make_storage, self.capabilities)
