"""Let a trained model write.

  riverrun sample runs/plays --prompt "ROMEO:" -n 500 -t 0.8
  echo "ROMEO:" | riverrun sample runs/plays --prompt -

The text goes to standard output as it is written; how much of it was copied from the training text, to standard error.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from riverrun.cli.flags import Parser, add_json, real, whole
from riverrun.cli.voice import Voice
from riverrun.errors import DataError, UsageError

if TYPE_CHECKING:
    from riverrun.pipeline.opened import Opened

SUMMARY = "let a trained model write"


def add(parser: Parser) -> None:
    """The options of `riverrun sample`."""
    parser.add_argument("model", metavar="RUN", help="a run folder, or its model/ folder")
    parser.add_argument("--prompt", default=None, metavar="TEXT", help="text to go on from; - reads standard input")
    parser.add_argument("-n", "--length", default="500", metavar="N", help="how many tokens to write (default 500)")
    parser.add_argument(
        "-t",
        "--temperature",
        default="0.8",
        metavar="X",
        help="0 takes the likeliest, 1 is the model's own (default 0.8)",
    )
    parser.add_argument("--top-k", default="0", metavar="K", help="draw among the K likeliest tokens; 0: all (default)")
    parser.add_argument(
        "--top-p",
        default="1",
        metavar="P",
        help="draw among the likeliest that hold this probability; 1: all (default)",
    )
    parser.add_argument("--seed", default="0", metavar="N", help="the same seed writes the same text (default 0)")
    parser.add_argument("--count", default="1", metavar="N", help="how many texts (default 1)")
    parser.add_argument("-o", "--output", default=None, metavar="FILE", help="write the texts here; never over a file")
    parser.add_argument(
        "--novelty",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="compare with the training text (default yes)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (default auto)")
    parser.add_argument("--threads", default="0", metavar="N", help="CPU threads (0: torch's choice)")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Sample, streaming to the terminal where it is one text."""
    length = whole(arguments.length, "--length", least=0)
    count = whole(arguments.count, "--count", least=1)
    seed = whole(arguments.seed, "--seed", least=0)
    top_k = whole(arguments.top_k, "--top-k", least=0)
    temperature = real(arguments.temperature, "--temperature", least=0)
    top_p = real(arguments.top_p, "--top-p", least=0, most=1)
    if not top_p:
        raise UsageError("--top-p: expected more than 0, up to 1, got 0: nothing would be left to draw from.")
    threads = whole(arguments.threads, "--threads", least=0)
    target = Path(arguments.output) if arguments.output else None
    if target is not None and target.exists():
        raise UsageError(f"--output {target}: exists, and is not written over. Choose another name.")
    from riverrun.cli.text import read_text
    from riverrun.decoding.sampling import Sampling
    from riverrun.pipeline import opened
    from riverrun.tasks.text import writing

    voice = Voice(json=arguments.json, quiet=True)
    sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
    model = opened.open_model(Path(arguments.model), device=arguments.device, threads=threads, warn=voice.say)
    if model.task.name != "lm":
        raise UsageError(
            f"{arguments.model}: {model.task.summary}; it writes nothing by itself. Use `riverrun predict`."
        )
    prompt = read_text("-") if arguments.prompt == "-" else (arguments.prompt or "")
    stream = count == 1 and not arguments.json and target is None
    written = writing.write(model.model, model.coder, prompt, length, sampling=sampling, count=count)
    if stream:  # after the call, which refuses a prompt that the model cannot read
        sys.stdout.write(prompt)
        sys.stdout.flush()
    texts = [prompt] * count
    for pieces in written:
        texts = [text + piece for text, piece in zip(texts, pieces, strict=True)]
        if stream:
            sys.stdout.write(pieces[0])
            sys.stdout.flush()
    if stream:
        print(flush=True)
    elif target is not None:
        target.write_text("\n\n".join(texts) + "\n", encoding="utf-8")
        voice.say(f"written: {target}")
    elif not arguments.json:
        print("\n\n".join(texts), flush=True)
    facts, sentence = None, "not compared with the training text (--no-novelty)."
    if arguments.novelty:
        facts, sentence = _novelty(model, [text[len(prompt) :] for text in texts])
    voice.say(sentence)
    voice.result(
        {"prompt": prompt, "texts": texts, "novelty": facts, "novelty_note": sentence, "sampling": sampling.__dict__}
    )
    return 0


def _novelty(model: Opened, texts: Sequence[str]) -> tuple[dict[str, Any] | None, str]:
    """How much of `texts` was copied from the training text: the record, and the sentence (also why there is none)."""
    from riverrun.pipeline.opened import data_of
    from riverrun.tasks.text.writing import MOST_COMPARED, TOO_LONG, novelty

    try:
        if model.run is not None and model.run.read_json("data.json")["parts"]["train"]["tokens"] > MOST_COMPARED:
            return None, TOO_LONG  # known without reading all that
        prepared: Any = data_of(model)
    except DataError as error:
        return None, f"not compared with the training text: {error}"
    return novelty(model.coder, texts, prepared.splits.train, prepared.splits.test)
