"""Decoding: from a model's logits to tokens and scores, through the step protocol and nothing else.

protocol.py   what decoding asks of a model of one sequence (sequence_protocol.py: of one that has a source)
filters.py    temperature, top-k, top-p, excluded tokens: logits -> logits
sampling.py   one counter-based uniform a token, inverted in id order; `generate`
scoring.py    the surprise of every token of a text, and the most likely next ones
novelty.py    how much of a sample was copied from the training text
"""
