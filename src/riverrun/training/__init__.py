"""Training: a plain torch loop that carries state, never loses work, and says what it does.

options -> loop (hardware, optimisation, schedules, averages, guard, distributed) -> checkpoints; what happens is told
as events, which log.py writes and progress.py shows. Importing this package imports no torch.
"""
