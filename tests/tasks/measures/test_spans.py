"""Spans scored as conlleval scores them: its published example, scikit-learn's counts, and its conventions."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score

from riverrun.tasks.measures.spans import Counts, added, counted, table

# The first sentence of the example that CoNLL-2000 published with conlleval (its file output.txt): the tags of the
# corpus and those that were predicted. Its figures are those that the program's ports print for it.
GOLD = [
    "B-NP", "I-NP", "I-NP", "B-NP", "I-NP", "I-NP", "B-VP", "B-NP", "B-VP", "B-NP", "I-NP", "I-NP", "B-VP", "B-NP",
    "I-NP", "B-PP", "B-NP", "I-NP", "B-VP", "I-VP", "B-NP", "I-NP", "B-PP", "B-NP", "B-NP", "I-NP", "I-NP", "O",
]  # fmt: skip
PREDICTED = [
    "I-NP", "I-NP", "I-NP", "B-NP", "I-NP", "I-NP", "B-VP", "B-NP", "B-VP", "B-NP", "I-NP", "I-NP", "B-VP", "B-NP",
    "I-NP", "B-PP", "I-NP", "I-NP", "B-PP", "I-VP", "I-NP", "I-NP", "B-PP", "I-NP", "B-NP", "I-NP", "I-NP", "O",
]  # fmt: skip


def test_the_published_example_has_its_published_figures():
    found = counted(GOLD, PREDICTED)
    assert found == {"NP": Counts(9, 9, 9), "PP": Counts(2, 3, 2), "VP": Counts(3, 4, 4)}
    whole = Counts(*map(sum, zip(*found.values(), strict=True)))
    assert whole == Counts(right=14, found=16, true=15)
    assert (whole.precision, whole.recall) == (0.875, pytest.approx(0.9333333333333333))
    assert whole.f1 == pytest.approx(0.9032258064516129)
    rows = {row["type"]: row for row in table(found)}
    assert rows["PP"]["precision"] == pytest.approx(0.6666666666666666)
    assert rows["PP"]["f1"] == pytest.approx(0.8)
    assert rows["VP"]["f1"] == 0.75


def test_a_span_is_right_only_as_a_whole_and_of_its_type():
    assert counted(["B-A", "I-A", "O"], ["B-A", "O", "O"]) == {"A": Counts(0, 1, 1)}
    assert counted(["B-A", "I-A"], ["B-A", "B-A"]) == {"A": Counts(0, 2, 1)}
    assert counted(["B-A", "I-A"], ["B-B", "I-B"]) == {"A": Counts(0, 0, 1), "B": Counts(0, 1, 0)}
    assert counted(["B-A", "I-A"], ["I-A", "I-A"]) == {"A": Counts(1, 1, 1)}, "an I that begins, begins a span"
    assert counted(["O"], ["O"]) == {}


def test_words_without_a_tag_are_outside_whatever_was_predicted():
    assert counted(["B-A", "", ""], ["B-A", "B-B", "I-B"]) == {"A": Counts(1, 1, 1)}


def test_spans_of_one_word_count_as_scikit_learn_counts_labels():
    random = np.random.default_rng(0)
    gold, predicted = (random.choice(["O", "S-A", "S-B", "S-C"], 200).tolist() for _ in range(2))
    found = counted(gold, predicted)
    whole = Counts(*map(sum, zip(*found.values(), strict=True)))
    labels = ["S-A", "S-B", "S-C"]
    for ours, theirs in ((whole.precision, precision_score), (whole.recall, recall_score), (whole.f1, f1_score)):
        assert ours == pytest.approx(theirs(gold, predicted, labels=labels, average="micro"))
    for kind in "ABC":
        assert found[kind].f1 == pytest.approx(f1_score(gold, predicted, labels=[f"S-{kind}"], average=None)[0])


def test_sentences_add_up_and_nothing_found_is_zero_not_an_error():
    total = added([counted(["B-A"], ["B-A"]), counted(["B-B"], ["O"]), counted(["B-A"], ["B-B"])])
    assert total == {"A": Counts(1, 1, 2), "B": Counts(0, 1, 1)}
    assert Counts(0, 0, 0).precision == Counts(0, 0, 0).recall == Counts(0, 0, 0).f1 == 0.0
    assert added([]) == {}
