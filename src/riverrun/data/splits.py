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
            raise UsageError(
                f"{name}: expected tokens where a file is named and none elsewhere; the file is {wanted!r}."
            )
    words = [f"{name} from {file}" for name, file in (("validation", options.valid), ("test", options.test)) if file]
    whole = tokens
    if tokens.parts is not None:
        whole, valid, test = _by_column(tokens, valid, test)
        words.append("rows by their split column")
    train, valid, test, more = _by_share(whole, options, select, valid, test)
    words += more if valid is not None else [*more, "no validation part, as nothing is selected on it"]
    for name, part in (("training", train), ("validation", valid), ("test", test)):
        if part is not None and len(part.ids) < LEAST:
            raise DataError(
                f"too short to split: {len(tokens.ids):,} tokens leave {len(part.ids)} for the {name} part, "
                f"which needs at least {LEAST}. Give more text, or separate files (--valid, --test)."
            )
    _check_varied(train)
    return Splits(train, valid, test, "; ".join(words))


def _by_share(
    tokens: Tokens, options: DataOptions, select: bool, valid: Tokens | None, test: Tokens | None
) -> tuple[Tokens, Tokens | None, Tokens, list[str]]:
    """Cut from the end of `tokens` the parts that are not given, and say how."""
    count = end = len(tokens.ids)
    words = []
    if test is None:
        end = _cut(tokens, count, count * options.test_share)
        test = tokens.part(end, count)
        words.append(f"the last {100 * options.test_share:.4g} % of {count:,} tokens for the test (from token {end:,})")
    if valid is None and select:
        stop, end = end, _cut(tokens, end, count * options.valid_share)
        valid = tokens.part(end, stop)
        words.append(f"the {100 * options.valid_share:.4g} % before it for validation (from token {end:,})")
    return tokens.part(0, end), valid, test, words


def _by_column(
    tokens: Tokens, valid: Tokens | None, test: Tokens | None
) -> tuple[Tokens, Tokens | None, Tokens | None]:
    """The parts that a `split` column names; those that are given, or that no row has, stay as they are."""
    assert tokens.parts is not None
    train_end, valid_end = tokens.parts
    if valid is None and valid_end > train_end:
        valid = tokens.part(train_end, valid_end)
    if test is None and len(tokens.ids) > valid_end:
        test = tokens.part(valid_end, len(tokens.ids))
    return tokens.part(0, train_end), valid, test


def _cut(tokens: Tokens, end: int, size: float) -> int:
    """`end - size`, or the beginning of the document nearest to it where one lies within a tenth of the size."""
    place = max(end - round(size), 0)
    near = int(np.searchsorted(tokens.starts, place))
    around = [int(start) for start in tokens.starts[max(near - 1, 0) : near + 1]]
    fitting = [start for start in around if 0 < start < end and abs(start - place) <= size / 10]
    return min(fitting, key=lambda start: abs(start - place), default=place)


def _check_varied(train: Tokens) -> None:
    for begin in range(0, len(train.ids), 1 << 20):  # the first piece settles it for all but odd files
        if bool((train.ids[begin : begin + (1 << 20)] != train.ids[0]).any()):
            return
    raise DataError(
        f"the training part is one token repeated {len(train.ids):,} times: there is nothing to predict in it. "
        "Give real text."
    )
