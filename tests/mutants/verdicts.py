"""What the tests of mutants ask: run one, hear what became of it, see that it still is one."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from tests.mutants.mutants import Mutant


ROOT = Path(__file__).parent.parent.parent


def run(module: str, *names: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a mutant's killer, or all of them over the code as it is."""
    return subprocess.run(
        [sys.executable, "-m", f"tests.mutants.{module}", *names],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def expect_killed(done: subprocess.CompletedProcess[str], mutant: Mutant) -> None:
    """Expect that the check which was named has noticed it."""
    assert done.returncode == 1, (done.stdout, done.stderr)
    assert done.stdout.startswith(f"killed by {mutant.killer}: "), done.stderr


def expect_lives(done: subprocess.CompletedProcess[str], killers: list[str]) -> None:
    """Expect that every killer has let the unchanged code pass."""
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert done.stdout.splitlines() == [f"{killer} passed" for killer in sorted(killers)]


def expect_change_of_the_code(mutant: Mutant) -> None:
    """Expect that what a mutant replaces stands in its module exactly once."""
    for edit in mutant.edits:
        spec = importlib.util.find_spec(edit.module)
        assert spec is not None
        assert spec.origin is not None
        assert Path(spec.origin).read_text(encoding="utf-8").count(edit.old) == 1, edit
        assert edit.old != edit.new
