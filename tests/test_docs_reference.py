"""
What the reference pages list is what the code has.

A table between `<!-- table: name words -->` and `<!-- end of table -->` is written from the
code: `python -m tests.test_docs_reference` writes all of them anew, and a test fails while
one of them is stale. Lists that are written by hand are only held to be complete.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any

import attrs
import pytest

from truecount import Inventory, errors, protocols, testing
from truecount.explaining import evidence, priors, sentences
from truecount.ledger import problems
from truecount.model import (
    commands,
    facts,
    instants,
    names,
    outcomes,
    places,
    policy,
    quantities,
    recipes,
    reservation_commands,
    settings,
    shop_rules,
)
from truecount.model.kinds import TABLE
from truecount.model.operation import Operation
from truecount.model.stock import Figures
from truecount.reconciliation import (
    book_side,
    explained,
    findings,
    mismatches,
    published,
    reach,
    report,
    tries,
)
from truecount.reservations import manager, sourcing
from truecount.storage import health
from truecount.storage.postgres import connections as postgres
from truecount.storage.postgres.storage import REMEMBERED
from truecount.testing import reaching
from truecount.write import apply, engine, group


ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs" / "reference"
PAGES = sorted(REFERENCE.glob("*.md"))
MARKED = re.compile(
    r"(?P<start><!-- table: (?P<name>\w+)(?P<words>[^>]*?) -->\n)"
    r"(?P<table>.*?)(?P<end><!-- end of table -->)",
    re.DOTALL,
)


def page_id(page: Path) -> str:
    """Name a page by its file."""
    return page.name


# --- from the code to tables ------------------------------------------------------------


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table."""
    lines = [list(head), *(list(row) for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def summary(thing: object) -> str:
    """Return the first sentence or line of a docstring, as Markdown."""
    text = inspect.getdoc(thing) or ""
    return text.partition("\n")[0].replace("|", "\\|").replace("*", "`")


def signature(function: Callable[..., object]) -> str:
    """Return how a method is called, without annotations."""
    parameters = inspect.signature(function).parameters.values()
    words: list[str] = []
    starred = False
    for parameter in list(parameters)[1:]:
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            words.append("*")
            starred = True
        named = parameter.kind is parameter.VAR_KEYWORD
        default = parameter.default
        shown = "" if default is parameter.empty else f"={_default(default)}"
        words.append(f"**{parameter.name}" if named else f"{parameter.name}{shown}")
    return f"{function.__name__}({', '.join(words)})"


def _default(value: object) -> str:
    if isinstance(value, places.State):
        return value.name
    if value is priors.PRIORS:
        return "PRIORS"
    if isinstance(value, frozenset):
        return "{" + ", ".join(state.name for state in places.STATES if state in value) + "}"
    return repr(value)


def kinds() -> str:
    """Return what each kind of movement may move from where to where."""
    order = [*(state.value for state in places.STATES), "supplier", "customer"]
    order += ["adjustment", "assembly", "opening"]

    def shown(ends: frozenset[str]) -> str:
        return ", ".join(f"`{name}`" for name in order if name in ends)

    rows = (
        (
            f"`{kind.value}`",
            "<br>".join(f"{shown(a)} → {shown(b)}" for a, b in rule.flows),
            rule.meaning,
        )
        for kind, rule in TABLE.items()
    )
    return table(("kind", "from → to", "meaning"), rows)


#: The method that hands over each operation; facts without one go through ``record``.
METHODS = {
    "Adjusted": "adjust",
    "Amend": "amend",
    "Arrived": "arrive",
    "Assemble": "assemble",
    "Confirm": "confirm",
    "Correct": "correct",
    "Counted": "count",
    "Damaged": "damage",
    "DefineBundle": "bundles.define",
    "DeliveryClosed": "close_delivery",
    "Disassemble": "disassemble",
    "Expected": "expect",
    "Inspected": "inspect",
    "Lost": "lose",
    "Opened": "open",
    "Pick": "pick",
    "Received": "receive",
    "Rejected": "reject",
    "Release": "release",
    "Relocate": "relocate",
    "RemoveBundle": "bundles.remove",
    "Reserve": "reserve",
    "Returned": "record",
    "ReturnedToSupplier": "return_to_supplier",
    "Scrapped": "scrap",
    "Ship": "ship",
    "ShortPick": "short_pick",
    "Sold": "record",
    "TakeBack": "take_back",
    "TransferOut": "transfer_out",
    "Undo": "undo",
}
SHARED = tuple(field.name for field in attrs.fields(Operation))
#: Operations no caller makes: the sweeper's, and the one behind locations and policies.
OWN_USE = {"Expire", "Put"}
SAID_IN = (facts, commands, reservation_commands, shop_rules)


def public_operations() -> dict[str, type[Operation]]:
    """Return the operations callers make, by name."""
    return {
        name: kind
        for module in SAID_IN
        for name, kind in vars(module).items()
        if inspect.isclass(kind)
        and issubclass(kind, Operation)
        and kind.__module__ == module.__name__
        and not name.startswith("_")
        and name not in OWN_USE
    }


def _fields(kind: type[Operation]) -> str:
    """List the fields of an operation: its own, then shared ones it requires, then options."""
    fields = attrs.fields(kind)
    required = [field.name for field in fields if field.default is attrs.NOTHING]
    required.sort(key=lambda name: name in SHARED)
    optional = (
        f"{field.name}={_default(field.default)}"
        for field in fields
        if field.name not in SHARED and field.default is not attrs.NOTHING
    )
    return ", ".join(f"`{field}`" for field in (*required, *optional))


def listed_operations(nature: str) -> str:
    """Return the facts or the commands, with the fields of each."""
    rows = (
        (f"`{name}`", f"`{METHODS[name]}`", _fields(kind), summary(kind))
        for name, kind in public_operations().items()
        if kind.is_fact is (nature == "facts")
    )
    return table(("operation", "method", "fields", "meaning"), rows)


def listed_errors(base: str) -> str:
    """Return the errors below a branch of the tree."""
    branch: type[Any] = getattr(errors, base)
    # What attrs replaced by a class with slots lives on until it is collected.
    own: list[type[Any]] = [kind for kind in branch.__subclasses__() if attrs.has(kind)]
    rows = (
        (
            f"`{kind.__name__}`",
            ", ".join(f"`{field.name}`" for field in attrs.fields(kind)),
            summary(kind),
        )
        for kind in (own or [branch])
    )
    return table(("error", "fields", "when"), rows)


def methods(*chosen: str) -> str:
    """Return the chosen methods of Inventory, with how they are called."""
    rows = []
    for name in chosen:
        found = getattr(Inventory, name)
        called = signature(found) if inspect.isfunction(found) else name
        rows.append((f"`{called}`", summary(found)))
    return table(("method", "does"), rows)


def protocol(name: str) -> str:
    """Return the methods a protocol asks for."""
    kind = getattr(protocols, name)
    rows = (
        (f"`{signature(function)}`", summary(function))
        for method, function in vars(kind).items()
        if inspect.isfunction(function) and not method.startswith("_")
    )
    return table(("method", "does"), rows)


def listed_findings() -> str:
    """Return the kinds of findings, the most urgent first."""
    rows = (
        (
            f"`{kind.value}`",
            str(rule.urgency),
            rule.advice,
            "yes" if kind in findings.DISMISSIBLE else "no",
        )
        for kind, rule in sorted(findings.KINDS.items(), key=lambda item: -item[1].urgency)
    )
    return table(("kind", "urgency", "what to do", "can be dismissed"), rows)


def listed_mismatches() -> str:
    """Return the kinds of mismatch, in the order in which they are tried."""
    rows = (
        (f"`{kind.value}`", MEANT[kind], rule.advice) for kind, rule in mismatches.KINDS.items()
    )
    return table(("kind", "when", "what to do"), rows)


#: When a difference is of a kind, in words.
MEANT = {
    mismatches.MismatchKind.OVERSOLD: "more is promised than may be, by the book alone",
    mismatches.MismatchKind.PHANTOM: "fewer were counted than the book may have had",
    mismatches.MismatchKind.UNRECORDED: "more were counted than the book may have had; between two possible values, both",
    mismatches.MismatchKind.RESERVED_AS_AVAILABLE: "the level is the source's formula over what "
    "is on hand",
    mismatches.MismatchKind.STALE_SYNC: "the level was published, or would have been, before",
    mismatches.MismatchKind.BUNDLE: "a kit's level differs while the same source shows all its components, and they match",
    mismatches.MismatchKind.FOREIGN_EDIT: "the book still is what was published last, and "
    "something else is shown",
    mismatches.MismatchKind.UNKNOWN_SKU: "the ledger never saw the SKU",
    mismatches.MismatchKind.DUPLICATE_SKU: "a list has the SKU several times",
    mismatches.MismatchKind.UNLISTED: "a complete list lacks a SKU that should show something, or a kit that could be had",
    mismatches.MismatchKind.OTHER: "none of the others",
}


def causes() -> str:
    """Return the kinds of causes, with their default priors and an example in words."""
    rows = (
        (f"`{kind.value}`", f"{weight:g}", sentences.MEANING[kind])
        for kind, weight in priors.DEFAULTS.items()
    )
    return table(("kind", "prior", "what went wrong"), rows)


def limits() -> str:
    """Return the limits the code has, each read from its constant."""
    rows = (
        ("largest quantity and figure", f"{quantities.QUANTITY_MAX:,}", "`InvalidQuantity`"),
        ("characters of a SKU, location, lot, reference, key, tenant, actor, origin",
         str(names.NAME_LENGTH_MAX), "`InvalidText`"),
        ("characters of a reason", str(names.REASON_LENGTH_MAX), "`InvalidText`"),
        ("operations of one `record` or `submit`", f"{engine.BATCH_MAX:,}", "`InvalidArgument`"),
        ("requests that share one transaction by group commit", f"{group.BATCH_MAX:,}",
         "the rest make the next transaction"),
        ("how far ahead of the clock `occurred_at` may lie",
         f"{instants.SKEW_MAX // 60_000_000} minutes",
         "a command raises `InvalidTime`; a fact is recorded as of now, with a note"),
        ("how long a refusal is remembered",
         f"{outcomes.REFUSAL_KEPT // 86_400_000_000} days",
         "afterwards its key is decided anew; granted outcomes are kept for ever"),
        ("holds reclaimed in one transaction of `sweep`", str(manager.SWEEP_MAX),
         "the sweep goes on with the next transaction"),
        ("locations of which every set is tried when sourcing", str(sourcing.EXACT_MAX),
         "beyond, the location giving most of what is missing comes next"),
        ("levels below a bundle when it is defined", str(recipes.DEPTH_MAX), "`InvalidArgument`"),
        ("changed rules told to who missed them, and generations back",
         f"{settings.JOURNAL_MAX:,} and {settings.JOURNAL_GENERATIONS}",
         "whoever missed more reads all rules anew"),
        ("levels published that are remembered of each SKU of a source", str(published.KEPT_MAX),
         "the oldest are forgotten"),
        ("sums of prefixes that a comparison lists", f"{reach.COMBINATIONS_MAX:,}",
         "the interval around them is taken, which only leaves more undecided"),
        ("combinations of components' figures that a comparison tries for a kit",
         f"{reach.MADE_MAX:,}", "the same"),
        ("listed mismatches of each of `unknown_sku`, `duplicate_sku`, `unlisted`",
         f"{report.LISTED_MAX:,}", "the rest are counted"),
        ("levels that match and are kept of each source that differs", f"{report.AGREEING_MAX:,}",
         "every second, fourth and so on is kept"),
        ("SKUs of a book that are searched for look-alikes", f"{explained.ALIKE_MAX:,}",
         "only those that differ are taken for each other"),
        ("movements that tell which sizes are usual", str(evidence.USUAL_MAX),
         "older ones are not looked at"),
        ("entries walked back to find when a stale level was right", f"{book_side.PATH_MAX:,}",
         "it is not called stale"),
        ("tries in a row after which what moves is a provisional match", str(tries.TRIES),
         "it stays undecided"),
        ("restarts of one write", str(apply.ATTEMPTS_MAX), "`Retryable`"),
        (
            "repetitions of a write on PostgreSQL after deadlocks and lost connections",
            str(postgres.ATTEMPTS_MAX),
            "`Retryable`, or `OutcomeUnknown` once a reply was lost",
        ),
        ("SKUs that a PostgreSQL storage remembers, unless told otherwise", f"{REMEMBERED:,}",
         "those used least lately are read again"),
        (
            "how far the clocks of program and server may differ",
            f"{health.CLOCK_DIFFERENCE_MAX.seconds} seconds",
            "the doctor calls it unsafe",
        ),
    )  # fmt: skip
    return table(("limit", "value", "beyond it"), rows)


def listed_checks(group: str) -> str:
    """Return the checks of one module of the kit, or those of capabilities with their needs."""
    if group == "reaching":
        rows = [
            (
                f"`{check.__name__}`",
                ", ".join(f"`{need}`" for need in needs) or "nothing",
                summary(check),
            )
            for check, needs in reaching.NEEDS.items()
        ]
        return table(("check", "needs", "proves"), rows)
    module = f"truecount.testing.{group}"
    of_group = [check for check in testing.STORAGE_CHECKS if check.__module__ == module]
    return table(
        ("check", "proves"), [(f"`{check.__name__}`", summary(check)) for check in of_group]
    )


TABLES: dict[str, Callable[..., str]] = {
    "causes": causes,
    "checks": listed_checks,
    "errors": listed_errors,
    "findings": listed_findings,
    "kinds": kinds,
    "limits": limits,
    "methods": methods,
    "mismatches": listed_mismatches,
    "operations": listed_operations,
    "protocol": protocol,
}


def rewritten(text: str) -> str:
    """Return a page with its marked tables written anew."""

    def anew(match: re.Match[str]) -> str:
        return match["start"] + TABLES[match["name"]](*match["words"].split()) + match["end"]

    return MARKED.sub(anew, text)


# --- the claims -------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_tables_are_what_the_code_says(page: Path) -> None:
    """A marked table equals the one written from the code."""
    text = page.read_text(encoding="utf-8")
    assert text == rewritten(text), "stale: run python -m tests.test_docs_reference"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_marker_has_a_table(page: Path) -> None:
    """A marker with a typing error would leave its table unchecked."""
    text = page.read_text(encoding="utf-8")
    assert len(re.findall(r"<!-- (?:table|end of table)", text)) == 2 * len(MARKED.findall(text))


def test_changed_table_is_noticed() -> None:
    """The check above is only worth something if it can fail."""
    text = f"<!-- table: kinds -->\n{kinds()}<!-- end of table -->"
    assert rewritten(text) == text
    stale = text.replace("thrown away", "lost")
    assert stale != rewritten(stale) == text


def marked(page: str, name: str) -> Iterator[list[str]]:
    """Yield the words of each marker of a page."""
    text = (REFERENCE / page).read_text(encoding="utf-8")
    for match in MARKED.finditer(text):
        if match["name"] == name:
            yield match["words"].split()


def test_every_operation_is_listed() -> None:
    """Each operation callers make is in one of the two tables, under a method that exists."""
    assert sorted(marked("operations.md", "operations")) == [["commands"], ["facts"]]
    assert METHODS.keys() == public_operations().keys()
    assert all(attrgetter(method)(Inventory()) for method in METHODS.values())


def test_every_error_is_listed() -> None:
    """Each branch of the tree has its table, so no error is left out."""
    branches = {kind.__name__ for kind in errors.TrueCountError.__subclasses__()}
    assert {words[0] for words in marked("errors.md", "errors")} == branches
    below = {
        kind.__name__
        for branch in errors.TrueCountError.__subclasses__()
        for kind in branch.__subclasses__()
        for _ in kind.__subclasses__()
    }
    assert not below, "the tables show two levels only"


def test_every_method_is_listed_once() -> None:
    """The overview of the interface leaves no public method out and repeats none."""
    listed = [name for words in marked("api.md", "methods") for name in words]
    public = {name for name in dir(Inventory) if not name.startswith("_")}
    assert sorted(listed) == sorted(public)


def test_every_protocol_method_is_listed() -> None:
    """Whoever writes a storage finds all of its protocols, the optional one last."""
    wanted = [["Storage"], ["Unit"], ["Reader"], ["Patient"]]
    assert list(marked("storage-protocol.md", "protocol")) == wanted


def words_in(page: str) -> set[str]:
    """Return what a page sets as code."""
    return set(re.findall(r"`([^`\n]+)`", (REFERENCE / page).read_text(encoding="utf-8")))


def test_every_figure_and_rule_is_explained() -> None:
    """Each state, each figure and each field of the policy is on the page of figures."""
    shown = words_in("figures.md")
    assert shown >= {state.value for state in places.STATES}
    assert shown >= set(Figures().to_dict()) | {"oversold"}
    assert shown >= {field.name for field in attrs.fields(policy.Policy)}


def test_every_check_is_listed() -> None:
    """The tables of checks leave out no module that has some."""
    groups = {words[0] for words in marked("testing-storages.md", "checks")}
    every = [*testing.STORAGE_CHECKS, *testing.CAPABILITY_CHECKS]
    assert groups == {check.__module__.rpartition(".")[2] for check in every}
    fields = {field.name for field in attrs.fields(testing.Capabilities)}
    assert words_in("testing-storages.md") >= fields


def test_every_invariant_is_listed_in_order() -> None:
    """I1 to I20 each have a line."""
    text = (REFERENCE / "invariants.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| (I\d+) \|", text, re.MULTILINE) == [f"I{n}" for n in range(1, 21)]


def test_invariants_name_what_shows_them() -> None:
    """A check or test named beside an invariant exists; `verify` is said to check what it does."""
    text = (REFERENCE / "invariants.md").read_text(encoding="utf-8")
    files = [*ROOT.glob("src/truecount/testing/*.py"), *ROOT.glob("tests/**/*.py")]
    code = "\n".join(file.read_text(encoding="utf-8") for file in files)
    known = set(re.findall(r"^ *def (\w+)", code, re.MULTILINE))
    named = set(re.findall(r"`((?:check|test)_\w+)`", text))
    assert not named - known, sorted(named - known)
    rows = re.findall(r"^\| (I\d+) \|[^|]*\|[^|]*\| (yes)?", text, re.MULTILINE)
    assert {number for number, verified in rows if verified} == set(problems.MEANING)


def main() -> None:
    """Write the tables of every page anew."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        if text != rewritten(text):
            page.write_text(rewritten(text), encoding="utf-8")
            sys.stdout.write(f"{page.name} written\n")


if __name__ == "__main__":
    main()
