"""
The shop rules of a tenant, read and changed under their one generation.

Who calls whom: ``apply`` and ``Engine`` read them when the generation they know is not the
stored one; rules that change a location, a policy, a recipe or a source put what
:func:`next_generation` returns beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from truecount.model.settings import (
    GENERATION,
    JOURNAL,
    NO_RULES,
    RULE_SPACES,
    Mark,
    Settings,
    changed_since,
    generation_after,
    journal_after,
    settings_from,
)
from truecount.protocols.storage import Reader, Record
from truecount.write.book import Book


def mark_of(record: Record | None) -> Mark:
    """Return what the stored generation is known by."""
    return NO_RULES if record is None else (record.version, record.body)


def read_settings(reader: Reader, mark: Mark, known: Settings) -> Settings:
    """
    Return the shop rules of a generation as stored, read within one transaction.

    *known* are rules that were committed once: what was made of them since is the journal's.

    Complexity: O(documents changed since *known*) reads when the journal tells them, else
    O(locations + policies + recipes + sources).
    """
    if known.mark == mark:
        return known
    changed = None
    generation = mark[0]
    if 0 <= known.generation < generation:
        journal = reader.record(*JOURNAL)
        body = None if journal is None else json.loads(journal.body)
        changed = changed_since(body, known.generation, generation)
    documents: dict[tuple[str, str], dict[str, Any] | None] = {}
    if changed is not None:
        for name in changed:
            record = reader.record(*name)
            documents[name] = None if record is None else json.loads(record.body)
        return known.changed(mark, documents)
    for space in RULE_SPACES:
        after = ""
        while page := reader.records(space, after):
            for record in page:
                documents[record.space, record.id] = json.loads(record.body)
            after = page[-1].id
    return settings_from(mark, documents)


def next_generation(
    book: Book, rules: Iterable[tuple[str, str, Mapping[str, Any]]]
) -> tuple[tuple[str, str, dict[str, Any]], ...]:
    """
    Return the documents that make the changed *rules* known to every write after it.

    ``GENERATION`` and ``JOURNAL`` must be locked for it.
    """
    changed = list(rules)
    generation = book.version_of(*GENERATION) + 1
    names = [(space, id_) for space, id_, _ in changed]
    journal = journal_after(book.document(*JOURNAL), generation, names)
    made = generation_after(book.document(*GENERATION), changed)
    return ((*GENERATION, made), (*JOURNAL, journal))
