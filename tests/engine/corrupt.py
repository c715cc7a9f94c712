"""Calls of the native engine with wrong numbers in them: a program of its own, since a mistake of the engine's ends it.

    python tests/engine/corrupt.py SEED COUNT

Every call that a few scans make, forward and backward, is made COUNT times with one to three of its numbers changed:
of the code all, and beside it whatever counts, names an array or a state, or says how large the work is. What describes
the caller's own memory (addresses, distances, sizes of arrays) stays as it is: that the library has to believe. It has
to answer 0 (it fits nevertheless), 1 (it does not) or 2 (no memory), and to live. Prints how often it answered what.
"""

from __future__ import annotations

import ctypes
import faulthandler
import sys
from array import array
from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from engine.calls import Call, drawn
from engine.steps import program_of

from riverrun.engine import native
from riverrun.engine.rewrite import layer_norm, zoneout

HEADER, ARRAY, WEIGHT, STATE, OVERRIDE = 24, 4, 6, 7, 10  # words, as in csrc/call.hpp
SIZES, COUNTS, CODE, LENGTH = (0, 1, 2), (3, 4, 8, 9, 10, 11, 20), 19, 20


def calls() -> list[Call]:
    everything = layer_norm(program_of("peephole"))
    return [
        drawn("everything", ragged=True, forced=True),
        drawn(zoneout(program_of("gru_after"), "h"), stepwise=True, reverse=True, dtype=torch.float32),
        drawn(everything, T=3, B=2, H=70, dtype=torch.float32),
        drawn("jordan", T=1, B=1, I=2, H=5),
        drawn("multiplicative", T=2, B=13, ragged=True),
        drawn("straight"),
        drawn("twins", H=65, dtype=torch.float32),
    ]


def changed(value: int, random: Random) -> int:
    return random.choice(
        (
            value + 1,
            value - 1,
            -value,
            2 * value,
            0,
            1,
            -1,
            2**31 - 1,
            -(2**31),
            random.randrange(12),
            random.randrange(300),
        )
    )


def shifted(value: int, random: Random) -> int:
    """The same for a word of 64 bits."""
    far = changed(value, random) << random.choice((0, 0, 0, 20, 32))
    return min(max(far, -(2**63)), 2**63 - 1)


def places(words: array[int]) -> list[int]:
    """The words that say which and how many, apart from T, B and I."""
    arrays, weights, states, overrides = words[10], words[11], words[8], words[9]
    first = HEADER + ARRAY * arrays + WEIGHT * weights
    found = list(COUNTS)
    for index in range(states):
        found += [first + STATE * index + 2, first + STATE * index + 3]  # its width, where it is after a step
    return found + [first + STATE * states + OVERRIDE * index for index in range(overrides)]


def torment(words: array[int], dtype: torch.dtype, backward: bool, random: Random, count: int) -> Counter[int]:
    """The answers to so many changed calls."""
    entry = native._entry(dtype)
    code = np.frombuffer(ctypes.string_at(words[CODE], 4 * words[LENGTH]), np.int32)
    answers: Counter[int] = Counter()
    beside = places(words)
    for _ in range(count):
        these, wrong = words[:], code.copy()
        these[CODE] = wrong.ctypes.data
        kind = random.random()
        for _ in range(random.choice((1, 1, 1, 2, 3))):
            if kind < 0.7:
                place = random.randrange(len(wrong)) if random.random() < 0.8 else random.randrange(16)
                wrong[place] = min(max(changed(int(wrong[place]), random), -(2**31)), 2**31 - 1)
            elif kind < 0.9:
                place = random.choice(beside)
                these[place] = shifted(these[place], random)
        if kind >= 0.9:  # one alone: two together can describe the same memory in another way
            place = random.choice(SIZES)
            these[place] = shifted(these[place], random)
        size = len(these) if random.random() < 0.95 else random.randrange(len(these))
        answers[entry(these.buffer_info()[0], size, backward if random.random() < 0.95 else not backward)] += 1
    return answers


def main(seed: int, count: int) -> None:
    random = Random(seed)
    answers: Counter[int] = Counter()
    right = native.call

    def tormented(words: array[int], dtype: torch.dtype, backward: bool) -> None:
        answers.update(torment(words, dtype, backward, random, count))
        right(words, dtype, backward)

    native.call = tormented
    for call in calls():
        call.run_with_gradients("native")
        print(dict(sorted(answers.items())), flush=True)


if __name__ == "__main__":
    faulthandler.enable()
    main(int(sys.argv[1]), int(sys.argv[2]))
