"""
The folders mean something: imports point one way, and the pure parts stay pure.

The tables below are the architecture. To move a package, move its row; to
make an exception, add it with its reason. A row that nothing needs any more
fails as well.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import attrs
import pytest


ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "truecount"

# A module imports from its own package, or from one of lower rank.
RANKS: Mapping[str, int] = {
    "errors": 0,
    "model": 1,
    "protocols": 2,
    "write": 3,
    "bundles": 4,
    "ledger": 5,
    "reservations": 6,
    "explaining": 6,
    "counting": 6,
    "reconciliation": 7,
    "rendering": 8,
    "storage": 8,
    "hosts": 9,
    "channels": 9,
    "system": 9,
    "inventory": 10,
    "testing": 11,
    "cli": 11,
    "pytest_plugin": 12,
    "__init__": 12,
    "__main__": 13,
}

# (module, package of equal or higher rank) -> why it may.
UPWARD: Mapping[tuple[str, str], str] = {
    ("truecount.reconciliation.report", "rendering"): "a report draws itself, when it is asked to",
}

# What a shipped adapter may use: if it needs more, the protocol is wrong.
ADAPTERS: Mapping[str, frozenset[str]] = {
    "storage": frozenset({"errors", "model", "protocols"}),
}

# Packages whose answers depend on their arguments alone.
PURE = frozenset(
    {"model", "write", "ledger", "reservations", "bundles", "reconciliation", "explaining"}
    | {"counting", "rendering"}
)
IMPURE = frozenset(
    {"asyncio", "io", "logging", "multiprocessing", "os", "pathlib", "random", "secrets"}
    | {"shutil", "socket", "sqlite3", "subprocess", "tempfile", "threading", "time"}
    | {"urllib", "uuid"}
)
THIRD_PARTY = frozenset({"attr", "attrs", "sortedcontainers"})
CLOCK_CALLS = frozenset({"now", "today", "utcnow"})

# (module, what it imports) -> why this shell inside a pure package may.
SHELLS: Mapping[tuple[str, str], str] = {
    ("truecount.write.group", "threading"): "callers of one process share a batch",
    ("truecount.write.group", "os"): "a forked child has none of the parent's threads",
    ("truecount.write.group", "time"): "a moment for the callers of the last batch to come back",
}


@attrs.frozen
class Import:
    """One imported module, seen from the importing one."""

    importer: str
    imported: str
    line: int

    def __str__(self) -> str:
        """Show where and what, for a failing test."""
        return f"{self.importer}:{self.line} imports {self.imported}"


def module_name(path: Path, package: Path) -> str:
    """Name the module in *path* as Python does: `truecount.model.words`."""
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def rank_name(module: str) -> str:
    """Name the row of the rank table for *module*."""
    return module.split(".")[1] if "." in module else "__init__"


def imports_of(path: Path, package: Path) -> Iterator[Import]:
    """List every import in *path*, wherever it stands, relative ones resolved."""
    importer = module_name(path, package)
    home = importer if path.name == "__init__.py" else importer.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(importer, alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = home.split(".")[: len(home.split(".")) - node.level + 1]
                base = ".".join([*above, *filter(None, [base])])
            for alias in node.names:
                deeper = package.parent.joinpath(*base.split("."), alias.name)
                is_module = deeper.is_dir() or deeper.with_suffix(".py").is_file()
                imported = f"{base}.{alias.name}" if is_module else base
                yield Import(importer, imported, node.lineno)


@cache
def all_imports(package: Path) -> tuple[Import, ...]:
    """List every import of every module below *package*, read once."""
    modules = sorted(package.rglob("*.py"))
    return tuple(found for path in modules for found in imports_of(path, package))


def own_imports(package: Path) -> list[Import]:
    """List the imports from one package of ours to another."""
    return [
        found
        for found in all_imports(package)
        if found.imported.split(".")[0] == "truecount"
        and rank_name(found.imported) != rank_name(found.importer)
    ]


def upward_imports(package: Path) -> list[Import]:
    """List the imports that do not point to a lower rank."""
    return [
        found
        for found in own_imports(package)
        if RANKS[rank_name(found.imported)] >= RANKS[rank_name(found.importer)]
    ]


def impurities(package: Path) -> list[Import]:
    """List what the pure packages import although their answers could then vary."""
    standard = sys.stdlib_module_names - IMPURE
    return [
        found
        for found in all_imports(package)
        if rank_name(found.importer) in PURE
        and found.imported.split(".")[0] not in {"truecount", *standard, *THIRD_PARTY}
    ]


def clock_calls(package: Path) -> list[str]:
    """List the calls in pure packages that read the clock through the datetime types."""
    return [
        f"{module_name(path, package)}:{node.lineno} calls {ast.unparse(node.func)}"
        for path in sorted(package.rglob("*.py"))
        if rank_name(module_name(path, package)) in PURE
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in CLOCK_CALLS
        and ast.unparse(node.func.value).split(".")[-1] in {"date", "datetime"}
    ]


def show(found: list[Import]) -> str:
    """Put one import per line."""
    return "\n".join(["", *map(str, found)])


@pytest.fixture
def package() -> Path:
    """Our own sources."""
    if not any(PACKAGE.rglob("*.py")):
        pytest.skip("there is no source yet")
    return PACKAGE


class TestDirection:
    def test_every_package_has_a_rank(self, package: Path) -> None:
        """A new package must say where it stands before anything may import it."""
        present = {rank_name(module_name(path, package)) for path in package.rglob("*.py")}
        assert present <= RANKS.keys(), f"no rank for {sorted(present - RANKS.keys())}"

    def test_imports_point_to_lower_ranks(self, package: Path) -> None:
        """Facts know no rules, rules know no adapters, nobody knows the facade."""
        wrong = [
            found
            for found in upward_imports(package)
            if (found.importer, rank_name(found.imported)) not in UPWARD
        ]
        assert not wrong, show(wrong)

    def test_adapters_need_only_public_words(self, package: Path) -> None:
        """A shipped adapter is written with what a stranger's adapter may use."""
        wrong = [
            found
            for found in own_imports(package)
            if rank_name(found.importer) in ADAPTERS
            and rank_name(found.imported) not in ADAPTERS[rank_name(found.importer)]
        ]
        assert not wrong, show(wrong)

    def test_every_exception_to_the_ranks_is_in_use(self, package: Path) -> None:
        """An exception outlives its reason unless somebody checks."""
        used = {(found.importer, rank_name(found.imported)) for found in upward_imports(package)}
        assert UPWARD.keys() <= used, f"not needed: {sorted(UPWARD.keys() - used)}"


class TestPurity:
    def test_pure_packages_import_nothing_that_varies(self, package: Path) -> None:
        """No clock, no randomness, no files, no threads: time and ids come in as arguments."""
        wrong = [
            found for found in impurities(package) if (found.importer, found.imported) not in SHELLS
        ]
        assert not wrong, show(wrong)

    def test_pure_packages_never_ask_what_time_it_is(self, package: Path) -> None:
        """The datetime types are words, but reading the clock through them is not."""
        assert not clock_calls(package), clock_calls(package)

    def test_every_shell_is_in_use(self, package: Path) -> None:
        """A shell that no longer needs its exception loses it."""
        used = {(found.importer, found.imported) for found in impurities(package)}
        assert SHELLS.keys() <= used, f"not needed: {sorted(SHELLS.keys() - used)}"


class TestCheckers:
    """The checks above are only worth something if they can fail."""

    @pytest.fixture
    def crooked(self, tmp_path: Path) -> Path:
        """Sources that break every rule once."""
        package = tmp_path / "truecount"
        for name, source in {
            "__init__.py": "from truecount.model import words\n",
            "errors.py": "",
            "model/__init__.py": "",
            "model/words.py": (
                "from datetime import datetime\n\nfrom ..storage import memory\n\n"
                "def moment():\n    import time\n    return datetime.now(), time, memory\n"
            ),
            "storage/__init__.py": "from . import memory\nfrom truecount.errors import Refused\n",
            "storage/memory.py": "import sqlite3\nfrom truecount import model\n",
        }.items():
            path = package / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source, encoding="utf-8")
        return package

    def test_upward_import_is_seen(self, crooked: Path) -> None:
        """A relative import resolves to the module it means, and only the wrong one is named."""
        assert upward_imports(crooked) == [
            Import("truecount.model.words", "truecount.storage.memory", 3)
        ]

    def test_own_package_and_lower_ranks_are_fine(self, crooked: Path) -> None:
        """What stays inside one package is not looked at, what crosses is."""
        assert {(found.importer, found.imported) for found in own_imports(crooked)} == {
            ("truecount", "truecount.model.words"),
            ("truecount.model.words", "truecount.storage.memory"),
            ("truecount.storage", "truecount.errors"),
            ("truecount.storage.memory", "truecount.model"),
        }

    def test_hidden_impurity_is_seen(self, crooked: Path) -> None:
        """An import inside a function counts, one in an adapter does not."""
        assert impurities(crooked) == [Import("truecount.model.words", "time", 6)]

    def test_clock_call_is_seen(self, crooked: Path) -> None:
        """Asking the datetime type for the present counts as reading a clock."""
        assert clock_calls(crooked) == ["truecount.model.words:7 calls datetime.now"]


FRESH_IMPORT = """
import json, sys
before = set(sys.modules)
import truecount
truecount.Inventory()
print(json.dumps(sorted(set(sys.modules) - before)))
"""


@pytest.mark.skipif(not (PACKAGE / "__init__.py").exists(), reason="there is no facade yet")
def test_import_loads_only_what_it_needs(tmp_path: Path) -> None:
    """Importing and using it costs two dependencies, no database, no command line, no kit."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE")}
    answer = subprocess.run(
        [sys.executable, "-c", FRESH_IMPORT],
        env=environment | {"PYTHONPATH": str(PACKAGE.parent)},
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    loaded: list[str] = json.loads(answer.stdout)
    foreign = {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names
    assert "truecount" in foreign
    assert foreign <= {"truecount", *THIRD_PARTY}
    unwanted = {"sqlite3", "truecount.cli", "truecount.testing", "truecount.storage.postgres"}
    assert not unwanted.intersection(loaded)
