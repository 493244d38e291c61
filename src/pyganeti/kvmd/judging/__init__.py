"""Finds out why a guest stopped: gathers evidence where it lies, and decides.

`cause` decides and is pure; the rest looks. Says nothing to qemu and writes nothing.
"""
