"""A server that fails at random: as one does that deadlocks, or could not serialize."""

from __future__ import annotations

from tests.postgres.waiting import connect
from truecount.storage.postgres import PostgresStorage


#: One of two states, before a statement or, once for each transaction, at its commit.
_FAILS = """
CREATE FUNCTION {s}.trouble() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_WHEN = 'AFTER' THEN
        IF current_setting('truecount.judged', true) = 'yes' THEN
            RETURN NEW;
        END IF;
        PERFORM set_config('truecount.judged', 'yes', true);
    END IF;
    IF random() < {share} THEN
        RAISE EXCEPTION 'made to fail'
            USING ERRCODE = CASE WHEN random() < 0.5 THEN '40001' ELSE '40P01' END;
    END IF;
    RETURN NEW;
END $$
"""
_EARLY = """
CREATE TRIGGER trouble_{table} BEFORE INSERT ON {s}.{table}
    FOR EACH STATEMENT EXECUTE FUNCTION {s}.trouble()
"""
_LATE = """
CREATE CONSTRAINT TRIGGER trouble_late AFTER INSERT ON {s}.outcome
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {s}.trouble()
"""
TABLES = ("outcome", "movement", "stock", "record")


def trouble(storage: PostgresStorage, share: float) -> None:
    """Let a *share* of the inserts of *storage*, and of its commits, fail."""
    texts = [_FAILS.replace("{share}", str(share))]
    texts += [_EARLY.replace("{table}", table) for table in TABLES]
    with connect(storage) as connection:
        for text in (*texts, _LATE):
            connection.execute(text.replace("{s}", storage.schema).encode())


def is_over(storage: PostgresStorage) -> None:
    """Let nothing fail any more."""
    with connect(storage) as connection:
        connection.execute(f"DROP FUNCTION {storage.schema}.trouble CASCADE".encode())
