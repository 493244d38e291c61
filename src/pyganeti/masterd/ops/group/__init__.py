"""Opcodes on node groups, and what they share."""
