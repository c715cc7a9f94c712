"""Say how surprising each token of a text is to a model, the text's perplexity, and the likeliest next tokens.

  riverrun predict runs/plays "To be, or not to be"
  riverrun predict runs/plays chapter.txt --json
  riverrun predict runs/plays - < chapter.txt

An existing path is a file, anything else text (`--text` forces text). Standard output is one row a token, separated by
tabs (in a terminal the text itself, coloured by surprise); the summary goes to standard error.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

from riverrun.cli.flags import Parser, add_json, whole
from riverrun.cli.voice import Voice

SUMMARY = "score a text: surprise per token, perplexity, the likeliest next tokens"
SHOWN = 2000  # tokens that a terminal shows; anything else gets all


def add(parser: Parser) -> None:
    """The options of `riverrun predict`."""
    parser.add_argument("model", metavar="RUN", help="a run folder, or its model/ folder")
    parser.add_argument("input", metavar="FILE|TEXT|-", help="a file, a text, or - for standard input")
    parser.add_argument("--text", action="store_true", help="take the argument as text even where a file has that name")
    parser.add_argument("-k", "--top", default="5", metavar="K", help="how many likely tokens to name (default 5)")
    parser.add_argument("--encoding", default="utf-8", help="character encoding of the file (default utf-8)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (default auto)")
    parser.add_argument("--threads", default="0", metavar="N", help="CPU threads (0: torch's choice)")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Score and show."""
    top = whole(arguments.top, "--top", least=1)
    threads = whole(arguments.threads, "--threads", least=0)
    from riverrun.cli.text import read_text
    from riverrun.pipeline import opened, scoring

    voice = Voice(json=arguments.json, quiet=True)
    text = read_text(arguments.input, force_text=arguments.text, encoding=arguments.encoding)
    model = opened.open_model(Path(arguments.model), device=arguments.device, threads=threads, warn=voice.say)
    facts = scoring.score_text(model.model, model.tokenizer, text, top=top)
    voice.result(facts)
    if arguments.json:
        return 0
    if sys.stdout.isatty():
        print(_coloured(facts["tokens"][:SHOWN], facts["nats"][:SHOWN]), end="\n\n", flush=True)
        if len(facts["tokens"]) > SHOWN:
            voice.say(f"... the first {SHOWN:,} of {len(facts['tokens']):,} tokens; a pipe or --json gets all")
    else:
        print("nats", "token", "likelier", sep="\t")
        for token, nats, likely in zip(facts["tokens"], facts["nats"], facts["top"], strict=True):
            shown = "" if nats is None else f"{nats:.3f}"
            print(shown, _quoted(token), " ".join(f"{_quoted(t)} {p:.3f}" for t, p in likely), sep="\t")
        sys.stdout.flush()
    if facts["mean_nats"] is None:
        voice.say("one token only: it is read, and nothing is predicted")
    else:
        voice.say(
            f"{facts['predicted']:,} {facts['unit']}s predicted: {facts['mean_nats']:.4f} nats, "
            f"{facts['mean_nats'] / math.log(2):.4f} bits each, perplexity {facts['perplexity']:.3f}"
        )
    voice.say("next: " + ", ".join(f"{_quoted(token)} {share:.3f}" for token, share in facts["next"]))
    return 0


def _quoted(token: str) -> str:
    return repr(token)


def _coloured(tokens: list[str], nats: list[float | None]) -> str:
    """The text on a ladder of backgrounds: the darker the red, the more surprising the token."""
    ladder = (231, 224, 217, 210, 203, 196)  # xterm's 256 colours, white to red
    out = []
    for token, value in zip(tokens, nats, strict=True):
        step = ladder[min(int((value or 0.0) / 1.2), len(ladder) - 1)]
        body = token.replace("\n", "\x1b[0m\n" + f"\x1b[30;48;5;{step}m")
        out.append(f"\x1b[30;48;5;{step}m{body}")
    return "".join(out) + "\x1b[0m"
