"""Opcodes on the cluster as a whole."""
