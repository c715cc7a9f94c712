"""Measures: how a task's models are judged: evaluation with intervals, and the baselines that stand beside it."""
