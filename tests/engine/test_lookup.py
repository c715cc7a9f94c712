"""A recurrence over tokens: what a scan over their vectors gives, whole, step by step, and in reverse."""

from __future__ import annotations

import pytest
import torch
from engine.steps import STEPS, case

from riverrun.engine import native
from riverrun.engine.library import library
from riverrun.engine.lookup import Lookup
from riverrun.engine.rewrite import zoneout
from riverrun.engine.scan import scan
from riverrun.errors import UsageError

V = 7
LENGTHS = torch.tensor([5, 0, 3, 1])


def made(name: str, dtype: torch.dtype = torch.float64, **given):
    c = case(name, T=5, B=4, dtype=dtype, **given)
    vectors = torch.randn(V, c.input.shape[2], dtype=dtype, generator=torch.Generator().manual_seed(1))
    tokens = torch.randint(0, V, (5, 4), generator=torch.Generator().manual_seed(2))
    return c, vectors, tokens


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", [None, LENGTHS])
@pytest.mark.parametrize("name", STEPS)
def test_a_lookup_gives_the_bits_of_a_scan_over_the_vectors(name, lengths, reverse, dtype):
    c, vectors, tokens = made(name, dtype)
    lookup = Lookup(c.program, c.weights, vectors)
    with torch.no_grad():
        expected = scan(c.program, c.weights, vectors[tokens], c.initial, lengths=lengths, reverse=reverse)
    for _ in range(2):  # the second call takes the remembered form
        outputs, states = lookup.run(tokens, c.initial, lengths, reverse=reverse)
        assert torch.equal(outputs, expected.outputs)
        assert all(torch.equal(a, b) for a, b in zip(states, expected.states, strict=True))
        assert not outputs.requires_grad


@pytest.mark.skipif(library().handle is None, reason=library().reason)
@pytest.mark.parametrize("name", STEPS)
def test_steps_in_a_row_give_the_bits_of_one_run(name):
    c, vectors, tokens = made(name)
    lookup, states = Lookup(c.program, c.weights, vectors), tuple(c.initial)
    whole, last = lookup.run(tokens, c.initial)
    for t in range(5):
        output, states = lookup.run(tokens[t : t + 1], states)
        assert torch.equal(output[0], whole[t])
    assert all(torch.equal(a, b) for a, b in zip(states, last, strict=True))


def test_without_the_library_it_is_a_scan(monkeypatch):
    c, vectors, tokens = made("lstm")
    ours = Lookup(c.program, c.weights, vectors).run(tokens, c.initial, LENGTHS)
    monkeypatch.setattr("riverrun.engine.writer.serves", lambda dtype: False)
    monkeypatch.setattr(native, "refusal", lambda device, dtype: "it is to be torch")
    plain = Lookup(c.program, c.weights, vectors).run(tokens, c.initial, LENGTHS)
    for a, b in zip((ours[0], *ours[1]), (plain[0], *plain[1]), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_it_has_a_copy_of_the_weights_and_its_masks_count():
    c, vectors, tokens = made("lstm")
    program = zoneout(c.program, "c")
    masks = {key: torch.full((1, c.initial[0].shape[1]), 0.3, dtype=torch.float64) for key in program.mask_keys}
    lookup = Lookup(program, c.weights, vectors, masks)
    expected = scan(
        program, c.weights, vectors[tokens], c.initial, masks={k: m.expand(4, -1) for k, m in masks.items()}
    )
    for weight in c.weights.values():
        weight.data.zero_()
    torch.testing.assert_close(lookup.run(tokens, c.initial)[0], expected.outputs.detach(), rtol=1e-12, atol=1e-12)


def test_many_forms_are_made_and_forgotten():
    c, vectors, _ = made("elman")
    lookup = Lookup(c.program, c.weights, vectors)
    for steps in range(1, 70):
        tokens = torch.full((steps, 4), 3)
        expected = scan(c.program, c.weights, vectors[tokens], c.initial).outputs.detach()
        assert torch.equal(lookup.run(tokens, c.initial)[0], expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokens": torch.full((2, 4), V)}, "tokens: expected int64 from 0 to 6"),
        ({"tokens": torch.full((2, 4), -1)}, "tokens: expected int64 from 0 to 6"),
        ({"tokens": torch.zeros(2, 4, dtype=torch.int32)}, "tokens: expected int64"),
        ({"lengths": torch.tensor([1, 2, 3, 1])}, "lengths: expected 4 from 0 to T = 2"),
        ({"lengths": torch.tensor([1, 2])}, "lengths: expected 4 from 0 to T = 2"),
        ({"initial": 3}, "initial: expected"),
    ],
)
@pytest.mark.skipif(library().handle is None, reason=library().reason)
def test_what_does_not_fit_is_an_error_and_no_crash(change, message):
    c, vectors, _ = made("elman")
    lookup = Lookup(c.program, c.weights, vectors)
    tokens, initial = change.get("tokens", torch.zeros(2, 4, dtype=torch.int64)), c.initial
    if "initial" in change:
        initial = [state[:3] for state in c.initial]
    for _ in range(2):
        with pytest.raises(UsageError, match=message):
            lookup.run(tokens, initial, change.get("lengths"))
        lookup.run(torch.zeros(2, 4, dtype=torch.int64), c.initial)
