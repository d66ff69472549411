"""The page of a report: what is on it, in what order, and that nothing on it is not text."""

from __future__ import annotations

import ast
import csv
import io
from base64 import b64encode
from collections.abc import Callable
from datetime import timedelta, timezone
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import attrs
import pytest

from tests.pages import Node, parsed
from tests.reports import HOSTILE, Told, told
from tests.shops import MINUTE, Shop
from truecount import (
    Certainty,
    Count,
    MismatchKind,
    PlanAction,
    Reconciliation,
    Sold,
    State,
    Timeline,
    timeline_html,
    timeline_of,
)
from truecount.errors import InternalError
from truecount.reconciliation.mismatches import KINDS
from truecount.rendering import lists, markup, page, style
from truecount.rendering.cells import harmless
from truecount.rendering.chart import frame_of, short, tick_step
from truecount.rendering.markup import Html, element, embedded, joined, text
from truecount.rendering.plans import ACTIONS
from truecount.rendering.words import CERTAINTY_WORDS, KIND_WORDS, summary


@pytest.fixture(scope="module")
def everything() -> Told:
    """A report with one of nearly everything."""
    return told()


@pytest.fixture(scope="module")
def drawn(everything: Told) -> Node:
    """Its page, as a browser's parser sees it."""
    return parsed(everything.page())


def report_of(*counts: int) -> Reconciliation:
    """Return a report of counts of MUG, TEA, CUP, of which the book has five each."""
    skus = ("MUG", "TEA", "CUP")[: len(counts)]
    shop = Shop({"berlin": dict.fromkeys(skus, 5)})
    shop.clock.tick(MINUTE)
    return shop.inventory.reconcile(
        [Count(sku, n, at="berlin") for sku, n in zip(skus, counts, strict=True)]
    )


class TestStructure:
    def test_page_has_one_heading_and_its_sections_in_order(self, drawn: Node) -> None:
        """First what is urgent, then what differs, what waits, how it came, what to do."""
        assert [node.text for node in drawn.all("h1")] == ["Stock compared with the book"]
        assert [node.text for node in drawn.all("h2")] == [
            "Orders at risk",
            "One cause for many",
            "What differs",
            "Not decided yet",
            "Over time",
            "The plan",
        ]

    def test_headings_leave_no_level_out(self, drawn: Node) -> None:
        """Who listens to a page walks it by its headings."""
        levels = [int(n.name[1]) for n in drawn.walk() if n.name in {"h1", "h2", "h3", "h4"}]
        assert levels[0] == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))

    def test_every_table_says_what_it_is_and_what_its_cells_are(self, drawn: Node) -> None:
        """A caption, a scope on each heading, and in each cell the name of its column."""
        tables = drawn.all("table")
        assert len(tables) == 10
        for table in tables:
            assert table.one("caption").text
            names = [head.text for head in table.all("th", scope="col")]
            for row in table.one("tbody").all("tr"):
                cells = [n for n in row.children if isinstance(n, Node)]
                assert [cell.attributes["data-label"] for cell in cells] == names
                assert [cell.attributes["role"] for cell in cells].count("rowheader") == 1

    def test_names_of_parts_are_unique_and_lead_somewhere(self, drawn: Node) -> None:
        """What labels a part by name finds exactly one."""
        ids = [n.attributes["id"] for n in drawn.walk() if "id" in n.attributes]
        assert len(ids) == len(set(ids))
        named = [n.attributes.get("aria-labelledby", "").split() for n in drawn.walk()]
        assert {name for names in named for name in names} <= set(ids)

    def test_nothing_leads_out_of_the_page(self, drawn: Node) -> None:
        """No address, no picture, no second file; and the page forbids itself to have any."""
        for node in drawn.walk():
            assert node.name not in {"a", "base", "form", "iframe", "img", "link", "object"}
            assert not {"href", "src", "style"} & node.attributes.keys()
        policy = drawn.one("meta", http_equiv="Content-Security-Policy").attributes["content"]
        assert policy.startswith("default-src 'none'; script-src 'sha256-")
        digest = sha256(drawn.one("script").text.encode()).digest()
        assert b64encode(digest).decode() in policy
        assert "url(" not in style.STYLE
        assert "@import" not in style.STYLE

    def test_same_report_gives_the_same_page(self, everything: Told) -> None:
        """A page can be kept under version control, and compared."""
        assert everything.page() == told().page()


class TestContent:
    def test_every_mismatch_has_a_row_with_all_that_is_known(
        self, drawn: Node, everything: Told
    ) -> None:
        """What it is, where, seen, book, difference, since when, what is at risk, and why."""
        tables = [n for n in drawn.all("table") if n.one("caption").text == "Every mismatch"]
        rows = tables[0].one("tbody").all("tr")
        assert len(rows) == len(everything.report.mismatches)
        [mug] = [row for row in rows if "counted 25 by sam" in row.text]
        cells = {
            n.attributes["data-label"]: n.text for n in mug.walk() if "data-label" in n.attributes
        }
        assert cells["Where"] == "berlin"
        assert (cells["Seen"], cells["Book"], cells["Difference"]) == ("25", "28", "−3")
        assert "2 Mar 2026, 23:01 UTC to 2 Mar 2026, 23:06 UTC" in cells["Observed"]
        assert KINDS[MismatchKind.PHANTOM].advice in cells["What"]
        [vase] = [row for row in rows if "counted 4 by sam" in row.text]
        assert vase.all("td", data_label="Orders at risk")[0].text == "order-7"
        [old] = [row for row in rows if "listed 2 times" in row.text]
        assert "several figures" in old.text
        assert "not listed" in next(row.text for row in rows if "missing from a list" in row.text)

    def test_what_waits_says_until_when(self, drawn: Node) -> None:
        """A time, or that waiting will not tell."""
        [table] = [n for n in drawn.all("table") if n.one("caption").text == "Not decided yet"]
        assert "from 2 Mar 2026, 23:13 UTC" in table.text
        shop = Shop({"berlin": {"MUG": 5}})
        since = shop.clock.tick(MINUTE)
        shop.inventory.record([Sold("MUG", 1, at="berlin", key="till-1")])
        until = shop.clock.tick(MINUTE)
        count = Count("MUG", 4, at="berlin", counted_at=since - MINUTE, counted_until=until)
        source = shop.inventory.reconcile([count])
        assert "not by waiting" in parsed(source.to_html()).text

    def test_hostile_name_is_text(self, drawn: Node) -> None:
        """A SKU that is a script is shown, not run: there is one script, ours."""
        assert len(drawn.all("script")) == 1
        assert drawn.one("body").text.count(HOSTILE) >= 4

    def test_summary_says_it_in_one_sentence(self, everything: Told) -> None:
        """Numbers, verb forms and the orders at risk are right for none, one and many."""
        assert summary(report_of()) == "Nothing was compared."
        assert summary(report_of(5, 5)) == (
            "Everything matches: all 2 quantities that were compared are what the book says."
        )
        assert summary(report_of(5)).startswith("Everything matches: the one quantity that was")
        assert summary(report_of(4)) == (
            "The one quantity that was compared does not match the book; no order is at risk."
        )
        assert summary(report_of(5, 4, 4)) == (
            "Of 3 quantities compared, 2 do not match the book; no order is at risk."
        )
        assert summary(everything.report) == (
            "Of 11 quantities compared, 9 do not match the book and 1 cannot be judged yet;"
            " 1 order is at risk."
        )

    def test_report_without_differences_has_no_empty_parts(self) -> None:
        """Nothing is shown of what there is not."""
        drawn = parsed(report_of(5, 5).to_html())
        assert not drawn.all("h2")
        assert not drawn.all("table")
        assert not parsed(report_of().to_html()).all("svg")

    def test_title_and_zone_are_the_caller_s(self) -> None:
        """A shop names its page and reads its own clock; the exact time stays beside it."""
        zone = timezone(timedelta(hours=1), "CET")
        drawn = parsed(report_of(4).to_html(title="Shelf <A>", zone=zone))
        assert drawn.one("title").text == drawn.one("h1").text == "Shelf <A>"
        time = drawn.all("time")[0]
        assert time.text == "2 Mar 2026, 10:01 CET"
        assert time.attributes["datetime"] == "2026-03-02T09:01:00+00:00"

    def test_long_list_is_cut_and_says_so(
        self, everything: Told, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A page stays readable; what it leaves out is counted and found in the CSV."""
        monkeypatch.setattr(lists, "ROWS_MAX", 30)
        one = everything.report.mismatches[0]
        many = attrs.evolve(
            everything.report,
            mismatches=tuple(attrs.evolve(one, sku=f"S-{n}") for n in range(lists.ROWS_MAX + 1)),
            kinds={one.kind: lists.ROWS_MAX + 5},
        )
        drawn = parsed(many.to_html())
        [table] = [n for n in drawn.all("table") if n.one("caption").text == "Every mismatch"]
        assert len(table.one("tbody").all("tr")) == lists.ROWS_MAX
        assert "The first 30 of 31; the CSV of the report has all." in drawn.text
        assert "4 more are counted, not listed." in drawn.text
        assert "and 11 other SKUs" in drawn.text

    def test_rare_mismatch_is_still_seen_in_the_bar(self) -> None:
        """One in a million is drawn as a hair and not as nothing."""
        report = attrs.evolve(report_of(4), matches=999_999)
        bar = parsed(report.to_html()).one("svg", class_="bar")
        assert [int(part.attributes["width"]) for part in bar.all("rect")] == [999, page._PART_MIN]

    def test_every_kind_has_words(self) -> None:
        """A kind the differ learns is one the page can say."""
        assert KIND_WORDS.keys() == {kind.value for kind in MismatchKind}
        assert len({words.label for words in KIND_WORDS.values()}) == len(MismatchKind)

    def test_plan_tells_apart_what_is_written_and_what_is_not(self, drawn: Node) -> None:
        """Nothing is approved by reading; what is left out has its reason."""
        captions = [node.text for node in drawn.all("caption")]
        assert captions[-3:] == ["Changes of the book", "To do elsewhere", "Left out"]
        assert "3 lines change the book, 6 are to be done elsewhere." in drawn.text
        assert "undecided until 2026-03-02 23:13 UTC" in drawn.text

    def test_every_line_of_the_plan_is_drawn_as_it_will_be_done(
        self, everything: Told, drawn: Node
    ) -> None:
        """Whoever approves by the page approves what `repair` writes, and knows its id."""
        plan = everything.report.plan()
        section = drawn.one("section", aria_labelledby="plan")
        rows = [row for body in section.all("tbody")[:2] for row in body.all("tr")]
        told = {
            row.one("div", class_="quiet").text: row.one("span", class_="kind").text for row in rows
        }
        assert list(told) == [line.sentence for line in (*plan.written, *plan.outside)]
        assert {ACTIONS[line.action] for line in plan.lines} == set(told.values())
        assert section.all("p")[-1].text == f"Plan {plan.id}"
        assert ACTIONS.keys() == set(PlanAction)


class TestCauses:
    def explained(self) -> Reconciliation:
        """Return an explained report of a shelf with a delivery that is booked twice."""
        shop = Shop({"berlin": {"MUG": 50, "TEA": 400}})
        for number in range(2):
            shop.inventory.receive("MUG", 23, at="berlin", reference="PO-9", key=f"k{number}")
        shop.clock.tick(MINUTE)
        counts = [
            Count("MUG", 73, at="berlin", counter="ann"),
            Count("TEA", 36, at="berlin", covers={State.SELLABLE}),
        ]
        return shop.inventory.explain(shop.inventory.reconcile(counts))

    def test_cause_stands_under_its_mismatch_with_how_far_to_trust_it(self) -> None:
        """The word is there to read, the chance and the movements beside it."""
        mug, tea = parsed(self.explained().to_html()).all("div", class_="cause")
        assert mug.text.startswith("Almost certain: receive PO-9 is in the book twice (9")
        assert mug.text.endswith("%) movements main-000006, main-000007")
        assert tea.text.startswith("It cannot be told; first look whether: ")

    def test_nothing_that_explains_it_is_said_so(self) -> None:
        """The rest of the difference is not called a cause."""
        report = self.explained()
        one = report.mismatches[1]
        assert one.explanation is not None
        none = attrs.evolve(one.explanation, verdict=Certainty.UNEXPLAINED)
        drawn = parsed(
            attrs.evolve(report, mismatches=(attrs.evolve(one, explanation=none),)).to_html()
        )
        assert drawn.one("div", class_="cause").text == (
            "Unexplained: no cause that is known of explains it, so count again"
        )

    def test_rivals_are_shown_with_their_chances(self) -> None:
        """At most three, after how many fit as exactly."""
        report = self.explained()
        why = report.mismatches[0].explanation
        assert why is not None
        fourfold = attrs.evolve(why, hypotheses=why.hypotheses[:1] + why.hypotheses[:1] * 4)
        one = attrs.evolve(report.mismatches[0], explanation=fourfold)
        drawn = parsed(attrs.evolve(report, mismatches=(one,)).to_html())
        assert len(drawn.one("details").all("li")) == 3
        assert f"It may also be ({why.rivals} other set" in drawn.one("details").text
        alone = attrs.evolve(one, explanation=attrs.evolve(why, hypotheses=why.hypotheses[:1]))
        drawn = parsed(attrs.evolve(report, mismatches=(alone,)).to_html())
        assert not drawn.one("details").all("li")
        assert "It may also be" not in drawn.text

    def test_thousand_movements_of_one_cause_are_counted(self) -> None:
        """Five are named."""
        report = self.explained()
        why = report.mismatches[0].explanation
        assert why is not None
        [cause] = why.causes
        many = attrs.evolve(cause, evidence=tuple(f"m{n}" for n in range(1_000)))
        best = attrs.evolve(why.best, causes=(many,))
        one = attrs.evolve(report.mismatches[0], explanation=attrs.evolve(why, hypotheses=(best,)))
        drawn = parsed(attrs.evolve(report, mismatches=(one,)).to_html())
        assert "movements m0, m1, m2, m3, m4 and 995 more" in drawn.one("div", class_="cause").text

    def test_who_counted_and_what_is_shown(self) -> None:
        """The counter beside the clock; the states only when they are unusual."""
        drawn = parsed(self.explained().to_html())
        assert "shelf by ann" in drawn.text
        assert drawn.text.count("Counted was what is") == 1
        assert "Counted was what is sellable." in drawn.text

    def test_common_causes_come_before_what_differs(self, drawn: Node) -> None:
        """One sentence for many rows; hostile names in it are text."""
        [section] = [n for n in drawn.all("section") if "One cause for many" in n.text]
        assert section.one("li").text.startswith(HOSTILE)

    def test_report_that_was_not_explained_says_nothing_of_causes(self) -> None:
        """No empty places for what nobody asked."""
        drawn = parsed(report_of(5, 4).to_html())
        assert not drawn.all("div", class_="cause")
        assert "One cause for many" not in drawn.text
        assert not parsed(report_of(5, 4)._repr_html_()).all("div", class_="cause")

    def test_notebook_shows_causes(self, everything: Told) -> None:
        """Under the sentence of a mismatch, and those of many at the top."""
        told = parsed(self.explained()._repr_html_())
        assert "Almost certain: receive PO-9" in told.text
        assert parsed(everything.report._repr_html_()).all("li")

    def test_file_has_causes_in_its_last_columns(self) -> None:
        """Who counted what, and the cause as data and in words."""
        stream = io.StringIO()
        self.explained().to_csv(stream)
        mug, tea = csv.DictReader(io.StringIO(stream.getvalue()))
        assert (mug["counter"], mug["cause"], mug["certainty"]) == ("ann", "duplicate", "confident")
        assert "receive PO-9 is in the book twice" in mug["explanation"]
        assert mug["covers"] == "allocated damaged held quarantine sellable"
        assert (tea["counter"], tea["covers"], tea["certainty"]) == ("", "sellable", "ambiguous")

    def test_every_certainty_has_words(self) -> None:
        """One that is learned later is one the page can say."""
        assert CERTAINTY_WORDS.keys() == {each.value for each in Certainty}


class TestNotebook:
    def test_notebook_shows_the_sentence_and_the_first_rows(self, everything: Told) -> None:
        """No style, no script: a notebook has its own."""
        drawn = parsed(everything.report._repr_html_())
        assert drawn.one("b").text == summary(everything.report)
        assert len(drawn.one("tbody").all("tr")) == len(everything.report.mismatches)
        assert "and 1 more that do not match or are not decided" in drawn.text
        assert not drawn.all("script")
        assert not parsed(report_of(5)._repr_html_()).all("table")


class TestSpreadsheet:
    @pytest.mark.parametrize("sku", ["=1+1", "+1", "-1", "@SUM(A1)", "=cmd|'/C calc'!A0"])
    def test_formula_in_a_sku_is_text(self, sku: str) -> None:
        """What a spreadsheet would run gets an apostrophe, in the sentence too; numbers do not."""
        shop = Shop({"berlin": {sku: 5}})
        stream = io.StringIO()
        report = shop.inventory.reconcile([Count(sku, 3, at="berlin")])
        report.to_csv(stream)
        [row] = csv.DictReader(io.StringIO(stream.getvalue()))
        assert row["sku"] == f"'{sku}"
        assert row["sentence"].startswith(f"'{sku}")
        assert row["delta_low"] == "-2"
        plain = io.StringIO()
        report.to_csv(plain, for_spreadsheet=False)
        assert next(csv.DictReader(io.StringIO(plain.getvalue())))["sku"] == sku

    def test_other_separators_do_not_set_a_formula_free(self) -> None:
        """A spreadsheet that splits at semicolons finds every text quoted."""
        shop = Shop({"berlin": {"A;=1+1": 5}})
        stream = io.StringIO()
        shop.inventory.reconcile([Count("A;=1+1", 3, at="berlin")]).to_csv(stream)
        assert '"A;=1+1"' in stream.getvalue()

    def test_only_text_is_touched(self) -> None:
        """A negative number is a number."""
        wide = "\uff1d1"  # As some languages' spreadsheets read "=1".
        assert [harmless(cell) for cell in (-2, "", "MUG", wide)] == [-2, "", "MUG", f"'{wide}"]


class TestDoor:
    """Everything on a page comes through ``markup``."""

    @pytest.mark.parametrize(
        ("make", "name", "attributes"),
        [
            (element, "script", {}),
            (element, "p onclick", {}),
            (element, "p", {"onclick": "x"}),
            (element, "p", {"src": "x"}),
            (element, "p", {"href": "https://example.org"}),
            (element, "p", {"a b": "x"}),
            (element, "br", {}),
            (embedded, "p", {}),
        ],
    )
    def test_what_could_open_it_is_refused(
        self, make: Callable[..., Html], name: str, attributes: dict[str, str]
    ) -> None:
        """Scripts, handlers, addresses and names that are none are mistakes of ours."""
        with pytest.raises(InternalError):
            make(name, "x", **attributes)

    @pytest.mark.parametrize("source", ["'</script>'", "<!-- -->"])
    def test_script_that_could_end_early_is_refused(self, source: str) -> None:
        """What is embedded as it is may not hold the end of its element."""
        with pytest.raises(InternalError):
            embedded("script", source)

    def test_only_the_door_makes_markup(self) -> None:
        """No other module of the package builds ``Html`` by hand, or embeds what is not its own."""
        folder = Path(markup.__file__).parent
        for path in sorted(folder.glob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                    continue
                assert node.func.id != "Html" or path.name == "markup.py", path
                if node.func.id == "embedded":
                    assert ast.unparse(node.args[1]) in {"SCRIPT", "STYLE"}, path

    def test_what_a_page_cannot_hold_is_spelled(self) -> None:
        """Different text stays different: controls, half pairs and turns of direction."""
        assert str(text("a\x00b\u202ec\ud800\r")) == "a\\x00b\\u202ec\\ud800\\x0d"
        text("a\ud800").source.encode()

    def test_links_within_the_page_are_fine(self) -> None:
        """A part may lead to another part."""
        assert str(joined(element("a", "x", href="#plan"))) == '<a href="#plan">x</a>'


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour (WCAG 2.2)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("scheme", style.PALETTES)
def test_every_text_stands_out_from_every_ground(scheme: str) -> None:
    """4.5 to 1 at least, light and dark; 3 to 1 for the edges of controls."""
    palette = style.PALETTES[scheme]
    pairs = [(name, ground, 4.5) for name in style.TEXTS for ground in style.GROUNDS]
    pairs += [("strong-rule", ground, 3.0) for ground in ("page", "card")]
    for name, ground, least in pairs:
        light, dark = sorted([luminance(palette[name]), luminance(palette[ground])], reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= least, (name, ground)


def refolded() -> Timeline:
    """Return the timeline of a shelf of which a sale was reported after it was counted."""
    shop = Shop({"berlin": {"MUG": 5}})
    before = shop.clock.tick(MINUTE)
    shop.clock.tick(MINUTE)
    shop.inventory.count("MUG", 3, at="berlin", actor="sam")
    shop.clock.tick(MINUTE)
    shop.inventory.record([Sold("MUG", 1, at="berlin", key="late", occurred_at=before)])
    return timeline_of(shop.inventory.history("MUG", at="berlin"))


class TestTimelinePage:
    def test_chart_says_in_words_what_it_shows(self, everything: Told) -> None:
        """Who does not see the picture has its title, its description, and a table."""
        drawn = parsed(timeline_html(everything.timeline))
        picture = drawn.one("svg", role="img")
        assert picture.one("title").text == "MUG at berlin: on the shelf over time"
        words = (
            "The book says 28 on the shelf after 14 movements. Of 3 counts, 2 agreed with it."
            " Book and shelf parted between 2 Mar 2026, 15:01 UTC and 2 Mar 2026, 23:06 UTC, by"
            " −3; 6 movements lie between."
        )
        assert picture.one("desc").text == words
        assert words in drawn.one("main").text
        assert "parted here: −3" in picture.text
        [table] = drawn.all("table")
        assert table.text.count("in question") == 6
        assert table.text.index("counted by sam") < table.text.index("receive")
        assert drawn.one("h1").text == "MUG at berlin"

    def test_parting_within_a_minute_is_told_to_the_second(self) -> None:
        """Between 09:01 and 09:01 nobody finds anything."""
        shop = Shop({"berlin": {"MUG": 5}})
        counts = [
            Count("MUG", units, at="berlin", counted_at=shop.clock.tick(timedelta(seconds=20)))
            for units in (5, 4)
        ]
        drawn = timeline_html(
            timeline_of(shop.inventory.history("MUG", at="berlin"), counts=counts)
        )
        assert "2 Mar 2026, 09:00:20 UTC and 2 Mar 2026, 09:00:40 UTC, by" in drawn

    def test_refold_is_drawn_with_the_count_it_belongs_to(self) -> None:
        """A late sale stands where it happened; after the count the line is what was counted."""
        drawn = parsed(timeline_html(refolded()))
        rows = [row.text for row in drawn.one("tbody").all("tr")]
        assert [row.partition("UTC")[2] for row in rows] == [
            "refold in questiona sale was recorded after it+13",
            "count in questionsam−22",
            "sold in question−14",
            "receive+55",
        ]
        assert "The book says 3 on the shelf after 4 movements. Of 1 count, 0 agreed" in drawn.text

    def test_long_history_is_cut_and_says_so(self) -> None:
        """The newest rows are listed; holds, which change nothing, are only counted."""
        shop = Shop({"berlin": {"MUG": 400}})
        shop.inventory.reserve({"MUG": 1}, reference="cart-1")
        for number in range(205):
            shop.clock.tick(MINUTE)
            shop.inventory.record([Sold("MUG", 1, at="berlin", key=f"t-{number}")])
        line = timeline_of(shop.inventory.history("MUG", at="berlin", last=None))
        drawn = parsed(timeline_html(line, title="Mugs"))
        assert len(drawn.one("tbody").all("tr")) == 200
        assert "The newest 200 of 206." in drawn.text
        assert "Not listed: 1 movement that left the figure as it was." in drawn.text
        assert drawn.one("h1").text == "Mugs"

    @pytest.mark.parametrize(
        ("low", "high", "step"),
        [(0, 0, 1), (0, 4, 1), (0, 5, 2), (-3, 12, 5), (0, 4_000, 1_000), (-7, 10**18, 5 * 10**17)],
    )
    def test_axis_has_few_round_ticks(self, low: int, high: int, step: int) -> None:
        """Whole numbers that begin with 1, 2 or 5."""
        assert tick_step(low, high) == step

    def test_axis_has_its_ends_and_zero_among_its_ticks(self) -> None:
        """Also where making room for the ends makes one tick more."""
        shop = Shop({"berlin": {"MUG": 16}})
        shop.clock.tick(MINUTE)
        shop.inventory.record([Sold("MUG", 17, at="berlin", key="till-1")])
        frame = frame_of(timeline_of(shop.inventory.history("MUG", at="berlin")))
        assert (frame.low, frame.high, frame.step) == (-5, 20, 5)

    def test_short_numbers_are_exact(self) -> None:
        """A number that is not round is written out."""
        cases = (0, 950, 1_500, 2_000, -4_000_000, 10**15, 3 * 10**9)
        assert list(map(short, cases)) == ["0", "950", "1500", "2k", "−4M", "1000T", "3G"]
