"""Opcodes that only answer."""
