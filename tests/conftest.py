"""What all tests share: Hypothesis profiles, the `--run-slow` option, and the way to real data."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings


if TYPE_CHECKING:
    from tests.postgres.server import Factory

ROOT = Path(__file__).parent.parent
IN_CI = os.environ.get("CI", "").lower() not in {"", "0", "false"}

# The profile `ci` is built in: derandomized, without deadline, prints how to reproduce a failure.
settings.register_profile("dev", deadline=None)
settings.register_profile(
    "thorough", parent=settings.get_profile("ci"), max_examples=2_000, derandomize=False
)
# A mutant is run by hundreds: what few examples do not see, the other tests of its module must.
settings.register_profile("brief", parent=settings.get_profile("ci"), max_examples=10)
settings.load_profile("ci" if IN_CI else "dev")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--run-slow`."""
    parser.addoption("--run-slow", action="store_true", help="run the tests marked slow too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what is marked slow, unless it was asked for."""
    if config.getoption("--run-slow"):
        return
    skip = pytest.mark.skip(reason="slow: runs with --run-slow")
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def data_path() -> Callable[[str], Path]:
    """
    Find a file or folder of the real data, or skip the test.

    Where CI is set the data must be there: a test that silently stopped
    running there would prove nothing to anyone.
    """
    named = os.environ.get("TRUECOUNT_DATA")
    folder = ROOT / named if named else ROOT.parent / "shared" / "data"

    def find(name: str) -> Path:
        path = folder / name
        if path.exists():
            return path
        reason = f"cannot find the real data {name!r} (TRUECOUNT_DATA={named!r}); see tests/README"
        if IN_CI:
            pytest.fail(reason)
        pytest.skip(reason)

    return find


@pytest.fixture(scope="session")
def postgres_dsn() -> Iterator[str]:
    """
    Name a real PostgreSQL server, started for this run, or skip the test.

    ``TRUECOUNT_PG_DSN`` names another one. Where CI is set there must be one.
    """
    with ExitStack() as stack:
        try:
            from tests.postgres.server import running

            dsn = stack.enter_context(running())
        except Exception as error:  # noqa: BLE001 -- whatever it is, there is no server
            reason = f"cannot start PostgreSQL, see tests/README: {error!r}"
            if IN_CI:
                pytest.fail(reason)
            pytest.skip(reason)
        yield dsn


@pytest.fixture(scope="session")
def chromium() -> str:
    """
    Find a Chromium that can be run without a screen, or skip the test.

    Where CI is set there must be one: a page nobody has drawn is not known to be readable.
    """
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if found is None:
        reason = "cannot draw a page: there is no chromium here; see tests/README"
        if IN_CI:
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture
def make_postgres(postgres_dsn: str) -> Iterator[Factory]:
    """Make empty PostgreSQL storages, each in a schema of its own."""
    from tests.postgres.server import storages

    with storages(postgres_dsn) as factory:
        yield factory
