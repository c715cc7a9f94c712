"""The fixed-window network against its equations in numpy, cut anywhere, and every option that it has acts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from riverrun.data.batch import Batch
from riverrun.models.fixed_window import FixedWindow
from riverrun.models.options import LanguageModelOptions

V = 6


def model(**given) -> FixedWindow:
    torch.manual_seed(0)
    plain = {"model": "window", "hidden": 7, "embedding": 3, "context": 3, "dropout": 0.0}
    return FixedWindow(LanguageModelOptions(**{**plain, **given}), V).double()


def ids(steps: int, lanes: int = 2) -> torch.Tensor:
    return torch.randint(0, V, (steps, lanes), generator=torch.Generator().manual_seed(1))


def written_out(ours: FixedWindow, text: list[int]) -> np.ndarray:
    """softmax(U tanh(W [e_{t-2}; e_{t-1}; e_t] + b1) + b2), zeros where the text has not begun."""
    E, W, b1 = (p.detach().numpy() for p in (ours.embedding.weight, ours.hidden.weight, ours.hidden.bias))
    U, b2 = ours.output.weight.detach().numpy(), ours.output.bias.detach().numpy()
    rows = []
    for t in range(len(text)):
        e = np.concatenate([E[text[k]] if k >= 0 else np.zeros(E.shape[1]) for k in range(t - 2, t + 1)])
        rows.append(U @ np.tanh(W @ e + b1) + b2)
    return np.array(rows)


def test_it_equals_the_equations_of_the_lecture():
    ours, text = model(), ids(8)
    with torch.no_grad():
        ours.output.bias.normal_()
        ours.hidden.bias.normal_()
    logits, _ = ours(text)
    for lane in range(2):
        np.testing.assert_allclose(logits[:, lane].detach(), written_out(ours, text[:, lane].tolist()), atol=1e-12)


def test_a_text_cut_anywhere_gives_the_same():
    ours, text = model(), ids(9)
    whole, last = ours(text)
    state, parts = None, []
    for a, z in ((0, 1), (1, 2), (2, 7), (7, 7), (7, 9)):
        logits, state = ours(text[a:z], state)
        parts.append(logits)
    torch.testing.assert_close(torch.cat(parts), whole)
    assert torch.equal(state[0], last[0])
    step_state = ours.initial_state(2)
    for t in range(9):
        logits, step_state = ours.step(step_state, text[t])
        torch.testing.assert_close(logits, whole[t])


def test_a_reset_hides_what_came_before_also_from_the_next_window():
    ours, text = model(), ids(6)
    resets = torch.zeros(6, 2, dtype=torch.bool)
    resets[5, 0] = True
    resets[2, 0] = True
    logits, state = ours(text, None, resets)
    torch.testing.assert_close(logits[2:5, :1], ours(text[2:5, :1])[0])
    torch.testing.assert_close(logits[5:, :1], ours(text[5:, :1])[0])
    torch.testing.assert_close(logits[:, 1:], ours(text[:, 1:])[0])
    assert state[0][:, 0].tolist() == [V, int(text[5, 0])]
    torch.testing.assert_close(ours(text[:1], state)[0][0, 0], ours(torch.cat([text[5:], text[:1]])[:, :1])[0][1, 0])


def test_a_window_of_one_token_has_no_state_to_speak_of():
    ours = model(context=1)
    logits, state = ours(ids(4))
    assert state[0].shape == (0, 2)
    torch.testing.assert_close(logits[2], ours(ids(4)[2:3])[0][0])


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("hidden", 8),
        ("embedding", 4),
        ("context", 2),
        ("tied", True),
        ("one_hot", True),
        ("dropout", 0.5),
        ("embedding_dropout", 0.5),
        ("label_smoothing", 0.2),
        ("activity", 1.0),
        ("temporal_activity", 1.0),
    ],
)
def test_every_option_of_the_window_acts(option, value):
    changes = {option: value, **({"embedding": 0} if option in ("tied", "one_hot") else {})}
    text = ids(8)
    batch = Batch(text[:-1], text[1:], None, 14, 0)
    losses = []
    for ours in (model(), model(**changes)):
        torch.manual_seed(2)
        losses.append(float(ours.loss(batch, None).total.detach()))
    assert abs(losses[0] - losses[1]) > 1e-6


def test_no_gradient_is_all_zero():
    ours, text = model(), ids(8)
    ours.loss(Batch(text[:-1], text[1:], None, 14, 0), None).total.backward()
    assert all(bool(p.grad.any()) for p in ours.parameters())
