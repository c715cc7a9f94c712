"""Parts of pairs: what the data say, else a rule that any program can repeat.

    u = the first 8 bytes of the key's SHA-256 as a big-endian number, over 2^64; u < 1 - valid - test is training,
    the next `valid` validation, the rest test

The key is what the file has as source, so that both directions have the same parts; or the whole dialogue; or the side
that is named (--split-by). Where the key is not what is read, a source may come out on both sides: then its pairs are
left out of training, and of validation where the test has it. Dialogues keep them: everybody says yes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from riverrun.data.labelled_split import fraction
from riverrun.data.pair_options import PairOptions
from riverrun.data.pairs import PairCorpus, Pairs
from riverrun.errors import DataError

PARTS = ("train", "valid", "test")


class PairSplits(NamedTuple):
    """The pairs of each part, and the rule in words.

    left_out: pairs of no part, since their source is in a held-out one. seen: how many of the test's different sources
    are in the training part all the same.
    """

    train: Pairs
    valid: Pairs
    test: Pairs
    rule: str
    left_out: int
    seen: int


def split(
    corpus: PairCorpus, options: PairOptions, *, valid: PairCorpus | None = None, test: PairCorpus | None = None
) -> PairSplits:
    """The parts of a corpus. valid, test: the files that the options name, read by the caller.

    Rows that say their part keep it; a part that no row names is taken from the training rows. Raises DataError where
    a part would be empty.
    """
    pairs = corpus.pairs
    told = {part: pairs.parts.count(part) for part in PARTS}
    parts = [part or "train" for part in pairs.parts]
    words = [f"{part} as the data say ({told[part]:,})" for part in PARTS[1:] if told[part]]
    others = {"valid": valid, "test": test}
    shares = {
        part: 0.0 if others[part] is not None or told[part] else getattr(options, f"{part}_share") for part in PARTS[1:]
    }
    left_out = 0
    if any(shares.values()):
        where = _by_hash((key for key, part in zip(pairs.keys, parts, strict=True) if part == "train"), shares)
        parts = [where[key] if part == "train" else part for key, part in zip(pairs.keys, parts, strict=True)]
        hashed = " and ".join(f"{share:g} for {part}" for part, share in shares.items() if share)
        words.append(f"{hashed} by the SHA-256 of {_key_name(corpus, options)}, equal ones on one side")
        if corpus.format != "dialogues":
            left_out = _leave_out(pairs, parts)
            if left_out:
                words.append(f"{left_out:,} pairs left out, since a held-out part has their source")
    found = {part: pairs.pick([place for place, of in enumerate(parts) if of == part]) for part in PARTS}
    for part, other in others.items():
        if other is not None:
            found[part] = other.pairs
            words.append(f"{part} from {other.name}")
    for part in PARTS:
        if not found[part].sources:
            raise DataError(
                f"{corpus.name}: too few pairs to split: of {len(pairs.sources):,} none is left for the {part} part. "
                "Give more, or separate files (--valid, --test)."
            )
    trained = set(found["train"].sources)
    seen = len(trained.intersection(found["test"].sources))
    return PairSplits(found["train"], found["valid"], found["test"], "; ".join(words), left_out, seen)


def _by_hash(keys: Iterable[str], shares: dict[str, float]) -> dict[str, str]:
    """The part of every key. A part that the shares leave empty gets the key that lies nearest to it."""
    places = {key: fraction(key) for key in keys}
    test, valid = 1 - shares["test"], 1 - shares["test"] - shares["valid"]
    found = {key: "test" if place >= test else "valid" if place >= valid else "train" for key, place in places.items()}
    for part in ("test", "valid"):
        if shares[part] and part not in found.values():
            trained: list[str] = [key for key, of in found.items() if of == "train"]
            if trained:
                found[max(trained, key=places.__getitem__)] = part
    return found


def _leave_out(pairs: Pairs, parts: list[str]) -> int:
    """Mark as of no part the pairs whose source is in a part that is kept further away; how many they are."""
    apart: set[str] = set()
    left_out = 0
    for part in ("test", "valid", "train"):
        here = set()
        for place, source in enumerate(pairs.sources):
            if parts[place] == part:
                if source in apart:
                    parts[place] = ""
                    left_out += 1
                else:
                    here.add(source)
        apart |= here
    return left_out


def _key_name(corpus: PairCorpus, options: PairOptions) -> str:
    if options.split_by != "auto":
        return f"the {options.split_by}"
    if corpus.format == "dialogues":
        return "the whole dialogue"
    if corpus.format == "cmudict":
        return "the word"
    return "the target (the files' first side)" if options.reverse else "the source"
