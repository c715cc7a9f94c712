"""Text that a user hands over: an existing path is a file, `-` is standard input, anything else is the text itself."""

from __future__ import annotations

import sys
from pathlib import Path

from riverrun.errors import DataError


def read_text(given: str, *, force_text: bool = False, encoding: str = "utf-8") -> str:
    """The text behind an argument. Raises DataError for a file that is not text in `encoding`."""
    if force_text or not given:
        return given
    if given == "-":
        return _decoded(sys.stdin.buffer.read(), "standard input", encoding)
    path = Path(given)
    try:
        is_file = path.is_file()
        is_folder = path.is_dir()
    except (OSError, ValueError):  # a long text is no possible file name
        return given
    if is_folder:
        raise DataError(f"{given}: a folder, where text or one file was expected. Use --text if it is meant as text.")
    if is_file:
        return _decoded(path.read_bytes(), given, encoding)
    return given


def _decoded(data: bytes, name: str, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: byte {error.start} is not {encoding}. Name the text's own with --encoding.") from None
