"""What a user hands over: an existing path is a file, `-` is standard input, anything else is the text itself."""

from __future__ import annotations

import sys
from pathlib import Path

from riverrun.errors import DataError
from riverrun.tasks.task import Given

TEXT = "text"  # the name of what came as an argument


def read_bytes(given: str, *, force_text: bool = False) -> Given:
    """The bytes behind an argument, uncompressed. Raises DataError for a folder, or a file that cannot be read."""
    if not force_text and given == "-":
        return Given("standard input", sys.stdin.buffer.read())
    if not force_text and given and _exists(given):
        if Path(given).is_dir():
            raise DataError(
                f"{given}: a folder, where text or one file was expected. Use --text if it is meant as text."
            )
        from riverrun.data.sources import find, members, reading

        with reading(given):
            found = [(member.name, member.stream.read()) for source in find([given]) for member in members(source)]
        return Given(found[0][0] if len(found) == 1 else given, b"".join(data for _, data in found))
    return Given(TEXT, given.encode("utf-8", "surrogateescape"))


def read_text(given: str) -> str:
    """The same as text in UTF-8."""
    name, data, _ = read_bytes(given)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: byte {error.start} is not utf-8. Give text in UTF-8.") from None


def _exists(given: str) -> bool:
    try:
        return Path(given).exists()
    except (OSError, ValueError):  # a long text is no possible file name
        return False
