"""Encoding: bytes to text in pieces, with the file, the byte and the line of whatever is not text.

The text is kept exactly as it is, line ends included; only a UTF-8 byte order mark at the very beginning is dropped.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import IO

from riverrun.errors import DataError

BLOCK = 1 << 20  # bytes read at once
# What a byte that cannot be decoded becomes where bad rows are dropped (Python's "surrogateescape"), and NUL, which no
# text has; a lone surrogate also comes out of JSON escapes, and cannot be written as UTF-8.
_BAD = re.compile("[\x00\ud800-\udfff]")
_SIGNATURES = (
    (b"\x1f\x8b", "It begins like a gzip file: let its name end in .gz."),
    (b"PK\x03\x04", "It begins like a zip file: let its name end in .zip."),
    (b"\xff\xfe", "It begins like UTF-16: pass --encoding utf-16."),
    (b"\xfe\xff", "It begins like UTF-16: pass --encoding utf-16."),
)


def decoded(stream: IO[bytes], name: str, encoding: str, *, keep_bad: bool = False) -> Iterator[str]:
    """The text of `stream` in pieces of about a megabyte.

    keep_bad: let bytes that cannot be decoded through as lone surrogates, for `fault` to find, instead of stopping.
    Raises DataError at the first byte that is not `encoding`, or is NUL.
    """
    decoder = codecs.getincrementaldecoder(encoding)("surrogateescape" if keep_bad else "strict")
    utf8 = codecs.lookup(encoding).name == "utf-8"
    offset, lines, first = 0, 1, b""  # offset: of the bytes that the decoder has not turned into text yet
    while True:
        block = stream.read(BLOCK)
        if offset == 0 and not first:
            first = block
            if utf8 and block.startswith(codecs.BOM_UTF8):
                block, offset = block[len(codecs.BOM_UTF8) :], len(codecs.BOM_UTF8)
        pending = decoder.getstate()[0]
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            before = error.object[: error.start]
            raise DataError(
                f"{name}: byte {offset + error.start:,} (0x{error.object[error.start]:02X}, line "
                f"{lines + before.count(10):,}) is not {encoding}: {error.reason}. {_advice(first, encoding)}"
            ) from None
        if not keep_bad and "\x00" in text:
            before_nul = text[: text.index("\x00")]
            place, line = offset + len(before_nul.encode(encoding)), lines + before_nul.count("\n")
            raise DataError(
                f"{name}: byte {place:,} (line {line:,}) is NUL, which no text has: this looks like a binary file. "
                + _advice(first, encoding, binary=True)
            )
        if text:
            yield text
        if not block:
            return
        offset += len(pending) + len(block) - len(decoder.getstate()[0])
        lines += text.count("\n")


def fault(text: str) -> str | None:
    """Why `text` is not text (a byte that could not be decoded, a NUL, a lone surrogate), or None."""
    if text.isascii() and "\x00" not in text:
        return None
    found = _BAD.search(text)
    if found is None:
        return None
    code = ord(found[0])
    if code == 0:
        return "it has a NUL, which no text has"
    if 0xDC80 <= code <= 0xDCFF:
        return f"byte 0x{code - 0xDC00:02X} cannot be decoded"
    return f"it has half a surrogate pair, U+{code:04X}"


def lines(pieces: Iterator[str]) -> Iterator[str]:
    """The lines of a text that comes in pieces, each with its newline (the last perhaps without)."""
    rest = ""
    for piece in pieces:
        *whole, rest = (rest + piece).split("\n")
        for line in whole:
            yield line + "\n"
    if rest:
        yield rest


def _advice(first: bytes, encoding: str, *, binary: bool = False) -> str:
    for signature, sentence in _SIGNATURES:
        if first.startswith(signature):
            return sentence
    if binary or b"\x00" in first:
        return "If it is meant to be one: --tokens bytes takes any file."
    other = "utf-8" if codecs.lookup(encoding).name != "utf-8" else "latin-1 or cp1252"
    return f"Name the file's encoding (--encoding, perhaps {other})."
