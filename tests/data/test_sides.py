"""Suffixes of languages and of sides are not those of labels."""

import pytest

from riverrun.data.sides import are_sides


@pytest.mark.parametrize("suffixes", [{"de", "en"}, {"FR", "en"}, {"src", "tgt"}, {"in", "out"}])
def test_languages_and_named_sides_belong_together(suffixes: set[str]) -> None:
    assert are_sides(suffixes)


@pytest.mark.parametrize("suffixes", [{"pos", "neg"}, {"de"}, {"de", "en", "fr"}, {"de", "pos"}, {"", "en"}, set()])
def test_others_do_not(suffixes: set[str]) -> None:
    assert not are_sides(suffixes)
