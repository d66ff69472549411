"""``python -m truecount``: the command line."""

from __future__ import annotations

from truecount.cli import main


if __name__ == "__main__":
    main()
