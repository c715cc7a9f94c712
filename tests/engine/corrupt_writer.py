"""The generator's calls with wrong numbers in them: a program of its own, as corrupt.py is.

    python tests/engine/corrupt_writer.py SEED COUNT

Changed are the header's numbers, the words of a layer's call and its code. What describes the caller's own memory stays
as it is: addresses, the vocabulary, how many tokens are wanted, how many ids are excluded. Prints how often the library
answered what: 0 (it fits nevertheless), 1 (so it does, and gives NaN), 16 (it does not) or 17 (no memory).
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

from engine.corrupt import ARRAY, CODE, HEADER, LENGTH, STATE, WEIGHT, changed, places, shifted

from riverrun.decoding.sampling import Sampling, generate
from riverrun.engine import writer
from riverrun.models.language_model import LanguageModel
from riverrun.models.options import LanguageModelOptions

LAYERS, BATCH, VOCABULARY, WIDTH, THREADS, LOGITS, TOKEN = 0, 1, 2, 3, 8, 11, 12  # words of csrc/generate.hpp
SIZES = 5  # the first words of a layer's call: steps, batch, input, reverse, threads


def wrong(words: array[int], random: Random) -> tuple[array[int], list[object]]:
    """The words with one of their numbers changed, or some of a layer's code, and what they point to."""
    words, kind = words[:], random.random()
    if kind < 0.3:
        place = random.choice((LAYERS, BATCH, WIDTH, THREADS))
        words[place] = shifted(words[place], random)
        return words, []
    at = writer.HEADER + 2 * random.randrange((len(words) - writer.HEADER) // 2)
    if kind < 0.4:
        words[at + 1] = random.choice((0, -1, words[at + 1] - 1, words[at + 1] + 1))
        return words, []
    if kind < 0.42:
        words[at] = 0
        return words, []
    call = array("q", ctypes.string_at(words[at], 8 * words[at + 1]))
    words[at] = call.buffer_info()[0]
    if kind < 0.6:
        place = random.choice((*range(SIZES), *places(call)))
        call[place] = shifted(call[place], random)
        return words, [call]
    code = np.frombuffer(ctypes.string_at(call[CODE], 4 * call[LENGTH]), np.int32).copy()
    call[CODE] = code.ctypes.data
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        place = random.randrange(len(code)) if random.random() < 0.8 else random.randrange(16)
        code[place] = min(max(changed(int(code[place]), random), -(2**31)), 2**31 - 1)
    return words, [call, code]


def written_over(words: array[int], size: int) -> list[tuple[int, bytes]]:
    """What a call writes over, numbers of `size` bytes: where it lies, and what it is."""
    batch = words[BATCH]
    places_of = [
        (words[LOGITS], batch * words[VOCABULARY] * size),
        (words[TOKEN], 8 * batch),
        (words[TOKEN + 1], batch),
    ]
    for at in range(writer.HEADER, len(words), 2):
        call = array("q", ctypes.string_at(words[at], 8 * words[at + 1]))
        first = HEADER + ARRAY * call[10] + WEIGHT * call[11]
        for state in range(first, first + STATE * call[8], STATE):
            places_of.append((call[state], batch * call[state + 2] * size))
    return [(address, ctypes.string_at(address, length)) for address, length in places_of]


def main(seed: int, count: int) -> None:
    random, answers = Random(seed), Counter[int]()
    right = writer._entry

    def entry(name, dtype, result, arguments):
        called = right(name, dtype, result, arguments)
        if name != "generate":
            return called

        def tormented(address, size):
            words = array("q", ctypes.string_at(address, 8 * size))
            before = written_over(words, dtype.itemsize)
            for _ in range(count):
                these, held = wrong(words, random)
                short = len(these) if random.random() < 0.95 else random.randrange(len(these))
                answers[called(these.buffer_info()[0], short)] += 1
                del held
                for place, content in before:
                    ctypes.memmove(place, content, len(content))
            return called(address, size)

        return tormented

    writer._entry = entry
    for options, dtype, streams in (
        ({"layers": 2, "hidden": 5, "cell": "lstm"}, torch.float32, 3),
        ({"layers": 1, "hidden": 70, "cell": "gru", "norm": True, "zoneout": 0.2}, torch.float64, 1),
        ({"layers": 3, "hidden": 4, "cell": "jordan", "one_hot": True}, torch.float64, 66),
    ):
        torch.manual_seed(0)
        model = LanguageModel(LanguageModelOptions(**options), 7).to(dtype).eval().generator()
        sampling = Sampling(top_p=0.9, seed=seed)
        assert len(list(generate(model, None, [1, 2], 4, sampling=sampling, count=streams, excluded=[3]))) == 4
        print(dict(sorted(answers.items())), flush=True)


if __name__ == "__main__":
    faulthandler.enable()
    main(int(sys.argv[1]), int(sys.argv[2]))
