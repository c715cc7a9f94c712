"""Splits: which tokens are trained on, which select, and which are kept for the test.

Files given come first, then a `split` field or column, then the rule for one long text: the last 10 % is the test, and
the 5 % before it validates where something is selected on it (else it is trained on).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from riverrun.data.options import DataOptions
from riverrun.data.tokens import Tokens
from riverrun.errors import DataError, UsageError

LEAST = 2  # tokens in a part: one to read, one to predict


class Splits(NamedTuple):
    """train, valid (None where nothing is selected), test, and the sentence of the rule for data.json."""

    train: Tokens
    valid: Tokens | None
    test: Tokens
    rule: str


def split(
    tokens: Tokens,
    options: DataOptions,
    select: bool,
    *,
    valid: Tokens | None = None,
    test: Tokens | None = None,
) -> Splits:
    """Cut `tokens` into parts; every part begins with a fresh state.

    select: whether something is selected on the validation part (early stopping, the best checkpoint, an order).
    valid, test: the tokens of the files that `options.valid` and `options.test` name, read and tokenised by the caller.
    A cut moves to the nearest beginning of a document where one lies within a tenth of the part's size.

    Raises DataError where a part would have fewer than 2 tokens, or the training part is one token repeated.
    """
    for name, wanted, given in (("valid", options.valid, valid), ("test", options.test, test)):
        if bool(wanted) != (given is not None):
            raise UsageError(f"{name}: the file is {wanted or 'not named'!r}, but its tokens are {'not ' * (not given)}given.")
    if tokens.parts is not None:
        train, valid, test, rule = _by_column(tokens, valid, test)
    else:
        train, valid, test, rule = _by_share(tokens, options, select, valid, test)
    for name, part in (("training", train), ("validation", valid), ("test", test)):
        if part is not None and len(part.ids) < LEAST:
            raise DataError(
                f"too short to split: {len(tokens.ids):,} tokens leave {len(part.ids)} for the {name} part, which needs "
                f"at least {LEAST}. Give more text, or separate files (--valid, --test)."
            )
    _check_varied(train)
    return Splits(train, valid, test, rule)


def _by_share(
    tokens: Tokens, options: DataOptions, select: bool, valid: Tokens | None, test: Tokens | None
) -> tuple[Tokens, Tokens | None, Tokens, str]:
    count = len(tokens.ids)
    words, end = [], count
    if test is None:
        end = _cut(tokens, count - round(count * options.test_share), count * options.test_share / 10)
        test, last = tokens.part(end, count), f"the last {options.test_share:.3g} of the tokens for the test"
        words.append(f"{last} (from token {end:,} of {count:,})")
    else:
        words.append(f"the file {options.test} for the test")
    if valid is None and select:
        stop = end
        end = _cut(tokens, max(stop - round(count * options.valid_share), 0), count * options.valid_share / 10)
        valid = tokens.part(end, stop)
        words.append(f"the {options.valid_share:.3g} before it for validation (from token {end:,})")
    elif valid is not None:
        words.append(f"the file {options.valid} for validation")
    else:
        words.append("no validation part, as nothing is selected on it")
    return tokens.part(0, end), valid, test, "; ".join(words)


def _by_column(tokens: Tokens, valid: Tokens | None, test: Tokens | None) -> tuple[Tokens, Tokens | None, Tokens, str]:
    assert tokens.parts is not None
    train_end, valid_end = tokens.parts
    words = ["rows by their split column"]
    if valid is None:
        valid = tokens.part(train_end, valid_end) if valid_end > train_end else None
    else:
        words.append("validation from its own file")
    if test is None:
        test = tokens.part(valid_end, len(tokens.ids))
    else:
        words.append("test from its own file")
    return tokens.part(0, train_end), valid, test, ", ".join(words)


def _cut(tokens: Tokens, place: int, tolerance: float) -> int:
    """`place`, or the beginning of a document nearest to it where one is near."""
    near = int(np.searchsorted(tokens.starts, place))
    around = [int(start) for start in tokens.starts[max(near - 1, 0) : near + 1] if abs(int(start) - place) <= tolerance]
    around = [start for start in around if 0 < start < len(tokens.ids)]
    return min(around, key=lambda start: abs(start - place), default=place)


def _check_varied(train: Tokens) -> None:
    for begin in range(0, len(train.ids), 1 << 20):  # the first piece settles it for all but odd files
        if bool((train.ids[begin : begin + (1 << 20)] != train.ids[0]).any()):
            return
    raise DataError(
        f"the training part is one token repeated {len(train.ids):,} times: there is nothing to predict. Give real text."
    )
