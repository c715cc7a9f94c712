"""What a tagger has to beat: the most frequent tag of each word, and logistic regression on a word and its neighbours.

Both learn from the training part alone and are judged on the same sentences as the network; nothing is chosen by the
test.
"""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from riverrun.data.conll import Sentence
from riverrun.tasks.measures.resampling import some
from riverrun.tasks.measures.tagging import figures, judged

HASHED = 1 << 19  # features that logistic regression tells apart
LEARNT = 500_000  # training words that it learns from; of a longer part sentences are drawn
TAGS = 50  # tags that it chooses from: one regression each; rarer ones it never gives
PASSES = 8
SEED = 0


def baselines(train: Sequence[Sentence], test: Sequence[Sentence], *, spans: bool) -> Iterator[dict[str, Any]]:
    """Each baseline as soon as it is there, as metrics.json has it."""
    seen = {word for sentence in train for word in sentence.words}
    for name, make in (("most frequent tag", most_frequent), ("logistic regression", regression)):
        start = time.perf_counter()
        predicted, note, limit = make(train, [sentence.words for sentence in test])
        found = figures(judged(test, predicted, seen.__contains__, spans=spans))
        seconds = time.perf_counter() - start
        yield {"name": name, "figures": found, "seconds": seconds, "note": note, "limit": limit}


Made = tuple[list[list[str]], str, str]  # the tags of each sentence, the note, the most that it learns from


def most_frequent(train: Sequence[Sentence], test: Sequence[Sequence[str]]) -> Made:
    """Each word's most frequent tag, as it is written or else in lower case; of an unknown one that of rare words."""
    counts: dict[str, Counter[str]] = {}
    for sentence in train:
        for word, tag in zip(sentence.words, sentence.tags, strict=True):
            if tag:
                counts.setdefault(word, Counter())[tag] += 1
    once = Counter(tag for found in counts.values() if found.total() == 1 for tag in found)
    whole = Counter[str]()
    for found in counts.values():
        whole.update(found)
    unknown = (once or whole).most_common(1)[0][0]
    best = {word: found.most_common(1)[0][0] for word, found in counts.items()}
    tags = [[best.get(word) or best.get(word.lower(), unknown) for word in words] for words in test]
    return tags, f"of an unknown word {unknown}, the most frequent one of words seen once", ""


def regression(train: Sequence[Sentence], test: Sequence[Sequence[str]]) -> Made:
    """One logistic regression a tag on hashed features, by stochastic gradient descent (scikit-learn)."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.feature_extraction import FeatureHasher
    from sklearn.linear_model import SGDClassifier

    hasher = FeatureHasher(HASHED, input_type="string", alternate_sign=False, dtype=np.float64)
    tags = [tag for sentence in train for tag in sentence.tags if tag]
    common = {tag for tag, _ in Counter(tags).most_common(TAGS)}
    rows: list[list[str]] = []
    labels: list[str] = []
    for sentence in train if len(tags) <= LEARNT else (train[place] for place in some(len(train), len(train))):
        if len(rows) == LEARNT:
            break
        for feature, tag in zip(features(sentence.words), sentence.tags, strict=True):
            if tag in common and len(rows) < LEARNT:
                rows.append(feature)
                labels.append(tag)
    note = "of the word, its beginnings and endings, its shape, and two neighbours on either side"
    if len(common) < len(set(tags)):
        note += f"; of {len(set(tags)):,} tags the {len(common)} most frequent"
    limit = f"{LEARNT:,} words" if len(tags) > LEARNT else ""
    if len(common) < 2:
        return [[next(iter(common), "")] * len(words) for words in test], note, limit
    model = SGDClassifier(
        loss="log_loss", alpha=3e-7, max_iter=PASSES, tol=None, average=True, random_state=SEED, shuffle=True
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(hasher.transform(rows), labels)
    flat = [feature for words in test for feature in features(words)]
    predicted = iter(model.predict(hasher.transform(flat)).tolist() if flat else [])
    return [[next(predicted) for _ in words] for words in test], note, limit


def features(words: Sequence[str]) -> list[list[str]]:
    """What is looked at of each word of a sentence.

    >>> features(["Go", "home"])[0][:4]
    ['0=Go', 'l=go', 's1=o', 's2=go']
    """
    lower = [word.lower() for word in words]
    found = []
    for place, word in enumerate(words):
        low = lower[place]
        one = [f"0={word}", f"l={low}"]
        one += [f"s{n}={low[-n:]}" for n in range(1, 6) if len(low) >= n]
        one += [f"p{n}={low[:n]}" for n in range(1, 5) if len(low) >= n]
        one.append("shape=" + shape(word))
        for offset in (-2, -1, 1, 2):
            near = lower[place + offset] if 0 <= place + offset < len(words) else ""
            one.append(f"{offset}={near}")
            if abs(offset) == 1:
                one += [f"{offset}s={near[-3:]}", f"{offset}w={near} {low}"]
                one.append(f"{offset}shape=" + (shape(words[place + offset]) if near else ""))
        one.append(f"c={lower[place - 1] if place else ''} {lower[place + 1] if place + 1 < len(words) else ''}")
        found.append(one)
    return found


def shape(word: str) -> str:
    """A word's letters by kind, repeated ones once: `McDonald's` is `XxXx'x`.

    >>> shape("McDonald's"), shape("1,000")
    ("XxXx'x", '9,9')
    """
    kinds = ["X" if c.isupper() else "x" if c.isalpha() else "9" if c.isdigit() else c for c in word[:30]]
    return "".join(kind for place, kind in enumerate(kinds) if not place or kind != kinds[place - 1])
