"""
How the page looks, and the small script that makes its long tables easy to use. Constants.

Rules:
1. Nothing is fetched: system fonts, no pictures, no scripts but this one, and the page says so
   in its own security policy (``page``), so a browser refuses everything else.
2. Each colour of text stands out from each ground it is used on by 4.5 to 1 (WCAG 2.2, 1.4.3);
   ``PALETTES`` is what the style sheet is made of, and what a test measures.
3. The script adds controls and changes nothing else. Without it everything is there to read.

Called by ``page``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final


#: By scheme: ground, text and mark colours. ``page`` and ``card`` are grounds.
PALETTES: Final[Mapping[str, Mapping[str, str]]] = {
    "light": {
        "page": "#faf9f6",
        "card": "#ffffff",
        "ink": "#22262b",
        "quiet": "#5c646d",
        "rule": "#e3e0d9",
        "strong-rule": "#7f868d",
        "accent": "#1f5f99",
        "good": "#1d6b46",
        "warn": "#7d5200",
        "bad": "#a8291f",
        "tint": "#fbeeea",
        "area": "#e8f0f7",
    },
    "dark": {
        "page": "#14171b",
        "card": "#1b1f25",
        "ink": "#e7e6e2",
        "quiet": "#a5adb6",
        "rule": "#30363e",
        "strong-rule": "#757d87",
        "accent": "#86b8e8",
        "good": "#79cf9f",
        "warn": "#e4b45c",
        "bad": "#ff9a8c",
        "tint": "#37211f",
        "area": "#202b37",
    },
}
GROUNDS: Final = ("page", "card", "tint")
TEXTS: Final = ("ink", "quiet", "accent", "good", "warn", "bad")


def _variables(scheme: str) -> str:
    return "".join(f"--{name}:{value};" for name, value in PALETTES[scheme].items())


_RULES: Final = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;background:var(--page);color:var(--ink);line-height:1.5;
font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif;font-size:1rem}
header,main,footer{max-width:72rem;margin:0 auto;padding:0 1.25rem}
header{padding-top:2.5rem}
h1{font-size:1.05rem;font-weight:600;margin:0;color:var(--quiet)}
.lead{font-size:1.65rem;line-height:1.28;font-weight:600;letter-spacing:-.012em;
margin:.35rem 0 .5rem;max-width:46rem;text-wrap:balance}
h2{font-size:1.25rem;line-height:1.3;margin:3rem 0 .75rem}
h3{font-size:1.05rem;margin:2rem 0 .25rem}
p{margin:.25rem 0 .75rem;max-width:44rem}
.quiet,figcaption{color:var(--quiet);font-size:.875rem;font-weight:400}
.quiet time,td .quiet{font-size:inherit}
.own,h1,.cards td,.timeline p{overflow-wrap:anywhere}
time{white-space:nowrap}
a{color:var(--accent)}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px;border-radius:3px}
.tiles{display:grid;grid-template-columns:repeat(4,1fr);gap:.75rem;margin:1.5rem 0 .9rem;padding:0}
.tiles div{background:var(--card);border:1px solid var(--rule);border-radius:.6rem;
padding:.7rem .9rem .6rem}
.tiles dt{color:var(--quiet);font-size:.875rem}
.tiles dd{margin:0;font-size:1.6rem;font-weight:600;line-height:1.2;
font-variant-numeric:tabular-nums}
.bad dd,strong{color:var(--bad)}.warn dd{color:var(--warn)}.good dd{color:var(--good)}
.bar{display:block;border-radius:.25rem}
.bar .good{fill:var(--good)}.bar .bad{fill:var(--bad)}.bar .warn{fill:var(--warn)}
.sums{display:grid;grid-template-columns:minmax(0,2fr) minmax(0,1fr) minmax(0,1fr);gap:0 2rem;
align-items:start}
table{width:100%;border-collapse:collapse;margin:.25rem 0 .5rem;font-size:.9375rem}
.unseen{position:absolute!important;clip-path:inset(50%);width:1px;height:1px;
overflow:hidden;white-space:nowrap}
caption{text-align:left;font-weight:600;padding:.5rem 0;color:var(--ink)}
th,td{text-align:left;vertical-align:top;padding:.5rem .75rem .5rem 0;
border-bottom:1px solid var(--rule)}
thead th{color:var(--quiet);font-size:.8125rem;font-weight:600;vertical-align:bottom;
border-bottom-color:var(--strong-rule)}
tbody th{font-weight:600}
.number{text-align:right;padding-right:1.25rem;font-variant-numeric:tabular-nums;white-space:nowrap}
th.number button{text-align:right}
.kind{font-weight:600}
details{margin:.15rem 0}
summary{cursor:pointer;color:var(--accent);font-size:.875rem;width:fit-content}
details p{font-size:.875rem;margin:.35rem 0;overflow-wrap:anywhere}
details ul{font-size:.875rem;margin:.35rem 0;padding-left:1.1rem;overflow-wrap:anywhere}
.cause{font-size:.875rem;margin:.15rem 0;max-width:30rem;overflow-wrap:anywhere}
.tag{color:var(--warn);font-size:.8125rem;font-weight:600;margin-left:.4em}
.question>:first-child{box-shadow:inset 3px 0 var(--bad);padding-left:.6rem}
th button{all:unset;cursor:pointer;white-space:nowrap}
th button:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
th[aria-sort=ascending] button::after{content:" ↑"}
th[aria-sort=descending] button::after{content:" ↓"}
.controls{display:flex;flex-wrap:wrap;gap:.5rem .75rem;align-items:end;margin:.25rem 0 .25rem}
.controls label{min-width:0;display:grid;gap:.15rem;font-size:.8125rem;color:var(--quiet)}
.controls .order{display:none}
.controls input,.controls select{font:inherit;font-size:1rem;color:var(--ink);
background:var(--card);border:1px solid var(--strong-rule);border-radius:.4rem;
padding:.35rem .5rem;height:2.5rem;max-width:100%}
.controls select{max-width:18rem;text-overflow:ellipsis}
.controls output{margin-left:auto;color:var(--quiet);font-size:.875rem;padding:.4rem 0}
.chart{margin:.75rem 0;background:var(--card);border:1px solid var(--rule);
border-radius:.6rem;padding:.75rem .5rem .6rem}
.chart svg{display:block}
figcaption{display:flex;flex-wrap:wrap;gap:.15rem 1.1rem;padding:.1rem .6rem}
figcaption span{display:inline-flex;align-items:center;gap:.3rem}
.swatch{width:14px;height:14px;background:var(--tint);border:1px solid var(--bad);
border-radius:2px}
svg text{fill:var(--quiet);font-size:12px;font-variant-numeric:tabular-nums}
svg .parted{fill:var(--bad);font-weight:600;font-size:13px}
.grid{stroke:var(--rule)}.zero{stroke:var(--strong-rule)}
.line{fill:none;stroke:var(--accent);stroke-width:2;stroke-linejoin:round}
.area{fill:var(--area);fill-opacity:.65}
.band{fill:var(--tint);stroke:var(--bad);stroke-width:1;stroke-dasharray:3 3}
.gap{stroke:var(--bad);stroke-width:2;stroke-dasharray:2 3}
.took{stroke:var(--ink);stroke-width:2}
.mark{stroke:var(--card);stroke-width:1.5}
.agrees{fill:var(--good)}.differs{fill:var(--bad)}
.undecided{fill:var(--card);stroke:var(--warn);stroke-width:2}
footer{margin-top:3.5rem;padding-top:1rem;padding-bottom:2.5rem;border-top:1px solid var(--rule)}
footer p{font-size:.875rem;color:var(--quiet)}
[hidden]{display:none!important}
@media (max-width:64.5rem){.sums{grid-template-columns:1fr 1fr}.sums>:first-child{grid-column:1/-1}}
@media (min-width:64.51rem){.cards td:not(.number){min-width:6.5rem}
.cards tbody th{min-width:7.5rem}}
@media (max-width:46rem){
header,main,footer{padding-left:1rem;padding-right:1rem}
header{padding-top:1.5rem}
.lead{font-size:1.35rem}
.tiles{grid-template-columns:1fr 1fr;gap:.5rem}
.sums{display:block}
}
@media (max-width:64.5rem){
.cards,.cards tbody,.cards caption{display:block}
.cards thead{position:absolute;clip-path:inset(50%);width:1px;height:1px;overflow:hidden}
.cards tr{display:block;background:var(--card);border:1px solid var(--rule);
border-radius:.6rem;padding:.6rem .9rem;margin:0 0 .6rem}
.cards td,.cards th{display:grid;grid-template-columns:6.5rem minmax(0,1fr);gap:.5rem;
border:0;padding:.16rem 0;text-align:left;white-space:normal;background:none}
.cards td::before{content:attr(data-label);color:var(--quiet);font-size:.875rem}
.cards tbody th{display:block;font-size:1.05rem;padding-bottom:.25rem}
.cards .question{border-left:3px solid var(--bad)}
.cards .question>:first-child{box-shadow:none;padding-left:0}
.controls label{flex:1 1 8rem}.controls .order{display:grid}
.controls input,.controls select{width:100%;max-width:100%}
}
@media print{
:root{color-scheme:light;LIGHT}
body{font-size:10pt}.controls{display:none!important}
h2,caption,thead{break-after:avoid}tr,figure,.tiles{break-inside:avoid}
header,main,footer{max-width:none;padding-left:0;padding-right:0}
details::details-content{content-visibility:visible;display:block}
}
"""

STYLE: Final = (
    f":root{{color-scheme:light dark;{_variables('light')}}}"
    f"@media (prefers-color-scheme:dark){{:root{{{_variables('dark')}}}}}"
    f"{_RULES.replace('LIGHT', _variables('light'))}"
)

#: Sorts and filters; text is only ever set as text.
SCRIPT: Final = """
"use strict";
for (const table of document.querySelectorAll("table[data-sortable]")) {
  const body = table.tBodies[0], rows = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  const names = heads.map((head) => head.textContent);
  if (rows.length < 2) continue;
  const bar = document.createElement("div");
  bar.className = "controls";
  const labelled = (words, control) => {
    const label = document.createElement("label");
    label.append(words, control);
    bar.append(label);
    return label;
  };
  const choice = (words, options, changed) => {
    const select = document.createElement("select");
    for (const [value, shown] of options) select.add(new Option(shown, value));
    select.addEventListener("change", changed);
    labelled(words, select);
    return select;
  };
  const search = document.createElement("input");
  search.type = "search";
  labelled("Find", search);
  const told = document.createElement("output");
  const show = () => {
    const words = search.value.toLocaleLowerCase();
    let shown = 0;
    for (const row of rows) {
      row.hidden = !row.textContent.toLocaleLowerCase().includes(words) ||
        filters.some(([key, select]) => select.value && row.dataset[key] !== select.value);
      shown += row.hidden ? 0 : 1;
    }
    told.textContent = `${shown} of ${rows.length} shown`;
  };
  const filters = [["group", "What"], ["place", "Where"]].map(([key, words]) => {
    const found = [...new Set(rows.map((row) => row.dataset[key]).filter(Boolean))].sort();
    if (found.length < 2) return null;
    return [key, choice(words, [["", "all"], ...found.map((each) => [each, each])], show)];
  }).filter(Boolean);
  search.addEventListener("input", show);
  const compare = new Intl.Collator(undefined, {numeric: true}).compare;
  const value = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.sort ?? cell.textContent;
  };
  const sort = (column, down) => {
    const isNumber = rows.every((row) => /^(-?[0-9]+)?$/.test(value(row, column)));
    const order = isNumber
      ? (a, b) => Number(value(a, column)) - Number(value(b, column))
      : (a, b) => compare(value(a, column), value(b, column));
    rows.sort((a, b) => (down ? order(b, a) : order(a, b)));
    body.append(...rows);
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    heads[column].setAttribute("aria-sort", down ? "descending" : "ascending");
  };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = names[column];
    button.addEventListener("click", () =>
      sort(column, head.getAttribute("aria-sort") === "ascending"));
    head.replaceChildren(button);
  });
  const order = choice("Order", [["", "as found"], ...names.map((name, n) => [n, name])], () => {
    if (order.value !== "") sort(Number(order.value), false);
  });
  order.parentElement.className = "order";
  told.setAttribute("aria-live", "polite");
  bar.append(told);
  table.before(bar);
  show();
}
"""
