from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import PLAIN, Line, command, ended, process


@pytest.fixture
def line(tmp_path: Path) -> Line:
    """The command line, with a SKU that looks like markup."""
    line = Line(tmp_path)
    path = line.csv("open,[red]MUG[/red] :smile:,1,berlin", "sold,TEA,2,berlin")
    assert line("import", path, "--create-locations").code == 0
    return line


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo terminals")
class TestOnATerminal:
    def shown(
        self, line: Line, *words: str, columns: int = 100, env: dict[str, str] | None = None
    ) -> str:
        """Run a command on a terminal and return what that shows."""
        import pty

        ours, theirs = pty.openpty()
        with subprocess.Popen(
            command(*words, "--db", str(line.db)),
            env=os.environ | PLAIN | {"COLUMNS": str(columns)} | (env or {}),
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
        ):
            os.close(theirs)
            shown = b""
            while block := _read(ours):
                shown += block
        os.close(ours)
        return shown.decode()

    def test_table_is_drawn_and_text_is_only_text(self, line: Line) -> None:
        """A terminal gets a drawn table, and names that look like markup stay as they are."""
        shown = self.shown(line, "stock")
        assert "━" in shown
        assert "[red]MUG[/red] :smile:" in shown

    def test_findings_and_progress_are_coloured(self, line: Line) -> None:
        """What is urgent stands out."""
        assert "\x1b[1;31m" in self.shown(line, "findings")
        assert "\x1b[" in self.shown(line, "verify")

    def test_sentences_are_cut_between_words(self, line: Line) -> None:
        """On a narrow terminal advice stays readable, and under its sentence."""
        lines = bare(self.shown(line, "findings", columns=40)).splitlines()
        assert lines[:2] == [
            "[100] TEA at berlin is oversold by 2,",
            "     since " + lines[1].removeprefix("     since "),
        ]
        assert all(len(each) <= 40 or len(each.split()) == 1 for each in lines)

    def test_table_that_does_not_fit_is_not_drawn(self, line: Line) -> None:
        """No number is cut in two by a frame: the terminal breaks whole lines instead."""
        assert "━" in self.shown(line, "history", "TEA", columns=120)
        narrow = self.shown(line, "history", "TEA", columns=60)
        assert "━" not in narrow
        (entry,) = line("history", "TEA", "--json").data["history"]
        assert entry["id"] in narrow

    @pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
    def test_plain_is_plain(self, line: Line, env: dict[str, str]) -> None:
        """Who asks for no colour gets text without a single escape."""
        assert "\x1b" not in self.shown(line, "findings", env=env)


def bare(text: str) -> str:
    """Return *text* without what colours it."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def _read(descriptor: int) -> bytes:
    """Read what a terminal shows; when its other end is closed that is the end."""
    try:
        return os.read(descriptor, 65_536)
    except OSError:
        return b""


class TestInAPipe:
    def test_reader_that_leaves_early_is_no_error(self, line: Line) -> None:
        """`truecount ... | head` ends without a traceback."""
        with process("export", "--db", line.db, folder=line.folder) as child:
            assert child.stdout is not None
            assert child.stderr is not None
            child.stdout.close()
            assert b"Traceback" not in child.stderr.read()

    def test_letters_the_pipe_cannot_carry_are_spelled_out(self, line: Line) -> None:
        """An old encoding gets numbers instead of letters, not a failure."""
        assert line("import", line.csv("open,Käse,1,berlin", name="k.csv")).code == 0
        ascii_only = {"PYTHONIOENCODING": "ascii", "TRUECOUNT_DB": str(line.db)}
        answer = ended(process("stock", folder=line.folder, env=ascii_only))
        assert answer.code == 0
        assert "K\\xe4se" in answer.out

    @pytest.mark.skipif(sys.platform == "win32", reason="it takes a POSIX shell")
    @pytest.mark.parametrize(
        ("closed", "code", "told"),
        [(">&-", 3, "standard output is closed"), ("2>&-", 0, "TEA")],
    )
    def test_closed_stream_is_no_traceback(
        self, line: Line, closed: str, code: int, told: str
    ) -> None:
        """Started without one of its streams, the command still ends with a code that is right."""
        script = f'exec "$@" {closed}'
        done = subprocess.run(
            ["sh", "-c", script, "sh", *command("stock", "--db", line.db)],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | PLAIN,
        )
        assert done.returncode == code
        assert told in done.stdout + done.stderr
        assert "Traceback" not in done.stderr

    def test_json_is_the_only_output(self, line: Line) -> None:
        """Standard output has one document on one line, standard error nothing."""
        words = ("stock", "findings", "verify", "sweep", "locations list")
        for word in words:
            answer = line(*word.split(), "--json")
            assert isinstance(answer.data, dict)
            assert answer.out.count("\n") == 1
            assert answer.err == ""


class TestUsage:
    @pytest.mark.parametrize(
        "words", [["stok"], ["stock", "--nope"], ["import"], ["history", "--last", "-1"]]
    )
    def test_wrong_usage_is_code_two(self, line: Line, words: list[str]) -> None:
        """What is not a command, an option or a number ends with advice and exit code 2."""
        answer = line(*words)
        assert answer.code == 2
        assert "--help" in answer.err

    def test_missing_extra_is_named(self, tmp_path: Path) -> None:
        """Without the extra the command says what to install."""
        (tmp_path / "typer.py").write_text(
            "raise ModuleNotFoundError('no typer', name='typer')", encoding="utf-8"
        )
        answer = ended(process("stock", folder=tmp_path))
        assert answer.code == 1
        assert "pip install 'truecount[cli]'" in answer.err

    def test_version_is_told(self, tmp_path: Path) -> None:
        """Installed, the version is told; run from the sources, that there is none is."""
        answer = Line(tmp_path)("--version")
        assert answer.out.startswith("truecount ") or "without being installed" in answer.err
