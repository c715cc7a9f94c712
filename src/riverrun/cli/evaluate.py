"""Measure a model on held-out text: nats, bits per character, perplexity, beside honest baselines.

  riverrun eval runs/plays              the run's own test part; eval/ and report.html are made anew
  riverrun eval runs/plays other.txt    another text, all of it; nothing is written

Figures come with a bootstrap interval, with the state carried and with the state reset.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from riverrun.cli.flags import Parser, add_json, whole
from riverrun.cli.voice import Voice

SUMMARY = "measure a model on held-out text, beside baselines"


def add(parser: Parser) -> None:
    """The options of `riverrun eval`."""
    parser.add_argument("model", metavar="RUN", help="a run folder, or its model/ folder")
    parser.add_argument("data", nargs="*", metavar="DATA", help="text to measure on, instead of the run's test part")
    parser.add_argument(
        "--baselines",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="compute the baselines too (default: for the run's own test part)",
    )
    parser.add_argument(
        "--window", default="100", metavar="N", help="tokens after which the state is reset (default 100)"
    )
    parser.add_argument("--encoding", default="utf-8", help="character encoding of DATA (default utf-8)")
    parser.add_argument("--lines", action="store_true", help="every line of DATA is an item of its own")
    parser.add_argument("--field", default="text", help="the field or column of DATA with the text (default text)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (default auto)")
    parser.add_argument("--threads", default="0", metavar="N", help="CPU threads (0: torch's choice)")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate and show."""
    window = whole(arguments.window, "--window", least=1)
    threads = whole(arguments.threads, "--threads", least=0)
    from riverrun.data.options import DataOptions
    from riverrun.data.readers import read
    from riverrun.data.splits import Splits
    from riverrun.data.tokens import tokenise
    from riverrun.errors import UsageError
    from riverrun.pipeline import finish, opened

    voice = Voice(json=arguments.json)
    model = opened.open_model(Path(arguments.model), device=arguments.device, threads=threads, warn=voice.say)
    if not arguments.data:
        prepared = opened.data_of(model)
        with_baselines = arguments.baselines is not False
        metrics = finish.measure(
            model.saved.kind, model.model, prepared, say=voice.say, window=window, baselines=with_baselines
        )
        assert model.run is not None
        facts = finish.conclude(model.run, model.model, prepared, metrics, say=voice.say, seed=0)
        voice.result({"run": str(model.run.path), **facts})
        return 0
    options = DataOptions(
        tokens=model.tokenizer.kind, encoding=arguments.encoding, lines=arguments.lines, field=arguments.field
    )
    corpus = read(arguments.data, options)
    if arguments.baselines and model.run is None:
        raise UsageError("--baselines: a model folder does not hold the training text: give the run folder.")
    train = opened.data_of(model) if arguments.baselines else None
    with tempfile.TemporaryDirectory(prefix="riverrun-") as folder:  # for a text too large for memory
        tokens = tokenise(corpus, model.tokenizer, Path(folder))
        if train is None:
            metrics = finish.measure_tokens(model.saved.kind, model.model, model.tokenizer, tokens, voice.say, window)
        else:
            given = Splits(train.splits.train, train.splits.valid, tokens, "the files given")
            metrics = finish.measure(
                model.saved.kind,
                model.model,
                train._replace(splits=given),
                say=voice.say,
                window=window,
                baselines=True,
            )
    metrics["part"] = "given"
    voice.result({"files": [file._asdict() for file in corpus.files], "metrics": metrics})
    return 0
