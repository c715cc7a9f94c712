"""Recurrences: arrays in, arrays out; no nn.Module, and no knowledge of any particular cell.

trace.py     a cell's step, run on symbols (symbols.py) -> Program (program.py): a closed list of operations
rewrite.py   Program -> Program: dropouts, zoneout, layer norm, depth
adjoint.py   Program -> the Program of its gradient (written by builder.py)
latex.py     Program -> its equations as LaTeX: `latex(riverrun.cells.cell.program(MyCell))`
lower.py     Program -> the flat list of torch calls that runs it
eager.py     runs a Program with torch, step after step: the definition of correct
fused.py     the same without autograd inside: buffers forward (forward.py), the adjoint backward (backward.py)
kernels.py   torch's own kernels, for the Programs that equal them (unify.py); guarded.py differentiates cuDNN's twice
parallel.py  all steps at once, where states enter linearly (prefixes.py)
native.py    the C++ engine (library.py finds it): what it interprets is made by segments.py and code.py, what a call
             passes by frame.py; operator.py makes a scan one node for torch.compile
lookup.py    scans and steps over tokens, whose first products are rows of a table
writer.py    tokens written by a stack, many in one call of the C++ engine
choose.py    which of these paths runs, and the sentence why
scan.py      scan(program, ...): one differentiable operation for every cell (scanned.py: its records; timeline.py)
step.py      one step at a time, for streams
"""
