"""Classifiers: no result depends on padding or on a batch's other texts, and every option acts."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from tolerances import TOLERANCE

from riverrun import cells
from riverrun.data.labelled_batch import LabelledBatch
from riverrun.data.labels import Labels
from riverrun.errors import OptionError
from riverrun.layers.pooling import ends, greatest, last
from riverrun.models.classifier import Classifier
from riverrun.models.classifier_options import ClassifierOptions
from riverrun.sequences import Sequences

INVARIANCE, VALUE = TOLERANCE[torch.float64, "invariance"], TOLERANCE[torch.float64, "value"]
KINDS = {kind: Labels(kind, ("1", "2", "3"), (5, 3, 2), 10) for kind in ("one", "several", "ordered")}
LENGTHS = torch.tensor([7, 1, 0, 4])
SMALL = {"hidden": 5, "dropout": 0.0}


def texts(padding: int = 0, extra: int = 0) -> Sequences:
    data = torch.randint(1, 9, (7, 4), generator=torch.Generator().manual_seed(3))
    valid = Sequences(data, LENGTHS).valid()
    data = torch.where(valid, data, padding)
    return Sequences(torch.cat([data, torch.full((extra, 4), padding)]), LENGTHS)


def made(kind: str = "one", cell=None, **options) -> Classifier:
    torch.manual_seed(1)
    chosen = ClassifierOptions(**{**SMALL, **options})
    model = Classifier(chosen, 9, KINDS[kind], unknown=0, cell=cell).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    return model


def targets(kind: str) -> torch.Tensor:
    return torch.tensor([[1.0, 0, 1]] * 4) if kind == "several" else torch.tensor([0, 2, 1, 1])


MODELS = {
    "attention": {},
    "max, two layers, residual": {"pooling": "max", "layers": 2, "skip": "residual"},
    "mean, dense, deep": {"pooling": "mean", "layers": 2, "skip": "dense", "output_depth": 2, "input_depth": 2},
    "last": {"pooling": "last"},
    "last, forward": {"pooling": "last", "bidirectional": False},
    "last, deep": {"pooling": "last", "output_depth": 2},
    "one-hot letters, convolution, both directions": {"one_hot": True, "convolution": 6, "pooling": "last"},
    "convolution, every third step": {"convolution": 6, "convolution_width": 4, "convolution_pool": 3},
    "learned initial state, projection, norm": {"learned_initial": True, "projection": 3, "norm": True},
    "n-grams": {"ngrams": 3, "ngram_buckets": 50},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MODELS)
def test_a_text_alone_gets_what_it_gets_in_company_however_it_is_padded(name, kind):
    model = made(kind, **MODELS[name]).eval()
    together = model.read(texts())
    for padding, extra in ((8, 0), (3, 5)):
        padded = model.read(texts(padding, extra))
        torch.testing.assert_close(padded.logits, together.logits, **INVARIANCE)
    for row, length in enumerate(LENGTHS.tolist()):
        alone = model.read(Sequences(texts().data[:length, row : row + 1], LENGTHS[row : row + 1]))
        torch.testing.assert_close(alone.logits[0], together.logits[row], **INVARIANCE)
        if together.attention is not None:
            assert alone.attention is not None
            torch.testing.assert_close(alone.attention[:, 0], together.attention[:length, row], **INVARIANCE)


@pytest.mark.parametrize("name", MODELS)
def test_vectors_that_are_padding_reach_neither_logits_nor_gradients(name):
    grads = []
    for filler in (0.0, float("nan")):
        model = made(**MODELS[name])
        ids = texts()
        vectors = model.embed(ids.data).detach()
        vectors = torch.where(ids.valid()[..., None], vectors, filler).requires_grad_()
        logits = model.read_vectors(ids._replace(data=vectors)).logits
        (logits**2).sum().backward()
        used = [p.grad for n, p in model.named_parameters() if not n.startswith("embedding") and p.grad is not None]
        assert (vectors.grad[~ids.valid()] == 0).all()
        grads.append([logits, vectors.grad, *used])
    for one, two in zip(*grads, strict=True):
        torch.testing.assert_close(one, two, **INVARIANCE)


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_is_the_sum_of_its_texts(kind):
    model = made(kind, class_weights=0.5)
    together = model.loss(LabelledBatch(texts(), targets(kind), 4, 0))
    alone = [
        model.loss(LabelledBatch(Sequences(texts().data[:, row : row + 1], LENGTHS[row : row + 1]),
                                 targets(kind)[row : row + 1], 1, 0))
        for row in range(4)
    ]  # fmt: skip
    torch.testing.assert_close(sum(loss.total for loss in alone), together.total, **VALUE)
    torch.testing.assert_close(sum(loss.nats for loss in alone), together.nats, **VALUE)
    assert together.tokens == 4
    together.total.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_the_model_is_its_parts_in_order():
    model = made(pooling="last", convolution=6, bidirectional=True).eval()
    ids = texts()
    vectors = ids._replace(data=model.embedding.weight[ids.data])
    steps = vectors._replace(data=model.recurrent(model.convolution(vectors)).output)
    torch.testing.assert_close(model(ids), model.head.linear(ends(steps)), **VALUE)
    forward = made(pooling="last", bidirectional=False).eval()
    vectors = ids._replace(data=forward.embedding.weight[ids.data])
    steps = vectors._replace(data=forward.recurrent(vectors).output)
    torch.testing.assert_close(forward(ids), forward.head.linear(last(steps)), **VALUE)
    one_hot = made(one_hot=True, pooling="max").eval()
    vectors = ids._replace(data=torch.nn.functional.one_hot(ids.data, 9).double())
    steps = vectors._replace(data=one_hot.recurrent(vectors).output)
    torch.testing.assert_close(one_hot(ids), one_hot.head.linear(greatest(steps)), **VALUE)


@pytest.mark.parametrize("kind", KINDS)
def test_what_ngrams_weigh_is_added_to_the_logits(kind):
    model, ids = made(kind, ngrams=3).eval(), texts()
    without = model.read_vectors(ids._replace(data=model.embed(ids.data))).logits
    torch.testing.assert_close(model(ids), without + model.ngrams(ids), **VALUE)
    # On a scale they move a text along it, and the cuts stay where they are.
    assert model.ngrams(ids).shape == (4, 1 if kind == "ordered" else 3)


def test_tokens_left_out_are_left_out_of_ngrams_too():
    model, ids = made(ngrams=2, token_dropout=0.999), texts()
    model.unknown = None
    torch.testing.assert_close(
        model.train()(ids), model.read_vectors(ids._replace(data=ids.data.new_zeros(7, 4, 5).double())).logits, **VALUE
    )


def test_attention_on_tokens_sums_to_one_and_lies_on_the_texts_own_tokens():
    for options in ({}, {"convolution": 6, "convolution_pool": 3}):
        attention = made(**options).eval().read(texts(8)).attention
        assert attention.shape == (7, 4)
        torch.testing.assert_close(attention.sum(0), torch.tensor([1.0, 1, 0, 1], dtype=torch.float64), **VALUE)
        assert (attention[~texts().valid()] == 0).all()
    assert made(pooling="mean").read(texts()).attention is None


@pytest.mark.parametrize("cell", [name for name in cells.names() if name != "jordan"])
def test_every_cell_goes_both_ways(cell):
    model = made(cell=cells.find(cell))
    model.loss(LabelledBatch(texts(), targets("one"), 4, 0)).total.backward()
    assert all(parameter.grad is not None for parameter in model.recurrent.parameters())


# What each option is changed to, and what it is beside; the training loss or the weights then differ.
CHANGED = {
    "bidirectional": False, "pooling": "mean", "one_hot": True, "embedding": 3, "embedding_dropout": 0.5,
    "input_dropout": 0.5, "token_dropout": 0.5, "convolution": 6, "class_weights": 1.0, "label_smoothing": 0.3,
    "hidden": 6, "layers": 2, "dropout": 0.5, "variational": 0.5, "ngrams": 2,
}  # fmt: skip
BESIDE = {
    "convolution_width": ({"convolution": 6}, 2),
    "convolution_pool": ({"convolution": 6}, 2),
    "ngram_buckets": ({"ngrams": 2}, 50),
}


def loss_of(**options) -> float:
    torch.manual_seed(4)
    model = Classifier(ClassifierOptions(**{**SMALL, **options}), 9, KINDS["one"], unknown=0).double()
    if model.ngrams is not None:
        torch.nn.init.normal_(model.ngrams.weight)  # they start at zero, where they add nothing
    torch.manual_seed(5)
    with torch.no_grad():
        return float(model.loss(LabelledBatch(texts(), targets("one"), 4, 0)).total)


@pytest.mark.parametrize("name", [*CHANGED, *BESIDE])
def test_every_option_acts(name):
    beside, value = BESIDE.get(name, ({}, CHANGED.get(name)))
    assert loss_of(**beside) == loss_of(**beside)
    assert loss_of(**beside) != loss_of(**{**beside, name: value})


def test_every_option_of_its_own_is_under_test():
    own = {field.name for field in dataclasses.fields(ClassifierOptions)} & set(ClassifierOptions.__annotations__)
    assert own <= {*CHANGED, *BESIDE}


@pytest.mark.parametrize("name", ["embedding_dropout", "input_dropout", "token_dropout", "dropout"])
def test_dropouts_rest_in_evaluation(name):
    plain, dropping = (made(**values).eval() for values in ({}, {name: 0.5}))
    torch.testing.assert_close(dropping(texts()), plain(texts()), **VALUE)


def test_tokens_left_out_are_unknown_or_nothing():
    torch.manual_seed(0)
    model = made(token_dropout=0.5).train()
    ids = texts().data
    vectors = model.embed(model.leave_out(ids))
    same = (vectors == model.embedding.weight[ids]).all(-1)
    unknown = (vectors == model.embedding.weight[0]).all(-1)
    assert (same | unknown).all()
    assert 0 < (unknown & ~same).sum() < ids.numel()
    model.unknown = None
    vectors = model.embed(model.leave_out(ids))
    assert ((vectors == model.embedding.weight[ids]).all(-1) | (vectors == 0).all(-1)).all()
    assert (vectors == 0).all(-1).any()


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"pooling": "sum"}, "pooling"),
        ({"one_hot": True, "embedding": 3}, "embedding"),
        ({"class_weights": 1.5}, "class_weights"),
        ({"convolution_width": 0}, "convolution_width"),
        ({"label_smoothing": 1.0}, "label_smoothing"),
        ({"token_dropout": -0.1}, "token_dropout"),
    ],
)
def test_options_out_of_range_are_refused_by_name(values, name):
    with pytest.raises(OptionError) as raised:
        ClassifierOptions(**values)
    assert raised.value.name == name
