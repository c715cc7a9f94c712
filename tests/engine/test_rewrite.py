"""Each rewrite against its equation, written out with tensors."""

import pytest
import torch
from engine.steps import STEPS, case, gradients, program_of, weighed
from tolerances import TOLERANCE

from riverrun.engine import rewrite
from riverrun.engine.program import Program
from riverrun.engine.scan import scan
from riverrun.engine.trace import sigmoid, tanh, trace
from riverrun.errors import UsageError

VALUE = TOLERANCE[torch.float64, "value"]


def drawn_masks(program: Program, steps: int) -> dict[str, torch.Tensor]:
    width = {"H": 4, "O": 5}
    widths = {node.key: width[node.width] for node in program.nodes if node.op == "mask"}
    return {key: torch.rand(steps, 4, widths[key], dtype=torch.float64) for key in program.mask_keys}


def by_hand(program, c, masks, new):
    """new(x, W, h, m) step after step, x.k projected with its bias."""
    h, found = c.initial[0], []
    for t, x in enumerate(c.input):
        m = {key: mask[t] for key, mask in masks.items()}
        h = new(x, c.weights, h, m)
        found.append(h)
    return torch.stack(found)


def compared(program, new):
    c = case(program)
    masks = drawn_masks(program, 5)
    expected = by_hand(program, c, masks, new)
    gradients_by_hand = gradients(weighed(expected), c.leaves())
    for path in ("fused", "eager"):
        found = scan(program, c.weights, c.input, c.initial, masks=masks, path=path).outputs
        torch.testing.assert_close(found, expected, **VALUE)
        for ours, theirs in zip(gradients(weighed(found), c.leaves()), gradients_by_hand, strict=True):
            torch.testing.assert_close(ours, theirs, **TOLERANCE[torch.float64, "gradient"])


def gru_by_hand(x, W, h, reads, candidate):
    r = torch.sigmoid(x @ W["W.r"].T + W["b.r"] + reads @ W["U.r"].T)
    z = torch.sigmoid(x @ W["W.z"].T + W["b.z"] + reads @ W["U.z"].T)
    n = torch.tanh(x @ W["W.n"].T + W["b.n"] + (r * reads) @ W["U.n"].T)
    return (1 - z) * h + z * candidate * n


def test_recurrent_dropout_multiplies_the_candidate():
    program = rewrite.recurrent_dropout(program_of("gru"), "n")
    assert program.mask_keys == ("candidate",)
    compared(program, lambda x, W, h, m: gru_by_hand(x, W, h, h, m["candidate"]))


def test_state_dropout_multiplies_what_the_products_read_and_leaves_the_state_whole():
    program = rewrite.state_dropout(program_of("gru"))
    assert program.mask_keys == ("state.h",)
    assert len(program.groups) == 2
    compared(program, lambda x, W, h, m: gru_by_hand(x, W, h, h * m["state.h"], 1))


def test_state_dropout_reaches_a_state_through_factors_and_functions_but_not_through_sums():
    def step(x, U, h):
        m = x.m * tanh(h)
        return (h + U.a @ m) * sigmoid(U.b @ (x.s + h))

    program = rewrite.state_dropout(trace(step, states=("h",)))
    assert {"m", "h"} <= set(program.names)  # m can be recorded still, as the product reads it

    def new(x, W, h, m):
        masked = (x @ W["W.m"].T + W["b.m"]) * torch.tanh(h * m["state.h"])
        return (h + masked @ W["U.a"].T) * torch.sigmoid((x @ W["W.s"].T + W["b.s"] + h) @ W["U.b"].T)

    compared(program, new)
    c = case(program)
    masks = drawn_masks(program, 5)
    found = scan(program, c.weights, c.input, c.initial, masks=masks, record=("m",))
    first = (c.input[0] @ c.weights["W.m"].T + c.weights["b.m"]) * torch.tanh(c.initial[0] * masks["state.h"][0])
    torch.testing.assert_close(found.records["m"][0], first.detach(), **VALUE)


def test_zoneout_keeps_a_share_of_the_old_state():
    program = rewrite.zoneout(program_of("gru"), "h")
    compared(
        program,
        lambda x, W, h, m: m["zoneout.h"] * h + (1 - m["zoneout.h"]) * gru_by_hand(x, W, h, h, 1),
    )


def test_zoneout_of_a_state_that_the_step_does_not_read():
    program = rewrite.zoneout(trace(lambda x, h: tanh(x.a), states=("h",)), "h")
    compared(
        program,
        lambda x, W, h, m: m["zoneout.h"] * h + (1 - m["zoneout.h"]) * torch.tanh(x @ W["W.a"].T + W["b.a"]),
    )


def test_layer_norm_is_on_each_product_alone_and_the_bias_comes_after():
    program = rewrite.layer_norm(trace(lambda x, U, h: sigmoid(x.z + U.z @ h) * tanh(x.n), states=("h",)))
    assert set(program.weights) == {
        "W.z", "W.n", "U.z", "b.z", "b.n", "p.ln_x.z", "p.ln_x.n", "p.ln_u.z",
    }  # fmt: skip

    def normed(a, gain):
        return torch.nn.functional.layer_norm(a, a.shape[-1:], gain, eps=1e-5)

    def new(x, W, h, m):
        z = normed(x @ W["W.z"].T, W["p.ln_x.z"]) + W["b.z"] + normed(h @ W["U.z"].T, W["p.ln_u.z"])
        return torch.sigmoid(z) * torch.tanh(normed(x @ W["W.n"].T, W["p.ln_x.n"]) + W["b.n"])

    compared(program, new)


def test_layer_norm_without_bias_has_none():
    program = rewrite.layer_norm(program_of("gru"))
    c = case(program)
    without = {name: w for name, w in c.weights.items() if not name.startswith("b.")}
    zero = {name: torch.zeros_like(w) if name.startswith("b.") else w for name, w in c.weights.items()}
    assert torch.equal(
        scan(program, without, c.input, c.initial).outputs, scan(program, zero, c.input, c.initial).outputs
    )


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_a_transition_adds_layers_within_the_step(depth):
    program = rewrite.transition(program_of("elman"), depth)

    def new(x, W, h, m):
        h = torch.tanh(x @ W["W.h"].T + W["b.h"] + h @ W["U.h"].T)
        for layer in range(1, depth):
            h = torch.tanh(h @ W[f"U.transition_{layer}"].T + W[f"b.transition_{layer}"])
        return h

    assert len(program.groups) == depth
    compared(program, new)


def test_rewrites_compose_and_every_path_agrees():
    program = program_of("lstm")
    program = rewrite.recurrent_dropout(program, "g")
    program = rewrite.transition(rewrite.layer_norm(program), 2)
    program = rewrite.zoneout(rewrite.zoneout(rewrite.state_dropout(program), "h"), "c")
    assert set(program.mask_keys) == {"candidate", "state.h", "zoneout.h", "zoneout.c"}
    c = case(program)
    masks = drawn_masks(program, 5)
    found = [
        scan(program, c.weights, c.input, c.initial, masks=masks, lengths=torch.tensor([5, 0, 2, 3]), path=path)
        for path in ("fused", "eager")
    ]
    torch.testing.assert_close(found[0].outputs, found[1].outputs, **VALUE)
    grads = [gradients(weighed(f.outputs, *f.states), c.leaves()) for f in found]
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, **TOLERANCE[torch.float64, "gradient"])


@pytest.mark.parametrize("name", STEPS)
def test_every_rewrite_applies_to_every_step_and_keeps_its_names(name):
    program = program_of(name)
    for rewritten in (
        rewrite.state_dropout(program),
        rewrite.layer_norm(program),
        rewrite.transition(program, 2),
        *(rewrite.zoneout(program, state) for state in program.states),
        *(rewrite.recurrent_dropout(program, value) for value in program.names),
    ):
        assert set(rewritten.names) == set(program.names)
        assert rewritten.states == program.states


def test_what_does_not_fit_is_refused():
    program = program_of("gru")
    with pytest.raises(UsageError, match="candidate: expected one of"):
        rewrite.recurrent_dropout(program, "m")
    with pytest.raises(UsageError, match="zoneout: expected a state"):
        rewrite.zoneout(program, "c")
    with pytest.raises(UsageError, match="normed already"):
        rewrite.layer_norm(rewrite.layer_norm(program))
    with pytest.raises(UsageError, match="at least 1"):
        rewrite.transition(program, 0)
