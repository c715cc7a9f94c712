"""Decoding: from a model's logits to tokens and scores, through the step protocol and nothing else.

protocol.py   what decoding asks of a model of one sequence (sequence_protocol.py: of one that has a source)
filters.py    temperature, top-k, top-p, excluded tokens: logits -> logits
sampling.py   one counter-based uniform a token, inverted in id order; `generate`
scoring.py    the surprise of every token of a text, and the most likely next ones
novelty.py    how much of a sample was copied from the training text

And from a source to targets:

sequence_protocol.py   what decoding asks of a model that has a source
inputs.py              sources as a search takes them, and any number of them in batches of about equal length
greedy.py beam.py sequence_sampling.py   the three searches
constraints.py         lengths, repeats, tokens that are never written, forced prefixes
ranking.py             scores by length and coverage, and the bound by which a beam search stops
prior.py               what is held against targets that fit any source
hypothesis.py          what a search found, and the trace from which it is read off
"""
