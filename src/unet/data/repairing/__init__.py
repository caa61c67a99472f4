"""Faults of a data set that can be mended without guessing: first a plan, then file by file what it says.

Functions of arrays or names, one family of faults each: `names`, `geometry`, `stacks`, `palettes`, `snapping`,
`objects`. Of these `gathering`, `fitting`, `classing` and `copies` make jobs, one for each pair, and `plan` calls
them in this order; `carry_out` does the work, `record` says what was done.
"""
