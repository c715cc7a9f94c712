"""The words that the native engine reads: every section where it belongs, every gradient summed once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from engine.steps import STEPS, program_of
from engine.test_segments import REWRITES

from riverrun.engine import segments
from riverrun.engine.code import OF_PRODUCTS, OF_SERIES, OF_TOTALS, backward_code, forward_code
from riverrun.engine.segments import OPERATIONS, X

SIZES = (("H", 6), ("O", 9), ("I", 5))


def sections(code):
    """The words of a code, section by section, as csrc/call.hpp reads them."""
    header, rest = code.words[:16].tolist(), code.words[16:].tolist()
    counts = dict(
        zip(
            ("slots", "segments", "row_operations", "products", "terms", "instructions", "projections", "constants",
             "tiles", "landings", "rows", "x_width", "sums", "input_terms", "results", "padded"),
            header, strict=True,
        )
    )  # fmt: skip
    found = {**counts}
    layout = (
        ("slots", 4), ("segments", 7), ("row_operations", 3), ("products", 4), ("terms", 2), ("instructions", 5),
        ("projections", 3), ("rows", 1), ("sums", 7), ("input_terms", 2), ("results", 1), ("padded", 1),
        ("constants", 2),
    )  # fmt: skip
    for name, width in layout:
        taken, rest = rest[: counts[name] * width], rest[counts[name] * width :]
        found[name] = [tuple(taken[i : i + width]) for i in range(0, len(taken), width)]
    assert not rest
    return found


@pytest.mark.parametrize("rewrite", REWRITES)
@pytest.mark.parametrize("name", STEPS)
def test_every_weight_gets_its_gradient_from_one_sum_as_wide_as_it_is(name, rewrite):
    program = REWRITES[rewrite](program_of(name))
    sizes = tuple((s, dict(SIZES).get(s, 4)) for s in (*program.sizes, "I"))
    shapes = program.resolve(dict(sizes))
    code = backward_code(program, sizes, frozenset(program.x_biases), frozenset(), True)
    found = sections(code)
    assert len(found["sums"]) == len(code.sums)
    named = Counter(name for found in code.sums for name in found.names)
    assert set(named) <= set(shapes)
    assert all(count == sum(n.op == "matmul" and f"U.{n.key}" == key for n in program.nodes) or count == 1
               for key, count in named.items())  # fmt: skip
    for sum_, words in zip(code.sums, found["sums"], strict=True):
        kind, array, _, n, _, m, _ = words
        of = OF_PRODUCTS if sum_.m else OF_TOTALS if code.arrays[array].role == "total" else OF_SERIES
        assert (kind, n, m) == (of, sum(sum_.widths), sum_.m)
        for key, width in zip(sum_.names, sum_.widths, strict=True):
            assert shapes[key] == ((width, sum_.m) if sum_.m else (width,))


def test_the_gradients_of_an_lstm_are_one_product_for_all_gates():
    program = program_of("lstm")
    code = backward_code(program, SIZES, frozenset(program.x_biases), frozenset(), True)
    assert sorted(len(found.names) for found in code.sums) == [4, 4, 4]  # U, W, b


def test_the_words_say_what_the_segments_are_and_end_with_the_constants():
    program = program_of("everything")
    code = forward_code(program, SIZES, frozenset(), frozenset(program.x_biases), frozenset())
    found = sections(code)
    assert [p[0] for p in found["projections"]] == list(range(len(program.x_keys)))
    assert found["x_width"] == 6 * len(program.x_keys)
    assert sum(kind == X for kind, *_ in found["slots"]) == len(program.x_keys)
    halves = np.array(found["constants"], np.int32)
    assert halves.view(np.float64).flatten().tolist() == code.constants.tolist() == [2.0, 1.0]
    starts = [segment[5] for segment in found["segments"]]
    lengths = [segment[6] for segment in found["segments"]]
    assert starts == [sum(lengths[:i]) for i in range(len(lengths))]  # call.hpp relies on it
    assert [a.role for a in code.arrays[:2]] == ["after", "after"]


def test_equal_requests_get_the_same_code():
    program = program_of("gru")
    assert forward_code(program, SIZES, frozenset(), frozenset(), frozenset()) is forward_code(
        program_of("gru"), SIZES, frozenset(), frozenset(), frozenset()
    )


def test_the_numbers_of_operations_and_kinds_are_those_of_the_library():
    """Read from its source: a wrong one would compute another function."""
    csrc = Path(__file__).parents[2] / "csrc"
    text = (csrc / "interpret.hpp").read_text(encoding="utf-8")
    body = text[text.index("enum Op") : text.index("};", text.index("enum Op"))]
    theirs = {}
    for line in body.splitlines():
        if line.strip().startswith("OP_"):
            name, _, number = line.split(",")[0].partition("=")
            theirs[name.strip()[3:].lower()] = int(number)
    assert theirs == OPERATIONS
    kinds = (csrc / "call.hpp").read_text(encoding="utf-8").partition("enum Kind : int32_t { ")[2].partition(" };")[0]
    assert [getattr(segments, kind) for kind in kinds.split(", ")] == list(range(12))
