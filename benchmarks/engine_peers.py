"""Each peer: a case made ready, as calls to time and arrays to compare. Every peer runs in a process of its own.

A peer is a function of a `Case` that returns `Ready`, or raises `Absent` where it has nothing for the case. It imports
its framework itself. `forward` runs without gradient; `train` runs forward and computes the gradients of the input and
of every weight.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from engine_cases import CELLS, Array, Cell, Maths, Shape, inputs


class Absent(Exception):
    """The peer has nothing for this case; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is to be made ready: a cell, a shape, and whether gradients are wanted.

    path: the way in which riverrun is to run, or None for its own choice
    """

    cell: Cell
    shape: Shape
    threads: int
    train: bool = True
    path: str | None = None


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A case made ready.

    calls: what can be timed, by name; a call that measures itself returns its seconds
    arrays: everything to compare: "output", and with gradients "x" and each packed weight
    notes: what to print beside the figures: riverrun's path of each call, seconds of compilation
    units: how many steps or characters one call makes
    """

    calls: Mapping[str, Callable[[], Any]]
    arrays: Callable[[], dict[str, Array]]
    notes: dict[str, Any] = field(default_factory=dict)
    units: int = 1


# ------------------------------------------------------------------ riverrun


def riverrun_layer(cell: Cell, I: int, H: int) -> Any:
    """riverrun's layer with the weights of the case."""
    import torch
    from engine_own_cell import Squares

    from riverrun.layers import Recurrent

    layer = Recurrent(Squares if cell.ours == "own" else cell.ours, I, H, norm=cell.norm)
    state = {f"layers.0.forward.{name}": torch.from_numpy(value) for name, value in cell.weights(I, H).items()}
    layer.load_state_dict(state)
    return layer


@contextmanager
def riverrun_choices() -> Iterator[list[str]]:
    """The paths that calls take inside: from the choice itself and the way past it, as a prediction could be wrong."""
    scan: Any = importlib.import_module("riverrun.engine.scan")
    found: list[str] = []
    choose, past = scan.choose, scan.native.run_plain

    def watched(*args: Any, **options: Any) -> Any:
        choice = choose(*args, **options)
        found.append(choice.path)
        return choice

    def passed(*args: Any) -> Any:
        found.append("native")
        return past(*args)

    scan.choose, scan.native.run_plain = watched, passed
    try:
        yield found
    finally:
        scan.choose, scan.native.run_plain = choose, past


def riverrun(case: Case) -> Ready:
    """The layer's own call."""
    import torch

    from riverrun.errors import UsageError

    torch.set_num_threads(case.threads)
    layer = riverrun_layer(case.cell, case.shape.I, case.shape.H)
    names, parameters = zip(*layer.named_parameters(), strict=True)
    x, g = (torch.from_numpy(value) for value in inputs(case.shape))
    variable = x.clone().requires_grad_()
    path = case.path

    def forward() -> Any:
        with torch.no_grad():
            return layer(x, path=path).output

    def train() -> Any:
        output = layer(variable, path=path).output
        return output, torch.autograd.grad(output, (variable, *parameters), g)

    notes: dict[str, Any] = {}
    try:
        forward()
    except UsageError as error:
        notes["refused"], path = str(error), None
    calls: dict[str, Callable[[], Any]] = {"forward": forward}
    if case.train:
        calls["train"] = train
    for name, call in calls.items():
        with riverrun_choices() as choices:
            call()
        notes[f"path_{name}"] = "+".join(dict.fromkeys(choices))

    def arrays() -> dict[str, Array]:
        if not case.train:
            return {"output": forward().numpy()}
        output, (dx, *gradients) = train()
        found = {name.rpartition("forward.")[2]: v.numpy() for name, v in zip(names, gradients, strict=True)}
        return {"output": output.detach().numpy(), "x": dx.numpy(), **case.cell.pack(found)}

    return Ready(calls=calls, arrays=arrays, notes=notes)


# ------------------------------------------------------------------ torch


def torch_nn(case: Case) -> Ready:
    """torch.nn's module: LSTM, GRU, RNN."""
    import torch

    torch.set_num_threads(case.threads)
    module = torch_module(case.cell, case.shape.I, case.shape.H)
    parameters = tuple(module.parameters())
    x, g = (torch.from_numpy(value) for value in inputs(case.shape))
    variable = x.clone().requires_grad_()

    def forward() -> Any:
        with torch.no_grad():
            return module(x)[0]

    def train() -> Any:
        output, _ = module(variable)
        return output, torch.autograd.grad(output, (variable, *parameters), g)

    def arrays() -> dict[str, Array]:
        if not case.train:
            return {"output": forward().numpy()}
        output, (dx, W, U, b, b_hh) = train()
        found = {"output": output.detach(), "x": dx, "W": W.T, "U": U.T, "b": b}
        if "b_hn" in case.cell.packed:
            found["b_hn"] = b_hh[-case.shape.H :]
        return {name: value.numpy() for name, value in found.items()}

    calls = {"forward": forward, "train": train} if case.train else {"forward": forward}
    return Ready(calls=calls, arrays=arrays)


def torch_module(cell: Cell, I: int, H: int) -> Any:
    """torch.nn's module with the weights of the case."""
    import torch

    kinds = {"lstm": torch.nn.LSTM, "gru-after": torch.nn.GRU, "elman": torch.nn.RNN}
    if cell.ours not in kinds or cell.norm:
        raise Absent(f"torch.nn has no {cell.title}")
    w = {name: torch.from_numpy(value) for name, value in cell.pack(cell.weights(I, H)).items()}
    module = kinds[cell.ours](I, H)
    second = torch.zeros_like(w["b"])
    if "b_hn" in w:
        second[-H:] = w["b_hn"]
    with torch.no_grad():
        module.weight_ih_l0.copy_(w["W"].T)
        module.weight_hh_l0.copy_(w["U"].T)
        module.bias_ih_l0.copy_(w["b"])
        module.bias_hh_l0.copy_(second)
    return module


def torch_maths() -> Maths:
    """What a step needs, of torch."""
    import torch
    from torch.nn import functional

    def norm(v: Any, parts: int) -> Any:
        parted = v.unflatten(-1, (parts, -1))
        return functional.layer_norm(parted, parted.shape[-1:]).flatten(-2)

    return Maths(
        torch.sigmoid, torch.tanh, torch.sqrt, lambda v, n: v.chunk(n, -1), lambda v: torch.cat(list(v), -1), norm
    )


def torch_loop(case: Case) -> Ready:
    """A Python loop of torch operations, the input of all steps projected at once."""
    return _torch_function(case, compiled=False)


def torch_compiled(case: Case) -> Ready:
    """The same loop through torch.compile, with gradients alone where they are wanted.

    What other cases compiled is forgotten, so that no limit or guess is met.
    """
    import torch

    torch.compiler.reset()
    return _torch_function(case, compiled=True)


def _torch_function(case: Case, compiled: bool) -> Ready:
    import torch

    torch.set_num_threads(case.threads)
    cell, (T, B, I, H) = case.cell, case.shape
    m = torch_maths()
    w = {name: torch.from_numpy(v).requires_grad_() for name, v in cell.pack(cell.weights(I, H)).items()}
    x, g = (torch.from_numpy(value) for value in inputs(case.shape))
    variable = x.clone().requires_grad_()
    state = [torch.zeros(B, H) for _ in range(cell.states)]

    def loop(x: Any, w: dict[str, Any], state: list[Any]) -> Any:
        projected, outputs = cell.project(m, w, x), []
        for t in range(T):
            state = cell.step(m, w, projected[t], state)  # type: ignore[assignment]
            outputs.append(state[0])
        return torch.stack(outputs)

    run = torch.compile(loop, dynamic=False) if compiled else loop

    def forward() -> Any:
        with torch.no_grad():
            return run(x, w, state)

    def train() -> Any:
        output = run(variable, w, state)
        return output, torch.autograd.grad(output, (variable, *w.values()), g)

    def arrays() -> dict[str, Array]:
        if not case.train:
            return {"output": forward().numpy()}
        output, (dx, *gradients) = train()
        found = {"output": output.detach(), "x": dx, **dict(zip(w, gradients, strict=True))}
        return {name: value.numpy() for name, value in found.items()}

    notes = {}
    calls = {"forward": forward, "train": train} if case.train else {"forward": forward}
    if compiled:
        if case.train:  # each pass is compiled for itself: half a minute or more for 50 steps
            del calls["forward"]
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            notes[f"compile_seconds_{name}"] = round(time.perf_counter() - began, 1)
    return Ready(calls=calls, arrays=arrays, notes=notes)


# ------------------------------------------------------------------ JAX


def jax_maths() -> Maths:
    """What a step needs, of JAX."""
    import jax
    import jax.numpy as jnp

    def norm(v: Any, parts: int) -> Any:
        parted = v.reshape(*v.shape[:-1], parts, -1)
        centred = parted - parted.mean(-1, keepdims=True)
        return (centred * jax.lax.rsqrt((centred * centred).mean(-1, keepdims=True) + 1e-5)).reshape(v.shape)

    def split(v: Any, n: int) -> Any:
        return jnp.split(v, n, -1)

    return Maths(jax.nn.sigmoid, jnp.tanh, jnp.sqrt, split, lambda v: jnp.concatenate(v, -1), norm)


def jax_scan(case: Case) -> Ready:
    """jax.lax.scan, compiled; as many threads as the process has processors."""
    import jax
    import jax.numpy as jnp

    cell, (_, B, I, H) = case.cell, case.shape
    m = jax_maths()
    w = {name: jnp.asarray(value) for name, value in cell.pack(cell.weights(I, H)).items()}
    x, g = (jnp.asarray(value) for value in inputs(case.shape))

    def run(x: Any, w: dict[str, Any]) -> Any:
        def step(state: Any, projected: Any) -> Any:
            state = cell.step(m, w, projected, state)
            return state, state[0]

        start = (jnp.zeros((B, H), jnp.float32),) * cell.states
        return jax.lax.scan(step, start, cell.project(m, w, x))[1]

    def pulled(x: Any, w: dict[str, Any], g: Any) -> Any:
        output, pull = jax.vjp(run, x, w)
        return output, pull(g)

    compiled, both = jax.jit(run), jax.jit(pulled)

    def forward() -> Any:
        return jax.block_until_ready(compiled(x, w))

    def train() -> Any:
        return jax.block_until_ready(both(x, w, g))

    def arrays() -> dict[str, Array]:
        if not case.train:
            return {"output": np.asarray(forward())}
        output, (dx, dw) = train()
        return {name: np.asarray(v) for name, v in {"output": output, "x": dx, **dw}.items()}

    calls = {"forward": forward, "train": train} if case.train else {"forward": forward}
    return Ready(calls=calls, arrays=arrays)


# ------------------------------------------------------------------ ONNX Runtime and OpenVINO: forward only


def onnx_weights(cell: Cell, w: Mapping[str, Array]) -> tuple[str, dict[str, Any], dict[str, Array]]:
    """ONNX's operator, its attributes, and its inputs W [1, n H, I], R, B [1, 2 n H], P [1, 3 H]; w has our names."""
    operators: dict[str, tuple[str, str, dict[str, Any]]] = {
        "lstm": ("LSTM", "iofg", {}),
        "peephole": ("LSTM", "iofg", {}),
        "gru-after": ("GRU", "zrn", {"linear_before_reset": 1}),
        "gru": ("GRU", "zrn", {"linear_before_reset": 0}),
        "elman": ("RNN", "h", {"activations": ["Tanh"]}),
    }
    if cell.ours not in operators or cell.norm:
        raise Absent(f"ONNX has no operator for {cell.title}")
    operator, order, attributes = operators[cell.ours]
    sign = {"z": -1.0} if cell.ours == "gru" else {}  # ONNX's z keeps the old state, this cell's writes the new one
    rows = {k: np.concatenate([sign.get(g, 1.0) * w[f"{k}.{g}"] for g in order])[None] for k in "WUb"}
    second = np.zeros_like(rows["b"])
    if "b.hn" in w:
        second[0, -len(w["b.hn"]) :] = w["b.hn"]
    found = {"W": rows["W"], "R": rows["U"], "B": np.concatenate([rows["b"], second], 1)}
    if "p.i" in w:
        found["P"] = np.concatenate([w["p.i"], w["p.o"], w["p.f"]])[None]
    return operator, attributes, {name: value.astype(np.float32) for name, value in found.items()}


def onnx_model(cell: Cell, shape: Shape, *, stepwise: bool = False) -> bytes:
    """The model: X [T, B, I] -> Y [T, 1, B, H]; stepwise also the states h [1, B, H] (and c) in and out."""
    from onnx import TensorProto, helper, numpy_helper

    T, B, I, H = shape
    operator, attributes, weights = onnx_weights(cell, cell.weights(I, H))
    states = (["h", "c"] if operator == "LSTM" else ["h"]) if stepwise else []
    peepholes = ["P"] if "P" in weights else []
    given = states + [""] * (2 - len(states)) if peepholes else states
    node = helper.make_node(
        operator,
        ["X", "W", "R", "B", *([""] if given or peepholes else []), *given, *peepholes],
        ["Y", *(f"{state}_new" for state in states)],
        hidden_size=H,
        **attributes,
    )

    def value(name: str, sizes: list[int]) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes)

    graph = helper.make_graph(
        [node],
        operator,
        [value("X", [T, B, I]), *(value(state, [1, B, H]) for state in states)],
        [value("Y", [T, 1, B, H]), *(value(f"{state}_new", [1, B, H]) for state in states)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def onnx_session(model: bytes, threads: int) -> Any:
    """ONNX Runtime on so many threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def onnx_runtime(case: Case) -> Ready:
    """ONNX Runtime on ONNX's recurrent operator."""
    session = onnx_session(onnx_model(case.cell, case.shape), case.threads)
    x, _ = inputs(case.shape)

    def forward() -> Any:
        return session.run(["Y"], {"X": x})[0]

    return Ready(calls={"forward": forward}, arrays=lambda: {"output": forward()[:, 0]})


def openvino(case: Case) -> Ready:
    """OpenVINO on the same ONNX model, in single precision (its default would be bfloat16 where there is AMX)."""
    import openvino as ov

    model = onnx_model(case.cell, case.shape)
    options = {
        "INFERENCE_NUM_THREADS": case.threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    try:
        core = ov.Core()
        request = core.compile_model(core.read_model(model), "CPU", options).create_infer_request()
    except RuntimeError as error:
        raise Absent(f"OpenVINO: {str(error).strip().splitlines()[-1]}") from error
    x, _ = inputs(case.shape)

    def forward() -> Any:
        return request.infer([x], share_inputs=True, share_outputs=True)[0]

    return Ready(calls={"forward": forward}, arrays=lambda: {"output": np.array(forward())[:, 0]})


PEERS: Mapping[str, Callable[[Case], Ready]] = {
    "riverrun": riverrun,
    "torch.nn": torch_nn,
    "torch loop": torch_loop,
    "torch.compile": torch_compiled,
    "JAX scan": jax_scan,
    "ONNX Runtime": onnx_runtime,
    "OpenVINO": openvino,
}


def make(peer: str, *, threads: int, cell: str, shape: list[int], train: bool, path: str | None = None) -> Ready:
    """A case made ready by that peer."""
    return PEERS[peer](Case(cell=CELLS[cell], shape=Shape(*shape), threads=threads, train=train, path=path))
