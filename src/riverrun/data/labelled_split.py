"""Parts of labelled examples: what the data say, else a rule that any program can repeat.

    stratified   of each label the same share: its texts in the order of their SHA-256, the first ones to the test part,
                 the next ones to the validation part
    hash         u = the first 8 bytes of the text's SHA-256 as a big-endian number, over 2^64; u < 1 - valid - test
                 is training, the next `valid` validation, the rest test

No seed, no shuffling: the same examples give the same parts in any order. Equal texts lie on one side by both rules,
since a name that is both learnt and tested would be remembered, not understood.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from riverrun.data.labelled import Example
from riverrun.data.labelled_options import LabelledOptions
from riverrun.errors import DataError


class Parts(NamedTuple):
    """The indices of the examples of each part, in the order of the data, and the rule in words."""

    train: list[int]
    valid: list[int]
    test: list[int]
    rule: str


def divide(examples: Sequence[Example], options: LabelledOptions, *, valid: bool = True, test: bool = True) -> Parts:
    """The parts of `examples`. valid, test: whether that part has to come from these (no file was named for it).

    Rows that say their part keep it; a part that no row names is taken from the training rows. Raises DataError where
    a part would be empty.
    """
    told = Counter(example.part for example in examples if example.part)
    wanted = {"valid": valid and not told["valid"], "test": test and not told["test"]}
    rest = [index for index, example in enumerate(examples) if example.part in ("", "train")]
    shares = {"valid": options.valid_share * wanted["valid"], "test": options.test_share * wanted["test"]}
    words = [f"{part} as the data say ({told[part]:,})" for part in ("valid", "test") if told[part]]
    part_of: dict[int, str] = {}
    if any(shares.values()):
        rule = by_hash if options.split == "hash" else stratified
        part_of = rule([examples[index] for index in rest], shares["valid"], shares["test"])
        how = (
            "by the SHA-256 of the text"
            if options.split == "hash"
            else "stratified by label, in the order of the texts' SHA-256"
        )
        of = " of the training rows" if told else ""
        told_shares = " and ".join(f"{share:g} for {part}" for part, share in shares.items() if share)
        words.append(f"{told_shares}{of}, {how}, equal texts on one side")
    found: dict[str, list[int]] = {"train": [], "valid": [], "test": []}
    for place, index in enumerate(rest):
        found[part_of.get(place, "train")].append(index)
    for index, example in enumerate(examples):
        if example.part in ("valid", "test"):
            found[example.part].append(index)
    for part, needed in (("train", True), ("valid", valid), ("test", test)):
        if needed and not found[part]:
            texts = len({example.text for example in examples})
            labels = len({label for example in examples for label in example.labels})
            kept = ", since each label keeps a text for training" if options.split == "stratified" else ""
            raise DataError(
                f"too few examples to split: of {len(examples):,} with {texts:,} different texts and {labels:,} labels "
                f"none is left for the {part} part{kept}. Give more texts of each label, or separate files "
                "(--valid, --test)."
            )
    return Parts(found["train"], sorted(found["valid"]), sorted(found["test"]), "; ".join(words) or "all for training")


def fraction(text: str) -> float:
    """Where a text lies between 0 and 1: the first 8 bytes of the SHA-256 of its UTF-8, over 2^64.

    >>> round(fraction("Satoshi"), 4)
    0.0006
    """
    return int.from_bytes(digest(text)[:8], "big") / 2**64


def digest(text: str) -> bytes:
    """The SHA-256 of a text's UTF-8."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def by_hash(examples: Sequence[Example], valid: float, test: float) -> dict[int, str]:
    """Of each example that is not for training, by its index, the part that its text's hash decides."""
    found: dict[int, str] = {}
    for index, example in enumerate(examples):
        place = fraction(example.text)
        if place >= 1 - test:
            found[index] = "test"
        elif place >= 1 - valid - test:
            found[index] = "valid"
    return found


def stratified(examples: Sequence[Example], valid: float, test: float) -> dict[int, str]:
    """The same so that each label gives the same share of its examples, rounded, and keeps one for training.

    A text's stratum is its rarest label (there may be several); equal texts count as one text, of the first's stratum.
    """
    counts = Counter(label for example in examples for label in example.labels)
    copies: dict[str, list[int]] = defaultdict(list)
    for index, example in enumerate(examples):
        copies[example.text].append(index)
    strata: dict[str, list[str]] = defaultdict(list)
    for text, indices in copies.items():
        labels = examples[indices[0]].labels
        strata[min(labels, key=lambda label: (counts[label], label)) if labels else ""].append(text)
    found: dict[int, str] = {}
    for texts in strata.values():
        size = sum(len(copies[text]) for text in texts)
        bounds = (round(size * test), round(size * test) + round(size * valid))
        taken = 0
        for text in sorted(texts, key=digest)[:-1]:  # the last one stays for training
            part = "test" if taken < bounds[0] else "valid" if taken < bounds[1] else ""
            taken += len(copies[text])
            if not part:
                break
            found |= dict.fromkeys(copies[text], part)
    return found
