"""What a cluster is verified for: one module a kind of thing, each a pure judge of what nodes said.

The opcodes that ask and tell are in `ops.cluster` and `ops.group`.
"""
