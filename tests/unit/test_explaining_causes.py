"""Each cause, from an example that shows it and one that rules it out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest

from truecount.errors import InvalidArgument, InvalidData
from truecount.explaining.cells import case_of
from truecount.explaining.explain import explain
from truecount.explaining.facts import (
    Candidate,
    Discrepancy,
    Evidence,
    Hold,
    OpenTransfer,
    Push,
    Sign,
)
from truecount.explaining.priors import CauseKind, Certainty, Priors
from truecount.explaining.results import Cause, Explanation, Explanations
from truecount.explaining.spanning import spanning_atoms
from truecount.model.stock import StockKey


NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MUG = StockKey("MUG", "berlin")
AFTER, OBSERVED = NOON - 24 * HOUR, NOON + 24 * HOUR


def entry(id_: str, change: int, key: StockKey = MUG, **words: Any) -> Candidate:
    """Return a movement of the book."""
    kind = words.pop("kind", "sold" if change < 0 else "receive")
    at = words.pop("at", NOON)
    return Candidate(
        id=id_,
        kind=kind,
        effects={key: change},
        occurred_at=at,
        recorded_at=words.pop("recorded_at", at),
        **words,
    )


#: A day's ordinary movements, sizes that explain nothing by themselves.
ORDINARY = [
    entry(f"o{number}", change, at=NOON + number * HOUR / 4)
    for number, change in enumerate([-1, -2, -1, 40, -3, -1, -2, -1, 24, -4])
]


def differs(delta: int, key: StockKey = MUG, **words: Any) -> Discrepancy:
    """Return a figure that differs."""
    return Discrepancy(
        sku=key.sku,
        location=key.location,
        delta=delta,
        after=AFTER,
        observed_at=OBSERVED,
        **words,
    )


def only(delta: int, *candidates: Candidate, **words: Any) -> Explanation:
    """Return the explanation of one difference among ordinary movements."""
    evidence = Evidence(candidates=[*ORDINARY, *candidates], **words)
    return explain([differs(delta)], evidence)[0]


def kinds(found: Explanation) -> set[tuple[CauseKind, str]]:
    """Return the single causes among the hypotheses."""
    return {
        (cause.kind, cause.site)
        for hypothesis in found.hypotheses
        if len(hypothesis.causes) == 1
        for cause in hypothesis.causes
    }


class TestOneEntry:
    def test_event_of_a_log_that_is_not_in_the_book(self) -> None:
        """A source's log names it, so it is the explanation."""
        found = only(-7, entry("log-1", -7, booked=False, reference="order-5"))
        assert found.verdict is Certainty.CONFIDENT
        assert found.evidence == ("log-1",)
        assert "sold order-5 of 7 units is not in the book" in found.sentence

    def test_event_of_a_log_is_one_nobody_saw_for_which_something_speaks(self) -> None:
        """Whatever its size: that the log has it and no other is all that tells the two apart."""
        found = only(-7, entry("log-1", -7, booked=False), usual=[-7] * 30)
        chances = {
            hypothesis.causes[0].site: hypothesis.probability
            for hypothesis in found.hypotheses
            if [cause.kind for cause in hypothesis.causes] == [CauseKind.MISSING]
        }
        looked = Priors().odds(found=True) / Priors().odds(found=False)
        assert chances["log-1"] / chances[""] == pytest.approx(looked)

    def test_event_nobody_saw(self) -> None:
        """Without any trace, an event of a usual size is still the likely cause."""
        found = only(24)
        assert found.causes[0].kind is CauseKind.MISSING
        assert found.evidence == ()

    def test_event_that_was_booked_twice(self) -> None:
        """One external id on two movements is one event; both are the evidence."""
        twice = [entry(id_, -7, external_id="etsy-1", origin="etsy") for id_ in ("d1", "d2")]
        found = only(7, *twice)
        assert found.verdict is Certainty.CONFIDENT
        assert found.causes[0].kind is CauseKind.DUPLICATE
        assert found.evidence == ("d1", "d2")

    def test_same_document_and_size_is_one_event(self) -> None:
        """Without external ids the document and the size tell."""
        twice = [entry(id_, -7, reference="order-9") for id_ in ("d1", "d2")]
        assert only(7, *twice).causes[0].kind is CauseKind.DUPLICATE

    def test_unique_external_id_speaks_against_a_duplicate(self) -> None:
        """What its source knows once was hardly booked twice."""
        named = only(7, entry("d1", -7, external_id="etsy-1"))
        plain = only(7, entry("d1", -7))
        assert chance(named, CauseKind.DUPLICATE) < chance(plain, CauseKind.DUPLICATE)

    def test_unique_document_speaks_against_a_duplicate(self) -> None:
        """What is booked twice mostly is under one document."""
        named = only(7, entry("d1", -7, reference="order-9"))
        plain = only(7, entry("d1", -7))
        assert chance(named, CauseKind.DUPLICATE) < chance(plain, CauseKind.DUPLICATE)

    def test_size_that_is_usual_elsewhere_is_usual_here(self) -> None:
        """Thirty sales of 17 of other SKUs make one that nobody booked likely."""
        alone, among = only(-17), only(-17, usual=[-17] * 30)
        assert chance(among, CauseKind.MISSING) > chance(alone, CauseKind.MISSING)

    def test_duplicate_and_return_are_told_apart_by_evidence_only(self) -> None:
        """Both leave the same difference, so without evidence both are shown."""
        sale = entry("s1", -7, reference="order-3")
        undecided = only(7, sale)
        assert {kind for kind, site in kinds(undecided) if site == "s1"} >= {
            CauseKind.DUPLICATE,
            CauseKind.NOT_PUT_BACK,
        }
        decided = only(7, sale, taken_back={"order-3"})
        assert decided.causes[0].kind is CauseKind.NOT_PUT_BACK
        assert decided.verdict is Certainty.CONFIDENT
        assert "sold order-3 of 7 units was cancelled or returned, and never put back" in (
            decided.sentence
        )

    def test_pieces_and_cases(self) -> None:
        """Twelve cases booked as twelve pieces, and pieces booked as cases."""
        found = only(11 * 13, entry("u1", 13), factors={"MUG": [12]})
        assert (found.causes[0].kind, found.causes[0].site) == (CauseKind.UNIT, "u1")
        found = only(-55, entry("u1", 60), factors={"MUG": [12]})
        assert (CauseKind.UNIT, "u1") in kinds(found)
        assert (CauseKind.UNIT, "u1") not in kinds(only(-55, entry("u1", 60)))

    @pytest.mark.parametrize(
        ("booked", "delta", "kind"),
        [
            (132, -9, CauseKind.TRANSPOSED),
            (132, 180, CauseKind.TRANSPOSED),
            (130, -117, CauseKind.SLIP),
            (17, 153, CauseKind.SLIP),
            (1, 9, CauseKind.SLIP),
            (-17, 34, CauseKind.SIGN),
        ],
    )
    def test_typing_errors_need_a_typed_entry(
        self, booked: int, delta: int, kind: CauseKind
    ) -> None:
        """The same difference is explained by a typed number, never by an imported one."""
        typed = only(delta, entry("t1", booked, kind="adjust", keyed=True))
        assert (typed.causes[0].kind, typed.causes[0].site) == (kind, "t1")
        assert f"is booked as {booked:+d} but was {booked + delta:+d}" in typed.sentence
        assert (kind, "t1") not in kinds(only(delta, entry("t1", booked, kind="adjust")))

    def test_multiple_of_nine_alone_is_no_evidence(self) -> None:
        """No typed number becomes right by a swap, so none is blamed."""
        found = only(-18, entry("t1", 132, keyed=True))
        assert CauseKind.TRANSPOSED not in {kind for kind, _ in kinds(found)}

    def test_sale_under_way(self) -> None:
        """It happened minutes before the other side was looked at."""
        late = entry("f1", -7, at=OBSERVED - timedelta(minutes=5))
        found = only(7, late)
        assert (found.causes[0].kind, found.causes[0].site) == (CauseKind.IN_FLIGHT, "f1")

    def test_only_movements_of_the_bracket_are_suspected(self) -> None:
        """What occurred and was recorded before the last agreement is innocent."""
        old = entry("x1", -7, at=AFTER - HOUR)
        assert all(site != "x1" for _, site in kinds(only(7, old)))
        late = entry("x2", -7, at=AFTER - HOUR, recorded_at=NOON)
        assert (CauseKind.DUPLICATE, "x2") in kinds(only(7, late))

    @pytest.mark.parametrize("minutes", [-14, 14])
    def test_clocks_may_differ_where_the_bracket_begins(self, minutes: int) -> None:
        """What is stamped shortly before the last agreement may have come after it."""
        near = entry("x3", -7, at=AFTER + timedelta(minutes=minutes))
        assert (CauseKind.DUPLICATE, "x3") in kinds(only(7, near))


def chance(found: Explanation, kind: CauseKind) -> float:
    """Return the probability of all listed hypotheses with a kind of cause."""
    return sum(
        hypothesis.probability
        for hypothesis in found.hypotheses
        if any(cause.kind is kind for cause in hypothesis.causes)
    )


class TestOtherEvidence:
    def test_promise_counted_as_sold_or_given_back_twice(self) -> None:
        """A promise of exactly that size is a suspect both ways."""
        hold = Hold(reference="cart-7", key=MUG, quantity=17)
        for delta, words in ((-17, "counted as sold"), (17, "given back twice")):
            found = only(delta, holds=[hold])
            assert found.causes[0].kind is CauseKind.HOLD
            assert f"17 units promised to cart-7 were {words}" in found.sentence

    def test_transfer_that_arrived_unsaid(self) -> None:
        """Units on the way that stand on the shelf."""
        transfer = OpenTransfer(
            reference="T-1", source=MUG._replace(location="hamburg"), target=MUG, on_the_way=17
        )
        found = only(17, transfers=[transfer])
        assert found.causes[0].kind is CauseKind.HALF_BOOKED
        assert found.verdict is Certainty.CONFIDENT

    def test_count_against_an_old_book(self) -> None:
        """1,000 less 100 issued, counted 900 against a snapshot of 1,000: the book says 800."""
        issued = entry("i1", -100, at=NOON + 5 * HOUR)
        count = entry("c1", -100, kind="count", at=NOON + 4 * HOUR, recorded_at=NOON + 6 * HOUR)
        found = only(100, issued, attrs.evolve(count, opened_at=NOON + 4 * HOUR))
        assert (CauseKind.OLD_BOOK, "c1") in kinds(found)
        looked = only(
            100,
            issued,
            count,
            signs=[Sign(CauseKind.OLD_BOOK, "c1", found=True)],
        )
        assert looked.causes[0].kind is CauseKind.OLD_BOOK
        assert set(looked.evidence) == {"c1", "i1"}

    def test_push_that_overwrote_a_sale(self) -> None:
        """Computed before the sale, applied after it: the channel forgot its own sale."""
        push = Push(
            id="p1",
            channel="etsy",
            sku="MUG",
            level=50,
            computed_at=NOON + 5 * HOUR,
            applied_at=NOON + 7 * HOUR,
        )
        sale = entry("s1", -17, at=NOON + 6 * HOUR)
        evidence = Evidence(candidates=[*ORDINARY, sale], pushes=[push])
        found = explain([differs(17, channel="etsy", expected=33)], evidence)[0]
        assert {(CauseKind.LOST_UPDATE, "p1"), (CauseKind.STALE_PUSH, "p1")} <= kinds(found)
        shelf = explain([differs(17, expected=33)], evidence)[0]
        assert (CauseKind.LOST_UPDATE, "p1") not in kinds(shelf)

    def test_old_level_of_the_book(self) -> None:
        """Without a history of pushes, what the book showed earlier is compared."""
        evidence = Evidence(candidates=ORDINARY)
        shown = explain([differs(-20, channel="etsy", expected=100)], evidence)[0]
        assert CauseKind.STALE_PUSH in {kind for kind, _ in kinds(shown)}


HAMBURG = MUG._replace(location="hamburg")
MUG2 = StockKey("MUG-2", "berlin")


class TestSeveralFigures:
    def both(self, second: Discrepancy, delta: int = 7, **words: Any) -> Explanations:
        """Return explanations of two figures, of which the first has a sale of 7."""
        evidence = Evidence(candidates=[*ORDINARY, entry("w1", -7)], **words)
        return explain([differs(delta), second], evidence)

    def test_wrong_location_explains_both_ends(self) -> None:
        """The same cause, with the same probability, at both figures."""
        one, two = self.both(differs(-7, HAMBURG), locations={"berlin", "hamburg"})
        assert one.causes[0].kind is CauseKind.WRONG_LOCATION
        assert one.causes == two.causes
        assert one.probability == pytest.approx(two.probability)
        assert "is booked on MUG at berlin but was MUG at hamburg" in one.sentence

    def test_wrong_sku_needs_a_look_alike(self) -> None:
        """An opposite pair alone is found by chance half of the time."""
        names = {"MUG": ["MUG-2"], "MUG-2": ["MUG"]}
        found = self.both(differs(-7, MUG2), look_alikes=names)
        assert found[0].causes[0].kind is CauseKind.WRONG_SKU
        strangers = self.both(differs(-7, MUG2))
        assert all(cause.kind is not CauseKind.WRONG_SKU for cause in strangers[0].causes)

    def test_a_figure_that_agrees_rules_it_out(self) -> None:
        """Nothing is missing at the other end, so nothing was booked there by mistake."""
        found = only(7, entry("w1", -7), locations={"berlin", "hamburg"})
        assert CauseKind.WRONG_LOCATION not in {kind for kind, _ in kinds(found)}

    def test_a_look_up_finds_it_beside_a_second_cause(self) -> None:
        """With a sign for it, neither end needs to be settled alone: two causes, both named."""
        evidence = Evidence(
            candidates=[*ORDINARY, entry("w1", -7), entry("t1", 132, kind="adjust", keyed=True)],
            locations={"berlin", "hamburg"},
            signs=[
                Sign(CauseKind.WRONG_LOCATION, "w1", found=True),
                Sign(CauseKind.TRANSPOSED, "t1", found=True),
            ],
        )
        one, two = explain([differs(7 - 9), differs(-7, HAMBURG)], evidence)
        assert {cause.kind for cause in one.causes} == {
            CauseKind.WRONG_LOCATION,
            CauseKind.TRANSPOSED,
        }
        assert {cause.kind for cause in two.causes} == {CauseKind.WRONG_LOCATION}

    def test_kit_not_exploded_fits_all_components(self) -> None:
        """Three kits: twice three mugs and three times three teas are gone."""
        tea = StockKey("TEA", "berlin")
        evidence = Evidence(candidates=ORDINARY, recipes={"SET": {"MUG": 2, "TEA": 3}})
        one, two = explain([differs(-6), differs(-9, tea)], evidence)
        assert one.causes[0].kind is two.causes[0].kind is CauseKind.KIT_NOT_EXPLODED
        assert "3 units of the kit SET left without their components" in one.sentence
        one, two = explain([differs(-6), differs(-8, tea)], evidence)
        assert one.causes[0].kind is not CauseKind.KIT_NOT_EXPLODED or (len(two.causes) > 1), (
            "no number of kits fits both"
        )

    def test_one_component_of_three_makes_no_kit(self) -> None:
        """A number that fits less than half of the components is a coincidence."""
        others = [StockKey(sku, "berlin") for sku in ("TEA", "BOX")]
        evidence = Evidence(candidates=ORDINARY, recipes={"SET": {"MUG": 2, "TEA": 3, "BOX": 5}})
        found = explain([differs(-6), differs(-7, others[0]), differs(-1, others[1])], evidence)
        for each in found:
            for hypothesis in each.hypotheses:
                assert all(c.kind is not CauseKind.KIT_NOT_EXPLODED for c in hypothesis.causes)
        fitting = explain([differs(-6), differs(-9, others[0]), differs(-15, others[1])], evidence)
        assert {each.causes[0].kind for each in fitting} == {CauseKind.KIT_NOT_EXPLODED}

    def test_kit_booked_on_the_kit(self) -> None:
        """The kit itself left the book instead of its components."""
        tea, kit = StockKey("TEA", "berlin"), StockKey("SET", "berlin")
        evidence = Evidence(
            candidates=[*ORDINARY, entry("k1", -3, kit)],
            recipes={"SET": {"MUG": 2, "TEA": 3}},
        )
        found = explain([differs(-6), differs(-9, tea), differs(3, kit)], evidence)
        for each in found:
            assert each.causes[0].kind is CauseKind.KIT_NOT_EXPLODED
            assert each.evidence == ("k1",)
            assert each.verdict is Certainty.CONFIDENT

    @pytest.mark.parametrize("booked", [True, False])
    def test_kit_that_is_booked_needs_no_usual_size(self, *, booked: bool) -> None:
        """The movement is there; of a sale that nobody booked the size has to be likely."""
        tea, kit = StockKey("TEA", "berlin"), StockKey("SET", "berlin")
        sale = [entry("k1", -3, kit)] if booked else []
        evidence = Evidence(candidates=[*ORDINARY, *sale], recipes={"SET": {"MUG": 2, "TEA": 3}})
        found = [differs(-6), differs(-9, tea), differs(3, kit)]
        case = case_of(found, evidence, Priors())
        [atom] = spanning_atoms(case)
        chance = 1.0 if booked else case.sizes.chance(0, -3)
        assert atom.weight == case.weight(CauseKind.KIT_NOT_EXPLODED, "SET", 1) * chance

    @pytest.mark.parametrize("delta", [7, -7])
    def test_only_an_entry_that_settles_both_ends_is_at_the_wrong_place(self, delta: int) -> None:
        """A smaller one beside it would leave a difference at either end."""
        sales = [entry("w1", -delta), entry("w2", -delta // 7), entry("w3", -delta * 2)]
        evidence = Evidence(candidates=sales, locations={"berlin", "hamburg"})
        case = case_of([differs(delta), differs(-delta, HAMBURG)], evidence, Priors())
        assert {atom.site for atom in spanning_atoms(case)} == {"w1"}

    def test_figure_of_a_sku_everywhere(self) -> None:
        """A level without a location is about the effects at all of them, added up."""
        everywhere = Discrepancy(sku="MUG", location="", delta=7)
        moved = Candidate(
            id="r1",
            kind="relocate",
            effects={MUG: -7, HAMBURG: 7},
            occurred_at=NOON,
            recorded_at=NOON,
        )
        found = explain([everywhere], Evidence(candidates=[moved, entry("s1", -7, HAMBURG)]))[0]
        assert {site for _, site in kinds(found)} >= {"s1"}
        assert "r1" not in {site for _, site in kinds(found)}


class TestHonesty:
    def test_unexplained_is_even_in_the_usual_range_and_rarer_beyond_it(self) -> None:
        """Ten units either way of one figure; what is twice that is a fourth as likely."""
        case = case_of([differs(3)], Evidence(), Priors())
        prior = case.priors.weights[CauseKind.UNEXPLAINED]
        for left, share in ((1, 1.0), (-10, 1.0), (15, 4 / 9), (-20, 1 / 4)):
            assert case.unexplained(left) == pytest.approx(prior / 21 * share)

    def test_no_difference_no_explanation(self) -> None:
        """Nothing is asked, nothing is answered."""
        assert len(explain([], Evidence(candidates=ORDINARY))) == 0

    def test_share_of_sizes_not_seen_is_that_of_different_ones_among_all(self) -> None:
        """Three sales of seven: one in four is left for other sizes, and for seven again."""
        case = case_of([differs(3)], Evidence(usual=[-7] * 3), Priors())
        unseen = (1 / (2 * 7 * 8) + 1 / 4) / 2
        assert case.sizes.chance(0, -7) == pytest.approx((3 + unseen) / 4)

    def test_only_cause_there_is_has_no_rivals(self) -> None:
        """Another one of the same size is one, and the answer counts it."""
        for events in (1, 2):
            log = [entry(f"log-{n}", -7, booked=False) for n in range(events)]
            [found] = explain([differs(-7)], Evidence(candidates=log))
            assert found.rivals == events - 1

    def test_without_any_evidence_nothing_is_confident(self) -> None:
        """A difference alone has no cause, and the sentence says what to do."""
        found = explain([differs(-3)], priors=Priors({CauseKind.MISSING: 0}))[0]
        assert found.verdict is Certainty.UNEXPLAINED
        assert found.causes[0].kind is CauseKind.UNEXPLAINED
        assert "count it again" in found.sentence

    def test_half_an_explanation_is_never_confident(self) -> None:
        """However sure the cause is, what it leaves over has none."""
        priors = Priors({CauseKind.MISSING: 0, CauseKind.DUPLICATE: 1_000}, further=0.9)
        evidence = Evidence(candidates=[entry("d1", -7)])
        found = explain([differs(9)], evidence, priors=priors)[0]
        assert [cause.kind for cause in found.causes] == [
            CauseKind.DUPLICATE,
            CauseKind.UNEXPLAINED,
        ]
        assert found.probability > 0.9
        assert found.verdict is Certainty.LIKELY
        assert "2 units remain without an explanation" in found.sentence

    def test_coincidences_are_counted(self) -> None:
        """Sixty sales of small sizes: every pair that fits is counted, none is believed."""
        sales = [entry(f"s{n}", -1 - n % 6) for n in range(60)]
        found = explain([differs(13)], Evidence(candidates=sales))[0]
        single, pairs, triples = found.ways
        assert single == 0
        assert pairs == 0, "two entries of at most six make no thirteen"
        assert triples > 1_000
        assert found.verdict is not Certainty.CONFIDENT

    def test_two_discrepancies_of_one_figure_are_refused(self) -> None:
        """A figure differs by one number; steps of it have brackets of their own."""
        with pytest.raises(InvalidArgument, match="two of 'MUG' at 'berlin'"):
            explain([differs(1), differs(2)])
        with pytest.raises(InvalidArgument, match="Discrepancy values"):
            explain([7])  # type: ignore[list-item]  # bad on purpose

    def test_too_many_changes_are_said_to_be_too_many(self) -> None:
        """Where triples cannot all be looked at, the answer says so and is not confident."""
        many = [entry(f"m{n}", -((n + 1) ** 2)) for n in range(300)]
        found = explain([differs(4)], Evidence(candidates=many))[0]
        assert found.truncated
        assert found.verdict is not Certainty.CONFIDENT


class TestData:
    def test_explanations_survive_as_plain_data(self) -> None:
        """Written and read back they are equal."""
        evidence = Evidence(
            candidates=[*ORDINARY, entry("w1", -7)], locations={"berlin", "hamburg"}
        )
        found = explain([differs(7), differs(-7, HAMBURG)], evidence)
        assert Explanations.from_dict(found.to_dict()) == found

    @pytest.mark.parametrize(
        "data", [{}, {"schema": 1}, {"schema": 1, "explained": [{}], "common": []}]
    )
    def test_other_data_is_refused(self, data: Mapping[str, Any]) -> None:
        """What to_dict did not write is not guessed at."""
        with pytest.raises(InvalidData, match="cannot read explanations"):
            Explanations.from_dict(data)

    def test_with_verdict_selects(self) -> None:
        """A repair asks for the confident ones alone."""
        found = explain([differs(24)], Evidence(candidates=ORDINARY))
        assert found.with_verdict(*Certainty) == found.explained
        assert found.with_verdict() == ()
        assert isinstance(found[0].causes[0], Cause)
