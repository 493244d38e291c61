"""A cluster on one machine: nodes in namespaces, joined by a network that can be made to fail.

From below: `namespaces` (processes, mounts and network of their own), `network` (the switch and
its faults), `machines` (a computer that can be switched on, off and filled up), `services` (a
daemon on one), `founding` (what makes computers a cluster), `clusters` (all of it, as a ``with``
block that leaves nothing behind). Above: `calls` (the node RPC), `instances` (what a master says
about one) and `conductor` (what a master does, call by call).
"""
