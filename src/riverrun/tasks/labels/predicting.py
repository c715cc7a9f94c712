"""predict: the likeliest labels of texts, with their probabilities."""

from __future__ import annotations

import codecs
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from riverrun.data.encoding import decoded, fault, lines
from riverrun.data.label_coder import LabelCoder
from riverrun.data.labelled import Example
from riverrun.data.labelled_layout import MARK, TABLES, columns
from riverrun.data.labelled_options import LabelledOptions
from riverrun.errors import DataError
from riverrun.models.classifier import Classifier
from riverrun.tasks.labels.results import scores
from riverrun.tasks.task import Given, Predicted

TEXT = "text"  # how what was typed is called


def probabilities(model: Classifier, coder: LabelCoder, texts: Sequence[str]) -> np.ndarray[Any, Any]:
    """[N, C]: how likely each label is of each text. An empty text gets what the model says of nothing."""
    return scores(model, coder.part([Example(text, coder.labels.names[:1]) for text in texts])).probabilities


def predict(model: Classifier, coder: LabelCoder, data: LabelledOptions, given: Given, *, top: int) -> Predicted:
    """One row a text, separated by tabs: the likeliest labels, each with its probability, then the text.

    A text that was typed is one; of a file each line is one, or each row of a table (.csv, .tsv, .jsonl).
    """
    texts = texts_of(given, data)
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
    notes = []
    unknown = coder.tokenizer.unknown
    if unknown is not None and texts:
        ids = [coder.ids(text) for text in texts]
        strange = sum(int((one == unknown).sum()) for one in ids)
        total = sum(len(one) for one in ids)
        if strange:
            notes.append(f"{strange:,} of {total:,} {coder.tokenizer.unit}s are unknown to the model")
    return Predicted("".join(rows), notes, result)


def texts_of(given: Given, data: LabelledOptions) -> list[str]:
    """The texts of what was given. Raises DataError, with file and line, for what is no text."""
    codecs.lookup(data.encoding)
    content = "".join(decoded(io.BytesIO(given.data), given.name, data.encoding))
    if given.name == TEXT:
        return [content.strip()]
    suffix = "." + given.name.lower().rpartition(".")[2]
    if suffix not in TABLES:
        found = [_unmarked(line).strip() for line in content.splitlines()]
        return [text for text in found if text]
    texts = []
    for number, text in _column(content, given.name, suffix, data):
        if text is None or (why := fault(text)):
            raise DataError(f"{given.name}:{number}: {'no text in this row' if text is None else why}. Mend the row.")
        texts.append(text.strip())
    return texts


def _column(content: str, name: str, suffix: str, data: LabelledOptions) -> list[tuple[int, str | None]]:
    """The lines and texts of a table's rows; None where a row has none. It need not have labels."""
    import csv
    import json

    if suffix in (".csv", ".tsv"):
        table = lines(iter([content]))
        tabs = suffix == ".tsv"
        reader = csv.reader(table, delimiter="\t", quoting=csv.QUOTE_NONE) if tabs else csv.reader(table, strict=True)
        try:
            header = next(reader, [])
            place = header.index(_text_column(header, name, data))
            return [(reader.line_num, row[place] if len(row) > place else None) for row in reader if row]
        except csv.Error as error:
            raise DataError(f"{name}:{reader.line_num}: not a row of a table ({error}). Mend the row.") from None
    rows: list[tuple[int, str | None]] = []
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"{name}:{number}: expected a JSON object ({error}). Mend the row.") from None
        field = _text_column(list(row), name, data) if isinstance(row, dict) else ""
        value = row.get(field) if isinstance(row, dict) else None
        rows.append((number, value if isinstance(value, str) else None))
    return rows


def _text_column(header: Sequence[str], name: str, data: LabelledOptions) -> str:
    if data.text in header and data.text:
        return data.text
    if len(header) == 1:
        return header[0]
    try:
        return columns([*header, "\0label"], data.text, "\0label")[0]
    except DataError as error:
        raise DataError(f"{name}:1: {error}".replace(", '\\x00label'", "")) from None


def _unmarked(line: str) -> str:
    """A line without fastText's labels, so that a file to train on can be predicted, too."""
    words = line.split()
    if not words or not words[0].startswith(MARK):
        return line
    return " ".join(word for word in words if not word.startswith(MARK))


def _cell(text: str) -> str:
    return " ".join(text.split())
