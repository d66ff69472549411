"""Every mistake in the PostgreSQL storage is noticed, by the check that was named before."""

from __future__ import annotations

import pytest

from tests.mutants.postgres_killers import KILLERS
from tests.mutants.postgres_mutants import MUTANTS
from tests.mutants.verdicts import expect_change_of_the_code, expect_killed, expect_lives, run


#: Run each time; the others with ``--run-slow``.
SAMPLE = ("hold lines at the pre-lock snapshot",)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in SAMPLE else pytest.mark.slow) for name in MUTANTS],
)
def test_mutant_is_killed_by_the_check_that_was_named(name: str, postgres_dsn: str) -> None:
    """The check passes on the code as it is, and notices this mistake."""
    expect_killed(run("postgres_mutants", name, TRUECOUNT_PG_DSN=postgres_dsn), MUTANTS[name])


@pytest.mark.slow
def test_code_as_it_is_lives(postgres_dsn: str) -> None:
    """Every killer lets the unchanged code pass, loaded in the same way."""
    expect_lives(run("postgres_mutants", TRUECOUNT_PG_DSN=postgres_dsn), list(KILLERS))


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_is_still_a_change_of_the_code(name: str) -> None:
    """What a mutant replaces stands in its module exactly once, and its killer exists."""
    assert MUTANTS[name].killer in KILLERS
    expect_change_of_the_code(MUTANTS[name])
