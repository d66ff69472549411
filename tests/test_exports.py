"""What the library offers is listed, documented, and survives being copied and sent."""

from __future__ import annotations

import ast
import copy
import enum
import importlib
import inspect
import pickle
import pkgutil
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest


ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "truecount"

# Third-party packages the user brings; without them an adapter cannot be imported.
OPTIONAL = frozenset({"django", "psycopg", "sqlalchemy"})


def is_public(path: Path) -> bool:
    """Tell whether no part of the module's name starts with an underscore."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return not any(part.startswith("_") and part != "__init__" for part in parts)


SOURCES = sorted(filter(is_public, PACKAGE.rglob("*.py")))

pytestmark = pytest.mark.skipif(
    not (PACKAGE / "__init__.py").exists(), reason="there is no facade yet"
)


def reading_order(name: str) -> tuple[int, list[tuple[int, str]]]:
    """Sort CONSTANTS before Classes before the rest, as ruff does, and 9 before 10."""
    group = 0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2
    parts = re.findall(r"\d+|\D+", name)
    return group, [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def public_definitions(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, bool]]:
    """List the public names defined in *body*, and whether each has a docstring."""
    for node in body:
        if isinstance(node, ast.If | ast.Try):
            yield from public_definitions(node.body + node.orelse, prefix)
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        # Only the implementation of an overloaded function explains it, and only the getter
        # of a property.
        marks = {ast.unparse(mark).rpartition(".")[2] for mark in node.decorator_list}
        if node.name.startswith("_") or marks & {"deleter", "overload", "override", "setter"}:
            continue
        name = f"{prefix}.{node.name}"
        yield name, ast.get_docstring(node) is not None
        if isinstance(node, ast.ClassDef):
            yield from public_definitions(node.body, name)


class TestFacade:
    def test_all_is_sorted_and_without_repeats(self) -> None:
        """A sorted list shows at a glance what is there."""
        truecount = importlib.import_module("truecount")
        names = list(truecount.__all__)
        assert names
        assert names == sorted(set(names), key=reading_order)

    def test_all_is_complete(self) -> None:
        """What is bound in the facade without an underscore is offered."""
        truecount = importlib.import_module("truecount")
        bound = {
            name
            for name, value in vars(truecount).items()
            if not name.startswith("_")
            and not isinstance(value, types.ModuleType)
            and type(value).__module__ != "__future__"
            and value is not typing.TYPE_CHECKING
        }
        assert bound <= set(truecount.__all__), sorted(bound - set(truecount.__all__))

    def test_everything_offered_exists_and_is_documented(self) -> None:
        """Each name leads to something, and classes and functions explain themselves."""
        truecount = importlib.import_module("truecount")
        assert truecount.__doc__
        for name in truecount.__all__:
            value = getattr(truecount, name)
            if inspect.isclass(value) or inspect.isroutine(value):
                assert value.__doc__, f"truecount.{name} has no docstring"

    def test_everything_offered_is_shown_by_dir(self) -> None:
        """Names that are loaded on first use are visible before it."""
        truecount = importlib.import_module("truecount")
        assert set(truecount.__all__) <= set(dir(truecount))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_public_definitions_are_documented(path: Path) -> None:
    """Every public class, function and method of a public module says what it promises."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    missing = [name for name, documented in public_definitions(tree.body, "") if not documented]
    assert not missing
    assert not tree.body or ast.get_docstring(tree), "the module has no docstring"


def test_missing_docstring_is_seen() -> None:
    """The check above can fail: it looks into classes and past the exempt definitions."""
    source = '''
class Shelf:
    """A shelf."""
    def put(self): ...
    def _hide(self): ...
    @overload
    def take(self): ...
if True:
    def count(): ...
'''
    assert list(public_definitions(ast.parse(source).body, "m")) == [
        ("m.Shelf", True),
        ("m.Shelf.put", False),
        ("m.count", False),
    ]


# Errors whose fields cannot be invented from their types: class name -> how to build one.
BUILDERS: Mapping[str, Callable[[type[BaseException]], BaseException]] = {}

SAMPLES: Mapping[type, object] = {
    bool: True,
    bytes: b"MUG",
    datetime: datetime(2024, 2, 29, 12, tzinfo=UTC),
    float: 1.5,
    int: 3,
    object: "MUG",
    str: "MUG",
    timedelta: timedelta(minutes=15),
    type(None): None,
}


def sample(kind: object) -> object:
    """Invent a value of a type, as simple as the type allows."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if isinstance(kind, typing.NewType):
        return sample(kind.__supertype__)
    if origin is typing.Literal:
        return arguments[0]
    if origin is typing.Annotated:
        return sample(arguments[0])
    if origin in {typing.Union, types.UnionType}:
        return sample(arguments[0])
    if origin is tuple:
        return tuple(sample(argument) for argument in arguments if argument is not Ellipsis)
    if inspect.isclass(origin):
        return sample_collection(origin, arguments)
    assert inspect.isclass(kind), f"cannot invent a {kind!r}; add the error to BUILDERS"
    return sample_instance(kind)


def sample_collection(origin: type, arguments: Sequence[object]) -> object:
    """Invent a collection with one member."""
    if issubclass(origin, Mapping):
        return {sample(arguments[0]): sample(arguments[1])}
    if issubclass(origin, set | frozenset):
        return origin([sample(arguments[0])])
    return [sample(arguments[0])] if origin is list else (sample(arguments[0]),)


def sample_instance(kind: type) -> object:
    """Invent an instance of a plain class, a fact or an enumeration."""
    if kind in SAMPLES:
        return SAMPLES[kind]
    if issubclass(kind, enum.Enum):
        return next(iter(kind))
    if issubclass(kind, BaseException):
        return build(kind)
    assert attrs.has(kind), f"cannot invent a {kind.__name__}; add the error to BUILDERS"
    return kind(**invented_fields(kind))


def fields_of(kind: type) -> tuple[attrs.Attribute[object], ...]:
    """List the fields of a class, none if it is not made with attrs."""
    return attrs.fields(kind) if attrs.has(kind) else ()


def invented_fields(kind: type) -> dict[str, object]:
    """Invent a value for each field the class is built from."""
    hints = typing.get_type_hints(kind)
    return {
        field.alias: sample(hints[field.name])
        for field in fields_of(kind)
        if field.init and field.alias is not None
    }


def build(kind: type[BaseException]) -> BaseException:
    """Build an error with invented data."""
    if kind.__name__ in BUILDERS:
        return BUILDERS[kind.__name__](kind)
    fields = invented_fields(kind)
    return kind(**fields) if fields else kind("cannot count")


def everything_of(error: BaseException) -> object:
    """Put together what a caller can see of an error."""
    fields = {field.name: repr(getattr(error, field.name)) for field in fields_of(type(error))}
    return type(error), str(error), repr(error.args), fields


def error_types() -> list[type[BaseException]]:
    """List every error class callers can meet; private ones never leave their module."""
    if not (PACKAGE / "__init__.py").exists():
        return []
    truecount = importlib.import_module("truecount")
    found: dict[str, type[BaseException]] = {}
    for module in pkgutil.walk_packages(truecount.__path__, "truecount."):
        if module.name.endswith(".__main__"):
            continue
        try:
            loaded = importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in OPTIONAL:
                raise
            continue
        for value in vars(loaded).values():
            if (
                inspect.isclass(value)
                and issubclass(value, BaseException)
                and value.__module__.split(".")[0] == "truecount"
                and not value.__name__.startswith("_")
            ):
                found[f"{value.__module__}.{value.__qualname__}"] = value
    return [found[name] for name in sorted(found)]


ERRORS = error_types()


class TestErrors:
    def test_errors_form_one_tree(self) -> None:
        """One `except` catches everything the library raises on purpose."""
        errors = importlib.import_module("truecount.errors")
        assert len(ERRORS) > 1
        # A simulated crash is no error: no handler may go on after it.
        raised = [kind for kind in ERRORS if issubclass(kind, Exception)]
        strangers = [
            kind.__name__ for kind in raised if not issubclass(kind, errors.TrueCountError)
        ]
        assert not strangers

    @pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: str(kind.__qualname__))
    def test_error_survives_pickling_and_copying(self, kind: type[BaseException]) -> None:
        """An error that crosses a process border arrives with the same type, text and data."""
        error = build(kind)
        seen = everything_of(error)
        assert str(error)
        assert everything_of(copy.copy(error)) == seen
        assert everything_of(copy.deepcopy(error)) == seen
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            assert everything_of(pickle.loads(pickle.dumps(error, protocol))) == seen

    @pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: str(kind.__qualname__))
    def test_error_can_be_chained_and_annotated(self, kind: type[BaseException]) -> None:
        """Frozen data does not stop Python from attaching a cause, a traceback and notes."""
        cause = ValueError("the cause")
        with pytest.raises(kind) as caught:
            raise build(kind) from cause
        caught.value.add_note("seen in a test")
        assert caught.value.__cause__ is cause
        assert caught.value.__notes__ == ["seen in a test"]
