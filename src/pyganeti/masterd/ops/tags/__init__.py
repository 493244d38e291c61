"""Opcodes on the tags of the cluster and of what is in it."""
