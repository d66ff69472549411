"""
Mutants of the pure core, made and run by cosmic-ray: ``python -m tests.mutants.core write``.

This maps modules to the tests that judge them and collects what comes back; making a mutant,
running it and keeping the result is the tool's. It edits files, so it is given a copy.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

from tests.mutants.judges import CORE, EXCLUDED, ROOT, judges, modules, package_of


#: What a run needs of the project.
COPIED: Final = ("src", "tests", "docs", "pyproject.toml", "README.md")

#: Only the plugin that knows profiles: loading the others takes longer than most mutants live.
PYTEST: Final = (
    sys.executable,
    "-m",
    "pytest",
    "-qx",
    "-pno:cacheprovider",
    "-p_hypothesis_pytestplugin",
    "--hypothesis-profile=brief",
)

#: A mutant that takes this many times as long as the code as it is will not end.
PATIENCE: Final = 2


class Run(NamedTuple):
    """What became of the mutants of one module."""

    module: str
    made: int
    #: Of those made, how many were run: fewer in a sample.
    run: int
    killed: int
    timed_out: int
    survivors: list[str]

    def __str__(self) -> str:
        """Show a row of the table."""
        counts = (self.made, self.run, self.killed, len(self.survivors), self.timed_out)
        return f"| {self.module} | {' | '.join(map(str, counts))} |"


HEAD: Final = (
    "| module | mutants | run | killed | survived | timed out |\n|---|---|---|---|---|---|"
)


def tell(text: str) -> None:
    """Say *text* at once, so that a run of hours can be followed."""
    print(text, flush=True)  # noqa: T201 -- for whoever started us


@contextmanager
def copy_of_project() -> Iterator[Path]:
    """Lend a folder with the sources and tests as they are now."""
    with tempfile.TemporaryDirectory(prefix="truecount-mutants-") as name:
        for part in COPIED:
            source, target = ROOT / part, Path(name) / part
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, target)
        yield Path(name)


def environment(copy: Path) -> dict[str, str]:
    """Return the environment in which *copy* is what is imported, the same way each time."""
    return os.environ | {
        "CI": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": os.pathsep.join((str(copy / "src"), str(copy))),
    }


def call(copy: Path, command: Iterable[str]) -> None:
    """
    Run a command in *copy*.

    Raises:
        RuntimeError: It failed; the message ends with what it said.
    """
    line = list(command)
    done = subprocess.run(
        line, cwd=copy, env=environment(copy), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{shlex.join(line)}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")


def tests_of(named: list[str]) -> list[str]:
    """Return the examples of some modules and the tests that judge any of them."""
    examples = [str(CORE / f"{module}.py") for module in named]
    return [*examples, *{file: None for module in named for file in judges(module)}]


def tests_pass(copy: Path, named: list[str]) -> float:
    """
    Return how many seconds the tests of some modules take on the code as it is.

    Raises:
        RuntimeError: They fail there, so they can judge nothing.
    """
    started = time.monotonic()
    call(copy, [*PYTEST, *tests_of(named)])
    return time.monotonic() - started


@contextmanager
def server(copy: Path, package: str, named: list[str]) -> Iterator[str]:
    """Lend a pytest that waits in *copy* with its tests collected; return how it is asked."""
    socket = copy / f"{package}.socket"
    serving_it = ("-ptests.mutants.forking", f"--mutants={socket}")
    command = [PYTEST[0], "-B", *PYTEST[1:], *serving_it, *tests_of(named)]
    with subprocess.Popen(
        command, cwd=copy, env=environment(copy), stdout=subprocess.DEVNULL
    ) as serving:
        try:
            while not socket.exists():
                if serving.poll() is not None:
                    raise RuntimeError(f"{shlex.join(command)} ended with {serving.returncode}")
                time.sleep(0.05)
            script = copy / "tests" / "mutants" / "forking.py"
            yield shlex.join((sys.executable, "-IS", str(script), str(socket)))
        finally:
            serving.kill()


def configure(module: str, path: Path, seconds: float, ask: str | None) -> None:
    """Write the tool's configuration; without somebody to *ask* each mutant is a new process."""
    timeout = int(20 + PATIENCE * seconds)
    source = CORE / f"{module}.py"
    run = shlex.join(PYTEST) if ask is None else f"{ask} {timeout}"
    path.write_text(
        f'[cosmic-ray]\nmodule-path = "{source}"\ntimeout = {timeout}.0\n'
        f'excluded-modules = []\ntest-command = "{run} {source} {shlex.join(judges(module))}"\n\n'
        '[cosmic-ray.distributor]\nname = "local"\n\n'
        f"[cosmic-ray.filters.operators-filter]\nexclude-operators = {list(EXCLUDED)!r}\n",
        encoding="utf-8",
    )


def prepare(copy: Path, config: Path, session: Path, sample: int | None, seed: int) -> None:
    """Let the tool list the mutants, leave out those of excluded operators, and draw a sample."""
    call(copy, ["cosmic-ray", "init", str(config), str(session)])
    call(copy, ["cr-filter-operators", str(session), str(config)])
    if sample is None:
        return
    from cosmic_ray.work_db import use_db
    from cosmic_ray.work_item import WorkerOutcome, WorkResult

    with use_db(str(session)) as work:
        items = sorted(
            work.pending_work_items,
            key=lambda item: (item.mutations[0].operator_name, item.mutations[0].occurrence),
        )
        left_out = Random(seed).sample(items, max(0, len(items) - sample))
        skipped = WorkResult(output="not drawn", worker_outcome=WorkerOutcome.SKIPPED)
        work.set_multiple_results([item.job_id for item in left_out], skipped)


def survivors_of(session: Path, again: Path) -> None:
    """Make a session of those that survived another one."""
    from cosmic_ray.work_db import use_db

    with use_db(str(session)) as work, use_db(str(again)) as rest:
        rest.clear()
        rest.add_work_items([item for item, result in work.completed_work_items if lives(result)])


def lives(result: Any) -> bool:
    """Whether a result of the tool is of a mutant that nothing noticed."""
    return result.test_outcome is not None and not result.is_killed


def collect(module: str, session: Path) -> Run:
    """Read what became of the mutants of *module*."""
    from cosmic_ray.work_db import use_db

    with use_db(str(session)) as work:
        results = [result for _, result in work.results]
    made = [result for result in results if result.output != "Filtered operator"]
    run = [result for result in made if result.test_outcome is not None]
    survivors = sorted(result.diff for result in run if lives(result))
    timed_out = sum(result.output == "timeout" for result in run)
    killed = len(run) - len(survivors) - timed_out
    return Run(module, len(made), len(run), killed, timed_out, survivors)


def judge(
    copy: Path, module: str, seconds: float, ask: str | None, options: argparse.Namespace
) -> Run:
    """Make and run the mutants of one module, or run those that survived the last time."""
    home = options.into / module.replace("/", ".")
    session = home.with_name(f"{home.name}{'.again' if options.again else ''}.sqlite")
    config = session.with_suffix(".toml")
    configure(module, config, seconds, ask)
    if options.again:
        survivors_of(home.with_name(f"{home.name}.sqlite"), session)
    elif not session.exists():
        prepare(copy, config, session, options.sample, options.seed)
    call(copy, ["cosmic-ray", "exec", str(config), str(session)])
    return collect(module, session)


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants.core", description=__doc__)
    parser.add_argument("modules", nargs="*", help="write, write/figures, ...; all by default")
    parser.add_argument("--sample", type=int, help="run so many mutants of each module, not all")
    parser.add_argument("--seed", type=int, default=0, help="which sample")
    parser.add_argument("--again", action="store_true", help="run last time's survivors only")
    parser.add_argument(
        "--into",
        type=Path,
        default=Path(tempfile.gettempdir()) / "truecount-mutants",
        help="folder of the tool's sessions; what stands there is gone on with",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> None:
    """Judge modules one after the other; survivors are shown under each row."""
    options = parse(arguments)
    options.into = options.into.resolve()
    options.into.mkdir(parents=True, exist_ok=True)
    tell(HEAD)
    with copy_of_project() as copy:
        for package, several in groupby(modules(options.modules), package_of):
            named = list(several)
            seconds = tests_pass(copy, named)
            with nullcontext() if options.again else server(copy, package, named) as ask:
                for module in named:
                    run = judge(copy, module, seconds, ask, options)
                    tell("\n\n".join([str(run), *run.survivors]))


if __name__ == "__main__":
    main(sys.argv[1:])
