"""What a classifier has to beat: the commonest label, naive Bayes and logistic regression on n-grams, by scikit-learn.

All learn from the training part alone and are judged on the same examples by the same figures. Strengths of smoothing
and regularisation are picked on the validation part, where there is one, and nothing is chosen by the test.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riverrun.data.labelled import Example
from riverrun.data.labels import Labels
from riverrun.errors import DataError
from riverrun.tasks.measures.classification import Judged, as_json, figures
from riverrun.tasks.measures.resampling import some

FEATURES = 300_000  # n-grams that are kept: the commonest
EXAMPLES = 200_000  # training examples that are learnt from; of more so many, drawn
SMOOTHING = (1.0, 0.1)
STRENGTHS = (1.0, 10.0)  # C of logistic regression: the weaker the penalty, the greater
NOTES = {"words": "words, 1 to 2 in a row", "characters": "characters within words, 1 to 5 in a row"}

Judge = Callable[[NDArray[Any], Sequence[Example]], Judged]


def baselines(
    train: Sequence[Example],
    valid: Sequence[Example],
    test: Sequence[Example],
    labels: Labels,
    judge: Judge,
) -> Iterator[dict[str, Any]]:
    """Each baseline as soon as it is there, as metrics.json holds it.

    judge: what was predicted ([N] numbers of labels, of several [N, C] bool) and the examples -> both as Judged.
    """
    _check()
    train = [train[index] for index in np.sort(some(len(train), EXAMPLES))]
    limit = f"{EXAMPLES:,} examples, {FEATURES:,} n-grams"
    start = time.perf_counter()
    yield _row("majority", judge(_majority(labels, len(test)), test), start, "the commonest label of the training part")
    texts = [[example.text for example in part] for part in (train, valid, test)]
    counted: dict[str, list[Any]] = {}
    for name, counts in _features().items():
        start = time.perf_counter()
        known = counts.fit_transform(texts[0])
        held_out, last = (counts.transform(part) if part else None for part in texts[1:])
        counted[name] = [known, held_out, last]
        picked, words = _fitted(_bayes, SMOOTHING, known, held_out, train, valid, labels, judge)
        found = judge(_predicted(picked, last, labels), test)
        note = f"multinomial, {NOTES[name]}, smoothing {words}"
        yield _row(f"naive Bayes, {name}", found, start, note, limit)
    start = time.perf_counter()
    known, held_out, last = (_joined([counted[name][place] for name in counted]) for place in range(3))
    picked, words = _fitted(_logistic, STRENGTHS, known, held_out, train, valid, labels, judge)
    found = judge(_predicted(picked, last, labels), test)
    note = f"which of the words and characters there are, one against the rest, C {words}"
    yield _row("logistic regression, n-grams", found, start, note, limit)


def _features() -> dict[str, Any]:
    """How texts become counts, by the name of what is counted. Small letters alone: more often a help than not."""
    from sklearn.feature_extraction.text import CountVectorizer

    words = {"ngram_range": (1, 2), "token_pattern": r"\S+"}
    characters = {"analyzer": "char_wb", "ngram_range": (1, 5)}
    found = {"words": words, "characters": characters}
    return {name: CountVectorizer(**options, max_features=FEATURES) for name, options in found.items()}


def _joined(parts: list[Any]) -> Any:
    """Several tables of counts as one that says what there is; None where there are none."""
    if any(part is None for part in parts):
        return None
    from scipy.sparse import hstack

    return (hstack(parts).tocsr() > 0).astype(np.float64)


def _bayes(strength: float) -> Any:
    from sklearn.naive_bayes import MultinomialNB

    return MultinomialNB(alpha=strength)


def _logistic(strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    # Of 18 labels on 84,000 n-grams the joint fit (lbfgs) had not converged after 100 passes and 20 s; this takes 3.
    return LogisticRegression(C=strength, solver="liblinear", random_state=0)


def _fitted(
    make: Callable[[float], Any],
    strengths: Sequence[float],
    known: Any,
    valid_features: Any,
    train: Sequence[Example],
    valid: Sequence[Example],
    labels: Labels,
    judge: Judge,
) -> tuple[Any, str]:
    """The model with the strength that does best on the validation part, and the strength in words."""
    targets = labels.targets(train)
    tried: list[tuple[float, int, Any, float]] = []
    for strength in strengths if valid else strengths[-1:]:
        model = make(strength)
        if labels.kind == "several" or make is _logistic:
            from sklearn.multiclass import OneVsRestClassifier

            model = OneVsRestClassifier(model)
            targets = targets.astype(np.int64)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it has not converged, or that a label is in every row
            model.fit(known, targets)
        worth = 0.0
        if valid:
            worth = figures(judge(_predicted(model, valid_features, labels), valid), draws=0)[0].value
        tried.append((worth, -len(tried), model, strength))
    _, _, best, strength = max(tried, key=lambda found: found[:2])
    return best, f"{strength:g}" + (
        f", picked of {', '.join(f'{s:g}' for s in strengths)} on validation" if valid else ""
    )


def _predicted(model: Any, features: Any, labels: Labels) -> NDArray[Any]:
    found = np.asarray(model.predict(features))
    # Of one label alone scikit-learn gives [N].
    return found.astype(bool).reshape(-1, len(labels.names)) if labels.kind == "several" else found


def _majority(labels: Labels, count: int) -> NDArray[Any]:
    if labels.kind == "several":
        often = np.array(labels.counts) * 2 > labels.examples
        if not often.any():
            often[int(np.argmax(labels.counts))] = True
        return np.tile(often, (count, 1))
    return np.full(count, int(np.argmax(labels.counts)))


def _row(name: str, judged: Judged, start: float, note: str, limit: str = "") -> dict[str, Any]:
    row = {"name": name, "figures": as_json(figures(judged)), "seconds": time.perf_counter() - start, "note": note}
    return {**row, "limit": limit} if limit else row


def _check() -> None:
    try:
        import sklearn  # noqa: F401
    except ImportError:
        raise DataError("the baselines need scikit-learn: pip install scikit-learn, or leave them out.") from None
