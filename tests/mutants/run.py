"""
Run one killer against one mutant, in a process of its own: ``python -m tests.mutants.run``.

Arguments: the mutant's name, or nothing for the code as it is, which every killer must let
live. The source is changed as it is imported; no file is touched.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType
from typing import TypeAlias

from tests.mutants.mutants import MUTANTS, Edit, Mutant


class Mutating(SourceFileLoader):
    """Compiles a module from its source with some replacements made."""

    edits: tuple[Edit, ...] = ()

    def get_code(self, fullname: str) -> CodeType:
        """Leave the cache of compiled modules alone."""
        source = self.get_source(fullname)
        if source is None:
            raise ImportError(f"{fullname} has no source")
        for edit in self.edits:
            if edit.module == fullname:
                if source.count(edit.old) != 1:
                    raise ImportError(f"{fullname}: {edit.old!r} stands there not once")
                source = source.replace(edit.old, edit.new)
        return compile(source, self.path, "exec")


class Finder(MetaPathFinder):
    """Finds the modules that a mutant changes."""

    def __init__(self, edits: tuple[Edit, ...]) -> None:
        self.edits = edits
        self.modules = {edit.module for edit in edits}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: object = None
    ) -> ModuleSpec | None:
        """Return the changed module, or leave it to others."""
        if fullname not in self.modules:
            return None
        spec = PathFinder.find_spec(fullname, path)
        if spec is None or spec.origin is None:
            return None
        spec.loader = Mutating(fullname, spec.origin)
        spec.loader.edits = self.edits
        return spec


#: Gives each killer by its name, once the mutant can be imported, for as long as they run.
Killers: TypeAlias = Callable[[], AbstractContextManager[Mapping[str, Callable[[], object]]]]


def main(names: list[str], mutants: Mapping[str, Mutant], killers: Killers) -> int:
    """Return 0 if the killers let it live, 1 if the one of the mutant killed it."""
    edits = mutants[names[0]].edits if names else ()
    sys.meta_path.insert(0, Finder(edits))
    with killers() as known:
        for killer in [mutants[names[0]].killer] if names else sorted(known):
            try:
                known[killer]()
            except (AttributeError, ImportError, NameError, SyntaxError, TypeError):
                raise  # The mutant is no program at all, which proves nothing.
            except Exception as error:  # noqa: BLE001 -- whatever it is, the mutant was noticed
                print(f"killed by {killer}: {type(error).__name__}: {error}"[:500])  # noqa: T201 -- for whoever started us
                return 1
            print(f"{killer} passed")  # noqa: T201 -- as above
    return 0


@contextmanager
def _killers() -> Iterator[Mapping[str, Callable[[], object]]]:
    from tests.mutants.killers import KILLERS

    yield KILLERS


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], MUTANTS, _killers))
