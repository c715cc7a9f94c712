"""Pipeline: what the command line and the Python estimators share, from files to a trained model and back from disk.

plan (options -> configuration) -> prepare (files -> parts) -> train (parts -> a model, in a run folder) -> finish
(evaluation, baselines, sample, report); opened (a model from disk, to sample and score with). Nothing is imported here,
so that a plan needs no torch.
"""
