"""Data: from files to batches: readers, tokenizers, token arrays, splits, streams.

The journey: `read` finds the files and gives their text in pieces; `outline` measures it, so that `Tokenizer.train` can
make the vocabulary of the training part alone; `tokenise` turns the pieces into one array of ids (memory-mapped where
it is large); `split` cuts it into train, valid and test; `Streams` deals it to lanes as batches, and `evaluation` walks
a part once.

Names are looked up when asked for (PEP 562), so that reading `riverrun.data.options` (the command line does) needs
neither torch nor numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from riverrun.data.batch import Batch
    from riverrun.data.options import DataOptions
    from riverrun.data.readers import Corpus, FileRecord, Piece, read
    from riverrun.data.splits import Splits, split
    from riverrun.data.streams import Streams, evaluation
    from riverrun.data.tokenizer import Tokenizer
    from riverrun.data.tokens import Tokens, tokenise

__all__ = [
    "Batch",
    "Corpus",
    "DataOptions",
    "FileRecord",
    "Piece",
    "Splits",
    "Streams",
    "Tokenizer",
    "Tokens",
    "evaluation",
    "read",
    "split",
    "tokenise",
]

_HOMES = {
    "batch": ("Batch",),
    "options": ("DataOptions",),
    "readers": ("Corpus", "FileRecord", "Piece", "read"),
    "splits": ("Splits", "split"),
    "streams": ("Streams", "evaluation"),
    "tokenizer": ("Tokenizer",),
    "tokens": ("Tokens", "tokenise"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
