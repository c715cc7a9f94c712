"""Models by shape: what turns a batch of a task into a loss, and a state and a token into the next distribution.

Nothing is imported here, so that reading `riverrun.models.options` (the command line does) needs no torch.
"""
