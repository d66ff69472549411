"""Findings: read again and again, dismissed where seeing them is enough."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import rule

from truecount.errors import FindingHolds, UnknownReference
from truecount.reconciliation.findings import DISMISSIBLE, Finding
from truecount.testing.claims import expect, expect_raises
from truecount.testing.machine.base import ShopMachine


_which: Final = st.integers(0, 999)


class Findings(ShopMachine):
    """Somebody looks through the book now and then, and says what needs no more looking at."""

    def __init__(self) -> None:
        super().__init__()
        #: What the reader of each report in turn holds to be open, and up to which cursor.
        self.open: set[str] = set()
        self.cursor = 0
        self.dismissed: set[str] = set()

    def found_open(self) -> tuple[Finding, ...]:
        """Return all that is open, and check that it is told without writing, too."""
        before = self.contents()
        told = self.inventory.findings(read_only=True)
        expect(self.contents(), before, "everything after findings were only read")
        found = self.inventory.findings().open
        expect([each.id for each in told.open], [each.id for each in found], "findings only read")
        back = self.dismissed & {each.id for each in found}
        expect(back, set(), "findings that were dismissed and are open")
        return found

    @rule()
    def read_news(self) -> None:
        """What opened and closed since the last report adds up to what is open (no news lost)."""
        news = self.inventory.findings(since=self.cursor)
        came, went = ({each.id for each in part} for part in (news.open, news.closed))
        expect(came & self.open, set(), "findings told twice as new")
        self.open = (self.open | came) - went
        self.cursor = news.cursor
        expect(self.open, {each.id for each in self.found_open()}, "findings by their news")

    @rule(which=_which)
    def dismiss(self, which: int) -> None:
        """What needs no more than being seen is closed for good; anything else stays open."""
        found = self.found_open()
        if not found:
            nothing = "noted-0000-0"
            expect_raises(UnknownReference, lambda: self.wave(nothing), "dismiss nothing at all")
            return
        liked = [each for each in found if each.kind in DISMISSIBLE] or found
        finding = liked[which % len(liked)]
        before = self.contents()
        if finding.kind not in DISMISSIBLE:
            expect_raises(FindingHolds, lambda: self.wave(finding.id), f"dismiss {finding.kind}")
            expect(self.contents(), before, "everything after a finding was not dismissed")
            return
        expect(self.wave(finding.id), {"dismissed": True}, f"dismiss {finding}")
        self.dismissed.add(finding.id)
        after = self.contents()
        expect(self.wave(finding.id), {"dismissed": False}, f"dismiss {finding} again")
        expect(self.contents(), after, "everything after a finding was dismissed again")
        left = {each.id for each in self.found_open()}
        expect(left, {each.id for each in found} - {finding.id}, "findings after one was dismissed")

    def wave(self, finding_id: str) -> dict[str, Any]:
        """Dismiss a finding; return what came of it."""
        outcome = self.inventory.dismiss(finding_id, actor="sam", note="seen")
        return dict(outcome.result)
