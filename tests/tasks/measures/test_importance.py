"""Importance: gradient x input against finite differences, attention as the model has it, Spearman against SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from riverrun.data.label_coder import LabelCoder
from riverrun.data.labelled import Example
from riverrun.data.labelled_batch import padded
from riverrun.data.labelled_options import LabelledOptions
from riverrun.models.classifier import Classifier
from riverrun.models.classifier_options import ClassifierOptions
from riverrun.tasks.measures.importance import importance, importances, spearman

TEXTS = ["the cat sat on a mat", "dogs ran", "a", "one two three four", "the mat ran away at two"]
EXAMPLES = [Example(text, ("xy"[n % 2],), place=f"f:{n}") for n, text in enumerate(TEXTS)]
CODER = LabelCoder.of(EXAMPLES, LabelledOptions(tokens="words"))


def model_of(**options) -> Classifier:
    torch.manual_seed(0)
    chosen = ClassifierOptions(hidden=4, **options)
    model = Classifier(chosen, CODER.tokenizer.size, CODER.labels, unknown=0).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.5)
    return model.eval()


@pytest.mark.parametrize("pooling", ["attention", "max"])
def test_gradient_times_input_is_the_slope_of_scaling_a_tokens_vector(pooling):
    model, part = model_of(pooling=pooling), CODER.part(EXAMPLES)
    found = importance(model, part).gradient
    step = 1e-6
    for text, moved in zip(part.ids, found, strict=True):
        ids = padded([text])
        with torch.no_grad():
            vectors = model.embed(ids.data)
            label = model.probabilities(ids).argmax()
            for t in range(len(text)):
                sides = []
                for sign in (1, -1):
                    changed = vectors.clone()
                    changed[t] *= 1 + sign * step
                    p = model.head.probabilities(model.read_vectors(ids._replace(data=changed)).logits)
                    sides.append(torch.logit(p[0, label]))
                assert moved[t] == pytest.approx(float(sides[0] - sides[1]) / (2 * step), abs=1e-7)


def test_ngrams_have_their_part_in_what_mattered():
    model, part = model_of(ngrams=3), CODER.part(EXAMPLES)
    found = importance(model, part).gradient
    for text, moved in zip(part.ids, found, strict=True):
        ids = padded([text])
        vectors = model.embed(ids.data).detach().requires_grad_()
        table = model.ngrams.weight
        label = model.probabilities(ids).argmax()
        p = model.head.probabilities(model.read_vectors(ids._replace(data=vectors)).logits + model.ngrams(ids))
        by_vectors, by_weights = torch.autograd.grad(torch.logit(p[0, label]), [vectors, table])
        # The input of an n-gram is that it is there: its gradient x input is its weight times the weight's gradient.
        whole = (by_vectors * vectors).sum() + (by_weights * table).sum()
        assert moved.sum() == pytest.approx(whole.item(), abs=1e-9)


@pytest.mark.parametrize("kind", ["one", "several", "ordered"])
def test_a_label_that_is_sure_has_a_slope_too(kind):
    number = {"x": "1", "y": "2"}
    examples = [e._replace(labels=(number[e.labels[0]],)) for e in EXAMPLES]
    coder = LabelCoder.of(examples, LabelledOptions(tokens="words", labels=kind))
    torch.manual_seed(0)
    model = Classifier(ClassifierOptions(hidden=4), coder.tokenizer.size, coder.labels, unknown=0)
    with torch.no_grad():
        model.embedding.weight.mul_(20)
        model.head.linear.weight.mul_(200)
    part = coder.part(examples)
    if kind != "several":
        assert model.eval().probabilities(padded(part.ids[:1])).max() == 1  # to the last bit
    found, expected = importance(model, part).gradient, importance(model.double(), part).gradient
    for one, other in zip(found, expected, strict=True):
        assert np.abs(other).max() > 0
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4 * np.abs(other).max())


def test_attention_is_the_models_own_on_every_token():
    model, part = model_of(), CODER.part(EXAMPLES)
    found = importance(model, part).attention
    for text, weights in zip(part.ids, found, strict=True):
        np.testing.assert_allclose(weights, model.read(padded([text])).attention[:, 0].detach().numpy(), rtol=1e-9)
    assert importance(model_of(pooling="mean"), part).attention is None


@pytest.mark.parametrize("ties", [False, True])
def test_rank_correlation_is_scipys(ties):
    random = np.random.default_rng(2)
    for size in (3, 10, 57):
        a, b = random.random(size), random.random(size)
        if ties:
            a, b = np.round(a, 1), np.round(b, 1)
        assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic)
    assert spearman(np.ones(5), np.arange(5.0)) is None
    assert spearman(np.arange(2.0), np.arange(2.0)) is None


def test_what_the_report_gets_are_the_tokens_with_both_measures_and_their_correlation():
    model, part = model_of(), CODER.part(EXAMPLES)
    facts, found = importances(model, CODER, part, ["x"] * 5), importance(model, part)
    assert facts["method"] == ["attention", "gradient"]
    pairs = [spearman(a, np.abs(g)) for a, g in zip(found.attention, found.gradient, strict=True)]
    assert facts["correlation"] == pytest.approx(np.mean([rho for rho in pairs if rho is not None]))
    assert sorted(item["tokens"] for item in facts["items"]) == sorted(CODER.tokens(text) for text in TEXTS)
    for item in facts["items"]:
        (example,) = (example for example in EXAMPLES if CODER.tokens(example.text) == item["tokens"])
        assert facts["joint"].join(item["tokens"]).strip() == example.text
        assert len(item["tokens"]) == len(item["attention"]) == len(item["gradient"])
        assert item["label"] == example.labels[0]
    gradient_alone = importances(model_of(pooling="last"), CODER, part, ["x"] * 5)
    assert gradient_alone["method"] == ["gradient"]
    assert gradient_alone["correlation"] is gradient_alone["items"][0]["attention"] is None


def test_what_is_shown_is_drawn_from_all_labels_with_the_words_that_are_unknown_and_small_weights(monkeypatch):
    many = [Example(f"word{n} cat", ("xy"[n // 50],)) for n in range(100)]  # as of a file a label
    model = model_of()
    with torch.no_grad():
        model.head.linear.weight.mul_(1e-9)
    items = importances(model, CODER, CODER.part(many), [f"said {n}" for n in range(100)])["items"]
    assert {item["label"] for item in items} == {"x", "y"}
    for item in items:
        number = int(item["tokens"][0].removeprefix(" word"))
        assert (item["predicted"], item["label"]) == (f"said {number}", "xy"[number // 50])
        assert any(item["gradient"])
