"""What is said about the shop itself: its documents, and what its bundles are made of."""

from __future__ import annotations

import attrs

from truecount.model import doors, names
from truecount.model.doors import Document
from truecount.model.operation import Operation


@attrs.frozen(repr=False)
class Put(Operation):
    """Store documents (space, id, body), replacing what is there: locations, policies."""

    documents: tuple[Document, ...] = attrs.field(converter=doors.documents)


@attrs.frozen(repr=False)
class DefineBundle(Operation):
    """Say what one unit of a bundle is made of, from now on; made before, as its next version."""

    is_fact = False
    sku: str = attrs.field(converter=names.sku)
    components: tuple[tuple[str, int], ...] = attrs.field(converter=doors.lines)


@attrs.frozen(repr=False)
class RemoveBundle(Operation):
    """Take a bundle out of the range: from now on its SKU is a plain one."""

    is_fact = False
    sku: str = attrs.field(converter=names.sku)
