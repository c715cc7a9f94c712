"""The pieces of a page: figures, tables, facts. All of them escape what they are given.

A piece is a string of HTML. Numbers are written for readers: thousands apart, durations in words, few digits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from riverrun.inspection.record import number
from riverrun.inspection.theme import style_sheet

# Nothing may be loaded or run: the page is whole in itself, and what a model wrote stays text.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


# Control characters, which a page may not hold, as the pictures that Unicode has of them (U+2400 on).
CONTROLS = {code: chr(0x2400 + code) for code in range(32) if chr(code) not in "\n\t\r"} | {127: "\u2421"}


def document(*, title: str, header: str, sections: Sequence[tuple[str, str, str]], footer: str) -> str:
    """A whole HTML document. sections: (identifier, heading, content) each; they are linked at the top."""
    links = "".join(f'<li><a href="#{name}">{escape(heading)}</a></li>' for name, heading, _ in sections)
    body = "\n".join(
        f'<section id="{name}" aria-labelledby="{name}-heading">\n<h2 id="{name}-heading">{escape(heading)}</h2>\n'
        f"{content}\n</section>"
        for name, heading, content in sections
    )
    whole = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{style_sheet()}</style>\n</head>\n<body>\n"
        f'<header>{header}</header>\n<nav aria-label="Sections"><ol>{links}</ol></nav>\n'
        f"<main>\n{body}\n</main>\n<footer>{footer}</footer>\n</body>\n</html>\n"
    )
    return whole.translate(CONTROLS)


def figures(entries: Sequence[tuple[str, str, str, str]]) -> str:
    """Large figures in a row: (what it is, the value, its unit, a remark) each."""
    cards = "".join(
        f'<div class="figure"><dt>{escape(what)}</dt>'
        f'<dd class="value">{escape(value)} <small>{escape(unit)}</small></dd>'
        f'<dd class="more">{escape(remark)}</dd></div>'
        for what, value, unit, remark in entries
    )
    return f'<dl class="figures">{cards}</dl>'


SIGNS = {"good": ("✓", "Good"), "warn": ("!", "Mind"), "plain": ("·", "Note")}


def sentences(entries: Sequence[tuple[str, str]]) -> str:
    """Sentences with a sign each: (good, warn or plain; the text). Empty where there are none."""
    said = "".join(
        f'<li class="{tone}"><span class="sign" aria-hidden="true">{SIGNS[tone][0]}</span>'
        f'<span class="off">{SIGNS[tone][1]}: </span>{escape(text)}</li>'
        for tone, text in entries
    )
    return f'<ul class="findings">{said}</ul>' if said else ""


def table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> str:
    """A table of text whose first column names its row; the others are figures, set to the right."""
    top = "".join(f'<th scope="col"{"" if i == 0 else " class=n"}>{escape(cell)}</th>' for i, cell in enumerate(head))
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>'
        + "".join(f'<td class="n">{escape(c)}</td>' for c in row[1:])
        + "</tr>"
        for row in rows
    )
    said = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f'<div class="scroll"><table>{said}<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def facts(title: str, entries: Mapping[str, Any], *, leave_out: Sequence[str] = ()) -> str:
    """A card of names and values; nested mappings and lists become lines. Empty where there is nothing to show."""
    rows = "".join(
        f"<dt>{escape(key.replace('_', ' '))}</dt><dd>{_value(value, key)}</dd>"
        for key, value in entries.items()
        if key not in leave_out and value not in (None, "", [], {})
    )
    return f'<div class="card"><h3>{escape(title)}</h3><dl>{rows}</dl></div>' if rows else ""


def _value(value: Any, key: str = "") -> str:
    if key == "files" and isinstance(value, list):
        return _lines([_file(entry) if isinstance(entry, dict) else escape(str(entry)) for entry in value])
    if key == "command" and isinstance(value, list):
        return f"<code>{escape(' '.join(map(str, value)))}</code>"
    if isinstance(value, dict):
        return _lines([f"{escape(str(k).replace('_', ' '))}: {_inline(v)}" for k, v in value.items()])
    if isinstance(value, list):
        return _lines([_inline(entry) for entry in value])
    return _inline(value)


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{_inline(v)} {escape(_noun(str(k), v))}" for k, v in value.items())
    if isinstance(value, list):
        return ", ".join(_inline(entry) for entry in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return escape(f"{value:.6g}" if isinstance(value, float) else str(value))


def _noun(key: str, amount: Any) -> str:
    return (key[:-1] if amount == 1 and key.endswith("s") else key).replace("_", " ")


def _file(entry: Mapping[str, Any]) -> str:
    parts = [f"<code>{escape(str(entry.get('path', '?')))}</code>"]
    size = number(entry.get("bytes"))
    if size is not None:
        parts.append(f"{size:,.0f} bytes")
    if isinstance(entry.get("sha256"), str):
        parts.append(f"SHA-256 <code>{escape(entry['sha256'])}</code>")
    if number(entry.get("dropped")):
        parts.append(f"{entry['dropped']:,} rows dropped")
    return "<br>".join(parts)


def _lines(items: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{item}</li>" for item in items) + "</ul>"


def cut(items: Sequence[Any], most: int, what: str) -> str:
    """A note that a list was cut, as the reader has to know; empty where it was not. what: its items, in the plural.

    >>> cut(range(30), 20, "mistakes")
    '<p class="note">Of 30 mistakes the first 20 are shown.</p>'
    """
    if len(items) <= most:
        return ""
    return f'<p class="note">Of {len(items):,} {escape(what)} the first {most:,} are shown.</p>'


def clipped(text: str, most: int) -> str:
    """At most `most` characters of a text, the last of them "…" where something was left out.

    >>> clipped("abcdef", 4), clipped("abcd", 4)
    ('abc…', 'abcd')
    """
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def percent(share: float) -> str:
    """A share in per cent, with the digits that matter.

    >>> percent(0.934), percent(0.0123), percent(0.00002), percent(1.0), percent(0.998), percent(0.0)
    ('93 %', '1.2 %', '< 0.01 %', '100 %', '99.8 %', '0 %')
    """
    if share <= 0:
        return "0 %"
    if share < 1e-4:
        return "< 0.01 %"
    if 0.99 < share < 1:
        return f"{min(100 * share, 99.9):.1f} %"
    return f"{100 * share:.0f} %" if share >= 0.0995 else f"{100 * share:.2g} %"


def capital(name: str) -> str:
    """A name at the beginning of a line: with a capital, unless its spelling is its own.

    >>> capital("word error rate"), capital("macro-F1"), capital("chrF")
    ('Word error rate', 'Macro-F1', 'chrF')
    """
    return name[:1].upper() + name[1:] if name.replace("-", " ").partition(" ")[0].islower() else name


def absent(text: str) -> str:
    """A line that says that something is not there, and how to get it."""
    return f'<p class="absent">{escape(text)}</p>'


def duration(seconds: float) -> str:
    """A time for readers.

    >>> duration(0.01), duration(0.42), duration(42.2), duration(130), duration(5400), duration(200000)
    ('< 0.1 s', '0.4 s', '42 s', '2 min 10 s', '1 h 30 min', '2 d 7 h')
    """
    if seconds < 0.05:
        return "< 0.1 s"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, big, small_size, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // small_size
            return f"{whole // size} {big}" + (f" {rest} {small}" if rest else "")
    return f"{whole} s"


def count(n: float) -> str:
    """A large number for readers.

    >>> count(950), count(1115394), count(3.2e9)
    ('950', '1.12 million', '3.2 billion')
    """
    for size, word in ((1e9, "billion"), (1e6, "million")):
        if n >= size:
            return f"{n / size:.3g} {word}"
    return f"{n:,.0f}"
