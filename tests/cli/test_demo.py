from __future__ import annotations

import tempfile
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.running import Line
from truecount import CauseKind, Certainty, MemoryStorage, Plan, Reconciliation, SQLiteStorage
from truecount.cli import demo_world
from truecount.cli.demo_act import FIVE, Act, place
from truecount.cli.demo_mismatches import tell_the_five
from truecount.cli.demo_shop import build, tell_all
from truecount.cli.output import Screen
from truecount.protocols.storage import Storage


#: What goes wrong in every story, in this order.
TOLD = [
    "over_delivery",
    "overdue_delivery",
    "return_undecided",
    "overdue_transfer",
    "oversold",
    "low_stock",
    "expired_lot",
]


def told(seed: int, storage: Storage | None = None) -> Act:
    """Tell both acts silently."""
    shop = build(storage or MemoryStorage(), seed, Screen(as_json=True))
    tell_all(shop)
    return tell_the_five(shop)


class TestTheFive:
    @pytest.mark.parametrize("seed", range(12))
    def test_what_was_planted_is_found_and_nothing_else(self, seed: int) -> None:
        """Five things go wrong in the world; SKU, place, kind and difference are found exactly."""
        act = told(seed)
        found = [(FIVE[m.kind], m.sku, place(m), m.delta) for m in act.found.mismatches]
        planted = [(*each[:3], (each.delta, each.delta)) for each in act.planted]
        assert sorted(found) == sorted(planted)
        assert {each.mismatch for each in act.planted} == set(FIVE.values())
        assert not act.found.undecided

    @pytest.mark.parametrize("seed", range(12))
    def test_afterwards_world_and_book_are_one(self, seed: int) -> None:
        """The repair leaves nothing: not by comparing, nor by the world's own arithmetic."""
        act = told(seed)
        inventory, world = act.shop.inventory, act.world
        assert act.preview.left == 0
        assert act.again.ok
        assert act.again.compared == act.found.compared
        shelves = {(sku, at): world.seen(sku, at) for sku, at in world.shelves}
        assert shelves == {
            (sku, at): inventory.figures(sku, at=at).on_hand for sku, at in world.shelves
        }
        for channel, levels in world.channels.items():
            assert levels == {sku: world.should_show(channel, sku) for sku in levels}
        assert inventory.verify().ok

    @pytest.mark.parametrize("seed", range(12))
    def test_causes_are_what_the_world_did(self, seed: int) -> None:
        """The receipt that Kim mistyped is named; what was stolen is not blamed on a movement."""
        act = told(seed)
        because = {m.sku: m.explanation for m in act.found.mismatches if m.explanation}
        [receipt] = act.shop.inventory.history("TOWEL", reference="PO-1004")
        assert because["TOWEL"].verdict in {Certainty.CONFIDENT, Certainty.LIKELY}
        assert because["TOWEL"].causes[0].kind is CauseKind.SLIP
        assert because["TOWEL"].evidence == (receipt.movement.id,)
        assert because["MUG"].causes[0].kind in {CauseKind.MISSING, CauseKind.UNEXPLAINED}
        assert because["MUG"].evidence == ()
        certain = act.plan.only(certainties={Certainty.CONFIDENT}).written
        assert {line.sku for line in certain} <= {"TOWEL"}
        suspected = {each.causes[0].kind for each in because["TEAPOT"].hypotheses[:2]}
        assert CauseKind.WRONG_FORMULA in suspected

    def test_orders_at_risk_are_those_that_cannot_be_served(self) -> None:
        """Honey was promised to one order too many, mugs to two; the others endanger nobody."""
        act = told(1)
        assert {row.sku: row.at_risk for row in act.told() if row.at_risk} == {"HONEY": 1, "MUG": 2}
        at_risk = {m.sku: m.at_risk for m in act.found.mismatches}
        assert at_risk.pop("HONEY") == ("W-302",)
        assert at_risk.pop("MUG") == ("W-304", "W-303")
        assert not any(at_risk.values())

    def test_each_is_told_in_one_sentence(self) -> None:
        """Kind, SKU, place, difference, how certain the cause is, and how many orders are at risk."""
        act = told(1)
        sentences = [each for each in act.shop.chapters[11]["told"] if each.startswith("- ")]
        for said, row in zip(sentences, act.told(), strict=True):
            assert said.startswith(
                f"- {row.mismatch.capitalize()}: {row.sku} at {row.place} is off by {row.off_by:+d}; "
            )
            at_risk = {0: "no order", 1: "1 order", 2: "2 orders"}[row.at_risk]
            assert said.endswith(f"({row.certainty}); {at_risk} at risk.")

    def test_repair_can_be_taken_back(self) -> None:
        """Undone, every figure is as if the plan had never been written; trade since stays."""
        act = told(1)
        inventory = act.shop.inventory
        changes = {line.sku: line.delta[0] for line in act.plan.written}
        before = {sku: inventory.figures(sku).on_hand for sku in changes}
        undone = inventory.undo_repair(act.plan.id, reason="another shelf")
        assert set(undone.undone) == {line.id for line in act.plan.written}
        after = {sku: inventory.figures(sku).on_hand for sku in changes}
        assert after == {sku: before[sku] - change for sku, change in changes.items()}
        assert inventory.verify().ok

    def test_sqlite_tells_the_same(self, tmp_path: Path) -> None:
        """Both storages find, explain and repair alike."""
        with closing(SQLiteStorage(tmp_path / "demo.db", synchronous="NORMAL")) as storage:
            assert told(3, storage).to_dict() == told(3).to_dict()

    def test_world_is_a_second_opinion(self) -> None:
        """What the world says is worth something because it shares no code with the library."""
        source = Path(demo_world.__file__).read_text(encoding="utf-8")
        assert "import truecount" not in source
        assert "from truecount" not in source

    def test_json_is_what_is_told(self, tmp_path: Path) -> None:
        """The JSON form carries the plant, the rows of the table, and objects to be read back."""
        line = Line(tmp_path)
        story = line("demo", "--json").data["mismatches"]
        words = " ".join(line("demo").out.split())
        for row in story["told"]:
            cells = [f"{cell:+d}" if name == "off_by" else cell for name, cell in row.items()]
            assert " ".join(map(str, cells)) in words
        assert len(story["planted"]) == len(story["told"]) == 5
        report = Reconciliation.from_dict(story["report"])
        assert [m.sku for m in report.mismatches] == [row["sku"] for row in story["told"]]
        assert Plan.from_dict(story["plan"]).id == story["repaired"]["plan"]["id"]

    def test_page_of_what_was_found_is_written(self, tmp_path: Path) -> None:
        """With --html a browser shows the five, what was planned, and where two shelves parted."""
        path = tmp_path / "found.html"
        answer = Line(tmp_path)("demo", "--html", path)
        assert answer.code == 0
        assert answer.out.splitlines()[-1].endswith(str(path))
        page = path.read_text(encoding="utf-8")
        assert "<title>The five mismatches</title>" in page
        for sku in ("GIFT-SET", "HONEY", "MUG", "TEAPOT", "TOWEL"):
            assert sku in page

    def test_timelines_show_where_book_and_shelf_parted(self) -> None:
        """After the count that agreed, by the one that does not, by what was planted."""
        act = told(1)
        planted = {each.sku: each.delta for each in act.planted}
        assert [line.sku for line in act.timelines] == ["MUG", "TOWEL"]
        for line in act.timelines:
            [parted] = line.divergences
            assert parted.delta == (planted[line.sku], planted[line.sku])

    def test_page_does_not_overwrite(self, tmp_path: Path) -> None:
        """A file that is there stays, and is refused before the story is told."""
        path = tmp_path / "found.html"
        path.write_text("precious", encoding="utf-8")
        answer = Line(tmp_path)("demo", "--html", path)
        assert (answer.code, answer.out) == (2, "")
        assert "a file that is not there yet" in answer.err
        assert path.read_text(encoding="utf-8") == "precious"


class TestDemo:
    @pytest.mark.parametrize("seed", range(12))
    def test_every_seed_tells_every_finding(self, seed: int) -> None:
        """Whatever is drawn, each thing goes wrong, is found, and all but one is put right."""
        shop = build(MemoryStorage(), seed, Screen(as_json=True))
        tell_all(shop)
        told = [finding["kind"] for chapter in shop.chapters for finding in chapter["findings"]]
        closed = [finding["kind"] for chapter in shop.chapters for finding in chapter["closed"]]
        assert told == TOLD
        assert sorted([*closed, "low_stock"]) == sorted(TOLD)
        assert [finding.kind for finding in shop.inventory.findings().open] == ["low_stock"]
        assert shop.inventory.verify().ok

    def test_json_has_the_story(self, tmp_path: Path) -> None:
        """The story as data: chapters with what happened, and the verification."""
        story = Line(tmp_path)("demo", "--seed", "2", "--json").data
        assert len(story["chapters"]) == 13
        assert all(chapter["told"] for chapter in story["chapters"])
        assert story["verification"]["ok"] is True

    def test_seeds_differ(self, tmp_path: Path) -> None:
        """Another seed is another story."""
        line = Line(tmp_path)
        assert line("demo", "--seed", "1").out != line("demo", "--seed", "2").out

    def test_story_takes_a_moment(self, tmp_path: Path) -> None:
        """Nobody waits for it: ten seconds are far more than it needs, on any machine."""
        started = time.monotonic()
        assert Line(tmp_path)("demo").code == 0
        assert time.monotonic() - started < 10

    def test_shop_of_somebody_else_is_left_alone(self, tmp_path: Path) -> None:
        """The demo makes a shop of its own: neither --db nor TRUECOUNT_DB leads it to another."""
        line = Line(tmp_path)
        line.db.write_text("precious", encoding="utf-8")
        assert line("demo").code == 0
        answer = line("demo", "--db", line.db)
        assert answer.code == 2
        assert "a new file" in answer.err
        assert line.db.read_text(encoding="utf-8") == "precious"

    def test_kept_file_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """With --keep the shop can be looked at afterwards, without it nothing is left."""
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        line = Line(tmp_path)
        assert line("demo").code == 0
        assert not list(tmp_path.iterdir())
        told = line("demo", "--keep").out.splitlines()[-1]
        kept = Path(told.removeprefix("kept in "))
        assert line("verify", "--db", kept).code == 0
