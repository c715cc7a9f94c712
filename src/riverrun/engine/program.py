"""A recurrence as a list of operations: what a cell's step becomes once it is traced.

A `Program` is one time step in single assignment form: every `Node` names its operation and the nodes it reads, which
all come before it. The list of operations is closed; this is all of it:

    leaves       x        x.k      = W.k x_t + b.k, projected for all steps before the loop
                                     (W.k x_t alone where b.k is in the loop, as layer norm has it)
                 state    h        the state before the step
                 bias     b.k      a bias inside the loop (absent when the layer has none)
                 vector   p.k      any other vector, such as a peephole
                 mask     name     an input of the layer: a dropout or zoneout mask
                 const             a number
    product      matmul   U.k @ v  = v U.k^T
    elementwise  add sub mul div maximum minimum
                 neg sigmoid tanh relu exp log softplus square sqrt abs
    rowwise      mean     the mean of a row, at every place of the row
                 rstd     1 / sqrt(variance of a row + 1e-5), at every place of the row

and those that only the program of a gradient uses (`adjoint.py`):

    leaves       saved    a value of the forward step       gradient    what arrives at a new state
    product      matmul_t g @ U.k
    elementwise  sign     -1, 0, 1                          positive      1 where v > 0, else 0
                 sigmoid_grad  g y (1 - y)                 tanh_grad     g (1 - y^2)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from riverrun.errors import UsageError

LEAVES = ("x", "state", "bias", "vector", "mask", "const", "saved", "gradient")
PRODUCTS = ("matmul", "matmul_t")
UNARY = (
    "neg", "sigmoid", "tanh", "relu", "exp", "log", "softplus", "square", "sqrt", "abs", "sign", "positive",
)  # fmt: skip
BINARY = ("add", "sub", "mul", "div", "maximum", "minimum")
GRADIENTS = ("sigmoid_grad", "tanh_grad")
ROWWISE = ("mean", "rstd")
OPERATIONS = (*LEAVES, *PRODUCTS, *UNARY, *BINARY, *GRADIENTS, *ROWWISE)
RSTD_EPSILON = 1e-5


@dataclass(frozen=True, slots=True)
class Node:
    """One operation. `inputs` are the positions of the nodes it reads; `key` names a leaf or a product's weight."""

    op: str
    inputs: tuple[int, ...] = ()
    key: str = ""
    value: float = 0.0  # of a const
    width: str = field(default="H", compare=False)  # the symbol of its row's width
    where: str = field(default="", compare=False)  # file:line that wrote it


@dataclass(frozen=True, slots=True)
class Group:
    """Products that share their operand, and so are one product: operand [B, m] times packed weights [m, sum n]."""

    operand: int
    members: tuple[int, ...]  # matmul nodes
    stage: int  # how many products have to be done before this one


@dataclass(frozen=True, kw_only=True)
class Program:
    """One time step of a recurrence, as operations.

    `outputs[i]` is the node of the new `states[i]`; the first is the layer's output. `named` are the values that can be
    recorded, by name: the step's locals, and each new state under the state's name. `candidate` is the named value
    that recurrent dropout multiplies, if the cell says one.
    """

    nodes: tuple[Node, ...]
    states: tuple[str, ...]
    outputs: tuple[int, ...]
    named: tuple[tuple[str, int], ...] = ()
    candidate: str | None = None
    state_widths: tuple[str, ...] = ()  # the symbol of each state's width, in order

    @cached_property
    def _hash(self) -> int:
        return hash((self.nodes, self.states, self.outputs, self.named, self.candidate, self.state_widths))

    def __hash__(self) -> int:
        return self._hash

    def keys(self, op: str) -> tuple[str, ...]:
        """The keys of all nodes with this operation, each once, in the order of their first use."""
        return tuple(dict.fromkeys(node.key for node in self.nodes if node.op == op))

    @cached_property
    def x_keys(self) -> tuple[str, ...]:
        """k for each x.k: one input projection W.k, and its bias b.k."""
        return self.keys("x")

    @cached_property
    def u_keys(self) -> tuple[str, ...]:
        """k for each U.k."""
        return self.keys("matmul")

    @cached_property
    def b_keys(self) -> tuple[str, ...]:
        """k for each bias inside the loop; those of x.k are not among them."""
        return self.keys("bias")

    @cached_property
    def x_biases(self) -> tuple[str, ...]:
        """k for each x.k to which b.k is added before the loop: all but those whose b.k is inside it."""
        return tuple(key for key in self.x_keys if key not in self.b_keys)

    @cached_property
    def p_keys(self) -> tuple[str, ...]:
        """k for each vector p.k."""
        return self.keys("vector")

    @cached_property
    def mask_keys(self) -> tuple[str, ...]:
        """The masks that a scan of this program must be given."""
        return self.keys("mask")

    @cached_property
    def names(self) -> dict[str, int]:
        """`named` as a dictionary: recordable name to node."""
        return dict(self.named)

    @cached_property
    def sizes(self) -> tuple[str, ...]:
        """The symbols of all widths that occur, "H" first."""
        found = [*self.state_widths, *(node.width for node in self.nodes if node.op != "const")]
        return tuple(dict.fromkeys(["H", *found]))

    @cached_property
    def weights(self) -> dict[str, tuple[str, ...]]:
        """The symbolic shape of every parameter: `{"W.i": ("H", "I"), "U.i": ("H", "H"), "b.i": ("H",), ...}`."""
        shapes: dict[str, tuple[str, ...]] = {}
        width = {("x", n.key): n.width for n in self.nodes if n.op == "x"}
        for key in self.x_keys:
            shapes[f"W.{key}"] = (width["x", key], "I")
        for node in self.nodes:
            if node.op == "matmul":
                shapes[f"U.{node.key}"] = (node.width, self.nodes[node.inputs[0]].width)
        for key in self.x_biases:
            shapes[f"b.{key}"] = (width["x", key],)
        for node in self.nodes:
            if node.op in ("bias", "vector"):
                shapes[f"{'b' if node.op == 'bias' else 'p'}.{node.key}"] = (node.width,)
        return shapes

    def resolve(self, sizes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
        """The shape of every parameter in numbers, given one for each of `sizes` and for the input's "I".

        Raises UsageError where a size is missing.
        """
        missing = [s for s in (*self.sizes, "I") if s not in sizes and self._uses(s)]
        if missing:
            raise UsageError(f"sizes: expected a number for {', '.join(missing)}, came {dict(sizes)}.")
        return {name: tuple(sizes[s] for s in shape) for name, shape in self.weights.items()}

    def _uses(self, symbol: str) -> bool:
        return any(symbol in shape for shape in self.weights.values()) or symbol in self.state_widths

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """Products with the same operand, in the order in which they can be done."""
        stage = [0] * len(self.nodes)
        members: dict[int, list[int]] = {}
        for index, node in enumerate(self.nodes):
            before = max((stage[i] for i in node.inputs), default=0)
            if node.op == "matmul":
                members.setdefault(node.inputs[0], []).append(index)
                before += 1
            stage[index] = before
        found = [Group(operand, tuple(nodes), stage[operand]) for operand, nodes in members.items()]
        return tuple(sorted(found, key=lambda group: (group.stage, group.operand)))

    @cached_property
    def uses(self) -> tuple[int, ...]:
        """How many times each node is read, being a new state counted as one."""
        counts = [0] * len(self.nodes)
        for index in [i for node in self.nodes for i in node.inputs] + list(self.outputs):
            counts[index] += 1
        return tuple(counts)

    def __str__(self) -> str:
        """The program as numbered lines, for reading."""
        lines = []
        for index, node in enumerate(self.nodes):
            inputs = "".join(f" %{i}" for i in node.inputs)
            label = f" {node.key}" if node.key else f" {node.value:g}" if node.op == "const" else ""
            lines.append(f"%{index} = {node.op}{label}{inputs}  [{node.width}]")
        new = ", ".join(f"{state} = %{index}" for state, index in zip(self.states, self.outputs, strict=True))
        return "\n".join([*lines, f"new: {new}"])


def pruned(
    nodes: Iterable[Node],
    outputs: tuple[int, ...],
    named: Iterable[tuple[str, int]] = (),
) -> tuple[tuple[Node, ...], tuple[int, ...], tuple[tuple[str, int], ...]]:
    """The nodes that the outputs need, in the same order, renumbered; names of nodes that are not needed go."""
    old = list(nodes)
    alive: set[int] = set()
    stack = list(outputs)
    while stack:
        index = stack.pop()
        if index not in alive:
            alive.add(index)
            stack.extend(old[index].inputs)
    place = {index: new for new, index in enumerate(sorted(alive))}
    kept = tuple(
        Node(n.op, tuple(place[i] for i in n.inputs), n.key, n.value, n.width, n.where)
        for n in (old[index] for index in sorted(alive))
    )
    names = tuple((name, place[index]) for name, index in named if index in place)
    return kept, tuple(place[index] for index in outputs), names
