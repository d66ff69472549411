"""
What the shop says of its sources: clocks, lateness, formulas, kept with the shop rules.

==================================  ======================================================
document                            what it says
==================================  ======================================================
``source`` / name                   what is said of a source now, and its version
``source_history`` / [name, n]      what was said as version n, when, by whom and why
==================================  ======================================================

Rules:
1. A change is a new generation of the shop rules, so no comparison goes by bounds that had
   changed before it read the book.
2. Each change is the next version; saying what is said already changes nothing. Old versions
   stay, so that it can be told by which bounds an old report was made.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs
from attrs.converters import optional

from truecount.errors import InvalidArgument, UnknownReference
from truecount.model import names
from truecount.model.instants import Instant, to_datetime
from truecount.model.operation import Operation
from truecount.model.settings import (
    GENERATION,
    JOURNAL,
    SOURCE,
    SOURCE_HISTORY,
    Settings,
    past_source,
)
from truecount.model.sources import Source, SourceVersion
from truecount.protocols.storage import Reader, Wants
from truecount.write.book import Book
from truecount.write.engine import Engine
from truecount.write.intents import Decision, Granted, Rule, Rules
from truecount.write.rules import next_generation


# --- the operation ----------------------------------------------------------------------


def _said(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is said of a source, checked by making one."""
    return Source.from_dict("source", value).to_dict()


@attrs.frozen(repr=False)
class DescribeSource(Operation):
    """Say how far a source can be trusted, as ``Source.to_dict`` does; None: no more."""

    is_fact = False
    name: str = attrs.field(converter=names.origin)
    said: Mapping[str, Any] | None = attrs.field(default=None, converter=optional(_said))


def _wants(operation: DescribeSource, settings: Settings) -> Wants:
    del settings
    return Wants(records={(SOURCE, operation.name), GENERATION, JOURNAL})


def _describe(operation: DescribeSource, book: Book, now: Instant) -> Decision:
    """Put what is said in force, and into the history."""
    said = operation.said
    for location in (said or {}).get("at") or ():
        book.settings.check(location)
    stored = book.document(SOURCE, operation.name) or {"version": 0, "said": None}
    if stored["said"] == said:
        return Granted(result={"version": stored["version"]})
    version = int(stored["version"]) + 1
    made = (SOURCE, operation.name, {"version": version, "said": said})
    told: dict[str, Any] = {"set_at": now}
    for word in ("actor", "reason", "origin"):
        if getattr(operation, word) is not None:
            told[word] = getattr(operation, word)
    return Granted(
        documents=(
            made,
            (SOURCE_HISTORY, past_source(operation.name, version), {**made[2], **told}),
            *next_generation(book, [made]),
        ),
        result={"version": version},
    )


SOURCE_RULES: Final[Rules] = {DescribeSource: Rule(_wants, _describe)}


# --- the shell --------------------------------------------------------------------------


class Sources:
    """
    Who stamps events and shows levels, and how far each can be trusted.

    ``reconcile`` goes by them; who is not among them stamps exactly and reports at once.

    >>> from datetime import timedelta
    >>> from truecount import Inventory, Source
    >>> inventory = Inventory()
    >>> inventory.sources.set(Source("etsy", skew=timedelta(seconds=5)))
    >>> [source.name for source in inventory.sources], "ebay" in inventory.sources
    (['etsy'], False)
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def set(
        self,
        source: Source,
        *,
        key: str | None = None,
        reason: str | None = None,
        actor: str | None = None,
        origin: str | None = None,
    ) -> None:
        """
        Say how far *source* can be trusted from now on, replacing what was said of its name.

        Raises:
            InvalidArgument: It is no Source.
            UnknownLocation: It draws on a location that was not declared.
        """
        if not isinstance(source, Source):
            raise InvalidArgument("source", names.shown(source), "a Source")
        operation = DescribeSource(
            source.name, source.to_dict(), key=key, reason=reason, actor=actor, origin=origin
        )
        self._engine.one(operation)

    def remove(
        self,
        name: str,
        *,
        key: str | None = None,
        reason: str | None = None,
        actor: str | None = None,
        origin: str | None = None,
    ) -> None:
        """
        Say nothing of a source any more: it is again like everybody not described by name.

        Doing it again changes nothing.

        Raises:
            InvalidText: The name is not clean text.
        """
        operation = DescribeSource(name, key=key, reason=reason, actor=actor, origin=origin)
        self._engine.one(operation)

    def get(self, name: str) -> Source:
        """
        Return what is said of a source.

        Raises:
            UnknownReference: Nothing is.
        """
        found = self._engine.settings().sources.get(names.origin(name))
        if found is None:
            raise UnknownReference("source", name)
        return found

    def history(self, name: str) -> list[SourceVersion]:
        """
        Return everything that was ever said of a source, the oldest first.

        >>> from truecount import Inventory, Source
        >>> inventory = Inventory()
        >>> inventory.sources.set(Source("etsy"), actor="kim")
        >>> inventory.sources.remove("etsy")
        >>> [(each.version, each.source is None) for each in inventory.sources.history("etsy")]
        [(1, False), (2, True)]

        Raises:
            UnknownReference: Nothing ever was.

        Complexity: O(versions).
        """
        with self._engine.read() as reader:
            record = reader.record(SOURCE, names.origin(name))
            if record is None:
                raise UnknownReference("source", name)
            last = int(json.loads(record.body)["version"])
            return [_version(reader, name, number) for number in range(1, last + 1)]

    def __iter__(self) -> Iterator[Source]:
        """Yield the sources that are described, by name."""
        sources = self._engine.settings().sources
        return iter([sources[name] for name in sorted(sources)])

    def __contains__(self, name: object) -> bool:
        """Return whether a source is described by *name*."""
        return name in self._engine.settings().sources

    def __len__(self) -> int:
        """Return how many sources are described."""
        return len(self._engine.settings().sources)


def _version(reader: Reader, name: str, version: int) -> SourceVersion:
    record = reader.record(SOURCE_HISTORY, past_source(name, version))
    if record is None:
        raise UnknownReference(f"version {version} of source", name)
    body = json.loads(record.body)
    return SourceVersion(
        version=version,
        source=None if body["said"] is None else Source.from_dict(name, body["said"]),
        set_at=to_datetime(body["set_at"]),
        reason=body.get("reason"),
        actor=body.get("actor"),
        origin=body.get("origin"),
    )
