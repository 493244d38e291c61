"""Mechanisms without domain words: files, logs, processes, descriptors, daemon life cycle.

Nothing here knows what an instance or a job is. Every other package may import this one; it
imports none of them.
"""
