"""
What may be behind a mismatch, as a page says it: the cause, how sure that is, its rivals. Pure.

Rules:
1. How far a cause may be trusted is a word before it, never a colour alone.
2. A rival that fits as well is shown beside the best, with its chance: who sees one answer
   only takes it for the truth.

Called by ``lists`` and ``page``; calls ``markup`` and ``words``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from truecount.explaining.priors import Certainty
from truecount.explaining.sentences import percent
from truecount.rendering.markup import Html, each, element, joined
from truecount.rendering.tables import own
from truecount.rendering.words import CERTAINTY_WORDS, several


if TYPE_CHECKING:
    from truecount.explaining.results import CommonCause, Explanation, Hypothesis
    from truecount.reconciliation.mismatches import Mismatch

#: Hypotheses shown beside the best one.
RIVALS_MAX: Final = 3
#: Movements named of each hypothesis; a level that is old may have a thousand.
EVIDENCE_MAX: Final = 5


def cause(explanation: Explanation) -> Html:
    """Return the best hypothesis in a line, and how far it may be trusted."""
    best = explanation.best
    is_told = explanation.verdict is not Certainty.UNEXPLAINED
    return element(
        "div",
        element("span", CERTAINTY_WORDS[explanation.verdict.value], class_="kind"),
        ": ",
        _hypothesis(best) if is_told else "no cause that is known of explains it, so count again",
        class_="cause",
    )


def rivals(explanation: Explanation) -> Html | None:
    """Return the hypotheses after the best one, None when there are none."""
    others = explanation.hypotheses[1 : 1 + RIVALS_MAX]
    if not others:
        return None
    fitting = several(explanation.rivals, "other set of causes fits", "other sets of causes fit")
    return joined(
        element("p", f"It may also be ({fitting} as exactly):"),
        element("ul", *(element("li", _hypothesis(other)) for other in others)),
    )


def _hypothesis(hypothesis: Hypothesis) -> Html:
    return joined(
        hypothesis.sentence, f" ({percent(hypothesis.probability)})", _movements(hypothesis)
    )


def _movements(hypothesis: Hypothesis) -> Html | None:
    """Return the movements a hypothesis is about."""
    ids: Sequence[str] = hypothesis.evidence
    if not ids:
        return None
    rest = len(ids) - EVIDENCE_MAX
    more = f" and {several(rest, 'more')}" if rest > 0 else ""
    named = (joined(", " if number else None, own(id_)) for number, id_ in enumerate(ids))
    listed = [html for html, _ in zip(named, range(EVIDENCE_MAX), strict=False)]
    word = " movement " if len(ids) == 1 else " movements "
    return element("span", word, each(listed), more, class_="quiet")


def common(causes: Iterable[CommonCause]) -> Html:
    """Return the causes that are each behind many mismatches."""
    return element("ul", *(element("li", found.sentence) for found in causes))


def short(mismatch: Mismatch) -> Html | None:
    """Return the cause of a mismatch for a notebook, None where none was looked for."""
    return None if mismatch.explanation is None else cause(mismatch.explanation)
