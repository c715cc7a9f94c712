"""Classifier: a classifier of texts in a few lines of Python.

import riverrun as rr
c = rr.Classifier(bidirectional=True, minutes=2).fit("reviews.csv", text="review", label="stars")
print(c.predict(["loved it"]), c.predict_proba(["loved it"]))
c.save("models/reviews");  c = rr.load("models/reviews")
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from riverrun.configuration import Configuration
from riverrun.data.labelled import Labelled, given, read
from riverrun.errors import DataError, UsageError
from riverrun.estimators.estimator import Estimator, paths_of
from riverrun.tasks.labels.predicting import probabilities
from riverrun.tasks.labels.results import decided


class Classifier(Estimator):
    """A recurrent classifier: one label a text, several (`labels="several"`), or a place on a scale ("ordered").

    Every key of a run.toml is an option here, under the same name and with the same default: `cell`, `hidden`,
    `pooling`, `dropout`, `tokens`, `minutes`, `epochs`, `seed`, `device` ... (see `Estimator`).
    After `fit`: `classes_` (the labels), `metrics_` (what training measured), `model_` (the torch module).

    >>> texts = [word * n for n in range(1, 15) for word in ("ha", "bu")]
    >>> c = Classifier(hidden=8, steps=2, verbose=False).fit(texts, ["fun", "fear"] * 14)
    >>> c.predict(["haha"]).shape, c.classes_.tolist()
    ((1,), ['fear', 'fun'])
    """

    task = "classify"

    def fit(
        self,
        X: str | Path | Sequence[Any],
        y: Sequence[Any] | None = None,
        *,
        text: str = "",
        label: str = "",
        valid: str = "",
        test: str = "",
        run: str | Path | None = None,
    ) -> Self:
        """Train on texts X and labels y (lists of labels, where there are several), or on files: a table, a folder a
        label, a file a label.

        text, label: the columns of a table; where not given, those with a usual name. valid, test: files for
        validation and test, in place of shares of the data. run: a folder for configuration, log and checkpoints.
        Raises DataError for data that cannot be read, naming file and line, Diverged where training breaks down.
        """
        files = paths_of(X) if y is None else []
        if y is None and not files:
            raise UsageError("fit: expected texts and labels, or a path of labelled texts; got texts without labels.")
        named = {"text": text, "label": label, "valid": str(valid), "test": str(test)}
        chosen = {name: value for name, value in named.items() if value}
        texts = [] if files or isinstance(X, Path) else [X] if isinstance(X, str) else list(X)
        self._fit(texts, y, files=files, given=chosen, run=run)
        return self

    def _corpus(self, planned: Configuration, X: Any, y: Any) -> Labelled:
        return given(X, list(y), planned.sections["data"])

    # Using ------------------------------------------------------------------------------------------------------------

    def predict(self, X: Sequence[str]) -> NDArray[Any] | list[list[Any]]:
        """The label of each text; where there may be several, a list of those of probability one half or more.

        Labels are what `fit` was given: numbers where all of them were numbers (also after `save` and `load`), else
        text; those of files are text.
        """
        chosen, classes = self._decided(X), self.classes_
        if chosen.ndim == 2:
            return [classes[row].tolist() for row in chosen]
        predicted: NDArray[Any] = classes[chosen]
        return predicted

    def predict_proba(self, X: Sequence[str]) -> NDArray[np.float64]:
        """[N, C]: how likely each label is, in the order of `classes_`; where there may be several, each for itself."""
        opened = self._fitted()
        if isinstance(X, str):
            raise UsageError("expected a list of texts, got one text: pass [text].")
        texts = list(X)
        if not all(isinstance(text, str) for text in texts):
            raise DataError("expected texts, got something else among them.")
        return probabilities(opened.model, opened.coder, texts)

    def score(self, X: str | Path | Sequence[Any] | None = None, y: Sequence[Any] | None = None) -> float:
        """The share of texts whose labels are all right: of texts and labels, or of files as `fit` takes them.

        Without arguments: of the held-out part of what was fitted.
        """
        if X is None:
            figures = {figure["name"]: figure["value"] for figure in self._held_out()["figures"]}
            return float(figures.get("accuracy", figures.get("exact", float("nan"))))
        options, files = self._fitted().sections["data"], paths_of(X) if y is None else []
        if files:
            examples = read(files, options).examples
        elif y is None or isinstance(X, str | Path):
            raise UsageError("score: expected texts and labels, or a path of labelled texts; got one of the two alone.")
        else:
            examples = given(list(X), list(y), options).examples
        names = self._fitted().coder.labels.names
        found = self._decided([example.text for example in examples])
        if found.ndim == 2:
            said = [{name for name, yes in zip(names, row, strict=True) if yes} for row in found]
        else:
            said = [{names[number]} for number in found]
        return float(np.mean([one == set(example.labels) for one, example in zip(said, examples, strict=True)]))

    def __sklearn_tags__(self) -> Any:
        # What cross_val_score, GridSearchCV and their like ask: whether this is a classifier, and of what.
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        return Tags(
            estimator_type="classifier",
            target_tags=TargetTags(required=True),
            classifier_tags=ClassifierTags(),
            input_tags=InputTags(one_d_array=True, two_d_array=False, string=True),
        )

    def _decided(self, X: Sequence[str]) -> NDArray[Any]:
        """[N] numbers of labels; where there may be several, [N, C] bool."""
        return decided(self.predict_proba(X), self._fitted().coder.labels.kind)

    @property
    def classes_(self) -> NDArray[Any]:
        """The labels, in the order of `predict_proba`'s columns."""
        labels = self._fitted().coder.labels
        return np.array(labels.as_given(), dtype=object if labels.values == "str" else None)
