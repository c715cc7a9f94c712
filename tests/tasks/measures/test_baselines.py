"""The baselines see the training part only, score what the network scores, and are as good as they can be."""

from __future__ import annotations

import lzma
import math
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch

from riverrun.data import builtin
from riverrun.data.splits import Splits
from riverrun.data.tokenizer import Tokenizer
from riverrun.data.tokens import Tokens
from riverrun.models import ngram
from riverrun.models.kneser_ney import kneser_ney
from riverrun.models.ngram import Unsmoothed, count
from riverrun.tasks.measures import baselines as module
from riverrun.tasks.measures import blocks
from riverrun.tasks.measures.baselines import baselines, best_kneser_ney, fixed_window, unigram, unsmoothed, xz
from riverrun.tasks.measures.blocks import Blocks
from riverrun.tasks.measures.evaluation import carried_nats

TEXT = builtin.text()[:60_000]
TOKENIZER = Tokenizer.train([TEXT], "chars")


def part(text: str, starts: tuple[int, ...] = (0,)) -> Tokens:
    return Tokens(TOKENIZER.encode(text).astype(np.uint8), np.array(starts, np.int64))


def splits(valid: bool = False) -> Splits:
    whole = part(TEXT)
    middle = 51_000 if valid else 54_000
    return Splits(whole.part(0, middle), whole.part(51_000, 54_000) if valid else None, whole.part(54_000, 60_000), "")


def each(parts: Splits) -> Blocks:
    """The test part in blocks of one token, so that their sums are what each token has."""
    return Blocks(parts.test, 1)


def test_all_of_them_come_one_by_one_with_interval_and_seconds(monkeypatch):
    monkeypatch.setattr(module, "WINDOW_TRAINING", replace(module.WINDOW_TRAINING, steps=60))
    rows = list(baselines(splits(), TOKENIZER, seconds=60.0))
    names = [row.name.split(",")[0] for row in rows]
    assert names == ["unigram", "Kneser-Ney", "unsmoothed", "fixed-window network", "xz"]
    for row in rows:
        assert row.seconds >= 0
        assert row.note
        assert row.trained_on == 54_000
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
    found = [
        unigram(cut, each(cut), TOKENIZER.size),
        best_kneser_ney(cut, each(cut), TOKENIZER.size),
        unsmoothed(cut, each(cut), TOKENIZER.size),
        fixed_window(cut, each(cut), TOKENIZER.size, 0.1),
    ]
    assert Blocks.of(test).size == 6000 - 3
    for judged in found:
        assert len(judged.nats) == 6000 - 3, judged.name
        assert judged.name.startswith("unsmoothed") or judged.nats.all(), judged.name


def test_the_order_is_picked_on_the_training_part_s_end_or_on_validation_never_on_the_test():
    for valid in (False, True):
        both = splits(valid)
        found = best_kneser_ney(both, each(both), TOKENIZER.size)
        backwards = both._replace(test=both.test._replace(ids=both.test.ids[::-1].copy()))
        assert best_kneser_ney(backwards, each(backwards), TOKENIZER.size).name == found.name
        assert ("validation part" in found.note) == valid
        order = int(found.name.rsplit(" ", 1)[1])
        again = kneser_ney(both.train.ids, TOKENIZER.size, order).nats(both.test.ids)[1:]
        np.testing.assert_allclose(found.nats, again)


def test_orders_go_on_where_the_longest_ones_are_the_best_as_far_as_memory_allows(monkeypatch):
    repeated = part("".join(np.random.default_rng(0).choice(list("abcdefgh "), 400)) * 20)
    both = Splits(repeated.part(0, 7000), None, repeated.part(7000, 8000), "")
    found = best_kneser_ney(both, each(both), TOKENIZER.size)
    assert "of 1 to 32" in found.note or int(found.name.rsplit(" ", 1)[1]) <= 8
    assert found.nats.mean() < 0.3
    chosen = splits()  # whose order is not among the first two
    for orders, grams, tried in ((2, 40_000_000, 32), (2, 4 * 54_000, 4), (2, 1, 2)):
        monkeypatch.setattr(module, "ORDERS", orders)
        monkeypatch.setattr(module, "GRAMS", grams)
        assert f"of 1 to {tried}" in best_kneser_ney(chosen, each(chosen), TOKENIZER.size).note


def test_the_unsmoothed_model_says_how_often_it_is_infinitely_wrong():
    row = next(row for row in baselines(splits(), TOKENIZER, seconds=0) if row.name.startswith("unsmoothed"))
    model = Unsmoothed(count(splits().train.ids, TOKENIZER.size, 10), 10)
    nats = model.nats(splits().test.ids)[1:]
    assert row.nats_per_character is None
    assert row.note.startswith(f"infinite: {np.isinf(nats).mean():.1%} of the tokens have probability 0")
    assert f"; {nats[np.isfinite(nats)].mean():.3f} nats on the others" in row.note


def test_a_long_text_is_counted_from_its_end_and_the_note_says_so(monkeypatch):
    monkeypatch.setattr(module, "COUNTED", 20_000)
    monkeypatch.setattr(module, "COMPRESSED", 20_000)
    both = splits()
    found = best_kneser_ney(both, each(both), TOKENIZER.size)
    assert "counted from the last 20,000 of 54,000 training tokens" in found.note
    assert (found.trained_on, found.limit) == (20_000, "20,000 tokens")
    order = int(found.name.rsplit(" ", 1)[1])
    expected = kneser_ney(both.train.ids[-20_000:], TOKENIZER.size, order).nats(both.test.ids)[1:]
    np.testing.assert_allclose(found.nats, expected)
    assert unigram(both, each(both), TOKENIZER.size).trained_on == 54_000
    row = xz(both, TOKENIZER)
    assert "last 20,000 bytes" in row.note
    assert row.limit == "20,000 bytes"
    assert row.trained_on == len(TEXT[:54_000].encode()[-20_000:].decode()), "characters"


def test_a_long_validation_part_picks_the_order_by_its_beginning(monkeypatch):
    both = splits(valid=True)
    monkeypatch.setattr(module, "PICKED", 500)
    found = best_kneser_ney(both, each(both), TOKENIZER.size)
    assert "order picked on the validation part's first 500 tokens" in found.note
    cut = both._replace(valid=both.valid.part(0, 500))
    assert best_kneser_ney(cut, each(cut), TOKENIZER.size).name == found.name


def test_the_end_of_the_training_text_is_taken_to_the_byte(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 7)
    tokenizer = Tokenizer.train(["née à Évreux, " * 9], "words")
    ids = tokenizer.encode("née à Évreux, " * 9).astype(np.uint8)
    text = tokenizer.decode_bytes(ids)
    for limit in (0, 1, 10, 50, 71, len(text), 1000):
        monkeypatch.setattr(module, "COMPRESSED", limit)
        found, read = module._end(Tokens(ids, np.zeros(1, np.int64)), tokenizer)
        assert found == (text[-limit:] if limit else b"")
        dropped = len(ids) - read
        assert len(tokenizer.decode_bytes(ids[:dropped])) <= max(len(text) - limit, 0)
        assert len(tokenizer.decode_bytes(ids[: dropped + 1])) > len(text) - limit or dropped == len(ids)


@pytest.mark.parametrize("name", ["unigram", "best_kneser_ney", "unsmoothed"])
def test_memory_does_not_grow_with_a_part_that_is_mapped(name, tmp_path, monkeypatch):
    size = 1_000_000
    for home, limit, value in (
        (module, "COUNTED", 5000),
        (module, "PICKED", 1000),
        (ngram, "WINDOW", 2000),
        (blocks, "WINDOW", 2000),
    ):
        monkeypatch.setattr(home, limit, value)
    repeated = np.tile(part(TEXT).ids, size // len(TEXT) + 1)[:size]
    (tmp_path / "ids").write_bytes(repeated.tobytes())
    mapped = Tokens(np.memmap(tmp_path / "ids", np.uint8, "r"), np.arange(0, size, 10_000))
    large = Splits(mapped, mapped.part(0, size // 2), mapped, "")
    make = getattr(module, name)
    make(splits(), Blocks.of(splits().test), TOKENIZER.size)  # what is imported and cached once
    tracemalloc.start()
    try:
        judged = make(large, Blocks.of(large.test), TOKENIZER.size)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 0 < judged.nats.sum() / size < 10
    assert peak < 5 * size, f"{peak:,} bytes, where one number a token would be {8 * size:,}"


def test_xz_never_holds_the_test_text(tmp_path, monkeypatch):
    size = 1_000_000
    monkeypatch.setattr(module, "COMPRESSED", 10_000)
    monkeypatch.setattr(module, "BLOCK", 1000)
    monkeypatch.setattr(ngram, "WINDOW", 1000)
    (tmp_path / "ids").write_bytes(np.tile(part(TEXT[:500]).ids, size // 500).tobytes())
    mapped = Tokens(np.memmap(tmp_path / "ids", np.uint8, "r"), np.zeros(1, np.int64))
    fed = []

    class Fed:
        def __init__(self, **_):
            fed.append(0)

        def compress(self, piece):
            fed[-1] = fed[-1] + len(piece)
            return b""

        def flush(self):
            return bytes(fed[-1] // 10)

    monkeypatch.setattr(lzma, "LZMACompressor", Fed)
    tracemalloc.start()
    try:
        row = xz(Splits(mapped, None, mapped, ""), TOKENIZER)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert fed == [size + 10_000, 10_000]
    assert row.bits_per_character == 0.8
    assert peak < 1.5 * size, f"{peak:,} bytes"


def test_an_unknown_character_costs_every_baseline_the_same(monkeypatch):
    monkeypatch.setattr(module, "WINDOW_TRAINING", replace(module.WINDOW_TRAINING, steps=3))
    known = Tokenizer.train([TEXT], "chars")
    blind = known.covering("☃")
    text = TEXT[:20_000] + "☃" * 100
    ids = blind.encode(text, unseen="unknown").astype(np.uint8)
    whole = Tokens(ids, np.zeros(1, np.int64))
    both = Splits(whole.part(0, 18_000), None, whole.part(18_000, 20_100), "")
    plain = [row.nats_per_character for row in baselines(both, known_spelling(blind), seconds=60)]
    spelt = [row.nats_per_character for row in baselines(both, blind, seconds=60)]
    for cheap, dear in zip(plain[:-1], spelt[:-1], strict=True):
        assert (cheap is None) == (dear is None)
        if cheap is not None:
            assert dear - cheap == pytest.approx(100 * blind.spelling / 2099, rel=0.02)
    assert spelt[-1] - plain[-1] == pytest.approx(100 * blind.spelling / 2100)


def known_spelling(tokenizer: Tokenizer) -> Tokenizer:
    """The same tokenizer, to which an unknown character costs nothing beside being unknown."""
    free = Tokenizer.from_json(tokenizer.to_json())
    free.spelling = 0.0
    return free


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

    def spy(model, test, **lanes):
        seen.extend([carried_nats(model, test), carried_nats(model, test, **lanes)])
        return seen[-1]

    monkeypatch.setattr(module, "carried_nats", spy)
    monkeypatch.setattr(module, "WINDOW_TRAINING", replace(module.WINDOW_TRAINING, steps=3))
    fixed_window(splits(), each(splits()), TOKENIZER.size, 60.0)
    np.testing.assert_allclose(seen[1], seen[0], rtol=1e-5)


def test_the_fixed_window_network_leaves_torch_s_random_numbers_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    fixed_window(splits(), each(splits()), TOKENIZER.size, 0.05)
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.slow
def test_on_the_built_in_text_kneser_ney_is_as_good_as_measured_elsewhere():
    ids = Tokenizer.train([builtin.text()], "chars").encode(builtin.text())
    cut = int(0.9 * len(ids))
    for order, measured in ((6, 1.159), (8, 1.121)):
        nats = kneser_ney(ids[:cut], int(ids.max()) + 1, order).nats(ids[cut:]).mean()
        assert abs(nats - measured) < 0.02, "the text differs a little between Python versions"
