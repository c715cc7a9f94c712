import pytest
import torch
from engine.steps import STEPS, case, program_of

from riverrun.engine.rewrite import zoneout
from riverrun.engine.scan import scan
from riverrun.engine.step import Stream


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("name", STEPS)
def test_a_stream_gives_the_bits_of_the_eager_scan_step_by_step(name, batch, dtype):
    c = case(name, B=batch, dtype=dtype)
    stream = Stream(c.program, c.weights)
    states = tuple(c.initial)
    with torch.no_grad():
        for x in c.input:
            expected = scan(c.program, c.weights, x[None], states, path="eager").states
            states = stream.step(x, states)
            for ours, theirs in zip(states, expected, strict=True):
                assert torch.equal(ours, theirs)
                assert not ours.requires_grad


def test_a_stream_keeps_the_weights_of_its_creation():
    c = case("gru")
    stream, unused = Stream(c.program, c.weights), Stream(c.program, c.weights)
    before = stream.step(c.input[0], c.initial)
    with torch.no_grad():
        for weight in c.weights.values():
            weight.zero_()
    assert torch.equal(stream.step(c.input[0], c.initial)[0], before[0])
    assert torch.equal(unused.step(c.input[0], c.initial)[0], before[0])
    untouched = Stream(c.program, c.weights)
    assert not torch.equal(untouched.step(c.input[0], c.initial)[0], before[0])


def test_one_stream_serves_batches_of_different_sizes():
    c = case("peephole")
    stream = Stream(c.program, c.weights)
    whole = stream.step(c.input[0], c.initial)
    for row in range(4):
        alone = stream.step(c.input[0, row : row + 1], [s[row : row + 1] for s in c.initial])
        torch.testing.assert_close(alone[1], whole[1][row : row + 1], rtol=1e-12, atol=1e-12)


def test_a_stream_takes_the_masks_of_evaluation():
    program = zoneout(program_of("gru"), "h")
    c = case(program)
    mask = torch.full((4, 4), 0.25, dtype=torch.float64)
    stream = Stream(program, c.weights, {"zoneout.h": mask})
    expected = scan(program, c.weights, c.input[:1], c.initial, masks={"zoneout.h": mask}, path="eager").states
    assert torch.equal(stream.step(c.input[0], c.initial)[0], expected[0])
