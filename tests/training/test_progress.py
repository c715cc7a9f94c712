"""What a run shows: right figures, few lines where there is no terminal, a bar where there is one."""

from __future__ import annotations

import io
import itertools
import math

import pytest

from riverrun.training.progress import Progress, clock, printable

START = {
    "event": "start",
    "step": 0,
    "seconds": 0.0,
    "parameters": 12345,
    "budget": "100 steps",
    "device": "cpu",
    "precision": "float32",
    "precision_reason": "asked for",
    "resumed": False,
}
END = {"event": "end", "step": 100, "seconds": 200.0, "tokens": 5000, "stopped": "budget"}


def step(number, seconds=None, nats=1.0):
    return {
        "event": "step",
        "step": number,
        "seconds": float(number) if seconds is None else seconds,
        "tokens": number * 10,
        "nats": nats,
        "lr": 0.1,
        "gradient_norm": 1.0,
        "tokens_per_second": 1234.5,
        "fraction": number / 100,
    }


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(*events, stream=None, **rest):
    stream = stream or io.StringIO()
    with Progress(stream, **rest) as progress:
        for event in events:
            progress(event)
    return stream.getvalue()


def test_figures_are_nats_bits_per_character_and_perplexity():
    text = shown(step(50, nats=2.0), characters=4.0)
    assert "2.0000 nats" in text
    assert f"{2.0 / math.log(2) / 4:.3f} bits/char" in text
    assert f"perplexity {math.exp(2.0):.2f}" in text
    assert "1,234 tokens/s" in text


def test_what_is_counted_has_its_own_word():
    text = shown(step(50), END, unit="texts")
    assert "1,234 texts/s" in text
    assert "5,000 texts" in text


def test_samples_that_follow_one_another_are_kept_and_the_last_one_is_shown():
    kept = []
    samples = [{"event": "sample", "step": n, "seconds": float(10 * n), "text": f"text {n}"} for n in range(1, 8)]
    text = shown(*samples, END, keep=kept.append)
    assert [n for n in range(1, 8) if f"text {n}\n" in text] == [1, 4, 7]
    assert sum("text" in line for line in kept) == 7
    assert shown(*samples[:6], END).count("text 6\n") == 1


def test_the_time_left_is_that_of_the_rest_of_the_budget():
    assert "2:30 left" in shown(step(25, seconds=50.0))
    assert "left" not in shown(step(100, seconds=200.0))


def test_without_a_terminal_lines_become_rarer_and_the_last_is_always_there():
    lines = shown(START, *(step(n, seconds=3.0 * n) for n in range(1, 101)), END).splitlines()
    steps = [int(line.split()[1]) for line in lines[1:-1]]
    assert 8 < len(steps) < 25
    assert steps[-1] == 100
    assert max(b - a for a, b in itertools.pairwise(steps)) <= 11
    assert lines[0] == "training from step 0: 12,345 parameters, 100 steps, on cpu in float32: asked for"
    assert lines[-1] == "step 100: end after 3:20 and 5,000 tokens: the budget is used up"


def test_evaluations_samples_warnings_and_skipped_batches_are_shown():
    text = shown(
        {"event": "evaluation", "step": 5, "seconds": 1.0, "valid_nats": 1.0, "best": False},
        {"event": "evaluation", "step": 6, "seconds": 1.0, "valid_nats": None, "best": False},
        {"event": "sample", "step": 7, "seconds": 1.0, "text": "To be,\nor not"},
        {"event": "warning", "step": 8, "seconds": 1.0, "text": "disk full"},
        {"event": "skipped", "step": 9, "seconds": 1.0, "nats": None, "gradient_norm": 2.0, "position": 700},
        {"event": "checkpoint", "step": 9, "seconds": 1.0, "best": False},
    )
    assert "step 5: validation 1.0000 nats" in text
    assert "step 6: validation not finite" in text
    assert "To be,\nor not" in text
    assert "step 8: disk full" in text
    assert "batch at position 700 skipped" in text
    assert "checkpoint" not in text


def test_a_terminal_gets_a_bar_and_the_transcript_the_plain_lines():
    kept = []
    stream = Terminal()
    text = shown(
        START,
        step(50),
        {"event": "sample", "step": 50, "seconds": 1.0, "text": "[bold]x[/bold]"},
        step(100),
        END,
        stream=stream,
        keep=kept.append,
    )
    assert "100%" in text
    assert "[bold]x[/bold]" in text  # not taken for markup
    assert any(line.startswith("step 50 (50%): 1.0000 nats") for line in kept)
    assert kept[-1].startswith("step 100: end after")


def test_a_sample_cannot_give_orders_to_the_terminal():
    assert printable("a\x1b[31mb\x07\tc\nd\u0085é") == "a\ufffd[31mb\ufffd\tc\nd\ufffdé"
    assert "\x1b" not in shown({"event": "sample", "step": 1, "seconds": 0.0, "text": "\x1b]0;title\x07"})


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.4, "0:59"), (59.6, "1:00"), (3599.7, "1:00:00"), (7384, "2:03:04")]
)
def test_times_are_shown_as_a_clock(seconds, text):
    assert clock(seconds) == text
