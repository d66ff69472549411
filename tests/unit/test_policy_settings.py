from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from truecount import Inventory, Policy, Source
from truecount.errors import (
    InvalidArgument,
    InvalidData,
    InvalidQuantity,
    InvalidText,
    InvalidTime,
    UnknownLocation,
)
from truecount.model.policy import BUILT_IN
from truecount.model.settings import (
    JOURNAL_GENERATIONS,
    JOURNAL_MAX,
    Settings,
    changed_since,
    journal_after,
    scope_of,
    settings_from,
)


FIELDS = [field.name for field in attrs.fields(Policy)]

limits = st.none() | st.integers(0, 9)
durations = st.none() | st.integers(1, 10**9).map(lambda n: timedelta(microseconds=n))


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Return any policy there may be."""
    backorder, safety = draw(limits), draw(limits)
    return Policy(
        backorder_limit=backorder,
        safety_stock=None if backorder else safety,
        hold_ttl=draw(durations),
        sourcing=draw(st.none() | st.sampled_from(("priority", "fewest_locations"))),
        reorder_point=draw(limits),
        quarantine_after=draw(durations),
        allocated_after=draw(durations),
    )


class TestPolicy:
    def test_the_built_in_one_says_everything(self) -> None:
        """The widest policy answers every question but the reorder point, which has no default."""
        unsaid = [name for name in FIELDS if getattr(BUILT_IN, name) is None]
        assert unsaid == ["reorder_point"]

    def test_the_built_in_one_says_what_its_documentation_says(self) -> None:
        """Nothing kept back or promised ahead; a quarter of an hour, a week, a fortnight."""
        assert BUILT_IN.to_dict() == {
            "backorder_limit": 0,
            "safety_stock": 0,
            "hold_ttl": 15 * 60 * 1_000_000,
            "sourcing": "fewest_locations",
            "quarantine_after": 7 * 24 * 3600 * 1_000_000,
            "allocated_after": 14 * 24 * 3600 * 1_000_000,
            "late": "refold",
        }

    @given(policies(), policies())
    def test_the_nearest_wins_field_by_field(self, near: Policy, wide: Policy) -> None:
        """A gap is filled from the wider one; a word that was said stands."""
        found = near.over(wide)
        for name in FIELDS:
            said = getattr(near, name)
            if said is not None:
                assert getattr(found, name) == said
            elif name not in {"backorder_limit", "safety_stock"}:
                assert getattr(found, name) == getattr(wide, name)

    @given(policies(), policies())
    def test_stock_is_kept_back_or_promised_ahead_never_both(
        self, near: Policy, wide: Policy
    ) -> None:
        """The nearer of the two stands, the other is 0."""
        found = near.over(wide)
        assert not (found.backorder_limit and found.safety_stock)
        if near.backorder_limit:
            assert found.safety_stock in {0, near.safety_stock}

    @given(policies())
    def test_there_and_back_is_the_same(self, policy: Policy) -> None:
        """As documents keep it."""
        assert Policy.from_dict(policy.to_dict()) == policy

    @pytest.mark.parametrize(
        "data",
        [
            {"saftey_stock": 1},
            {"hold_ttl": "15"},
            {"hold_ttl": 10**40},
            {"safety_stock": 1, 3: 4},
        ],
        ids=repr,
    )
    def test_other_data_is_refused(self, data: dict[Any, Any]) -> None:
        """Nothing is skipped and nothing is guessed."""
        with pytest.raises(InvalidData, match="cannot read a policy"):
            Policy.from_dict(data)

    @pytest.mark.parametrize(
        ("words", "error"),
        [
            ({"backorder_limit": -1}, InvalidQuantity),
            ({"safety_stock": 1.5}, InvalidQuantity),
            ({"reorder_point": True}, InvalidQuantity),
            ({"hold_ttl": timedelta(0)}, InvalidTime),
            ({"hold_ttl": 900}, InvalidTime),
            ({"sourcing": ""}, InvalidText),
            ({"backorder_limit": 1, "safety_stock": 1}, InvalidArgument),
        ],
    )
    def test_nonsense_is_refused(self, words: dict[str, Any], error: type[Exception]) -> None:
        """A rule is checked when it is made."""
        with pytest.raises(error):
            Policy(**words)


class TestSettings:
    def settings(self) -> Settings:
        """Return the rules of a shop, as documents tell them."""
        return settings_from(
            (3, ""),
            {
                ("location", "köln"): {"priority": 2},
                ("location", "berlin"): {"priority": 1},
                ("location", "aachen"): {"priority": 2},
                ("policy", "default"): {"safety_stock": 3},
                ("policy", "location:köln"): {"backorder_limit": 4},
                ("policy", "sku:MUG"): {"safety_stock": 1},
            },
        )

    @pytest.mark.parametrize(
        ("sku", "location", "floor", "rule"),
        [
            ("TEA", "berlin", 3, "safety_stock=3"),
            ("TEA", "köln", -4, "backorder_limit=4"),
            ("MUG", "berlin", 1, "safety_stock=1"),
            ("MUG", "köln", 1, "safety_stock=1"),
            ("", "", 3, "safety_stock=3"),
        ],
    )
    def test_sku_before_location_before_default(
        self, sku: str, location: str, floor: int, rule: str
    ) -> None:
        """And every floor names the rule it comes from."""
        settings = self.settings()
        assert settings.floor(sku, location) == floor
        assert settings.floor_rule(sku, location) == rule

    @pytest.mark.parametrize(
        ("described", "skews"),
        [
            ((), (0, 0, 0)),
            (("etsy",), (4_000_000, 0, 0)),
            (("etsy", "*"), (4_000_000, 1_000_000, 1_000_000)),
            (("etsy", "*", "ledger"), (4_000_000, 1_000_000, 2_000_000)),
        ],
    )
    def test_clock_is_as_far_off_as_its_source_says(
        self, described: tuple[str, ...], skews: tuple[int, int, int]
    ) -> None:
        """By name, else by what holds for everybody, else not at all; the ledger is one of them."""
        seconds = {"etsy": 4, "*": 1, "ledger": 2}
        sources = {
            ("source", name): {
                "said": Source(name, skew=timedelta(seconds=seconds[name])).to_dict()
            }
            for name in described
        }
        settings = settings_from((1, ""), sources)
        assert tuple(settings.skew(name) for name in ("etsy", "till", None)) == skews

    def test_without_any_policy_the_floor_is_zero(self) -> None:
        """Nothing is kept back and nothing promised ahead."""
        settings = settings_from((0, ""), {})
        assert (settings.floor("MUG", "x"), settings.floor_rule("MUG", "x")) == (
            0,
            "backorder_limit=0",
        )

    def test_locations_go_by_priority_then_by_name(self) -> None:
        """The order sourcing asks them in."""
        assert self.settings().in_order == ("berlin", "aachen", "köln")

    def test_an_undeclared_location_names_the_nearest(self) -> None:
        """A typing mistake is told from a new warehouse."""
        with pytest.raises(UnknownLocation, match="did you mean 'berlin'") as caught:
            self.settings().check("berlim")
        assert caught.value.nearest == ("berlin",)

    def test_a_scope_is_of_one_kind(self) -> None:
        """A SKU named like a location has another document."""
        assert len({scope_of(), scope_of(sku="berlin"), scope_of(location="berlin")}) == 3


#: What each generation changed, member of a batch by member; None: an import, which tells nobody.
generations = st.lists(
    st.none() | st.lists(st.lists(st.sampled_from("abcdef"), max_size=3), min_size=1, max_size=2),
    max_size=30,
)


class TestJournal:
    @given(generations)
    def test_journal_tells_exactly_what_changed_or_nothing(
        self, history: list[list[list[str]] | None]
    ) -> None:
        """Whoever knows one of the last sixteen generations is told, unless an import came between."""
        journal: dict[str, Any] | None = None
        for generation, members in enumerate(history, 1):
            for names in members or ():
                journal = journal_after(journal, generation, [("recipe", name) for name in names])
        current = len(history)
        for known in range(current):
            since = history[known:]
            told = changed_since(journal, known, current)
            if None in since or len(since) > JOURNAL_GENERATIONS:
                assert told is None
            else:
                changed = [
                    ("recipe", name) for each in since for names in each or () for name in names
                ]
                assert told == list(dict.fromkeys(changed))

    def test_generation_with_too_many_changes_is_dropped_whole(self) -> None:
        """A part of it would be an answer that is wrong; the newest thousand names may stay."""
        names = [("recipe", f"S{number}") for number in range(JOURNAL_MAX - 1)]
        journal = journal_after(journal_after(None, 1, names[:1]), 2, names)
        assert changed_since(journal, 0, 2) == names
        journal = journal_after(journal, 3, names[:1])
        assert changed_since(journal, 0, 3) is None
        assert changed_since(journal, 1, 3) == names
        journal = journal_after(journal, 3, names[:1])
        assert changed_since(journal, 1, 3) is None
        assert changed_since(journal, 2, 3) == names[:1]


class TestShop:
    def test_locations_declared_again_stay_as_they_are(self) -> None:
        """Declaring is safe to repeat, at every start of a program."""
        inventory = Inventory()
        inventory.locations.add("b", "a")
        inventory.locations.add("a", "b", "c")
        assert list(inventory.locations) == ["b", "a", "c"]
        assert "a" in inventory.locations
        assert "d" not in inventory.locations

    def test_a_priority_moves_a_location(self) -> None:
        """Lower comes first."""
        inventory = Inventory()
        inventory.locations.add("near", "far")
        inventory.locations.add("far", priority=0)
        inventory.locations.add("near", priority=7)
        assert list(inventory.locations) == ["far", "near"]

    @pytest.mark.parametrize(
        ("names", "error"),
        [((), InvalidArgument), (("a", ""), InvalidText), ((["a"],), InvalidText)],
    )
    def test_bad_names_declare_nothing(self, names: Any, error: type[Exception]) -> None:
        """Not even the good ones beside them."""
        inventory = Inventory()
        with pytest.raises(error):
            inventory.locations.add(*names)
        assert list(inventory.locations) == []

    def test_a_policy_has_one_scope(self) -> None:
        """A SKU, a location, or everything; and the location must be there."""
        inventory = Inventory()
        inventory.locations.add("berlin")
        with pytest.raises(InvalidArgument, match="one of them"):
            inventory.policies.set(Policy(), sku="MUG", location="berlin")
        with pytest.raises(UnknownLocation):
            inventory.policies.set(Policy(), location="berlim")
        with pytest.raises(InvalidText):
            inventory.policies.set(Policy(), sku=" MUG")

    def test_a_policy_replaces_what_its_scope_had(self) -> None:
        """Setting is not adding."""
        inventory = Inventory()
        inventory.policies.set(Policy(safety_stock=2, reorder_point=9))
        inventory.policies.set(Policy(safety_stock=3))
        assert inventory.policies.of("MUG").safety_stock == 3
        assert inventory.policies.of("MUG").reorder_point is None
