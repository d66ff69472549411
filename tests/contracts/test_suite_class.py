"""The class of pytest tests that the kit offers, run as its users run it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


MINE = """
import itertools
import pytest
from truecount import MemoryStorage
from truecount.testing.suites import StorageSuite


class Forgetful(MemoryStorage):
    def begin(self, tenant, host=None):
        return super().begin(tenant.replace("two", "one"), host)


class TestRight(StorageSuite):
    @pytest.fixture
    def make_storage(self):
        return MemoryStorage


class TestWrong(StorageSuite):
    @pytest.fixture
    def make_storage(self):
        return Forgetful
"""


def test_each_check_is_a_test_with_a_name_and_skips_say_why(tmp_path: Path) -> None:
    """A right storage passes, a wrong one fails by the check's name, skips have reasons."""
    (tmp_path / "test_mine.py").write_text(MINE)
    chosen = "lock_creates or tenants_never_meet or capability and reopened"
    shown = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rfs", "-p", "no:cacheprovider", "-k", chosen],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    assert "1 failed, 3 passed, 2 skipped" in shown
    assert "TestWrong::test_contract[tenants_never_meet]" in shown
    assert "not declared: reopen (open the same data again)" in shown
