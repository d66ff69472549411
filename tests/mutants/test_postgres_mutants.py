"""Every mistake in the PostgreSQL storage is noticed, by the check that was named before."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants.postgres_killers import KILLERS
from tests.mutants.postgres_mutants import MUTANTS


ROOT = Path(__file__).parent.parent.parent

#: Run each time; the others with ``--run-slow``.
SAMPLE = ("hold lines at the pre-lock snapshot",)


def run(dsn: str, *names: str) -> subprocess.CompletedProcess[str]:
    """Run a mutant's killer, or all of them over the code as it is, on the server at *dsn*."""
    return subprocess.run(
        [sys.executable, "-m", "tests.mutants.postgres_mutants", *names],
        cwd=ROOT,
        env={**os.environ, "TRUECOUNT_PG_DSN": dsn},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in SAMPLE else pytest.mark.slow) for name in MUTANTS],
)
def test_mutant_is_killed_by_the_check_that_was_named(name: str, postgres_dsn: str) -> None:
    """The check passes on the code as it is, and notices this mistake."""
    done = run(postgres_dsn, name)
    assert done.returncode == 1, (done.stdout, done.stderr)
    assert done.stdout.startswith(f"killed by {MUTANTS[name].killer}: "), done.stderr


@pytest.mark.slow
def test_code_as_it_is_lives(postgres_dsn: str) -> None:
    """Every killer lets the unchanged code pass, loaded in the same way."""
    done = run(postgres_dsn)
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert done.stdout.splitlines() == [f"{killer} passed" for killer in sorted(KILLERS)]


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_is_still_a_change_of_the_code(name: str) -> None:
    """What a mutant replaces stands in its module exactly once, and its killer exists."""
    mutant = MUTANTS[name]
    assert mutant.killer in KILLERS
    for edit in mutant.edits:
        spec = importlib.util.find_spec(edit.module)
        assert spec is not None
        assert spec.origin is not None
        assert Path(spec.origin).read_text(encoding="utf-8").count(edit.old) == 1, edit
        assert edit.old != edit.new
