"""How fast it is: every backend, and the programs that others use, at the same work in turns.

`cases.py` says what is measured, `contenders.py` who takes part; each contender does its work in a process of
its own (`worker.py`, with `ours.py` and `peers.py`), and `turns.py` tells them whose turn it is. `results.py`
and `chart.py` show what came out.
"""
