from __future__ import annotations

import tempfile
import time
from pathlib import Path

import pytest

from tests.cli.running import Line
from truecount import MemoryStorage
from truecount.cli.demo_shop import build, tell_all
from truecount.cli.output import Screen


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
        assert len(story["chapters"]) == 9
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
