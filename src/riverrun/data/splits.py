"""Splits: which tokens are trained on, which select, and which are kept for the test.

Files given come first, then a `split` field or column, then the rule for one long text: the last 10 % is the test, and
the 5 % before it validates where something is selected on it (else it is trained on).
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from riverrun.data.options import DataOptions
from riverrun.data.tokens import Tokens
from riverrun.errors import DataError, UsageError

LEAST = 2  # tokens in a part: one to read, one to predict
_BLOCK = 1 << 20  # tokens looked at together


class Splits(NamedTuple):
    """train, valid (None where nothing is selected), test, and the sentence of the rule for data.json."""

    train: Tokens
    valid: Tokens | None
    test: Tokens
    rule: str


class Measured(Protocol):
    """What the rule needs to know of a text of `size` units (tokens, or characters); an `Outline` knows it."""

    @property
    def size(self) -> int: ...
    @property
    def starts(self) -> NDArray[np.int64]: ...
    @property
    def parts(self) -> tuple[int, int] | None: ...


class Places(NamedTuple):
    """Where the parts of a text lie, in its units: the training part ends at `train`; begin and end of the others.

    None: not in this text (a file of its own, or no such part). words: how the rule came to it.
    """

    train: int
    valid: tuple[int, int] | None
    test: tuple[int, int] | None
    words: tuple[str, ...]


class _Units(NamedTuple):
    size: int
    starts: NDArray[np.int64]
    parts: tuple[int, int] | None


def places(text: Measured, options: DataOptions, select: bool, unit: str = "token") -> Places:
    """Where the parts of a text begin and end, by the files named, the `split` column, and the rule of shares.

    Raises DataError where a part would have fewer than 2 units.
    """
    words = [f"{name} from {file}" for name, file in (("validation", options.valid), ("test", options.test)) if file]
    valid: tuple[int, int] | None = None
    test: tuple[int, int] | None = None
    end = text.size
    if text.parts is not None:
        train_end, valid_end = text.parts
        if not options.valid and valid_end > train_end:
            valid = (train_end, valid_end)
        if not options.test and text.size > valid_end:
            test = (valid_end, text.size)
        end = train_end
        words.append("rows by their split column, files by their names")
    whole = end
    if not options.test and test is None:
        end = _cut(text.starts, whole, whole * options.test_share)
        test = (end, whole)
        share = f"the last {100 * options.test_share:.4g} % of {whole:,} {unit}s for the test"
        words.append(f"{share} (from {unit} {end:,})")
    if not options.valid and valid is None and select:
        stop, end = end, _cut(text.starts, end, whole * options.valid_share)
        valid = (end, stop)
        words.append(f"the {100 * options.valid_share:.4g} % before it for validation (from {unit} {end:,})")
    if valid is None and not options.valid:
        words.append("no validation part, as nothing is selected on it")
    for name, begin_end in (("training", (0, end)), ("validation", valid), ("test", test)):
        if begin_end is not None:
            _check_length(name, begin_end[1] - begin_end[0], text.size, unit)
    return Places(end, valid, test, tuple(words))


def split(
    tokens: Tokens,
    options: DataOptions,
    select: bool,
    *,
    valid: Tokens | None = None,
    test: Tokens | None = None,
    lengths: NDArray[np.int64] | None = None,
) -> Splits:
    """Cut `tokens` into parts; every part begins with a fresh state.

    select: whether something is selected on the validation part (early stopping, the best checkpoint, an order).
    valid, test: the tokens of the files that `options.valid` and `options.test` name, read and tokenised by the caller.
    lengths: of each token of the vocabulary, how many characters begin in it: shares are then those of the characters,
    so that they do not depend on the vocabulary. None: shares of the tokens.
    A cut moves to the nearest beginning of a document where one lies within a tenth of the part's size.

    Raises DataError where a part would have fewer than 2 tokens, or the training part is one token repeated.
    """
    for name, wanted, given in (("valid", options.valid, valid), ("test", options.test, test)):
        if bool(wanted) != (given is not None):
            raise UsageError(
                f"{name}: expected tokens where a file is named and none elsewhere; the file is {wanted!r}."
            )
    if lengths is None:
        found = places(_Units(len(tokens.ids), tokens.starts, tokens.parts), options, select)
    else:
        found = _in_tokens(places(_in_characters(tokens, lengths), options, select, "character"), tokens, lengths)
    train = tokens.part(0, found.train)
    valid = tokens.part(*found.valid) if found.valid is not None else valid
    test = tokens.part(*found.test) if found.test is not None else test
    assert test is not None
    for name, part in (("training", train), ("validation", valid), ("test", test)):
        if part is not None:
            _check_length(name, len(part.ids), len(tokens.ids), "token")
    _check_varied(train)
    return Splits(train, valid, test, "; ".join(found.words))


def _check_length(name: str, length: int, whole: int, unit: str) -> None:
    if length < LEAST:
        raise DataError(
            f"too short to split: {whole:,} {unit}s leave {length} for the {name} part, which needs at least {LEAST}. "
            "Give more text, or separate files (--valid, --test)."
        )


def _cut(starts: NDArray[np.int64], end: int, size: float) -> int:
    """`end - size`, or the beginning of the document nearest to it where one lies within a tenth of the size."""
    place = max(end - round(size), 0)
    near = int(np.searchsorted(starts, place))
    around = [int(start) for start in starts[max(near - 1, 0) : near + 1]]
    fitting = [start for start in around if 0 < start < end and abs(start - place) <= size / 10]
    return min(fitting, key=lambda start: abs(start - place), default=place)


def _in_characters(tokens: Tokens, lengths: NDArray[np.int64]) -> _Units:
    """The text of `tokens`, measured in characters."""
    asked = np.concatenate([tokens.starts, [*(tokens.parts or ()), len(tokens.ids)]])
    before = np.zeros(len(asked), np.int64)  # characters that begin before each of these tokens
    order = np.argsort(asked, kind="stable")
    total = 0
    for begin in range(0, len(tokens.ids) + 1, _BLOCK):
        reached = np.cumsum(np.concatenate([[total], lengths[tokens.ids[begin : begin + _BLOCK]]]))
        low, high = np.searchsorted(asked[order], [begin, begin + _BLOCK])
        before[order[low:high]] = reached[asked[order[low:high]] - begin]
        total = int(reached[-1])
    starts = before[: len(tokens.starts)]
    parts = (int(before[-3]), int(before[-2])) if tokens.parts is not None else None
    return _Units(total, starts, parts)


def _in_tokens(found: Places, tokens: Tokens, lengths: NDArray[np.int64]) -> Places:
    """The same places counted in tokens: a part has all tokens that lie in its characters to the end."""
    asked = np.array([found.train, *(found.valid or ()), *(found.test or ())], np.int64)
    places, total = np.zeros(len(asked), np.int64), 0
    for begin in range(0, len(tokens.ids), _BLOCK):
        reached = total + np.cumsum(lengths[tokens.ids[begin : begin + _BLOCK]])
        places += np.searchsorted(reached, asked, side="right")
        total = int(reached[-1])
    train, *others = places.tolist()
    valid = (others[0], others[1]) if found.valid is not None else None
    test = (others[-2], others[-1]) if found.test is not None else None
    return Places(train, valid, test, found.words)


def _check_varied(train: Tokens) -> None:
    for begin in range(0, len(train.ids), _BLOCK):  # the first block settles it for all but odd files
        if bool((train.ids[begin : begin + _BLOCK] != train.ids[0]).any()):
            return
    raise DataError(
        f"the training part is one token repeated {len(train.ids):,} times: there is nothing to predict in it. "
        "Give real text."
    )
