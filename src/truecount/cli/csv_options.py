"""
How a CSV file is to be read: the options that say so, in one place for every command.

Rules:
1. An option is called the same and means the same wherever a CSV file is read.
2. What an option says is checked before the file is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Annotated, Final, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import attrs
import typer
from attrs.converters import optional

from truecount.cli.csv_columns import COLUMNS, places_of
from truecount.cli.csv_file import Sheet, sheet_of
from truecount.cli.csv_rows import Layout
from truecount.errors import InvalidArgument
from truecount.model.names import shown


#: What a file is decoded by unless another encoding is named: UTF-8, with a mark or without.
ENCODING: Final = "utf-8-sig"

_OFFSET: Final = re.compile(r"([+-])(\d{2}):?(\d{2})")
_DELIMITERS: Final = {"tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}

Location: TypeAlias = Annotated[
    str | None,
    typer.Option("--location", metavar="NAME", help="Location of rows that name none."),
]
Constants: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="COLUMN=VALUE", help="What an empty cell means."),
]
Mapped: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="COLUMN=HEADER", help="The file's name of a column."),
]
Extra: TypeAlias = Annotated[bool, typer.Option("--extra", help="Pass over unknown columns.")]
Strip: TypeAlias = Annotated[bool, typer.Option("--strip", help="Drop white space around cells.")]
Timezone: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--timezone", metavar="ZONE", help="Of times without one: Europe/Berlin, UTC, +01:00."
    ),
]
Encoding: TypeAlias = Annotated[
    str, typer.Option("--encoding", metavar="NAME", help="How the file is encoded.")
]
Delimiter: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--delimiter",
        metavar="CHAR",
        help="Between cells; tab is a word for it. Default: found.",
    ),
]


def pairs_of(option: str, values: Sequence[str] | None) -> dict[str, str]:
    """Return ``COLUMN=VALUE`` options as a mapping."""
    pairs: dict[str, str] = {}
    for value in values or ():
        column, equals, meant = value.partition("=")
        if column not in COLUMNS or not equals or not meant or column in pairs:
            raise InvalidArgument(
                option, shown(value), f"COLUMN=..., each once, with one of {', '.join(COLUMNS)}"
            )
        pairs[column] = meant
    return pairs


def delimiter_of(value: str) -> str:
    """Return what stands between cells, by its character or a word for it."""
    found = _DELIMITERS.get(value, value)
    if len(found) != 1 or found in '"\r\n':
        words = ", ".join(_DELIMITERS)
        raise InvalidArgument("--delimiter", shown(value), f"one character, or one of {words}")
    return found


def zone_of(value: str) -> tzinfo:
    """Return a time zone by its name or offset."""
    offset = _OFFSET.fullmatch(value)
    try:
        if offset is not None:
            sign = -1 if offset[1] == "-" else 1
            minutes = int(offset[2]) * 60 + int(offset[3])
            return timezone(sign * timedelta(minutes=minutes))
        return UTC if value.upper() in {"UTC", "Z"} else ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        allowed = "a zone this system knows, for example Europe/Berlin, UTC or +01:00"
        raise InvalidArgument("--timezone", shown(value), allowed) from error


def _constants(values: Sequence[str] | None) -> dict[str, str]:
    return pairs_of("--set", values)


def _mapping(values: Sequence[str] | None) -> dict[str, str]:
    return pairs_of("--map", values)


@attrs.frozen(kw_only=True)
class CsvForm:
    r"""
    The options that say how a file is to be read, checked.

    >>> CsvForm(delimiter="tab").delimiter, CsvForm(constants=["kind=sold"]).constants
    ('\t', {'kind': 'sold'})

    Attributes:
        constants: What an empty or missing cell of a column means.
        mapping: The file's own name of a column, where it has another.
        location: What an empty cell of that column means; wins over *constants*.
        extra: Whether columns nobody knows are passed over.
        strip: Whether white space around cells is dropped.
        timezone: The zone of times that name none; None refuses them.
        encoding, delimiter: Of the file; without a delimiter it is found.
    """

    constants: Mapping[str, str] = attrs.field(default=None, converter=_constants)
    mapping: Mapping[str, str] = attrs.field(default=None, converter=_mapping)
    location: str | None = None
    extra: bool = False
    strip: bool = False
    timezone: tzinfo | None = attrs.field(default=None, converter=optional(zone_of))
    encoding: str = ENCODING
    delimiter: str | None = attrs.field(default=None, converter=optional(delimiter_of))

    def sheet(self, file: Path) -> Sheet:
        """Open *file* and read its header; see :func:`truecount.cli.csv_file.sheet_of`."""
        return sheet_of(file, self.encoding, self.delimiter)

    def said(self, **others: str | None) -> dict[str, str]:
        """Return what empty cells mean: as the options say, and *others* that are not None."""
        named = {"location": self.location, **others}
        return {
            **self.constants,
            **{name: value for name, value in named.items() if value is not None},
        }

    def layout(
        self,
        sheet: Sheet,
        said: Mapping[str, str],
        *,
        key_prefix: str | None = None,
        locations: frozenset[str] = frozenset(),
        any_location: bool = False,
    ) -> Layout:
        """
        Return how the rows of *sheet* are read, what they leave empty being *said*.

        Raises:
            InvalidData: A column is missing, unknown, unnamed or there twice.
        """
        return Layout(
            header=sheet.header,
            places=places_of(sheet.header, self.mapping, said, extra=self.extra),
            constants=said,
            timezone=self.timezone,
            key_prefix=key_prefix,
            locations=locations,
            any_location=any_location,
            strip=self.strip,
        )
