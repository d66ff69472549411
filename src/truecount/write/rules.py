"""
The shop rules of a tenant, read and changed under their one generation.

Who calls whom: ``apply`` and ``Engine`` read them when the generation they know is not the
stored one; rules that change a location, a policy or a recipe put what
:func:`next_generation` returns beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from truecount.model.settings import (
    GENERATION,
    JOURNAL,
    RULE_SPACES,
    Settings,
    changed_since,
    journal_after,
    settings_from,
)
from truecount.protocols.storage import Reader
from truecount.write.book import Book


def read_settings(reader: Reader, generation: int, known: Settings) -> Settings:
    """
    Return the shop rules of *generation* as stored, read within one transaction.

    Complexity: O(documents changed since *known*) reads when the journal tells them, else
    O(locations + policies + recipes).
    """
    changed = None
    if 0 <= known.generation < generation:
        journal = reader.record(*JOURNAL)
        body = None if journal is None else json.loads(journal.body)
        changed = changed_since(body, known.generation, generation)
    documents: dict[tuple[str, str], dict[str, Any] | None] = {}
    if changed is not None:
        for name in changed:
            record = reader.record(*name)
            documents[name] = None if record is None else json.loads(record.body)
        return known.changed(generation, documents)
    for space in RULE_SPACES:
        after = ""
        while page := reader.records(space, after):
            for record in page:
                documents[record.space, record.id] = json.loads(record.body)
            after = page[-1].id
    return settings_from(generation, documents)


def next_generation(
    book: Book, names: Iterable[tuple[str, str]]
) -> tuple[tuple[str, str, dict[str, Any]], ...]:
    """
    Return the documents that make a change of the rules *names* known to every write after it.

    ``GENERATION`` and ``JOURNAL`` must be locked for it.
    """
    generation = book.version_of(*GENERATION) + 1
    journal = journal_after(book.document(*JOURNAL), generation, names)
    return ((*GENERATION, {}), (*JOURNAL, journal))
