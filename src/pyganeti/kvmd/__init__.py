"""ganeti-kvmd: watches the QMP sockets of a node's instances and decides why each stopped.

It knows nothing of the node daemon, of jobs or of the cluster's configuration; it reads a
directory of sockets and, where a cluster exists, three ssconf files.
"""
