"""Results by length: points in their place, units from the metrics, intervals where there are any."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as xml

import pytest
from inspection import folder, made_up

from riverrun.inspection.parts.lengths import lengths
from riverrun.inspection.record import read_run

SVG = "{http://www.w3.org/2000/svg}"


def shown(tmp_path, content, metrics=None) -> str:
    contents = {"eval/lengths.json": json.dumps(content)}
    if metrics:
        contents["eval/metrics.json"] = json.dumps(metrics)
    return lengths(read_run(folder.write(tmp_path / "run", contents), ["lengths"]))


def charts(page: str):
    return [xml.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]


def test_the_curve_falls_as_the_figures_do_and_names_its_lengths(tmp_path):
    (chart,) = charts(shown(tmp_path, made_up.lengths(), made_up.seq2seq_metrics()))
    ys = [float(circle.get("cy")) for circle in chart.iter(f"{SVG}circle")]
    xs = [float(circle.get("cx")) for circle in chart.iter(f"{SVG}circle")]
    assert ys == sorted(ys)
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1], abs=0.2)
    assert (ys[1] - ys[0]) / (ys[2] - ys[1]) == pytest.approx((40 - 32) / (32 - 20.5), abs=0.02)
    texts = [text.text for text in chart.iter(f"{SVG}text")]
    assert {"1–5", "6–10", "11+", "source words"} <= set(texts)
    spans = next(path for path in chart.iter(f"{SVG}path") if path.get("class") == "model span").get("d")
    assert spans.count("M") == 2  # the last one has no interval


def test_the_table_has_counts_values_and_intervals(tmp_path):
    page = shown(tmp_path, made_up.lengths())
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in page.split("<tr>")[2:]]
    assert rows == [["1–5", "200", "40.0 (37.0 – 43.0)"], ["6–10", "180", "32.0 (30.0 – 34.0)"], ["11+", "120", "20.5"]]


def test_shares_are_per_cent_as_in_the_metrics_and_other_figures_get_charts_of_their_own(tmp_path):
    content = made_up.lengths()
    for row, error in zip(content["rows"], (0.1, 0.2, 0.5), strict=True):
        row["figures"]["word error rate"] = error
    page = shown(tmp_path, content, made_up.seq2seq_metrics())
    assert len(charts(page)) == 2
    assert "Word error rate</h3>" in page
    assert '<td class="n">50.0</td>' in page
    assert "1–5: 10.0 %" in page


def test_lengths_come_in_order_and_one_length_has_one_number(tmp_path):
    content = {"unit": "letters", "rows": [{"low": 4, "high": 9, "figures": {"e": 1.0}},
                                           {"low": 3, "high": 3, "figures": {"e": 2.0}}]}  # fmt: skip
    assert re.findall(r'<th scope="row">(.*?)</th>', shown(tmp_path, content)) == ["3", "4–9"]


def test_a_single_length_has_a_table_and_no_curve(tmp_path):
    page = shown(tmp_path, made_up.lengths() | {"rows": made_up.lengths()["rows"][:1]})
    assert "nothing to compare" in page
    assert "40.0 (37.0 – 43.0)" in page
    assert charts(page) == []


def test_hostile_names_stay_text(tmp_path):
    odd = '"><script>x</script>'
    rows = [{"low": k, "high": k, "count": 3, "figures": {odd: 1.0, odd + "2": 2.0}} for k in (1, 2)]
    content = {"unit": odd, "rows": rows}
    assert "<script" not in shown(tmp_path, content)


@pytest.mark.parametrize(
    "odd", [{}, {"rows": 3}, {"rows": [3]}, {"rows": [{"low": 1, "high": 2, "figures": {}}]},
            {"rows": [{"high": 2, "figures": {"a": 1}}]}, {"rows": [{"low": 1, "figures": {"a": None}}]}]
)  # fmt: skip
def test_a_record_of_another_shape_gives_nothing(tmp_path, odd):
    assert shown(tmp_path, odd) == ""
