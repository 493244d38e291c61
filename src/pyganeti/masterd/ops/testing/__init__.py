"""Opcodes for tests, and for trying a cluster out. They change nothing."""
