"""Who may work on what: locks on instances, groups, nodes and networks, shared or exclusive.

Whoever wants locks names all of them at once, and gets all of them at once. Nothing here knows what
a job is, and nothing is kept over a restart: what held locks is gone then. ``levels`` has the
words, ``table`` decides and does no I/O, ``manager`` is what others use.
"""
