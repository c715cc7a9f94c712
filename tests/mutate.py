"""The mutation run: bugs planted in a copy of the source, one at a time, each of which the suite must kill.

    python tests/mutate.py                all plants, each with the tests that ought to notice
    python tests/mutate.py swap-i-f ...   only these

Each plant replaces one text that stands exactly once in one file. Its tests run in a child of a process that has
imported torch already but no riverrun, and stop at the first failure. Killed means that a test failed on the plant and
passes on an unchanged copy: a plant that only breaks an import does not count.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import traceback
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).parent
SOURCE = TESTS.parent / "src"


class Plant(NamedTuple):
    """A bug: `old` becomes `new` in `file` (under src/riverrun); `tests` (under tests/) ought to notice."""

    bug: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


EQUATIONS = ("cells/test_equations.py",)
TABLE = ("cells/test_conformance.py",)
KERNELS = ("engine/test_kernels.py",)
LAYERS = ("layers/test_recurrent.py",)
CHAIN = ("layers/test_crf.py",)
LSTM, GRU, AFTER = "cells/lstm.py", "cells/gru.py", "cells/gru_after.py"
STACK = "layers/stack.py"

PLANTS: dict[str, Plant] = {
    # gates and equations
    "swap-i-f": Plant(
        "i and f change places",
        LSTM,
        "    i = sigmoid(x.i + U.i @ h)\n        f = sigmoid(x.f + U.f @ h)",
        "    f = sigmoid(x.i + U.i @ h)\n        i = sigmoid(x.f + U.f @ h)",
        EQUATIONS,
    ),
    "swap-r-z": Plant(
        "r and z change places",
        GRU,
        "    r = sigmoid(x.r + U.r @ h)\n        z = sigmoid(x.z + U.z @ h)",
        "    z = sigmoid(x.r + U.r @ h)\n        r = sigmoid(x.z + U.z @ h)",
        EQUATIONS,
    ),
    "z-for-1-z": Plant("z for 1 - z", GRU, "(1 - z) * h + z * n", "z * h + (1 - z) * n", EQUATIONS),
    "z-for-1-z-after": Plant("z for 1 - z", AFTER, "(1 - z) * n + z * h", "z * n + (1 - z) * h", EQUATIONS),
    "reset-after": Plant("reset after for before", GRU, "U.n @ (r * h)", "r * (U.n @ h)", EQUATIONS),
    "reset-before": Plant("reset before for after", AFTER, "r * (U.n @ h + b.hn)", "(U.n @ (r * h) + b.hn)", EQUATIONS),
    "forget-bias-in-the-step": Plant(
        "forget bias + 1 at every step", LSTM, "sigmoid(x.f + U.f @ h)", "sigmoid(x.f + U.f @ h + 1)", EQUATIONS
    ),
    "no-tanh-on-c": Plant("h = o c", LSTM, "o * tanh(c)", "o * c", EQUATIONS),
    "peephole-of-the-old-c": Plant(
        "o sees the old cell state",
        "cells/peephole.py",
        "        c = f * c + i * g\n        o = sigmoid(x.o + U.o @ h + p.o * c)\n        return o * tanh(c), c",
        "        o = sigmoid(x.o + U.o @ h + p.o * c)\n        c = f * c + i * g\n        return o * tanh(c), c",
        EQUATIONS,
    ),
    # kernels and parallel scan
    "kernel-gate-order": Plant(
        "torch's gates in another order",
        "engine/kernels.py",
        '_lstm, ("h", "c"), "ifgo")',
        '_lstm, ("h", "c"), "figo")',
        KERNELS,
    ),
    "kernel-drops-b-hh": Plant(
        "the GRU's b_hn is dropped", "engine/kernels.py", "hidden[-1] = inner", "hidden[-1] = zero", KERNELS
    ),
    "kernel-padding-off-by-one": Plant(
        "one step of padding is read",
        "engine/kernels.py",
        "valid = torch.arange(steps)[:, None] < lengths[None, :]",
        "valid = torch.arange(steps)[:, None] <= lengths[None, :]",
        KERNELS,
    ),
    "kernel-cut-off-by-one": Plant(
        "the state is put in place one step early",
        "engine/kernels.py",
        "torch.where(mask[start][:, None]",
        "torch.where(mask[start - 1][:, None]",
        KERNELS,
    ),
    "border-off-by-one": Plant(
        "backwards, a border lies one step late",
        "engine/timeline.py",
        "return torch.cat([torch.zeros_like(sequence[:1]), sequence[:-1]])",
        "return sequence",
        (*KERNELS, "engine/test_timeline.py"),
    ),
    "parallel-drops-the-start": Plant(
        "the initial state is ignored",
        "engine/parallel.py",
        "first = slope[:1] * initial + bias[:1]",
        "first = bias[:1]",
        ("engine/test_parallel.py",),
    ),
    # the loop
    "loop-padding-off-by-one": Plant(
        "one step of padding is read",
        "engine/eager.py",
        "unsqueeze(-1) < lengths).unsqueeze(-1)",
        "unsqueeze(-1) <= lengths).unsqueeze(-1)",
        TABLE,
    ),
    "loop-border-off-by-one": Plant(
        "backwards, a border lies one step late",
        "engine/eager.py",
        "border = t + 1 if reverse else t",
        "border = t",
        TABLE,
    ),
    "loop-not-reversed": Plant(
        "the loop runs forwards in both directions",
        "engine/eager.py",
        "reversed(range(steps)) if reverse else range(steps)",
        "range(steps)",
        TABLE,
    ),
    "fused-padding-off-by-one": Plant(
        "the gradient that arrives at padding is kept",
        "engine/fused.py",
        "outside = None if outside is None else outside.masked_fill(~course.valid, 0)",
        "outside = outside",
        (*TABLE, "layers/test_recurrent.py"),
    ),
    "fused-border-off-by-one": Plant(
        "backwards, a border lies one step late",
        "engine/forward.py",
        "border = t + 1 if self.reverse else t",
        "border = t",
        TABLE,
    ),
    "fused-not-reversed": Plant(
        "the fused loop runs forwards in both directions",
        "engine/forward.py",
        "range(self.steps - 1, -1, -1) if self.reverse else range(self.steps)",
        "range(self.steps)",
        TABLE,
    ),
    # layers
    "forget-bias-plus-1": Plant(
        "forget bias + 1 at the start",
        "layers/initialise.py",
        "b.fill_(options.forget_bias)",
        "b.fill_(options.forget_bias + 1)",
        ("layers/test_initialise.py",),
    ),
    "drop-b-hh": Plant(
        "torch's second bias is dropped",
        "nn/dropin.py",
        'else {f"b.{key}": total}',
        'else {f"b.{key}": b}',
        ("nn/test_modules.py",),
    ),
    "mix-up-states": Plant(
        "states of layers and directions mixed up", STACK, "begin[place],", "begin[-1 - place],", LAYERS
    ),
    "mix-up-resets": Plant(
        "every part is reset to the first one's state",
        STACK,
        "initial[place], resets",
        "initial[0], resets",
        ("layers/test_resets.py",),
    ),
    "not-reversed": Plant(
        "reverse is not reversed", STACK, 'reverse=part.direction == "reverse"', "reverse=False", LAYERS
    ),
    "no-dropout": Plant(
        "dropout between layers is ignored in training",
        STACK,
        "drop(out, self.dropouts.between, training)",
        "dropout(out, self.dropouts.between, False)",
        ("layers/test_dropouts.py",),
    ),
    "dropout-in-evaluation": Plant(
        "dropout between layers is active in evaluation",
        STACK,
        "drop(out, self.dropouts.between, training)",
        "dropout(out, self.dropouts.between, True)",
        ("layers/test_dropouts.py",),
    ),
    "no-weight-dropout": Plant(
        "DropConnect is ignored in training",
        STACK,
        "if training and self.dropouts.weight:",
        "if training and False:",
        ("layers/test_dropouts.py",),
    ),
    "weight-dropout-in-evaluation": Plant(
        "DropConnect is active in evaluation",
        STACK,
        "if training and self.dropouts.weight:",
        "if self.dropouts.weight:",
        ("layers/test_dropouts.py",),
    ),
    "variational-in-evaluation": Plant(
        "variational dropout is active in evaluation",
        STACK,
        "if training and self.dropouts.variational:\n                into",
        "if self.dropouts.variational:\n                into",
        ("layers/test_dropouts.py",),
    ),
    "training-program-in-evaluation": Plant(
        "recurrent dropout is active in evaluation",
        STACK,
        "program = self.training if training else self.evaluation",
        "program = self.training",
        ("layers/test_dropouts.py",),
    ),
    "evaluation-program-in-training": Plant(
        "recurrent dropout is ignored in training",
        STACK,
        "program = self.training if training else self.evaluation",
        "program = self.evaluation",
        ("layers/test_dropouts.py",),
    ),
    "layer-mask-off-by-one": Plant(
        "one step of padding passes between layers",
        STACK,
        "torch.arange(steps, device=device)[:, None] < lengths",
        "torch.arange(steps, device=device)[:, None] <= lengths",
        LAYERS,
    ),
    # labels, tags and pairs
    "padding-attended": Plant(
        "padding gets a share of attention",
        "attention/attend.py",
        ".softmax(-1) * near",
        ".softmax(-1)",
        ("attention/test_attention.py",),
    ),
    "next-from-the-wrong-tag": Plant(
        "transitions are read the wrong way round",
        "layers/crf.py",
        "into = chain.transitions.T.contiguous()",
        "into = chain.transitions.contiguous()",
        CHAIN,
    ),
    "unreached-tag": Plant(
        "a tag that no path reaches makes the gradient NaN",
        "layers/crf.py",
        "before = torch.where(before == -torch.inf, before.new_zeros(()), before)",
        "before = before + 0",
        CHAIN,
    ),
    "second-best-first": Plant(
        "the n-best lists lose the path's second place",
        "layers/crf.py",
        "found[:, t] = (place // n).T",
        "found[:, t] = (place // n).T[[0] * n]",
        CHAIN,
    ),
    "length-unpaid": Plant(
        "a beam's scores do not see how long a target is",
        "decoding/ranking.py",
        "((offset + n) / (offset + 1)) ** self.alpha",
        "(n / n) ** self.alpha",
        ("decoding/test_ranking.py",),
    ),
    "repeats-allowed": Plant(
        "an n-gram may come twice",
        "decoding/constraints.py",
        "log_p[row, windows[row, window, -1]] = -torch.inf",
        "log_p[row, windows[row, window, 0]] = -torch.inf",
        ("decoding/test_constraints.py",),
    ),
    "copies-from-neighbours": Plant(
        "a source lends its unknown tokens to other rows",
        "models/copying.py",
        "copied[:, V:].masked_fill(~stands[:, V:], -torch.inf)",
        "copied[:, V:]",
        ("models/test_encoder_decoder.py", "models/test_copying.py"),
    ),
    "n-grams-unscaled": Plant(
        "long texts have larger sums of n-grams",
        "layers/ngrams.py",
        "there * scale",
        "there * torch.ones_like(scale)",
        ("layers/test_ngrams.py",),
    ),
    "chain-is-cut": Plant(
        "the layers of a chain do not read what the one below has left",
        "engine/chain.py",
        "above = len(words) + INPUT if layer + 1 < len(streams) else 0",
        "above = 0",
        ("engine/test_chain.py",),
    ),
    "chain-writes-over-what-it-read": Plant(
        "a chain's step leaves its states where the ones before lie",
        "engine/chain.py",
        "made = empty_like(state)",
        "made = state",
        ("engine/test_chain.py",),
    ),
    "subnormals-for-ever": Plant(
        "no result is subnormal even after training",
        "training/hardware.py",
        "handle.rr_flush_subnormals(0)",
        "pass",
        ("training/test_hardware.py",),
    ),
}


def planted(plant: Plant, folder: Path) -> Path:
    """A copy of the source with the bug in it. ValueError where the text is not there exactly once."""
    copy = folder / "src"
    shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    file = copy / "riverrun" / plant.file
    text = file.read_text(encoding="utf-8")
    if text.count(plant.old) != 1:
        raise ValueError(f"{plant.file}: expected once, came {text.count(plant.old)} times: {plant.old!r}")
    file.write_text(text.replace(plant.old, plant.new), encoding="utf-8")
    return copy


def failures(source: Path, tests: list[str], *, first: bool) -> list[str]:
    """The tests that fail with riverrun taken from `source`, or only the first one. They run in a forked child."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        try:
            os.write(write, "\n".join(["ran", *_run(source, tests, first)]).encode())
        except BaseException:
            os.write(write, traceback.format_exc().encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, encoding="utf-8") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    ran, *failed = said.split("\n")
    if ran != "ran":
        raise RuntimeError(f"the tests could not run: {said or 'the child died'}")
    return failed


def _run(source: Path, tests: list[str], first: bool) -> list[str]:
    import pytest

    failed: list[str] = []

    class Watcher:
        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            if report.failed:
                failed.append(report.nodeid)

    assert not any(name.split(".")[0] == "riverrun" for name in sys.modules)
    # An editable install finds riverrun before sys.path does.
    sys.meta_path[:] = [finder for finder in sys.meta_path if not type(finder).__module__.startswith("_editable_")]
    sys.path[:0] = [str(source), str(TESTS)]
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    os.chdir(TESTS.parent)
    stop = ["-x"] if first else []
    code = pytest.main([*stop, "-q", "-p", "no:cacheprovider", *tests], plugins=[Watcher()])
    import riverrun

    assert Path(riverrun.__file__).is_relative_to(source), "the tests ran on another riverrun"
    assert code in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED), f"pytest ended with {code}"
    return failed


def main(names: list[str]) -> int:
    """Plant each bug, run what failed on an unchanged copy, say of each plant what killed it; 1 if one lives."""
    import torch  # what every child needs and no plant changes

    torch.set_num_threads(1)
    killer: dict[str, str] = {}
    for name in names or list(PLANTS):
        with tempfile.TemporaryDirectory() as folder:
            source = planted(PLANTS[name], Path(folder))
            failed = failures(source, [str(TESTS / test) for test in PLANTS[name].tests], first=True)
        killer[name] = failed[0] if failed else ""
    guilty = sorted({test for test in killer.values() if test})
    anyway = failures(SOURCE, guilty, first=False) if guilty else []
    for name, test in killer.items():
        word = "killed" if test and test not in anyway else "ALIVE "
        because = f"{test} fails without the plant, too" if test in anyway else test or "no test failed"
        print(f"{word}  {name:32} {PLANTS[name].bug}: {because}")
    return 0 if all(test and test not in anyway for test in killer.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
