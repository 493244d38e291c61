"""The benchmarks: ``python -m lab.bench`` measures the daemons of this project beside Ganeti's own.

Both are run on the same simulated QMP servers, one after the other in turns, as daemons on
directories of their own. Only `lab.bench.__main__` is for the outside.
"""
