"""Attention: how much each position of a memory matters to a query. Functions of their arguments; nothing is stored.

scores.py   inner products (Luong et al. 2015) and the additive score (Bahdanau et al. 2015)
terms.py    what the attention so far adds to it: coverage (See et al. 2017) and location (Chorowski et al. 2015)
attend.py   scores -> weights, zero where the memory is padding, and the weighted mean of the values

Here the batch comes first, since every sequence has products of its own: queries [B, T, n], memories [B, S, m].
docs/attention.md has the equations of the models that are built from these.
"""

from riverrun.attention.attend import Attended, attend
from riverrun.attention.scores import additive, inner
from riverrun.attention.terms import coverage, location

__all__ = ["Attended", "additive", "attend", "coverage", "inner", "location"]
