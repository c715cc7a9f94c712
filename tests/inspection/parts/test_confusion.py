"""Confusion matrices: shares of rows, counts that nothing loses, and as many labels as can be read."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as xml

import numpy as np
import pytest
from inspection import folder, made_up
from sklearn.metrics import precision_recall_fscore_support

from riverrun.inspection.parts.confusion import MOST, Confusion, abridged, confusion, confusion_of
from riverrun.inspection.record import read_run

SVG = "{http://www.w3.org/2000/svg}"


def shown(tmp_path, content) -> str:
    path = folder.write(tmp_path / "run", {"eval/confusion.json": json.dumps(content)})
    return confusion(read_run(path, ["confusion"]))


def cells(page: str):
    root = xml.fromstring(re.search(r"<svg.*?</svg>", page, re.DOTALL)[0])
    return {
        rect.find(f"{SVG}title").text: rect.get("class")
        for rect in root.iter(f"{SVG}rect")
        if rect.get("class") != "field"
    }


def rows_of(page: str, heading: str) -> list[list[str]]:
    table = page[page.index(heading) :]
    table = table[: table.index("</table>")]
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in table.split("<tr>")[2:]]


def test_cells_tell_counts_and_shares_of_their_row_and_right_ones_look_different(tmp_path):
    found = cells(shown(tmp_path, made_up.confusion()))
    assert found == {
        "Arabic taken for Arabic: 90 of 100, 90 %": "c8",
        "Arabic taken for Czech: 8 of 100, 8 %": "s3",
        "Arabic taken for Dutch: 2 of 100, 2 %": "s2",
        "Czech taken for Arabic: 10 of 50, 20 %": "s5",
        "Czech taken for Czech: 30 of 50, 60 %": "c7",
        "Czech taken for Dutch: 10 of 50, 20 %": "s5",
        "Dutch taken for Dutch: 50 of 50, 100 %": "c8",
    }


def test_the_mistakes_are_counted_and_the_commonest_named_first(tmp_path):
    page = shown(tmp_path, made_up.confusion())
    assert "Of 200 names 30 (15 %) were taken for something else" in page
    mixed = rows_of(page, "The commonest mix-ups")
    assert mixed == [
        ["Czech taken for Arabic", "10", "20 %"], ["Czech taken for Dutch", "10", "20 %"],
        ["Arabic taken for Czech", "8", "8 %"], ["Arabic taken for Dutch", "2", "2 %"],
    ]  # fmt: skip


def test_the_figures_of_each_label_are_scikit_learns(tmp_path):
    content = made_up.confusion()
    true, predicted = [], []
    for i, row in enumerate(content["counts"]):
        for j, n in enumerate(row):
            true += [i] * n
            predicted += [j] * n
    precision, recall, f1, support = precision_recall_fscore_support(true, predicted)
    found = {row[0]: row[1:] for row in rows_of(shown(tmp_path, content), "The figures of each label")}
    for i, label in enumerate(content["labels"]):
        counted, taken, p, r, f = found[label]
        assert (int(counted), int(taken)) == (support[i], predicted.count(i))
        assert float(p[:-2]) == pytest.approx(100 * precision[i], abs=0.51)
        assert float(r[:-2]) == pytest.approx(100 * recall[i], abs=0.51)
        assert float(f) == pytest.approx(f1[i], abs=0.0006)


def test_the_counts_stand_in_a_table(tmp_path):
    rows = rows_of(shown(tmp_path, made_up.confusion()), "The counts as a table")
    assert rows == [["Arabic", "90", "8", "2"], ["Czech", "10", "30", "10"], ["Dutch", "·", "·", "50"]]


@pytest.mark.parametrize("n", [2, 12, 13, MOST])
def test_up_to_forty_labels_are_all_shown(tmp_path, n):
    page = shown(tmp_path, made_up.many_labels(n))
    assert len(cells(page)) == 2 * n - 1
    assert "stand together" not in page
    assert ('class="in"' in page) == (n <= 12)


@pytest.mark.parametrize("n", [MOST + 1, 90, 300])
def test_more_labels_are_grouped_and_the_page_says_so(tmp_path, n):
    page = shown(tmp_path, made_up.many_labels(n))
    assert f"Of {n} labels the {MOST - 1} with most mistakes are shown" in page
    assert f">{n - MOST + 1} others<" in page
    assert len(page) < 200_000


def test_grouping_keeps_every_count_and_the_labels_with_most_mistakes():
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 9, (57, 57)) + np.diag(rng.integers(50, 500, 57))
    whole = Confusion([str(i) for i in range(57)], counts.tolist(), "items")
    few, rest = abridged(whole)
    assert (len(few.labels), rest) == (MOST, 57 - MOST + 1)
    kept = [int(label) for label in few.labels[:-1]]
    others = [i for i in range(57) if i not in kept]
    assert kept == sorted(kept)
    small = np.array(few.counts)
    assert (small[:-1, :-1] == counts[np.ix_(kept, kept)]).all()
    assert (small[:-1, -1] == counts[np.ix_(kept, others)].sum(1)).all()
    assert (small[-1, :-1] == counts[np.ix_(others, kept)].sum(0)).all()
    assert small[-1, -1] == counts[np.ix_(others, others)].sum()
    wrong = counts.sum(0) + counts.sum(1) - 2 * np.diag(counts)
    assert min(wrong[kept]) >= max(wrong[others])


def test_several_labels_a_text_have_figures_and_no_matrix(tmp_path):
    page = shown(tmp_path, {"labels": ["a", "b"], "yes_no": [[8, 2, 4, 86], [0, 0, 0, 100]]})
    assert "<svg" not in page
    assert rows_of(page, "The figures of each label") == [
        ["a", "12", "10", "80 %", "67 %", "0.727"], ["b", "0", "0", "–", "–", "–"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    "odd",
    [{}, {"labels": ["a"], "counts": []}, {"labels": ["a"], "counts": [[-1]]}, {"labels": ["a"], "counts": [["x"]]},
     {"labels": ["a", "b"], "counts": [[1, 2], [3]]}, {"labels": ["a"], "counts": [[0]]}, {"labels": 3, "counts": 4},
     {"labels": ["a"], "yes_no": [[1, 2]]}, {"labels": ["a"], "yes_no": 7},
     {"labels": ["a"], "yes_no": [[1, 2, 3, "x"]]},
     {"labels": [], "counts": []}],
)  # fmt: skip
def test_a_record_of_another_shape_gives_nothing(tmp_path, odd):
    assert confusion_of(odd) is None
    assert shown(tmp_path, odd) == ""
