"""The scripts of the OS definition `image`: Python's standard library and a few tools, no more.

Ganeti's own node daemon runs them as well, with the system's Python, from 3.11 on: nothing of
pyganeti may be imported here. What a script is told is its environment.
"""
