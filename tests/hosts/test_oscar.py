"""django-oscar: a shop whose stock is truecount's, its own tests run by its own runner."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.test_docs import fences_of


PROJECT: Final = Path(__file__).parent / "oscar"
PAGE: Final = Path(__file__).parents[2] / "docs" / "how-to" / "join-django-oscar.md"
#: Oscar's apps that are forked, and what is changed in them.
FORKED: Final = ("partner", "order", "checkout")
CHANGED: Final = {"models.py", "utils.py", "processing.py", "views.py"}
_NAMES: Final = {"NAME": "dbname", "HOST": "host", "PORT": "port", "USER": "user"}


def on_postgres(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return the settings of a database on a real server."""
    told = conninfo_to_dict(request.getfixturevalue("postgres_dsn"))
    names = _NAMES | {"PASSWORD": "password"}
    return {
        "ENGINE": "django.db.backends.postgresql",
        **{name: str(told[word]) for name, word in names.items() if told.get(word)},
        "TEST": {"NAME": f"shop_{uuid4().hex[:12]}", "MIGRATE": False},
    }


def on_sqlite(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return the settings of a database in a file."""
    folder: Path = request.getfixturevalue("tmp_path")
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(folder / "shop.db"),
        "OPTIONS": {"transaction_mode": "IMMEDIATE"},
        "TEST": {"NAME": str(folder / "test.db"), "MIGRATE": False},
    }


def manage(database: dict[str, Any], *words: str, folder: Path = PROJECT) -> str:
    """Run a command of Django's for the shop; return what it says."""
    answer = subprocess.run(
        [sys.executable, "-m", "django", *words],
        cwd=folder,
        env=os.environ
        | {"SHOP_DATABASE": json.dumps(database), "PYTHONPATH": str(folder)}
        | {"DJANGO_SETTINGS_MODULE": "shop.settings"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout
    return answer.stdout


def run_tests(database: dict[str, Any], folder: Path = PROJECT) -> None:
    """Run the shop's own tests."""
    printed = manage(database, "test", "shop", "--noinput", folder=folder)
    [ran] = re.findall(r"^Ran (\d+) tests", printed, re.MULTILINE)
    assert int(ran) >= 20, printed


@pytest.mark.parametrize("database", [on_postgres, pytest.param(on_sqlite, marks=pytest.mark.slow)])
def test_shop_of_oscars_passes_its_own_tests(request: pytest.FixtureRequest, database: Any) -> None:
    """Basket, checkout, payment, dashboard, two browsers at once: all through its pages."""
    run_tests(database(request))


@pytest.mark.slow
def test_shop_made_by_oscars_own_command_passes_them_too(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Forked, our files laid over, migrated: as the page says, and no model has changed."""
    shop = tmp_path / "shop"
    shutil.copytree(PROJECT / "shop", shop, ignore=shutil.ignore_patterns(*FORKED, "__pycache__"))
    settings = (shop / "settings.py").read_text("utf-8")
    unforked = re.sub(r"shop\.(\w+)\.apps", r"oscar.apps.\1.apps", settings)
    (shop / "settings.py").write_text(unforked, "utf-8")
    database = on_postgres(request) | {"TEST": {"NAME": f"shop_{uuid4().hex[:12]}"}}
    for app in FORKED:
        manage(database, "oscar_fork_app", app, "shop", app, folder=tmp_path)
        for changed in CHANGED.intersection(
            path.name for path in (PROJECT / "shop" / app).iterdir()
        ):
            shutil.copy(PROJECT / "shop" / app / changed, shop / app / changed)
    (shop / "settings.py").write_text(settings, "utf-8")
    manage(database, "makemigrations", "--check", "--dry-run", "partner", "order", folder=tmp_path)
    run_tests(database, tmp_path)


def test_page_shows_the_files_that_were_tested() -> None:
    """Nothing on it is only written down."""
    shown = {fence.value: fence.text for fence in fences_of(PAGE.read_text("utf-8")) if fence.value}
    assert len(shown) == 5
    for name, text in shown.items():
        assert (PROJECT / "shop" / name).read_text("utf-8") == text, name
