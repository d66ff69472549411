"""What ``reconcile`` says on the screen: what differs, why perhaps, what to do, how much agrees."""

from __future__ import annotations

from pathlib import Path

from truecount.cli.output import Screen, numbers, text
from truecount.explaining.priors import Certainty
from truecount.explaining.results import Explanation
from truecount.explaining.sentences import percent
from truecount.reconciliation.mismatches import Mismatch
from truecount.reconciliation.plan import Plan
from truecount.reconciliation.report import Reconciliation, Undecided
from truecount.rendering.words import CERTAINTY_WORDS, several


def tell_report(screen: Screen, report: Reconciliation, limit: int) -> None:
    """Print what does not match, what is undecided, and how much matches."""
    shown = report.mismatches[: limit or None]
    if shown:
        headings = (*text("kind", "sku", "location", "lot", "source"), *numbers("seen", "book"))
        headings += numbers("off by")
        screen.table(headings, [_row(each) for each in shown])
        screen.gap()
        for each in shown:
            screen.say(f"{each.sentence}.", style="yellow", hang=5)
            screen.say(f"     {each.advice}")
            if each.explanation is not None:
                screen.say(f"     {_cause(each.explanation)}", style="dim", hang=5)
    for cause in report.common:
        screen.say(f"many at once: {cause.sentence}", style="yellow", hang=5)
    _show_undecided(screen, report.undecided, limit)
    for kind, count in report.kinds.items():
        screen.say(f"{count} {kind.value}")
    if report.found > len(shown):
        screen.say(f"{len(shown)} of {report.found} mismatches are listed above")
    screen.say(
        f"{report.compared} compared: {report.matches} match, {report.found} do not, "
        f"{len(report.undecided)} undecided",
        style="green" if report.ok else "bold red" if report.found else "yellow",
    )


def tell_plan(screen: Screen, plan: Plan | None, file: Path | None) -> None:
    """Say what is in the plan, if it was written, and how it is looked at."""
    if plan is not None and file is not None:
        screen.say(
            f"{plan.id}: {len(plan.written)} to write, {len(plan.outside)} to do outside; look "
            f"at it with `truecount repair {file}`"
        )


def _cause(explanation: Explanation) -> str:
    """Return the best cause of a mismatch, how far it may be trusted, and its rivals."""
    word = CERTAINTY_WORDS[explanation.verdict.value]
    if explanation.verdict is Certainty.UNEXPLAINED:
        return f"{word}: no cause that is known of explains it; count again"
    best = f"{word}: {explanation.best.sentence} ({percent(explanation.probability)})"
    if not explanation.rivals:
        return best
    others = several(explanation.rivals, "other set of causes fits", "other sets of causes fit")
    return f"{best}; {others} as exactly"


def _show_undecided(screen: Screen, undecided: tuple[Undecided, ...], limit: int) -> None:
    for each in undecided[: limit or None]:
        when = "it moved while it was seen; look again when it is quiet"
        if each.decidable_at is not None:
            when = f"decidable at {each.decidable_at:%Y-%m-%d %H:%M:%S} UTC"
        where = f" at {each.at}" if each.at else ""
        book = _span(each.expected)
        screen.say(
            f"undecided: {each.sku}{where}: seen {each.observed}, the book says {book}; {when}",
            style="dim",
            hang=5,
        )
    if limit and len(undecided) > limit:
        screen.say(f"and {len(undecided) - limit} more undecided")


def _row(each: Mismatch) -> list[object]:
    book, off = _span(each.expected), _span(each.delta)
    where = [each.kind.value, each.sku, each.at, each.lot, each.source]
    return [*where, each.observed, book, off]


def _span(interval: tuple[int, int]) -> str:
    low, high = interval
    return str(low) if low == high else f"{low} to {high}"
