"""The n-gram models against slow dictionary implementations written from the papers' equations."""

from __future__ import annotations

import time
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riverrun.errors import UsageError
from riverrun.models import ngram
from riverrun.models.kneser_ney import FIXED, discounts, kneser_ney, nats_by_order
from riverrun.models.ngram import Unsmoothed, by_window, count, frequencies, padded, unigram_nats


class SlowKneserNey:
    """Chen & Goodman 1998, equations 20-26 with dictionaries, on documents padded by a start symbol."""

    def __init__(self, documents: list[list[int]], vocabulary: int, order: int) -> None:
        self.vocabulary, self.order = vocabulary, order
        raw: dict[int, Counter] = {k: Counter() for k in range(1, order + 1)}
        for document in documents:
            text = [vocabulary] * (order - 1) + document
            for end in range(order - 1, len(text)):
                for k in range(1, order + 1):
                    raw[k][tuple(text[end - k + 1 : end + 1])] += 1
        self.n: dict[int, dict] = {order: dict(raw[order])}
        for k in range(1, order):
            before = defaultdict(set)
            for gram in raw[k + 1]:
                before[gram[1:]].add(gram[0])
            self.n[k] = {gram: len(tokens) for gram, tokens in before.items()}
        self.d = {k: self.discount(self.n[k]) for k in self.n}

    @staticmethod
    def discount(n: dict) -> tuple[float, float, float]:
        n1, n2, n3, n4 = (sum(c == j for c in n.values()) for j in (1, 2, 3, 4))
        if 0 in (n1, n2, n3, n4):
            return (0.5, 1.0, 1.5)
        y = n1 / (n1 + 2 * n2)
        d = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
        return d if 0 < d[0] <= 1 and 0 < d[1] <= 2 and 0 < d[2] <= 3 else (0.5, 1.0, 1.5)

    def p(self, word: int, context: tuple[int, ...]) -> float:
        k = len(context) + 1
        lower = 1 / self.vocabulary if k == 1 else self.p(word, context[1:])
        followed = {gram[-1]: c for gram, c in self.n[k].items() if gram[:-1] == context}
        if not followed:
            return lower
        total = sum(followed.values())
        d1, d2, d3 = self.d[k]
        take = {0: 0.0, 1: d1, 2: d2}
        c = followed.get(word, 0)
        share = max(c - take.get(c, d3), 0) / total
        left = sum(take.get(value, d3) for value in followed.values()) / total
        return share + left * lower

    def nats(self, documents: list[list[int]]) -> list[float]:
        found = []
        for document in documents:
            text = [self.vocabulary] * (self.order - 1) + document
            for i in range(self.order - 1, len(text)):
                found.append(-np.log(self.p(text[i], tuple(text[i - self.order + 1 : i]))))
        return found


def skewed(rng: np.random.Generator, length: int, vocabulary: int) -> np.ndarray:
    """A second-order chain, so that every order has something to say and the counts of counts are not degenerate."""
    chances = rng.dirichlet(np.full(vocabulary, 0.3), size=(vocabulary, vocabulary))
    ids = [0, 1]
    for _ in range(length):
        ids.append(int(rng.choice(vocabulary, p=chances[ids[-2], ids[-1]])))
    return np.array(ids)


def flat(documents: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    starts = np.cumsum([0, *[len(d) for d in documents[:-1]]])
    return np.array([t for d in documents for t in d], np.int64), starts


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_kneser_ney_equals_the_equations_of_chen_and_goodman(order):
    rng = np.random.default_rng(order)
    train, test = skewed(rng, 400, 12), skewed(rng, 60, 12)
    fast, slow = kneser_ney(train, 12, order), SlowKneserNey([train.tolist()], 12, order)
    assert order == 1 or any(d != FIXED for d in slow.d.values()), "the estimated discounts should be tried too"
    np.testing.assert_allclose(fast.nats(test), slow.nats([test.tolist()]), rtol=1e-12)


def test_kneser_ney_equals_the_equations_where_documents_restart():
    rng = np.random.default_rng(0)
    documents = [rng.integers(0, 4, size=n).tolist() for n in (1, 9, 30, 2, 17)]
    held_out = [rng.integers(0, 5, size=n).tolist() for n in (3, 1, 12)]
    ids, starts = flat(documents)
    test, test_starts = flat(held_out)
    fast, slow = kneser_ney(ids, 5, 4, starts), SlowKneserNey(documents, 5, 4)
    np.testing.assert_allclose(fast.nats(test, test_starts), slow.nats(held_out), rtol=1e-12)


@settings(deadline=None, max_examples=40)
@given(
    documents=st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=12), min_size=1, max_size=4),
    history=st.lists(st.integers(0, 3), max_size=6),
    order=st.integers(1, 5),
)
def test_probabilities_sum_to_one_and_agree_with_scoring(documents, history, order):
    ids, starts = flat(documents)
    model = kneser_ney(ids, 4, order, starts)
    chances = model.distribution(history)
    assert chances.min() > 0
    assert abs(chances.sum() - 1) < 1e-12
    scored = [model.nats(np.array([*history, w]))[-1] for w in range(4)]
    np.testing.assert_allclose(-np.log(chances), scored, rtol=1e-11)


def test_one_counting_gives_the_held_out_nats_of_every_order():
    rng = np.random.default_rng(3)
    text = skewed(rng, 3000, 9)
    train, test = text[:2500], text[2500:]
    together = nats_by_order(train, test, 9, 6)
    apart = [float(kneser_ney(train, 9, k).nats(test).mean()) for k in range(1, 7)]
    np.testing.assert_allclose(together, apart, rtol=1e-12)
    assert together[2] < together[0], "a second-order chain is worth more than its frequencies"


def test_degenerate_counts_of_counts_fall_back_on_fixed_discounts():
    assert discounts(np.array([5, 5, 9])) == FIXED
    assert discounts(np.array([1] * 10 + [2] * 1 + [3] * 30 + [4])) == FIXED, "an estimate below zero is no discount"
    d1, d2, d3 = discounts(np.array([1] * 100 + [2] * 40 + [3] * 20 + [4] * 12))
    assert (d1, d2, d3) == pytest.approx((1 - 80 / 180, 2 - 3 * (100 / 180) * 0.5, 3 - 4 * (100 / 180) * 0.6))


def test_a_text_of_one_repeated_token_is_learned():
    model = kneser_ney(np.zeros(50, np.int64), 2, 3)
    assert model.nats(np.zeros(20, np.int64))[5:].max() < 0.05
    assert np.isfinite(model.nats(np.ones(3, np.int64))).all()


def test_an_order_below_one_and_an_empty_held_out_text_are_named():
    with pytest.raises(UsageError, match="order: expected at least 1, got 0"):
        count(np.zeros(3, np.int64), 2, 0)
    with pytest.raises(UsageError, match="held_out"):
        nats_by_order(np.zeros(3, np.int64), np.zeros(0, np.int64), 2, 2)


def test_counts_equal_a_dictionary_s():
    rng = np.random.default_rng(5)
    ids = rng.integers(0, 3, size=80)
    counts = count(ids, 3, 3)
    text = padded(ids, np.zeros(1, np.int64), 3, 2)
    expected = Counter(tuple(text[i - 2 : i + 1]) for i in range(2, len(text)))
    assert sorted(counts.orders[2].raw[counts.orders[2].raw > 0]) == sorted(expected.values())
    assert counts.orders[1].continuations.sum() == len(expected)


def test_padding_stands_before_every_document():
    assert padded(np.array([1, 2, 3]), np.array([0, 2]), 9, 2).tolist() == [9, 9, 1, 2, 9, 9, 3]
    assert padded(np.array([1]), np.array([0]), 9, 0).tolist() == [1]


def test_the_unsmoothed_model_is_counts_over_counts_and_backs_off_to_the_longest_seen_context():
    model = Unsmoothed(count(np.array([0, 1, 2, 0, 1, 1, 0, 1, 2]), 4, 3), 3)
    assert model.distribution([0, 1]).tolist() == pytest.approx([0, 1 / 3, 2 / 3, 0])
    assert model.distribution([2, 2]).tolist() == [1, 0, 0, 0], "(2, 2) was never seen; 2 was, once, before 0"
    assert model.distribution([3]).sum() == pytest.approx(1)
    nats = model.nats(np.array([0, 1, 2, 3]))
    assert nats[:3].tolist() == pytest.approx([0, 0, np.log(1.5)])
    assert np.isinf(nats[3])


def test_unsmoothed_scoring_agrees_with_its_distribution():
    rng = np.random.default_rng(8)
    train, test = skewed(rng, 200, 5), skewed(rng, 40, 5)
    model = Unsmoothed(count(train, 5, 4), 3)
    one_by_one = [model.distribution(test[:i].tolist())[test[i]] for i in range(len(test))]
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(model.nats(test), -np.log(one_by_one), rtol=1e-12, atol=1e-12)


def test_the_unigram_is_laplace_s():
    counts = frequencies(np.array([0, 0, 1]), 3)
    assert counts.tolist() == [2, 1, 0]
    assert unigram_nats(counts).tolist() == pytest.approx([np.log(2), np.log(3), np.log(6)])


@pytest.mark.parametrize("window", [1, 2, 7, 10_000])
def test_a_long_text_is_scored_window_by_window_as_in_one(window, monkeypatch):
    monkeypatch.setattr(ngram, "WINDOW", window)
    rng = np.random.default_rng(2)
    train, test = skewed(rng, 300, 5), skewed(rng, 90, 5)
    starts = np.array([0, 1, 14, 15, 16, 60])
    for model in (kneser_ney(train, 5, 4), Unsmoothed(count(train, 5, 4), 4), kneser_ney(train, 5, 1)):
        whole = model.nats(test, starts)
        begins, pieces = zip(*by_window(model.nats, test, starts, model.order - 1), strict=True)
        np.testing.assert_array_equal(np.concatenate(pieces), whole)
        assert list(begins) == list(range(0, len(test), window))
    assert frequencies(test, 5).tolist() == np.bincount(test, minlength=5).tolist()


def test_a_million_characters_train_in_seconds():
    ids = np.random.default_rng(0).zipf(1.5, size=1_000_000) % 65
    start = time.perf_counter()
    nats_by_order(ids, ids[:1000], 65, 10)
    assert time.perf_counter() - start < 30  # about 3 s on an idle core; the suite shares its cores
