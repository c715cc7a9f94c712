"""Colouring by surprise: levels by bits, text unchanged, and every shape that the record may have."""

from __future__ import annotations

import html
import math
import re

from hypothesis import given
from hypothesis import strategies as st

from riverrun.inspection.surprise import LEVELS, Token, legend, level, to_ansi, to_html, tokens_of
from riverrun.inspection.theme import HEAT

tokens = st.lists(st.builds(Token, st.text(max_size=5), st.none() | st.floats(0, 40), st.just([])), max_size=12)


def test_levels_begin_at_their_edges():
    assert [level(bits) for bits in (0.0, *LEVELS)] == list(range(9))
    assert [level(bits - 1e-9) for bits in LEVELS] == list(range(8))
    assert len(HEAT) == len(LEVELS) + 1


def test_nats_become_bits_and_the_first_token_has_none():
    record = {"tokens": ["a", "b"], "nats": [None, 3 * math.log(2)], "top": [[], [["b", 0.5]]]}
    found = tokens_of(record)
    assert found[0] == Token("a", None, [])
    assert found[1].bits == 3.0
    assert found[1].top == [("b", 0.5)]


def test_a_record_without_the_first_surprise_is_moved_into_place():
    assert [t.bits for t in tokens_of({"tokens": ["a", "b"], "nats": [math.log(2)]})] == [None, 1.0]


def test_a_record_with_holes_is_read_as_far_as_it_goes():
    assert tokens_of({}) == []
    assert [t.bits for t in tokens_of({"tokens": ["a", "b", "c"], "nats": [None]})] == [None, None, None]
    assert tokens_of({"tokens": ["a"], "nats": [1.0], "top": [[["x", None], ["y", 0.5]]]})[0].top == [("y", 0.5)]


def test_line_breaks_that_a_tokenizer_wrote_out_are_line_breaks_again():
    assert [t.text for t in tokens_of({"tokens": ["\\n", "\\n\\n", "\\t", "\\x"]})] == ["\n", "\n\n", "\t", "\\x"]


@given(tokens)
def test_a_page_shows_the_very_text(some):
    page = re.sub(r'<b class="end">↵</b>', "", to_html(some))
    assert html.unescape(re.sub(r"<[^>]*>", "", page)) == html.unescape(
        html.escape("".join(token.text for token in some))
    )


@given(tokens)
def test_a_terminal_shows_the_very_text(some):
    if not any("\x1b" in token.text for token in some):
        assert re.sub(r"\x1b\[[\d;]*m", "", to_ansi(some)) == "".join(token.text for token in some)


def test_a_line_break_is_never_coloured_in_a_terminal():
    assert to_ansi([Token("a\nb", 20.0, [])]) == "\x1b[30;48;5;161ma\x1b[0m\n\x1b[30;48;5;161mb\x1b[0m"


def test_pointing_at_a_token_tells_its_surprise_and_what_was_expected():
    page = to_html([Token("q", 4.0, [("u", 0.9), ("\n", 0.05)])])
    assert 'class="s5"' in page
    assert "4.0 bits" in page
    assert "6.2 %" in page
    assert "“u” 90 %" in page
    assert "line break 5 %" in page


def test_what_a_model_wrote_cannot_leave_its_place():
    page = to_html([Token('"><script>', 4.0, [('" onmouseover="x', 0.9)])])
    assert "<script" not in page
    assert page.count('"') == 4  # of class and data-t


def test_the_legend_names_every_level():
    assert all(f'class="s{i}"' in legend() for i in range(9))
