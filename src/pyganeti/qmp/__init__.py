"""QEMU's machine protocol as far as an observer needs it: bytes in, messages out. No sockets.

Commands that change a guest belong to the ``qemu.qmp`` library, not here.
"""
