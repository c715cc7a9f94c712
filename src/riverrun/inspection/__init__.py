"""Inspection: what a run did, made visible. The report of a run, and text coloured by surprise.

record.py     a run folder, read as far as it is there
findings.py   the sentences that a run's figures amount to
charts.py     line charts in SVG, and ranges as bars
surprise.py   text coloured by surprise, for the terminal and for a page
page.py       the pieces of a page: figures, tables, facts
theme.py      the style sheet, light, dark and printed
report.py     report.html: all of it on one page
"""
