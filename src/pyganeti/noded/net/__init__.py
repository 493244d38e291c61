"""A node's networks: the instances' taps, what they are attached to, and the master's address.

It knows interfaces, not guests: nothing of qemu, disks or calls. The one user of netlink (pyroute2)
and of the tun device. `network` is what others work with; `pyganeti.noded.rpc` and whoever starts
instances may import it.
"""
