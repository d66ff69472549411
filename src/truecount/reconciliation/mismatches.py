"""
Mismatches: what kind a difference is, decided by one table. Pure.

Rules:
1. Every row of ``KINDS`` that holds is one of the mismatch's ``kinds``, in the order of the
   table; ``kind`` is the first. ``OTHER`` is for what no other row holds of.
2. A row is a test of a :class:`Case`: what was seen, what the book may have shown, and the
   questions that cost a read, asked only when a test needs the answer.
3. A kind says what was observed, never who is to blame: several causes look alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple

import attrs

from truecount.explaining.results import Explanation
from truecount.model.instants import Instant, iso, optional_datetime, to_datetime, to_instant
from truecount.model.places import State
from truecount.model.stock import StockKey, goods
from truecount.reconciliation.basis import Basis
from truecount.reconciliation.findings import named, risk, when
from truecount.reconciliation.observations import Count, Formula, Level, Shown
from truecount.reconciliation.published import Push
from truecount.reconciliation.reach import Reach
from truecount.reconciliation.verdicts import Verdict


class MismatchKind(StrEnum):
    """What a difference is, in the field's words."""

    OVERSOLD = "oversold"
    PHANTOM = "phantom"
    UNRECORDED = "unrecorded"
    RESERVED_AS_AVAILABLE = "reserved_as_available"
    STALE_SYNC = "stale_sync"
    BUNDLE = "bundle"
    FOREIGN_EDIT = "foreign_edit"
    UNKNOWN_SKU = "unknown_sku"
    DUPLICATE_SKU = "duplicate_sku"
    UNLISTED = "unlisted"
    OTHER = "other"


#: A value the book had, and when it was recorded that it has another: newest first.
Was = tuple[int, Instant]


@attrs.frozen(kw_only=True)
class Case:
    """
    A difference, and what can be asked about it.

    Attributes:
        seen: What was observed.
        verdict: By how much it differs.
        reach: The values the book may have shown.
        is_known: Whether the book has the SKU at all.
        is_listed: Whether it was in the list; False for what a complete one lacks.
        repeated: Quantities of a SKU that a list has several times.
        is_oversold: Whether more is promised than may be, by the book alone.
        shows: The figure the source should show, None for a shelf.
        formula: How it makes a level of that figure, None for a shelf.
        on_hand: What it would show by the same formula over what is on hand.
        pushes: Levels published to the source up to the observation, oldest first.
        path: Values it would have shown before, newest first.
        components_agree: For a kit, whether its components match; None for other SKUs.
    """

    seen: Count | Level
    verdict: Verdict
    reach: Reach
    is_known: bool
    is_listed: bool
    repeated: tuple[int, ...]
    is_oversold: Callable[[], bool]
    shows: Shown | None = None
    formula: Formula | None = None
    on_hand: Callable[[], Reach | None] = lambda: None
    pushes: Sequence[Push] = ()
    path: Callable[[], Iterable[Was]] = lambda: ()
    components_agree: bool | None = None

    @property
    def is_plain(self) -> bool:
        """Whether a quantity of a SKU the book has was seen once, and differs."""
        return self.is_known and self.is_listed and not self.repeated


# --- the table --------------------------------------------------------------------------


class KindRule(NamedTuple):
    """When a difference is of a kind, how it is said, and what to do."""

    holds: Callable[[Case], bool]
    says: Callable[[Case], str]
    advice: str


def _units(least: int, most: int) -> str:
    """
    Return how many units are meant.

    >>> _units(2, 2), _units(2, 5), _units(-1, 5)
    ('2', '2 to 5', 'up to 5')
    """
    if least == most:
        return str(most)
    return f"{least} to {most}" if least > 0 else f"up to {most}"


def _missing(case: Case) -> str:
    counted = case.seen.quantity
    return _units(case.reach.lowest - counted, case.reach.highest - counted)


def _surplus(case: Case) -> str:
    counted = case.seen.quantity
    return _units(counted - case.reach.highest, counted - case.reach.lowest)


def _be(units: str) -> str:
    return "is" if units in {"1", "up to 1"} else "are"


def _is_counted(case: Case) -> bool:
    return isinstance(case.seen, Count) and case.is_plain


def _is_shown(case: Case) -> bool:
    return isinstance(case.seen, Level) and case.is_plain


def _phantom(case: Case) -> bool:
    """
    Return whether fewer were counted than some value the book may have had.

    Between two possible values a count may be too low or too high, and is of both kinds.
    """
    return _is_counted(case) and case.seen.quantity < case.reach.highest


def _unrecorded(case: Case) -> bool:
    return _is_counted(case) and case.seen.quantity > case.reach.lowest


def _reserved_as_available(case: Case) -> bool:
    if not _is_shown(case) or case.shows is not Shown.AVAILABLE:
        return False
    on_hand = case.on_hand()
    return on_hand is not None and on_hand.holds(case.seen.quantity)


class Stale(NamedTuple):
    """A level of the past that is still shown."""

    #: When the book moved on from it.
    since: Instant
    #: How many levels of the past are not those of now, and how many levels there are at all.
    past_levels: tuple[int, int]


def stale_of(case: Case) -> Stale | None:
    """
    Return since when an old level is shown; None when what is shown was never the book's.

    What was really published counts first: it was superseded by the next push or, if it was
    the last, when the book changed after it. Else what would have been published, had the
    book told it, and has not been told otherwise since: whoever took a push after that does
    not lag behind from before it.
    """
    since = _stale_since(case) if _is_shown(case) else None
    return None if since is None else Stale(since, _past_levels(case))


def _stale_since(case: Case) -> Instant | None:
    path = list(case.path())
    for number in range(len(case.pushes) - 1, -1, -1):
        push = case.pushes[number]
        if push.quantity == case.seen.quantity:
            if number + 1 < len(case.pushes):
                return case.pushes[number + 1].at
            moves = [instant for _, instant in path if instant > push.at]
            return min(moves, default=push.at)
    told = case.pushes[-1].at if case.pushes else None
    return next(
        (
            instant
            for was, instant in path
            if was == case.seen.quantity and (told is None or instant > told)
        ),
        None,
    )


def _past_levels(case: Case) -> tuple[int, int]:
    """
    Return how many levels of the past are not those of now, and how many there are at all.

    That is from 0 (or the lowest there was) to the highest. The first by the second is the
    chance that a level somebody typed happens to be an old one: of a SKU that sells down from
    five it is near to one, and says nothing.
    """
    known = {was for was, _ in case.path()} | {push.quantity for push in case.pushes}
    past = {level for level in known if not case.reach.holds(level)}
    lowest = min(0, case.reach.lowest, *past)
    highest = max(case.reach.highest, *past)
    now = case.reach.values
    taken = case.reach.highest - case.reach.lowest + 1 if now is None else len(now)
    return len(past), highest - lowest + 1 - taken


def _foreign_edit(case: Case) -> bool:
    """Return whether the book still is what was published last, and something else is shown."""
    if not _is_shown(case) or not case.pushes:
        return False
    last = case.pushes[-1].quantity
    return case.reach.is_point and case.reach.holds(last) and case.seen.quantity != last


def _stale_words(case: Case) -> str:
    stale = stale_of(case)
    return "it has not followed" + ("" if stale is None else _since_words(stale))


def _since_words(stale: Stale) -> str:
    fit, of = stale.past_levels
    chance = f" (by chance: {fit} of {of} levels are old ones)" if 2 * fit > of > 1 else ""
    return f" since {when(stale.since)}{chance}"


def _foreign_words(case: Case) -> str:
    last = case.pushes[-1]
    return f"{last.quantity} was published at {when(last.at)} and the book has not moved"


def _no_words(_case: Case) -> str:
    return "no more is known of it"


#: What every kind is, in the order in which they are tried.
KINDS: Final[Mapping[MismatchKind, KindRule]] = {
    MismatchKind.OVERSOLD: KindRule(
        lambda case: case.is_plain and case.is_oversold(),
        lambda _case: "more is promised than is there",
        "Get stock in or tell the customers at risk; then put the difference right.",
    ),
    MismatchKind.PHANTOM: KindRule(
        _phantom,
        lambda case: f"{_missing(case)} in the book {_be(_missing(case))} not on the shelf",
        "Look in the places next to it, count again, then let the book follow the count.",
    ),
    MismatchKind.UNRECORDED: KindRule(
        _unrecorded,
        lambda case: f"{_surplus(case)} on the shelf {_be(_surplus(case))} not in the book",
        "Look for the receipt or return that was not recorded; else let the book follow.",
    ),
    MismatchKind.RESERVED_AS_AVAILABLE: KindRule(
        _reserved_as_available,
        lambda _case: "it shows what is on hand, promised units included",
        "Let the channel show what is available, and publish again.",
    ),
    MismatchKind.STALE_SYNC: KindRule(
        lambda case: stale_of(case) is not None,
        _stale_words,
        "Publish the level again and look why the channel did not follow.",
    ),
    MismatchKind.BUNDLE: KindRule(
        lambda case: _is_shown(case) and case.components_agree is True,
        lambda _case: "its components agree, so the kit is made up wrongly",
        "Publish the kit's level made of its components, or correct the recipe over there.",
    ),
    MismatchKind.FOREIGN_EDIT: KindRule(
        _foreign_edit,
        _foreign_words,
        "Ask who changed the level over there; record what happened, then publish again.",
    ),
    MismatchKind.UNKNOWN_SKU: KindRule(
        lambda case: not case.is_known,
        lambda _case: "the book has no such SKU",
        "Correct the SKU over there, or record its opening stock.",
    ),
    MismatchKind.DUPLICATE_SKU: KindRule(
        lambda case: bool(case.repeated),
        lambda case: f"it is listed {len(case.repeated)} times ({named(_texts(case.repeated))})",
        "Leave one row for each SKU; nobody knows which of them is right.",
    ),
    MismatchKind.UNLISTED: KindRule(
        lambda case: not case.is_listed,
        lambda _case: "it is missing from a list that should have everything",
        "List the SKU over there, or take it out of what the list covers.",
    ),
    MismatchKind.OTHER: KindRule(
        lambda _case: False,
        _no_words,
        "Compare the histories of both sides since they last agreed.",
    ),
}


def _texts(values: Iterable[int]) -> list[str]:
    return [str(value) for value in values]


def kinds_of(case: Case) -> tuple[MismatchKind, ...]:
    """Return every kind a difference is of, in the order of the table; at least one."""
    found = tuple(kind for kind, rule in KINDS.items() if rule.holds(case))
    return found or (MismatchKind.OTHER,)


# --- what callers see -------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Mismatch:
    """
    An observation the book cannot explain.

    Attributes:
        kind: What it is; the first of ``kinds``.
        kinds: Everything it is, in the order of the table.
        sku: The SKU, as it was observed.
        at: The location, "" when it is about several.
        lot: The lot counted, "" for none or all.
        source: Who showed it: a channel, another system, a counter's clock.
        counter: Who counted, None when nobody said.
        covers: The states that were counted, None for a level.
        formula: How the source makes the level it shows, None for a count.
        locations: Those it is about; none named for all.
        observed: The quantity seen; None where it was missing or there several times.
        expected: The lowest and highest value the book may have shown.
        delta: Observed minus expected, lowest and highest.
        seen_at: When it was observed, at the earliest and the latest.
        since: For a stale level, when the book moved on from it.
        past_levels: For a stale level, how many levels the book had before, and how many
            there are from 0 to the highest: many of few are a coincidence.
        evidence: Ids of the movements behind the book's figure, the newest last.
        at_risk: References whose promises it puts at risk, the most endangered first.
        similar: SKUs of the book that differ only by case, spaces or leading zeros.
        superseded_at: When the same was seen anew, so that this counts no more: by a count
            of the shelf that stands, or by a later level of the source in the same call.
        basis: What a repair of the book rests on; None where none can be written.
        explanation: What may be behind it; None until ``explain`` was asked, and where it
            has no answer.
        sentence: What is wrong, in one sentence.
        advice: What to do, in one sentence.
    """

    kind: MismatchKind
    kinds: tuple[MismatchKind, ...]
    sku: str
    at: str
    lot: str
    source: str
    counter: str | None = None
    covers: frozenset[State] | None = None
    formula: Formula | None = None
    locations: tuple[str, ...] = ()
    observed: int | None
    expected: tuple[int, int]
    delta: tuple[int, int]
    seen_at: tuple[datetime, datetime]
    since: datetime | None = None
    past_levels: tuple[int, int] | None = None
    evidence: tuple[str, ...] = ()
    at_risk: tuple[str, ...] = ()
    similar: tuple[str, ...] = ()
    superseded_at: datetime | None = None
    basis: Basis | None = None
    explanation: Explanation | None = None
    sentence: str
    advice: str

    def to_dict(self) -> dict[str, Any]:
        """Return the mismatch as plain data, for JSON."""
        data = attrs.asdict(self, recurse=False)
        return data | {
            "kind": self.kind.value,
            "kinds": [kind.value for kind in self.kinds],
            "seen_at": [iso(to_instant(each)) for each in self.seen_at],
            **{name: data[name] and iso(to_instant(data[name])) for name in _TIMES},
            "past_levels": self.past_levels and list(self.past_levels),
            "covers": None if self.covers is None else sorted(self.covers),
            **{name: _to_dict(data[name]) for name in _PARTS},
            **{name: list(data[name]) for name in _LISTS},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Mismatch:
        """Return the mismatch that ``to_dict`` described; a report reads its own."""
        covers = data["covers"]
        first, last = data["seen_at"]
        return cls(
            **dict(data)
            | {
                "covers": None if covers is None else frozenset(map(State, covers)),
                **{n: data[n] and read(data[n]) for n, read in _PARTS.items()},
                "kind": MismatchKind(data["kind"]),
                "kinds": tuple(map(MismatchKind, data["kinds"])),
                "seen_at": (datetime.fromisoformat(first), datetime.fromisoformat(last)),
                **{n: data.get(n) and datetime.fromisoformat(data[n]) for n in _TIMES},
                "past_levels": data.get("past_levels") and tuple(data["past_levels"]),
                **{name: tuple(data[name]) for name in _LISTS},
            }
        )


_TIMES: Final = ("since", "superseded_at")
_LISTS: Final = ("locations", "expected", "delta", "evidence", "at_risk", "similar")
#: Parts that are values of their own, and what reads each.
_PARTS: Final[Mapping[str, Callable[[Mapping[str, Any]], Any]]] = {
    "formula": Formula.from_dict,
    "basis": Basis.from_dict,
    "explanation": Explanation.from_dict,
}


def _to_dict(part: Formula | Basis | Explanation | None) -> dict[str, Any] | None:
    return None if part is None else part.to_dict()


class Context(NamedTuple):
    """What is told with a mismatch besides its case."""

    seen_at: tuple[Instant, Instant]
    evidence: tuple[str, ...] = ()
    at_risk: tuple[str, ...] = ()
    similar: tuple[str, ...] = ()
    superseded_at: Instant | None = None
    basis: Basis | None = None


def mismatch_of(case: Case, kinds: tuple[MismatchKind, ...], context: Context) -> Mismatch:
    """Return a difference as callers see it: its *kinds*, a sentence, an advice."""
    seen = case.seen
    at, lot = place_of(seen)
    stale = stale_of(case) if MismatchKind.STALE_SYNC in kinds else None
    is_one = case.is_listed and not case.repeated
    return Mismatch(
        kind=kinds[0],
        kinds=kinds,
        sku=seen.sku,
        at=at,
        lot=lot,
        source=seen.source,
        counter=seen.counter if isinstance(seen, Count) else None,
        covers=seen.covers if isinstance(seen, Count) else None,
        formula=case.formula,
        locations=(at,) if at else tuple(sorted(_several(seen))),
        observed=seen.quantity if is_one else None,
        expected=case.verdict.expected,
        delta=case.verdict.delta,
        seen_at=(to_datetime(context.seen_at[0]), to_datetime(context.seen_at[1])),
        since=None if stale is None else to_datetime(stale.since),
        past_levels=None if stale is None else stale.past_levels,
        evidence=context.evidence,
        at_risk=context.at_risk,
        similar=context.similar,
        superseded_at=optional_datetime(context.superseded_at),
        basis=context.basis,
        sentence=_sentence(case, kinds, context),
        advice=KINDS[kinds[0]].advice,
    )


def place_of(seen: Count | Level) -> tuple[str, str]:
    """Return location and lot of what was seen, "" for several."""
    if isinstance(seen, Count):
        return seen.at, seen.lot or ""
    return (next(iter(seen.at)) if seen.at is not None and len(seen.at) == 1 else ""), ""


def _several(seen: Count | Level) -> Iterable[str]:
    return () if isinstance(seen, Count) or seen.at is None else seen.at


def _sentence(case: Case, kinds: tuple[MismatchKind, ...], context: Context) -> str:
    seen = case.seen
    at, lot = place_of(seen)
    what = goods(StockKey(seen.sku, at, lot)) if at else seen.sku
    low, high = case.verdict.expected
    book = str(low) if low == high else f"{low} to {high}"
    who = f" by {seen.counter}" if isinstance(seen, Count) and seen.counter else ""
    verb = "counted" if isinstance(seen, Count) else f"{seen.source} shows"
    said = f"{verb} {seen.quantity}{who}"
    if case.repeated or not case.is_listed:
        said = f"{seen.source}"
    told = "; ".join(KINDS[kind].says(case) for kind in kinds)
    alike = f"; it looks like {named(list(map(repr, context.similar)))}" if context.similar else ""
    against = f", the book says {book}" if case.is_known and not case.repeated else ""
    anew = ""
    if context.superseded_at is not None:
        newer = "a count" if isinstance(seen, Count) else "what it showed"
        anew = f"; superseded by {newer} of {when(context.superseded_at)}"
    return f"{what}: {said}{against}: {told}{alike}{risk(context.at_risk)}{anew}"
