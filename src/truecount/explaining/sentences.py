"""
Causes in the words of whoever keeps the shop: one template for each kind.

Nothing is decided here. A template may use the movement's document, sizes and places; a
sentence about chances says how many other answers fit as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import attrs

from truecount.explaining.cells import Atom, Case
from truecount.explaining.common import Fit
from truecount.explaining.facts import Candidate, Discrepancy
from truecount.explaining.priors import CauseKind, Certainty
from truecount.explaining.results import Cause, CommonCause, Hypothesis
from truecount.model.stock import goods


@attrs.frozen(eq=False)
class Speaker:
    """Puts the atoms of one case into words."""

    case: Case
    movements: Mapping[str, Candidate]
    _said: dict[Atom, Cause] = attrs.field(factory=dict)

    def cause(self, atom: Atom) -> Cause:
        """Return an atom as callers see it."""
        known = self._said.get(atom)
        if known is None:
            known = self._said[atom] = self._cause(atom)
        return known

    def _cause(self, atom: Atom) -> Cause:
        effects = tuple([(self.case.cells[cell].key, change) for cell, change in atom.effects])
        return Cause(
            kind=atom.kind,
            site=atom.site,
            effects=effects,
            evidence=atom.movements,
            sentence=_TEMPLATES[atom.kind](self, atom),
        )

    def movement(self, atom: Atom) -> str:
        """Return the movement at the site of *atom* in words: what, which document, when."""
        candidate = self.movements.get(atom.site)
        if candidate is None:
            return atom.site
        document = candidate.reference or candidate.id
        return f"{candidate.kind.value.replace('_', ' ')} {document}"

    def place(self, atom: Atom, number: int = 0) -> str:
        """Return the figure of one of an atom's effects in words."""
        return goods(self.case.cells[atom.effects[number][0]].key)


def _units(number: int) -> str:
    return f"{abs(number)} unit{'' if abs(number) == 1 else 's'}"


def _missing(speaker: Speaker, atom: Atom) -> str:
    change = atom.effects[0][1]
    if atom.site:
        return f"{speaker.movement(atom)} of {_units(change)} is not in the book"
    way = "in" if change > 0 else "out"
    return f"something that took {_units(change)} {way} was never booked"


def _booked_for(reason: str) -> Callable[[Speaker, Atom], str]:
    def say(speaker: Speaker, atom: Atom) -> str:
        (booked,) = atom.note
        true = booked + atom.effects[0][1]
        return f"{speaker.movement(atom)} is booked as {booked:+d} but was {true:+d}: {reason}"

    return say


def _kit(_speaker: Speaker, atom: Atom) -> str:
    verb = "left" if atom.effects[0][1] < 0 else "came back"
    return f"{_units(atom.note[0])} of the kit {atom.site} {verb} without their components"


def _hold(_speaker: Speaker, atom: Atom) -> str:
    quantity, sign = atom.note
    error = "counted as sold" if sign < 0 else "given back twice"
    return f"{_units(quantity)} promised to {atom.site} were {error}"


_TEMPLATES: Final[Mapping[CauseKind, Callable[[Speaker, Atom], str]]] = {
    CauseKind.MISSING: _missing,
    CauseKind.DUPLICATE: lambda say, atom: f"{say.movement(atom)} is in the book twice",
    CauseKind.IN_FLIGHT: lambda say, atom: (
        f"{say.movement(atom)} was under way while the other side was looked at"
    ),
    CauseKind.STALE_PUSH: lambda _, atom: f"an old level of {atom.note[0]} is still shown",
    CauseKind.WRONG_FORMULA: lambda _, atom: f"the level is shown as {atom.site}",
    CauseKind.NOT_PUT_BACK: lambda say, atom: (
        f"{say.movement(atom)} of {_units(atom.note[0])} was cancelled or returned, "
        "and never put back in the book"
    ),
    CauseKind.KIT_NOT_EXPLODED: _kit,
    CauseKind.UNIT: _booked_for("another unit of measure"),
    CauseKind.WRONG_SKU: lambda say, atom: (
        f"{say.movement(atom)} of {_units(atom.effects[1][1])} is booked on {say.place(atom)} "
        f"but was {say.place(atom, 1)}"
    ),
    CauseKind.WRONG_LOCATION: lambda say, atom: (
        f"{say.movement(atom)} of {_units(atom.effects[1][1])} is booked on {say.place(atom)} "
        f"but was {say.place(atom, 1)}"
    ),
    CauseKind.TRANSPOSED: _booked_for("two digits are swapped"),
    CauseKind.SIGN: _booked_for("the sign is wrong"),
    CauseKind.SLIP: _booked_for("a zero too many or too few"),
    CauseKind.HALF_BOOKED: lambda _, atom: (
        f"{_units(atom.note[0])} of transfer {atom.site} arrived, and nobody said so"
    ),
    CauseKind.HOLD: _hold,
    CauseKind.OLD_BOOK: lambda say, atom: (
        f"{say.movement(atom)} was compared with a book from before {_units(atom.note[0])} moved"
    ),
    CauseKind.LOST_UPDATE: lambda _, atom: (
        f"push {atom.site} overwrote {_units(atom.note[0])} that moved while it was under way"
    ),
    CauseKind.UNEXPLAINED: lambda _, atom: (
        f"{_units(atom.effects[0][1])} remain without an explanation"
    ),
}


#: Each kind of cause in general, for those who configure priors.
MEANING: Final[Mapping[CauseKind, str]] = {
    CauseKind.MISSING: "an event is not in the book",
    CauseKind.DUPLICATE: "an event is in the book twice",
    CauseKind.IN_FLIGHT: "only one side had seen it at the moment of the observation",
    CauseKind.STALE_PUSH: "an old level is still shown",
    CauseKind.WRONG_FORMULA: "a channel shows another figure than it should",
    CauseKind.NOT_PUT_BACK: "cancelled or returned, and not put back in the book",
    CauseKind.KIT_NOT_EXPLODED: "a kit moved, its components did not",
    CauseKind.UNIT: "another unit of measure: pieces for cases, or the reverse",
    CauseKind.WRONG_SKU: "booked on a SKU that is easily mistaken for the right one",
    CauseKind.WRONG_LOCATION: "booked at another location",
    CauseKind.TRANSPOSED: "two neighbouring digits swapped in typing",
    CauseKind.SIGN: "plus for minus, or minus for plus, in typing",
    CauseKind.SLIP: "a zero too many or too few in typing",
    CauseKind.HALF_BOOKED: "a transfer arrived, and nobody said so",
    CauseKind.HOLD: "a promise counted as sold, or given back twice",
    CauseKind.OLD_BOOK: "a count compared with a book from before it",
    CauseKind.LOST_UPDATE: "a push overwrote what moved while it was under way",
    CauseKind.UNEXPLAINED: "none of these: theft, breakage, a miscount",
}


def difference(each: Discrepancy) -> str:
    """
    Return a discrepancy in words.

    >>> difference(Discrepancy(sku="MUG", location="berlin", delta=-3))
    'MUG at berlin: 3 fewer than the book says'
    """
    side = "fewer" if each.delta < 0 else "more"
    return f"{goods(each.key)}: {abs(each.delta)} {side} than the book says"


def percent(probability: float) -> str:
    """
    Return a probability in words; certainty is never claimed.

    >>> percent(0.423), percent(0.9999), percent(0.0001)
    ('42 %', 'over 99 %', 'under 1 %')
    """
    if probability > 0.99:  # noqa: PLR2004 -- a percent
        return "over 99 %"
    return "under 1 %" if probability < 0.01 else f"{round(100 * probability)} %"  # noqa: PLR2004 -- a percent


def _others(rivals: int) -> str:
    if rivals == 0:
        return "nothing else fits exactly"
    return f"{rivals:,} other set{'' if rivals == 1 else 's'} of causes would fit as exactly"


def answer(each: Discrepancy, verdict: Certainty, best: Hypothesis, rivals: int) -> str:
    """Return an explanation in one sentence."""
    start, chance = difference(each), percent(best.probability)
    if verdict is Certainty.UNEXPLAINED:
        return f"{start}; no cause that is known of explains it, so count it again"
    if verdict is Certainty.AMBIGUOUS:
        look = f"first look whether {best.sentence} ({chance})"
        return f"{start}; it cannot be told why ({_others(rivals)}), {look}"
    word = "" if verdict is Certainty.CONFIDENT else "probably "
    return f"{start}; {word}{best.sentence} ({chance}; {_others(rivals)})"


def common_cause(fit: Fit) -> CommonCause:
    """Return a fit as callers see it."""
    since = "" if fit.since is None else f"{fit.since:%Y-%m-%d %H:%M} UTC"
    what = (
        f"does not show what changed since {since}"
        if fit.kind is CauseKind.STALE_PUSH
        else f"shows {fit.formula} instead of what may be promised"
    )
    return CommonCause(
        kind=fit.kind,
        source=fit.source,
        detail=since or fit.formula,
        fixed=len(fit.fixed),
        mismatches=fit.mismatches,
        probability=fit.probability,
        rivals=fit.rivals,
        sentence=f"{fit.source} {what}: that explains {len(fit.fixed)} of its "
        f"{fit.mismatches} mismatches ({percent(fit.probability)})",
    )
