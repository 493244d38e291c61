"""Opcodes on networks, and what they share."""
