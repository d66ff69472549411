"""A real Chromium that draws pages without a screen, and tells what it saw."""

from __future__ import annotations

import json
import re
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import attrs


#: A small and a large phone, a tablet, a desk.
WIDTHS = (320, 360, 768, 1280)

#: Stands around the pages: each in a frame of its own width. What it finds, it writes down.
STAND = """<!DOCTYPE html><title>a stand for pages</title><body>{frames}<pre id="seen"></pre>
<script>
const look = (frame) => {{
  const inside = frame.contentDocument, root = inside.documentElement, at = frame.contentWindow;
  const wide = [...inside.querySelectorAll("body *")].filter((each) => !each.closest(".unseen,thead"))
    .filter((each) => each.getBoundingClientRect().right > root.clientWidth + 1)
    .map((each) => `${{each.tagName}}.${{each.className.baseVal ?? each.className}}`);
  const search = inside.querySelector("input[type=search]");
  const rows = search ? [...search.closest(".controls").nextElementSibling.tBodies[0].rows] : [];
  const shown = () => rows.filter((row) => !row.hidden).map((row) => row.cells[0].textContent);
  const order = () => [...(rows[0]?.parentElement.rows ?? [])].map((row) => row.cells[0].textContent);
  const told = {{
    width: root.clientWidth,
    scrolls: root.scrollWidth,
    wide: wide.slice(0, 5),
    ground: at.getComputedStyle(inside.body).backgroundColor,
    fetched: at.performance.getEntriesByType("resource").map((each) => each.name),
    alerted: at.alerted ?? false,
    charts: [...inside.querySelectorAll("svg[role=img]")].map((e) => e.getBoundingClientRect().width),
    before: order(),
  }};
  if (search) {{
    search.focus();
    told.focused = inside.activeElement === search;
    search.value = "{find}";
    search.dispatchEvent(new at.Event("input"));
    told.found = shown();
    search.value = "";
    search.dispatchEvent(new at.Event("input"));
    const head = rows[0].closest("table").tHead.rows[0].cells[{column}];
    head.querySelector("button").click();
    told.sorted = order();
    head.querySelector("button").click();
    told.reversed = order();
    told.direction = head.getAttribute("aria-sort");
  }}
  return told;
}};
addEventListener("load", () => {{
  const seen = [...document.querySelectorAll("iframe")].map(look);
  document.getElementById("seen").textContent = JSON.stringify(seen);
}});
</script>"""


@attrs.frozen
class Visit:
    """What a browser saw: one note for each width, and everything its console said."""

    frames: list[dict[str, Any]]
    console: list[str]


def visit(
    chromium: str, page: str, folder: Path, *, is_dark: bool, find: str = "", column: int = 0
) -> Visit:
    """Draw *page* at every width of ``WIDTHS`` and return what was seen."""
    (folder / "page.html").write_text(page, encoding="utf-8")
    frames = "".join(
        f'<iframe src="page.html" style="border:0;width:{width}px;height:900px"></iframe>'
        for width in WIDTHS
    )
    stand = folder / "stand.html"
    stand.write_text(STAND.format(frames=frames, find=find, column=column), encoding="utf-8")
    answer = subprocess.run(
        [
            chromium,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--allow-file-access-from-files",
            "--hide-scrollbars",
            "--no-first-run",
            f"--user-data-dir={folder / 'profile'}",
            f"--blink-settings=preferredColorScheme={0 if is_dark else 1}",
            "--enable-logging=stderr",
            "--window-size=1400,900",
            "--dump-dom",
            stand.as_uri(),
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    seen = re.search(r'<pre id="seen">(.*?)</pre>', answer.stdout, re.DOTALL)
    assert seen is not None, answer.stderr
    assert seen[1], answer.stderr
    return Visit(
        json.loads(unescape(seen[1])),
        [line for line in answer.stderr.splitlines() if ":CONSOLE" in line],
    )
