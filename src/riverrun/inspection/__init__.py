"""Inspection: what a run did, made visible. The report of a run, and pictures for the terminal and for files.

record.py     a run folder, read as far as it is there; the shapes of what tasks write into eval/
report.py     report.html: the parts that a task names, on one page
part.py       what a part is
parts/        one file a part, found by its name
findings.py   the sentences that a language model's figures amount to, and those on any training
scored.py     figures with intervals, of a model and its baselines
verdict.py    in words how they compare
charts.py     line charts in SVG
ranges.py     values with their intervals, a row each
bars.py       a language model's baselines as bars
heatmap.py    matrices: confusion, alignment
alignment.py  what a decoder looked at: in the report, and as a file of its own
surprise.py   text coloured by surprise, for the terminal and for a page
page.py       the pieces of a page: figures, tables, facts
theme.py      the style sheet, light, dark and printed
"""
