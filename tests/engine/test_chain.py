"""Layers stepped in one call have the bits of layers stepped one by one."""

import ctypes
import gc
import weakref

import pytest
import torch
from engine.bits import threads
from engine.steps import case

from riverrun.engine import chain, frame, native
from riverrun.engine.chain import FIRST
from riverrun.engine.frame import THREADS
from riverrun.engine.library import library
from riverrun.engine.step import Stream
from riverrun.errors import RiverrunError, UsageError

needs_library = pytest.mark.skipif(library().handle is None, reason=library().reason)


def layers(names=("lstm", "gru", "peephole"), batch=3, dtype=torch.float32):
    """Streams above each other, each of another width, a state of each, and inputs of the lowest."""
    cases = [case(name, T=5, B=batch, I=7 if not i else 6 + i, H=7 + i, dtype=dtype) for i, name in enumerate(names)]
    streams = [Stream(c.program, c.weights) for c in cases]
    return streams, [tuple(c.initial) for c in cases], cases[0].input


class Chain:
    """Streams with what their steps leave for the next."""

    def __init__(self, streams):
        self.streams, self.calls = streams, {}

    def step(self, x, states):
        return chain.step(self.streams, self.calls, x, states)


def one_by_one(streams, states, x):
    after = []
    for stream, before in zip(streams, states, strict=True):
        after.append(stream.step(x, before))
        x = after[-1][0]
    return tuple(after)


def same(ours, theirs):
    assert [len(own) for own in ours] == [len(own) for own in theirs]
    for a, b in zip([s for own in ours for s in own], [s for own in theirs for s in own], strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch", [1, 3, 70])
@pytest.mark.parametrize("names", [("lstm",), ("elman", "lstm"), ("lstm", "gru", "peephole")])
def test_a_chain_has_the_bits_of_its_layers_one_by_one(names, batch, dtype):
    streams, states, inputs = layers(names, batch, dtype)
    together, alone, linked = states, states, Chain(streams)
    for x in inputs:
        together, alone = linked.step(x, together), one_by_one(streams, alone, x)
        same(together, alone)


@needs_library
def test_all_layers_are_one_call_of_the_library(monkeypatch):
    streams, states, inputs = layers()
    real, calls = native.steps_entry(torch.float32), []

    def watched(words, count, starts, layers):
        calls.append(layers)
        return real(words, count, starts, layers)

    monkeypatch.setattr(native, "steps_entry", lambda dtype: watched)
    linked = Chain(streams)
    for x in inputs:
        states = linked.step(x, states)
    assert calls == [3] * len(inputs)


def test_a_chain_goes_through_torch_where_the_engine_cannot_serve(monkeypatch):
    streams, states, inputs = layers(dtype=torch.float64)
    expected = Chain(streams).step(inputs[0], states)
    monkeypatch.setattr(native, "refusal", lambda device, dtype: "it is to be torch")
    found = Chain(streams).step(inputs[0], states)
    for ours, theirs in zip(found, expected, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_what_was_given_stays_and_nothing_is_written_twice():
    streams, states, inputs = layers()
    linked = Chain(streams)
    kept = [[state.clone() for state in own] for own in states]
    first = linked.step(inputs[0], states)
    again = linked.step(inputs[0], states)
    same(states, kept)
    same(first, again)
    places = [state.data_ptr() for after in (first, again) for own in after for state in own]
    assert len(set(places)) == len(places)


@needs_library
def test_what_does_not_fit_is_refused_before_and_after_a_call():
    streams, states, inputs = layers()
    linked = Chain(streams)
    for _ in range(2):
        with pytest.raises(UsageError, match="expected the width"):
            linked.step(inputs[0], [states[0], [states[1][0][:, :-1]], states[2]])
        with pytest.raises((UsageError, ValueError)):
            linked.step(inputs[0], states[:2])
        with pytest.raises((UsageError, ValueError)):
            linked.step(inputs[0], [states[0], states[1], states[2][:1]])
        linked.step(inputs[0], states)


@needs_library
def test_a_stream_may_be_several_layers():
    c = case("gru", B=2, I=4, H=4, dtype=torch.float32)
    stream = Stream(c.program, c.weights)
    linked, together, alone = Chain([stream, stream]), [tuple(c.initial)] * 2, [tuple(c.initial)] * 2
    for x in c.input:
        together, alone = linked.step(x, together), one_by_one([stream, stream], alone, x)
        same(together, alone)


@needs_library
def test_large_layers_share_the_threads_that_torch_has_now(monkeypatch):
    monkeypatch.setattr(frame, "GRAIN", 1)
    frame.forward_frame.cache_clear()
    real, asked = native.steps_entry(torch.float32), []

    def watched(words, count, starts, layers):
        given = (ctypes.c_int64 * count).from_address(words)
        asked.append([given[(ctypes.c_int64 * layers).from_address(starts)[i] + THREADS] for i in range(layers)])
        return real(words, count, starts, layers)

    monkeypatch.setattr(native, "steps_entry", lambda dtype: watched)
    streams, states, inputs = layers(batch=40)
    linked, found = Chain(streams), []
    for count in (1, 2, 3, 1):
        with threads(count):
            found.append(linked.step(inputs[0], states))
        same(found[-1], found[0])
    frame.forward_frame.cache_clear()
    assert asked == [[1, 1, 1], [2, 2, 2], [3, 3, 3], [1, 1, 1]]


@needs_library
@pytest.mark.parametrize("layer", range(3))
def test_what_the_library_refuses_is_an_error(layer):
    streams, states, inputs = layers()
    linked = Chain(streams)
    linked.step(inputs[0], states)
    call = linked.calls[inputs[0].shape]
    starts = call.held[0]
    for words, place, wrong in (
        (call.words, starts[layer] + THREADS, -1),
        (starts, layer, -1),
        (starts, layer, 1 << 40),
    ):
        right, words[place] = words[place], wrong
        with pytest.raises(RiverrunError, match="mistake in riverrun"):
            linked.step(inputs[0], states)
        words[place] = right
    assert starts[0] == FIRST
    same(linked.step(inputs[0], states), one_by_one(streams, states, inputs[0]))


def test_nothing_keeps_a_stream_that_nobody_wants():
    c = case("gru")
    stream = Stream(c.program, c.weights)
    stream.step(c.input[0], c.initial)
    gone = weakref.ref(stream)
    gc.disable()
    try:
        del stream
        assert gone() is None
    finally:
        gc.enable()
