"""The disks of instances on this node, one driver a kind of storage, behind one small interface.

It knows disks, files and devices; nothing of guests, networks or the protocol. Who wants a disk
asks `storage.Storage`; only that module knows which drivers there are.
"""
