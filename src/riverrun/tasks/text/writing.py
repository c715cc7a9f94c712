"""write: let an opened model write text, and say how much of it was copied from what it was trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from riverrun.data.tokenizer import Tokenizer
from riverrun.data.tokens import Tokens
from riverrun.decoding.novelty import comparison
from riverrun.decoding.protocol import StepModel
from riverrun.decoding.sampling import Sampling, generate

MOST_COMPARED = 50_000_000  # training tokens; beyond, comparing takes longer than a user waits for a sample
TOO_LONG = f"not compared with the training text, which has more than {MOST_COMPARED:,} tokens."


def first_ids(tokenizer: Tokenizer) -> list[int]:
    """What a model reads where there is no prompt: a line's end where it knows one, else its first token."""
    for id, symbol in enumerate(tokenizer.symbols):
        if symbol == b"\n":
            return [id]
    return [0 if tokenizer.unknown != 0 else min(1, tokenizer.size - 1)]


class Writer(Protocol):
    """A model that can be frozen to write with."""

    def generator(self) -> StepModel: ...


def write(
    model: Writer,
    tokenizer: Tokenizer,
    prompt: str,
    length: int,
    *,
    sampling: Sampling,
    count: int = 1,
) -> Iterator[list[str]]:
    """Continue `prompt` by `length` tokens in `count` streams; yields, token after token, what each stream adds.

    Raises UsageError at once where the prompt has characters that the model has never seen.
    """
    ids = tokenizer.encode(prompt, unseen="error") if prompt else np.asarray(first_ids(tokenizer))
    excluded = () if tokenizer.unknown is None else (tokenizer.unknown,)
    tokens = generate(model.generator(), None, ids, length, sampling=sampling, count=count, excluded=excluded)
    decoders = [tokenizer.stream() for _ in range(count)]
    return ([decoder(int(id)) if id >= 0 else "" for decoder, id in zip(decoders, row, strict=True)] for row in tokens)


def sample(model: Writer, tokenizer: Tokenizer, prompt: str, length: int, *, sampling: Sampling) -> str:
    """The whole of one text, without its prompt."""
    return "".join(pieces[0] for pieces in write(model, tokenizer, prompt, length, sampling=sampling))


def novelty(
    tokenizer: Tokenizer, texts: Sequence[str], training: Tokens, held_out: Tokens | None = None
) -> tuple[dict[str, Any] | None, str]:
    """The longest span of `texts` copied from the training text and the share of new n-grams, and the sentence.

    Lengths are in characters. The record is that of `eval/novelty.json`, of the first text that copies most.
    """
    if len(training.ids) > MOST_COMPARED:
        return None, TOO_LONG
    if not any(texts):
        return None, "nothing was written, so nothing can be copied."
    known = tokenizer.decode(training.ids)
    # A character has four bytes at most, so its beginning is enough: no more than the sample's length is looked at.
    other = tokenizer.decode(held_out.ids[: 4 * max(map(len, texts))]) if held_out is not None else ""
    facts = max((comparison(text, known, other) for text in texts if text), key=copied)
    return facts, sentence(facts)


def copied(facts: dict[str, Any]) -> int:
    """The longest copied span of a record, in characters."""
    return int(facts["sample"]["longest"]["length"])


def sentence(facts: dict[str, Any]) -> str:
    """A record of novelty in words."""
    longest = facts["sample"]["longest"]
    span = facts["text"][longest["in_sample"] : longest["in_sample"] + longest["length"]]
    shown = span if len(span) <= 60 else span[:57] + "..."
    shares = ", ".join(f"{share:.0%} of {order}-grams" for order, share in facts["sample"]["new"].items())
    words = f"copied from the training text: at most {longest['length']} characters in a row ({shown!r}); "
    words += f"new: {shares}" if shares else "too short to count n-grams"
    if facts["held_out"]:
        shares = ", ".join(f"{share:.0%}" for share in facts["held_out"]["new"].values())
        words += (
            f" (held-out text of that length: {facts['held_out']['longest']['length']} characters in a row; {shares})"
        )
    return words + "."
