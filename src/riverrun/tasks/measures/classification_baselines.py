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

FEATURES = 300_000  # n-grams that are kept: the commonest
EXAMPLES = 200_000  # training examples that are learnt from: the first ones
SMOOTHING = (1.0, 0.1)
STRENGTHS = (1.0, 10.0)  # C of logistic regression: the weaker the penalty, the greater
ITERATIONS = 100

Judge = Callable[[NDArray[Any], Sequence[Example]], Judged]


def baselines(
    train: Sequence[Example],
    valid: Sequence[Example],
    test: Sequence[Example],
    labels: Labels,
    judge: Judge,
    *,
    lower: bool = False,
) -> Iterator[dict[str, Any]]:
    """Each baseline as soon as it is there, as metrics.json holds it.

    judge: what was predicted ([N] numbers of labels, of several [N, C] bool) and the examples -> both as Judged.
    lower: whether the network reads small letters alone; then these do, too.
    """
    _check()
    train = train[:EXAMPLES]
    limit = f"{EXAMPLES:,} examples, {FEATURES:,} n-grams"
    start = time.perf_counter()
    yield _row("majority", judge(_majority(labels, len(test)), test), start, "the commonest label of the training part")
    for name, note, features in _features(train, lower):
        texts = [[example.text for example in part] for part in (train, valid, test)]
        start = time.perf_counter()
        counts = features["counts"]
        known = counts.fit_transform(texts[0])
        parts = [counts.transform(part) if part else None for part in texts[1:]]
        picked, words = _fitted(_bayes, SMOOTHING, known, parts[0], train, valid, labels, judge)
        found = judge(_predicted(picked, parts[1], labels), test)
        yield _row(f"naive Bayes, {name}", found, start, f"multinomial, {note}, smoothing {words}", limit)
    start = time.perf_counter()
    known, parts = _weighted(train, [valid, test], lower)
    picked, words = _fitted(_logistic, STRENGTHS, known, parts[0], train, valid, labels, judge)
    found = judge(_predicted(picked, parts[1], labels), test)
    note = f"tf-idf of words (1 to 2) and characters (1 to 5) within words, C {words}"
    yield _row("logistic regression, n-grams", found, start, note, limit)


def _features(train: Sequence[Example], lower: bool) -> list[tuple[str, str, dict[str, Any]]]:
    from sklearn.feature_extraction.text import CountVectorizer

    words = {"ngram_range": (1, 2), "token_pattern": r"\S+"}
    characters = {"analyzer": "char_wb", "ngram_range": (1, 5)}
    found = [
        ("words", "words, 1 to 2 in a row", words),
        ("characters", "characters within words, 1 to 5 in a row", characters),
    ]
    return [
        (name, note, {"counts": CountVectorizer(**options, lowercase=lower, max_features=FEATURES)})
        for name, note, options in found
    ]


def _weighted(train: Sequence[Example], others: Sequence[Sequence[Example]], lower: bool) -> tuple[Any, list[Any]]:
    from scipy.sparse import hstack
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = [example.text for example in train]
    made = [
        TfidfVectorizer(
            ngram_range=(1, 2), token_pattern=r"\S+", lowercase=lower, sublinear_tf=True, max_features=FEATURES
        ),
        TfidfVectorizer(
            analyzer="char_wb", ngram_range=(1, 5), lowercase=lower, sublinear_tf=True, max_features=FEATURES
        ),
    ]
    known = hstack([one.fit_transform(texts) for one in made]).tocsr()
    rest = [
        hstack([one.transform([e.text for e in part]) for one in made]).tocsr() if part else None for part in others
    ]
    return known, rest


def _bayes(strength: float) -> Any:
    from sklearn.naive_bayes import MultinomialNB

    return MultinomialNB(alpha=strength)


def _logistic(strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, max_iter=ITERATIONS)


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
        if labels.kind == "several":
            from sklearn.multiclass import OneVsRestClassifier

            model = OneVsRestClassifier(model)
            targets = targets.astype(np.int64)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it has not converged, or that a label is in every row
            model.fit(known, targets)
        worth = 0.0
        if valid:
            worth = figures(judge(_predicted(model, valid_features, labels), valid))[0].value
        tried.append((worth, -len(tried), model, strength))
    _, _, best, strength = max(tried, key=lambda found: found[:2])
    return best, f"{strength:g}" + (
        f", picked of {', '.join(f'{s:g}' for s in strengths)} on validation" if valid else ""
    )


def _predicted(model: Any, features: Any, labels: Labels) -> NDArray[Any]:
    found = np.asarray(model.predict(features))
    return found.astype(bool) if labels.kind == "several" else found


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
