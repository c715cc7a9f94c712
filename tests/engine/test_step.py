import threading

import pytest
import torch
from engine.steps import STEPS, case, program_of

from riverrun.engine import native
from riverrun.engine.library import library
from riverrun.engine.rewrite import zoneout
from riverrun.engine.scan import scan
from riverrun.engine.step import Stream
from riverrun.errors import RiverrunError, UsageError

# What does a stream's step, and so which scan has the same bits.
PATH = "native" if library().handle is not None else "eager"
needs_library = pytest.mark.skipif(library().handle is None, reason=library().reason)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("name", STEPS)
def test_a_stream_gives_the_bits_of_the_scan_step_by_step(name, batch, dtype):
    c = case(name, B=batch, dtype=dtype)
    stream = Stream(c.program, c.weights)
    states = tuple(c.initial)
    with torch.no_grad():
        for x in c.input:
            expected = scan(c.program, c.weights, x[None], states, path=PATH).states
            states = stream.step(x, states)
            for ours, theirs in zip(states, expected, strict=True):
                assert torch.equal(ours, theirs)
                assert not ours.requires_grad


@needs_library
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch", [1, 2, 7, 70])
@pytest.mark.parametrize("name", STEPS)
def test_steps_have_the_bits_of_one_scan_over_all_of_them(name, batch, dtype):
    c = case(name, T=6, B=batch, H=33, dtype=dtype)
    stream, states = Stream(c.program, c.weights), tuple(c.initial)
    with torch.no_grad():
        whole = scan(c.program, c.weights, c.input, c.initial)
    for x, output in zip(c.input, whole.outputs, strict=True):
        states = stream.step(x, states)
        assert torch.equal(states[0], output)
    for ours, theirs in zip(states, whole.states, strict=True):
        assert torch.equal(ours, theirs)


@needs_library
def test_a_step_equals_torchs_within_rounding(monkeypatch):
    for name in STEPS:
        c = case(name)
        stream = Stream(c.program, c.weights)
        ours = stream.step(c.input[0], c.initial)
        with monkeypatch.context() as patch:
            patch.setattr(native, "refusal", lambda device, dtype: "it is to be torch")
            theirs = Stream(c.program, c.weights).step(c.input[0], c.initial)
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


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
    for rows in (4, 1):
        mask = torch.full((rows, 4), 0.25, dtype=torch.float64)
        stream = Stream(program, c.weights, {"zoneout.h": mask})
        expected = scan(program, c.weights, c.input[:1], c.initial, masks={"zoneout.h": mask}, path=PATH).states
        assert torch.equal(stream.step(c.input[0], c.initial)[0], expected[0])


def test_no_step_writes_where_another_one_reads():
    c = case("lstm")
    stream = Stream(c.program, c.weights)
    first = stream.step(c.input[0], c.initial)
    kept = [state.clone() for state in first]
    second = stream.step(c.input[1], first)
    again = stream.step(c.input[1], first)
    for state, copy, a, b in zip(first, kept, second, again, strict=True):
        assert torch.equal(state, copy)
        assert torch.equal(a, b)
        assert a.data_ptr() not in (b.data_ptr(), state.data_ptr())


def test_tensors_may_lie_as_they_like():
    c = case("lstm", I=4)
    stream = Stream(c.program, c.weights)
    expected = stream.step(c.input[0], c.initial)
    wide = torch.cat([c.input[0], c.input[0]], -1)
    shapes = [
        (c.input[0].t().contiguous().t(), c.initial),
        (wide[:, :4], c.initial),
        (c.input[0], [state.t().contiguous().t() for state in c.initial]),
        (c.input[0].clone().requires_grad_(), tuple(state.clone().requires_grad_() for state in c.initial)),
    ]
    for x, states in shapes:
        for ours, theirs in zip(stream.step(x, states), expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
            assert not ours.requires_grad
    same = stream.step(c.input[0], [c.initial[0][:1].expand(4, -1), c.initial[1]])
    torch.testing.assert_close(same[0][0], expected[0][0], rtol=1e-12, atol=1e-12)


@needs_library
def test_what_does_not_fit_is_named_however_the_stream_was_used_before():
    c = case("lstm")
    stream = Stream(c.program, c.weights)
    for _ in range(2):
        with pytest.raises(UsageError, match="expected the width"):
            stream.step(torch.zeros(4, 9, dtype=torch.float64), c.initial)
        with pytest.raises(UsageError, match="expected the width"):
            stream.step(c.input[0], [c.initial[0], c.initial[1][:, :-1]])
        with pytest.raises((UsageError, ValueError)):
            stream.step(c.input[0], c.initial[:1])
        with pytest.raises(RuntimeError, match=r"(?i)dtype|type"):
            stream.step(c.input[0].float(), c.initial)
        stream.step(c.input[0], c.initial)


def test_a_stream_of_a_transform_goes_through_torch():
    c = case("gru")
    stream = Stream(c.program, c.weights)
    stacked = torch.stack([c.input[0], c.input[1]])
    expected = [stream.step(x, c.initial)[0] for x in stacked]
    ours = torch.func.vmap(lambda x: stream.step(x, c.initial)[0])(stacked)
    for a, b in zip(ours, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_more_batch_sizes_than_are_remembered_do_no_harm():
    c = case("elman", B=80)
    stream = Stream(c.program, c.weights)
    whole = stream.step(c.input[0], c.initial)[0]
    for rows in [*range(1, 81), 3]:
        ours = stream.step(c.input[0, :rows], [state[:rows] for state in c.initial])[0]
        torch.testing.assert_close(ours, whole[:rows], rtol=1e-12, atol=1e-12)


@needs_library
def test_threads_may_share_a_stream():
    c = case("lstm", T=40, H=20)
    stream = Stream(c.program, c.weights)
    with torch.no_grad():
        expected = scan(c.program, c.weights, c.input, c.initial).outputs
    wrong = []

    def run():
        for _ in range(5):
            states = tuple(c.initial)
            for x, output in zip(c.input, expected, strict=True):
                states = stream.step(x, states)
                if not torch.equal(states[0], output):
                    wrong.append(states)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@needs_library
def test_a_step_that_the_library_refuses_is_an_error_of_ours(monkeypatch):
    c = case("gru")
    stream = Stream(c.program, c.weights)
    monkeypatch.setattr(native, "steps_entry", lambda dtype: lambda *arguments: 2)
    with pytest.raises(RiverrunError, match="not enough memory"):
        stream.step(c.input[0], c.initial)
