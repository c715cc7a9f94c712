"""Labels: the names of the labels, their order, and how often the training part has each; the file labels.json."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from riverrun.data.labelled import Example, scale
from riverrun.data.labelled_options import LABELS
from riverrun.errors import DataError, ModelError

Targets = NDArray[np.int64] | NDArray[np.float32]
# From a label's name to what it was in Python.
VALUES: dict[str, Callable[[str], Any]] = {"str": str, "int": int, "float": float, "bool": lambda name: name == "true"}
UNSEEN = -1  # the number of a label that the training part lacks


class Labels(NamedTuple):
    """The labels of a classifier. kind: "one" of them, "several", or "ordered" from the lowest to the highest number.

    counts: how many training examples have each. examples: how many training examples there are. values: what the
    labels were in Python, one of VALUES.

    >>> Labels.of([Example("a", ("y",)), Example("b", ("x",)), Example("c", ("y",))], "one")
    Labels(kind='one', names=('x', 'y'), counts=(1, 2), examples=3, values='str')
    """

    kind: str
    names: tuple[str, ...]
    counts: tuple[int, ...]
    examples: int
    values: str = "str"

    @staticmethod
    def of(examples: Sequence[Example], kind: str, values: str = "str") -> Labels:
        """The labels of the training examples. Raises DataError where there is nothing to tell apart."""
        counts = Counter(label for example in examples for label in example.labels)
        # As scikit-learn wants the columns of probabilities: in the order of the labels themselves.
        names = scale(list(counts)) if kind == "ordered" else sorted(counts, key=VALUES[values])
        if len(names) < (1 if kind == "several" else 2):
            what = f"the only label is {names[0]!r}" if names else "there is no label"
            raise DataError(f"{what}: there is nothing to tell apart. Give examples of two labels at least.")
        return Labels(kind, tuple(names), tuple(counts[name] for name in names), len(examples), values)

    @staticmethod
    def from_json(data: bytes) -> Labels:
        """The labels that `to_json` wrote. Raises ModelError where the bytes are none."""
        try:
            content = json.loads(data)
            found = Labels(
                str(content["kind"]),
                tuple(str(name) for name in content["names"]),
                tuple(int(count) for count in content["counts"]),
                int(content["examples"]),
                str(content.get("values", "str")),
            )
            if (
                found.kind not in LABELS
                or found.values not in VALUES
                or len(found.names) != len(found.counts)
                or not found.names
            ):
                raise ValueError("names and counts do not fit")
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(f"labels.json: not labels that riverrun wrote ({error}).") from None
        return found

    def to_json(self) -> bytes:
        """The content of labels.json."""
        return (json.dumps(self._asdict(), indent=1, ensure_ascii=False) + "\n").encode()

    def targets(self, examples: Sequence[Example]) -> Targets:
        """What a model is to say: [N] numbers of labels, UNSEEN for unknown ones; of several labels [N, C], 0 or 1."""
        place = {name: number for number, name in enumerate(self.names)}
        if self.kind != "several":
            return np.array([place.get(example.labels[0], UNSEEN) for example in examples], np.int64)
        found = np.zeros((len(examples), len(self.names)), np.float32)
        for row, example in enumerate(examples):
            for label in example.labels:
                if label in place:
                    found[row, place[label]] = 1
        return found

    def as_given(self) -> list[Any]:
        """The labels as they were in Python: text, or numbers."""
        return [VALUES[self.values](name) for name in self.names]

    def unseen(self, example: Example) -> list[str]:
        """The labels of an example that the training part lacks."""
        return [label for label in example.labels if label not in self.names]
