"""Opcodes on instances, and what they share: locks, hooks' environment, disks, checks."""
