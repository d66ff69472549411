"""A site of Django in this process, with one model; each test adds a database of its own."""

from __future__ import annotations

import itertools
from typing import Any, Final

import django
from django.conf import settings
from django.db import connections, models, transaction
from psycopg.conninfo import conninfo_to_dict


settings.configure(DATABASES={}, USE_TZ=True, INSTALLED_APPS=[])
django.setup()

_NUMBERS: Final = itertools.count()


class Order(models.Model):  # type: ignore[misc]  # Django is not typed
    """An order of the shop's."""

    id = models.TextField(primary_key=True)

    class Meta:
        """It belongs to no installed app."""

        app_label = "shop"
        db_table = "orders"

    def __str__(self) -> str:
        """Name it."""
        return str(self.id)


def _add(told: dict[str, Any]) -> str:
    alias = f"shop{next(_NUMBERS)}"
    filled = connections.configure_settings({"default": {}, alias: told})
    connections.databases[alias] = filled[alias]
    return alias


def add_sqlite(path: str, **options: object) -> str:
    """Add a database in a file; return its alias."""
    return _add({"ENGINE": "django.db.backends.sqlite3", "NAME": path, "OPTIONS": options})


def add_postgres(dsn: str) -> str:
    """Add a database on a server; return its alias."""
    told = {name: value for name, value in conninfo_to_dict(dsn).items() if value is not None}
    names = {"dbname": "NAME", "host": "HOST", "port": "PORT", "user": "USER"}
    names["password"] = "PASSWORD"  # noqa: S105 -- the name of a setting
    given = {names[name]: told.pop(name) for name in [*told] if name in names}
    return _add({"ENGINE": "django.db.backends.postgresql", "OPTIONS": told, **given})


def remove(alias: str) -> None:
    """Close a database and forget it."""
    connections[alias].close()
    left = connections[alias].connection
    if left is not None:  # Django leaves a database in memory open.
        left.close()
    del connections[alias]
    del connections.databases[alias]


def create_tables(alias: str) -> None:
    """Create the site's tables, unless they are there."""
    if Order._meta.db_table in connections[alias].introspection.table_names():
        return
    with connections[alias].schema_editor() as editor:
        editor.create_model(Order)


def atomic(alias: str) -> Any:
    """Open a block, or a block in a block."""
    return transaction.atomic(using=alias)


def connection(alias: str) -> Any:
    """Return Django's connection."""
    return connections[alias]


def create_order(alias: str, name: str) -> None:
    """Create an order."""
    Order.objects.using(alias).create(id=name)


def orders(alias: str) -> list[str]:
    """Return the names of all orders."""
    return list(Order.objects.using(alias).order_by("id").values_list("id", flat=True))
