"""PairCoder: what a model of pairs knows of both sides: texts to ids, and the ids that it writes to text.

Both sides have BEGIN, END and UNKNOWN as their first ids (pair_batch.py); a tokenizer's own follow. Where tokens keep
the space before them (words, spaces, bpe) a text is given one more at its beginning, so that its first word is the
token that the word is elsewhere; it is taken off again.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from riverrun.data import spaced, words
from riverrun.data.characters import Characters
from riverrun.data.pair_batch import BEGIN, END, FIRST, UNKNOWN
from riverrun.data.pair_options import PairOptions
from riverrun.data.tokenizer import UNKNOWN as UNKNOWN_SHOWN
from riverrun.data.tokenizer import Tokenizer
from riverrun.errors import ModelError, OptionError

SOURCE, TARGET, PAIRS, BEGINNINGS = "source.json", "target.json", "pairs.json", "beginnings.json"
PIECES = {"chars": "(?s).", "words": words.PATTERN, "spaces": spaced.PATTERN}  # that may be unknown
SPACED = ("words", "spaces", "bpe")  # kinds of tokens that keep the space before them
BY_FORMAT = {"cmudict": ("chars", "spaces"), "scan": ("spaces", "spaces")}
CLOSED = 500  # at most so many different symbols, each seen CLOSED_USE times on average, are not words of a language
CLOSED_USE = 20
LOOKED_AT = 20_000  # texts that are looked at to find a side's tokens

Ids = NDArray[np.int64]


class Encoded(NamedTuple):
    """The ids of N texts, one after the other, and how many each has, [N]."""

    ids: Ids
    lengths: Ids

    def apart(self) -> list[Ids]:
        """The ids of each text."""
        return np.split(self.ids, np.cumsum(self.lengths)[:-1]) if len(self.lengths) else []


class Side:
    """One side's tokenizer, with the ids that every vocabulary begins with."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self._offset = FIRST if tokenizer.unknown is None else FIRST - 1  # a tokenizer's unknown id is 0
        self._spaced = tokenizer.kind in SPACED

    @property
    def size(self) -> int:
        """How many ids there are, BEGIN, END and UNKNOWN among them."""
        return self.tokenizer.size + self._offset

    def encode(self, texts: Sequence[str], *, end: bool = False) -> Encoded:
        """The ids of many texts; what the vocabulary lacks is UNKNOWN. end: let END close each of them."""
        if self._spaced:
            texts = [" " + text for text in texts]
        ids, counts = self.tokenizer.encode_each(texts, "unknown")
        ids, lengths = np.asarray(ids, np.int64) + self._offset, np.asarray(counts, np.int64)
        if end:
            ids, lengths = np.insert(ids, np.cumsum(lengths), END), lengths + 1
        return Encoded(ids, lengths)

    def pieces(self, text: str) -> list[str]:
        """The texts of the tokens that `encode` makes of a text, of unknown ones too; not of bpe."""
        return re.findall(PIECES[self.tokenizer.kind], " " + text if self._spaced else text)

    def decode(self, ids: Iterable[int], lent: Sequence[str] = ()) -> str:
        """The text that ids stand for, up to END. lent: the texts of ids from the vocabulary's size on."""
        kept = []
        for id in ids:
            if id == END:
                break
            kept.append(int(id))
        text = self._text(kept, lent)
        return text[1:] if self._spaced and text.startswith(" ") else text

    def tokens(self, ids: Iterable[int], lent: Sequence[str] = ()) -> list[str]:
        """Each id as a reader is shown it. lent: as of `decode`."""
        return [self._shown(int(id), lent) for id in ids]

    def unknown(self, text: str) -> list[str]:
        """The tokens of a text that the vocabulary lacks."""
        if self.tokenizer.unknown is None or UNKNOWN not in self.encode([text]).ids:
            return []
        pieces = sorted(set(text.split() if self._spaced else text))
        return [piece for piece, ids in zip(pieces, self.encode(pieces).apart(), strict=True) if UNKNOWN in ids]

    def _text(self, ids: Sequence[int], lent: Sequence[str]) -> str:
        # An unknown token between others comes out as its sign; bytes of sub-words join across tokens.
        pieces, run = [], list[int]()
        for id in [*ids, UNKNOWN]:
            if FIRST <= id < self.size:
                run.append(id - self._offset)
                continue
            pieces.append(self.tokenizer.decode(run))
            run = []
            sign = f" {UNKNOWN_SHOWN}" if self._spaced else UNKNOWN_SHOWN
            pieces.append(sign if id < self.size else lent[id - self.size])
        return "".join(pieces[:-1])

    def _shown(self, id: int, lent: Sequence[str]) -> str:
        if id < FIRST:
            return {BEGIN: "<begin>", END: "<end>", UNKNOWN: UNKNOWN_SHOWN}[id]
        token = self.tokenizer.token(id - self._offset) if id < self.size else lent[id - self.size]
        return token.removeprefix(" ") or "␣"


class PairCoder:
    """Both sides, and what is to be known of the pairs that they were made of.

    facts: format, and longest, how many tokens the longest source of the training part has. beginnings: how often the
    training targets begin with which tokens, as plain values (decoding/prior.py), where that is kept. copies: [source's
    size], for each id of the source the id of the same token in the target's vocabulary, -1 where it has none.
    """

    def __init__(
        self,
        source: Tokenizer,
        target: Tokenizer,
        facts: Mapping[str, Any],
        beginnings: Mapping[str, Any] | None = None,
    ) -> None:
        self.source, self.target, self.facts = Side(source), Side(target), dict(facts)
        self.beginnings = beginnings
        self._own = _ids(self.target)
        self.copies = _copies(self.source, self._own)

    def copied(self, text: str, ids: Ids) -> tuple[Ids, list[str]]:
        """For each token of a source its id as a target; the texts of those from the vocabulary's size on.

        ids: of the text. What the target's vocabulary lacks is numbered in its order, equal ones alike, where both
        sides have the same kind of tokens; elsewhere it is -1, as a piece of one kind is none of another.
        """
        found = self.copies[ids]
        lacking = np.flatnonzero(found < 0)
        lent: dict[str, int] = {}
        if len(lacking) and self.source.tokenizer.kind == self.target.tokenizer.kind in PIECES:
            pieces = self.source.pieces(text)
            for place in lacking.tolist():
                own = self._own.get(pieces[place].encode("utf-8", "surrogateescape"))
                found[place] = own if own is not None else self.target.size + lent.setdefault(pieces[place], len(lent))
        return found, list(lent)

    def borrowed(self, text: str, ids: Ids, lent: Sequence[str]) -> Ids:
        """The ids of a target, with those of what its source lends (`copied`) in place of unknown ones."""
        numbers = {piece: self.target.size + k for k, piece in enumerate(lent)}
        lacking = np.flatnonzero(ids == UNKNOWN)
        found, pieces = ids.copy(), self.target.pieces(text) if len(lacking) else []
        for place in lacking.tolist():
            found[place] = numbers.get(pieces[place], UNKNOWN)
        return found

    @property
    def shared(self) -> bool:
        """Whether both sides have one vocabulary."""
        return bool(self.facts["shared"])

    @property
    def longest(self) -> int:
        """Tokens of the longest source of the training part."""
        return int(self.facts["longest"])

    def save(self) -> dict[str, bytes]:
        """The files of a model folder."""
        files = {
            SOURCE: self.source.tokenizer.to_json(),
            TARGET: self.target.tokenizer.to_json(),
            PAIRS: (json.dumps(self.facts, indent=1, ensure_ascii=False) + "\n").encode(),
        }
        if self.beginnings is not None:
            files[BEGINNINGS] = json.dumps(self.beginnings).encode()
        return files

    @staticmethod
    def load(files: Mapping[str, bytes]) -> PairCoder:
        """The coder that `save` wrote. Raises ModelError where a file is missing or is not what it wrote."""
        for name in (SOURCE, TARGET, PAIRS):
            if name not in files:
                raise ModelError(f"{name}: missing. Restore the model folder from a copy.")
        try:
            facts = _facts(json.loads(files[PAIRS]))
            beginnings = json.loads(files[BEGINNINGS]) if BEGINNINGS in files else None
            return PairCoder(Tokenizer.from_json(files[SOURCE]), Tokenizer.from_json(files[TARGET]), facts, beginnings)
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{PAIRS}: not what riverrun wrote ({error}). Restore it from a copy.") from None


def learn(sources: Sequence[str], targets: Sequence[str], format: str, options: PairOptions) -> PairCoder:
    """The coder of a training part: its vocabularies, and the longest source.

    Raises OptionError where the sides were to share a vocabulary, and their tokens were found to differ.
    """
    defaults = BY_FORMAT.get(format, ("", ""))
    if options.reverse:
        defaults = (defaults[1], defaults[0])
    kinds = [
        options.source_tokens if options.source_tokens != "auto" else defaults[0] or kind_of(sources),
        options.target_tokens if options.target_tokens != "auto" else defaults[1] or kind_of(targets),
    ]
    if options.shared_vocabulary and kinds[0] != kinds[1]:
        raise OptionError(
            "shared_vocabulary",
            f"both sides need the same tokens, and these are {kinds[0]} and {kinds[1]}. Name them "
            "(--source-tokens bpe --target-tokens bpe), or leave it out.",
        )
    source = _vocabulary([*sources, *targets] if options.shared_vocabulary else sources, kinds[0], options, "source")
    target = source if options.shared_vocabulary else _vocabulary(targets, kinds[1], options, "target")
    longest = int(Side(source).encode(sources).lengths.max(initial=0))
    return PairCoder(source, target, {"format": format, "shared": options.shared_vocabulary, "longest": longest})


def kind_of(texts: Sequence[str]) -> str:
    """The tokens that suit the texts of a side, by its first ones: characters where most are one word, symbols between
    spaces where these are few and used often, else sub-words.

    >>> kind_of(["tomato", "cat"]), kind_of(["K AE T", "T AH M"] * 100), kind_of(["A cat sat.", "It ran off."])
    ('chars', 'spaces', 'bpe')
    """
    seen = texts[:LOOKED_AT]
    if sum(" " not in text for text in seen) > 0.9 * len(seen):
        return "chars"
    counts = Counter(symbol for text in seen for symbol in text.split())
    if len(counts) <= CLOSED and counts.total() >= CLOSED_USE * len(counts):
        return "spaces"
    return "bpe"


def _vocabulary(texts: Sequence[str], kind: str, options: PairOptions, side: str) -> Tokenizer:
    size: int = getattr(options, f"{side}_vocabulary")
    pieces = [" " + text for text in texts] if kind in SPACED else texts
    tokenizer = Tokenizer.train(pieces, kind, size, options.min_count)
    if isinstance(tokenizer, Characters) and tokenizer.unknown is None:
        return Characters(tokenizer.characters, unknown=True)  # whoever asks may write any character
    return tokenizer


def _ids(side: Side) -> dict[bytes, int]:
    symbols = enumerate(side.tokenizer.symbols)
    return {symbol: id + side._offset for id, symbol in symbols if id != side.tokenizer.unknown}


def _copies(source: Side, own: Mapping[bytes, int]) -> Ids:
    found = np.full(source.size, -1, np.int64)
    for id, symbol in enumerate(source.tokenizer.symbols):
        if id != source.tokenizer.unknown:
            found[id + source._offset] = own.get(symbol, -1)
    return found


def _facts(content: Any) -> dict[str, Any]:
    kinds = {"format": str, "shared": bool, "longest": int}
    if not isinstance(content, dict) or any(not isinstance(content[key], kind) for key, kind in kinds.items()):
        raise ValueError("format, shared or longest missing")
    return content
