"""Novelty: how much of a sample was copied from the training text, exactly, in about a second for ten megabytes.

Two questions: which windows of n elements of the sample occur in the training text (`seen`), and what is the longest
span of the sample that occurs there (`longest_copy`). Both compare 64-bit window hashes, all positions at once, and
then the elements themselves wherever hashes agree, so a collision costs time and never the answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from riverrun.errors import UsageError

Elements = str | Sequence[int] | npt.NDArray[np.integer[Any]]
Words = npt.NDArray[np.uint64]

CHUNK = 1 << 20  # training elements hashed at a time: bounds the memory, no result depends on it
TABLE_BITS = 20  # a table of 2^20 booleans (1 MiB, it stays in cache) tells most windows apart at one look
MULTIPLIER = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2^64


@dataclass(frozen=True, kw_only=True)
class Copy:
    """The longest span that a sample shares with the training text: its length and where it begins in each."""

    length: int
    in_sample: int
    in_training: int


@dataclass(frozen=True, kw_only=True)
class Novelty:
    """How new a sample is. Lengths and positions count elements: characters of a string, tokens of an array of ids.

    longest: the longest span copied. new: for each order n, the share of the sample's n-grams (windows of n elements,
    every occurrence counted) that the training text does not contain; orders longer than the sample are left out.
    """

    elements: int
    longest: Copy
    new: dict[int, float]

    def record(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return asdict(self) | {"new": {str(n): share for n, share in self.new.items()}}


def novelty(sample: Elements, training: Elements, *, orders: Sequence[int] = (5, 10, 20)) -> Novelty:
    """The longest copied span of a sample, and the share of its n-grams that are new.

    >>> found = novelty("the cat sat on the moon", "the cat sat on the mat", orders=(5,))
    >>> found.longest, round(found.new[5], 2)
    (Copy(length=20, in_sample=0, in_training=0), 0.16)
    """
    mine, theirs = as_array(sample), as_array(training)
    new = {n: 1.0 - float(seen(mine, theirs, n).mean()) for n in orders if 0 < n <= len(mine)}
    return Novelty(elements=len(mine), longest=longest_copy(mine, theirs), new=new)


def comparison(
    sample: str, training: str, held_out: str = "", *, orders: Sequence[int] = (5, 10, 20)
) -> dict[str, Any]:
    """What `eval/novelty.json` holds: a sample's novelty beside that of real text which the model never saw.

    held_out: text to compare with, cut to the sample's length: real text repeats phrases too, so its figures are what
    no copying looks like. Empty: none.
    """
    held_out = held_out[: len(sample)]
    return {
        "unit": "character",
        "text": sample,
        "training_elements": len(training),
        "sample": novelty(sample, training, orders=orders).record(),
        "held_out": novelty(held_out, training, orders=orders).record() if held_out else None,
    }


def as_array(elements: Elements) -> npt.NDArray[Any]:
    """A string as its code points, uint32; ids as an array of integers (a memory-mapped one stays on disk)."""
    if isinstance(elements, str):
        return np.frombuffer(elements.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    array = np.asarray(elements)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise UsageError(f"sample and training must be text or ids in one dimension; {array.dtype} {array.shape} came.")
    return array if array.size else array.astype(np.int64)


def seen(sample: Elements, training: Elements, n: int) -> npt.NDArray[np.bool_]:
    """[N - n + 1] bool: whether the sample's window of n elements at each position occurs in the training text."""
    mine, theirs = as_array(sample), as_array(training)
    if n < 1:
        raise UsageError(f"n must be 1 or more elements, but {n} came.")
    if n > len(mine):
        return np.zeros(0, dtype=bool)
    hashes = _Prefix(mine, _powers(len(mine))).windows(n)
    unique, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    # A window stands for all of its hash. Where two differ under one hash (none did yet), each is looked up by itself.
    apart = [i for i in range(len(hashes)) if _differ(mine, i, int(first[inverse[i]]), n, i != first[inverse[i]])]
    found = _found(mine, theirs, n, unique, first)
    answer: npt.NDArray[np.bool_] = found[inverse]
    for i in apart:
        answer[i] = _found(mine, theirs, n, hashes[i : i + 1], np.array([i]))[0]
    return answer


def _differ(array: npt.NDArray[Any], i: int, j: int, n: int, ask: bool) -> bool:
    return ask and not np.array_equal(array[i : i + n], array[j : j + n])


def _found(
    mine: npt.NDArray[Any], theirs: npt.NDArray[Any], n: int, unique: Words, first: npt.NDArray[np.intp]
) -> npt.NDArray[np.bool_]:
    """For each of some distinct hashes (sorted) and the sample's window that stands for it: is it in the training?"""
    found = np.zeros(len(unique), dtype=bool)
    left = np.arange(len(unique))  # of them, those not found yet
    for _, chunk, prefix in _chunks(theirs, n, n):
        hashes = prefix.windows(n)
        places = _members(hashes, unique[left])  # positions in the chunk whose hash is one of those left
        which = left[np.searchsorted(unique[left], hashes[places])]
        while len(places):
            kinds, at = np.unique(which, return_index=True)
            equal = _equal(chunk, places[at], mine, first[kinds], n)
            found[kinds[equal]] = True
            again = np.ones(len(places), dtype=bool)
            again[at] = False  # tried; the others of a found kind need no trial
            again &= ~found[which]
            places, which = places[again], which[again]
        left = left[~found[left]]
        if not len(left):
            break
    return found


def longest_copy(sample: Elements, training: Elements) -> Copy:
    """The longest span of the sample that occurs in the training text: the first in the training, of equal length.

    Chunk by chunk, only spans longer than the best so far are looked for, and the length is found by doubling and
    halving, since a window that occurs has its beginnings occur too.
    """
    mine, theirs = as_array(sample), as_array(training)
    best = Copy(length=0, in_sample=0, in_training=0)
    if not len(mine) or not len(theirs):
        return best
    own = _Prefix(mine, _powers(len(mine)))
    for offset, chunk, prefix in _chunks(theirs, 1, len(mine)):
        limit = min(len(mine), len(chunk))
        low, step = best.length, 1
        while low + step <= limit and len(_members(prefix.windows(low + step), own.windows(low + step))):
            low, step = low + step, step * 2
        high = min(low + step, limit + 1)  # `high` does not occur, `low` does (by its hash)
        while high - low > 1:
            middle = (low + high) // 2
            if len(_members(prefix.windows(middle), own.windows(middle))):
                low = middle
            else:
                high = middle
        while low > best.length:  # agreeing hashes bound the length from above; the elements decide
            pair = _first_equal(chunk, prefix, mine, own, low)
            if pair is not None:
                best = Copy(length=low, in_sample=pair[1], in_training=offset + pair[0])
                break
            low -= 1
    return best


def _first_equal(
    chunk: npt.NDArray[Any], prefix: _Prefix, mine: npt.NDArray[Any], own: _Prefix, n: int
) -> tuple[int, int] | None:
    hashes, own_hashes = prefix.windows(n), own.windows(n)
    for place in _members(hashes, own_hashes):
        for i in np.flatnonzero(own_hashes == hashes[place]):
            if np.array_equal(chunk[place : place + n], mine[i : i + n]):
                return int(place), int(i)
    return None


def _chunks(theirs: npt.NDArray[Any], n: int, longest: int) -> Iterator[tuple[int, npt.NDArray[Any], _Prefix]]:
    """The training text in pieces that overlap by `longest - 1`, so that no window of that length is cut."""
    powers = _powers(min(len(theirs), CHUNK + longest - 1))
    for offset in range(0, len(theirs) - n + 1, CHUNK):
        chunk = np.ascontiguousarray(theirs[offset : offset + CHUNK + longest - 1])
        yield offset, chunk, _Prefix(chunk, powers)


def _powers(count: int) -> tuple[Words, Words]:
    """m^i and m^-i modulo 2^64 for i < count."""
    base = np.full(count, MULTIPLIER, dtype=np.uint64)
    inverse = np.full(count, pow(MULTIPLIER, -1, 1 << 64), dtype=np.uint64)
    if count:
        base[0] = inverse[0] = 1
    return base.cumprod(dtype=np.uint64), inverse.cumprod(dtype=np.uint64)


class _Prefix:
    """Running sums from which the hash of every window of any length comes in one subtraction.

        hash(i, n) = sum over j < n of s[i + j] m^j = (S[i + n] - S[i]) m^-i,   S[i] = sum over j < i of s[j] m^j

    modulo 2^64 (Karp & Rabin 1987, the powers divided out so that no recurrence over i is left).
    """

    def __init__(self, elements: npt.NDArray[Any], powers: tuple[Words, Words]) -> None:
        base, self._inverse = powers
        self._sums = np.zeros(len(elements) + 1, dtype=np.uint64)
        np.cumsum((elements.astype(np.uint64) + np.uint64(1)) * base[: len(elements)], out=self._sums[1:])

    def windows(self, n: int) -> Words:
        """[N - n + 1] uint64, n >= 1; empty where the window is longer than the text."""
        count = len(self._sums) - n
        if count <= 0:
            return np.zeros(0, dtype=np.uint64)
        hashes: Words = (self._sums[n:] - self._sums[:count]) * self._inverse[:count]
        return hashes


def _members(hashes: Words, wanted: Words) -> npt.NDArray[np.intp]:
    """The positions, in order, of the hashes that are among those wanted."""
    shift = np.uint64(64 - TABLE_BITS)  # the high bits: the low ones of a product depend on low ones only
    table = np.zeros(1 << TABLE_BITS, dtype=bool)
    table[wanted >> shift] = True
    places = np.flatnonzero(table[hashes >> shift])
    ordered = np.unique(wanted)
    if not len(ordered):
        return places[:0]
    near = np.minimum(np.searchsorted(ordered, hashes[places]), len(ordered) - 1)
    members: npt.NDArray[np.intp] = places[ordered[near] == hashes[places]]
    return members


def _equal(
    a: npt.NDArray[Any], a_starts: npt.NDArray[np.intp], b: npt.NDArray[Any], b_starts: npt.NDArray[np.intp], n: int
) -> npt.NDArray[np.bool_]:
    """Whether a[i : i + n] is b[j : j + n], for each pair (i, j) of starts."""
    equal = np.ones(len(a_starts), dtype=bool)
    for begin in range(0, n, 64):  # so that the gathered blocks stay small
        span = np.arange(begin, min(begin + 64, n))
        equal &= (a[a_starts[:, None] + span] == b[b_starts[:, None] + span]).all(axis=1)
    return equal
