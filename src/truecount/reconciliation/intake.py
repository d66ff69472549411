"""
Observations at the door of a comparison: each looked at, put under its SKU. Pure.

Rules:
1. A wrong observation is refused before anything is compared, and the error names it.
2. One observer says one thing of a key. A recount is another counter's; in a list a SKU that
   is there twice is data.
3. What a complete list lacks is read as none of it, over the time of the whole list.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

import attrs

from truecount.errors import DuplicateObservation, InvalidArgument, InvalidRequest, InvalidTime
from truecount.model import names
from truecount.model.instants import SKEW_MAX, Instant, iso, to_instant
from truecount.model.settings import Settings
from truecount.reconciliation.observations import Count, Level, Observation, Snapshot
from truecount.reconciliation.windows import Clocks, Rows


class Item(NamedTuple):
    """One observed value of one SKU, its interval filled in."""

    seen: Count | Level
    since: Instant
    until: Instant
    is_listed: bool = True


class Listing(NamedTuple):
    """A complete snapshot: what is not in it is judged as none."""

    source: str
    at: frozenset[str] | None
    listed: frozenset[str]
    since: Instant
    until: Instant

    def lacks(self, sku: str, rows: Rows, *, is_kit: bool = False) -> bool:
        """
        Return whether a SKU of the book may have to be in the list and is not.

        A kit may without rows of its own; whether it could be had is seen when it is judged.
        """
        if sku in self.listed:
            return False
        return is_kit or any(self.at is None or key.location in self.at for key, _ in rows)

    def none_of(self, sku: str) -> Item:
        """Return what the list says of a SKU it lacks."""
        level = Level(self.source, sku, 0, at=self.at)
        return Item(level, self.since, self.until, is_listed=False)


@attrs.define(eq=False)
class Intake:
    """
    What was observed, by SKU.

    Attributes:
        items: For each SKU what each observer says of it; several items of one list repeat.
        lists: The complete lists.
    """

    settings: Settings
    clocks: Clocks
    now: Instant
    items: dict[str, list[list[Item]]] = attrs.field(factory=lambda: defaultdict(list))
    lists: list[Listing] = attrs.field(factory=list)
    _known: dict[tuple[object, ...], Item] = attrs.field(factory=dict)

    def add_all(self, observations: Iterable[Observation], only: Collection[str] | None) -> None:
        """
        Take *observations* in, those of the SKUs *only* if given.

        Raises:
            InvalidRequest: One is wrong; a note tells which.
        """
        if isinstance(observations, (Count, Level, Snapshot)):
            seen = names.shown(observations)
            raise InvalidArgument("observations", seen, "several of them: put it into a list")
        for number, each in enumerate(observations, 1):
            try:
                self._add(each)
            except InvalidRequest as error:
                error.add_note(f"observation {number}")
                raise
        if only is not None:
            self.items = {sku: seen for sku, seen in self.items.items() if sku in only}

    def _add(self, each: object) -> None:
        if isinstance(each, Snapshot):
            self.lists += self._snapshot(each)
        elif isinstance(each, (Count, Level)):
            item = self._item(each)
            _once(self._known, item)
            self.items[each.sku].append([item])
        else:
            allowed = "a Count, a Level or a Snapshot"
            raise InvalidArgument("observation", names.shown(each), allowed)

    def _snapshot(self, snapshot: Snapshot) -> Iterator[Listing]:
        """Put the levels of a list under their SKUs; yield what it is complete for."""
        rows: dict[frozenset[str] | None, dict[str, list[Item]]] = defaultdict(dict)
        for level in snapshot.levels:
            at = self._at(level)
            rows[at].setdefault(level.sku, []).append(self._item(level))
        for by_sku in rows.values():
            for sku, several in by_sku.items():
                self.items[sku].append(several)
        if snapshot.complete:
            for at in rows or {self.clocks.drawn_on(snapshot.source): {}}:
                here = [item for several in rows[at].values() for item in several]
                yield Listing(
                    snapshot.source,
                    at,
                    frozenset(rows[at]),
                    min((item.since for item in here), default=self.now),
                    max((item.until for item in here), default=self.now),
                )

    def _at(self, level: Level) -> frozenset[str] | None:
        return self.clocks.drawn_on(level.source) if level.at is None else level.at

    def _item(self, seen: Count | Level) -> Item:
        """Return an observation with its interval and place filled in, once it is checked."""
        if isinstance(seen, Level):
            if seen.at is None and (at := self._at(seen)) is not None:
                seen = attrs.evolve(seen, at=at)
            for location in sorted(seen.at or ()):
                self.settings.check(location)
        else:
            self.settings.check(seen.at)
        first, last = seen.interval
        since = self.now if first is None else to_instant(first)
        until = since if last is None else to_instant(last)
        if until > self.now + max(SKEW_MAX, self.clocks.of(seen.source).skew):
            name = "counted_at" if isinstance(seen, Count) else "seen_at"
            rule = f"it is in the future, now is {iso(self.now)}"
            raise InvalidTime(name, names.shown(iso(until)), rule)
        return Item(seen, since, until)


def _once(known: dict[tuple[object, ...], Item], item: Item) -> None:
    """Raise if the same observer has said something of the same thing before."""
    seen = item.seen
    if isinstance(seen, Count):
        lot = "" if seen.lot is None else f" lot {seen.lot}"
        who = seen.counter or seen.source
        key: tuple[object, ...] = ("count", seen.sku, seen.at, seen.lot, who, seen.covers)
        by = seen.counter or "an unnamed counter"
        what = f"count of {names.shown(seen.sku)}{lot} at {names.shown(seen.at)} by {by}"
        advice = "leave one, or name another counter for a recount"
    else:
        key = ("level", seen.sku, seen.at, seen.source)
        what = f"level of {names.shown(seen.sku)} by {seen.source}"
        advice = "leave one; in a Snapshot, a SKU listed twice is a mismatch"
    before = known.setdefault(key, item)
    if before is not item:
        raise DuplicateObservation(what, before.seen.quantity, seen.quantity, advice)
