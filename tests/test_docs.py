"""
Every example in README.md and `docs/` runs, in the order a reader meets it.

Each page is one story: its examples share a namespace and an empty folder.

- `pycon` is a doctest, `python` is executed.
- `sh` and `console` are shell sessions: lines after `$ ` are run, `truecount` being this
  project's command line and `python` this interpreter, and the lines below must be what it prints (`...` stands for anything).
  A command that is meant to fail says so at its end: `# exits 1`.
- The first two `sh` fences of the README are left out: installing, and the tests themselves.
- `<!-- skip: reason -->` on the line above a fence leaves it out.
- A page that reads `SHOP_DSN` from the environment is given an empty PostgreSQL database.
- `<!-- file: name -->` on the line above a fence only puts its text into a file of the folder.
"""

from __future__ import annotations

import doctest
import itertools
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import attrs
import pytest


ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
INDEX = ROOT / "docs" / "index.md"
GLOSSARY = ROOT / "docs" / "glossary.md"
PAGES = sorted([*ROOT.glob("README.md"), *ROOT.glob("docs/**/*.md")])

RUNNABLE = frozenset({"console", "pycon", "python", "sh"})
ONLY_SHOWN = frozenset({"csv", "ini", "json", "mermaid", "sql", "text", "toml", "yaml"})

FENCE = re.compile(
    r"(?:^<!-- *(?P<order>\w+) *:(?P<value>.*?)-->\n)?"
    r"^(?P<indent> *)(?P<marks>```+)(?P<language>[^\n`]*)\n(?P<text>.*?)^(?P=indent)(?P=marks) *$",
    re.DOTALL | re.MULTILINE,
)
ORDER = re.compile(r"^ *<!-- *(?:skip|file)\b.*$", re.MULTILINE)
EXITS = re.compile(r"# exits (\d+)\s*$")
LINK = re.compile(r"(?:\]\(|^\[[^\]]+\]: *)<?(?P<target>[^)\s>]+)", re.MULTILINE)
#: What a shell session calls by name, wherever they are installed.
_COMMANDS = 'truecount() { "$PYTHON" -m truecount "$@"; }\npython() { "$PYTHON" "$@"; }'
HEADING = re.compile(r"^#{1,6} +(.+?) *#* *$", re.MULTILINE)


def page_id(page: Path) -> str:
    """Name a page as it is found from the root."""
    return page.relative_to(ROOT).as_posix()


@attrs.frozen(kw_only=True)
class Fence:
    """One fenced block of a page, and what its page wants done with it."""

    language: str
    text: str
    line: int
    order: str
    value: str


@attrs.frozen
class Result:
    """What came of a page: how much ran, why some did not, and what went wrong."""

    ran: int
    skips: list[str]
    problems: list[str]


def fences_of(text: str) -> list[Fence]:
    """Find the fenced blocks of a page."""
    return [
        Fence(
            language=match["language"].strip(),
            text=re.sub(f"^{match['indent']}", "", match["text"], flags=re.MULTILINE),
            line=text.count("\n", 0, match.start("text")),
            order=match["order"] or "",
            value=(match["value"] or "").strip(),
        )
        for match in FENCE.finditer(text)
    ]


def without_fences(text: str) -> str:
    """Leave the prose, with as many lines as before."""
    return FENCE.sub(lambda match: "\n" * match[0].count("\n"), text)


class Runner:
    """Follows one page in one folder, as a reader typing along would."""

    def __init__(self, page: Path, folder: Path) -> None:
        self.page = page
        self.folder = folder
        self.namespace: dict[str, object] = {"__name__": "__main__"}

    def run(self, *, is_readme: bool = False) -> Result:
        """Run every fence of the page, stopping at the first that fails."""
        fences = fences_of(self.page.read_text(encoding="utf-8"))
        told_apart = [f for f in fences if is_readme and f.language == "sh"][:2]
        ran, skips, problems = 0, list[str](), list[str]()
        for fence in fences:
            if fence.order == "skip":
                skips.append(fence.value)
            elif fence.order == "file":
                path = self.folder / fence.value
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(fence.text, encoding="utf-8")
            if fence.order in {"file", "skip"} or fence in told_apart:
                continue
            if fence.language not in RUNNABLE:
                continue
            ran += 1
            problems = list(self._problems(fence))
            if problems:
                break
        self.namespace.clear()
        return Result(ran, skips, problems)

    def _problems(self, fence: Fence) -> Iterator[str]:
        if fence.language == "python":
            # Blank lines in front make tracebacks name the line of the page.
            source = "\n" * fence.line + fence.text
            exec(compile(source, str(self.page), "exec", dont_inherit=True), self.namespace)  # noqa: S102 - the page is ours
        elif fence.language == "pycon":
            yield from self._doctest_problems(fence)
        else:
            yield from self._session_problems(fence)

    def _doctest_problems(self, fence: Fence) -> Iterator[str]:
        example = doctest.DocTestParser().get_doctest(
            fence.text, self.namespace, self.page.name, str(self.page), fence.line
        )
        if not example.examples:
            yield f"{self.page.name}:{fence.line}: a pycon fence without >>>"
        report: list[str] = []
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False)
        runner.run(example, out=report.append, clear_globs=False)
        self.namespace.update(example.globs)
        yield from report

    def _session_problems(self, fence: Fence) -> Iterator[str]:
        steps = list(session_steps(fence))
        if not any(command.startswith(("truecount", "python ")) for _, command, _ in steps):
            yield f"{self.page.name}:{fence.line}: no `$ truecount` to run, and no skip"
        for line, command, expected in steps:
            status, printed = self._shell(command)
            match = EXITS.search(command)
            told = int(match[1]) if match else 0
            where = f"{self.page.name}:{line}: $ {command}"
            if status != told:
                yield f"{where}\nexpected exit status {told}, got {status}:\n{printed}"
            elif expected and not same_output(expected, printed):
                yield f"{where}\nexpected:\n{expected}\ngot:\n{printed}"

    def _shell(self, command: str) -> tuple[int, str]:
        answer = subprocess.run(
            ["sh", "-c", f"{_COMMANDS}\n{command}"],
            cwd=self.folder,
            env=os.environ
            | {"PYTHON": sys.executable, "PYTHONUTF8": "1", "NO_COLOR": "1", "TERM": "dumb"}
            | {"COLUMNS": "100", "TZ": "UTC"},
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            encoding="utf-8",
            timeout=60,
        )
        return answer.returncode, answer.stdout


def session_steps(fence: Fence) -> Iterator[tuple[int, str, str]]:
    """Split a shell session into line number, command and the output shown for it."""
    lines = fence.text.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
    for start, end in itertools.pairwise([*starts, len(lines)]):
        last = start
        while lines[last].endswith("\\") and last + 1 < end:
            last += 1
        command = "\n".join([lines[start][2:], *lines[start + 1 : last + 1]])
        yield fence.line + start + 1, command, "\n".join(lines[last + 1 : end])


def same_output(expected: str, printed: str) -> bool:
    """Compare line by line, but for spaces at line ends; `...` stands for anything."""
    expected, printed = (
        "\n".join(line.rstrip() for line in text.strip("\n").splitlines()) + "\n"
        for text in (expected, printed)
    )
    return doctest.OutputChecker().check_output(expected, printed, doctest.ELLIPSIS)


def anchors_of(text: str) -> set[str]:
    """List the anchors that the headings of a page make."""
    anchors: set[str] = set()
    for heading in HEADING.findall(without_fences(text)):
        plain = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        known = (f"{plain}-{number}" if number else plain for number in itertools.count())
        anchors.add(next(anchor for anchor in known if anchor not in anchors))
    return anchors


def links_of(page: Path) -> Iterator[tuple[str, Path, str]]:
    """List the relative links of a page: as written, the file meant, the anchor meant."""
    prose = re.sub(r"`[^`\n]*`", "", without_fences(page.read_text(encoding="utf-8")))
    for match in LINK.finditer(prose):
        target = match["target"]
        if not re.match(r"[a-z][a-z0-9+.-]*:", target):
            name, _, anchor = target.partition("#")
            yield target, (page.parent / name).resolve() if name else page.resolve(), anchor


def leads_somewhere(path: Path, anchor: str, root: Path) -> bool:
    """Tell whether a link ends at a file, and a heading, inside the project."""
    if not path.exists() or not path.is_relative_to(root.resolve()):
        return False
    return not anchor or path.suffix != ".md" or anchor in anchors_of(path.read_text("utf-8"))


def broken_links(page: Path, root: Path) -> list[str]:
    """List the relative links of a page that lead nowhere, or out of the project."""
    return [
        target for target, path, anchor in links_of(page) if not leads_somewhere(path, anchor, root)
    ]


@pytest.fixture
def shop_dsn(postgres_dsn: str) -> Iterator[str]:
    """Name an empty database on a real server, and drop it in the end."""
    import psycopg
    from psycopg.conninfo import make_conninfo

    from tests.postgres.server import uri_of

    name = f"docs_{uuid4().hex[:12]}"
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        yield uri_of(make_conninfo(postgres_dsn, dbname=name, options="-c synchronous_commit=on"))
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.mark.parametrize("page", PAGES, ids=page_id)
class TestPages:
    def test_examples_run(
        self,
        page: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        request: pytest.FixtureRequest,
    ) -> None:
        """What a page shows is what happens, and what it leaves out it gives a reason for."""
        monkeypatch.chdir(tmp_path)
        if "SHOP_DSN" in page.read_text(encoding="utf-8"):
            monkeypatch.setenv("SHOP_DSN", request.getfixturevalue("shop_dsn"))
        result = Runner(page, tmp_path).run(is_readme=page == README)
        assert not result.problems, "\n".join(result.problems)
        assert all(len(reason.split()) > 1 for reason in result.skips), "a skip gives no reason"
        assert result.ran or page != README, "the README shows nothing that runs"

    def test_fences_say_what_they_hold(self, page: Path) -> None:
        """An example cannot escape by an unusual name, nor an order by standing elsewhere."""
        text = page.read_text(encoding="utf-8")
        fences = fences_of(text)
        unknown = {fence.language for fence in fences} - RUNNABLE - ONLY_SHOWN
        assert not unknown, f"use one of {sorted(RUNNABLE | ONLY_SHOWN)}"
        heeded = [fence for fence in fences if fence.order in {"file", "skip"}]
        assert len(heeded) == len(ORDER.findall(text)), "an order is not just above a fence"

    def test_links_resolve(self, page: Path) -> None:
        """A relative link leads to a file, or a heading, of this project."""
        assert not broken_links(page, ROOT)


@pytest.mark.skipif(not (ROOT / "docs").exists(), reason="there are no docs yet")
def test_index_lists_every_page() -> None:
    """From the index every page is one step away."""
    listed = {path for _, path, _ in links_of(INDEX)}
    pages = {path.resolve() for path in ROOT.glob("docs/**/*.md")} - {INDEX.resolve()}
    assert not pages - listed, sorted(map(page_id, pages - listed))


def doubled(text: str) -> list[str]:
    """List the terms that have two rows in one table of a page."""
    terms: list[str] = []
    for table in re.split(r"\n\n", text):
        first = [row.split("|")[1].strip() for row in re.findall(r"^\|.*\|$", table, re.MULTILINE)]
        several = Counter(term for cell in first[2:] for term in re.split(r", (?![^(]*\))", cell))
        terms += [term for term, rows in several.items() if rows > 1]
    return terms


def test_glossary_has_one_row_for_each_term() -> None:
    """One word, one meaning: neither ours nor a word of elsewhere is explained twice."""
    assert not doubled(GLOSSARY.read_text(encoding="utf-8"))


@pytest.mark.skipif(not README.exists(), reason="there is no README yet")
def test_second_sh_fence_of_readme_is_the_test_command() -> None:
    """CI runs what the README says, so the README must say it in one line."""
    shells = [f.text.strip() for f in fences_of(README.read_text("utf-8")) if f.language == "sh"]
    assert len(shells) > 1
    assert "pytest" in shells[1]
    assert "\n" not in shells[1]


class TestRunner:
    """The checks above are only worth something if they can fail."""

    def test_term_with_two_rows_is_found(self) -> None:
        """In each table by itself, alone or among others, and not what a bracket tells apart."""
        ours = "| word | meaning |\n| --- | --- |\n| kit | a |\n| lot | b |\n| kit | c |\n"
        others = "| a | b |\n| --- | --- |\n| lot, set (a, b) | x |\n| set (c), pack | y |\n"
        assert doubled(f"{ours}\n{others}") == ["kit"]
        assert doubled(others + "| pack, bag | z |\n") == ["pack"]

    def run(self, folder: Path, text: str, *, is_readme: bool = False) -> Result:
        """Run a page of the given text."""
        page = folder / "page.md"
        page.write_text(text, encoding="utf-8")
        return Runner(page, folder).run(is_readme=is_readme)

    def test_examples_share_one_namespace(self, tmp_path: Path) -> None:
        """A later fence sees what an earlier one made, across both kinds."""
        text = "```python\nn = 2\n```\n\n```pycon\n>>> n + 1\n3\n>>> m = 5\n```\n"
        assert self.run(tmp_path, text + "```python\nassert m == 5\n```\n") == Result(3, [], [])

    def test_wrong_output_is_reported_with_its_line(self, tmp_path: Path) -> None:
        """A false figure fails, and the report names the line of the page."""
        (problem,) = self.run(tmp_path, "# Page\n\n```pycon\n>>> 1 + 1\n3\n```\n").problems
        assert '", line 4, in page.md' in problem
        assert "Expected:\n    3\nGot:\n    2" in problem

    def test_failing_python_fence_fails(self, tmp_path: Path) -> None:
        """An exception in a plain example is not swallowed."""
        with pytest.raises(ZeroDivisionError):
            self.run(tmp_path, "```python\n1 / 0\n```\n")

    def test_skip_keeps_its_reason(self, tmp_path: Path) -> None:
        """What is left out is counted, with the reason given or an empty one."""
        text = "<!-- skip: needs a shop -->\n```python\n1 / 0\n```\n"
        assert self.run(tmp_path, text) == Result(0, ["needs a shop"], [])
        assert self.run(tmp_path, text.replace(" needs a shop", "")) == Result(0, [""], [])

    ECHO = (
        "<!-- file: truecount.py -->\n```python\nimport sys\n\nprint(*sys.argv[1:])\n"
        "sys.exit(len(sys.argv) // 4)\n```\n"
    )

    def test_session_shows_what_is_printed(self, tmp_path: Path) -> None:
        """Commands may span lines, write files and announce that they fail."""
        text = (
            "```console\n$ truecount a \\\n  b > out\n$ cat out\na...b\n"
            "$ truecount a b c  # exits 1\na b c\n```\n"
        )
        assert self.run(tmp_path, self.ECHO + text) == Result(1, [], [])

    def test_session_with_wrong_output_is_reported(self, tmp_path: Path) -> None:
        """What is shown must be what is printed."""
        text = "```sh\n$ truecount a b\na c\n```\n"
        (problem,) = self.run(tmp_path, self.ECHO + text).problems
        assert problem == "page.md:9: $ truecount a b\nexpected:\na c\ngot:\na b\n"

    def test_session_with_wrong_status_is_reported(self, tmp_path: Path) -> None:
        """A failing command that was not announced is a mistake, whatever it prints."""
        text = "```sh\n$ truecount a b c\na b c\n```\n"
        (problem,) = self.run(tmp_path, self.ECHO + text).problems
        assert "expected exit status 0, got 1" in problem

    def test_session_that_runs_nothing_is_reported(self, tmp_path: Path) -> None:
        """A shell fence is run or skipped for a reason, except the first two of the README."""
        text = "```sh\npip install something\n```\n"
        assert len(self.run(tmp_path, text).problems) == 1
        assert self.run(tmp_path, text * 2, is_readme=True) == Result(0, [], [])
        assert len(self.run(tmp_path, "\n".join([text] * 3), is_readme=True).problems) == 1

    def test_broken_links_are_seen(self, tmp_path: Path) -> None:
        """A missing file, a missing heading and a way out of the project are all broken."""
        page = tmp_path / "page.md"
        page.write_text(
            "# What it's for\n[a](page.md#what-its-for) [b](#no) [c](no.md) [d](../)\n"
            "[e](https://example.org) `[f](code.md)`\n```text\n[g](fence.md)\n```\n[h]: gone.md\n",
            encoding="utf-8",
        )
        assert broken_links(page, tmp_path) == ["#no", "no.md", "../", "gone.md"]
