"""Tagger: a tag for every word of a sentence, in a few lines of Python.

import riverrun as rr
t = rr.Tagger(column="upos", crf=True).fit("train.conllu", valid="dev.conllu", test="test.conllu")
t.predict(["The cat sat .".split()])
t.save("models/upos");  t = rr.load("models/upos")
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from riverrun.configuration import Configuration
from riverrun.errors import DataError, UsageError
from riverrun.estimators.estimator import Estimator, is_path, paths_of

Words = Sequence[Sequence[str]]


class Tagging(NamedTuple):
    """A list of tags for a sentence, and how probable it is as a whole."""

    tags: list[str]
    probability: float


class Tagger(Estimator):
    """A bidirectional recurrent tagger over words and their letters, with a softmax or a CRF.

    Every key of a run.toml is an option here, under the same name and with the same default: `column`, `crf`, `cell`,
    `hidden`, `letters`, `vectors`, `epochs`, `minutes`, `seed`, `device` ... (see `Estimator`).
    After `fit`: `metrics_` (what training measured), `model_` (the torch module), `classes_` (the tags).

    >>> X, y = [["the", "cat"], ["a", "dog"], ["the", "dog"], ["a", "cat"]] * 8, [["D", "N"]] * 32
    >>> t = Tagger(preset="tiny", steps=40, valid_share=0.3, test_share=0.3, verbose=False).fit(X, y)
    >>> t.predict([["a", "cat"]])
    [['D', 'N']]
    """

    task = "tag"

    def fit(
        self,
        X: str | Path | Sequence[str | Path] | Words,
        y: Words | None = None,
        *,
        valid: str | Path | None = None,
        test: str | Path | None = None,
        run: str | Path | None = None,
    ) -> Self:
        """Train on CoNLL files (paths that exist), or on sentences as lists of words with a list of tags for each.

        valid, test: files for validation and test; without them a share of the sentences is held out.
        run: a folder for configuration, log and checkpoints, as `riverrun train -o` makes it; None keeps nothing.
        Raises DataError for data that cannot be read, Diverged where training breaks down.
        """
        files = paths_of(X)
        if files and y is not None:
            raise UsageError("y: the files hold the tags. Leave it out.")
        if not files and y is None:
            raise DataError("fit: expected CoNLL files that exist, or sentences and their tags (X, y).")
        parts = {name: str(path) for name, path in (("valid", valid), ("test", test)) if path is not None}
        self._fit(X, y, files=files, given=parts, run=run)
        return self

    def _corpus(self, planned: Configuration, X: Any, y: Any) -> Any:
        from riverrun.data.tagged import given

        return given(X, y, planned.sections["data"])

    # Using ------------------------------------------------------------------------------------------------------------

    def predict(self, X: Words) -> list[list[str]]:
        """The tags of each sentence, which is a list of words."""
        return [found.tags[0] for found in self._tagged(X)]

    def predict_best(self, X: Words, n: int = 5) -> list[list[Tagging]]:
        """The n likeliest lists of tags of each sentence, the best first; fewer where there are not so many."""
        if n < 1:
            raise UsageError(f"n: expected at least 1, got {n}.")
        return [
            [Tagging(tags, math.exp(p)) for tags, p in zip(found.tags, found.log_p, strict=True)]
            for found in self._tagged(X, n)
        ]

    def score(self, X: str | Path | Words | None = None, y: Words | None = None) -> float:
        """Accuracy on sentences and their tags, or on a CoNLL file; None: on the held-out part of what `fit` was given.

        Where tags mark spans: F1, as conlleval counts it; NaN where there are none to find, and none are found.
        """
        from riverrun.data.tagged import given, read
        from riverrun.tasks.tags.results import measure_sentences

        if X is None:
            return _first(self._held_out())
        opened = self._fitted()
        options = opened.sections["data"]
        if isinstance(X, Path) or (isinstance(X, str) and is_path(X)):
            corpus = read([X], options)
        elif y is None or isinstance(X, str):
            raise DataError("score: expected a CoNLL file that exists, or sentences and their tags (X, y).")
        else:
            corpus = given(X, y, options)
        return _first(
            measure_sentences(opened.model, opened.coder, corpus.sentences, say=lambda line: None, train=None)
        )

    @property
    def classes_(self) -> list[str]:
        """The tags, the most frequent first."""
        return list(self._fitted().coder.tags)

    def _tagged(self, X: Words, n: int = 1) -> Any:
        from riverrun.tasks.tags.predicting import tagged

        if isinstance(X, str) or any(isinstance(sentence, str) for sentence in X):
            raise DataError("predict: expected sentences as lists of words, got text. Split it first.")
        opened = self._fitted()
        return tagged(opened.model, opened.coder, [list(sentence) for sentence in X], n)


def _first(metrics: dict[str, Any]) -> float:
    """The first figure; NaN where there is nothing to count."""
    value = metrics["figures"][0]["value"]
    return math.nan if value is None else float(value)
