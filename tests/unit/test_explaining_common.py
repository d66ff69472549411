"""One cause behind most mismatches of a channel or a count."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import attrs
import pytest

from truecount.explaining.explain import explain
from truecount.explaining.facts import Candidate, Discrepancy, Evidence, Level
from truecount.explaining.formulas import View, formulas
from truecount.explaining.priors import CauseKind, Certainty
from truecount.explaining.results import Explanations
from truecount.model.stock import Figures, StockKey


NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SKUS = [f"SKU-{number}" for number in range(20)]


def figures(number: int) -> Figures:
    """Return the figures of one SKU: some reserved, some on order, all different."""
    reserved, incoming = number % 4, (number * 3) % 7
    sellable = 20 + number
    return Figures(sellable=sellable, allocated=reserved, incoming=incoming, available=sellable)


def shown_as(
    formula: Callable[[int, Figures], int], *, source: str = "etsy", spoilt: int = 0
) -> tuple[list[Discrepancy], Evidence]:
    """Return levels that a channel makes by *formula*, *spoilt* of them by something else."""
    book = {StockKey(sku, "berlin"): figures(number) for number, sku in enumerate(SKUS)}
    levels = []
    for number, (key, has) in enumerate(book.items()):
        shown = formula(has.available, has)
        if number < spoilt:
            shown = has.available - 50 - number
        levels.append(Level(source=source, sku=key.sku, shown=shown, expected=has.available))
    found = [
        Discrepancy(
            sku=level.sku,
            location="",
            delta=level.shown - level.expected,
            expected=level.expected,
            channel=source,
        )
        for level in levels
        if level.shown != level.expected
    ]
    return found, Evidence(
        levels=levels,
        figures=book | {StockKey("SKU-0", "hamburg"): Figures()},
        factors={sku: [6] for sku in SKUS},
    )


FORMULAS: dict[str, Callable[[int, Figures], int]] = {
    "on hand": lambda _, has: has.on_hand,
    "available and incoming": lambda x, has: x + has.incoming,
    "on hand and incoming": lambda _, has: has.on_hand + has.incoming,
    "at most 25": lambda x, _: min(x, 25),
    "in units of a pack": lambda x, _: x // 6,
    "each unit counted as a pack": lambda x, _: x * 6,
}


class TestFormulas:
    @pytest.mark.parametrize("name", FORMULAS)
    def test_formula_is_found_behind_all_rows(self, name: str) -> None:
        """One sentence explains every row of the channel."""
        found, evidence = shown_as(FORMULAS[name])
        answers = explain(found, evidence)
        [common] = answers.common
        assert (common.kind, common.detail) == (CauseKind.WRONG_FORMULA, name)
        assert common.fixed == common.mismatches == len(found) >= 5
        assert all(each.verdict is Certainty.CONFIDENT for each in answers)
        assert f"etsy shows {name} instead of what may be promised" in answers[0].sentence

    def test_never_below_zero_is_found(self) -> None:
        """A channel that cuts below zero hides that more was sold than there is."""
        levels = [
            Level(source="etsy", sku=sku, shown=max(0, number - 8), expected=number - 8)
            for number, sku in enumerate(SKUS)
        ]
        found = [
            Discrepancy(sku=level.sku, location="", delta=-level.expected, channel="etsy")
            for level in levels
            if level.expected < 0
        ]
        [common] = explain(found, Evidence(levels=levels)).common
        assert common.detail == "never below zero"

    def test_one_location_only_is_found(self) -> None:
        """The channel knows one warehouse of two."""
        book = {}
        for number, sku in enumerate(SKUS):
            book[StockKey(sku, "berlin")] = Figures(sellable=number, available=number)
            book[StockKey(sku, "hamburg")] = Figures(sellable=5, available=5)
        levels = [
            Level(source="etsy", sku=sku, shown=number, expected=number + 5)
            for number, sku in enumerate(SKUS)
        ]
        found = [Discrepancy(sku=sku, location="", delta=-5, channel="etsy") for sku in SKUS]
        [common] = explain(found, Evidence(levels=levels, figures=book)).common
        assert common.detail == "berlin only"

    def test_all_locations_instead_of_one_are_found(self) -> None:
        """The channel sells from one warehouse, and shows what both have."""
        book = {}
        for number, sku in enumerate(SKUS):
            book[StockKey(sku, "berlin")] = Figures(sellable=number, available=number)
            book[StockKey(sku, "hamburg")] = Figures(sellable=5, available=5)
        levels = [
            Level(source="etsy", sku=sku, location="berlin", shown=number + 5, expected=number)
            for number, sku in enumerate(SKUS)
        ]
        found = [Discrepancy(sku=sku, location="berlin", delta=5, channel="etsy") for sku in SKUS]
        [common] = explain(found, Evidence(levels=levels, figures=book)).common
        assert common.detail == "all locations"

    @pytest.mark.parametrize(
        ("locations", "names"),
        [(1, set()), (2, {"all locations", "place-1 only"})],
    )
    def test_places_are_told_apart_where_there_are_several(
        self, locations: int, names: set[str]
    ) -> None:
        """In a shop of one place no channel can show another one's."""
        book = {StockKey("MUG", f"place-{n}"): Figures(sellable=5) for n in range(locations)}
        found = formulas(View(Evidence(figures=book)), StockKey("MUG", "place-0"), 5)
        assert {each.name for each in found if "location" in each.name or "only" in each.name} == (
            names
        )

    def test_four_in_five_are_enough_and_the_rest_is_explained_alone(self) -> None:
        """Rows with a second trouble keep what the formula leaves of their difference."""
        found, evidence = shown_as(FORMULAS["in units of a pack"], spoilt=4)
        answers = explain(found, evidence)
        [common] = answers.common
        assert (common.fixed, common.mismatches) == (16, 20)
        first = answers[0]
        assert first.causes[0].kind is CauseKind.WRONG_FORMULA
        assert len(first.causes) > 1
        assert sum(change for cause in first.causes for _, change in cause.effects) == (
            found[0].delta
        )

    def test_first_of_several_that_say_the_same_of_these_rows_is_named(self) -> None:
        """Goods are on order of one SKU alone, whose row has another trouble: nothing decides."""
        found, evidence = shown_as(FORMULAS["on hand"], spoilt=2)
        coming = {
            key: attrs.evolve(has, incoming=int(key.sku == SKUS[1]))
            for key, has in evidence.figures.items()
        }
        answers = explain(found, Evidence(levels=evidence.levels, figures=coming))
        [common] = answers.common
        assert common.detail == "on hand"
        assert answers[-1].verdict is not Certainty.CONFIDENT

    def test_less_than_four_in_five_are_not(self) -> None:
        """Then there is no common cause, and each row is on its own."""
        found, evidence = shown_as(FORMULAS["in units of a pack"], spoilt=5)
        assert explain(found, evidence).common == ()

    def test_breaking_one_that_agrees_rules_a_formula_out(self) -> None:
        """A formula must also say why the others agree."""
        found, evidence = shown_as(FORMULAS["in units of a pack"])
        right = Level(source="etsy", sku="OTHER", shown=60, expected=60)
        spoilt = Evidence(
            levels=[*evidence.levels, right],
            figures=evidence.figures,
            factors={**evidence.factors, "OTHER": (6,)},
        )
        assert explain(found, spoilt).common == ()

    def test_four_rows_are_too_few(self) -> None:
        """Below five rows a formula is a suspect like others, for each row."""
        found, evidence = shown_as(FORMULAS["in units of a pack"])
        few = Evidence(levels=evidence.levels[:4], factors=evidence.factors)
        answers = explain(found[:4], few)
        assert answers.common == ()
        assert any(
            cause.kind is CauseKind.WRONG_FORMULA
            for hypothesis in answers[0].hypotheses
            for cause in hypothesis.causes
        )

    def test_cases_counted_as_pieces_at_a_location(self) -> None:
        """A count has a common cause as well: its source is the location."""
        levels = [
            Level(source="berlin", sku=sku, location="berlin", shown=n + 2, expected=6 * (n + 2))
            for n, sku in enumerate(SKUS)
        ]
        found = [
            Discrepancy(sku=level.sku, location="berlin", delta=level.shown - level.expected)
            for level in levels
        ]
        evidence = Evidence(levels=levels, factors={sku: [6] for sku in SKUS})
        [common] = explain(found, evidence).common
        assert common.detail == "in units of a pack"

    def test_common_causes_survive_as_plain_data(self) -> None:
        """Written and read back they are equal."""
        found, evidence = shown_as(FORMULAS["on hand"])
        answers = explain(found, evidence)
        assert Explanations.from_dict(answers.to_dict()) == answers


class TestOldPush:
    def shop(self, *, seen: int) -> tuple[list[Discrepancy], Evidence]:
        """Return a channel that saw the first *seen* hours of a day of sales."""
        candidates, levels = [], []
        for number, sku in enumerate(SKUS):
            sold = [-1 - (number + hour) % 3 for hour in range(6)]
            candidates += [
                Candidate(
                    id=f"{sku}-{hour}",
                    kind="sold",
                    effects={StockKey(sku, "berlin"): change},
                    occurred_at=NOON + timedelta(hours=hour, minutes=number),
                    recorded_at=NOON + timedelta(hours=hour, minutes=number),
                )
                for hour, change in enumerate(sold)
            ]
            shown = 100 + sum(sold[:seen])
            levels.append(Level(source="etsy", sku=sku, shown=shown, expected=100 + sum(sold)))
        found = [
            Discrepancy(
                sku=level.sku,
                location="",
                delta=level.shown - level.expected,
                expected=level.expected,
                channel="etsy",
            )
            for level in levels
            if level.shown != level.expected
        ]
        return found, Evidence(candidates=candidates, levels=levels)

    def test_moment_of_the_last_update_is_found(self) -> None:
        """All rows are as they were at one time, and the next change was not seen."""
        found, evidence = self.shop(seen=4)
        answers = explain(found, evidence)
        [common] = answers.common
        assert common.kind is CauseKind.STALE_PUSH
        assert common.fixed == len(SKUS)
        assert common.detail == "2026-03-02 16:00 UTC"
        assert "does not show what changed since 2026-03-02 16:00 UTC" in answers[0].sentence
        assert answers[0].verdict is Certainty.CONFIDENT

    def test_channel_that_saw_everything_has_nothing_to_explain(self) -> None:
        """No difference, no common cause."""
        found, evidence = self.shop(seen=6)
        answers = explain(found, evidence)
        assert answers.common == () == answers.explained

    def test_a_row_of_today_rules_an_old_push_out(self) -> None:
        """A level that only the present explains contradicts it."""
        found, evidence = self.shop(seen=4)
        levels = list(evidence.levels)
        last = levels[-1]
        levels[-1] = Level(source="etsy", sku=last.sku, shown=last.expected, expected=last.expected)
        spoilt = Evidence(candidates=evidence.candidates, levels=levels)
        answers = explain(found[:-1], spoilt)
        assert answers.common == ()

    def test_agreeing_row_narrows_the_moment(self) -> None:
        """Among the moments that fit all mismatches, one that an agreeing row allows is taken."""
        found, evidence = self.shop(seen=4)
        coming_and_going = [
            Candidate(
                id=f"x{change}",
                kind="adjust",
                effects={StockKey("X", "berlin"): change},
                occurred_at=NOON + at,
                recorded_at=NOON + at,
            )
            for change, at in (
                (-5, timedelta(hours=3, minutes=40)),
                (5, timedelta(hours=6)),
            )
        ]
        wider = Evidence(
            candidates=[*evidence.candidates, *coming_and_going],
            levels=[*evidence.levels, Level(source="etsy", sku="X", shown=9, expected=9)],
        )
        [common] = explain(found, wider).common
        assert common.detail == "2026-03-02 15:40 UTC"
