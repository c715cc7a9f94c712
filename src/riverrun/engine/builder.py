"""Writes Programs: nodes are added one by one, equal ones are one, and what nothing reads falls away."""

from __future__ import annotations

from collections.abc import Iterable

from riverrun.engine.program import Node


class Builder:
    """A growing list of nodes, each distinct one once."""

    def __init__(self, nodes: Iterable[Node] = ()) -> None:
        self.nodes: list[Node] = []
        self._known: dict[Node, int] = {}
        for node in nodes:
            self.put(node)

    def put(self, node: Node) -> int:
        """The position of this node, which is added unless it is there."""
        if node not in self._known:
            self._known[node] = len(self.nodes)
            self.nodes.append(node)
        return self._known[node]

    def add(self, op: str, *inputs: int, key: str = "", width: str = "") -> int:
        """An operation on nodes that are there; without `width`, as wide as its first input that is no constant."""
        if not width:
            width = next((self.nodes[i].width for i in inputs if self.nodes[i].op != "const"), "H")
        return self.put(Node(op, inputs, key, width=width))

    def const(self, value: float) -> int:
        """A number."""
        return self.put(Node("const", value=value, width=""))

    def leaf(self, op: str, key: str, width: str) -> int:
        """A leaf."""
        return self.put(Node(op, (), key, width=width))

    def total(self, parts: list[int]) -> int:
        """The sum of nodes; a negated one is subtracted."""
        plus = [p for p in parts if self.nodes[p].op != "neg"]
        minus = [self.nodes[p].inputs[0] for p in parts if self.nodes[p].op == "neg"]
        if not plus:
            return self.add("neg", self.total(minus))
        result = plus[0]
        for part in plus[1:]:
            result = self.add("add", result, part)
        for part in minus:
            result = self.add("sub", result, part)
        return result

    def times(self, a: int, b: int) -> int:
        """The product of two nodes place by place; a sign is drawn out, so that sums can subtract."""
        for one, other in ((a, b), (b, a)):
            if self.nodes[one].op == "neg":
                return self.add("neg", self.times(self.nodes[one].inputs[0], other))
            if self.nodes[one].op == "const" and self.nodes[one].value == 1.0:
                return other
        return self.add("mul", a, b)
