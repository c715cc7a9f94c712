"""Parts that files' names say: train.conllu, en-dev.conllu and test.tsv, or folders called so.

A word of a file's name counts, and the whole name of a folder below the one that all files lie in.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath

from riverrun.data.sources import ARCHIVES, Source, members, without_compression
from riverrun.data.tables import PARTS

_WORD = re.compile(r"[a-z]+")


def parts_by_name(names: Sequence[str]) -> dict[str, str]:
    """The part of each file whose name says one. None of them where that would leave no file to train on.

    >>> parts_by_name(["bank/en-train.conllu", "bank/en-dev.conllu", "bank/more.conllu"])
    {'bank/en-train.conllu': 'train', 'bank/en-dev.conllu': 'valid'}
    >>> parts_by_name(["bank/test.conllu"])
    {}
    """
    places = [PurePath(name.replace(":", "/")).parts for name in names]
    shared = min((len(place) - 1 for place in places), default=0)
    while shared and len({place[:shared] for place in places}) > 1:
        shared -= 1
    found = {name: part for name, place in zip(names, places, strict=True) if (part := _part(place[shared:]))}
    return found if len(found) < len(names) or "train" in found.values() else {}


def member_parts(sources: Sequence[Source]) -> dict[str, str]:
    """The same of all documents in some sources, by their names."""
    names: list[str] = []
    for source in sources:
        packed = without_compression(source.name)[1] in ARCHIVES
        names += [member.name for member in members(source)] if packed else [source.name]
    return parts_by_name(names)


def _part(place: Sequence[str]) -> str:
    *folders, name = place
    words = [*_WORD.findall(name.lower()), *(folder.lower() for folder in folders)]
    found = {PARTS[word] for word in words if word in PARTS}
    return found.pop() if len(found) == 1 else ""
