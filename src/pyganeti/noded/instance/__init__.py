"""What happens to instances on this node: start, stop, reboot, ask, move.

Puts qemu, disks and networks together, in an order that a crash at any step leaves in a state that
the next call can finish or undo. Nothing is remembered between calls: what is running is read from
pid files, runtime files and the processes themselves, so a daemon that starts again finds all.
"""
