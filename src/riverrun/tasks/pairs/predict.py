"""predict: one target for each line of a text, and what there is to say about the lines."""

from __future__ import annotations

from typing import Any

import numpy as np

from riverrun.data.encoding import fault
from riverrun.data.pair_coder import PairCoder
from riverrun.data.sources import without_compression
from riverrun.errors import DataError, OptionError
from riverrun.tasks.pairs.options import Decoding, Prediction
from riverrun.tasks.pairs.writing import Target, write
from riverrun.tasks.task import Given, Predicted

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson")
TOLD = 5  # lines of which something odd is told one by one


def predict(
    model: Any, coder: PairCoder, decoding: Decoding, given: Given, options: Prediction, *, encoding: str
) -> Predicted:
    """What the model writes for every line.

    One line comes out for each that goes in, so that they can be pasted side by side; a blank one stays blank. With
    more targets a source, each row has the number of its line, the target and ln of its probability.
    Raises DataError where a line is no text, OptionError where an option does not suit the model.
    """
    lines = _lines(given, encoding)
    places = [place for place, line in enumerate(lines) if line]
    sources = [lines[place] for place in places]
    notes = [*_strange(coder, given.name, lines), *_long(coder, given.name, lines), *_prefix(coder, options.prefix)]
    wanted = options.over(decoding)
    if options.attention and model.options.attention == "none":
        raise OptionError("attention", "this model has no attention to draw: it was trained with a thought vector.")
    if options.attention.endswith(".svg") and len(sources) > 1:
        raise OptionError("attention", f"an .svg shows one source, and there are {len(sources):,}. Name an .html file.")
    targets = predictions(model, coder, sources, wanted, options)
    found = dict(zip(places, targets, strict=True))
    result: dict[str, Any] = {
        "predictions": [
            {
                "source": line,
                "targets": [
                    {"target": target.text, "log_p": target.log_p, "score": target.score}
                    for target in found.get(place, [])
                ],
            }
            for place, line in enumerate(lines)
        ]
    }
    if options.attention:
        result["alignments"] = [alignment(coder, lines[place], found[place][0]) for place in places]
    if options.n_best == 1:
        rows = [found[place][0].text if place in found else "" for place in range(len(lines))]
    else:
        rows = [f"{place + 1}\t{target.text}\t{target.log_p:.4f}" for place in places for target in found[place]]
    return Predicted("".join(f"{row}\n" for row in rows), notes, result)


def predictions(
    model: Any, coder: PairCoder, sources: list[str], decoding: Decoding, options: Prediction
) -> list[list[Target]]:
    """The targets of every source, as the options have it."""
    from riverrun.decoding.sampling import Sampling

    sampling = None
    if options.sample:
        sampling = Sampling(
            temperature=options.temperature, top_k=options.top_k, top_p=options.top_p, seed=options.seed
        )
    return write(
        model,
        coder,
        sources,
        decoding,
        best=options.n_best,
        prefix=options.prefix,
        sampling=sampling,
        attention=bool(options.attention),
    )


def alignment(coder: PairCoder, source: str, target: Target) -> dict[str, Any]:
    """What eval/alignments.json and the picture have of a target: both sides' tokens, and the weights between them."""
    weights = np.zeros((0, 0)) if target.attention is None else target.attention[: len(target.tokens)]
    return {
        "source": coder.source.tokens(coder.source.encode([source]).ids),
        "target": target.tokens,
        "weights": [[round(float(weight), 4) for weight in row] for row in weights],
    }


def _lines(given: Given, encoding: str) -> list[str]:
    if without_compression(given.name)[1] in TABLES:
        raise DataError(
            f"{given.name}: a table, where one source a line was expected. Give its sources alone, as text."
        )
    text = given.data.decode(encoding, "surrogateescape").removeprefix("\ufeff")
    lines = text.split("\n")
    if lines and not lines[-1].strip():
        lines.pop()
    found = []
    for number, line in enumerate(lines, 1):
        line = line.strip()
        if why := fault(line):
            raise DataError(f"{given.name}:{number}: {why}. Name the encoding (--encoding latin-1, cp1252, ...).")
        if "\t" in line:
            raise DataError(
                f"{given.name}:{number}: expected one source a line, got a tab: this looks like a table. Give its "
                "first column alone."
            )
        found.append(line)
    if not any(found):
        raise DataError(f"{given.name}: empty, there is nothing to answer. Give text, one source a line.")
    return found


def _strange(coder: PairCoder, name: str, lines: list[str]) -> list[str]:
    notes, more = list[str](), 0
    for number, line in enumerate(lines, 1):
        unknown = coder.source.unknown(line)
        if unknown and len(notes) < TOLD:
            shown = ", ".join(map(repr, unknown[:TOLD])) + (" ..." if len(unknown) > TOLD else "")
            notes.append(f"{name}:{number}: the model has never seen {shown}; it reads them as unknown")
        else:
            more += bool(unknown)
    return [*notes, f"{more:,} more lines have something unknown"] if more else notes


def _long(coder: PairCoder, name: str, lines: list[str]) -> list[str]:
    lengths = coder.source.encode(lines).lengths
    over = np.flatnonzero(lengths > coder.longest)
    if not len(over):
        return []
    first, more = int(over[0]), f", and {len(over) - 1:,} more lines" if len(over) > 1 else ""
    return [
        f"{name}:{first + 1}{more}: {lengths[first]:,} tokens, longer than any source that was trained on "
        f"({coder.longest:,}): expect mistakes"
    ]


def _prefix(coder: PairCoder, prefix: str) -> list[str]:
    unknown = coder.target.unknown(prefix)
    return [f"the prefix has what the model has never written: {', '.join(map(repr, unknown))}"] if unknown else []
