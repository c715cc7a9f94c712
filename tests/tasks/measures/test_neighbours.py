"""Baselines of pairs against scikit-learn's own nearest neighbours and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.neighbors import NearestNeighbors

from riverrun.tasks.measures import neighbours
from riverrun.tasks.measures.error_rate import exact


def texts(count: int, letters: str, seed: int) -> list[str]:
    draw = np.random.default_rng(seed)
    return ["".join(draw.choice(list(letters), draw.integers(3, 9))) for _ in range(count)]


def test_of_equally_near_sources_the_first_counts_whatever_the_last_bits_say():
    similar = csr_matrix(np.array([[0.3, 1 - 1e-12, 1.0], [0.0, 0.5, 0.6], [0.0, 0.0, 0.0]]))
    assert neighbours._likest(similar).tolist() == [1, 2, -1]


@pytest.mark.parametrize("words", [True, False])
def test_the_nearest_is_scikit_learns(words, monkeypatch):
    monkeypatch.setattr(neighbours, "ENTRIES", 1000)  # several pieces
    sources, asked = texts(150, "abcd ef", 0), texts(40, "abcd ef", 1)
    targets = [str(i) for i in range(150)]
    options = neighbours.WORDS if words else neighbours.CHARACTERS
    vectors = TfidfVectorizer(**options, lowercase=False, sublinear_tf=True).fit(sources)
    near = NearestNeighbors(n_neighbors=1, metric="cosine").fit(vectors.transform(sources))
    distances, _ = near.kneighbors(vectors.transform(asked))
    found = neighbours.nearest(sources, targets, asked, words=words)
    known = vectors.transform(sources)
    for text, target, distance in zip(asked, found, distances[:, 0], strict=True):
        if distance < 1 - 1e-9:
            similarity = (vectors.transform([text]) @ known[int(target)].T).toarray()[0, 0]
            assert 1 - similarity == pytest.approx(distance, abs=1e-9)


def test_a_source_that_was_trained_on_is_its_own_neighbour():
    sources = list(dict.fromkeys(texts(60, "abcdefg", 2)))
    assert neighbours.nearest(sources, sources, sources[::-1], words=False) == sources[::-1]
    assert neighbours.nearest(["ab cd", "ab cd"], ["first", "second"], ["ab cd"], words=True) == ["first"]


def test_where_nothing_is_alike_the_commonest_target_answers():
    assert neighbours.nearest(["aa", "bb", "cc"], ["x", "y", "y"], ["zz", "bb"], words=True) == ["y", "y"]
    assert neighbours.nearest(["aa", "bb", "cc"], ["x", "y", "y"], ["zz", "aa"], words=True) == ["y", "x"]
    assert neighbours.nearest(["", ""], ["x", "x"], ["zz"], words=True) == ["x"]
    assert neighbours.nearest([], [], ["zz"], words=True) == [""]


def test_rows_are_what_metrics_json_holds():
    sources, targets, asked = ["un", "deux", "un deux"], ["one", "two", "two"], ["deux", "deux deux"]
    references = [["two"], ["deux deux"]]
    rows = list(neighbours.baselines(sources, targets, asked, lambda given: [exact(given, references)], words=True))
    assert [row["name"] for row in rows] == ["copy", "commonest", "nearest neighbour"]
    assert [row["figures"][0]["value"] for row in rows] == [0.5, 0.5, 0.5]
    for row in rows:
        assert set(row) - {"limit"} == {"name", "figures", "seconds", "note"}
        assert set(row["figures"][0]) == {"name", "value", "low", "high", "unit", "better"}
        assert row["seconds"] >= 0
    assert rows[-1]["limit"] == "200,000 pairs"
