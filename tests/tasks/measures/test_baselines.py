"""The baselines see the training part only, score what the network scores, and are as good as they can be."""

from __future__ import annotations

import lzma
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from riverrun.data import builtin
from riverrun.data.splits import Splits
from riverrun.data.tokenizer import Tokenizer
from riverrun.data.tokens import Tokens
from riverrun.models.kneser_ney import kneser_ney
from riverrun.tasks.measures import baselines as module
from riverrun.tasks.measures.baselines import baselines, best_kneser_ney, fixed_window, unigram, unsmoothed, xz
from riverrun.tasks.measures.evaluation import carried_nats, scored

TEXT = builtin.text()[:60_000]
TOKENIZER = Tokenizer.train([TEXT], "chars")


def part(text: str, starts: tuple[int, ...] = (0,)) -> Tokens:
    return Tokens(TOKENIZER.encode(text).astype(np.uint8), np.array(starts, np.int64))


def splits(valid: bool = False) -> Splits:
    whole = part(TEXT)
    middle = 51_000 if valid else 54_000
    return Splits(whole.part(0, middle), whole.part(51_000, 54_000) if valid else None, whole.part(54_000, 60_000), "")


def test_all_of_them_come_one_by_one_with_interval_and_seconds(monkeypatch):
    monkeypatch.setattr(module, "WINDOW_TRAINING", replace(module.WINDOW_TRAINING, steps=60))
    rows = list(baselines(splits(), TOKENIZER, seconds=60.0))
    names = [row.name.split(",")[0] for row in rows]
    assert names == ["unigram", "Kneser-Ney", "unsmoothed", "fixed-window network", "xz"]
    for row in rows:
        assert row.seconds >= 0
        assert row.note
        if row.nats_per_character is not None:
            assert row.bits_per_character == pytest.approx(row.nats_per_character / math.log(2))
        if row.low is not None:
            assert row.low < row.nats_per_character < row.high
    by = dict(zip(names, rows, strict=True))
    assert by["Kneser-Ney"].nats_per_character < by["fixed-window network"].nats_per_character
    assert by["fixed-window network"].nats_per_character < by["unigram"].nats_per_character


def test_every_baseline_scores_the_tokens_that_the_network_scores():
    both = splits()
    test = both.test._replace(starts=np.array([0, 100, 101]))
    cut = both._replace(test=test)
    for name, nats, _ in (
        unigram(cut, TOKENIZER.size),
        best_kneser_ney(cut, TOKENIZER.size),
        unsmoothed(cut, TOKENIZER.size),
        fixed_window(cut, TOKENIZER.size, 0.1),
    ):
        assert len(nats) == len(scored(test)) == 6000 - 3, name


def test_the_order_is_picked_on_the_training_part_s_end_or_on_validation_never_on_the_test():
    for valid in (False, True):
        both = splits(valid)
        name, nats, note = best_kneser_ney(both, TOKENIZER.size)
        backwards = both._replace(test=both.test._replace(ids=both.test.ids[::-1].copy()))
        assert best_kneser_ney(backwards, TOKENIZER.size)[0] == name
        assert ("validation part" in note) == valid
        order = int(name.rsplit(" ", 1)[1])
        again = kneser_ney(both.train.ids, TOKENIZER.size, order).nats(both.test.ids)[1:]
        np.testing.assert_allclose(nats, again)


def test_orders_go_on_where_the_longest_ones_are_the_best():
    repeated = part("".join(np.random.default_rng(0).choice(list("abcdefgh "), 400)) * 20)
    both = Splits(repeated.part(0, 7000), None, repeated.part(7000, 8000), "")
    name, nats, note = best_kneser_ney(both, TOKENIZER.size)
    assert "of 1 to 32" in note or int(name.rsplit(" ", 1)[1]) <= 8
    assert nats.mean() < 0.3


def test_the_unsmoothed_model_says_how_often_it_is_infinitely_wrong():
    row = next(row for row in baselines(splits(), TOKENIZER, seconds=0) if row.name.startswith("unsmoothed"))
    nats = unsmoothed(splits(), TOKENIZER.size)[1]
    assert row.nats_per_character is None
    assert row.note.startswith(f"infinite: {np.isinf(nats).mean():.1%} of the tokens have probability 0")


def test_a_long_text_is_counted_from_its_end_and_the_note_says_so(monkeypatch):
    monkeypatch.setattr(module, "COUNTED", 20_000)
    monkeypatch.setattr(module, "COMPRESSED", 20_000)
    both = splits()
    name, nats, note = best_kneser_ney(both, TOKENIZER.size)
    assert "counted from the last 20,000 of 54,000 training tokens" in note
    order = int(name.rsplit(" ", 1)[1])
    expected = kneser_ney(both.train.ids[-20_000:], TOKENIZER.size, order).nats(both.test.ids)[1:]
    np.testing.assert_allclose(nats, expected)
    assert "last 20,000 bytes" in xz(both, TOKENIZER).note


def test_xz_counts_what_the_test_adds_to_the_training_text():
    both = splits()
    train, test = TEXT[:54_000].encode(), TEXT[54_000:].encode()

    def size(data: bytes) -> int:
        return len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))

    row = xz(both, TOKENIZER)
    assert row.bits_per_character == pytest.approx(8 * (size(train + test) - size(train)) / 6000)
    assert row.low is None


def test_the_fixed_window_network_is_scored_in_lanes_as_in_one(monkeypatch):
    seen = []

    def spy(model, tokens, **lanes):
        seen.extend([carried_nats(model, tokens), carried_nats(model, tokens, **lanes)])
        return seen[-1]

    monkeypatch.setattr(module, "carried_nats", spy)
    monkeypatch.setattr(module, "WINDOW_TRAINING", replace(module.WINDOW_TRAINING, steps=3))
    fixed_window(splits(), TOKENIZER.size, 60.0)
    np.testing.assert_allclose(seen[1], seen[0], rtol=1e-5)


def test_the_fixed_window_network_leaves_torch_s_random_numbers_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    fixed_window(splits(), TOKENIZER.size, 0.05)
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.slow
def test_on_the_built_in_text_kneser_ney_is_as_good_as_measured_elsewhere():
    ids = Tokenizer.train([builtin.text()], "chars").encode(builtin.text())
    cut = int(0.9 * len(ids))
    for order, measured in ((6, 1.159), (8, 1.121)):
        nats = kneser_ney(ids[:cut], int(ids.max()) + 1, order).nats(ids[cut:]).mean()
        assert abs(nats - measured) < 0.02, "the text differs a little between Python versions"
