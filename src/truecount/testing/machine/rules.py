"""What the shop says of itself meanwhile: policies, sources, what was published."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import rule

from truecount.model.policy import BUILT_IN, Policy
from truecount.model.sources import Formula, Shown, Source
from truecount.reconciliation.findings import FindingKind
from truecount.reconciliation.observations import Level
from truecount.testing.claims import expect
from truecount.testing.machine.base import ANY, PLACES, PLAIN, ShopMachine


_skus: Final = st.sampled_from(PLAIN.skus)
_places: Final = st.sampled_from(PLACES)
_units: Final = st.integers(0, 9)
#: Whom the shop describes: two channels, and everybody's clock that has no other description.
_names: Final = st.sampled_from(("etsy", "ebay"))
_clocks: Final = st.sampled_from(("*", "shelf", "ledger"))
_spans: Final = st.sampled_from((0, 0, 5, 600)).map(lambda seconds: timedelta(seconds=seconds))

#: Rules that leave every promise as it is, so that the model goes on knowing who gets what.
_POLICIES: Final = st.builds(
    Policy,
    reorder_point=st.none() | st.integers(0, 4),
    late=st.sampled_from((None, "refold", "report")),
    quarantine_after=st.none() | st.sampled_from((timedelta(hours=1), timedelta(days=1))),
    allocated_after=st.none() | st.sampled_from((timedelta(minutes=10), timedelta(days=1))),
)
_FORMULAS: Final = st.builds(
    Formula,
    shows=st.sampled_from((Shown.AVAILABLE, Shown.ON_HAND)),
    safety=st.integers(0, 2),
    pack=st.integers(1, 3),
    cap=st.none() | st.integers(1, 6),
)
#: What is said of whom: channels have formulas, clocks only bounds.
_SAID: Final[st.SearchStrategy[tuple[str, Source | None]]] = st.one_of(
    st.tuples(_names | _clocks, st.none()),
    st.builds(Source, _clocks, skew=_spans, late=_spans).map(lambda each: (each.name, each)),
    st.builds(
        Source,
        _names,
        skew=_spans,
        late=_spans,
        formula=_FORMULAS,
        at=st.none() | _places.map(lambda place: frozenset({place})),
    ).map(lambda each: (each.name, each)),
)
_scopes: Final[st.SearchStrategy[dict[str, str]]] = st.one_of(
    st.just({}),
    _skus.map(lambda sku: {"sku": sku}),
    _places.map(lambda place: {"location": place}),
)


class ShopRules(ShopMachine):
    """The shop changes its rules, describes its channels, and tells them levels."""

    def __init__(self) -> None:
        super().__init__()
        #: What is said of each source, and how often that has changed.
        self.said: dict[str, Source | None] = {}
        self.versions: dict[str, int] = {}
        self.policies: dict[tuple[str, str], Policy] = {}

    # --- policies --------------------------------------------------------------------------

    @rule(policy=_POLICIES, scope=_scopes)
    def set_policy(self, policy: Policy, scope: Mapping[str, str]) -> None:
        """A rule is set for all, for a place, for a SKU: the nearest that says something wins."""
        self.inventory.policies.set(policy, **scope)
        self.policies[scope.get("sku", ""), scope.get("location", "")] = policy
        for sku, place in ((sku, place) for sku in PLAIN.skus for place in PLACES):
            seen = self.inventory.policies.of(sku, location=place).to_dict()
            wanted = BUILT_IN.to_dict() | self.in_force(sku, place)
            expect(seen, wanted, f"the policy of {sku} at {place}")
        self.check_low()

    def in_force(self, sku: str, place: str) -> dict[str, Any]:
        """Return what is said for everything, for a place and for a SKU, the nearest last."""
        found: dict[str, Any] = {}
        for scope in (("", ""), ("", place), (sku, "")):
            found |= self.policies[scope].to_dict() if scope in self.policies else {}
        return found

    def check_low(self) -> None:
        """Check that whatever has fallen to its reorder point is found, and nothing else is."""
        opened = self.inventory.findings().open
        self.catch_up()
        low = {(each.sku, each.at) for each in opened if each.kind is FindingKind.LOW_STOCK}
        known = {key[:2] for key in self.inventory.stock() if key.sku in PLAIN.skus}
        for sku, place in known:
            available = self.inventory.figures(sku, at=place).available
            point = self.in_force(sku, place).get("reorder_point")
            wanted = point is not None and available <= point
            claim = f"{sku} at {place}, {available} of {point}, is low"
            expect((sku, place) in low, wanted, claim)

    # --- sources ---------------------------------------------------------------------------

    @rule(said=_SAID)
    def describe(self, said: tuple[str, Source | None]) -> None:
        """A channel is described, a clock trusted less, or nothing said of one any more."""
        self.say_of(*said)

    def say_of(self, name: str, source: Source | None) -> None:
        """Say *source* of a name, twice; the second time nothing changes."""
        changes = self.said.get(name) != source
        for _ in range(2):
            before = self.contents()
            if source is None:
                self.inventory.sources.remove(name)
            else:
                self.inventory.sources.set(source)
                self.model.counts.doubt = max(self.model.counts.doubt, source.skew)
            if not changes:
                expect(self.contents(), before, f"everything after {name} was described as it is")
            changes = False
        if self.said.get(name) != source:
            self.versions[name] = self.versions.get(name, 0) + 1
        self.said[name] = source
        stand = sorted(each for each, said in self.said.items() if said is not None)
        seen = [each.name for each in self.inventory.sources if each.name in self.said]
        expect(seen, stand, "sources described")
        if name in self.versions:
            told = [each.source for each in self.inventory.sources.history(name)]
            expect((len(told), told[-1]), (self.versions[name], source), f"history of {name}")

    @rule(name=_names, sku=_skus)
    def show_by_formula(self, name: str, sku: str) -> None:
        """A channel that shows what its formula makes of the book is no mismatch (I19)."""
        source = self.said.get(name) or Source(name)
        places = PLACES if source.at is None else tuple(source.at)
        found = [self.inventory.figures(sku, at=place) for place in places]
        if not self.inventory.stock(sku=sku) or any(each.available < 0 for each in found):
            return
        self.catch_time_up()
        found = [self.inventory.figures(sku, at=place) for place in places]
        shown = source.formula.shows
        units = sum(each.on_hand if shown is Shown.ON_HAND else each.available for each in found)
        level = Level(name, sku, source.formula(units))
        before = self.contents()
        report = self.inventory.reconcile([level])
        expect(list(map(str, report.mismatches)), [], f"mismatches of {level} by {source}")
        expect(self.contents(), before, "everything after a comparison")

    # --- published -------------------------------------------------------------------------

    @rule(
        name=_names,
        levels=st.dictionaries(st.sampled_from(ANY.skus), _units, min_size=1),
        hours=st.none() | st.integers(-3, 24),
    )
    def publish(self, name: str, levels: Mapping[str, int], hours: int | None) -> None:
        """Levels were sent, now or then; told twice they are kept once."""
        moment = self.past(hours) or self.clock.now
        self.inventory.published(name, levels, at=moment)
        before = self.contents()
        self.inventory.published(name, levels, at=moment)
        expect(self.contents(), before, f"everything after {levels} was published again")
        self.check_low()
