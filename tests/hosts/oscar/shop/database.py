"""Where the stock is kept: in Django's own database, the one for tests included."""

from psycopg.conninfo import make_conninfo

from truecount import SQLiteStorage
from truecount.storage.postgres import PostgresStorage


def postgres(told):
    """Return a storage in a schema beside the tables of Django's."""
    words = {"dbname": "NAME", "host": "HOST", "port": "PORT", "user": "USER"}
    words["password"] = "PASSWORD"
    dsn = make_conninfo(**{word: told[name] for word, name in words.items() if told[name]})
    storage = PostgresStorage(dsn, schema="stock")
    storage.migrate()
    return storage


def sqlite(told):
    """Return a storage in the file of Django's."""
    return SQLiteStorage(told["NAME"], beside=True)


OPENED = {"postgresql": postgres, "sqlite": sqlite}


def opened(connection):
    """Return a storage on the database of one of Django's connections."""
    return OPENED[connection.vendor](connection.settings_dict)
