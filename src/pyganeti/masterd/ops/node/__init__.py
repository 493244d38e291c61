"""Opcodes on nodes."""
