"""The state machine of the kit: our storages pass it, broken ones and broken rules do not."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

import pytest
from hypothesis import Phase
from hypothesis.stateful import RuleBasedStateMachine

import truecount.inventory
from tests.contracts.broken import Broken, Instead
from tests.machines import MACHINES, failing_steps, run, said_of
from truecount import Damaged, MemoryStorage, Operation, Release, SQLiteStorage, TransferOut, Undo
from truecount.counting import sheet_rules, sheets
from truecount.errors import InvalidArgument
from truecount.model import policy
from truecount.reconciliation import conditions, published, register, sources
from truecount.reconciliation.findings import FindingKind
from truecount.testing import inventory_machine
from truecount.write.intents import Granted, Rule, Rules


@pytest.mark.parametrize("make", MACHINES, ids=lambda make: make.__name__)
def test_anything_may_happen_in_a_shop(
    make: Callable[[Path], type[RuleBasedStateMachine]], tmp_path: Path
) -> None:
    """Every invariant holds after each step of any history, on each storage."""
    run(make(tmp_path), examples=12, steps=30)


@pytest.mark.slow
@pytest.mark.parametrize("make", MACHINES, ids=lambda make: make.__name__)
def test_anything_may_happen_in_five_thousand_shops(
    make: Callable[[Path], type[RuleBasedStateMachine]], tmp_path: Path
) -> None:
    """The same, for 5,000 examples of 50 steps."""
    run(make(tmp_path), examples=5000, steps=50)


# --- planted bugs ---------------------------------------------------------------------------


class Planted(NamedTuple):
    """A rule that is wrong, how, and the rules of the machine that show it."""

    kind: type[Operation]
    change: Callable[[Granted], Granted]
    shown_by: tuple[str, ...]


def one_more(granted: Granted) -> Granted:
    """Post one unit too many."""
    *others, last = granted.drafts
    legs = tuple(leg._replace(quantity=leg.quantity + 1) for leg in last.legs)
    return granted._replace(drafts=(*others, last._replace(legs=legs)))


def nothing_moved(granted: Granted) -> Granted:
    """Post no movement at all."""
    return granted._replace(drafts=())


RULES: Final[Mapping[str, Planted]] = {
    "damage_takes_one_more": Planted(Damaged, one_more, ("tell", "count_and_hear")),
    "release_gives_nothing_back": Planted(Release, nothing_moved, ("release", "act", "ask_before")),
    "undo_undoes_nothing": Planted(Undo, nothing_moved, ("undo", "count_and_hear")),
    "transfer_sends_one_more": Planted(TransferOut, one_more, ("transfer", "move", "batch")),
}


def plant(patch: pytest.MonkeyPatch, planted: Planted) -> None:
    """Make new inventories decide wrongly."""

    def spoilt(rule: Rule) -> Rule:
        def decide(*said: Any) -> Any:
            decision = rule.decide(*said)
            return planted.change(decision) if isinstance(decision, Granted) else decision

        return rule._replace(decide=decide)

    for name in ("ledger_rules", "reservation_rules"):
        right: Callable[..., Rules] = getattr(truecount.inventory, name)

        def wrong(*said: Any, right: Callable[..., Rules] = right) -> Rules:
            rules = right(*said)
            return {k: spoilt(r) if k is planted.kind else r for k, r in rules.items()}

        patch.setattr(truecount.inventory, name, wrong)


def found(machine: type[RuleBasedStateMachine]) -> list[str]:
    """Return the rules of the smallest history that breaks *machine*."""
    with pytest.raises(BaseException) as caught:
        run(
            machine,
            examples=500,
            steps=25,
            derandomize=True,
            database=None,
            report_multiple_bugs=False,
            phases=[Phase.generate, Phase.shrink],
        )
    return failing_steps(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", RULES)
def test_wrong_rule_is_found_in_a_handful_of_steps(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A planted bug shrinks to the step that shows it and what it needs, five steps at most."""
    plant(monkeypatch, RULES[name])
    steps = found(inventory_machine(MemoryStorage))
    assert 1 <= len(steps) <= 5, steps
    assert steps[-1] in RULES[name].shown_by


#: Storages that are wrong in one way, and a rule of the shrunk history.
STORAGES: Final[Mapping[str, tuple[dict[str, Instead], int]]] = {
    "expires_too_early": (
        {"due": lambda unit, enough, now: unit.due(enough, now + 3600 * 1_000_000)},
        3,
    ),
    "forgets_lines": (
        {"write": lambda unit, changes: unit.write(changes._replace(lines=[]))},
        1,
    ),
    "counts_a_hold_twice": (
        {
            "lines": lambda reader, reference: [
                line for line in reader.lines(reference) for _ in (1, 2)
            ]
        },
        1,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", STORAGES)
def test_wrong_storage_is_found_in_a_handful_of_steps(name: str) -> None:
    """A storage that is wrong in one respect is found by a history of no more steps than named."""
    instead, most = STORAGES[name]
    steps = found(inventory_machine(lambda: Broken(**instead)))
    assert 1 <= len(steps) <= most, steps


# --- hosts and crashes ------------------------------------------------------------------------


@contextmanager
def always_commits(storage: SQLiteStorage) -> Iterator[sqlite3.Connection]:
    """Open a host's transaction that is committed whatever happens."""
    with closing(sqlite3.connect(storage.path, isolation_level=None)) as host:
        host.execute("BEGIN IMMEDIATE")
        try:
            yield host
        finally:
            host.execute("COMMIT")


def test_rollback_that_leaves_traces_is_seen(tmp_path: Path) -> None:
    """I16: what a host rolled back and is there all the same."""
    numbers = itertools.count()
    machine = inventory_machine(
        lambda: SQLiteStorage(tmp_path / f"{next(numbers)}.db", synchronous="OFF"),
        subjects=(),
        join=always_commits,
    )
    assert "I16: everything after a host rolled back" in said_of(machine)


def test_data_lost_in_a_crash_is_seen() -> None:
    """I8: what was committed is not there afterwards."""
    machine = inventory_machine(MemoryStorage, subjects=(), reopen=lambda _: MemoryStorage())
    assert "I8: everything after a crash" in said_of(machine)


def test_strange_subject_is_named() -> None:
    """A subject nobody knows is refused, with those there are."""
    with pytest.raises(InvalidArgument, match="'weather': expected some of goods, orders"):
        inventory_machine(MemoryStorage, subjects=("weather",))


# --- what the office does -----------------------------------------------------------------


class Slip(NamedTuple):
    """A function that is wrong, in a subject of the machine, and what is said of it."""

    module: ModuleType | type
    name: str
    instead: Callable[[Any], Any]
    subjects: tuple[str, ...]
    said: str


def as_of_now(right: Callable[..., Any]) -> Callable[..., Any]:
    """Apply what was counted as if it had been counted when the sheet is closed."""

    def count(said: Any, at: str, **words: Any) -> Any:
        moment = None if words else said[3]
        return right((*said[:3], moment, said[4]), at, **words)

    return count


SLIPS: Final[Mapping[str, Slip]] = {
    "one_count_settles_a_line": Slip(
        sheets,
        "settled_by",
        lambda _: lambda line, _tolerance: next(reversed(sheets.counts_of(line)), None),
        ("sheets",),
        "what is left",
    ),
    "another_count_is_a_repetition": Slip(
        sheet_rules, "_repeats", lambda _: lambda *_: True, ("sheets",), "again"
    ),
    "sheets_are_applied_as_of_now": Slip(
        sheet_rules, "_count", as_of_now, ("sheets",), "as counted"
    ),
    "anything_may_be_dismissed": Slip(
        register, "DISMISSIBLE", lambda _: frozenset(FindingKind), ("findings",), "dismiss"
    ),
    "low_stock_is_not_looked_for": Slip(
        conditions,
        "BOOK_RULES",
        lambda rules: [rule for rule in rules if rule is not conditions.low_stock],
        ("rules",),
        "is low",
    ),
    "wider_rules_win": Slip(
        policy.Policy,
        "over",
        lambda right: lambda near, wide: right(wide, near),
        ("rules",),
        "policy",
    ),
    "sources_have_no_history": Slip(
        sources, "past_source", lambda _: lambda name, _: name, ("rules",), "versions"
    ),
    "levels_are_kept_twice": Slip(published, "sorted", lambda _: list, ("rules",), "published"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SLIPS)
def test_slip_of_the_office_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sheets, findings, rules, sources and levels that are wrong in one way are found."""
    slip = SLIPS[name]
    right = getattr(slip.module, slip.name, None)
    monkeypatch.setattr(slip.module, slip.name, slip.instead(right), raising=False)
    assert slip.said in said_of(inventory_machine(MemoryStorage, subjects=slip.subjects))
