"""
The shop rules of a tenant, read and changed under their one generation.

Who calls whom: ``apply`` and ``Engine`` ask ``KnownRules``, which reads them when the
generation it knows is not the stored one; rules that change a location, a policy, a recipe or
a source put what :func:`next_generation` returns beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

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


@attrs.define(eq=False)
class KnownRules:
    """
    What a tenant's rules were when they were last read: by an engine and all that join hosts.

    Threads may share it: each answer is right for the mark it was asked for, whoever asks.
    """

    #: The last ones answered, which a host may have rolled back since: good for their own mark.
    last: Settings = attrs.field(factory=lambda: Settings((-1, ""), {}, {}))
    #: Such as no host can roll back: what was made of them since is the journal's.
    committed: Settings = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Begin with nothing known."""
        self.committed = self.last

    def under(self, mark: Mark, reader: Reader) -> Settings:
        """Return the rules known by *mark*; what *reader* sees, unless they were read before."""
        last = self.last  # Once: another thread may put others there.
        if last.mark == mark:
            return last
        found = read_settings(reader, mark, self.committed)
        if mark_of(reader.record(*GENERATION)) == mark:  # A host may see others come in between.
            self.last = found
        return found


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
