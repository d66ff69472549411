from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from truecount import (
    Adjusted,
    Counted,
    Damaged,
    DeliveryClosed,
    Expected,
    Inspected,
    Opened,
    Operation,
    Received,
    Returned,
    ReturnedToSupplier,
    Scrapped,
    Sold,
    State,
)
from truecount.cli.csv_columns import COLUMNS, KINDS, places_of
from truecount.cli.csv_rows import Layout, Problem, fact_of
from truecount.errors import InvalidData


NINE = datetime(2026, 3, 1, 9, tzinfo=UTC)
BASE = {"sku": "MUG", "quantity": "3", "location": "berlin"}

LAYOUT = Layout(
    header=tuple(COLUMNS),
    places={name: place for place, name in enumerate(COLUMNS)},
    key_prefix="may.csv",
    locations=frozenset({"berlin", "hamburg"}),
)


def read(cells: Mapping[str, str], layout: Layout = LAYOUT) -> Operation | Problem:
    """Read one row, at line 7."""
    return fact_of(layout, 7, [cells.get(name, "") for name in layout.header])


GOOD: list[tuple[dict[str, str], Operation]] = [
    ({"kind": "open"}, Opened("MUG", 3, at="berlin")),
    (
        {"kind": "open", "state": "Damaged", "lot": "L1", "lot_expires_at": "2026-03-01T09:00Z"},
        Opened("MUG", 3, at="berlin", state=State.DAMAGED, lot="L1", lot_expires_at=NINE),
    ),
    (
        {"kind": "expect", "reference": "PO-1", "due_at": "2026-03-01T10:00:00+01:00"},
        Expected("MUG", 3, at="berlin", reference="PO-1", due_at=NINE),
    ),
    (
        {"kind": "receive", "into": "quarantine", "rejected": "2", "reference": "PO-1"},
        Received("MUG", 3, at="berlin", into=State.QUARANTINE, rejected=2, reference="PO-1"),
    ),
    (
        {"kind": "receive", "quantity": "0", "rejected": "2"},
        Received("MUG", 0, at="berlin", rejected=2),
    ),
    (
        {"kind": "close_delivery", "quantity": "", "reference": "PO-1"},
        DeliveryClosed("MUG", at="berlin", reference="PO-1"),
    ),
    (
        {"kind": "sold", "occurred_at": "2026-03-01T09:00:00Z", "origin": "etsy"},
        Sold("MUG", 3, at="berlin", occurred_at=NINE, origin="etsy"),
    ),
    ({"kind": "return", "into": "sellable"}, Returned("MUG", 3, at="berlin", into=State.SELLABLE)),
    ({"kind": "inspect", "into": "damaged"}, Inspected("MUG", 3, at="berlin", into=State.DAMAGED)),
    ({"kind": "damage", "actor": "kim"}, Damaged("MUG", 3, at="berlin", actor="kim")),
    ({"kind": "scrap", "reason": "mould"}, Scrapped("MUG", 3, at="berlin", reason="mould")),
    ({"kind": "return_to_supplier"}, ReturnedToSupplier("MUG", 3, at="berlin")),
    (
        {"kind": "adjust", "quantity": "-3", "reason": "lost"},
        Adjusted("MUG", -3, at="berlin", reason="lost"),
    ),
    (
        {"kind": "adjust", "quantity": "+3", "reason": "x"},
        Adjusted("MUG", 3, at="berlin", reason="x"),
    ),
    (
        {"kind": "count", "quantity": "0", "occurred_at": "2026-03-01T09:00:00Z"},
        Counted("MUG", 0, at="berlin", counted_at=NINE),
    ),
]


class TestGoodRows:
    @pytest.mark.parametrize(("cells", "fact"), GOOD, ids=lambda value: str(value)[:60])
    def test_row_says_exactly_this_fact(self, cells: dict[str, str], fact: Operation) -> None:
        """Every kind of row, and every column, becomes the fact an integrator would write."""
        assert read(BASE | cells) == fact.with_key("may.csv:7")

    def test_every_kind_is_shown_above(self) -> None:
        """A new kind of row does not come without an example."""
        assert {cells["kind"] for cells, _ in GOOD} == set(KINDS)

    def test_own_key_wins(self) -> None:
        """A row that names its key is not given another."""
        fact = read(BASE | {"kind": "sold", "key": "etsy-1"})
        assert fact == Sold("MUG", 3, at="berlin", key="etsy-1")

    def test_constant_fills_empty_cells_only(self) -> None:
        """What all rows share is said once, and a cell that says something wins."""
        layout = attrs.evolve(
            LAYOUT, constants={"kind": "damage", "actor": "kim", "into": "sellable"}
        )
        assert read(BASE, layout) == Damaged("MUG", 3, at="berlin", actor="kim", key="may.csv:7")
        said = read(BASE | {"actor": "sam"}, layout)
        assert said == Damaged("MUG", 3, at="berlin", actor="sam", key="may.csv:7")

    @pytest.mark.parametrize(
        "sku",
        ["=HYPERLINK(1)", "'; DROP TABLE stock; --", '"quoted"', "../../etc", "[red]x[/red]", "🍵"],
    )
    def test_hostile_text_is_only_text(self, sku: str) -> None:
        """Quotes, SQL, formulas, paths and markup are names like any other."""
        fact = read(BASE | {"kind": "sold", "sku": sku})
        assert isinstance(fact, Sold)
        assert fact.sku == sku

    def test_padding_is_dropped_on_request(self) -> None:
        """With strip, white space around cells says nothing."""
        layout = attrs.evolve(LAYOUT, strip=True)
        assert read(BASE | {"kind": " sold ", "sku": " MUG ", "lot": "  "}, layout) == Sold(
            "MUG", 3, at="berlin", key="may.csv:7"
        )


BAD: list[tuple[dict[str, str], str, str]] = [
    ({"kind": "stolen"}, "kind", "expected one of open, expect"),
    ({"sku": ""}, "sku", "empty"),
    ({"sku": " MUG"}, "sku", "padded"),
    ({"sku": "MU\x1bG"}, "sku", "control character"),
    ({"sku": "MU\x00G"}, "sku", "control character"),
    ({"sku": "CAFE\u0301"}, "sku", "NFC; write each letter with its accent as one character"),
    ({"sku": "\ufeffMUG"}, "sku", "it has a byte order mark; delete it"),
    ({"sku": "x" * 201}, "sku", "at most 200"),
    ({"quantity": ""}, "quantity", "empty"),
    ({"quantity": "2.0"}, "quantity", "whole number"),
    ({"quantity": "1_000"}, "quantity", "whole number"),
    ({"quantity": "１２"}, "quantity", "whole number"),  # noqa: RUF001 -- full-width digits
    ({"quantity": "=1+1"}, "quantity", "whole number"),
    ({"quantity": "0"}, "quantity", "from 1 to"),
    ({"quantity": "-3"}, "quantity", "from 1 to"),
    ({"quantity": "9999999999999999999"}, "quantity", "from 1 to"),
    ({"quantity": "9" * 20}, "quantity", "a whole number of at most 9223372036854775807"),
    ({"quantity": "9" * 5000}, "quantity", "a whole number of at most 9223372036854775807"),
    ({"quantity": "9223372036854775808"}, "quantity", "expected whole numbers from "),
    ({"quantity": "1,000"}, "quantity", "drop the separators"),
    ({"quantity": "1.000.000"}, "quantity", "drop the separators"),
    ({"quantity": "1\u00a0000"}, "quantity", "drop the separators"),
    ({"quantity": " 3"}, "quantity", "padded with white space; take it away, or pass --strip"),
    ({"location": "berlin "}, "location", "or pass --strip"),
    ({"kind": " "}, "kind", "or pass --strip"),
    ({"kind": ""}, "kind", "it is empty, and no --kind was named; expected one of open, "),
    ({"kind": "adjust", "reason": "x", "quantity": "0"}, "quantity", "not 0"),
    ({"location": ""}, "location", "empty"),
    ({"location": "berln"}, "location", "did you mean 'berlin'?"),
    ({"occurred_at": "01.03.2026"}, "occurred_at", "ISO 8601"),
    ({"occurred_at": "2026-03-01T09:00:00"}, "occurred_at", "no time zone"),
    ({"kind": "count", "occurred_at": "soon"}, "occurred_at", "ISO 8601"),
    ({"occurred_at": "0001-01-01T00:00:00+01:00"}, "occurred_at", "outside the years"),
    ({"kind": "adjust"}, "reason", "adjust needs it"),
    ({"kind": "expect"}, "reference", "expect needs it"),
    ({"kind": "inspect"}, "into", "inspect needs it"),
    ({"kind": "inspect", "into": "held"}, "into", "SELLABLE"),
    ({"kind": "damage", "state": "picked"}, "state", "SELLABLE"),
    ({"into": "damaged"}, "into", "sold takes no into"),
    ({"kind": "close_delivery", "reference": "PO-1"}, "quantity", "takes no quantity"),
    ({"kind": "receive", "rejected": "some"}, "rejected", "whole number"),
    ({"kind": "receive", "quantity": "0"}, "quantity", "from 1 to"),
    ({"kind": "open", "lot_expires_at": "2026-03-01T09:00Z"}, "lot_expires_at", "a lot is needed"),
    ({"key": "k\tk"}, "key", "control character"),
    ({"reference": "r\nr"}, "reference", "control character"),
]


class TestBadRows:
    @pytest.mark.parametrize(("cells", "column", "reason"), BAD)
    def test_row_is_named(self, cells: dict[str, str], column: str, reason: str) -> None:
        """What is wrong is named by line, column, value and reason, and nothing is repaired."""
        asked = BASE | {"kind": "sold"} | cells
        problem = read(asked)
        assert isinstance(problem, Problem)
        assert (problem.line, problem.column) == (7, column)
        assert problem.value == asked.get(column, "")
        assert reason in problem.reason

    def test_problem_is_one_printable_line(self) -> None:
        """A hostile cell is shown, not performed."""
        problem = read(BASE | {"kind": "sold", "sku": "\x1b[2J\r\n"})
        assert str(problem).isprintable()

    def test_column_is_named_as_in_the_file(self) -> None:
        """Who looks for the cell finds the header it is under."""
        layout = attrs.evolve(LAYOUT, header=("Art", *LAYOUT.header[1:]))
        problem = fact_of(layout, 7, ["stolen", *[""] * (len(COLUMNS) - 1)])
        assert isinstance(problem, Problem)
        assert problem.column == "Art"

    @pytest.mark.parametrize("extra", [-1, 1])
    def test_row_of_another_width_is_bad(self, extra: int) -> None:
        """A cell too few or too many means that nobody knows which cell is which."""
        problem = fact_of(LAYOUT, 7, ["sold"] * (len(COLUMNS) + extra))
        assert isinstance(problem, Problem)
        assert f"the row has {len(COLUMNS) + extra} cells" in problem.reason

    def test_column_a_kind_needs_may_be_missing(self) -> None:
        """A file without quantities is fine until a row of it needs one."""
        header = ("kind", "sku", "location", "reference")
        places = places_of(header, {}, {}, extra=False)
        layout = Layout(
            header=header, places=places, key_prefix="in", locations=frozenset({"berlin"})
        )
        assert fact_of(layout, 2, ["close_delivery", "MUG", "berlin", "PO-1"]) == DeliveryClosed(
            "MUG", at="berlin", reference="PO-1", key="in:2"
        )
        problem = fact_of(layout, 3, ["sold", "MUG", "berlin", ""])
        assert problem == Problem(3, "quantity", "", "it is empty, sold needs it")

    def test_one_cell_is_one_cell(self) -> None:
        """A line of something else altogether is told in good grammar."""
        problem = fact_of(LAYOUT, 7, ["total"])
        assert isinstance(problem, Problem)
        assert problem.reason == f"the row has 1 cell, the header has {len(COLUMNS)}"

    @given(st.dictionaries(st.sampled_from([*COLUMNS]), st.text(max_size=12)))
    def test_any_text_is_a_fact_or_a_named_problem(self, cells: dict[str, str]) -> None:
        """Whatever cells hold, reading them never fails in another way."""
        found = read(BASE | {"kind": "sold"} | cells)
        assert isinstance(found, Operation) or (found.line == 7 and str(found).isprintable())


class TestTimes:
    BERLIN = attrs.evolve(LAYOUT, timezone=ZoneInfo("Europe/Berlin"))

    def read(self, cell: str) -> Operation | Problem:
        """Read a sale at *cell*, Berlin time."""
        return read(BASE | {"kind": "sold", "occurred_at": cell}, self.BERLIN)

    def test_naive_time_is_of_the_zone_named(self) -> None:
        """A time without a zone is that of the shop, in summer and in winter."""
        for cell, offset in (("2026-03-01T09:00:00", 1), ("2026-07-01 09:00", 2)):
            fact = self.read(cell)
            assert isinstance(fact, Sold)
            assert fact.occurred_at is not None
            assert fact.occurred_at.utcoffset() == timedelta(hours=offset)

    def test_written_zone_wins(self) -> None:
        """A time that names its zone is left alone."""
        fact = self.read("2026-03-01T09:00:00Z")
        assert fact == Sold("MUG", 3, at="berlin", occurred_at=NINE, key="may.csv:7")

    def test_time_before_all_time_is_bad(self) -> None:
        """The first morning in Berlin lies before the first year in UTC."""
        problem = self.read("0001-01-01T00:00:00")
        assert isinstance(problem, Problem)
        assert "outside the years 1 to 9999" in problem.reason

    def test_time_that_never_was_is_bad(self) -> None:
        """The hour that clocks skip in spring names no moment."""
        problem = self.read("2026-03-29T02:30:00")
        assert isinstance(problem, Problem)
        assert problem.reason == "clocks in Europe/Berlin never showed this time"


class TestHeader:
    def test_case_and_padding_do_not_matter(self) -> None:
        """A header written by a spreadsheet is understood."""
        assert places_of(["Kind ", "SKU", "quantity", "Location"], {}, {}, extra=False) == {
            "kind": 0,
            "sku": 1,
            "quantity": 2,
            "location": 3,
        }

    def test_mapped_column_leaves_its_name_free(self) -> None:
        """What is mapped is taken by the name the file gives it."""
        header = ["kind", "sku", "Menge", "location"]
        assert places_of(header, {"quantity": "menge"}, {}, extra=False)["quantity"] == 2

    def test_constant_stands_for_a_missing_column(self) -> None:
        """A file of one kind at one location needs neither column."""
        assert places_of(
            ["sku", "quantity"], {}, {"kind": "open", "location": "berlin"}, extra=False
        ) == {
            "sku": 0,
            "quantity": 1,
        }

    @pytest.mark.parametrize(
        ("header", "problem"),
        [
            (["kind", "sku", "quantity"], "no column location"),
            (["kind", "sku", "location", "SKU"], "'SKU' is there twice"),
            (["kind", "sku", "location", " "], "column 4 has no name (seen: 'kind', 'sku', "),
            (["kind", "sku", "location", "refrence"], "did you mean 'reference'?"),
            (["kind", "sku", "location", "\x1b[2J"], "'\\x1b[2J' is unknown"),
            (
                ["kind", "sku", "place", "Artikel"],
                "'place' is unknown, column 'Artikel' is unknown; ",
            ),
        ],
    )
    def test_wrong_header_is_named(self, header: list[str], problem: str) -> None:
        """A column is never guessed at, nor passed over in silence."""
        with pytest.raises(InvalidData) as caught:
            places_of(header, {}, {}, extra=False)
        assert problem in str(caught.value)

    @pytest.mark.parametrize(
        ("kind", "problem"),
        [("count", "no column quantity"), ("adjust", "no column quantity and no column reason")],
    )
    def test_column_that_every_row_needs_is_missed_once(self, kind: str, problem: str) -> None:
        """A file of one kind without a column of it is refused by its header, not row by row."""
        with pytest.raises(InvalidData, match=problem):
            places_of(["sku", "location"], {}, {"kind": kind}, extra=False)

    def test_mapped_column_must_be_there(self) -> None:
        """A mapping to nothing is a mistake, not an empty column."""
        with pytest.raises(InvalidData, match="no column 'Menge' for quantity"):
            places_of(["kind", "sku", "location"], {"quantity": "Menge"}, {}, extra=False)

    def test_column_both_mapped_and_there_is_named(self) -> None:
        """Which of the two is meant is a question for whoever called."""
        header = ["kind", "sku", "quantity", "Pieces", "location"]
        with pytest.raises(InvalidData, match="--map takes quantity from 'Pieces'; drop one"):
            places_of(header, {"quantity": "Pieces"}, {}, extra=False)
        assert places_of(header, {"quantity": "Pieces"}, {}, extra=True)["quantity"] == 3

    def test_extra_columns_are_passed_over_on_request(self) -> None:
        """A file may say more than the ledger wants to know."""
        header = ["kind", "sku", "location", "Description"]
        assert "Description" not in places_of(header, {}, {}, extra=True)
