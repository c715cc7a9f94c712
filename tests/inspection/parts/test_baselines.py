"""Baselines of any task: all of them in one chart and one table, the model where it belongs among them."""

from __future__ import annotations

import json
import re

from inspection import folder, made_up

from riverrun.inspection.parts.baselines import against
from riverrun.inspection.record import read_run


def shown(tmp_path, metrics) -> str:
    path = folder.write(tmp_path / "run", {"eval/metrics.json": json.dumps(metrics)})
    return against(read_run(path, ["baselines"]))


def test_the_table_is_in_order_with_every_figure_and_interval(tmp_path):
    page = shown(tmp_path, made_up.classify_metrics())
    names = re.findall(r'<th scope="row">(.*?)<?/', page)
    assert [re.sub("<.*", "", name) for name in names] == [
        "this model",
        "logistic regression",
        "naive Bayes",
        "majority",
    ]
    assert '80.0<small class="over">79.0 – 81.0</small>' in page
    assert '0.600<small class="over">0.570 – 0.630</small>' in page
    assert "on 1- to 4-grams" in page
    assert "the same 2,010 names of the test part" in page


def test_the_chart_compares_the_first_figure_in_per_cent(tmp_path):
    page = shown(tmp_path, made_up.classify_metrics())
    assert "accuracy of the model and its baselines. this model 84.0 %; logistic regression 80.0 %" in page
    assert page.count("<circle") == 4


def test_a_model_that_loses_stands_where_it_belongs(tmp_path):
    metrics = made_up.classify_metrics()
    metrics["figures"][0] = made_up.figure("accuracy", 0.7)
    names = re.findall(r'<th scope="row">([\w ]+)', shown(tmp_path, metrics))
    assert names == ["logistic regression", "naive Bayes", "this model", "majority"]


def test_fewer_mistakes_are_better_where_the_figure_says_so(tmp_path):
    metrics = made_up.seq2seq_metrics()
    metrics["baselines"].append(made_up.baseline("oracle", made_up.figure("word error rate", 0.1, better="lower")))
    page = shown(tmp_path, metrics)
    assert re.findall(r'<th scope="row">([\w ]+)', page) == ["oracle", "this model", "copy"]
    assert "Less is better" in page


def test_a_baseline_without_the_figure_is_listed_without_it(tmp_path):
    metrics = made_up.tag_metrics()
    metrics["baselines"].append(made_up.baseline("silent", made_up.figure("speed", 3.0), note="<none>"))
    page = shown(tmp_path, metrics)
    assert re.findall(r'<th scope="row">([\w ]+)', page)[-1] == "silent"
    assert "&lt;none&gt;" in page
    assert page.count("<circle") == 2


def test_what_a_baseline_may_learn_from_at_most_is_said(tmp_path):
    metrics = made_up.tag_metrics()
    assert "at most" not in shown(tmp_path / "plain", metrics)
    metrics["baselines"][0]["limit"] = "20,000 words"
    assert "at most: most frequent tag: 20,000 words." in shown(tmp_path / "limited", metrics)
    limited = made_up.baseline("suffixes", made_up.figure("accuracy", 0.9)) | {"limit": "20,000 words"}
    metrics["baselines"] += [limited, made_up.baseline("rule", made_up.figure("accuracy", 0.5))]
    page = shown(tmp_path / "two", metrics)
    assert "at most: suffixes and most frequent tag: 20,000 words; the others learn from all of it." in page


def test_without_baselines_there_is_nothing_to_show(tmp_path):
    assert shown(tmp_path, made_up.tag_metrics() | {"baselines": []}) == ""
