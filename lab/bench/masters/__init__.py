"""Benchmarks of the master daemon and its commands: what is promised, beside Ganeti's own daemons.

Everything is asked at the socket of a daemon that runs, as a command would; only how long a change
of the configuration takes by itself is measured inside a process.
"""
