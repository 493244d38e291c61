"""ganeti-noded: does to a node what a master asks for, over Ganeti's node RPC.

It knows instances, disks and networks; nothing of jobs, of the cluster's configuration, or of who
the master is beyond its certificate. Nobody imports it.
"""
