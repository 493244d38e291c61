"""Opcodes on node groups."""
