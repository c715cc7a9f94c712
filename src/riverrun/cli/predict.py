"""Put a model to work on a file or a text: what it does depends on the task that it was trained for.

  riverrun predict runs/plays "To be, or not to be"       a language model: surprise per token, what would come next
  riverrun predict runs/reviews "loved every minute"       a classifier: the likeliest labels
  riverrun predict runs/tagger dev.conllu                  a tagger: the file with its column filled in
  riverrun predict runs/fra-eng - < sentences.txt          a translator: one line out for each line in

An existing path is a file, anything else text (`--text` forces text). Standard output is the result alone; what there
is to say about it goes to standard error.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import Any

from riverrun import configuration, tasks
from riverrun.cli.flags import Parser, add_json, add_settings, given_settings, whole
from riverrun.cli.text import TEXT, read_bytes
from riverrun.cli.voice import Voice
from riverrun.errors import DataError

SUMMARY = "put a model to work on a file or a text"
SECTION = "prediction"


def schemas() -> dict[str, dict[str, type]]:
    """Of every task, what its predictions can be told."""
    return {task.name: {SECTION: task.prediction} for task in tasks.all_tasks()}


def add(parser: Parser) -> None:
    """The options of `riverrun predict`."""
    parser.add_argument("model", metavar="RUN", help="a run folder, or its model/ folder")
    parser.add_argument("input", metavar="FILE|TEXT|-", help="a file, a text, or - for standard input")
    parser.add_argument("--text", action="store_true", help="take the argument as text even where a file has that name")
    parser.add_argument("-k", dest="k", default=None, metavar="K", help="short for --top")
    parser.add_argument("--encoding", default=None, help="character encoding of the file (default: as in training)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (default auto)")
    parser.add_argument("--threads", default="0", metavar="N", help="CPU threads (0: torch's choice)")
    add_json(parser)
    add_settings(parser, schemas())


def run(arguments: argparse.Namespace) -> int:
    """Predict and show."""
    threads = whole(arguments.threads, "--threads", least=0)
    wanted: dict[str, Any] = dict(vars(arguments))
    if wanted["k"] is not None and wanted["top"] is None:
        wanted["top"] = wanted["k"]
    given = read_bytes(arguments.input, force_text=arguments.text)
    from riverrun.data.sources import looks_like_file
    from riverrun.pipeline import opened

    voice = Voice(json=arguments.json, quiet=True)
    if given.name == TEXT and not arguments.text and looks_like_file(arguments.input):
        voice.say(f"{arguments.input}: no such file, so these letters themselves are read (--text: without this line)")
    model = opened.open_model(Path(arguments.model), device=arguments.device, threads=threads, warn=voice.say)
    name, sections = model.task.name, dict(model.sections)
    # What a shell gives is UTF-8, whatever the training data were.
    encoding = "utf-8" if given.name == TEXT else arguments.encoding or sections["data"].encoding
    sections["data"] = dataclasses.replace(sections["data"], encoding=encoding)
    layer = given_settings(wanted, name, schemas())
    options = configuration.resolve(schemas()[name], layer)[SECTION]
    terminal = sys.stdout.isatty() and not arguments.json
    found = model.task.predict(model.model, model.coder, sections, given._replace(terminal=terminal), options)
    voice.result(found.result)
    if not arguments.json:
        print(found.text, end="", flush=True)
    for note in found.notes:
        voice.say(note)
    if getattr(options, "attention", ""):
        voice.say(_draw(found.result["alignments"], Path(options.attention)))
    return 0


def _draw(items: list[dict[str, Any]], path: Path) -> str:
    """Write alignments as a picture, or as a page of pictures where the name ends in .html; says what was written."""
    from riverrun.inspection.alignment import alignment_page, alignment_svg

    drawn = [item for item in items if item["source"] and item["target"]]
    if not drawn:
        return "attention  nothing was written, so there is nothing to draw"
    content = alignment_page(drawn) if path.suffix == ".html" else alignment_svg(drawn[0])
    try:
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror}).") from None
    return f"attention  {path}"
