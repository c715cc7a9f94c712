"""Sequence to sequence: pairs made ready, targets written, scores by need, predictions."""
