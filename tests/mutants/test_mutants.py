"""Every mistake on the list is noticed, by the check that was named before."""

from __future__ import annotations

import pytest

from tests.mutants.judges import ALONE, OF_MODULE, OF_PACKAGE, judges, modules, package_of
from tests.mutants.killers import KILLERS
from tests.mutants.mutants import MUTANTS
from tests.mutants.verdicts import (
    ROOT,
    expect_change_of_the_code,
    expect_killed,
    expect_lives,
    run,
)


#: Run each time; the others with ``--run-slow``.
SAMPLE = ("decided before the lock", "rollback missing", "fold skips a leg", "anchor ignored")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in SAMPLE else pytest.mark.slow) for name in MUTANTS],
)
def test_mutant_is_killed_by_the_check_that_was_named(name: str) -> None:
    """The check passes on the code as it is, and notices this mistake."""
    expect_killed(run("run", name), MUTANTS[name])


def test_code_as_it_is_lives() -> None:
    """Every killer lets the unchanged code pass, loaded in the same way."""
    expect_lives(run("run"), list(KILLERS))


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_is_still_a_change_of_the_code(name: str) -> None:
    """What a mutant replaces stands in its module exactly once, and its killer exists."""
    assert MUTANTS[name].killer in KILLERS
    expect_change_of_the_code(MUTANTS[name])


def test_judges_of_the_core_are_files() -> None:
    """A module or test file that is renamed takes its row with it, and nobody is judged by none."""
    known = modules([])
    assert {package_of(module) for module in known} == set(OF_PACKAGE)
    assert {*OF_MODULE, *ALONE} <= set(known)
    assert not set(OF_MODULE) & set(ALONE)
    assert not [name for module in known for name in judges(module) if not (ROOT / name).is_file()]


def test_what_is_no_module_of_the_core_is_refused() -> None:
    """A storage is judged by the kit, and a wrong name is not run as nothing."""
    for name in ("storage/memory", "write/nothing"):
        with pytest.raises(ValueError, match=f"no module of the core is called '{name}'"):
            modules([name])
