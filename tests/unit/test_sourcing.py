from __future__ import annotations

import pytest

from truecount.reservations.sourcing import EXACT_MAX, Share, by_priority, fewest_locations


MANY = [f"place-{number:02}" for number in range(EXACT_MAX + 3)]


class TestByPriority:
    def test_takes_location_after_location(self) -> None:
        """Each gives what it has, in the order given, until there is enough."""
        offered = {"a": {"MUG": 1}, "b": {"MUG": 2}, "c": {"MUG": 9}}
        assert by_priority({"MUG": 5}, offered, ["b", "a", "c"]) == [
            Share("MUG", "b", 2),
            Share("MUG", "a", 1),
            Share("MUG", "c", 2),
        ]

    def test_gives_less_where_there_is_less(self) -> None:
        """What nobody has is not given."""
        assert by_priority({"MUG": 5, "TEA": 1}, {"a": {"MUG": 2}}, ["a", "b"]) == [
            Share("MUG", "a", 2)
        ]


class TestFewestLocations:
    def test_one_location_that_has_all_wins(self) -> None:
        """Though others come first."""
        offered = {"a": {"MUG": 4}, "b": {"MUG": 5, "TEA": 1}}
        assert fewest_locations({"MUG": 5, "TEA": 1}, offered, ["a", "b"]) == [
            Share("MUG", "b", 5),
            Share("TEA", "b", 1),
        ]

    @pytest.mark.parametrize("order", [["a", "b", "c"], ["c", "b", "a"]])
    def test_ties_go_to_the_higher_priority(self, order: list[str]) -> None:
        """Where several would do, the first in the order is taken."""
        offered = {"a": {"MUG": 5}, "b": {"MUG": 5}, "c": {"MUG": 5}}
        assert fewest_locations({"MUG": 5}, offered, order) == [Share("MUG", order[0], 5)]

    def test_what_cannot_be_served_goes_by_priority(self) -> None:
        """A partial grant takes what there is, first places first."""
        offered = {"a": {"MUG": 1}, "b": {"MUG": 2}}
        assert fewest_locations({"MUG": 9}, offered, ["b", "a"]) == [
            Share("MUG", "b", 2),
            Share("MUG", "a", 1),
        ]

    def test_small_network_is_solved_exactly(self) -> None:
        """The best first step is not always part of the best answer."""
        offered = {
            "greedy": {"A": 2, "B": 2},
            "left": {"A": 4},
            "right": {"B": 3},
            "other": {"A": 1, "B": 1},
        }
        shares = fewest_locations({"A": 4, "B": 3}, offered, list(offered))
        assert {share.location for share in shares} == {"left", "right"}

    @pytest.mark.parametrize(("places", "exact"), [(12, True), (13, False)])
    def test_twelve_places_are_solved_exactly(self, places: int, *, exact: bool) -> None:
        """As the docstring says; a thirteenth makes it a matter of large steps."""
        best = {"greedy": {"A": 2, "B": 2}, "left": {"A": 4}, "right": {"B": 3}}
        offered = best | {place: {"A": 1} for place in MANY[: places - len(best)]}
        shares = fewest_locations({"A": 4, "B": 3}, offered, list(offered))
        assert ({share.location for share in shares} == {"left", "right"}) is exact

    def test_large_network_is_served_greedily(self) -> None:
        """Beyond twelve offers: still complete, and the largest givers first."""
        offered = {place: {"MUG": 1} for place in MANY} | {MANY[7]: {"MUG": 4}}
        shares = fewest_locations({"MUG": 6}, offered, MANY)
        assert shares == [
            Share("MUG", MANY[7], 4),
            Share("MUG", MANY[0], 1),
            Share("MUG", MANY[1], 1),
        ]

    @pytest.mark.parametrize(
        ("first", "second", "most"),
        [({"A": 2}, {"A": 1, "B": 2}, 1), ({"A": 1, "B": 1}, {"A": 3}, 1), ({"A": 3}, {"B": 3}, 0)],
        ids=["three before two", "three of one SKU before one of each", "equal ones by priority"],
    )
    def test_units_that_are_missing_are_what_counts(
        self, first: dict[str, int], second: dict[str, int], most: int
    ) -> None:
        """What a place does not have, or nobody asked for, counts neither for nor against it."""
        named = dict(zip(MANY, (first, second), strict=False))
        offered = {place: {"A": 1, "B": 1, "C": 9} for place in MANY} | named
        shares = fewest_locations({"A": 3, "B": 3}, offered, MANY)
        assert shares[0].location == MANY[most]

    def test_large_network_without_enough_gives_all_it_has(self) -> None:
        """By priority, each its one unit."""
        offered = {place: {"MUG": 1} for place in MANY}
        shares = fewest_locations({"MUG": 99}, offered, MANY)
        assert [share.location for share in shares] == MANY
