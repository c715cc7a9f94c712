"""The report's style sheet: light, dark and printed, for any width, with no font or file from elsewhere.

Colours are named by what they stand for and defined once a mode. Text and the marks of the charts keep a contrast of at
least 4.5 (text) and 3 (marks) to what lies behind them in both modes.
"""

from __future__ import annotations

HEAT = (0.0, 0.07, 0.15, 0.24, 0.34, 0.45, 0.57, 0.70, 0.85)
"""How opaque the ground under a token is, by its level of surprise (see surprise.py)."""

_LIGHT = """
  --page: #fbfaf6; --card: #ffffff; --ink: #1b262c; --soft: #56646d; --line: #e4e0d6; --well: #f3f1ea;
  --model: #0a6c8c; --model-soft: #cfe4ea; --valid: #b4481b; --other: #7f8d96; --mark: #ffe49a; --heat: 226, 88, 34;
  --calm: 64, 158, 196;
  --good: #1d7a4c; --warn: #a35200; --river: #0a6c8c;
"""
_DARK = """
  --page: #11171b; --card: #182026; --ink: #e5eaec; --soft: #9cabb4; --line: #2b363e; --well: #1f2930;
  --model: #62c3e0; --model-soft: #1e4654; --valid: #f0935f; --other: #7d8c96; --mark: #6b5310; --heat: 205, 66, 20;
  --calm: 30, 104, 135;
  --good: #6bcf9b; --warn: #f0b25f; --river: #3d8ba3;
"""

_SHEET = """
* { box-sizing: border-box; }
html { color-scheme: light dark; -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial, sans-serif; }
main, header > div, footer { max-width: 980px; margin: 0 auto; padding: 0 28px; }
header { border-bottom: 1px solid var(--line); background: var(--card); overflow: hidden; }
header > div { padding-top: 40px; padding-bottom: 4px; }
.kind { margin: 0; color: var(--model); font-weight: 600; font-size: 14px; letter-spacing: .02em; }
h1 { margin: 2px 0 10px; font-size: 40px; line-height: 1.15; letter-spacing: -.02em; font-weight: 700;
  overflow-wrap: anywhere; }
.lead { margin: 0 0 20px; font-size: 19px; line-height: 1.55; max-width: 46em; }
.lead b { font-weight: 650; white-space: nowrap; }
.river { display: block; width: 100%; height: 44px; color: var(--river); }
nav { position: sticky; top: 0; z-index: 2; background: var(--page); border-bottom: 1px solid var(--line); }
nav ol { display: flex; flex-wrap: wrap; gap: 2px 22px; list-style: none; max-width: 980px; margin: 0 auto;
  padding: 9px 28px; font-size: 14px; }
nav a { color: var(--soft); text-decoration: none; }
nav a:hover, nav a:focus { color: var(--model); text-decoration: underline; }
a { color: var(--model); }
:focus-visible { outline: 2px solid var(--model); outline-offset: 3px; border-radius: 3px; }
section { padding: 38px 0 8px; scroll-margin-top: 30px; }
h2 { margin: 0 0 4px; font-size: 25px; letter-spacing: -.012em; line-height: 1.25; }
h3 { margin: 26px 0 8px; font-size: 16px; }
p { margin: 0 0 14px; max-width: 46em; }
.note { color: var(--soft); font-size: 15px; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(200px, 1fr)); gap: 14px; margin: 16px 0 0;
  padding: 0; }
.figure { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 15px 17px 13px; }
.figure dt { color: var(--soft); font-size: 14px; }
.figure dd { margin: 0; }
.figure .value { font-size: 29px; line-height: 1.25; font-weight: 680; letter-spacing: -.02em;
  font-variant-numeric: tabular-nums; }
.figure .value small { font-size: 15px; font-weight: 500; letter-spacing: 0; color: var(--soft); }
.figure .more { color: var(--soft); font-size: 13.5px; line-height: 1.4; }
.findings { list-style: none; margin: 18px 0 0; padding: 0; }
.findings li { position: relative; padding: 9px 0 9px 34px; border-top: 1px solid var(--line); max-width: 56em; }
.findings li:first-child { border-top: 0; }
.findings .sign { position: absolute; left: 4px; top: 9px; width: 20px; text-align: center; font-weight: 700; }
.good .sign { color: var(--good); } .warn .sign { color: var(--warn); } .plain .sign { color: var(--soft); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 18px 20px;
  margin: 16px 0; }
.scroll { overflow-x: auto; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(270px, 1fr)); gap: 14px; }
.pair .card { margin: 0; padding: 14px 16px 10px; } .pair h3 { margin: 0 0 4px; font-size: 14px; font-weight: 600; }
svg.chart { display: block; width: 100%; height: auto; font-family: inherit; }
.wide svg.chart { min-width: 600px; } .narrow svg.chart { max-width: 640px; } .pair svg.chart { max-width: 340px; }
.chart text { fill: var(--soft); font-size: 13px; font-variant-numeric: tabular-nums; }
.chart .label { font-weight: 600; } .chart .axis { stroke: var(--line); stroke-width: 1; }
.chart .base { stroke: var(--other); stroke-width: 1; }
.chart path { fill: none; stroke-linejoin: round; stroke-linecap: round; }
.raw { stroke: var(--model); stroke-width: 1; opacity: .28; } .model { stroke: var(--model); stroke-width: 2.4; }
.valid { stroke: var(--valid); stroke-width: 2; } circle.valid, circle.model { fill: var(--card); }
.other { stroke: var(--other); stroke-width: 1.4; stroke-dasharray: 5 4; }
.test { stroke: var(--ink); stroke-width: 1.4; stroke-dasharray: 2 4; }
.chart text.t-model { fill: var(--model); } .chart text.t-valid { fill: var(--valid); }
.chart text.t-test { fill: var(--ink); } .chart text.t-other { fill: var(--soft); }
.chart path.rival { stroke: var(--other); stroke-width: 2.4; } .chart path.span { stroke-width: 1.4; opacity: .75; }
.dot.model { fill: var(--model); } .dot.rival { fill: var(--other); stroke: none; }
.chart text.t-rival { fill: var(--ink); }
.chart .field { fill: var(--card); stroke: var(--line); } .chart .look { fill: var(--model); }
.chart text.in { fill: var(--ink); font-size: 12px; pointer-events: none; }
table { border-collapse: collapse; width: 100%; font-size: 15px; }
.card > table { min-width: 600px; }
caption { text-align: left; color: var(--soft); font-size: 14px; padding-bottom: 8px; }
th, td { text-align: left; padding: 8px 12px 8px 0; border-top: 1px solid var(--line); vertical-align: baseline; }
thead th { border-top: 0; color: var(--soft); font-weight: 500; font-size: 13.5px; line-height: 1.3; }
tbody th { font-weight: 500; }
td small { display: block; font-weight: 400; line-height: 1.4; }
tbody th small { display: block; color: var(--soft); font-weight: 400; line-height: 1.4; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.own th, tr.own td { font-weight: 680; } tr.own th { color: var(--model); } tr.own th small { color: var(--soft); }
td.bar { width: 34%; min-width: 150px; vertical-align: middle; }
.track { position: relative; display: block; height: 16px; }
.track i { position: absolute; left: 0; top: 0; height: 16px; border-radius: 2px 4px 4px 2px; opacity: .5;
  background: var(--other); }
.own .track i { background: var(--model); opacity: 1; }
.track u { position: absolute; top: 3px; height: 10px; border: solid var(--ink); border-width: 0 1.5px; }
.track u::after { content: ""; position: absolute; left: 0; right: 0; top: 4px; height: 1.5px; background: var(--ink); }
.over { color: var(--soft); font-size: 13px; }
pre, .prose { white-space: pre-wrap; overflow-wrap: anywhere; tab-size: 4; margin: 0;
  font: 14.5px/1.65 ui-monospace, "SF Mono", SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono",
  monospace; }
.timeline { list-style: none; margin: 18px 0 0; padding: 0; }
.timeline li { display: grid; grid-template-columns: 132px 1fr; gap: 20px; padding: 16px 0;
  border-top: 1px solid var(--line); }
.timeline .when b { display: block; }
.timeline .when { overflow-wrap: anywhere; font-size: 14px; color: var(--soft); line-height: 1.45; }
.timeline .when b { color: var(--ink); font-size: 15px; }
mark { background: var(--mark); color: inherit; border-radius: 3px; padding: 1px 0; }
.legend { display: flex; flex-wrap: wrap; align-items: center; gap: 4px 2px; font-size: 13px; color: var(--soft);
  margin: 4px 0 14px; padding: 0; list-style: none; }
.legend li { padding: 3px 9px; color: var(--ink); } .legend .say { padding-left: 0; color: var(--soft); }
.legend .after { padding-left: 9px; }
.surprise { line-height: 1.9; max-height: 620px; overflow-y: auto; }
.surprise span { border-radius: 2px; padding: 2px 0; }
.surprise .end { color: var(--soft); opacity: .6; }
.surprise span[data-t]:hover { outline: 2px solid var(--ink); }
.surprise span[data-t]:hover::after { content: attr(data-t); position: fixed; z-index: 3; left: 50%; bottom: 22px;
  transform: translateX(-50%); width: max-content; max-width: 90vw; padding: 11px 17px; border-radius: 10px;
  background: var(--ink); color: var(--page); white-space: pre-wrap; font-size: 14px; line-height: 1.5;
  box-shadow: 0 6px 26px rgba(0, 0, 0, .35); pointer-events: none; }
.matrices { display: flex; flex-wrap: wrap; gap: 0 22px; align-items: flex-start; }
.matrices > div { max-width: 100%; } .matrices svg.chart { max-width: none; }
.words { line-height: 2; } .words span { border-radius: 3px; padding: 2px 1px; }
.against { text-decoration: underline dotted; text-underline-offset: 3px; }
.said { display: grid; grid-template-columns: max-content 1fr; gap: 2px 14px; margin: 8px 0 0; font-size: 15px; }
.said dt { color: var(--soft); } .said dd { margin: 0; overflow-wrap: anywhere; white-space: pre-wrap; }
details { margin: 12px 0; } summary { cursor: pointer; color: var(--model); font-size: 15px; }
details[open] summary { margin-bottom: 10px; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(310px, 1fr)); gap: 14px; margin-top: 14px; }
.facts .card { margin: 0; } .facts h3 { margin: 0 0 8px; }
.facts dl { display: grid; grid-template-columns: minmax(86px, 36%) 1fr; gap: 3px 14px; margin: 0; font-size: 14.5px; }
.facts dt { color: var(--soft); overflow-wrap: anywhere; } .facts dd { margin: 0; overflow-wrap: anywhere; }
.facts dd ul { margin: 0; padding: 0; list-style: none; }
code { font: .92em ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
.absent { border-left: 3px solid var(--warn); padding: 4px 0 4px 14px; color: var(--soft); }
footer { padding-top: 26px; padding-bottom: 46px; color: var(--soft); font-size: 14px; }
.off { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@media (max-width: 640px) {
  main, header > div, footer, nav ol { padding-left: 16px; padding-right: 16px; }
  h1 { font-size: 30px; } .lead { font-size: 17px; }
  .timeline li { grid-template-columns: 1fr; gap: 6px; }
  .figures { grid-template-columns: 1fr 1fr; gap: 10px; }
  .figure { padding: 11px 13px; } .figure .value { font-size: 24px; }
  nav { position: static; } .wide svg.chart { min-width: 560px; }
}
@media print {
  body { font-size: 11pt; background: #fff; } header { background: #fff; } nav { display: none; }
  main, header > div, footer { max-width: none; padding-left: 0; padding-right: 0; }
  .figure, .pair .card, table, li, svg { break-inside: avoid; } h2, h3 { break-after: avoid; }
  .figures { grid-template-columns: repeat(4, 1fr); } .figure .value { font-size: 17pt; }
  .pair { grid-template-columns: repeat(3, 1fr); } .wide svg.chart { min-width: 0; } section { padding-top: 20px; }
  .surprise { max-height: none; overflow: visible; }
  .surprise span, .words span, .chart rect, .legend li, .track i, .track u, mark { print-color-adjust: exact;
    -webkit-print-color-adjust: exact; }
}
"""


def style_sheet() -> str:
    """The style sheet as text, ready for a `<style>` element."""
    levels = "".join(
        f".{name}{level} {{ background: rgba(var(--{ground}), {share}); fill: rgba(var(--{ground}), {share}); }}\n"
        for name, ground in (("s", "heat"), ("c", "calm"))
        for level, share in enumerate(HEAT)
    )
    return f":root {{{_LIGHT}}}\n{_dark()}\n{_SHEET}{levels}"


def picture_sheet() -> str:
    """What a picture needs of it that is a file of its own."""
    return (
        f":root {{{_LIGHT}}} {_dark()} text {{ fill: var(--soft); font: 13px system-ui, sans-serif; }} "
        ".label { font-weight: 600; } .sheet { fill: var(--card); } .field { fill: var(--card); stroke: var(--line); } "
        ".look { fill: var(--model); }"
    )


def _dark() -> str:
    return f"@media screen and (prefers-color-scheme: dark) {{ :root {{{_DARK}}} }}"
