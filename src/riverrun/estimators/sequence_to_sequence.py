"""Seq2Seq: targets written for sources, in a few lines of Python.

import riverrun as rr
s = rr.Seq2Seq(attention="additive", minutes=15).fit("train.tsv")
print(s.predict(["ein Hund läuft"], beam=5))
s.save("models/de-en");  s = rr.load("models/de-en")
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Self

import numpy as np

from riverrun.configuration import Configuration
from riverrun.data.pairs import PairCorpus, given
from riverrun.errors import DataError, UsageError, nearest
from riverrun.estimators.estimator import Estimator, is_path, paths_of
from riverrun.tasks.pairs.options import Prediction
from riverrun.tasks.pairs.predict import alignment, predictions
from riverrun.tasks.pairs.results import measure_other
from riverrun.tasks.pairs.writing import write

# What `predict` takes: a picture is drawn of what `align` returns.
OPTIONS = {field.name: field.default for field in fields(Prediction) if field.name != "attention"}


class Seq2Seq(Estimator):
    """A recurrent encoder-decoder: translation, pronunciation, commands, replies, or whatever comes in pairs.

    Every key of a run.toml is an option here, under the same name and with the same default: `cell`, `hidden`,
    `attention`, `dropout`, `source_tokens`, `beam`, `minutes`, `seed`, `device` ... (see `Estimator`).
    After `fit`: `metrics_` (what training measured), `model_` (the torch module).

    >>> words = ["ab", "ba", "aab", "abb", "bab", "bba", "aabb", "baba"]
    >>> s = Seq2Seq(hidden=8, steps=2, verbose=False).fit(words, [word[::-1] for word in words])
    >>> [type(target).__name__ for target in s.predict(["ab", "b"], max_length=5)]
    ['str', 'str']
    """

    task = "seq2seq"

    def fit(
        self,
        X: str | Path | Sequence[Any],
        y: str | Path | Sequence[Any] | None = None,
        *,
        source: str = "",
        target: str = "",
        valid: str = "",
        test: str = "",
        run: str | Path | None = None,
    ) -> Self:
        """Train on sources X and targets y (lists of references, where there are several), or on files: one with pairs,
        or the file of the sources and that of the targets.

        source, target: the columns or fields of a table. valid, test: files for validation and test, in place of shares
        of the data. run: a folder for configuration, log and checkpoints.
        Raises DataError for pairs that cannot be read, naming file and line, Diverged where training breaks down.
        """
        if isinstance(y, str | Path):
            if not is_path(str(y)):
                raise DataError(f"{y}: no such file. Expected a list of targets, or the path of a file with them.")
            X, y = [*paths_of(X), y], None
        files = paths_of(X) if y is None else []
        if y is None and not files:
            raise UsageError("fit: expected sources and targets, or a path of pairs; got sources without targets.")
        named = {"source_field": source, "target_field": target, "valid": str(valid), "test": str(test)}
        chosen = {name: value for name, value in named.items() if value}
        self._fit(X, y, files=files, given=chosen, run=run)
        return self

    def _corpus(self, planned: Configuration, X: Any, y: Any) -> PairCorpus:
        return given(list(X), list(y), planned.sections["data"])

    # Using ------------------------------------------------------------------------------------------------------------

    def predict(self, X: Sequence[str], **options: Any) -> list[str] | list[list[str]]:
        """The target of each source; with n_best > 1 a list of targets of each, best first.

        options: those of `riverrun predict`: beam, n_best, prefix, length_penalty, sample, temperature, seed ...; what
        is not said is as in the constructor. Raises UsageError for a name that is none, or a value that is wrong.
        """
        for name in options:
            if name not in OPTIONS:
                raise UsageError(f"predict: {name}: no such option.{nearest(name, OPTIONS)}")
        opened, chosen = self._fitted(), Prediction(**options)
        decoding = chosen.over(opened.sections["decoding"])
        found = predictions(opened.model, opened.coder, _texts(X), decoding, chosen)
        if chosen.n_best == 1:
            return [targets[0].text for targets in found]
        return [[target.text for target in targets] for targets in found]

    def align(self, X: Sequence[str]) -> list[dict[str, Any]]:
        """Of each source its tokens ("source"), those of its target ("target"), and how much each of these looked at
        each of those ("weights", [target, source]). Raises UsageError where the model has no attention."""
        opened = self._fitted()
        if opened.model.options.attention == "none":
            raise UsageError("align: this model has no attention: it was trained with a thought vector.")
        sources = _texts(X)
        found = write(opened.model, opened.coder, sources, opened.sections["decoding"], attention=True)
        items = [alignment(opened.coder, source, best) for source, (best, *_) in zip(sources, found, strict=True)]
        return [
            {**item, "weights": np.array(item["weights"]).reshape(len(item["target"]), len(item["source"]))}
            for item in items
        ]

    def score(self, X: Sequence[str] | None = None, y: Sequence[Any] | None = None) -> float:
        """The figure that the task is judged by, the higher the better: BLEU, the share of right targets (1 - the error
        rate) ... Without arguments: of the held-out part of what was fitted."""
        if X is None or y is None:
            metrics = self._held_out()
        else:
            opened = self._fitted()
            corpus = given(list(X), list(y), opened.sections["data"])
            metrics = measure_other(
                opened.model, opened.coder, opened.sections["decoding"], corpus, say=lambda line: None, beside=None
            )
        first = metrics["figures"][0]
        return float(first["value"] if first["better"] == "higher" else 1 - first["value"])


def _texts(X: Sequence[str]) -> list[str]:
    if isinstance(X, str):
        raise UsageError("expected a list of sources, got one: pass [source].")
    texts = list(X)
    if not all(isinstance(text, str) and text.strip() for text in texts):
        raise DataError("expected sources that are texts and not empty, got something else among them.")
    return [text.strip() for text in texts]


# What `help` and editors read of `predict`.
Seq2Seq.predict.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    [
        inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD),
        inspect.Parameter("X", inspect.Parameter.POSITIONAL_OR_KEYWORD),
        *(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=value) for name, value in OPTIONS.items()),
    ]
)
