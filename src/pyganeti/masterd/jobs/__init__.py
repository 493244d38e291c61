"""The job queue: what was accepted is kept through any crash, and done once.

It knows nothing of what an opcode does: `work.Work` carries opcodes out, and is given by who wires
the daemon. It takes no locks of the cluster and reads no configuration. ``queue`` is what others
use; ``work`` is what a carrier of opcodes sees of it.
"""
