"""The tagger: against torch's layers, one sentence at a time and in any company, with a softmax and with a CRF."""

from __future__ import annotations

from dataclasses import fields
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from tolerances import TOLERANCE
from torch import nn

from riverrun.cells import Cell, tanh
from riverrun.data.tag_batch import TagBatch, collate
from riverrun.data.vectors import Vectors
from riverrun.data.vocabularies import IGNORED, TagCoder
from riverrun.errors import OptionError
from riverrun.layers.crf import Chain, log_partition, path_score
from riverrun.models.tagger import Tagger
from riverrun.models.tagger_options import TaggerOptions

WORDS = [["the", "cat", "sat", "here"], ["a", "dog"], ["Rome", "the", "cat"], ["unheard"]]
TAGS = [["O", "B-A", "I-A", "O"], ["B-B", "I-B"], ["B-A", "O", "O"], ["O"]]
PLAIN = [["D", "N", "V", "R"], ["D", "N"], ["N", "D", "N"], ["V"]]
VECTORS = Vectors(words=("the", "rome"), matrix=np.arange(6, dtype=np.float32).reshape(2, 3) / 10)
SMALL = {
    "hidden": 5,
    "word_width": 4,
    "letter_width": 3,
    "letter_hidden": 2,
    "dropout": 0.0,
    "input_dropout": 0.0,
    "word_dropout": 0.0,
}


def coder(tags=TAGS, vectors=VECTORS) -> TagCoder:
    return TagCoder.of(WORDS[:3], tags[:3], vectors=vectors)


def model(tags=TAGS, vectors=VECTORS, **given) -> Tagger:
    torch.manual_seed(0)
    tagger = Tagger(TaggerOptions(**{**SMALL, **given}), coder(tags, vectors)).double()
    with torch.no_grad():
        for parameter in tagger.chain.values():
            parameter.normal_()
    return tagger


def batch(indices=(0, 1, 2, 3), tags=TAGS) -> TagBatch:
    return collate(coder(tags).encode(WORDS, tags), np.array(indices))


def lstm_of(layer: nn.Module, inputs: int, hidden: int, prefix: str = "layers.0") -> nn.LSTM:
    theirs = nn.LSTM(inputs, hidden, bidirectional=True).double()
    with torch.no_grad():
        for direction, suffix in (("forward", ""), ("reverse", "_reverse")):
            for matrix, name in (("W", "weight_ih"), ("U", "weight_hh"), ("b", "bias_ih")):
                rows = [layer.get_parameter(f"{prefix}.{direction}.{matrix}.{gate}") for gate in "ifgo"]
                getattr(theirs, f"{name}_l0{suffix}").copy_(torch.cat(rows))
            getattr(theirs, f"bias_hh_l0{suffix}").zero_()
    return theirs


def by_torch(ours: Tagger, words: list[str]) -> torch.Tensor:
    """The scores of one sentence, [T, K], by torch's layers."""
    known = coder()
    parts = []
    letters = lstm_of(ours.spelling.reader, 3, 2)
    for word in words:
        spelt = ours.spelling.embedding.weight[torch.tensor(known.spelt(word))]
        _, (last, _) = letters(spelt[:, None])
        vector = torch.zeros(3).double()
        if (row := VECTORS.find(word)) > 0:
            vector = torch.from_numpy(VECTORS.matrix[row - 1]).double()
        parts.append(torch.cat([ours.embedding.weight[known.word(word)], vector, last[0, 0], last[1, 0]]))
    hidden, _ = lstm_of(ours.recurrent, 4 + 3 + 4, 5)(torch.stack(parts)[:, None])
    return hidden[:, 0] @ ours.output.weight.T + ours.output.bias


def test_it_equals_torch_s_layers_with_the_same_weights_sentence_by_sentence():
    ours = model()
    scores, nats = ours(batch()), 0.0
    for column, (words, tags) in enumerate(zip(WORDS, TAGS, strict=True)):
        expected = by_torch(ours, words)
        torch.testing.assert_close(scores[: len(words), column], expected, **TOLERANCE[torch.float64, "value"])
        targets = torch.tensor([coder().tags.index(tag) for tag in tags])
        nats += float(nn.functional.cross_entropy(expected.detach(), targets, reduction="sum"))
    loss = ours.loss(batch())
    assert float(loss.nats) == pytest.approx(nats, rel=1e-12)
    assert loss.tokens == 10


def test_with_a_crf_the_loss_is_that_of_whole_sentences():
    ours = model(crf=True)
    chain = Chain(*(ours.chain[name] for name in ("transitions", "start", "end")))
    nats = 0.0
    for words, tags in zip(WORDS, TAGS, strict=True):
        scores = by_torch(ours, words)[:, None]
        length = torch.tensor([len(words)])
        targets = torch.tensor([coder().tags.index(tag) for tag in tags])[:, None]
        nats += (log_partition(scores, length, chain) - path_score(scores, targets, length, chain)).item()
    assert float(ours.loss(batch()).nats) == pytest.approx(nats, rel=1e-12)


def gradients(ours: Tagger, given: TagBatch) -> dict[str, torch.Tensor]:
    ours.zero_grad()
    ours.loss(given).total.backward()
    return {name: p.grad.clone() for name, p in ours.named_parameters()}


@pytest.mark.parametrize("crf", [False, True])
@pytest.mark.parametrize("letters", ["lstm", "convolution", "none"])
def test_a_sentence_alone_is_the_same_as_in_company(crf, letters):
    ours = model(crf=crf, letters=letters)
    tolerance = TOLERANCE[torch.float64, "invariance"]
    together = ours.decode(batch(), 2)
    shares = ours.shares(batch())
    nats, total = 0.0, {}
    for column, words in enumerate(WORDS):
        alone = batch([column])
        decoded = ours.decode(alone, 2)
        assert torch.equal(decoded.tags[:, :, 0], together.tags[:, : len(words), column])
        torch.testing.assert_close(decoded.log_p[:, 0], together.log_p[:, column], **tolerance)
        torch.testing.assert_close(ours.shares(alone)[:, 0], shares[: len(words), column], **tolerance)
        nats += float(ours.loss(alone).nats)
        for name, gradient in gradients(ours, alone).items():
            total[name] = total.get(name, 0) + gradient
    assert float(ours.loss(batch()).nats) == pytest.approx(nats, rel=1e-12)
    for name, gradient in gradients(ours, batch()).items():
        torch.testing.assert_close(gradient, total[name], **TOLERANCE[torch.float64, "gradient"])


@pytest.mark.parametrize("crf", [False, True])
@pytest.mark.parametrize("letters", ["lstm", "convolution"])
def test_nan_at_padding_reaches_nothing(crf, letters):
    ours = model(crf=crf, letters=letters)
    clean = batch([0, 1, 2])
    with torch.no_grad():  # a word and a letter more, which no sentence has
        for embedding in (ours.embedding, ours.spelling.embedding):
            embedding.weight = nn.Parameter(torch.cat([embedding.weight, torch.ones_like(embedding.weight[:1])]))
    word, letter = len(ours.embedding.weight) - 1, len(ours.spelling.embedding.weight) - 1
    rows = torch.where(clean.rows.valid(), clean.rows.data, len(clean.words))
    spelt = torch.where(clean.letters.valid(), clean.letters.data, letter)
    spoilt = clean._replace(
        rows=clean.rows._replace(data=rows),
        words=torch.cat([clean.words, torch.tensor([word])]),
        vectors=torch.cat([clean.vectors, torch.tensor([0])]),
        letters=clean.letters._replace(
            data=torch.cat([spelt, torch.full((len(spelt), 1), letter)], 1),
            lengths=torch.cat([clean.letters.lengths, torch.tensor([0])]),
        ),
    )
    before, decoded = gradients(ours, clean), ours.decode(clean, 3)
    with torch.no_grad():
        ours.embedding.weight[word] = ours.spelling.embedding.weight[letter] = torch.nan
    for name, gradient in gradients(ours, spoilt).items():
        torch.testing.assert_close(gradient, before[name], **TOLERANCE[torch.float64, "invariance"])
    for one, two in zip(decoded, ours.decode(spoilt, 3), strict=True):
        assert torch.equal(one, two)


def all_sequences(ours: Tagger, given: TagBatch, column: int, length: int) -> dict[tuple[int, ...], float]:
    """The probability of every sequence, by hand: of the softmax, or the CRF, among the legal ones where asked for."""
    scores = ours(given)[:length, column].detach()
    weights = {name: p.detach() for name, p in ours.chain.items()}
    found = {}
    for path in product(range(scores.shape[1]), repeat=length):
        score = sum(float(scores[t, tag]) for t, tag in enumerate(path))
        if weights:
            score += float(weights["start"][path[0]] + weights["end"][path[-1]])
            score += sum(float(weights["transitions"][a, b]) for a, b in pairwise(path))
        tags = [coder().tags[tag] for tag in path]
        starts_wrong = [
            tag.startswith("I-") and (not t or tags[t - 1] not in ("B" + tag[1:], tag)) for t, tag in enumerate(tags)
        ]
        if ours.legal is None or not any(starts_wrong):
            found[path] = score
    top = max(found.values())
    total = sum(np.exp(score - top) for score in found.values())
    return {path: float(np.exp(score - top) / total) for path, score in found.items()}


@pytest.mark.parametrize("legal", [False, True])
@pytest.mark.parametrize("crf", [False, True])
def test_the_n_best_sequences_and_their_probabilities_are_those_of_the_enumeration(crf, legal):
    ours, given = model(crf=crf, legal=legal), batch()
    assert (ours.legal is not None) == legal
    found, shares = ours.decode(given, 4), ours.shares(given)
    for column, words in enumerate(WORDS):
        every = all_sequences(ours, given, column, len(words))
        best = sorted(every.items(), key=lambda item: -item[1])[:4]
        for place, (path, probability) in enumerate(best):
            assert tuple(found.tags[place, : len(words), column].tolist()) == path
            assert float(found.log_p[place, column].exp()) == pytest.approx(probability, rel=1e-9)
        for t in range(len(words)):
            share = sum(p for path, p in every.items() if path[t] == best[0][0][t])
            assert float(found.shares[t, column]) == pytest.approx(share, rel=1e-9)
            assert float(shares[t, column, best[0][0][t]]) == pytest.approx(share, rel=1e-9)
    assert torch.equal(ours.decode(given).tags, found.tags[:1])


def test_words_without_a_tag_are_summed_over_by_a_crf_and_left_out_by_a_softmax():
    some = [["O", "", "I-A", ""], ["B-B", "I-B"], ["", "", ""], ["O"]]
    plain, crf = model(), model(crf=True, legal=False)
    given = batch(tags=some)._replace(targets=batch(tags=TAGS).targets.clone())
    for column, tags in enumerate(some):
        for t, tag in enumerate(tags):
            if not tag:
                given.targets[t, column] = IGNORED
    given = given._replace(tokens=int((given.targets != IGNORED).sum()))
    scores = plain(given)
    expected = nn.functional.cross_entropy(scores.flatten(0, 1), given.targets.flatten(), ignore_index=IGNORED)
    loss = plain.loss(given)
    assert loss.tokens == 5
    assert float(loss.nats) == pytest.approx(5 * expected.item(), rel=1e-12)
    nats = 0.0
    for column, tags in enumerate(some):
        every = all_sequences(crf, given, column, len(tags))
        agreeing = [
            p
            for path, p in every.items()
            if all(given.targets[t, column] in (IGNORED, tag) for t, tag in enumerate(path))
        ]
        nats -= float(np.log(sum(agreeing)))
    assert float(crf.loss(given).nats) == pytest.approx(nats, rel=1e-9)
    assert all(gradient.isfinite().all() for gradient in gradients(crf, given).values())


def test_where_the_scheme_cannot_be_kept_it_is_not_forced():
    only = TagCoder.of([["a", "b"]], [["B-A", "E-A"]])  # BIOES without O and S: no tag for a sentence of one word
    assert only.scheme == "BIOES"
    assert Tagger(TaggerOptions(**SMALL), only).legal is None
    assert model(PLAIN).legal is None, "tags that mark no spans"


def test_no_gradient_is_all_zero_and_frozen_vectors_have_none():
    ours = model(crf=True, learned_initial=True)
    for name, gradient in gradients(ours, batch()).items():
        assert gradient.any(), name
    assert "known" in ours.state_dict()
    assert not any("known" in name or "tuned" in name for name, _ in ours.named_parameters())


def test_vectors_are_found_in_lower_case_and_trained_where_asked_for():
    ours = model(tune_vectors=True)
    torch.testing.assert_close(ours.tuned[1:].detach(), torch.from_numpy(VECTORS.matrix).double())
    assert not ours.tuned[0].any()
    moved = gradients(ours, batch())["tuned"]
    assert moved[1].any()
    assert moved[2].any(), "Rome has rome's"
    bare = model(vectors=None)
    assert bare.known is None
    assert bare.tuned is None


def test_rare_words_are_forgotten_more_often_and_only_in_training():
    known = TagCoder.of([["often"] * 9, ["once"]], [["X"] * 9, ["Y"]])
    ours = Tagger(TaggerOptions(**{**SMALL, "word_dropout": 1.0}), known)
    ids = torch.tensor([known.word("often"), known.word("once")]).expand(20000, 2)
    torch.manual_seed(1)
    forgotten = (ours._forgotten(ids) == 0).double().mean(0)
    torch.testing.assert_close(forgotten, torch.tensor([0.1, 0.5]).double(), atol=0.02, rtol=0)
    ours.eval()
    assert torch.equal(ours._forgotten(ids), ids)


CHANGED = {
    "cell": "gru",
    "hidden": 6,
    "layers": 2,
    "projection": 3,
    "bias": False,
    "norm": True,
    "skip": "dense",
    "learned_initial": True,
    "dropout": 0.5,
    "variational": 0.5,
    "recurrent_dropout": 0.5,
    "weight_dropout": 0.5,
    "zoneout": 0.5,
    "input_depth": 2,
    "hidden_depth": 2,
    "output_depth": 2,
    "recurrent_init": "identity",
    "forget_bias": 3.0,
    "chrono": 20,
    "input_dropout": 0.5,
    "word_width": 5,
    "word_dropout": 5.0,
    "letters": "convolution",
    "letter_width": 4,
    "letter_hidden": 3,
    "tune_vectors": True,
    "crf": True,
    "label_smoothing": 0.1,
    "legal": False,
}


def test_the_table_of_options_is_complete():
    assert set(CHANGED) == {option.name for option in fields(TaggerOptions)}


@pytest.mark.parametrize("option", CHANGED)
def test_every_option_acts(option):
    more = {"layers": 2} if option == "skip" else {}
    plain, changed = model(**more), model(**more, **{option: CHANGED[option]})
    torch.manual_seed(5)
    before = float(plain.loss(batch()).total.detach())
    torch.manual_seed(5)
    after = float(changed.loss(batch()).total.detach())
    weights = [{name: tuple(p.shape) for name, p in one.named_parameters()} for one in (plain, changed)]
    if option in ("learned_initial", "tune_vectors"):  # these begin as they were, and are learnt
        assert weights[0] != weights[1]
    elif option == "legal":  # of the same scores another choice
        assert before == after
        assert not torch.equal(plain.decode(batch(), 8).tags, changed.decode(batch(), 8).tags)
    else:
        assert abs(before - after) > 1e-6


@pytest.mark.parametrize("option", ["dropout", "input_dropout", "word_dropout"])
def test_dropouts_act_in_training_only_and_differently_each_time(option):
    ours = model(**{option: 0.5})
    losses = {float(ours.loss(batch()).total.detach()) for _ in range(5)}
    assert len(losses) > 2
    ours.eval()
    torch.testing.assert_close(ours(batch()), model()(batch()), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("cell", ["lstm", "gru", "elman-relu", "mingru"])
def test_a_tagger_of_any_cell_learns_a_few_sentences_by_heart(cell):
    torch.manual_seed(0)
    given = batch([0, 1, 2])
    ours = Tagger(TaggerOptions(**{**SMALL, "cell": cell, "hidden": 12, "crf": True}), coder())
    optimizer = torch.optim.Adam(ours.parameters(), lr=0.05)
    for _ in range(40):
        optimizer.zero_grad()
        loss = ours.loss(given)
        (loss.total / loss.tokens).backward()
        optimizer.step()
    assert float(loss.nats) / 9 < 0.3
    decoded = ours.decode(given)
    assert torch.equal(torch.where(given.targets < 0, 0, given.targets), decoded.tags[0])


def test_a_cell_of_one_s_own_takes_the_place_of_the_named_one():
    class Mine(Cell):
        states = ("h",)

        def step(x, U, h):
            return tanh(x.n + U.n @ h) * 0.5

    ours = Tagger(TaggerOptions(**SMALL), coder(), cell=Mine)
    assert "recurrent.layers.0.reverse.U.n" in ours.state_dict()
    ours.loss(batch()).total.backward()


def test_under_bfloat16_the_scores_are_in_float32():
    ours = model(crf=True).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = ours.loss(batch())
    assert loss.total.dtype == torch.float32
    assert float(loss.nats) == pytest.approx(float(ours.loss(batch()).nats), rel=0.02)


def test_an_empty_sentence_is_no_trouble():
    for crf in (False, True):
        ours = model(crf=crf)
        empty = collate(coder().encode([[], ["the"]], [[], ["O"]]), np.array([0, 1]))
        assert ours.loss(empty).tokens == 1
        assert ours.decode(empty, 2).tags.shape == (2, 1, 2)
        nothing = collate(coder().encode([[]], [[]]), np.array([0]))
        assert float(ours.loss(nothing).nats) == 0.0
        assert ours.decode(nothing).tags.shape == (1, 0, 1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"letters": "gru"}, "letters: expected one of lstm, convolution, none, got 'gru'"),
        ({"word_width": 0}, "word_width: expected a whole number of at least 1"),
        ({"word_dropout": -1.0}, "word_dropout: expected a number of at least 0"),
        ({"input_dropout": 1.0}, "input_dropout: expected a number of at least 0.0 and less than 1.0"),
        ({"crf": 1}, "crf: expected true or false"),
    ],
)
def test_options_out_of_range_are_refused(options, said):
    with pytest.raises(OptionError, match=said):
        TaggerOptions(**options)
