"""Bytes become text exactly, or the file, the byte and the line of what is wrong are told."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riverrun.data import encoding
from riverrun.data.encoding import decoded, fault, lines
from riverrun.errors import DataError


def text_of(data: bytes, codec: str = "utf-8", **options: bool) -> str:
    return "".join(decoded(io.BytesIO(data), "f.txt", codec, **options))


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")), st.integers(1, 7))
def test_text_comes_out_as_it_went_in_however_it_is_cut(text: str, block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoding, "BLOCK", block)
        assert text_of(text.encode()) == text.removeprefix("\ufeff")
        assert text_of(text.encode("utf-16"), "utf-16") == text


@pytest.mark.parametrize("block", [1, 2, 3, 5, 1 << 20])
def test_a_byte_that_is_not_utf_8_is_told_with_its_offset_and_line(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "BLOCK", block)
    data = "é\nzwei\ndrei".encode() + b"\xe9 vier"
    with pytest.raises(DataError, match=rf"f.txt: byte {data.index(0xE9)} \(0xE9, line 3\) is not utf-8.*--encoding"):
        text_of(data)


def test_the_offset_counts_a_byte_order_mark_that_was_dropped() -> None:
    assert text_of(b"\xef\xbb\xbfabc") == "abc"
    with pytest.raises(DataError, match="byte 6 "):
        text_of(b"\xef\xbb\xbfabc\xff")


def test_a_character_cut_off_at_the_end_of_the_file_is_told() -> None:
    with pytest.raises(DataError, match=r"byte 2 \(0xC3, line 1\).*unexpected end"):
        text_of(b"ab\xc3")


@pytest.mark.parametrize("block", [1, 4, 1 << 20])
def test_a_nul_means_a_binary_file(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "BLOCK", block)
    with pytest.raises(DataError, match=r"byte 6 \(line 2\) is NUL.*binary.*--tokens bytes"):
        text_of("äb\nö\x00".encode())


@pytest.mark.parametrize(
    ("data", "advice"),
    [
        (b"\x1f\x8b\x08\x00", "let its name end in .gz"),
        ("text".encode("utf-16-le").join([b"\xff\xfe", b""]), "--encoding utf-16"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "--tokens bytes"),
        ("naïve".encode("latin-1"), "latin-1"),
    ],
)
def test_the_advice_fits_what_the_file_looks_like(data: bytes, advice: str) -> None:
    with pytest.raises(DataError, match=advice):
        text_of(data)


def test_bad_bytes_kept_for_later_are_found_by_fault() -> None:
    assert fault(text_of(b"ab\xe9c", keep_bad=True)) == "byte 0xE9 cannot be decoded"
    assert fault("a\x00b") == "it has a NUL, which no text has"
    assert fault("\ud801") == "it has half a surrogate pair, U+D801"
    assert fault("añ☃😀") is None


@given(st.lists(st.text("ab\n\r\u2028", max_size=5), max_size=5))
def test_lines_end_at_newlines_only(pieces: list[str]) -> None:
    whole = "".join(pieces)
    found = list(lines(iter(pieces)))
    assert "".join(found) == whole
    assert [line.removesuffix("\n") for line in found] == (whole.removesuffix("\n").split("\n") if whole else [])
