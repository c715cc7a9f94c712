"""SCAN's lines are a command and its actions."""

from riverrun.data.commands import likely, rows


def test_a_line_is_cut_at_its_marks() -> None:
    [row, other] = rows(iter(["IN: walk OUT: I_WALK\n", "\n", "IN: run left twice OUT: L R L R\r\n"]))
    assert (row.line, row.source, row.target) == (1, "walk", "I_WALK")
    assert (other.line, other.source, other.target) == (3, "run left twice", "L R L R")


def test_another_line_is_wrong_and_an_empty_side_is_seen_later() -> None:
    [bad, empty] = rows(iter(["walk -> I_WALK", "IN: walk OUT: "]))
    assert bad.wrong == "expected `IN: ... OUT: ...`, got 'walk -> I_WALK'"
    assert (empty.wrong, empty.target) == (None, "")


def test_such_files_are_known_by_all_their_first_lines() -> None:
    assert likely(["IN: walk OUT: I_WALK"])
    assert not likely(["IN: walk OUT: I_WALK", "IN: walk"])
    assert not likely([])
