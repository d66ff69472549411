"""
A real Chromium that draws pages without a screen, and tells what it saw.

Pages come from a server of this process, and so would everything else: whatever name a page
asks for, the browser asks here, and the question is written down.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import attrs


#: A small and a large phone, a tablet, the narrowest table, a desk.
WIDTHS = (320, 360, 768, 1040, 1280)

#: Stands around the pages: each in a frame of its own width. What it finds, it writes down.
STAND = """<!DOCTYPE html><title>a stand for pages</title><link rel="icon" href="data:,"><body>{frames}<pre id="seen"></pre>
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
    """What a browser saw at each width, what its console said, what else it asked for."""

    frames: list[dict[str, Any]]
    console: list[str]
    asked: list[str]


def visit(
    chromium: str, page: str, folder: Path, *, is_dark: bool, find: str = "", column: int = 0
) -> Visit:
    """Draw *page* at every width of ``WIDTHS`` and return what was seen."""
    frames = "".join(
        f'<iframe src="page.html" style="border:0;width:{width}px;height:900px"></iframe>'
        for width in WIDTHS
    )
    stand = STAND.format(frames=frames, find=find, column=column)
    with serving({"/stand.html": stand, "/page.html": page}) as (port, asked):
        answer = _run(chromium, port, folder, is_dark=is_dark)
    seen = re.search(r'<pre id="seen">(.*?)</pre>', answer.stdout, re.DOTALL)
    assert seen is not None, answer.stderr
    assert seen[1], answer.stderr
    return Visit(
        json.loads(unescape(seen[1])),
        [line for line in answer.stderr.splitlines() if ":CONSOLE" in line],
        asked,
    )


@contextmanager
def serving(pages: Mapping[str, str]) -> Iterator[tuple[int, list[str]]]:
    """Serve *pages* on a free port; yield it, and the list of all else that was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            source = pages.get(self.path)
            if source is None:
                asked.append(f"{self.headers['Host']}{self.path}")
            self.send_response(200 if source else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write((source or "").encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- its name
            """Say nothing: it is in the list."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_port, asked
        finally:
            server.shutdown()
            thread.join()


def _run(
    chromium: str, port: int, folder: Path, *, is_dark: bool
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            chromium,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-features=NetworkTimeServiceQuerying",  # It asks the time, not the page.
            f"--host-resolver-rules=MAP * 127.0.0.1:{port}",
            "--hide-scrollbars",
            "--no-first-run",
            f"--user-data-dir={folder / 'profile'}",
            f"--blink-settings=preferredColorScheme={0 if is_dark else 1}",
            "--enable-logging=stderr",
            "--window-size=1400,900",
            "--dump-dom",
            f"http://stand.test:{port}/stand.html",
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
