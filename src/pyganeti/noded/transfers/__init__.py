"""Data of instances on its way: out of a disk, a script or a file, over TLS, and into another.

Each transfer is a process of its own (`worker`), known by its folder below ``import-export``, so
that it goes on whatever becomes of the node daemon, and is found again by the next one. The peer
may be Ganeti's own daemon: what goes over the wire and into the status file is as it has it. Knows
nothing of instances and of how disks are stored: what it reads and writes comes in opened.
"""
