"""The checks that the [data] sections of all tasks share: character encoding, and the parts that are held out."""

from __future__ import annotations

import codecs
from typing import Any

from riverrun.errors import OptionError


def check(options: Any) -> None:
    """OptionError unless `encoding` is known and `valid_share` and `test_share` leave something to train on."""
    for name in ("valid_share", "test_share"):
        share = getattr(options, name)
        if not 0 < share < 1:
            raise OptionError(name, f"expected a share between 0 and 1 (0.1 is 10 %), got {share:g}.")
    if options.valid_share + options.test_share >= 1:
        raise OptionError(
            "test_share",
            f"with a valid_share of {options.valid_share:g}, {options.test_share:g} leaves nothing to train on.",
        )
    try:
        codecs.lookup(options.encoding)
    except LookupError:
        problem = f"{options.encoding!r} is not known to Python; expected utf-8, latin-1, cp1252, utf-16, ..."
        raise OptionError("encoding", problem) from None
