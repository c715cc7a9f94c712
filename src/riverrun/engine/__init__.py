"""Recurrences: arrays in, arrays out; no nn.Module, and no knowledge of any particular cell.

trace.py     a cell's step, run on symbols (symbols.py) -> Program
program.py   the Program: a closed list of operations
rewrite.py   Program -> Program: dropouts, zoneout, layer norm, depth
adjoint.py   Program -> the Program of its gradient
lower.py     Program -> the flat list of torch calls that runs it
eager.py     runs a Program with torch, step after step: the definition of correct
scan.py      scan(program, ...): one differentiable operation for every cell
fused.py     the same loop without autograd inside: buffers forward, the adjoint backward
choose.py    which path ran, and the sentence why
step.py      one step at a time, for streams
"""
