"""Characters a second: a character model writes, one stream, temperature 1, one peer after another.

The model: 65 characters, vectors as wide as riverrun's own default, stacked LSTM layers, an output layer. Before the
timing all peers read the same text and must give the same logits. Then each draws from its own random numbers.
Embedding and first product are one table in the torch cell and in JAX, as anybody would fold them who writes such a
loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from engine_cases import CELLS, Array, lstm
from engine_peers import Ready, jax_maths, onnx_session, onnx_weights, torch_maths

VOCABULARY = 65
READ = 40  # characters that all peers read for the comparison
WRITTEN = {"riverrun": 1000, "JAX scan": 2000}  # a call's characters, where not 100


class Model:
    """The weights, in riverrun's names: "embedding", "output.weight", "output.bias", and of each layer "W.i", ..."""

    def __init__(self, hidden: int, layers: int) -> None:
        self.hidden, self.embedding = hidden, min(128, hidden)
        random = np.random.default_rng(hidden)
        self.vectors = random.standard_normal((VOCABULARY, self.embedding), dtype=np.float32)
        widths = [self.embedding] + [hidden] * (layers - 1)
        self.layers = [CELLS["lstm"].weights(width, hidden, seed=n) for n, width in enumerate(widths)]
        bound = 4.0 * hidden**-0.5  # a text that is not one character over and over
        self.weight = random.uniform(-bound, bound, (VOCABULARY, hidden)).astype(np.float32)
        self.bias = random.uniform(-bound, bound, VOCABULARY).astype(np.float32)
        self.text = random.integers(0, VOCABULARY, READ)

    def packed(self) -> list[dict[str, Array]]:
        """Each layer as the peers have it; the first one's W and b are a table [V, 4 H] under "table"."""
        found = [CELLS["lstm"].pack(layer) for layer in self.layers]
        found[0]["table"] = self.vectors @ found[0].pop("W") + found[0].pop("b")
        return found


def riverrun(model: Model, written: int, threads: int) -> Ready:
    """A language model's generator under decoding.generate."""
    import torch

    from riverrun.decoding.sampling import Sampling, generate
    from riverrun.models.language_model import LanguageModel
    from riverrun.models.options import LanguageModelOptions

    torch.set_num_threads(threads)
    options = LanguageModelOptions(hidden=model.hidden, layers=len(model.layers), embedding=model.embedding)
    whole = LanguageModel(options, VOCABULARY).eval()
    state = {"embedding.weight": model.vectors, "output.weight": model.weight, "output.bias": model.bias}
    for n, layer in enumerate(model.layers):
        state |= {f"recurrent.layers.{n}.forward.{name}": value for name, value in layer.items()}
    whole.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
    generator, sampling = whole.generator(), Sampling(temperature=1.0)

    def write() -> None:
        for _ in generate(generator, None, [0], written, sampling=sampling):
            pass

    def arrays() -> dict[str, Array]:
        logits, _ = generator(torch.from_numpy(model.text)[:, None], None)
        return {"logits": logits[:, 0].numpy()}

    return Ready(calls={"write": write}, arrays=arrays, units=written)


def torch_nn(model: Model, written: int, threads: int) -> Ready:
    """nn.Embedding, nn.LSTM, nn.Linear, one character a call."""
    import torch

    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    embedding = torch.nn.Embedding(*model.vectors.shape)
    embedding.weight.copy_(torch.from_numpy(model.vectors))
    network = torch.nn.LSTM(model.embedding, model.hidden, len(model.layers))
    for n, layer in enumerate(model.layers):
        w = {name: torch.from_numpy(value) for name, value in CELLS["lstm"].pack(layer).items()}
        getattr(network, f"weight_ih_l{n}").copy_(w["W"].T)
        getattr(network, f"weight_hh_l{n}").copy_(w["U"].T)
        getattr(network, f"bias_ih_l{n}").copy_(w["b"])
        getattr(network, f"bias_hh_l{n}").zero_()
    output = torch.nn.Linear(model.hidden, VOCABULARY)
    output.weight.copy_(torch.from_numpy(model.weight))
    output.bias.copy_(torch.from_numpy(model.bias))
    zero = torch.zeros(len(model.layers), 1, model.hidden)

    def step(token: Any, state: Any) -> tuple[Any, Any]:
        hidden, state = network(embedding(token)[None], state)
        return output(hidden[0]), state

    return _torch(model, step, (zero, zero), written)


def torch_cell(model: Model, written: int, threads: int) -> Ready:
    """The cell by hand in torch operations, weights packed, embedding and first product one table."""
    import torch

    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    m = torch_maths()
    layers = [{name: torch.from_numpy(value) for name, value in layer.items()} for layer in model.packed()]
    V, a = torch.from_numpy(model.weight).T.contiguous(), torch.from_numpy(model.bias)
    zero = torch.zeros(1, model.hidden)

    def step(token: Any, states: Any) -> tuple[Any, Any]:
        after: list[Any] = []
        for w, state in zip(layers, states, strict=True):
            x = w["table"][token] if not after else torch.addmm(w["b"], after[-1][0], w["W"])
            after.append(lstm(m, w, x, state))
        return torch.addmm(a, after[-1][0], V), after

    return _torch(model, step, [(zero, zero)] * len(layers), written)


def _torch(model: Model, step: Callable[[Any, Any], tuple[Any, Any]], start: Any, written: int) -> Ready:
    import torch

    def write() -> None:
        token, state = torch.zeros(1, dtype=torch.int64), start
        for _ in range(written):
            logits, state = step(token, state)
            token = torch.multinomial(torch.softmax(logits[0], -1), 1)

    def arrays() -> dict[str, Array]:
        found, state = [], start
        for token in torch.from_numpy(model.text)[:, None]:
            logits, state = step(token, state)
            found.append(logits[0].numpy())
        return {"logits": np.stack(found)}

    return Ready(calls={"write": write}, arrays=arrays, units=written)


def onnx_runtime(model: Model, written: int, threads: int) -> Ready:
    """ONNX Runtime: embedding, LSTM nodes and output layer in one graph of one step; NumPy draws."""
    from onnx import TensorProto, helper, numpy_helper

    H, stack = model.hidden, range(len(model.layers))
    arrays = {"vectors": model.vectors, "weight": model.weight.T.copy(), "bias": model.bias, "axis": np.array([1])}
    nodes = [helper.make_node("Gather", ["vectors", "token"], ["x0"])]  # [1, 1, E]
    for n in stack:
        operator, attributes, weights = onnx_weights(CELLS["lstm"], model.layers[n])
        arrays |= {f"{name}{n}": value for name, value in weights.items()}
        given = [f"x{n}", f"W{n}", f"R{n}", f"B{n}", "", f"h{n}", f"c{n}"]
        nodes.append(helper.make_node(operator, given, [f"y{n}", f"h{n}_", f"c{n}_"], hidden_size=H, **attributes))
        nodes.append(helper.make_node("Squeeze", [f"y{n}", "axis"], [f"x{n + 1}"]))  # [1, 1, H]
    nodes.append(helper.make_node("MatMul", [f"x{len(model.layers)}", "weight"], ["product"]))
    nodes.append(helper.make_node("Add", ["product", "bias"], ["logits"]))  # [1, 1, V]
    names = [f"{kind}{n}" for n in stack for kind in "hc"]

    def value(name: str, width: int) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, width])

    graph = helper.make_graph(
        nodes,
        "characters",
        [helper.make_tensor_value_info("token", TensorProto.INT64, [1, 1]), *(value(name, H) for name in names)],
        [value("logits", VOCABULARY), *(value(f"{name}_", H) for name in names)],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    whole = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    session = onnx_session(whole.SerializeToString(), threads)
    wanted = ["logits", *(f"{name}_" for name in names)]
    start = [np.zeros((1, 1, H), np.float32)] * len(names)
    random = np.random.default_rng(0)

    def step(token: int, state: list[Any]) -> tuple[Any, list[Any]]:
        given = {"token": np.array([[token]]), **dict(zip(names, state, strict=True))}
        logits, *state = session.run(wanted, given)
        return logits[0, 0], state

    def write() -> None:
        token, state = 0, start
        for _ in range(written):
            logits, state = step(token, state)
            cumulative = np.exp(logits - logits.max()).cumsum()
            token = int(cumulative.searchsorted(random.random() * cumulative[-1]))

    def compared() -> dict[str, Array]:
        found, state = [], start
        for token in model.text:
            logits, state = step(token, state)
            found.append(logits)
        return {"logits": np.stack(found)}

    return Ready(calls={"write": write}, arrays=compared, units=written)


def jax_scan(model: Model, written: int, threads: int) -> Ready:
    """JAX: the whole writing one compiled scan; its uniforms are drawn before it, as cheaply as can be."""
    import jax
    import jax.numpy as jnp

    m = jax_maths()
    layers = [{name: jnp.asarray(value) for name, value in layer.items()} for layer in model.packed()]
    V, a = jnp.asarray(model.weight.T), jnp.asarray(model.bias)
    start = tuple((jnp.zeros((1, model.hidden)),) * 2 for _ in layers)

    def step(token: Any, states: Any, layers: Any, V: Any, a: Any) -> tuple[Any, Any]:
        after: list[Any] = []
        for w, state in zip(layers, states, strict=True):
            x = w["table"][token][None] if not after else after[-1][0] @ w["W"] + w["b"]
            after.append(lstm(m, w, x, state))
        return (after[-1][0] @ V + a)[0], tuple(after)

    @jax.jit
    def writing(uniforms: Any, layers: Any, V: Any, a: Any) -> Any:
        def one(carried: Any, uniform: Any) -> Any:
            logits, states = step(carried[0], carried[1], layers, V, a)
            cumulative = jnp.cumsum(jnp.exp(logits - logits.max()))
            token = (cumulative <= uniform * cumulative[-1]).sum().clip(max=VOCABULARY - 1)
            return (token, states), token

        return jax.lax.scan(one, (jnp.int32(0), start), uniforms)[1]

    @jax.jit
    def reading(text: Any, layers: Any, V: Any, a: Any) -> Any:
        def one(states: Any, token: Any) -> Any:
            logits, states = step(token, states, layers, V, a)
            return states, logits

        return jax.lax.scan(one, start, text)[1]

    uniforms = jnp.asarray(np.random.default_rng(0).random(written, dtype=np.float32))
    text = jnp.asarray(model.text.astype(np.int32))
    return Ready(
        calls={"write": lambda: jax.block_until_ready(writing(uniforms, layers, V, a))},
        arrays=lambda: {"logits": np.asarray(reading(text, layers, V, a))},
        units=written,
    )


PEERS: Mapping[str, Callable[[Model, int, int], Ready]] = {
    "riverrun": riverrun,
    "torch.nn": torch_nn,
    "torch cell": torch_cell,
    "ONNX Runtime": onnx_runtime,
    "JAX scan": jax_scan,
}


def make(peer: str, *, threads: int, hidden: int, layers: int) -> Ready:
    """A model made ready by that peer."""
    return PEERS[peer](Model(hidden, layers), WRITTEN.get(peer, 100), threads)
