"""Text coloured by surprise: the warmer the ground under a token, the less the model expected it.

A token of probability p surprises by log2(1 / p) bits. The nine levels are steps of that, the same for every model and
text, so that two pictures can be compared.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

from riverrun.inspection.page import percent
from riverrun.inspection.record import number

LEVELS = (0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 11.0)
"""Where a level ends and the next begins, in bits."""

_ANSI = (None, 230, 229, 222, 215, 209, 203, 197, 161)  # grounds of the 256-colour palette, light to warm
_NAMES = {" ": "space", "\n": "line break", "\t": "tab", "": "nothing"}
_WRITTEN_OUT = re.compile(r"(?:\\[nrt])+")  # as tokenizers show control characters


class Token(NamedTuple):
    """A token as text, its surprise in bits (None: not predicted), and the likeliest in its place."""

    text: str
    bits: float | None
    top: Sequence[tuple[str, float]]


def tokens_of(record: Mapping[str, Any]) -> list[Token]:
    """The tokens of an `eval/surprise.json`: `tokens`, `nats` and `top`, of which the last two may be absent.

    Where there is one surprise fewer than tokens, it is the first token that was not predicted.
    """
    given, nats, tops = (list(v) if isinstance(v := record.get(key), list) else [] for key in ("tokens", "nats", "top"))
    texts = [_plain(str(text)) for text in given]
    if len(nats) == len(texts) - 1:
        nats.insert(0, None)
    if len(tops) == len(texts) - 1:
        tops.insert(0, [])
    tokens = []
    for i, text in enumerate(texts):
        value = number(nats[i]) if i < len(nats) else None
        bits = None if value is None else value / math.log(2)
        tokens.append(Token(text, bits, _alternatives(tops[i]) if i < len(tops) else []))
    return tokens


def _alternatives(entries: Any) -> list[tuple[str, float]]:
    """The (text, probability) pairs among what a record gives."""
    given = entries if isinstance(entries, list) else []
    pairs = [entry for entry in given if isinstance(entry, list) and len(entry) == 2]
    return [(_plain(text), float(p)) for text, p in pairs if isinstance(text, str) and number(p) is not None]


def level(bits: float | None) -> int:
    """The level of surprise, 0 (expected) to 8.

    >>> level(0.1), level(1.0), level(20.0), level(None)
    (0, 2, 8, 0)
    """
    return 0 if bits is None else bisect_right(LEVELS, bits)


def to_html(tokens: Sequence[Token]) -> str:
    """The text as `<span>`s of the classes s0 ... s8, each with what was expected in its place as `data-t`."""
    parts = []
    for token in tokens:
        shown = escape(token.text).replace("\n", '<b class="end">↵</b>\n')
        if token.bits is None:
            parts.append(f"<span>{shown}</span>")
        else:
            parts.append(f'<span class="s{level(token.bits)}" data-t="{escape(_told(token))}">{shown}</span>')
    return "".join(parts)


def to_ansi(tokens: Sequence[Token]) -> str:
    """The text for a terminal of 256 colours; a line break is never coloured, so that no ground runs to the margin."""
    parts = []
    for token in tokens:
        colour = _ANSI[level(token.bits)]
        for piece in re.split(r"(\n)", token.text):
            plain = colour is None or piece in ("", "\n")
            parts.append(piece if plain else f"\x1b[30;48;5;{colour}m{piece}\x1b[0m")
    return "".join(parts)


def legend() -> str:
    """The nine levels as an HTML list, by the odds at which each begins."""
    edges = ["more", *(f"1 in {_odds(bits)}" for bits in LEVELS)]
    items = "".join(f'<li class="s{i}">{text}</li>' for i, text in enumerate(edges))
    before, after = '<li class="say">Chance it gave:</li>', '<li class="say after">or less</li>'
    return f'<ul class="legend">{before}{items}{after}</ul>'


def _odds(bits: float) -> str:
    odds = 2.0**bits
    return f"{odds:.2g}" if odds < 10 else f"{odds:,.0f}"


def name(text: str) -> str:
    """A token for a sentence: white space by its name, the rest in quotation marks.

    >>> name(" "), name("th")
    ('space', '“th”')
    """
    return _NAMES.get(text) or "“" + text.replace("\n", "↵").replace("\t", "⇥") + "”"


def _told(token: Token) -> str:
    assert token.bits is not None
    told = f"{name(token.text)}: {token.bits:.1f} bits, chance {percent(2.0**-token.bits)}"
    if token.top:
        told += "\nexpected: " + "   ".join(f"{name(text)} {percent(p)}" for text, p in token.top)
    return told


def _plain(text: str) -> str:
    """Control characters that a tokenizer wrote out, as themselves."""
    if _WRITTEN_OUT.fullmatch(text):
        return text.replace("\\n", "\n").replace("\\t", "\t").replace("\\r", "\r")
    return text
