"""predict: the likeliest labels of texts, with their probabilities."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from riverrun.data.encoding import decoded, fault, lines
from riverrun.data.label_coder import LabelCoder
from riverrun.data.labelled import Example
from riverrun.data.labelled_layout import LABEL_NAMES, MARK, TABLES, TEXT_NAMES, usual
from riverrun.data.labelled_options import LabelledOptions
from riverrun.data.sources import without_compression
from riverrun.data.tables import Row, short, table_of
from riverrun.errors import DataError
from riverrun.models.classifier import Classifier
from riverrun.tasks.labels.results import scores
from riverrun.tasks.task import Given, Predicted

TEXT = "text"  # how what was typed is called


def probabilities(model: Classifier, coder: LabelCoder, texts: Sequence[str]) -> np.ndarray[Any, Any]:
    """[N, C]: how likely each label is of each text. An empty text gets what the model says of nothing."""
    return scores(model, coder.part([Example(text, coder.labels.names[:1]) for text in texts])).probabilities


def predict(
    model: Classifier,
    coder: LabelCoder,
    data: LabelledOptions,
    given: Given,
    *,
    top: int,
    skip_bad_rows: bool = False,
) -> Predicted:
    """One row a text, separated by tabs: the likeliest labels, each with its probability, then the text.

    A text that was typed is one; of a file each line is one, or each row of a table (.csv, .tsv, .jsonl).
    skip_bad_rows: drop and count rows that are no text, as also where the model's own data were read so.
    """
    texts, dropped = texts_of(given, coder, replace(data, skip_bad_rows=skip_bad_rows or data.skip_bad_rows))
    found = probabilities(model, coder, texts)
    names, top = coder.labels.names, min(top, len(coder.labels.names))
    best = np.argsort(-found, axis=1, kind="stable")[:, :top]  # [N, top]
    result: list[dict[str, Any]] = [
        {"text": text, "labels": [{"label": names[k], "probability": float(row[k])} for k in chosen]}
        for text, row, chosen in zip(texts, found, best.tolist(), strict=True)
    ]
    head = "\t".join(f"{what}{number}" for number in range(1, top + 1) for what in ("label", "probability"))
    rows = [head + "\ttext\n"]
    for item in result:
        cells = [cell for one in item["labels"] for cell in (_cell(one["label"]), f"{one['probability']:.4f}")]
        rows.append("\t".join([*cells, _cell(item["text"])]) + "\n")
    count = f"{len(dropped):,} bad {'row was' if len(dropped) == 1 else 'rows were'}"
    notes = [f"{count} dropped, the first because {dropped[0]}"] if dropped else []
    unknown = coder.tokenizer.unknown
    if unknown is not None and texts:
        ids = [coder.ids(text) for text in texts]
        strange = sum(int((one == unknown).sum()) for one in ids)
        total = sum(len(one) for one in ids)
        if strange:
            notes.append(f"{strange:,} of {total:,} {coder.tokenizer.unit}s are unknown to the model")
    return Predicted("".join(rows), notes, result)


def texts_of(given: Given, coder: LabelCoder, data: LabelledOptions) -> tuple[list[str], list[str]]:
    """The texts of what was given, and why rows were dropped, where bad ones are.

    Lines end as those that were learnt from do, at a newline alone. Raises DataError, with file and line, for what is
    no text.
    """
    if given.name == TEXT:  # what is typed is UTF-8, whatever the files were
        return ["".join(decoded(io.BytesIO(given.data), TEXT, "utf-8")).strip()], []
    table = lines(decoded(io.BytesIO(given.data), given.name, data.encoding, keep_bad=data.skip_bad_rows))
    suffix = without_compression(given.name)[1]
    texts, dropped = [], []
    for row in _column(table, given.name, suffix, coder, data) if suffix in TABLES else _lines(table):
        wrong = row.wrong or fault(row.text)
        if wrong is None:
            texts.append(row.text.strip())
        elif data.skip_bad_rows:
            dropped += [f"{given.name}:{row.line}: {wrong}"] * row.lines
        else:
            raise DataError(f"{given.name}:{row.line}: {wrong}. Mend the row, or drop such (--skip-bad-rows).")
    return texts, dropped


def _lines(table: Iterator[str]) -> Iterator[Row]:
    for number, line in enumerate(table, 1):
        if text := _unmarked(line).strip():
            yield Row(number, text)


def _column(table: Iterator[str], name: str, suffix: str, coder: LabelCoder, data: LabelledOptions) -> Iterator[Row]:
    """The texts of a table's rows. It need not have labels."""
    header, number, records = table_of(table, name, suffix)
    field = "" if header is None else _text_column(header, f"{name}:{number}", coder.column or data.text)
    for line, values, wrong, lost in records:
        text = values.get(field)
        if wrong is None and not isinstance(text, str):
            wrong = f"expected text in {field!r}, got {short(json.dumps(text)) if field in values else 'no such field'}"
        yield Row(line, text if isinstance(text, str) else "", wrong=wrong, lines=lost)


def _text_column(header: Sequence[str], place: str, learnt: str) -> str:
    """The column that the model learnt from, else the only one, one with a usual name, or the one beside the labels.

    The file is read by the columns' names alone: there is no option to give, so that the hint is another name.
    """
    if learnt in header and learnt:
        return learnt
    if len(header) == 1:
        return header[0]
    if found := usual(header, TEXT_NAMES):
        return found
    if len(header) == 2 and (label := usual(header, LABEL_NAMES)):
        return next(name for name in header if name != label)
    there = ", ".join(map(repr, header)) or "none, the file is empty"
    raise DataError(
        f"{place}: no column is known to hold the text; there is {there}. Call the one with the texts "
        f"{learnt or 'text'!r}."
    )


def _unmarked(line: str) -> str:
    """A line without fastText's labels, so that a file to train on can be predicted, too."""
    words = line.split()
    if not words or not words[0].startswith(MARK):
        return line
    return " ".join(word for word in words if not word.startswith(MARK))


def _cell(text: str) -> str:
    return " ".join(text.split())
