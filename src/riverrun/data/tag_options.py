"""TagOptions: the [data] section of tagging: which column holds the tags, what is known of words, what is held out.

The dataclass is the single source of the TOML keys, the command-line flags, the docs and the defaults.
"""

from __future__ import annotations

from dataclasses import dataclass

from riverrun.data import held_out
from riverrun.fields import check, option


@dataclass(frozen=True, kw_only=True)
class TagOptions:
    """How files become sentences, vocabularies and parts.

    Raises OptionError where a value is out of range.
    """

    column: str = option(
        "",
        "the column of the tags: upos, xpos, lemma, feats, deprel or misc of CoNLL-U, of other files its number or "
        "last; empty: upos, or last",
    )
    min_count: int = option(1, "words seen fewer times than this in the training part are unknown", least=1)
    vectors: str = option(
        "", "a file of pretrained word vectors: word2vec's text or binary, GloVe's, or .npz with words and vectors"
    )
    vectors_limit: int = option(
        100_000, "only the first so many of them, the most frequent words (0: all)", least=0, acts={"vectors": bool}
    )
    encoding: str = option("utf-8", "character encoding of the files")
    skip_bad_rows: bool = option(
        False, "drop, count and record sentences with a line that cannot be read, instead of stopping at the first"
    )
    valid: str = option("", "a file for validation, instead of a share of the data")
    test: str = option("", "a file for the test, instead of a share of the data")
    valid_share: float = option(0.1, "share of the sentences for validation", acts={"valid": ("",)})
    test_share: float = option(0.1, "share of the sentences held out for the test", acts={"test": ("",)})

    def __post_init__(self) -> None:
        check(self)
        held_out.check(self)
