"""The evaluation: every token once, carried and reset, whatever the windows; a warning where they differ."""

from __future__ import annotations

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from riverrun.data.tokenizer import Tokenizer
from riverrun.data.tokens import Tokens
from riverrun.errors import DataError
from riverrun.models.language_model import LanguageModel
from riverrun.models.options import LanguageModelOptions
from riverrun.tasks.measures import blocks, evaluation, intervals
from riverrun.tasks.measures.blocks import Blocks
from riverrun.tasks.measures.evaluation import carried_nats, evaluate, judging, reset_nats, validation

V = 5


def tokens(count: int, starts: tuple[int, ...] = (0,), seed: int = 0) -> Tokens:
    ids = np.random.default_rng(seed).integers(0, V, count).astype(np.uint8)
    return Tokens(ids, np.array(starts, np.int64))


def model(*, scale: float = 3.0, **given: Any) -> LanguageModel:
    torch.manual_seed(0)
    found = LanguageModel(LanguageModelOptions(**{"hidden": 6, "layers": 2, "dropout": 0.5, **given}), V).double()
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.mul_(scale)  # so that it matters what came before
    return found


def each(part: Tokens) -> Blocks:
    """Blocks of one token, so that their sums are what each token has."""
    return Blocks(part, 1)


def one_by_one(ours: LanguageModel, ids: np.ndarray, fresh: set[int]) -> list[float]:
    """-ln p of each token but those at `fresh`, by single steps; the state starts anew at `fresh`."""
    found, state = [], None
    ours.eval()
    for place, (token, following) in enumerate(zip(ids[:-1].tolist(), ids[1:].tolist(), strict=True)):
        state = ours.initial_state(1) if place in fresh or state is None else state
        logits, state = ours.step(state, torch.tensor([token]))
        if place + 1 not in fresh:
            found.append(-float(torch.log_softmax(logits[0], 0)[following]))
    return found


def test_every_token_but_the_first_of_each_document_is_scored_with_the_state_carried(monkeypatch):
    part = tokens(57, (0, 13, 14, 40))
    expected = one_by_one(model(), part.ids, {0, 13, 14, 40})
    assert len(expected) == 57 - 4 == Blocks.of(part).size
    for window in (1000, 7, 1):
        np.testing.assert_allclose(carried_nats(model(), each(part), window=window), expected, rtol=1e-10)


def test_with_the_state_reset_every_window_begins_anew_but_loses_no_token():
    part = tokens(57, (0, 13, 14, 40))
    ours, found = model().eval(), []
    for place in range(56):
        first = max(10 * (place // 10), max(s for s in (0, 13, 14, 40) if s <= place))
        if place + 1 not in (13, 14, 40):
            logits, _ = ours(torch.from_numpy(part.ids[first : place + 1].astype(np.int64))[:, None])
            found.append(-float(torch.log_softmax(logits[-1, 0].detach(), 0)[int(part.ids[place + 1])]))
    np.testing.assert_allclose(reset_nats(ours, each(part), 10, V), found, rtol=1e-10)


def test_reset_windows_do_not_depend_on_how_many_run_side_by_side(monkeypatch):
    part = each(tokens(301, (0, 30, 100, 101, 300)))
    together = reset_nats(model(), part, 10, V)
    for logits in (1, 10 * V * 7):
        monkeypatch.setattr(evaluation, "RESET_LOGITS", logits)
        np.testing.assert_allclose(reset_nats(model(), part, 10, V), together, rtol=1e-10)


def test_many_lanes_score_the_same_tokens_in_the_order_of_the_text():
    part = tokens(500)
    ours = model(scale=1.0)  # forgets within some hundred steps
    one = carried_nats(ours, each(part))
    many = carried_nats(ours, each(part), window=50, lanes=7, overlap=400)
    np.testing.assert_allclose(many, one, rtol=1e-6)
    assert abs(validation(ours, part) - one.mean()) < 1e-3
    assert math.isnan(validation(ours, tokens(1)))


def test_a_long_part_is_read_in_lanes_and_says_so(monkeypatch):
    tokenizer, ours = Tokenizer.train(["abcde"], "chars"), model(scale=1.0)
    one = evaluate(ours, tokens(3000), tokenizer)
    monkeypatch.setattr(evaluation, "LANE", 1000)
    monkeypatch.setattr(evaluation, "OVERLAP", 300)
    many = evaluate(ours, tokens(3000), tokenizer)
    assert (one.lanes, many.lanes) == (1, 3)
    assert many.carried.nats == pytest.approx(one.carried.nats, rel=1e-4)
    assert many.carried.low == pytest.approx(one.carried.low, rel=1e-4)


def test_the_figures_agree_with_each_other():
    tokenizer = Tokenizer.train(["abcde"], "chars")
    result = evaluate(model(), tokens(400), tokenizer, window=20)
    assert result.tokens == result.characters == 399
    assert result.carried.nats == pytest.approx(carried_nats(model(), each(tokens(400))).mean())
    assert result.carried.bits_per_character == pytest.approx(result.carried.nats / math.log(2))
    assert result.carried.perplexity == pytest.approx(math.exp(result.carried.nats))
    assert result.carried.low < result.carried.nats < result.carried.high
    assert (result.unit, result.unknown_share, result.unknown) == ("character", 0.0, None)
    values = result.as_dict("valid")
    assert values["part"] == "valid"
    assert values["carried"]["nats"] == result.carried.nats


def test_bits_per_character_count_characters_whatever_the_token():
    tokenizer = Tokenizer.train(["aaaa bb c " * 20], "words")
    ids = tokenizer.encode("aaaa bb c " * 40)
    torch.manual_seed(0)
    ours = LanguageModel(LanguageModelOptions(hidden=4, layers=1, dropout=0.0), tokenizer.size)
    part = Tokens(ids.astype(np.uint8), np.zeros(1, np.int64))
    result = evaluate(ours, part, tokenizer)
    characters = len(tokenizer.decode(ids[1:]))
    assert result.characters == characters
    nats = carried_nats(ours, each(part)).sum()
    assert result.carried.nats_per_character == pytest.approx(nats / characters)


class Guessing:
    """A model to which all V tokens are equally likely."""

    def __init__(self, vocabulary: int) -> None:
        self.vocabulary = vocabulary

    def __call__(self, inputs: Tensor, state: Any, resets: Tensor | None) -> tuple[Tensor, Any]:
        return torch.zeros(1).expand(*inputs.shape, self.vocabulary), state


def test_an_unknown_character_costs_the_choice_among_all_that_the_vocabulary_lacks():
    tokenizer = Tokenizer.train(["abc"], "chars").covering("abcé")
    ids = tokenizer.encode("aébaéacbbé" * 4, unseen="unknown").astype(np.uint8)
    result = evaluate(Guessing(4), Tokens(ids, np.zeros(1, np.int64)), tokenizer)
    others = 0x110000 - 0x800 - 3  # Unicode's characters but a, b and c
    assert result.unknown_share == 12 / 39
    for figures in (result.carried, result.reset):
        assert figures.nats == pytest.approx(math.log(4) + 12 / 39 * math.log(others))
        assert figures.nats_per_character == pytest.approx(figures.nats)
    assert result.unknown.startswith("30.77% of the predicted characters are unknown to the vocabulary")
    assert "13.9 nats more" in result.unknown


def test_the_chances_of_all_characters_sum_to_one():
    tokenizer = Tokenizer.train(["abc"], "chars").covering("é")
    chance = 1 / tokenizer.size
    others = 0x110000 - 0x800 - len(tokenizer.characters)
    assert 3 * chance + others * chance * math.exp(-tokenizer.spelling) == pytest.approx(1)


def test_unknown_words_count_as_one_character_and_the_figures_say_so():
    tokenizer = Tokenizer.train(["aaaa bb c " * 20], "words")
    ids = tokenizer.encode("aaaa unheard c " * 10, unseen="unknown").astype(np.uint8)
    result = evaluate(Guessing(tokenizer.size), Tokens(ids, np.zeros(1, np.int64)), tokenizer)
    assert result.unknown_share == pytest.approx(10 / (len(ids) - 1))
    assert result.carried.nats == pytest.approx(math.log(tokenizer.size)), "an unknown word is one token"
    assert result.characters == len("aaaa ? c " * 10) - len("aaaa") - 10
    assert "its spelling is not counted" in result.unknown


class Seen(np.ndarray):
    """Ids that remember the largest piece that was ever taken out of them."""

    largest = 0

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        if isinstance(found, np.ndarray):
            Seen.largest = max(Seen.largest, found.size)
        return found


def test_no_more_than_a_window_of_a_long_part_is_ever_in_memory(tmp_path, monkeypatch):
    size, window = 1_000_000, 1000
    monkeypatch.setattr(evaluation, "LANE", 20_000)
    monkeypatch.setattr(evaluation, "OVERLAP", 10)
    monkeypatch.setattr(blocks, "WINDOW", window)
    monkeypatch.setattr(intervals, "DRAWS", 100)
    (tmp_path / "ids").write_bytes(np.random.default_rng(0).integers(0, V, size).astype(np.uint8).tobytes())
    mapped = np.memmap(tmp_path / "ids", np.uint8, "r").view(Seen)
    starts = np.arange(0, size, 999)
    tokenizer = Tokenizer.train(["abcde"], "chars")
    evaluate(Guessing(V), tokens(2000), tokenizer)  # what is imported and cached once
    Seen.largest = 0
    tracemalloc.start()
    try:
        result = evaluate(Guessing(V), Tokens(mapped, starts), tokenizer)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert result.tokens == size - len(starts)
    assert result.carried.nats == pytest.approx(math.log(V))
    assert Seen.largest <= 64 * 100 + 1, "64 windows of 100 tokens side by side are the most that is looked at"
    assert peak < size, f"{peak:,} bytes, where one number a token would be {8 * size:,}"


def test_evaluation_ignores_training_mode_and_autocast_and_leaves_both_as_they_were():
    part, ours = tokens(120), model().float().train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        lowered = carried_nats(ours, each(part))
    assert ours.training
    assert all(p.grad is None for p in ours.parameters())
    np.testing.assert_array_equal(lowered, carried_nats(ours.eval(), each(part)))
    with judging(ours):
        assert not torch.is_grad_enabled()
    assert not ours.training


class Drifting:
    """A model that is the surer of token 0 the longer it has read: good or bad, as `sign` says."""

    def __init__(self, sign: float) -> None:
        self.sign = sign

    def __call__(self, inputs: Tensor, state: Any, resets: Tensor | None) -> tuple[Tensor, Any]:
        steps = torch.zeros(inputs.shape[1]) if state is None else state
        logits = torch.zeros(*inputs.shape, V)
        for t in range(len(inputs)):
            if resets is not None:
                steps = torch.where(resets[t], 0.0, steps)
            steps = steps + 1
            logits[t, :, 0] = self.sign * torch.clamp(steps / 100, max=3.0)
        return logits, steps


def test_a_warning_says_which_way_the_state_matters():
    ids = np.where(np.random.default_rng(0).random(5000) < 0.8, 0, 1).astype(np.uint8)
    part, tokenizer = Tokens(ids, np.zeros(1, np.int64)), Tokenizer.train(["abcde"], "chars")
    better = evaluate(Drifting(1.0), part, tokenizer, window=50).warning
    worse = evaluate(Drifting(-1.0), part, tokenizer, window=50).warning
    assert better is not None
    assert "with the state reset every 50 tokens the loss is" in better
    assert worse is not None
    assert "drifts on long text" in worse
    assert evaluate(Drifting(0.0), part, tokenizer).warning is None


def test_a_part_in_which_nothing_is_predicted_is_an_error():
    with pytest.raises(DataError, match="every document has one token"):
        evaluate(model(), tokens(3, (0, 1, 2)), Tokenizer.train(["abcde"], "chars"))
    alone = Blocks.of(tokens(1))
    assert len(carried_nats(model(), alone)) == len(reset_nats(model(), alone, 5, V)) == 0
