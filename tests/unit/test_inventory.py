from __future__ import annotations

from pathlib import Path

import pytest

from truecount import Inventory
from truecount.errors import InvalidArgument


class TestOpening:
    @pytest.mark.parametrize("storage", ["shop.db", Path("shop.db")])
    def test_name_of_a_file_is_no_storage(self, storage: object) -> None:
        """A likely slip is told when the inventory is opened, not at its first use."""
        with pytest.raises(InvalidArgument, match=r"for example SQLiteStorage\('shop.db'\)"):
            Inventory(storage)  # type: ignore[arg-type]  # that is the point
