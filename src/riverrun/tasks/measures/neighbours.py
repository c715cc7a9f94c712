"""What a model of pairs has to beat: copying, the commonest target, and the target of the most similar source.

All learn from the training part alone and are judged on the same sources by the same figures.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riverrun.errors import DataError
from riverrun.tasks.measures.classification import Figure, as_json

PAIRS = 200_000  # training pairs among which a neighbour is looked for: the first ones
ENTRIES = 20_000_000  # similarities held at a time
WORDS = {"analyzer": "word", "ngram_range": (1, 2), "token_pattern": r"\S+"}
CHARACTERS = {"analyzer": "char_wb", "ngram_range": (2, 5)}

Judge = Callable[[list[str]], list[Figure]]


def baselines(
    sources: Sequence[str], targets: Sequence[str], asked: Sequence[str], judge: Judge, *, words: bool
) -> Iterator[dict[str, Any]]:
    """Each baseline as soon as it is there, as metrics.json holds it.

    sources, targets: the training pairs. asked: the sources of the test part, in the order in which `judge` takes
    outputs and gives their figures. words: whether sources are alike by their words, or by their letters.
    """
    start = time.perf_counter()
    yield _row("copy", judge(list(asked)), start, "the source itself")
    start = time.perf_counter()
    yield _row("commonest", judge(commonest(targets, len(asked))), start, "the commonest target of the training part")
    start = time.perf_counter()
    kind = "words, 1 to 2 in a row" if words else "characters within words, 2 to 5 in a row"
    found = nearest(sources[:PAIRS], targets[:PAIRS], asked, words=words)
    note = f"the target of the most similar training source, by the cosine of tf-idf of {kind}"
    yield _row("nearest neighbour", judge(found), start, note, f"{PAIRS:,} pairs")


def commonest(targets: Sequence[str], count: int) -> list[str]:
    """The commonest target, so many times; of equally common ones the first.

    >>> commonest(["a", "b", "b"], 2)
    ['b', 'b']
    """
    return [Counter(targets).most_common(1)[0][0]] * count if targets else [""] * count


def nearest(sources: Sequence[str], targets: Sequence[str], asked: Sequence[str], *, words: bool) -> list[str]:
    """The target of the training source that is most similar to each source asked for; of equals the first.

    A source that has nothing in common with any gets the commonest target. Raises DataError without scikit-learn.

    >>> nearest(["the cat sat", "a dog ran"], ["le chat", "un chien"], ["dog", "cat"], words=True)
    ['un chien', 'le chat']
    """
    if not sources:
        return [""] * len(asked)
    vectors = _vectorizer(words)
    try:
        known = vectors.fit_transform(sources)  # [N, features]
    except ValueError:  # no source has any feature
        return commonest(targets, len(asked))
    wanted, turned = vectors.transform(asked), known.T.tocsr()
    rows = max(1, ENTRIES // len(sources))
    places: list[NDArray[np.int64]] = []
    for begin in range(0, len(asked), rows):
        similar = (wanted[begin : begin + rows] @ turned).tocsr()
        places.append(_likest(similar))
    found = np.concatenate(places) if places else np.zeros(0, np.int64)
    other = commonest(targets, 1)[0]
    return [targets[place] if place >= 0 else other for place in found.tolist()]


def _likest(similar: Any) -> NDArray[np.int64]:
    """The first column with each row's largest entry, -1 where the row has none. similar: CSR [n, N]."""
    found = np.full(similar.shape[0], -1, np.int64)
    for i, (begin, end) in enumerate(zip(similar.indptr[:-1], similar.indptr[1:], strict=True)):
        if begin < end:
            values = similar.data[begin:end]
            # Two equal sources can differ in the last bits, by the order in which products were added up.
            among = similar.indices[begin:end][values >= values.max() - 1e-9]
            found[i] = among.min()
    return found


def _vectorizer(words: bool) -> Any:
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
    except ImportError:
        raise DataError("the baselines need scikit-learn: pip install scikit-learn, or leave them out.") from None
    return TfidfVectorizer(**(WORDS if words else CHARACTERS), lowercase=False, sublinear_tf=True)


def _row(name: str, figures: list[Figure], start: float, note: str, limit: str = "") -> dict[str, Any]:
    row = {"name": name, "figures": as_json(figures), "seconds": time.perf_counter() - start, "note": note}
    return {**row, "limit": limit} if limit else row
